//! Caching: what makes a key, what a hit is, what happens without a store.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use flowkit::TokioClock;
use flowkit::prelude::*;

async fn in_memory() -> Runtime {
    Runtime::builder()
        .clock(TokioClock::starting_at(SystemTime::UNIX_EPOCH))
        .build()
        .await
        .unwrap()
}

/// Counts calls of a body, as a resource.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<AtomicU32>);

impl Calls {
    pub(crate) fn add(&self) -> u32 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
    pub(crate) fn count(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

#[task(cache, cache_exclude(calls))]
async fn squared(n: u64, calls: Calls) -> u64 {
    calls.add();
    n * n
}

// 115, 130, Z6
#[tokio::test]
async fn equal_inputs_share_a_result_within_a_run_and_later() {
    #[flow]
    async fn twice(calls: Calls) -> Result<(u64, u64, u64)> {
        Ok((
            squared(3u64, &calls).await?,
            squared(3u64, &calls).await?,
            squared(4u64, &calls).await?,
        ))
    }
    let (runtime, calls) = (in_memory().await, Calls::default());
    let run = runtime.run(twice(calls.clone())).await;
    let states: Vec<_> = run.tasks().iter().map(|task| task.state).collect();
    assert_eq!(states, [State::Completed, State::Cached, State::Completed]);
    assert_eq!(run.tasks()[1].origin, Some(run.tasks()[0].id));
    assert_eq!(run.into_result().unwrap(), (9, 9, 16));
    let again = runtime.run(twice(calls.clone())).await;
    assert_eq!(again.counts().cached, 3);
    assert_eq!(calls.count(), 2);
}

// 119
#[tokio::test]
async fn with_the_run_in_the_key_results_stay_within_it() {
    #[task(cache = inputs + run, cache_exclude(calls))]
    async fn once_a_run(calls: Calls) -> u32 {
        calls.add()
    }
    #[flow]
    async fn twice(calls: Calls) -> Result<(u32, u32)> {
        Ok((once_a_run(&calls).await?, once_a_run(&calls).await?))
    }
    let (runtime, calls) = (in_memory().await, Calls::default());
    assert_eq!(
        runtime.run(twice(calls.clone())).await.into_result().unwrap(),
        (1, 1)
    );
    assert_eq!(runtime.run(twice(calls)).await.into_result().unwrap(), (2, 2));
}

// 122
#[tokio::test(start_paused = true)]
async fn a_result_expires_from_the_moment_of_completion() {
    #[task(cache, cache_expiration = "1h", cache_exclude(calls))]
    async fn hourly(calls: Calls) -> u32 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        calls.add()
    }
    #[flow]
    async fn once(calls: Calls) -> Result<u32> {
        Ok(hourly(calls).await?)
    }
    let (runtime, calls) = (in_memory().await, Calls::default());
    assert_eq!(runtime.run(once(calls.clone())).await.into_result().unwrap(), 1);
    tokio::time::sleep(Duration::from_secs(3599)).await;
    assert_eq!(runtime.run(once(calls.clone())).await.into_result().unwrap(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(runtime.run(once(calls)).await.into_result().unwrap(), 2);
}

// 124
#[tokio::test]
async fn a_refresh_runs_and_replaces() {
    #[task(cache, cache_exclude(calls))]
    async fn counted(calls: Calls) -> u32 {
        calls.add()
    }
    #[flow]
    async fn refreshing(calls: Calls) -> Result<(u32, u32, u32)> {
        Ok((
            counted(&calls).await?,
            counted(&calls).refresh_cache().await?,
            counted(&calls).await?,
        ))
    }
    assert_eq!(
        in_memory()
            .await
            .run(refreshing(Calls::default()))
            .await
            .into_result()
            .unwrap(),
        (1, 2, 2)
    );
}

// 128, Z2
#[tokio::test]
async fn two_tasks_never_share_a_key() {
    #[task(cache)]
    async fn plus(n: u64) -> u64 {
        n + 1
    }
    #[task(cache)]
    async fn minus(n: u64) -> u64 {
        n - 1
    }
    #[flow]
    async fn both() -> Result<(u64, u64)> {
        Ok((plus(5u64).await?, minus(5u64).await?))
    }
    assert_eq!(in_memory().await.run(both()).await.into_result().unwrap(), (6, 4));
}

// 118
#[tokio::test]
async fn a_key_of_ones_own_may_say_not_to_cache() {
    #[task(cache_key = |name| if name == "none" { None } else { Some(name.len()) })]
    async fn named(name: &str, calls: Calls) -> u32 {
        let _ = name;
        calls.add()
    }
    #[flow]
    async fn naming(calls: Calls) -> Result<[u32; 4]> {
        Ok([
            named("ab", &calls).await?,
            named("cd", &calls).await?,
            named("none", &calls).await?,
            named("none", &calls).await?,
        ])
    }
    assert_eq!(
        in_memory()
            .await
            .run(naming(Calls::default()))
            .await
            .into_result()
            .unwrap(),
        [1, 1, 2, 3]
    );
}

// 142, 166, Z1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_calls_at_one_time_run_once() {
    #[task(cache, cache_exclude(calls))]
    async fn slow(calls: Calls) -> u32 {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        calls.add()
    }
    #[flow]
    async fn crowd(calls: Calls) -> Result<Vec<u32>> {
        Ok((0..50).map(|_| slow(&calls)).submit_all().await?)
    }
    let calls = Calls::default();
    let values = in_memory()
        .await
        .run(crowd(calls.clone()))
        .await
        .into_result()
        .unwrap();
    assert_eq!((values, calls.count()), (vec![1; 50], 1));
}

#[tokio::test]
async fn if_the_one_that_computes_is_cancelled_another_takes_over() {
    #[task(cache, cache_exclude(calls))]
    async fn first_hangs(calls: Calls) -> u32 {
        let call = calls.add();
        if call == 1 {
            std::future::pending::<()>().await;
        }
        call
    }
    #[flow]
    async fn handing_over(calls: Calls) -> Result<u32> {
        let first = first_hangs(&calls).submit();
        while calls.count() == 0 {
            tokio::task::yield_now().await;
        }
        let second = first_hangs(&calls).submit();
        tokio::task::yield_now().await;
        first.cancel();
        Ok(second.await?)
    }
    assert_eq!(
        in_memory()
            .await
            .run(handing_over(Calls::default()))
            .await
            .into_result()
            .unwrap(),
        2
    );
}

// Z20
#[tokio::test]
async fn only_successes_are_cached() {
    #[task(cache, cache_exclude(calls))]
    async fn second_time(calls: Calls) -> Result<u32> {
        let call = calls.add();
        if call == 1 {
            Err("not yet".into())
        } else {
            Ok(call)
        }
    }
    #[flow]
    async fn trying(calls: Calls) -> Result<u32> {
        drop(second_time(&calls).await);
        Ok(second_time(&calls).await?)
    }
    assert_eq!(
        in_memory()
            .await
            .run(trying(Calls::default()))
            .await
            .into_result()
            .unwrap(),
        2
    );
}

// 131, Z17
#[tokio::test]
async fn an_input_that_refuses_to_be_serialized_leaves_the_task_uncached_and_says_why() {
    #[derive(Clone)]
    struct Refuses;
    impl serde::Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> std::result::Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it holds a socket"))
        }
    }
    #[task(cache)]
    async fn uncacheable(input: &Refuses) -> u8 {
        let _ = input;
        1
    }
    #[flow]
    async fn running() -> Result<u8> {
        Ok(uncacheable(Refuses).await? + uncacheable(Refuses).await?)
    }
    let run = in_memory().await.run(running()).await;
    assert_eq!(run.counts().completed, 2);
    let reason = run.tasks()[0].uncached.clone().unwrap();
    assert!(
        reason.contains("`input`") && reason.contains("it holds a socket"),
        "{reason}"
    );
}

