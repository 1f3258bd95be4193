//! The key of a task run, or of anything that has several parts.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::canonical::{Refusal, write};
use super::digest::CacheKey;
use super::secret::{SecretKey, sealed};
use super::stream::Stream;
use super::tag;

/// Why there is no key: a part of it refused to be serialized.
///
/// Paths that are not UTF-8, mutexes that are poisoned and cells that are mutably borrowed do. The message names the part and gives
/// its reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{part}` cannot be serialized: {reason}")]
pub struct KeyError {
    part: Box<str>,
    reason: Box<str>,
}

impl KeyError {
    /// The refusal of a part, with its reason.
    #[must_use]
    pub fn new(part: impl Into<Box<str>>, reason: impl Into<Box<str>>) -> Self {
        Self {
            part: part.into(),
            reason: reason.into(),
        }
    }

    /// The name of the part that refused.
    #[must_use]
    pub const fn part(&self) -> &str {
        &self.part
    }
}

/// The keys of parts that have one each: see [`KeyHasher::in_parts`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyParts {
    /// That of the sections.
    pub sections: CacheKey,
    /// That of each value, in the order in which they were added.
    pub values: Vec<CacheKey>,
    /// Which of the values are secrets, by their indexes.
    pub secrets: Vec<usize>,
}

/// Puts a key together from named parts. The parts, their names and their order all count.
///
/// Nothing is kept of the values but a buffer of 32 KiB, save for maps and sets, which are sorted in memory.
///
/// ```
/// use flowkit_cache::KeyHasher;
///
/// # fn main() -> Result<(), flowkit_cache::KeyError> {
/// let mut hasher = KeyHasher::new();
/// hasher.section("task", "growth");
/// hasher.value("rows", &[1.5, 2.5])?;
/// hasher.bytes("image", b"\x89PNG");
/// let key = hasher.finish()?;
/// assert_eq!(key.to_string().len(), 64);
/// # Ok(())
/// # }
/// ```
pub struct KeyHasher {
    stream: Stream,
    failed: Option<KeyError>,
    /// The keys of the values so far, where each value has one of its own.
    parts: Option<Vec<CacheKey>>,
    /// Which of them are secrets.
    sealed: Vec<usize>,
    /// What secrets are hashed with.
    secrets: Option<Arc<dyn SecretKey>>,
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
    #[must_use]
    pub fn new() -> Self {
        Self {
            stream: Stream::new(),
            failed: None,
            parts: None,
            sealed: Vec::new(),
            secrets: None,
        }
    }

    /// A hasher that gives each value a key of its own, so that what changed can be told: see [`finish_parts`](Self::finish_parts).
    #[must_use]
    pub fn in_parts() -> Self {
        Self {
            parts: Some(Vec::new()),
            ..Self::new()
        }
    }

    /// Takes secrets, too, which are hashed with this key.
    #[must_use]
    pub fn with_secrets(self, secrets: Arc<dyn SecretKey>) -> Self {
        Self {
            secrets: Some(secrets),
            ..self
        }
    }

