//! How values are encoded in entries: bincode 2 in its standard configuration, through serde.
//!
//! Never how keys are made: it would give one key to different values.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The codec's id in an entry's header: bincode 2, standard configuration.
pub const BINCODE_2: u8 = 1;

/// No encoded value is larger, which also bounds what a damaged length can make a decoder ask for.
const LIMIT: usize = (u32::MAX / 2) as usize;

/// A value that cannot be encoded, or bytes that are no value of the type asked for.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CodecError {
    message: String,
}

fn configuration() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<LIMIT>()
}

/// The encoded form of a value.
///
/// # Errors
/// When the value refuses to be serialized.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    bincode::serde::encode_to_vec(value, configuration()).map_err(|error| CodecError {
        message: error.to_string(),
    })
}

/// The value that was encoded.
///
/// # Errors
/// When the bytes are not the encoded form of a `T`, or more than that.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, read) =
        bincode::serde::decode_from_slice(bytes, configuration()).map_err(|error| CodecError {
            message: error.to_string(),
        })?;
    if read == bytes.len() {
        Ok(value)
    } else {
        Err(CodecError {
            message: format!("{} bytes follow the value", bytes.len() - read),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Sample = (String, Vec<Option<i64>>, BTreeMap<String, f64>, ());

    fn sample() -> Sample {
        (
            "plant".into(),
            vec![None, Some(-3)],
            BTreeMap::from([("a".into(), 0.5)]),
            (),
        )
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        assert_eq!(decode::<Sample>(&encode(&sample()).unwrap()).unwrap(), sample());
        assert_eq!(decode::<Option<u8>>(&encode(&None::<u8>).unwrap()).unwrap(), None);
        decode::<()>(&encode(&()).unwrap()).unwrap();
    }

    #[test]
    fn bytes_that_follow_the_value_are_an_error() {
        let mut bytes = encode(&7u8).unwrap();
        bytes.push(0);
        assert!(decode::<u8>(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(flips in prop::collection::vec((0usize..64, 0u8..8), 1..8), cut in 0usize..64) {
            let mut bytes = encode(&sample()).unwrap();
            for (at, bit) in flips {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            let _ = decode::<Sample>(&bytes);
        }
    }
}
