//! Maps and sets have no order, wherever they are; lists have.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, RwLock};

use flowkit_cache::key::unordered;
use flowkit_cache::{CacheKey, key_of};
use proptest::prelude::*;
use serde::Serialize;

fn key<T: Serialize + ?Sized>(value: &T) -> CacheKey {
    key_of(value).unwrap()
}

/// Sets of one content, built in two orders. Each has a hasher of its own, so that their iteration differs too.
fn sets(count: u32) -> [HashSet<u32>; 2] {
    [(0..count).collect(), (0..count).rev().collect()]
}

#[test]
fn the_sets_of_the_tests_iterate_in_different_orders() {
    let [one, other] = sets(100);
    assert!(one.iter().ne(other.iter()));
}

#[test]
fn a_hash_set_is_its_elements_wherever_it_is() {
    #[derive(Serialize)]
    #[expect(clippy::box_collection, reason = "a set behind a box is one of the places")]
    struct Holder<'a> {
        direct: HashSet<u32>,
        borrowed: &'a HashSet<u32>,
        shared: Box<HashSet<u32>>,
        cow: Cow<'a, HashSet<u32>>,
        cell: RefCell<HashSet<u32>>,
        mutex: Mutex<HashSet<u32>>,
        lock: RwLock<HashSet<u32>>,
        optional: Option<HashSet<u32>>,
        listed: Vec<HashSet<u32>>,
        paired: (HashSet<u32>, u8),
        mapped: BTreeMap<u8, HashSet<u32>>,
    }
    let holder = |set: &HashSet<u32>| {
        key(&Holder {
            direct: set.clone(),
            borrowed: set,
            shared: Box::new(set.clone()),
            cow: Cow::Borrowed(set),
            cell: RefCell::new(set.clone()),
            mutex: Mutex::new(set.clone()),
            lock: RwLock::new(set.clone()),
            optional: Some(set.clone()),
            listed: vec![set.clone(), set.clone()],
            paired: (set.clone(), 1),
            mapped: BTreeMap::from([(1, set.clone())]),
        })
    };
    let [one, other] = sets(100);
    assert_eq!(holder(&one), holder(&other));
    assert_eq!(key(&&&one), key(&Box::new(&other)));
    let mut more = other;
    more.insert(100);
    assert_ne!(holder(&one), holder(&more));
}

#[test]
fn the_hash_sets_of_three_crates_are_one() {
    let [one, other] = sets(100);
    let bread: hashbrown::HashSet<u32> = one.iter().copied().collect();
    let index: indexmap::IndexSet<u32> = (0..100).rev().collect();
    assert_eq!(key(&other), key(&bread));
    assert_eq!(key(&other), key(&index));
}

#[test]
fn maps_of_every_kind_are_their_entries() {
    let entries: Vec<(String, u32)> = (0..100).map(|n| (format!("plant {n}"), n)).collect();
    let hash: HashMap<_, _> = entries.iter().cloned().collect();
    let bread: hashbrown::HashMap<_, _> = entries.iter().cloned().collect();
    let tree: BTreeMap<_, _> = entries.iter().cloned().collect();
    let index: indexmap::IndexMap<_, _> = entries.iter().rev().cloned().collect();
    assert_eq!(key(&hash), key(&tree));
    assert_eq!(key(&bread), key(&tree));
    assert_eq!(key(&index), key(&tree));
    let mut swapped = tree.clone();
    swapped.insert("plant 0".into(), 1);
    swapped.insert("plant 1".into(), 0);
    assert_ne!(key(&swapped), key(&tree));
}

#[test]
fn lists_and_ordered_sets_count_in_order() {
    assert_ne!(key(&vec![1, 2]), key(&vec![2, 1]));
    assert_ne!(key(&[1, 2]), key(&[2, 1]));
    assert_ne!(key(&BTreeSet::from([1, 2])), key(&HashSet::from([1, 2])));
}

