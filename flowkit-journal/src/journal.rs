//! The front of a journal: takes records without waiting, and writes them in batches behind the runs they are of.
//!
//! One tokio task writes. While it writes one batch the next gathers, so the slower the disk, the larger the batches: a group commit. Nobody waits for it but who
//! asks to, with [`Journal::flush`].

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use self::last::Last;
use crate::owner::Owner;
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

/// How often a store is tried that cannot be written, once nobody holds the journal any more.
const LAST_TRIES: u32 = 3;

/// How long a store that could not be written is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// A journal that is being written. Clones are the same one.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    store: Arc<dyn JournalStore>,
    /// What keeps others from writing too, until the last batch is written.
    owner: Option<Owner>,
    /// One writes at a time: the task for it, or who waits in a flush.
    turn: tokio::sync::Mutex<()>,
    next_run: AtomicU64,
    queue: Mutex<Queue>,
    /// There is something to write, or somebody waits for it.
    wake: Notify,
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
    /// How often a write was tried, and how often it failed.
    writes: u64,
    failures: u64,
    trouble: Option<JournalError>,
    writer: Option<JoinHandle<()>>,
    /// The roots of the flow runs of which records were given up: what is written of them is not the whole history, whatever is written later.
    incomplete: BTreeSet<RunNo>,
    /// That this is so, once it is.
    loss: Option<JournalError>,
    /// The roots of the subflows that go on.
    roots: HashMap<RunNo, RunNo>,
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
    /// Begins to write to a store: what an earlier process left unfinished in it counts as `crashed` from `now` on. The owner of its directory is given back
    /// when everything is written and the journal is gone.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn begin(
        store: Arc<dyn JournalStore>,
        now: Timestamp,
        crashed: &'static str,
        owner: Option<Owner>,
    ) -> JournalResult<(Self, Beginning)> {
        let beginning = store.begin(now, crashed).await?;
        let journal = Self(Arc::new(Inner {
            store,
            owner,
            turn: tokio::sync::Mutex::new(()),
            next_run: AtomicU64::new(beginning.next_run.0),
            queue: Mutex::default(),
            wake: Notify::new(),
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

    /// Takes a record, which is written soon, after all those that were appended before it. While the store cannot be written the records wait in memory, and
    /// when they are too many, those that come are given up: from then on [`flush`](Self::flush) says so.
    ///
    /// Must be called within tokio.
    pub fn append(&self, record: Record) {
        let mut queue = self.0.lock();
        let root = queue.root_of(&record);
        if let Some(trouble) = &queue.trouble
            && (queue.records.len() >= MOST_KEPT || queue.bytes >= 4 * ROOM_BYTES)
        {
            let trouble = trouble.clone();
            let path = trouble.path().to_owned();
            queue.incomplete.insert(root);
            let is_news = queue.loss.replace(JournalError::Incomplete { path }).is_none();
            // Whoever listens may append what is logged.
            drop(queue);
            if is_news {
                tracing::error!(target: "flowkit", %trouble, "the journal cannot be written for too long: from here on the history is lost");
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
        while !self.has_room() {
            self.0.write_apart().await;
        }
    }

    /// Has what is left written without waiting for company.
    pub fn hurry(&self) {
        let mut queue = self.0.lock();
        queue.wanted = queue.appended;
        drop(queue);
        self.0.wake.notify_one();
    }

    /// Returns when everything appended so far survives the death of the process.
    ///
    /// # Errors
    /// When it could not be written. It stays in memory, and the next flush tries again. And from when on something had to be given up, always: what is
    /// written is then not everything. For one flow run, [`flush_of`](Self::flush_of) knows better.
    pub async fn flush(&self) -> JournalResult<()> {
        self.flush_taken().await?;
        self.0.lock().loss.clone().map_or(Ok(()), Err)
    }

    /// The same, for who asks only about the tree of flow runs with this root: what others had to give up is no error.
    ///
    /// # Errors
    /// Those of [`flush`](Self::flush), where what was given up is of this tree.
    pub async fn flush_of(&self, root: RunNo) -> JournalResult<()> {
        self.flush_taken().await?;
        let queue = self.0.lock();
        let loss = queue.loss.clone().filter(|_| queue.incomplete.contains(&root));
        loss.map_or(Ok(()), Err)
    }

    /// The same, for who wants to read what there is: what had to be given up is no error.
    ///
    /// # Errors
    /// When something could not be written. It stays in memory, and the next flush tries again.
    pub async fn flush_taken(&self) -> JournalResult<()> {
        let (target, failures) = {
            let mut queue = self.0.lock();
            queue.wanted = queue.appended;
            (queue.appended, queue.failures)
        };
        loop {
            {
                let queue = self.0.lock();
                if queue.failures > failures
                    && let Some(trouble) = &queue.trouble
                {
                    return Err(trouble.clone());
                }
                if queue.written >= target {
                    return Ok(());
                }
            }
            // Whoever waits has it written, if nobody else does: the task for it may sleep on a runtime that nobody drives.
            self.0.write_apart().await;
        }
    }

    /// Writes what is left, and has the store put its files in order and close them: see [`JournalStore::rest`].
    ///
    /// # Errors
    /// When something could not be written or had to be given up, or the files not be put in order.
    pub async fn rest(&self) -> JournalResult<()> {
        self.flush_taken().await?;
        let inner = Arc::clone(&self.0);
        let rested = apart(async move {
            let _turn = inner.turn.lock().await;
            inner.store.rest().await
        });
        match rested.await {
            Some(rested) => rested?,
            None => self.0.store.rest().await?,
        }
        self.flush().await
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
            let inner = Arc::clone(&self.0);
            // It holds what it writes, so that what was appended is written when nobody else holds it any more.
            queue.writer = Some(tokio.spawn(async move { inner.write_all().await }));
            self.0.wake.notify_one();
        }
    }
}

impl Queue {
    /// The root of the tree of flow runs that a record is of. What a subflow's own row says of it is remembered while the subflow goes on.
    fn root_of(&mut self, record: &Record) -> RunNo {
        let run = match record {
            Record::Flow(row) => {
                if row.ended.is_some() {
                    self.roots.remove(&row.no);
                } else if row.root != row.no {
                    self.roots.insert(row.no, row.root);
                }
                return row.root;
            }
            Record::Task(row) => row.spot.run,
            Record::Attempt(row) => row.run,
            Record::Edge(row) => row.to.run,
            Record::Log(row) => row.run,
            Record::Answer(row) => row.run,
        };
        self.roots.get(&run).copied().unwrap_or(run)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes batch after batch, until nothing is left.
    async fn write_all(self: Arc<Self>) {
        let mut failed = 0;
        while !self.write_next().await {
            // Nobody is left to append anything, nor to be told: a store that cannot be written must not hold its directory for ever.
            let is_last = Arc::strong_count(&self) == 1;
            failed = if is_last && self.lock().trouble.is_some() {
                failed + 1
            } else {
                0
            };
            if failed >= LAST_TRIES {
                return;
            }
        }
    }

    /// Gathers a batch and writes it; true if there was nothing to write, and the next record starts another task.
    async fn write_next(&self) -> bool {
        if !self.is_urgent() {
            // Whoever wants it written, or a batch that is full, cuts this short.
            let _ = tokio::time::timeout(LINGER, self.urgent()).await;
        }
        {
            let mut queue = self.lock();
            if queue.batch.is_empty() && queue.records.is_empty() {
                queue.writer = None;
                return true;
            }
        }
        if !self.write_if_next().await {
            let _ = tokio::time::timeout(PAUSE, self.wake.notified()).await;
        }
        false
    }

    /// Writes a batch, once those who write already are done; false if it could not be written.
    async fn write_if_next(&self) -> bool {
        let before = self.lock().writes;
        let _turn = self.turn.lock().await;
        let batch = {
            let mut queue = self.lock();
            if queue.writes != before {
                // Somebody wrote meanwhile, perhaps what was wanted.
                return queue.trouble.is_none();
            }
            if queue.batch.is_empty() {
                queue.bytes = 0;
                queue.batch = Arc::new(last_of_each_place(std::mem::take(&mut queue.records)));
            }
            Arc::clone(&queue.batch)
        };
        if batch.is_empty() {
            return true;
        }
        // What is in neither is in the batch, which stays there if this is dropped.
        let outcome = match self.owner.as_ref().map_or(Ok(()), Owner::check) {
            Ok(()) => self.store.write(&batch).await,
            Err(trouble) => Err(trouble),
        };
        drop(batch);
        let written = outcome.is_ok();
        self.note(outcome);
        written
    }

    /// The same beside whoever waits for it.
    async fn write_apart(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        let written = apart(async move { inner.write_if_next().await }).await;
        if written.is_none() {
            self.write_if_next().await;
        }
    }

    fn note(&self, outcome: JournalResult<()>) {
        let mut queue = self.lock();
        queue.writes += 1;
        match outcome {
            Ok(()) => {
                queue.batch = Arc::default();
                queue.written = queue.appended - u64::try_from(queue.records.len()).unwrap_or(0);
                queue.trouble = None;
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

impl Drop for Inner {
    /// What is left here is left by a tokio runtime that ended before it was written.
    fn drop(&mut self) {
        let queue = self.queue.get_mut().unwrap_or_else(PoisonError::into_inner);
        let records = std::mem::take(&mut queue.records);
        let last = Last {
            store: Arc::clone(&self.store),
            owner: self.owner.take(),
            batches: [
                std::mem::take(&mut queue.batch),
                Arc::new(last_of_each_place(records)),
            ],
            has_failed: queue.trouble.is_some(),
        };
        last.write();
    }
}

/// Does this in a tokio task of its own. Whoever waits for it may stop polling without dropping it, as a loop over `buffer_unordered` does while its body awaits
/// something else, and what is locked here must not wait for that. `None` where there is no tokio runtime, or it is ending.
async fn apart<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let tokio = tokio::runtime::Handle::try_current().ok()?;
    tokio.spawn(work).await.ok()
}

/// What a record holds that may be large.
fn large_bytes(record: &Record) -> usize {
    match record {
        Record::Task(row) => row.result.as_ref().map_or(0, |result| result.len()),
        Record::Log(row) => row.message.len(),
        Record::Flow(row) => row.parameters.as_ref().map_or(0, |given| given.size()),
        Record::Answer(row) => row.value.len(),
        Record::Attempt(_) | Record::Edge(_) => 0,
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
        Record::Attempt(_) | Record::Edge(_) | Record::Log(_) | Record::Answer(_) => None,
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

mod last;
#[cfg(test)]
mod tests;
