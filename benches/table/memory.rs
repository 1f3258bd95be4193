//! What tasks take in memory: each figure from a process of its own, which holds nothing else.

use std::sync::Arc;

use flowkit::prelude::*;
use flowkit_benches::measure::{held, peak};
use flowkit_benches::row::{Goal, Row};
use flowkit_benches::table::Table;
use tokio::sync::Notify;

/// What tells a process that it is one of these.
const ASKED: &str = "FLOWKIT_MEMORY_OF";
const PENDING: u64 = 100_000;
const MAPPED: u64 = 1_000_000;
const MIB: f64 = 1_048_576.0;

#[task]
async fn gate(#[resource] open: &Arc<Notify>) -> u64 {
    open.notified().await;
    1
}

#[task]
async fn add(n: u64, gate: u64) -> u64 {
    n + gate
}

/// Tasks that wait for an input, and then complete.
#[flow]
async fn pending(#[resource] open: &Arc<Notify>) -> Result<u64> {
    let gate = gate().submit();
    let before = held();
    let tasks: Vec<_> = (0..PENDING).map(|n| add(n, &gate).submit()).collect();
    tokio::task::yield_now().await;
    say((held() - before) / PENDING as f64);
    open.notify_one();
    let mut sum = 0;
    for task in tasks {
        sum += task.await?;
    }
    Ok(sum)
}

async fn pending_of_tokio() {
    let before = held();
    let shut = Arc::new(tokio::sync::Semaphore::new(0));
    let mut plain = tokio::task::JoinSet::new();
    for n in 0..PENDING {
        let shut = Arc::clone(&shut);
        plain.spawn(async move { shut.acquire().await.map_or(0, |_| n) });
    }
    tokio::task::yield_now().await;
    say((held() - before) / PENDING as f64);
}

#[flow]
async fn mapped(items: u64) -> Result<u64> {
    let before = peak();
    let values = (0..items).map(|n| add(n, 1u64)).submit_lazily().await?;
    say((peak() - before) / MIB);
    Ok(values.iter().sum())
}

async fn mapped_of_tokio() {
    let before = peak();
    let mut set: tokio::task::JoinSet<u64> = (0..MAPPED).map(|n| async move { n + 1 }).collect();
    while set.join_next().await.is_some() {}
    say((peak() - before) / MIB);
}

fn say(figure: f64) {
    println!("{figure}");
}

pub(crate) fn is_asked() -> bool {
    std::env::var_os(ASKED).is_some()
}

/// Measures what was asked for, and says it.
pub(crate) fn main() {
    let of = std::env::var(ASKED).unwrap();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let workers = builder.worker_threads(2).enable_all().build().unwrap();
    workers.block_on(async {
        match of.as_str() {
            "pending of tokio" => pending_of_tokio().await,
            "mapped of tokio" => mapped_of_tokio().await,
            "pending" => {
                let open = Arc::new(Notify::new());
                let runtime = Runtime::builder().resource(open).build().await.unwrap();
                runtime.run(pending()).await.into_result().unwrap();
            }
            _ => drop(mapped(MAPPED).await.unwrap()),
        }
    });
}

fn measured(of: &str) -> f64 {
    let mut measure = std::process::Command::new(std::env::current_exe().unwrap());
    let output = measure.env(ASKED, of).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().parse().unwrap()
}

pub(crate) fn rows(table: &mut Table) {
    let mut row = Row::new("100,000 pending tasks, each", "bytes");
    for _ in table.few_rounds() {
        row.ours(measured("pending"));
        row.floor("JoinSet", measured("pending of tokio"));
    }
    table.add(&row);
    let mut row = Row::new("fan-out of 1,000,000, growth", "MiB").goal(Goal::Most(64.0));
    for _ in table.few_rounds() {
        row.ours(measured("mapped"));
        row.floor("JoinSet", measured("mapped of tokio"));
    }
    table.add(&row);
}
