//! Flows that are retried: their body runs again, and what completed in an earlier attempt does not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowkit::prelude::*;

/// Counts calls by name.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<HashMap<String, u32>>>);

impl Calls {
    /// Counts one more, and says the how-manieth it is.
    fn count(&self, name: &str) -> u32 {
        let mut calls = self.0.lock().unwrap();
        let count = calls.entry(name.to_owned()).or_default();
        *count += 1;
        *count
    }

    fn of(&self, name: &str) -> u32 {
        self.0.lock().unwrap().get(name).copied().unwrap_or_default()
    }
}

async fn runtime(calls: &Calls) -> Runtime {
    Runtime::builder().resource(calls.clone()).build().await.unwrap()
}

#[task]
async fn step(name: &str, #[resource] calls: &Calls) -> u32 {
    calls.count(name)
}

#[task(retries = 2)]
async fn always_fails(#[resource] calls: &Calls) -> Result<()> {
    calls.count("always_fails");
    Err("no".into())
}

// 94
#[tokio::test]
async fn a_flow_that_fails_runs_again() {
    #[flow(retries = 1)]
    async fn second_time(#[resource] calls: &Calls) -> Result<u32> {
        match calls.count("flow") {
            1 => Err("not yet".into()),
            n => Ok(n),
        }
    }
    let calls = Calls::default();
    let run = runtime(&calls).await.run(second_time()).await;
    assert_eq!(run.state(), State::Completed);
    assert_eq!(run.record().attempts, 2);
    assert_eq!(run.record().failed_attempts.len(), 1);
    assert_eq!(run.into_result().unwrap(), 2);
}

// 95
#[tokio::test]
async fn what_completed_in_an_earlier_attempt_does_not_run_again() {
    #[flow(retries = 1)]
    async fn half_done(#[resource] calls: &Calls) -> Result<Vec<u32>> {
        // Equal calls are told apart by their order: each has its own value again.
        let values = vec![step("a").await?, step("a").await?, step("b").await?];
        if calls.count("flow") == 1 {
            return Err("not yet".into());
        }
        Ok(values)
    }
    let calls = Calls::default();
    let run = runtime(&calls).await.run(half_done()).await;
    assert_eq!((calls.of("flow"), calls.of("a"), calls.of("b")), (2, 2, 1));
    let states: Vec<_> = run.tasks().iter().map(|task| task.state).collect();
    assert_eq!(states[..3], [State::Completed; 3]);
    assert_eq!(states[3..], [State::Cached; 3]);
    assert_eq!(run.tasks()[3].origin, Some(run.tasks()[0].id));
    assert_eq!(run.into_result().unwrap(), [1, 2, 1]);
}

// 97
#[tokio::test]
async fn a_tasks_retries_begin_anew_with_each_attempt_of_its_flow() {
    #[flow(retries = 1)]
    async fn hopeless() -> Result<()> {
        Ok(always_fails().await?)
    }
    let calls = Calls::default();
    let run = runtime(&calls).await.run(hopeless()).await;
    assert_eq!(run.state(), State::Failed);
    assert_eq!(calls.of("always_fails"), 6);
}

// 98
#[tokio::test]
async fn a_parent_runs_its_child_again_and_the_child_itself_too() {
    #[flow(retries = 1)]
    async fn child(#[resource] calls: &Calls) -> Result<u32> {
        step("kept").await?;
        match calls.count("child") {
            4 => Ok(4),
            n => Err(format!("attempt {n}").into()),
        }
    }
    #[flow(retries = 1)]
    async fn parent(#[resource] calls: &Calls) -> Result<u32> {
        calls.count("parent");
        Ok(child().await?)
    }
    let calls = Calls::default();
    assert_eq!(
        runtime(&calls).await.run(parent()).await.into_result().unwrap(),
        4
    );
    assert_eq!((calls.of("parent"), calls.of("child")), (2, 4));
    assert_eq!(calls.of("kept"), 1, "what completed in it is kept through both");
}

#[tokio::test]
async fn a_subflow_that_completed_does_not_run_again() {
    #[flow]
    async fn child(#[resource] calls: &Calls) -> Result<u32> {
        Ok(calls.count("child"))
    }
    #[flow(retries = 3)]
    async fn parent(#[resource] calls: &Calls) -> Result<u32> {
        let value = child().await?;
        match calls.count("parent") {
            4 => Ok(value),
            _ => Err("not yet".into()),
        }
    }
    let calls = Calls::default();
    assert_eq!(
        runtime(&calls).await.run(parent()).await.into_result().unwrap(),
        1
    );
    assert_eq!(calls.of("child"), 1);
}

