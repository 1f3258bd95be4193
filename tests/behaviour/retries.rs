//! Retries: how many, after what delay, of what.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flowkit::current_run;
use flowkit::prelude::*;

use crate::recorder::Recorder;

#[task(retries = 3)]
async fn succeeds_on(attempt: u32) -> Result<u32> {
    let now = current_run().map_or(0, |run| run.attempt());
    if now < attempt {
        Err(format!("attempt {now}").into())
    } else {
        Ok(now)
    }
}

#[flow]
async fn retrying(attempt: u32) -> Result<u32> {
    Ok(succeeds_on(attempt).await?)
}

// 79, 80, 88, 172
#[tokio::test]
async fn attempts_are_retries_plus_one() {
    use State::{AwaitingRetry, Completed, Failed, Pending, Running};
    let recorder = Recorder::default();
    let runtime = Runtime::builder()
        .observe(recorder.clone())
        .build()
        .await
        .unwrap();
    assert_eq!(runtime.run(retrying(4u32)).await.into_result().unwrap(), 4);
    let three = [
        Running,
        AwaitingRetry,
        Running,
        AwaitingRetry,
        Running,
        AwaitingRetry,
        Running,
    ];
    let expected: Vec<_> = [Pending].into_iter().chain(three).chain([Completed]).collect();
    assert_eq!(recorder.states("succeeds_on"), expected);

    let run = runtime.run(retrying(9u32)).await;
    assert_eq!(run.tasks()[0].attempts, 4);
    assert_eq!(run.tasks()[0].failed_attempts.len(), 3);
    assert_eq!(recorder.states("succeeds_on").last(), Some(&Failed));
    assert_eq!(run.into_result().unwrap_err().attempts(), 4);
}

// 83
#[tokio::test(start_paused = true)]
async fn delays_follow_the_list_and_the_last_repeats() {
    #[task(retries = 3, retry_delay = ["1s", "2s"])]
    async fn failing() -> Result<()> {
        Err("no".into())
    }
    let before = tokio::time::Instant::now();
    assert!(failing().await.is_err());
    assert_eq!(before.elapsed(), Duration::from_secs(5));
}

// 16
#[tokio::test]
async fn options_of_a_call_override_and_zero_is_not_absent() {
    let error = succeeds_on(9u32)
        .with(TaskOptions::new().retries(0))
        .await
        .unwrap_err();
    assert_eq!(error.attempts(), 1);
    let error = succeeds_on(9u32).await.unwrap_err();
    assert_eq!(error.attempts(), 4, "the task itself is as it was");
}

// 85
#[tokio::test]
async fn a_runtime_has_defaults_for_tasks_that_say_nothing() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    #[task]
    async fn silent() -> Result<()> {
        CALLS.fetch_add(1, Ordering::Relaxed);
        Err("no".into())
    }
    #[flow]
    async fn failing() -> Result<()> {
        Ok(silent().await?)
    }
    let runtime = Runtime::builder()
        .task_defaults(TaskOptions::new().retries(1))
        .build()
        .await
        .unwrap();
    assert_eq!(runtime.run(failing()).await.state(), State::Failed);
    assert_eq!(CALLS.load(Ordering::Relaxed), 2);
}

// 86, Z21
#[tokio::test]
async fn a_predicate_over_the_typed_error_decides() {
    #[derive(Debug)]
    struct Status(u16);
    impl std::fmt::Display for Status {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(formatter, "{}", self.0)
        }
    }
    impl std::error::Error for Status {}
    #[task(retries = 5, retry_if = |status: &Status| status.0 >= 500)]
    async fn fetch(first: u16) -> std::result::Result<(), Status> {
        let attempt = current_run().map_or(0, |run| run.attempt());
        Err(Status(if attempt == 1 { first } else { 404 }))
    }
    assert_eq!(fetch(503u16).await.unwrap_err().attempts(), 2);
    assert_eq!(fetch(404u16).await.unwrap_err().attempts(), 1);
}

// 91
#[tokio::test]
async fn retries_of_an_inner_task_begin_anew_with_each_outer_attempt() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    #[task(retries = 1)]
    async fn inner() -> Result<()> {
        CALLS.fetch_add(1, Ordering::Relaxed);
        Err("no".into())
    }
    #[task(retries = 1)]
    async fn outer() -> Result<()> {
        Ok(inner().await?)
    }
    assert!(outer().await.is_err());
    assert_eq!(CALLS.load(Ordering::Relaxed), 4);
}

