//! The handle of a submitted run: awaited, passed on as an input, asked for its state, cancelled.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::completion::{Completion, Given, WaiterKey};
use crate::engine::scope::Scope;
use crate::engine::slots::{WithoutSlots, without_slots};
use crate::engine::stall::{Awaited, Visit, Watched, toward, watched};
use crate::error::Error;
use crate::ids::{NodeRef, TaskRunId};
use crate::input::Upstream;
use crate::job::{Ended, value_of};
use crate::order::{AnyRun, IntoOrder, Order};
use crate::state::State;

/// What a handle of a `T` points to.
pub(crate) trait HandleSource<T>: AnyRun {
    fn outcome(&self, index: u32) -> Option<Result<Arc<T>, Error>>;
    /// Ready once there is an outcome, with it as it is for a handle that is used up.
    fn poll_take(
        &self,
        index: u32,
        cx: &Context<'_>,
        key: &mut WaiterKey,
    ) -> Poll<Option<Result<Given<T>, Error>>>;
    fn retain(&self, index: u32);
    fn release(&self, index: u32);
}

/// A run that was submitted by itself.
pub(crate) struct SubmittedRun<T> {
    completion: Completion<T>,
    scope: Arc<Scope>,
    place: NodeRef,
}

impl<T> SubmittedRun<T> {
    /// One that has not ended, with one handle.
    pub(crate) fn new(scope: &Arc<Scope>, place: NodeRef) -> Self {
        Self {
            completion: Completion::new(),
            scope: Arc::clone(scope),
            place,
        }
    }
}

/// What is told how a run ended, whatever the type of its value.
pub(crate) trait Completes: Send + Sync {
    /// Only the first end counts.
    fn complete(&self, ended: Ended);
}

impl<T: Send + Sync + 'static> Completes for SubmittedRun<T> {
    fn complete(&self, ended: Ended) {
        self.completion.complete(value_of(ended));
    }
}

impl<T: Send + Sync> AnyRun for SubmittedRun<T> {
    fn run_id(&self, _index: u32) -> TaskRunId {
        self.scope.task_run_id(self.place)
    }

    fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    fn poll_done(&self, _index: u32, cx: &Context<'_>, key: &mut WaiterKey) -> Poll<()> {
        self.completion.poll_done(cx, key)
    }

    fn leave(&self, _index: u32, key: &mut WaiterKey) {
        self.completion.leave(key);
    }

    fn error(&self, _index: u32) -> Option<Error> {
        self.completion.outcome()?.err()
    }

    fn cancel(&self, _index: u32) {
        if self.place == Scope::ROOT {
            self.scope.cancel();
        } else {
            self.scope.stop(self.place);
        }
    }

    fn state(&self, _index: u32) -> State {
        if self.place == Scope::ROOT {
            self.scope.outcome().state
        } else {
            self.scope.state_of(self.place)
        }
    }
}

impl<T: Send + Sync> HandleSource<T> for SubmittedRun<T> {
    fn outcome(&self, _index: u32) -> Option<Result<Arc<T>, Error>> {
        self.completion.outcome()
    }

    fn poll_take(
        &self,
        _index: u32,
        cx: &Context<'_>,
        key: &mut WaiterKey,
    ) -> Poll<Option<Result<Given<T>, Error>>> {
        self.completion.poll_take(cx, key)
    }

    fn retain(&self, _index: u32) {
        self.completion.retain();
    }

    fn release(&self, _index: u32) {
        self.completion.release();
    }
}

/// The handle of a submitted task or subflow. Cheap to clone; all clones mean the same run.
///
/// Await it for the value, pass it to another task to draw an edge, or drop it: the run goes on, and the flow waits
/// for it. Dropping a handle never cancels; [`cancel`](Self::cancel) does.
///
/// ```
/// use flowkit::prelude::*;
///
/// #[task]
/// async fn double(n: u64) -> u64 {
///     n * 2
/// }
///
/// #[flow]
/// async fn quadruple(n: u64) -> Result<u64> {
///     let once = double(n).submit(); // runs now, beside us
///     Ok(double(once).await?) // waits for `once`
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(quadruple(3).await.unwrap(), 12);
/// # }
/// ```
#[must_use = "a handle whose failure nobody looks at fails its flow; bind it, await it or pass it on"]
pub struct TaskHandle<T> {
    source: Arc<dyn HandleSource<T>>,
    index: u32,
}

impl<T> Clone for TaskHandle<T> {
    fn clone(&self) -> Self {
        self.source.retain(self.index);
        Self {
            source: Arc::clone(&self.source),
            index: self.index,
        }
    }
}

impl<T> Drop for TaskHandle<T> {
    fn drop(&mut self) {
        self.source.release(self.index);
    }
}

impl<T> fmt::Debug for TaskHandle<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TaskHandle")
            .field("id", &self.id())
            .field("state", &self.state())
            .finish()
    }
}

impl<T> TaskHandle<T> {
    /// A handle for what counts it already.
    pub(crate) fn new(source: Arc<dyn HandleSource<T>>, index: u32) -> Self {
        Self { source, index }
    }

    /// The identity of the run.
    pub fn id(&self) -> TaskRunId {
        self.source.run_id(self.index)
    }

