//! A value that refuses to be serialized has no key, and never half of one.

use std::fmt;
use std::sync::Mutex;

use flowkit_cache::{KeyHasher, key_of};
use serde::ser::{Error as _, SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};

/// A value that writes something and then refuses.
struct Refuses;

impl Serialize for Refuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        list.serialize_element(&1u8)?;
        Err(S::Error::custom("the sensor is off"))
    }
}

#[test]
fn the_error_names_the_part_and_the_reason() {
    let mut hasher = KeyHasher::new();
    hasher.section("task", "growth");
    let error = hasher.value("readings", &vec![Some(Refuses)]).unwrap_err();
    assert_eq!(error.part(), "readings");
    assert_eq!(
        error.to_string(),
        "`readings` cannot be serialized: the sensor is off"
    );
}

#[test]
fn a_hasher_that_met_a_refusal_gives_no_key_whatever_is_added() {
    let mut hasher = KeyHasher::new();
    let error = hasher.value("readings", &Refuses).unwrap_err();
    assert_eq!(hasher.value("rows", &1u8), Err(error.clone()));
    hasher.section("task", "growth");
    hasher.bytes("image", b"png");
    assert_eq!(hasher.finish(), Err(error));
}

#[test]
fn a_refusal_counts_even_if_the_value_around_it_passes_over_it() {
    struct PassesOver;
    impl Serialize for PassesOver {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut list = serializer.serialize_seq(None)?;
            let _ = list.serialize_element(&Refuses);
            list.end()
        }
    }
    let mut hasher = KeyHasher::new();
    assert!(hasher.value("rows", &PassesOver).is_err());
    assert!(hasher.finish().is_err());
}

#[test]
fn half_an_entry_of_a_map_is_refused() {
    struct Half(fn(usize) -> [bool; 2]);
    impl Serialize for Half {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            for at in 0..2 {
                let [key, value] = (self.0)(at);
                if key {
                    let _ = map.serialize_key(&1u8);
                }
                if value {
                    let _ = map.serialize_value(&2u8);
                }
            }
            map.end()
        }
    }
    assert!(key_of(&Half(|_| [true, true])).is_ok());
    assert!(
        key_of(&Half(|at| [true, at == 0])).is_err(),
        "a key without a value at the end"
    );
    assert!(
        key_of(&Half(|at| [true, at == 1])).is_err(),
        "a key without a value"
    );
    assert!(
        key_of(&Half(|at| [at == 1, true])).is_err(),
        "a value without a key"
    );
}

#[test]
fn a_value_that_cannot_be_displayed_is_refused_without_a_panic() {
    struct Undisplayable;
    impl fmt::Display for Undisplayable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }
    impl Serialize for Undisplayable {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }
    assert!(key_of(&Undisplayable).is_err());
}

#[cfg(unix)]
#[test]
fn a_path_that_is_not_text_has_no_key() {
    use std::os::unix::ffi::OsStrExt as _;
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(b"plants-\xff.csv"));
    let error = key_of(path).unwrap_err();
    assert!(error.to_string().contains("UTF-8"), "{error}");
    assert!(key_of(std::path::Path::new("plants.csv")).is_ok());
}

#[test]
fn a_poisoned_mutex_has_no_key() {
    let mutex = Mutex::new(1);
    std::thread::scope(|scope| {
        let poisoning = scope.spawn(|| {
            let _held = mutex.lock();
            panic!("poisons the mutex");
        });
        assert!(poisoning.join().is_err());
    });
    assert!(key_of(&mutex).is_err());
}
