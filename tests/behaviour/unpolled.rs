//! Runs that are awaited by who does not come back to poll them: a loop over `buffer_unordered` awaits something else in its body meanwhile. What they hold is not
//! kept from that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use flowkit::ResumeOptions;
use flowkit::prelude::*;
use futures::{StreamExt, stream};

#[task]
async fn fetch(n: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(n)).await;
    n
}

#[task]
async fn store(n: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(1)).await;
    n
}

#[task(limit = "door")]
async fn through_the_door(n: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(n)).await;
    n
}

#[flow]
async fn fetch_and_store(count: u64) -> Result<u64> {
    let mut sum = 0;
    let mut fetched = stream::iter(1..=count)
        .map(|n| fetch(n).into_future())
        .buffer_unordered(8);
    while let Some(n) = fetched.next().await {
        sum += store(n?).await?;
    }
    Ok(sum)
}

#[flow]
async fn one_by_one_through_the_door(count: u64) -> Result<u64> {
    let mut sum = 0;
    let mut fetched = stream::iter(1..=count)
        .map(|n| through_the_door(n).into_future())
        .buffer_unordered(8);
    while let Some(n) = fetched.next().await {
        sum += through_the_door(n?).await?;
    }
    Ok(sum)
}

/// Awaits two at once, goes on when one of them is done, and awaits a third without polling the other any more. It holds the door itself.
#[task(limit = "door")]
async fn through_the_door_with_others() -> Result<u64> {
    let mut both = stream::iter([1, 1])
        .map(|n| fetch(n).into_future())
        .buffer_unordered(2);
    let first = both.next().await.transpose()?.unwrap_or_default();
    let third = through_the_door(10).await?;
    let second = both.next().await.transpose()?.unwrap_or_default();
    Ok(first + second + third)
}

#[flow]
async fn crowd() -> Result<u64> {
    let crowd = (0..3).map(|_| through_the_door_with_others().submit());
    let others = (1..4).map(|n| through_the_door(n).submit());
    let (crowd, others): (Vec<_>, Vec<_>) = (crowd.collect(), others.collect());
    let mut sum = 0;
    for one in crowd.into_iter().chain(others) {
        sum += one.await?;
    }
    Ok(sum)
}

/// Far longer than any of it takes.
async fn in_time<T>(run: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(3_600), run)
        .await
        .expect("it hangs")
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_not_kept_from_what_is_awaited_meanwhile() {
    let runtime = Runtime::builder().task_limit(1).build().await.unwrap();
    let run = in_time(runtime.run(fetch_and_store(20))).await;
    assert_eq!(run.into_result().unwrap(), 210);
}

#[tokio::test(start_paused = true)]
async fn neither_is_that_of_a_limit() {
    let runtime = Runtime::builder().limit("door", 1).build().await.unwrap();
    let run = in_time(runtime.run(one_by_one_through_the_door(20))).await;
    assert_eq!(run.into_result().unwrap(), 210);
}

#[task(effect)]
async fn charge(n: u64) -> u64 {
    n
}

#[flow]
async fn charge_and_store(count: u64, #[resource] fails: &Arc<AtomicBool>) -> Result<u64> {
    let mut sum = 0;
    let mut charged = stream::iter(1..=count)
        .map(|n| charge(n).into_future())
        .buffer_unordered(8);
    while let Some(n) = charged.next().await {
        sum += charge(100 + n?).await?;
    }
    if fails.load(Ordering::Relaxed) {
        return Err("it is to be resumed".into());
    }
    Ok(sum)
}

/// On a real disk, and thus by a real clock.
async fn before_long<T>(run: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), run)
        .await
        .expect("it hangs")
}

