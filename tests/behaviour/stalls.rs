//! Stalls: runs that wait for each other in a circle are told so, and nothing else is.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use flowkit::prelude::*;
use flowkit::{Error, WaitsFor};
use tokio::sync::OnceCell;

/// Where a body finds the handle of a run that is submitted after it.
pub(crate) type Later = Arc<Slot>;

#[derive(Default)]
pub(crate) struct Slot {
    handle: OnceCell<TaskHandle<u64>>,
    filled: tokio::sync::Notify,
}

impl Slot {
    pub(crate) fn fill(&self, handle: &TaskHandle<u64>) {
        assert!(self.handle.set(handle.clone()).is_ok());
        self.filled.notify_waiters();
    }

    pub(crate) async fn get(&self) -> TaskHandle<u64> {
        loop {
            let filled = self.filled.notified();
            if let Some(handle) = self.handle.get() {
                return handle.clone();
            }
            filled.await;
        }
    }
}

/// Awaits the run that it is told of later.
#[task]
async fn awaits(later: Later) -> Result<u64> {
    Ok(later.get().await.await?)
}

#[task]
pub(crate) async fn add(n: u64, more: u64) -> u64 {
    n + more
}

/// Runs a flow that must come to an end of its own.
pub(crate) async fn ended<T>(run: impl Future<Output = FlowRun<T>>) -> FlowRun<T> {
    let never = Duration::from_secs(365 * 24 * 3600);
    tokio::time::timeout(never, run).await.expect("the flow hangs")
}

fn is_stall(error: &Error) -> bool {
    !error.wait_graph().is_empty()
}

/// How the runs of a circle are named, one after the other.
pub(crate) fn names(error: &Error) -> Vec<&str> {
    error.wait_graph().iter().map(|run| &*run.name).collect()
}

