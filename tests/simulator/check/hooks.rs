//! Hooks are called once for every attempt and every end, in that order, and before the end of the flow.

use std::collections::{BTreeMap, BTreeSet};

use flowkit::{State, TaskRunId};

use super::{Case, Change};
use crate::history::What;
use crate::plan::Gates;

pub(super) fn check(case: &Case<'_>, gates: &Gates, troubles: &mut Vec<String>) {
    let mut called = BTreeMap::<TaskRunId, Vec<State>>::new();
    let mut ended = BTreeSet::new();
    for (index, line) in case.lines.iter().enumerate() {
        match &line.what {
            What::FlowEnded { flow, .. } => {
                ended.insert(*flow);
            }
            What::Hook { id, state } => {
                // Those of a subflow are called beside its end.
                let of_task = case
                    .runs
                    .get(id)
                    .is_some_and(|run| case.call(&run.name).is_some());
                if of_task && ended.contains(&id.flow_run()) {
                    troubles.push(format!(
                        "line {index}: a hook is called after the end of the flow"
                    ));
                }
                called.entry(*id).or_default().push(*state);
            }
            _ => {}
        }
    }
    for (id, run) in case.runs.iter().filter(|(_, run)| case.call(&run.name).is_some()) {
        let worth_telling = |change: &&Change| change.begins() || change.to.is_terminal();
        // For what did not begin there is no hook, but for its being cancelled.
        let states = run.changes.iter().filter(worth_telling).map(|change| change.to);
        let states: Vec<_> = states
            .filter(|state| !matches!(state, State::UpstreamFailed | State::RolledBack) && gates.hooks)
            .collect();
        let told = called.remove(id).unwrap_or_default();
        if told != states {
            troubles.push(format!(
                "{} ({id}) went through {states:?}, its hooks were told {told:?}",
                run.name
            ));
        }
    }
}
