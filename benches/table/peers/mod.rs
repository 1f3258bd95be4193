//! Other crates that do a part of the same work, each in its fastest setting that still does it.

pub(crate) mod cano;
pub(crate) mod dagx;

use std::path::Path;

use ::cached::{ConcurrentCachedAsync, RedbCache};
use backon::{ConstantBuilder, Retryable};
use flowkit_benches::measure::{each, timed};
use flowkit_benches::row::Row;

use crate::gates::NotYet;

/// What the crates without a store promise.
pub(crate) const IN_MEMORY: &str = "in memory, no record";

/// Two failures and a success, with no delay in between.
pub(crate) async fn retried_by_backon(runs: u64) -> f64 {
    let policy = ConstantBuilder::default()
        .with_delay(std::time::Duration::ZERO)
        .with_max_times(2);
    let work = timed(async {
        for n in 0..runs {
            let mut attempt = 0;
            let flaky = || {
                attempt += 1;
                let done = attempt == 3;
                async move { if done { Ok(n) } else { Err(NotYet) } }
            };
            assert_eq!(
                flaky
                    .retry(policy)
                    .sleep(|_| std::future::ready(()))
                    .await
                    .unwrap(),
                n
            );
        }
    });
    each(work.await, runs)
}

/// `cached` on redb, each call through its asynchronous interface, as it is used in async code.
pub(crate) struct Cached {
    synced: RedbCache<String, [u64; 12]>,
    unsynced: RedbCache<String, [u64; 12]>,
}

impl Cached {
    pub(crate) fn open(directory: &Path) -> Self {
        let open = |name: &str, durable| {
            RedbCache::builder(name)
                .disk_dir(directory)
                .durable(durable)
                .build()
                .unwrap()
        };
        Self {
            synced: open("synced", true),
            unsynced: open("unsynced", false),
        }
    }

    /// What its macro expands to: the key as text, a look, the value kept.
    async fn call(cache: &RedbCache<String, [u64; 12]>, round: u64, n: u64) -> [u64; 12] {
        let key = format!("{round} {n}");
        if let Some(value) = cache.async_cache_get(&key).await.unwrap() {
            return value;
        }
        let value = [round + n; 12];
        cache.async_cache_set(key, value).await.unwrap();
        value
    }

    pub(crate) async fn rounds(&self, first: &mut Row, again: &mut Row, round: u64) {
        for (row, is_first) in [(first, true), (again, false)] {
            for (cache, name, promise, runs) in [
                (
                    &self.unsynced,
                    "cached on redb, not durable",
                    "no sync; lost when the process is killed",
                    2_000,
                ),
                (
                    &self.synced,
                    "cached on redb, durable",
                    "a sync for each write; flowkit: within half a second",
                    100,
                ),
            ] {
                // A hit is the same for both.
                if !is_first && runs == 100 {
                    continue;
                }
                let work = timed(async {
                    for n in 0..runs {
                        std::hint::black_box(Self::call(cache, round, n).await);
                    }
                });
                row.peer(name, promise, each(work.await, runs));
            }
        }
    }
}
