//! A call of a task: lazy like any future, until it is awaited, submitted or passed on.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;

use crate::carried::Carried;
use crate::completion::Completion;
use crate::context::{Ambient, RunContext, current_or_default};
use crate::definition::Definition;
use crate::engine::drive::{CallExtras, Drive, Entrance};
use crate::engine::scope::Scope;
use crate::engine::slots::Wait;
use crate::engine::stall::BodyWait;
use crate::engine::standalone;
use crate::error::{Error, ErrorKind};
use crate::handle::{SubmittedRun, TaskHandle};
use crate::ids::NodeRef;
use crate::job::TypedJob;
use crate::options::TaskOptions;
use crate::order::IntoOrder;

pub(crate) type BoxedJob<T> = Pin<Box<dyn TypedJob<T>>>;

/// A call of a task, with its inputs bound, that has not begun.
///
/// Await it to run it here and now, [`submit`](Self::submit) it to run it beside you, or pass it to another task,
/// which then waits for it. Dropped unused, it does nothing.
#[must_use = "a call does nothing until it is awaited, submitted or passed on"]
pub struct TaskCall<T> {
    job: BoxedJob<T>,
    definition: &'static Definition,
    extras: Option<Box<CallExtras>>,
}

impl<T> fmt::Debug for TaskCall<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TaskCall")
            .field("task", &self.definition.name())
            .finish_non_exhaustive()
    }
}

impl<T> TaskCall<T> {
    pub(crate) fn new(definition: &'static Definition, job: BoxedJob<T>) -> Self {
        Self {
            job,
            definition,
            extras: None,
        }
    }

    fn extras(&mut self) -> &mut CallExtras {
        self.extras.get_or_insert_default()
    }

    /// The definition of the task that is called.
    pub fn definition(&self) -> &'static Definition {
        self.definition
    }

    /// This call has these options. They override the attribute's; what they do not say is kept.
    pub fn with(mut self, options: TaskOptions) -> Self {
        let extras = self.extras();
        extras.options = Some(match extras.options.take() {
            Some(earlier) => options.or(&earlier),
            None => options,
        });
        self
    }

    /// This call runs even where the cache has its result, and replaces it.
    pub fn refresh_cache(self) -> Self {
        self.with(TaskOptions::new().refresh_cache(true))
    }

    /// The run carries this name instead of the task's.
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.extras().name = Some(name.into());
        self
    }

    /// The run carries this tag too.
    pub fn tag(mut self, tag: impl Into<Arc<str>>) -> Self {
        self.extras().tags.push(tag.into());
        self
    }

    /// The run begins only after these have completed: order without data.
    ///
    /// If one of them does not complete, this one does not run; [`allow_failure`](crate::allow_failure) around it waits for its end, however
    /// it ends.
    pub fn wait_for<O: IntoOrder>(mut self, runs: impl IntoIterator<Item = O>) -> Self {
        self.extras()
            .wait_for
            .extend(runs.into_iter().map(IntoOrder::into_order));
        self
    }
}

impl<T: Send + Sync + 'static> TaskCall<T> {
    /// Starts the run beside the caller, and gives its handle.
    ///
    /// In a flow, the flow waits for it before it ends. Outside any flow, the run is a flow run of its own. Where there
    /// is no tokio runtime to run on, the handle ends with an error of kind [`Unavailable`](ErrorKind::Unavailable).
    pub fn submit(self) -> TaskHandle<T> {
        match current_or_default() {
            Ambient::Run(caller) => self.submit_in(caller),
            Ambient::Runtime(runtime, tags) => standalone::submit(&runtime, tags, self),
        }
    }

    pub(crate) fn submit_in(self, caller: RunContext) -> TaskHandle<T> {
        let running = self.enter(caller, Entrance::Node, false);
        let scope = Arc::clone(running.drive.scope());
        let place = running.drive.place();
        let run = Arc::new(SubmittedRun {
            completion: Completion::new(),
            scope,
            place,
        });
        let handle = TaskHandle::new(Arc::clone(&run) as _, 0);
        run.scope.enter();
        let submitted = Submitted {
            running,
            run,
            stoppable: false,
        };
        match tokio::runtime::Handle::try_current() {
            Ok(tokio) => drop(tokio.spawn(submitted)),
            Err(_) => submitted.refuse(),
        }
        handle
    }

    /// Enters the run in the caller's graph.
    pub(crate) fn enter(self, caller: RunContext, entrance: Entrance, awaited: bool) -> Running<T> {
        let Self {
            mut job,
            definition,
            extras,
        } = self;
        let drive = Drive::new(
            definition,
            extras,
            job.as_mut().erased(),
            caller,
            entrance,
            awaited,
        );
        Running { drive, job }
    }
}

