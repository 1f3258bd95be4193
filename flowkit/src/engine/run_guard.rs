//! Keeps a flow run from being lost: whatever becomes of its future, the run comes to an end that is recorded.

use std::sync::Arc;
use std::time::Duration;

use super::flow::flow_error;
use super::hooks::HookQueue;
use super::scope::{Change, Scope};
use crate::definition::DefinitionKind;
use crate::error::{Error, ErrorKind};
use crate::hook::HookRun;
use crate::state::State;

/// Keeps a flow run from being lost: if it is dropped before its end, the run is cancelled and says so.
pub(crate) struct RunGuard {
    scope: Arc<Scope>,
    awaited: bool,
    ended: bool,
    /// Whether the run's own guard was dropped before its end, and this one ends it.
    is_last: bool,
    /// Whether the runtime still counts it.
    registered: bool,
    attempt: u32,
    hooks: Option<HookQueue>,
}

impl RunGuard {
    /// A run that waits for its inputs.
    pub(super) fn entered(scope: &Arc<Scope>, awaited: bool) -> Result<Self, Error> {
        if scope.is_root() {
            scope.runtime.register(scope)?;
        }
        Ok(Self {
            scope: Arc::clone(scope),
            awaited,
            ended: false,
            is_last: false,
            registered: scope.is_root(),
            attempt: 0,
            hooks: None,
        })
    }

    /// A run that waits for nothing.
    pub(crate) fn begin(scope: &Arc<Scope>) -> Result<Self, Error> {
        let mut guard = Self::entered(scope, true)?;
        guard.start();
        Ok(guard)
    }

    /// An attempt of the body begins.
    pub(super) fn start(&mut self) {
        self.attempt += 1;
        self.scope.begin(self.attempt);
        self.call_hooks(State::Running, None);
        if let Some((parent, place)) = &self.scope.parent() {
            let change = Change {
                attempt: self.attempt,
                ..Change::default()
            };
            parent.change(*place, State::Running, &change);
        }
    }

    /// An attempt failed, and the next one begins after `delay`.
    pub(super) fn await_retry(&self, error: &Error, delay: Duration) {
        let scope = &self.scope;
        scope.await_retry(error, self.attempt, delay);
        if let Some((parent, place)) = &scope.parent() {
            let change = Change {
                attempt: self.attempt,
                error: Some(error),
                observed: false,
                ..Change::default()
            };
            parent.change(*place, State::AwaitingRetry, &change);
        }
    }

    /// How many attempts have begun.
    pub(super) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Ends the run with a value that an equal run returned.
    pub(super) async fn finish_cached(mut self) {
        self.end_in(State::Cached, None);
        self.close().await;
    }

    /// The error of a run that was ended from outside.
    pub(crate) fn cancelled_error(&self) -> Error {
        let stalled = self.scope.stalled().cloned();
        stalled.unwrap_or_else(|| flow_error(&self.scope, ErrorKind::Cancelled))
    }

    /// Ends the run after everything submitted in it; what is still running is cancelled if the run failed. Gives
    /// the error that it failed with.
    pub(crate) async fn finish(mut self, mut error: Option<Error>) -> Option<Error> {
        if error.is_some() {
            self.scope.stop_live();
        }
        self.scope.drained().await;
        if self.scope.is_root() {
            self.scope.runtime.flush_kept().await;
        }
        if error.is_none() && self.scope.is_cancelled() {
            error = Some(self.cancelled_error());
        }
        if error.is_none() {
            error = unhandled(&self.scope);
        }
        if self.scope.is_root()
            && let Err(trouble) = self
                .scope
                .commit_end(self.state_of(error.as_ref()), error.as_ref())
                .await
        {
            tracing::error!(target: "flowkit", flow = self.scope.name(), flow_run_id = %self.scope.id, error = format_args!("{trouble:#}"), "the end of a flow run could not be recorded");
            error = error.or(Some(trouble));
        }
        self.end(error.as_ref());
        self.close().await;
        if self.scope.is_root() {
            self.scope.clear_journal().await;
        }
        error
    }

