//! Effects of earlier lives whose calls may be at other places since the program has changed: a place says which code calls, so a call whose caller was changed is not
//! found where it was, and must not happen again for that.

use std::collections::HashMap;
use std::sync::Arc;

use flowkit_journal::record::{DefinitionRow, Digest, NodeKind, RunNo, Spot};
use flowkit_journal::{JournalResult, JournalStore, StoredTask};

use super::VERSION;
use super::replay::task_of;

/// How far up callers are asked for. A journal that is damaged might lead in a circle.
const DEEPEST: usize = 10_000;

/// What calls a run, and what calls that, the nearest first: the last one is the flow that no flow called.
pub(crate) type Callers = Vec<Arc<DefinitionRow>>;

/// An effect that an earlier life had, or may have had.
#[derive(Debug, Clone)]
pub(crate) struct EarlierEffect {
    pub(crate) place: Digest,
    pub(crate) definition: Arc<DefinitionRow>,
    run: RunNo,
    parent: Option<Spot>,
    inputs: Vec<Digest>,
}

impl EarlierEffect {
    pub(super) fn of(task: &StoredTask, place: Digest) -> Self {
        Self {
            place,
            definition: Arc::clone(&task.definition),
            run: task.spot.run,
            parent: task.parent,
            inputs: task.inputs.clone(),
        }
    }
}

/// Effects of earlier lives, by the names of their tasks and their inputs.
#[derive(Debug, Default)]
pub(super) struct EarlierEffects(HashMap<String, HashMap<Vec<Digest>, Vec<EarlierEffect>>>);

impl EarlierEffects {
    pub(super) fn of(effects: impl IntoIterator<Item = EarlierEffect>) -> Self {
        let mut by_name = Self::default();
        for effect in effects {
            let name = by_name.0.entry(effect.definition.name.clone()).or_default();
            name.entry(effect.inputs.clone()).or_default().push(effect);
        }
        by_name
    }

    /// Those of tasks of this name with these inputs.
    pub(super) fn with(&self, name: &str, inputs: &[Digest]) -> &[EarlierEffect] {
        let name = self.0.get(name);
        name.and_then(|name| name.get(inputs)).map_or(&[], Vec::as_slice)
    }
}

/// Reads what called each of these effects; none where the journal does not have all of it.
pub(crate) async fn callers_of(
    store: &dyn JournalStore,
    effects: &[EarlierEffect],
) -> JournalResult<Vec<Option<Callers>>> {
    let mut known: HashMap<(RunNo, Option<Spot>), Option<Callers>> = HashMap::new();
    let mut all = Vec::with_capacity(effects.len());
    for EarlierEffect { run, parent, .. } in effects {
        let callers = match known.get(&(*run, *parent)) {
            Some(callers) => callers.clone(),
            None => {
                let callers = read_callers(store, *run, *parent).await?;
                known.insert((*run, *parent), callers.clone());
                callers
            }
        };
        all.push(callers);
    }
    Ok(all)
}

async fn read_callers(
    store: &dyn JournalStore,
    mut run: RunNo,
    mut caller: Option<Spot>,
) -> JournalResult<Option<Callers>> {
    let mut callers = Vec::new();
    for _ in 0..DEEPEST {
        let Some(spot) = caller else {
            let Some(life) = store.life(run).await? else {
                return Ok(None);
            };
            caller = life.parent;
            if caller.is_none() {
                callers.push(life.definition);
                return Ok(Some(callers));
            }
            continue;
        };
        let Some(task) = store.task(spot).await? else {
            return Ok(None);
        };
        if task.kind != NodeKind::FanOut {
            callers.push(task.definition);
        }
        (run, caller) = (spot.run, task.parent);
    }
    Ok(None)
}

/// How a task of an earlier life and one of this program belong together.
enum Kinship {
    /// They are the same, with the same code.
    Same,
    /// They are the same, in another module or with another code.
    Changed,
    /// They are two.
    Other,
}

impl Kinship {
    fn of(then: &DefinitionRow, now: &DefinitionRow) -> Self {
        if task_of(then) == task_of(now) {
            return match then.code == now.code {
                true => Self::Same,
                false => Self::Changed,
            };
        }
        // Two of a name are one that was moved if their code is the same; a version does not say that.
        let is_moved = then.name == now.name && then.code == now.code && !then.code.starts_with(VERSION);
        match is_moved {
            true => Self::Changed,
            false => Self::Other,
        }
    }
}

/// A call with an effect that no life knows, beside those that may be it.
#[derive(Debug)]
pub(crate) struct Unfound {
    pub(crate) definition: Arc<DefinitionRow>,
    pub(crate) callers: Callers,
    /// Whether it or one of its callers was given a secret.
    pub(crate) has_secrets: bool,
}

impl Unfound {
    /// Why it may be the call that had this effect, if it may: since some code changed, or a secret, it would not be found where it was. Callers with other inputs
    /// are other callers.
    pub(crate) fn may_be(&self, effect: &EarlierEffect, then: Option<&Callers>) -> Option<String> {
        match Kinship::of(&effect.definition, &self.definition) {
            Kinship::Same => {}
            Kinship::Changed => return Some("its code changed".to_owned()),
            Kinship::Other => return None,
        }
        let Some(then) = then else {
            return Some("what the journal no longer has of its callers was lost".to_owned());
        };
        let now = &self.callers;
        let (Some((flow_then, then)), Some((flow_now, now))) = (then.split_last(), now.split_last()) else {
            return Some("what called it was lost".to_owned());
        };
        let changed = |caller: &&Arc<DefinitionRow>| {
            now.iter()
                .any(|now| matches!(Kinship::of(caller, now), Kinship::Changed))
        };
        if let Some(changed) = then.iter().find(changed) {
            return Some(format!("the code of `{}`, which calls it, changed", changed.name));
        }
        let names =
            |callers: &[Arc<DefinitionRow>]| callers.iter().map(|caller| task_of(caller)).collect::<Vec<_>>();
        let same_callers = names(then) == names(now);
        if !same_callers && !matches!(Kinship::of(flow_then, flow_now), Kinship::Same) {
            return Some("the flow's code changed, and with it what calls it".to_owned());
        }
        (same_callers && self.has_secrets)
            .then(|| "a secret was renewed, or the key that secrets are hashed with was lost".to_owned())
    }
}
