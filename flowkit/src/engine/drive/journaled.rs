//! The journaled side of a task run: which call it is, and what an earlier life of its flow run completed of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use flowkit_journal::JournalResult;
use flowkit_journal::record::{Digest, Effect};

use super::{Drive, Phase, Step};
use crate::context::{self, Ambient};
use crate::engine::hooks;
use crate::error::ErrorKind;
use crate::hook::Moment;
use crate::job::Job;
use crate::journaling::CallRecord;
use crate::journaling::calls::{Called, Calls};
use crate::journaling::replay::Found;
use crate::state::State;

/// Which call the run is, what the journal keeps of it, and what it needs for that.
pub(super) struct Journaled {
    /// The calls that the run is one of.
    pub(super) caller: Arc<Calls>,
    pub(super) record: CallRecord,
    /// Which call it is. None if its inputs have no key.
    pub(super) place: Option<Digest>,
    /// Whether results are kept for later lives, as far as they can be.
    pub(super) keeps: bool,
    /// Whether the body of an attempt began.
    pub(super) began: bool,
    /// Whether it has an effect, and it or one of its callers was given a secret.
    pub(super) has_secrets: bool,
}

impl Journaled {
    /// Of a run that is one of these calls.
    pub(super) fn of(caller: Arc<Calls>) -> Self {
        Self {
            caller,
            record: CallRecord::default(),
            place: None,
            keeps: true,
            began: false,
            has_secrets: false,
        }
    }
}

impl Drive {
    /// The inputs are there: finds out which call the run is. Every call is counted, also one that is not run.
    pub(super) fn identify(&mut self, job: &dyn Job) -> Option<Step> {
        self.journaled.as_ref()?;
        let definition = self.definition;
        let scope = Arc::clone(&self.scope);
        let called = context::enter(&mut self.ambient, || {
            Called::of(scope.key_of_secrets(), definition, job)
        });
        let (is_known, has_effect) = (called.inputs.is_some(), self.must_not_repeat());
        let index = self.place.index();
        let journaled = self.journaled.as_mut()?;
        if has_effect && !(is_known && journaled.caller.is_known()) {
            return Some(self.end_without_place());
        }
        let (place, follows) = match index {
            Some(_) if has_effect => (journaled.caller.effect_item(&called), false),
            Some(_) => journaled.caller.item(&called),
            None => (journaled.caller.next(&called), false),
        };
        if has_effect && journaled.caller.has_secrets_in(&called) {
            journaled.has_secrets = true;
            if let Some(life) = &scope.life {
                life.done.note_made(place);
            }
        }
        journaled.place = is_known.then_some(place);
        if let Some(Ambient::Run(run)) = &mut self.ambient {
            run.calls = Some(Arc::new(Calls::below(place, &journaled.caller, &called)));
        }
        journaled.record.place = journaled.place.filter(|_| !follows);
        let inputs = match has_effect {
            true => called.inputs_without_secrets(),
            false => called.inputs,
        };
        journaled.record.inputs = inputs.unwrap_or_default();
        journaled.keeps = job.is_kept();
        None
    }

    /// Waits for the journal, or for what it has the run do again.
    pub(super) fn poll_journal(&mut self, job: Pin<&mut dyn Job>, cx: &mut Context<'_>) -> Poll<Step> {
        Poll::Ready(match &mut self.phase {
            Phase::Restore(read) => {
                let (read, found) = ready!(read.as_mut().poll(cx));
                self.after_restore(job, read, &found)
            }
            Phase::Moved(read) => {
                let moved = ready!(read.as_mut().poll(cx));
                self.after_moved(job, moved)
            }
            Phase::Undo(undo) => {
                let undone = ready!(undo.as_mut().poll(cx));
                self.after_undo(job, undone)
            }
            Phase::Intend(intend) => {
                let written = ready!(intend.as_mut().poll(cx));
                self.after_intend(written)
            }
            Phase::Commit(commit) => {
                let written = ready!(commit.as_mut().poll(cx));
                self.after_commit(written)
            }
            _ => return Poll::Pending,
        })
    }

    /// Finds out whether an earlier life of the flow run, or an earlier attempt in this one, completed the call.
    pub(super) fn look_back(&mut self, job: Pin<&mut dyn Job>) -> Option<Step> {
        let has_effect = self.must_not_repeat();
        let scope = Arc::clone(&self.scope);
        let life = scope.life.as_ref()?;
        let journaled = self.journaled.as_ref()?;
        let place = journaled.place?;
        if has_effect
            && !cfg!(flowkit_fault = "effect-forgotten-by-the-next-attempt")
            && let Some(found) = life.done.effect(&place)
        {
            return self.restore(found);
        }
        let replay = life.replay.as_ref()?;
        if life.done.is_undone(&place) {
            return None;
        }
        if replay.is_undoing(&place) {
            return Some(self.undo_again());
        }
        if has_effect && let Some(settled) = replay.settled(&place) {
            return self.settle(job, settled.clone());
        }
        if !has_effect && journaled.caller.are_made_again() {
            return None;
        }
        match replay.find(&place) {
            Some(found) => self.restore(found),
            None if has_effect => self.look_for_moved(),
            None => {
                let row = life.recorder.definition(self.definition);
                let mismatch = replay.mismatch(&row, &journaled.record.inputs)?;
                let error = self.error(ErrorKind::ResumeMismatch).detailed(format!(
                    "{mismatch}: start a new run, or resume with `allow_changes`"
                ));
                Some(self.end(State::Failed, Some(error)))
            }
        }
    }

