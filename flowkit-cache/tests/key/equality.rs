//! Equality of keys is equality of inputs.

use flowkit_cache::{CacheKey, KeyHasher, key_of};
use proptest::prelude::*;
use serde::Serialize;

use crate::model::{Model, model};

/// Everything in a list has a key of its own.
fn all_differ(keys: &[(&str, CacheKey)]) {
    for (at, (name, key)) in keys.iter().enumerate() {
        for (other, other_key) in &keys[at + 1..] {
            assert_ne!(key, other_key, "{name} and {other} share a key");
        }
    }
}

fn key<T: Serialize + ?Sized>(value: &T) -> CacheKey {
    key_of(value).unwrap()
}

#[test]
fn what_other_caches_take_for_one_has_different_keys() {
    #[derive(Serialize)]
    struct Unit;
    #[derive(Serialize)]
    struct Newtype(i32);
    #[derive(Serialize)]
    struct One {
        a: i32,
    }
    #[derive(Serialize)]
    struct Two {
        a: i32,
    }
    #[derive(Serialize)]
    struct Field {
        b: i32,
    }
    #[derive(Serialize)]
    enum Kind {
        A(i32),
        B(i32),
        C,
    }
    all_differ(&[
        ("1i32", key(&1i32)),
        ("1i64", key(&1i64)),
        ("1u8", key(&1u8)),
        ("1u16", key(&1u16)),
        ("1i8", key(&1i8)),
        ("1i16", key(&1i16)),
        ("1u32", key(&1u32)),
        ("1u64", key(&1u64)),
        ("1i128", key(&1i128)),
        ("1u128", key(&1u128)),
        ("1.0f32", key(&1.0f32)),
        ("1.0f64", key(&1.0f64)),
        ("\"1\"", key("1")),
        ("'1'", key(&'1')),
        ("true", key(&true)),
        ("b\"1\"", key(serde_bytes::Bytes::new(b"1"))),
        ("Some(1)", key(&Some(1i32))),
        ("Some(Some(1))", key(&Some(Some(1i32)))),
        ("None", key(&None::<i32>)),
        ("Some(None)", key(&Some(None::<i32>))),
        ("()", key(&())),
        ("Unit", key(&Unit)),
        ("vec![1]", key(&vec![1i32])),
        ("[1]", key(&[1i32])),
        ("(1,)", key(&(1i32,))),
        ("vec![(1,)]", key(&vec![(1i32,)])),
        ("Newtype(1)", key(&Newtype(1))),
        ("One", key(&One { a: 1 })),
        ("Two", key(&Two { a: 1 })),
        ("Field", key(&Field { b: 1 })),
        ("Kind::A", key(&Kind::A(1))),
        ("Kind::B", key(&Kind::B(1))),
        ("Kind::C", key(&Kind::C)),
        ("empty list", key(&Vec::<i32>::new())),
        ("empty map", key(&std::collections::BTreeMap::<i32, i32>::new())),
        ("empty set", key(&std::collections::HashSet::<i32>::new())),
        ("empty text", key("")),
        ("{1: a}", key(&std::collections::BTreeMap::from([(1u8, "a")]))),
        ("{\"1\": a}", key(&std::collections::BTreeMap::from([("1", "a")]))),
        ("{1}", key(&std::collections::HashSet::from([1i32]))),
    ]);
}

#[test]
fn neighbours_do_not_run_into_each_other() {
    all_differ(&[
        ("ab c", key(&["ab", "c"])),
        ("a bc", key(&["a", "bc"])),
        ("abc", key(&["abc", ""])),
        ("(1, 2), 3", key(&((1, 2), 3))),
        ("1, (2, 3)", key(&(1, (2, 3)))),
        ("1, 2, 3", key(&(1, 2, 3))),
        ("(1,), 2", key(&((1,), 2))),
        ("(1, 2),", key(&((1, 2),))),
        ("[[1], [2]]", key(&vec![vec![1], vec![2]])),
        ("[[1, 2], []]", key(&vec![vec![1, 2], vec![]])),
        ("[[], [1, 2]]", key(&vec![vec![], vec![1, 2]])),
    ]);
}

