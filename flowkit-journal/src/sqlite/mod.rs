//! A journal on disk: one SQLite file for the rows, and a file each for large results.
//!
//! `open` opens it, `begin` and `write` are what the one `writer` does, `read` and `read_tasks` what anybody may do meanwhile, in what `reading` holds, `prune` clears
//! out. `schema` says what the file consists of and `migrate` brings an older one to that, `task_row` how a task run lies in it. `files` notices when one was
//! deleted or replaced, and `rescue` puts it back; `opened` notices a database without its log, and `log` and `end` one whose log is not whole.

use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use self::readers::Readers;
use self::reading::Reading;
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
mod reading;
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
    /// Before the writer, which takes the log away if it is closed last.
    reading: Arc<Reading>,
    /// None if it is only looked at.
    writer: Option<tokio::sync::Mutex<Writer>>,
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
        let connection = open::open_to_read(&journal.reading.file).await?;
        journal.reading.readers.give(connection);
        Ok(journal)
    }

    /// Whether the log of a directory's journal has all that it once had, or there is none; to be asked while no process owns the directory. Where it lacks something, what
    /// was written last is missing, which whoever opens the journal for writing notes in it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn log_is_whole(directory: impl AsRef<Path>) -> std::io::Result<bool> {
        log::is_broken(&directory.as_ref().join(files::FILE)).map(|is_broken| !is_broken)
    }

    fn new(directory: &Path, writer: Option<Writer>) -> Self {
        let file = directory.join(files::FILE);
        let readers = Readers::new(open::to_read(&file), file.clone());
        Self {
            reading: Arc::new(Reading::new(directory.to_owned(), file, readers)),
            writer: writer.map(tokio::sync::Mutex::new),
        }
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
        self.reading
            .ask(|reading| async move { reading.read_flow(id).await })
    }

    fn lives(&self, id: u128) -> BoxFuture<'_, JournalResult<Vec<StoredFlow>>> {
        self.reading
            .ask(|reading| async move { reading.read_lives(id).await })
    }

    fn flows<'a>(&'a self, filter: &'a RunFilter) -> BoxFuture<'a, JournalResult<Vec<StoredFlow>>> {
        let filter = filter.clone();
        self.reading
            .ask(|reading| async move { reading.read_flows(&filter).await })
    }

    fn tree(&self, root: RunNo) -> BoxFuture<'_, JournalResult<Vec<StoredFlow>>> {
        self.reading
            .ask(|reading| async move { reading.read_tree(root).await })
    }

    fn life(&self, no: RunNo) -> BoxFuture<'_, JournalResult<Option<StoredFlow>>> {
        self.reading
            .ask(|reading| async move { reading.read_life(no).await })
    }

    fn task(&self, spot: Spot) -> BoxFuture<'_, JournalResult<Option<StoredTask>>> {
        self.reading
            .ask(|reading| async move { reading.read_task(spot).await })
    }

    fn tasks(&self, run: RunNo, items: bool) -> BoxFuture<'_, JournalResult<Vec<StoredTask>>> {
        self.reading
            .ask(|reading| async move { reading.read_tasks(run, items).await })
    }

    fn item_counts(&self, run: RunNo) -> BoxFuture<'_, JournalResult<Vec<ItemCount>>> {
        self.reading
            .ask(|reading| async move { reading.count_items(run).await })
    }

    fn edges(&self, run: RunNo) -> BoxFuture<'_, JournalResult<Vec<StoredEdge>>> {
        self.reading
            .ask(|reading| async move { reading.read_edges(run).await })
    }

    fn attempts(&self, run: RunNo) -> BoxFuture<'_, JournalResult<Vec<AttemptRow>>> {
        self.reading
            .ask(|reading| async move { reading.read_attempts(run).await })
    }

    fn logs(&self, run: RunNo, task: Option<Spot>) -> BoxFuture<'_, JournalResult<Vec<StoredLog>>> {
        self.reading
            .ask(|reading| async move { reading.read_logs(run, task).await })
    }

    fn finished(&self, id: u128) -> BoxFuture<'_, JournalResult<Finished>> {
        self.reading
            .ask(|reading| async move { reading.read_finished(id).await })
    }

    fn result(&self, spot: Spot) -> BoxFuture<'_, JournalResult<Option<Vec<u8>>>> {
        self.reading
            .ask(|reading| async move { reading.read_result(spot).await })
    }

    fn results_from(&self, first: Spot) -> BoxFuture<'_, JournalResult<Vec<KeptResult>>> {
        self.reading
            .ask(|reading| async move { reading.read_results_from(first).await })
    }

    fn answer(&self, place: Digest) -> BoxFuture<'_, JournalResult<Option<AnswerRow>>> {
        self.reading
            .ask(|reading| async move { reading.read_answer(place).await })
    }

    fn earlier<'a>(
        &'a self,
        definition: &'a DefinitionRow,
        before: Timestamp,
        limit: u32,
    ) -> BoxFuture<'a, JournalResult<Vec<StoredTask>>> {
        let definition = definition.clone();
        self.reading
            .ask(|reading| async move { reading.read_earlier(&definition, before, limit).await })
    }

    fn prune<'a>(&'a self, retention: &'a Retention) -> BoxFuture<'a, JournalResult<Pruned>> {
        self.clear_out(retention).boxed()
    }

    fn size(&self) -> BoxFuture<'_, JournalResult<JournalSize>> {
        self.reading.ask(|reading| async move { reading.measure().await })
    }

    fn rest(&self) -> BoxFuture<'_, JournalResult<()>> {
        self.close_all().boxed()
    }
}
