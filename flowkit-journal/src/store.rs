//! The contract of what keeps a journal.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::finished::Finished;
use crate::record::{
    AnswerRow, AttemptRow, DefinitionRow, Digest, Effect, NodeKind, Parameters, Record, RunNo, Spot,
    Timestamp,
};

/// Why a journal cannot be used, read or written.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The journal was written by a newer flowkit.
    #[error(
        "the journal `{path}` has version {found} and this program knows {known}: use the newer flowkit, or another data directory"
    )]
    Newer {
        /// Its file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// Another process owns the data directory.
    #[error("`{path}` is in use by process {pid} since {since}: stop it, or use another data directory")]
    Owned {
        /// The directory.
        path: PathBuf,
        /// The process.
        pid: u32,
        /// When it took it, in RFC 3339.
        since: String,
    },
    /// The journal is damaged. What could be read of it is elsewhere.
    #[error("the journal `{path}` is damaged: {reason}")]
    Damaged {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        reason: Arc<str>,
    },
    /// One of its files was deleted, moved away or replaced while this program used it.
    #[error("`{path}` was {how} while this program used it: {advice}")]
    Displaced {
        /// The file, as it should lie there.
        path: PathBuf,
        /// What became of it: `"deleted"`, `"replaced"`.
        how: &'static str,
        /// What to do.
        advice: Arc<str>,
    },
    /// Something of it was given up, since it could not be written for too long.
    #[error(
        "the journal `{path}` lacks some of what it was to record: it could not be written for too long, and what came meanwhile was given up"
    )]
    Incomplete {
        /// Its file or directory.
        path: PathBuf,
    },
    /// Reading or writing failed.
    #[error("the journal `{path}` cannot be {action}: {reason}")]
    Io {
        /// Its file or directory.
        path: PathBuf,
        /// What was tried: `"opened"`, `"read"`, `"written"`.
        action: &'static str,
        /// The system's or the database's words.
        reason: Arc<str>,
    },
}

impl JournalError {
    /// The file or directory that it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Newer { path, .. }
            | Self::Owned { path, .. }
            | Self::Damaged { path, .. }
            | Self::Displaced { path, .. }
            | Self::Incomplete { path }
            | Self::Io { path, .. } => path,
        }
    }
}

/// Which task run, and what it returned, if that is kept and small.
pub type KeptResult = (Spot, Option<Vec<u8>>);

/// The result of asking a journal.
pub type JournalResult<T> = Result<T, JournalError>;

/// What a process finds when it begins to write a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// A number that no flow run ever had, nor any after it.
    pub next_run: RunNo,
    /// The flow runs without a flow above them that an earlier process left unfinished, and that count as crashed now; oldest first.
    pub crashed: Vec<u128>,
}

/// A flow run as the journal has it: the last of its lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFlow {
    /// The number of this life.
    pub no: RunNo,
    /// Its id.
    pub id: u128,
    /// Which of its lives this is; the first is 1.
    pub life: u32,
    /// The root of its tree.
    pub root: RunNo,
    /// The task run that stands for it above, if it is a subflow.
    pub parent: Option<Spot>,
    /// The flow.
    pub definition: Arc<DefinitionRow>,
    /// The run's name.
    pub name: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its state.
    pub state: String,
    /// How many attempts began.
    pub attempts: u32,
    /// Why it failed.
    pub error: Option<String>,
    /// When it began.
    pub created: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What it was called with.
    pub parameters: Option<Parameters>,
    /// What it returned, to be read.
    pub result_json: Option<String>,
}

/// A task run as the journal has it, without its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTask {
    /// Where it stands.
    pub spot: Spot,
    /// What called it.
    pub parent: Option<Spot>,
    /// What it stands for.
    pub kind: NodeKind,
    /// The task.
    pub definition: Arc<DefinitionRow>,
    /// Its own name.
    pub name: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its state.
    pub state: String,
    /// How many attempts began.
    pub attempts: u32,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was submitted.
    pub created: Timestamp,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Which call it is.
    pub place: Option<Digest>,
    /// Digests of its inputs.
    pub inputs: Vec<Digest>,
    /// Its cache key.
    pub cache_key: Option<[u8; 32]>,
    /// The task run whose value it was served.
    pub origin: Option<String>,
    /// Why a cached task ran without its cache, or was not served what the cache had.
    pub uncached: Option<String>,
    /// Its effect.
    pub effect: Effect,
    /// Whether its result is kept.
    pub has_result: bool,
}

