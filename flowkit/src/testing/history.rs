//! What an event log keeps: every event in words, and every run with the states that it went through.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use flowkit_cache::KeyHasher;

use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::ids::{FlowRunId, TaskRunId};
use crate::state::State;

/// One run of a task, or of a flow that was called in another, as an [`EventLog`](super::EventLog) saw it.
#[derive(Debug, Clone)]
pub struct LoggedRun {
    id: TaskRunId,
    task: &'static str,
    /// Every name that it was told of under: a run may be named when its inputs are there.
    names: Vec<Box<str>>,
    states: Vec<State>,
    attempts: u32,
    error: Option<Error>,
    /// The place in the history at which its first attempt began.
    began: Option<usize>,
}

impl LoggedRun {
    /// Its identity.
    pub fn id(&self) -> TaskRunId {
        self.id
    }

    /// The name of its task, or of its flow.
    pub fn task(&self) -> &'static str {
        self.task
    }

    /// The name of the run.
    pub fn name(&self) -> &str {
        self.names.last().map_or(self.task, |name| name)
    }

    /// The states that it went through, in order. The first is `Pending`.
    pub fn states(&self) -> &[State] {
        &self.states
    }

    /// The state that it is in.
    pub fn state(&self) -> State {
        self.states.last().copied().unwrap_or(State::Scheduled)
    }

    /// How many attempts began. None did where the value came from the cache.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Why it failed, if it did; between attempts, why the last one did.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Where in the history its first attempt began.
    pub(super) fn began(&self) -> Option<usize> {
        self.began
    }

    pub(super) fn is_called(&self, name: &str) -> bool {
        self.task == name || self.names.iter().any(|own| **own == *name)
    }
}

/// One event.
struct Entry {
    at: SystemTime,
    flow_run: FlowRunId,
    run: Option<TaskRunId>,
    name: Box<str>,
    words: String,
}

/// Everything that happened, in order.
#[derive(Default)]
pub(super) struct History {
    entries: Vec<Entry>,
    /// In the order of submission. The node of a whole fan-out is none of them.
    runs: Vec<LoggedRun>,
    index: HashMap<TaskRunId, usize>,
}

impl History {
    pub(super) fn note(&mut self, event: &Event<'_>) {
        let (run, name, words) = match &event.kind {
            EventKind::TaskRunState {
                id,
                name,
                task,
                to,
                attempt,
                error,
                ..
            } => {
                self.note_state(*id, name, task, *to, *attempt, *error);
                (Some(*id), *name, state_in_words(*to, *attempt, *error))
            }
            EventKind::RetryScheduled {
                id,
                name,
                attempt,
                delay,
            } => {
                let next = attempt.saturating_add(1);
                let delay = humantime::format_duration(*delay);
                (Some(*id), *name, format!("attempt {next} is due in {delay}"))
            }
            EventKind::FanOutStarted { id, name, items } => {
                // It was told of as a run before: what it is shows only now.
                self.forget_run(*id);
                let items =
                    items.map_or_else(|| "a number not yet known".to_owned(), |items| items.to_string());
                (Some(*id), *name, format!("a fan-out began; its items: {items}"))
            }
            EventKind::FlowRunStarted { .. } => (None, event.flow_run_name, "the flow run began".to_owned()),
            EventKind::FlowRunFinished { state, error, .. } => {
                let words = format!("the flow run ended: {}", end_in_words(*state, *error));
                (None, event.flow_run_name, words)
            }
            EventKind::HookFailed { id, name, error } => (*id, *name, (*error).to_owned()),
            EventKind::Uncached { id, name, reason } => (Some(*id), *name, format!("uncached: {reason}")),
            other => (None, event.flow_run_name, format!("{other:?}")),
        };
        self.entries.push(Entry {
            at: event.at,
            flow_run: event.flow_run,
            run,
            name: name.into(),
            words,
        });
    }

