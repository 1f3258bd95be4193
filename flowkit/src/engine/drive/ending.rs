//! The end of a task run: its terminal state, its hooks, and what becomes of it when nobody drives it on.

use std::pin::Pin;
use std::sync::Arc;

use super::{Awaiter, Drive, Phase, Step};
use crate::engine::scope::Change;
use crate::error::{Error, ErrorKind};
use crate::hook::{HookRun, Moment};
use crate::job::Job;
use crate::state::State;

impl Drive {
    pub(super) fn error(&self, kind: ErrorKind) -> Error {
        let name = self.scope.graph().name(self.place);
        Error::new(kind, self.definition.kind(), name)
            .in_task_run(self.scope.task_run_id(self.place))
            .after_attempts(self.attempt)
    }

    /// The run as its hooks are to see it.
    pub(super) fn hook_run(&self, state: State, error: Option<&Error>) -> HookRun {
        HookRun {
            kind: self.definition.kind(),
            name: Arc::from(self.definition.name()),
            run_name: self.scope.graph().name(self.place).into(),
            flow_run: self.scope.id,
            task_run: Some(self.scope.task_run_id(self.place)),
            state,
            attempt: self.attempt,
            error: error.cloned(),
        }
    }

    /// Has the run's hooks called for the state that it is in now.
    pub(super) fn call_hooks(&self, state: State, error: Option<&Error>) {
        if let Some(hooks) = self.more.as_ref().and_then(|more| more.hooks.as_ref()) {
            hooks.call(self.hook_run(state, error));
            if state == State::Completed && self.more.as_ref().is_some_and(|more| more.member.is_none()) {
                hooks.call_at(Moment::Commit, self.hook_run(state, error));
            }
        }
    }

    pub(super) fn end(&mut self, state: State, error: Option<Error>) -> Step {
        self.settle_effect();
        self.give_up_admission();
        let change = Change {
            attempt: self.attempt,
            error: error.as_ref(),
            observed: self.awaiter != Awaiter::Handles,
            call: self.call_record(),
            at_once: false,
        };
        self.scope.change(self.place, state, &change);
        if !self.is_restored() {
            self.call_hooks(state, error.as_ref());
        }
        if let Some(more) = &mut self.more {
            more.hooks = None;
        }
        if let Some(error) = &error {
            tracing::debug!(target: "flowkit", task = self.definition.name(), %state, error = format_args!("{error:#}"), "task run ended");
        }
        Step::End(error.map_or(Ok(()), Err))
    }

    /// Ends a run that nobody will drive on. Gives the outcome that who waits for it is to see; none if it had ended.
    pub(crate) fn abandon(&mut self, mut job: Pin<&mut dyn Job>) -> Option<Result<(), Error>> {
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        if matches!(phase, Phase::Ended) {
            return None;
        }
        if self.has_happened(&phase) {
            return Some(self.complete_abandoned(job, phase));
        }
        // What its body holds is gone before the record says that it ended: the next attempt of its caller waits for that.
        self.drop_body(job.as_mut());
        let error = self.error(ErrorKind::Cancelled);
        self.end(State::Cancelled, Some(error.clone()));
        self.scope.stop_descendants(self.place);
        if let Some(more) = &mut self.more {
            more.member = None;
        }
        Some(Err(error))
    }
}
