//! The journal: what it adds to a task, and how long a run takes to be resumed that had finished almost.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flowkit::prelude::*;
use flowkit_benches::measure::{each, timed};
use flowkit_benches::row::{Goal, Row};
use flowkit_benches::table::Table;

const TASKS: u64 = 20_000;
const MAPPED: u64 = 200_000;

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
        n = double(n).await? % 1000;
    }
    Ok(n)
}

/// Fails in its first life, when everything in it is done.
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

pub(crate) async fn rows(table: &mut Table) {
    let plain = runtime(None).await;
    let mut tasks = Row::new("task with the journal on", "µs").goal(Goal::More(50.0));
    let mut items = Row::new("fan-out of 200,000 with the journal, each", "µs").goal(Goal::More(50.0));
    let mut resume = Row::new("resume of 200,000 tasks that are done, each", "µs");
    for _ in table.few_rounds() {
        let directory = tempfile::tempdir().unwrap();
        let journaled = runtime(Some(directory.path())).await;
        let run = async |runtime: &Runtime| each(timed(runtime.run(one_by_one(TASKS))).await, TASKS);
        tasks.ours(run(&journaled).await);
        tasks.floor("without", run(&plain).await);
        let run = async |runtime: &Runtime| each(timed(runtime.run(fan_out(MAPPED))).await, MAPPED);
        items.ours(run(&journaled).await);
        items.floor("without", run(&plain).await);
        drop(journaled);

        let directory = tempfile::tempdir().unwrap();
        let journaled = runtime(Some(directory.path())).await;
        let mut first = None;
        let took = timed(async { first = Some(journaled.run(fails_first(MAPPED)).await) }).await;
        let again = timed(async {
            let resumed = journaled.resume(first.as_ref().unwrap().id()).await.unwrap();
            assert_eq!(resumed.state(), State::Completed);
        });
        resume.ours(each(again.await, MAPPED));
        resume.floor("the first life", each(took, MAPPED));
    }
    [tasks, items, resume].iter().for_each(|row| table.add(row));
}
