//! What tasks take in memory that have been submitted and have not begun, beside tasks of plain tokio.
//!
//! `cargo bench -p flowkit-benches --bench memory`. Each figure is the growth of what the process holds.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark measures and prints"
)]

use std::sync::Arc;

use flowkit::prelude::*;
use tokio::sync::Notify;

const TASKS: u64 = 100_000;

#[task]
async fn gate(#[resource] open: &Arc<Notify>) -> u64 {
    open.notified().await;
    1
}

#[task]
async fn add(n: u64, gate: u64) -> u64 {
    n + gate
}

#[flow]
async fn pending(#[resource] open: &Arc<Notify>) -> Result<u64> {
    let gate = gate().submit();
    let before = held();
    let tasks: Vec<_> = (0..TASKS).map(|n| add(n, &gate).submit()).collect();
    tokio::task::yield_now().await;
    report("tasks of flowkit that wait for an input", held() - before);
    open.notify_one();
    let mut sum = 0;
    for task in tasks {
        sum += task.await?;
    }
    Ok(sum)
}

/// What the process holds in memory, in bytes.
fn held() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or_default() * 4096.0
}

fn report(what: &str, bytes: f64) {
    println!(
        "{TASKS} {what}: {:.1} MiB, {:.0} bytes each",
        bytes / f64::from(1 << 20),
        bytes / TASKS as f64
    );
}

async fn of_tokio() {
    let before = held();
    let shared = Arc::new(tokio::sync::Semaphore::new(0));
    let mut plain = tokio::task::JoinSet::new();
    for n in 0..TASKS {
        let shared = Arc::clone(&shared);
        plain.spawn(async move { shared.acquire().await.map_or(0, |_| n) });
    }
    tokio::task::yield_now().await;
    report("tasks of a JoinSet that wait for a semaphore", held() - before);
}

async fn of_flowkit() {
    let open = Arc::new(Notify::new());
    let runtime = Runtime::builder().resource(open).build().await.unwrap();
    runtime.run(pending()).await.into_result().unwrap();
}

/// Each is measured in a process of its own, which holds nothing of the other.
#[tokio::main(worker_threads = 2)]
async fn main() {
    match std::env::var("FLOWKIT_MEMORY_OF").as_deref() {
        Ok("tokio") => of_tokio().await,
        Ok(_) => of_flowkit().await,
        Err(_) => {
            for of in ["tokio", "flowkit"] {
                let mut measure = std::process::Command::new(std::env::current_exe().unwrap());
                assert!(measure.env("FLOWKIT_MEMORY_OF", of).status().unwrap().success());
            }
        }
    }
}