// Z3
#[tokio::test]
async fn the_order_of_a_set_does_not_count() {
    #[task(cache, cache_exclude(calls))]
    async fn count(words: HashSet<String>, calls: Calls) -> u32 {
        let _ = words;
        calls.add()
    }
    #[flow]
    async fn counting(calls: Calls) -> Result<u32> {
        let words = |reversed: bool| {
            let mut words: Vec<String> = (0..100).map(|n| n.to_string()).collect();
            if reversed {
                words.reverse();
            }
            words.into_iter().collect::<HashSet<String>>()
        };
        count(words(false), &calls).await?;
        Ok(count(words(true), &calls).await?)
    }
    assert_eq!(
        in_memory()
            .await
            .run(counting(Calls::default()))
            .await
            .into_result()
            .unwrap(),
        1
    );
}

// 139
#[tokio::test]
async fn nothing_is_a_value_like_any_other() {
    #[task(cache, cache_exclude(calls))]
    async fn nothing(calls: Calls) {
        calls.add();
    }
    #[flow]
    async fn twice(calls: Calls) -> Result<()> {
        nothing(&calls).await?;
        Ok(nothing(&calls).await?)
    }
    let calls = Calls::default();
    assert_eq!(
        in_memory().await.run(twice(calls.clone())).await.state(),
        State::Completed
    );
    assert_eq!(calls.count(), 1);
}

