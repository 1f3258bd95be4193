//! The front of a cache: asks a store, keeps time out of it, and turns trouble into misses that are reported.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use crate::entry::{Entry, NewEntry};
use crate::key::CacheKey;
use crate::store::{CacheStore, Found, StoreError, StoreStats, SweepBudget};
use crate::sweeping::{SweepRun, Sweeping};

/// Entries that one slice of removing touches at most.
const SLICE: usize = 256;
/// Every so many puts, a sweep follows.
const PUTS_PER_SWEEP: u32 = 64;

/// What a cache may grow to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    max_bytes: u64,
}

impl Default for Limits {
    /// 1 GiB.
    fn default() -> Self {
        Self { max_bytes: 1 << 30 }
    }
}

impl Limits {
    /// The bytes of all entries together. Above it, those used longest ago go first; for a while there may be more.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }
}

/// What the cache has under a key.
#[derive(Debug)]
pub enum Lookup {
    /// An entry that may be served.
    Hit(Entry),
    /// Nothing to serve, and why.
    Miss(MissReason),
}

/// Why there is nothing to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MissReason {
    /// There is no entry.
    Absent,
    /// There is one, and its time is up.
    Expired,
    /// There was one that did not verify; it was removed.
    Damaged,
    /// The store could not be asked.
    Unavailable,
}

/// Trouble that the cache met and went on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheProblem {
    /// The key it was about, if it was about one.
    pub key: Option<CacheKey>,
    /// What happened, and what to do about it.
    pub message: String,
}

type OnProblem = Arc<dyn Fn(&CacheProblem) + Send + Sync>;

/// How many entries a slice of removing took, and whether more may remain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    /// Entries that were removed.
    pub removed: usize,
    /// Whether the slice ended before it had seen everything.
    pub more: bool,
}

/// A cache. Cheap to clone; all clones are the same cache.
///
/// Expired and surplus entries are removed in the background, in small slices, while the cache is used: a sweep begins with the first use of the
/// cache, with every 64th put, and with a lookup that meets an expired entry. No clock is read: what has expired is judged by the
/// newest time that callers passed in.
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

struct Inner {
    store: Arc<dyn CacheStore>,
    limits: Limits,
    on_problem: Option<OnProblem>,
    puts: AtomicU32,
    sweeping: Arc<Sweeping>,
    warned_of_writing: AtomicBool,
    warned_of_reading: AtomicBool,
    warned_of_sweeping: AtomicBool,
}

impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Cache")
            .field("store", &self.0.store)
            .field("limits", &self.0.limits)
            .finish()
    }
}

/// A lookup that has to read a file: see [`Cache::try_get`].
#[must_use = "nothing is read until it is awaited"]
pub struct Deferred {
    cache: Cache,
    key: CacheKey,
    now: SystemTime,
    read: Box<dyn FnOnce() -> Result<Found, StoreError> + Send>,
}

impl fmt::Debug for Deferred {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Deferred")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Deferred {
    /// Reads it where blocking is allowed.
    pub async fn read(self) -> Lookup {
        let found = blocking(self.read).await;
        self.cache.judged(&self.key, self.now, found)
    }
}

/// Describes a [`Cache`].
#[must_use = "a builder does nothing until it is built"]
pub struct CacheBuilder {
    store: Arc<dyn CacheStore>,
    limits: Limits,
    on_problem: Option<OnProblem>,
}

impl fmt::Debug for CacheBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CacheBuilder")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl CacheBuilder {
    /// What the cache may grow to.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Is told of trouble, beside the log.
    pub fn on_problem(mut self, on_problem: Arc<dyn Fn(&CacheProblem) + Send + Sync>) -> Self {
        self.on_problem = Some(on_problem);
        self
    }

    /// The cache.
    pub fn build(self) -> Cache {
        Cache(Arc::new(Inner {
            store: self.store,
            limits: self.limits,
            on_problem: self.on_problem,
            puts: AtomicU32::new(0),
            sweeping: Arc::default(),
            warned_of_writing: AtomicBool::new(false),
            warned_of_reading: AtomicBool::new(false),
            warned_of_sweeping: AtomicBool::new(false),
        }))
    }
}

