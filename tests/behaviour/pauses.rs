//! Pauses: a run that waits for somebody outside, and what becomes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flowkit::prelude::*;
use flowkit::{PausedRun, pause};

const SECOND: Duration = Duration::from_secs(1);

#[flow]
async fn approval() -> Result<u32> {
    Ok(pause::<u32>("x").await?)
}

/// The first pause that waits.
async fn paused(runtime: &Runtime) -> PausedRun {
    loop {
        match runtime.paused().pop() {
            Some(paused) => return paused,
            None => tokio::task::yield_now().await,
        }
    }
}

// 73, 197
#[tokio::test]
async fn a_paused_run_goes_on_with_what_it_is_given() {
    let runtime = Runtime::builder().build().await.unwrap();
    runtime
        .scope(async {
            let handle = approval().submit();
            let waits = paused(&runtime).await;
            assert_eq!(&*waits.key, "x");
            assert_eq!(handle.state(), State::Paused);
            runtime.resume_paused(waits.run, "x", 42u32).unwrap();
            assert_eq!(handle.await.unwrap(), 42);
        })
        .await;
    assert!(runtime.paused().is_empty());
}

// 197
#[tokio::test(start_paused = true)]
async fn a_pause_that_is_not_resumed_in_time_fails_and_what_follows_does_not_run() {
    #[task]
    async fn never() {
        unreachable!("it was not resumed");
    }
    #[flow]
    async fn hasty() -> Result<()> {
        pause::<()>("go on").timeout(SECOND).await?;
        Ok(never().await?)
    }
    let run = hasty().run().await;
    assert_eq!(run.state(), State::TimedOut);
    assert!(run.tasks().is_empty());
    let error = run.into_result().unwrap_err();
    assert_eq!(
        error.to_string(),
        "flow `hasty` timed out after 1s, because its pause `go on` was not resumed"
    );
}

// 197
#[tokio::test]
async fn each_key_is_asked_for_once_also_over_the_attempts_of_a_flow() {
    #[flow(retries = 1)]
    async fn twice() -> Result<u32> {
        let first: u32 = pause("x").await?;
        let again: u32 = pause("x").await?;
        match flowkit::current_run().map_or(0, |run| run.attempt()) {
            1 => Err("not yet".into()),
            _ => Ok(first + again),
        }
    }
    let runtime = Runtime::builder().build().await.unwrap();
    runtime
        .scope(async {
            let handle = twice().submit();
            let waits = paused(&runtime).await;
            runtime.resume_paused(waits.run, "x", 21u32).unwrap();
            assert_eq!(handle.await.unwrap(), 42);
        })
        .await;
}

#[tokio::test]
async fn a_pause_is_told_apart_by_run_key_and_type_and_resumed_once() {
    let runtime = Runtime::builder().build().await.unwrap();
    runtime
        .scope(async {
            let handle = approval().submit();
            let waits = paused(&runtime).await;
            let other = flowkit::FlowRunId::from_u128(1);
            let refused = |outcome: Result<(), flowkit::Error>| outcome.unwrap_err().to_string();
            assert!(refused(runtime.resume_paused(other, "x", 1u32)).contains("no run"));
            assert!(refused(runtime.resume_paused(waits.run, "y", 1u32)).contains("`y`"));
            assert!(refused(runtime.resume_paused(waits.run, "x", 1i64)).contains("waits for a `u32`"));
            runtime.resume_paused(waits.run, "x", 1u32).unwrap();
            assert!(refused(runtime.resume_paused(waits.run, "x", 2u32)).contains("before"));
            assert_eq!(handle.await.unwrap(), 1);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_task_or_subflow_holds_no_slot_and_can_be_cancelled() {
    #[task(limit = "db")]
    async fn asks() -> Result<u32> {
        Ok(pause("in a task").await?)
    }
    #[task(limit = "db")]
    async fn works() -> u32 {
        7
    }
    #[flow]
    async fn child() -> Result<u32> {
        Ok(pause("in a subflow").await?)
    }
    #[flow]
    async fn parent() -> Result<u32> {
        let (asks, child) = (asks().submit(), child().submit());
        tokio::time::sleep(SECOND).await;
        assert_eq!((asks.state(), child.state()), (State::Paused, State::Paused));
        child.cancel();
        assert!(child.await.unwrap_err().is_cancelled());
        let worked = works().await?;
        Ok(worked + asks.await?)
    }
    let runtime = Runtime::builder().limit("db", 1).build().await.unwrap();
    let running = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.run(parent()).await }
    });
    tokio::time::sleep(SECOND * 2).await;
    let waits = paused(&runtime).await;
    assert_eq!(&*waits.key, "in a task");
    runtime.resume_paused(waits.run, &waits.key, 35u32).unwrap();
    let run = running.await.unwrap();
    assert_eq!(
        run.tasks()[0].attempts,
        1,
        "it went on with the attempt that it was in"
    );
    assert_eq!(run.into_result().unwrap(), 42);
}

#[tokio::test]
async fn outside_any_run_there_is_nothing_to_pause() {
    let error = pause::<()>("x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[flow]
async fn asks_below(name: String) -> Result<String> {
    Ok(format!("{name} {}", pause::<String>("who").persist().await?))
}

/// Asks four times, once without having the answer written down, and fails in its first life.
#[flow]
async fn asks_around(#[resource] lives: &Arc<AtomicU32>) -> Result<String> {
    let life = lives.fetch_add(1, Ordering::Relaxed);
    let plot: u32 = pause("plot").persist().await?;
    let north = asks_below("north").await?;
    let south = asks_below("south").await?;
    let season: String = pause("season").await?;
    if life == 0 {
        return Err("it rained".into());
    }
    Ok(format!("{plot}, {north}, {south}, {season}"))
}

#[tokio::test]
async fn what_a_pause_was_given_is_there_in_the_next_life_if_it_is_to_persist() {
    let directory = tempfile::tempdir().unwrap();
    let lives: Arc<AtomicU32> = Arc::default();
    let build = async || {
        let builder = Runtime::builder().data_dir(directory.path());
        builder.resource(Arc::clone(&lives)).build().await.unwrap()
    };
    let give = async |runtime: &Runtime, key: &str, text: &str| {
        let waits = paused(runtime).await;
        assert_eq!(&*waits.key, key);
        runtime.resume_paused(waits.run, key, text.to_owned()).unwrap();
        while runtime.paused().contains(&waits) {
            tokio::task::yield_now().await;
        }
    };
    let runtime = build().await;
    let run = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.run(asks_around()).await }
    });
    let waits = paused(&runtime).await;
    runtime.resume_paused(waits.run, "plot", 7u32).unwrap();
    while runtime.paused().contains(&waits) {
        tokio::task::yield_now().await;
    }
    for (key, text) in [("who", "Ada"), ("who", "Grace"), ("season", "spring")] {
        give(&runtime, key, text).await;
    }
    let id = run.await.unwrap().id();
    runtime.shutdown(SECOND).await;
    drop(runtime);

    let runtime = build().await;
    let resumed = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.resume(id).await.unwrap().into_result() }
    });
    // Only this one is asked for again.
    give(&runtime, "season", "autumn").await;
    let said = resumed.await.unwrap().unwrap();
    assert_eq!(said, "7, north Ada, south Grace, autumn");
}
