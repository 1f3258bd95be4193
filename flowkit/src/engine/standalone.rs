//! Tasks that are called outside any flow: each is a flow run of its own, named after the task.

use std::future::IntoFuture;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::run_guard::RunGuard;
use super::scope::{Change, NewRun, Scope};
use crate::call::TaskCall;
use crate::completion::Completion;
use crate::context::{Tags, scoped};
use crate::error::Error;
use crate::handle::{SubmittedRun, TaskHandle};
use crate::ids::NodeRef;
use crate::runtime::RuntimeInner;
use crate::state::State;

/// Runs a task here and now.
pub(crate) fn run<T: Send + Sync + 'static>(
    runtime: &Arc<RuntimeInner>,
    tags: Tags,
    call: TaskCall<T>,
) -> BoxFuture<'static, Result<T, Error>> {
    let runtime = Arc::clone(runtime);
    Box::pin(async move {
        let scope = Scope::new(&runtime, call.definition(), None, Vec::new());
        let guard = RunGuard::begin(&scope)?;
        let outcome = tokio::select! {
            biased;
            // First, since the run is stopped with it, and would say no more than that.
            () = scope.cancelled() => Err(guard.cancelled_error()),
            outcome = scoped(scope.ambient(tags, 1), call.into_future()) => outcome,
        };
        guard
            .finish(outcome.as_ref().err().cloned())
            .await
            .map_or(outcome, Err)
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
        return refuse(&scope, refused);
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

/// The handle of a task run that never was, because the runtime takes none.
fn refuse<T: Send + Sync + 'static>(scope: &Arc<Scope>, refused: Error) -> TaskHandle<T> {
    let place = scope.add(NewRun {
        definition: scope.definition,
        parent: None,
        items: None,
        name: None,
        tags: Vec::new(),
        edges: Vec::new(),
    });
    let change = Change {
        error: Some(&refused),
        ..Change::default()
    };
    scope.change(place, State::Cancelled, &change);
    scope.end(State::Cancelled, Some(&refused));
    let run = SubmittedRun {
        completion: Completion::new(),
        scope: Arc::clone(scope),
        place,
    };
    run.completion.complete(Err(refused));
    TaskHandle::new(Arc::new(run), 0)
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
