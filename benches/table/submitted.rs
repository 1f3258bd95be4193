//! Tasks that are submitted: beside tokio tasks that are spawned and joined.

use std::hint::black_box;

use flowkit::prelude::*;
use flowkit_benches::floor::{bare, shared_chain, spawn_and_join};
use flowkit_benches::measure::{Stopwatch, each, each_on_worker};
use flowkit_benches::row::{Goal, Row};
use flowkit_benches::table::Table;

const RUNS: u64 = 100_000;
const FAN_IN: u64 = 10_000;

#[task]
async fn add(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

#[task]
async fn total(numbers: Vec<u64>) -> u64 {
    numbers.iter().sum()
}

#[flow]
async fn submit_and_join(runs: u64) -> Result<u64> {
    let mut sum = 0;
    for n in 0..runs {
        sum = add(sum, n).submit().await?;
    }
    Ok(sum)
}

#[flow]
async fn chain(runs: u64) -> Result<u64> {
    let mut last = add(0u64, 0u64).submit();
    for n in 1..runs {
        last = add(last, n).submit();
    }
    Ok(last.await?)
}

async fn spawned_chain(runs: u64) -> u64 {
    let mut last = tokio::spawn(bare(0, 0));
    for n in 1..runs {
        last = tokio::spawn(async move { bare(last.await.unwrap(), n).await });
    }
    last.await.unwrap()
}

#[flow]
async fn fan_in(times: u64, width: u64) -> Result<u64> {
    let mut sum = 0;
    for _ in 0..times {
        let parts: Vec<_> = (0..width).map(|n| add(n, 1u64).submit()).collect();
        sum += total(all(parts)).await?;
    }
    Ok(sum)
}

async fn spawned_fan_in(times: u64, width: u64) -> u64 {
    let mut sum = 0;
    for _ in 0..times {
        let parts: Vec<_> = (0..width).map(|n| tokio::spawn(bare(n, 1))).collect();
        let mut numbers = Vec::with_capacity(parts.len());
        for part in parts {
            numbers.push(part.await.unwrap());
        }
        sum += numbers.iter().sum::<u64>();
    }
    sum
}

pub(crate) async fn rows(table: &mut Table) {
    let mut row = Row::new("submit + join", "µs").goal(Goal::Ratio(1.5));
    for _ in table.rounds() {
        row.ours(each_on_worker(RUNS, submit_and_join(RUNS).into_future()).await);
        row.floor(
            "tokio::spawn + join",
            each_on_worker(RUNS, spawn_and_join(RUNS, drop)).await,
        );
    }
    table.add(&row);

    let mut row = Row::new("submit + join on one thread", "µs").goal(Goal::Ratio(1.5));
    for _ in table.rounds() {
        row.ours(on_one_thread(submit_and_join(RUNS).into_future()).await);
        row.floor(
            "tokio::spawn + join",
            on_one_thread(spawn_and_join(RUNS, drop)).await,
        );
    }
    table.add(&row);

    let mut row = Row::new("chain of 100,000 through handles, each", "µs");
    for _ in table.rounds() {
        row.ours(each_on_worker(RUNS, chain(RUNS).into_future()).await);
        row.floor(
            "spawned tasks, joined",
            each_on_worker(RUNS, spawned_chain(RUNS)).await,
        );
        row.floor(
            "the same, shared",
            each_on_worker(RUNS, shared_chain(RUNS, drop)).await,
        );
        #[cfg(feature = "peers")]
        row.peer(
            "dagx, a chain of 10,000",
            crate::peers::IN_MEMORY,
            crate::peers::dagx::chain(FAN_IN).await,
        );
    }
    table.add(&row);

    let times = RUNS / FAN_IN;
    let mut row = Row::new("fan-in of 10,000 handles, each", "µs");
    for _ in table.rounds() {
        row.ours(each_on_worker(RUNS, fan_in(times, FAN_IN).into_future()).await);
        row.floor(
            "spawned tasks, joined",
            each_on_worker(RUNS, spawned_fan_in(times, FAN_IN)).await,
        );
        #[cfg(feature = "peers")]
        row.peer(
            "dagx, 10,000 tasks",
            crate::peers::IN_MEMORY,
            crate::peers::dagx::independent(FAN_IN).await,
        );
    }
    table.add(&row);
}

/// The same work on a runtime of one thread, without workers to wake.
async fn on_one_thread<F>(work: F) -> f64
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    let measured = tokio::task::spawn_blocking(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let start = Stopwatch::new();
            black_box(work.await);
            each(start.elapsed(), RUNS)
        })
    });
    measured.await.unwrap()
}
