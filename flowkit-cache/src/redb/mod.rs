//! A store for several processes at once: redb for headers and small values, a file for each large one.
//!
//! Every change is part of a transaction that is synced to the disk when it returns, and is seen by every process from then on; changes that
//! come at the same time share one. Reading takes no lock that a writer holds for long, but it asks the file: it is deferred
//! to where blocking is allowed. A hit writes nothing: last uses are kept in memory until the next transaction.

mod open;
mod tables;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use redb::Database;
use tables::Change;

use crate::entry::{Entry, NewEntry, micros};
use crate::key::CacheKey;
use crate::objects::Objects;
use crate::record::{Content, INLINE, NewRecord, Record};
use crate::store::{CacheStore, Found, Listed, StoreError, StoreErrorKind, StoreStats, SweepBudget};

/// No more last uses than this are kept in memory; those beyond it go unnoted.
const USES: usize = 8 * 1024;
/// How often a value is looked for whose file was replaced between reading its name and reading it.
const TRIES: usize = 8;

/// Keeps entries in a directory that several processes of one machine use at the same time.
///
/// What one process puts, all find. [`put`](CacheStore::put) returns when the entry is on the disk, durable or not: that takes
/// some milliseconds, in which the entries of others are written too. Where one process has the directory for itself,
/// [`SledStore`](crate::SledStore) is faster by far. It needs file locks that work: Linux, the Apple platforms or Windows, and no
/// network file system. Once the disk could not be written, because it is full for example, it answers with errors until it is opened again.
#[derive(Clone)]
pub struct RedbStore(Arc<Inner>);

/// What waits for a transaction, and who is told how it went: how many entries went away, for most.
type Waiting = (Change, Sender<Result<u64, Arc<StoreError>>>);

struct Inner {
    directory: PathBuf,
    database: Database,
    objects: Objects,
    /// Last uses that no transaction has written yet.
    used: Mutex<HashMap<CacheKey, u64>>,
    waiting: Mutex<Vec<Waiting>>,
    /// Held by the one thread that writes for all who wait.
    writing: Mutex<()>,
    /// Locked, shared, for as long as the store is open. See `open.rs`.
    _users: File,
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("RedbStore")
            .field(&self.0.directory)
            .finish()
    }
}

impl RedbStore {
    /// Opens the store in a directory, and makes the directory if there is none.
    ///
    /// A store that is damaged beyond reading, or that an older flowkit wrote, is renamed aside and a new one begun, if no other process has it open.
    ///
    /// # Errors
    /// [`Version`](StoreErrorKind::Version) if a newer flowkit wrote it, or a process of an older one has it open, [`Place`](StoreErrorKind::Place) if it cannot be a directory of
    /// ours, [`Corrupt`](StoreErrorKind::Corrupt) if it is damaged and another process has it open, [`Locked`](StoreErrorKind::Locked)
    /// if a program that does not share holds it.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, StoreError> {
        open::open(directory.as_ref()).map(Self)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn note_use(&self, key: &CacheKey, now: SystemTime) {
        let mut used = lock(&self.used);
        if let Some(last) = used.get_mut(key) {
            *last = micros(now).max(*last);
        } else if used.len() < USES {
            used.insert(*key, micros(now));
        }
    }

    /// Returns when the change is on the disk. Whoever writes takes along what waits by then.
    fn commit(&self, change: Change) -> Result<u64, StoreError> {
        let (told, tell) = mpsc::channel();
        lock(&self.waiting).push((change, told));
        {
            let _writing = lock(&self.writing);
            let waiting = std::mem::take(&mut *lock(&self.waiting));
            if !waiting.is_empty() {
                self.write(waiting);
            }
        }
        match tell.recv() {
            Ok(Ok(count)) => Ok(count),
            Ok(Err(error)) => Err(StoreError::new(error.kind(), error.to_string()).because(error)),
            Err(_) => Err(StoreError::new(
                StoreErrorKind::Io,
                "the thread that wrote the cache panicked",
            )),
        }
    }

    fn write(&self, waiting: Vec<Waiting>) {
        let used = std::mem::take(&mut *lock(&self.used));
        let (changes, waiters): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        // Who is told and has gone need not know.
        match tables::write(&self.database, &used, changes) {
            Ok((counts, doomed)) => {
                self.objects.unlink(&doomed);
                for (count, waiter) in counts.into_iter().zip(waiters) {
                    drop(waiter.send(Ok(count)));
                }
            }
            Err(error) => {
                let error = Arc::new(redb_error("writing the cache", error));
                for waiter in waiters {
                    drop(waiter.send(Err(Arc::clone(&error))));
                }
            }
        }
    }

