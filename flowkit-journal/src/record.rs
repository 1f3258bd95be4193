//! What a journal is given: whole rows, as they stand at the moment they are written.
//!
//! A row is identified by where it stands, and a later row of the same place replaces the earlier one. Whoever writes need not
//! remember what it wrote before, and a batch need hold only the last row of each place.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A moment, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self(micros(since)),
            Err(before) => Self(-micros(before.duration())),
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(Timestamp(micros): Timestamp) -> Self {
        let distance = Duration::from_micros(micros.unsigned_abs());
        let time = if micros < 0 {
            Self::UNIX_EPOCH.checked_sub(distance)
        } else {
            Self::UNIX_EPOCH.checked_add(distance)
        };
        time.unwrap_or(Self::UNIX_EPOCH)
    }
}

/// The number of a flow run in a journal: one for each life of it, given in the order in which they began.
///
/// A flow run that is resumed keeps its id and begins another life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunNo(pub u64);

/// Where a task run stands: in which life of which flow run, at which node of its graph, and for an item of a fan-out at which
/// index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// The flow run.
    pub run: RunNo,
    /// The node.
    pub node: u32,
    /// The index, of an item.
    pub item: Option<u32>,
}

/// Sixteen bytes of BLAKE3: what tells one call, or one input, from others within a journal.
pub type Digest = [u8; 16];

/// A task or flow as the program defines it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DefinitionRow {
    /// Whether it is a flow.
    pub is_flow: bool,
    /// The package that it is compiled in.
    pub package: String,
    /// Its module path.
    pub module: String,
    /// Its name.
    pub name: String,
    /// Its code's fingerprint, or its version, if it says one.
    pub code: String,
    /// The names of its parameters, in order.
    pub parameters: Vec<String>,
}

/// What a flow was called with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// To be read by people; none if they have no JSON form.
    pub json: Option<String>,
    /// To be restored.
    pub bytes: Vec<u8>,
}

impl Parameters {
    /// What is recorded of parameters that are too large for a journal: a note, from which nothing can be restored.
    pub fn left_out(bytes: usize) -> Self {
        Self {
            json: Some(format!("\"{bytes} bytes were left out\"")),
            bytes: Vec::new(),
        }
    }

    /// Whether this is such a note. Otherwise the JSON form is an object, by their names.
    pub fn is_left_out(&self) -> bool {
        self.bytes.is_empty() && self.json.as_ref().is_some_and(|json| json.starts_with('"'))
    }

    /// How large they are, both forms together, in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.json.as_ref().map_or(0, String::len)
    }
}

/// One life of a flow run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowRow {
    /// Its number.
    pub no: RunNo,
    /// The flow run's id, the same for all of its lives.
    pub id: u128,
    /// Which of its lives this is; the first is 1.
    pub life: u32,
    /// The flow run at the root of the tree that it belongs to: itself, or that of the flow that called it.
    pub root: RunNo,
    /// The task run that stands for it in the flow that called it, if it is a subflow.
    pub parent: Option<Spot>,
    /// The flow, or for a task that was called outside any flow, the task.
    pub definition: Arc<DefinitionRow>,
    /// The name of the run.
    pub name: Arc<str>,
    /// Its tags, sorted.
    pub tags: Vec<String>,
    /// Its state.
    pub state: &'static str,
    /// How many attempts have begun in this life.
    pub attempts: u32,
    /// Why it failed, with all causes.
    pub error: Option<Arc<str>>,
    /// When this life began.
    pub created: Timestamp,
    /// When it ended; none while it goes on.
    pub ended: Option<Timestamp>,
    /// What it was called with; none if that cannot be restored, or is not to be written down.
    pub parameters: Option<Arc<Parameters>>,
    /// What it returned, to be read by people.
    pub result_json: Option<Arc<str>>,
}

/// What a node of a flow run's graph stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// One task run.
    Task,
    /// A fan-out, whose items have rows of their own.
    FanOut,
    /// A flow that was called in the flow.
    Subflow,
}

/// Whether a task run's body may have had an effect that must not be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Effect {
    /// The task has none that anybody declared.
    #[default]
    None,
    /// The body is about to begin, or has begun: whether it had its effect is not known.
    Intended,
    /// It had it: its body returned a value.
    Happened,
    /// Its body returned an error, or it was undone: it may be tried again.
    Failed,
    /// It is being undone: whether its hooks have all been called is not known. Also of a task without an effect.
    Undoing,
}

