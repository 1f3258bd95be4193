//! What outlives a runtime: the results of cached tasks, and nothing else.

use std::time::Duration;

use flowkit::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::caching::Calls;

/// Runs a flow as a program would that is started, and ends.
async fn one_process<T: Send + Sync + 'static>(directory: &std::path::Path, call: FlowCall<T>) -> FlowRun<T> {
    let runtime = Runtime::builder().data_dir(directory).build().await.unwrap();
    let run = runtime.run(call).await;
    runtime.shutdown(Duration::ZERO).await;
    run
}

// 145
#[tokio::test]
async fn a_task_that_is_not_cached_leaves_nothing_behind() {
    #[task]
    async fn counted(bodies: Calls) -> u32 {
        bodies.add()
    }
    #[flow]
    async fn once(bodies: Calls) -> Result<u32> {
        Ok(counted(bodies).await?)
    }
    let (directory, bodies) = (tempfile::tempdir().unwrap(), Calls::default());
    for expected in [1, 2] {
        let run = one_process(directory.path(), once(&bodies)).await;
        assert_eq!(run.into_result().unwrap(), expected);
    }
    assert!(!directory.path().join("cache").exists(), "it was never needed");
}

// 139, 146
#[tokio::test]
async fn plain_values_come_back_as_they_were() {
    #[task(cache, cache_exclude(bodies))]
    async fn kept<T>(value: T, bodies: Calls) -> T
    where
        T: Clone + Serialize + DeserializeOwned,
    {
        bodies.add();
        value
    }
    type Values = ((), Option<u8>, Option<u8>, bool, bool, String);
    #[flow]
    async fn keeping(bodies: Calls) -> Result<Values> {
        Ok((
            kept((), &bodies).await?,
            kept(None, &bodies).await?,
            kept(Some(1), &bodies).await?,
            kept(true, &bodies).await?,
            kept(false, &bodies).await?,
            kept(String::new(), &bodies).await?,
        ))
    }
    let (directory, bodies) = (tempfile::tempdir().unwrap(), Calls::default());
    let expected = ((), None, Some(1), true, false, String::new());
    for cached in [0, 6] {
        let run = one_process(directory.path(), keeping(&bodies)).await;
        assert_eq!(run.counts().cached, cached);
        assert_eq!(run.into_result().unwrap(), expected);
    }
    assert_eq!(bodies.count(), 6);
}

// 148, Z20
#[tokio::test]
async fn a_failure_is_told_whole_and_not_kept() {
    #[task(cache, cache_exclude(bodies))]
    async fn second_time(bodies: Calls) -> Result<u32> {
        match bodies.add() {
            1 => Err("no such host".into()),
            body => Ok(body),
        }
    }
    #[flow]
    async fn trying(bodies: Calls) -> Result<u32> {
        Ok(second_time(bodies).await?)
    }
    let (directory, bodies) = (tempfile::tempdir().unwrap(), Calls::default());
    let failed = one_process(directory.path(), trying(&bodies)).await;
    assert!(failed.tasks()[0].error.as_ref().unwrap().contains("no such host"));
    for cached in [0, 1] {
        let run = one_process(directory.path(), trying(&bodies)).await;
        assert_eq!(run.counts().cached, cached);
        assert_eq!(run.into_result().unwrap(), 2);
    }
}

// 152
#[tokio::test]
async fn a_value_that_refuses_to_be_serialized_is_given_and_not_kept() {
    #[derive(Clone, Deserialize)]
    struct Refuses;
    impl Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> std::result::Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it holds a socket"))
        }
    }
    #[task(cache, cache_exclude(bodies))]
    async fn unkeepable(bodies: Calls) -> Refuses {
        bodies.add();
        Refuses
    }
    #[flow]
    async fn twice(bodies: Calls) -> Result<()> {
        unkeepable(&bodies).await?;
        unkeepable(&bodies).await?;
        Ok(())
    }
    let (directory, bodies) = (tempfile::tempdir().unwrap(), Calls::default());
    let run = one_process(directory.path(), twice(&bodies)).await;
    assert_eq!((run.state(), run.counts().completed), (State::Completed, 2));
    assert_eq!(bodies.count(), 2);
    let reason = run.tasks()[0].uncached.as_ref().unwrap();
    assert!(reason.contains("it holds a socket"), "{reason}");
}
