//! Single attempts: when each begins, what it sees, who decides about the next, what is run once all the same.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowkit::prelude::*;
use flowkit::{Event, EventKind, Observer, current_run};

use crate::recorder::Recorder;

const SECOND: Duration = Duration::from_secs(1);

/// Remembers the delays before retries.
#[derive(Clone, Default)]
struct DelayRecorder(Arc<Mutex<Vec<Duration>>>);

impl Observer for DelayRecorder {
    fn on_event(&self, event: &Event<'_>) {
        if let EventKind::RetryScheduled { delay, .. } = &event.kind {
            self.0.lock().unwrap().push(*delay);
        }
    }
}

// 10, 82
#[tokio::test(start_paused = true)]
async fn attempts_are_numbered_and_begin_one_after_another() {
    static SEEN: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    #[task(retries = 3, retry_delay = "1s")]
    async fn failing() -> Result<()> {
        let attempt = current_run().map_or(0, |run| run.attempt());
        SEEN.lock().unwrap().push(attempt);
        Err(format!("attempt {attempt}").into())
    }
    #[flow]
    async fn trying() -> Result<()> {
        Ok(failing().await?)
    }
    let run = trying().run().await;
    assert_eq!(*SEEN.lock().unwrap(), [1, 2, 3, 4]);
    let task = &run.tasks()[0];
    let began: Vec<_> = task
        .failed_attempts
        .iter()
        .map(|attempt| attempt.started)
        .collect();
    assert_eq!(began[0], task.started.unwrap());
    for pair in began.windows(2) {
        assert_eq!(pair[1].duration_since(pair[0]).unwrap(), SECOND);
    }
    let errors = task.failed_attempts.iter().map(|attempt| &attempt.error);
    assert!(
        errors
            .zip(1..)
            .all(|(error, n)| error.contains(&format!("attempt {n}")))
    );
}

// 10
#[tokio::test(start_paused = true)]
async fn states_of_one_moment_keep_their_order() {
    #[task]
    async fn instant() {}
    #[flow]
    async fn at_once() -> Result<()> {
        Ok(instant().submit().await?)
    }
    let recorder = Recorder::default();
    let runtime = Runtime::builder()
        .observe(recorder.clone())
        .build()
        .await
        .unwrap();
    let run = runtime.run(at_once()).await;
    let task = &run.tasks()[0];
    assert_eq!(task.started, task.ended, "the clock stands still");
    let expected = [State::Pending, State::Running, State::Completed];
    assert_eq!(recorder.states("instant"), expected);
}

// 14
#[tokio::test]
async fn a_run_is_named_once_however_many_attempts_it_takes() {
    static NAMED: AtomicU32 = AtomicU32::new(0);
    #[derive(Clone)]
    struct Counted;
    impl std::fmt::Display for Counted {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(formatter, "{}", NAMED.fetch_add(1, Ordering::Relaxed) + 1)
        }
    }
    #[task(run_name = "run {source}", retries = 3)]
    async fn failing(source: Counted) -> Result<()> {
        let _ = source;
        Err("no".into())
    }
    #[flow]
    async fn twice() -> Result<()> {
        drop((failing(Counted).await, failing(Counted).await));
        Ok(())
    }
    let run = twice().run().await;
    let names: Vec<_> = run.tasks().iter().map(|task| &*task.name).collect();
    assert_eq!(names, ["run 1", "run 2"]);
    assert_eq!(run.counts().retries, 6);
    assert_eq!(NAMED.load(Ordering::Relaxed), 2);
}

// 16
#[tokio::test(start_paused = true)]
async fn what_a_call_does_not_say_is_as_the_attribute_says() {
    #[task(retries = 3, timeout = "1s", tags("kept"))]
    async fn slow() -> Vec<String> {
        if current_run().map_or(0, |run| run.attempt()) < 3 {
            std::future::pending::<()>().await;
        }
        current_run().map_or_else(Vec::new, |run| run.tags())
    }
    let began = tokio::time::Instant::now();
    let longer = slow().with(TaskOptions::new().timeout(SECOND * 5)).tag("added");
    assert_eq!(longer.await.unwrap(), ["added", "kept"]);
    assert_eq!(began.elapsed(), SECOND * 10, "two attempts, of 5 s each");
}

