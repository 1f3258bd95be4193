//! What happened: the events of the engine and the doings of the bodies, in one order, with the time of each.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowkit::{BreakerState, ErrorKind, Event, EventKind, FlowRunId, Observer, State, TaskRunId};
use tokio::time::Instant;

#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Since the beginning of the simulation.
    pub(crate) at: Duration,
    pub(crate) what: What,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    FlowBegan {
        flow: FlowRunId,
        parent: Option<TaskRunId>,
    },
    FlowEnded {
        flow: FlowRunId,
        state: State,
        kind: Option<ErrorKind>,
    },
    Changed {
        id: TaskRunId,
        name: String,
        from: Option<State>,
        to: State,
        attempt: u32,
        kind: Option<ErrorKind>,
    },
    Retry {
        id: TaskRunId,
        name: String,
        attempt: u32,
        delay: Duration,
    },
    FannedOut {
        id: TaskRunId,
    },
    Breaker {
        from: BreakerState,
        to: BreakerState,
    },
    Other(String),
    BodyBegan {
        id: Option<TaskRunId>,
        flow: FlowRunId,
        attempt: u32,
        /// The transaction that it was called in.
        group: Option<u64>,
    },
    BodyEnded {
        id: Option<TaskRunId>,
        flow: FlowRunId,
        how: &'static str,
    },
    /// A body begins to await the outcome of a run.
    Awaits {
        id: TaskRunId,
    },
    /// A body saw how a run failed.
    Looked {
        id: TaskRunId,
    },
    /// A body, or somebody outside, asked for the end of a run.
    Cancel {
        id: TaskRunId,
    },
    CancelFlow {
        flow: FlowRunId,
    },
    /// The runtime is asked to end, while so many root flow runs go on.
    ShutDownAsked {
        running: usize,
    },
    /// The runtime has ended.
    ShutDown {
        cancelled: usize,
        running: usize,
    },
    /// A hook was called for a run in this state.
    Hook {
        id: TaskRunId,
        state: State,
    },
    /// Somebody resumes a pause, if one waits.
    Resumed {
        flow: FlowRunId,
        waits: bool,
    },
    /// A transaction begins, which commits with the one around it.
    GroupBegan {
        group: u64,
        around: Option<u64>,
    },
    /// The body of a transaction returns a value.
    GroupDecides {
        group: u64,
    },
    GroupEnded {
        group: u64,
        how: GroupEnd,
    },
    /// A commit hook was called.
    Committed {
        id: TaskRunId,
    },
    /// A rollback hook was called.
    RolledBack {
        id: TaskRunId,
    },
    Phase(&'static str),
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupEnd {
    Returned,
    Failed,
    Dropped,
}

/// Keeps the history. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Recorder {
    lines: Arc<Mutex<Vec<Line>>>,
    /// The names of the runs that may hold slots: they run, or wait for some.
    at_gates: Arc<Mutex<BTreeMap<TaskRunId, String>>>,
    /// From when on runs that pause may hold slots again: they want them back before they go on.
    back_at: Arc<Mutex<BTreeMap<TaskRunId, Instant>>>,
    start: Instant,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            lines: Arc::default(),
            at_gates: Arc::default(),
            back_at: Arc::default(),
            start: Instant::now(),
        }
    }

    pub(crate) fn note(&self, what: What) {
        let at = self.start.elapsed();
        self.lines.lock().unwrap().push(Line { at, what });
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        self.lines.lock().unwrap().clone()
    }

    /// The names of the runs that may hold slots.
    pub(crate) fn at_gates(&self) -> Vec<String> {
        let (at_gates, back_at) = (self.at_gates.lock().unwrap(), self.back_at.lock().unwrap());
        let now = Instant::now();
        let holds = |id| back_at.get(id).is_none_or(|back_at| *back_at <= now);
        let holding = at_gates.iter().filter(|(id, _)| holds(id));
        holding.map(|(_, name)| name.clone()).collect()
    }

    /// A run pauses, and until then holds no slots.
    pub(crate) fn pauses(&self, id: TaskRunId, until: Instant) {
        self.back_at.lock().unwrap().insert(id, until);
    }

    /// The root flow run that has begun last.
    pub(crate) fn root(&self) -> Option<FlowRunId> {
        let lines = self.lines.lock().unwrap();
        lines.iter().rev().find_map(|line| match line.what {
            What::FlowBegan { flow, parent: None } => Some(flow),
            _ => None,
        })
    }
}

impl Observer for Recorder {
    fn on_event(&self, event: &Event<'_>) {
        let flow = event.flow_run;
        let kind = |error: Option<&flowkit::Error>| error.map(flowkit::Error::kind);
        if let EventKind::TaskRunState { id, name, to, .. } = &event.kind {
            let mut at_gates = self.at_gates.lock().unwrap();
            match to {
                State::Paused => None,
                State::Running | State::AwaitingSlot => {
                    self.back_at.lock().unwrap().remove(id);
                    at_gates.insert(*id, (*name).to_owned())
                }
                _ => at_gates.remove(id),
            };
        }
        self.note(match &event.kind {
            EventKind::FlowRunStarted { parent } => What::FlowBegan {
                flow,
                parent: *parent,
            },
            EventKind::FlowRunFinished { state, error, .. } => What::FlowEnded {
                flow,
                state: *state,
                kind: kind(*error),
            },
            EventKind::TaskRunState {
                id,
                name,
                from,
                to,
                attempt,
                error,
                ..
            } => What::Changed {
                id: *id,
                name: (*name).to_owned(),
                from: *from,
                to: *to,
                attempt: *attempt,
                kind: kind(*error),
            },
            EventKind::RetryScheduled {
                id,
                name,
                attempt,
                delay,
            } => What::Retry {
                id: *id,
                name: (*name).to_owned(),
                attempt: *attempt,
                delay: *delay,
            },
            EventKind::FanOutStarted { id, .. } => What::FannedOut { id: *id },
            EventKind::BreakerChanged { from, to, .. } => What::Breaker { from: *from, to: *to },
            other => What::Other(format!("{other:?}")),
        });
    }
}

/// One number for a whole history: equal histories have equal ones.
pub(crate) fn digest(lines: &[Line]) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{lines:?}").hash(&mut hasher);
    hasher.finish()
}
