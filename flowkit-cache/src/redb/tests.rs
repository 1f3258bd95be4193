use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::key_of;

fn entry(value: &[u8]) -> NewEntry {
    NewEntry::new(value.to_vec(), UNIX_EPOCH + Duration::from_secs(1))
}

fn found(store: &RedbStore, key: &CacheKey) -> Found {
    let Found::Deferred(read) = store.get(key, UNIX_EPOCH).unwrap() else {
        panic!("reading asks the file")
    };
    read().unwrap()
}

#[test]
fn it_keeps_the_contract() {
    let directories = Mutex::new(Vec::new());
    crate::conformance::run_all(&|| {
        let directory = tempfile::tempdir().unwrap();
        let store = RedbStore::open(directory.path()).unwrap();
        directories.lock().unwrap().push(directory);
        Arc::new(store)
    });
}

#[test]
fn a_damaged_object_costs_one_entry() {
    let directory = tempfile::tempdir().unwrap();
    let store = RedbStore::open(directory.path()).unwrap();
    let (key, other) = (key_of("large").unwrap(), key_of("other").unwrap());
    store.put(&key, &entry(&[5; 100_000])).unwrap();
    store.put(&other, &entry(b"o")).unwrap();
    let objects = directory.path().join("redb/objects");
    let folder = fs::read_dir(objects).unwrap().next().unwrap().unwrap().path();
    let object = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&object).unwrap();
    bytes[50_000] ^= 1;
    fs::write(&object, bytes).unwrap();
    assert!(matches!(found(&store, &key), Found::Damaged));
    assert!(matches!(found(&store, &key), Found::Nothing), "it was set aside");
    assert!(matches!(found(&store, &other), Found::Entry(_)));
    store.put(&key, &entry(&[5; 100_000])).unwrap();
    assert!(matches!(found(&store, &key), Found::Entry(_)));
}

#[test]
fn files_that_nothing_names_are_removed_by_who_is_alone_and_by_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    drop(RedbStore::open(directory.path()).unwrap());
    let orphan = directory.path().join("redb/objects/ab/abandoned");
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, "half a value").unwrap();
    // What another process holds while it has the store open.
    let other = File::open(directory.path().join("redb/users")).unwrap();
    other.lock_shared().unwrap();
    drop(RedbStore::open(directory.path()).unwrap());
    assert!(
        orphan.exists(),
        "the other process may have written it and be about to name it"
    );
    drop(other);
    drop(RedbStore::open(directory.path()).unwrap());
    assert!(!orphan.exists());
}

#[test]
fn a_store_that_is_damaged_beyond_reading_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let key = key_of("k").unwrap();
    let store = RedbStore::open(directory.path()).unwrap();
    store.put(&key, &entry(b"v")).unwrap();
    drop(store);
    fs::write(
        directory.path().join("redb/cache.redb"),
        "not what redb wrote".repeat(1_000),
    )
    .unwrap();
    let store = RedbStore::open(directory.path()).unwrap();
    assert!(directory.path().join("redb/cache.redb.damaged-1").exists());
    assert!(matches!(found(&store, &key), Found::Nothing));
    store.put(&key, &entry(b"v")).unwrap();
    assert!(matches!(found(&store, &key), Found::Entry(_)));
}

#[test]
fn the_store_of_a_newer_flowkit_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("redb")).unwrap();
    let database = Database::create(directory.path().join("redb/cache.redb")).unwrap();
    assert_eq!(tables::layout(&database, 99).unwrap(), 99);
    drop(database);
    let error = RedbStore::open(directory.path()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Version);
}

#[test]
fn the_store_of_an_older_flowkit_is_set_aside_and_a_new_one_begun() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("redb")).unwrap();
    let database = Database::create(directory.path().join("redb/cache.redb")).unwrap();
    assert_eq!(tables::layout(&database, 1).unwrap(), 1);
    drop(database);
    let key = key_of("k").unwrap();
    for _ in 0..2 {
        let store = RedbStore::open(directory.path()).unwrap();
        store.put(&key, &entry(b"v")).unwrap();
        assert!(matches!(found(&store, &key), Found::Entry(_)));
    }
    assert!(directory.path().join("redb/cache.redb.older-1").exists());
    assert!(
        !directory.path().join("redb/cache.redb.older-2").exists(),
        "only once"
    );
}