/// How many items of a fan-out are in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemCount {
    /// The fan-out's node.
    pub node: u32,
    /// The state.
    pub state: String,
    /// How many items are in it.
    pub items: u64,
}

/// An edge as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEdge {
    /// The run that was waited for.
    pub from: Spot,
    /// The run that waited.
    pub to: Spot,
    /// The parameter.
    pub parameter: Option<String>,
}

/// A line of log as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLog {
    /// The task run, if it was logged in one.
    pub task: Option<Spot>,
    /// The attempt.
    pub attempt: u32,
    /// When.
    pub at: Timestamp,
    /// From 1, an error, to 5, a trace.
    pub level: u8,
    /// Where in the program.
    pub target: String,
    /// The message.
    pub message: String,
}

/// Which flow runs are asked for. Subflows are not among them.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Only those of this flow.
    pub flow: Option<String>,
    /// Only those in this state.
    pub state: Option<String>,
    /// Only those that began then or later.
    pub since: Option<Timestamp>,
    /// Only those that began before.
    pub until: Option<Timestamp>,
    /// At most so many, the latest ones first.
    pub limit: Option<u32>,
}

/// What a journal keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Flow runs that ended before this moment go.
    pub ended_before: Option<Timestamp>,
    /// At most so many flow runs that have ended are kept, subflows not counted; the oldest go first.
    pub runs: Option<u64>,
    /// At most so many bytes of results of runs that have ended are kept; those of the runs that ended longest ago go first. Their history
    /// stays.
    pub result_bytes: Option<u64>,
    /// At most so many bytes of logs of runs that have ended; the oldest go first.
    pub log_bytes: Option<u64>,
    /// The ids of flow runs that have ended and are about to go on: they count as if they went on already.
    pub spared: Vec<u128>,
}

/// What one slice of clearing out did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// How many flow runs went, all lives of one counted once and subflows not at all.
    pub runs: u64,
    /// How many results went whose runs stay.
    pub results: u64,
    /// How many lines of log went.
    pub logs: u64,
    /// Whether there may be more to do.
    pub more: bool,
}

/// How large a journal is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JournalSize {
    /// Flow runs, every life of one counted.
    pub flow_runs: u64,
    /// Task runs, items among them.
    pub task_runs: u64,
    /// Bytes of results, in the database and beside it.
    pub result_bytes: u64,
    /// Bytes of logs.
    pub log_bytes: u64,
    /// Bytes on disk, all files together.
    pub disk_bytes: u64,
}

