use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::key_of;

fn entry(value: &[u8]) -> NewEntry {
    NewEntry::new(value.to_vec(), UNIX_EPOCH + Duration::from_secs(1))
}

fn find(store: &SledStore, key: &CacheKey) -> Option<Vec<u8>> {
    let mut found = store.get(key, UNIX_EPOCH + Duration::from_secs(2)).unwrap();
    loop {
        match found {
            Found::Entry(entry) => return Some(entry.value().to_vec()),
            Found::Deferred(read) => found = read().unwrap(),
            Found::Nothing | Found::Damaged => return None,
        }
    }
}

fn size_of(directory: &Path) -> u64 {
    let mut size = 0;
    for item in fs::read_dir(directory).unwrap() {
        let item = item.unwrap();
        size += if item.file_type().unwrap().is_dir() {
            size_of(&item.path())
        } else {
            item.metadata().unwrap().len()
        };
    }
    size
}

#[test]
fn it_keeps_the_contract() {
    let directories = std::sync::Mutex::new(Vec::new());
    crate::conformance::run_all(&|| {
        let directory = tempfile::tempdir().unwrap();
        let store = SledStore::open(directory.path()).unwrap();
        directories.lock().unwrap().push(directory);
        Arc::new(store)
    });
}

#[test]
fn what_was_kept_is_there_when_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let (small, large) = (key_of("small").unwrap(), key_of("large").unwrap());
    {
        let store = SledStore::open(directory.path()).unwrap();
        store.put(&small, &entry(b"s")).unwrap();
        store.put(&large, &entry(&[5; 100_000])).unwrap();
    }
    let store = SledStore::open(directory.path()).unwrap();
    assert_eq!(find(&store, &small).unwrap(), b"s");
    assert_eq!(find(&store, &large).unwrap().len(), 100_000);
    assert_eq!(store.stats().unwrap().entries, 2);
}

#[test]
fn opening_a_directory_twice_in_a_process_gives_one_store() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (
        SledStore::open(directory.path()).unwrap(),
        SledStore::open(directory.path()).unwrap(),
    );
    one.put(&key_of("k").unwrap(), &entry(b"v")).unwrap();
    assert_eq!(find(&two, &key_of("k").unwrap()).unwrap(), b"v");
}

#[test]
fn its_size_on_disk_stays_bounded_when_large_values_are_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(directory.path()).unwrap();
    for round in 0..10u8 {
        for name in 0..4u8 {
            store
                .put(&key_of(&name).unwrap(), &entry(&vec![round; 500_000]))
                .unwrap();
        }
        store.flush().unwrap();
    }
    store.flush().unwrap();
    let size = size_of(directory.path());
    assert!(
        size < 2 * 4 * 500_000 + 2_000_000,
        "{size} bytes for 2,000,000 that live"
    );
}

#[test]
fn a_damaged_object_costs_one_entry() {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(directory.path()).unwrap();
    let key = key_of("large").unwrap();
    store.put(&key, &entry(&[5; 100_000])).unwrap();
    store.put(&key_of("other").unwrap(), &entry(b"o")).unwrap();
    let folder = fs::read_dir(directory.path().join("objects"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let object = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&object).unwrap();
    bytes[50_000] ^= 1;
    fs::write(&object, bytes).unwrap();
    assert_eq!(find(&store, &key), None, "it does not verify");
    assert!(
        matches!(store.get(&key, UNIX_EPOCH).unwrap(), Found::Nothing),
        "and is set aside"
    );
    assert_eq!(find(&store, &key_of("other").unwrap()).unwrap(), b"o");
}

#[test]
fn files_that_nothing_names_are_removed_at_the_next_opening() {
    let directory = tempfile::tempdir().unwrap();
    drop(SledStore::open(directory.path()).unwrap());
    let orphan = directory.path().join("objects/ab/abandoned");
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, "half a value").unwrap();
    drop(SledStore::open(directory.path()).unwrap());
    assert!(!orphan.exists());
}

