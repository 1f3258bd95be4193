//! Effects of earlier lives whose calls may be at other places since the program has changed: a place says which code calls, so a call whose caller was changed is not
//! found where it was, and must not happen again for that.

use std::collections::HashMap;
use std::sync::Arc;

use flowkit_journal::record::{DefinitionRow, Digest, NodeKind, RunNo, Spot};
use flowkit_journal::{JournalResult, JournalStore, StoredTask};

use super::replay::{Task, task_of};

/// How far up callers are asked for. A journal that is damaged might lead in a circle.
const DEEPEST: usize = 10_000;

/// What calls a run, and what calls that, the nearest first; without the flow that no flow called.
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

/// Effects of earlier lives, by their tasks and inputs.
#[derive(Debug, Default)]
pub(super) struct EarlierEffects(HashMap<Task, HashMap<Vec<Digest>, Vec<EarlierEffect>>>);

impl EarlierEffects {
    pub(super) fn of(effects: impl IntoIterator<Item = EarlierEffect>) -> Self {
        let mut by_task = Self::default();
        for effect in effects {
            let task = by_task.0.entry(task_of(&effect.definition)).or_default();
            task.entry(effect.inputs.clone()).or_default().push(effect);
        }
        by_task
    }

    /// Those of a task, whatever its code, with these inputs.
    pub(super) fn with(&self, definition: &DefinitionRow, inputs: &[Digest]) -> &[EarlierEffect] {
        let task = self.0.get(&task_of(definition));
        task.and_then(|task| task.get(inputs)).map_or(&[], Vec::as_slice)
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
            match store.life(run).await?.map(|life| life.parent) {
                Some(Some(above)) => caller = Some(above),
                Some(None) => return Ok(Some(callers)),
                None => return Ok(None),
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

/// Why a call may be the one that had this effect, if it may: since some code changed, it would not be found where it was. Callers with other inputs are other callers.
pub(crate) fn may_have_moved(
    effect: &EarlierEffect,
    then: Option<&Callers>,
    definition: &DefinitionRow,
    now: &Callers,
    same_flow: bool,
) -> Option<String> {
    if effect.definition.code != definition.code {
        return Some("its code changed".to_owned());
    }
    let Some(then) = then else {
        return Some("what the journal no longer has of its callers was lost".to_owned());
    };
    let changed = |caller: &&Arc<DefinitionRow>| {
        let same = |now: &&Arc<DefinitionRow>| task_of(now) == task_of(caller);
        now.iter().filter(same).any(|now| now.code != caller.code)
    };
    if let Some(changed) = then.iter().find(changed) {
        return Some(format!("the code of `{}`, which calls it, changed", changed.name));
    }
    let same_callers = then
        .iter()
        .map(|caller| task_of(caller))
        .eq(now.iter().map(|caller| task_of(caller)));
    (!same_flow && !same_callers).then(|| "the flow's code changed, and with it what calls it".to_owned())
}
