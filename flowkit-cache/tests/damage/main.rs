//! Whatever happens to the files of a store, it is opened, or says why not; what it then gives is what was kept, or nothing.
//!
//! How long that takes with a large store: `cargo test --release -p flowkit-cache --test damage -- --ignored --nocapture`. `FLOWKIT_TRIALS=200` before it damages
//! more of them than 60, and `FLOWKIT_MEGABYTES=1000` larger ones than 100.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod hurt;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flowkit_cache::{
    CacheKey, CacheStore, Found, NewEntry, SledStore, StoreError, StoreErrorKind, SweepBudget, key_of,
};
use hurt::{copy_all, damage, files, numbers, tell, trials};
use tokio::time::Instant;

/// How many entries a small store has.
const FEW: u64 = 300;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn key(name: u64) -> CacheKey {
    key_of(&name).unwrap()
}

/// What is kept under a name: of some too large for its record.
fn value(name: u64) -> Vec<u8> {
    let size = match name % 50 {
        7 => 20_000,
        3 => 3_000,
        _ => 80,
    };
    name.to_le_bytes().repeat(size / 8)
}

fn keep(directory: &Path, entries: u64) {
    let store = SledStore::open(directory).unwrap();
    for name in 0..entries {
        let entry = NewEntry::new(value(name), at(1));
        let entry = if name.is_multiple_of(3) {
            entry.expires(at(1_000))
        } else {
            entry
        };
        store.put(&key(name), &entry).unwrap();
    }
    store.flush().unwrap();
}

/// None for an error that says what is wrong.
fn answered<T>(answer: Result<T, StoreError>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(error) => {
            let known = [StoreErrorKind::Corrupt, StoreErrorKind::Io];
            assert!(known.contains(&error.kind()), "{error}");
            None
        }
    }
}

/// Opens a damaged store, or begins a new one: whatever it is, it keeps nobody from caching. Only a newer layout, which damage may look like, is left alone.
fn open(directory: &Path) -> Option<SledStore> {
    match SledStore::open(directory) {
        Ok(store) => Some(store),
        Err(error) => {
            assert_eq!(error.kind(), StoreErrorKind::Version, "{error}");
            None
        }
    }
}

/// Whether an entry is there. Panics if it is another.
fn is_right(store: &SledStore, name: u64) -> bool {
    let mut found = answered(store.get(&key(name), at(2)));
    loop {
        match found {
            Some(Found::Entry(entry)) => {
                assert_eq!(entry.value(), value(name), "the entry of {name}");
                return true;
            }
            Some(Found::Deferred(read)) => found = answered(read()),
            Some(Found::Nothing | Found::Damaged) | None => return false,
        }
    }
}

/// Asks for all, keeps something, sweeps. Gives how many entries were there.
fn use_damaged(store: &SledStore, entries: u64) -> u64 {
    let there = (0..entries).filter(|name| is_right(store, *name)).count() as u64;
    if answered(store.put(&key(5), &NewEntry::new(value(5), at(3)))).is_some() {
        // It may have been damaged beyond being found again, but is no other.
        is_right(store, 5);
    }
    let budget = SweepBudget {
        now: at(2_000),
        max_bytes: 1_000,
        entries: usize::MAX,
    };
    answered(store.sweep(budget));
    answered(store.list(None, 1_000));
    answered(store.flush());
    for name in 0..entries {
        is_right(store, name);
    }
    there
}

#[test]
fn a_damaged_store_gives_what_was_kept_or_nothing() {
    let sound = tempfile::tempdir().unwrap();
    keep(sound.path(), FEW);
    let mut intact = 0;
    for seed in 0..trials(60) {
        let directory = tempfile::tempdir().unwrap();
        copy_all(sound.path(), directory.path());
        let mut random = numbers(seed);
        let mut any = files(directory.path());
        // Most of what there is lies in one file.
        match random(4) {
            0 | 1 => any.retain(|file| file.ends_with("sled/db")),
            2 => any.retain(|file| !file.display().to_string().contains("objects")),
            _ => {}
        }
        println!("seed {seed}: {}", damage(&any[random(any.len())], random));
        // Another time, since what it does when it is closed may be damaged, too.
        for turn in 0..2 {
            let Some(store) = open(directory.path()) else {
                continue;
            };
            intact += u64::from(use_damaged(&store, FEW) == FEW && turn == 0);
        }
    }
    assert!(intact > 0, "some damage hurts nothing");
}

#[ignore = "it takes some minutes, and prints what it measured"]
#[test]
fn a_large_store_that_is_damaged_is_opened_or_says_why_not() {
    let megabytes: u64 = std::env::var("FLOWKIT_MEGABYTES").map_or(100, |said| said.parse().unwrap());
    let sound = tempfile::tempdir().unwrap();
    // An entry takes some 1,200 bytes, those in files among them.
    let entries = megabytes * 850;
    keep(sound.path(), entries);
    let bytes: u64 = files(sound.path())
        .iter()
        .map(|file| file.metadata().unwrap().len())
        .sum();
    println!("{entries} entries, {} MiB", bytes >> 20);
    let (mut openings, mut there) = (Vec::new(), 0);
    for seed in 0..trials(60) {
        let directory = tempfile::tempdir().unwrap();
        copy_all(sound.path(), directory.path());
        let mut random = numbers(seed);
        let mut any = files(directory.path());
        any.retain(|file| !file.display().to_string().contains("objects"));
        let what = damage(&any[random(any.len())], &mut random);
        let start = Instant::now();
        let store = open(directory.path());
        let took = start.elapsed();
        println!("{took:?}: seed {seed}: {what}, opened: {}", store.is_some());
        openings.push(took);
        if let Some(store) = store {
            there += (0..100)
                .filter(|_| is_right(&store, random(entries as usize) as u64))
                .count();
        }
    }
    tell("to open", openings);
    println!("{there} of 100 entries each were there");
}