#[test]
fn texts_that_look_like_tokens_do_not_pass_for_them() {
    let text = |text: &str| Model::Str(text.to_owned());
    // The tags of a text, a unit and an end are a space, \u{10} and an `O`.
    all_differ(&[
        ("two texts", key(&["a", "b"].as_slice())),
        ("one text", key(&["a b"].as_slice())),
        ("one text with a length", key(&["a \u{1}b"].as_slice())),
        (
            "an end in a text",
            key(&Model::Seq(vec![Model::Seq(vec![text("aO")])])),
        ),
        (
            "an end after a text",
            key(&Model::Seq(vec![Model::Seq(vec![text("a")])])),
        ),
        (
            "a unit in a name",
            key(&Model::Struct("", vec![("a\u{10}", Model::Unit)])),
        ),
        (
            "two fields",
            key(&Model::Struct("", vec![("a", Model::Unit), ("", Model::Unit)])),
        ),
        ("bytes", key(&Model::Bytes(b"a".to_vec()))),
        ("the text of bytes", key("!\u{1}a")),
    ]);
}

#[test]
fn references_and_boxes_are_what_they_hold() {
    let value = vec![1u8, 2];
    assert_eq!(key(&value), key(&&value));
    assert_eq!(key(&value), key(&Box::new(value.clone())));
    assert_eq!(key(&value), key(value.as_slice()));
    assert_eq!(key(&value), key(&std::borrow::Cow::Borrowed(value.as_slice())));
    assert_eq!(key("text"), key(&String::from("text")));
}

#[test]
fn every_nan_is_one_value_and_the_two_zeros_are_two() {
    assert_eq!(key(&f64::NAN), key(&f64::from_bits(0xfff8_dead_beef_0001)));
    assert_eq!(key(&f32::NAN), key(&f32::from_bits(0x7f80_0001)));
    assert_ne!(key(&0.0f64), key(&-0.0f64));
    assert_ne!(key(&0.0f32), key(&-0.0f32));
}

#[test]
fn bytes_equal_serde_bytes_and_differ_from_a_list_of_numbers() {
    let data = b"\x00\x01plants".to_vec();
    let with = |add: &dyn Fn(&mut KeyHasher)| {
        let mut hasher = KeyHasher::new();
        add(&mut hasher);
        hasher.finish().unwrap()
    };
    let whole = with(&|hasher| hasher.bytes("data", &data));
    assert_eq!(
        whole,
        with(&|hasher| hasher.value("data", serde_bytes::Bytes::new(&data)).unwrap())
    );
    assert_eq!(
        whole,
        with(&|hasher| hasher
            .value("data", &serde_bytes::ByteBuf::from(data.clone()))
            .unwrap())
    );
    assert_ne!(whole, with(&|hasher| hasher.value("data", &data).unwrap()));
    assert_ne!(whole, with(&|hasher| hasher.bytes("date", &data)));
}

#[test]
fn values_that_differ_five_hundred_levels_down_have_different_keys() {
    #[derive(Serialize)]
    enum Nested {
        Bottom(u8),
        Level { below: Box<Self> },
    }
    let nested = |bottom| {
        (0..500).fold(Nested::Bottom(bottom), |below, _| Nested::Level {
            below: Box::new(below),
        })
    };
    assert_eq!(key(&nested(1)), key(&nested(1)));
    assert_ne!(key(&nested(1)), key(&nested(2)));
}

#[test]
fn the_key_of_a_value_is_that_of_one_part_named_value() {
    let mut hasher = KeyHasher::new();
    hasher.value("value", &7u8).unwrap();
    assert_eq!(hasher.finish().unwrap(), key(&7u8));
}

/// A part of a key.
#[derive(Debug, Clone)]
enum Part {
    Section(String, String),
    Value(String, Model),
    Bytes(String, Vec<u8>),
}

impl Part {
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Section(a, x), Self::Section(b, y)) => (a, x) == (b, y),
            (Self::Value(a, x), Self::Value(b, y)) => a == b && x.same(y),
            (Self::Bytes(a, x), Self::Bytes(b, y)) => (a, x) == (b, y),
            (Self::Bytes(a, x), Self::Value(b, Model::Bytes(y)))
            | (Self::Value(a, Model::Bytes(x)), Self::Bytes(b, y)) => (a, x) == (b, y),
            _ => false,
        }
    }
}

