//! An entry: a value with what must be known to serve it, in a form that shows any damage.
//!
//! Layout, all numbers little-endian: magic `FKC`, version, digest, codec, created and expires in microseconds since 1970
//! (0: never), length of the value, length of the origin, origin, value. The digest is BLAKE3, keyed with the key, over all that
//! follows it, so an entry that is damaged, truncated, or not this key's does not verify.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::codec;
use crate::key::CacheKey;

const MAGIC: [u8; 3] = *b"FKC";
/// The version of the layout.
const VERSION: u8 = 2;
const DIGEST: usize = 16;
/// Before the part that the digest is of.
const PREFIX: usize = 3 + 1 + DIGEST;
/// Of that part, what is before the origin.
const FIXED: usize = 1 + 8 + 8 + 8 + 2;

/// A value that was served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The encoded value.
    pub value: Arc<[u8]>,
    /// When it was made.
    pub created: SystemTime,
    /// From when on it is not served any more; none means never.
    pub expires: Option<SystemTime>,
    /// What made it: the id of a task run.
    pub origin: Arc<str>,
}

impl Entry {
    /// Whether it may not be served any more. It may not from the very moment it expires.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires
            .is_some_and(|expires| (now >= expires) != cfg!(flowkit_fault = "expiry-the-wrong-way-round"))
    }
}

/// A value to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    pub(crate) value: Vec<u8>,
    pub(crate) created: SystemTime,
    pub(crate) expires: Option<SystemTime>,
    pub(crate) origin: String,
    pub(crate) durable: bool,
}

impl NewEntry {
    /// An encoded value that was made at `created`, never expires, and may be lost with the last second before a power failure.
    pub fn new(value: Vec<u8>, created: SystemTime) -> Self {
        Self {
            value,
            created,
            expires: None,
            origin: String::new(),
            durable: false,
        }
    }

    /// It is not served from `expires` on.
    pub fn expires(mut self, expires: SystemTime) -> Self {
        self.expires = Some(expires);
        self
    }

    /// What made it: the id of a task run. At most 65,535 bytes are kept.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = origin.into();
        self
    }

    /// Whether it is on the disk before [`Cache::put`](crate::Cache::put) returns.
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// When it was made.
    pub fn created(&self) -> SystemTime {
        self.created
    }

    /// The encoded value.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// When it expires.
    pub fn expiry(&self) -> Option<SystemTime> {
        self.expires
    }

    /// Whether it must be on the disk when it counts as kept.
    pub fn is_durable(&self) -> bool {
        self.durable
    }

    /// The whole entry as bytes, for stores.
    pub fn to_bytes(&self, key: &CacheKey) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.capacity());
        self.append_to(key, &mut bytes);
        bytes
    }

    /// How many bytes it takes at most.
    pub(crate) fn capacity(&self) -> usize {
        PREFIX + FIXED + self.origin.len() + self.value.len()
    }

    /// Puts the whole entry behind bytes that are there.
    pub(crate) fn append_to(&self, key: &CacheKey, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        let origin = self
            .origin
            .as_bytes()
            .get(..usize::from(u16::MAX))
            .unwrap_or(self.origin.as_bytes());
        let expires = self.expires.map_or(0, |expires| micros(expires).max(1));
        bytes.extend_from_slice(&MAGIC);
        bytes.push(VERSION);
        bytes.extend_from_slice(&[0; DIGEST]);
        bytes.push(codec::BINCODE_2);
        bytes.extend_from_slice(&micros(self.created).to_le_bytes());
        bytes.extend_from_slice(&expires.to_le_bytes());
        bytes.extend_from_slice(&(self.value.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&u16::try_from(origin.len()).unwrap_or(u16::MAX).to_le_bytes());
        bytes.extend_from_slice(origin);
        bytes.extend_from_slice(&self.value);
        let entry = bytes.get_mut(start..).unwrap_or_default();
        if let Some((prefix, covered)) = entry.split_at_mut_checked(PREFIX)
            && let Some((_, place)) = prefix.split_last_chunk_mut::<DIGEST>()
        {
            *place = digest(key, covered);
        }
    }
}

impl Entry {
    /// The entry that these bytes are, if they are the undamaged bytes of this key's.
    pub fn from_bytes(key: &CacheKey, bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.take(3)? != MAGIC || reader.take(1)? != [VERSION] {
            return None;
        }
        if reader.take(DIGEST)? != digest(key, reader.0) || reader.take(1)? != [codec::BINCODE_2] {
            return None;
        }
        let (created, expires, length) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let origin_length = u16::from_le_bytes(reader.take(2)?.try_into().ok()?);
        let origin = reader.take(usize::from(origin_length))?;
        let value = reader.0;
        if value.len() as u64 != length {
            return None;
        }
        Some(Self {
            value: Arc::from(value),
            created: time(created)?,
            expires: if expires == 0 { None } else { Some(time(expires)?) },
            origin: Arc::from(std::str::from_utf8(origin).unwrap_or_default()),
        })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}

/// Keyed, and over one piece: for a small entry that is half the cost of a hasher that is fed piece by piece.
fn digest(key: &CacheKey, covered: &[u8]) -> [u8; DIGEST] {
    let hash = blake3::keyed_hash(key.as_bytes(), covered);
    let (digest, _) = hash.as_bytes().split_first_chunk().unwrap_or((&[0; DIGEST], &[]));
    *digest
}

/// Microseconds since 1970; times before that count as that.
pub(crate) fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn time(micros: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_of;

    fn entry() -> (CacheKey, NewEntry) {
        let created = UNIX_EPOCH + Duration::from_secs(1_000);
        let entry = NewEntry::new(b"value".to_vec(), created)
            .expires(created + Duration::from_secs(5))
            .origin("run/1");
        (key_of("k").unwrap(), entry)
    }

    #[test]
    fn an_entry_survives_its_bytes() {
        let (key, new) = entry();
        let read = Entry::from_bytes(&key, &new.to_bytes(&key)).unwrap();
        assert_eq!(&*read.value, b"value");
        assert_eq!((read.created, read.expires), (new.created, new.expires));
        assert_eq!(&*read.origin, "run/1");
    }

    #[test]
    fn any_flipped_bit_and_any_truncation_is_noticed() {
        let (key, new) = entry();
        let bytes = new.to_bytes(&key);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert_eq!(Entry::from_bytes(&key, &damaged), None, "byte {at}, bit {bit}");
            }
            assert_eq!(Entry::from_bytes(&key, &bytes[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn the_entry_of_another_key_is_no_entry() {
        let (key, new) = entry();
        assert_eq!(
            Entry::from_bytes(&key_of("other").unwrap(), &new.to_bytes(&key)),
            None
        );
    }

    #[test]
    fn an_entry_is_served_until_the_moment_it_expires() {
        let (key, new) = entry();
        let read = Entry::from_bytes(&key, &new.to_bytes(&key)).unwrap();
        let expires = read.expires.unwrap();
        assert!(!read.is_expired(expires - Duration::from_micros(1)));
        assert!(read.is_expired(expires));
    }
}
