//! Who waits for whom, as data: what an error of kind `Stalled` carries.

use std::fmt;
use std::sync::Arc;

use crate::ids::TaskRunId;
use crate::state::State;

/// So much of what one run waits for is told in words.
const SHOWN: usize = 5;

/// A run that has not ended, and what it waits for. See [`Error::wait_graph`](crate::Error::wait_graph).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitingRun {
    /// The run. A flow run that no other flow called is named by its flow run alone.
    pub id: TaskRunId,
    /// Its name.
    pub name: Arc<str>,
    /// The state that it was in.
    pub state: State,
    /// What it waited for.
    pub waits_for: Vec<WaitsFor>,
}

/// What a run waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitsFor {
    /// Its body awaits another run.
    Run {
        /// That run.
        id: TaskRunId,
        /// Its name.
        name: Arc<str>,
    },
    /// One of its inputs comes from another run.
    Input {
        /// That run.
        id: TaskRunId,
        /// Its name.
        name: Arc<str>,
        /// The parameter that the input is for.
        parameter: &'static str,
    },
    /// It begins only after another run.
    Order {
        /// That run.
        id: TaskRunId,
        /// Its name.
        name: Arc<str>,
    },
    /// It ends only after a part of it: a run in a flow, an item of a fan-out.
    Part {
        /// That run.
        id: TaskRunId,
        /// Its name.
        name: Arc<str>,
    },
    /// It is not let in yet: slots of a limit, or a permit of a rate limit.
    Gate {
        /// Which.
        name: Arc<str>,
    },
    /// An equal run, whose value it is to share.
    EqualRun,
    /// The next attempt is not due yet.
    Retry,
    /// It is paused.
    Resumption,
    /// Something outside of flowkit: a channel, a socket, a lock, a timer.
    Outside,
}

impl WaitsFor {
    /// The run that it waits for, if it waits for one.
    pub fn run(&self) -> Option<(TaskRunId, &str)> {
        match self {
            Self::Run { id, name }
            | Self::Input { id, name, .. }
            | Self::Order { id, name }
            | Self::Part { id, name } => Some((*id, name)),
            Self::Gate { .. } | Self::EqualRun | Self::Retry | Self::Resumption | Self::Outside => None,
        }
    }
}

/// How a run is called in a sentence: an item of a fan-out by its index too.
pub(crate) fn label(id: TaskRunId, name: &str) -> String {
    match id.item() {
        Some(item) => format!("`{name}` (item {item})"),
        None => format!("`{name}`"),
    }
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run { id, name } => write!(formatter, "waits for {}", label(*id, name)),
            Self::Input { id, name, parameter } => {
                write!(
                    formatter,
                    "waits for its input `{parameter}` from {}",
                    label(*id, name)
                )
            }
            Self::Order { id, name } => write!(formatter, "begins only after {}", label(*id, name)),
            Self::Part { id, name } => write!(formatter, "ends only after {}", label(*id, name)),
            Self::Gate { name } => write!(formatter, "waits for {name}"),
            Self::EqualRun => formatter.write_str("waits for an equal run"),
            Self::Retry => formatter.write_str("waits for its next attempt"),
            Self::Resumption => formatter.write_str("waits to be resumed"),
            Self::Outside => formatter.write_str("waits for something outside of flowkit"),
        }
    }
}

impl fmt::Display for WaitingRun {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", label(self.id, &self.name), self.state)?;
        for (nth, waits_for) in self.waits_for.iter().take(SHOWN).enumerate() {
            write!(formatter, "{}{waits_for}", if nth == 0 { " " } else { " and " })?;
        }
        match self.waits_for.len().checked_sub(SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(formatter, " and {more} more"),
        }
    }
}

/// A cycle in one sentence, run by run: "`p` waits for `q`, which waits for its input `n` from `p`".
pub(crate) fn sentence(cycle: &[WaitingRun]) -> String {
    let mut sentence = String::new();
    for (nth, run) in cycle.iter().enumerate() {
        let Some(waits_for) = run.waits_for.first() else {
            continue;
        };
        match nth {
            0 => sentence.push_str(&label(run.id, &run.name)),
            _ => sentence.push_str(", which"),
        }
        if waits_for.run().is_some_and(|(id, _)| id == run.id) {
            sentence.push_str(" waits for itself");
        } else {
            sentence.push_str(&format!(" {waits_for}"));
        }
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{FlowRunId, NodeRef};

    fn waiting(node: u32, name: &str, waits_for: WaitsFor) -> WaitingRun {
        WaitingRun {
            id: id(node),
            name: name.into(),
            state: State::Running,
            waits_for: vec![waits_for],
        }
    }

    fn id(node: u32) -> TaskRunId {
        TaskRunId::new(FlowRunId::from_u128(1), NodeRef::node(node))
    }

    #[test]
    fn a_cycle_is_told_run_by_run() {
        let to_q = WaitsFor::Run {
            id: id(1),
            name: "q".into(),
        };
        let to_p = WaitsFor::Input {
            id: id(0),
            name: "p".into(),
            parameter: "n",
        };
        assert_eq!(
            sentence(&[waiting(0, "p", to_q), waiting(1, "q", to_p)]),
            "`p` waits for `q`, which waits for its input `n` from `p`"
        );
    }

    #[test]
    fn a_run_that_waits_for_itself_is_told_so() {
        let to_itself = WaitsFor::Run {
            id: id(0),
            name: "p".into(),
        };
        assert_eq!(sentence(&[waiting(0, "p", to_itself)]), "`p` waits for itself");
    }
}
