//! Limits of time at their very moment, under the paused clock: what is ready then has come in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use flowkit::prelude::*;
use flowkit::{TokioClock, current_run};
use tokio::time::Instant;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A task of some time.
#[task]
async fn takes(time: Duration) -> u32 {
    tokio::time::sleep(time).await;
    current_run().map_or(0, |run| run.attempt())
}

fn state<T>(outcome: &std::result::Result<T, flowkit::Error>) -> Option<ErrorKind> {
    outcome.as_ref().err().map(flowkit::Error::kind)
}

// 103
#[tokio::test(start_paused = true)]
async fn an_attempt_that_ends_with_its_timeout_ended_in_time() {
    for options in [
        TaskOptions::new().timeout(SECOND * 2),
        TaskOptions::new().total_timeout(SECOND * 2),
    ] {
        for (time, ended) in [
            (SECOND, None),
            (SECOND * 2, None),
            (SECOND * 2 + MILLISECOND, Some(ErrorKind::TimedOut)),
        ] {
            let began = Instant::now();
            let outcome = takes(time).with(options.clone()).await;
            assert_eq!(state(&outcome), ended, "{time:?} under {options:?}");
            assert_eq!(began.elapsed(), time.min(SECOND * 2));
        }
    }
}

// 103: the limit is a hundred times the work.
#[tokio::test(start_paused = true)]
async fn a_timeout_that_is_far_away_does_nothing() {
    let options = TaskOptions::new().timeout(SECOND * 100);
    assert_eq!(takes(SECOND).with(options).await.unwrap(), 1);
}

// 106
#[tokio::test(start_paused = true)]
async fn a_flow_that_ends_with_its_timeout_ended_in_time() {
    #[flow(timeout = "2s")]
    async fn sleeping(time: Duration) -> Result<()> {
        tokio::time::sleep(time).await;
        Ok(())
    }
    assert!(sleeping(SECOND * 2).await.is_ok());
    let error = sleeping(SECOND * 2 + MILLISECOND).await.unwrap_err();
    assert_eq!(error.to_string(), "flow `sleeping` timed out after 2s");
}

#[tokio::test(start_paused = true)]
async fn a_retry_may_begin_with_the_deadline_and_not_after_it() {
    #[task(retries = 10, retry_delay = "1s")]
    async fn failing() -> Result<()> {
        Err("no".into())
    }
    for (deadline, attempts, seconds) in [
        (SECOND * 3, 4, 3),
        (SECOND * 3 - MILLISECOND, 3, 2),
        (SECOND * 3 + MILLISECOND, 4, 3),
        (Duration::ZERO, 1, 0),
    ] {
        let began = Instant::now();
        let options = TaskOptions::new().retry_deadline(deadline);
        let error = failing().with(options).await.unwrap_err();
        assert_eq!(error.attempts(), attempts, "within {deadline:?}");
        assert_eq!(
            began.elapsed(),
            SECOND * seconds,
            "it does not wait for what may not begin"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_begins_with_the_total_timeout_may_end_in_that_moment() {
    #[task(retries = 5, retry_delay = "1s", total_timeout = "2s")]
    async fn third_time(time: Duration) -> Result<u32> {
        let attempt = current_run().map_or(0, |run| run.attempt());
        if attempt < 3 {
            return Err("not yet".into());
        }
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        Ok(attempt)
    }
    assert_eq!(third_time(Duration::ZERO).await.unwrap(), 3);
    let began = Instant::now();
    let error = third_time(MILLISECOND).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::TimedOut, 3));
    assert_eq!(began.elapsed(), SECOND * 2);
}

/// Counts bodies that began, as an input that is not in the key.
#[derive(Clone, Default)]
struct Bodies(Arc<AtomicU32>);

#[task(cache, cache_exclude(bodies, fails))]
async fn slow(bodies: Bodies, fails: bool) -> Result<u32> {
    let body = bodies.0.fetch_add(1, Ordering::SeqCst) + 1;
    tokio::time::sleep(SECOND * 10).await;
    if fails { Err("no".into()) } else { Ok(body) }
}

async fn in_memory() -> Runtime {
    let clock = TokioClock::starting_at(SystemTime::UNIX_EPOCH);
    Runtime::builder().clock(clock).build().await.unwrap()
}

// Z1
#[tokio::test(start_paused = true)]
async fn an_equal_call_in_the_moment_of_completion_does_not_run_again() {
    #[flow]
    async fn meeting(bodies: Bodies) -> Result<(u32, u32, u32)> {
        let first = slow(&bodies, false).submit();
        tokio::time::sleep(SECOND * 10 - MILLISECOND).await;
        let just_before = slow(&bodies, false).submit();
        tokio::time::sleep(MILLISECOND).await;
        let then = slow(&bodies, false).submit();
        Ok((first.await?, just_before.await?, then.await?))
    }
    let (runtime, bodies) = (in_memory().await, Bodies::default());
    let run = runtime.run(meeting(bodies.clone())).await;
    assert_eq!(run.elapsed(), SECOND * 10, "nobody began anew");
    assert_eq!((run.counts().completed, run.counts().cached), (1, 2));
    assert_eq!(run.into_result().unwrap(), (1, 1, 1));
    assert_eq!(bodies.0.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waited_for_a_failure_shares_it_and_who_comes_later_runs() {
    #[flow]
    async fn failing(bodies: Bodies) -> Result<()> {
        let together = [slow(&bodies, true).submit(), slow(&bodies, true).submit()];
        for run in together {
            assert_eq!(run.await.unwrap_err().kind(), ErrorKind::Failed);
        }
        assert_eq!(bodies.0.load(Ordering::SeqCst), 1);
        assert_eq!(slow(&bodies, false).await?, 2);
        Ok(())
    }
    let run = in_memory().await.run(failing(Bodies::default())).await;
    assert_eq!(run.state(), State::Completed);
    assert_eq!(run.elapsed(), SECOND * 20);
}

#[tokio::test(start_paused = true)]
async fn who_takes_over_begins_in_the_moment_of_the_cancel() {
    #[flow]
    async fn handing_over(bodies: Bodies) -> Result<u32> {
        let first = slow(&bodies, false).submit();
        tokio::task::yield_now().await;
        let second = slow(&bodies, false).submit();
        tokio::time::sleep(SECOND * 5).await;
        first.cancel();
        drop(first.await);
        Ok(second.await?)
    }
    let run = in_memory().await.run(handing_over(Bodies::default())).await;
    assert_eq!(run.elapsed(), SECOND * 15);
    assert_eq!(run.into_result().unwrap(), 2);
}

// 122
#[tokio::test(start_paused = true)]
async fn a_result_is_gone_in_the_moment_it_expires() {
    #[task(cache, cache_exclude(bodies))]
    async fn quick(bodies: Bodies) -> u32 {
        bodies.0.fetch_add(1, Ordering::SeqCst) + 1
    }
    #[flow]
    async fn asking(bodies: Bodies, wait: Duration) -> Result<u32> {
        quick(&bodies)
            .with(TaskOptions::new().cache_expiration(SECOND))
            .await?;
        tokio::time::sleep(wait).await;
        Ok(quick(&bodies).await?)
    }
    for (wait, value) in [(SECOND - MILLISECOND, 1), (SECOND, 2)] {
        let run = in_memory().await.run(asking(Bodies::default(), wait)).await;
        assert_eq!(run.into_result().unwrap(), value, "after {wait:?}");
    }
}