#[test]
fn the_directory_of_a_newer_flowkit_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("layout"), "flowkit-cache 99\n").unwrap();
    let error = SledStore::open(directory.path()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Version);
    assert!(!directory.path().join("sled").exists());
}

#[test]
fn the_store_of_an_older_flowkit_is_set_aside_and_a_new_one_begun() {
    let directory = tempfile::tempdir().unwrap();
    drop(SledStore::open(directory.path()).unwrap());
    fs::write(directory.path().join("layout"), "flowkit-cache 1\n").unwrap();
    let store = SledStore::open(directory.path()).unwrap();
    assert!(directory.path().join("sled.older-1").exists());
    store.put(&key_of("k").unwrap(), &entry(b"v")).unwrap();
    drop(store);
    let store = SledStore::open(directory.path()).unwrap();
    assert_eq!(find(&store, &key_of("k").unwrap()).unwrap(), b"v");
    assert!(!directory.path().join("sled.older-2").exists(), "only once");
}

#[test]
fn hints_that_a_crash_lost_are_found_missing_at_the_next_opening() {
    let directory = tempfile::tempdir().unwrap();
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let key = |n: u64| key_of(&n).unwrap();
    let short_lived = |n: u64| NewEntry::new(vec![1; 100], at(n)).expires(at(25));
    let store = SledStore::open(directory.path()).unwrap();
    for n in 0..3 {
        store.put(&key(n), &short_lived(n)).unwrap();
    }
    drop(store);
    {
        // These puts wait in the queue, and are flushed to the disk; then the queue is gone, as it is by a kill.
        let (trees, _last, _) = open::try_open(directory.path(), "opening").unwrap();
        let put = |n: u64, new: &NewEntry| {
            let mut record = NewRecord::new(&key(n), new);
            trees.put(&key(n), &mut record, micros(new.created)).unwrap();
        };
        put(0, &NewEntry::new(vec![2; 100], at(10)));
        trees.remove(&key(1)).unwrap();
        put(3, &short_lived(3));
        put(4, &NewEntry::new(vec![2; 100], at(5)));
        put(5, &NewEntry::new(vec![2; 100], at(4)));
        trees.flush(directory.path()).unwrap();
    }
    let store = SledStore::open(directory.path()).unwrap();
    let sweep = |max_bytes| {
        let budget = SweepBudget {
            now: at(30),
            max_bytes,
            entries: 100,
        };
        store.sweep(budget).unwrap()
    };
    assert_eq!(store.stats().unwrap().entries, 5);
    assert_eq!(
        sweep(u64::MAX),
        2,
        "2 and 3 have expired; 0 was put anew, 1 is gone"
    );
    for left in [0, 4, 5] {
        assert!(find(&store, &key(left)).is_some());
    }
}

#[test]
fn a_store_that_is_over_its_size_when_its_hints_were_lost_loses_what_was_used_longest_ago() {
    let directory = tempfile::tempdir().unwrap();
    let key = |n: u64| key_of(&n).unwrap();
    drop(SledStore::open(directory.path()).unwrap());
    {
        let (trees, _last, _) = open::try_open(directory.path(), "opening").unwrap();
        for n in 0..10 {
            let new = NewEntry::new(vec![1; 100], UNIX_EPOCH + Duration::from_secs((n * 7) % 10));
            let mut record = NewRecord::new(&key(n), &new);
            trees.put(&key(n), &mut record, micros(new.created)).unwrap();
        }
        trees.flush(directory.path()).unwrap();
    }
    let store = SledStore::open(directory.path()).unwrap();
    let stats = store.stats().unwrap();
    let budget = SweepBudget {
        now: UNIX_EPOCH,
        max_bytes: stats.bytes * 7 / 10,
        entries: 100,
    };
    assert_eq!(store.sweep(budget).unwrap(), 3);
    // Made at 0, 1 and 2 seconds.
    let left: Vec<u64> = (0..10).filter(|n| find(&store, &key(*n)).is_some()).collect();
    assert_eq!(left, [1, 2, 4, 5, 7, 8, 9]);
}

#[test]
fn a_file_in_place_of_the_directory_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let error = SledStore::open(&file).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Place);
    assert!(error.to_string().contains("file"), "{error}");
}

