//! The canonical form of a value: every token with a tag and, where its end is not plain, a length or an end tag.
//!
//! No form is the beginning of another, so a form of several values can be read in one way only, and equal forms mean equal
//! values. Types are told apart as far as serde shows them: widths, kinds, names of structs, fields and variants.

use std::any::type_name;
use std::fmt::{Display, Write};

use serde::ser::{self, Serialize};

use super::compound::{MapForm, PartsForm, SequenceForm};
use super::stream::Stream;
use super::type_name::{is_array, is_hash_set};
use super::{tag, unordered};

/// What every NaN is written as.
const NAN_32: u32 = 0x7fc0_0000;
const NAN_64: u64 = 0x7ff8_0000_0000_0000;

/// Why a value refused to be serialized, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(pub(super) Box<str>);

impl ser::Error for Refusal {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string().into())
    }
}

/// Writes the canonical form of a value.
pub(super) fn write<T: Serialize + ?Sized>(stream: &mut Stream, value: &T) -> Result<(), Refusal> {
    write_in_mode(stream, value, Mode::OfType(type_name::<T>()))
}

fn write_in_mode<T: Serialize + ?Sized>(stream: &mut Stream, value: &T, mode: Mode) -> Result<(), Refusal> {
    let written = value.serialize(Form {
        stream: &mut *stream,
        mode,
    });
    if let Err(refusal) = &written {
        stream.refuse(refusal);
    }
    written
}

/// How a sequence or a tuple is written.
#[derive(Clone, Copy)]
enum Mode {
    /// As its type says.
    OfType(&'static str),
    /// Without its order, for it was declared so.
    Unordered,
}

/// Writes one value.
pub(super) struct Form<'a> {
    stream: &'a mut Stream,
    mode: Mode,
}

impl<'a> Form<'a> {
    /// Writes a tag and a number.
    #[inline]
    fn number<const N: usize>(self, tag: u8, bytes: [u8; N]) -> Result<(), Refusal> {
        self.stream.put(&[tag]);
        self.stream.put(&bytes);
        Ok(())
    }

    /// Writes what a value is wrapped in nowhere but in its type, and keeps a declaration that was made outside of it.
    fn wrapped<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Refusal> {
        match self.mode {
            Mode::OfType(_) => write(self.stream, value),
            Mode::Unordered => write_in_mode(self.stream, value, Mode::Unordered),
        }
    }

    fn variant(&mut self, tag: u8, name: &str, variant: &str) {
        self.stream.put_text(tag, name);
        self.stream.put_text(tag::NAME, variant);
    }

    fn named_parts(self, tag: u8, name: &str) -> PartsForm<'a> {
        self.stream.put_text(tag, name);
        PartsForm::new(self.stream)
    }

    fn variant_parts(mut self, tag: u8, name: &str, variant: &str) -> PartsForm<'a> {
        self.variant(tag, name, variant);
        PartsForm::new(self.stream)
    }
}

/// The methods of numbers, which differ in the tag alone.
macro_rules! numbers {
    ($($method:ident: $number:ty => $tag:ident,)*) => {
        $(#[inline]
        fn $method(self, value: $number) -> Result<(), Refusal> {
            self.number(tag::$tag, value.to_le_bytes())
        })*
    };
}

impl<'a> ser::Serializer for Form<'a> {
    type Ok = ();
    type Error = Refusal;
    type SerializeSeq = SequenceForm<'a>;
    type SerializeTuple = SequenceForm<'a>;
    type SerializeTupleStruct = PartsForm<'a>;
    type SerializeTupleVariant = PartsForm<'a>;
    type SerializeMap = MapForm<'a>;
    type SerializeStruct = PartsForm<'a>;
    type SerializeStructVariant = PartsForm<'a>;

    numbers! {
        serialize_i8: i8 => I8,
        serialize_i16: i16 => I16,
        serialize_i32: i32 => I32,
        serialize_i64: i64 => I64,
        serialize_i128: i128 => I128,
        serialize_u8: u8 => U8,
        serialize_u16: u16 => U16,
        serialize_u32: u32 => U32,
        serialize_u64: u64 => U64,
        serialize_u128: u128 => U128,
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), Refusal> {
        self.stream.put(&[if value { tag::TRUE } else { tag::FALSE }]);
        Ok(())
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<(), Refusal> {
        let bits = if value.is_nan() { NAN_32 } else { value.to_bits() };
        self.number(tag::F32, bits.to_le_bytes())
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), Refusal> {
        let bits = if value.is_nan() { NAN_64 } else { value.to_bits() };
        self.number(tag::F64, bits.to_le_bytes())
    }

    #[inline]
    fn serialize_char(self, value: char) -> Result<(), Refusal> {
        self.number(tag::CHAR, u32::from(value).to_le_bytes())
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Refusal> {
        self.stream.put_text(tag::STR, value);
        Ok(())
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Refusal> {
        self.stream.put_bytes(tag::BYTES, value);
        Ok(())
    }

    /// serde's own would panic if the value cannot be displayed.
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Refusal> {
        let mut text = String::new();
        write!(text, "{value}").map_err(|_| Refusal("it cannot be displayed".into()))?;
        self.serialize_str(&text)
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Refusal> {
        self.stream.put(&[tag::NONE]);
        Ok(())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Refusal> {
        self.stream.put(&[tag::SOME]);
        self.wrapped(value)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), Refusal> {
        self.stream.put(&[tag::UNIT]);
        Ok(())
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), Refusal> {
        self.stream.put_text(tag::UNIT_STRUCT, name);
        Ok(())
    }

    fn serialize_unit_variant(
        mut self,
        name: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Refusal> {
        self.variant(tag::UNIT_VARIANT, name, variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        if name == unordered::MARK {
            return write_in_mode(self.stream, value, Mode::Unordered);
        }
        self.stream.put_text(tag::NEWTYPE_STRUCT, name);
        self.wrapped(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        self.variant(tag::NEWTYPE_VARIANT, name, variant);
        self.wrapped(value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<SequenceForm<'a>, Refusal> {
        let has_order = match self.mode {
            Mode::OfType(name) => !is_hash_set(name),
            Mode::Unordered => false,
        };
        Ok(if has_order {
            SequenceForm::ordered(self.stream, tag::SEQUENCE)
        } else {
            SequenceForm::unordered(self.stream, tag::UNORDERED_SEQUENCE)
        })
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<SequenceForm<'a>, Refusal> {
        Ok(match self.mode {
            Mode::OfType(name) if is_array(name) => SequenceForm::ordered(self.stream, tag::ARRAY),
            Mode::OfType(_) => SequenceForm::ordered(self.stream, tag::TUPLE),
            Mode::Unordered => SequenceForm::unordered(self.stream, tag::UNORDERED_TUPLE),
        })
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<PartsForm<'a>, Refusal> {
        Ok(self.named_parts(tag::TUPLE_STRUCT, name))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<PartsForm<'a>, Refusal> {
        Ok(self.variant_parts(tag::TUPLE_VARIANT, name, variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<MapForm<'a>, Refusal> {
        Ok(MapForm::new(self.stream))
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<PartsForm<'a>, Refusal> {
        Ok(self.named_parts(tag::STRUCT, name))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<PartsForm<'a>, Refusal> {
        Ok(self.variant_parts(tag::STRUCT_VARIANT, name, variant))
    }
}
