//! What a plan comes to that shares nothing, worked out by recursion over the plan instead of by running it.
//!
//! A run is worked out to its end as if nobody stopped it, and then cut off at the moment at which somebody does.

mod body;
mod flow;
mod memo;
mod task;
mod trace;

use std::collections::BTreeMap;

use flowkit::{ErrorKind, State};

use self::memo::Scope;
use crate::check::Case;
use crate::history::What;
use crate::plan::Plan;
use crate::simulate::Part;

/// How one run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Course {
    submitted: u64,
    ended: u64,
    state: State,
    attempts: usize,
}

/// The error of a run.
#[derive(Debug, Clone, Copy)]
struct Failure {
    kind: ErrorKind,
    /// Whether it follows from a cancelled run, through runs that did not begin.
    cancelled: bool,
}

impl Failure {
    fn of(kind: ErrorKind) -> Self {
        Self {
            kind,
            cancelled: kind == ErrorKind::Cancelled,
        }
    }
}

/// How a body ends.
enum End {
    Value,
    /// With an error of its own, or one that it passes on.
    Error(Option<Failure>),
    Panic,
    TimedOut,
}

/// Works out one plan.
struct Model<'a> {
    plan: &'a Plan,
    next_value: u64,
    /// Whether two moments fell together, so that either may come first.
    is_tied: bool,
}

impl Model<'_> {
    fn value(&mut self) -> u64 {
        self.next_value += 1;
        self.next_value
    }

    /// Whether `one` comes before `other`, which must not fall together.
    fn is_before(&mut self, one: u64, other: u64) -> bool {
        self.is_tied |= one == other;
        one < other
    }
}

/// Compares what happened with what the model says, if it can say anything. Says whether it could.
pub(crate) fn compare(part: &Part, troubles: &mut Vec<String>) -> bool {
    if !part.plan.exact {
        return false;
    }
    let mut model = Model {
        plan: &part.plan,
        next_value: 0,
        is_tied: false,
    };
    let root = model.flow(0, 0, &mut Scope::default());
    if model.is_tied {
        return false;
    }
    let mut foretold = BTreeMap::new();
    root.list(&mut foretold);
    let case = Case::of(part);
    let began = part
        .lines
        .iter()
        .find(|line| matches!(line.what, What::FlowBegan { .. }));
    let began = began.map_or(0, |line| line.at.as_millis() as u64);
    let mut happened = BTreeMap::<String, Vec<Course>>::new();
    for run in case.runs.values() {
        if case.call(&run.name).is_some() || case.flow(&run.name).is_some() {
            let (Some(first), Some(last)) = (run.changes.first(), run.changes.last()) else {
                continue;
            };
            happened.entry(run.name.clone()).or_default().push(Course {
                submitted: first.at.as_millis() as u64 - began,
                ended: last.at.as_millis() as u64 - began,
                state: last.to,
                attempts: run.attempts(),
            });
        }
    }
    for line in &part.lines {
        if let What::FlowEnded { flow, state, .. } = line.what
            && let Some(record) = part.records.iter().find(|record| record.id == flow)
        {
            let attempts = record.attempts;
            happened.entry("f0".into()).or_default().push(Course {
                submitted: 0,
                ended: line.at.as_millis() as u64 - began,
                state,
                attempts: attempts as usize,
            });
        }
    }
    happened.values_mut().for_each(|runs| runs.sort());
    for name in happened.keys().chain(foretold.keys()) {
        let (did, should) = (happened.get(name), foretold.get(name));
        if did != should {
            troubles.push(format!("{name}: the model says {should:?}, it was {did:?}"));
            break;
        }
    }
    true
}
