//! A journal in memory: for tests, and for runtimes without a directory.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use crate::finished::{Belonging, Finished, Gathering};
use crate::record::{
    AnswerRow, AttemptRow, DefinitionRow, Digest, FlowRow, LogRow, Record, RunNo, Spot, TaskRow, Timestamp,
};
use crate::store::{
    Beginning, ItemCount, JournalResult, JournalSize, JournalStore, Pruned, Retention, RunFilter, StoredEdge,
    StoredFlow, StoredLog, StoredTask,
};

mod pruning;

/// Keeps a journal in memory. Nothing outlives it.
#[derive(Debug, Default)]
pub struct MemoryJournal(Mutex<Rows>);

#[derive(Debug, Default, Clone)]
struct Rows {
    flows: BTreeMap<RunNo, FlowRow>,
    tasks: BTreeMap<Spot, TaskRow>,
    attempts: BTreeMap<(RunNo, Option<Spot>, u32), AttemptRow>,
    /// To, from, and the parameter.
    edges: BTreeSet<(Spot, Spot, Option<&'static str>)>,
    /// By the turn in which they were written.
    logs: BTreeMap<u64, LogRow>,
    next_log: u64,
    answers: BTreeMap<Digest, AnswerRow>,
    /// The largest number that ever was.
    last_run: Option<RunNo>,
}

impl MemoryJournal {
    /// An empty journal.
    pub fn new() -> Self {
        Self::default()
    }

    /// A journal of its own with what this one holds now: what a process would leave that died in this moment.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        Self(Mutex::new(self.lock().clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the rows now, and answers when it is awaited.
    fn with<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Rows) -> T,
    ) -> BoxFuture<'static, JournalResult<T>> {
        ready(Ok(ask(&mut self.lock()))).boxed()
    }
}

/// Every task run of a life, items among them.
pub(super) fn spots_of(run: RunNo) -> std::ops::RangeInclusive<Spot> {
    let spot = |node, item| Spot { run, node, item };
    spot(0, None)..=spot(u32::MAX, Some(u32::MAX))
}

impl Rows {
    fn begin(&mut self, now: Timestamp, crashed: &'static str) -> Beginning {
        let mut ids = Vec::new();
        for flow in self.flows.values_mut().filter(|flow| flow.ended.is_none()) {
            (flow.state, flow.ended) = (crashed, Some(now));
            if flow.parent.is_none() {
                ids.push(flow.id);
            }
        }
        for task in self.tasks.values_mut().filter(|task| task.ended.is_none()) {
            (task.state, task.ended) = (crashed, Some(now));
        }
        let next = self.last_run.map_or(1, |last| last.0 + 1);
        Beginning {
            next_run: RunNo(next),
            crashed: ids,
        }
    }

    fn write(&mut self, record: &Record) {
        match record {
            Record::Flow(flow) => {
                self.last_run = self.last_run.max(Some(flow.no));
                self.flows.insert(flow.no, (**flow).clone());
            }
            Record::Task(task) => drop(self.tasks.insert(task.spot, (**task).clone())),
            Record::Attempt(attempt) => {
                let place = (attempt.run, attempt.task, attempt.attempt);
                self.attempts.insert(place, (**attempt).clone());
            }
            Record::Edge(edge) => drop(self.edges.insert((edge.to, edge.from, edge.parameter))),
            Record::Log(log) => {
                self.logs.insert(self.next_log, (**log).clone());
                self.next_log += 1;
            }
            Record::Answer(answer) => drop(self.answers.insert(answer.place, (**answer).clone())),
        }
    }

    /// The last lives of flow runs that have no flow above them, by number.
    fn last_lives(&self) -> impl DoubleEndedIterator<Item = &FlowRow> {
        let mut last: BTreeMap<u128, &FlowRow> = BTreeMap::new();
        for flow in self.flows.values().filter(|flow| flow.parent.is_none()) {
            let known = last.entry(flow.id).or_insert(flow);
            if flow.life > known.life {
                *known = flow;
            }
        }
        let by_number: BTreeMap<RunNo, &FlowRow> = last.into_values().map(|flow| (flow.no, flow)).collect();
        by_number.into_values()
    }

