//! What a run was given and did not take is gone when others hear of its end: an input may hold what they wait for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowkit::prelude::*;
use futures::{StreamExt, stream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Longer than any of it takes: the clock is paused, so whoever waits for ever is told of it at once.
const LONG: Duration = Duration::from_secs(3600);

/// Both ends of a channel, as one input.
#[derive(Clone)]
struct Pipe {
    sender: UnboundedSender<u64>,
    receiver: Arc<Mutex<Option<UnboundedReceiver<u64>>>>,
}

impl Pipe {
    fn new() -> Self {
        let (sender, receiver) = unbounded_channel();
        Self {
            sender,
            receiver: Arc::new(Mutex::new(Some(receiver))),
        }
    }
}

#[task]
async fn drain(pipe: Arc<Mutex<Option<UnboundedReceiver<u64>>>>) -> Result<u64> {
    let mut receiver = pipe.lock().unwrap().take().ok_or("somebody drains it already")?;
    let mut sum = 0;
    while let Some(n) = receiver.recv().await {
        sum += n;
    }
    Ok(sum)
}

/// Could be tried again, so the attempt is given a copy and the run keeps the pipe.
#[task(retries = 1)]
async fn fill(pipe: Pipe) -> Result<()> {
    pipe.sender.send(7)?;
    let drained = drain(pipe.receiver.clone()).submit();
    drop(drained);
    Ok(())
}

/// The same, once it has waited.
#[task(retries = 1)]
async fn fill_later(pipe: Pipe, after: u64) -> Result<()> {
    tokio::time::sleep(Duration::from_millis(after)).await;
    pipe.sender.send(7)?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_task_outside_a_flow_does_not_keep_what_the_tasks_that_it_began_wait_for() {
    let filled = tokio::time::timeout(LONG, fill(Pipe::new()).into_future());
    filled.await.expect("the channel closes").unwrap();
}

#[flow]
async fn reads_while_it_awaits(pipe: Pipe) -> Result<u64> {
    let Pipe { sender, receiver } = pipe;
    let first = Pipe {
        sender,
        receiver: Arc::clone(&receiver),
    };
    let mut both = stream::iter([(first, 2u64), (Pipe::new(), 1)])
        .map(|(pipe, after)| fill_later(pipe, after).into_future())
        .buffer_unordered(2);
    // The second has ended. The first ends while nobody polls it, and what it was given is read to its end.
    both.next().await.transpose()?;
    let sum = drain(receiver).await?;
    both.next().await.transpose()?;
    Ok(sum)
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_not_polled_any_more_keeps_nothing_after_its_end() {
    let read = tokio::time::timeout(LONG, reads_while_it_awaits(Pipe::new()));
    assert_eq!(read.await.expect("the channel closes").unwrap(), 7);
}

static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// Panics when it is dropped.
struct Guard;

impl Drop for Guard {
    #[expect(clippy::panic, reason = "what is dropped here fails")]
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
        panic!("the file is gone already");
    }
}

#[task(retries = 1)]
async fn look_at(_guard: &Guard, n: u64) -> u64 {
    n
}

#[flow]
async fn guarded() -> Result<u64> {
    let submitted = look_at(Guard, 1u64).submit();
    let awaited = look_at(Guard, 2u64).await?;
    let mapped: u64 = (3..6u64)
        .map(|n| look_at(Guard, n))
        .concurrency(std::num::NonZeroUsize::MIN)
        .submit_all()
        .await?
        .iter()
        .sum();
    Ok(submitted.await? + awaited + mapped)
}

#[tokio::test(start_paused = true)]
async fn an_input_that_panics_when_it_is_dropped_changes_no_outcome() {
    let sum = tokio::time::timeout(LONG, guarded());
    assert_eq!(sum.await.expect("nobody waits for ever").unwrap(), 15);
    assert_eq!(DROPPED.load(Ordering::Relaxed), 5);
}

/// Panics when it is dropped, unless something does already.
struct Fails;

impl Drop for Fails {
    #[expect(clippy::panic, reason = "what is dropped here fails")]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("it cannot be dropped");
        }
    }
}

