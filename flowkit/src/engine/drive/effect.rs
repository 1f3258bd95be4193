//! The effect of a task run: its intent is on the disk before the body begins, its outcome before anybody is given it, and what is not known is said.

use std::pin::Pin;
use std::sync::Arc;

use flowkit_journal::record::Effect;
use flowkit_journal::{JournalError, JournalResult};
use futures::future::BoxFuture;

use super::journaled::Journaled;
use super::{Drive, Phase, Step};
use crate::error::{Error, ErrorKind};
use crate::job::Job;
use crate::journaling::replay::{Found, Settled};
use crate::journaling::{Original, journal_error};
use crate::panics::caught;
use crate::state::State;

impl Drive {
    /// Whether it has an effect, and a journal to know that from.
    pub(super) fn must_not_repeat(&self) -> bool {
        self.definition.has_effect() && self.scope.life.is_some()
    }

    /// Fails a task with an effect that could not be known again.
    pub(super) fn end_without_place(&mut self) -> Step {
        let error = self.error(ErrorKind::Input).detailed(
            "it has an effect, and could not be known again after a crash: its inputs, those of the tasks and flows that call it, and the constants that their code includes must be such that serde can serialize them",
        );
        self.end(State::Failed, Some(error))
    }

    /// Nobody knows how far the body came, or what it returned, and it is not to be run again.
    pub(super) fn end_unknown(&mut self, why: &str) -> Step {
        self.set_effect(Effect::Intended);
        if let Some(journaled) = &mut self.journaled {
            journaled.began = true;
        }
        let error = self.error(ErrorKind::UnknownOutcome).detailed(format!(
            "{why}; it is not run again: find out, and say so when the run is resumed (`ResumeOptions::happened`, `did_not_happen`), or let the flow handle this error"
        ));
        self.end(State::Failed, Some(error))
    }

    /// What somebody says of an effect whose outcome the journal does not know: none if it did not happen, so that the task runs.
    pub(super) fn settle(&mut self, job: Pin<&mut dyn Job>, settled: Settled) -> Option<Step> {
        if let Settled::Happened(value) = settled {
            return Some(self.complete_as_said(job, value));
        }
        let task = self.definition.name();
        tracing::info!(target: "flowkit", task, "an effect whose outcome was not known is said not to have happened: its task runs");
        None
    }

    /// Completes with what somebody who looked says the body would have returned.
    pub(super) fn complete_as_said(&mut self, mut job: Pin<&mut dyn Job>, value: serde_json::Value) -> Step {
        let task = self.definition.name();
        // Until the value is there, it is as unknown as before.
        if let Some(journaled) = &mut self.journaled {
            journaled.began = true;
        }
        self.set_effect(Effect::Intended);
        let read = job.as_mut().read_json(value);
        if let Err(error) = read {
            let error = self.error(ErrorKind::Input).detailed(format!(
                "its effect is said to have happened, and the value given for what it returned cannot be read as that: {error}"
            ));
            return self.end(State::Failed, Some(error));
        }
        tracing::info!(target: "flowkit", task, "an effect whose outcome was not known is said to have happened");
        self.effect_is_known(Effect::Happened);
        self.keep_value(&*job);
        self.complete()
    }

    /// Notes what is known of the effect, wherever the run is written from.
    fn set_effect(&mut self, effect: Effect) {
        let Some(journaled) = &mut self.journaled else {
            return;
        };
        journaled.record.effect = effect;
        self.scope.note_call(self.place, &journaled.record);
        let (Some(place), Some(life)) = (journaled.record.place, &self.scope.life) else {
            return;
        };
        let found = Found {
            spot: life.spot(self.place),
            has_result: journaled.record.result.is_some(),
            effect,
            original: Original {
                started: None,
                ended: None,
                attempts: self.attempt,
            },
        };
        life.done.note_effect(place, found);
    }

    /// The body is about to begin.
    pub(super) fn note_begin(&mut self) {
        if let Some(journaled) = &mut self.journaled {
            journaled.began = true;
        }
    }

