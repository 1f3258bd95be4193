//! The default store: sled for headers and small values, a file for each large one.
//!
//! sled leaks and never syncs values above some kilobytes, so it is given none: a value over 4 KiB is a file of its own,
//! synced before the record that names it is written, and unlinked after the flush that forgets it. A put is one insert
//! of a record, and a hit writes nothing. The orders of expiry and of last use follow in the background.

mod contained;
mod flusher;
mod open;
mod orders;
mod queue;
mod trees;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use contained::LastHold;
use flusher::Flusher;
use orders::Hint;
use trees::Trees;

use crate::entry::{Entry, NewEntry, micros};
use crate::key::CacheKey;
use crate::objects::Objects;
use crate::record::{Content, INLINE, NewRecord, Record};
use crate::store::{CacheStore, Found, Listed, StoreError, StoreErrorKind, StoreStats, SweepBudget};

/// Keeps entries in a directory. One process at a time; within it, opening the same directory again gives the same store.
///
/// Once the disk could not be written, because it is full for example, it answers with errors until it is opened again.
#[derive(Clone)]
pub struct SledStore(Arc<Handle>);

/// What the last owner drops: it stops the flusher, which writes out what is left.
struct Handle {
    inner: Arc<Inner>,
    flusher: Flusher,
}

/// What the store and its flusher share.
struct Inner {
    directory: PathBuf,
    trees: Trees,
    objects: Objects,
    /// Files that no record names any more, once the next flush is done.
    doomed: Mutex<Vec<String>>,
    dirty: AtomicBool,
    /// After the trees.
    _last: LastHold,
}

impl fmt::Debug for SledStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("SledStore")
            .field(&self.0.inner.directory)
            .finish()
    }
}

impl SledStore {
    /// Opens the store in a directory, and makes the directory if there is none.
    ///
    /// A store that is damaged beyond reading is renamed aside and a new one begun.
    ///
    /// # Errors
    /// [`Locked`](StoreErrorKind::Locked) if another process uses the directory for longer than a second,
    /// [`Version`](StoreErrorKind::Version) if a newer flowkit wrote it, [`Place`](StoreErrorKind::Place) if it cannot be a directory of ours.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, StoreError> {
        open::open(directory.as_ref()).map(Self)
    }

    fn inner(&self) -> &Inner {
        &self.0.inner
    }
}

impl Inner {
    fn note_use(&self, key: &CacheKey, now: SystemTime) {
        self.trees.orders.note_use(key, micros(now));
        self.dirty.store(true, Ordering::Relaxed);
    }

    /// Forgets an entry that does not verify.
    fn set_aside(&self, key: &CacheKey) -> Result<Found, StoreError> {
        self.forget(key)?;
        Ok(Found::Damaged)
    }

    fn forget(&self, key: &CacheKey) -> Result<bool, StoreError> {
        let removed = self.trees.remove(key)?;
        if let Some(removed) = &removed {
            self.doom(removed);
        }
        self.dirty.store(true, Ordering::Release);
        Ok(removed.is_some())
    }

    /// Notes the file of an entry that is gone, if it had one.
    fn doom(&self, record: &[u8]) {
        if let Some(object) = Record::read(record).and_then(|record| record.object()) {
            self.doomed().push(object.to_owned());
        }
    }

    fn doomed(&self) -> MutexGuard<'_, Vec<String>> {
        self.doomed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the entry that a hint is about, if the hint stands; drops the hint if not. Says whether an entry was removed.
    fn let_go(&self, hint: &Hint) -> Result<bool, StoreError> {
        let orders = &self.trees.orders;
        let Some((record, place)) = orders.entry_of(hint)? else {
            return orders.drop_hint(hint).map(|()| false);
        };
        let removed = self.trees.remove_this(&hint.key, &record)?;
        if removed {
            self.doom(&record);
            orders.drop_place(&hint.key, place)?;
        }
        Ok(removed)
    }

