//! A run that has been entered in a graph, with its job.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::context::RunContext;
use crate::definition::Definition;
use crate::engine::drive::{CallExtras, Drive, Entrance};
use crate::engine::scope::Scope;
use crate::ids::NodeRef;
use crate::job::{BoxedJob, Ended, no_output};

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

    /// Whether somebody stopped it.
    pub(crate) fn is_stopped(&self) -> bool {
        self.scope().is_stopped(self.place())
    }

    /// It waits: has it woken when it is stopped, if this is the first time. Whether it has been stopped already.
    pub(crate) fn is_stopped_meanwhile(&mut self, cx: &Context<'_>) -> bool {
        self.drive.waits_first() && self.scope().wait_stoppable(self.place(), cx.waker())
    }

    pub(crate) fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let Some(job) = &mut self.job else {
            return Poll::Pending;
        };
        ready!(self.drive.poll(job.as_mut(), cx))?;
        Poll::Ready(self.job.take().ok_or_else(no_output))
    }

    /// Polls a run that is awaited where it was called. In a blocking body it is woken when it is stopped, and ends.
    pub(super) fn poll_in_place(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        if !self.drive.is_in_blocking() {
            return self.poll_run(cx);
        }
        let (scope, place) = (Arc::clone(self.drive.scope()), self.drive.place());
        if !scope.is_stopped(place)
            && let Poll::Ready(ended) = self.poll_run(cx)
        {
            return Poll::Ready(ended);
        }
        if scope.wait_stoppable(place, cx.waker())
            && let Some(ended) = self.abandon()
        {
            return Poll::Ready(ended);
        }
        Poll::Pending
    }

    /// Ends a run that is not polled any more. Gives how it ended, unless it had before.
    pub(crate) fn abandon(&mut self) -> Option<Ended> {
        let job: Pin<_> = self.job.as_mut()?.as_mut();
        let ended = self.drive.abandon(job)?;
        Some(ended.and_then(|()| self.job.take().ok_or_else(no_output)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.abandon());
    }
}
