//! A value of any shape that serde can show, with an equality of its own.

use flowkit_cache::key::unordered;
use proptest::prelude::*;
use serde::ser::{
    SerializeMap as _, SerializeSeq as _, SerializeStruct as _, SerializeStructVariant as _,
    SerializeTuple as _, SerializeTupleStruct as _, SerializeTupleVariant as _,
};
use serde::{Serialize, Serializer};

pub(crate) type Name = &'static str;

/// One variant for each kind of the data model.
#[derive(Debug, Clone)]
pub(crate) enum Model {
    Unit,
    Bool(bool),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    I128(i128),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    U128(u128),
    F32(f32),
    F64(f64),
    Char(char),
    Str(String),
    Bytes(Vec<u8>),
    None,
    Some(Box<Self>),
    UnitStruct(Name),
    UnitVariant(Name, Name),
    NewtypeStruct(Name, Box<Self>),
    NewtypeVariant(Name, Name, Box<Self>),
    Seq(Vec<Self>),
    Unordered(Vec<Self>),
    Tuple(Vec<Self>),
    TupleStruct(Name, Vec<Self>),
    TupleVariant(Name, Name, Vec<Self>),
    Map(Vec<(Self, Self)>),
    Struct(Name, Vec<(Name, Self)>),
    StructVariant(Name, Name, Vec<(Name, Self)>),
}

/// The elements of a sequence, whatever is said about their order.
struct Elements<'a>(&'a [Model]);

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(None)?;
        for element in self.0 {
            sequence.serialize_element(element)?;
        }
        sequence.end()
    }
}

/// Writes the parts one after the other and ends.
macro_rules! write_parts {
    ($parts:expr, $method:ident, $start:expr) => {{
        let mut compound = $start?;
        for part in $parts {
            compound.$method(part)?;
        }
        compound.end()
    }};
}

macro_rules! write_fields {
    ($fields:expr, $start:expr) => {{
        let mut compound = $start?;
        for (name, value) in $fields {
            compound.serialize_field(name, value)?;
        }
        compound.end()
    }};
}

impl Serialize for Model {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unit => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::I8(value) => serializer.serialize_i8(*value),
            Self::I16(value) => serializer.serialize_i16(*value),
            Self::I32(value) => serializer.serialize_i32(*value),
            Self::I64(value) => serializer.serialize_i64(*value),
            Self::I128(value) => serializer.serialize_i128(*value),
            Self::U8(value) => serializer.serialize_u8(*value),
            Self::U16(value) => serializer.serialize_u16(*value),
            Self::U32(value) => serializer.serialize_u32(*value),
            Self::U64(value) => serializer.serialize_u64(*value),
            Self::U128(value) => serializer.serialize_u128(*value),
            Self::F32(value) => serializer.serialize_f32(*value),
            Self::F64(value) => serializer.serialize_f64(*value),
            Self::Char(value) => serializer.serialize_char(*value),
            Self::Str(value) => serializer.serialize_str(value),
            Self::Bytes(value) => serializer.serialize_bytes(value),
            Self::None => serializer.serialize_none(),
            Self::Some(value) => serializer.serialize_some(value),
            Self::UnitStruct(name) => serializer.serialize_unit_struct(name),
            Self::UnitVariant(name, variant) => serializer.serialize_unit_variant(name, 0, variant),
            Self::NewtypeStruct(name, value) => serializer.serialize_newtype_struct(name, value),
            Self::NewtypeVariant(name, variant, value) => {
                serializer.serialize_newtype_variant(name, 0, variant, value)
            }
            Self::Seq(elements) => Elements(elements).serialize(serializer),
            Self::Unordered(elements) => unordered::serialize(&Elements(elements), serializer),
            Self::Tuple(parts) => {
                write_parts!(parts, serialize_element, serializer.serialize_tuple(parts.len()))
            }
            Self::TupleStruct(name, parts) => {
                write_parts!(
                    parts,
                    serialize_field,
                    serializer.serialize_tuple_struct(name, parts.len())
                )
            }
            Self::TupleVariant(name, variant, parts) => {
                let start = serializer.serialize_tuple_variant(name, 0, variant, parts.len());
                write_parts!(parts, serialize_field, start)
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(None)?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
            Self::Struct(name, fields) => {
                write_fields!(fields, serializer.serialize_struct(name, fields.len()))
            }
            Self::StructVariant(name, variant, fields) => {
                write_fields!(
                    fields,
                    serializer.serialize_struct_variant(name, 0, variant, fields.len())
                )
            }
        }
    }
}

