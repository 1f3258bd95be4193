//! A transaction is done as a whole or not at all: what completed in it is committed in the order of completion, or undone in the reverse
//! order, each once and never both; and all of that before the transaction ends.

use std::collections::BTreeMap;

use flowkit::{State, TaskRunId};

use super::Case;
use crate::history::{GroupEnd, What};
use crate::plan::Call;

#[derive(Debug, Default)]
struct Group {
    /// The one that it commits with.
    around: Option<u64>,
    /// What has completed in it, and in those that have committed with it.
    completed: Vec<TaskRunId>,
    /// Whether its body has returned a value.
    decides: bool,
    end: Option<(usize, GroupEnd)>,
    /// Whether what completed is another's by now.
    is_taken_over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Committed,
    Undone,
}

pub(super) fn check(case: &Case<'_>, troubles: &mut Vec<String>) {
    let mut groups = BTreeMap::<u64, Group>::new();
    // Where a run belongs, by its last attempt.
    let mut members = BTreeMap::<TaskRunId, u64>::new();
    let mut called = Vec::new();
    for (index, line) in case.lines.iter().enumerate() {
        match &line.what {
            What::GroupBegan { group, around } => groups.entry(*group).or_default().around = *around,
            What::GroupDecides { group } => groups.entry(*group).or_default().decides = true,
            What::GroupEnded { group, how } => end(&mut groups, *group, index, *how),
            What::BodyBegan { id, group, .. } => {
                let Some(group) = group else { continue };
                let run = id.and_then(|id| case.runs.get(&id));
                // One that blocks begins when its thread is free, until its run has been dropped.
                let blocks = run
                    .and_then(|run| case.call(&run.name))
                    .is_some_and(|call| call.blocks);
                if !blocks && groups.get(group).is_some_and(|group| group.end.is_some()) {
                    troubles.push(format!("line {index}: a body begins after its transaction ended"));
                }
                members.extend(id.map(|id| (id, *group)));
            }
            What::Changed {
                id,
                to: State::Completed,
                ..
            } => {
                if let Some(group) = members.get(id).and_then(|group| groups.get_mut(group)) {
                    group.completed.push(*id);
                }
            }
            What::Committed { id } => called.push((index, *id, Done::Committed)),
            What::RolledBack { id } => called.push((index, *id, Done::Undone)),
            _ => {}
        }
    }
    for (number, group) in groups.iter().filter(|(_, group)| !group.is_taken_over) {
        check_group(case, *number, group, &called, troubles);
    }
    check_alone(case, &members, &called, troubles);
}

fn end(groups: &mut BTreeMap<u64, Group>, number: u64, index: usize, how: GroupEnd) {
    let Some(group) = groups.get_mut(&number) else {
        return;
    };
    group.end = Some((index, how));
    if how == GroupEnd::Returned
        && let Some(around) = group.around
    {
        group.is_taken_over = true;
        let completed = group.completed.clone();
        groups.entry(around).or_default().completed.extend(completed);
    }
}

fn check_group(
    case: &Case<'_>,
    number: u64,
    group: &Group,
    called: &[(usize, TaskRunId, Done)],
    troubles: &mut Vec<String>,
) {
    let Some((ended, how)) = group.end else {
        troubles.push(format!("the transaction {number} has not ended"));
        return;
    };
    let own = called.iter().filter(|(_, id, _)| group.completed.contains(id));
    let told: Vec<_> = own.clone().map(|(_, id, done)| (*id, *done)).collect();
    let hooked = group.completed.iter().filter(|id| {
        let run = case.runs.get(id);
        run.and_then(|run| case.call(&run.name))
            .is_some_and(Call::is_hooked)
    });
    let commit: Vec<_> = hooked.clone().map(|id| (*id, Done::Committed)).collect();
    let undo: Vec<_> = hooked.rev().map(|id| (*id, Done::Undone)).collect();
    let fits = match how {
        GroupEnd::Returned => told == commit,
        GroupEnd::Failed => told == undo,
        // It may have been decided already.
        GroupEnd::Dropped => told == undo || (group.decides && told == commit),
    };
    if !fits {
        let expected = if how == GroupEnd::Returned { &commit } else { &undo };
        let words = |calls: &[(TaskRunId, Done)]| {
            let words = calls.iter().map(|(id, done)| format!("{id} {done:?}"));
            words.collect::<Vec<_>>().join(", ")
        };
        troubles.push(format!(
            "the transaction {number} {how:?}, its hooks were called [{}] and not [{}]",
            words(&told),
            words(expected)
        ));
    }
    if how != GroupEnd::Dropped && own.clone().any(|(line, ..)| *line > ended) {
        troubles.push(format!(
            "a hook is called after the end of the transaction {number}"
        ));
    }
    let undone = how == GroupEnd::Failed || (how == GroupEnd::Dropped && !group.decides);
    for id in &group.completed {
        let state = case.runs.get(id).map(super::Run::state);
        if (undone && state != Some(State::RolledBack))
            || (how == GroupEnd::Returned && state != Some(State::Completed))
        {
            troubles.push(format!(
                "the transaction {number} {how:?}, and {id} in it ended as {state:?}"
            ));
        }
    }
}

/// What is in no transaction commits when it completes, and is not undone.
fn check_alone(
    case: &Case<'_>,
    members: &BTreeMap<TaskRunId, u64>,
    called: &[(usize, TaskRunId, Done)],
    troubles: &mut Vec<String>,
) {
    for (id, run) in &case.runs {
        let own: Vec<_> = called
            .iter()
            .filter(|(_, of, _)| of == id)
            .map(|(_, _, done)| *done)
            .collect();
        let hooked = case.call(&run.name).is_some_and(Call::is_hooked);
        let completed = run.count(State::Completed) > 0;
        let fits = match (members.contains_key(id), completed && hooked) {
            (_, false) => own.is_empty(),
            (false, true) => own == [Done::Committed],
            (true, true) => own.len() <= 1,
        };
        if !fits {
            troubles.push(format!("{} ({id}): its hooks were told {own:?}", run.name));
        }
    }
}