    fn note_state(
        &mut self,
        id: TaskRunId,
        name: &str,
        task: &'static str,
        to: State,
        attempt: u32,
        error: Option<&Error>,
    ) {
        let index = match self.index.get(&id) {
            Some(&index) => index,
            None if to == State::Pending => {
                self.runs.push(LoggedRun {
                    id,
                    task,
                    names: Vec::new(),
                    states: Vec::new(),
                    attempts: 0,
                    error: None,
                    began: None,
                });
                self.index.insert(id, self.runs.len() - 1);
                self.runs.len() - 1
            }
            // The node of a fan-out, or a run that began before the log did.
            None => return,
        };
        let here = self.entries.len();
        let Some(run) = self.runs.get_mut(index) else {
            return;
        };
        if run.names.iter().all(|own| **own != *name) {
            run.names.push(name.into());
        }
        run.states.push(to);
        if to == State::Running {
            run.attempts = run.attempts.max(attempt);
            run.began.get_or_insert(here);
        }
        if let Some(error) = error {
            run.error = Some(error.clone());
        }
    }

    fn forget_run(&mut self, id: TaskRunId) {
        // A fan-out is told of at once after its node: it is the last of the runs.
        if self.runs.last().is_some_and(|run| run.id == id) {
            self.runs.pop();
            self.index.remove(&id);
        }
    }

    /// All runs, in the order of submission.
    pub(super) fn runs(&self) -> &[LoggedRun] {
        &self.runs
    }

    /// The runs of this name, in the order of submission.
    pub(super) fn runs_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a LoggedRun> {
        self.runs.iter().filter(move |run| run.is_called(name))
    }

    /// Whether a flow was run under this name that no other flow called.
    pub(super) fn is_flow(&self, name: &str) -> bool {
        let of_flows = |entry: &&Entry| entry.run.is_none();
        self.entries
            .iter()
            .filter(of_flows)
            .any(|entry| *entry.name == *name)
    }

    /// What happened to one run, a line for each event.
    pub(super) fn lines_of(&self, run: TaskRunId) -> String {
        let entries = self.entries.iter().filter(|entry| entry.run == Some(run));
        let lines = entries.map(|entry| format!("    {:>10}  {}\n", self.time_of(entry), entry.words));
        lines.collect()
    }

    /// How long after the first event of all one happened, in words.
    fn time_of(&self, entry: &Entry) -> String {
        let first = self.entries.first().map_or(entry.at, |first| first.at);
        let since: Duration = entry.at.duration_since(first).unwrap_or_default();
        humantime::format_duration(since).to_string()
    }

    pub(super) fn digest(&self) -> String {
        let mut hasher = KeyHasher::new();
        for entry in &self.entries {
            let at = entry
                .at
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
            hasher.section("at", &at.as_nanos().to_string());
            let run = entry
                .run
                .map_or_else(|| entry.flow_run.to_string(), |run| run.to_string());
            hasher.section("run", &run);
            hasher.section("name", &entry.name);
            hasher.section("words", &entry.words);
        }
        let digest = hasher.finish();
        digest.map_or_else(|error| error.to_string(), |digest| digest.to_string())
    }
}

/// The whole history: a line for each event, with the time since the first one, the name of the run, and what happened.
impl fmt::Display for History {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.entries {
            write!(formatter, "{:>10}  {}", self.time_of(entry), entry.name)?;
            if let Some(run) = entry.run {
                write!(formatter, " ({})", Place(run))?;
            }
            writeln!(formatter, ": {}", entry.words)?;
        }
        Ok(())
    }
}

/// A run's place in its flow run: `#2`, or `#2[7]` in a fan-out.
pub(super) struct Place(pub(super) TaskRunId);

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "#{}", self.0.node())?;
        match self.0.item() {
            Some(item) => write!(formatter, "[{item}]"),
            None => Ok(()),
        }
    }
}

fn state_in_words(to: State, attempt: u32, error: Option<&Error>) -> String {
    match to {
        State::Pending => "submitted".to_owned(),
        State::AwaitingSlot => "waits to be let in".to_owned(),
        State::Running => format!("attempt {attempt} began"),
        State::AwaitingRetry => match error {
            Some(error) => format!("attempt {attempt} did not succeed: {error:#}"),
            None => format!("attempt {attempt} did not succeed"),
        },
        State::Cached => "Cached: its value was there, and no attempt began".to_owned(),
        ended => end_in_words(ended, error),
    }
}

fn end_in_words(state: State, error: Option<&Error>) -> String {
    match error {
        Some(error) => format!("{state}: {error:#}"),
        None => state.to_string(),
    }
}
