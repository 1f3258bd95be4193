//! What a cache key is made of: the inputs as values, or what the task's own `cache_key` says.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowkit::current_run;
use flowkit::prelude::*;
use serde::Serialize;

use crate::caching::Calls;

async fn in_memory() -> Runtime {
    Runtime::builder().build().await.unwrap()
}

fn states<T>(run: &FlowRun<T>) -> Vec<State> {
    run.tasks().iter().map(|task| task.state).collect()
}

use State::{Cached, Completed};

// 116, 155
#[tokio::test]
async fn one_key_for_all_inputs_is_one_result() {
    #[task(cache_key = || "constant")]
    async fn first(n: u64) -> u64 {
        n
    }
    #[flow]
    async fn twice() -> Result<(u64, u64)> {
        Ok((first(1).await?, first(2).await?))
    }
    let run = in_memory().await.run(twice()).await;
    assert_eq!(states(&run), [Completed, Cached]);
    assert_eq!(run.into_result().unwrap(), (1, 1));
}

// 118, 149
#[tokio::test]
async fn a_key_of_ones_own_is_made_from_the_parameters_it_names() {
    #[task(cache_key = |x, y| format!("{x}-{y}-bar"))]
    async fn keyed(x: u64, y: &str, bodies: Calls) -> u32 {
        let _ = (x, y);
        bodies.add()
    }
    #[flow]
    async fn keying(bodies: Calls) -> Result<()> {
        for (x, y) in [(1, "foo"), (2, "foo"), (1, "bar"), (1, "foo")] {
            keyed(x, y, &bodies).await?;
        }
        Ok(())
    }
    let run = in_memory().await.run(keying(Calls::default())).await;
    assert_eq!(states(&run), [Completed, Completed, Completed, Cached]);
    let keys: Vec<_> = run.tasks().iter().map(|task| task.cache_key.unwrap()).collect();
    assert_eq!(keys[0], keys[3]);
    assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
}

// 119
#[tokio::test]
async fn a_key_of_ones_own_can_ask_for_the_run_it_is_computed_in() {
    #[task(cache_key = || current_run().map(|run| run.flow_run_id().to_string()))]
    async fn once_a_run(bodies: Calls) -> u32 {
        bodies.add()
    }
    #[flow]
    async fn twice(bodies: Calls) -> Result<(u32, u32)> {
        Ok((once_a_run(&bodies).await?, once_a_run(&bodies).await?))
    }
    let (runtime, bodies) = (in_memory().await, Calls::default());
    for expected in [(1, 1), (2, 2)] {
        let run = runtime.run(twice(&bodies)).await;
        assert_eq!(run.into_result().unwrap(), expected);
    }
}

// 121
#[tokio::test]
async fn the_way_in_which_a_value_is_passed_is_not_part_of_the_key() {
    #[task]
    async fn made() -> String {
        "plants".to_owned()
    }
    #[task(cache, cache_exclude(bodies))]
    async fn read(source: &str, bodies: Calls) -> u32 {
        let _ = source;
        bodies.add()
    }
    #[flow]
    async fn reading(bodies: Calls) -> Result<()> {
        let owned = "plants".to_owned();
        let upstream = made().submit();
        read("plants", &bodies).await?;
        read(&owned, &bodies).await?;
        read(Arc::new(owned.clone()), &bodies).await?;
        read(owned, &bodies).await?;
        read(&upstream, &bodies).await?;
        read(upstream, &bodies).await?;
        read(made(), &bodies).await?;
        Ok(())
    }
    let bodies = Calls::default();
    let run = in_memory().await.run(reading(&bodies)).await;
    assert_eq!(run.state(), Completed);
    assert_eq!((bodies.count(), run.counts().cached), (1, 6));
}

