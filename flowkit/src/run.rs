//! The record of a flow run that has ended: its value or error, its state, its tasks, its graph, its times.

mod counts;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flowkit_cache::CacheKey;
use serde::{Serialize, Serializer};

pub use self::counts::Counts;
use crate::clock::{Epoch, Stamp};
use crate::engine::scope::{Scope, tags_of};
use crate::error::Error;
use crate::graph::{Edge, Extra, FailedAttempt, Graph, Name, NodeKind, Rare, Record};
use crate::ids::{FlowRunId, NodeRef, TaskRunId};
use crate::render;
use crate::rfc3339::{rfc3339, rfc3339_or_null};
use crate::state::State;
use crate::told::{Told, said_by};

/// A flow run that has ended.
#[must_use = "a run that failed says so only in its result"]
pub struct FlowRun<T> {
    outcome: Result<T, Error>,
    record: RunRecord,
}

/// What is recorded of a flow run, apart from its value.
#[derive(Debug, Clone, Serialize)]
pub struct RunRecord {
    /// The run's identity.
    pub id: FlowRunId,
    /// The name of the flow.
    pub flow: String,
    /// The name of the run.
    pub name: String,
    /// How it ended.
    pub state: State,
    /// Why, with all causes, unless it completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it began.
    #[serde(serialize_with = "rfc3339")]
    pub started: SystemTime,
    /// When it ended.
    #[serde(serialize_with = "rfc3339")]
    pub ended: SystemTime,
    /// Its tags, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// How many attempts began.
    pub attempts: u32,
    /// The attempts that failed and were followed by another.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed_attempts: Vec<AttemptRecord>,
    /// What its hooks did that failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hook_failures: Vec<String>,
    /// The runs in it, in the order of submission, those of every attempt.
    pub tasks: Vec<TaskRun>,
    /// Which run waited for which.
    pub edges: Vec<RunEdge>,
}

/// What a node of a run's graph stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TaskRunKind {
    /// One task run.
    Task,
    /// A fan-out: many runs of one task.
    FanOut,
    /// A flow that was called in the flow.
    Subflow,
}

/// One run of a flow run's graph.
#[derive(Debug, Clone, Serialize)]
pub struct TaskRun {
    /// Its identity.
    pub id: TaskRunId,
    /// The name of the run: its task's, unless it has one of its own.
    pub name: Cow<'static, str>,
    /// The name of the task.
    pub task: &'static str,
    /// What it stands for.
    pub kind: TaskRunKind,
    /// The state it is in.
    pub state: State,
    /// How many attempts began.
    pub attempts: u32,
    /// When it was submitted.
    #[serde(serialize_with = "rfc3339")]
    pub created: SystemTime,
    /// When its first attempt began, if one did.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub started: Option<SystemTime>,
    /// When it ended.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub ended: Option<SystemTime>,
    /// The run that called it; none if the flow's body did.
    pub parent: Option<TaskRunId>,
    /// Its tags, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Why it failed, with all causes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its cache key. In JSON it stands in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "hexadecimal")]
    pub cache_key: Option<CacheKey>,
    /// The task run that made the value it was served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<TaskRunId>,
    /// Why it ran without its cache although it is cached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncached: Option<String>,
    /// The attempts that failed and were followed by another.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed_attempts: Vec<AttemptRecord>,
    /// What its hooks did that failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hook_failures: Vec<String>,
    /// The items of a fan-out, in short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fan_out: Option<Box<FanOutRecord>>,
    /// The run of a subflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subflow: Option<Box<RunRecord>>,
}

impl TaskRun {
    /// How long it took from its first attempt to its end; none if it never began or has not ended.
    pub fn elapsed(&self) -> Option<Duration> {
        self.ended?.duration_since(self.started?).ok()
    }
}

/// An attempt that failed and was followed by another.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptRecord {
    /// When it began.
    #[serde(serialize_with = "rfc3339")]
    pub started: SystemTime,
    /// When it ended.
    #[serde(serialize_with = "rfc3339")]
    pub ended: SystemTime,
    /// Why it failed, with all causes.
    pub error: String,
}

/// The items of a fan-out, in short.
#[derive(Debug, Clone, Serialize)]
pub struct FanOutRecord {
    /// How many there are.
    pub items: usize,
    /// How many are in each state, for the states that any are in.
    pub states: Vec<(State, usize)>,
    /// What is worth telling of single items: those that failed, were retried or have a name of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notable: Vec<ItemRecord>,
}

/// One item of a fan-out.
#[derive(Debug, Clone, Serialize)]
pub struct ItemRecord {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The state it is in.
    pub state: State,
    /// How many attempts began.
    pub attempts: u32,
    /// Why it failed, with all causes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One run waited for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunEdge {
    /// The run that was waited for.
    pub from: TaskRunId,
    /// The run that waited.
    pub to: TaskRunId,
    /// The parameter that the value went to; none for order without data.
    pub parameter: Option<&'static str>,
}