/// A task run, a fan-out or one of its items, or what stands for a subflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// Where it stands.
    pub spot: Spot,
    /// The task run that called it; none if the flow's body did. An item's is its fan-out's.
    pub parent: Option<Spot>,
    /// What it stands for.
    pub kind: NodeKind,
    /// The task or flow.
    pub definition: Arc<DefinitionRow>,
    /// The run's own name, if it has one.
    pub name: Option<Arc<str>>,
    /// Tags of the run itself, sorted.
    pub tags: Vec<String>,
    /// Its state.
    pub state: &'static str,
    /// How many attempts have begun.
    pub attempts: u32,
    /// Why it failed, with all causes.
    pub error: Option<Arc<str>>,
    /// When it was submitted.
    pub created: Timestamp,
    /// When its first attempt began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Which call of its caller it is: a digest of the caller's own place, the task, the inputs, and the how-manieth such call it is.
    /// The same call has the same place in every life of the run. None if its inputs have no key, and for most items, whose place follows from their inputs and
    /// from what their fan-out has here.
    pub place: Option<Digest>,
    /// A digest of each input, in the order of the definition's parameters; empty if one of them has none.
    pub inputs: Vec<Digest>,
    /// The key under which its result is cached, if it is.
    pub cache_key: Option<[u8; 32]>,
    /// The task run whose value it was served.
    pub origin: Option<Arc<str>>,
    /// Why a cached task ran without its cache, or was not served what the cache had.
    pub uncached: Option<Arc<str>>,
    /// Whether its body may have had an effect that must not be repeated.
    pub effect: Effect,
    /// What it returned, encoded, if that can be restored.
    pub result: Option<Arc<[u8]>>,
}

/// A failed attempt that was followed by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// Whose it is; a flow run's own attempts have none.
    pub task: Option<Spot>,
    /// The flow run it belongs to.
    pub run: RunNo,
    /// The how-manieth it was, from 1.
    pub attempt: u32,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Why it failed, with all causes.
    pub error: Arc<str>,
}

/// One run waited for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeRow {
    /// The run that was waited for. It may be another flow run's.
    pub from: Spot,
    /// The run that waited.
    pub to: Spot,
    /// The parameter that the value went to; none for order without data.
    pub parameter: Option<&'static str>,
}

/// One line that a body logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// The flow run it was logged in.
    pub run: RunNo,
    /// The task run, if it was logged in one.
    pub task: Option<Spot>,
    /// The attempt.
    pub attempt: u32,
    /// When.
    pub at: Timestamp,
    /// From 1, an error, to 5, a trace.
    pub level: u8,
    /// Where in the program: a module path.
    pub target: Arc<str>,
    /// The message, and the fields after it.
    pub message: String,
}

/// What somebody outside gave a run that waited for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerRow {
    /// The life of the flow run that waited.
    pub run: RunNo,
    /// What it waited for: a digest of the flow run's place and of the key it waited with, the same in every life.
    pub place: Digest,
    /// The key, to be read by people.
    pub key: Arc<str>,
    /// When it was given.
    pub at: Timestamp,
    /// What was given, encoded.
    pub value: Arc<[u8]>,
}

/// What is appended to a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// How a flow run stands; replaces what was written of this life before.
    Flow(Box<FlowRow>),
    /// How a task run stands; replaces what was written of it before.
    Task(Box<TaskRow>),
    /// An attempt that failed.
    Attempt(Box<AttemptRow>),
    /// An input or an order.
    Edge(EdgeRow),
    /// A line of log.
    Log(Box<LogRow>),
    /// What was given to a run that waited; replaces what was given at this place before.
    Answer(Box<AnswerRow>),
}

impl From<FlowRow> for Record {
    fn from(row: FlowRow) -> Self {
        Self::Flow(Box::new(row))
    }
}

impl From<TaskRow> for Record {
    fn from(row: TaskRow) -> Self {
        Self::Task(Box::new(row))
    }
}

impl From<AttemptRow> for Record {
    fn from(row: AttemptRow) -> Self {
        Self::Attempt(Box::new(row))
    }
}

impl From<EdgeRow> for Record {
    fn from(row: EdgeRow) -> Self {
        Self::Edge(row)
    }
}

impl From<AnswerRow> for Record {
    fn from(row: AnswerRow) -> Self {
        Self::Answer(Box::new(row))
    }
}

impl From<LogRow> for Record {
    fn from(row: LogRow) -> Self {
        Self::Log(Box::new(row))
    }
}
