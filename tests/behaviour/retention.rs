//! A journal keeps as much of the past as it is told to, and never loses what goes on.

use std::sync::Arc;
use std::time::Duration;

use flowkit::KeepRuns;
use flowkit::journal::{JournalStore, MemoryJournal, RunFilter};
use flowkit::prelude::*;
use tokio::sync::Notify;

#[task]
async fn double(n: u64) -> u64 {
    n * 2
}

#[flow]
async fn small(n: u64) -> Result<u64> {
    Ok(double(n).await?)
}

#[flow]
async fn long(#[resource] end: &Arc<Notify>) -> Result<u64> {
    let doubled = double(1u64).await?;
    end.notified().await;
    Ok(doubled)
}

async fn runtime(store: &Arc<MemoryJournal>, keep: KeepRuns) -> Runtime {
    Runtime::builder()
        .journal_store(Arc::clone(store) as Arc<dyn JournalStore>)
        .keep_runs(keep)
        .resource(Arc::new(Notify::new()))
        .build()
        .await
        .unwrap()
}

async fn names(store: &MemoryJournal) -> Vec<String> {
    let flows = store.flows(&RunFilter::default()).await.unwrap();
    flows.into_iter().map(|flow| flow.name).collect()
}

/// Runs flows until the journal has been cleared out, which happens now and then.
async fn run_many(runtime: &Runtime, store: &MemoryJournal, runs: u64, until: impl Fn(usize) -> bool) {
    for n in 0..runs {
        runtime.run(small(n)).await.into_result().unwrap();
    }
    while !until(names(store).await.len()) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_oldest_runs_go_and_one_that_goes_on_stays() {
    let store = Arc::new(MemoryJournal::new());
    let runtime = runtime(&store, KeepRuns::everything().runs(5)).await;
    let going_on = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.run(long()).await.state() }
    });
    // The 129th end clears out for the third time.
    run_many(&runtime, &store, 129, |kept| kept <= 10).await;
    assert!(names(&store).await.contains(&"long".to_owned()));
    going_on.abort();
}

#[tokio::test(start_paused = true)]
async fn runs_that_are_too_old_go() {
    let store = Arc::new(MemoryJournal::new());
    let runtime = Runtime::builder()
        .journal_store(Arc::clone(&store) as Arc<dyn JournalStore>)
        .clock(flowkit::TokioClock::starting_at(
            std::time::SystemTime::UNIX_EPOCH,
        ))
        .keep_runs(KeepRuns::everything().age(Duration::from_secs(3600)))
        .build()
        .await
        .unwrap();
    for n in 0..64 {
        runtime.run(small(n)).await.into_result().unwrap();
    }
    tokio::time::sleep(Duration::from_secs(7200)).await;
    run_many(&runtime, &store, 1, |kept| kept == 1).await;
}
