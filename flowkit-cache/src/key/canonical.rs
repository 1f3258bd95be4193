//! The canonical form: every token with a tag and, where its end is not plain, a length.

use std::any::type_name;
use std::fmt::Display;

use serde::ser::{self, Serialize};

use super::unordered;

/// Where the form is written to.
pub(super) trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// The tags. Changing any means a new `FORMAT_VERSION`.
pub(super) const SECTION: u8 = 0x01;
pub(super) const VALUE: u8 = 0x02;
const UNIT: u8 = 0x10;
const FALSE: u8 = 0x11;
const TRUE: u8 = 0x12;
const I8: u8 = 0x13;
const I16: u8 = 0x14;
const I32: u8 = 0x15;
const I64: u8 = 0x16;
const I128: u8 = 0x17;
const U8: u8 = 0x18;
const U16: u8 = 0x19;
const U32: u8 = 0x1a;
const U64: u8 = 0x1b;
const U128: u8 = 0x1c;
const F32: u8 = 0x1d;
const F64: u8 = 0x1e;
const CHAR: u8 = 0x1f;
const STR: u8 = 0x20;
const BYTES: u8 = 0x21;
const NONE: u8 = 0x22;
const SOME: u8 = 0x23;
const UNIT_STRUCT: u8 = 0x24;
const UNIT_VARIANT: u8 = 0x25;
const NEWTYPE_STRUCT: u8 = 0x26;
const NEWTYPE_VARIANT: u8 = 0x27;
const SEQ: u8 = 0x28;
const SET: u8 = 0x29;
const TUPLE: u8 = 0x2a;
const TUPLE_STRUCT: u8 = 0x2b;
const TUPLE_VARIANT: u8 = 0x2c;
const MAP: u8 = 0x2d;
const STRUCT: u8 = 0x2e;
const STRUCT_VARIANT: u8 = 0x2f;
const FIELD: u8 = 0x30;
const ARRAY: u8 = 0x31;
const END: u8 = 0x3f;

/// The message of a value that refused.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) String);

impl Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

impl ser::Error for Refusal {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Writes the canonical form of a value.
pub(super) fn encode<S: Sink, T: Serialize + ?Sized>(sink: &mut S, value: &T) -> Result<(), Refusal> {
    value.serialize(Form {
        sink,
        type_name: type_name::<T>(),
        unordered: false,
    })
}

pub(super) fn length<S: Sink>(sink: &mut S, length: usize) {
    sink.put(&(length as u64).to_le_bytes());
}

pub(super) fn bytes<S: Sink>(sink: &mut S, bytes: &[u8]) {
    sink.put(&[BYTES]);
    length(sink, bytes.len());
    sink.put(bytes);
}

fn text<S: Sink>(sink: &mut S, text: &str) {
    length(sink, text.len());
    sink.put(text.as_bytes());
}

/// A tag and a number, in one go.
fn number<S: Sink, const N: usize>(sink: &mut S, tag: u8, bytes: [u8; N]) {
    sink.put(&[tag]);
    sink.put(&bytes);
}

/// The name of a type, behind any references and boxes.
fn plain_name(mut name: &str) -> &str {
    let wrappers = [
        "&mut ",
        "&",
        "alloc::boxed::Box<",
        "alloc::sync::Arc<",
        "alloc::rc::Rc<",
    ];
    while let Some(inner) = wrappers.iter().find_map(|wrapper| name.strip_prefix(wrapper)) {
        name = inner;
    }
    name
}

/// Whether a type is a hash set. The name only selects how it is read and is not hashed, so an unknown set costs
/// misses and never a wrong hit.
fn is_hash_set(name: &str) -> bool {
    let name = plain_name(name);
    [
        "std::collections::hash::set::HashSet<",
        "hashbrown::set::HashSet<",
        "indexmap::set::IndexSet<",
    ]
    .iter()
    .any(|set| name.starts_with(set))
}

/// Writes one value.
struct Form<'a, S> {
    sink: &'a mut S,
    type_name: &'static str,
    unordered: bool,
}

impl<S: Sink> Form<'_, S> {
    fn tagged_name(&mut self, tag: u8, name: &str) {
        self.sink.put(&[tag]);
        text(self.sink, name);
    }

    fn variant(&mut self, tag: u8, name: &str, variant: &str) {
        self.tagged_name(tag, name);
        text(self.sink, variant);
    }
}