    async fn close(&mut self) {
        if let Some(hooks) = self.hooks.take() {
            hooks.finish().await;
        }
        self.unregister();
    }

    fn unregister(&mut self) {
        if std::mem::take(&mut self.registered) {
            self.scope.runtime.unregister(self.scope.id);
        }
    }

    /// Has the run's hooks called for the state that it is in now. Those of a task outside any flow are its task run's.
    fn call_hooks(&mut self, state: State, error: Option<&Error>) {
        let scope = &self.scope;
        if scope.definition.kind() == DefinitionKind::Task {
            return;
        }
        if self.hooks.is_none() {
            self.hooks = HookQueue::start(scope, None, scope.definition);
        }
        if let Some(hooks) = &self.hooks {
            let place = scope.parent();
            hooks.call(HookRun {
                kind: DefinitionKind::Flow,
                name: Arc::from(scope.definition.name()),
                run_name: Arc::from(scope.name()),
                flow_run: scope.id,
                task_run: place.map(|(parent, place)| parent.task_run_id(place)),
                state,
                attempt: self.attempt,
                error: error.cloned(),
            });
        }
    }

    fn end(&mut self, error: Option<&Error>) {
        self.end_in(self.state_of(error), error);
    }

    /// The state that the run ends in.
    fn state_of(&self, error: Option<&Error>) -> State {
        let scope = &self.scope;
        match error {
            None => State::Completed,
            // What the flow passes on is its own failure, unless it was itself cancelled, or never began for its inputs.
            Some(error) if error.kind() == ErrorKind::Cancelled && !scope.is_cancelled() => State::Failed,
            Some(error) if error.kind() == ErrorKind::UpstreamFailed && self.attempt > 0 => State::Failed,
            Some(error) => State::of_error(error),
        }
    }

    fn end_in(&mut self, state: State, error: Option<&Error>) {
        self.ended = true;
        let scope = &self.scope;
        scope.end(state, error);
        if let Some((parent, place)) = &scope.parent() {
            parent.change(
                *place,
                state,
                &Change {
                    attempt: self.attempt,
                    error,
                    observed: self.awaited,
                    ..Change::default()
                },
            );
        }
        if let Some(error) = error {
            tracing::warn!(target: "flowkit", flow = scope.name(), flow_run_id = %scope.id, %state, error = format_args!("{error:#}"), "flow run ended");
        }
        self.call_hooks(state, error);
    }
}

/// The error of a flow that would otherwise have completed over a failure that nobody looked at.
pub(super) fn unhandled(scope: &Scope) -> Option<Error> {
    let failure = scope.graph().first_unhandled()?;
    Some(flow_error(scope, ErrorKind::UnhandledFailure).because(failure))
}

impl RunGuard {
    /// A guard of the same run, which is dropped when everything submitted in the run has ended.
    fn after_the_rest(&mut self) -> Self {
        if let Some((parent, _)) = &self.scope.parent() {
            // The flow above waits for it too.
            parent.enter();
        }
        Self {
            scope: Arc::clone(&self.scope),
            awaited: self.awaited,
            ended: false,
            is_last: true,
            registered: std::mem::take(&mut self.registered),
            attempt: self.attempt,
            hooks: self.hooks.take(),
        }
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        if self.ended {
            // It was dropped while its hooks were being called.
            return self.unregister();
        }
        self.scope.cancel();
        if !self.is_last
            && !self.scope.is_drained()
            && let Ok(tokio) = tokio::runtime::Handle::try_current()
        {
            // What was submitted ends on its own tasks, and the run after it.
            let last = self.after_the_rest();
            tokio.spawn(async move { last.scope.drained().await });
            return;
        }
        let cancelled = self.cancelled_error();
        self.end_in(State::of_error(&cancelled), Some(&cancelled));
        self.hooks = None;
        self.unregister();
        if let (Some((parent, _)), true) = (&self.scope.parent(), self.is_last) {
            parent.leave();
        }
    }
}
