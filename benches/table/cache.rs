//! The cache: hits, misses and writes, beside BLAKE3, sled and bincode put together by hand.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use flowkit::cache::{Cache, Lookup, NewEntry, SledStore, codec, key_of};
use flowkit::prelude::*;
use flowkit_benches::measure::{Stopwatch, each, kept, timed};
use flowkit_benches::row::{Goal, Row};
use flowkit_benches::table::Table;

const SMALL: u64 = 10_000;
const LARGE: u64 = 20;
const MIB: usize = 1 << 20;
const CONFIG: bincode::config::Configuration = bincode::config::standard();

type Value = [u64; 12];

fn value(n: u64) -> Value {
    [n; 12]
}

#[task(cache)]
async fn cached(round: u64, n: u64) -> Value {
    value(round + n)
}

#[flow]
async fn all_cached(round: u64, runs: u64) -> Result<()> {
    for n in 0..runs {
        black_box(cached(round, n).await?);
    }
    Ok(())
}

/// What somebody would write who has only the three crates.
struct ByHand(sled::Db);

impl ByHand {
    fn open(path: &Path) -> Self {
        Self(
            sled::Config::new()
                .path(path)
                .flush_every_ms(Some(500))
                .open()
                .unwrap(),
        )
    }

    fn key(round: u64, n: u64) -> blake3::Hash {
        blake3::hash(&bincode::serde::encode_to_vec((round, n), CONFIG).unwrap())
    }

    fn get(&self, round: u64, n: u64) -> Option<Value> {
        let bytes = self.0.get(Self::key(round, n).as_bytes()).unwrap()?;
        Some(bincode::serde::decode_from_slice(&bytes, CONFIG).unwrap().0)
    }

    fn put(&self, round: u64, n: u64, value: Value) {
        let bytes = bincode::serde::encode_to_vec(value, CONFIG).unwrap();
        self.0.insert(Self::key(round, n).as_bytes(), bytes).unwrap();
    }

    /// A hit, or the value kept.
    fn cached(&self, round: u64, n: u64) -> Value {
        self.get(round, n).unwrap_or_else(|| {
            let value = value(round + n);
            self.put(round, n, value);
            value
        })
    }
}

async fn lookups(cache: &Cache, round: u64, hit: bool) -> f64 {
    let now = SystemTime::now();
    let work = timed(async {
        for n in 0..SMALL {
            match cache.get(&key_of(&(round, n)).unwrap(), now).await {
                Lookup::Hit(entry) if hit => kept(codec::decode::<Value>(entry.value()).unwrap()),
                Lookup::Miss(_) if !hit => {}
                other => panic!("{other:?}"),
            }
        }
    });
    each(work.await, SMALL)
}

async fn writes(cache: &Cache, round: u64) -> f64 {
    let now = SystemTime::now();
    let work = timed(async {
        for n in 0..SMALL {
            let entry = NewEntry::new(codec::encode(&value(n)).unwrap(), now);
            cache.put(&key_of(&(round, n)).unwrap(), entry).await.unwrap();
        }
    });
    each(work.await, SMALL)
}

fn by_hand(runs: u64, each_run: impl Fn(u64)) -> f64 {
    let start = Stopwatch::new();
    (0..runs).for_each(each_run);
    each(start.elapsed(), runs)
}

