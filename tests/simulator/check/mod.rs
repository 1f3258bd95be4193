//! What must be true of every history, whatever the plan.

mod bodies;
mod breaker;
mod cache;
mod ends;
mod hooks;
pub(crate) mod journal;
mod pace;
mod retries;
mod shutdown;
mod states;
mod transactions;
mod tree;

use std::collections::BTreeMap;
use std::time::Duration;

use flowkit::{State, TaskRunId};

use crate::history::{Line, What};
use crate::model;
use crate::plan::{Call, Plan};
use crate::simulate::{Part, Simulated};

/// What came of looking at a simulation.
pub(crate) struct Verdict {
    /// Everything that is wrong with it.
    pub(crate) troubles: Vec<String>,
    /// Whether the model could tell the course of the plan with faults.
    pub(crate) is_foretold: bool,
}

pub(crate) fn verdict(simulated: &Simulated) -> Verdict {
    let mut troubles = simulated.troubles.clone();
    let mut is_foretold = false;
    for part in &simulated.parts {
        let case = Case::of(part);
        states::check(&case, &mut troubles);
        bodies::check(&case, &mut troubles);
        tree::check(&case, &mut troubles);
        pace::check(&case, &simulated.gates, &mut troubles);
        ends::check(&case, &mut troubles);
        hooks::check(&case, &simulated.gates, &mut troubles);
        transactions::check(&case, &mut troubles);
        shutdown::check(&case, &mut troubles);
        is_foretold |= model::compare(part, &mut troubles);
    }
    retries::check(simulated, &mut troubles);
    breaker::check(simulated, &mut troubles);
    cache::check(simulated, &mut troubles);
    Verdict {
        troubles,
        is_foretold,
    }
}

/// One part of a simulation, with its changes of state sorted by run.
pub(crate) struct Case<'a> {
    pub(crate) part: &'a Part,
    pub(crate) plan: &'a Plan,
    pub(crate) lines: &'a [Line],
    pub(crate) runs: BTreeMap<TaskRunId, Run>,
}

/// What became of one run.
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) changes: Vec<Change>,
}

pub(crate) struct Change {
    /// The index of its line.
    pub(crate) line: usize,
    pub(crate) at: Duration,
    pub(crate) from: Option<State>,
    pub(crate) to: State,
    pub(crate) attempt: u32,
}

impl Change {
    /// Whether an attempt begins.
    pub(crate) fn begins(&self) -> bool {
        begins(self.from, self.to)
    }
}

/// Whether an attempt begins with this change: one that was paused goes on.
pub(crate) fn begins(from: Option<State>, to: State) -> bool {
    to == State::Running && from != Some(State::Paused)
}

impl Run {
    /// The state it is in at the end.
    pub(crate) fn state(&self) -> State {
        self.changes.last().map_or(State::Scheduled, |change| change.to)
    }

    /// How many attempts have begun.
    pub(crate) fn attempts(&self) -> usize {
        self.changes.iter().filter(|change| change.begins()).count()
    }

    pub(crate) fn count(&self, state: State) -> usize {
        self.changes.iter().filter(|change| change.to == state).count()
    }
}

impl<'a> Case<'a> {
    pub(crate) fn of(part: &'a Part) -> Self {
        let mut runs = BTreeMap::<TaskRunId, Run>::new();
        for (line, Line { at, what }) in part.lines.iter().enumerate() {
            if let What::Changed {
                id,
                name,
                from,
                to,
                attempt,
                ..
            } = what
            {
                let run = runs.entry(*id).or_insert_with(|| Run {
                    name: name.clone(),
                    changes: Vec::new(),
                });
                run.changes.push(Change {
                    line,
                    at: *at,
                    from: *from,
                    to: *to,
                    attempt: *attempt,
                });
            }
        }
        Self {
            part,
            plan: &part.plan,
            lines: &part.lines,
            runs,
        }
    }

    /// The call that a run of this name is of; none for subflows and fan-outs as wholes.
    pub(crate) fn call(&self, name: &str) -> Option<&'a Call> {
        call_of(self.plan, name)
    }

    /// The index of the flow that a run of this name is of.
    pub(crate) fn flow(&self, name: &str) -> Option<usize> {
        name.strip_prefix('f')?.parse().ok()
    }
}

pub(crate) fn call_of<'a>(plan: &'a Plan, name: &str) -> Option<&'a Call> {
    let index: usize = name.strip_prefix('t')?.parse().ok()?;
    plan.calls.get(index)
}
