//! What a journal in memory no longer keeps.

use std::collections::HashSet;

use super::{Rows, spots_of, trees_of};
use crate::record::{FlowRow, RunNo, Spot};
use crate::store::{Pruned, Retention};

/// How many rows go in one slice at most, unless one tree of runs has more.
const SLICE: usize = 500;

impl Rows {
    pub(super) fn prune(&mut self, retention: &Retention) -> Pruned {
        let mut pruned = Pruned::default();
        if let Some(id) = self.surplus(retention) {
            self.remove_tree(id);
            pruned.runs = 1;
        } else if let Some(limit) = retention.result_bytes {
            pruned.results = self.strip(retention, limit);
        }
        if pruned == Pruned::default()
            && let Some(limit) = retention.log_bytes
        {
            pruned.logs = self.trim_logs(retention, limit);
        }
        pruned.more = pruned != Pruned::default();
        pruned
    }

    /// The flow runs that have ended and are not to go on, the one that ended longest ago first.
    fn ended(&self, retention: &Retention) -> Vec<&FlowRow> {
        let is_over = |flow: &&FlowRow| flow.ended.is_some() && !retention.spared.contains(&flow.id);
        let mut ended: Vec<&FlowRow> = self.last_lives().filter(is_over).collect();
        ended.sort_by_key(|flow| (flow.ended, flow.no));
        ended
    }

    /// The next flow run to go, if one must.
    fn surplus(&self, retention: &Retention) -> Option<u128> {
        let ended = self.ended(retention);
        let first = ended.first()?;
        let too_old = retention
            .ended_before
            .is_some_and(|before| first.ended < Some(before));
        let too_many = retention.runs.is_some_and(|runs| ended.len() as u64 > runs);
        (too_old || too_many).then_some(first.id)
    }

    fn remove_tree(&mut self, id: u128) {
        let runs = trees_of(self, &HashSet::from([id]));
        self.flows.retain(|run, _| !runs.contains(run));
        self.tasks.retain(|spot, _| !runs.contains(&spot.run));
        self.attempts.retain(|(run, ..), _| !runs.contains(run));
        self.edges.retain(|(to, ..)| !runs.contains(&to.run));
        self.logs.retain(|_, log| !runs.contains(&log.run));
        self.answers.retain(|_, answer| !runs.contains(&answer.run));
    }

    /// Forgets results until the rest has at most so many bytes.
    fn strip(&mut self, retention: &Retention, limit: u64) -> u64 {
        let trees: Vec<u128> = self.ended(retention).iter().map(|flow| flow.id).collect();
        let mut spots: Vec<(Spot, u64)> = Vec::new();
        for id in trees {
            let mut runs: Vec<RunNo> = trees_of(self, &HashSet::from([id])).into_iter().collect();
            runs.sort_unstable();
            for run in runs {
                let results = self.tasks.range(spots_of(run));
                spots.extend(results.filter_map(|(spot, task)| {
                    Some((*spot, task.result.as_ref()?.len() as u64)).filter(|(_, size)| *size > 0)
                }));
            }
        }
        let mut bytes: u64 = spots.iter().map(|(_, bytes)| bytes).sum();
        let mut stripped = 0;
        for (spot, size) in spots.into_iter().take(SLICE) {
            if bytes <= limit {
                break;
            }
            if let Some(task) = self.tasks.get_mut(&spot) {
                task.result = None;
            }
            bytes -= size;
            stripped += 1;
        }
        stripped
    }

    /// Forgets lines until the rest has at most so many bytes.
    fn trim_logs(&mut self, retention: &Retention, limit: u64) -> u64 {
        let ids: HashSet<u128> = self.ended(retention).iter().map(|flow| flow.id).collect();
        let runs = trees_of(self, &ids);
        let of_ended = self.logs.iter().filter(|(_, log)| runs.contains(&log.run));
        let lines: Vec<(u64, u64)> = of_ended
            .map(|(turn, log)| (*turn, log.message.len() as u64))
            .collect();
        let mut bytes: u64 = lines.iter().map(|(_, bytes)| bytes).sum();
        let mut removed = 0;
        for (turn, size) in lines.into_iter().take(SLICE) {
            if bytes <= limit {
                break;
            }
            self.logs.remove(&turn);
            bytes -= size;
            removed += 1;
        }
        removed
    }
}
