//! Whether a journal stays bounded: many more tasks than it keeps, and its size along the way.
//!
//! `cargo bench -p flowkit-benches --bench soak`, with `FLOWKIT_TASKS=10000000` before it for more tasks than two millions, and `FLOWKIT_ITEMS=1000000` for flow runs of
//! a million tasks each instead of 2,000. It ends with what a task took in time and on the disk, the most memory that the process had, and how long it takes to resume the last
//! flow run, all of whose tasks are done.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark measures and prints"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowkit::KeepRuns;
use flowkit::prelude::*;
use tokio::time::Instant;

/// How many flow runs are kept.
const KEPT: u64 = 50;

#[task]
async fn photograph(n: u64) -> Vec<u8> {
    // One in a hundred is too large for a row, and lies in a file.
    vec![u8::try_from(n % 251).unwrap_or_default(); if n.is_multiple_of(100) { 8_000 } else { 40 }]
}

#[flow]
async fn survey(first: u64, items: u64, #[resource] fails: &Arc<AtomicBool>) -> Result<u64> {
    let photographs = (first..first + items).map(photograph).submit_all().await?;
    if fails.load(Ordering::Relaxed) {
        return Err("it is to be resumed".into());
    }
    Ok(photographs.iter().map(|photograph| photograph.len() as u64).sum())
}

/// What an environment variable says, if it says a number.
fn said(name: &str, usually: u64) -> u64 {
    std::env::var(name).map_or(usually, |said| said.parse().unwrap())
}

/// The most memory that the process had so far, as the system says it.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.map_or("unknown".to_owned(), |peak| peak.trim().to_owned())
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let items = said("FLOWKIT_ITEMS", 2_000);
    let runs = said("FLOWKIT_TASKS", 2_000_000) / items;
    let fails = Arc::new(AtomicBool::new(false));
    let directory = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder()
        .data_dir(directory.path())
        .keep_runs(KeepRuns::everything().runs(KEPT))
        .resource(Arc::clone(&fails))
        .build()
        .await
        .unwrap();
    let (mut took, mut last) = (Duration::ZERO, None);
    for run in 0..runs {
        fails.store(run + 1 == runs, Ordering::Relaxed);
        let start = Instant::now();
        last = Some(runtime.run(survey(run * items, items)).await);
        took += start.elapsed();
        if (run + 1) % (runs / 10).max(1) == 0 {
            let size = runtime.journal().unwrap().size().await.unwrap();
            println!(
                "after {:>9} tasks: {:>4} flow runs, {:>7} task runs, {:>6.1} MiB on disk",
                (run + 1) * items,
                size.flow_runs,
                size.task_runs,
                size.disk_bytes as f64 / f64::from(1 << 20)
            );
        }
    }
    let tasks = (runs * items) as f64;
    println!(
        "{:.0} tasks/s, at most {} of memory",
        tasks / took.as_secs_f64(),
        peak()
    );
    let size = runtime.journal().unwrap().size().await.unwrap();
    println!(
        "{:.0} bytes a task on the disk, {:.0} of them its result",
        size.disk_bytes as f64 / size.task_runs as f64,
        size.result_bytes as f64 / size.task_runs as f64
    );
    let Some(last) = last else { return };
    fails.store(false, Ordering::Relaxed);
    let start = Instant::now();
    let resumed = runtime.resume(last.id()).await.unwrap();
    assert_eq!(resumed.state(), State::Completed);
    println!(
        "a run of {items} tasks that are done is resumed in {:?}",
        start.elapsed()
    );
}