// 83
#[tokio::test(start_paused = true)]
async fn each_retry_waits_for_its_own_delay() {
    #[task(retries = 3)]
    async fn failing() -> Result<()> {
        Err("no".into())
    }
    #[flow]
    async fn waiting(delays: Vec<u64>) -> Result<()> {
        let delays: Vec<_> = delays.into_iter().map(Duration::from_secs).collect();
        Ok(failing().with(TaskOptions::new().retry_delay(delays)).await?)
    }
    for (delays, waits) in [
        (vec![1], [1, 1, 1]),
        (vec![1, 2, 3], [1, 2, 3]),
        (vec![1, 2], [1, 2, 2]),
    ] {
        let recorder = DelayRecorder::default();
        let observed = Runtime::builder().observe(recorder.clone());
        let runtime = observed.build().await.unwrap();
        let run = runtime.run(waiting(delays)).await;
        assert_eq!(*recorder.0.lock().unwrap(), waits.map(Duration::from_secs));
        assert_eq!(run.elapsed(), Duration::from_secs(waits.iter().sum()));
    }
}

// 86
#[tokio::test]
async fn a_predicate_is_asked_once_for_each_failure() {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    #[derive(Debug)]
    struct Once(u32);
    impl std::fmt::Display for Once {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(formatter, "attempt {}", self.0)
        }
    }
    impl std::error::Error for Once {}
    fn first(error: &Once) -> bool {
        ASKED.fetch_add(1, Ordering::Relaxed);
        error.0 == 1
    }
    #[task(retries = 3, retry_if = first)]
    async fn second_time() -> Result<u32, Once> {
        match current_run().map_or(0, |run| run.attempt()) {
            1 => Err(Once(1)),
            attempt => Ok(attempt),
        }
    }
    assert_eq!(second_time().await.unwrap(), 2);
    assert_eq!(ASKED.load(Ordering::Relaxed), 1);
}

// Z21
#[tokio::test]
async fn a_predicate_that_panics_asks_for_no_retry() {
    fn confused(_: &flowkit::BoxError) -> bool {
        panic!("what is this?")
    }
    #[task(retries = 3, retry_if = confused)]
    async fn failing() -> Result<()> {
        Err("no".into())
    }
    let error = failing().await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Failed, 1));
    assert!(format!("{error:?}").contains("no"), "the body's own error");
}

// 92
#[tokio::test(start_paused = true)]
async fn the_time_a_run_took_includes_all_attempts() {
    #[task(retries = 1)]
    async fn second_time() -> Result<()> {
        tokio::time::sleep(SECOND).await;
        match current_run().map_or(0, |run| run.attempt()) {
            1 => Err("not yet".into()),
            _ => Ok(()),
        }
    }
    #[flow]
    async fn trying() -> Result<()> {
        Ok(second_time().await?)
    }
    let run = trying().run().await;
    assert_eq!(run.tasks()[0].elapsed(), Some(SECOND * 2));
    assert_eq!(run.elapsed(), SECOND * 2);
}

// 104
#[tokio::test(start_paused = true)]
async fn a_cancelled_run_did_not_time_out() {
    #[task(timeout = "10s", retries = 3)]
    async fn endless() {
        std::future::pending::<()>().await;
    }
    #[flow]
    async fn cancelling() -> Result<()> {
        let run = endless().submit();
        tokio::time::sleep(SECOND).await;
        run.cancel();
        let error = run.await.unwrap_err();
        assert!(error.is_cancelled() && !error.is_timed_out(), "{error}");
        Ok(())
    }
    let run = cancelling().run().await;
    assert_eq!(run.state(), State::Completed);
    let task = &run.tasks()[0];
    assert_eq!((task.state, task.attempts), (State::Cancelled, 1));
    assert_eq!(run.elapsed(), SECOND, "no attempt followed");
}

// 100, Z11
#[tokio::test(start_paused = true)]
async fn a_body_that_takes_too_long_is_cleaned_up() {
    static CLEAN: AtomicBool = AtomicBool::new(false);
    struct Cleanup;
    impl Drop for Cleanup {
        fn drop(&mut self) {
            CLEAN.store(true, Ordering::SeqCst);
        }
    }
    #[task(timeout = "200ms")]
    async fn slow() {
        let _cleanup = Cleanup;
        tokio::time::sleep(SECOND * 2).await;
    }
    #[flow]
    async fn waiting() -> Result<bool> {
        let error = slow().await.unwrap_err();
        assert!(error.is_timed_out(), "{error}");
        Ok(CLEAN.load(Ordering::SeqCst))
    }
    let run = waiting().run().await;
    assert!(run.result().unwrap(), "before anybody was told");
    assert_eq!(run.tasks()[0].state, State::TimedOut);
    assert_eq!(run.elapsed(), Duration::from_millis(200));
}