#[tokio::test]
async fn the_items_of_a_fan_out_that_completed_do_not_run_again() {
    #[task]
    async fn item(n: u32, #[resource] calls: &Calls) -> Result<u32> {
        if calls.count(&n.to_string()) == 1 && n == 2 {
            return Err("not yet".into());
        }
        Ok(n)
    }
    #[flow(retries = 1)]
    async fn stage() -> Result<Vec<u32>> {
        Ok((0..4u32).map(item).submit_all().await?)
    }
    let calls = Calls::default();
    assert_eq!(
        runtime(&calls).await.run(stage()).await.into_result().unwrap(),
        [0, 1, 2, 3]
    );
    let counts: Vec<_> = (0..4).map(|n| calls.of(&n.to_string())).collect();
    assert!(counts[2] == 2 && counts.iter().sum::<u32>() <= 6, "{counts:?}");
}

#[tokio::test]
async fn a_failure_that_nobody_looked_at_is_retried_like_any_other() {
    #[task]
    async fn second_time(#[resource] calls: &Calls) -> Result<()> {
        match calls.count("task") {
            1 => Err("not yet".into()),
            _ => Ok(()),
        }
    }
    #[flow(retries = 1)]
    async fn careless() -> Result<()> {
        drop(second_time().submit());
        Ok(())
    }
    let calls = Calls::default();
    let run = runtime(&calls).await.run(careless()).await;
    assert_eq!(run.state(), State::Completed, "{run:?}");
    assert_eq!(calls.of("task"), 2);
}

#[tokio::test(start_paused = true)]
async fn delays_timeouts_and_predicates_of_a_flow_are_those_of_a_task() {
    fn is_transient(error: &std::io::Error) -> bool {
        error.kind() == std::io::ErrorKind::TimedOut
    }
    #[flow(retries = 3, retry_delay = "1s", retry_backoff = 2.0, retry_if = is_transient)]
    async fn choosy(transient: bool) -> std::io::Result<()> {
        let kind = if transient {
            std::io::ErrorKind::TimedOut
        } else {
            std::io::ErrorKind::NotFound
        };
        Err(kind.into())
    }
    #[flow(retries = 1, timeout = "1s")]
    async fn slow() -> Result<()> {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok(())
    }
    let began = tokio::time::Instant::now();
    assert_eq!(choosy(true).run().await.record().attempts, 4);
    assert_eq!(began.elapsed(), Duration::from_secs(7));
    assert_eq!(choosy(false).run().await.record().attempts, 1);
    let began = tokio::time::Instant::now();
    let run = slow().run().await;
    assert_eq!((run.state(), run.record().attempts), (State::TimedOut, 2));
    assert_eq!(began.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_is_cancelled_while_it_waits_for_its_retry_is_not_retried() {
    #[flow(retries = 5, retry_delay = "1h")]
    async fn patient(#[resource] calls: &Calls) -> Result<()> {
        calls.count("flow");
        Err("no".into())
    }
    let calls = Calls::default();
    let runtime = runtime(&calls).await;
    runtime
        .scope(async {
            let handle = patient().submit();
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(handle.state(), State::AwaitingRetry);
            handle.cancel();
            assert!(handle.await.unwrap_err().is_cancelled());
        })
        .await;
    assert_eq!(calls.of("flow"), 1);
}

#[tokio::test]
async fn what_an_equal_call_of_another_task_returned_is_not_recalled() {
    // The second time it fails before it tells anybody.
    #[task]
    async fn tell(#[resource] calls: &Calls) -> Result<u32> {
        match calls.count("asked to tell") {
            2 => Err("the line is busy".into()),
            _ => Ok(calls.count("told")),
        }
    }
    #[task]
    async fn shut_gate(_gate: u32) -> Result<u32> {
        Ok(tell().await?)
    }
    #[flow(retries = 1)]
    async fn shut_gates() -> Result<u32> {
        Ok(shut_gate(1u32).await? + shut_gate(2u32).await?)
    }
    let calls = Calls::default();
    let run = runtime(&calls).await.run(shut_gates()).await;
    // The first gate does not run again, and the second one's call is its own.
    assert_eq!(run.into_result().unwrap(), 3);
    assert_eq!(calls.of("told"), 2);
}