    /// Adds a named value of which the key tells nothing to who does not have the key of [`with_secrets`](Self::with_secrets). With it, equal values
    /// make equal keys.
    ///
    /// # Errors
    /// When the value refuses to be serialized, or there is no key for secrets. The reason says nothing of the value.
    pub fn secret<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), KeyError> {
        let key = self.secrets.as_ref().and_then(|secrets| secrets.secret_key());
        let sealed = match (key, key_of(value)) {
            (Some(key), Ok(value)) => Ok(sealed(&key, &value)),
            (None, _) => Err("it is a secret, and there is no key to hash it with"),
            (_, Err(_)) => Err("it is a secret that refuses to be serialized"),
        };
        match sealed {
            Ok(sealed) => {
                self.sealed.extend(self.parts.as_ref().map(Vec::len));
                self.bytes(name, &sealed);
            }
            Err(reason) => drop(self.failed.get_or_insert_with(|| KeyError::new(name, reason))),
        }
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Adds a named text that says what the key is of, rather than what it was given: a section is never equal to a value.
    pub fn section(&mut self, name: &str, text: &str) {
        self.stream.put_text(tag::SECTION, name);
        self.stream.put_text(tag::STR, text);
    }

    /// Adds a named value in its canonical form.
    ///
    /// A value that serializes as bytes, as those of `serde_bytes` do, equals the same bytes given to [`bytes`](Self::bytes). A plain
    /// `Vec<u8>` or `[u8]` does not: serde shows it as a sequence of numbers, and it is hashed at a tenth of the speed.
    ///
    /// # Errors
    /// When the value refuses to be serialized. There is no key from then on: every later call of `value`, and
    /// [`finish`](Self::finish), gives the same error.
    pub fn value<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), KeyError> {
        if self.failed.is_none() {
            let sections = self.begin_value(name);
            let written = write(&mut self.stream, value);
            self.end_value(name, sections, written);
        }
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn begin_value(&mut self, name: &str) -> Option<Stream> {
        let sections = self.begin_part();
        self.stream.put_text(tag::VALUE, name);
        sections
    }

    fn end_value(&mut self, name: &str, sections: Option<Stream>, written: Result<(), Refusal>) {
        // The stream remembers also the refusals that a `Serialize` met inside of the value and passed over.
        if let Some(refusal) = written.err().as_ref().or(self.stream.refusal()) {
            self.failed = Some(KeyError {
                part: name.into(),
                reason: refusal.0.clone(),
            });
        }
        self.end_part(sections);
    }

    /// Adds named bytes, at the speed of the hash.
    pub fn bytes(&mut self, name: &str, bytes: &[u8]) {
        let sections = self.begin_part();
        self.stream.put_text(tag::VALUE, name);
        self.stream.put_bytes(tag::BYTES, bytes);
        self.end_part(sections);
    }

    /// Where each value has a key of its own, puts the sections aside meanwhile.
    fn begin_part(&mut self) -> Option<Stream> {
        let in_parts = self.parts.is_some();
        in_parts.then(|| std::mem::replace(&mut self.stream, Stream::new()))
    }

    fn end_part(&mut self, sections: Option<Stream>) {
        if let (Some(parts), Some(sections)) = (&mut self.parts, sections) {
            parts.push(std::mem::replace(&mut self.stream, sections).finish());
        }
    }

    /// The keys of the parts, where each has one of its own.
    ///
    /// # Errors
    /// When a part refused to be serialized.
    pub fn finish_parts(self) -> Result<KeyParts, KeyError> {
        match self.failed {
            None => Ok(KeyParts {
                sections: self.stream.finish(),
                values: self.parts.unwrap_or_default(),
                secrets: self.sealed,
            }),
            Some(error) => Err(error),
        }
    }

    /// The key of all the parts.
    ///
    /// # Errors
    /// When a part refused to be serialized. There is never a key of half a value.
    pub fn finish(self) -> Result<CacheKey, KeyError> {
        match self.failed {
            None => Ok(self.stream.finish()),
            Some(error) => Err(error),
        }
    }
}

/// The key of a single value: that of a [`KeyHasher`] with one part, whose name is `value`.
///
/// # Errors
/// When the value refuses to be serialized.
pub fn key_of<T: Serialize + ?Sized>(value: &T) -> Result<CacheKey, KeyError> {
    let mut hasher = KeyHasher::new();
    hasher.value("value", value)?;
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_parts_each_value_has_a_key_of_its_own_and_sections_share_one() {
        let parts = |task: &str, rows: &[u8], name: &str| {
            let mut hasher = KeyHasher::in_parts();
            hasher.section("task", task);
            hasher.value("rows", rows).unwrap();
            hasher.value("name", name).unwrap();
            hasher.finish_parts().unwrap()
        };
        let (one, other) = (parts("growth", &[1, 2], "a"), parts("growth", &[1, 3], "a"));
        assert_eq!(one.sections, other.sections);
        assert_ne!(one.values[0], other.values[0]);
        assert_eq!(one.values[1], other.values[1]);
        assert_ne!(one.sections, parts("load", &[1, 2], "a").sections);
        assert_eq!(one.secrets, [0; 0]);
    }

    #[test]
    fn in_parts_secrets_are_said_to_be_some() {
        struct Fixed;
        impl SecretKey for Fixed {
            fn secret_key(&self) -> Option<[u8; 32]> {
                Some([7; 32])
            }
        }
        let mut hasher = KeyHasher::in_parts().with_secrets(Arc::new(Fixed));
        hasher.value("user", "a").unwrap();
        hasher.secret("password", "b").unwrap();
        let parts = hasher.finish_parts().unwrap();
        assert_eq!((parts.values.len(), parts.secrets), (2, vec![1]));
    }

    #[test]
    fn in_parts_a_value_that_refuses_leaves_no_keys() {
        let mut hasher = KeyHasher::in_parts();
        let refusing = std::cell::RefCell::new(1);
        let _held = refusing.borrow_mut();
        assert!(hasher.value("cell", &refusing).is_err());
        assert!(hasher.finish_parts().is_err());
    }
}
