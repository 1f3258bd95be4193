//! The front of a journal: takes records without waiting, and writes them in batches behind the runs they are of.
//!
//! One tokio task writes. While it writes one batch the next gathers, so the slower the disk, the larger the batches: a group commit. Nobody waits for it but who
//! asks to, with [`Journal::flush`].

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::record::{Record, RunNo, Spot, Timestamp};
use crate::store::{Beginning, JournalError, JournalResult, JournalStore};

/// How many records may wait before who makes many is asked to wait, too.
const ROOM: usize = 16 * 1024;

/// How many bytes of results and logs may wait, likewise.
const ROOM_BYTES: usize = 64 << 20;

/// How many records are kept for a store that cannot be written, before they are given up.
const MOST_KEPT: usize = 1 << 20;

/// How long records may wait for others, unless somebody asks for them to be written.
const LINGER: Duration = Duration::from_millis(20);

/// How long a store that could not be written is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// A journal that is being written. Clones are the same one.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    store: Arc<dyn JournalStore>,
    next_run: AtomicU64,
    queue: Mutex<Queue>,
    /// There is something to write, or somebody waits for it.
    wake: Notify,
    /// A batch was written, or could not be, or the task that writes has ended.
    progress: Notify,
}

#[derive(Default)]
struct Queue {
    records: Vec<Record>,
    /// What they hold that may be large, in bytes.
    bytes: usize,
    /// The batch that is being written. It stays until it is.
    batch: Arc<Vec<Record>>,
    /// How many records were appended, and how many of them are written.
    appended: u64,
    written: u64,
    /// Up to which record somebody waits.
    wanted: u64,
    /// How often a write failed.
    failures: u64,
    trouble: Option<JournalError>,
    writer: Option<JoinHandle<()>>,
    /// Records were given up: what is written is not the whole history.
    incomplete: bool,
}

