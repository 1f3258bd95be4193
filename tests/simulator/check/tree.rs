//! What a run called does not begin another attempt once that run's attempt has failed or the run was cancelled.

use std::collections::BTreeMap;

use flowkit::{FlowRunId, RunRecord, State, TaskRunId};

use super::{Case, Change, Run, begins};
use crate::history::What;

/// Who called whom.
pub(super) struct Parents {
    /// By flow run and node: the run that called it; none for what the flow's body called.
    nodes: BTreeMap<(FlowRunId, u32), Option<TaskRunId>>,
    /// The run that stands for a subflow in the flow above.
    flows: BTreeMap<FlowRunId, Option<TaskRunId>>,
}

impl Parents {
    pub(super) fn in_case(case: &Case<'_>) -> Self {
        let mut parents = Self {
            nodes: BTreeMap::new(),
            flows: BTreeMap::new(),
        };
        for record in &case.part.records {
            parents.read(record);
        }
        parents
    }

    /// Whether a run above this one in its flow run failed an attempt after this one was submitted, and made another: then
    /// what failed below belongs to that attempt.
    pub(super) fn retried_above(&self, case: &Case<'_>, id: TaskRunId) -> bool {
        let submitted = case.runs.get(&id).map_or(0, created);
        let above = std::iter::successors(self.of(id), |above| self.of(*above));
        let above = above.take_while(|above| above.flow_run() == id.flow_run());
        let mut runs = above.filter_map(|above| case.runs.get(&above));
        runs.any(|run| {
            let retried = |change: &Change| change.to == State::AwaitingRetry && change.line > submitted;
            run.changes.iter().any(retried)
        })
    }

    fn read(&mut self, record: &RunRecord) {
        for task in &record.tasks {
            self.nodes.insert((record.id, task.id.node()), task.parent);
            if let Some(subflow) = &task.subflow {
                self.flows.insert(subflow.id, Some(task.id));
                self.read(subflow);
            }
        }
    }

    fn of(&self, id: TaskRunId) -> Option<TaskRunId> {
        let called_by = self.nodes.get(&(id.flow_run(), id.node()))?;
        called_by.or_else(|| self.flows.get(&id.flow_run()).copied().flatten())
    }
}

pub(super) fn check(case: &Case<'_>, troubles: &mut Vec<String>) {
    let parents = Parents::in_case(case);
    // A fan-out as a whole is said to run for a moment, to come to its end.
    let whole = |run: &Run| case.call(&run.name).is_none() && case.flow(&run.name).is_none();
    for (id, run) in case.runs.iter().filter(|(_, run)| !whole(run)) {
        for start in run.changes.iter().filter(|change| change.begins()) {
            if let Some(above) = stopped_above(case, &parents, *id, start.line) {
                troubles.push(format!(
                    "line {}: {} begins an attempt, and {above} above it was stopped",
                    start.line, run.name
                ));
            }
        }
    }
    check_cancelled(case, whole, troubles);
    check_flow_retries(case, troubles);
}

/// A run above this one whose attempt, or which itself, was stopped after this one was submitted and before `line`.
fn stopped_above<'a>(case: &'a Case<'_>, parents: &Parents, id: TaskRunId, line: usize) -> Option<&'a str> {
    let mut below = id;
    while let Some(above) = parents.of(below) {
        let submitted = case.runs.get(&below).map_or(0, created);
        let run = case.runs.get(&above)?;
        let stopped = run.changes.iter().any(|change| {
            let ends = change.to.is_failure() || matches!(change.to, State::AwaitingRetry | State::Cancelled);
            ends && (submitted..line).contains(&change.line)
        });
        if stopped {
            return Some(&run.name);
        }
        below = above;
    }
    None
}

fn created(run: &Run) -> usize {
    run.changes.first().map_or(0, |change| change.line)
}

/// After it was asked to end, nothing of a run begins.
fn check_cancelled(case: &Case<'_>, whole: impl Fn(&Run) -> bool, troubles: &mut Vec<String>) {
    for (asked, line) in case.lines.iter().enumerate() {
        let late = |id: &TaskRunId| match &line.what {
            What::Cancel { id: cancelled } => {
                let whole = cancelled.item().is_none()
                    && (cancelled.flow_run(), cancelled.node()) == (id.flow_run(), id.node());
                whole || cancelled == id
            }
            What::CancelFlow { flow } => *flow == id.flow_run(),
            _ => false,
        };
        for (index, later) in case.lines.iter().enumerate().skip(asked) {
            if let What::Changed { id, from, to, .. } = &later.what
                && begins(*from, *to)
                && late(id)
                && case.runs.get(id).is_some_and(|run| !whole(run))
            {
                troubles.push(format!("line {index}: cancelled in line {asked}, and begins"));
            }
        }
    }
}

/// What an attempt of a flow submitted does not begin after that attempt failed.
fn check_flow_retries(case: &Case<'_>, troubles: &mut Vec<String>) {
    for (failed, line) in case.lines.iter().enumerate() {
        let What::Retry { id: root, name, .. } = &line.what else {
            continue;
        };
        if case.flow(name) != Some(0) {
            continue;
        }
        for (id, run) in &case.runs {
            let late = run
                .changes
                .iter()
                .any(|change| change.begins() && change.line > failed);
            if id.flow_run() == root.flow_run() && created(run) < failed && late {
                troubles.push(format!(
                    "{} begins after the attempt of its flow failed in line {failed}",
                    run.name
                ));
            }
        }
    }
}
