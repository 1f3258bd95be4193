//! An attempt is one run of a body, a body is never in two attempts at once, and none runs after its flow has ended.

use std::collections::{BTreeMap, BTreeSet};

use flowkit::{FlowRunId, State, TaskRunId};

use super::{Case, Change};
use crate::history::What;

pub(super) fn check(case: &Case<'_>, troubles: &mut Vec<String>) {
    let mut inside = BTreeSet::new();
    let mut begun = BTreeMap::new();
    let mut ended = BTreeMap::new();
    for (index, line) in case.lines.iter().enumerate() {
        match &line.what {
            What::BodyBegan {
                id, flow, attempt, ..
            } => {
                if !inside.insert((*flow, *id)) {
                    troubles.push(format!("line {index}: a body is in two attempts at once"));
                }
                if ended.contains_key(flow) {
                    troubles.push(format!("line {index}: a body begins after its flow ended"));
                }
                let begun = begun.entry((*flow, *id)).or_insert(0);
                check_attempt(case, index, *id, *attempt, begun, troubles);
            }
            What::BodyEnded { id, flow, .. } => {
                inside.remove(&(*flow, *id));
            }
            What::FlowBegan { flow, .. } if ended.contains_key(flow) => {
                troubles.push(format!("line {index}: a flow begins after its end"));
            }
            What::FlowEnded { flow, state, .. } => {
                if ended.insert(*flow, *state).is_some() {
                    troubles.push(format!("line {index}: a flow ends twice"));
                }
                let working = inside.iter().filter(|(of, _)| of == flow).count();
                if working > 0 {
                    troubles.push(format!("line {index}: {working} bodies are at work still"));
                }
            }
            // What a transaction undoes may have ended long before.
            What::Changed { id, to, .. }
                if *to != State::RolledBack && ended.contains_key(&id.flow_run()) =>
            {
                troubles.push(format!("line {index}: the flow had ended"));
            }
            _ => {}
        }
    }
    if !inside.is_empty() {
        troubles.push(format!("bodies are at work when all is over: {inside:?}"));
    }
    check_numbers(case, &begun, troubles);
}

/// A body that begins is the attempt of its run of that moment, and the next one.
fn check_attempt(
    case: &Case<'_>,
    index: usize,
    id: Option<TaskRunId>,
    attempt: u32,
    begun: &mut u32,
    troubles: &mut Vec<String>,
) {
    *begun += 1;
    let run = id.and_then(|id| case.runs.get(&id));
    // What blocks may be given up before its body begins, and then that does not begin.
    if run
        .and_then(|run| case.call(&run.name))
        .is_some_and(|call| call.blocks)
    {
        *begun = attempt;
    }
    let before = |change: &&Change| change.line < index;
    let now = run.and_then(|run| run.changes.iter().rfind(before));
    if now.is_some_and(|now| now.to != State::Running || now.attempt != attempt) {
        troubles.push(format!("line {index}: a body begins, and its run does not run"));
    }
    if *begun != attempt {
        troubles.push(format!("line {index}: body {begun} of attempt {attempt}"));
    }
}

/// There are as many bodies as attempts.
fn check_numbers(
    case: &Case<'_>,
    begun: &BTreeMap<(FlowRunId, Option<TaskRunId>), u32>,
    troubles: &mut Vec<String>,
) {
    for (id, run) in &case.runs {
        let bodies = begun.get(&(id.flow_run(), Some(*id))).copied().unwrap_or(0);
        if case.call(&run.name).is_some_and(|call| !call.blocks) && bodies as usize != run.attempts() {
            troubles.push(format!(
                "{} ({id}): {bodies} bodies in {} attempts",
                run.name,
                run.attempts()
            ));
        }
    }
}
