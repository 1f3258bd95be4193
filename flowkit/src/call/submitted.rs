//! A run that was submitted: a tokio task polls it, and completes its handles, also when it is dropped before its end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::no_tokio;
use super::running::Running;
use crate::handle::Completes;

/// Runs it beside the caller, and tells its handles how it ended.
pub(super) fn spawn(running: Running, handles: Arc<dyn Completes>) {
    running.scope().enter();
    let submitted = Submitted { running, handles };
    match tokio::runtime::Handle::try_current() {
        Ok(tokio) => drop(tokio.spawn(submitted)),
        Err(_) => submitted.refuse(),
    }
}

struct Submitted {
    running: Running,
    handles: Arc<dyn Completes>,
}

impl Submitted {
    /// Ends a run that there is nothing to run on.
    fn refuse(mut self) {
        drop(self.running.abandon());
        self.handles.complete(Err(no_tokio()));
    }
}

impl Future for Submitted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(ended) = ready!(self.running.poll_alone(cx)) {
            self.handles.complete(ended);
        }
        Poll::Ready(())
    }
}

impl Drop for Submitted {
    fn drop(&mut self) {
        if let Some(ended) = self.running.abandon() {
            self.handles.complete(ended);
        }
        self.running.scope().leave();
    }
}
