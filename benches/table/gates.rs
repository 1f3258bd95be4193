//! What stands before an attempt or follows it: retries and limits.

use std::hint::black_box;
use std::sync::Arc;

use flowkit::prelude::*;
use flowkit_benches::measure::{each, each_on_worker, timed};
use flowkit_benches::row::Row;
use flowkit_benches::table::Table;
use tokio::sync::Semaphore;

const RUNS: u64 = 20_000;
const SLOTS: usize = 4;

#[derive(Debug)]
pub(crate) struct NotYet;

impl std::fmt::Display for NotYet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("not yet")
    }
}

impl std::error::Error for NotYet {}

/// Succeeds the third time.
#[task(retries = 2)]
async fn flaky(n: u64) -> Result<u64, NotYet> {
    match flowkit::current_run().map_or(0, |run| run.attempt()) {
        3 => Ok(n),
        _ => Err(NotYet),
    }
}

#[flow]
async fn retried(runs: u64) -> Result<u64> {
    let mut sum = 0;
    for n in 0..runs {
        sum += flaky(n).await?;
    }
    Ok(sum)
}

async fn bare_flaky(n: u64, attempt: u64) -> Result<u64, NotYet> {
    match attempt {
        3 => Ok(n),
        _ => Err(NotYet),
    }
}

async fn by_hand(n: u64) -> Result<u64, Box<dyn std::error::Error>> {
    let mut attempt = 1;
    loop {
        match bare_flaky(n, attempt).await {
            Ok(value) => return Ok(value),
            Err(error) if attempt > 2 => return Err(error.into()),
            Err(error) => drop(black_box(Box::<dyn std::error::Error>::from(error))),
        }
        attempt += 1;
    }
}

#[task(limit = "slots")]
async fn limited(n: u64) -> u64 {
    tokio::task::yield_now().await;
    n
}

#[flow]
async fn contended(runs: u64) -> Result<u64> {
    Ok((0..runs).map(limited).submit_lazily().await?.iter().sum())
}

async fn semaphore(runs: u64) -> u64 {
    let slots = Arc::new(Semaphore::new(SLOTS));
    let mut set = tokio::task::JoinSet::new();
    let mut sum = 0;
    for n in 0..runs {
        // As many at once as a fan-out has.
        if set.len() >= 1024 {
            sum += set.join_next().await.unwrap().unwrap();
        }
        let slots = Arc::clone(&slots);
        set.spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            tokio::task::yield_now().await;
            n
        });
    }
    while let Some(value) = set.join_next().await {
        sum += value.unwrap();
    }
    sum
}

pub(crate) async fn rows(table: &mut Table) {
    let mut row = Row::new("task that succeeds the third time", "µs");
    for _ in table.rounds() {
        row.ours(each_on_worker(RUNS, retried(RUNS).into_future()).await);
        let floor = timed(async {
            for n in 0..RUNS {
                black_box(by_hand(n).await.unwrap());
            }
        });
        row.floor("a loop by hand", each(floor.await, RUNS));
        #[cfg(feature = "peers")]
        {
            use crate::peers::{IN_MEMORY, cano, retried_by_backon};
            row.peer(
                "backon, without delays",
                "keeps nothing",
                retried_by_backon(RUNS).await,
            );
            row.peer("cano, fixed retries", IN_MEMORY, cano::retried(RUNS / 4).await);
        }
    }
    table.add(&row);

    let runtime = Runtime::builder().limit("slots", 4).build().await.unwrap();
    let mut row = Row::new("20,000 tasks through 4 slots, each", "µs");
    for _ in table.rounds() {
        row.ours(each(
            timed(async { runtime.run(contended(RUNS)).await.into_result().unwrap() }).await,
            RUNS,
        ));
        row.floor(
            "JoinSet and Semaphore",
            each_on_worker(RUNS, semaphore(RUNS)).await,
        );
    }
    table.add(&row);
}
