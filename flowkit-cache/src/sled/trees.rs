//! The four trees of the store, changed together in one transaction: entries, places, and the orders of expiry and use.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use sled::transaction::{
    ConflictableTransactionError, TransactionError, Transactional, TransactionalTree,
    UnabortableTransactionError,
};
use sled::{IVec, Tree};

use super::sled_error;
use crate::key::CacheKey;
use crate::store::{StoreError, StoreStats};

const INLINE: u8 = 0;
const OBJECT: u8 = 1;

/// What must be known of an entry to remove it from the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) used: u64,
    /// 0 means never.
    pub(super) expires: u64,
    pub(super) size: u64,
}

impl Place {
    fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let (used, rest) = bytes.split_at_mut(8);
        let (expires, size) = rest.split_at_mut(8);
        used.copy_from_slice(&self.used.to_be_bytes());
        expires.copy_from_slice(&self.expires.to_be_bytes());
        size.copy_from_slice(&self.size.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        Some(Self {
            used: number(0)?,
            expires: number(8)?,
            size: number(16)?,
        })
    }
}

/// The record of an entry, as sled keeps it.
pub(super) struct StoredRecord(IVec);

/// What a record says.
pub(super) enum Record<'a> {
    /// The entry itself.
    Inline(&'a [u8]),
    /// The file that the entry is in.
    Object(&'a str),
}

impl StoredRecord {
    pub(super) fn content(&self) -> Option<Record<'_>> {
        match self.0.split_first()? {
            (&INLINE, bytes) => Some(Record::Inline(bytes)),
            (&OBJECT, name) => std::str::from_utf8(name).ok().map(Record::Object),
            _ => None,
        }
    }

    pub(super) fn object(&self) -> Option<&str> {
        match self.content()? {
            Record::Object(object) => Some(object),
            Record::Inline(_) => None,
        }
    }
}

pub(super) fn inline_record(bytes: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(bytes.len() + 1);
    record.push(INLINE);
    record.extend_from_slice(bytes);
    record
}

pub(super) fn object_record(name: &str) -> Vec<u8> {
    let mut record = Vec::with_capacity(name.len() + 1);
    record.push(OBJECT);
    record.extend_from_slice(name.as_bytes());
    record
}

/// The trees.
pub(super) struct Trees {
    db: sled::Db,
    entries: Tree,
    places: Tree,
    expiry: Tree,
    recency: Tree,
    count: AtomicU64,
    bytes: AtomicU64,
}

fn ordered(number: u64, key: &CacheKey) -> IVec {
    let mut bytes = [0u8; 40];
    let (at, rest) = bytes.split_at_mut(8);
    at.copy_from_slice(&number.to_be_bytes());
    rest.copy_from_slice(key.as_bytes());
    IVec::from(bytes.as_slice())
}

/// The key at the end of an order's key.
fn key_in(ordered: &[u8]) -> Option<CacheKey> {
    Some(CacheKey::from_bytes(ordered.get(8..)?.try_into().ok()?))
}

fn failed(error: TransactionError<()>) -> StoreError {
    match error {
        TransactionError::Storage(error) => sled_error("changing the cache", error),
        TransactionError::Abort(()) => {
            sled_error("changing the cache", sled::Error::Unsupported("aborted".into()))
        }
    }
}

/// Takes an entry out of both orders, by the place that it had.
fn leave_orders(
    expiry: &TransactionalTree,
    recency: &TransactionalTree,
    key: &CacheKey,
    place: Option<&[u8]>,
) -> Result<(), UnabortableTransactionError> {
    if let Some(before) = place.and_then(Place::from_bytes) {
        recency.remove(ordered(before.used, key))?;
        if before.expires > 0 {
            expiry.remove(ordered(before.expires, key))?;
        }
    }
    Ok(())
}

/// What one transaction over the four trees takes away and gives.
type Outcome = Result<(Option<IVec>, Option<IVec>), ConflictableTransactionError<()>>;

impl Trees {
    pub(super) fn new(db: sled::Db) -> Result<Self, sled::Error> {
        let (entries, places) = (db.open_tree("entries")?, db.open_tree("places")?);
        let (expiry, recency) = (db.open_tree("expiry")?, db.open_tree("recency")?);
        let (mut count, mut bytes) = (0, 0);
        for place in &places {
            let (_, place) = place?;
            count += 1;
            bytes += Place::from_bytes(&place).map_or(0, |place| place.size);
        }
        Ok(Self {
            db,
            entries,
            places,
            expiry,
            recency,
            count: count.into(),
            bytes: AtomicU64::new(bytes),
        })
    }

    /// A number that this store has not given before.
    pub(super) fn next_id(&self) -> Result<u64, StoreError> {
        self.db
            .generate_id()
            .map_err(|error| sled_error("naming a value", error))
    }

