//! Calls hooks beside the runs they belong to: one after another in the order of the run's states, each within a time,
//! its error or panic recorded and of no other consequence.

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use super::scope::Scope;
use crate::context::{Ambient, scoped};
use crate::definition::Definition;
use crate::event::EventKind;
use crate::hook::{HookFuture, HookRun, Moment};
use crate::ids::NodeRef;
use crate::panics::caught;
use crate::runtime::RuntimeInner;

/// The hooks of one run that are still to be called. Dropped, it is finished with those it was given.
pub(crate) struct HookQueue {
    called: Option<UnboundedSender<(Moment, HookRun)>>,
    finished: oneshot::Receiver<()>,
}

impl HookQueue {
    /// Begins to call the hooks of a run, unless neither its definition nor its runtime has any.
    ///
    /// The scope that the run was submitted in waits for them. Outside tokio nothing can call them, which is logged.
    pub(crate) fn start(
        scope: &Arc<Scope>,
        place: Option<NodeRef>,
        definition: &'static Definition,
    ) -> Option<Self> {
        if !scope.runtime.has_hooks(definition) {
            return None;
        }
        let Ok(tokio) = tokio::runtime::Handle::try_current() else {
            tracing::warn!(target: "flowkit", task = definition.name(), "hooks are not called outside a tokio runtime");
            return None;
        };
        let (called, calls) = mpsc::unbounded_channel();
        let (finish, finished) = oneshot::channel();
        let owner = match place {
            Some(_) => Some(Arc::clone(scope)),
            None => scope.parent().map(|(parent, _)| parent),
        };
        let counted = owner.map(Counted::new);
        let scope = Arc::clone(scope);
        tokio.spawn(async move {
            call_all(&scope, place, definition, calls).await;
            drop(counted);
            // Whoever does not wait for it need not be told.
            let _ = finish.send(());
        });
        Some(Self {
            called: Some(called),
            finished,
        })
    }

    /// Calls the hooks for a run that is now in this state.
    pub(crate) fn call(&self, run: HookRun) {
        if let Some(moment) = Moment::of(run.state) {
            self.call_at(moment, run);
        }
    }

    /// Calls the hooks of a moment.
    pub(crate) fn call_at(&self, moment: Moment, run: HookRun) {
        if let Some(called) = &self.called {
            // The receiver ends after the senders, or with its tokio runtime.
            let _ = called.send((moment, run));
        }
    }

    /// Returns when all hooks have been called.
    pub(crate) async fn finish(mut self) {
        self.called = None;
        // An error means that they were dropped with their tokio runtime: nothing is left to wait for.
        let _ = (&mut self.finished).await;
    }
}

/// Lets a scope wait for what it has no run for.
pub(crate) struct Counted {
    scope: Arc<Scope>,
    /// The run that waits for it before it is tried again.
    caller: Option<NodeRef>,
}

impl Counted {
    pub(crate) fn new(scope: Arc<Scope>) -> Self {
        Self::of(scope, None)
    }

    /// The same of something that a run began, and that ends before another attempt of it begins.
    pub(crate) fn of(scope: Arc<Scope>, caller: Option<NodeRef>) -> Self {
        scope.enter();
        if let Some(caller) = caller {
            scope.begin_beside(caller);
        }
        Self { scope, caller }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(caller) = self.caller {
            self.scope.end_beside(caller);
        }
        self.scope.leave();
    }
}

async fn call_all(
    scope: &Arc<Scope>,
    place: Option<NodeRef>,
    definition: &'static Definition,
    mut calls: UnboundedReceiver<(Moment, HookRun)>,
) {
    while let Some((moment, run)) = calls.recv().await {
        call_at(moment, scope, place, definition, &run).await;
    }
}

/// Calls the hooks of a moment for a run, those of its definition first. Whether all of them succeeded.
pub(crate) async fn call_at(
    moment: Moment,
    scope: &Arc<Scope>,
    place: Option<NodeRef>,
    definition: &'static Definition,
    run: &HookRun,
) -> bool {
    let mut succeeded = true;
    for &hook in definition.hooks().at(moment) {
        succeeded &= call_one(scope, place, run, hook).await;
    }
    for hook in scope.runtime.hooks.at(moment) {
        succeeded &= call_one(scope, place, run, hook).await;
    }
    succeeded
}

async fn call_one(
    scope: &Arc<Scope>,
    place: Option<NodeRef>,
    run: &HookRun,
    hook: impl Fn(HookRun) -> HookFuture,
) -> bool {
    let limit = scope.runtime.hook_timeout;
    let mut calling = Box::pin(async { hook(run.clone()).await });
    let calling = std::future::poll_fn(move |cx| match caught(|| calling.as_mut().poll(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(message) => Poll::Ready(Err(message)),
    });
    // What a hook calls runs on the same runtime, outside the run.
    let calling = scoped(Ambient::Runtime(Arc::clone(&scope.runtime), None), calling);
    let trouble = match tokio::time::timeout(limit, calling).await {
        Ok(Ok(Ok(()))) => return true,
        Ok(Ok(Err(error))) => error.to_string(),
        Ok(Err(message)) => format!("it panicked: {message}"),
        Err(_) => format!("it took longer than {}", humantime::format_duration(limit)),
    };
    let trouble = format!("a hook for {} failed: {trouble}", run.state);
    tracing::warn!(target: "flowkit", run = run.run_name(), trouble, "a hook failed; the run is not changed");
    scope.note_hook_failure(place, &trouble);
    scope.tell_now(EventKind::HookFailed {
        id: run.task_run,
        name: run.run_name(),
        error: &trouble,
    });
    false
}

impl RuntimeInner {
    /// Whether runs of this definition have hooks to be called at this moment.
    pub(crate) fn has_hooks_at(&self, moment: Moment, definition: &Definition) -> bool {
        !definition.hooks().at(moment).is_empty() || self.hooks.at(moment).next().is_some()
    }

    /// Whether runs of this definition have hooks to be called.
    pub(crate) fn has_hooks(&self, definition: &Definition) -> bool {
        definition.hooks().any() || self.hooks.any()
    }
}
