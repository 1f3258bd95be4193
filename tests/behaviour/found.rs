//! What the simulator found, each reduced to the few lines that show it.

use std::time::Duration;

use flowkit::prelude::*;

#[task(limit = "db")]
async fn inner(n: u32) -> u32 {
    n
}

#[task(limit = "db")]
async fn awaits_a_group() -> Result<u32> {
    let handles: Vec<_> = (0..3).map(|n| inner(n).submit()).collect();
    Ok(all(handles).await?.iter().sum())
}

#[tokio::test(start_paused = true)]
async fn a_body_that_awaits_a_group_holds_no_slot_meanwhile() {
    #[flow]
    async fn nested() -> Result<u32> {
        Ok(awaits_a_group().await?)
    }
    let runtime = Runtime::builder().limit("db", 1).build().await.unwrap();
    let run = tokio::time::timeout(Duration::from_secs(1), runtime.run(nested())).await;
    assert_eq!(run.expect("it does not stall").into_result().unwrap(), 3);
}

#[task]
async fn after(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_waits_for_two_runs_holds_no_slot_once_one_of_them_has_ended() {
    #[task]
    async fn queries_later() -> Result<u32> {
        after(Duration::from_secs(2)).await?;
        Ok(inner(7).await?)
    }
    #[task(limit = "db")]
    async fn joins() -> Result<u32> {
        let (later, soon) = (queries_later().submit(), after(Duration::from_secs(1)).submit());
        let (later, soon) = futures::join!(later.into_future(), soon.into_future());
        soon?;
        Ok(later?)
    }
    #[flow]
    async fn nested() -> Result<u32> {
        Ok(joins().await?)
    }
    let runtime = Runtime::builder().limit("db", 1).build().await.unwrap();
    let run = tokio::time::timeout(Duration::from_secs(9), runtime.run(nested())).await;
    assert_eq!(run.expect("it does not stall").into_result().unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_was_given_up_leaves_no_slot_behind_that_the_next_wait_holds() {
    #[task(limit = "db")]
    async fn holds() {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    #[task(limit = "db")]
    async fn gives_up() -> Result<u32> {
        let given_up = tokio::time::timeout(Duration::from_secs(1), after(Duration::from_secs(9))).await;
        assert!(given_up.is_err());
        // In line for `db`, it holds `api` already, which this needs.
        Ok(inner(7)
            .with(TaskOptions::new().no_limit().limit("api", 1))
            .await?)
    }
    #[flow]
    async fn nested() -> Result<u32> {
        let first = gives_up()
            .with(TaskOptions::new().limit("db", 1).limit("api", 1))
            .submit();
        tokio::task::yield_now().await;
        let second = holds().submit();
        let value = first.await?;
        second.await?;
        Ok(value)
    }
    let runtime = Runtime::builder()
        .limit("db", 1)
        .limit("api", 1)
        .build()
        .await
        .unwrap();
    let run = tokio::time::timeout(Duration::from_secs(99), runtime.run(nested())).await;
    assert_eq!(run.expect("it does not stall").into_result().unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_run_in_order_is_not_forgotten_when_another_takes_its_value() {
    #[task]
    async fn plus(n: u32) -> u32 {
        n + 1
    }
    #[flow]
    async fn ordered() -> Result<u32> {
        let first = inner(7).with(TaskOptions::new().no_limit()).submit();
        let second = plus(0u32).wait_for([&first]);
        let taker = plus(first).submit();
        let second = second.submit();
        Ok(taker.await? + second.await?)
    }
    let runtime = Runtime::builder().limit("db", 1).build().await.unwrap();
    let run = tokio::time::timeout(Duration::from_secs(1), runtime.run(ordered())).await;
    assert_eq!(run.expect("it does not stall").into_result().unwrap(), 9);
}

#[tokio::test]
async fn a_subflow_that_fails_with_a_cancelled_runs_error_has_failed_all_the_same() {
    #[task]
    async fn endless() {
        std::future::pending::<()>().await;
    }
    #[flow]
    async fn child() -> Result<()> {
        let cancelled = endless().submit();
        cancelled.cancel();
        Ok(cancelled.await?)
    }
    #[flow]
    async fn parent() -> Result<()> {
        let _unlooked_at = child().submit();
        Ok(())
    }
    let run = parent().run().await;
    assert_eq!(run.tasks()[0].state, State::Failed);
    assert_eq!(run.into_result().unwrap_err().kind(), ErrorKind::UnhandledFailure);
}
