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

/// Panics when the last of its kind is dropped.
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
