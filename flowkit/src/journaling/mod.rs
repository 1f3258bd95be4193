//! What a runtime writes of its runs into a journal, and what it finds there of runs that an earlier process left unfinished.
//!
//! | room | idea |
//! |---|---|
//! | `calls` | which call of its caller a run is, the same in every life of a flow run |
//! | `logged` | how much an attempt may still log |
//! | `moved` | effects whose calls are elsewhere since the program has changed |
//! | `rows` | how a run stands, as a row of the journal |
//! | `read_ahead` | the results of fan-outs, in slices |
//! | `replay` | what earlier lives of a flow run completed |
//! | `retention` | how much of the past is kept |
//! | `resume` | a flow run begins another life |
//! | `settled` | effects whose outcome nobody knows but who has looked |
//! | `this_life` | what this life did that the lives before it know nothing of |
//!
//! A flow run that is resumed keeps its id and begins another *life*: a row of its own in the journal, with a graph of its own.

pub(crate) mod calls;
#[cfg(feature = "logs")]
pub(crate) mod logged;
pub(crate) mod moved;
mod read_ahead;
pub(crate) mod replay;
#[cfg(feature = "journal")]
pub(crate) mod resume;
pub(crate) mod retention;
pub(crate) mod rows;
#[cfg(feature = "journal")]
pub(crate) mod settled;
pub(crate) mod this_life;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use flowkit_journal::record::{DefinitionRow, Digest, Effect, Parameters, Record, RunNo, Spot, Timestamp};
use flowkit_journal::{Journal, JournalError};

use self::replay::{Replay, Resumed};
use self::this_life::ThisLife;
use crate::definition::{Definition, DefinitionKind};
use crate::error::{Error, ErrorKind};
use crate::ids::{FlowRunId, NodeRef, TaskRunId};
use crate::parameters::read_alike;

/// Why a cached run was not served, in the words of its row.
pub(crate) const EXPIRED: &str = "its cached result had expired";
/// The same.
pub(crate) const DAMAGED: &str = "its cached result was damaged, and removed";
/// The same.
pub(crate) const REFRESHED: &str = "the call asked for a fresh result";

/// How the code of a definition begins that says its version.
const VERSION: &str = "version ";

/// What a runtime writes its runs into.
pub(crate) struct Recorder {
    pub(crate) journal: Journal,
    /// Rows of definitions, by the definition's address.
    definitions: Mutex<HashMap<usize, Arc<DefinitionRow>>>,
    /// The numbers of the flow runs that are going on.
    numbers: Mutex<HashMap<FlowRunId, RunNo>>,
    /// What earlier processes left unfinished, and nobody has resumed yet.
    crashed: Mutex<Vec<FlowRunId>>,
    /// The flow runs that are being resumed.
    resuming: Mutex<HashSet<FlowRunId>>,
    /// How many lives a flow run has at most, unless somebody resumes it by its id.
    #[cfg_attr(
        not(feature = "journal"),
        expect(dead_code, reason = "runs are resumed with the feature")
    )]
    most_lives: u32,
    clearing: retention::Clearing,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Nobody will append more: what is left need not wait for company.
        self.journal.hurry();
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Recorder")
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}

impl Recorder {
    pub(crate) fn new(
        journal: Journal,
        crashed: Vec<FlowRunId>,
        keep: retention::KeepRuns,
        most_lives: u32,
    ) -> Self {
        Self {
            most_lives,
            clearing: retention::Clearing::new(keep),
            resuming: Mutex::default(),
            crashed: Mutex::new(crashed),
            journal,
            definitions: Mutex::default(),
            numbers: Mutex::default(),
        }
    }

    /// The row of a definition.
    pub(crate) fn definition(&self, definition: &'static Definition) -> Arc<DefinitionRow> {
        let address = std::ptr::from_ref(definition).addr();
        let mut rows = self.definitions.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows
            .entry(address)
            .or_insert_with(|| Arc::new(row_of(definition)));
        Arc::clone(row)
    }