impl fmt::Debug for Journal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Journal")
            .field("store", &self.0.store)
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Begins to write to a store: what an earlier process left unfinished in it counts as `crashed` from `now` on.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn begin(
        store: Arc<dyn JournalStore>,
        now: Timestamp,
        crashed: &'static str,
    ) -> JournalResult<(Self, Beginning)> {
        let beginning = store.begin(now, crashed).await?;
        let journal = Self(Arc::new(Inner {
            store,
            next_run: AtomicU64::new(beginning.next_run.0),
            queue: Mutex::default(),
            wake: Notify::new(),
            progress: Notify::new(),
        }));
        Ok((journal, beginning))
    }

    /// The store, to be read. What was appended is in it once it was flushed, or soon after.
    pub fn store(&self) -> &Arc<dyn JournalStore> {
        &self.0.store
    }

    /// A number for a flow run that begins now.
    pub fn next_run(&self) -> RunNo {
        RunNo(self.0.next_run.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes a record, which is written soon, after all those that were appended before it.
    ///
    /// Must be called within tokio.
    pub fn append(&self, record: Record) {
        let mut queue = self.0.lock();
        if queue.records.len() >= MOST_KEPT {
            let is_news = !std::mem::replace(&mut queue.incomplete, true);
            let trouble = queue.trouble.clone();
            // Whoever listens may append what is logged.
            drop(queue);
            if is_news {
                tracing::error!(target: "flowkit", ?trouble, "the journal cannot be written for too long: from here on the history is lost");
            }
            return;
        }
        let bytes = queue.bytes;
        queue.bytes += large_bytes(&record);
        queue.records.push(record);
        queue.appended += 1;
        let is_half = bytes < ROOM_BYTES / 2 && queue.bytes >= ROOM_BYTES / 2;
        if is_half || queue.records.len() == 1 || queue.records.len() == ROOM / 2 {
            self.0.wake.notify_one();
        }
        self.keep_writing(&mut queue);
    }

    /// Whether so little waits to be written that more may come.
    pub fn has_room(&self) -> bool {
        let queue = self.0.lock();
        (queue.records.len() < ROOM && queue.bytes < ROOM_BYTES) || queue.trouble.is_some()
    }

    /// Returns when so little waits to be written that more may come. A store that cannot be written keeps nobody waiting.
    pub async fn room(&self) {
        loop {
            let progress = self.0.progress.notified();
            if self.has_room() {
                return;
            }
            progress.await;
        }
    }

    /// Returns when everything appended so far survives the death of the process.
    ///
    /// # Errors
    /// When it could not be written. It stays in memory, and the next flush tries again.
    pub async fn flush(&self) -> JournalResult<()> {
        let (target, failures) = {
            let mut queue = self.0.lock();
            queue.wanted = queue.appended;
            (queue.appended, queue.failures)
        };
        self.0.wake.notify_one();
        loop {
            let progress = self.0.progress.notified();
            {
                let mut queue = self.0.lock();
                if queue.failures > failures
                    && let Some(trouble) = &queue.trouble
                {
                    return Err(trouble.clone());
                }
                if queue.written >= target {
                    return match &queue.trouble {
                        Some(trouble) if queue.incomplete => Err(trouble.clone()),
                        _ => Ok(()),
                    };
                }
                self.keep_writing(&mut queue);
            }
            progress.await;
        }
    }

    /// Why the last write failed, if it did.
    pub fn trouble(&self) -> Option<JournalError> {
        self.0.lock().trouble.clone()
    }

    /// Sees to it that there is a task that writes: the tokio runtime of an earlier one may have ended.
    fn keep_writing(&self, queue: &mut Queue) {
        if queue.writer.as_ref().is_some_and(|writer| !writer.is_finished()) {
            return;
        }
        if let Ok(tokio) = tokio::runtime::Handle::try_current() {
            let inner = Arc::downgrade(&self.0);
            let farewell = Farewell(Arc::downgrade(&self.0));
            queue.writer = Some(tokio.spawn(async move {
                let _farewell = farewell;
                // Nobody is left to append anything when the journal itself is gone.
                while let Some(inner) = inner.upgrade() {
                    if inner.write_next().await {
                        return;
                    }
                }
            }));
            self.0.wake.notify_one();
        }
    }
}

/// Tells those who wait that nobody writes any more.
struct Farewell(std::sync::Weak<Inner>);

impl Drop for Farewell {
    fn drop(&mut self) {
        if let Some(inner) = self.0.upgrade() {
            inner.progress.notify_waiters();
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gathers a batch and writes it; true if there was nothing to write, and the next record starts another task.
    async fn write_next(&self) -> bool {
        if !self.is_urgent() {
            // Whoever wants it written, or a batch that is full, cuts this short.
            let _ = tokio::time::timeout(LINGER, self.urgent()).await;
        }
        let batch = {
            let mut queue = self.lock();
            if queue.batch.is_empty() {
                queue.bytes = 0;
                queue.batch = Arc::new(last_of_each_place(std::mem::take(&mut queue.records)));
            }
            if queue.batch.is_empty() {
                queue.writer = None;
                return true;
            }
            Arc::clone(&queue.batch)
        };
        // What is in neither is in the batch.
        let outcome = self.store.write(&batch).await;
        drop(batch);
        let failed = outcome.is_err();
        self.note(outcome);
        self.progress.notify_waiters();
        if failed {
            let _ = tokio::time::timeout(PAUSE, self.wake.notified()).await;
        }
        false
    }

    fn note(&self, outcome: JournalResult<()>) {
        let mut queue = self.lock();
        match outcome {
            Ok(()) => {
                queue.batch = Arc::default();
                queue.written = queue.appended - u64::try_from(queue.records.len()).unwrap_or(0);
                if !queue.incomplete {
                    queue.trouble = None;
                }
            }
            Err(trouble) => {
                queue.failures += 1;
                let is_news = queue.trouble.replace(trouble.clone()).is_none();
                drop(queue);
                if is_news {
                    tracing::error!(target: "flowkit", %trouble, "the journal cannot be written");
                }
            }
        }
    }

    fn is_urgent(&self) -> bool {
        let queue = self.lock();
        queue.wanted > queue.written || queue.records.len() >= ROOM / 2 || queue.bytes >= ROOM_BYTES / 2
    }

    async fn urgent(&self) {
        while !self.is_urgent() {
            self.wake.notified().await;
        }
    }
}

/// What a record holds that may be large.
fn large_bytes(record: &Record) -> usize {
    match record {
        Record::Task(row) => row.result.as_ref().map_or(0, |result| result.len()),
        Record::Log(row) => row.message.len(),
        Record::Flow(_) | Record::Attempt(_) | Record::Edge(_) => 0,
    }
}

/// A batch without the rows that a later one in it replaces.
fn last_of_each_place(records: Vec<Record>) -> Vec<Record> {
    #[derive(PartialEq, Eq, Hash)]
    enum Place {
        Flow(RunNo),
        Task(Spot),
    }
    let mut last = HashMap::with_capacity(records.len());
    let place = |record: &Record| match record {
        Record::Flow(row) => Some(Place::Flow(row.no)),
        Record::Task(row) => Some(Place::Task(row.spot)),
        Record::Attempt(_) | Record::Edge(_) | Record::Log(_) => None,
    };
    for (index, record) in records.iter().enumerate() {
        if let Some(place) = place(record) {
            last.insert(place, index);
        }
    }
    let mut index = 0;
    let mut kept = records;
    kept.retain(|record| {
        let is_last = place(record).is_none_or(|place| last.get(&place) == Some(&index));
        index += 1;
        is_last
    });
    kept
}

#[cfg(test)]
mod tests;
