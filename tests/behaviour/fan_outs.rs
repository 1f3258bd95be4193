//! Fan-outs and fan-ins.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flowkit::prelude::*;

#[task]
async fn double(n: u64) -> u64 {
    n * 2
}

#[task]
async fn odd_fails(n: u64) -> Result<u64> {
    if n % 2 == 1 {
        Err(format!("{n} is odd").into())
    } else {
        Ok(n)
    }
}

#[task]
async fn total(numbers: &[u64]) -> u64 {
    numbers.iter().sum()
}

// 35
#[tokio::test]
async fn values_come_in_input_order() {
    #[flow]
    async fn doubled(numbers: Vec<u64>) -> Result<(Vec<u64>, u64)> {
        let mapped = numbers.iter().map(double).submit_all();
        let sum = total(&mapped).await?;
        Ok((mapped.await?, sum))
    }
    let run = doubled(vec![1, 2, 3]).run().await;
    assert_eq!(run.result().unwrap(), &(vec![2, 4, 6], 12));
    assert_eq!(run.tasks()[0].fan_out.as_ref().unwrap().items, 3);
}

// Z22
#[tokio::test]
async fn an_empty_fan_out_is_an_empty_result() {
    #[flow]
    async fn empty() -> Result<(Vec<u64>, u64)> {
        let none = Vec::<u64>::new().into_iter().map(double).submit_all();
        Ok((none.await?, total(vec![]).await?))
    }
    assert_eq!(empty().await.unwrap(), (vec![], 0));
}

// 26, 47
#[tokio::test]
async fn chained_fan_outs_depend_item_by_item() {
    #[flow]
    async fn chained() -> Result<usize> {
        let first = (1..=3u64).map(odd_fails).submit_all();
        let second = first.handles().map(double).submit_all();
        let outcomes = second.outcomes().await;
        assert_eq!(outcomes.values().copied().collect::<Vec<_>>(), [4]);
        Ok(outcomes.failures().count())
    }
    let run = chained().run().await;
    assert_eq!(*run.result().unwrap(), 2);
    assert_eq!(run.counts().upstream_failed, 2);
}

// 50, 59
#[tokio::test]
async fn some_failures_can_be_tolerated() {
    #[flow]
    async fn tolerant(most: usize) -> Result<Vec<u64>> {
        let outcomes = (0..10u64).map(odd_fails).submit_all().tolerate(most).await?;
        Ok(outcomes.into_values())
    }
    assert_eq!(tolerant(5usize).await.unwrap(), [0, 2, 4, 6, 8]);
    let error = tolerant(4usize).await.unwrap_err();
    assert!(
        format!("{error:?}").contains("1 is odd"),
        "the first in input order: {error:?}"
    );
}

