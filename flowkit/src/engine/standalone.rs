//! Tasks that are called outside any flow: each is a flow run of its own, named after the task.

use std::future::IntoFuture;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::run_guard::RunGuard;
use super::scope::Scope;
use crate::call::TaskCall;
use crate::context::{RunContext, scoped};
use crate::error::Error;
use crate::handle::TaskHandle;
use crate::ids::NodeRef;
use crate::runtime::RuntimeInner;
use crate::state::State;

/// Runs a task here and now.
pub(crate) fn run<T: Send + Sync + 'static>(
    runtime: &Arc<RuntimeInner>,
    call: TaskCall<T>,
) -> BoxFuture<'static, Result<T, Error>> {
    let runtime = Arc::clone(runtime);
    Box::pin(async move {
        let scope = Scope::new(&runtime, call.definition(), None, Vec::new());
        let guard = RunGuard::begin(&scope)?;
        let outcome = tokio::select! {
            biased;
            outcome = scoped(scope.ambient(None, 1), call.into_future()) => outcome,
            () = scope.cancelled() => Err(guard.cancelled_error()),
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
    call: TaskCall<T>,
) -> TaskHandle<T> {
    let scope = Scope::new(runtime, call.definition(), None, Vec::new());
    open(&scope);
    let caller = RunContext {
        scope: Arc::clone(&scope),
        place: None,
        attempt: 1,
        tags: None,
        leading: None,
        slots: None,
    };
    let handle = call.submit_in(&caller);
    close_when_drained(&scope, handle.id().place());
    handle
}

/// Begins a run that has no body of its own. Where the runtime takes no runs, what is submitted in it is cancelled.
pub(crate) fn open(scope: &Arc<Scope>) {
    let refused = scope.runtime.register(scope).is_err();
    scope.begin(1);
    if refused {
        scope.stop_live();
    }
}

/// Ends such a run when everything in it has ended, as the one node did that it was begun for.
pub(crate) fn close_when_drained(scope: &Arc<Scope>, place: NodeRef) {
    if let Ok(tokio) = tokio::runtime::Handle::try_current() {
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
            scope.end(state, error.as_ref());
            scope.runtime.unregister(scope.id);
        });
    }
}