    fn read_object(&self, key: &CacheKey, object: &str) -> Result<Found, StoreError> {
        let verified = match self.objects.read(object) {
            Ok(bytes) => Entry::from_bytes(key, bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // It may have been replaced in between; then the new record names another file.
                let record = self.trees.get(key)?;
                let named = record
                    .as_deref()
                    .and_then(Record::read)
                    .and_then(|record| record.object());
                return match named {
                    Some(named) if named == object => self.set_aside(key),
                    _ => Ok(Found::Nothing),
                };
            }
            Err(error) => return Err(StoreError::io("reading a cached value", error)),
        };
        match verified {
            Some(entry) => Ok(Found::Entry(entry)),
            None => self.set_aside(key),
        }
    }

    /// Writes everything out, and unlinks the files that nothing names any more.
    fn flush(&self) -> Result<(), StoreError> {
        let doomed = std::mem::take(&mut *self.doomed());
        self.trees.flush(&self.directory)?;
        self.objects.unlink(&doomed);
        Ok(())
    }
}

impl CacheStore for SledStore {
    fn get(&self, key: &CacheKey, now: SystemTime) -> Result<Found, StoreError> {
        let inner = self.inner();
        let Some(record) = inner.trees.get(key)? else {
            return Ok(Found::Nothing);
        };
        match Record::read(&record).map(|record| record.content) {
            Some(Content::Inline(start)) => match Entry::from_tail(key, record, start) {
                Some(entry) => {
                    inner.note_use(key, now);
                    Ok(Found::Entry(entry))
                }
                None => inner.set_aside(key),
            },
            Some(Content::Object(object)) => {
                inner.note_use(key, now);
                let (inner, key, object) = (Arc::clone(&self.0.inner), *key, object.to_owned());
                Ok(Found::Deferred(Box::new(move || {
                    inner.read_object(&key, &object)
                })))
            }
            None => inner.set_aside(key),
        }
    }

    fn put(&self, key: &CacheKey, entry: &NewEntry) -> Result<(), StoreError> {
        let inner = self.inner();
        let mut record = NewRecord::new(key, entry);
        let mut object = None;
        if record.entry().len() > INLINE {
            let name = inner.objects.write(key, record.entry())?;
            record.move_to(&name);
            object = Some(name);
        }
        let put = inner.trees.put(key, &mut record, micros(entry.created));
        if put.is_err() {
            // A disk that is full must not fill with these. Should a record name it all the same, that is a miss.
            inner.objects.unlink(object.as_slice());
        }
        let (replaced, wake) = put?;
        if let Some(replaced) = &replaced {
            inner.doom(replaced);
        }
        inner.dirty.store(true, Ordering::Release);
        if entry.durable {
            return self.0.flusher.flush();
        }
        if wake {
            self.0.flusher.settle();
        }
        Ok(())
    }

    fn is_slow_to_put(&self, bytes: usize) -> bool {
        bytes > INLINE / 2
    }

    fn remove(&self, key: &CacheKey) -> Result<bool, StoreError> {
        self.inner().forget(key)
    }

    fn sweep(&self, budget: SweepBudget) -> Result<usize, StoreError> {
        let inner = self.inner();
        inner.trees.orders.settle_queue()?;
        let mut removed = 0;
        while removed < budget.entries
            && let Some(hint) = inner.trees.next_to_go(micros(budget.now), budget.max_bytes)?
        {
            removed += usize::from(inner.let_go(&hint)?);
            inner.dirty.store(true, Ordering::Release);
        }
        Ok(removed)
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.0.flusher.flush()
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        Ok(self.inner().trees.stats())
    }

    fn list(&self, after: Option<&CacheKey>, limit: usize) -> Result<Vec<Listed>, StoreError> {
        self.inner().trees.list(after, limit)
    }

    fn clear(&self) -> Result<u64, StoreError> {
        let inner = self.inner();
        let mut cleared = 0;
        while let Some(key) = inner.trees.any_key()? {
            inner.forget(&key)?;
            cleared += 1;
        }
        self.0.flusher.flush()?;
        Ok(cleared)
    }
}

/// An error of sled, in our terms.
fn sled_error(doing: &str, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) => StoreError::io(doing, error),
        sled::Error::Corruption { .. } => StoreError::new(
            StoreErrorKind::Corrupt,
            format!("{doing}: the store is damaged; remove its directory to begin anew"),
        )
        .because(error),
        other => StoreError::new(StoreErrorKind::Io, format!("{doing}: {other}")).because(other),
    }
}

#[cfg(test)]
mod tests;
