//! Tasks that are called outside any flow: each is a flow run of its own, named after the task.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::run_guard::RunGuard;
use super::scope::{Change, NewRun, Scope};
use crate::call::{AnyCall, AwaitedCall, TaskCall};
use crate::context::{Tags, scoped};
use crate::error::Error;
use crate::handle::{Completes, SubmittedRun, TaskHandle};
use crate::ids::NodeRef;
use crate::job::Ended;
use crate::runtime::RuntimeInner;
use crate::state::State;

/// Runs a task here and now.
pub(crate) fn run(runtime: &Arc<RuntimeInner>, tags: Tags, call: AnyCall) -> BoxFuture<'static, Ended> {
    let runtime = Arc::clone(runtime);
    Box::pin(async move {
        let scope = Scope::new(&runtime, call.definition(), None, Vec::new());
        let guard = RunGuard::begin(&scope)?;
        let ended = tokio::select! {
            biased;
            // First, since the run is stopped with it, and would say no more than that.
            () = scope.cancelled() => Err(guard.cancelled_error()),
            ended = scoped(scope.ambient(tags, 1), AwaitedCall::new(call)) => ended,
        };
        guard
            .finish(ended.as_ref().err().cloned())
            .await
            .map_or(ended, Err)
    })
}

/// Runs a task beside the caller.
pub(crate) fn submit<T: Send + Sync + 'static>(
    runtime: &Arc<RuntimeInner>,
    tags: Tags,
    call: TaskCall<T>,
) -> TaskHandle<T> {
    let scope = Scope::new(runtime, call.definition(), None, Vec::new());
    if let Err(refused) = open(&scope) {
        let place = refuse(&scope, &refused);
        let run = SubmittedRun::new(&scope, place);
        run.complete(Err(refused));
        return TaskHandle::new(Arc::new(run), 0);
    }
    let handle = call.submit_in(scope.context(tags, 1));
    close_when_drained(&scope, handle.id().place());
    handle
}

/// Begins a run that has no body of its own.
///
/// # Errors
/// Where the runtime takes no runs: nothing may run in it.
pub(crate) fn open(scope: &Arc<Scope>) -> Result<(), Error> {
    let registered = scope.runtime.register(scope);
    scope.begin(1);
    if registered.is_err() {
        scope.stop_live();
    }
    registered
}

/// Ends a task run that never was, because the runtime takes none.
fn refuse(scope: &Scope, refused: &Error) -> NodeRef {
    let place = scope.add(NewRun {
        definition: scope.definition,
        parent: None,
        items: None,
        name: None,
        tags: Vec::new(),
        edges: Vec::new(),
    });
    let change = Change {
        error: Some(refused),
        ..Change::default()
    };
    scope.change(place, State::Cancelled, &change);
    scope.end(State::Cancelled, Some(refused));
    place
}

/// Ends such a run when everything in it has ended, as the one node did that it was begun for.
pub(crate) fn close_when_drained(scope: &Arc<Scope>, place: NodeRef) {
    let Ok(tokio) = tokio::runtime::Handle::try_current() else {
        // Nothing in it can have begun.
        scope.end(State::Cancelled, None);
        return scope.runtime.unregister(scope.id);
    };
    let scope = Arc::clone(scope);
    tokio.spawn(async move {
        scope.drained().await;
        scope.runtime.flush_kept().await;
        let state = scope.state_of(place);
        let error = scope.graph().extra(place).and_then(|extra| extra.error.clone());
        let state = if state.is_success() {
            State::Completed
        } else {
            state
        };
        if let Err(trouble) = scope.commit_end(state, error.as_ref()).await {
            tracing::error!(target: "flowkit", task = scope.name(), error = format_args!("{trouble:#}"), "the end of a run could not be recorded");
        }
        scope.end(state, error.as_ref());
        scope.runtime.unregister(scope.id);
    });
}
