//! The record of an entry, as stores on disk keep it: what their orders need, and then the entry itself or the name of the
//! file that it is in.
//!
//! Layout, numbers big-endian: kind, created and expires in microseconds since 1970 (0: never), the entry's size in bytes, the
//! turn in which it was put, and the rest. That the rest is an undamaged entry is what its own digest says.

use std::time::UNIX_EPOCH;

use crate::entry::{NewEntry, micros, time};
use crate::key::CacheKey;
use crate::store::Listed;

/// The largest entry that is kept in its record, in bytes. A larger one is a file of its own.
pub(crate) const INLINE: usize = 4 * 1024;

const HERE: u8 = 0;
const OBJECT: u8 = 1;
const HEAD: usize = 1 + 8 + 8 + 8 + 8;

/// A record that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) created: u64,
    /// 0 means never.
    pub(crate) expires: u64,
    pub(crate) size: u64,
    /// What it means is the store's business.
    pub(crate) turn: u64,
    pub(crate) content: Content<'a>,
}

/// Where the entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    /// Here, from this byte of the record on.
    Inline(usize),
    /// In this file.
    Object(&'a str),
}

impl<'a> Record<'a> {
    /// The record that these bytes are, if they are one.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        let (kind, numbers) = head.split_first()?;
        let number = |at: usize| Some(u64::from_be_bytes(numbers.get(at..at + 8)?.try_into().ok()?));
        let content = match *kind {
            HERE => Content::Inline(HEAD),
            OBJECT => Content::Object(std::str::from_utf8(rest).ok()?),
            _ => return None,
        };
        Some(Self {
            created: number(0)?,
            expires: number(8)?,
            size: number(16)?,
            turn: number(24)?,
            content,
        })
    }

    /// The record as a list shows it, under this key.
    pub(crate) fn listed(&self, key: CacheKey) -> Listed {
        Listed {
            key,
            bytes: self.size,
            created: time(self.created).unwrap_or(UNIX_EPOCH),
            expires: (self.expires != 0).then(|| time(self.expires)).flatten(),
        }
    }

    /// The file that the entry is in, if it is in one.
    pub(crate) fn object(&self) -> Option<&'a str> {
        match self.content {
            Content::Object(name) => Some(name),
            Content::Inline(_) => None,
        }
    }
}

/// A record to be kept, with its entry in it.
pub(crate) struct NewRecord {
    bytes: Vec<u8>,
}

impl NewRecord {
    pub(crate) fn new(key: &CacheKey, entry: &NewEntry) -> Self {
        let mut bytes = Vec::with_capacity(HEAD + entry.capacity());
        let expires = entry.expiry().map_or(0, |expires| micros(expires).max(1));
        bytes.push(HERE);
        bytes.extend_from_slice(&micros(entry.created()).to_be_bytes());
        bytes.extend_from_slice(&expires.to_be_bytes());
        bytes.extend_from_slice(&[0; 8 + 8]);
        entry.append_to(key, &mut bytes);
        let mut record = Self { bytes };
        record.set(17, record.entry().len() as u64);
        record
    }

    /// Says in which turn it is put.
    #[cfg(any(feature = "sled", test))]
    pub(crate) fn set_turn(&mut self, turn: u64) {
        self.set(25, turn);
    }

    fn set(&mut self, at: usize, number: u64) {
        if let Some(place) = self.bytes.get_mut(at..at + 8) {
            place.copy_from_slice(&number.to_be_bytes());
        }
    }

    /// The entry alone.
    pub(crate) fn entry(&self) -> &[u8] {
        self.bytes.get(HEAD..).unwrap_or_default()
    }

    /// The record as it is kept.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Names the file that the entry was written to, in place of the entry.
    pub(crate) fn move_to(&mut self, object: &str) {
        self.bytes.truncate(HEAD);
        if let Some(kind) = self.bytes.first_mut() {
            *kind = OBJECT;
        }
        self.bytes.extend_from_slice(object.as_bytes());
    }
}

/// The key of an entry in an order of times: the earliest comes first.
pub(crate) fn ordered(at: u64, key: &CacheKey) -> [u8; 40] {
    let mut bytes = [0; 40];
    let (number, rest) = bytes.split_at_mut(8);
    number.copy_from_slice(&at.to_be_bytes());
    rest.copy_from_slice(key.as_bytes());
    bytes
}

/// What [`ordered`] was made of.
pub(crate) fn in_order(bytes: &[u8]) -> Option<(u64, CacheKey)> {
    let (at, key) = bytes.split_first_chunk()?;
    Some((
        u64::from_be_bytes(*at),
        CacheKey::from_bytes(key.try_into().ok()?),
    ))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::entry::Entry;
    use crate::key_of;

    #[test]
    fn a_record_says_what_was_put_into_it() {
        let (key, at) = (key_of("k").unwrap(), UNIX_EPOCH + Duration::from_secs(3));
        let new = NewEntry::new(vec![7; 50], at).expires(at + Duration::from_secs(1));
        let mut record = NewRecord::new(&key, &new);
        record.set_turn(8);
        let size = record.entry().len() as u64;
        let read = Record::read(record.bytes()).unwrap();
        assert_eq!(
            (read.created, read.expires, read.size, read.turn),
            (3_000_000, 4_000_000, size, 8)
        );
        let Content::Inline(start) = read.content else {
            panic!("it is inline: {read:?}")
        };
        let kept = Entry::from_tail(&key, record.bytes().to_vec(), start).unwrap();
        assert_eq!(kept.created(), at);
        record.move_to("ab/file");
        let moved = Record::read(record.bytes()).unwrap();
        assert_eq!(moved.object(), Some("ab/file"));
        assert_eq!(
            (moved.created, moved.expires, moved.size, moved.turn),
            (3_000_000, 4_000_000, size, 8)
        );
    }

    #[test]
    fn what_is_too_short_or_of_another_kind_is_no_record() {
        assert_eq!(Record::read(&[]), None);
        assert_eq!(Record::read(&[HERE; HEAD - 1]), None);
        assert_eq!(Record::read(&[9; HEAD]), None);
    }
}
