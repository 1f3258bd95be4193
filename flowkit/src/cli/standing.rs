//! How a flow run stands, which is more than what its process wrote: a process that died wrote nothing of that.

use std::time::Duration;

use flowkit_journal::record::Timestamp;
use flowkit_journal::{OwnedBy, StoredFlow, StoredTask};
use serde_json::{Value, json};

use super::history::{id_of, short_id};
use super::times::{between, length, moment, now};
use crate::state::State;

/// The process of a flow run that did not come to an end of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Process {
    /// It works on it.
    Works(OwnedBy),
    /// It is gone. Which it was is known until another process has the directory.
    Gone(Option<OwnedBy>),
    /// That cannot be told.
    Unknown,
}

/// A flow run as it stands. One whose process died before it ended is crashed and has no end, whether or not another process has noticed that since.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) flow: StoredFlow,
    /// None of a run that ended.
    pub(super) process: Option<Process>,
    /// When another process noticed that it died.
    pub(super) noticed: Option<Timestamp>,
    /// The last sign of life of one whose process died.
    pub(super) last_seen: Option<Timestamp>,
}

impl Standing {
    /// A flow run as it was written; of one that has not ended, its process beside it.
    pub(super) fn of(mut flow: StoredFlow, process: impl FnOnce() -> Process) -> Self {
        // A run that panicked says so in its error.
        let noticed = flow
            .ended
            .filter(|_| is(&flow.state, State::Crashed) && flow.error.is_none());
        let process = match (flow.ended, noticed) {
            (Some(_), Some(_)) => Some(Process::Gone(None)),
            (Some(_), None) => None,
            (None, _) => Some(process()),
        };
        if matches!(process, Some(Process::Gone(_))) {
            State::Crashed.name().clone_into(&mut flow.state);
            flow.ended = None;
        }
        Self {
            flow,
            process,
            noticed,
            last_seen: None,
        }
    }

    /// Whether its process died before it ended.
    pub(super) fn is_interrupted(&self) -> bool {
        matches!(self.process, Some(Process::Gone(_)))
    }

    /// Until when it is known to have worked.
    pub(super) fn until(&self) -> Timestamp {
        let seen = self.last_seen.filter(|_| self.is_interrupted());
        self.flow.ended.or(seen).unwrap_or_else(|| {
            if self.is_interrupted() {
                self.flow.created
            } else {
                now()
            }
        })
    }

    /// Takes note of a task run: it is a sign of life, and if the process died while it worked, it crashed with that.
    pub(super) fn see(&mut self, task: &mut StoredTask) {
        if !self.is_interrupted() {
            return;
        }
        if task.ended.is_none() || task.ended == self.noticed {
            State::Crashed.name().clone_into(&mut task.state);
            task.ended = None;
        }
        let times = [self.last_seen, Some(task.created), task.started, task.ended];
        self.last_seen = times.into_iter().flatten().max();
    }

    /// How long it took, or works already; at least, if its process died.
    pub(super) fn took(&self) -> String {
        self.at_least(between(self.flow.created, self.until()))
    }

    /// A length of time, at least, if the process died.
    pub(super) fn at_least(&self, time: Duration) -> String {
        let time = length(time);
        if self.is_interrupted() {
            format!("≥ {time}")
        } else {
            time
        }
    }

    /// What is to be said of its process.
    pub(super) fn process_line(&self) -> Option<String> {
        match self.process.as_ref()? {
            Process::Works(OwnedBy { pid, .. }) => Some(format!("{pid}, which works on it")),
            Process::Gone(last) => Some(format!("{}: {}", gone(last.as_ref()), self.advice())),
            Process::Unknown => None,
        }
    }

    fn advice(&self) -> String {
        if self.flow.parent.is_some() {
            return "the run that it belongs to can be resumed".to_owned();
        }
        if self.flow.definition.is_flow {
            format!("`resume {}` goes on with it", short_id(&self.flow))
        } else {
            "it is a task outside any flow, which cannot be resumed".to_owned()
        }
    }

    /// The same in short.
    pub(super) fn remark(&self) -> Option<String> {
        match self.process.as_ref()? {
            Process::Gone(last) => Some(format!("its process {}", gone(last.as_ref()))),
            Process::Works(_) | Process::Unknown => None,
        }
    }

    /// The flow run in short, as JSON.
    pub(super) fn json(&self) -> Value {
        let flow = &self.flow;
        let process = self.process.as_ref().map(|process| match process {
            Process::Works(OwnedBy { pid, since }) => json!({ "alive": true, "pid": pid, "since": since }),
            Process::Gone(Some(OwnedBy { pid, since })) => {
                json!({ "alive": false, "pid": pid, "since": since })
            }
            Process::Gone(None) => json!({ "alive": false, "pid": null, "since": null }),
            Process::Unknown => Value::Null,
        });
        json!({
            "id": id_of(flow),
            "flow": flow.definition.name,
            "name": flow.name,
            "state": flow.state,
            "interrupted": self.is_interrupted(),
            "process": process,
            "life": flow.life,
            "attempts": flow.attempts,
            "started": moment(flow.created),
            "ended": flow.ended.map(moment),
            "last_seen": self.last_seen.map(moment),
            "seconds": between(flow.created, self.until()).as_secs_f64(),
            "tags": flow.tags,
            "error": flow.error,
        })
    }
}

/// Whether a state has this name.
pub(super) fn is(name: &str, state: State) -> bool {
    name == state.name()
}

fn gone(last: Option<&OwnedBy>) -> String {
    match last {
        Some(OwnedBy { pid, .. }) => format!("{pid} is gone"),
        None => "is gone".to_owned(),
    }
}
