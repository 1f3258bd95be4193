//! The flow run's own state: its attempts, its pauses, its end.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{Outcome, Scope};
use crate::clock::Stamp;
use crate::error::Error;
use crate::event::EventKind;
use crate::graph::FailedAttempt;
use crate::ids::NodeRef;
use crate::journaling::journal_error;
use crate::state::State;

impl Scope {
    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Records that an attempt of the body begins. Only the first one is the beginning of the run.
    pub(crate) fn begin(&self, attempt: u32) {
        self.graph().attempts = attempt;
        self.set_outcome(State::Running, None);
        if attempt > 1 {
            return;
        }
        let parent = self.parent().map(|(scope, place)| scope.task_run_id(place));
        self.tell(self.epoch.stamp(), || EventKind::FlowRunStarted { parent });
    }

    /// Records that an attempt failed and is followed by another after `delay`.
    pub(crate) fn await_retry(&self, error: &Error, attempt: u32, delay: Duration) {
        self.set_outcome(State::AwaitingRetry, Some(error));
        tracing::info!(target: "flowkit", flow = self.name(), attempt, ?delay, error = format_args!("{error:#}"), "retrying");
        let id = match &self.parent() {
            Some((parent, place)) => parent.task_run_id(*place),
            None => self.task_run_id(NodeRef::ROOT),
        };
        self.tell_now(EventKind::RetryScheduled {
            id,
            name: self.name(),
            attempt,
            delay,
        });
        let now = self.epoch.stamp();
        let mut began = Stamp::BEGINNING;
        self.note(NodeRef::ROOT, |extra| {
            let extra = extra.rare_mut();
            began = extra
                .failed_attempts
                .last()
                .map_or(Stamp::BEGINNING, |last| last.ended);
            extra.failed_attempts.push(FailedAttempt {
                started: began,
                ended: now,
                error: error.clone(),
            });
        });
        self.journal_attempt(None, attempt, (began, now), error);
    }

    /// Records how the flow run ended. Only the first end counts.
    pub(crate) fn end(&self, state: State, error: Option<&Error>) {
        if !self.set_outcome(state, error) {
            return;
        }
        let now = self.outcome().ended;
        let elapsed = self
            .epoch
            .wall_time(now)
            .duration_since(self.epoch.wall())
            .unwrap_or_default();
        self.tell(now, || EventKind::FlowRunFinished {
            state,
            error,
            elapsed,
        });
    }

    /// Changes the state of the flow run itself from one that it is in to another in which it lives on.
    pub(crate) fn change_own(&self, from: State, to: State) -> bool {
        let changed = self.outcome().state == from && self.set_outcome(to, None);
        if changed {
            self.tell_now(EventKind::FlowRunState { from, to });
        }
        changed
    }

    pub(super) fn set_outcome(&self, state: State, error: Option<&Error>) -> bool {
        let now = self.epoch.stamp();
        {
            let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
            if !outcome.state.may_become(state) {
                return false;
            }
            *outcome = Outcome {
                state,
                error: error.cloned(),
                ended: if state.is_terminal() { now } else { Stamp::NEVER },
            };
        }
        self.journal_flow();
        true
    }

    /// Has the journal commit to how the run is about to end. A run without one has nothing to wait for.
    ///
    /// # Errors
    /// When the journal cannot be written: then the run must not end as if it could.
    pub(crate) async fn commit_end(&self, state: State, error: Option<&Error>) -> Result<(), Error> {
        let Some(life) = &self.life else {
            return Ok(());
        };
        self.journal_flow_as(state, error, self.epoch.stamp());
        let written = life.recorder.journal.flush_of(life.root).await;
        written.map_err(|trouble| journal_error(&trouble).in_flow_run(self.id))
    }

    /// Has the journal forget some of what it need not keep, after the end.
    pub(crate) async fn clear_journal(&self) {
        let Some(life) = &self.life else { return };
        let (recorder, now) = (
            Arc::clone(&life.recorder),
            self.epoch.wall_time(self.epoch.stamp()),
        );
        // Whoever awaits the flow may stop polling it, and others wait until this is over.
        if let Ok(tokio) = tokio::runtime::Handle::try_current() {
            drop(tokio.spawn(async move { recorder.clear_out(now).await }).await);
        }
    }
}