    /// Calls the hooks that undo the run again: the process died before they had all been called.
    fn undo_again(&self) -> Step {
        let (scope, place, definition) = (Arc::clone(&self.scope), self.place, self.definition);
        let run = self.hook_run(State::RolledBack, None);
        Step::Next(Phase::Undo(Box::pin(async move {
            hooks::call_at(Moment::Rollback, &scope, Some(place), definition, &run).await
        })))
    }

    /// What an earlier life did is undone, and may be done again; an effect only if all hooks that undo it succeeded.
    pub(super) fn after_undo(&mut self, job: Pin<&mut dyn Job>, undone: bool) -> Step {
        if !undone && self.must_not_repeat() {
            return self.end_unknown("it was to be undone, and what undoes it failed");
        }
        let place = self.journaled.as_ref().and_then(|journaled| journaled.place);
        if let (Some(place), Some(life)) = (place, &self.scope.life) {
            life.done.undo(place);
        }
        self.cached_or_admitted(job)
    }

    /// What an earlier life, or an earlier attempt of this one, has of the call; none if it is to run.
    fn restore(&mut self, found: Found) -> Option<Step> {
        let unknown = match found.effect {
            Effect::Intended => {
                "whether it had its effect is not known: its body began and did not return (the process died, or it timed out, was cancelled or panicked), what was to undo it failed, or an earlier life could not tell"
            }
            Effect::Undoing => "it is being undone, and whether that succeeds is not known",
            Effect::None | Effect::Happened | Effect::Failed => "",
        };
        if !unknown.is_empty() {
            return Some(self.end_unknown(unknown));
        }
        if !found.has_result {
            return (found.effect == Effect::Happened)
                .then(|| self.end_unknown("it had its effect, and what it returned is no longer kept"));
        }
        let life = self.scope.life.as_ref()?;
        let (recorder, replay) = (Arc::clone(&life.recorder), life.replay.clone());
        Some(Step::Next(Phase::Restore(Box::pin(async move {
            let store = recorder.journal.store();
            let read = match replay {
                Some(replay) => replay.ahead.result(&**store, found.spot).await,
                None => store.result(found.spot).await,
            };
            (read, found)
        }))))
    }

    /// Lets the run's record show when it really ran. Of an item, which has no record of its own, only the journal does.
    fn note_original(&self) {
        let record = self.call_record().filter(|_| self.place.index().is_none());
        if let Some(record) = record {
            self.scope.note_call(self.place, record);
        }
    }

    /// Ends as completed with what the journal has; what it no longer has is run again, unless it had an effect.
    pub(super) fn after_restore(
        &mut self,
        mut job: Pin<&mut dyn Job>,
        read: JournalResult<Option<Vec<u8>>>,
        found: &Found,
    ) -> Step {
        let trouble = match read {
            Ok(Some(bytes)) => match job.as_mut().decode(&bytes) {
                Ok(()) => {
                    if let Some(journaled) = &mut self.journaled {
                        journaled.record.result = Some(bytes.into());
                        journaled.record.effect = found.effect;
                        journaled.record.original = Some(found.original);
                    }
                    self.note_original();
                    return self.end(State::Completed, None);
                }
                Err(error) => format!("it cannot be restored: {error}"),
            },
            Ok(None) => "it is no longer there, or damaged".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(target: "flowkit", task = self.definition.name(), trouble, "the recorded result of a task cannot be used");
        if found.effect == Effect::None {
            self.cached_or_admitted(job)
        } else {
            self.end_unknown("it had its effect, and what it returned cannot be used")
        }
    }

    /// What the journal is to have of the run beside its state.
    pub(super) fn call_record(&self) -> Option<&CallRecord> {
        self.journaled.as_deref().map(|journaled| &journaled.record)
    }

    /// Whether the run was completed by an earlier life of its flow run.
    pub(super) fn is_restored(&self) -> bool {
        self.journaled
            .as_ref()
            .is_some_and(|journaled| journaled.record.original.is_some())
    }

    /// Keeps the value for later lives of the flow run, where it can be restored.
    pub(super) fn keep_for_resume(&mut self, bytes: &Arc<[u8]>) {
        if let Some(journaled) = self.journaled.as_mut().filter(|journaled| journaled.keeps) {
            journaled.record.result = Some(Arc::clone(bytes));
        }
    }

    /// Keeps the value of the job for later lives, where the journal wants it.
    pub(super) fn keep_value(&mut self, job: &dyn Job) {
        if !self.wants_result(job) {
            return;
        }
        match job.encode() {
            Ok(bytes) => self.keep_for_resume(&Arc::from(bytes)),
            Err(error) => {
                tracing::debug!(target: "flowkit", task = self.definition.name(), %error, "a value that cannot be stored: a resumed flow runs this again");
            }
        }
    }

    /// Whether the journal wants the value.
    pub(super) fn wants_result(&self, job: &dyn Job) -> bool {
        let wants = |journaled: &Journaled| {
            journaled.place.is_some() && journaled.keeps && journaled.record.result.is_none()
        };
        self.scope.life.is_some() && self.journaled.as_deref().is_some_and(wants) && job.is_storable()
    }
}
