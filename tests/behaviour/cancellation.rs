//! Cancelling: everything below ends, what had ended stays as it was, and nobody waits for ever.

use std::num::NonZeroUsize;
use std::time::Duration;

use flowkit::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

#[task]
async fn quick() -> u32 {
    1
}

#[task]
async fn endless() -> u32 {
    std::future::pending::<()>().await;
    0
}

#[task]
async fn follows(n: u32) -> u32 {
    n
}

#[flow]
async fn grandchild() -> Result<u32> {
    Ok(endless().await?)
}

#[flow]
async fn child() -> Result<u32> {
    quick().await?;
    let running = endless().submit();
    let waiting = follows(&running).submit();
    let below = grandchild().submit();
    Ok(running.await? + waiting.await? + below.await?)
}

// 71, 196
#[tokio::test(start_paused = true)]
async fn a_cancelled_flow_cancels_what_has_not_ended_below_it() {
    #[flow]
    async fn parent() -> Result<ErrorKind> {
        let running = child().submit();
        tokio::time::sleep(SECOND).await;
        running.cancel();
        Ok(running.await.unwrap_err().kind())
    }
    let run = parent().run().await;
    assert_eq!(run.result().unwrap(), &ErrorKind::Cancelled);
    assert_eq!(run.state(), State::Completed, "its own body was not cancelled");
    let child = run.tasks()[0].subflow.as_ref().unwrap();
    let states: Vec<_> = child.tasks.iter().map(|task| (&*task.name, task.state)).collect();
    let expected = [
        ("quick", State::Completed),
        ("endless", State::Cancelled),
        ("follows", State::Cancelled),
        ("grandchild", State::Cancelled),
    ];
    assert_eq!(states, expected);
    assert_eq!(child.state, State::Cancelled);
    let grandchild = child.tasks[3].subflow.as_ref().unwrap();
    assert_eq!(grandchild.state, State::Cancelled);
    assert_eq!(grandchild.tasks[0].state, State::Cancelled);
    assert_eq!(run.elapsed(), SECOND);
}

// Z15
#[tokio::test(start_paused = true)]
async fn a_cancelled_task_takes_what_it_submitted_with_it() {
    #[task]
    async fn outer() -> Result<u32> {
        Ok(endless().submit().await?)
    }
    #[flow]
    async fn cancelling() -> Result<()> {
        let running = outer().submit();
        tokio::time::sleep(SECOND).await;
        running.cancel();
        drop(running.await);
        Ok(())
    }
    let run = cancelling().run().await;
    let states: Vec<_> = run.tasks().iter().map(|task| task.state).collect();
    assert_eq!(states, [State::Cancelled, State::Cancelled]);
}