#[tokio::test]
async fn a_share_of_failures_can_be_tolerated() {
    #[flow]
    async fn tolerant(share: f64) -> Result<usize> {
        let outcomes = (0..10u64)
            .map(odd_fails)
            .submit_all()
            .tolerate_share(share)
            .await?;
        Ok(outcomes.len())
    }
    assert_eq!(tolerant(0.5).await.unwrap(), 10);
    assert!(tolerant(0.49).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn outcomes_come_as_they_complete() {
    #[task]
    async fn after(seconds: u64) -> u64 {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        seconds
    }
    #[flow]
    async fn racing() -> Result<Vec<u64>> {
        let mapped = [3, 1, 2u64].into_iter().map(after).submit_all();
        let mut ended = mapped.as_completed();
        let mut order = Vec::new();
        while let Some((_, outcome)) = ended.next().await {
            order.push(outcome?);
        }
        Ok(order)
    }
    assert_eq!(racing().await.unwrap(), [1, 2, 3]);
}

#[tokio::test]
async fn no_more_run_at_a_time_than_allowed() {
    static NOW: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    #[task]
    async fn counted(_n: u64) {
        MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        NOW.fetch_sub(1, Ordering::SeqCst);
    }
    #[flow]
    async fn bounded() -> Result<usize> {
        let four = NonZeroUsize::new(4).unwrap();
        Ok((0..100u64)
            .map(counted)
            .concurrency(four)
            .submit_lazily()
            .await?
            .len())
    }
    assert_eq!(bounded().await.unwrap(), 100);
    assert_eq!(MOST.load(Ordering::SeqCst), 4);
}

// 34, 184
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_and_deep_runs_finish() {
    #[task]
    async fn deep(n: u64) -> Result<u64> {
        Ok(if n == 0 {
            0
        } else {
            deep(n - 1).submit().await? + 1
        })
    }
    #[flow]
    async fn both() -> Result<(u64, usize)> {
        let gate = deep(34u64).submit();
        let waiting = (0..10_000u64).map(|n| double(n).wait_for([&gate])).submit_all();
        Ok((gate.clone().await?, waiting.await?.len()))
    }
    assert_eq!(both().await.unwrap(), (34, 10_000));
}

#[tokio::test]
async fn a_fan_out_of_a_failed_flow_is_cancelled_to_the_last_item() {
    #[task]
    async fn endless(_n: u64) {
        std::future::pending::<()>().await;
    }
    #[flow]
    async fn failing() -> Result<()> {
        let _mapped = (0..5_000u64).map(endless).submit_all();
        tokio::task::yield_now().await;
        Err("enough".into())
    }
    let run = failing().run().await;
    assert_eq!(run.counts().cancelled, 5_000);
}

#[tokio::test]
async fn an_iterator_that_panics_fails_its_fan_out() {
    #[flow]
    async fn panicking() -> Result<usize> {
        let calls = (0..3u64).map(|n| if n == 2 { panic!("no third") } else { double(n) });
        Ok(calls.submit_lazily().await?.len())
    }
    let error = panicking().await.unwrap_err();
    assert!(error.to_string().contains("no third"), "{error}");
}

// 19
#[tokio::test]
async fn a_task_may_fan_out_too() {
    #[task]
    async fn outer() -> Result<u64> {
        Ok((1..=3u64).map(double).submit_all().await?.iter().sum())
    }
    #[flow]
    async fn nested() -> Result<u64> {
        Ok(outer().await?)
    }
    let run = nested().run().await;
    assert_eq!(run.result().unwrap(), &12);
    let fan_out = run.task("double").unwrap();
    assert_eq!(fan_out.parent, Some(run.task("outer").unwrap().id));
}

// 37, 40, 41
#[tokio::test]
async fn a_closure_says_what_varies_and_what_stays() {
    #[task]
    async fn add(x: u64, y: u64) -> u64 {
        x + y
    }
    #[task]
    async fn joined(a: &str, b: &str) -> String {
        format!("{a}{b}")
    }
    #[task]
    async fn of(n: u64, all: &[u64]) -> (u64, usize) {
        (n, all.len())
    }
    #[flow]
    async fn mapping() -> Result<()> {
        let pairs = [1, 2, 3u64].into_iter().zip([4, 5, 6u64]);
        assert_eq!(pairs.map(|(x, y)| add(x, y)).submit_all().await?, [5, 7, 9]);
        let constant = [1, 2, 3u64].iter().map(|x| add(x, 5u64));
        assert_eq!(constant.submit_all().await?, [6, 7, 8]);
        let words = ["a", "b", "c"].into_iter().map(|word| joined(word, "test"));
        assert_eq!(words.submit_all().await?, ["atest", "btest", "ctest"]);
        let whole = std::sync::Arc::new(vec![0u64; 7]);
        let items = (1..=2u64).map(|n| of(n, &whole));
        assert_eq!(items.submit_all().await?, [(1, 7), (2, 7)]);
        Ok(())
    }
    mapping().await.unwrap();
}

// 43
#[tokio::test]
async fn outside_a_flow_a_fan_out_is_a_run_of_its_own() {
    assert_eq!((1..=3u64).map(double).submit_all().await.unwrap(), [2, 4, 6]);
    let mapped = (0..2u64).map(odd_fails).submit_all();
    let error = (&mapped).await.unwrap_err();
    assert_eq!(error.flow_run_id(), Some(mapped.id().flow_run()));
}

// 44
#[tokio::test]
async fn a_fan_out_that_was_waited_for_still_has_its_states_and_values() {
    #[flow]
    async fn waiting() -> Result<Vec<u64>> {
        let mapped = (1..=3u64).map(double).submit_all();
        assert_eq!(mapped.len(), 3);
        (&mapped).await?;
        assert!(mapped.is_finished());
        assert_eq!(mapped.states(), [State::Completed; 3]);
        Ok(mapped.await?)
    }
    assert_eq!(waiting().await.unwrap(), [2, 4, 6]);
}

// 47: a stage is never waited for as a whole.
#[tokio::test(start_paused = true)]
async fn an_item_starts_when_its_own_input_is_there() {
    #[task]
    async fn after(seconds: u64) -> u64 {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        seconds
    }
    #[flow]
    async fn chained() -> Result<u64> {
        let inputs = (0..100u64).map(|n| if n == 0 { 1000 } else { 1 });
        let first = inputs.map(after).submit_all();
        let second = first.handles().map(double).submit_all();
        let third = second.handles().map(double).submit_all();
        tokio::time::sleep(Duration::from_secs(2)).await;
        for stage in [&second, &third] {
            let states = stage.states();
            assert_eq!(states[0], State::Pending, "its own input takes 1000 s");
            assert_eq!(states[1..], [State::Completed; 99]);
        }
        Ok(third.await?.iter().sum())
    }
    let began = tokio::time::Instant::now();
    assert_eq!(chained().await.unwrap(), 4 * (1000 + 99));
    assert_eq!(began.elapsed(), Duration::from_secs(1000));
}

// Z9
#[tokio::test]
async fn a_run_that_waits_for_its_own_fan_out_does_not_keep_it_from_running() {
    #[task]
    async fn tree(depth: u64) -> Result<u64> {
        if depth == 0 {
            return Ok(1);
        }
        let branches = (0..2u64).map(|_| tree(depth - 1)).concurrency(NonZeroUsize::MIN);
        Ok(branches.submit_all().await?.iter().sum())
    }
    #[flow]
    async fn growing() -> Result<u64> {
        let trees = (0..2u64).map(|_| tree(5u64)).concurrency(NonZeroUsize::MIN);
        Ok(trees.submit_all().await?.iter().sum())
    }
    assert_eq!(growing().await.unwrap(), 64);
}

// Z23: what is recorded is what ran.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_run_is_in_the_record_however_it_was_called() {
    static BODIES: AtomicUsize = AtomicUsize::new(0);
    #[task]
    async fn counted(_n: u64) {
        BODIES.fetch_add(1, Ordering::Relaxed);
    }
    #[flow]
    async fn calling() -> Result<()> {
        let _mapped = (0..2_000u64).map(counted).submit_all();
        for n in 0..200u64 {
            let _ = counted(n).submit();
            counted(n).await?;
        }
        Ok(())
    }
    let run = calling().run().await;
    assert_eq!(run.counts().completed, 2_400);
    assert_eq!(BODIES.load(Ordering::Relaxed), 2_400);
}

#[tokio::test]
async fn an_outcome_that_is_left_in_the_stream_is_looked_at_by_nobody() {
    #[flow]
    async fn taking(outcomes: usize) -> Result<usize> {
        let one = NonZeroUsize::MIN; // one after another, so that the failure comes second
        let mapped = [0, 1, 2u64]
            .into_iter()
            .map(odd_fails)
            .concurrency(one)
            .submit_all();
        let mut ended = mapped.as_completed();
        let mut failed = 0;
        for _ in 0..outcomes {
            failed += usize::from(ended.next().await.is_some_and(|(_, outcome)| outcome.is_err()));
        }
        Ok(failed)
    }
    for (outcomes, failed) in [(2, 1), (3, 1), (4, 1)] {
        assert_eq!(taking(outcomes).await.unwrap(), failed);
    }
    let error = taking(1usize).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnhandledFailure);
    assert!(format!("{error:?}").contains("1 is odd"), "{error:?}");
}

