//! Slots of limits: held while a body works, by nobody who waits.

use std::time::Duration;

use flowkit::prelude::*;
use tokio::time::Instant;

use crate::limits::{Gauge, query, with_db};

#[task(limit("db", "api"))]
async fn nested(depth: u32) -> Result<u32> {
    match depth {
        0 => Ok(0),
        // One level waits in place, the next beside itself, the third through a fan-out.
        _ if depth.is_multiple_of(3) => Ok(1 + Box::pin(nested(depth - 1).into_future()).await?),
        _ if depth % 3 == 1 => Ok(1 + nested(depth - 1).submit().await?),
        _ => {
            let below = [depth - 1].map(nested).into_iter().submit_all().await?;
            Ok(1 + below.first().copied().unwrap_or_default())
        }
    }
}

#[flow]
async fn tree(depth: u32) -> Result<u32> {
    Ok(nested(depth).await?)
}

// 184, Z9
#[tokio::test]
async fn a_tree_of_nested_tasks_finishes_at_limit_1() {
    let runtime = Runtime::builder()
        .limit("db", 1)
        .limit("api", 1)
        .task_limit(1)
        .build()
        .await
        .unwrap();
    assert_eq!(runtime.run(tree(34)).await.into_result().unwrap(), 34);
    assert_eq!(runtime.limit_use("db").unwrap().in_use, 0);
    assert_eq!(runtime.task_limit_use().unwrap().in_use, 0);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_sleeping_sensors_leave_the_one_slot_to_who_works() {
    #[task(limit = "db")]
    async fn sensor() {
        flowkit::sleep(Duration::from_secs(3600)).await;
    }
    #[flow]
    async fn beside() -> Result<Duration> {
        let sensors: Vec<_> = (0..10_000).map(|_| sensor().submit()).collect();
        let began = Instant::now();
        query(1u32).await?;
        let elapsed = began.elapsed();
        all(sensors).await?;
        Ok(elapsed)
    }
    let (runtime, ..) = with_db(1).await;
    let elapsed = runtime.run(beside()).await.into_result().unwrap();
    assert_eq!(elapsed, Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_retry_delay_holds_no_slot() {
    #[task(limit = "db", retries = 1, retry_delay = "1h")]
    async fn flaky() -> Result<()> {
        Err("no".into())
    }
    #[flow]
    async fn beside() -> Result<Duration> {
        let flaky = flaky().submit();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        query(1u32).await?;
        let elapsed = began.elapsed();
        assert!(flaky.await.is_err());
        Ok(elapsed)
    }
    let (runtime, ..) = with_db(1).await;
    assert_eq!(
        runtime.run(beside()).await.into_result().unwrap(),
        Duration::from_secs(1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_works_with_its_slot_again_after_it_has_waited() {
    #[task]
    async fn elsewhere() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    #[task(limit = "db")]
    async fn in_two_parts(#[resource] gauge: &Gauge) -> Result<()> {
        for _ in 0..2 {
            {
                let _inside = gauge.enter();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            elsewhere().submit().await?;
        }
        Ok(())
    }
    #[flow]
    async fn several() -> Result<()> {
        (0..5).map(|_| in_two_parts()).submit_all().await?;
        Ok(())
    }
    let (runtime, gauge, _) = with_db(1).await;
    runtime.run(several()).await.into_result().unwrap();
    assert_eq!(gauge.most(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_awaits_a_group_or_another_runtimes_flow_gives_its_slot_back() {
    #[task(limit = "db")]
    async fn leaf(n: u32) -> u32 {
        n
    }
    #[flow]
    async fn inner(n: u32) -> Result<u32> {
        Ok(leaf(n).await?)
    }
    #[task(limit = "db")]
    async fn parent(#[resource] other: &std::sync::OnceLock<Runtime>) -> Result<u32> {
        let group = all([leaf(1).submit(), leaf(2).submit()]).await?;
        let runtime = other.get().ok_or("not set")?;
        Ok(group.iter().sum::<u32>() + runtime.run(inner(3u32)).await.into_result()?)
    }
    #[flow]
    async fn around() -> Result<u32> {
        Ok(parent().await?)
    }
    let runtime = Runtime::builder()
        .limit("db", 1)
        .resource(std::sync::OnceLock::<Runtime>::new())
        .build()
        .await
        .unwrap();
    #[task]
    async fn know(itself: Runtime, #[resource] other: &std::sync::OnceLock<Runtime>) {
        drop(other.set(itself));
    }
    #[flow]
    async fn knowing(itself: Runtime) -> Result<()> {
        Ok(know(itself).await?)
    }
    runtime.run(knowing(runtime.clone())).await.into_result().unwrap();
    assert_eq!(runtime.run(around()).await.into_result().unwrap(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_was_given_up_does_not_keep_the_next_one_from_its_slot() {
    #[task(limit = "db")]
    async fn slow() {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    #[task(limit = "db")]
    async fn quick(n: u32) -> u32 {
        n
    }
    #[task(limit = "db")]
    async fn impatient() -> Result<u32> {
        let slow = slow().submit();
        let gave_up = tokio::time::timeout(Duration::from_secs(1), &slow).await;
        assert!(gave_up.is_err());
        let value = quick(7).submit().await?;
        slow.await?;
        Ok(value)
    }
    #[flow]
    async fn around() -> Result<u32> {
        Ok(impatient().await?)
    }
    let (runtime, ..) = with_db(1).await;
    let within = Duration::from_secs(60);
    let run = tokio::time::timeout(within, runtime.run(around())).await;
    assert_eq!(run.expect("it hangs").into_result().unwrap(), 7);
    assert_eq!(runtime.limit_use("db").unwrap().in_use, 0);
}