    fn flows(&self, filter: &RunFilter) -> Vec<StoredFlow> {
        let wanted = |flow: &&FlowRow| {
            filter
                .flow
                .as_ref()
                .is_none_or(|name| *name == flow.definition.name)
                && filter.state.as_ref().is_none_or(|state| *state == flow.state)
                && filter.since.is_none_or(|since| flow.created >= since)
                && filter.until.is_none_or(|until| flow.created < until)
        };
        let limit = filter.limit.map_or(usize::MAX, |limit| limit as usize);
        let latest_first = self.last_lives().rev();
        latest_first
            .filter(wanted)
            .take(limit)
            .map(StoredFlow::from)
            .collect()
    }

    fn tasks_of(&self, run: RunNo) -> impl Iterator<Item = &TaskRow> {
        self.tasks.range(spots_of(run)).map(|(_, task)| task)
    }

    fn finished(&self, id: u128) -> Finished {
        let belongings = self.flows.values().map(|flow| Belonging {
            no: flow.no,
            id: flow.id,
            life: flow.life,
            parent: flow.parent,
        });
        let mut gathering = Gathering::of(id, belongings);
        for run in gathering.runs.clone() {
            gathering.add(self.tasks_of(run).map(StoredTask::from).collect());
        }
        gathering.finish()
    }

    fn earlier(&self, definition: &DefinitionRow, before: Timestamp, limit: u32) -> Vec<StoredTask> {
        let same = |task: &&TaskRow| {
            let its = &task.definition;
            (&its.package, &its.module, &its.name)
                == (&definition.package, &definition.module, &definition.name)
        };
        let ended_before = |task: &&TaskRow| task.ended.is_some_and(|ended| ended < before);
        let mut found: Vec<&TaskRow> = self.tasks.values().filter(same).filter(ended_before).collect();
        found.sort_by_key(|task| std::cmp::Reverse((task.ended, task.spot)));
        found
            .into_iter()
            .take(limit as usize)
            .map(StoredTask::from)
            .collect()
    }

    fn size(&self) -> JournalSize {
        let results = self.tasks.values().filter_map(|task| task.result.as_ref());
        JournalSize {
            flow_runs: self.flows.len() as u64,
            task_runs: self.tasks.len() as u64,
            result_bytes: results.map(|result| result.len() as u64).sum(),
            log_bytes: self.logs.values().map(|log| log.message.len() as u64).sum(),
            disk_bytes: 0,
        }
    }
}

impl JournalStore for MemoryJournal {
    fn begin<'a>(&'a self, now: Timestamp, crashed: &'static str) -> BoxFuture<'a, JournalResult<Beginning>> {
        self.with(|rows| rows.begin(now, crashed))
    }

    fn write<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, JournalResult<()>> {
        self.with(|rows| batch.iter().for_each(|record| rows.write(record)))
    }

