//! The tests that every store passes. Each is one behaviour of the contract of [`CacheStore`]; [`run_all`] runs them on fresh stores.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests: they panic to say what a store does wrong"
)]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::entry::{Entry, NewEntry};
use crate::key::{CacheKey, key_of};
use crate::store::{CacheStore, Found, SweepBudget};

/// Makes a fresh, empty store.
pub type Fresh<'a> = &'a dyn Fn() -> Arc<dyn CacheStore>;

/// Runs every test, each on a store of its own.
///
/// # Panics
/// When the store breaks the contract.
pub fn run_all(fresh: Fresh<'_>) {
    what_is_kept_is_found(fresh);
    the_last_value_counts(fresh);
    large_values_are_kept_too(fresh);
    what_is_removed_is_gone(fresh);
    expired_entries_are_swept_first(fresh);
    surplus_goes_by_last_use(fresh);
    a_slice_stays_within_its_budget(fresh);
    a_list_goes_on_where_it_ended(fresh);
    clearing_leaves_nothing(fresh);
    keys_do_not_disturb_each_other(fresh);
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn key(name: &str) -> CacheKey {
    key_of(name).expect("a text has a key")
}

fn entry(value: &[u8], created: u64) -> NewEntry {
    NewEntry::new(value.to_vec(), at(created)).origin("run/1")
}

fn put(store: &dyn CacheStore, name: &str, entry: &NewEntry) {
    store.put(&key(name), entry).expect("the entry is kept");
}

fn find(store: &dyn CacheStore, name: &str, now: u64) -> Option<Entry> {
    let mut found = store.get(&key(name), at(now)).expect("the store answers");
    loop {
        match found {
            Found::Entry(entry) => return Some(entry),
            Found::Nothing => return None,
            Found::Deferred(read) => found = read().expect("the value is read"),
            Found::Damaged => panic!("an entry of `{name}` was damaged"),
        }
    }
}

fn budget(now: u64, max_bytes: u64, entries: usize) -> SweepBudget {
    SweepBudget {
        now: at(now),
        max_bytes,
        entries,
    }
}

/// What was put is found, with all that belongs to it.
pub fn what_is_kept_is_found(fresh: Fresh<'_>) {
    let store = fresh();
    assert!(find(&*store, "a", 1).is_none(), "a fresh store is empty");
    put(&*store, "a", &entry(b"one", 1).expires(at(9)));
    let found = find(&*store, "a", 2).expect("it is there");
    assert_eq!(
        (found.value(), found.created(), found.expires()),
        (&b"one"[..], at(1), Some(at(9)))
    );
    assert_eq!(found.origin(), "run/1");
    put(&*store, "empty", &entry(b"", 1));
    assert_eq!(find(&*store, "empty", 2).expect("it is there").value().len(), 0);
}

/// A second value replaces the first, whatever their sizes.
pub fn the_last_value_counts(fresh: Fresh<'_>) {
    let store = fresh();
    for size in [3usize, 100_000, 7, 200_000, 0] {
        let value = vec![b'x'; size];
        put(&*store, "a", &entry(&value, 1));
        assert_eq!(find(&*store, "a", 2).expect("it is there").value().len(), size);
    }
    assert_eq!(store.stats().expect("it counts").entries, 1);
}

/// Values of many sizes come back whole, durable ones too.
pub fn large_values_are_kept_too(fresh: Fresh<'_>) {
    let store = fresh();
    for size in [4_095usize, 4_096, 4_097, 1_000_000] {
        let value: Vec<u8> = (0..size).map(|byte| (byte % 251) as u8).collect();
        let name = size.to_string();
        put(&*store, &name, &entry(&value, 1).durable(true));
        assert_eq!(find(&*store, &name, 2).expect("it is there").value(), &value[..]);
    }
}

/// A removed entry is not found, and is not removed twice.
pub fn what_is_removed_is_gone(fresh: Fresh<'_>) {
    let store = fresh();
    put(&*store, "a", &entry(b"one", 1));
    assert!(store.remove(&key("a")).expect("it is removed"));
    assert!(find(&*store, "a", 2).is_none());
    assert!(!store.remove(&key("a")).expect("nothing is there"));
    assert_eq!(
        store.stats().expect("it counts"),
        crate::store::StoreStats::default()
    );
}

/// What has expired goes, what has not stays.
pub fn expired_entries_are_swept_first(fresh: Fresh<'_>) {
    let store = fresh();
    put(&*store, "short", &entry(b"1", 1).expires(at(5)));
    put(&*store, "long", &entry(b"2", 1).expires(at(50)));
    put(&*store, "never", &entry(b"3", 1));
    assert_eq!(store.sweep(budget(4, u64::MAX, 10)).expect("it sweeps"), 0);
    assert_eq!(store.sweep(budget(5, u64::MAX, 10)).expect("it sweeps"), 1);
    assert!(find(&*store, "short", 6).is_none());
    assert!(find(&*store, "long", 6).is_some() && find(&*store, "never", 6).is_some());
}

/// Over the bound, what was used longest ago goes.
pub fn surplus_goes_by_last_use(fresh: Fresh<'_>) {
    let store = fresh();
    for (index, name) in ["a", "b", "c"].into_iter().enumerate() {
        put(&*store, name, &entry(&[7; 1_000], index as u64 + 1));
    }
    assert!(find(&*store, "a", 10).is_some(), "a is used again");
    store.flush().expect("it is written");
    let bytes = store.stats().expect("it counts").bytes;
    assert_eq!(store.sweep(budget(11, bytes - 1, 10)).expect("it sweeps"), 1);
    assert!(find(&*store, "b", 12).is_none(), "b was used longest ago");
    assert!(find(&*store, "a", 12).is_some() && find(&*store, "c", 12).is_some());
}

/// No slice removes more than it may.
pub fn a_slice_stays_within_its_budget(fresh: Fresh<'_>) {
    let store = fresh();
    for index in 0..20u64 {
        put(&*store, &index.to_string(), &entry(b"x", 1).expires(at(2)));
    }
    let mut slices = Vec::new();
    loop {
        match store.sweep(budget(3, u64::MAX, 8)).expect("it sweeps") {
            0 => break,
            removed => slices.push(removed),
        }
    }
    assert_eq!(slices, [8, 8, 4]);
}

/// Every entry is listed once, in pages, with its times.
pub fn a_list_goes_on_where_it_ended(fresh: Fresh<'_>) {
    let store = fresh();
    let names: Vec<String> = (0..7).map(|number| format!("entry {number}")).collect();
    for (created, name) in (1..).zip(&names) {
        put(
            &*store,
            name,
            &entry(&[1; 10_000], created).expires(at(created + 50)),
        );
    }
    let mut listed = Vec::new();
    loop {
        let after = listed.last().map(|last: &crate::store::Listed| last.key);
        let page = store.list(after.as_ref(), 3).expect("the store lists");
        assert!(page.len() <= 3, "a page is no longer than was asked for");
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    let mut keys: Vec<_> = names.iter().map(|name| key(name)).collect();
    keys.sort_unstable();
    assert_eq!(listed.iter().map(|listed| listed.key).collect::<Vec<_>>(), keys);
    for entry in listed {
        assert!(entry.bytes >= 10_000, "the size counts the value");
        assert_eq!(entry.expires, Some(entry.created + Duration::from_secs(50)));
    }
}

/// After clearing, nothing is left.
pub fn clearing_leaves_nothing(fresh: Fresh<'_>) {
    let store = fresh();
    put(&*store, "small", &entry(b"x", 1));
    put(&*store, "large", &entry(&vec![1; 50_000], 1));
    assert_eq!(store.clear().expect("it is cleared"), 2);
    assert!(find(&*store, "small", 2).is_none() && find(&*store, "large", 2).is_none());
    assert_eq!(
        store.stats().expect("it counts"),
        crate::store::StoreStats::default()
    );
}

/// Many keys, each its own value, from several threads.
pub fn keys_do_not_disturb_each_other(fresh: Fresh<'_>) {
    let store = fresh();
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let store = &store;
            scope.spawn(move || {
                for index in 0..50u32 {
                    let name = format!("{thread}-{index}");
                    put(&**store, &name, &entry(name.as_bytes(), 1));
                    assert_eq!(
                        find(&**store, &name, 2).expect("it is there").value(),
                        name.as_bytes()
                    );
                }
            });
        }
    });
    assert_eq!(store.stats().expect("it counts").entries, 200);
}
