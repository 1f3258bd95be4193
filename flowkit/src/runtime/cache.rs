//! The cache of a runtime: opened by the first call of a cached task, and by nothing else.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use flowkit_cache::{Cache, CacheStore, Limits, MemoryStore, StoreError};
use tokio::sync::{Mutex, OnceCell};

/// Where cached results are kept.
#[derive(Clone)]
pub(super) enum CachePlace {
    Memory,
    Directory(PathBuf),
    Store(Arc<dyn CacheStore>),
}

impl fmt::Debug for CachePlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => formatter.write_str("Memory"),
            Self::Directory(directory) => formatter.debug_tuple("Directory").field(directory).finish(),
            Self::Store(store) => formatter.debug_tuple("Store").field(store).finish(),
        }
    }
}

/// A cache that is opened when it is first asked for.
pub(crate) struct CacheSlot {
    place: CachePlace,
    limit: Option<u64>,
    cache: OnceCell<Option<Cache>>,
    /// Why there is none.
    trouble: OnceLock<Arc<str>>,
    told: AtomicBool,
    /// Whether something was kept since the last flush.
    kept: AtomicBool,
    /// Held during a flush, so that a run that ends meanwhile waits for it too.
    flushing: Mutex<()>,
}

impl fmt::Debug for CacheSlot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("CacheSlot").field(&self.place).finish()
    }
}

impl CacheSlot {
    pub(super) fn new(place: CachePlace, limit: Option<u64>) -> Self {
        Self {
            place,
            limit,
            cache: OnceCell::new(),
            trouble: OnceLock::new(),
            told: AtomicBool::new(false),
            kept: AtomicBool::new(false),
            flushing: Mutex::new(()),
        }
    }

    /// The cache. The first caller opens it; if that fails, one warning says why, and there is none.
    pub(super) async fn open(&self) -> Option<Cache> {
        self.cache.get_or_init(|| self.try_open()).await.clone()
    }

    /// The same, if it was asked for before.
    pub(super) fn opened(&self) -> Option<Option<&Cache>> {
        self.cache.get().map(Option::as_ref)
    }

    async fn try_open(&self) -> Option<Cache> {
        let place = self.place.clone();
        let opened = match tokio::runtime::Handle::try_current() {
            Ok(tokio) => tokio.spawn_blocking(move || open_store(place)).await,
            Err(_) => Ok(open_store(place)),
        };
        let store = match opened {
            Ok(Ok(store)) => store,
            Ok(Err(error)) => return self.give_up(&error.to_string()),
            Err(_) => {
                return self
                    .give_up("the cache could not be opened while the tokio runtime was shutting down");
            }
        };
        let mut limits = Limits::default();
        if let Some(bytes) = self.limit {
            limits = limits.max_bytes(bytes);
        }
        Some(Cache::builder(store).limits(limits).build())
    }

    fn give_up(&self, reason: &str) -> Option<Cache> {
        tracing::warn!(target: "flowkit", reason, "there is no cache: cached tasks run every time");
        // The first reason is the one that counts, and this runs once.
        let _ = self.trouble.set(Arc::from(reason));
        None
    }

    /// Why there is no cache, and whether this is the first time anybody asks.
    pub(super) fn trouble(&self) -> Option<(Arc<str>, bool)> {
        let reason = self.trouble.get()?;
        Some((Arc::clone(reason), !self.told.swap(true, Ordering::Relaxed)))
    }

    /// Notes that something was kept.
    pub(super) fn note_kept(&self) {
        self.kept.store(true, Ordering::Release);
    }

    /// Writes out what was kept since the last time, if anything was.
    pub(super) async fn flush_kept(&self) {
        let _flushing = self.flushing.lock().await;
        if self.kept.swap(false, Ordering::AcqRel) {
            self.flush().await;
        }
    }

    /// Writes out what is not on the disk yet. Trouble is reported by the cache itself.
    pub(super) async fn flush(&self) {
        if let Some(Some(cache)) = self.cache.get() {
            drop(cache.flush().await);
        }
    }
}

fn open_store(place: CachePlace) -> Result<Arc<dyn CacheStore>, StoreError> {
    match place {
        CachePlace::Memory => Ok(Arc::new(MemoryStore::new())),
        CachePlace::Store(store) => Ok(store),
        #[cfg(feature = "sled")]
        CachePlace::Directory(directory) => Ok(Arc::new(flowkit_cache::SledStore::open(&directory)?)),
        #[cfg(not(feature = "sled"))]
        CachePlace::Directory(_) => Ok(Arc::new(MemoryStore::new())),
    }
}
