//! A call of a flow: lazy like any future, until it is awaited, run for its record, or submitted.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::oneshot;

use crate::call::no_tokio;
use crate::context::{Ambient, current_or_default, is_deep};
use crate::definition::Definition;
use crate::engine::flow::{self, Entered, FlowExtras};
use crate::engine::scope::Scope;
use crate::engine::slots::without_slots;
use crate::engine::stall::BodyWait;
use crate::error::{Error, ErrorKind};
use crate::handle::{Completes, SubmittedRun, TaskHandle};
use crate::ids::NodeRef;
use crate::input::{Input, IntoInput};
use crate::job::{BoxedJob, Ended, Exactly, give_back, no_output, value_of};
use crate::order::IntoOrder;
use crate::panics::dropped;
use crate::run::FlowRun;

/// A call of a flow, with its inputs bound, that has not begun.
///
/// Await it for its value. [`run`](Self::run) gives the record of the run beside the value. Inside another flow it is a
/// subflow, which [`submit`](Self::submit) runs beside the caller.
#[must_use = "a call does nothing until it is awaited, run or submitted"]
pub struct FlowCall<T> {
    call: AnyFlowCall,
    output: PhantomData<Exactly<T>>,
}

/// The same without the type of its output.
struct AnyFlowCall {
    job: BoxedJob,
    definition: &'static Definition,
    extras: FlowExtras,
}

impl<T> fmt::Debug for FlowCall<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FlowCall")
            .field("flow", &self.call.definition.name())
            .finish_non_exhaustive()
    }
}

impl<T> FlowCall<T> {
    /// The call of a job that gives a `T`.
    pub(crate) fn new(definition: &'static Definition, job: BoxedJob) -> Self {
        Self {
            call: AnyFlowCall {
                job,
                definition,
                extras: FlowExtras::default(),
            },
            output: PhantomData,
        }
    }

    /// The definition of the flow that is called.
    pub fn definition(&self) -> &'static Definition {
        self.call.definition
    }

    /// The run carries this name instead of the flow's.
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.call.extras.name = Some(name.into());
        self
    }

    /// The run, and every run in it, carries this tag too.
    pub fn tag(mut self, tag: impl Into<Arc<str>>) -> Self {
        self.call.extras.tags.push(tag.into());
        self
    }

    /// How long an attempt of the run may take, from the moment its body begins to the end of everything submitted in it;
    /// [`Duration::ZERO`] means no limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.extras.timeout = Some(timeout);
        self
    }

    /// The run begins only after these have completed: order without data. See [`TaskCall::wait_for`](crate::TaskCall::wait_for).
    pub fn wait_for<O: IntoOrder>(mut self, runs: impl IntoIterator<Item = O>) -> Self {
        self.call
            .extras
            .wait_for
            .extend(runs.into_iter().map(IntoOrder::into_order));
        self
    }
}

impl<T: Send + Sync + 'static> FlowCall<T> {
    /// The run goes on where an earlier life of it was left.
    #[cfg(feature = "journal")]
    pub(crate) fn resumed(mut self, resumed: Option<crate::journaling::replay::Resumed>) -> Self {
        self.call.extras.resumed = resumed;
        self
    }

    /// Runs the flow and gives its record: its value or error, its state, its graph, its times.
    ///
    /// This never fails: how the run ended is in the record. Dropping the future cancels the run.
    pub async fn run(self) -> FlowRun<T> {
        without_slots(self.run_in(current_or_default())).await
    }

    pub(crate) async fn run_in(self, caller: Ambient) -> FlowRun<T> {
        let (entered, job) = self.call.enter(&caller, true);
        let scope = Arc::clone(&entered.scope);
        let ended = finish_here(entered, job).await;
        FlowRun::new(&scope, value_of(ended))
    }

    /// Starts the flow beside the caller, and gives its handle. Inside a flow it is a subflow, which the flow waits for.
    pub fn submit(self) -> TaskHandle<T> {
        let (entered, job) = self.call.enter(&current_or_default(), false);
        let (above, place) = place_of(&entered.scope);
        let run = Arc::new(SubmittedRun::new(&above, place));
        let handle = TaskHandle::new(Arc::clone(&run) as _, 0);
        spawn(entered, job, above, run);
        handle
    }
}

impl AnyFlowCall {
    fn enter(self, caller: &Ambient, awaited: bool) -> (Entered, BoxedJob) {
        let Self {
            mut job,
            definition,
            extras,
        } = self;
        let entered = flow::enter(definition, extras, job.as_mut(), caller, awaited);
        (entered, job)
    }

    /// Runs the flow for whoever awaits it.
    async fn run(self) -> Ended {
        let (entered, job) = self.enter(&current_or_default(), true);
        finish_here(entered, job).await
    }
}