    /// The run, as what an input comes from.
    pub(crate) fn upstream(&self) -> Upstream<'_> {
        Upstream {
            id: self.id(),
            scope: self.source.scope(),
        }
    }

    /// The state of the run now. Asking is not looking at a failure: only its outcome is.
    pub fn state(&self) -> State {
        self.source.state(self.index)
    }

    /// Whether the run has ended.
    pub fn is_finished(&self) -> bool {
        self.state().is_terminal()
    }

    /// Cancels the run: its body is dropped at its next await, what it submitted is cancelled, no attempt follows.
    ///
    /// A run that has ended is not changed. What waits for a cancelled run is told so by an error of kind
    /// [`Cancelled`](crate::ErrorKind::Cancelled). A blocking body runs on, and its result is discarded.
    pub fn cancel(&self) {
        self.source.cancel(self.index);
    }

    /// Waits until the run has ended, at most for `timeout`, and gives the state it is in then. The outcome stays untouched.
    pub async fn wait(&self, timeout: Duration) -> State {
        // Running out of time is an answer here: the state tells it.
        let _ = without_slots(tokio::time::timeout(timeout, self.clone().awaiting().done())).await;
        self.state()
    }

    /// Waits for the outcome and shares it: for values that are large, or not `Clone`.
    ///
    /// # Errors
    /// The run's own error.
    pub async fn shared(&self) -> Result<Arc<T>, Error> {
        let awaiting = self.clone().awaiting();
        let ended = async {
            awaiting.done().await;
            Ok(())
        };
        without_slots(toward(self.source.scope(), self.id().place(), ended)).await?;
        let outcome = self.source.outcome(self.index);
        self.looked_at(&outcome);
        outcome.unwrap_or_else(|| Err(lost()))
    }

    /// What resolves to the outcome.
    pub(crate) fn awaiting(self) -> Awaiting<T> {
        Awaiting {
            handle: self,
            key: WaiterKey::default(),
        }
    }

    fn looked_at<V>(&self, outcome: &Option<Result<V, Error>>) {
        if matches!(outcome, Some(Err(_))) {
            self.look_at();
        }
    }

    /// Takes note that a failure of the run, now or later, is looked at.
    fn look_at(&self) {
        self.source.scope().observe(self.id().place());
    }
}

/// Waits for the outcome of one handle.
pub(crate) struct Awaiting<T> {
    handle: TaskHandle<T>,
    key: WaiterKey,
}

impl<T> Awaiting<T> {
    /// Takes note that a failure of the run, now or later, is looked at.
    pub(crate) fn look_at(&self) {
        self.handle.look_at();
    }

    pub(crate) fn upstream(&self) -> Upstream<'_> {
        self.handle.upstream()
    }

    fn poll_done(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.handle.source.poll_done(self.handle.index, cx, &mut self.key)
    }

    /// Ready with the outcome: the value itself where no other handle could ask for it.
    pub(crate) fn poll_taken(&mut self, cx: &Context<'_>) -> Poll<Result<Given<T>, Error>> {
        let source = &self.handle.source;
        let outcome = ready!(source.poll_take(self.handle.index, cx, &mut self.key));
        self.handle.looked_at(&outcome);
        Poll::Ready(outcome.unwrap_or_else(|| Err(lost())))
    }

    async fn done(mut self) {
        std::future::poll_fn(|cx| self.poll_done(cx)).await;
    }
}

impl<T> Future for Awaiting<T> {
    type Output = Result<Given<T>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_taken(cx)
    }
}

impl<T> Awaited for Awaiting<T> {
    fn runs(&self, visit: Visit<'_>) {
        visit(self.handle.source.scope(), self.handle.id().place());
    }
}

impl<T> Drop for Awaiting<T> {
    fn drop(&mut self) {
        self.handle.source.leave(self.handle.index, &mut self.key);
    }
}

/// The error for a value that was taken twice, which no public path can do.
fn lost() -> Error {
    Error::about_runtime(crate::ErrorKind::Internal, "the outcome of a run was taken twice")
}

/// The future of a [`TaskHandle`]: the value, or the run's error.
#[must_use = "futures do nothing unless polled"]
pub struct HandleFuture<T> {
    id: TaskRunId,
    awaiting: WithoutSlots<Watched<Awaiting<T>>>,
}

impl<T> HandleFuture<T> {
    fn of(handle: TaskHandle<T>) -> Self {
        Self {
            id: handle.id(),
            awaiting: without_slots(watched(handle.awaiting())),
        }
    }
}

impl<T> fmt::Debug for HandleFuture<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("HandleFuture").field(&self.id).finish()
    }
}

impl<T: Clone> Future for HandleFuture<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.awaiting).poll(cx).map_ok(Given::into_value)
    }
}

impl<T: Clone> IntoFuture for TaskHandle<T> {
    type Output = Result<T, Error>;
    type IntoFuture = HandleFuture<T>;

    fn into_future(self) -> HandleFuture<T> {
        HandleFuture::of(self)
    }
}

impl<T: Clone> IntoFuture for &TaskHandle<T> {
    type Output = Result<T, Error>;
    type IntoFuture = HandleFuture<T>;

    fn into_future(self) -> HandleFuture<T> {
        HandleFuture::of(self.clone())
    }
}

impl<T: 'static> IntoOrder for &TaskHandle<T> {
    fn into_order(self) -> Order {
        let run: Arc<dyn AnyRun> = Arc::<dyn HandleSource<T>>::clone(&self.source);
        Order::after(run, self.index)
    }
}

impl<T: 'static> IntoOrder for TaskHandle<T> {
    fn into_order(self) -> Order {
        (&self).into_order()
    }
}