/// Keeps the rows of a journal. Only one process writes at a time; any number may read meanwhile.
///
/// Every read sees whole batches, in the order in which they were written.
pub trait JournalStore: fmt::Debug + Send + Sync + 'static {
    /// Begins to write: marks what earlier processes left unfinished, flow runs and the task runs in them, as `crashed` at `now`.
    ///
    /// # Errors
    /// When the journal cannot be read or written.
    fn begin<'a>(&'a self, now: Timestamp, crashed: &'static str) -> BoxFuture<'a, JournalResult<Beginning>>;

    /// Writes a batch: all of it, or on an error nothing. When it returns the batch survives a power failure.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, JournalResult<()>>;

    /// The last life of the flow run with this id.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn flow(&self, id: u128) -> BoxFuture<'_, JournalResult<Option<StoredFlow>>>;

    /// Every life of the flow run with this id, the first one first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn lives(&self, id: u128) -> BoxFuture<'_, JournalResult<Vec<StoredFlow>>>;

    /// Flow runs, each in its last life, the largest number first. Subflows are not among them.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn flows<'a>(&'a self, filter: &'a RunFilter) -> BoxFuture<'a, JournalResult<Vec<StoredFlow>>>;

    /// The lives of a whole tree of flow runs, given the number of its root: the root itself and all subflows below it, in order.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn tree(&self, root: RunNo) -> BoxFuture<'_, JournalResult<Vec<StoredFlow>>>;

    /// The life of a flow run that has this number, be it the last or not, a subflow's or not.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn life(&self, no: RunNo) -> BoxFuture<'_, JournalResult<Option<StoredFlow>>>;

    /// One task run.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn task(&self, spot: Spot) -> BoxFuture<'_, JournalResult<Option<StoredTask>>>;

    /// The task runs of one life of a flow run, in the order of their spots. Items of a fan-out only if asked for.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn tasks(&self, run: RunNo, items: bool) -> BoxFuture<'_, JournalResult<Vec<StoredTask>>>;

    /// How many items of the fan-outs in one life of a flow run are in which state, in the order of their nodes and then of the states' names. They are
    /// counted and not read one by one, so a damaged row counts as well.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn item_counts(&self, run: RunNo) -> BoxFuture<'_, JournalResult<Vec<ItemCount>>>;

    /// The edges that lead to task runs of one life of a flow run, in the order of where they lead, whence and to which parameter.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn edges(&self, run: RunNo) -> BoxFuture<'_, JournalResult<Vec<StoredEdge>>>;

    /// The failed attempts of one life of a flow run, its own first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn attempts(&self, run: RunNo) -> BoxFuture<'_, JournalResult<Vec<AttemptRow>>>;

    /// What was logged in one life of a flow run, in order; only by one task run, if one is named.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn logs(&self, run: RunNo, task: Option<Spot>) -> BoxFuture<'_, JournalResult<Vec<StoredLog>>>;

    /// The task runs of every life of a flow run and of the subflows below it that have a result, and those of whose effect anything is known,
    /// fan-outs that have items among them, in the order of their spots: what a later life did comes after what an earlier one did. And how many rows of
    /// theirs are damaged or gone: of a call whose row is, nothing is known, which is not the same as that it was never made.
    ///
    /// The nodes of a life are numbered from 0 without gaps, and its subflows' own rows are written before it is written that they began.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn finished(&self, id: u128) -> BoxFuture<'_, JournalResult<Finished>>;

    /// What a task run returned, if it is kept and is what was written.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn result(&self, spot: Spot) -> BoxFuture<'_, JournalResult<Option<Vec<u8>>>>;

    /// The items of a fan-out from `first` on, and what they returned, as far as that is kept and small: a slice, for who will ask for the next ones too. A store
    /// that has nothing to gain from reading ahead gives none.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn results_from(&self, first: Spot) -> BoxFuture<'_, JournalResult<Vec<KeptResult>>> {
        let _ = first;
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// What was given at this place to a run that waited for it, if it is kept and is what was written.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn answer(&self, place: Digest) -> BoxFuture<'_, JournalResult<Option<AnswerRow>>>;

    /// Task runs of the same package, module and name that ended before `before`, the latest first, at most `limit`. Items are found through
    /// their fan-out, which has the same definition and ends last.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn earlier<'a>(
        &'a self,
        definition: &'a DefinitionRow,
        before: Timestamp,
        limit: u32,
    ) -> BoxFuture<'a, JournalResult<Vec<StoredTask>>>;

    /// Clears out one small slice of what `retention` does not keep. Never anything of a tree of runs that goes on. A flow run goes with all
    /// its lives and subflows, and whoever reads meanwhile sees all of it or nothing.
    ///
    /// # Errors
    /// When the journal cannot be read or written.
    fn prune<'a>(&'a self, retention: &'a Retention) -> BoxFuture<'a, JournalResult<Pruned>>;

    /// How large it is.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn size(&self) -> BoxFuture<'_, JournalResult<JournalSize>>;

    /// Puts its files in order and closes them, so that they can be copied. Whoever asks or writes afterwards has them opened again. A store
    /// without files has nothing to do.
    ///
    /// # Errors
    /// When that could not be done; nothing that was written is lost.
    fn rest(&self) -> BoxFuture<'_, JournalResult<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
