//! Runs that await runs that await runs: what is awaited in place is polled on its caller's stack, and goes on another before that is used up.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flowkit::prelude::*;
use tokio::sync::Notify;

const LONG: Duration = Duration::from_secs(60);

type Boxed = Pin<Box<dyn Future<Output = Result<u64, flowkit::Error>> + Send>>;

#[task]
async fn task_in_task(depth: u64) -> Result<u64> {
    if depth == 0 {
        return Ok(0);
    }
    let below: Boxed = Box::pin(task_in_task(depth - 1).into_future());
    Ok(below.await? + 1)
}

#[flow]
async fn flow_in_flow(depth: u64) -> Result<u64> {
    if depth == 0 {
        return Ok(0);
    }
    let below: Boxed = flow_in_flow(depth - 1).into_future();
    Ok(below.await? + 1)
}

/// Hangs at its deepest, and says when it is there.
#[flow]
async fn hanging_flow(depth: u64, is_there: Arc<Notify>) -> Result<u64> {
    let below: Boxed = Box::pin(hanging_task(depth - 1, is_there).into_future());
    Ok(below.await? + 1)
}

#[task]
async fn hanging_task(depth: u64, is_there: Arc<Notify>) -> Result<u64> {
    let below: Boxed = match depth {
        0 => {
            is_there.notify_one();
            return std::future::pending().await;
        }
        depth if depth % 20 == 0 => hanging_flow(depth, is_there).into_future(),
        _ => Box::pin(hanging_task(depth - 1, is_there).into_future()),
    };
    Ok(below.await? + 1)
}

/// Waits before it calls, so that each of them is polled by itself, and each holds the one below.
#[task]
async fn waits_first(depth: u64, is_there: Arc<Notify>) -> Result<u64> {
    tokio::task::yield_now().await;
    if depth == 0 {
        is_there.notify_one();
        return std::future::pending().await;
    }
    let below: Boxed = Box::pin(waits_first(depth - 1, is_there).into_future());
    Ok(below.await? + 1)
}

#[task]
async fn fails_below(depth: u64) -> Result<u64> {
    if depth == 0 {
        return Err("at the bottom".into());
    }
    let below: Boxed = Box::pin(fails_below(depth - 1).into_future());
    Ok(below.await? + 1)
}

static UNDONE: AtomicU64 = AtomicU64::new(0);

async fn undo(_run: flowkit::HookRun) {
    UNDONE.fetch_add(1, Ordering::SeqCst);
}

#[task(on_rollback = undo)]
async fn undoable(n: u64) -> u64 {
    tokio::task::yield_now().await;
    n
}

#[task(retries = 1)]
async fn fails_once(tried: Arc<AtomicU64>) -> Result<u64> {
    match tried.fetch_add(1, Ordering::SeqCst) {
        0 => Err("once".into()),
        _ => Ok(5),
    }
}

#[task(limit = "door")]
async fn one_at_a_time(n: u64) -> u64 {
    tokio::task::yield_now().await;
    n
}

/// Holds the only slot of the door at its top, and at its bottom is tried again, waits for that slot, and undoes what it did.
#[task(limit = "door")]
async fn far_down(depth: u64, tried: Arc<AtomicU64>) -> Result<u64> {
    if depth > 0 {
        let below: Boxed = Box::pin(far_down(depth - 1, tried).into_future());
        return Ok(below.await?);
    }
    let (one, other) = (one_at_a_time(1u64).submit(), one_at_a_time(2u64));
    let passed = other.await? + one.await? + fails_once(tried).await?;
    let undone = flowkit::transaction(async {
        let n = undoable(7u64).await?;
        Err::<u64, Box<dyn std::error::Error + Send + Sync>>(format!("undo {n}").into())
    });
    assert!(undone.await.is_err());
    Ok(passed)
}

/// On a worker thread, whose stack is the smallest that runs have.
async fn on_a_worker<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    tokio::spawn(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_may_await_tasks_to_any_depth() {
    let depth = on_a_worker(async { task_in_task(5_000).await.unwrap() });
    assert_eq!(depth.await, 5_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flows_may_await_flows_to_any_depth() {
    // What is known of each holds what is known of the next, and goes with it.
    let depth = on_a_worker(async { flow_in_flow(3_000).await.unwrap() });
    assert_eq!(depth.await, 3_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_comes_up_from_any_depth() {
    let kind = on_a_worker(async { fails_below(1_000).await.unwrap_err().kind() });
    assert_eq!(kind.await, flowkit::ErrorKind::Failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cancelled_ends_however_deep_it_is() {
    let cancelled = on_a_worker(async {
        let is_there = Arc::new(Notify::new());
        let run = hanging_flow(2_000, Arc::clone(&is_there)).submit();
        is_there.notified().await;
        run.cancel();
        let one_by_one = waits_first(5_000, Arc::clone(&is_there)).submit();
        is_there.notified().await;
        one_by_one.cancel();
        assert_eq!(
            one_by_one.await.unwrap_err().kind(),
            flowkit::ErrorKind::Cancelled
        );
        run.await.unwrap_err().kind()
    });
    assert_eq!(cancelled.await, flowkit::ErrorKind::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_future_that_is_dropped_cancels_what_is_deep_in_it() {
    let runtime = Runtime::builder().build().await.unwrap();
    let inner = runtime.clone();
    on_a_worker(async move {
        let is_there = Arc::new(Notify::new());
        let run = inner.scope(hanging_flow(2_000, Arc::clone(&is_there)).into_future());
        tokio::select! {
            outcome = run => panic!("it hangs: {outcome:?}"),
            () = is_there.notified() => {}
        }
    })
    .await;
    assert_eq!(
        runtime.shutdown(LONG).await,
        0,
        "all of it ends without being told"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_slots_and_transactions_are_the_same_far_down() {
    let runtime = Runtime::builder().limit("door", 1).build().await.unwrap();
    let passed = on_a_worker(async move {
        let tried = Arc::new(AtomicU64::new(0));
        let passed = runtime
            .scope(far_down(150, Arc::clone(&tried)).into_future())
            .await
            .unwrap();
        (passed, tried.load(Ordering::SeqCst))
    });
    let passed = tokio::time::timeout(LONG, passed)
        .await
        .expect("nobody waits for ever");
    assert_eq!((passed, UNDONE.load(Ordering::SeqCst)), ((8, 2), 1));
}
