//! Hooks: which are called, when, in which order, and that they change nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowkit::prelude::*;
use flowkit::{DefinitionKind, Event, EventKind, HookRun};

/// What hooks were called for, in order.
type Calls = Mutex<Vec<String>>;

fn note(calls: &Calls, hook: &str, run: &HookRun) {
    calls.lock().unwrap().push(format!(
        "{hook}: {} {} {}",
        run.run_name(),
        run.state(),
        run.attempt()
    ));
}

// 169
#[tokio::test]
async fn hooks_are_called_in_order_for_how_the_run_ended_and_for_nothing_else() {
    static CALLS: Calls = Mutex::new(Vec::new());
    fn first(run: HookRun) {
        note(&CALLS, "first", &run);
    }
    async fn second(run: HookRun) {
        note(&CALLS, "second", &run);
    }
    fn failed(run: HookRun) {
        note(&CALLS, "failed", &run);
    }
    #[task(on_success(first, second), on_failure = failed)]
    async fn check(fails: bool) -> Result<()> {
        if fails { Err("no".into()) } else { Ok(()) }
    }
    #[flow]
    async fn both() -> Result<()> {
        check(false).await?;
        check(true).await?;
        Ok(())
    }
    assert!(both().await.is_err());
    let calls = CALLS.lock().unwrap();
    assert_eq!(
        *calls,
        [
            "first: check Completed 1",
            "second: check Completed 1",
            "failed: check Failed 1"
        ]
    );
}

// 172, Z21
#[tokio::test(start_paused = true)]
async fn the_running_hook_is_called_for_every_attempt_and_the_failure_hook_once() {
    static CALLS: Calls = Mutex::new(Vec::new());
    fn running(run: HookRun) {
        note(&CALLS, "running", &run);
    }
    fn failed(run: HookRun) {
        assert_eq!(run.error().unwrap().attempts(), 2);
        note(&CALLS, "failed", &run);
    }
    #[task(retries = 1, retry_delay = "1s", on_running = running, on_failure = failed)]
    async fn flaky() -> Result<()> {
        Err("no".into())
    }
    assert!(flaky().await.is_err());
    let calls = CALLS.lock().unwrap();
    assert_eq!(
        *calls,
        [
            "running: flaky Running 1",
            "running: flaky Running 2",
            "failed: flaky Failed 2"
        ]
    );
}

// 170, Z16
#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_panics_or_hangs_is_recorded_and_changes_nothing() {
    static CALLS: Calls = Mutex::new(Vec::new());
    async fn failing(_run: HookRun) -> Result<()> {
        Err("no such channel".into())
    }
    fn panicking(_run: HookRun) {
        panic!("oh");
    }
    async fn hanging(_run: HookRun) {
        std::future::pending::<()>().await;
    }
    fn last(run: HookRun) {
        note(&CALLS, "last", &run);
    }
    #[task(on_success = [failing, panicking, hanging, last])]
    async fn fine() -> u8 {
        7
    }
    #[flow]
    async fn around() -> Result<u8> {
        Ok(fine().await?)
    }
    let told = Arc::new(Told::default());
    let runtime = Runtime::builder()
        .hook_timeout(Duration::from_secs(5))
        .observe(Arc::clone(&told))
        .build()
        .await
        .unwrap();
    let run = runtime.run(around()).await;
    assert_eq!(run.tasks()[0].state, State::Completed);
    let failures = &run.tasks()[0].hook_failures;
    let expected = [
        "no such channel",
        "it panicked: oh (tests/behaviour/hooks.rs:",
        "it took longer than 5s",
    ];
    assert_eq!(failures.len(), expected.len());
    for (failure, expected) in failures.iter().zip(expected) {
        assert!(
            failure.starts_with(&format!("a hook for Completed failed: {expected}")),
            "{failure}"
        );
    }
    assert_eq!(told.0.lock().unwrap().len(), 3, "observers are told as well");
    assert_eq!(run.into_result().unwrap(), 7);
    assert_eq!(*CALLS.lock().unwrap(), ["last: fine Completed 1"]);
}

