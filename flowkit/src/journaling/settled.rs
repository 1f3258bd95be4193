//! Effects of which the journal knows that they began and not how they went, and what somebody who looked says of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use flowkit_journal::record::{Digest, Effect};
use flowkit_journal::{JournalResult, JournalStore, StoredTask};
use serde::Serialize;

use super::journal_error;
use super::moved::{EarlierEffect, Unfound, callers_of};
use super::replay::Settled;
use super::resume::ResumeOptions;
use crate::error::Error;
use crate::ids::{FlowRunId, NodeRef, TaskRunId};
use crate::runtime::Runtime;

/// A task run with an effect that may have happened and may not: its body began, and nothing is known of how it ended. See
/// [`Runtime::unknown_effects`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownEffect {
    /// The task.
    pub task: String,
    /// The run's own name, if it has one.
    pub name: Option<String>,
    /// The run, in the last life of the flow run in which its body began.
    pub task_run: TaskRunId,
    /// Which life that was; the first is 1.
    pub life: u32,
    /// When it was submitted then.
    pub submitted: SystemTime,
    /// Why its outcome is not known, if the last life that came to it could say so.
    pub error: Option<String>,
    pub(crate) place: Digest,
}

impl fmt::Display for UnknownEffect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or(&self.task);
        write!(formatter, "{name} ({})", self.task_run)
    }
}

impl ResumeOptions {
    /// The effect did happen: its task is not run again, and completes with `value`, which is what its body would have returned.
    ///
    /// The value is read as JSON. One that is not what the task returns fails the task with [`Input`](crate::ErrorKind::Input), and the outcome stays unknown. A
    /// value that cannot be written as JSON counts as null.
    #[must_use]
    pub fn happened(self, effect: &UnknownEffect, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).unwrap_or_default();
        self.settle(effect, Settled::Happened(value))
    }

    /// The effect did not happen: its task runs.
    #[must_use]
    pub fn did_not_happen(self, effect: &UnknownEffect) -> Self {
        self.settle(effect, Settled::DidNotHappen)
    }

    fn settle(mut self, effect: &UnknownEffect, settled: Settled) -> Self {
        self.settled.insert(effect.place, settled);
        self
    }
}

impl Runtime {
    /// The effects of a flow run whose outcome is not known, in the order in which they were submitted: those that were going on when their process died, and those that
    /// timed out, were cancelled or panicked. Look what became of each, and say so when the run is resumed, with [`ResumeOptions::happened`] or
    /// [`ResumeOptions::did_not_happen`].
    ///
    /// # Errors
    /// When the runtime has no journal, or that cannot be read.
    pub async fn unknown_effects(&self, run: FlowRunId) -> Result<Vec<UnknownEffect>, Error> {
        let store = self.recorder()?.journal.store();
        unknown_effects(&**store, run, self.is_running(run))
            .await
            .map_err(|trouble| journal_error(&trouble))
    }
}

/// The same, for who has a journal and no runtime. Of a run that goes on, an effect that has not ended is not unknown yet.
pub(crate) async fn unknown_effects(
    store: &dyn JournalStore,
    run: FlowRunId,
    goes_on: bool,
) -> JournalResult<Vec<UnknownEffect>> {
    // What a later life knows of a call is what is known; where its body began is where somebody has to look.
    let mut last: HashMap<Digest, (StoredTask, StoredTask)> = HashMap::new();
    for task in store.finished(run.as_u128()).await?.tasks {
        let Some(place) = task.place.filter(|_| task.effect != Effect::None) else {
            continue;
        };
        match last.entry(place) {
            Entry::Vacant(entry) => drop(entry.insert((task.clone(), task))),
            Entry::Occupied(mut entry) => {
                let (known, began) = entry.get_mut();
                if task.started.is_some() {
                    began.clone_from(&task);
                }
                *known = task;
            }
        }
    }
    let mut left: Vec<_> = last.iter().collect();
    left.retain(|(_, (known, _))| known.effect == Effect::Intended && (known.ended.is_some() || !goes_on));
    left.sort_unstable_by_key(|(_, (known, _))| known.spot);
    let mut unknown = Vec::with_capacity(left.len());
    for (place, (known, task)) in left {
        if is_elsewhere(store, (*place, known), last.values().map(|(known, _)| known)).await? {
            continue;
        }
        let Some(life) = store.life(task.spot.run).await? else {
            continue;
        };
        let node = match task.spot.item {
            Some(item) => NodeRef::item(task.spot.node, item),
            None => NodeRef::node(task.spot.node),
        };
        unknown.push(UnknownEffect {
            task: task.definition.name.clone(),
            name: task.name.clone(),
            task_run: TaskRunId::new(FlowRunId::from_u128(life.id), node),
            life: life.life,
            submitted: task.created.into(),
            error: known.error.clone(),
            place: *place,
        });
    }
    Ok(unknown)
}

/// Whether a later life knows the call at another place, since the program has changed: then what that life knows counts.
async fn is_elsewhere(
    store: &dyn JournalStore,
    (place, known): (Digest, &StoredTask),
    all: impl Iterator<Item = &StoredTask>,
) -> JournalResult<bool> {
    let effect = EarlierEffect::of(known, place);
    let may_be_it = |task: &&StoredTask| {
        (&task.definition.name, &task.inputs) == (&known.definition.name, &known.inputs)
            && task.spot.run > known.spot.run
            && matches!(task.effect, Effect::Intended | Effect::Happened)
    };
    for later in all.filter(may_be_it) {
        let both = [
            effect.clone(),
            EarlierEffect::of(later, later.place.unwrap_or_default()),
        ];
        let mut callers = callers_of(store, &both).await?.into_iter();
        let (then, Some(Some(now))) = (callers.next().flatten(), callers.next()) else {
            continue;
        };
        let moved = Unfound {
            definition: Arc::clone(&later.definition),
            callers: now,
            has_secrets: false,
        };
        if moved.may_be(&effect, then.as_ref()).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