// Z15
#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_its_next_attempt_can_be_cancelled() {
    #[task(retries = 3, retry_delay = "1h")]
    async fn failing() -> Result<u32> {
        Err("no".into())
    }
    #[flow]
    async fn cancelling() -> Result<State> {
        let run = failing().submit();
        tokio::time::sleep(SECOND).await;
        let before = run.state();
        run.cancel();
        assert!(run.await.unwrap_err().is_cancelled());
        Ok(before)
    }
    let run = cancelling().run().await;
    assert_eq!(run.result().unwrap(), &State::AwaitingRetry);
    assert_eq!(run.tasks()[0].attempts, 1, "no attempt followed");
    assert_eq!(run.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_fan_out_keeps_the_values_of_what_had_ended() {
    #[task]
    async fn after(seconds: u64) -> u64 {
        tokio::time::sleep(SECOND * u32::try_from(seconds).unwrap()).await;
        seconds
    }
    #[flow]
    async fn cancelling() -> Result<(Vec<u64>, usize)> {
        let mapped = [1, 2, 100, 200u64].into_iter().map(after).submit_all();
        tokio::time::sleep(SECOND * 10).await;
        mapped.cancel();
        let outcomes = mapped.outcomes().await;
        let cancelled = outcomes.failures().filter(|(_, error)| error.is_cancelled());
        Ok((outcomes.values().copied().collect(), cancelled.count()))
    }
    assert_eq!(cancelling().await.unwrap(), (vec![1, 2], 2));
}

#[tokio::test(start_paused = true)]
async fn one_item_of_a_fan_out_is_cancelled_alone() {
    #[task]
    async fn after(seconds: u64) -> u64 {
        tokio::time::sleep(SECOND * u32::try_from(seconds).unwrap()).await;
        seconds
    }
    #[flow]
    async fn cancelling() -> Result<Vec<Option<u64>>> {
        let two = NonZeroUsize::new(2).unwrap();
        let items = [1000, 1, 2000, 3, 1000, 4u64].into_iter().map(after);
        let mapped = items.concurrency(two).submit_all();
        let handles: Vec<_> = mapped.handles().collect();
        tokio::time::sleep(SECOND * 2).await; // item 0 and, since a second, item 2 are running
        for running in [0, 2] {
            assert_eq!(handles[running].state(), State::Running);
            handles[running].cancel();
        }
        handles[4].cancel(); // its turn has not come, and never will
        assert_eq!(handles[4].state(), State::Cancelled);
        for cancelled in [0, 2, 4] {
            let error = (&handles[cancelled]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Cancelled);
            assert_eq!(error.task_run_id(), Some(handles[cancelled].id()));
        }
        handles[1].cancel(); // it has ended
        let outcomes = mapped.outcomes().await.into_iter();
        Ok(outcomes.map(std::result::Result::ok).collect())
    }
    let run = cancelling().run().await;
    assert_eq!(
        run.result().unwrap(),
        &[None, Some(1), None, Some(3), None, Some(4)]
    );
    assert_eq!(run.elapsed(), SECOND * 6, "the two lanes went on with the others");
    assert_eq!((run.counts().completed, run.counts().cancelled), (3, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_item_ends_whoever_cancels_it_and_whenever() {
    #[task]
    async fn odd_ones_are_endless(n: u64) -> u64 {
        if n % 2 == 1 {
            std::future::pending::<()>().await;
        }
        n
    }
    #[flow]
    async fn racing() -> Result<(usize, usize)> {
        let mapped = (0..2_000u64)
            .map(odd_ones_are_endless)
            .concurrency(NonZeroUsize::new(8).unwrap())
            .submit_all();
        for odd in mapped.handles().skip(1).step_by(2) {
            odd.cancel();
        }
        let outcomes = mapped.outcomes().await;
        let cancelled = outcomes.failures().filter(|(_, error)| error.is_cancelled());
        Ok((outcomes.values().count(), cancelled.count()))
    }
    let run = racing().run().await;
    assert_eq!(run.result().unwrap(), &(1_000, 1_000));
    assert_eq!((run.counts().completed, run.counts().cancelled), (1_000, 1_000));
}

#[tokio::test]
async fn a_blocking_body_can_ask_whether_anybody_waits_for_it_still() {
    use std::sync::mpsc;
    use std::time::Duration;
    struct Ends(std::sync::Mutex<mpsc::Sender<bool>>);
    #[task(timeout = "10ms")]
    fn works(#[resource] ends: &Ends) {
        let run = flowkit::current_run().unwrap();
        while !run.is_cancelled() {
            std::thread::yield_now();
        }
        ends.0.lock().unwrap().send(run.is_cancelled()).unwrap();
    }
    #[flow]
    async fn around() -> Result<()> {
        assert_eq!(works().await.unwrap_err().kind(), ErrorKind::TimedOut);
        Ok(())
    }
    let (sender, ended) = mpsc::channel();
    let runtime = Runtime::builder()
        .resource(Ends(std::sync::Mutex::new(sender)))
        .build()
        .await
        .unwrap();
    runtime.run(around()).await.into_result().unwrap();
    assert!(ended.recv_timeout(Duration::from_secs(60)).unwrap());
    assert_eq!(runtime.abandoned_blocking(), 1);
}

#[tokio::test]
async fn a_blocking_body_that_has_not_begun_when_its_run_is_cancelled_never_begins() {
    use std::sync::Mutex;
    /// Keeps work back until it is told to do it.
    #[derive(Debug, Clone, Default)]
    struct Later(std::sync::Arc<Mutex<Vec<Work>>>);
    struct Work(Box<dyn FnOnce() + Send>);
    impl std::fmt::Debug for Work {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("Work")
        }
    }
    impl flowkit::Blocking for Later {
        fn execute(&self, work: Box<dyn FnOnce() + Send>) {
            self.0.lock().unwrap().push(Work(work));
        }
    }
    #[task]
    fn never() {
        unreachable!("nobody waits for it");
    }
    #[flow]
    async fn around() -> Result<()> {
        let handle = never().submit();
        tokio::task::yield_now().await;
        handle.cancel();
        assert!(handle.await.unwrap_err().is_cancelled());
        Ok(())
    }
    let later = Later::default();
    let runtime = Runtime::builder().blocking(later.clone()).build().await.unwrap();
    runtime.run(around()).await.into_result().unwrap();
    let kept: Vec<_> = std::mem::take(&mut *later.0.lock().unwrap());
    assert_eq!(kept.len(), 1);
    kept.into_iter().for_each(|Work(work)| work());
    assert_eq!(runtime.abandoned_blocking(), 0, "it did not run on");
}
