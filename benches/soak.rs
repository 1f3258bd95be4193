//! Whether a journal stays bounded: many more tasks than it keeps, and its size along the way.
//!
//! `cargo bench -p flowkit-benches --bench soak`, with `FLOWKIT_TASKS=10000000` before it for more tasks than two millions.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark measures and prints"
)]

use flowkit::KeepRuns;
use flowkit::prelude::*;

/// How many tasks each flow run has.
const ITEMS: u64 = 2_000;

/// How many flow runs are kept.
const KEPT: u64 = 50;

#[task]
async fn photograph(n: u64) -> Vec<u8> {
    // One in a hundred is too large for a row, and lies in a file.
    vec![u8::try_from(n % 251).unwrap_or_default(); if n.is_multiple_of(100) { 8_000 } else { 40 }]
}

#[flow]
async fn survey(first: u64) -> Result<u64> {
    let photographs = (first..first + ITEMS).map(photograph).submit_all().await?;
    Ok(photographs.iter().map(|photograph| photograph.len() as u64).sum())
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let tasks = std::env::var("FLOWKIT_TASKS")
        .ok()
        .and_then(|said| said.parse().ok());
    let runs = tasks.unwrap_or(2_000_000) / ITEMS;
    let directory = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder()
        .data_dir(directory.path())
        .keep_runs(KeepRuns::everything().runs(KEPT))
        .build()
        .await
        .unwrap();
    for run in 0..runs {
        runtime.run(survey(run * ITEMS)).await.into_result().unwrap();
        if (run + 1) % (runs / 10).max(1) == 0 {
            let size = runtime.journal().unwrap().size().await.unwrap();
            println!(
                "after {:>9} tasks: {:>4} flow runs, {:>7} task runs, {:>6.1} MiB on disk",
                (run + 1) * ITEMS,
                size.flow_runs,
                size.task_runs,
                size.disk_bytes as f64 / f64::from(1 << 20)
            );
        }
    }
}
