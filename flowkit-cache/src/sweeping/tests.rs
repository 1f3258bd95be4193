use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{self, Receiver, Sender};

use crate::store::{CacheStore, Found, StoreError, StoreStats, SweepBudget};
use crate::{Cache, CacheKey, Limits, Lookup, MemoryStore, MissReason, NewEntry, key_of};

use super::*;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn key(n: u64) -> CacheKey {
    key_of(&n).unwrap()
}

fn entry(created: u64) -> NewEntry {
    NewEntry::new(vec![1; 100], at(created))
}

fn is_there(store: &dyn CacheStore, n: u64) -> bool {
    !matches!(store.get(&key(n), UNIX_EPOCH).unwrap(), Found::Nothing)
}

type Kept = (Option<tempfile::TempDir>, Arc<dyn CacheStore>);

/// The store in memory, and the one on disk if there is one.
fn stores() -> impl Iterator<Item = Kept> {
    let memory: Kept = (None, Arc::new(MemoryStore::new()));
    std::iter::once(memory).chain(on_disk())
}

#[cfg(feature = "sled")]
fn on_disk() -> Option<Kept> {
    let directory = tempfile::tempdir().unwrap();
    let store = crate::SledStore::open(directory.path()).unwrap();
    Some((Some(directory), Arc::new(store)))
}

#[cfg(not(feature = "sled"))]
fn on_disk() -> Option<Kept> {
    None
}

#[tokio::test]
async fn an_expired_entry_is_gone_after_later_unrelated_puts() {
    for (_directory, store) in stores() {
        let cache = Cache::new(Arc::clone(&store));
        cache.put(&key(0), entry(1).expires(at(10))).await.unwrap();
        for n in 1..=64 {
            cache.put(&key(n), entry(20)).await.unwrap();
        }
        cache.until_swept().await;
        assert!(!is_there(&*store, 0), "{store:?}");
        assert_eq!(store.stats().unwrap().entries, 64);
    }
}

#[tokio::test]
async fn a_store_that_is_opened_with_many_expired_entries_empties_by_itself() {
    for (_directory, store) in stores() {
        for n in 0..1_000 {
            store.put(&key(n), &entry(1).expires(at(10))).unwrap();
        }
        store.put(&key(2_000), &entry(1)).unwrap();
        let cache = Cache::new(Arc::clone(&store));
        assert!(matches!(
            cache.get(&key(3_000), at(9)).await,
            Lookup::Miss(MissReason::Absent)
        ));
        cache.until_swept().await;
        assert_eq!(store.stats().unwrap().entries, 1_001, "none has expired");
        drop(cache);
        let cache = Cache::new(Arc::clone(&store));
        assert!(matches!(
            cache.get(&key(3_000), at(10)).await,
            Lookup::Miss(MissReason::Absent)
        ));
        cache.until_swept().await;
        assert_eq!(store.stats().unwrap().entries, 1);
    }
}

#[tokio::test]
async fn a_lookup_that_meets_an_expired_entry_has_it_removed() {
    for (_directory, store) in stores() {
        let cache = Cache::new(Arc::clone(&store));
        cache.put(&key(0), entry(1).expires(at(10))).await.unwrap();
        cache.put(&key(1), entry(1).expires(at(10))).await.unwrap();
        cache.until_swept().await;
        assert!(is_there(&*store, 0));
        assert!(matches!(
            cache.get(&key(0), at(10)).await,
            Lookup::Miss(MissReason::Expired)
        ));
        cache.until_swept().await;
        assert_eq!(store.stats().unwrap(), StoreStats::default());
    }
}

#[tokio::test]
async fn what_is_surplus_goes_while_more_is_put() {
    for (_directory, store) in stores() {
        let cache = Cache::builder(Arc::clone(&store))
            .limits(Limits::default().max_bytes(20_000))
            .build();
        for n in 0..1_024 {
            cache.put(&key(n), entry(n)).await.unwrap();
        }
        cache.until_swept().await;
        assert!(store.stats().unwrap().bytes <= 20_000, "{store:?}");
        assert!(is_there(&*store, 1_023) && !is_there(&*store, 0), "{store:?}");
    }
}

#[tokio::test]
async fn flushing_and_clearing_go_on_beside_a_sweep() {
    for (_directory, store) in stores() {
        for n in 0..1_000 {
            store.put(&key(n), &entry(1).expires(at(10))).unwrap();
        }
        let cache = Cache::new(Arc::clone(&store));
        cache.put(&key(1_000), entry(20)).await.unwrap();
        cache.flush().await.unwrap();
        assert!(is_there(&*store, 1_000));
        cache.clear().await.unwrap();
        assert_eq!(store.stats().unwrap(), StoreStats::default());
        cache.until_swept().await;
        cache.put(&key(1), entry(20)).await.unwrap();
        cache.flush().await.unwrap();
        assert!(is_there(&*store, 1));
    }
}

