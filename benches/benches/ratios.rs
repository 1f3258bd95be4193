//! One table: what flowkit does beside the least that it could cost, measured in the same run, interleaved, several rounds.
//!
//! `cargo bench -p flowkit-benches`. Ratios are medians over rounds, with the lowest and highest behind them.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a bench prints, measures time, and stops where it cannot go on"
)]

use std::future::Future;
use std::hint::black_box;
use std::time::{Duration, Instant};

use flowkit::cache::{Cache, KeyHasher, Lookup, NewEntry, SledStore, codec, key_of};
use flowkit::prelude::*;

const ROUNDS: usize = 7;

#[task]
async fn add(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

async fn bare(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

/// Runs inside a flow, where tasks are at home.
#[flow]
async fn inside(kind: u8, runs: u64) -> Result<Duration> {
    let start = Instant::now();
    match kind {
        0 => {
            for n in 0..runs {
                black_box(add(n, 1u64).await?);
            }
        }
        1 => {
            for n in 0..runs {
                black_box(add(n, 1u64).submit().await?);
            }
        }
        _ => {
            black_box((0..runs).map(|n| add(n, 1u64)).submit_lazily().await?);
        }
    }
    Ok(start.elapsed())
}

async fn timed<F: Future>(work: F) -> Duration {
    let start = Instant::now();
    black_box(work.await);
    start.elapsed()
}

struct Row {
    what: &'static str,
    floor: &'static str,
    /// Of the whole, ours and the floor's, a round each.
    rounds: Vec<(Duration, Duration)>,
    runs: u64,
}

fn print(row: &Row) {
    let mut ratios: Vec<f64> = row
        .rounds
        .iter()
        .map(|(ours, floor)| ours.as_secs_f64() / floor.as_secs_f64())
        .collect();
    ratios.sort_by(f64::total_cmp);
    let each = |pick: fn(&(Duration, Duration)) -> Duration| {
        let mut times: Vec<Duration> = row.rounds.iter().map(pick).collect();
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1e6 / row.runs as f64
    };
    println!(
        "{:34} {:>11.3} µs {:>11.3} µs {:>8.2} × ({:.2} to {:.2})  over {}",
        row.what,
        each(|round| round.0),
        each(|round| round.1),
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1],
        row.floor
    );
}

async fn tasks() {
    let runs = 100_000;
    let (mut awaited, mut submitted, mut mapped) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let floor = timed(async {
            for n in 0..runs {
                black_box(bare(black_box(n), 1).await);
            }
        });
        awaited.push((inside(0u8, runs).await.unwrap(), floor.await));
        // Both from inside a task of the runtime, as a flow would be.
        let floor = tokio::spawn(timed(async move {
            for n in 0..runs {
                black_box(tokio::spawn(bare(n, 1)).await.unwrap());
            }
        }));
        let floor = floor.await.unwrap();
        submitted.push((
            tokio::spawn(inside(1u8, runs).into_future())
                .await
                .unwrap()
                .unwrap(),
            floor,
        ));
        let floor = tokio::spawn(timed(async move {
            let mut set: tokio::task::JoinSet<u64> = (0..runs).map(|n| bare(n, 1)).collect();
            while let Some(value) = set.join_next().await {
                black_box(value.unwrap());
            }
        }));
        let floor = floor.await.unwrap();
        mapped.push((
            tokio::spawn(inside(2u8, runs).into_future())
                .await
                .unwrap()
                .unwrap(),
            floor,
        ));
    }
    print(&Row {
        what: "awaited task",
        floor: "the bare call",
        rounds: awaited,
        runs,
    });
    print(&Row {
        what: "submit + join",
        floor: "tokio::spawn + join",
        rounds: submitted,
        runs,
    });
    print(&Row {
        what: "fan-out of 100,000, each",
        floor: "JoinSet",
        rounds: mapped,
        runs,
    });
}

async fn cache() {
    let runs = 20_000u64;
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::new(std::sync::Arc::new(
        SledStore::open(directory.path().join("ours")).unwrap(),
    ));
    let plain = sled::Config::new()
        .path(directory.path().join("plain"))
        .flush_every_ms(Some(500))
        .open()
        .unwrap();
    let now = std::time::SystemTime::now();
    let config = bincode::config::standard();
    let (mut hits, mut misses) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS as u64 {
        let value = [7u64; 12];
        let ours = timed(async {
            for n in 0..runs {
                let key = key_of(&(round, n)).unwrap();
                assert!(matches!(cache.get(&key, now).await, Lookup::Miss(_)));
                cache
                    .put(&key, NewEntry::new(codec::encode(&value).unwrap(), now))
                    .await
                    .unwrap();
            }
        });
        let ours = ours.await;
        let floor = timed(async {
            for n in 0..runs {
                let key = blake3::hash(&bincode::serde::encode_to_vec((round, n), config).unwrap());
                assert!(plain.get(key.as_bytes()).unwrap().is_none());
                plain
                    .insert(
                        key.as_bytes(),
                        bincode::serde::encode_to_vec(value, config).unwrap(),
                    )
                    .unwrap();
            }
        });
        misses.push((ours, floor.await));
        let ours = timed(async {
            for n in 0..runs {
                let key = key_of(&(round, n)).unwrap();
                let Lookup::Hit(entry) = cache.get(&key, now).await else {
                    unreachable!()
                };
                black_box(codec::decode::<[u64; 12]>(&entry.value).unwrap());
            }
        });
        let ours = ours.await;
        let floor = timed(async {
            for n in 0..runs {
                let key = blake3::hash(&bincode::serde::encode_to_vec((round, n), config).unwrap());
                let bytes = plain.get(key.as_bytes()).unwrap().unwrap();
                black_box(bincode::serde::decode_from_slice::<[u64; 12], _>(&bytes, config).unwrap());
            }
        });
        hits.push((ours, floor.await));
    }
    print(&Row {
        what: "cache hit, 100 bytes",
        floor: "BLAKE3 + sled + bincode",
        rounds: hits,
        runs,
    });
    print(&Row {
        what: "cache miss and write",
        floor: "BLAKE3 + sled + bincode",
        rounds: misses,
        runs,
    });
}

fn keys() {
    let bytes = vec![42u8; 100 << 20];
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        let mut hasher = KeyHasher::new();
        hasher.bytes("data", &bytes);
        black_box(hasher.finish().unwrap());
        let ours = start.elapsed();
        let start = Instant::now();
        black_box(blake3::hash(&bytes));
        (ours, start.elapsed())
    });
    print(&Row {
        what: "key of 100 MiB of bytes",
        floor: "BLAKE3",
        rounds: rounds.collect(),
        runs: 1,
    });
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    println!(
        "{:34} {:>14} {:>14} {:>10}",
        "medians, each", "flowkit", "floor", "ratio"
    );
    tasks().await;
    cache().await;
    keys();
}
