//! How much of the past a journal keeps, and the clearing out of the rest: slice after slice, at the ends of flow runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use flowkit_journal::Retention;
use flowkit_journal::record::Timestamp;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Recorder;

/// How many flow runs end before the next clearing out.
const PERIOD: u64 = 64;

/// How long a flow run's end may take for it.
const TURN: Duration = Duration::from_millis(50);

/// What a runtime's journal keeps of flow runs that have ended. Runs that go on are never touched.
///
/// ```
/// use flowkit::KeepRuns;
/// use std::time::Duration;
///
/// let keep = KeepRuns::new()
///     .age(Duration::from_secs(7 * 24 * 3600))
///     .runs(1000);
/// # let _ = keep;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepRuns {
    age: Option<Duration>,
    runs: Option<u64>,
    result_bytes: Option<u64>,
    log_bytes: Option<u64>,
}

impl Default for KeepRuns {
    fn default() -> Self {
        Self::new()
    }
}

impl KeepRuns {
    /// Runs of the last 30 days, 10,000 of them at most, 1 GiB of results, 256 MiB of logs.
    pub const fn new() -> Self {
        Self {
            age: Some(Duration::from_secs(30 * 24 * 3600)),
            runs: Some(10_000),
            result_bytes: Some(1 << 30),
            log_bytes: Some(256 << 20),
        }
    }

    /// Everything, for ever.
    pub const fn everything() -> Self {
        Self {
            age: None,
            runs: None,
            result_bytes: None,
            log_bytes: None,
        }
    }

    /// Runs that ended longer ago than this go.
    #[must_use]
    pub const fn age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// At most so many runs are kept, subflows not counted; those that ended longest ago go first.
    #[must_use]
    pub const fn runs(mut self, runs: u64) -> Self {
        self.runs = Some(runs);
        self
    }

    /// At most so many bytes of results are kept. A run whose results went stays in the history, and can no longer be resumed without
    /// running its tasks again.
    #[must_use]
    pub const fn result_bytes(mut self, bytes: u64) -> Self {
        self.result_bytes = Some(bytes);
        self
    }

    /// At most so many bytes of logs are kept.
    #[must_use]
    pub const fn log_bytes(mut self, bytes: u64) -> Self {
        self.log_bytes = Some(bytes);
        self
    }

    /// The same, as a journal's store is told it at `now`.
    pub fn at(&self, now: SystemTime) -> Retention {
        let ended_before = self.age.and_then(|age| now.checked_sub(age));
        Retention {
            ended_before: ended_before.map(Timestamp::from),
            runs: self.runs,
            result_bytes: self.result_bytes,
            log_bytes: self.log_bytes,
            spared: Vec::new(),
        }
    }
}

/// When the journal is cleared out next.
#[derive(Debug)]
pub(super) struct Clearing {
    keep: KeepRuns,
    ended: AtomicU64,
    /// One clears out at a time; whether there is more to do than it had time for.
    turn: Mutex<bool>,
}

impl Clearing {
    pub(super) fn new(keep: KeepRuns) -> Self {
        Self {
            keep,
            ended: AtomicU64::new(0),
            turn: Mutex::new(false),
        }
    }
}

impl Recorder {
    /// Returns when nobody clears out who does not know of the flow runs that are being resumed.
    #[cfg(feature = "journal")]
    pub(super) async fn cleared_out(&self) {
        drop(self.clearing.turn.lock().await);
    }

    /// A flow run has ended: clears out some of what is too much, now and then, and does not take long.
    pub(crate) async fn clear_out(&self, now: SystemTime) {
        let nth = self.clearing.ended.fetch_add(1, Ordering::Relaxed);
        let Ok(mut more) = self.clearing.turn.try_lock() else {
            return;
        };
        if !(*more || nth.is_multiple_of(PERIOD)) {
            return;
        }
        let mut retention = self.clearing.keep.at(now);
        retention.spared = self.resuming().iter().map(|run| run.as_u128()).collect();
        let end = Instant::now() + TURN;
        *more = true;
        while *more && Instant::now() < end {
            match self.journal.store().prune(&retention).await {
                Ok(pruned) => *more = pruned.more,
                Err(trouble) => {
                    tracing::warn!(target: "flowkit", %trouble, "the journal could not be cleared out");
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flowkit_journal::record::{DefinitionRow, FlowRow, Record, RunNo};
    use flowkit_journal::{Journal, JournalStore, MemoryJournal};

    use super::*;
    use crate::ids::FlowRunId;

    fn failed(no: u64) -> Record {
        let definition = DefinitionRow {
            is_flow: true,
            package: "plants".to_owned(),
            module: "plants".to_owned(),
            name: "water".to_owned(),
            code: "c0de".to_owned(),
            parameters: Vec::new(),
        };
        Record::from(FlowRow {
            no: RunNo(no),
            id: no.into(),
            life: 1,
            root: RunNo(no),
            parent: None,
            definition: Arc::new(definition),
            name: "water".into(),
            tags: Vec::new(),
            state: "Failed",
            attempts: 1,
            error: None,
            created: Timestamp(0),
            ended: Some(Timestamp(1)),
            parameters: None,
            result_json: None,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_is_being_resumed_is_not_cleared_out_before_its_new_life_is_written() {
        let store: Arc<dyn JournalStore> = Arc::new(MemoryJournal::new());
        store.write(&[failed(1), failed(2)]).await.unwrap();
        let begun = Journal::begin(Arc::clone(&store), Timestamp(2), "Crashed", None).await;
        let keep = KeepRuns::everything().runs(0);
        let recorder = Recorder::new(begun.unwrap().0, Vec::new(), keep, 1);
        recorder.resuming().insert(FlowRunId::from_u128(1));
        for _ in 0..=PERIOD {
            recorder.clear_out(SystemTime::UNIX_EPOCH).await;
        }
        assert!(store.flow(1).await.unwrap().is_some());
        assert!(store.flow(2).await.unwrap().is_none());
        recorder.resuming().clear();
        for _ in 0..=PERIOD {
            recorder.clear_out(SystemTime::UNIX_EPOCH).await;
        }
        assert!(store.flow(1).await.unwrap().is_none());
    }
}
