//! Where a runtime keeps its journal, and what becomes of the runs that an earlier process left unfinished in it.

use std::path::PathBuf;
use std::sync::Arc;

use flowkit_journal::record::Timestamp;
use flowkit_journal::{Journal, JournalResult, JournalStore, RunFilter};

use super::Runtime;
use crate::clock::Clock;
use crate::error::Error;
#[cfg(feature = "journal")]
use crate::error::ErrorKind;
use crate::ids::FlowRunId;
use crate::journaling::retention::KeepRuns;
use crate::journaling::{Recorder, journal_error};
use crate::state::State;

/// What becomes of flow runs that an earlier process left unfinished when it died, once the runtime is built: see
/// [`Builder::on_start`](crate::Builder::on_start).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnStart {
    /// They stay as they are, marked as [`Crashed`](State::Crashed), until somebody resumes them.
    #[default]
    Leave,
    /// They are resumed beside whatever the program does. How each ends is in the journal, and one that cannot be resumed in the log.
    ///
    /// A run that was cancelled, also by [`shutdown`](Runtime::shutdown), stays cancelled until somebody resumes it by its id. One that ends its process ends it again
    /// when it is resumed, until it has had [`most_lives`](crate::Builder::most_lives): then it is given up, in state [`Crashed`](State::Crashed) with an error that says so,
    /// and one warning.
    Resume,
}

/// Where a journal is kept.
#[derive(Debug, Default)]
pub(super) enum JournalPlace {
    /// Nowhere.
    #[default]
    None,
    /// In SQLite, in this directory.
    #[cfg_attr(
        not(feature = "journal"),
        expect(dead_code, reason = "SQLite comes with the feature")
    )]
    Directory(PathBuf),
    /// In a store that the program made.
    Store(Arc<dyn JournalStore>),
}

impl JournalPlace {
    /// The data directory that it lies in.
    #[cfg(feature = "cli")]
    pub(super) fn directory(&self) -> Option<&std::path::Path> {
        match self {
            Self::Directory(directory) => Some(directory),
            Self::None | Self::Store(_) => None,
        }
    }

    /// Opens it, and marks what an earlier process left unfinished.
    pub(super) async fn open(
        self,
        clock: &dyn Clock,
        keep: KeepRuns,
        most_lives: u32,
    ) -> Result<Option<Arc<Recorder>>, Error> {
        let now = Timestamp::from(clock.now());
        let (store, owner) = match self {
            Self::None => return Ok(None),
            Self::Store(store) => (store, None),
            #[cfg(feature = "journal")]
            Self::Directory(directory) => {
                let owner = own(&directory, now)
                    .await
                    .map_err(|trouble| journal_error(&trouble))?;
                let store = flowkit_journal::SqliteJournal::open(&directory)
                    .await
                    .map_err(|trouble| journal_error(&trouble))?;
                (Arc::new(store) as Arc<dyn JournalStore>, Some(owner))
            }
            #[cfg(not(feature = "journal"))]
            Self::Directory(_) => return Ok(None),
        };
        let (journal, beginning) = Journal::begin(store, now, State::Crashed.name(), owner)
            .await
            .map_err(|trouble| journal_error(&trouble))?;
        let crashed = interrupted(&**journal.store())
            .await
            .map_err(|trouble| journal_error(&trouble))?;
        // Told once, by the process that notices.
        if !beginning.crashed.is_empty() {
            tracing::warn!(target: "flowkit", runs = beginning.crashed.len(), "an earlier process left flow runs unfinished; they can be resumed");
        }
        Ok(Some(Arc::new(Recorder::new(journal, crashed, keep, most_lives))))
    }
}

/// How often, and how long apart, a directory is asked for that a runtime of this process has, which may be gone in a moment.
#[cfg(feature = "journal")]
const ASKED: (u32, std::time::Duration) = (10, std::time::Duration::from_millis(10));

/// Takes a directory. A runtime that was just dropped may still be writing its last rows.
#[cfg(feature = "journal")]
pub(crate) async fn own(
    directory: &std::path::Path,
    now: Timestamp,
) -> JournalResult<flowkit_journal::Owner> {
    let (times, pause) = ASKED;
    for _ in 1..times {
        match flowkit_journal::Owner::take(directory, now) {
            Err(flowkit_journal::JournalError::Owned { pid, .. }) if pid == std::process::id() => {
                tokio::time::sleep(pause).await;
            }
            other => return other,
        }
    }
    flowkit_journal::Owner::take(directory, now)
}

/// The flow runs whose process died, this time or an earlier one, and which nobody has resumed since; oldest first. One that panicked, or was given up, says so in its
/// error.
async fn interrupted(store: &dyn JournalStore) -> JournalResult<Vec<FlowRunId>> {
    let filter = RunFilter {
        state: Some(State::Crashed.name().to_owned()),
        ..RunFilter::default()
    };
    let mut runs = store.flows(&filter).await?;
    runs.retain(|run| run.error.is_none() && run.definition.is_flow);
    runs.sort_by_key(|run| run.no);
    Ok(runs.iter().map(|run| FlowRunId::from_u128(run.id)).collect())
}

impl Runtime {
    /// The journal's store, to be read: runs, their task runs, edges, attempts and logs. None without a journal.
    ///
    /// What happened in the last moments may still be on its way into it; [`shutdown`](Self::shutdown) waits for that.
    pub fn journal(&self) -> Option<Arc<dyn JournalStore>> {
        let recorder = self.0.recorder.as_ref()?;
        Some(Arc::clone(recorder.journal.store()))
    }

    /// Begins what was said of runs that were left unfinished.
    #[cfg(feature = "journal")]
    pub(super) fn start(&self, on_start: OnStart) {
        if on_start == OnStart::Leave || self.0.recorder.is_none() {
            return;
        }
        let runtime = self.clone();
        tokio::spawn(async move {
            for (run, outcome) in runtime.resume_all().await.unwrap_or_default() {
                match outcome {
                    Ok(resumed) => {
                        tracing::info!(target: "flowkit", flow_run_id = %run, state = %resumed.state(), "a flow run was resumed");
                    }
                    // Which was told.
                    Err(error) if error.kind() == ErrorKind::GivenUp => {}
                    Err(error) => {
                        tracing::error!(target: "flowkit", flow_run_id = %run, error = format_args!("{error:#}"), "a flow run could not be resumed");
                    }
                }
            }
        });
    }
}