impl Cache {
    /// A cache in this store, with the default limits.
    pub fn new(store: Arc<dyn CacheStore>) -> Self {
        Self::builder(store).build()
    }

    /// Describes a cache in this store.
    pub fn builder(store: Arc<dyn CacheStore>) -> CacheBuilder {
        CacheBuilder {
            store,
            limits: Limits::default(),
            on_problem: None,
        }
    }

    /// What there is to serve under a key at `now`. Never fails: trouble is a miss, and is reported.
    pub async fn get(&self, key: &CacheKey, now: SystemTime) -> Lookup {
        match self.try_get(key, now) {
            Ok(found) => found,
            Err(deferred) => deferred.read().await,
        }
    }

    /// The same where no file need be read for it; most small values are served without waiting.
    ///
    /// # Errors
    /// No error: what is to be awaited for an entry that is in a file.
    pub fn try_get(&self, key: &CacheKey, now: SystemTime) -> Result<Lookup, Deferred> {
        match self.0.store.get(key, now) {
            Ok(Found::Deferred(read)) => Err(Deferred {
                cache: self.clone(),
                key: *key,
                now,
                read,
            }),
            found => Ok(self.judged(key, now, found)),
        }
    }

    /// What is served of what a store has found.
    fn judged(&self, key: &CacheKey, now: SystemTime, found: Result<Found, StoreError>) -> Lookup {
        if self.0.sweeping.note_time(now) {
            self.sweep_in_background();
        }
        match found {
            Ok(Found::Entry(entry)) if entry.is_expired(now) => {
                self.sweep_in_background();
                Lookup::Miss(MissReason::Expired)
            }
            Ok(Found::Entry(entry)) => Lookup::Hit(entry),
            Ok(Found::Nothing) => Lookup::Miss(MissReason::Absent),
            Ok(Found::Damaged | Found::Deferred(_)) => {
                self.report(
                    Some(*key),
                    "an entry of the cache was damaged; it was set aside and its value is computed again",
                );
                Lookup::Miss(MissReason::Damaged)
            }
            Err(error) => {
                self.report_once(
                    &self.0.warned_of_reading,
                    Some(*key),
                    &format!("the cache cannot be read: {error}"),
                );
                Lookup::Miss(MissReason::Unavailable)
            }
        }
    }

    /// Keeps an entry.
    ///
    /// # Errors
    /// When it could not be kept. That is also reported, once.
    pub async fn put(&self, key: &CacheKey, entry: NewEntry) -> Result<(), StoreError> {
        let now = entry.created;
        let kept = if entry.durable || self.0.store.is_slow_to_put(entry.value.len()) {
            let (store, key) = (Arc::clone(&self.0.store), *key);
            blocking(move || store.put(&key, &entry)).await
        } else {
            self.0.store.put(key, &entry)
        };
        let first = self.0.sweeping.note_time(now);
        if let Err(error) = &kept {
            let message = format!("the cache cannot be written, tasks go on without it: {error}");
            self.report_once(&self.0.warned_of_writing, Some(*key), &message);
        } else {
            let puts = self.0.puts.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            if first || puts.is_multiple_of(PUTS_PER_SWEEP) {
                self.sweep_in_background();
            }
        }
        kept
    }

    /// Forgets an entry, and says whether there was one.
    ///
    /// # Errors
    /// When the store could not be changed.
    pub async fn remove(&self, key: &CacheKey) -> Result<bool, StoreError> {
        let (store, key) = (Arc::clone(&self.0.store), *key);
        blocking(move || store.remove(&key)).await
    }

    /// One small slice of removing: what has expired by `now`, then what is surplus.
    ///
    /// # Errors
    /// When the store could not be changed.
    pub async fn sweep(&self, now: SystemTime) -> Result<Sweep, StoreError> {
        let inner = Arc::clone(&self.0);
        blocking(move || inner.sweep_slice(now)).await
    }

    /// Returns when no sweep is going on in the background. What was expired or surplus when a sweep was last begun is gone then, unless the
    /// store could not be changed. Entries that are put meanwhile may begin another.
    pub async fn until_swept(&self) {
        self.0.sweeping.until_none_runs().await;
    }