    fn flow(&self, id: u128) -> BoxFuture<'_, JournalResult<Option<StoredFlow>>> {
        self.with(|rows| {
            let lives = rows.flows.values().filter(|flow| flow.id == id);
            lives
                .max_by_key(|flow| (flow.life, flow.no))
                .map(StoredFlow::from)
        })
    }

    fn lives(&self, id: u128) -> BoxFuture<'_, JournalResult<Vec<StoredFlow>>> {
        self.with(|rows| {
            let lives = rows.flows.values().filter(|flow| flow.id == id);
            let mut lives: Vec<_> = lives.map(StoredFlow::from).collect();
            lives.sort_by_key(|flow| (flow.life, flow.no));
            lives
        })
    }

    fn flows<'a>(&'a self, filter: &'a RunFilter) -> BoxFuture<'a, JournalResult<Vec<StoredFlow>>> {
        self.with(|rows| rows.flows(filter))
    }

    fn tree(&self, root: RunNo) -> BoxFuture<'_, JournalResult<Vec<StoredFlow>>> {
        self.with(|rows| {
            let tree = rows.flows.values().filter(|flow| flow.root == root);
            tree.map(StoredFlow::from).collect()
        })
    }

    fn life(&self, no: RunNo) -> BoxFuture<'_, JournalResult<Option<StoredFlow>>> {
        self.with(|rows| rows.flows.get(&no).map(StoredFlow::from))
    }

    fn task(&self, spot: Spot) -> BoxFuture<'_, JournalResult<Option<StoredTask>>> {
        self.with(|rows| rows.tasks.get(&spot).map(StoredTask::from))
    }

    fn tasks(&self, run: RunNo, items: bool) -> BoxFuture<'_, JournalResult<Vec<StoredTask>>> {
        self.with(|rows| {
            let wanted = rows
                .tasks_of(run)
                .filter(|task| items || task.spot.item.is_none());
            wanted.map(StoredTask::from).collect()
        })
    }

    fn item_counts(&self, run: RunNo) -> BoxFuture<'_, JournalResult<Vec<ItemCount>>> {
        self.with(|rows| {
            let mut counts: BTreeMap<(u32, &str), u64> = BTreeMap::new();
            for task in rows.tasks_of(run).filter(|task| task.spot.item.is_some()) {
                *counts.entry((task.spot.node, task.state)).or_default() += 1;
            }
            let counted = counts.into_iter().map(|((node, state), items)| ItemCount {
                node,
                state: state.to_owned(),
                items,
            });
            counted.collect()
        })
    }

    fn edges(&self, run: RunNo) -> BoxFuture<'_, JournalResult<Vec<StoredEdge>>> {
        self.with(|rows| {
            let edges = rows.edges.iter().filter(|(to, ..)| to.run == run);
            let stored = |(to, from, parameter): &(Spot, Spot, Option<&'static str>)| StoredEdge {
                from: *from,
                to: *to,
                parameter: parameter.map(str::to_owned),
            };
            edges.map(stored).collect()
        })
    }

    fn attempts(&self, run: RunNo) -> BoxFuture<'_, JournalResult<Vec<AttemptRow>>> {
        self.with(|rows| {
            let attempts = rows.attempts.values().filter(|attempt| attempt.run == run);
            attempts.cloned().collect()
        })
    }

    fn logs(&self, run: RunNo, task: Option<Spot>) -> BoxFuture<'_, JournalResult<Vec<StoredLog>>> {
        self.with(|rows| {
            let wanted = |log: &&LogRow| log.run == run && (task.is_none() || log.task == task);
            rows.logs.values().filter(wanted).map(StoredLog::from).collect()
        })
    }

    fn finished(&self, id: u128) -> BoxFuture<'_, JournalResult<Finished>> {
        self.with(|rows| rows.finished(id))
    }

    fn result(&self, spot: Spot) -> BoxFuture<'_, JournalResult<Option<Vec<u8>>>> {
        self.with(|rows| Some(rows.tasks.get(&spot)?.result.as_ref()?.to_vec()))
    }

    fn answer(&self, place: Digest) -> BoxFuture<'_, JournalResult<Option<AnswerRow>>> {
        self.with(|rows| rows.answers.get(&place).cloned())
    }

    fn earlier<'a>(
        &'a self,
        definition: &'a DefinitionRow,
        before: Timestamp,
        limit: u32,
    ) -> BoxFuture<'a, JournalResult<Vec<StoredTask>>> {
        self.with(|rows| rows.earlier(definition, before, limit))
    }

    fn prune<'a>(&'a self, retention: &'a Retention) -> BoxFuture<'a, JournalResult<Pruned>> {
        self.with(|rows| rows.prune(retention))
    }

    fn size(&self) -> BoxFuture<'_, JournalResult<JournalSize>> {
        self.with(|rows| rows.size())
    }
}

/// The runs of every life of these flow runs, and of the subflows below them.
fn trees_of(rows: &Rows, ids: &HashSet<u128>) -> HashSet<RunNo> {
    let roots: HashSet<RunNo> = rows
        .flows
        .values()
        .filter(|flow| flow.parent.is_none() && ids.contains(&flow.id))
        .map(|flow| flow.no)
        .collect();
    let below = rows.flows.values().filter(|flow| roots.contains(&flow.root));
    below.map(|flow| flow.no).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn it_keeps_the_contract() {
        crate::conformance::run_all(&|| {
            let store: Arc<dyn JournalStore> = Arc::new(MemoryJournal::new());
            ready(store).boxed()
        })
        .await;
    }
}
