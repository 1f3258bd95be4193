//! What a run leaves to others: its value to later attempts of its flow, and how it ended to its transaction.

use std::pin::Pin;
use std::sync::Arc;

use flowkit_journal::record::Digest;

use super::{Drive, Step};
use crate::engine::memo::Remembered;
use crate::job::Job;
use crate::state::State;
use crate::transaction::Completed;

impl Drive {
    /// Ends with what the same call returned in an earlier attempt of the flow.
    pub(super) fn recall(&mut self, mut job: Pin<&mut dyn Job>) -> Option<Step> {
        let memo = self.scope.memo()?;
        let place = self.journaled.as_ref()?.place?;
        let remembered = memo.recall(&place)?;
        if !job.as_mut().recall(&remembered.value) {
            return None;
        }
        let origin = remembered.origin;
        self.scope.note(self.place, |extra| extra.origin = Some(origin));
        Some(self.end(State::Cached, None))
    }

    /// The run has ended: its transaction is told, and its value is kept for later attempts of the flow.
    pub(super) fn leave_behind(&mut self, job: &dyn Job, has_value: bool) {
        if self.more.as_ref().is_some_and(|more| more.member.is_some()) {
            self.leave_transaction(job);
        } else if has_value {
            self.remember(job);
        }
    }

    /// The value, as later attempts of the flow can be given it.
    fn to_remember(&self, job: &dyn Job) -> Option<(Digest, Remembered)> {
        self.scope.memo()?;
        let place = self.journaled.as_ref()?.place?;
        let origin = self.scope.task_run_id(self.place);
        let value = job.remember()?;
        Some((place, Remembered { value, origin }))
    }

    /// Keeps the value for later attempts of the flow.
    fn remember(&self, job: &dyn Job) {
        if let (Some((place, remembered)), Some(memo)) = (self.to_remember(job), self.scope.memo()) {
            memo.remember(place, remembered);
        }
    }

    pub(super) fn is_in_transaction(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.member.is_some())
    }

    /// Tells the run's transaction how it ended. What it returned is remembered when that commits.
    fn leave_transaction(&mut self, job: &dyn Job) {
        let state = self.scope.state_of(self.place);
        let run = self.hook_run(state, None);
        let memo = self.to_remember(job);
        let Some(more) = &mut self.more else { return };
        let Some(member) = more.member.take() else { return };
        match state {
            State::Completed => member.completed(Completed {
                scope: Arc::clone(&self.scope),
                place: self.place,
                definition: self.definition,
                run,
                entry: more.uncommitted.take(),
                memo,
                call: self.journaled.as_ref().and_then(|journaled| journaled.place),
                record: self.call_record().cloned(),
            }),
            _ if state.is_failure() => member.failed(&self.scope, self.place),
            _ => drop(member),
        }
    }
}
