//! What the simulator found, each reduced to the few lines that show it.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowkit::prelude::*;
use flowkit::{BoxError, Event, EventKind, HookRun, Observer};
use futures::FutureExt;

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

#[tokio::test]
async fn a_subflow_that_is_cancelled_before_it_began_does_nothing() {
    #[flow]
    async fn child(#[resource] begun: &AtomicU32) -> Result<()> {
        begun.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    #[task]
    async fn gives_up() -> Result<()> {
        let _child = child().submit();
        Err("no".into())
    }
    #[task]
    async fn read(#[resource] begun: &AtomicU32) -> u32 {
        begun.load(Ordering::SeqCst)
    }
    #[flow]
    async fn parent() -> Result<u32> {
        assert!(gives_up().await.is_err());
        tokio::task::yield_now().await;
        Ok(read().await?)
    }
    let runtime = Runtime::builder()
        .resource(AtomicU32::new(0))
        .build()
        .await
        .unwrap();
    let run = runtime.run(parent()).await;
    assert_eq!(run.tasks()[1].state, State::Cancelled);
    assert_eq!(run.into_result().unwrap(), 0);
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

#[tokio::test(start_paused = true)]
async fn a_flow_run_that_is_dropped_ends_as_cancelled_after_everything_submitted_in_it() {
    #[task]
    async fn endless() {
        std::future::pending::<()>().await;
    }
    #[flow]
    async fn child() -> Result<()> {
        Ok(endless().await?)
    }
    #[flow]
    async fn dropped() -> Result<()> {
        let _beside = endless().submit();
        Ok(child().await?)
    }
    let ends = Ends::default();
    let runtime = Runtime::builder().observe(ends.clone()).build().await.unwrap();
    let run = tokio::time::timeout(Duration::from_secs(1), runtime.run(dropped())).await;
    assert!(run.is_err());
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The task of the subflow, the subflow as a run and in its parent, the task beside it; the whole comes last.
    assert_eq!(
        *ends.0.lock().unwrap(),
        ["endless", "child", "child", "endless", "dropped"]
    );
    assert_eq!(runtime.running(), 0);
}

/// Remembers what ended as cancelled, in order.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<String>>>);

impl Observer for Ends {
    fn on_event(&self, event: &Event<'_>) {
        let ended = match &event.kind {
            EventKind::TaskRunState {
                name,
                to: State::Cancelled,
                ..
            } => *name,
            EventKind::FlowRunFinished {
                state: State::Cancelled,
                ..
            } => event.flow_run_name,
            _ => return,
        };
        self.0.lock().unwrap().push(ended.to_owned());
    }
}

#[tokio::test(start_paused = true)]
async fn the_lanes_of_a_fan_out_are_stopped_in_the_same_order_each_time() {
    #[task]
    async fn endless() {
        std::future::pending::<()>().await;
    }
    #[flow]
    async fn cancelling() -> Result<()> {
        let many = (0..20).map(|n| endless().named(n.to_string())).submit_all();
        tokio::time::sleep(Duration::from_secs(1)).await;
        many.cancel();
        drop(many.outcomes().await);
        Ok(())
    }
    let ends = Ends::default();
    let runtime = Runtime::builder().observe(ends.clone()).build().await.unwrap();
    runtime.run(cancelling()).await.into_result().unwrap();
    let expected: Vec<_> = (0..20)
        .map(|n| n.to_string())
        .chain(["endless".to_owned()])
        .collect();
    assert_eq!(*ends.0.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_cancelled_while_it_waited_holds_no_slot_for_as_long_as_its_fan_out_is_kept() {
    #[task]
    async fn endless() {
        std::future::pending::<()>().await;
    }
    #[task(limit = "db")]
    async fn waits(#[resource] kept: &Mutex<Vec<TaskHandle<()>>>) -> Result<()> {
        let many = [endless()].into_iter().submit_all();
        kept.lock().unwrap().extend(many.handles());
        many.await?;
        Ok(())
    }
    #[flow]
    async fn cancelling() -> Result<()> {
        let cancelled = waits().submit();
        tokio::time::sleep(Duration::from_secs(1)).await;
        cancelled.cancel();
        assert!(cancelled.await.is_err());
        Ok(())
    }
    let runtime = Runtime::builder()
        .limit("db", 1)
        .resource(Mutex::new(Vec::<TaskHandle<()>>::new()))
        .build()
        .await
        .unwrap();
    runtime.run(cancelling()).await.into_result().unwrap();
    assert_eq!(runtime.limit_use("db").unwrap().in_use, 0);
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_is_cancelled_does_not_go_on_when_the_subflow_that_it_waits_for_is() {
    #[flow]
    async fn endless() -> Result<()> {
        std::future::pending::<()>().await;
        Ok(())
    }
    #[flow]
    async fn goes_on(#[resource] times: &AtomicU32) -> Result<()> {
        assert!(endless().await.is_err());
        times.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    #[flow]
    async fn cancelling() -> Result<()> {
        let cancelled = goes_on().submit();
        tokio::time::sleep(Duration::from_secs(1)).await;
        cancelled.cancel();
        assert!(cancelled.await.is_err());
        Ok(())
    }
    #[task]
    async fn read(#[resource] times: &AtomicU32) -> u32 {
        times.load(Ordering::SeqCst)
    }
    #[flow]
    async fn reading() -> Result<u32> {
        Ok(read().await?)
    }
    let runtime = Runtime::builder()
        .resource(AtomicU32::new(0))
        .build()
        .await
        .unwrap();
    runtime.run(cancelling()).await.into_result().unwrap();
    assert_eq!(runtime.run(reading()).await.into_result().unwrap(), 0);
}

// Two flows at once on a runtime of one thread went on in another order each time: the end of a flow that had kept something waited
// for a thread of the blocking pool, also where the cache is in memory and there is nothing to write.
#[tokio::test]
async fn a_flow_that_kept_something_in_memory_ends_without_another_thread() {
    #[task(cache)]
    async fn kept(n: u32) -> u32 {
        n
    }
    #[flow]
    async fn keeps(n: u32) -> Result<u32> {
        Ok(kept(n).await?)
    }
    let runtime = Runtime::builder().build().await.unwrap();
    // The first opens the cache.
    runtime.run(keeps(1)).await.into_result().unwrap();
    let at_once = runtime.run(keeps(2)).now_or_never();
    assert_eq!(at_once.unwrap().into_result().unwrap(), 2);
}

type Story = Mutex<Vec<String>>;

#[tokio::test(start_paused = true)]
async fn a_transaction_waits_for_what_was_submitted_in_it_also_where_nothing_of_it_runs_right_now() {
    static STORY: Story = Mutex::new(Vec::new());
    fn undone(run: HookRun) {
        STORY.lock().unwrap().push(run.run_name().to_owned());
    }
    #[task(run_name = "{name}", on_rollback = undone)]
    async fn step(name: String) -> String {
        name
    }
    #[flow]
    async fn subflow() -> Result<()> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        step("of the subflow".to_owned()).await?;
        Err("it is undone".into())
    }
    #[flow]
    async fn group() -> Result<()> {
        let outcome: Result<()> = flowkit::transaction(async {
            let items = ["item".to_owned()].into_iter().map(step);
            drop(items.concurrency(NonZeroUsize::MIN).submit_lazily());
            drop(subflow().submit());
            Ok(())
        })
        .await;
        assert_eq!(*STORY.lock().unwrap(), ["of the subflow", "item"]);
        assert!(outcome.unwrap_err().to_string().contains("subflow"));
        Ok(())
    }
    group().run().await.into_result().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_is_dropped_is_undone_after_the_subflow_in_it_has_ended() {
    static STORY: Story = Mutex::new(Vec::new());
    fn undone(run: HookRun) {
        STORY.lock().unwrap().push(run.run_name().to_owned());
    }
    #[task(on_rollback = undone)]
    async fn step() {}
    #[flow]
    async fn subflow() -> Result<()> {
        step().await?;
        std::future::pending().await
    }
    #[flow]
    async fn group() -> Result<()> {
        let endless = flowkit::transaction(async { subflow().submit().await });
        let ended = tokio::time::timeout(Duration::from_secs(1), endless).await;
        assert!(ended.is_err());
        Ok(())
    }
    let run = tokio::time::timeout(Duration::from_secs(9), group().run()).await;
    run.expect("it does not stall").into_result().unwrap();
    assert_eq!(*STORY.lock().unwrap(), ["step"]);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_is_dropped_while_it_is_undone_is_undone_all_the_same() {
    static STORY: Story = Mutex::new(Vec::new());
    async fn undone(run: HookRun) {
        STORY.lock().unwrap().push(run.run_name().to_owned());
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    #[task(run_name = "{name}", on_rollback = undone)]
    async fn step(name: &str) -> String {
        name.to_owned()
    }
    #[flow]
    async fn group() -> Result<()> {
        let failing = flowkit::transaction(async {
            step("a").await?;
            step("b").await?;
            Err::<(), BoxError>("it is undone".into())
        });
        let ended = tokio::time::timeout(Duration::from_secs(1), failing).await;
        assert!(ended.is_err());
        Ok(())
    }
    let run = group().run().await;
    assert_eq!(*STORY.lock().unwrap(), ["b", "a"]);
    assert!(run.tasks().iter().all(|task| task.state == State::RolledBack));
}
