//! The figures, as data.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use flowkit::{FlowRunId, State};
use serde::Serialize;

use crate::traffic::Traffic;

/// Up to how many seconds runs take, by buckets of a histogram.
#[cfg(any(feature = "prometheus", feature = "otel"))]
pub(super) const DURATION_BUCKETS: [f64; 12] = [
    0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0,
];

/// What runs of a flow or of a task did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Figures {
    /// How many began to run.
    pub started: u64,
    /// How many of them have not ended.
    pub running: u64,
    /// How many ended, by how. What ended without having run is here too: cached, cancelled before, without what it needs.
    pub ends: BTreeMap<State, u64>,
    /// Attempts after the first.
    pub retries: u64,
    /// How many had completed and were undone with their transaction.
    pub rolled_back: u64,
    /// How long those took that ran, from their first attempt to their end.
    pub durations: Durations,
    /// How many ended with an error of a kind, by the names that [`kind_of`](super::kind_of) gives.
    pub errors: BTreeMap<String, u64>,
    /// Records and bytes that passed.
    pub traffic: Traffic,
    /// When one ended with a value last.
    pub last_success: Option<SystemTime>,
    /// When one ended last with a failure; being cancelled is none.
    pub last_failure: Option<SystemTime>,
}

impl Figures {
    /// How many ended in this state.
    pub fn ended(&self, state: State) -> u64 {
        self.ends.get(&state).copied().unwrap_or_default()
    }

    /// How many ended with a value, computed or cached.
    pub fn succeeded(&self) -> u64 {
        self.count(State::is_success)
    }

    /// How many ended with a failure; being cancelled is none.
    pub fn failed(&self) -> u64 {
        self.count(State::is_failure)
    }

    fn count(&self, of: impl Fn(State) -> bool) -> u64 {
        let those = self.ends.iter().filter(|(state, _)| of(**state));
        those.map(|(_, count)| count).sum()
    }
}

/// How long runs took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Durations {
    /// How many were measured.
    pub count: u64,
    /// All of them together.
    pub total: Duration,
    /// The shortest.
    pub shortest: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Durations {
    pub(super) fn add(&mut self, took: Duration) {
        self.shortest = match self.count {
            0 => took,
            _ => self.shortest.min(took),
        };
        self.longest = self.longest.max(took);
        self.total = self.total.saturating_add(took);
        self.count += 1;
    }

    /// The mean; none where there was nothing to measure.
    pub fn mean(&self) -> Option<Duration> {
        (self.count > 0).then(|| self.total.div_f64(self.count as f64))
    }
}

/// A flow, and what its runs did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlowFigures {
    /// The flow.
    pub flow: String,
    /// What its runs did. The traffic is that of its own body and of all its tasks.
    #[serde(flatten)]
    pub figures: Figures,
}

/// A task of a flow, and what its runs did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskFigures {
    /// The flow that it was called in.
    pub flow: String,
    /// The task, or the subflow.
    pub task: String,
    /// What its runs did.
    #[serde(flatten)]
    pub figures: Figures,
}

/// All figures, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Per flow, by name.
    pub flows: Vec<FlowFigures>,
    /// Per task of a flow, by names.
    pub tasks: Vec<TaskFigures>,
}

impl Snapshot {
    /// The figures of a flow, if any run of it was seen.
    pub fn flow(&self, flow: &str) -> Option<&Figures> {
        let found = self.flows.iter().find(|figures| figures.flow == flow);
        found.map(|found| &found.figures)
    }

    /// The figures of a task in a flow, if any run of it was seen.
    pub fn task(&self, flow: &str, task: &str) -> Option<&Figures> {
        let of_task = |figures: &&TaskFigures| figures.flow == flow && figures.task == task;
        self.tasks.iter().find(of_task).map(|found| &found.figures)
    }
}

/// A flow run, and what its tasks did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunFigures {
    /// Its id.
    pub id: FlowRunId,
    /// The flow run that called it, if one did.
    pub parent: Option<FlowRunId>,
    /// Its flow.
    pub flow: String,
    /// Its own name.
    pub name: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// When it began; if it ended without having begun, when it ended.
    pub began: SystemTime,
    /// How it ended; nothing while it goes on.
    pub state: Option<State>,
    /// How long it took, once it has ended.
    pub took: Option<Duration>,
    /// Why it has no value, with all causes in one line.
    pub error: Option<String>,
    /// What passed in its own body and in all its tasks.
    pub traffic: Traffic,
    /// Its tasks, by name.
    pub tasks: BTreeMap<String, Figures>,
}