fn key_of_parts(parts: &[Part]) -> CacheKey {
    let mut hasher = KeyHasher::new();
    for part in parts {
        match part {
            Part::Section(name, text) => hasher.section(name, text),
            Part::Value(name, value) => hasher.value(name, value).unwrap(),
            Part::Bytes(name, bytes) => hasher.bytes(name, bytes),
        }
    }
    hasher.finish().unwrap()
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        ("[ab]{0,2}", "[ab]{0,2}").prop_map(|(name, text)| Part::Section(name, text)),
        ("[ab]{0,2}", "[ab]{0,2}").prop_map(|(name, text)| Part::Value(name, Model::Str(text))),
        ("[ab]{0,2}", model()).prop_map(|(name, value)| Part::Value(name, value)),
        ("[ab]{0,2}", prop::collection::vec(0..3u8, 0..3)).prop_map(|(name, bytes)| Part::Bytes(name, bytes)),
        ("[ab]{0,2}", prop::collection::vec(0..3u8, 0..3))
            .prop_map(|(name, bytes)| Part::Value(name, Model::Bytes(bytes))),
    ]
}

proptest! {
    #[test]
    fn keys_are_equal_exactly_when_values_are(values in prop::collection::vec(model(), 2..40)) {
        let keys: Vec<_> = values.iter().map(key).collect();
        for (at, value) in values.iter().enumerate() {
            for (other_at, other) in values.iter().enumerate().skip(at) {
                prop_assert_eq!(keys[at] == keys[other_at], value.same(other), "{:?} and {:?}", value, other);
            }
        }
    }

    #[test]
    fn what_has_no_order_may_be_turned_round(value in model()) {
        let turned = value.turned();
        prop_assert!(value.same(&turned));
        prop_assert_eq!(key(&value), key(&turned));
    }

    #[test]
    fn a_value_beside_its_like_is_told_apart(value in model(), other in model()) {
        let pairs = [
            (Model::Seq(vec![value.clone()]), Model::Seq(vec![other.clone()])),
            (Model::Unordered(vec![value.clone(), other.clone()]), Model::Unordered(vec![other.clone(), value.clone()])),
            (Model::Unordered(vec![value.clone(), value.clone()]), Model::Unordered(vec![value.clone(), other.clone()])),
            (Model::Map(vec![(value.clone(), other.clone())]), Model::Map(vec![(other.clone(), value.clone())])),
            (Model::Some(Box::new(value.clone())), value.clone()),
            (Model::Tuple(vec![value.clone(), other.clone()]), Model::Tuple(vec![Model::Tuple(vec![value, other])])),
        ];
        for (left, right) in pairs {
            prop_assert_eq!(key(&left) == key(&right), left.same(&right), "{:?} and {:?}", left, right);
        }
    }

    #[test]
    fn what_a_part_belongs_to_counts(value in model(), other in model()) {
        type Holds = fn(Vec<Model>) -> Model;
        let kinds: [Holds; 8] = [
            Model::Seq,
            Model::Unordered,
            Model::Tuple,
            |parts| Model::TupleStruct("a", parts),
            |parts| Model::TupleVariant("a", "b", parts),
            |parts| Model::Map(parts.into_iter().map(|part| (part.clone(), part)).collect()),
            |parts| Model::Struct("a", parts.into_iter().map(|part| ("b", part)).collect()),
            |parts| Model::StructVariant("a", "b", parts.into_iter().map(|part| ("b", part)).collect()),
        ];
        for outer in kinds {
            for inner in kinds {
                let beside = outer(vec![inner(vec![value.clone()]), other.clone()]);
                let inside = outer(vec![inner(vec![value.clone(), other.clone()])]);
                prop_assert!(!beside.same(&inside));
                prop_assert_ne!(key(&beside), key(&inside), "{:?} and {:?}", beside, inside);
            }
        }
    }

    #[test]
    fn keys_of_parts_are_equal_exactly_when_the_parts_are(lists in prop::collection::vec(prop::collection::vec(part(), 0..3), 2..24)) {
        for left in &lists {
            for right in &lists {
                let same = left.len() == right.len() && left.iter().zip(right).all(|(one, other)| one.same(other));
                prop_assert_eq!(key_of_parts(left) == key_of_parts(right), same, "{:?} and {:?}", left, right);
            }
        }
    }
}