/// Writes what has several parts, in their order.
pub(super) struct Ordered<'a, S> {
    sink: &'a mut S,
}

impl<S: Sink> Ordered<'_, S> {
    fn part<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        encode(self.sink, value)
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Refusal> {
        self.sink.put(&[FIELD]);
        text(self.sink, name);
        encode(self.sink, value)
    }

    fn end(self) {
        self.sink.put(&[END]);
    }
}

/// Collects parts that have no order, and writes them sorted by their form.
pub(super) struct Sorted<'a, S> {
    sink: &'a mut S,
    tag: u8,
    forms: Vec<u8>,
    ends: Vec<usize>,
}

impl<'a, S: Sink> Sorted<'a, S> {
    fn new(sink: &'a mut S, tag: u8) -> Self {
        Self {
            sink,
            tag,
            forms: Vec::new(),
            ends: Vec::new(),
        }
    }

    fn part<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        encode(&mut self.forms, value)
    }

    fn part_ends(&mut self) {
        self.ends.push(self.forms.len());
    }

    fn end(self) {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = starts.zip(self.ends.iter().copied());
        let mut parts: Vec<&[u8]> = ranges
            .filter_map(|(start, end)| self.forms.get(start..end))
            .collect();
        parts.sort_unstable();
        self.sink.put(&[self.tag]);
        parts.iter().for_each(|part| self.sink.put(part));
        self.sink.put(&[END]);
    }
}