impl<T> fmt::Debug for FlowRun<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FlowRun")
            .field("id", &self.record.id)
            .field("flow", &self.record.flow)
            .field("state", &self.record.state)
            .field("tasks", &self.record.tasks.len())
            .finish_non_exhaustive()
    }
}

impl<T> FlowRun<T> {
    pub(crate) fn new(scope: &Arc<Scope>, outcome: Result<T, Error>) -> Self {
        let mut record = RunRecord::of(scope);
        if let Err(error) = &outcome {
            record.error.get_or_insert_with(|| format!("{error:?}"));
        }
        Self { outcome, record }
    }

    /// The run's identity.
    pub fn id(&self) -> FlowRunId {
        self.record.id
    }

    /// How it ended.
    pub fn state(&self) -> State {
        self.record.state
    }

    /// The flow's value, or why it has none.
    ///
    /// # Errors
    /// The run's own error.
    pub fn result(&self) -> Result<&T, Error> {
        self.outcome.as_ref().map_err(Error::clone)
    }

    /// The flow's value, or why it has none.
    ///
    /// # Errors
    /// The run's own error.
    pub fn into_result(self) -> Result<T, Error> {
        self.outcome
    }

    /// The same run, with its value turned into another.
    #[cfg(feature = "journal")]
    pub(crate) fn map<U>(self, turn: impl FnOnce(T) -> U) -> FlowRun<U> {
        FlowRun {
            outcome: self.outcome.map(turn),
            record: self.record,
        }
    }

    /// What is recorded of the run.
    pub fn record(&self) -> &RunRecord {
        &self.record
    }

    /// The runs in it, in the order of submission.
    pub fn tasks(&self) -> &[TaskRun] {
        &self.record.tasks
    }

    /// The first run of this name.
    pub fn task(&self, name: &str) -> Option<&TaskRun> {
        self.record.tasks.iter().find(|run| run.name == name)
    }

    /// How long it took.
    pub fn elapsed(&self) -> Duration {
        self.record
            .ended
            .duration_since(self.record.started)
            .unwrap_or_default()
    }

    /// How many runs ended in which way.
    pub fn counts(&self) -> Counts {
        self.record.counts()
    }

    /// The graph that the run turned out to have.
    pub fn graph(&self) -> RunGraph<'_> {
        RunGraph(&self.record)
    }

    /// The record as JSON: `state`, `tasks` with their names, states, attempts and times, and `edges`. Times are RFC 3339, in UTC.
    pub fn to_json(&self) -> String {
        render::json(&self.record)
    }
}

/// The graph of a run, for drawing.
#[derive(Debug, Clone, Copy)]
pub struct RunGraph<'a>(&'a RunRecord);

impl RunGraph<'_> {
    /// A Mermaid flowchart.
    pub fn to_mermaid(&self) -> String {
        render::mermaid(self.0)
    }

    /// A Graphviz digraph.
    pub fn to_dot(&self) -> String {
        render::dot(self.0)
    }

    /// An SVG image, with whatever a run waits for, or is called by, above it. Behind the feature `svg`.
    #[cfg(feature = "svg")]
    pub fn to_svg(&self) -> String {
        render::svg(self.0)
    }

    /// The record of the run, which holds the graph, as JSON.
    pub fn to_json(&self) -> String {
        render::json(self.0)
    }
}

impl RunRecord {
    /// How many runs ended in which way.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for task in &self.tasks {
            match &task.fan_out {
                Some(fan_out) => fan_out
                    .states
                    .iter()
                    .for_each(|&(state, runs)| counts.add(state, runs)),
                None => counts.add(task.state, 1),
            }
            counts.retries += task.failed_attempts.len();
            let notable = task.fan_out.iter().flat_map(|fan_out| &fan_out.notable);
            counts.retries += notable
                .map(|item| item.attempts.saturating_sub(1) as usize)
                .sum::<usize>();
        }
        counts
    }

    pub(crate) fn of(scope: &Arc<Scope>) -> Self {
        let (told, outcome) = (Told::of(scope), scope.outcome());
        let error = outcome
            .error
            .as_ref()
            .map(|error| said_by(error).as_ref().to_owned());
        let graph = scope.graph();
        let reader = Reader {
            scope,
            told: &told,
            graph: &graph,
            epoch: scope.epoch,
        };
        let nodes = 0..u32::try_from(graph.nodes.len()).unwrap_or(u32::MAX);
        let mut tasks = Vec::with_capacity(graph.nodes.len());
        tasks.extend(nodes.filter_map(|node| reader.task(NodeRef::node(node))));
        Self {
            id: scope.id,
            flow: scope.definition.name().to_owned(),
            name: scope.name().to_owned(),
            state: outcome.state,
            error,
            started: scope.epoch.wall(),
            ended: scope.epoch.wall_time(outcome.ended),
            tags: scope.own_tags(),
            attempts: graph.attempts,
            failed_attempts: reader.failed_attempts(graph.extra(NodeRef::ROOT)),
            hook_failures: hook_failures(graph.extra(NodeRef::ROOT)),
            tasks,
            edges: graph.edges.iter().map(|edge| reader.edge(edge)).collect(),
        }
    }
}

