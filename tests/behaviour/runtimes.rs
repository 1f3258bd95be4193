//! Runtimes: side by side, shut down, and observed by whoever cares to.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowkit::prelude::*;
use flowkit::{Event, EventKind, FlowRunId, Observer, TaskRunId};
use tokio::time::Instant;

use crate::recorder::Recorder;

const SECOND: Duration = Duration::from_secs(1);

#[task]
async fn takes(seconds: u64) -> u64 {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    seconds
}

#[flow]
async fn lasting(seconds: u64) -> Result<u64> {
    Ok(takes(seconds).submit().await?)
}

async fn plain() -> Runtime {
    Runtime::builder().build().await.unwrap()
}

/// Starts a flow on a runtime, and returns when it is going on.
async fn started(runtime: &Runtime, seconds: u64) -> tokio::task::JoinHandle<FlowRun<u64>> {
    let before = runtime.running();
    let on = runtime.clone();
    let run = tokio::spawn(async move { on.run(lasting(seconds)).await });
    while runtime.running() == before {
        tokio::task::yield_now().await;
    }
    run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runtimes_side_by_side_share_nothing() {
    #[derive(Clone, Default)]
    struct Bodies(Arc<AtomicU32>);
    struct Name(&'static str);
    #[task(cache, cache_exclude(bodies))]
    async fn named(n: u64, bodies: Bodies, #[resource] name: &Name) -> String {
        bodies.0.fetch_add(1, Ordering::SeqCst);
        format!("{} {n}", name.0)
    }
    #[flow]
    async fn naming(bodies: Bodies) -> Result<Vec<String>> {
        Ok((0..50u64).map(|n| named(n, &bodies)).submit_all().await?)
    }
    let (bodies, seen) = (Bodies::default(), [Recorder::default(), Recorder::default()]);
    let build = |name, recorder: &Recorder| {
        Runtime::builder()
            .resource(Name(name))
            .observe(recorder.clone())
            .build()
    };
    let left = build("left", &seen[0]).await.unwrap();
    let right = build("right", &seen[1]).await.unwrap();
    let (a, b) = tokio::join!(left.run(naming(&bodies)), right.run(naming(&bodies)));
    assert_ne!(a.id(), b.id());
    for (run, name) in [(a, "left"), (b, "right")] {
        let expected: Vec<_> = (0..50).map(|n| format!("{name} {n}")).collect();
        assert_eq!(run.into_result().unwrap(), expected);
    }
    assert_eq!(
        bodies.0.load(Ordering::SeqCst),
        100,
        "each has a cache of its own"
    );
    for recorder in &seen {
        let completed = recorder.states("named").into_iter();
        assert_eq!(
            completed.filter(|state| *state == State::Completed).count(),
            50 + 1,
            "the items of its own fan-out, and the fan-out"
        );
    }
    left.shutdown(SECOND).await;
    assert_eq!(right.run(naming(&bodies)).await.counts().cached, 50);
}

#[tokio::test]
async fn calls_outside_any_flow_use_the_runtime_they_are_made_in() {
    #[task]
    async fn number(#[resource] number: &u64) -> u64 {
        *number
    }
    let (outer, inner) = (
        Runtime::builder().resource(1u64).build().await.unwrap(),
        Runtime::builder().resource(2u64).build().await.unwrap(),
    );
    let seen = outer.scope(async {
        let inside = inner.scope(async { number().await });
        (number().submit().await, inside.await, number().await)
    });
    let (before, inside, after) = seen.await;
    assert_eq!((before.unwrap(), inside.unwrap(), after.unwrap()), (1, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_what_ends_in_time_and_no_longer() {
    let runtime = plain().await;
    let (quick, slow) = (started(&runtime, 3).await, started(&runtime, 5).await);
    let began = Instant::now();
    assert_eq!(runtime.shutdown(SECOND * 10).await, 0);
    assert_eq!(began.elapsed(), SECOND * 5, "the grace was not used up");
    assert_eq!(quick.await.unwrap().into_result().unwrap(), 3);
    assert_eq!(slow.await.unwrap().into_result().unwrap(), 5);
    assert_eq!(runtime.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_late_after_the_grace_is_cancelled_to_the_last_task() {
    let runtime = plain().await;
    let (quick, late) = (started(&runtime, 3).await, started(&runtime, 1000).await);
    let began = Instant::now();
    assert_eq!(runtime.shutdown(SECOND * 10).await, 1);
    assert_eq!(began.elapsed(), SECOND * 10);
    assert_eq!(quick.await.unwrap().state(), State::Completed);
    let late = late.await.unwrap();
    assert_eq!(
        (late.state(), late.tasks()[0].state),
        (State::Cancelled, State::Cancelled)
    );
    assert_eq!(runtime.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_shuts_down_refuses_what_is_new_and_lets_the_old_go_on() {
    #[flow]
    async fn calling_on(seconds: u64) -> Result<u64> {
        tokio::time::sleep(SECOND).await; // the shutdown begins meanwhile
        Ok(takes(seconds).await? + lasting(seconds).await?)
    }
    let runtime = plain().await;
    let going_on = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.run(calling_on(2)).await }
    });
    while runtime.running() == 0 {
        tokio::task::yield_now().await;
    }
    let shutdown = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.shutdown(SECOND * 10).await }
    });
    tokio::task::yield_now().await;
    let refused = runtime.run(lasting(1)).await.into_result().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    let task = runtime.scope(async { takes(1).await }).await;
    assert_eq!(task.unwrap_err().kind(), ErrorKind::Unavailable);
    let submitted = runtime.scope(async { takes(1).submit() }).await;
    assert!(submitted.is_finished(), "{}", submitted.state());
    assert_eq!(submitted.await.unwrap_err().kind(), ErrorKind::Unavailable);
    let mapped = runtime.scope(async { (0..3).map(takes).submit_all() }).await;
    assert_eq!(mapped.states(), [State::Cancelled; 3]);
    assert_eq!(mapped.await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(shutdown.await.unwrap(), 0);
    assert_eq!(going_on.await.unwrap().into_result().unwrap(), 4);
    assert_eq!(
        runtime.shutdown(SECOND).await,
        0,
        "a second time there is nothing to do"
    );
}

// 61, 170, Z14
#[tokio::test]
async fn an_observer_that_panics_changes_nothing() {
    struct Panics;
    impl Observer for Panics {
        fn on_event(&self, _: &Event<'_>) {
            panic!("I saw nothing")
        }
    }
    #[flow]
    async fn waiting() -> Result<(u64, Vec<u64>, usize)> {
        let one = takes(0).submit();
        assert_eq!(one.wait(SECOND).await, State::Completed);
        let mapped = (0..3).map(|_| takes(0)).submit_all();
        let (mut ended, mut count) = (mapped.as_completed(), 0);
        while ended.next().await.is_some() {
            count += 1;
        }
        Ok((one.await?, mapped.await?, count))
    }
    let recorder = Recorder::default();
    let runtime = Runtime::builder()
        .observe(Panics)
        .observe(recorder.clone())
        .build()
        .await
        .unwrap();
    let run = runtime.run(waiting()).await;
    assert_eq!(run.state(), State::Completed);
    assert_eq!(run.into_result().unwrap(), (0, vec![0; 3], 3));
    let completed = recorder.states("takes").into_iter();
    assert_eq!(
        completed.filter(|state| *state == State::Completed).count(),
        1 + 3 + 1,
        "the next observer is told of the task, of three items and of their fan-out"
    );
}

// 179
#[tokio::test]
async fn a_subflow_says_which_run_of_its_parent_stands_for_it() {
    type Start = (FlowRunId, Option<TaskRunId>);
    #[derive(Clone, Default)]
    struct Starts(Arc<Mutex<Vec<Start>>>);
    impl Observer for Starts {
        fn on_event(&self, event: &Event<'_>) {
            if let EventKind::FlowRunStarted { parent } = event.kind {
                self.0.lock().unwrap().push((event.flow_run, parent));
            }
        }
    }
    #[flow]
    async fn parent() -> Result<u64> {
        Ok(lasting(0).await?)
    }
    let starts = Starts::default();
    let runtime = Runtime::builder().observe(starts.clone()).build().await.unwrap();
    let run = runtime.run(parent()).await;
    let tracking = &run.tasks()[0];
    let child = tracking.subflow.as_ref().unwrap();
    assert_eq!(
        *starts.0.lock().unwrap(),
        [(run.id(), None), (child.id, Some(tracking.id))]
    );
}

#[tokio::test]
async fn a_flow_that_is_submitted_after_a_shutdown_has_ended_and_says_why() {
    #[flow]
    async fn late() -> Result<()> {
        Ok(())
    }
    let runtime = Runtime::builder().build().await.unwrap();
    runtime.shutdown(SECOND).await;
    runtime
        .scope(async {
            let handle = late().submit();
            assert_eq!(handle.wait(SECOND).await, State::Cancelled);
            assert_eq!(handle.await.unwrap_err().kind(), ErrorKind::Unavailable);
        })
        .await;
}

#[tokio::test]
async fn tags_around_a_flow_are_those_of_its_run() {
    #[flow]
    async fn tagged_flow() -> Result<Vec<String>> {
        Ok(tagged_task().await?)
    }
    #[task]
    async fn tagged_task() -> Vec<String> {
        flowkit::current_run().map(|run| run.tags()).unwrap_or_default()
    }
    let tags = flowkit::tagged(["nightly"], async { tagged_flow().await }).await;
    assert_eq!(tags.unwrap(), ["nightly"]);
    let tags = flowkit::tagged(["nightly"], async { tagged_task().await }).await;
    assert_eq!(tags.unwrap(), ["nightly"]);
    let handle = flowkit::tagged(["nightly"], async { tagged_task().submit() }).await;
    assert_eq!(handle.await.unwrap(), ["nightly"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_is_cancelled_and_its_runtime_shuts_down() {
    use std::sync::{Arc, Mutex};
    let ends: Arc<Mutex<Vec<State>>> = Arc::default();
    #[flow]
    async fn endless() -> Result<()> {
        std::future::pending::<()>().await;
        Ok(())
    }
    #[flow]
    async fn quick() -> Result<()> {
        Ok(())
    }
    let seen = Arc::clone(&ends);
    let slow_hook = |_: flowkit::HookRun| tokio::time::sleep(SECOND * 20);
    let runtime = Runtime::builder()
        .on_success(slow_hook)
        .on_failure(|run: flowkit::HookRun| assert!(run.error().is_none(), "nothing fails"))
        .on_cancellation(move |run: flowkit::HookRun| seen.lock().unwrap().push(run.state()))
        .build()
        .await
        .unwrap();
    // One is dropped while it runs, the other while its hook is called.
    assert!(
        tokio::time::timeout(SECOND, runtime.run(endless()))
            .await
            .is_err()
    );
    assert!(tokio::time::timeout(SECOND, runtime.run(quick())).await.is_err());
    let shutdown = tokio::time::timeout(SECOND * 60, runtime.shutdown(SECOND)).await;
    assert_eq!(shutdown.expect("it hangs"), 0);
    assert_eq!(*ends.lock().unwrap(), [State::Cancelled]);
}
