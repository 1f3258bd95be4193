//! The entries, how many they are, and their orders. A put is one insert, and so is atomic by itself.

use std::collections::HashSet;
use std::fs::File;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::UNIX_EPOCH;

use sled::{IVec, Tree};

use super::orders::{Hint, Order, Orders};
use super::sled_error;
use crate::key::CacheKey;
use crate::record::{NewRecord, Record};
use crate::store::{Listed, StoreError, StoreStats};

/// The trees.
pub(super) struct Trees {
    db: sled::Db,
    entries: Tree,
    pub(super) orders: Orders,
    /// Signed, since a put may be counted out before it is counted in.
    count: AtomicI64,
    bytes: AtomicI64,
}

/// The size of an entry, as its record says it.
fn size(record: &[u8]) -> i64 {
    Record::read(record).map_or(0, |record| i64::try_from(record.size).unwrap_or(i64::MAX))
}

impl Trees {
    /// Opens the trees, counts, and repairs the orders. Gives the files that records name as well.
    pub(super) fn open(db: sled::Db) -> Result<(Self, HashSet<String>), StoreError> {
        let failed = |error| sled_error("opening the cache", error);
        let entries = db.open_tree("entries").map_err(failed)?;
        let (mut count, mut bytes, mut objects) = (0, 0, HashSet::new());
        let orders = Orders::open(&db, entries.clone(), |record| {
            count += 1;
            bytes += size(record);
            objects.extend(
                Record::read(record)
                    .and_then(|record| record.object())
                    .map(str::to_owned),
            );
        })
        .map_err(failed)?;
        let trees = Self {
            db,
            entries,
            orders,
            count: AtomicI64::new(count),
            bytes: AtomicI64::new(bytes),
        };
        Ok((trees, objects))
    }

    pub(super) fn get(&self, key: &CacheKey) -> Result<Option<IVec>, StoreError> {
        match self.entries.get(key.as_bytes()) {
            // A damaged page costs its entries, not the store: this reads as no record.
            Err(sled::Error::Corruption { .. }) => Ok(Some(IVec::default())),
            found => found.map_err(|error| sled_error("asking the cache", error)),
        }
    }

    /// Puts a record; gives the one that it replaced, and says whether the flusher should be woken.
    pub(super) fn put(
        &self,
        key: &CacheKey,
        record: &mut NewRecord,
        used: u64,
    ) -> Result<(Option<IVec>, bool), StoreError> {
        let turn = self.orders.turn();
        record.set_turn(turn.number());
        let replaced = self
            .entries
            .insert(key.as_bytes(), record.bytes())
            .map_err(|error| sled_error("writing the cache", error))?;
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(size(record.bytes()), Ordering::Relaxed);
        if let Some(replaced) = &replaced {
            self.count_out(replaced);
        }
        let wake = self.orders.note_change(&turn, key, used, replaced.as_deref())?;
        Ok((replaced, wake))
    }

    /// Takes a record away, whatever it is.
    pub(super) fn remove(&self, key: &CacheKey) -> Result<Option<IVec>, StoreError> {
        let turn = self.orders.turn();
        let removed = self
            .entries
            .remove(key.as_bytes())
            .map_err(|error| sled_error("changing the cache", error))?;
        if let Some(removed) = &removed {
            self.count_out(removed);
            self.orders.note_change(&turn, key, 0, Some(removed))?;
        }
        Ok(removed)
    }

    /// Takes a record away unless it was replaced in between, and says whether it did.
    pub(super) fn remove_this(&self, key: &CacheKey, record: &IVec) -> Result<bool, StoreError> {
        let removed = self
            .entries
            .compare_and_swap(key.as_bytes(), Some(record), None::<&[u8]>)
            .map_err(|error| sled_error("sweeping the cache", error))?
            .is_ok();
        if removed {
            self.count_out(record);
        }
        Ok(removed)
    }

    fn count_out(&self, record: &[u8]) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(size(record), Ordering::Relaxed);
    }

    /// The next entry that may have to go: one that has expired, else one that is surplus.
    pub(super) fn next_to_go(&self, now: u64, max_bytes: u64) -> Result<Option<Hint>, StoreError> {
        if let Some(hint) = self.orders.first(Order::Expiry, now)? {
            return Ok(Some(hint));
        }
        if self.stats().bytes > max_bytes {
            return self.orders.first(Order::LastUse, u64::MAX);
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

    /// Entries after a key, at most so many. A record that cannot be read is listed as empty: whoever asks for it hears that it is damaged.
    pub(super) fn list(&self, after: Option<&CacheKey>, limit: usize) -> Result<Vec<Listed>, StoreError> {
        let from = after.map_or(Bound::Unbounded, |after| {
            Bound::Excluded(after.as_bytes().as_slice())
        });
        let entries = self.entries.range::<&[u8], _>((from, Bound::Unbounded));
        entries
            .filter_map(|found| match found {
                Ok((key, record)) => {
                    let key = CacheKey::from_bytes(key.as_ref().try_into().ok()?);
                    let listed = Record::read(&record).map(|record| record.listed(key));
                    Some(Ok(listed.unwrap_or(Listed {
                        key,
                        bytes: 0,
                        created: UNIX_EPOCH,
                        expires: None,
                    })))
                }
                Err(error) => Some(Err(sled_error("listing the cache", error))),
            })
            .take(limit)
            .collect()
    }

    /// Writes everything out. sled's own flush does not sync: the file is synced after it.
    pub(super) fn flush(&self, directory: &Path) -> Result<(), StoreError> {
        self.db
            .flush()
            .map_err(|error| sled_error("writing the cache", error))?;
        // Only a file that is open for writing can be synced on every system.
        let file = File::options().write(true).open(directory.join("sled/db"));
        file.and_then(|file| file.sync_all())
            .map_err(|error| StoreError::io("syncing the cache", error))
    }

    pub(super) fn stats(&self) -> StoreStats {
        let read = |number: &AtomicI64| u64::try_from(number.load(Ordering::Relaxed)).unwrap_or(0);
        StoreStats {
            entries: read(&self.count),
            bytes: read(&self.bytes),
        }
    }
}