#[tokio::test]
async fn what_broke_the_iterator_is_told_once() {
    fn broken(length_is_known: bool) -> Mapped<u64> {
        let calls = (0..3u64).map(|n| if n == 2 { panic!("no third") } else { double(n) });
        if length_is_known {
            calls.submit_lazily()
        } else {
            calls.filter(|_| true).submit_lazily()
        }
    }
    #[flow]
    async fn telling(length_is_known: bool) -> Result<(Vec<bool>, Vec<bool>)> {
        let outcomes = broken(length_is_known).outcomes().await;
        let mapped = broken(length_is_known);
        let (mut ended, mut streamed) = (mapped.as_completed(), Vec::new());
        while let Some((_, outcome)) = ended.next().await {
            streamed.push(outcome.is_ok());
        }
        Ok((
            outcomes.into_iter().map(|outcome| outcome.is_ok()).collect(),
            streamed,
        ))
    }
    for length_is_known in [true, false] {
        let expected = vec![true, true, false];
        let told = telling(length_is_known).await.unwrap();
        assert_eq!(told, (expected.clone(), expected));
    }
}

#[tokio::test]
async fn the_owner_of_a_fan_out_leaves_values_to_others_who_want_them() {
    #[task]
    async fn one(n: u64) -> u64 {
        n
    }
    #[task]
    async fn total(numbers: Vec<u64>) -> u64 {
        numbers.iter().sum()
    }
    #[flow]
    async fn everybody() -> Result<(u64, u64, usize)> {
        let mapped = (0..5u64).map(one).submit_all();
        let total = total(&mapped).submit();
        let handles: Vec<_> = mapped.handles().collect();
        let mut ended = mapped.as_completed();
        assert_eq!(mapped.await?, [0, 1, 2, 3, 4]); // polled before the others
        let mut seen = 0;
        while let Some((_, outcome)) = ended.next().await {
            outcome?;
            seen += 1;
        }
        Ok((total.await?, all(handles).await?.iter().sum(), seen))
    }
    assert_eq!(everybody().await.unwrap(), (10, 10, 5));
}
