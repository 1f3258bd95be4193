//! The lives of a flow run that is resumed: the same call stands in each of them, at another node perhaps.

use std::cmp::Reverse;
use std::collections::HashSet;

use flowkit_journal::record::{RunNo, Spot};
use flowkit_journal::{JournalResult, JournalStore, StoredFlow, StoredTask};

use super::compare::succeeded;
use crate::ids::TaskRunId;
use crate::state::State;

/// The flow runs of the earlier lives of the whole tree that a flow run is in.
#[derive(Debug, Default)]
pub(super) struct EarlierLives(HashSet<RunNo>);

impl EarlierLives {
    pub(super) async fn of(store: &dyn JournalStore, flow: &StoredFlow) -> JournalResult<Self> {
        let Some(root) = store.life(flow.root).await? else {
            return Ok(Self::default());
        };
        let mut runs = HashSet::new();
        for life in store.lives(root.id).await? {
            if life.life < root.life {
                let tree = store.tree(life.root).await?;
                runs.extend(tree.iter().map(|flow| flow.no));
            }
        }
        Ok(Self(runs))
    }

    /// Whether a run is the same call as another, in an earlier life.
    pub(super) fn have_same_call(&self, run: &StoredTask, other: &StoredTask) -> bool {
        run.place.is_some() && run.place == other.place && self.0.contains(&other.spot.run)
    }
}

/// The task run that made a value, which is known by its flow run and node but not by its life: the one with the same key, or else of the same task, that ended
/// last before `served` did. Copies in later lives count for less than what they are copies of.
pub(super) async fn maker(
    store: &dyn JournalStore,
    id: TaskRunId,
    served: &StoredTask,
) -> JournalResult<Option<(StoredFlow, StoredTask)>> {
    let mut found = Vec::new();
    for flow in store.lives(id.flow_run().as_u128()).await? {
        let spot = Spot {
            run: flow.no,
            node: id.node(),
            item: id.item(),
        };
        let task = store.task(spot).await?;
        found.extend(
            task.filter(|task| may_have_made(task, served))
                .map(|task| (flow, task)),
        );
    }
    Ok(found
        .into_iter()
        .max_by_key(|(flow, task)| (task.ended, Reverse(flow.life))))
}

fn may_have_made(task: &StoredTask, served: &StoredTask) -> bool {
    let (its, wanted) = (&task.definition, &served.definition);
    let same = match served.cache_key {
        Some(_) => task.cache_key == served.cache_key,
        None => (&its.package, &its.module, &its.name) == (&wanted.package, &wanted.module, &wanted.name),
    };
    let is_copy = task.state == State::Cached.name();
    same && succeeded(task) && !is_copy && task.ended <= served.ended
}