fn hexadecimal<S: Serializer>(key: &Option<CacheKey>, serializer: S) -> Result<S::Ok, S::Error> {
    match key {
        Some(key) => serializer.collect_str(key),
        None => serializer.serialize_none(),
    }
}

fn hook_failures(extra: Option<&Extra>) -> Vec<String> {
    Rare::of(extra)
        .hook_failures
        .iter()
        .map(|failure| failure.clone().into_string())
        .collect()
}

/// Reads the record of one run out of its graph.
struct Reader<'a> {
    scope: &'a Scope,
    told: &'a Told,
    graph: &'a Graph,
    epoch: Epoch,
}

impl Reader<'_> {
    fn time(&self, stamp: Stamp) -> Option<SystemTime> {
        (stamp != Stamp::NEVER).then(|| self.epoch.wall_time(stamp))
    }

    fn edge(&self, edge: &Edge) -> RunEdge {
        RunEdge {
            from: edge.from,
            to: self.scope.task_run_id(edge.to),
            parameter: edge.parameter,
        }
    }

    fn task(&self, place: NodeRef) -> Option<TaskRun> {
        let node = self.graph.node(place)?;
        let extra = self.graph.extra(place);
        let original = extra.and_then(|extra| extra.call.as_ref()?.original);
        Some(TaskRun {
            id: self.scope.task_run_id(place),
            name: match self.graph.name(place) {
                Name::Task(name) => Cow::Borrowed(name),
                Name::Own(name) => Cow::Owned(name.as_ref().to_owned()),
            },
            task: node.definition.name(),
            kind: match node.kind() {
                NodeKind::Task => TaskRunKind::Task,
                NodeKind::FanOut(_) => TaskRunKind::FanOut,
                NodeKind::Subflow(_) => TaskRunKind::Subflow,
            },
            state: node.record.state,
            attempts: original.map_or_else(|| u32::from(node.record.attempts), |original| original.attempts),
            created: self.epoch.wall_time(node.created),
            started: original.map_or_else(
                || self.time(node.record.started),
                |original| original.started.map(SystemTime::from),
            ),
            ended: original.map_or_else(
                || self.time(node.record.ended),
                |original| original.ended.map(SystemTime::from),
            ),
            parent: node.parent().map(|parent| self.scope.task_run_id(parent)),
            tags: tags_of(self.graph, place),
            error: extra
                .and_then(|extra| extra.error.as_ref())
                .map(|error| self.told.said(error)),
            cache_key: extra.and_then(|extra| extra.cache_key),
            origin: extra.and_then(|extra| extra.origin),
            uncached: Rare::of(extra).uncached.as_deref().map(str::to_owned),
            failed_attempts: self.failed_attempts(extra),
            hook_failures: hook_failures(extra),
            fan_out: match node.kind() {
                NodeKind::FanOut(items) => Some(Box::new(self.fan_out(place, items))),
                NodeKind::Task | NodeKind::Subflow(_) => None,
            },
            subflow: match node.kind() {
                NodeKind::Subflow(scope) => Some(Box::new(RunRecord::of(scope))),
                NodeKind::Task | NodeKind::FanOut(_) => None,
            },
        })
    }

    fn failed_attempts(&self, extra: Option<&Extra>) -> Vec<AttemptRecord> {
        let failed = &Rare::of(extra).failed_attempts;
        let record = |attempt: &FailedAttempt| AttemptRecord {
            started: self.epoch.wall_time(attempt.started),
            ended: self.epoch.wall_time(attempt.ended),
            error: self.told.said(&attempt.error),
        };
        failed.iter().map(record).collect()
    }

    fn fan_out(&self, place: NodeRef, items: &[Record]) -> FanOutRecord {
        let count = |state| items.iter().filter(|item| item.state == state).count();
        let states = State::ALL
            .iter()
            .map(|&state| (state, count(state)))
            .filter(|&(_, runs)| runs > 0)
            .collect();
        let notable = (0u32..).zip(items).filter_map(|(index, item)| {
            let place = NodeRef::item(place.node, index);
            let extra = self.graph.extra(place);
            let is_notable = item.state.is_failure()
                || item.attempts > 1
                || extra.is_some_and(|extra| extra.name.is_some());
            is_notable.then(|| ItemRecord {
                index,
                name: self.graph.name(place).to_string(),
                state: item.state,
                attempts: u32::from(item.attempts),
                error: extra
                    .and_then(|extra| extra.error.as_ref())
                    .map(|error| self.told.said(error)),
            })
        });
        FanOutRecord {
            items: items.len(),
            states,
            notable: notable.collect(),
        }
    }
}