// Z12
#[tokio::test(start_paused = true)]
async fn timeouts_are_retried_within_the_total_timeout() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    #[task(retries = 10, timeout = "1s", total_timeout = "3500ms")]
    async fn slow() {
        CALLS.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<()>().await;
    }
    let before = tokio::time::Instant::now();
    let error = slow().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(before.elapsed(), Duration::from_millis(3500));
    assert_eq!(CALLS.load(Ordering::Relaxed), 4);
}

// Z12
#[tokio::test(start_paused = true)]
async fn timeouts_are_not_retried_if_that_is_said() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    #[task(retries = 2, timeout = "1s", retry_timeouts = false)]
    async fn slow_or_broken(slow: bool) -> Result<()> {
        CALLS.fetch_add(1, Ordering::Relaxed);
        if slow {
            std::future::pending::<()>().await;
        }
        Err("no".into())
    }
    #[flow(retries = 2, timeout = "1s", retry_timeouts = false)]
    async fn slow_flow() -> Result<()> {
        CALLS.fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    }
    let calls = || CALLS.swap(0, Ordering::Relaxed);

    let error = slow_or_broken(true).await.unwrap_err();
    assert_eq!((error.kind(), calls()), (ErrorKind::TimedOut, 1));
    let error = slow_or_broken(false).await.unwrap_err();
    assert_eq!(
        (error.kind(), calls()),
        (ErrorKind::Failed, 3),
        "errors still are"
    );
    let error = slow_flow().await.unwrap_err();
    assert_eq!((error.kind(), calls()), (ErrorKind::TimedOut, 1), "of a flow too");
    let again = TaskOptions::new().retry_timeouts(true);
    let error = slow_or_broken(true).with(again).await.unwrap_err();
    assert_eq!(
        (error.kind(), calls()),
        (ErrorKind::TimedOut, 3),
        "the call is stronger"
    );
}

#[tokio::test]
async fn panics_are_retried_only_if_asked() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    #[task(retries = 2)]
    async fn explodes() {
        CALLS.fetch_add(1, Ordering::Relaxed);
        panic!("no");
    }
    assert!(explodes().await.is_err());
    assert_eq!(CALLS.load(Ordering::Relaxed), 1);
    assert!(
        explodes()
            .with(TaskOptions::new().retry_panics(true))
            .await
            .is_err()
    );
    assert_eq!(CALLS.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn an_error_may_ask_for_a_longer_wait_than_the_policy_says() {
    #[derive(Debug)]
    struct Busy(Option<u64>);
    impl std::fmt::Display for Busy {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("429")
        }
    }
    impl std::error::Error for Busy {}
    fn wait_asked_for(busy: &Busy) -> Option<Duration> {
        busy.0.map(Duration::from_secs)
    }
    #[task(retries = 3, retry_delay = "10s", retry_after = wait_asked_for)]
    async fn call() -> Result<(), Busy> {
        match current_run().map_or(0, |run| run.attempt()) {
            1 => Err(Busy(Some(60))),
            2 => Err(Busy(Some(1))),
            3 => Err(Busy(None)),
            _ => Ok(()),
        }
    }
    #[flow(retries = 1, retry_after = wait_asked_for, retry_if = |busy| busy.0.is_some())]
    async fn flow(first: u64) -> Result<(), Busy> {
        match current_run().map_or(0, |run| run.attempt()) {
            1 => Err(Busy(Some(first))),
            _ => Ok(()),
        }
    }
    let began = tokio::time::Instant::now();
    call().await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(60 + 10 + 10));
    let began = tokio::time::Instant::now();
    flow(5u64).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(5));
}

#[tokio::test]
async fn what_a_failed_attempt_called_and_did_not_look_at_failed_with_it() {
    #[task]
    async fn child() -> Result<()> {
        match current_run().map(|run| run.tags().len()) {
            Some(1) => Err("no".into()),
            _ => Ok(()),
        }
    }
    #[task(retries = 1)]
    async fn parent() -> Result<()> {
        let attempt = current_run().map_or(0, |run| run.attempt());
        if attempt == 1 {
            let failing = child().tag("first").submit();
            failing.wait(Duration::from_secs(1)).await;
            return Err("and so do I".into());
        }
        Ok(child().await?)
    }
    #[flow]
    async fn around() -> Result<()> {
        Ok(parent().await?)
    }
    let run = around().run().await;
    assert_eq!(run.state(), State::Completed, "{:?}", run.result());
}
