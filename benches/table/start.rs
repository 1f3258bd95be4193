//! How long a process takes from its start to its first task.

use std::time::Instant;

use flowkit::prelude::*;
use flowkit_benches::row::{Goal, Row};
use flowkit_benches::table::Table;

/// What tells a process that it is one of these.
const ASKED: &str = "FLOWKIT_START_OF";

#[task]
async fn one() -> u64 {
    1
}

#[flow]
async fn first() -> Result<u64> {
    Ok(one().await?)
}

pub(crate) fn is_asked() -> bool {
    std::env::var_os(ASKED).is_some()
}

/// Runs one task, and ends.
pub(crate) fn main() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let workers = builder.worker_threads(2).enable_all().build().unwrap();
    workers.block_on(async {
        match std::env::var(ASKED).as_deref() {
            Ok("tokio") => drop(tokio::spawn(async { 1u64 }).await.unwrap()),
            _ => drop(first().await.unwrap()),
        }
    });
}

fn measured(of: &str) -> f64 {
    let start = Instant::now();
    let mut process = std::process::Command::new(std::env::current_exe().unwrap());
    assert!(process.env(ASKED, of).status().unwrap().success());
    start.elapsed().as_secs_f64() * 1e3
}

pub(crate) fn rows(table: &mut Table) {
    let mut row = Row::new("process with one task", "ms").goal(Goal::Most(10.0));
    for _ in table.rounds() {
        row.ours(measured("flowkit"));
        row.floor("process with one tokio task", measured("tokio"));
    }
    table.add(&row);
}
