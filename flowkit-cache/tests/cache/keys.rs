//! Equal keys mean equal values, in this version and the next, in this process and another.

use std::collections::{BTreeMap, HashMap, HashSet};

use flowkit_cache::{KeyHasher, key_of};
use proptest::prelude::*;
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, SerializeTuple};

#[derive(Serialize)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Serialize)]
struct Dot {
    x: i32,
    y: i32,
}

fn hex<T: Serialize>(value: T) -> String {
    key_of(&value).unwrap().to_string()
}

#[test]
fn values_that_look_alike_have_keys_of_their_own() {
    let keys = [
        hex(1u8),
        hex(1u16),
        hex(1i8),
        hex(1.0f64),
        hex(1.0f32),
        hex("1"),
        hex('1'),
        hex(Some(1u8)),
        hex([1u8]),
        hex(vec![1u8]),
        hex((1u8,)),
        hex(true),
        hex(()),
        hex(None::<u8>),
        hex(0.0f64),
        hex(-0.0f64),
        hex(vec!["ab", "c"]),
        hex(vec!["a", "bc"]),
        hex(((1u8, 2u8), 3u8)),
        hex((1u8, (2u8, 3u8))),
        hex(Point { x: 1, y: 2 }),
        hex(Dot { x: 1, y: 2 }),
        hex(BTreeMap::from([(1u8, "a")])),
        hex(BTreeMap::from([("1", "a")])),
        hex(vec![vec![1u8], vec![]]),
        hex(vec![vec![], vec![1u8]]),
        hex(HashSet::from([1u8])),
    ];
    let different: HashSet<_> = keys.iter().collect();
    assert_eq!(different.len(), keys.len());
}

#[test]
fn not_a_number_equals_itself() {
    assert_eq!(hex(f64::NAN), hex(-f64::NAN));
    assert_eq!(hex(f32::NAN), hex(f32::from_bits(f32::NAN.to_bits() ^ 1)));
}

#[test]
fn bytes_are_bytes_however_they_are_given() {
    let mut whole = KeyHasher::new();
    whole.bytes("data", &[1, 2, 3]);
    let mut serialized = KeyHasher::new();
    serialized
        .value("data", serde_bytes::Bytes::new(&[1, 2, 3]))
        .unwrap();
    assert_eq!(whole.finish().unwrap(), serialized.finish().unwrap());
}

#[test]
fn parts_do_not_run_into_each_other() {
    let key = |parts: &[(&str, &str)]| {
        let mut hasher = KeyHasher::new();
        parts.iter().for_each(|(name, text)| hasher.section(name, text));
        hasher.finish().unwrap()
    };
    assert_ne!(key(&[("a", "bc")]), key(&[("ab", "c")]));
    assert_ne!(key(&[("a", ""), ("b", "")]), key(&[("a", "b")]));
}

#[test]
fn a_value_that_refuses_leaves_no_half_key() {
    struct Refuses;
    impl Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut half = serializer.serialize_seq(None)?;
            half.serialize_element(&1)?;
            Err(serde::ser::Error::custom("no further"))
        }
    }
    let mut hasher = KeyHasher::new();
    let error = hasher.value("socket", &Refuses).unwrap_err();
    assert_eq!(error.to_string(), "`socket` cannot be serialized: no further");
    assert_eq!(hasher.finish().unwrap_err(), error);
}

/// Any value of serde's data model, as far as equality can tell.
#[derive(Debug, Clone, PartialEq)]
enum Model {
    Unit,
    Bool(bool),
    Small(u8),
    Large(u64),
    Text(String),
    Maybe(Option<Box<Self>>),
    List(Vec<Self>),
    Tuple(Vec<Self>),
    Map(BTreeMap<String, Self>),
}

impl Serialize for Model {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unit => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Small(value) => serializer.serialize_u8(*value),
            Self::Large(value) => serializer.serialize_u64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Maybe(None) => serializer.serialize_none(),
            Self::Maybe(Some(value)) => serializer.serialize_some(value),
            Self::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                values
                    .iter()
                    .try_for_each(|value| list.serialize_element(value))?;
                list.end()
            }
            Self::Tuple(values) => {
                let mut tuple = serializer.serialize_tuple(values.len())?;
                values
                    .iter()
                    .try_for_each(|value| tuple.serialize_element(value))?;
                tuple.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(None)?;
                entries
                    .iter()
                    .rev()
                    .try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

fn model() -> impl Strategy<Value = Model> {
    let leaf = prop_oneof![
        Just(Model::Unit),
        any::<bool>().prop_map(Model::Bool),
        (0u8..3).prop_map(Model::Small),
        (0u64..3).prop_map(Model::Large),
        "[ab]{0,2}".prop_map(Model::Text),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::option::of(inner.clone().prop_map(Box::new)).prop_map(Model::Maybe),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Model::List),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Model::Tuple),
            prop::collection::btree_map("[ab]", inner, 0..3).prop_map(Model::Map),
        ]
    })
}

proptest! {
    #[test]
    fn keys_are_equal_exactly_when_values_are(a in model(), b in model()) {
        prop_assert_eq!(key_of(&a).unwrap() == key_of(&b).unwrap(), a == b);
        prop_assert_eq!(key_of(&a).unwrap(), key_of(&a.clone()).unwrap());
    }

    #[test]
    fn maps_and_sets_have_no_order(entries in prop::collection::vec((any::<u16>(), any::<u16>()), 0..50)) {
        let forward: HashMap<_, _> = entries.iter().copied().collect();
        let sorted: BTreeMap<_, _> = forward.iter().map(|(key, value)| (*key, *value)).collect();
        prop_assert_eq!(key_of(&forward).unwrap(), key_of(&sorted).unwrap());
        let one: HashSet<_> = entries.iter().collect();
        let other: HashSet<_> = entries.iter().rev().collect();
        prop_assert_eq!(key_of(&one).unwrap(), key_of(&other).unwrap());
    }
}
