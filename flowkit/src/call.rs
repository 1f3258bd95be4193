//! A call of a task: lazy like any future, until it is awaited, submitted or passed on.
//!
//! What users hold has a type, and is a thin shell: a program has one for each type of its tasks. What is done with a call is the same for all.

mod awaited;
mod running;
mod submitted;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

pub(crate) use self::awaited::AwaitedCall;
pub(crate) use self::running::{AnyCall, Running};
use crate::context::{Ambient, RunContext, current_or_default};
use crate::definition::Definition;
use crate::engine::drive::{CallExtras, Entrance};
use crate::engine::standalone;
use crate::error::{Error, ErrorKind};
use crate::handle::{SubmittedRun, TaskHandle};
use crate::job::{BoxedJob, Exactly, value_of};
use crate::options::TaskOptions;
use crate::order::IntoOrder;

/// A call of a task, with its inputs bound, that has not begun.
///
/// Await it to run it here and now, [`submit`](Self::submit) it to run it beside you, or pass it to another task,
/// which then waits for it. Dropped unused, it does nothing. It is not a future itself: what takes one, such as `tokio::spawn` or `join_all`, takes its
/// [`into_future`](IntoFuture::into_future).
#[must_use = "a call does nothing until it is awaited, submitted or passed on"]
pub struct TaskCall<T> {
    call: AnyCall,
    output: PhantomData<Exactly<T>>,
}

impl<T> fmt::Debug for TaskCall<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TaskCall")
            .field("task", &self.call.definition.name())
            .finish_non_exhaustive()
    }
}

impl<T> TaskCall<T> {
    /// The call of a job that gives a `T`.
    pub(crate) fn new(definition: &'static Definition, job: BoxedJob) -> Self {
        Self {
            call: AnyCall {
                job,
                definition,
                extras: None,
            },
            output: PhantomData,
        }
    }

    /// The same call without its type.
    pub(crate) fn erased(self) -> AnyCall {
        self.call
    }

    fn extras(&mut self) -> &mut CallExtras {
        self.call.extras.get_or_insert_default()
    }

    /// The definition of the task that is called.
    pub fn definition(&self) -> &'static Definition {
        self.call.definition
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
        let running = self.call.enter(caller, Entrance::Node, false);
        let run = Arc::new(SubmittedRun::new(running.scope(), running.place()));
        let handle = TaskHandle::new(Arc::clone(&run) as _, 0);
        submitted::spawn(running, run);
        handle
    }
}

/// The error of what was submitted where nothing can run it.
pub(crate) fn no_tokio() -> Error {
    Error::about_runtime(
        ErrorKind::Unavailable,
        "a task or flow was submitted outside a tokio runtime: call it from async code, such as under #[tokio::main]",
    )
}

impl<T: Send + Sync + 'static> IntoFuture for TaskCall<T> {
    type Output = Result<T, Error>;
    type IntoFuture = TaskFuture<T>;

    fn into_future(self) -> TaskFuture<T> {
        TaskFuture {
            awaited: AwaitedCall::new(self.call),
            output: PhantomData,
        }
    }
}

/// The future of an awaited [`TaskCall`]: runs the task in the caller's own tokio task until it first waits for something, and from then on (or from
/// the beginning, where what is polled within each other has taken 256 KB of the stack) in one of its own, so that it goes on whether it is polled or not. What the caller has in `tokio::task_local!` is not there in that one, and like whatever
/// is spawned it goes on while its tokio runtime is driven: one of a single thread is by `Runtime::block_on`, and not by its `Handle`.
///
/// Dropping it before its end cancels the run.
#[must_use = "futures do nothing unless polled"]
pub struct TaskFuture<T> {
    awaited: AwaitedCall,
    output: PhantomData<Exactly<T>>,
}

impl<T> fmt::Debug for TaskFuture<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TaskFuture::{}", self.awaited.progress())
    }
}

impl<T: Send + Sync + 'static> Future for TaskFuture<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.awaited).poll(cx).map(value_of)
    }
}