/// Whether two lists hold the same, in any order.
fn same_in_any_order<T>(left: &[T], right: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    let mut rest: Vec<&T> = right.iter().collect();
    left.len() == right.len()
        && left.iter().all(|one| {
            let found = rest.iter().position(|other| same(one, other));
            found.map(|at| rest.swap_remove(at)).is_some()
        })
}

fn same_in_order<T>(left: &[T], right: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(one, other)| same(one, other))
}

impl Model {
    /// The equality that keys are to have.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let fields = |left: &[(Name, Self)], right: &[(Name, Self)]| {
            same_in_order(left, right, |(a, left), (b, right)| a == b && left.same(right))
        };
        match (self, other) {
            (Self::Unit, Self::Unit) | (Self::None, Self::None) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::I8(a), Self::I8(b)) => a == b,
            (Self::I16(a), Self::I16(b)) => a == b,
            (Self::I32(a), Self::I32(b)) => a == b,
            (Self::I64(a), Self::I64(b)) => a == b,
            (Self::I128(a), Self::I128(b)) => a == b,
            (Self::U8(a), Self::U8(b)) => a == b,
            (Self::U16(a), Self::U16(b)) => a == b,
            (Self::U32(a), Self::U32(b)) => a == b,
            (Self::U64(a), Self::U64(b)) => a == b,
            (Self::U128(a), Self::U128(b)) => a == b,
            (Self::F32(a), Self::F32(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (Self::F64(a), Self::F64(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (Self::Char(a), Self::Char(b)) => a == b,
            (Self::Str(a), Self::Str(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Some(a), Self::Some(b)) => a.same(b),
            (Self::UnitStruct(a), Self::UnitStruct(b)) => a == b,
            (Self::UnitVariant(a, x), Self::UnitVariant(b, y)) => (a, x) == (b, y),
            (Self::NewtypeStruct(a, left), Self::NewtypeStruct(b, right)) => a == b && left.same(right),
            (Self::NewtypeVariant(a, x, left), Self::NewtypeVariant(b, y, right)) => {
                (a, x) == (b, y) && left.same(right)
            }
            (Self::Seq(left), Self::Seq(right)) | (Self::Tuple(left), Self::Tuple(right)) => {
                same_in_order(left, right, Self::same)
            }
            (Self::Unordered(left), Self::Unordered(right)) => same_in_any_order(left, right, Self::same),
            (Self::TupleStruct(a, left), Self::TupleStruct(b, right)) => {
                a == b && same_in_order(left, right, Self::same)
            }
            (Self::TupleVariant(a, x, left), Self::TupleVariant(b, y, right)) => {
                (a, x) == (b, y) && same_in_order(left, right, Self::same)
            }
            (Self::Map(left), Self::Map(right)) => {
                same_in_any_order(left, right, |(a, left), (b, right)| a.same(b) && left.same(right))
            }
            (Self::Struct(a, left), Self::Struct(b, right)) => a == b && fields(left, right),
            (Self::StructVariant(a, x, left), Self::StructVariant(b, y, right)) => {
                (a, x) == (b, y) && fields(left, right)
            }
            _ => false,
        }
    }

    /// The same value, with what has no order turned round.
    pub(crate) fn turned(&self) -> Self {
        let all = |parts: &[Self]| parts.iter().map(Self::turned).collect::<Vec<_>>();
        let fields = |parts: &[(Name, Self)]| {
            parts
                .iter()
                .map(|(name, value)| (*name, value.turned()))
                .collect()
        };
        match self {
            Self::Some(value) => Self::Some(Box::new(value.turned())),
            Self::NewtypeStruct(name, value) => Self::NewtypeStruct(name, Box::new(value.turned())),
            Self::NewtypeVariant(name, variant, value) => {
                Self::NewtypeVariant(name, variant, Box::new(value.turned()))
            }
            Self::Seq(parts) => Self::Seq(all(parts)),
            Self::Unordered(parts) => Self::Unordered(all(parts).into_iter().rev().collect()),
            Self::Tuple(parts) => Self::Tuple(all(parts)),
            Self::TupleStruct(name, parts) => Self::TupleStruct(name, all(parts)),
            Self::TupleVariant(name, variant, parts) => Self::TupleVariant(name, variant, all(parts)),
            Self::Map(entries) => Self::Map(
                entries
                    .iter()
                    .rev()
                    .map(|(key, value)| (key.turned(), value.turned()))
                    .collect(),
            ),
            Self::Struct(name, parts) => Self::Struct(name, fields(parts)),
            Self::StructVariant(name, variant, parts) => Self::StructVariant(name, variant, fields(parts)),
            Self::F32(value) if value.is_nan() => Self::F32(f32::from_bits(value.to_bits() ^ 0x8000_0001)),
            Self::F64(value) if value.is_nan() => Self::F64(f64::from_bits(value.to_bits() ^ (1 << 63 | 1))),
            other => other.clone(),
        }
    }
}

/// Few names, one the beginning of another, so that they meet often.
fn name() -> impl Strategy<Value = Name> {
    prop::sample::select(vec!["", "a", "ab", "b", "0"])
}

/// Few values of each type, so that equal and nearly equal models meet often.
fn leaf() -> BoxedStrategy<Model> {
    let text = prop::sample::select(vec!["", "a", "ab", "b", "1", "\0", "\u{20}\u{1}a"]);
    prop_oneof![
        Just(Model::Unit),
        Just(Model::None),
        any::<bool>().prop_map(Model::Bool),
        (-1..2i8).prop_map(Model::I8),
        (-1..2i16).prop_map(Model::I16),
        (-1..2i32).prop_map(Model::I32),
        (-1..2i64).prop_map(Model::I64),
        prop::sample::select(vec![0, 1, -1, i128::MIN]).prop_map(Model::I128),
        (0..3u8).prop_map(Model::U8),
        (0..3u16).prop_map(Model::U16),
        (0..3u32).prop_map(Model::U32),
        (0..3u64).prop_map(Model::U64),
        prop::sample::select(vec![0, 1, u128::MAX]).prop_map(Model::U128),
        prop::sample::select(vec![0.0, -0.0, 1.0, f32::NAN, -f32::NAN, f32::INFINITY]).prop_map(Model::F32),
        prop::sample::select(vec![0.0, -0.0, 1.0, f64::NAN, -f64::NAN, f64::INFINITY]).prop_map(Model::F64),
        prop::sample::select(vec!['1', 'a', '\u{1}']).prop_map(Model::Char),
        text.clone().prop_map(|text| Model::Str(text.to_owned())),
        text.prop_map(|text| Model::Bytes(text.as_bytes().to_vec())),
        name().prop_map(Model::UnitStruct),
        (name(), name()).prop_map(|(name, variant)| Model::UnitVariant(name, variant)),
    ]
    .boxed()
}

/// Any value, of some parts.
pub(crate) fn model() -> BoxedStrategy<Model> {
    leaf()
        .prop_recursive(4, 24, 3, |inner| {
            let boxed = inner.clone().prop_map(Box::new);
            let parts = prop::collection::vec(inner.clone(), 0..4);
            let entries = prop::collection::vec((inner.clone(), inner.clone()), 0..4);
            let fields = prop::collection::vec((name(), inner), 0..4).boxed();
            prop_oneof![
                boxed.clone().prop_map(Model::Some),
                (name(), boxed.clone()).prop_map(|(name, value)| Model::NewtypeStruct(name, value)),
                (name(), name(), boxed)
                    .prop_map(|(name, variant, value)| Model::NewtypeVariant(name, variant, value)),
                parts.clone().prop_map(Model::Seq),
                parts.clone().prop_map(Model::Unordered),
                parts.clone().prop_map(Model::Tuple),
                (name(), parts.clone()).prop_map(|(name, parts)| Model::TupleStruct(name, parts)),
                (name(), name(), parts)
                    .prop_map(|(name, variant, parts)| Model::TupleVariant(name, variant, parts)),
                entries.prop_map(Model::Map),
                (name(), fields.clone()).prop_map(|(name, fields)| Model::Struct(name, fields)),
                (name(), name(), fields)
                    .prop_map(|(name, variant, fields)| Model::StructVariant(name, variant, fields)),
            ]
        })
        .boxed()
}