    /// The run ends: a body that never began had no effect.
    pub(super) fn settle_effect(&mut self) {
        let never = |journaled: &Journaled| journaled.record.effect == Effect::Intended && !journaled.began;
        if self.journaled.as_deref().is_some_and(never) {
            self.set_effect(Effect::None);
        }
    }

    /// Before the body of a task with an effect begins, its intent is on the disk.
    pub(super) fn intend(&mut self) -> Option<Step> {
        if !self.must_not_repeat() {
            return None;
        }
        let journaled = self.journaled.as_mut()?;
        if journaled.record.effect == Effect::Intended {
            return None;
        }
        // What an earlier attempt did is known by now.
        journaled.began = false;
        self.set_effect(Effect::Intended);
        self.scope
            .journal_task(&self.scope.graph(), self.place, self.call_record());
        if cfg!(flowkit_fault = "intent-not-awaited") {
            return None;
        }
        Some(Step::Next(Phase::Intend(self.flush()?)))
    }

    pub(super) fn after_intend(&mut self, written: JournalResult<()>) -> Step {
        match written {
            Ok(()) => Step::Next(Phase::Begin),
            Err(trouble) => {
                let error = self.journal_failed(&trouble);
                self.leave_admission(None);
                self.end(State::Failed, Some(error))
            }
        }
    }

    pub(super) fn journal_failed(&self, trouble: &JournalError) -> Error {
        journal_error(trouble)
            .about(self.definition.kind(), self.definition.name())
            .in_task_run(self.scope.task_run_id(self.place))
    }

    fn flush(&self) -> Option<BoxFuture<'static, JournalResult<()>>> {
        let life = self.scope.life.as_ref()?;
        let (recorder, root) = (Arc::clone(&life.recorder), life.root);
        Some(Box::pin(async move { recorder.journal.flush_of(root).await }))
    }

    /// The body returned, with a value or an error: how an effect went is known.
    pub(super) fn effect_is_known(&mut self, how: Effect) {
        let is_intended = |journaled: &Journaled| journaled.record.effect == Effect::Intended;
        if self.journaled.as_deref().is_some_and(is_intended) {
            self.set_effect(how);
        }
    }

    /// The value is there and kept. The outcome of an effect is on the disk before anybody is given it.
    pub(super) fn complete(&mut self) -> Step {
        if !self.happened() {
            return self.end(State::Completed, None);
        }
        // What it returned is there by now.
        self.set_effect(Effect::Happened);
        self.scope
            .journal_task(&self.scope.graph(), self.place, self.call_record());
        match self
            .flush()
            .filter(|_| !cfg!(flowkit_fault = "outcome-not-awaited"))
        {
            Some(flush) => Step::Next(Phase::Commit(flush)),
            None => self.end(State::Completed, None),
        }
    }

    fn happened(&self) -> bool {
        let happened = |journaled: &Journaled| journaled.record.effect == Effect::Happened;
        self.journaled.as_deref().is_some_and(happened)
    }

    /// Whether the run, in this phase, has had its effect and only writes that down: nobody can stop it any more.
    pub(super) fn has_happened(&self, phase: &Phase) -> bool {
        matches!(phase, Phase::Keep(_) | Phase::Commit(_)) && self.happened()
    }

    /// Ends a run that has had its effect, and that nobody will drive on, as what it is: completed. Its transaction undoes it, if that is undone.
    pub(super) fn complete_abandoned(&mut self, job: Pin<&mut dyn Job>, phase: Phase) -> Result<(), Error> {
        if let Phase::Keep(keep) = phase {
            self.share(Ok(keep.1));
        }
        self.end(State::Completed, None);
        // Copying the value is the user's code.
        drop(caught(|| self.leave_behind(&*job, true)));
        Ok(())
    }

    pub(super) fn after_commit(&mut self, written: JournalResult<()>) -> Step {
        if let Err(trouble) = written {
            // It stays in memory, and the end of the flow run asks again.
            tracing::error!(target: "flowkit", task = self.definition.name(), %trouble, "the outcome of an effect could not be recorded yet");
        }
        self.end(State::Completed, None)
    }
}