/// The flow run that has a place for a flow run, and that place: its own, if no flow called it.
fn place_of(scope: &Arc<Scope>) -> (Arc<Scope>, NodeRef) {
    scope.parent().unwrap_or_else(|| (Arc::clone(scope), Scope::ROOT))
}

/// Runs a flow beside the caller, and tells its handles how it ended. `above` is the flow run that has a place for it.
fn spawn(entered: Entered, job: BoxedJob, above: Arc<Scope>, handles: Arc<dyn Completes>) {
    let submitted = SubmittedFlow::new(above, !entered.scope.is_root(), handles);
    match tokio::runtime::Handle::try_current() {
        Ok(tokio) => drop(tokio.spawn(submitted.run(entered, job))),
        Err(_) => {
            let refused = no_tokio();
            entered.refuse(&refused);
            submitted.handles.complete(Err(refused));
        }
    }
}

/// A submitted flow: completes its handles, also when it is dropped before its end.
struct SubmittedFlow {
    above: Arc<Scope>,
    is_subflow: bool,
    handles: Arc<dyn Completes>,
}

impl SubmittedFlow {
    fn new(above: Arc<Scope>, is_subflow: bool, handles: Arc<dyn Completes>) -> Self {
        if is_subflow {
            above.enter();
        }
        Self {
            above,
            is_subflow,
            handles,
        }
    }

    async fn run(self, entered: Entered, job: BoxedJob) {
        let ended = finish(entered, job).await;
        self.handles.complete(ended);
    }
}

impl Drop for SubmittedFlow {
    fn drop(&mut self) {
        // Only the first end counts: this one is for a flow that was dropped before it had any.
        self.handles.complete(Err(Error::about_runtime(
            ErrorKind::Unavailable,
            "the runtime ended before the flow did",
        )));
        if self.is_subflow {
            self.above.leave();
        }
    }
}

async fn finish(entered: Entered, mut job: BoxedJob) -> Ended {
    let ended = entered.run(job.as_mut()).await;
    give_back(job, ended, false)
}

/// The same, awaited by the run that the code belongs to.
async fn finish_here(entered: Entered, job: BoxedJob) -> Ended {
    let scope = Arc::clone(&entered.scope);
    if is_deep() && tokio::runtime::Handle::try_current().is_ok() {
        return awaited(&scope, finish_apart(entered, job)).await;
    }
    awaited(&scope, finish(entered, job)).await
}

/// The same in a tokio task of its own, where the stack has no room for it. Dropped before its end, it is cancelled, and ends there.
async fn finish_apart(entered: Entered, job: BoxedJob) -> Ended {
    let unless_ended = CancelOnDrop(Some(Arc::clone(&entered.scope)));
    let (above, _) = place_of(&entered.scope);
    let (sender, receiver) = oneshot::channel();
    spawn(entered, job, above, Arc::new(Teller(Mutex::new(Some(sender)))));
    let ended = receiver.await;
    unless_ended.forget();
    ended.unwrap_or_else(|_| Err(no_output()))
}

/// Cancels a flow run that nobody awaits any more.
struct CancelOnDrop(Option<Arc<Scope>>);

impl CancelOnDrop {
    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(scope) = &self.0 {
            scope.cancel();
        }
    }
}

/// Tells whoever awaits a flow in another tokio task how it ended.
struct Teller(Mutex<Option<oneshot::Sender<Ended>>>);

impl Completes for Teller {
    fn complete(&self, ended: Ended) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(untold)) = sender.map(|sender| sender.send(ended)) {
            dropped("a value that nobody asked for", untold);
        }
    }
}

/// Awaits the end of a flow: if it could never end because it waits for the run that the code belongs to, it ends with that as its error.
async fn awaited(scope: &Arc<Scope>, finishing: impl Future<Output = Ended>) -> Ended {
    let mut wait = BodyWait::default();
    let mut finishing = std::pin::pin!(finishing);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(ended) = finishing.as_mut().poll(cx) {
            wait.over();
            return Poll::Ready(ended);
        }
        let stalled = wait.pending(&|visit| {
            let (above, place) = place_of(scope);
            visit(&above, place);
        });
        if let Err(stalled) = stalled {
            scope.stall(stalled);
        }
        Poll::Pending
    })
    .await
}

impl Scope {
    /// Stands for the flow run itself where a place in its graph is asked for.
    pub(crate) const ROOT: NodeRef = NodeRef::ROOT;
}

impl<T: Send + Sync + 'static> IntoFuture for FlowCall<T> {
    type Output = Result<T, Error>;
    type IntoFuture = BoxFuture<'static, Result<T, Error>>;

    fn into_future(self) -> Self::IntoFuture {
        let running = without_slots(self.call.run());
        Box::pin(async move { value_of(running.await) })
    }
}

impl<T: Send + Sync + 'static> IntoInput<T> for FlowCall<T> {
    fn into_input(self) -> Input<T> {
        Input::flow(self)
    }
}