#[tokio::test(start_paused = true)]
async fn a_run_that_awaits_itself_fails() {
    #[flow]
    async fn alone() -> Result<u64> {
        let later = Later::default();
        let itself = awaits(later.clone()).submit();
        later.fill(&itself);
        Ok(itself.await?)
    }
    let run = ended(alone().run()).await;
    let error = run.result().unwrap_err();
    assert_eq!(
        (run.state(), run.tasks()[0].state),
        (State::Failed, State::Failed)
    );
    assert_eq!(names(&error), ["awaits"]);
    let text = format!("{error:#}");
    assert!(text.contains("`awaits` waits for itself"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_awaits_a_run_that_needs_it_is_given_the_circle() {
    #[task]
    async fn first(later: Later) -> Result<u64> {
        let second = later.get().await;
        let stalled = second.await.unwrap_err();
        assert_eq!(stalled.kind(), ErrorKind::Stalled);
        assert_eq!(
            stalled.to_string().split(": none").next().unwrap(),
            "task `first` is stalled: `first` waits for `add`, which waits for its input `n` from `first`"
        );
        let graph = stalled.wait_graph();
        assert_eq!(graph.len(), 2);
        assert_eq!((graph[0].state, graph[1].state), (State::Running, State::Pending));
        assert!(
            matches!(&graph[1].waits_for[0], WaitsFor::Input { id, parameter: "n", .. } if *id == graph[0].id)
        );
        // The circle is open again: the other gets what it waits for.
        Ok(5)
    }
    #[flow]
    async fn pair() -> Result<u64> {
        let later = Later::default();
        let one = first(later.clone()).submit();
        let two = add(&one, 1u64).submit();
        later.fill(&two);
        Ok(two.await?)
    }
    let run = ended(pair().run()).await;
    assert_eq!(*run.result().unwrap(), 6);
}

#[tokio::test(start_paused = true)]
async fn the_others_of_a_circle_come_to_rest_behind_the_failure() {
    #[flow]
    async fn pair() -> Result<u64> {
        let later = Later::default();
        let one = awaits(later.clone()).submit();
        let two = add(&one, 1u64).submit();
        later.fill(&two);
        Ok(two.await?)
    }
    let run = ended(pair().run()).await;
    let states: Vec<_> = run.tasks().iter().map(|task| task.state).collect();
    assert_eq!(states, [State::Failed, State::UpstreamFailed]);
    assert_eq!(names(&run.result().unwrap_err()), ["awaits", "add"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_body_submits_with_its_own_handle_for_an_input_cannot_be_awaited_by_it() {
    #[task]
    async fn submits(own: Later) -> Result<u64> {
        let own = own.get().await;
        Ok(add(own, 1u64).await?)
    }
    #[flow]
    async fn around() -> Result<u64> {
        let later = Later::default();
        let run = submits(later.clone()).submit();
        later.fill(&run);
        Ok(run.await?)
    }
    let run = ended(around().run()).await;
    assert_eq!(names(&run.result().unwrap_err()), ["submits", "add"]);
    assert_eq!(run.tasks()[1].state, State::Cancelled, "it was awaited in place");
}

#[tokio::test(start_paused = true)]
async fn a_circle_of_three_leads_through_an_order() {
    #[flow]
    async fn three() -> Result<u64> {
        let (one, two) = (Later::default(), Later::default());
        let a = awaits(one.clone()).named("a").submit();
        let b = add(1u64, 1u64).named("b").wait_for([&a]).submit();
        let c = awaits(two.clone()).named("c").submit();
        one.fill(&c);
        two.fill(&b);
        Ok(all([a, b, c]).await?.iter().sum())
    }
    let run = ended(three().run()).await;
    let error = run.result().unwrap_err();
    let text = format!("{error:#}");
    let mut circle = names(&error);
    circle.sort_unstable();
    assert_eq!(circle, ["a", "b", "c"]);
    assert!(text.contains("begins only after `a`"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_circle_leads_through_a_body_that_awaits_another_in_place() {
    #[task]
    async fn outer(later: Later) -> Result<u64> {
        Ok(awaits(later).await?)
    }
    #[flow]
    async fn nested() -> Result<u64> {
        let later = Later::default();
        let outside = outer(later.clone()).submit();
        let needs = add(&outside, 1u64).submit();
        later.fill(&needs);
        Ok(needs.await?)
    }
    let run = ended(nested().run()).await;
    assert_eq!(names(&run.result().unwrap_err()), ["outer", "awaits", "add"]);
}

#[tokio::test(start_paused = true)]
async fn a_circle_leads_through_a_subflow_that_ends_after_what_runs_in_it() {
    #[flow]
    async fn child(later: Later) -> Result<u64> {
        Ok(awaits(later).submit().await?)
    }
    #[flow]
    async fn parent() -> Result<u64> {
        let later = Later::default();
        let inside = child(later.clone()).submit();
        let needs = add(&inside, 1u64).submit();
        later.fill(&needs);
        Ok(needs.await?)
    }
    let run = ended(parent().run()).await;
    let error = run.result().unwrap_err();
    assert_eq!(names(&error), ["awaits", "add", "child"]);
    let text = format!("{error:#}");
    assert!(text.contains("which ends only after `awaits`"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_subflow_is_part_of_a_circle_too() {
    #[flow]
    async fn child(later: Later) -> Result<u64> {
        Ok(later.get().await.await?)
    }
    #[flow]
    async fn parent() -> Result<u64> {
        let later = Later::default();
        let inside = child(later.clone()).submit();
        let needs = add(&inside, 1u64).submit();
        later.fill(&needs);
        Ok(needs.await?)
    }
    let run = ended(parent().run()).await;
    assert_eq!(run.tasks()[0].state, State::Failed);
    assert_eq!(names(&run.result().unwrap_err()), ["child", "add"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_closes_a_circle_by_its_inputs_never_begins() {
    #[flow]
    async fn child(later: Later) -> Result<u64> {
        // It needs what needs this flow, and this flow ends only after it.
        let outside = later.get().await;
        Ok(add(outside, 1u64).submit().await?)
    }
    #[flow]
    async fn parent() -> Result<u64> {
        let later = Later::default();
        let inside = child(later.clone()).submit();
        let needs = add(&inside, 1u64).named("needs").submit();
        later.fill(&needs);
        Ok(needs.await?)
    }
    let run = ended(parent().run()).await;
    let inside = run.tasks()[0].subflow.as_ref().unwrap();
    assert_eq!(
        (inside.tasks[0].state, inside.tasks[0].attempts),
        (State::Failed, 0)
    );
    assert_eq!(names(&run.result().unwrap_err()), ["add", "needs", "child"]);
}

#[tokio::test(start_paused = true)]
async fn a_subflow_that_closes_a_circle_by_its_inputs_never_begins() {
    #[flow]
    async fn inner(n: u64) -> Result<u64> {
        Ok(n)
    }
    #[flow]
    async fn child(later: Later) -> Result<u64> {
        let outside = later.get().await;
        Ok(inner(outside).await?)
    }
    #[flow]
    async fn parent() -> Result<u64> {
        let later = Later::default();
        let inside = child(later.clone()).submit();
        let needs = add(&inside, 1u64).submit();
        later.fill(&needs);
        Ok(needs.await?)
    }
    let run = ended(parent().run()).await;
    assert_eq!(names(&run.result().unwrap_err()), ["inner", "add", "child"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_awaits_the_flow_it_runs_in_fails() {
    #[flow]
    async fn own(later: Later) -> Result<u64> {
        Ok(awaits(later).await?)
    }
    let runtime = Runtime::builder().build().await.unwrap();
    let error = runtime.scope(async {
        let later = Later::default();
        let flow = own(later.clone()).submit();
        later.fill(&flow);
        flow.await.unwrap_err()
    });
    let error = tokio::time::timeout(Duration::from_secs(1), error).await.unwrap();
    assert_eq!(names(&error), ["awaits", "own"]);
}

#[tokio::test(start_paused = true)]
async fn two_flows_that_await_each_other_fail() {
    #[flow]
    async fn waits(later: Later) -> Result<u64> {
        Ok(later.get().await.await?)
    }
    let runtime = Runtime::builder().build().await.unwrap();
    let (one, two) = (Later::default(), Later::default());
    let both = runtime.scope(async {
        let first = waits(one.clone()).submit();
        let second = waits(two.clone()).submit();
        one.fill(&second);
        two.fill(&first);
        (first.await.unwrap_err(), second.await.unwrap_err())
    });
    let (first, second) = tokio::time::timeout(Duration::from_secs(1), both).await.unwrap();
    assert!(is_stall(&first) && is_stall(&second), "{first:?} {second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_circle_leads_through_an_item_of_a_fan_out() {
    #[flow]
    async fn items() -> Result<u64> {
        let later = Later::default();
        let body = awaits(later.clone()).submit();
        let mapped = [1u64, 2].map(|n| add(&body, n)).into_iter().submit_all();
        later.fill(&mapped.handles().nth(1).unwrap());
        Ok(mapped.await?.iter().sum())
    }
    let run = ended(items().run()).await;
    let error = run.result().unwrap_err();
    assert_eq!(names(&error), ["add", "awaits"]);
    let text = format!("{error:#}");
    assert!(
        text.contains("`add` (item 1) waits for its input `n` from `awaits`, which waits for `add` (item 1)"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_awaits_a_whole_fan_out_that_needs_it_is_told_for_its_outcomes_too() {
    #[task]
    async fn maps(own: Later, lazily: bool) -> Result<u64> {
        let own = own.get().await;
        let calls = (0..3u64).map(move |n| if n == 0 { add(n, n) } else { add(&own, n) });
        let mapped = if lazily {
            calls.submit_lazily()
        } else {
            calls.submit_all()
        };
        let outcomes = mapped.outcomes().await;
        assert!(outcomes.failures().all(|(_, error)| is_stall(error)));
        Ok(outcomes.values().count() as u64)
    }
    #[flow]
    async fn around(lazily: bool) -> Result<u64> {
        let later = Later::default();
        let run = maps(later.clone(), lazily).submit();
        later.fill(&run);
        Ok(run.await?)
    }
    for lazily in [false, true] {
        let run = ended(around(lazily).run()).await;
        assert_eq!(*run.result().unwrap(), 1, "{lazily}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_diamond_is_no_circle() {
    #[task]
    async fn joins(handles: Arc<[TaskHandle<u64>; 2]>) -> Result<u64> {
        Ok(all(handles.iter()).await?.iter().sum())
    }
    #[task]
    async fn slow() -> u64 {
        flowkit::sleep(Duration::from_secs(1)).await;
        1
    }
    #[flow]
    async fn diamond() -> Result<u64> {
        let top = slow().submit();
        let sides = Arc::new([add(&top, 1u64).submit(), add(&top, 2u64).submit()]);
        // Two bodies await the same handles at once, and a third needs both.
        let (one, two) = (joins(Arc::clone(&sides)).submit(), joins(sides).submit());
        Ok(add(one, two).await?)
    }
    assert_eq!(*ended(diamond().run()).await.result().unwrap(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_attempt_awaited_is_forgotten() {
    #[task(retries = 1, timeout = "1s", retry_delay = "1s")]
    async fn second_time(later: Later) -> Result<u64> {
        if flowkit::current_run().map_or(0, |run| run.attempt()) == 1 {
            let handle = later.get().await;
            return Ok(handle.await?);
        }
        flowkit::sleep(Duration::from_millis(500)).await;
        Ok(1)
    }
    #[task]
    async fn needs_it(first: Later) -> Result<u64> {
        // By now the other's first attempt has given up.
        flowkit::sleep(Duration::from_millis(2_200)).await;
        Ok(first.get().await.await?)
    }
    #[flow]
    async fn both() -> Result<u64> {
        let (one, two) = (Later::default(), Later::default());
        let (first, second) = (second_time(one.clone()).submit(), needs_it(two.clone()).submit());
        one.fill(&second);
        two.fill(&first);
        Ok(second.await?)
    }
    assert_eq!(*ended(both().run()).await.result().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_await_that_was_dropped_is_forgotten() {
    #[task]
    async fn gives_up(later: Later) -> Result<u64> {
        let handle = later.get().await;
        tokio::select! {
            _ = handle.clone() => unreachable!("it takes an hour"),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        // Asking for a limited time is no wait for ever, so it may close a circle.
        assert_eq!(handle.wait(Duration::from_secs(1)).await, State::Running);
        flowkit::sleep(Duration::from_secs(10)).await;
        Ok(1)
    }
    #[task]
    async fn slow(later: Later) -> Result<u64> {
        flowkit::sleep(Duration::from_millis(1_500)).await;
        Ok(later.get().await.await?)
    }
    #[flow]
    async fn both() -> Result<u64> {
        let (one, two) = (Later::default(), Later::default());
        let (first, second) = (gives_up(one.clone()).submit(), slow(two.clone()).submit());
        one.fill(&second);
        two.fill(&first);
        Ok(second.await?)
    }
    assert_eq!(*ended(both().run()).await.result().unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_that_cross_at_the_same_moment_exactly_one_is_told() {
    #[task]
    async fn crosses(later: Later, start: Arc<tokio::sync::Barrier>) -> Result<u64> {
        let other = later.get().await;
        start.wait().await;
        match other.await {
            Err(error) if error.kind() == ErrorKind::Stalled => Ok(1),
            Err(error) => Err(error.into()),
            Ok(stalls) => Ok(stalls + 10),
        }
    }
    #[flow]
    async fn pair() -> Result<(u64, u64)> {
        let start = Arc::new(tokio::sync::Barrier::new(2));
        let (one, two) = (Later::default(), Later::default());
        let a = crosses(one.clone(), Arc::clone(&start)).submit();
        let b = crosses(two.clone(), start).submit();
        one.fill(&b);
        two.fill(&a);
        Ok((a.await?, b.await?))
    }
    let runtime = Runtime::builder().build().await.unwrap();
    let pairs: Vec<_> = (0..500)
        .map(|_| {
            let runtime = runtime.clone();
            tokio::spawn(async move { runtime.run(pair()).await.into_result() })
        })
        .collect();
    for pair in pairs {
        let (a, b) = pair.await.unwrap().unwrap();
        assert!((a, b) == (1, 11) || (a, b) == (11, 1), "{a} {b}");
    }
}