    pub(super) fn get(&self, key: &CacheKey) -> Result<Option<StoredRecord>, StoreError> {
        match self.entries.get(key.as_bytes()) {
            Ok(record) => Ok(record.map(StoredRecord)),
            // A damaged page costs its entries, not the store.
            Err(sled::Error::Corruption { .. }) => Ok(Some(StoredRecord(IVec::from(&[u8::MAX])))),
            Err(error) => Err(sled_error("asking the cache", error)),
        }
    }

    /// Puts a record in its places; gives the record that it replaced.
    pub(super) fn put(
        &self,
        key: &CacheKey,
        record: &[u8],
        place: Place,
    ) -> Result<Option<StoredRecord>, StoreError> {
        let trees = (&self.entries, &self.places, &self.expiry, &self.recency);
        let (record_before, place_before) = trees
            .transaction(|(entries, places, expiry, recency)| -> Outcome {
                let record_before = entries.insert(key.as_bytes(), record)?;
                let place_before = places.insert(key.as_bytes(), &place.to_bytes())?;
                leave_orders(expiry, recency, key, place_before.as_deref())?;
                recency.insert(ordered(place.used, key), &[])?;
                if place.expires > 0 {
                    expiry.insert(ordered(place.expires, key), &[])?;
                }
                Ok((record_before, place_before))
            })
            .map_err(failed)?;
        self.bytes.fetch_add(place.size, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.count_out(place_before.as_deref());
        Ok(record_before.map(StoredRecord))
    }

    /// Takes a record out of all its places.
    pub(super) fn remove(&self, key: &CacheKey) -> Result<Option<StoredRecord>, StoreError> {
        let trees = (&self.entries, &self.places, &self.expiry, &self.recency);
        let (record, place) = trees
            .transaction(|(entries, places, expiry, recency)| -> Outcome {
                let record = entries.remove(key.as_bytes())?;
                let place = places.remove(key.as_bytes())?;
                leave_orders(expiry, recency, key, place.as_deref())?;
                Ok((record, place))
            })
            .map_err(failed)?;
        self.count_out(place.as_deref());
        Ok(record.map(StoredRecord))
    }

    fn count_out(&self, place: Option<&[u8]>) {
        if let Some(place) = place {
            self.count.fetch_sub(1, Ordering::Relaxed);
            self.bytes.fetch_sub(
                Place::from_bytes(place).map_or(0, |place| place.size),
                Ordering::Relaxed,
            );
        }
    }

    /// Moves an entry in the order of use.
    pub(super) fn note_use(&self, key: &CacheKey, used: u64) -> Result<(), StoreError> {
        let moved = (&self.places, &self.recency).transaction(|(places, recency)| {
            let Some(before) = places.get(key.as_bytes())?.as_deref().and_then(Place::from_bytes) else {
                return Ok(());
            };
            if before.used < used {
                recency.remove(ordered(before.used, key))?;
                recency.insert(ordered(used, key), &[])?;
                places.insert(key.as_bytes(), &Place { used, ..before }.to_bytes())?;
            }
            Ok(())
        });
        moved.map_err(failed)
    }

    /// The next entry to go: one that has expired, else one that is surplus.
    pub(super) fn next_to_go(&self, now: u64, max_bytes: u64) -> Result<Option<CacheKey>, StoreError> {
        let first = |tree: &Tree| {
            tree.first()
                .map_err(|error| sled_error("sweeping the cache", error))
        };
        if let Some((order, _)) = first(&self.expiry)?
            && order
                .get(..8)
                .is_some_and(|expires| *expires <= now.to_be_bytes()[..])
        {
            return Ok(key_in(&order));
        }
        if self.bytes.load(Ordering::Relaxed) > max_bytes
            && let Some((order, _)) = first(&self.recency)?
        {
            return Ok(key_in(&order));
        }
        Ok(None)
    }

    pub(super) fn any_key(&self) -> Result<Option<CacheKey>, StoreError> {
        let first = self
            .entries
            .first()
            .map_err(|error| sled_error("clearing the cache", error))?;
        Ok(first.and_then(|(key, _)| Some(CacheKey::from_bytes(key.as_ref().try_into().ok()?))))
    }

    /// The files that records name.
    pub(super) fn objects(&self) -> Result<Vec<String>, sled::Error> {
        let mut objects = Vec::new();
        for entry in &self.entries {
            objects.extend(StoredRecord(entry?.1).object().map(str::to_owned));
        }
        Ok(objects)
    }

    /// Writes everything out. sled's own flush does not sync: the file is synced after it.
    pub(super) fn flush(&self, directory: &Path) -> Result<(), StoreError> {
        self.db
            .flush()
            .map_err(|error| sled_error("writing the cache", error))?;
        let sync = |name: &str| File::open(directory.join("sled").join(name))?.sync_all();
        sync("db").map_err(|error| StoreError::io("syncing the cache", error))
    }

    pub(super) fn stats(&self) -> StoreStats {
        StoreStats {
            entries: self.count.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}
