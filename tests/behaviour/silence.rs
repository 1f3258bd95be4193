//! Test runtimes that end what nothing happens in any more, and say what everything waited for.

use std::time::Duration;

use flowkit::WaitsFor;
use flowkit::prelude::*;
use flowkit::testing::TestRuntime;

use crate::stalls::{Later, add, ended, names};

/// Waits for a message that nobody sends.
#[task(limit = "ears")]
async fn listens(for_ever: bool) -> u64 {
    if for_ever {
        std::future::pending::<()>().await;
    }
    1
}

const LONG: Duration = Duration::from_secs(24 * 3600);

async fn with_ears(ears: u32) -> TestRuntime {
    TestRuntime::builder()
        .limit("ears", ears)
        .stall_after(LONG)
        .build()
        .await
}

#[tokio::test(start_paused = true)]
async fn a_silent_test_runtime_says_what_everything_waits_for() {
    #[task(run_name = "told {n}")]
    async fn asks(n: u64, later: Later) -> Result<u64> {
        Ok(n + later.get().await.await?)
    }
    #[flow]
    async fn deaf() -> Result<u64> {
        let later = Later::default();
        let listener = listens(true).submit();
        let queued = listens(true).named("queued").submit();
        let needs = add(&listener, 1u64).wait_for([&queued]).submit();
        let asking = asks(1u64, later.clone()).submit();
        later.fill(&queued);
        Ok(all([needs, asking]).await?.iter().sum())
    }
    let runtime = with_ears(1).await;
    let began = tokio::time::Instant::now();
    let run = ended(runtime.run(deaf())).await;
    assert_eq!(began.elapsed(), LONG);
    assert_eq!(run.state(), State::Failed);
    let error = run.result().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stalled);
    let told: Vec<_> = error.wait_graph().iter().map(ToString::to_string).collect();
    let flow = ["`listens`", "`queued`", "`add`", "`told 1`"].map(|name| format!("ends only after {name}"));
    assert_eq!(
        told,
        [
            &*format!("`deaf` (Running) {}", flow.join(" and ")),
            "`listens` (Running) waits for something outside of flowkit",
            "`queued` (AwaitingSlot) waits for a slot of the limit `ears`",
            "`add` (Pending) waits for its input `n` from `listens` and begins only after `queued`",
            "`told 1` (Running) waits for `queued`",
        ]
    );
    assert!(run.tasks().iter().all(|task| task.state == State::Cancelled));
    assert_eq!(runtime.runtime().running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_subflow_and_a_fan_out_are_told_with_what_is_in_them() {
    #[flow]
    async fn child() -> Result<u64> {
        Ok((0..3).map(|n| listens(n > 0)).submit_all().await?.iter().sum())
    }
    #[flow]
    async fn parent() -> Result<u64> {
        Ok(child().await?)
    }
    let runtime = with_ears(9).await;
    let error = ended(runtime.run(parent())).await.into_result().unwrap_err();
    assert_eq!(
        names(&error),
        ["parent", "child", "listens", "listens", "listens"]
    );
    let waits_for = &error.wait_graph()[2].waits_for;
    assert_eq!(waits_for.len(), 2, "the first item has ended");
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_nobody_resumes_and_a_task_outside_any_flow_are_stalls_too() {
    #[flow]
    async fn paused() -> Result<u64> {
        Ok(flowkit::pause("approval").await?)
    }
    let runtime = with_ears(1).await;
    let error = ended(runtime.run(paused())).await.into_result().unwrap_err();
    assert_eq!(error.wait_graph()[0].waits_for, [WaitsFor::Resumption]);
    let alone = runtime.runtime().scope(async { listens(true).await });
    let error = alone.await.unwrap_err();
    assert_eq!((error.kind(), error.wait_graph().len()), (ErrorKind::Stalled, 2));
}

#[tokio::test(start_paused = true)]
async fn a_long_retry_delay_and_many_short_steps_are_no_silence() {
    #[task(retries = 1, retry_delay = "30d")]
    async fn flaky() -> Result<u64> {
        match flowkit::current_run().map_or(0, |run| run.attempt()) {
            1 => Err("not yet".into()),
            _ => Ok(1),
        }
    }
    #[task]
    async fn step(n: u64) -> u64 {
        flowkit::sleep(LONG / 2).await;
        n
    }
    #[flow]
    async fn long() -> Result<u64> {
        let mut n = flaky().await?;
        for _ in 0..100 {
            n = step(n).await?;
        }
        Ok(n)
    }
    let runtime = with_ears(1).await;
    let run = ended(runtime.run(long())).await;
    assert_eq!(run.into_result().unwrap(), 1);
}
