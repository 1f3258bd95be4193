//! Failures: of upstreams, allowed ones, ones that nobody looks at, panics, timeouts, cancellation.

use std::time::Duration;

use flowkit::prelude::*;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Broken(pub(crate) &'static str);

impl std::fmt::Display for Broken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.0)
    }
}

impl std::error::Error for Broken {}

#[task]
pub(crate) async fn fails() -> Result<u32, Broken> {
    Err(Broken("no such host"))
}

#[task]
async fn next(n: u32) -> u32 {
    n + 1
}

// 20
#[tokio::test]
async fn what_needs_a_failed_run_does_not_run_and_carries_its_error() {
    #[flow]
    async fn chain() -> Result<u32> {
        let failed = fails().submit();
        let one = next(failed).submit();
        Ok(next(one).await?)
    }
    let run = chain().run().await;
    let error = run.result().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UpstreamFailed);
    assert_eq!(error.root().name(), "fails");
    assert_eq!(error.downcast_ref::<Broken>(), Some(&Broken("no such host")));
    assert_eq!(run.state(), State::Failed);
    let states: Vec<_> = run.tasks().iter().map(|task| task.state).collect();
    assert_eq!(
        states,
        [State::Failed, State::UpstreamFailed, State::UpstreamFailed]
    );
    assert_eq!(run.tasks()[1].attempts, 0);
}

// 22, 23, 32
#[tokio::test]
async fn an_allowed_failure_is_an_input() {
    #[task]
    async fn tell(outcome: std::result::Result<u32, flowkit::Error>) -> String {
        outcome.map_or_else(|error| error.to_string(), |value| value.to_string())
    }
    #[task]
    async fn count(outcomes: Vec<std::result::Result<u32, flowkit::Error>>) -> usize {
        outcomes.iter().filter(|outcome| outcome.is_err()).count()
    }
    #[flow]
    async fn tolerant() -> Result<(String, usize)> {
        let failed = fails().submit();
        let fine = next(1u32).submit();
        let told = tell(allow_failure(&failed)).await?;
        Ok((told, count(allow_failure(all([&failed, &fine]))).await?))
    }
    let run = tolerant().run().await;
    assert_eq!(run.result().unwrap(), &("task `fails` failed".to_owned(), 1));
    assert!(run.record().edges.iter().any(|edge| edge.from.node() == 0));
}

// 4
#[tokio::test]
async fn a_failure_that_is_looked_at_need_not_fail_the_flow() {
    #[flow]
    async fn careful() -> Result<&'static str> {
        Ok(if fails().await.is_err() { "handled" } else { "fine" })
    }
    let run = careful().run().await;
    assert_eq!(run.state(), State::Completed);
    assert_eq!(run.into_result().unwrap(), "handled");
}

// 8, Z8: flowkit's own rule
#[tokio::test]
async fn a_failure_that_nobody_looks_at_fails_the_flow_and_names_the_task() {
    #[flow]
    async fn careless() -> Result<&'static str> {
        let _ = fails().submit();
        Ok("bar")
    }
    let error = careless().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnhandledFailure);
    assert_eq!(error.root().name(), "fails");
}

// Z7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_submitted_ends_before_its_flow() {
    #[flow]
    async fn quick() -> Result<()> {
        for n in 0..20u32 {
            let _ = next(n).submit();
        }
        Ok(())
    }
    let run = quick().run().await;
    assert_eq!(run.counts().completed, 20);
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_fails_cancels_what_it_submitted() {
    #[task]
    async fn endless() {
        std::future::pending::<()>().await;
    }
    #[flow]
    async fn failing() -> Result<()> {
        let _running = endless().submit();
        tokio::time::sleep(Duration::from_secs(1)).await;
        Err("enough".into())
    }
    let run = failing().run().await;
    assert_eq!(run.state(), State::Failed);
    assert_eq!(run.tasks()[0].state, State::Cancelled);
}