/// Remembers the hooks that failed.
#[derive(Default)]
struct Told(Calls);

impl flowkit::Observer for Told {
    fn on_event(&self, event: &Event<'_>) {
        if let EventKind::HookFailed { error, .. } = event.kind {
            self.0.lock().unwrap().push(error.to_owned());
        }
    }
}

// 175
#[tokio::test]
async fn cancelling_and_panicking_have_hooks_of_their_own() {
    static CALLS: Calls = Mutex::new(Vec::new());
    fn cancelled(run: HookRun) {
        note(&CALLS, "cancelled", &run);
    }
    fn crashed(run: HookRun) {
        note(&CALLS, "crashed", &run);
    }
    fn failed(run: HookRun) {
        note(&CALLS, "failed", &run);
    }
    #[task(on_cancellation = cancelled, on_crash = crashed, on_failure = failed)]
    async fn waits(panics: bool) {
        assert!(!panics, "as it was told");
        std::future::pending::<()>().await;
    }
    #[flow]
    async fn both() -> Result<()> {
        assert!(waits(true).await.is_err());
        let handle = waits(false).submit();
        tokio::task::yield_now().await;
        handle.cancel();
        assert!(handle.await.is_err());
        Ok(())
    }
    both().await.unwrap();
    assert_eq!(
        *CALLS.lock().unwrap(),
        ["crashed: waits Crashed 1", "cancelled: waits Cancelled 1"]
    );
}

// 173, 175
#[tokio::test]
async fn flows_have_hooks_too_and_a_retried_one_fails_once() {
    static CALLS: Calls = Mutex::new(Vec::new());
    fn running(run: HookRun) {
        note(&CALLS, "running", &run);
    }
    fn failed(run: HookRun) {
        assert_eq!(run.kind(), DefinitionKind::Flow);
        note(&CALLS, "failed", &run);
    }
    #[flow(retries = 2, on_running = running, on_failure = failed)]
    async fn nightly() -> Result<()> {
        Err("no".into())
    }
    assert!(nightly().await.is_err());
    assert_eq!(
        *CALLS.lock().unwrap(),
        [
            "running: nightly Running 1",
            "running: nightly Running 2",
            "running: nightly Running 3",
            "failed: nightly Failed 3"
        ]
    );
}

#[tokio::test]
async fn the_hooks_of_a_runtime_are_called_for_every_run_in_it() {
    #[task]
    async fn inner() {}
    #[flow]
    async fn child() -> Result<()> {
        Ok(inner().await?)
    }
    #[flow]
    async fn parent() -> Result<()> {
        Ok(child().await?)
    }
    let calls = Arc::new(Calls::default());
    let noted = Arc::clone(&calls);
    let runtime = Runtime::builder()
        .on_success(move |run: HookRun| note(&noted, "ended", &run))
        .build()
        .await
        .unwrap();
    runtime.run(parent()).await.into_result().unwrap();
    assert_eq!(
        *calls.lock().unwrap(),
        [
            "ended: inner Completed 1",
            "ended: child Completed 1",
            "ended: parent Completed 1"
        ]
    );
}

#[tokio::test]
async fn the_flow_waits_for_the_hooks_of_its_tasks_and_its_caller_for_the_flows() {
    static CALLS: Calls = Mutex::new(Vec::new());
    async fn slow(run: HookRun) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        note(&CALLS, "slow", &run);
    }
    #[task(on_success = slow)]
    async fn quick() {}
    #[flow(on_success = slow)]
    async fn around() -> Result<()> {
        quick().await?;
        assert!(
            CALLS.lock().unwrap().is_empty(),
            "the task's caller is not kept waiting"
        );
        Ok(())
    }
    around().await.unwrap();
    assert_eq!(
        *CALLS.lock().unwrap(),
        ["slow: quick Completed 1", "slow: around Completed 1"]
    );
}