/// A sequence: ordered, unless it is a set.
pub(super) enum Sequence<'a, S> {
    Ordered(Ordered<'a, S>),
    Sorted(Sorted<'a, S>),
}

impl<'a, S: Sink> ser::Serializer for Form<'a, S> {
    type Ok = ();
    type Error = Refusal;
    type SerializeSeq = Sequence<'a, S>;
    type SerializeTuple = Ordered<'a, S>;
    type SerializeTupleStruct = Ordered<'a, S>;
    type SerializeTupleVariant = Ordered<'a, S>;
    type SerializeMap = Sorted<'a, S>;
    type SerializeStruct = Ordered<'a, S>;
    type SerializeStructVariant = Ordered<'a, S>;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result<(), Refusal> {
        self.sink.put(&[if value { TRUE } else { FALSE }]);
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Refusal> {
        number(self.sink, I8, value.to_le_bytes());
        Ok(())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Refusal> {
        number(self.sink, I16, value.to_le_bytes());
        Ok(())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Refusal> {
        number(self.sink, I32, value.to_le_bytes());
        Ok(())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Refusal> {
        number(self.sink, I64, value.to_le_bytes());
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result<(), Refusal> {
        number(self.sink, I128, value.to_le_bytes());
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result<(), Refusal> {
        self.sink.put(&[U8, value]);
        Ok(())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Refusal> {
        number(self.sink, U16, value.to_le_bytes());
        Ok(())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Refusal> {
        number(self.sink, U32, value.to_le_bytes());
        Ok(())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Refusal> {
        number(self.sink, U64, value.to_le_bytes());
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<(), Refusal> {
        number(self.sink, U128, value.to_le_bytes());
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Refusal> {
        let canonical = if value.is_nan() { f32::NAN } else { value };
        number(self.sink, F32, canonical.to_bits().to_le_bytes());
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Refusal> {
        let canonical = if value.is_nan() { f64::NAN } else { value };
        number(self.sink, F64, canonical.to_bits().to_le_bytes());
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Refusal> {
        number(self.sink, CHAR, u32::from(value).to_le_bytes());
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Refusal> {
        self.sink.put(&[STR]);
        text(self.sink, value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Refusal> {
        bytes(self.sink, value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Refusal> {
        self.sink.put(&[NONE]);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Refusal> {
        self.sink.put(&[SOME]);
        encode(self.sink, value)
    }

    fn serialize_unit(self) -> Result<(), Refusal> {
        self.sink.put(&[UNIT]);
        Ok(())
    }

    fn serialize_unit_struct(mut self, name: &'static str) -> Result<(), Refusal> {
        self.tagged_name(UNIT_STRUCT, name);
        Ok(())
    }

    fn serialize_unit_variant(
        mut self,
        name: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Refusal> {
        self.variant(UNIT_VARIANT, name, variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        if name == unordered::MARK {
            return value.serialize(Form {
                sink: self.sink,
                type_name: "",
                unordered: true,
            });
        }
        self.tagged_name(NEWTYPE_STRUCT, name);
        encode(self.sink, value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        self.variant(NEWTYPE_VARIANT, name, variant);
        encode(self.sink, value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Sequence<'a, S>, Refusal> {
        if self.unordered || is_hash_set(self.type_name) {
            return Ok(Sequence::Sorted(Sorted::new(self.sink, SET)));
        }
        self.sink.put(&[SEQ]);
        Ok(Sequence::Ordered(Ordered { sink: self.sink }))
    }

    fn serialize_tuple(self, _: usize) -> Result<Ordered<'a, S>, Refusal> {
        // serde hands arrays over as tuples; only the type's name tells them apart.
        let tag = if plain_name(self.type_name).starts_with('[') {
            ARRAY
        } else {
            TUPLE
        };
        self.sink.put(&[tag]);
        Ok(Ordered { sink: self.sink })
    }

    fn serialize_tuple_struct(mut self, name: &'static str, _: usize) -> Result<Ordered<'a, S>, Refusal> {
        self.tagged_name(TUPLE_STRUCT, name);
        Ok(Ordered { sink: self.sink })
    }

    fn serialize_tuple_variant(
        mut self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Ordered<'a, S>, Refusal> {
        self.variant(TUPLE_VARIANT, name, variant);
        Ok(Ordered { sink: self.sink })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Sorted<'a, S>, Refusal> {
        Ok(Sorted::new(self.sink, MAP))
    }

    fn serialize_struct(mut self, name: &'static str, _: usize) -> Result<Ordered<'a, S>, Refusal> {
        self.tagged_name(STRUCT, name);
        Ok(Ordered { sink: self.sink })
    }

    fn serialize_struct_variant(
        mut self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Ordered<'a, S>, Refusal> {
        self.variant(STRUCT_VARIANT, name, variant);
        Ok(Ordered { sink: self.sink })
    }
}

impl<S: Sink> ser::SerializeSeq for Sequence<'_, S> {
    type Ok = ();
    type Error = Refusal;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        match self {
            Self::Ordered(ordered) => ordered.part(value),
            Self::Sorted(sorted) => {
                sorted.part(value)?;
                sorted.part_ends();
                Ok(())
            }
        }
    }

    fn end(self) -> Result<(), Refusal> {
        match self {
            Self::Ordered(ordered) => ordered.end(),
            Self::Sorted(sorted) => sorted.end(),
        }
        Ok(())
    }
}

impl<S: Sink> ser::SerializeMap for Sorted<'_, S> {
    type Ok = ();
    type Error = Refusal;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refusal> {
        self.part(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        self.part(value)?;
        self.part_ends();
        Ok(())
    }

    fn end(self) -> Result<(), Refusal> {
        Self::end(self);
        Ok(())
    }
}

macro_rules! ordered_parts {
    ($($trait:ident :: $method:ident),*) => {
        $(impl<S: Sink> ser::$trait for Ordered<'_, S> {
            type Ok = ();
            type Error = Refusal;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
                self.part(value)
            }

            fn end(self) -> Result<(), Refusal> {
                Self::end(self);
                Ok(())
            }
        })*
    };
}

ordered_parts!(
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

macro_rules! named_parts {
    ($($trait:ident),*) => {
        $(impl<S: Sink> ser::$trait for Ordered<'_, S> {
            type Ok = ();
            type Error = Refusal;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Refusal> {
                self.field(name, value)
            }

            fn end(self) -> Result<(), Refusal> {
                Self::end(self);
                Ok(())
            }
        })*
    };
}

named_parts!(SerializeStruct, SerializeStructVariant);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_sets_are_recognised_behind_references_and_boxes() {
        use std::collections::{BTreeSet, HashSet};
        assert!(is_hash_set(type_name::<HashSet<u8>>()));
        assert!(is_hash_set(type_name::<&Box<HashSet<u8>>>()));
        assert!(is_hash_set(type_name::<std::sync::Arc<HashSet<u8>>>()));
        assert!(!is_hash_set(type_name::<BTreeSet<u8>>()));
        assert!(
            !is_hash_set(type_name::<Vec<HashSet<u8>>>()),
            "only the set itself has no order"
        );
    }
}
