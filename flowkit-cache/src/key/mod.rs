//! Keys: the BLAKE3 digest of values in a canonical form.
//!
//! `key(a) == key(b)` exactly when `a` and `b` are equal, type by type: `1u32`, `1u64`, `1.0`, `"1"`, `Some(1)`, `[1]` and `(1,)`
//! all differ. Names of structs, fields and variants count. Maps and hash sets have no order. NaN equals NaN; −0.0
//! differs from 0.0, since a task can tell them apart.
//!
//! What serde skips is not in the key: `#[serde(skip)]` on a field that matters means wrong hits.

mod canonical;
pub mod unordered;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use canonical::{Sink, encode};

/// The version of the canonical form. It is part of every key: a new form means new keys.
pub const FORMAT_VERSION: u8 = 1;

/// The size above which bytes go to the hasher directly, and below which they are collected first: feeding it token by
/// token is several times slower.
const BUFFER: usize = 32 * 1024;

/// The identity of a value: 256 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// The key with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CacheKey({self})")
    }
}

/// A text that is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a cache key is 64 hexadecimal digits")]
pub struct ParseKeyError;

impl FromStr for CacheKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        blake3::Hash::from_hex(text)
            .map(|hash| Self(hash.into()))
            .map_err(|_| ParseKeyError)
    }
}

/// Why a value has no key: it refused to be serialized.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{part}` cannot be serialized: {message}")]
pub struct KeyError {
    part: String,
    message: String,
}

/// Puts a key together from named parts.
///
/// ```
/// use flowkit_cache::KeyHasher;
///
/// # fn main() -> Result<(), flowkit_cache::KeyError> {
/// let mut hasher = KeyHasher::new();
/// hasher.section("task", "growth");
/// hasher.value("rows", &[1.5, 2.5])?;
/// let key = hasher.finish()?;
/// assert_eq!(key.to_string().len(), 64);
/// # Ok(())
/// # }
/// ```
pub struct KeyHasher {
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    /// A part was written half: there is no key any more.
    failed: Option<KeyError>,
}

impl fmt::Debug for KeyHasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeyHasher")
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Default for KeyHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl KeyHasher {
    /// A key without parts.
    pub fn new() -> Self {
        let mut buffer = Vec::with_capacity(512);
        buffer.push(FORMAT_VERSION);
        Self {
            hasher: blake3::Hasher::new(),
            buffer,
            failed: None,
        }
    }

    /// Adds a named text: what the key is of, rather than what it was given.
    pub fn section(&mut self, name: &str, text: &str) {
        self.part(canonical::SECTION, name);
        self.text(text);
    }

    /// Adds a named value in its canonical form.
    ///
    /// A plain `Vec<u8>` counts as a sequence of numbers here, and differs from the same bytes given to [`bytes`](Self::bytes); a value
    /// that serializes as bytes equals them.
    ///
    /// # Errors
    /// When the value refuses to be serialized. There is then no key: [`finish`](Self::finish) gives the same error.
    pub fn value<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), KeyError> {
        self.part(canonical::VALUE, name);
        encode(self, value).map_err(|message| {
            let error = KeyError {
                part: name.to_owned(),
                message: message.0,
            };
            self.failed.get_or_insert_with(|| error.clone());
            error
        })
    }

    /// Adds named bytes, at hashing speed.
    pub fn bytes(&mut self, name: &str, bytes: &[u8]) {
        self.part(canonical::VALUE, name);
        canonical::bytes(self, bytes);
    }

    /// The key.
    ///
    /// # Errors
    /// When a part could not be added.
    pub fn finish(mut self) -> Result<CacheKey, KeyError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.hasher.update(&self.buffer);
        self.buffer.clear();
        Ok(CacheKey(self.hasher.finalize().into()))
    }

    fn part(&mut self, tag: u8, name: &str) {
        self.put(&[tag]);
        self.text(name);
    }

    fn text(&mut self, text: &str) {
        canonical::length(self, text.len());
        self.put(text.as_bytes());
    }
}

impl Sink for KeyHasher {
    fn put(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.hasher.update(&self.buffer);
            self.buffer.clear();
            if bytes.len() >= BUFFER {
                self.hasher.update(bytes);
                return;
            }
        }
        self.buffer.extend_from_slice(bytes);
    }
}

/// The key of a single value.
///
/// # Errors
/// When the value refuses to be serialized.
pub fn key_of<T: Serialize + ?Sized>(value: &T) -> Result<CacheKey, KeyError> {
    let mut hasher = KeyHasher::new();
    hasher.value("", value)?;
    hasher.finish()
}