#[tokio::test]
async fn neither_is_the_disk_that_effects_wait_for_nor_what_a_resumed_run_reads() {
    let (directory, fails) = (tempfile::tempdir().unwrap(), Arc::new(AtomicBool::new(true)));
    let builder = Runtime::builder()
        .data_dir(directory.path())
        .resource(Arc::clone(&fails));
    let runtime = builder.build().await.unwrap();
    let run = before_long(runtime.run(charge_and_store(20))).await;
    assert_eq!(run.state(), State::Failed);
    let error = run.result().unwrap_err();
    assert!(format!("{error:#}").contains("resumed"), "{error:#}");
    fails.store(false, Ordering::Relaxed);
    let options = ResumeOptions::new();
    let resumed = before_long(runtime.resume_call(run.id(), charge_and_store(20), options)).await;
    assert_eq!(resumed.unwrap().into_result().unwrap(), 2_210);
}

#[tokio::test]
async fn neither_is_the_disk_from_a_flow_run_beside_those_that_wait_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let builder = Runtime::builder().data_dir(directory.path()).resource(fails);
    let runtime = &builder.build().await.unwrap();
    let mut runs = stream::iter(0..8)
        .map(|_| runtime.run(charge_and_store(3)))
        .buffer_unordered(4);
    let all = async {
        let mut sum = 0;
        while let Some(run) = runs.next().await {
            sum += run.into_result().unwrap();
            sum += runtime.run(charge_and_store(3)).await.into_result().unwrap();
        }
        sum
    };
    assert_eq!(before_long(all).await, 16 * 306);
}

#[tokio::test]
async fn neither_is_the_journal_from_who_reads_it_beside_others() {
    let (directory, fails) = (tempfile::tempdir().unwrap(), Arc::new(AtomicBool::new(false)));
    let builder = Runtime::builder().data_dir(directory.path()).resource(fails);
    let runtime = &builder.build().await.unwrap();
    let run = runtime.run(charge_and_store(3)).await;
    let (store, id) = (runtime.journal().unwrap(), run.id().as_u128());
    let mut read = stream::iter(0..20).map(|_| store.flow(id)).buffer_unordered(8);
    let all = async {
        while let Some(flow) = read.next().await {
            let no = flow.unwrap().unwrap().no;
            assert_eq!(store.tasks(no, true).await.unwrap().len(), 6);
        }
    };
    before_long(all).await;
}

#[tokio::test(start_paused = true)]
async fn neither_is_the_slot_of_a_task_whose_parts_are_on_their_way_back_to_it() {
    let runtime = Runtime::builder().limit("door", 1).build().await.unwrap();
    let run = in_time(runtime.run(crowd())).await;
    assert_eq!(run.into_result().unwrap(), 3 * 12 + 6);
}

/// What is at work, as it is dropped with its body.
struct AtWork(Arc<AtomicUsize>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[task]
async fn dig(turns: u64, #[resource] at_work: &Arc<AtomicUsize>) -> u64 {
    at_work.fetch_add(1, Ordering::SeqCst);
    let _at_work = AtWork(Arc::clone(at_work));
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
    turns
}

/// Gives most of them up, each at another moment, some while another thread polls them.
#[flow]
async fn hurried(count: u64) -> u64 {
    let mut done = 0;
    for n in 0..count {
        tokio::select! {
            biased;
            dug = dig(n % 40).into_future() => done += u64::from(dug.is_ok()),
            () = yields(n % 7) => {}
        }
    }
    done
}

async fn yields(turns: u64) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flow_ends_after_what_it_gave_up_whoever_polled_that() {
    let at_work = Arc::new(AtomicUsize::new(0));
    let builder = Runtime::builder().resource(Arc::clone(&at_work));
    let runtime = builder.build().await.unwrap();
    for _ in 0..20 {
        let run = runtime.run(hurried(400)).await;
        assert_eq!(at_work.load(Ordering::SeqCst), 0);
        let done = *run.result().unwrap();
        let count = |state| run.tasks().iter().filter(|task| task.state == state).count() as u64;
        let (completed, cancelled) = (count(State::Completed), count(State::Cancelled));
        // One whose turn to give up came first never began.
        assert!(completed + cancelled <= 400);
        assert!(
            completed >= done && done > 0 && cancelled > 0,
            "{done} {completed} {cancelled}"
        );
    }
}
