//! Every run goes along the table of states to exactly one end, and its attempts are counted right.

use flowkit::{RunRecord, State};

use super::Case;

pub(super) fn check(case: &Case<'_>, troubles: &mut Vec<String>) {
    for (id, run) in &case.runs {
        let mut say = |what: String| troubles.push(format!("{} ({id}): {what}", run.name));
        let mut state = None;
        let mut attempts = 0;
        for change in &run.changes {
            // An item of a fan-out whose turn never came is told of first by its end.
            let first = state.is_none() && change.from == Some(State::Pending);
            if change.from != state && !first {
                say(format!("left {:?}, was in {state:?}", change.from));
            }
            match change.from {
                None if change.to != State::Pending => say(format!("begins as {}", change.to)),
                Some(from) if !from.may_become(change.to) => {
                    say(format!("went from {from} to {}", change.to));
                }
                _ => {}
            }
            if change.begins() {
                attempts += 1;
                if change.attempt != attempts {
                    say(format!("attempt {attempts} is counted as {}", change.attempt));
                }
            }
            state = Some(change.to);
        }
        if !run.state().is_terminal() {
            say(format!("ended nowhere: {}", run.state()));
        }
        if case.plan.sound && !run.state().is_success() {
            say(format!("nothing was wrong, and it ended as {}", run.state()));
        }
        let retries = case.call(&run.name).map(|call| call.options.retries);
        if retries.is_some_and(|retries| attempts > retries + 1) {
            say(format!("{attempts} attempts"));
        }
    }
    for record in &case.part.records {
        agrees(case, record, troubles);
    }
}

/// The record says what the events said.
fn agrees(case: &Case<'_>, record: &RunRecord, troubles: &mut Vec<String>) {
    for task in &record.tasks {
        let Some(run) = case.runs.get(&task.id) else {
            troubles.push(format!(
                "{} ({}) is in the record, and no event told of it",
                task.name, task.id
            ));
            continue;
        };
        if run.state() != task.state || run.attempts() != task.attempts as usize {
            troubles.push(format!(
                "{} ({}): the record says {} after {}, the events {} after {}",
                task.name,
                task.id,
                task.state,
                task.attempts,
                run.state(),
                run.attempts()
            ));
        }
        if let Some(subflow) = &task.subflow {
            agrees(case, subflow, troubles);
        }
    }
}