pub(crate) async fn rows(table: &mut Table) {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::new(Arc::new(SledStore::open(directory.path().join("ours")).unwrap()));
    let plain = ByHand::open(&directory.path().join("plain"));
    let mut misses = Row::new("cache miss", "µs").goal(Goal::Ratio(1.5));
    let mut puts = Row::new("cache write, 100 bytes", "µs").goal(Goal::Ratio(1.5));
    let mut hits = Row::new("cache hit, 100 bytes", "µs").goal(Goal::Ratio(1.5));
    for round in table.rounds() {
        let round = round as u64;
        misses.ours(lookups(&cache, round, false).await);
        misses.floor(
            "BLAKE3, sled, bincode",
            by_hand(SMALL, |n| assert!(plain.get(round, n).is_none())),
        );
        puts.ours(writes(&cache, round).await);
        puts.floor(
            "BLAKE3, sled, bincode",
            by_hand(SMALL, |n| plain.put(round, n, value(n))),
        );
        hits.ours(lookups(&cache, round, true).await);
        hits.floor(
            "BLAKE3, sled, bincode",
            by_hand(SMALL, |n| kept(plain.get(round, n).unwrap())),
        );
    }
    [misses, puts, hits].iter().for_each(|row| table.add(row));
    drop((cache, plain));
    tasks(table).await;
    large(table).await;
}

/// The same as a user meets it: a task that is annotated with `cache`.
async fn tasks(table: &mut Table) {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(directory.path().join("ours")).unwrap();
    let runtime = Runtime::builder().cache_store(store).build().await.unwrap();
    let plain = ByHand::open(&directory.path().join("plain"));
    #[cfg(feature = "peers")]
    let peer = crate::peers::Cached::open(directory.path());
    let mut first = Row::new("cached task, first time", "µs");
    let mut again = Row::new("cached task, hit", "µs").goal(Goal::More(2.0));
    for round in table.rounds() {
        let round = round as u64;
        for row in [&mut first, &mut again] {
            let run = timed(async { runtime.run(all_cached(round, SMALL)).await.into_result().unwrap() });
            row.ours(each(run.await, SMALL));
            row.floor(
                "BLAKE3, sled, bincode",
                by_hand(SMALL, |n| kept(plain.cached(round, n))),
            );
        }
        #[cfg(feature = "peers")]
        peer.rounds(&mut first, &mut again, round).await;
    }
    table.add(&first);
    table.add(&again);
}

/// Values that do not belong into sled: a file each, which is synced.
async fn large(table: &mut Table) {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::new(Arc::new(SledStore::open(directory.path().join("ours")).unwrap()));
    let bytes = vec![7u8; MIB];
    let files = directory.path().join("plain");
    std::fs::create_dir(&files).unwrap();
    let mut puts = Row::new("cache write, 1 MiB, synced", "µs").goal(Goal::Ratio(1.5));
    let mut hits = Row::new("cache hit, 1 MiB", "µs").goal(Goal::Ratio(1.5));
    let now = SystemTime::now();
    for round in table.rounds() {
        let key = |n: u64| key_of(&(round, n)).unwrap();
        let work = timed(async {
            for n in 0..LARGE {
                cache
                    .put(&key(n), NewEntry::new(bytes.clone(), now))
                    .await
                    .unwrap();
            }
        });
        puts.ours(each(work.await, LARGE));
        let path = |n: u64| files.join(format!("{round}-{n}"));
        puts.floor(
            "a file, digested and synced",
            by_hand(LARGE, |n| {
                use std::io::Write;
                let (bytes, digest) = (bytes.clone(), blake3::hash(&bytes));
                let mut file = std::fs::File::create(path(n)).unwrap();
                file.write_all(digest.as_bytes()).unwrap();
                file.write_all(&bytes).unwrap();
                file.sync_all().unwrap();
            }),
        );
        let work = timed(async {
            for n in 0..LARGE {
                assert!(
                    matches!(cache.get(&key(n), now).await, Lookup::Hit(entry) if entry.value().len() == MIB)
                );
            }
        });
        hits.ours(each(work.await, LARGE));
        hits.floor(
            "a file, read and digested",
            by_hand(LARGE, |n| {
                let read = std::fs::read(path(n)).unwrap();
                assert_eq!(&read[..32], blake3::hash(&read[32..]).as_bytes());
                black_box(read[32..].to_vec());
            }),
        );
    }
    table.add(&puts);
    table.add(&hits);
}
