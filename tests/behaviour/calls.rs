//! Calls, handles, inputs, and what a run records of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flowkit::prelude::*;
use flowkit::{current_run, tagged};

#[task]
async fn same(n: i64) -> i64 {
    n
}

#[task]
async fn add_one(n: i64) -> i64 {
    n + 1
}

#[task]
async fn sum(numbers: &[i64]) -> i64 {
    numbers.iter().sum()
}

// 1
#[tokio::test]
async fn a_task_called_in_a_flow_gives_its_value() {
    #[flow]
    async fn one() -> Result<i64> {
        Ok(same(1).await?)
    }
    assert_eq!(one().await.unwrap(), 1);
}

// 2
#[tokio::test]
async fn a_call_that_is_not_started_can_be_passed_on() {
    #[flow]
    async fn two() -> Result<i64> {
        Ok(add_one(same(1)).await?)
    }
    assert_eq!(two().await.unwrap(), 2);
}

// 7, 28
#[tokio::test]
async fn passing_a_handle_draws_an_edge_named_after_the_parameter() {
    #[flow]
    async fn linked() -> Result<i64> {
        let first = same(1).submit();
        Ok(add_one(&first).await?)
    }
    let run = linked().run().await;
    assert_eq!(run.result().unwrap(), &2);
    let edges = &run.record().edges;
    assert_eq!(edges.len(), 1);
    assert_eq!(
        (edges[0].from.node(), edges[0].to.node(), edges[0].parameter),
        (0, 1, Some("n"))
    );
}

#[tokio::test]
async fn one_upstream_can_feed_two_parameters_and_a_group() {
    #[task]
    async fn times(a: i64, b: i64) -> i64 {
        a * b
    }
    #[flow]
    async fn square_and_sum() -> Result<(i64, i64)> {
        let three = same(3).submit();
        let four = same(4).submit();
        Ok((times(&three, &three).await?, sum(all([&three, &four])).await?))
    }
    assert_eq!(square_and_sum().await.unwrap(), (9, 7));
}

// 11, 13, 185
#[tokio::test]
async fn tags_of_the_definition_the_call_and_the_surroundings_add_up() {
    #[task(tags("a", "b"))]
    async fn tags() -> Vec<String> {
        current_run().map_or_else(Vec::new, |run| run.tags())
    }
    #[flow]
    async fn tagging() -> Result<Vec<String>> {
        let submitted = tagged(["c", "d"], async { tags().tag("e").submit() }).await;
        Ok(submitted.await?)
    }
    assert_eq!(tagging().await.unwrap(), ["a", "b", "c", "d", "e"]);
}

// 14
#[tokio::test]
async fn a_run_is_named_after_its_inputs() {
    #[task(run_name = "extract-{source}-{n:02}")]
    async fn extract(source: &str, n: u32) -> usize {
        source.len() + n as usize
    }
    #[flow(run_name = "pipeline of {source}")]
    async fn pipeline(source: String) -> Result<usize> {
        Ok(extract(&source, 7u32).await?)
    }
    let run = pipeline("plants").run().await;
    assert_eq!(run.record().name, "pipeline of plants");
    assert_eq!(run.tasks()[0].name, "extract-plants-07");
}

// 17
#[tokio::test]
async fn tasks_call_tasks_awaited_or_submitted() {
    #[task]
    async fn outer(n: i64) -> Result<i64> {
        Ok(add_one(n).await? + add_one(n).submit().await?)
    }
    #[flow]
    async fn nested() -> Result<i64> {
        Ok(outer(1).await? + outer(2).submit().await?)
    }
    let run = nested().run().await;
    assert_eq!(*run.result().unwrap(), 10);
    // 31: each records the run that called it.
    let parents: Vec<_> = run
        .tasks()
        .iter()
        .map(|task| task.parent.map(flowkit::TaskRunId::node))
        .collect();
    assert_eq!(parents.iter().filter(|parent| parent.is_none()).count(), 2);
}

// 49
#[tokio::test(start_paused = true)]
async fn waiting_for_a_time_gives_the_state_and_changes_nothing() {
    #[task]
    async fn slow() -> u8 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        5
    }
    let handle = slow().submit();
    assert!(!handle.wait(Duration::from_secs(1)).await.is_terminal());
    assert_eq!(handle.wait(Duration::from_secs(60)).await, State::Completed);
    assert_eq!(handle.await.unwrap(), 5);
}

#[tokio::test]
async fn a_value_that_is_not_clone_is_shared_without_a_copy() {
    struct Big(Vec<u8>);
    #[task]
    async fn make() -> Big {
        Big(vec![1; 10])
    }
    #[task]
    async fn length(big: &Big) -> usize {
        big.0.len()
    }
    #[flow]
    async fn share() -> Result<usize> {
        let big = make().submit();
        let (a, b) = (length(&big).submit(), length(&big).submit());
        Ok(a.await? + b.await? + big.shared().await?.0.len())
    }
    assert_eq!(share().await.unwrap(), 30);
}

#[tokio::test]
async fn a_sync_function_runs_on_the_blocking_pool() {
    #[task]
    fn blocking(n: u64) -> std::thread::ThreadId {
        let _ = n;
        std::thread::current().id()
    }
    assert_ne!(blocking(1u64).await.unwrap(), std::thread::current().id());
}

#[tokio::test]
async fn resources_come_from_the_runtime_and_their_absence_is_explained() {
    #[task]
    async fn read(#[resource] number: &AtomicU32) -> u32 {
        number.load(Ordering::Relaxed)
    }
    #[flow]
    async fn reading() -> Result<u32> {
        Ok(read().await?)
    }
    let runtime = Runtime::builder()
        .resource(AtomicU32::new(7))
        .build()
        .await
        .unwrap();
    assert_eq!(runtime.run(reading()).await.into_result().unwrap(), 7);
    let bare = Runtime::builder().build().await.unwrap();
    let error = bare.run(reading()).await.into_result().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingResource);
    assert!(
        error.to_string().contains("Runtime::builder().resource"),
        "{error}"
    );
}

#[tokio::test]
async fn methods_are_tasks_too() {
    #[derive(Clone)]
    struct Service {
        offset: u64,
    }
    impl Service {
        #[task]
        async fn shifted(&self, n: u64) -> u64 {
            self.offset + n
        }
        #[task]
        async fn shared(self: Arc<Self>, n: u64) -> u64 {
            self.offset * n
        }
    }
    let service = Service { offset: 10 };
    assert_eq!(service.shifted(1u64).await.unwrap(), 11);
    assert_eq!(Arc::new(service).shared(3u64).await.unwrap(), 30);
}

#[tokio::test]
async fn order_without_data_is_kept() {
    static ORDER: AtomicU32 = AtomicU32::new(0);
    #[task]
    async fn first() -> u32 {
        tokio::task::yield_now().await;
        ORDER.fetch_add(1, Ordering::SeqCst)
    }
    #[task]
    async fn second() -> u32 {
        ORDER.fetch_add(1, Ordering::SeqCst)
    }
    #[flow]
    async fn ordered() -> Result<(u32, u32)> {
        let one = first().submit();
        let two = second().wait_for([&one]).submit();
        Ok((one.await?, two.await?))
    }
    assert_eq!(ordered().await.unwrap(), (0, 1));
}
