//! Blocking bodies: run on a pool beside the async workers, awaited like any other body.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;
use tracing::Span;

use crate::context;
use crate::error::{BoxError, Failure, panic_message};
use crate::runtime::RuntimeInner;

/// Runs blocking work somewhere it holds up nobody.
pub trait Blocking: fmt::Debug + Send + Sync + 'static {
    /// Runs `work` at some time soon, on a thread that may block.
    fn execute(&self, work: Box<dyn FnOnce() + Send>);
}

/// Tokio's own pool for blocking work: what a runtime uses unless told otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioBlocking;

impl Blocking for TokioBlocking {
    fn execute(&self, work: Box<dyn FnOnce() + Send>) {
        // The work reports for itself; nobody joins the thread.
        drop(tokio::task::spawn_blocking(work));
    }
}

/// Counts a blocking body as abandoned if its waiter is gone before it ends.
struct Waiter {
    runtime: Arc<RuntimeInner>,
    ended: bool,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if !self.ended {
            self.runtime.abandoned_blocking.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Runs `work` in the caller's context and span. If the returned future is dropped, the thread runs on and its result is
/// discarded.
pub(crate) fn run<R, W>(
    runtime: Arc<RuntimeInner>,
    work: W,
) -> impl Future<Output = Result<R, Failure>> + Send + 'static + use<R, W>
where
    R: Send + 'static,
    W: FnOnce() -> Result<R, Failure> + Send + 'static,
{
    let mut ambient = context::current();
    async move {
        let (sender, receiver) = oneshot::channel();
        // What the body logs on its own thread belongs to the run all the same.
        let span = Span::current();
        runtime.blocking.execute(Box::new(move || {
            let _entered = span.enter();
            let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| context::enter(&mut ambient, work)))
                .unwrap_or_else(|payload| Err(Failure::panicked(panic_message(&*payload))));
            // Nobody waits any more after a timeout or a cancel: the late result is discarded.
            drop(sender.send(outcome));
        }));
        let mut waiter = Waiter {
            runtime,
            ended: false,
        };
        let outcome = receiver.await;
        waiter.ended = true;
        outcome.unwrap_or_else(|_| {
            let lost: BoxError = "the blocking pool shut down before the body ran".into();
            Err(Failure::returned(lost, false))
        })
    }
}