// 146
#[tokio::test]
async fn results_outlive_a_runtime_in_its_directory() {
    #[flow]
    async fn once(calls: Calls) -> Result<u64> {
        Ok(squared(12u64, calls).await?)
    }
    let (directory, calls) = (tempfile::tempdir().unwrap(), Calls::default());
    for _ in 0..2 {
        let runtime = Runtime::builder()
            .data_dir(directory.path())
            .build()
            .await
            .unwrap();
        assert_eq!(runtime.run(once(calls.clone())).await.into_result().unwrap(), 144);
        runtime.shutdown(Duration::ZERO).await;
    }
    assert_eq!(calls.count(), 1);
}

#[cfg(feature = "redb")]
#[tokio::test]
async fn runtimes_share_results_in_a_store_for_several_processes() {
    use flowkit::cache::RedbStore;

    #[flow]
    async fn once(calls: Calls) -> Result<u64> {
        Ok(squared(12u64, calls).await?)
    }
    let (directory, calls) = (tempfile::tempdir().unwrap(), Calls::default());
    let store = || RedbStore::open(directory.path()).unwrap();
    let one = Runtime::builder().cache_store(store()).build().await.unwrap();
    let other = Runtime::builder().cache_store(store()).build().await.unwrap();
    for runtime in [&one, &other, &one] {
        assert_eq!(runtime.run(once(calls.clone())).await.into_result().unwrap(), 144);
    }
    assert_eq!(calls.count(), 1);
}

// Z6, Z14
#[tokio::test]
async fn a_directory_that_cannot_be_used_leaves_tasks_uncached_and_is_named() {
    #[flow]
    async fn once(calls: Calls) -> Result<u64> {
        Ok(squared(12u64, calls).await?)
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("cache"), "a file where the cache should be").unwrap();
    let runtime = Runtime::builder()
        .data_dir(directory.path())
        .build()
        .await
        .unwrap();
    let run = runtime.run(once(Calls::default())).await;
    assert_eq!(run.state(), State::Completed);
    let reason = run.tasks()[0].uncached.clone().unwrap();
    assert!(
        reason.contains(&directory.path().display().to_string()),
        "{reason}"
    );
}

#[tokio::test]
async fn a_task_that_calls_itself_with_its_own_key_does_not_wait_for_itself() {
    #[task(cache_key = |n| n / 10)]
    async fn decades(n: u64) -> Result<u64> {
        Ok(if n == 0 { 0 } else { decades(n - 1).await? + 1 })
    }
    #[flow]
    async fn counting() -> Result<u64> {
        Ok(decades(5u64).await?)
    }
    assert_eq!(in_memory().await.run(counting()).await.into_result().unwrap(), 5);
}

/// Copies a directory as it lies on the disk, whatever has it open.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn what_a_run_kept_is_on_the_disk_when_the_run_has_ended() {
    #[flow]
    async fn once(calls: Calls) -> Result<u64> {
        Ok(squared(12u64, calls).await?)
    }
    let (directory, calls) = (tempfile::tempdir().unwrap(), Calls::default());
    let (one, two) = (directory.path().join("one"), directory.path().join("two"));
    let runtime = Runtime::builder().data_dir(&one).build().await.unwrap();
    runtime.run(once(calls.clone())).await.into_result().unwrap();
    copy(&one, &two); // as a program that ends here would leave it
    let next = Runtime::builder().data_dir(&two).build().await.unwrap();
    assert_eq!(next.run(once(calls.clone())).await.counts().cached, 1);
    assert_eq!(calls.count(), 1);
}
