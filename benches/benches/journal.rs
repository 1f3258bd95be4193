//! What the journal costs: each figure beside the same work without one, in the same run.
//!
//! `cargo bench -p flowkit-benches --bench journal`, with `FLOWKIT_TASKS=100000` before it for fewer tasks than a million.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures and prints"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use flowkit::prelude::*;

#[task]
async fn double(n: u64) -> u64 {
    n * 2
}

#[flow]
async fn fan_out(items: u64) -> Result<u64> {
    let doubled = (0..items).map(double).submit_lazily();
    Ok(doubled.await?.iter().sum())
}

#[flow]
async fn one_by_one(tasks: u64) -> Result<u64> {
    let mut n = 1;
    for _ in 0..tasks {
        n = double(n).submit().await? % 1000;
    }
    Ok(n)
}

#[flow]
async fn fails_first(items: u64, #[resource] fails: &Arc<AtomicBool>) -> Result<u64> {
    let sum: u64 = (0..items).map(double).submit_all().await?.iter().sum();
    if fails.swap(false, Ordering::Relaxed) {
        return Err("the first time".into());
    }
    Ok(sum)
}

async fn runtime(directory: Option<&Path>) -> Runtime {
    let builder = Runtime::builder().resource(Arc::new(AtomicBool::new(true)));
    match directory {
        Some(directory) => builder.data_dir(directory),
        None => builder,
    }
    .build()
    .await
    .unwrap()
}

/// The most memory that the process had, in MiB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default();
    let kilobytes = line
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1024.0
}

async fn bytes_on_disk(runtime: &Runtime) -> u64 {
    runtime.journal().unwrap().size().await.unwrap().disk_bytes
}

async fn timed<T>(work: impl Future<Output = T>) -> (f64, T) {
    let start = Instant::now();
    let value = work.await;
    (start.elapsed().as_secs_f64(), value)
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let tasks = std::env::var("FLOWKIT_TASKS")
        .ok()
        .and_then(|said| said.parse().ok());
    let tasks: u64 = tasks.unwrap_or(1_000_000);
    let few = tasks / 10;
    let each = |seconds: f64, tasks: u64| seconds * 1e6 / tasks as f64;

    let directory = tempfile::tempdir().unwrap();
    let (plain, journaled) = (runtime(None).await, runtime(Some(directory.path())).await);
    let (without, value) = timed(plain.run(one_by_one(few))).await;
    let (with, same) = timed(journaled.run(one_by_one(few))).await;
    assert_eq!(value.into_result().unwrap(), same.into_result().unwrap());
    println!(
        "{few} tasks, submitted and awaited one by one: {:.2} µs each, {:.2} µs without a journal",
        each(with, few),
        each(without, few)
    );
    drop(journaled);

    let directory = tempfile::tempdir().unwrap();
    let journaled = runtime(Some(directory.path())).await;
    let (without, value) = timed(plain.run(fan_out(tasks))).await;
    let before = peak();
    let (with, same) = timed(journaled.run(fan_out(tasks))).await;
    assert_eq!(value.into_result().unwrap(), same.into_result().unwrap());
    let disk = bytes_on_disk(&journaled).await;
    println!(
        "fan-out of {tasks}: {with:.1} s, {:.2} µs each ({:.0} tasks a second), {:.2} µs without; {:.1} bytes each on disk; peak {:.0} MiB, {before:.0} without",
        each(with, tasks),
        tasks as f64 / with,
        each(without, tasks),
        disk as f64 / tasks as f64,
        peak(),
    );
    drop(journaled);

    let directory = tempfile::tempdir().unwrap();
    let journaled = runtime(Some(directory.path())).await;
    let (first, run) = timed(journaled.run(fails_first(few))).await;
    let (again, resumed) = timed(journaled.resume(run.id())).await;
    assert_eq!(resumed.unwrap().state(), State::Completed);
    println!("{few} tasks: {first:.2} s to run, {again:.2} s to resume when all of them are finished");
}
