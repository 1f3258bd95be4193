//! A journal on disk: one SQLite file for the rows, and a file each for large results.
//!
//! `open` opens it, `begin` and `write` are what the one `writer` does, `read` and `read_tasks` what anybody may do meanwhile, `prune` clears
//! out. `schema` says what the file consists of and `migrate` brings an older one to that, `task_row` how a task run lies in it. `files` notices when one was
//! deleted or replaced, and `rescue` puts it back; `opened` notices a database without its log, and `log` and `end` one whose log is not whole.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;

use self::dictionary::Dictionary;
use self::objects::Objects;
use self::readers::Readers;
use self::writer::Writer;
use crate::finished::Finished;
use crate::record::{AnswerRow, AttemptRow, DefinitionRow, Digest, Record, RunNo, Spot, Timestamp};
use crate::store::{
    Beginning, ItemCount, JournalResult, JournalSize, JournalStore, KeptResult, Pruned, Retention, RunFilter,
    StoredEdge, StoredFlow, StoredLog, StoredTask,
};

mod answers;
mod begin;
mod bytes;
mod dictionary;
mod end;
mod errors;
mod files;
mod fit;
mod flow_row;
mod log;
mod migrate;
mod objects;
mod open;
mod opened;
mod prune;
mod read;
mod read_tasks;
mod readers;
mod rescue;
mod schema;
mod task_row;
#[cfg(test)]
mod tests;
mod trim;
mod write;
mod writer;

/// Keeps a journal in a directory: in the file `journal.sqlite`, and large results beside it in `objects`.
///
/// A batch that was written survives the death of the process and a power failure. Every task run carries a digest of its own: one that is not
/// what was written is reported and counts as not there. One process writes; see [`Owner`](crate::Owner).
#[derive(Debug)]
pub struct SqliteJournal {
    directory: PathBuf,
    file: PathBuf,
    objects: Objects,
    /// Before the writer, which takes the log away if it is closed last.
    readers: Readers,
    /// None if it is only looked at.
    writer: Option<tokio::sync::Mutex<Writer>>,
    /// What readers know.
    dictionary: Mutex<Arc<Dictionary>>,
}

impl SqliteJournal {
    /// Opens the journal of a directory, or begins one. One that is damaged beyond reading is set aside, which is reported, and a new one begun.
    ///
    /// # Errors
    /// [`JournalError::Newer`](crate::JournalError::Newer) when a newer flowkit wrote it; [`JournalError::Io`](crate::JournalError::Io) when it cannot be opened.
    pub async fn open(directory: impl AsRef<Path>) -> JournalResult<Self> {
        let directory = directory.as_ref();
        let connection = open::open(directory).await?;
        let writer = Writer::new(connection, &directory.join(files::FILE))?;
        Ok(Self::new(directory, Some(writer)))
    }

    /// Opens the journal of a directory only to look at it, while another process may be writing it. It answers every question and refuses every
    /// change.
    ///
    /// # Errors
    /// [`JournalError::Newer`](crate::JournalError::Newer) when a newer flowkit wrote it; [`JournalError::Damaged`](crate::JournalError::Damaged) when it cannot be read; [`JournalError::Io`](crate::JournalError::Io) when it cannot be
    /// opened, or is not there.
    pub async fn open_read_only(directory: impl AsRef<Path>) -> JournalResult<Self> {
        let journal = Self::new(directory.as_ref(), None);
        let connection = open::open_to_read(&journal.file).await?;
        journal.readers.give(connection);
        Ok(journal)
    }

    fn new(directory: &Path, writer: Option<Writer>) -> Self {
        let file = directory.join(files::FILE);
        Self {
            directory: directory.to_owned(),
            objects: Objects::new(directory.join("objects")),
            writer: writer.map(tokio::sync::Mutex::new),
            readers: Readers::new(open::to_read(&file), file.clone()),
            dictionary: Mutex::default(),
            file,
        }
    }