#[test]
fn unordered_collections_hold_unordered_collections() {
    let inner = |from: u32, step: i32| -> BTreeMap<String, HashSet<u32>> {
        let mut numbers: Vec<u32> = (from..from + 50).collect();
        if step < 0 {
            numbers.reverse();
        }
        [("even", 0), ("odd", 1)]
            .map(|(name, rest)| {
                (
                    name.to_owned(),
                    numbers.iter().copied().filter(|n| n % 2 == rest).collect(),
                )
            })
            .into()
    };
    let outer = |step: i32| -> HashMap<u32, HashMap<u32, BTreeMap<String, HashSet<u32>>>> {
        let mut outer: Vec<u32> = (0..20).collect();
        if step < 0 {
            outer.reverse();
        }
        outer
            .iter()
            .map(|n| (*n, outer.iter().map(|m| (*m, inner(n + m, step))).collect()))
            .collect()
    };
    assert_eq!(
        key(&outer(1)),
        key(&outer(-1)),
        "larger than the buffer before the hasher"
    );
    let mut changed = outer(1);
    changed
        .get_mut(&7)
        .unwrap()
        .get_mut(&3)
        .unwrap()
        .get_mut("odd")
        .unwrap()
        .remove(&11);
    assert_ne!(key(&outer(1)), key(&changed));
}

/// A set that serde shows as a list of another type.
#[derive(Serialize)]
struct Declared<T: Serialize> {
    #[serde(serialize_with = "unordered::serialize")]
    tags: T,
}

#[test]
fn what_is_declared_unordered_has_no_order() {
    assert_eq!(
        key(&Declared { tags: vec![1, 2, 3] }),
        key(&Declared { tags: vec![3, 1, 2] })
    );
    assert_eq!(
        key(&Declared { tags: [1, 2, 3] }),
        key(&Declared { tags: [3, 1, 2] })
    );
    assert_eq!(
        key(&Declared {
            tags: Some(vec![1, 2])
        }),
        key(&Declared {
            tags: Some(vec![2, 1])
        })
    );
    assert_ne!(
        key(&Declared { tags: vec![1, 2, 2] }),
        key(&Declared { tags: vec![1, 1, 2] }),
        "repetition counts"
    );
    assert_ne!(
        key(&Declared { tags: vec![1, 2] }),
        key(&Declared { tags: vec![1, 2, 3] })
    );
    assert_ne!(
        key(&Declared {
            tags: None::<Vec<u8>>
        }),
        key(&Declared {
            tags: Some(Vec::<u8>::new())
        })
    );
}

#[test]
fn a_declaration_reaches_through_newtypes_and_not_into_elements() {
    #[derive(Serialize)]
    struct Wrapped(Vec<Vec<u8>>);
    let declared = |lists: [Vec<u8>; 2]| {
        key(&Declared {
            tags: Wrapped(lists.into()),
        })
    };
    assert_eq!(declared([vec![1, 2], vec![3]]), declared([vec![3], vec![1, 2]]));
    assert_ne!(declared([vec![1, 2], vec![3]]), declared([vec![2, 1], vec![3]]));
}

#[test]
fn a_transparent_type_around_a_hash_set_needs_the_declaration() {
    #[derive(Serialize)]
    #[serde(transparent)]
    struct Tags(#[serde(serialize_with = "unordered::serialize")] HashSet<u32>);
    let [one, other] = sets(100);
    assert_eq!(key(&Tags(one)), key(&Tags(other)));
}

#[test]
fn other_formats_do_not_notice_the_declaration() {
    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Tags(#[serde(serialize_with = "unordered::serialize")] Vec<u8>);
    let encoded = flowkit_cache::codec::encode(&Tags(vec![3, 1])).unwrap();
    assert_eq!(encoded, flowkit_cache::codec::encode(&vec![3u8, 1]).unwrap());
    assert_eq!(
        flowkit_cache::codec::decode::<Tags>(&encoded).unwrap(),
        Tags(vec![3, 1])
    );
}

proptest! {
    #[test]
    fn the_order_of_insertion_leaves_no_trace(
        entries in prop::collection::btree_map(".{0,6}", prop::collection::vec(any::<i16>(), 0..4), 0..30),
        seed in any::<u64>(),
    ) {
        let mut shuffled: Vec<_> = entries.clone().into_iter().collect();
        shuffled.sort_by_key(|(name, _)| blake3::hash(format!("{seed}{name}").as_bytes()).to_string());
        let map: indexmap::IndexMap<_, _> = shuffled.iter().cloned().collect();
        prop_assert_eq!(key(&map), key(&entries));
        let set: indexmap::IndexSet<_> = shuffled.into_iter().collect();
        let other: HashSet<_> = entries.into_iter().collect();
        prop_assert_eq!(key(&set), key(&other));
    }
}
