//! How values are encoded in entries: bincode 2 in its standard configuration, through serde.
//!
//! Never how keys are made: it would give one key to different values, and different keys to one.
//!
//! bincode writes neither names nor types, so the bytes mean something only to the type that was encoded. An entry is found by a key
//! that holds the task's code, and its digest is checked before it is decoded; what is decoded here is therefore what was
//! encoded, and the checks of [`decode`] are a second line.
//!
//! What cannot be cached for want of names: types that are read by looking at the data (`#[serde(untagged)]`, `#[serde(tag = …)]`,
//! `#[serde(flatten)]`, `serde_json::Value`) fail to be encoded or decoded, and so does a struct of which a field was left out by
//! `#[serde(skip_serializing_if = …)]`. A field with `#[serde(skip)]` comes back as its default, in any format.
//! **`#[serde(skip_serializing)]` without `skip_deserializing` cannot be noticed**: the fields after it are read from the wrong bytes.

mod faithful;

use bincode::BorrowDecode as _;
use bincode::de::read::{Reader as _, SliceReader};
use bincode::de::{Decoder as _, DecoderImpl};
use bincode::serde::BorrowCompat;
use serde::Serialize;
use serde::de::DeserializeOwned;

use faithful::Faithful;

/// The codec's id in an entry's header: bincode 2, standard configuration.
pub const BINCODE_2: u8 = 1;

/// What bincode counts for each byte it reads: never more than 16, for a `u128` that fits into one byte.
const COUNTED: usize = 16;

/// A value that cannot be encoded, or bytes that are no value of the type asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CodecError {
    message: String,
}

impl CodecError {
    fn encoding(error: &impl std::fmt::Display) -> Self {
        Self {
            message: format!("the value cannot be encoded: {error}"),
        }
    }

    fn decoding(error: &impl std::fmt::Display) -> Self {
        Self {
            message: format!("the bytes are no value of this type: {error}"),
        }
    }
}

/// The encoded form of a value.
///
/// # Errors
/// When the value refuses to be serialized, or could not be decoded again because a field was left out.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    bincode::serde::encode_to_vec(Faithful::new(value), bincode::config::standard())
        .map_err(|error| CodecError::encoding(&error))
}