// 110
#[tokio::test]
async fn a_panic_is_caught_and_its_message_kept() {
    #[task]
    async fn explodes() -> u8 {
        panic!("over {}", 9000)
    }
    let error = explodes().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Crashed);
    assert!(error.to_string().contains("over 9000"), "{error}");
}

// 113
#[tokio::test]
async fn a_panic_before_the_body_begins_is_a_crash_all_the_same() {
    struct Uncopied;
    impl Clone for Uncopied {
        fn clone(&self) -> Self {
            panic!("there is only one")
        }
    }
    #[task(retries = 1)]
    async fn takes_it_whole(input: Uncopied) -> Result<()> {
        let _ = input;
        Ok(())
    }
    #[flow]
    async fn calling() -> Result<()> {
        let error = takes_it_whole(Uncopied).submit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Crashed);
        assert!(error.to_string().contains("there is only one"), "{error}");
        Ok(())
    }
    let run = calling().run().await;
    assert_eq!(run.state(), State::Completed);
    assert_eq!(run.tasks()[0].state, State::Crashed);
}

// 100
#[tokio::test(start_paused = true)]
async fn a_timeout_ends_an_attempt_on_time() {
    #[task(timeout = "100ms")]
    async fn slow(seconds: u64) -> u8 {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        1
    }
    let before = tokio::time::Instant::now();
    let error = slow(2u64).await.unwrap_err();
    assert_eq!(
        before.elapsed(),
        Duration::from_millis(100),
        "on the paused clock"
    );
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("timed out after 100ms"), "{error}");
    assert_eq!(slow(0u64).await.unwrap(), 1);
}

// 106, 107
#[tokio::test(start_paused = true)]
async fn a_flow_that_takes_too_long_is_stopped_where_it_waits() {
    #[flow(timeout = "1s")]
    async fn slow() -> Result<()> {
        tokio::time::sleep(Duration::from_secs(5)).await;
        next(1u32).await?;
        Ok(())
    }
    let run = slow().run().await;
    assert_eq!(run.state(), State::TimedOut);
    assert!(run.tasks().is_empty(), "the next task never ran");
    let message = run.into_result().unwrap_err().to_string();
    assert!(message.contains("timed out after 1s"), "{message}");
}

// 101: a blocking body cannot be stopped; who waits for it is released on time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_waiter_of_a_blocking_body_is_released_and_the_body_counted() {
    #[derive(Clone, Default)]
    struct Gate(std::sync::Arc<(std::sync::Mutex<bool>, std::sync::Condvar)>);
    #[task(timeout = "20ms")]
    fn stuck(gate: Gate) {
        let (open, opened) = &*gate.0;
        let _open = opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap();
    }
    #[flow]
    async fn waiting(gate: Gate) -> Result<()> {
        Ok(stuck(gate).await?)
    }
    let runtime = Runtime::builder().build().await.unwrap();
    let gate = Gate::default();
    let run = runtime.run(waiting(&gate)).await;
    *gate.0.0.lock().unwrap() = true;
    gate.0.1.notify_all();
    assert_eq!(run.state(), State::TimedOut);
    assert_eq!(runtime.abandoned_blocking(), 1);
}

// Z15
#[tokio::test]
async fn a_cancelled_run_says_so_to_those_who_wait() {
    #[task]
    async fn endless() -> u8 {
        std::future::pending::<()>().await;
        1
    }
    #[flow]
    async fn cancelling() -> Result<ErrorKind> {
        let handle = endless().submit();
        tokio::task::yield_now().await;
        handle.cancel();
        Ok(handle.await.unwrap_err().kind())
    }
    assert_eq!(cancelling().await.unwrap(), ErrorKind::Cancelled);
}

#[tokio::test]
async fn a_flow_passes_the_error_of_its_task_on() {
    #[flow]
    async fn passing() -> Result<u32> {
        Ok(fails().await?)
    }
    let error = passing().await.unwrap_err();
    assert_eq!((error.name(), error.kind()), ("fails", ErrorKind::Failed));
    assert!(format!("{error:?}").contains("no such host"));
}
