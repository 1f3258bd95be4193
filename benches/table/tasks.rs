//! Tasks that are awaited in place: beside the plain functions that they were before they were annotated.

use std::hint::black_box;
use std::pin::Pin;

use flowkit::prelude::*;
use flowkit_benches::measure::{each, each_on_worker, timed};
use flowkit_benches::row::{Goal, Row};
use flowkit_benches::table::Table;

const RUNS: u64 = 100_000;
const DEEP: u64 = 200;

#[task]
async fn add(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

async fn bare(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

fn boxed(a: u64, b: u64) -> Boxed<u64> {
    Box::pin(bare(a, b))
}

#[flow]
async fn one_by_one(runs: u64) -> Result<u64> {
    let mut sum = 0;
    for n in 0..runs {
        sum = add(sum, n).await?;
    }
    Ok(sum)
}

#[task]
async fn nested(depth: u64) -> Result<u64> {
    match depth {
        0 => Ok(0),
        // A type that contains itself must be boxed, as in any recursive async function.
        _ => {
            let below: Boxed<Result<u64, flowkit::Error>> = Box::pin(nested(depth - 1).into_future());
            Ok(below.await? + 1)
        }
    }
}

fn bare_nested(depth: u64) -> Boxed<u64> {
    Box::pin(async move {
        match depth {
            0 => 0,
            _ => bare_nested(depth - 1).await + 1,
        }
    })
}

#[flow]
async fn deep(times: u64, depth: u64) -> Result<u64> {
    let mut sum = 0;
    for _ in 0..times {
        sum += nested(depth).await?;
    }
    Ok(sum)
}

#[flow]
async fn empty() -> u64 {
    1
}

pub(crate) async fn rows(table: &mut Table) {
    let mut row = Row::new("awaited task", "µs").goal(Goal::More(1.0));
    for _ in table.rounds() {
        row.ours(each_on_worker(RUNS, one_by_one(RUNS).into_future()).await);
        let plain = async {
            for n in 0..RUNS {
                black_box(bare(black_box(n), 1).await);
            }
        };
        row.floor("the async function", each_on_worker(RUNS, plain).await);
        let plain = async {
            for n in 0..RUNS {
                black_box(boxed(black_box(n), 1).await);
            }
        };
        row.floor("the same in a box", each_on_worker(RUNS, plain).await);
        #[cfg(feature = "peers")]
        {
            use crate::peers::{IN_MEMORY, cano};
            row.peer("cano, a state", IN_MEMORY, cano::states(RUNS).await);
        }
    }
    table.add(&row);

    let mut row = Row::new("tasks in tasks, 200 deep, each", "µs");
    let times = RUNS / DEEP;
    for _ in table.rounds() {
        row.ours(each_on_worker(RUNS, deep(times, DEEP).into_future()).await);
        let plain = async move {
            for _ in 0..times {
                black_box(bare_nested(DEEP).await);
            }
        };
        row.floor("boxed async functions", each_on_worker(RUNS, plain).await);
    }
    table.add(&row);

    flow_start(table).await;
}

async fn flow_start(table: &mut Table) {
    const FLOWS: u64 = 10_000;
    let runtime = Runtime::builder().build().await.unwrap();
    let mut row = Row::new("start and end of an empty flow", "µs");
    for _ in table.rounds() {
        let flows = timed(async {
            for _ in 0..FLOWS {
                black_box(runtime.run(empty()).await.into_result().unwrap());
            }
        });
        row.ours(each(flows.await, FLOWS));
        let floor = timed(async {
            for n in 0..FLOWS {
                black_box(tokio::spawn(bare(n, 1)).await.unwrap());
            }
        });
        row.floor("tokio::spawn + join", each(floor.await, FLOWS));
        #[cfg(feature = "peers")]
        {
            use crate::peers::{IN_MEMORY, cano, dagx};
            row.peer("cano, a workflow", IN_MEMORY, cano::workflows(FLOWS).await);
            row.peer("dagx, a graph of one", IN_MEMORY, dagx::graphs(FLOWS).await);
        }
    }
    table.add(&row);
}
