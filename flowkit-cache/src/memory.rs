//! A store in memory: for tests, and for runtimes without a directory.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::entry::{Entry, NewEntry, micros};
use crate::key::CacheKey;
use crate::store::{CacheStore, Found, Listed, StoreError, StoreStats, SweepBudget};

/// Keeps entries in memory. Nothing outlives it.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    entries: HashMap<CacheKey, Kept>,
    /// By time of last use.
    recency: BTreeSet<(u64, CacheKey)>,
    /// By time of expiry.
    expiry: BTreeSet<(u64, CacheKey)>,
    bytes: u64,
}

#[derive(Debug)]
struct Kept {
    entry: Entry,
    used: u64,
}

impl Kept {
    fn bytes(&self) -> u64 {
        self.entry.size() as u64
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn remove(&mut self, key: &CacheKey) -> bool {
        let Some(kept) = self.entries.remove(key) else {
            return false;
        };
        self.recency.remove(&(kept.used, *key));
        if let Some(expires) = kept.entry.expires() {
            self.expiry.remove(&(micros(expires), *key));
        }
        self.bytes -= kept.bytes();
        true
    }

    /// The next entry to go, if one must.
    fn surplus(&self, budget: &SweepBudget) -> Option<CacheKey> {
        let expired = self
            .expiry
            .first()
            .filter(|(expires, _)| *expires <= micros(budget.now));
        let oldest = || self.recency.first().filter(|_| self.bytes > budget.max_bytes);
        expired.or_else(oldest).map(|(_, key)| *key)
    }
}

impl CacheStore for MemoryStore {
    fn get(&self, key: &CacheKey, now: SystemTime) -> Result<Found, StoreError> {
        let mut entries = self.lock();
        let entries = &mut *entries;
        let Some(kept) = entries.entries.get_mut(key) else {
            return Ok(Found::Nothing);
        };
        let used = micros(now);
        if used > kept.used {
            entries.recency.remove(&(kept.used, *key));
            entries.recency.insert((used, *key));
            kept.used = used;
        }
        Ok(Found::Entry(kept.entry.clone()))
    }

    fn put(&self, key: &CacheKey, entry: &NewEntry) -> Result<(), StoreError> {
        let mut entries = self.lock();
        entries.remove(key);
        let used = micros(entry.created);
        let kept = Kept {
            entry: Entry::of(entry),
            used,
        };
        entries.bytes += kept.bytes();
        entries.recency.insert((used, *key));
        if let Some(expires) = entry.expires {
            entries.expiry.insert((micros(expires), *key));
        }
        entries.entries.insert(*key, kept);
        Ok(())
    }

    fn is_slow_to_put(&self, _bytes: usize) -> bool {
        false
    }

    fn remove(&self, key: &CacheKey) -> Result<bool, StoreError> {
        Ok(self.lock().remove(key))
    }

    fn sweep(&self, budget: SweepBudget) -> Result<usize, StoreError> {
        let mut entries = self.lock();
        let mut removed = 0;
        while removed < budget.entries
            && let Some(key) = entries.surplus(&budget)
        {
            entries.remove(&key);
            removed += 1;
        }
        Ok(removed)
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        let entries = self.lock();
        Ok(StoreStats {
            entries: entries.entries.len() as u64,
            bytes: entries.bytes,
        })
    }

    fn list(&self, after: Option<&CacheKey>, limit: usize) -> Result<Vec<Listed>, StoreError> {
        let entries = self.lock();
        let mut listed: Vec<_> = entries
            .entries
            .iter()
            .filter(|(key, _)| after.is_none_or(|after| *key > after))
            .map(|(key, kept)| Listed {
                key: *key,
                bytes: kept.bytes(),
                created: kept.entry.created(),
                expires: kept.entry.expires(),
            })
            .collect();
        listed.sort_unstable_by_key(|listed| listed.key);
        listed.truncate(limit);
        Ok(listed)
    }

    fn clear(&self) -> Result<u64, StoreError> {
        let cleared = std::mem::take(&mut *self.lock());
        Ok(cleared.entries.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_contract() {
        crate::conformance::run_all(&|| std::sync::Arc::new(MemoryStore::new()));
    }
}