/// The value that was encoded.
///
/// A damaged length makes it ask for at most sixteen times the memory of `bytes`. A damaged length of a list whose elements take no
/// bytes, such as `Vec<()>`, can keep it busy for long: check a digest first.
///
/// # Errors
/// When the bytes are not the encoded form of a `T`, or more than that.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    // The limit is a constant of the configuration. What these bytes cannot need is counted as read before the start.
    let configuration = bincode::config::standard().with_limit::<{ usize::MAX }>();
    let mut decoder = DecoderImpl::new(SliceReader::new(bytes), configuration, ());
    let value = decoder
        .claim_bytes_read(usize::MAX - bytes.len().saturating_mul(COUNTED))
        .and_then(|()| BorrowCompat::<T>::borrow_decode(&mut decoder))
        .map_err(|error| CodecError::decoding(&error))?;
    match decoder.reader().peek_read(1) {
        None => Ok(value.0),
        Some(_) => Err(CodecError::decoding(&"more bytes follow it")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap, HashSet};
    use std::fmt::Debug;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Plant {
        name: String,
        heights: Vec<f64>,
        tags: HashSet<String>,
        parent: Option<Box<Self>>,
        events: Vec<Event>,
        counts: BTreeMap<u128, i64>,
        image: serde_bytes::ByteBuf,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Event {
        Sown,
        Watered(f32),
        Moved(i32, char),
        Measured { height: u128, by: String },
    }

    fn plant() -> Plant {
        let parent = Plant {
            name: "Arabidopsis".into(),
            heights: vec![0.5, -0.0, f64::INFINITY],
            tags: ["wild", "2026"].map(String::from).into(),
            parent: None,
            events: vec![Event::Sown, Event::Watered(0.25), Event::Moved(-1, 'ß')],
            counts: BTreeMap::from([(0, -1), (u128::MAX, i64::MIN)]),
            image: serde_bytes::ByteBuf::from(b"\x89PNG".to_vec()),
        };
        let measured = Event::Measured {
            height: 7,
            by: "camera".into(),
        };
        Plant {
            name: String::new(),
            events: vec![measured],
            parent: Some(Box::new(parent.clone())),
            ..parent
        }
    }

    #[track_caller]
    fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
        assert_eq!(decode::<T>(&encode(value).unwrap()).as_ref(), Ok(value));
    }

    #[test]
    fn what_is_encoded_comes_back() {
        comes_back(&());
        comes_back(&None::<u8>);
        comes_back(&Some(None::<()>));
        comes_back(&vec![(); 3]);
        comes_back(&u64::MAX);
        comes_back(&i128::MIN);
        comes_back(&vec![u128::from(1u8); 1000]);
        comes_back(&vec![0u64; 1000]);
        comes_back(&vec![String::new(); 1000]);
        comes_back(&'ß');
        comes_back(&Ok::<u8, String>(3));
        comes_back(&HashMap::from([(1u8, vec!["a".to_owned()]), (2, vec![])]));
        comes_back(&plant());
    }

    #[test]
    fn a_reference_is_encoded_as_what_it_refers_to() {
        assert_eq!(encode("text"), encode(&String::from("text")));
        assert_eq!(encode([1u8, 2].as_slice()), encode(&vec![1u8, 2]));
    }

    #[test]
    fn the_encoding_is_bincode_in_its_standard_configuration() {
        let plain = bincode::serde::encode_to_vec(plant(), bincode::config::standard()).unwrap();
        assert_eq!(plain.len(), encode(&plant()).unwrap().len());
        assert_eq!(decode::<Plant>(&plain).unwrap(), plant());
        assert_eq!(
            encode(&(1u8, "ab", Some(300u16))).unwrap(),
            [1, 2, b'a', b'b', 1, 251, 44, 1]
        );
    }

    #[test]
    fn bytes_that_follow_the_value_are_an_error() {
        assert_eq!(decode::<u8>(&[7]), Ok(7));
        assert!(decode::<u8>(&[7, 0]).is_err());
        assert!(decode::<()>(&[0]).is_err());
        assert!(decode::<u8>(&[]).is_err());
    }

    #[test]
    fn a_length_that_cannot_be_is_an_error_before_memory_is_asked_for() {
        let mut bytes = vec![253];
        bytes.extend((u64::MAX / 2).to_le_bytes());
        assert!(decode::<String>(&bytes).is_err());
        assert!(decode::<serde_bytes::ByteBuf>(&bytes).is_err());
        assert!(decode::<Vec<u64>>(&bytes).is_err());
        assert!(decode::<HashMap<u64, String>>(&bytes).is_err());
    }

    #[test]
    fn a_field_that_is_left_out_is_an_error_rather_than_another_value() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Reading {
            #[serde(skip_serializing_if = "Option::is_none")]
            note: Option<u8>,
            height: Option<u8>,
        }
        comes_back(&Reading {
            note: Some(1),
            height: None,
        });
        let error = encode(&vec![Some(Reading {
            note: None,
            height: Some(3),
        })])
        .unwrap_err();
        assert!(error.to_string().contains("`note`"), "{error}");
    }

    #[test]
    fn a_field_that_is_always_skipped_comes_back_as_its_default() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Reading {
            #[serde(skip)]
            seen: u8,
            height: u8,
        }
        let encoded = encode(&Reading { seen: 3, height: 4 }).unwrap();
        assert_eq!(decode(&encoded), Ok(Reading { seen: 0, height: 4 }));
    }

    #[test]
    fn a_refusal_says_why() {
        let mutex = std::sync::Mutex::new(1u8);
        std::thread::scope(|scope| {
            let poisoning = scope.spawn(|| {
                let _held = mutex.lock();
                panic!("poisons the mutex");
            });
            assert!(poisoning.join().is_err());
        });
        let error = encode(&mutex).unwrap_err();
        assert!(
            error.to_string().starts_with("the value cannot be encoded: "),
            "{error}"
        );
        assert!(error.to_string().contains("poison"), "{error}");
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(
            flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..8),
            cut in 0usize..64,
        ) {
            let whole = encode(&plant()).unwrap();
            let mut bytes = whole.clone();
            for (at, bit) in flips {
                bytes[at.index(whole.len())] ^= 1 << bit;
            }
            bytes.truncate(whole.len().saturating_sub(cut));
            if let Ok(other) = decode::<Plant>(&bytes) {
                // It is a value of its own then, which an entry's digest would have told.
                prop_assert!(encode(&other).is_ok());
            }
        }

        #[test]
        fn every_beginning_of_a_value_is_an_error(text in ".{0,40}", numbers in prop::collection::vec(any::<u64>(), 1..20), cut in any::<prop::sample::Index>()) {
            let encoded = encode(&(text, numbers)).unwrap();
            let cut = cut.index(encoded.len());
            prop_assert!(decode::<(String, Vec<u64>)>(&encoded[..cut]).is_err());
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<Plant>(&bytes);
            let _ = decode::<Vec<HashMap<String, Vec<u128>>>>(&bytes);
            let _ = decode::<(String, char, Option<bool>)>(&bytes);
        }

        #[test]
        fn numbers_of_any_size_come_back(numbers in prop::collection::vec((any::<u128>(), any::<i16>(), any::<char>()), 0..50)) {
            prop_assert_eq!(decode::<Vec<(u128, i16, char)>>(&encode(&numbers).unwrap()), Ok(numbers));
        }
    }
}
