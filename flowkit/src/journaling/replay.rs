//! What earlier lives of a flow run completed, by the places of the calls: a run at the same place need not run again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use flowkit_journal::JournalStore;
use flowkit_journal::record::{DefinitionRow, Digest, Effect, NodeKind, Parameters, Spot};
use flowkit_journal::{Finished, JournalResult, StoredTask};

use super::Original;
use super::calls::first_item;
use super::moved::{EarlierEffect, EarlierEffects};
use super::read_ahead::ReadAhead;
use crate::ids::FlowRunId;
use crate::state::State;

/// How an effect went whose outcome the journal does not know, as somebody says who looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It happened, and the task would have returned this.
    Happened(serde_json::Value),
    /// It did not: the task runs.
    DidNotHappen,
}

/// A call that an earlier life knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    /// Where its result is.
    pub(crate) spot: Spot,
    pub(crate) has_result: bool,
    pub(crate) effect: Effect,
    pub(crate) original: Original,
}

/// A task as it was, and the inputs under which it completed.
#[derive(Debug)]
struct Completed {
    definition: Arc<DefinitionRow>,
    inputs: BTreeSet<Vec<Digest>>,
}

/// A task, whatever its code: its package, module and name.
pub(super) type Task = (String, String, String);

pub(super) fn task_of(definition: &DefinitionRow) -> Task {
    let DefinitionRow {
        package,
        module,
        name,
        ..
    } = definition;
    (package.clone(), module.clone(), name.clone())
}

/// What earlier lives of a flow run know.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    by_place: HashMap<Digest, Found>,
    /// The inputs under which each task completed, by its name, each code of it apart.
    completed: HashMap<Task, Vec<Completed>>,
    /// Effects that they had, or may have had.
    effects: EarlierEffects,
    /// What was being undone when its process died.
    undoing: HashSet<Digest>,
    /// Effects whose outcome somebody says.
    settled: BTreeMap<Digest, Settled>,
    /// Results that are likely to be asked for next.
    pub(crate) ahead: ReadAhead,
    /// How many rows of earlier lives cannot be read: a call that is not known may then have been made all the same.
    unreadable: u64,
    /// Whether the flow's own code is what it was in all lives.
    same_flow: bool,
    /// Whether a call that no longer matches is run.
    allow_changes: bool,
    /// Whether the parameters are the recorded ones.
    own_parameters: bool,
}