    /// Begins a sweep on the blocking pool of the runtime that we are in. Without one, and in a store that answers from memory, the
    /// sweep is done when this returns.
    fn sweep_in_background(&self) {
        let Some(run) = self.0.sweeping.begin() else {
            return;
        };
        let in_memory = self.is_in_memory();
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if !in_memory => drop(runtime.spawn(sweep_slices(Arc::downgrade(&self.0), run))),
            _ => self.sweep_here(run),
        }
    }

    /// Whether nothing that the store does takes a disk's time.
    fn is_in_memory(&self) -> bool {
        !self.0.store.is_slow_to_put(usize::MAX)
    }

    fn sweep_here(&self, mut run: SweepRun) {
        while self.goes_on(self.0.sweep_slice(self.0.sweeping.newest_time()), &mut run) {}
    }

    /// Whether another slice is to follow this one.
    fn goes_on(&self, slice: Result<Sweep, StoreError>, run: &mut SweepRun) -> bool {
        match slice {
            Ok(swept) => swept.more || !run.end(),
            Err(error) => {
                // It is tried again when the next sweep begins.
                let message =
                    format!("the cache cannot be swept, it may grow beyond its limit until it can: {error}");
                self.report_once(&self.0.warned_of_sweeping, None, &message);
                false
            }
        }
    }

    /// Returns when everything kept before is on the disk.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn flush(&self) -> Result<(), StoreError> {
        if self.is_in_memory() {
            return self.0.store.flush();
        }
        let store = Arc::clone(&self.0.store);
        blocking(move || store.flush()).await
    }

    /// How much there is.
    ///
    /// # Errors
    /// When the store could not be asked.
    pub async fn stats(&self) -> Result<StoreStats, StoreError> {
        let store = Arc::clone(&self.0.store);
        blocking(move || store.stats()).await
    }

    /// Forgets everything, and gives how many entries there were.
    ///
    /// # Errors
    /// When it could not be forgotten.
    pub async fn clear(&self) -> Result<u64, StoreError> {
        let store = Arc::clone(&self.0.store);
        blocking(move || store.clear()).await
    }

    fn report_once(&self, told: &AtomicBool, key: Option<CacheKey>, message: &str) {
        if !told.swap(true, Ordering::Relaxed) {
            self.report(key, message);
        }
    }

    fn report(&self, key: Option<CacheKey>, message: &str) {
        tracing::warn!(target: "flowkit_cache", key = key.map(tracing::field::display), message);
        if let Some(on_problem) = &self.0.on_problem {
            on_problem(&CacheProblem {
                key,
                message: message.to_owned(),
            });
        }
    }
}

impl Inner {
    fn sweep_slice(&self, now: SystemTime) -> Result<Sweep, StoreError> {
        let removed = self.store.sweep(SweepBudget {
            now,
            max_bytes: self.limits.max_bytes,
            entries: SLICE,
        })?;
        Ok(Sweep {
            removed,
            more: removed >= SLICE,
        })
    }
}

/// One sweep. Each slice is a piece of work of its own on the blocking pool, so that a runtime that shuts down waits for one slice
/// at most; and a cache that nobody has any more is not swept.
async fn sweep_slices(cache: Weak<Inner>, mut run: SweepRun) {
    while let Some(inner) = cache.upgrade() {
        let slice = blocking(move || {
            let slice = inner.sweep_slice(inner.sweeping.newest_time());
            Ok((Cache(inner), slice))
        });
        // It fails only with its runtime.
        let Ok((cache, slice)) = slice.await else { return };
        if !cache.goes_on(slice, &mut run) {
            return;
        }
    }
}

/// Runs what may take a disk's time where it holds up nobody; without a tokio runtime, here.
async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, StoreError> + Send + 'static,
) -> Result<R, StoreError> {
    if tokio::runtime::Handle::try_current().is_err() {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::new(
            crate::store::StoreErrorKind::Io,
            "the work on the cache did not end: its runtime was shut down, or it panicked",
        )
        .because(error)),
    }
}