    fn read(&self, key: &CacheKey, now: SystemTime) -> Result<Found, StoreError> {
        let mut record = None;
        for _ in 0..TRIES {
            let read = tables::record(&self.database, key);
            record = read.map_err(|error| redb_error("asking the cache", error))?;
            let Some(record) = &record else {
                return Ok(Found::Nothing);
            };
            let entry = match Record::read(record).map(|record| record.content) {
                Some(Content::Inline(start)) => Entry::from_tail(key, record.clone(), start),
                Some(Content::Object(object)) => match self.objects.read(object) {
                    Ok(bytes) => Entry::from_bytes(key, bytes),
                    // It may have been replaced in between; then the new record names another file.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(StoreError::io("reading a cached value", error)),
                },
                None => None,
            };
            let Some(entry) = entry else { break };
            self.note_use(key, now);
            return Ok(Found::Entry(entry));
        }
        // Only if it is still there: another process may have put a sound one.
        let removed = self.commit(Change::RemoveThis(*key, record.unwrap_or_default()))?;
        Ok(if removed > 0 {
            Found::Damaged
        } else {
            Found::Nothing
        })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !lock(&self.used).is_empty() {
            // Last uses are worth a try, and no more.
            drop(self.commit(Change::Nothing));
        }
    }
}

impl CacheStore for RedbStore {
    fn get(&self, key: &CacheKey, now: SystemTime) -> Result<Found, StoreError> {
        let (inner, key) = (Arc::clone(&self.0), *key);
        Ok(Found::Deferred(Box::new(move || inner.read(&key, now))))
    }

    fn put(&self, key: &CacheKey, entry: &NewEntry) -> Result<(), StoreError> {
        let mut record = NewRecord::new(key, entry);
        let mut object = None;
        if record.entry().len() > INLINE {
            let name = self.0.objects.write(key, record.entry())?;
            record.move_to(&name);
            object = Some(name);
        }
        let put = self.0.commit(Change::Put(*key, record.bytes().to_vec()));
        if put.is_err() {
            // A disk that is full must not fill with these. Should a record name it all the same, that is a miss.
            self.0.objects.unlink(object.as_slice());
        }
        put.map(drop)
    }

    fn is_slow_to_put(&self, _bytes: usize) -> bool {
        true
    }

    fn remove(&self, key: &CacheKey) -> Result<bool, StoreError> {
        self.0.commit(Change::Remove(*key)).map(|removed| removed > 0)
    }

    fn sweep(&self, budget: SweepBudget) -> Result<usize, StoreError> {
        let removed = self.0.commit(Change::Sweep(budget))?;
        Ok(usize::try_from(removed).unwrap_or(budget.entries))
    }

    fn flush(&self) -> Result<(), StoreError> {
        if lock(&self.0.used).is_empty() {
            // Every change was on the disk when it returned.
            return Ok(());
        }
        self.0.commit(Change::Nothing).map(drop)
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        tables::stats(&self.0.database).map_err(|error| redb_error("asking the cache", error))
    }

    fn list(&self, after: Option<&CacheKey>, limit: usize) -> Result<Vec<Listed>, StoreError> {
        tables::list(&self.0.database, after, limit).map_err(|error| redb_error("listing the cache", error))
    }

    fn clear(&self) -> Result<u64, StoreError> {
        self.0.commit(Change::Clear)
    }
}

/// An error of redb, in our terms.
fn redb_error(doing: &str, error: redb::Error) -> StoreError {
    let kind = match error {
        redb::Error::Io(error) => return StoreError::io(doing, error),
        redb::Error::Corrupted(_) | redb::Error::TableTypeMismatch { .. } => {
            return StoreError::new(
                StoreErrorKind::Corrupt,
                format!("{doing}: the store is damaged; remove its directory to begin anew"),
            )
            .because(error);
        }
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => StoreErrorKind::Locked,
        redb::Error::UpgradeRequired(_) => StoreErrorKind::Version,
        _ => StoreErrorKind::Io,
    };
    StoreError::new(kind, format!("{doing}: {error}")).because(error)
}

#[cfg(test)]
mod tests;