/// A run that has been entered in a graph, with its job: resolves to its value.
pub(crate) struct Running<T> {
    drive: Drive,
    job: BoxedJob<T>,
}

impl<T> Running<T> {
    pub(crate) fn scope(&self) -> &Arc<Scope> {
        self.drive.scope()
    }

    pub(crate) fn place(&self) -> NodeRef {
        self.drive.place()
    }

    pub(crate) fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, Error>> {
        ready!(self.drive.poll(self.job.as_mut().erased(), cx))?;
        Poll::Ready(self.job.as_mut().take_output().ok_or_else(no_output))
    }

    /// Polls a run that is awaited where it was called. In a blocking body it is woken when it is stopped, and ends.
    fn poll_in_place(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, Error>> {
        if !self.drive.is_in_blocking() {
            return self.poll_run(cx);
        }
        let (scope, place) = (Arc::clone(self.drive.scope()), self.drive.place());
        if !scope.is_stopped(place)
            && let Poll::Ready(outcome) = self.poll_run(cx)
        {
            return Poll::Ready(outcome);
        }
        if scope.wait_stoppable(place, cx.waker())
            && let Some(outcome) = self.abandon()
        {
            return Poll::Ready(outcome);
        }
        Poll::Pending
    }

    /// Ends a run that is not polled any more. Gives its outcome, unless it had one.
    pub(crate) fn abandon(&mut self) -> Option<Result<T, Error>> {
        let ended = self.drive.abandon(self.job.as_mut().erased())?;
        Some(ended.and_then(|()| self.job.as_mut().take_output().ok_or_else(no_output)))
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        drop(self.abandon());
    }
}

pub(crate) fn no_output() -> Error {
    Error::about_runtime(ErrorKind::Internal, "a run completed without a value")
}

/// The error of what was submitted where nothing can run it.
pub(crate) fn no_tokio() -> Error {
    Error::about_runtime(
        ErrorKind::Unavailable,
        "a task or flow was submitted outside a tokio runtime: call it from async code, such as under #[tokio::main]",
    )
}

/// A submitted run: completes its handles, also when it is dropped before its end.
struct Submitted<T> {
    running: Running<T>,
    run: Arc<SubmittedRun<T>>,
    /// Whether it is woken when it is stopped: it has waited before.
    stoppable: bool,
}

impl<T> Submitted<T> {
    /// Ends a run that there is nothing to run on.
    fn refuse(mut self) {
        drop(self.running.abandon());
        self.run.completion.complete(Err(no_tokio()));
    }
}

impl<T> Future for Submitted<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Whoever stopped it before it was polled had nobody to wake. Dropped, it says that it was cancelled.
        let (scope, place) = (&self.run.scope, self.run.place);
        if scope.is_stopped(place) {
            return Poll::Ready(());
        }
        let Poll::Ready(outcome) = self.running.poll_run(cx) else {
            let stopped = !self.stoppable && self.run.scope.wait_stoppable(place, cx.waker());
            self.stoppable = true;
            return if stopped { Poll::Ready(()) } else { Poll::Pending };
        };
        self.run.completion.complete(outcome);
        Poll::Ready(())
    }
}