#[test]
fn without_a_runtime_a_sweep_is_done_when_the_put_is() {
    for (_directory, store) in stores() {
        let cache = Cache::new(Arc::clone(&store));
        let put = |n, entry| {
            let key = key(n);
            let mut put = Box::pin(cache.put(&key, entry));
            let polled = put
                .as_mut()
                .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
            assert!(matches!(polled, std::task::Poll::Ready(Ok(()))));
        };
        put(0, entry(1).expires(at(10)));
        for n in 1..=63 {
            put(n, entry(20));
        }
        assert!(!is_there(&*store, 0), "{store:?}");
    }
}

/// A store on a slow disk: each slice of its sweeps waits until it may go on.
#[derive(Debug)]
struct Slow {
    entries: MemoryStore,
    gate: Mutex<Receiver<()>>,
    running: AtomicUsize,
}

impl Slow {
    fn new() -> (Sender<()>, Arc<Self>) {
        let (open, gate) = mpsc::channel();
        let store = Self {
            entries: MemoryStore::new(),
            gate: Mutex::new(gate),
            running: AtomicUsize::new(0),
        };
        (open, Arc::new(store))
    }

    /// Returns when a sweep is at work on its first slice.
    async fn until_running(&self) {
        while self.running.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    }
}

impl CacheStore for Slow {
    fn get(&self, key: &CacheKey, now: SystemTime) -> Result<Found, StoreError> {
        self.entries.get(key, now)
    }

    fn put(&self, key: &CacheKey, entry: &NewEntry) -> Result<(), StoreError> {
        self.entries.put(key, entry)
    }

    fn is_slow_to_put(&self, bytes: usize) -> bool {
        bytes > 1_000
    }

    fn remove(&self, key: &CacheKey) -> Result<bool, StoreError> {
        self.entries.remove(key)
    }

    fn sweep(&self, budget: SweepBudget) -> Result<usize, StoreError> {
        assert_eq!(
            self.running.fetch_add(1, Ordering::SeqCst),
            0,
            "one sweep at a time"
        );
        // Once the sender is gone, every slice may go on.
        let _ = self.gate.lock().unwrap().recv();
        let removed = self.entries.sweep(budget);
        self.running.fetch_sub(1, Ordering::SeqCst);
        removed
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.entries.flush()
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        self.entries.stats()
    }

    fn clear(&self) -> Result<u64, StoreError> {
        self.entries.clear()
    }
}

#[tokio::test]
async fn no_put_waits_for_a_sweep_and_one_that_was_asked_for_meanwhile_is_not_forgotten() {
    let (open, store) = Slow::new();
    let cache = Cache::new(Arc::clone(&store) as Arc<dyn CacheStore>);
    cache.put(&key(0), entry(0).expires(at(1))).await.unwrap();
    store.until_running().await;
    // The sweep of the first put has begun, and cannot go on before all others are done.
    for n in 1..640 {
        cache.put(&key(n), entry(n).expires(at(n + 1))).await.unwrap();
    }
    assert_eq!(store.stats().unwrap().entries, 640);
    drop(open);
    cache.until_swept().await;
    // The newest time is that of the last put, which has not expired by then.
    assert_eq!(store.stats().unwrap().entries, 1);
}

#[test]
fn a_runtime_that_shuts_down_in_the_middle_of_a_sweep_leaves_the_cache_usable() {
    let (open, store) = Slow::new();
    let cache = Cache::new(Arc::clone(&store) as Arc<dyn CacheStore>);
    for n in 0..1_000 {
        store.put(&key(n), &entry(1).expires(at(2))).unwrap();
    }
    let first = tokio::runtime::Builder::new_current_thread().build().unwrap();
    first.block_on(async {
        cache.put(&key(1_000), entry(10)).await.unwrap();
        store.until_running().await;
    });
    first.shutdown_background();
    drop(open);
    let second = tokio::runtime::Builder::new_current_thread().build().unwrap();
    second.block_on(async {
        // That slice may still be at work on its thread.
        while store.running.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
        assert!(store.stats().unwrap().entries > 1, "one slice is not everything");
        assert!(matches!(cache.get(&key(5), at(10)).await, Lookup::Miss(_)));
        for n in 2_000..2_064 {
            cache.put(&key(n), entry(10)).await.unwrap();
        }
        cache.until_swept().await;
    });
    assert_eq!(store.stats().unwrap().entries, 65);
}
