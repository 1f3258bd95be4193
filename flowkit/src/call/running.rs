//! A run that has been entered in a graph, with its job.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::context::RunContext;
use crate::definition::Definition;
use crate::engine::drive::{CallExtras, Drive, Entrance};
use crate::engine::scope::Scope;
use crate::error::Error;
use crate::ids::NodeRef;
use crate::job::{BoxedJob, Ended, give_back, no_output};

/// A call of a task without the type of its output.
pub(crate) struct AnyCall {
    pub(super) job: BoxedJob,
    pub(super) definition: &'static Definition,
    pub(super) extras: Option<Box<CallExtras>>,
}

impl AnyCall {
    pub(crate) fn definition(&self) -> &'static Definition {
        self.definition
    }

    /// Enters the run in the caller's graph.
    pub(crate) fn enter(self, caller: RunContext, entrance: Entrance, awaited: bool) -> Running {
        let Self {
            mut job,
            definition,
            extras,
        } = self;
        let drive = Drive::new(definition, extras, job.as_mut(), caller, entrance, awaited);
        Running {
            drive,
            job: Some(job),
        }
    }
}

/// A run that has been entered in a graph: polled to its end, it gives its job back, which has the value.
pub(crate) struct Running {
    drive: Drive,
    /// None once it was given back.
    job: Option<BoxedJob>,
}

impl Running {
    pub(crate) fn scope(&self) -> &Arc<Scope> {
        self.drive.scope()
    }

    pub(crate) fn place(&self) -> NodeRef {
        self.drive.place()
    }

    /// It is not polled at once.
    pub(super) fn begins_later(&mut self) {
        self.drive.begins_later();
    }

    /// Polls the run to its end.
    pub(crate) fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let Some(job) = &mut self.job else {
            return Poll::Pending;
        };
        let ended = ready!(self.drive.poll(job.as_mut(), cx));
        Poll::Ready(self.give_back(ended))
    }

    /// Polls a run that nobody drops when it is stopped: it is woken then, and ends. Ready with nothing if it had ended before.
    pub(crate) fn poll_alone(&mut self, cx: &mut Context<'_>) -> Poll<Option<Ended>> {
        if !self.is_stopped() {
            if let Poll::Ready(ended) = self.poll_run(cx) {
                return Poll::Ready(Some(ended));
            }
            if !(self.drive.waits_first() && self.wait_stoppable(cx)) {
                return Poll::Pending;
            }
        }
        Poll::Ready(self.abandon())
    }

    /// Polls a run that is awaited where it was called. In a blocking body it is woken when it is stopped, and ends.
    pub(super) fn poll_in_place(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        if !self.drive.is_in_blocking() {
            return self.poll_run(cx);
        }
        if !self.is_stopped()
            && let Poll::Ready(ended) = self.poll_run(cx)
        {
            return Poll::Ready(ended);
        }
        if self.wait_stoppable(cx)
            && let Some(ended) = self.abandon()
        {
            return Poll::Ready(ended);
        }
        Poll::Pending
    }

    /// Ends a run that is not polled any more. Gives how it ended, unless it had before.
    pub(crate) fn abandon(&mut self) -> Option<Ended> {
        let job = self.job.as_mut()?;
        let ended = self.drive.abandon(job.as_mut())?;
        Some(self.give_back(ended))
    }

    /// The run is over.
    fn give_back(&mut self, ended: Result<(), Error>) -> Ended {
        let job = self.job.take().ok_or_else(no_output)?;
        give_back(job, ended, self.drive.took_inputs())
    }

    /// Whether somebody stopped it.
    fn is_stopped(&self) -> bool {
        self.scope().is_stopped(self.place())
    }

    /// It waits: it is woken when it is stopped. Whether it has been already.
    fn wait_stoppable(&self, cx: &Context<'_>) -> bool {
        self.scope().wait_stoppable(self.place(), cx.waker())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.abandon());
    }
}