impl<T> Drop for Submitted<T> {
    fn drop(&mut self) {
        if let Some(outcome) = self.running.abandon() {
            self.run.completion.complete(outcome);
        }
        self.run.scope.leave();
    }
}

impl<T: Send + Sync + 'static> IntoFuture for TaskCall<T> {
    type Output = Result<T, Error>;
    type IntoFuture = TaskFuture<T>;

    fn into_future(self) -> TaskFuture<T> {
        TaskFuture {
            progress: Progress::New(Some(self)),
            wait: Wait::default(),
            body_wait: BodyWait::default(),
        }
    }
}

/// The future of an awaited [`TaskCall`]: runs the task in the caller's own tokio task until it first waits for something, and from then on in
/// one of its own, so that it goes on whether it is polled or not. What the caller has in `tokio::task_local!` is not there in that one, and like whatever
/// is spawned it goes on while its tokio runtime is driven: one of a single thread is by `Runtime::block_on`, and not by its `Handle`.
///
/// Dropping it before its end cancels the run.
#[must_use = "futures do nothing unless polled"]
pub struct TaskFuture<T> {
    progress: Progress<T>,
    wait: Wait<Result<T, Error>>,
    body_wait: BodyWait,
}

enum Progress<T> {
    New(Option<TaskCall<T>>),
    Running(Running<T>),
    Carried(Carried<T>),
    Standalone(BoxFuture<'static, Result<T, Error>>),
}

impl<T> fmt::Debug for TaskFuture<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.progress {
            Progress::New(_) => "TaskFuture::New",
            Progress::Running(_) | Progress::Carried(_) => "TaskFuture::Running",
            Progress::Standalone(_) => "TaskFuture::Standalone",
        })
    }
}

impl<T> Unpin for TaskFuture<T> {}

impl<T: Send + Sync + 'static> Progress<T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, Error>> {
        loop {
            match self {
                Self::New(call) => {
                    let Some(call) = call.take() else {
                        return Poll::Pending;
                    };
                    *self = match current_or_default() {
                        Ambient::Run(caller) => Self::Running(call.enter(caller, Entrance::Node, true)),
                        Ambient::Runtime(runtime, tags) => {
                            Self::Standalone(standalone::run(&runtime, tags, call))
                        }
                    };
                }
                Self::Running(running) => {
                    let polled = running.poll_in_place(cx);
                    if polled.is_ready() || !self.carry_on() {
                        return polled;
                    }
                }
                Self::Carried(carried) => return carried.poll(cx),
                Self::Standalone(future) => return future.as_mut().poll(cx),
            }
        }
    }

    /// The run waits: lets it go on by itself from now on, unless there is nothing to run it on.
    fn carry_on(&mut self) -> bool {
        let Ok(tokio) = tokio::runtime::Handle::try_current() else {
            return false;
        };
        match std::mem::replace(self, Self::New(None)) {
            Self::Running(running) => {
                *self = Self::Carried(Carried::new(&tokio, running));
                true
            }
            other => {
                *self = other;
                false
            }
        }
    }

    /// The run that it waits for.
    fn run(&self) -> Option<(&Arc<Scope>, NodeRef)> {
        match self {
            Self::Running(running) => Some((running.scope(), running.place())),
            Self::Carried(carried) => Some((carried.scope(), carried.place())),
            Self::New(_) | Self::Standalone(_) => None,
        }
    }
}

impl<T: Send + Sync + 'static> Future for TaskFuture<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            progress,
            wait,
            body_wait,
        } = &mut *self;
        wait.poll(cx, |cx| {
            if let Poll::Ready(outcome) = progress.poll(cx) {
                body_wait.over();
                return Poll::Ready(outcome);
            }
            let Some((scope, place)) = progress.run() else {
                return Poll::Pending;
            };
            let Err(stalled) = body_wait.pending(|visit| visit(scope, place)) else {
                return Poll::Pending;
            };
            // The run that was to be awaited is cancelled.
            *progress = Progress::New(None);
            Poll::Ready(Err(stalled))
        })
    }
}
