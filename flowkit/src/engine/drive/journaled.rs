//! The journaled side of a task run: which call it is, what an earlier life of its flow run completed of it, and the intent of an effect.

use std::pin::Pin;
use std::sync::Arc;

use flowkit_journal::JournalResult;
use flowkit_journal::record::Effect;
use futures::future::BoxFuture;

use super::{Drive, Phase, Step};
use crate::context::{self, Ambient};
use crate::error::ErrorKind;
use crate::job::Job;
use crate::journaling::calls::{Called, Calls};
use crate::journaling::replay::Found;
use crate::journaling::{CallRecord, journal_error};
use crate::state::State;

/// What the journal keeps of the run, and what it needs for that.
pub(super) struct Journaled {
    /// The calls that the run is one of.
    pub(super) caller: Arc<Calls>,
    pub(super) record: CallRecord,
}

impl Drive {
    /// The inputs are there: finds out which call the run is, and whether an earlier life of its flow run completed it.
    pub(super) fn identify(&mut self, job: &dyn Job) -> Option<Step> {
        self.journaled.as_ref()?;
        let definition = self.definition;
        let scope = Arc::clone(&self.scope);
        let called = context::enter(&mut self.ambient, || Called::of(&scope.runtime, definition, job));
        let life = scope.life.as_ref()?;
        let journaled = self.journaled.as_mut()?;
        let index = self.place.index();
        let place = match index {
            Some(index) => journaled.caller.item(&called, index),
            None => journaled.caller.next(&called),
        };
        let is_known = called.inputs.is_some();
        journaled.record.place = (is_known && index.is_none()).then_some(place);
        journaled.record.inputs = called.inputs.unwrap_or_default();
        if let Some(Ambient::Run(run)) = &mut self.ambient {
            run.calls = Some(Arc::new(Calls::of(place)));
        }
        let replay = life.replay.as_ref().filter(|_| is_known)?;
        let row = life.recorder.definition(definition);
        let inputs = &journaled.record.inputs;
        let found = match index {
            Some(index) => replay.find_item(&journaled.caller.caller(), index, &row, inputs),
            None => replay.find(&place),
        };
        match found {
            Some(found) => self.restore(found),
            None => {
                let mismatch = replay.mismatch(&row, inputs)?;
                let error = self.error(ErrorKind::ResumeMismatch).detailed(format!(
                    "{mismatch}: start a new run, or resume with `allow_changes`"
                ));
                Some(self.end(State::Failed, Some(error)))
            }
        }
    }

    fn restore(&mut self, found: Found) -> Option<Step> {
        if found.effect == Effect::Intended {
            return Some(self.end_unknown());
        }
        if !found.has_result {
            return None;
        }
        let life = self.scope.life.as_ref()?;
        let (recorder, replay) = (Arc::clone(&life.recorder), Arc::clone(life.replay.as_ref()?));
        Some(Step::Next(Phase::Restore(Box::pin(async move {
            let store = recorder.journal.store();
            (replay.ahead.result(&**store, found.spot).await, found)
        }))))
    }

    /// Lets the run's record show when it really ran. Of an item, which has no record of its own, only the journal does.
    fn note_original(&self) {
        let record = self.call_record().filter(|_| self.place.index().is_none());
        if let Some(record) = record {
            let record = CallRecord {
                result: None,
                ..record.clone()
            };
            self.scope
                .note(self.place, |extra| extra.call = Some(Arc::new(record)));
        }
    }

    /// The process died while the body of a task with an effect ran: nobody knows how far it came.
    fn end_unknown(&mut self) -> Step {
        if let Some(journaled) = &mut self.journaled {
            journaled.record.effect = Effect::Intended;
        }
        let error = self.error(ErrorKind::UnknownOutcome).detailed(
            "the process died while it ran, so whether it had its effect is not known, and it is not run again: find out, and handle this error in the flow",
        );
        self.end(State::Failed, Some(error))
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
            self.cached_or_admitted(&*job)
        } else {
            self.end_unknown()
        }
    }

    /// Before the body of a task with an effect begins, its intent is on the disk.
    pub(super) fn intend(&mut self) -> Option<Step> {
        let journaled = self.journaled.as_mut().filter(|_| self.definition.has_effect())?;
        if journaled.record.effect == Effect::Intended {
            return None;
        }
        journaled.record.effect = Effect::Intended;
        // A pause of the body writes the run, too, and knows only its place.
        let record = Arc::new(journaled.record.clone());
        self.scope.note(self.place, |extra| extra.call = Some(record));
        self.scope.journal_task(&self.scope.graph(), self.place, None);
        Some(Step::Next(Phase::Intend(self.flush()?)))
    }

    pub(super) fn after_intend(&mut self, written: JournalResult<()>) -> Step {
        match written {
            Ok(()) => Step::Next(Phase::Begin),
            Err(trouble) => {
                let error = journal_error(&trouble)
                    .about(self.definition.kind(), self.definition.name())
                    .in_task_run(self.scope.task_run_id(self.place));
                self.leave_admission(None);
                if let Some(journaled) = &mut self.journaled {
                    journaled.record.effect = Effect::Known;
                }
                self.end(State::Failed, Some(error))
            }
        }
    }

    fn flush(&self) -> Option<BoxFuture<'static, JournalResult<()>>> {
        let recorder = Arc::clone(&self.scope.life.as_ref()?.recorder);
        Some(Box::pin(async move { recorder.journal.flush().await }))
    }

    /// The body returned: how an effect went is known.
    pub(super) fn effect_is_known(&mut self) {
        if let Some(journaled) = self
            .journaled
            .as_mut()
            .filter(|journaled| journaled.record.effect == Effect::Intended)
        {
            journaled.record.effect = Effect::Known;
        }
    }

    /// Whether nobody knows how far the body came, after it ended in another way than by returning.
    pub(super) fn is_effect_open(&self) -> bool {
        let open = |journaled: &Journaled| journaled.record.effect == Effect::Intended;
        self.definition.has_effect() && self.journaled.as_deref().is_none_or(open)
    }

    /// The value is there and kept. The outcome of an effect is on the disk before anybody is given it.
    pub(super) fn complete(&mut self) -> Step {
        let known = |journaled: &Journaled| journaled.record.effect == Effect::Known;
        if !self.journaled.as_deref().is_some_and(known) {
            return self.end(State::Completed, None);
        }
        self.scope
            .journal_task(&self.scope.graph(), self.place, self.call_record());
        match self.flush() {
            Some(flush) => Step::Next(Phase::Commit(flush)),
            None => self.end(State::Completed, None),
        }
    }

    pub(super) fn after_commit(&mut self, written: JournalResult<()>) -> Step {
        if let Err(trouble) = written {
            // It stays in memory, and the end of the flow run asks again.
            tracing::error!(target: "flowkit", task = self.definition.name(), %trouble, "the outcome of an effect could not be recorded yet");
        }
        self.end(State::Completed, None)
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
        if let Some(journaled) = &mut self.journaled {
            journaled.record.result = Some(Arc::clone(bytes));
        }
    }

    /// Whether the journal wants the value.
    pub(super) fn wants_result(&self, job: &dyn Job) -> bool {
        let wants = |journaled: &Journaled| {
            let is_known = journaled.record.place.is_some() || self.place.index().is_some();
            is_known && journaled.record.result.is_none()
        };
        self.journaled.as_deref().is_some_and(wants) && job.is_storable()
    }
}
