//! A run that was submitted: a tokio task polls it, and completes its handles, also when it is dropped before its end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::no_tokio;
use super::running::Running;
use crate::handle::Completes;
use crate::job::Ended;
use crate::panics::dropped;

/// Runs it beside the caller, and tells its handles how it ended.
pub(super) fn spawn(running: Running, handles: Arc<dyn Completes>) {
    running.scope().enter();
    let submitted = Submitted {
        running,
        handles: Some(handles),
    };
    match tokio::runtime::Handle::try_current() {
        Ok(tokio) => drop(tokio.spawn(submitted)),
        Err(_) => submitted.refuse(),
    }
}

struct Submitted {
    running: Running,
    /// None once they know how it ended.
    handles: Option<Arc<dyn Completes>>,
}

impl Submitted {
    /// Tells the handles. Where there are none any more, the value goes, before the flow that waits for this run goes on.
    fn complete(&mut self, ended: Ended) {
        if let Some(handles) = self.handles.take() {
            handles.complete(ended);
            dropped("a value that nobody asked for", handles);
        }
    }

    /// Ends a run that there is nothing to run on.
    fn refuse(mut self) {
        drop(self.running.abandon());
        self.complete(Err(no_tokio()));
    }
}

impl Future for Submitted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(ended) = ready!(self.running.poll_alone(cx)) {
            self.complete(ended);
        }
        Poll::Ready(())
    }
}

impl Drop for Submitted {
    fn drop(&mut self) {
        if let Some(ended) = self.running.abandon() {
            self.complete(ended);
        }
        self.running.scope().leave();
    }
}