    /// What earlier processes left unfinished, once.
    #[cfg(feature = "journal")]
    pub(crate) fn take_crashed(&self) -> Vec<FlowRunId> {
        std::mem::take(&mut *self.crashed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn resuming(&self) -> std::sync::MutexGuard<'_, HashSet<FlowRunId>> {
        self.resuming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn numbers(&self) -> std::sync::MutexGuard<'_, HashMap<FlowRunId, RunNo>> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A definition as a journal knows it.
pub(crate) fn row_of(definition: &Definition) -> DefinitionRow {
    let place = definition.place();
    let own = match definition.version() {
        Some(version) => format!("{VERSION}{version}"),
        None => definition.fingerprint().to_owned(),
    };
    let code = match definition.includes_key() {
        Some(included) => format!("{own} with {included}"),
        None => own,
    };
    DefinitionRow {
        is_flow: definition.kind() == DefinitionKind::Flow,
        package: place.package.to_owned(),
        module: place.module.to_owned(),
        name: definition.name().to_owned(),
        code,
        parameters: definition
            .parameters()
            .iter()
            .map(|&name| name.to_owned())
            .collect(),
    }
}

/// One life of a flow run, as the journal has it.
pub(crate) struct Life {
    pub(crate) recorder: Arc<Recorder>,
    id: FlowRunId,
    /// Its number in the journal.
    pub(crate) no: RunNo,
    pub(crate) root: RunNo,
    /// Which of the flow run's lives it is.
    pub(crate) number: u32,
    /// What earlier lives completed.
    pub(crate) replay: Option<Arc<Replay>>,
    /// What it did, with the subflows in it.
    pub(crate) done: Arc<ThisLife>,
    pub(crate) parameters: OnceLock<Arc<Parameters>>,
    /// Whether the runtime took the run in: one that was refused leaves the journal as it was.
    taken_in: AtomicBool,
    pub(crate) result_json: OnceLock<Arc<str>>,
    /// Whether the last row of it is written: nothing may follow that.
    pub(crate) ended: AtomicBool,
}

impl Life {
    /// A life of a flow run that has no flow above it: the first, unless earlier ones left something.
    pub(crate) fn of_root(recorder: &Arc<Recorder>, id: FlowRunId, resumed: Option<Resumed>) -> Self {
        let no = recorder.journal.next_run();
        let (number, replay) = match &resumed {
            Some(resumed) => (resumed.life, Some(Arc::clone(&resumed.replay))),
            None => (1, None),
        };
        let life = Self::new(recorder, id, no, no, number, replay);
        if let Some(parameters) = resumed.and_then(|resumed| resumed.parameters) {
            // A call that stands in for them says them again.
            let _ = life.parameters.set(parameters);
        }
        life
    }

    /// That of a subflow.
    pub(crate) fn below(&self, id: FlowRunId) -> Self {
        let no = self.recorder.journal.next_run();
        let mut life = Self::new(
            &self.recorder,
            id,
            no,
            self.root,
            self.number,
            self.replay.clone(),
        );
        life.done = Arc::clone(&self.done);
        life.take_in();
        life
    }

    fn new(
        recorder: &Arc<Recorder>,
        id: FlowRunId,
        no: RunNo,
        root: RunNo,
        number: u32,
        replay: Option<Arc<Replay>>,
    ) -> Self {
        recorder.numbers().insert(id, no);
        Self {
            recorder: Arc::clone(recorder),
            id,
            no,
            root,
            number,
            replay,
            done: Arc::default(),
            taken_in: AtomicBool::new(false),
            parameters: OnceLock::new(),
            result_json: OnceLock::new(),
            ended: AtomicBool::new(false),
        }
    }

    /// The runtime takes the run in.
    pub(crate) fn take_in(&self) {
        self.taken_in.store(true, Ordering::Release);
    }

    /// Whether these parameters are those that an earlier life recorded, as far as it did and that matters.
    pub(crate) fn accepts(&self, parameters: &Parameters) -> bool {
        let allowed = self.replay.as_ref().is_none_or(|replay| replay.allows_changes());
        let same = |recorded: &Arc<Parameters>| {
            recorded.json.is_none() || recorded.is_left_out() || read_alike(recorded, parameters)
        };
        allowed || self.parameters.get().is_none_or(same)
    }

    /// Where a run of this flow run stands.
    pub(crate) fn spot(&self, place: NodeRef) -> Spot {
        Spot {
            run: self.no,
            node: place.node,
            item: place.index(),
        }
    }

    /// Where a run stands that may be another flow run's; none if that one is no longer known.
    pub(crate) fn spot_of(&self, run: TaskRunId) -> Option<Spot> {
        let no = if run.flow_run() == self.id {
            self.no
        } else {
            *self.recorder.numbers().get(&run.flow_run())?
        };
        Some(Spot {
            run: no,
            node: run.node(),
            item: run.item(),
        })
    }

    pub(crate) fn append(&self, record: Record) {
        #[cfg(feature = "logs")]
        let _appending = logged::Appending::begin();
        if self.taken_in.load(Ordering::Acquire) {
            self.recorder.journal.append(record);
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let mut numbers = self.recorder.numbers();
        // A later life of the flow run has a number of its own by then.
        if numbers.get(&self.id) == Some(&self.no) {
            numbers.remove(&self.id);
        }
    }
}

/// What the journal has of a task run beside what its graph knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallRecord {
    pub(crate) place: Option<Digest>,
    pub(crate) inputs: Vec<Digest>,
    pub(crate) effect: Effect,
    pub(crate) result: Option<Arc<[u8]>>,
    /// The times of the life in which it ran, if that was an earlier one.
    pub(crate) original: Option<Original>,
}

/// When a run began and ended in an earlier life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Original {
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) attempts: u32,
}

/// The journal's trouble, as the error of a run or a runtime.
pub(crate) fn journal_error(trouble: &JournalError) -> Error {
    let kind = match trouble {
        JournalError::Owned { .. } | JournalError::Newer { .. } => ErrorKind::Build,
        _ => ErrorKind::Journal,
    };
    Error::about_runtime(kind, trouble.to_string())
}
