//! A task with an effect that is called where no earlier life called it: it may be a call that one knows, which is elsewhere since the program has changed.

use std::pin::Pin;
use std::sync::Arc;

use flowkit_journal::JournalResult;

use super::{Drive, Phase, Step};
use crate::graph::NodeKind;
use crate::ids::NodeRef;
use crate::job::Job;
use crate::journaling::moved::{Callers, EarlierEffect, Unfound, callers_of};
use crate::journaling::replay::Settled;
use crate::state::State;

/// Effects of earlier lives, and what called each of them.
pub(super) type Moved = (Vec<EarlierEffect>, JournalResult<Vec<Option<Callers>>>);

impl Drive {
    /// Looks for effects that the call may have had under another code, or in what can no longer be read; none if there are none.
    pub(super) fn look_for_moved(&mut self) -> Option<Step> {
        let scope = Arc::clone(&self.scope);
        let life = scope.life.as_ref()?;
        let replay = life.replay.as_ref()?;
        if replay.unreadable() > 0 && !cfg!(flowkit_fault = "damaged-counts-as-never") {
            return Some(self.end_unknown(
                "some of what the journal had of earlier lives cannot be read any more, and whether it had its effect may be among that",
            ));
        }
        let row = life.recorder.definition(self.definition);
        let inputs = &self.journaled.as_ref()?.record.inputs;
        let earlier = replay.effects_with(&row, inputs);
        if earlier.is_empty() || cfg!(flowkit_fault = "effect-repeated-by-changed-code") {
            return None;
        }
        let (earlier, recorder) = (earlier.to_vec(), Arc::clone(&life.recorder));
        Some(Step::Next(Phase::Moved(Box::pin(async move {
            let callers = callers_of(&**recorder.journal.store(), &earlier).await;
            (earlier, callers)
        }))))
    }

    /// Ends a call that may have had its effect before the program changed, unless somebody says how that went.
    pub(super) fn after_moved(&mut self, job: Pin<&mut dyn Job>, (earlier, callers): Moved) -> Step {
        let callers = match callers {
            Ok(callers) => callers,
            Err(trouble) => {
                let error = self.journal_failed(&trouble);
                return self.end(State::Failed, Some(error));
            }
        };
        let scope = Arc::clone(&self.scope);
        let Some((life, replay)) = scope
            .life
            .as_ref()
            .and_then(|life| Some((life, life.replay.as_ref()?)))
        else {
            return self.cached_or_admitted(job);
        };
        let unfound = Unfound {
            definition: life.recorder.definition(self.definition),
            callers: self.callers(),
            has_secrets: self
                .journaled
                .as_ref()
                .is_some_and(|journaled| journaled.has_secrets),
        };
        let mut why = None;
        // What another call of this life is, this one is not.
        let earlier = earlier
            .iter()
            .zip(&callers)
            .filter(|(effect, _)| !life.done.is_made(&effect.place));
        for (effect, then) in earlier {
            let Some(changed) = unfound.may_be(effect, then.as_ref()) else {
                continue;
            };
            match replay.settled(&effect.place) {
                Some(Settled::DidNotHappen) => {}
                Some(Settled::Happened(value)) if life.done.take(effect.place) => {
                    return self.complete_as_said(job, value.clone());
                }
                _ => why = Some(changed),
            }
        }
        match why {
            Some(changed) => self.end_unknown(&format!(
                "it had its effect, or may have had it, before {changed}"
            )),
            None => self.cached_or_admitted(job),
        }
    }

    /// What calls the run, and what calls that, up to the flow that no flow called.
    fn callers(&self) -> Callers {
        let mut callers = Callers::new();
        let (mut scope, mut caller) = (Arc::clone(&self.scope), Some(self.place));
        let mut is_caller = false;
        while let Some(place) = caller {
            let of_item = place.index().map(|_| NodeRef::node(place.node));
            let (definition, parent) = {
                let graph = scope.graph();
                let node = graph.node(place);
                let counts = node.filter(|node| is_caller && !matches!(node.kind(), NodeKind::FanOut(_)));
                (
                    counts.map(|node| node.definition),
                    of_item.or_else(|| node?.parent()),
                )
            };
            if let (Some(definition), Some(life)) = (definition, &scope.life) {
                callers.push(life.recorder.definition(definition));
            }
            (is_caller, caller) = (true, parent);
            if caller.is_none()
                && let Some((above, place)) = scope.parent()
            {
                (scope, caller) = (above, Some(place));
            }
        }
        if let Some(life) = &scope.life {
            callers.push(life.recorder.definition(scope.definition));
        }
        callers
    }
}
