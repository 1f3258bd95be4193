//! A history in words.

use std::collections::BTreeMap;
use std::fmt::Write;

use flowkit::{FlowRunId, TaskRunId};

use crate::history::{Line, What};

/// A history in words. Flow runs are numbered in the order in which they began.
pub(crate) fn in_words(lines: &[Line]) -> String {
    let mut words = Words(BTreeMap::new());
    let mut text = String::new();
    for (index, Line { at, what }) in lines.iter().enumerate() {
        if let What::FlowBegan { flow, .. } = what {
            let number = words.0.len();
            words.0.entry(*flow).or_insert(number);
        }
        let said = words.of_engine(what);
        let _ = writeln!(text, "{index:>4} {:>9} ms  {said}", at.as_secs_f64() * 1e3);
    }
    text
}

/// The numbers of flow runs.
struct Words(BTreeMap<FlowRunId, usize>);

impl Words {
    fn flow(&self, id: &FlowRunId) -> String {
        let number = self.0.get(id);
        number.map_or_else(|| "F?".to_owned(), |number| format!("F{number}"))
    }

    fn run(&self, id: &TaskRunId) -> String {
        let flow = self.flow(&id.flow_run());
        match id.item() {
            Some(item) => format!("{flow}/{}[{item}]", id.node()),
            None => format!("{flow}/{}", id.node()),
        }
    }

    fn who(&self, id: Option<&TaskRunId>, of: &FlowRunId) -> String {
        id.map_or_else(|| self.flow(of), |id| self.run(id))
    }

    /// What the engine tells of.
    fn of_engine(&self, what: &What) -> String {
        match what {
            What::FlowBegan { flow: id, parent } => match parent {
                Some(parent) => format!("{} begins as {}", self.flow(id), self.run(parent)),
                None => format!("{} begins", self.flow(id)),
            },
            What::FlowEnded {
                flow: id,
                state,
                kind,
            } => format!("{} ends: {state} {kind:?}", self.flow(id)),
            What::Changed {
                id,
                name,
                from,
                to,
                attempt,
                kind,
            } => match from {
                Some(from) => format!(
                    "{} {name}: {from} -> {to}, attempt {attempt} {kind:?}",
                    self.run(id)
                ),
                None => format!("{} {name}: {to}", self.run(id)),
            },
            What::Retry {
                id,
                name,
                attempt,
                delay,
            } => {
                format!(
                    "{} {name}: waits for {delay:?} after attempt {attempt}",
                    self.run(id)
                )
            }
            What::FannedOut { id } => format!("{} is a fan-out", self.run(id)),
            What::Breaker { from, to } => format!("the breaker: {from:?} -> {to:?}"),
            What::Other(said) => said.clone(),
            What::Hook { id, state } => format!("{}: a hook is told that it is {state}", self.run(id)),
            What::Phase(phase) => format!("-- {phase}"),
            other => self.of_bodies(other),
        }
    }

    /// What bodies and those outside do.
    fn of_bodies(&self, what: &What) -> String {
        match what {
            What::BodyBegan {
                id,
                flow,
                attempt,
                group,
            } => match group {
                Some(group) => format!(
                    "{} body begins, attempt {attempt}, in g{group}",
                    self.who(id.as_ref(), flow)
                ),
                None => format!("{} body begins, attempt {attempt}", self.who(id.as_ref(), flow)),
            },
            What::BodyEnded { id, flow, how } => format!("{} body {how}", self.who(id.as_ref(), flow)),
            What::Awaits { id } => format!("{}: somebody awaits it", self.run(id)),
            What::Looked { id } => format!("{}: somebody looks at its failure", self.run(id)),
            What::Cancel { id } => format!("{}: is cancelled", self.run(id)),
            What::CancelFlow { flow: id } => format!("{}: is cancelled", self.flow(id)),
            What::ShutDownAsked { running } => format!("the runtime is to end, {running} flow runs go on"),
            What::ShutDown { cancelled, running } => {
                format!("the runtime has ended, {cancelled} flow runs were cancelled, {running} go on")
            }
            What::Resumed { flow: id, waits } => format!("{}: is resumed, waits: {waits}", self.flow(id)),
            What::GroupBegan { group, around } => format!("g{group} begins in {around:?}"),
            What::GroupDecides { group } => format!("g{group}: its body has returned"),
            What::GroupEnded { group, how } => format!("g{group} ends: {how:?}"),
            What::Committed { id } => format!("{}: its commit hook is called", self.run(id)),
            What::RolledBack { id } => format!("{}: its rollback hook is called", self.run(id)),
            other => format!("{other:?}"),
        }
    }
}