// 125
#[tokio::test]
async fn a_runtime_may_refresh_all_but_those_that_say_no() {
    #[task(cache, cache_exclude(bodies))]
    async fn counted(bodies: Calls) -> u32 {
        bodies.add()
    }
    #[flow]
    async fn refreshing(bodies: Calls) -> Result<[u32; 3]> {
        let keep = TaskOptions::new().refresh_cache(false);
        Ok([
            counted(&bodies).await?,
            counted(&bodies).await?,
            counted(&bodies).with(keep).await?,
        ])
    }
    let defaults = TaskOptions::new().refresh_cache(true);
    let runtime = Runtime::builder().task_defaults(defaults).build().await.unwrap();
    let run = runtime.run(refreshing(Calls::default())).await;
    assert_eq!(states(&run), [Completed, Completed, Cached]);
    assert_eq!(run.into_result().unwrap(), [1, 2, 2]);
}

// 130
#[tokio::test]
async fn an_input_that_is_left_out_may_differ_and_need_not_be_serializable() {
    struct Lock(#[expect(dead_code, reason = "what tells two locks apart")] u32);
    #[task(cache, cache_exclude(lock))]
    async fn locked(n: u64, lock: &Lock) -> u64 {
        let _ = lock;
        n
    }
    #[flow]
    async fn twice() -> Result<()> {
        locked(1, Arc::new(Lock(1))).await?;
        locked(1, Arc::new(Lock(2))).await?;
        Ok(())
    }
    let run = in_memory().await.run(twice()).await;
    assert_eq!(states(&run), [Completed, Cached]);
}

// 136: what a flow was given counts for a task that is given it.
#[tokio::test]
async fn a_parameter_of_the_flow_counts_where_it_is_passed_on() {
    #[task(cache)]
    async fn alone(x: u64) -> u64 {
        x
    }
    #[task(cache)]
    async fn with_other(x: u64, other: u64) -> u64 {
        x + other
    }
    #[flow]
    async fn calling(x: u64, other: u64) -> Result<()> {
        alone(x).await?;
        with_other(x, other).await?;
        with_other(x, other).await?;
        Ok(())
    }
    let runtime = in_memory().await;
    let first = runtime.run(calling(1, 10)).await;
    assert_eq!(states(&first), [Completed, Completed, Cached]);
    let second = runtime.run(calling(1, 11)).await;
    assert_eq!(states(&second), [Cached, Completed, Cached]);
}

// 143: a result is kept when its task has completed, whoever called it.
#[tokio::test]
async fn a_task_that_calls_another_twice_is_served_the_second_time() {
    #[task(cache)]
    async fn inner(n: u64) -> u64 {
        n
    }
    #[task]
    async fn outer() -> Result<u64> {
        Ok(inner(1).await? + inner(1).await?)
    }
    #[flow]
    async fn nested() -> Result<u64> {
        Ok(outer().await?)
    }
    let run = in_memory().await.run(nested()).await;
    assert_eq!(states(&run), [Completed, Completed, Cached]);
    assert_eq!(run.into_result().unwrap(), 2);
}

// Z4
#[tokio::test]
async fn values_of_different_types_have_different_keys() {
    #[derive(Clone, Serialize)]
    #[serde(untagged)]
    enum Any {
        List(Vec<u64>),
        Pair(u64, u64),
        Integer(u64),
        Float(f64),
        Boolean(bool),
        Text(&'static str),
        ByNumber(BTreeMap<u64, char>),
        ByText(BTreeMap<&'static str, char>),
    }
    #[task(cache, cache_exclude(bodies))]
    async fn told_apart(value: Any, bodies: Calls) -> u32 {
        let _ = value;
        bodies.add()
    }
    #[flow]
    async fn telling(bodies: Calls) -> Result<()> {
        for value in [
            Any::List(vec![1, 2]),
            Any::Pair(1, 2),
            Any::Integer(1),
            Any::Float(1.0),
            Any::Boolean(true),
            Any::Text("1"),
            Any::ByNumber(BTreeMap::from([(1, 'a')])),
            Any::ByText(BTreeMap::from([("1", 'a')])),
        ] {
            told_apart(&value, &bodies).await?;
            told_apart(value, &bodies).await?;
        }
        Ok(())
    }
    let run = in_memory().await.run(telling(Calls::default())).await;
    assert_eq!((run.counts().completed, run.counts().cached), (8, 8));
}
