//! Fan-outs over streams: calls that come in their own time, and no faster than they are run.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flowkit::SubmitStream;
use flowkit::prelude::*;
use futures::StreamExt;
use futures::stream;

const SECOND: Duration = Duration::from_secs(1);

fn at_most(runs: usize) -> NonZeroUsize {
    NonZeroUsize::new(runs).unwrap()
}

#[task]
async fn second(n: u64) -> u64 {
    tokio::time::sleep(SECOND).await;
    n
}

#[task]
async fn odd_fails(n: u64) -> Result<u64> {
    if n.is_multiple_of(2) {
        Ok(n)
    } else {
        Err(format!("{n} is odd").into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_asked_only_when_there_is_room_for_what_it_gives() {
    #[flow]
    async fn held_back(taken: Arc<AtomicUsize>) -> Result<Vec<u64>> {
        let count = Arc::clone(&taken);
        let calls = stream::iter(0..10u64).map(move |n| {
            count.fetch_add(1, Ordering::SeqCst);
            second(n)
        });
        let mapped = calls.submit_stream(at_most(3));
        tokio::time::sleep(SECOND / 2).await;
        assert_eq!(taken.load(Ordering::SeqCst), 3);
        Ok(mapped.await?)
    }
    let began = tokio::time::Instant::now();
    let run = held_back(Arc::new(AtomicUsize::new(0))).run().await;
    assert_eq!(began.elapsed(), SECOND * 4);
    assert_eq!(run.tasks()[0].name, "second");
    assert_eq!(run.tasks()[0].fan_out.as_ref().unwrap().items, 10);
    assert_eq!(run.into_result().unwrap(), (0..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn calls_that_come_late_are_waited_for() {
    #[flow]
    async fn slowly() -> Result<Vec<u64>> {
        let ticks = stream::unfold(0, |n| async move {
            tokio::time::sleep(SECOND * 10).await;
            (n < 3).then(|| (second(n), n + 1))
        });
        Ok(ticks.submit_stream(at_most(8)).await?)
    }
    let began = tokio::time::Instant::now();
    assert_eq!(slowly().await.unwrap(), [0, 1, 2]);
    assert_eq!(began.elapsed(), SECOND * 40);
}

#[tokio::test]
async fn failures_of_a_streams_items_are_tolerated_like_any_others() {
    #[flow]
    async fn tolerant() -> Result<Vec<u64>> {
        let calls = stream::iter(0..6u64).map(odd_fails);
        let outcomes = calls.submit_stream(at_most(2)).tolerate(3).await?;
        Ok(outcomes.into_values())
    }
    assert_eq!(tolerant().await.unwrap(), [0, 2, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_cancelled_or_panics_ends_with_all_that_came_of_it() {
    #[flow]
    async fn both() -> Result<()> {
        let endless = stream::repeat(7u64).map(second).submit_stream(at_most(2));
        tokio::time::sleep(SECOND * 3 / 2).await;
        endless.cancel();
        let outcomes = endless.outcomes().await;
        assert!(outcomes.failures().all(|(_, error)| error.is_cancelled()));
        assert_eq!(outcomes.values().count(), 2);

        let broken = stream::iter(0..5u64).map(|n| {
            assert!(n < 2, "the stream gave up");
            second(n)
        });
        let error = broken.submit_stream(at_most(1)).await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("its stream panicked: the stream gave up"),
            "{error}"
        );
        Ok(())
    }
    let run = tokio::time::timeout(SECOND * 3600, both().run()).await;
    run.expect("it hangs").into_result().unwrap();
}

#[tokio::test]
async fn an_empty_stream_is_an_empty_result_and_one_outside_of_flows_a_run_of_its_own() {
    let calls = stream::empty::<u64>().map(second);
    assert!(calls.submit_stream(at_most(1)).await.unwrap().is_empty());
    let calls = stream::iter([2u64]).map(odd_fails);
    assert_eq!(calls.submit_stream(at_most(1)).await.unwrap(), [2]);
}
