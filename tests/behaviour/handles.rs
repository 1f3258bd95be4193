//! What a handle tells of its run, and how several are waited for, with or without a limit of time.

use std::future::IntoFuture;
use std::time::Duration;

use flowkit::prelude::*;
use futures::future::{join_all, try_join_all};
use tokio::time::{Instant, timeout, timeout_at};

const SECOND: Duration = Duration::from_secs(1);

/// Gives its number after so many seconds.
#[task]
async fn after(seconds: u64) -> u64 {
    tokio::time::sleep(SECOND * u32::try_from(seconds).unwrap()).await;
    seconds
}

#[task]
async fn never() -> u64 {
    std::future::pending::<()>().await;
    0
}

#[task]
async fn fails_after(seconds: u64) -> Result<u64> {
    tokio::time::sleep(SECOND * u32::try_from(seconds).unwrap()).await;
    Err(format!("failed after {seconds}").into())
}

// 5, 50
#[tokio::test(start_paused = true)]
async fn a_handle_tells_the_state_and_gives_the_value_or_the_error() {
    #[flow]
    async fn asking() -> Result<(State, u64, State, String)> {
        let (fine, broken) = (after(1u64).submit(), fails_after(1u64).submit());
        assert!(!fine.is_finished());
        let (value, error) = ((&fine).await?, (&broken).await.unwrap_err());
        let cause = std::error::Error::source(&error).unwrap().to_string();
        Ok((fine.state(), value, broken.state(), cause))
    }
    let run = asking().run().await;
    let expected = (State::Completed, 1, State::Failed, "failed after 1".to_owned());
    assert_eq!(run.result().unwrap(), &expected);
    assert_eq!(run.state(), State::Completed, "the failure was looked at");
}

// 7
#[tokio::test]
async fn a_handle_may_be_the_value_of_a_flow() {
    #[task]
    async fn same(n: u64) -> u64 {
        n
    }
    #[flow]
    async fn giving() -> Result<TaskHandle<u64>> {
        Ok(same(1).submit())
    }
    let handle = giving().await.unwrap();
    assert_eq!(handle.state(), State::Completed, "its flow waited for it");
    assert_eq!(handle.await.unwrap(), 1);
}

// 49: a limit of time around the value is tokio's own.
#[tokio::test(start_paused = true)]
async fn giving_up_on_a_value_leaves_its_run_alone() {
    #[flow]
    async fn impatient() -> Result<u64> {
        let handle = after(10u64).submit();
        assert!(timeout(SECOND, &handle).await.is_err());
        assert_eq!(handle.state(), State::Running);
        Ok(handle.await?)
    }
    assert_eq!(impatient().await.unwrap(), 10);
}

// 52
#[tokio::test(start_paused = true)]
async fn several_are_waited_for_side_by_side_within_one_limit() {
    #[flow]
    async fn waiting() -> Result<(usize, Duration)> {
        let handles = [
            never().submit(),
            after(1u64).submit(),
            after(2u64).submit(),
            after(3u64).submit(),
        ];
        let began = Instant::now();
        let states = join_all(handles.iter().map(|handle| handle.wait(SECOND * 4))).await;
        let done = states.iter().filter(|state| state.is_terminal()).count();
        let took = began.elapsed();
        handles[0].cancel();
        drop((&handles[0]).await);
        Ok((done, took))
    }
    assert_eq!(waiting().await.unwrap(), (3, SECOND * 4));
}

// 55
#[tokio::test(start_paused = true)]
async fn what_completed_within_a_limit_is_told_from_what_did_not() {
    #[flow]
    async fn racing() -> Result<(Vec<u64>, usize)> {
        let mapped = [100, 1, 200u64].into_iter().map(after).submit_all();
        let deadline = Instant::now() + SECOND * 10;
        let (mut ended, mut values) = (mapped.as_completed(), Vec::new());
        while let Ok(Some((_, outcome))) = timeout_at(deadline, ended.next()).await {
            values.push(outcome?);
        }
        let open = mapped.states().into_iter().filter(|state| !state.is_terminal());
        Ok((values, open.count()))
    }
    assert_eq!(racing().await.unwrap(), (vec![1], 2));
}

// 56
#[tokio::test(start_paused = true)]
async fn no_time_at_all_is_enough_for_what_has_completed() {
    #[flow]
    async fn at_once() -> Result<Vec<usize>> {
        let mapped = [1, 9u64].into_iter().map(after).submit_all();
        tokio::time::sleep(SECOND * 2).await;
        let (mut ended, mut indexes) = (mapped.as_completed(), Vec::new());
        while let Ok(Some((index, _))) = timeout(Duration::ZERO, ended.next()).await {
            indexes.push(index);
        }
        Ok(indexes)
    }
    assert_eq!(at_once().await.unwrap(), [0]);
}

// 58: a group gives the first error in order; `try_join_all` the first in time.
#[tokio::test(start_paused = true)]
async fn the_first_error_in_time_need_not_wait_for_those_before_it() {
    #[flow]
    async fn in_order() -> Result<Vec<u64>> {
        Ok(all([after(10u64).submit(), fails_after(1u64).submit()]).await?)
    }
    #[flow]
    async fn in_time() -> Result<Vec<u64>> {
        let handles = [after(10u64).submit(), fails_after(1u64).submit()];
        Ok(try_join_all(handles.map(IntoFuture::into_future)).await?)
    }
    let began = Instant::now();
    let error = in_order().await.unwrap_err();
    assert_eq!((error.name(), began.elapsed()), ("fails_after", SECOND * 10));
    let began = Instant::now();
    let run = in_time().run().await;
    assert_eq!(run.result().unwrap_err().name(), "fails_after");
    assert_eq!(began.elapsed(), SECOND);
    assert_eq!(
        run.task("after").unwrap().state,
        State::Cancelled,
        "the flow had failed"
    );
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_group_speaks_for_those_that_fail_after_it() {
    #[flow]
    async fn handled() -> Result<bool> {
        let group = all([fails_after(1u64).submit(), fails_after(2u64).submit()]);
        Ok(group.await.is_err())
    }
    let run = handled().run().await;
    assert_eq!((run.state(), run.counts().failed), (State::Completed, 2));
    assert_eq!(run.elapsed(), SECOND * 2, "the flow waited for both all the same");
}

// 59
#[tokio::test]
async fn outcomes_have_the_error_in_the_place_of_the_value() {
    #[task]
    async fn even(n: u64) -> Result<u64> {
        if n.is_multiple_of(2) {
            Ok(n)
        } else {
            Err("odd".into())
        }
    }
    #[flow]
    async fn mixed() -> Result<Vec<Option<u64>>> {
        let outcomes = (0..4u64).map(even).submit_all().outcomes().await;
        Ok(outcomes.into_iter().map(Result::ok).collect())
    }
    assert_eq!(mixed().await.unwrap(), [Some(0), None, Some(2), None]);
}

// 112, 194
#[tokio::test]
async fn what_has_ended_cannot_be_cancelled() {
    #[task]
    async fn answer() -> u64 {
        42
    }
    #[flow]
    async fn late() -> Result<u64> {
        let handle = answer().submit();
        assert_eq!((&handle).await?, 42);
        handle.cancel();
        assert_eq!(handle.state(), State::Completed);
        Ok(handle.await?)
    }
    let run = late().run().await;
    assert_eq!((run.state(), run.counts().cancelled), (State::Completed, 0));
    assert_eq!(run.into_result().unwrap(), 42);
}