/// A file of a store, and what is done to it.
type Damage = (&'static str, fn(&Path));

#[test]
fn a_store_that_is_damaged_beyond_reading_is_set_aside() {
    let damages: [Damage; 7] = [
        ("sled/conf", |file| {
            fs::write(file, "not what sled wrote").unwrap();
        }),
        ("sled/conf", |file| {
            let mut bytes = fs::read(file).unwrap();
            bytes[3] ^= 1;
            fs::write(file, bytes).unwrap();
        }),
        ("sled/conf", replace_by_directory),
        ("sled/db", replace_by_directory),
        ("layout", |file| fs::write(file, [0xff, 0xfe, 0x00]).unwrap()),
        ("layout", |file| fs::write(file, "something else").unwrap()),
        ("layout", replace_by_directory),
    ];
    for (file, damage) in damages {
        let directory = tempfile::tempdir().unwrap();
        drop(SledStore::open(directory.path()).unwrap());
        damage(&directory.path().join(file));
        let store = SledStore::open(directory.path()).unwrap_or_else(|error| panic!("{file}: {error}"));
        store.put(&key_of("k").unwrap(), &entry(b"v")).unwrap();
        assert_eq!(find(&store, &key_of("k").unwrap()).unwrap(), b"v");
        let names = fs::read_dir(directory.path()).unwrap();
        let aside = names.filter(|name| {
            let name = name.as_ref().unwrap().file_name().into_string().unwrap();
            name.starts_with("sled.")
        });
        assert_eq!(aside.count(), 1, "{file}: what was there is set aside");
    }
}

fn replace_by_directory(file: &Path) {
    fs::remove_file(file).unwrap();
    fs::create_dir(file).unwrap();
}

/// Numbers that look random, the same each time.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(seed), |n| {
        Some(
            n.wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407),
        )
    })
    .map(|n| n >> 33)
}

#[test]
fn no_entry_is_lost_to_sweeps_while_threads_put_use_and_remove_the_same_keys() {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(directory.path()).unwrap();
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let key = |n: u64| key_of(&n).unwrap();
    let budget = |now, max_bytes| SweepBudget {
        now: at(now),
        max_bytes,
        entries: 1_000,
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for (step, number) in (1..1_000).zip(numbers(thread)) {
                    let key = key(number % 40);
                    match number / 40 % 8 {
                        0 => drop(store.remove(&key).unwrap()),
                        1 | 2 => drop(store.get(&key, at(step)).unwrap()),
                        3 => drop(store.sweep(budget(step, 4_000)).unwrap()),
                        4 => {
                            let new = entry(&[1; 100]).expires(at(step + number % 50));
                            store.put(&key, &new).unwrap();
                        }
                        _ => store.put(&key, &NewEntry::new(vec![2; 100], at(step))).unwrap(),
                    }
                }
            });
        }
    });
    let there = (0..40).filter(|n| find(&store, &key(*n)).is_some()).count();
    assert_eq!(store.stats().unwrap().entries, there as u64);
    // Whatever is there is found by its hints: all of it goes when nothing may stay.
    assert_eq!(store.sweep(budget(0, 0)).unwrap(), there);
    assert_eq!(store.stats().unwrap(), StoreStats::default());
}

#[tokio::test]
async fn a_small_value_is_served_at_once_and_one_in_a_file_after_it_is_read() {
    use crate::{Cache, Lookup};

    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::new(Arc::new(SledStore::open(directory.path()).unwrap()));
    let (small, large) = (key_of("small").unwrap(), key_of("large").unwrap());
    cache.put(&small, entry(b"s")).await.unwrap();
    cache.put(&large, entry(&[5; 100_000])).await.unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(2);
    let served = cache.try_get(&small, now);
    assert!(matches!(served, Ok(Lookup::Hit(entry)) if entry.value() == b"s"));
    let Err(deferred) = cache.try_get(&large, now) else {
        panic!("a large value is in a file")
    };
    assert!(matches!(deferred.read().await, Lookup::Hit(entry) if entry.value().len() == 100_000));
}
