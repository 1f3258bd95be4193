//! Whatever is done to a store, in whatever order, it holds what a simple model says: a map, searched from end to end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flowkit_cache::{
    CacheKey, CacheStore, Entry, Found, MemoryStore, NewEntry, SledStore, StoreStats, SweepBudget, key_of,
};
use proptest::prelude::*;

/// What may be done. Each takes a second at least, so that no two uses are at the same time.
#[derive(Debug, Clone)]
enum Step {
    Put {
        name: u8,
        size: usize,
        lives: Option<u64>,
        durable: bool,
    },
    Get(u8),
    Remove(u8),
    /// In slices of so many entries, down to so many bytes.
    Sweep {
        slice: usize,
        max_bytes: u64,
    },
    Flush,
    Reopen,
    Clear,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..8u8;
    let size = prop_oneof![4 => 0..200usize, 1 => 4_000..9_000usize];
    let lives = prop::option::of(1..40u64);
    prop_oneof![
        8 => (name.clone(), size, lives, prop::bool::weighted(0.1))
            .prop_map(|(name, size, lives, durable)| Step::Put { name, size, lives, durable }),
        6 => name.clone().prop_map(Step::Get),
        2 => name.prop_map(Step::Remove),
        3 => (1..4usize, prop_oneof![1 => Just(u64::MAX), 2 => 0..12_000u64])
            .prop_map(|(slice, max_bytes)| Step::Sweep { slice, max_bytes }),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        1 => (1..30u64).prop_map(Step::Wait),
        1 => prop::bool::weighted(0.2).prop_map(|clear| if clear { Step::Clear } else { Step::Flush }),
    ]
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn key(name: u8) -> CacheKey {
    key_of(&name).unwrap()
}

fn find(store: &dyn CacheStore, name: u8, now: u64) -> Option<Entry> {
    let mut found = store.get(&key(name), at(now)).unwrap();
    loop {
        match found {
            Found::Entry(entry) => return Some(entry),
            Found::Deferred(read) => found = read().unwrap(),
            Found::Nothing => return None,
            Found::Damaged => panic!("the entry of {name} does not verify"),
        }
    }
}

#[derive(Debug, Clone)]
struct Kept {
    value: Vec<u8>,
    expires: Option<u64>,
    used: u64,
}

/// What a store should hold.
#[derive(Debug, Default)]
struct Model {
    entries: BTreeMap<u8, Kept>,
    /// What the store counts for an entry beside its value.
    overhead: u64,
}

impl Model {
    fn stats(&self) -> StoreStats {
        let sizes = self
            .entries
            .values()
            .map(|kept| kept.value.len() as u64 + self.overhead);
        StoreStats {
            entries: self.entries.len() as u64,
            bytes: sizes.sum(),
        }
    }

    /// Gives how many went.
    fn sweep(&mut self, now: u64, max_bytes: u64) -> usize {
        let before = self.entries.len();
        self.entries
            .retain(|_, kept| kept.expires.is_none_or(|expires| expires > now));
        while self.stats().bytes > max_bytes {
            let oldest = self.entries.iter().min_by_key(|(_, kept)| kept.used);
            let name = *oldest.unwrap().0;
            self.entries.remove(&name);
        }
        before - self.entries.len()
    }
}

/// Does the steps to a store and to the model, and compares after each.
fn follow(open: &dyn Fn() -> Arc<dyn CacheStore>, steps: &[Step]) {
    let mut store = open();
    store.put(&key(0), &NewEntry::new(Vec::new(), at(0))).unwrap();
    let mut model = Model {
        overhead: store.stats().unwrap().bytes,
        ..Model::default()
    };
    assert!(store.remove(&key(0)).unwrap());
    let mut now = 1u64;
    for (index, step) in steps.iter().enumerate() {
        now += 1;
        match step.clone() {
            Step::Put {
                name,
                size,
                lives,
                durable,
            } => {
                let kept = Kept {
                    value: vec![index as u8; size],
                    expires: lives.map(|lives| now + lives),
                    used: now,
                };
                let mut entry = NewEntry::new(kept.value.clone(), at(now)).durable(durable);
                if let Some(expires) = kept.expires {
                    entry = entry.expires(at(expires));
                }
                store.put(&key(name), &entry).unwrap();
                model.entries.insert(name, kept);
            }
            Step::Get(name) => {
                let found = find(&*store, name, now).map(|entry| entry.value().to_vec());
                let kept = model.entries.get_mut(&name).map(|kept| {
                    kept.used = now;
                    kept.value.clone()
                });
                assert_eq!(found, kept, "step {index}");
            }
            Step::Remove(name) => {
                let removed = store.remove(&key(name)).unwrap();
                assert_eq!(removed, model.entries.remove(&name).is_some(), "step {index}");
            }
            Step::Sweep { slice, max_bytes } => {
                let budget = SweepBudget {
                    now: at(now),
                    max_bytes,
                    entries: slice,
                };
                let mut left = model.sweep(now, max_bytes);
                while left > 0 {
                    let removed = store.sweep(budget).unwrap();
                    assert_eq!(removed, left.min(slice), "step {index}");
                    left -= removed;
                }
                assert_eq!(store.sweep(budget).unwrap(), 0, "step {index}");
            }
            Step::Flush => store.flush().unwrap(),
            Step::Reopen => {
                drop(store);
                store = open();
            }
            Step::Clear => {
                assert_eq!(store.clear().unwrap(), model.entries.len() as u64);
                model.entries.clear();
            }
            Step::Wait(seconds) => now += seconds,
        }
        assert_eq!(store.stats().unwrap(), model.stats(), "step {index}");
    }
    for name in 0..8 {
        let found = find(&*store, name, now + 1).map(|entry| entry.value().to_vec());
        let kept = model.entries.get(&name).map(|kept| kept.value.clone());
        assert_eq!(found, kept, "the entry of {name} at the end");
    }
}

#[cfg(feature = "redb")]
proptest! {
    // Every change is synced to the disk, which takes its time.
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn the_store_of_several_processes_does_what_the_model_does(steps in prop::collection::vec(step(), 1..40)) {
        let directory = tempfile::tempdir().unwrap();
        follow(&|| Arc::new(flowkit_cache::RedbStore::open(directory.path()).unwrap()), &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_store_in_memory_does_what_the_model_does(steps in prop::collection::vec(step(), 1..60)) {
        let store: Arc<dyn CacheStore> = Arc::new(MemoryStore::new());
        follow(&|| Arc::clone(&store), &steps);
    }

    #[test]
    fn the_store_on_disk_does_what_the_model_does(steps in prop::collection::vec(step(), 1..60)) {
        let directory = tempfile::tempdir().unwrap();
        follow(&|| Arc::new(SledStore::open(directory.path()).unwrap()), &steps);
    }
}