impl Replay {
    /// Reads what the journal has of a flow run.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(crate) async fn read(store: &dyn JournalStore, id: u128, same_flow: bool) -> JournalResult<Self> {
        let Finished { tasks, unreadable } = store.finished(id).await?;
        let mut replay = Self {
            same_flow,
            unreadable,
            ..Self::default()
        };
        let places: HashMap<Spot, Digest> = tasks
            .iter()
            .filter_map(|task| Some((task.spot, task.place?)))
            .collect();
        let mut effects = HashMap::new();
        for task in tasks {
            replay.add(task, &places, &mut effects);
        }
        replay.effects = EarlierEffects::of(effects.into_values());
        Ok(replay)
    }

    /// Whether a call that no longer matches what was recorded is run, instead of failing.
    pub(crate) fn allowing_changes(mut self, allow: bool) -> Self {
        self.allow_changes = allow;
        self
    }

    /// Effects whose outcome somebody says.
    pub(crate) fn with_settled(mut self, settled: BTreeMap<Digest, Settled>) -> Self {
        self.settled = settled;
        self
    }

    /// How the effect of the call at this place went, if somebody says so.
    pub(crate) fn settled(&self, place: &Digest) -> Option<&Settled> {
        self.settled.get(place)
    }

    /// Whether a call that no longer matches is run; also where the parameters are the recorded ones by themselves.
    pub(crate) fn allows_changes(&self) -> bool {
        self.allow_changes || self.own_parameters
    }

    /// The flow is called with what was recorded, and not with what somebody gives again.
    pub(crate) fn with_own_parameters(mut self) -> Self {
        self.own_parameters = true;
        self
    }

    fn add(
        &mut self,
        task: StoredTask,
        places: &HashMap<Spot, Digest>,
        effects: &mut HashMap<Digest, EarlierEffect>,
    ) {
        if task.kind == NodeKind::Subflow || !(task.has_result || task.effect != Effect::None) {
            return;
        }
        // That of an item follows from its inputs, unless it has one of its own.
        let fan_out = Spot {
            item: None,
            ..task.spot
        };
        let follows = || Some(first_item(places.get(&fan_out)?, &task.inputs));
        let place = task.place.or_else(|| task.spot.item.and_then(|_| follows()));
        // An effect that nothing undoes stands, and may do so if what undoes it failed.
        let is_rolled_back = task.state == State::RolledBack.name();
        if is_rolled_back && !matches!(task.effect, Effect::Happened | Effect::Intended) {
            self.forget(place, &task, effects);
            return;
        }
        if task.has_result {
            note(&mut self.completed, &task);
        }
        let Some(place) = place else { return };
        match task.effect {
            Effect::Intended | Effect::Happened => {
                effects.insert(place, EarlierEffect::of(&task, place));
            }
            Effect::None | Effect::Failed | Effect::Undoing => drop(effects.remove(&place)),
        }
        self.undoing.remove(&place);
        let found = Found {
            spot: task.spot,
            has_result: task.has_result,
            effect: task.effect,
            original: Original {
                started: task.started,
                ended: task.ended,
                attempts: task.attempts,
            },
        };
        // A later life knows better than an earlier one, unless it knows nothing. One that failed to undo it knows that nobody knows.
        let is_in_doubt = is_rolled_back && task.effect == Effect::Intended;
        let known = self.by_place.entry(place).or_insert(found);
        if found.has_result || !known.has_result || is_in_doubt {
            *known = found;
        }
    }

    /// Whatever an earlier life has of a call was undone.
    fn forget(
        &mut self,
        place: Option<Digest>,
        task: &StoredTask,
        effects: &mut HashMap<Digest, EarlierEffect>,
    ) {
        let Some(place) = place else { return };
        self.by_place.remove(&place);
        if task.effect == Effect::Undoing {
            self.undoing.insert(place);
            effects.insert(place, EarlierEffect::of(task, place));
        } else {
            self.undoing.remove(&place);
            effects.remove(&place);
        }
    }

    /// How many rows of earlier lives cannot be read. While it is not 0, that a call is not found does not say that it was never made.
    pub(crate) fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// The call at this place.
    pub(crate) fn find(&self, place: &Digest) -> Option<Found> {
        self.by_place.get(place).copied()
    }

    /// Whether it was being undone when its process died, so that not all of its hooks may have been called.
    pub(crate) fn is_undoing(&self, place: &Digest) -> bool {
        self.undoing.contains(place)
    }

    /// The effects that a task of this name, called with these inputs, had or may have had, whatever its code and its callers.
    pub(crate) fn effects_with(&self, definition: &DefinitionRow, inputs: &[Digest]) -> &[EarlierEffect] {
        self.effects.with(&definition.name, inputs)
    }

    /// Why a call that is not known may be one that is, after the program has changed: then it is not for us to guess.
    pub(crate) fn mismatch(&self, definition: &DefinitionRow, inputs: &[Digest]) -> Option<String> {
        if self.allow_changes {
            return None;
        }
        let codes = self.completed.get(&task_of(definition))?;
        let name = &definition.name;
        let is_other = |known: &Completed| known.definition.code != definition.code;
        if codes
            .iter()
            .any(|known| is_other(known) && known.inputs.contains(inputs))
        {
            return Some(format!(
                "`{name}` completed with these inputs before, and its code has changed since"
            ));
        }
        if self.same_flow {
            return None;
        }
        let known = codes.iter().find(|known| !is_other(known))?;
        if known.inputs.contains(inputs) {
            return None;
        }
        let differing = |earlier: &&Vec<Digest>| {
            earlier
                .iter()
                .zip(inputs)
                .filter(|(earlier, now)| earlier != now)
                .count()
        };
        let nearest = known.inputs.iter().min_by_key(differing)?;
        let names: Vec<_> = nearest
            .iter()
            .zip(inputs)
            .zip(&known.definition.parameters)
            .filter(|((earlier, now), _)| earlier != now)
            .map(|(_, name)| format!("`{name}`"))
            .collect();
        Some(format!(
            "the flow's code has changed, and `{name}` is called with another {} than before",
            names.join(", ")
        ))
    }
}

/// Notes under which inputs a task completed.
fn note(tasks: &mut HashMap<Task, Vec<Completed>>, task: &StoredTask) {
    let codes = tasks.entry(task_of(&task.definition)).or_default();
    let known = codes.iter_mut().find(|known| known.definition == task.definition);
    match known {
        Some(known) => drop(known.inputs.insert(task.inputs.clone())),
        None => codes.push(Completed {
            definition: Arc::clone(&task.definition),
            inputs: BTreeSet::from([task.inputs.clone()]),
        }),
    }
}

/// A flow run that goes on where an earlier life of it was left.
#[derive(Debug, Clone)]
pub(crate) struct Resumed {
    pub(crate) id: FlowRunId,
    /// The number of the life that begins.
    pub(crate) life: u32,
    pub(crate) replay: Arc<Replay>,
    /// What was recorded of its inputs.
    pub(crate) parameters: Option<Arc<Parameters>>,
    /// What it was called.
    pub(crate) name: Arc<str>,
    pub(crate) tags: Vec<Arc<str>>,
}
