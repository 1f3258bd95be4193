//! Blocking bodies: run on a pool beside the async workers, awaited like any other body.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;
use tracing::Span;

use crate::context::{self, Ambient};
use crate::error::{BoxError, Failure};
use crate::panics::caught;
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
    /// Tells the body.
    abandoned: Arc<AtomicBool>,
    /// Told by the body.
    begun: Arc<AtomicBool>,
    ended: bool,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if !self.ended {
            self.abandoned.store(true, Ordering::SeqCst);
            if self.begun.load(Ordering::SeqCst) {
                self.runtime.abandoned_blocking.fetch_add(1, Ordering::Relaxed);
            }
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
    let (abandoned, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    if let Some(Ambient::Run(run)) = &mut ambient {
        run.around_mut().abandoned = Some(Arc::clone(&abandoned));
    }
    async move {
        let (sender, receiver) = oneshot::channel();
        let waiter = Waiter {
            runtime: Arc::clone(&runtime),
            abandoned: Arc::clone(&abandoned),
            begun: Arc::clone(&begun),
            ended: false,
        };
        // What the body logs on its own thread belongs to the run all the same.
        let span = Span::current();
        runtime.blocking.execute(Box::new(move || {
            let _entered = span.enter();
            // A body that has not begun when nobody waits any more does not begin.
            begun.store(true, Ordering::SeqCst);
            if abandoned.load(Ordering::SeqCst) && !cfg!(flowkit_fault = "abandoned-body-begins") {
                return;
            }
            let outcome = caught(|| context::enter(&mut ambient, work))
                .unwrap_or_else(|message| Err(Failure::panicked(message)));
            // Nobody waits any more after a timeout or a cancel: the late result is discarded.
            drop(sender.send(outcome));
        }));
        let mut waiter = waiter;
        let outcome = receiver.await;
        waiter.ended = true;
        outcome.unwrap_or_else(|_| {
            let lost: BoxError = "the blocking pool shut down before the body ran".into();
            Err(Failure::returned(lost, false))
        })
    }
}