    fn known(&self) -> Arc<Dictionary> {
        Arc::clone(&self.dictionary.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does this where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Objects) -> std::io::Result<T> + Send + 'static,
    ) -> JournalResult<T> {
        let objects = self.objects.clone();
        let done = tokio::task::spawn_blocking(move || work(&objects)).await;
        let done = done.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        done.map_err(errors::failed_io(&self.directory, action))
    }
}

impl JournalStore for SqliteJournal {
    fn begin<'a>(&'a self, now: Timestamp, crashed: &'static str) -> BoxFuture<'a, JournalResult<Beginning>> {
        self.begin_writing(now, crashed).boxed()
    }

    fn write<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, JournalResult<()>> {
        self.write_batch(batch).boxed()
    }

    fn flow(&self, id: u128) -> BoxFuture<'_, JournalResult<Option<StoredFlow>>> {
        self.read_flow(id).boxed()
    }

    fn lives(&self, id: u128) -> BoxFuture<'_, JournalResult<Vec<StoredFlow>>> {
        self.read_lives(id).boxed()
    }

    fn flows<'a>(&'a self, filter: &'a RunFilter) -> BoxFuture<'a, JournalResult<Vec<StoredFlow>>> {
        self.read_flows(filter).boxed()
    }

    fn tree(&self, root: RunNo) -> BoxFuture<'_, JournalResult<Vec<StoredFlow>>> {
        self.read_tree(root).boxed()
    }

    fn life(&self, no: RunNo) -> BoxFuture<'_, JournalResult<Option<StoredFlow>>> {
        self.read_life(no).boxed()
    }

    fn task(&self, spot: Spot) -> BoxFuture<'_, JournalResult<Option<StoredTask>>> {
        self.read_task(spot).boxed()
    }

    fn tasks(&self, run: RunNo, items: bool) -> BoxFuture<'_, JournalResult<Vec<StoredTask>>> {
        self.read_tasks(run, items).boxed()
    }

    fn item_counts(&self, run: RunNo) -> BoxFuture<'_, JournalResult<Vec<ItemCount>>> {
        self.count_items(run).boxed()
    }

    fn edges(&self, run: RunNo) -> BoxFuture<'_, JournalResult<Vec<StoredEdge>>> {
        self.read_edges(run).boxed()
    }

    fn attempts(&self, run: RunNo) -> BoxFuture<'_, JournalResult<Vec<AttemptRow>>> {
        self.read_attempts(run).boxed()
    }

    fn logs(&self, run: RunNo, task: Option<Spot>) -> BoxFuture<'_, JournalResult<Vec<StoredLog>>> {
        self.read_logs(run, task).boxed()
    }

    fn finished(&self, id: u128) -> BoxFuture<'_, JournalResult<Finished>> {
        self.read_finished(id).boxed()
    }

    fn result(&self, spot: Spot) -> BoxFuture<'_, JournalResult<Option<Vec<u8>>>> {
        self.read_result(spot).boxed()
    }

    fn results_from(&self, first: Spot) -> BoxFuture<'_, JournalResult<Vec<KeptResult>>> {
        self.read_results_from(first).boxed()
    }

    fn answer(&self, place: Digest) -> BoxFuture<'_, JournalResult<Option<AnswerRow>>> {
        self.read_answer(place).boxed()
    }

    fn earlier<'a>(
        &'a self,
        definition: &'a DefinitionRow,
        before: Timestamp,
        limit: u32,
    ) -> BoxFuture<'a, JournalResult<Vec<StoredTask>>> {
        self.read_earlier(definition, before, limit).boxed()
    }

    fn prune<'a>(&'a self, retention: &'a Retention) -> BoxFuture<'a, JournalResult<Pruned>> {
        self.clear_out(retention).boxed()
    }

    fn size(&self) -> BoxFuture<'_, JournalResult<JournalSize>> {
        self.measure().boxed()
    }

    fn rest(&self) -> BoxFuture<'_, JournalResult<()>> {
        self.close_all().boxed()
    }
}