#[task]
async fn hangs(_given: Fails) -> u64 {
    let _held = Fails;
    std::future::pending().await
}

#[task]
async fn hangs_or_not(n: u64) -> u64 {
    if n == 0 {
        let _held = Fails;
        std::future::pending::<()>().await;
    }
    n
}

#[task]
async fn fails() -> Result<u64> {
    Err("no".into())
}

#[task]
async fn needs(n: u64, _one: Fails, _other: Fails) -> u64 {
    n
}

#[flow]
async fn hanging_flow(given: Fails) -> Result<u64> {
    let _held = Fails;
    Ok(hangs(given).await?)
}

#[flow(timeout = "1m")]
async fn hanging_for_a_minute() -> Result<u64> {
    Ok(hangs(Fails).await?)
}

/// Waits for the outcome of a handle, and says of what kind its error is.
async fn kind_of(handle: flowkit::TaskHandle<u64>) -> flowkit::ErrorKind {
    let outcome = tokio::time::timeout(LONG, handle.into_future()).await;
    outcome.expect("nobody waits for ever").unwrap_err().kind()
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_says_so_whatever_its_body_holds() {
    use flowkit::ErrorKind::Cancelled;
    let task = hangs(Fails).submit();
    let flow = hanging_flow(Fails).submit();
    tokio::time::sleep(Duration::from_millis(1)).await;
    task.cancel();
    flow.cancel();
    assert_eq!([kind_of(task).await, kind_of(flow).await], [Cancelled, Cancelled]);
    let timed_out = tokio::time::timeout(LONG, hanging_for_a_minute().into_future());
    let error = timed_out.await.expect("the minute is over").unwrap_err();
    assert_eq!(error.kind(), flowkit::ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_never_began_says_so_whatever_it_was_given() {
    use flowkit::ErrorKind::UpstreamFailed;
    assert_eq!(
        kind_of(needs(fails(), Fails, Fails).submit()).await,
        UpstreamFailed
    );
    let error = needs(fails(), Fails, Fails).await.unwrap_err();
    assert_eq!(error.kind(), UpstreamFailed);
    let mapped = (0..3).map(|_| needs(fails(), Fails, Fails)).submit_all();
    let outcomes = tokio::time::timeout(LONG, mapped.outcomes());
    assert_eq!(
        outcomes.await.expect("nobody waits for ever").failures().count(),
        3
    );
}

#[tokio::test(start_paused = true)]
async fn a_fan_out_goes_on_after_an_item_that_cannot_be_dropped() {
    let one = std::num::NonZeroUsize::MIN;
    let mapped = (0..5u64).map(hangs_or_not).concurrency(one).submit_all();
    tokio::time::sleep(Duration::from_millis(1)).await;
    mapped.handles().next().unwrap().cancel();
    let outcomes = tokio::time::timeout(LONG, mapped.outcomes());
    let outcomes = outcomes.await.expect("the lane goes on");
    assert_eq!(outcomes.values().copied().collect::<Vec<_>>(), [1, 2, 3, 4]);

    let mapped = (0..3).map(|_| hangs(Fails)).concurrency(one).submit_all();
    tokio::time::sleep(Duration::from_millis(1)).await;
    mapped.cancel();
    let outcomes = tokio::time::timeout(LONG, mapped.outcomes());
    assert_eq!(outcomes.await.expect("all are cancelled").failures().count(), 3);
}

/// Counts those that are there.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(counter))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[task]
async fn counted(counter: Arc<AtomicUsize>) -> Counted {
    Counted::new(&counter)
}

#[flow]
async fn leaves_a_value(counter: Arc<AtomicUsize>) -> Result<()> {
    drop(counted(counter).submit());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_nobody_asks_for_is_gone_when_its_flow_ends() {
    for _ in 0..500 {
        let counter = Arc::new(AtomicUsize::new(0));
        leaves_a_value(Arc::clone(&counter)).await.unwrap();
        assert_eq!(counter.load(Ordering::SeqCst), 0);
    }
}
