//! A fan-out over a stream: calls that come in their own time are run as they come, and the stream is asked for the next one only
//! when there is room for it.

use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use tokio::sync::Semaphore;

use super::lanes::{Item, begin, broken_by, enter, note_running};
use super::mapped::Mapped;
use super::outcomes::{self, NewOutcomes};
use super::shared::SharedFanOut;
use crate::call::{AnyCall, TaskCall};
use crate::context::{self, Ambient};
use crate::definition::Definition;
use crate::engine::scope::Scope;
use crate::engine::standalone;
use crate::panics::caught;

/// The definition of a fan-out whose first call has not come.
const STREAM: &Definition = &Definition::nameless("stream");

/// Runs every call of a stream.
pub trait SubmitStream<T>: Stream<Item = TaskCall<T>> + Sized {
    /// Runs the calls beside the caller as they come, at most so many at a time, and asks the stream for the next one only when there is room
    /// for it: a source that is faster than its tasks is held back.
    ///
    /// The fan-out ends when the stream has ended and all items have. Cancelling it drops the stream.
    ///
    /// ```
    /// use flowkit::prelude::*;
    /// use flowkit::SubmitStream;
    /// use std::num::NonZeroUsize;
    ///
    /// #[task]
    /// async fn length(word: String) -> usize {
    ///     word.len()
    /// }
    ///
    /// #[flow]
    /// async fn lengths() -> Result<Vec<usize>> {
    ///     let words = futures::stream::iter(["a".to_owned(), "bcd".to_owned()]);
    ///     let calls = futures::StreamExt::map(words, length);
    ///     Ok(calls.submit_stream(NonZeroUsize::new(8).unwrap()).await?)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// assert_eq!(lengths().await.unwrap(), [1, 3]);
    /// # }
    /// ```
    fn submit_stream(self, concurrency: NonZeroUsize) -> Mapped<T>
    where
        Self: Send + 'static,
        T: Send + Sync + 'static,
    {
        let calls = Box::pin(self.map(TaskCall::erased));
        Mapped::new(submit(calls, concurrency.get(), outcomes::open::<T>))
    }
}

impl<T, S: Stream<Item = TaskCall<T>>> SubmitStream<T> for S {}

type Calls = Pin<Box<dyn Stream<Item = AnyCall> + Send>>;

fn submit(calls: Calls, concurrency: usize, outcomes: NewOutcomes) -> Arc<SharedFanOut> {
    let start = |fan_out: &Arc<SharedFanOut>| start(fan_out, calls, concurrency);
    match context::current_or_default() {
        Ambient::Run(caller) => {
            let fan_out = enter(STREAM, caller, None, None, concurrency, outcomes);
            begin(&fan_out, None, start);
            fan_out
        }
        Ambient::Runtime(runtime, tags) => {
            let scope = Scope::new(&runtime, STREAM, None, Vec::new());
            let caller = scope.context(tags, 1);
            let refused = standalone::open(&scope).err();
            let fan_out = enter(STREAM, caller, None, None, concurrency, outcomes);
            begin(&fan_out, refused, start);
            standalone::close_when_drained(&scope, fan_out.node);
            fan_out
        }
    }
}

/// Starts the task that takes calls from the stream. It counts as a lane, so that cancelling the fan-out stops it.
fn start(fan_out: &Arc<SharedFanOut>, calls: Calls, concurrency: usize) {
    let Some((lane, _)) = fan_out.next_lane(0) else {
        return;
    };
    let task = tokio::spawn(feed(Arc::clone(fan_out), calls, concurrency, lane));
    fan_out.add_lane(lane, task.abort_handle());
}

async fn feed(fan_out: Arc<SharedFanOut>, mut calls: Calls, concurrency: usize, feeder: u64) {
    let room = Arc::new(Semaphore::new(concurrency));
    // The semaphore is never closed, so there is always a permit to come.
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        let mut ambient = Some(Ambient::Run(fan_out.caller.clone()));
        let next = poll_fn(|cx| {
            let polled = context::enter(&mut ambient, || caught(|| calls.as_mut().poll_next(cx)));
            match polled {
                Ok(polled) => polled.map(Ok),
                Err(message) => std::task::Poll::Ready(Err(message)),
            }
        });
        let call = match next.await {
            Ok(Some(call)) => call,
            Ok(None) => {
                fan_out.exhaust(None);
                break;
            }
            Err(message) => {
                fan_out.exhaust(Some(broken_by(&fan_out, "stream", &message)));
                break;
            }
        };
        let Some((lane, signal)) = fan_out.next_lane(0) else {
            break;
        };
        let Some(index) = fan_out.take_next(lane) else {
            break;
        };
        if index == 0 {
            fan_out.scope.define(fan_out.node, call.definition());
            note_running(&fan_out);
        }
        // Entered before it is spawned: one that is stopped before its first step has an outcome too.
        let item = Item::enter(Arc::clone(&fan_out), index, call);
        let task = tokio::spawn({
            let fan_out = Arc::clone(&fan_out);
            async move {
                item.run(&signal).await;
                fan_out.end_lane(lane);
                drop(permit);
            }
        });
        fan_out.add_lane(lane, task.abort_handle());
    }
    fan_out.end_lane(feeder);
}
