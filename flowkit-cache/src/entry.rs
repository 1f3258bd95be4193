//! An entry: a value with what must be known to serve it, in a form that shows any damage.
//!
//! Layout, all numbers little-endian: magic `FKC`, version, digest, codec, created and expires in microseconds since 1970
//! (0: never), length of the value, length of the origin, origin, value. The digest is XXH3 over all that follows
//! it, mixed with the key, so an entry that is damaged, truncated, or not this key's does not verify.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use twox_hash::XxHash3_128;

use crate::codec;
use crate::key::CacheKey;

const MAGIC: [u8; 3] = *b"FKC";
/// The version of the layout.
const VERSION: u8 = 3;
const DIGEST: usize = 16;
/// Before the part that the digest is of.
const PREFIX: usize = 3 + 1 + DIGEST;
/// Of that part, what is before the origin.
const FIXED: usize = 1 + 8 + 8 + 8 + 2;

/// A value that was served. Cheap to clone: all clones share the bytes that were read.
#[derive(Clone)]
pub struct Entry {
    /// What the store has of it. The value is a part of this, and is copied nowhere.
    bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
    value: Range<usize>,
    origin: Range<usize>,
    created: SystemTime,
    expires: Option<SystemTime>,
}

impl Entry {
    /// The encoded value.
    pub fn value(&self) -> &[u8] {
        self.part(&self.value)
    }

    /// When it was made.
    pub fn created(&self) -> SystemTime {
        self.created
    }

    /// From when on it is not served any more; none means never.
    pub fn expires(&self) -> Option<SystemTime> {
        self.expires
    }

    /// What made it: the id of a task run.
    pub fn origin(&self) -> &str {
        std::str::from_utf8(self.part(&self.origin)).unwrap_or_default()
    }

    /// Whether it may not be served any more. It may not from the very moment it expires.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires
            .is_some_and(|expires| (now >= expires) != cfg!(flowkit_fault = "expiry-the-wrong-way-round"))
    }

    fn part(&self, part: &Range<usize>) -> &[u8] {
        self.bytes.as_ref().as_ref().get(part.clone()).unwrap_or_default()
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.value(), self.origin(), self.created, self.expires)
            == (other.value(), other.origin(), other.created, other.expires)
    }
}

impl Eq for Entry {}

impl fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Entry")
            .field("value", &self.value())
            .field("created", &self.created)
            .field("expires", &self.expires)
            .field("origin", &self.origin())
            .finish()
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
    /// The entry that these bytes are, if they are the undamaged bytes of this key's. They are kept as they are.
    pub fn from_bytes(key: &CacheKey, bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Option<Self> {
        Self::from_tail(key, bytes, 0)
    }

    /// The same of the bytes from `start` on.
    pub(crate) fn from_tail(
        key: &CacheKey,
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
        start: usize,
    ) -> Option<Self> {
        let whole = bytes.as_ref();
        let mut reader = Reader(whole.get(start..)?);
        if reader.take(3)? != MAGIC || reader.take(1)? != [VERSION] {
            return None;
        }
        if reader.take(DIGEST)? != digest(key, reader.0) || reader.take(1)? != [codec::BINCODE_2] {
            return None;
        }
        let (created, expires, length) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let origin_length = u16::from_le_bytes(reader.take(2)?.try_into().ok()?);
        let origin = whole.len() - reader.0.len();
        reader.take(usize::from(origin_length))?;
        let value = whole.len() - reader.0.len();
        if reader.0.len() as u64 != length {
            return None;
        }
        let (origin, value) = (origin..value, value..whole.len());
        Some(Self {
            bytes: Arc::new(bytes),
            value,
            origin,
            created: time(created)?,
            expires: if expires == 0 { None } else { Some(time(expires)?) },
        })
    }

    /// What is served of a value that is kept in memory.
    pub(crate) fn of(kept: &NewEntry) -> Self {
        let value = 0..kept.value.len();
        let mut bytes = Vec::with_capacity(kept.value.len() + kept.origin.len());
        bytes.extend_from_slice(&kept.value);
        bytes.extend_from_slice(kept.origin.as_bytes());
        Self {
            origin: value.end..bytes.len(),
            bytes: Arc::new(bytes),
            value,
            created: kept.created,
            expires: kept.expires,
        }
    }

    /// How many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        self.value.len() + self.origin.len()
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

/// Of what damage makes, 128 bits of XXH3 see as much as any digest, at a fraction of its cost; who can write into the cache can serve what they
/// like anyway. Mixed with the key, so that an entry is no other key's.
fn digest(key: &CacheKey, covered: &[u8]) -> [u8; DIGEST] {
    let of_key = key
        .as_bytes()
        .first_chunk()
        .map_or(0, |bytes| u128::from_le_bytes(*bytes));
    (XxHash3_128::oneshot(covered) ^ of_key).to_le_bytes()
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
        let read = Entry::from_bytes(&key, new.to_bytes(&key)).unwrap();
        assert_eq!(read.value(), b"value");
        assert_eq!((read.created, read.expires), (new.created, new.expires));
        assert_eq!(read.origin(), "run/1");
    }

    #[test]
    fn any_flipped_bit_and_any_truncation_is_noticed() {
        let (key, new) = entry();
        let bytes = new.to_bytes(&key);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert_eq!(Entry::from_bytes(&key, damaged), None, "byte {at}, bit {bit}");
            }
            assert_eq!(Entry::from_bytes(&key, bytes[..at].to_vec()), None, "cut at {at}");
        }
    }

    #[test]
    fn the_entry_of_another_key_is_no_entry() {
        let (key, new) = entry();
        assert_eq!(
            Entry::from_bytes(&key_of("other").unwrap(), new.to_bytes(&key)),
            None
        );
    }

    #[test]
    fn an_entry_is_served_until_the_moment_it_expires() {
        let (key, new) = entry();
        let read = Entry::from_bytes(&key, new.to_bytes(&key)).unwrap();
        let expires = read.expires.unwrap();
        assert!(!read.is_expired(expires - Duration::from_micros(1)));
        assert!(read.is_expired(expires));
    }
}
