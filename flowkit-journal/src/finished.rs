//! What earlier lives of a flow run left, and how much of it is missing: what can no longer be read must not count as what never was.
//!
//! A row that does not verify is seen when it is read. One that is not found at all leaves a gap: lives are numbered from 1, the nodes of a life from 0, and
//! a subflow that began has a flow run of its own, whose row was written before.

use std::collections::BTreeSet;

use crate::record::{Effect, NodeKind, RunNo, Spot};
use crate::store::StoredTask;

/// What earlier lives of a flow run left behind: see [`JournalStore::finished`](crate::JournalStore::finished).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    /// The task runs, in the order of their spots.
    pub tasks: Vec<StoredTask>,
    /// How many rows of these lives cannot be read, or are missing where one must have been, as far as that can be told. While it is not 0, a call that is not
    /// among the task runs may have been made all the same.
    pub unreadable: u64,
}

/// Of a flow run's row what tells where it belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Belonging {
    pub(crate) no: RunNo,
    pub(crate) id: u128,
    pub(crate) life: u32,
    pub(crate) parent: Option<Spot>,
}

/// Puts together what is finished, life after life.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    finished: Finished,
    /// The lives of the flow run, and the runs of subflows below it.
    pub(crate) runs: BTreeSet<RunNo>,
    /// Where the runs of subflows stand in the flows that called them.
    entered: BTreeSet<Spot>,
}

impl Gathering {
    /// Begins with the flow runs of some trees, in order: which of them are lives of the one with this id, or lie below them.
    pub(crate) fn of(id: u128, flows: impl IntoIterator<Item = Belonging>) -> Self {
        let mut gathering = Self::default();
        let mut lives: BTreeSet<u32> = BTreeSet::new();
        for flow in flows {
            // Whatever is called has a larger number than its caller.
            let is_below = flow
                .parent
                .is_some_and(|parent| gathering.runs.contains(&parent.run));
            if flow.id != id && !is_below {
                continue;
            }
            gathering.runs.insert(flow.no);
            gathering.entered.extend(flow.parent);
            // A subflow may have been called for the first time in a later life of the flow above.
            if flow.id == id && flow.parent.is_none() {
                lives.insert(flow.life);
            }
        }
        let last = lives.last().copied().unwrap_or(0);
        gathering.miss(u64::from(last).saturating_sub(lives.len() as u64));
        gathering
    }

    /// So many rows cannot be read.
    pub(crate) fn miss(&mut self, rows: u64) {
        self.finished.unreadable = self.finished.unreadable.saturating_add(rows);
    }

    /// All rows of the next of the runs that can be read, in order.
    pub(crate) fn add(&mut self, rows: Vec<StoredTask>) {
        let (mut next_node, mut gone) = (0, 0);
        let mut rows = rows.into_iter().peekable();
        while let Some(task) = rows.next() {
            let node = u64::from(task.spot.node);
            if node >= next_node {
                gone += node - next_node + u64::from(task.spot.item.is_some());
                next_node = node + 1;
            }
            let has_begun = task.kind == NodeKind::Subflow && task.started.is_some();
            gone += u64::from(has_begun && !self.entered.contains(&task.spot));
            let is_fan_out = task.kind == NodeKind::FanOut && task.spot.item.is_none();
            let has_items = rows.peek().is_some_and(|next| next.spot.node == task.spot.node);
            if task.has_result || task.effect != Effect::None || (is_fan_out && has_items) {
                self.finished.tasks.push(task);
            }
        }
        self.miss(gone);
    }

    pub(crate) fn finish(self) -> Finished {
        self.finished
    }
}
