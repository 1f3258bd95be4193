//! Records that were set aside, on their way into a sink of their own while the good ones stream past.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use futures::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::{Error, ErrorKind, Result};
use crate::reject::{KeepingAll, Reject, Rejects};
use crate::rows::batch_of;
use crate::sink::{LoadId, Loaded, Sink};
use crate::stream::BatchStream;

/// A record that was set aside, as a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Where it came from.
    pub origin: String,
    /// The line at which it begins there, if it is a record of a text file.
    pub line: Option<u64>,
    /// The how-manieth record of its origin it is, from 0 on.
    pub record: u64,
    /// All that is wrong with it, in words.
    pub reason: String,
    /// The same as JSON, a list of [`Violation`](crate::Violation)s.
    pub violations: String,
    /// The record as it stood there, or as JSON.
    pub content: String,
}

impl DeadLetter {
    /// The columns of such rows.
    pub fn schema() -> SchemaRef {
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        Arc::new(Schema::new(vec![
            text("origin"),
            Field::new("line", DataType::UInt64, true),
            Field::new("record", DataType::UInt64, false),
            text("reason"),
            text("violations"),
            text("content"),
        ]))
    }

    fn of(reject: Reject) -> Result<Self> {
        let reasons: Vec<String> = reject.violations.iter().map(ToString::to_string).collect();
        let violations = serde_json::to_string(&reject.violations).map_err(|error| {
            Error::new(ErrorKind::Format, "violations cannot be written as JSON").because(error)
        })?;
        Ok(Self {
            origin: reject.origin,
            line: reject.line,
            record: reject.record,
            reason: reasons.join("; "),
            violations,
            content: reject.content,
        })
    }
}

impl BatchStream {
    /// The same stream, while the records that it sets aside are loaded into a sink, as rows of [`DeadLetter`]: all of them, and they are not kept in `rejects` any more. Once it has ended,
    /// `rejects` keeps the first ones again.
    ///
    /// That load is committed when the stream ends, also if it ends because too many records were bad, and before whoever reads the stream is told: so letters outlast a load that fails after that. If the
    /// stream ends for another reason, or is dropped, it is not. It must be called within a tokio runtime.
    ///
    /// Where no record is bad, nothing is loaded, and what was loaded before stays. When records are set aside after letters were loaded under this id, as in a file that was corrected in part, and there are
    /// not as many as then, the stream ends with [`ErrorKind::Conflict`]: these letters are others, and need another id. So give letters an id that changes with what is read, with a hash of the file in it or
    /// the run's id, while that of the rows stays. Letters that others came in place of are not counted any more.
    ///
    /// Whatever `rejects` keeps and is given meanwhile is taken for a letter of this stream, since its source may have set records aside before this is called. So each stream needs `rejects` of its own; while
    /// one takes them, a second one that is to take the same ends with [`ErrorKind::Options`]. What a stream that failed or was dropped still reads is no letter of the next one.
    ///
    /// The sink is written to while the rows are. A SQLite file takes one load at a time: letters and rows that go into the same one wait for each other until the first of them gives up.
    #[must_use]
    pub fn dead_letters(self, rejects: &Rejects, sink: Arc<dyn Sink>, load: LoadId) -> Self {
        let (schema, progress) = (self.schema().clone(), self.progress().cloned());
        let Some(keeping) = rejects.keep_all() else {
            let message = "these rejects are taken by another stream: give each its own";
            let taken = Err(Error::new(ErrorKind::Options, message));
            return Self::new(schema, stream::iter([taken])).with_progress(progress);
        };
        let passing = Passing {
            stream: Some(self),
            letters: Some(Letters::new(sink, load, keeping)),
        };
        Self::new(
            schema,
            stream::unfold(passing, |mut passing| async move {
                passing.next().await.map(|batch| (batch, passing))
            }),
        )
        .with_progress(progress)
    }
}

/// A stream that passes, and the letters that come of it.
struct Passing {
    /// Until the letters are given up: what reads it sets nothing aside any more then.
    stream: Option<BatchStream>,
    /// Until they are sealed.
    letters: Option<Letters>,
}

impl Passing {
    /// Neither reads nor loads any more, the former first.
    fn give_up(&mut self) {
        self.stream = None;
        self.letters = None;
    }

    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        let batch = self.stream.as_mut()?.next().await;
        let letters = self.letters.as_mut()?;
        if let Err(error) = letters.send_all().await {
            self.give_up();
            return Some(Err(error));
        }
        match batch {
            Some(Ok(batch)) => Some(Ok(batch)),
            Some(Err(error)) if error.kind() != ErrorKind::Rejected => {
                self.give_up();
                Some(Err(error))
            }
            ended => {
                let sealed = self.letters.take()?.seal().await;
                match (ended, sealed) {
                    (None, sealed) => sealed.err().map(Err),
                    (Some(ended), Ok(_)) => Some(ended),
                    (Some(Ok(batch)), Err(_)) => Some(Ok(batch)),
                    (Some(Err(rejected)), Err(error)) => {
                        let message = format!("{rejected}; and those records could not be kept");
                        Some(Err(Error::new(ErrorKind::Rejected, message).because(error)))
                    }
                }
            }
        }
    }
}

/// Letters, and their load, which begins with the first of them.
struct Letters {
    sink: Arc<dyn Sink>,
    id: LoadId,
    load: Option<Load>,
    keeping: KeepingAll,
    /// How many there are.
    sent: u64,
    /// Whether these are all.
    is_sealed: bool,
}

/// A load of letters that goes on beside.
struct Load {
    /// Nothing means that these were all; a channel that closes without it, that they were not.
    sender: mpsc::Sender<Option<RecordBatch>>,
    load: JoinHandle<Result<Loaded>>,
    /// What came of it, if it ended well before it was given all: that load was made before. A task is asked how it ended only once.
    loaded: Option<Loaded>,
}

impl Load {
    fn begin(sink: Arc<dyn Sink>, load: LoadId) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        let batches = stream::unfold(
            Some(receiver),
            |receiver: Option<mpsc::Receiver<Option<RecordBatch>>>| async {
                let mut receiver = receiver?;
                match receiver.recv().await {
                    Some(Some(batch)) => Some((Ok(batch), Some(receiver))),
                    Some(None) => None,
                    None => {
                        let error = Error::new(
                            ErrorKind::Io,
                            "the records were abandoned before all were looked at",
                        );
                        Some((Err(error), None))
                    }
                }
            },
        );
        let batches = BatchStream::new(DeadLetter::schema(), batches);
        Self {
            sender,
            load: tokio::spawn(async move { sink.load(&load, batches).await }),
            loaded: None,
        }
    }

    async fn send(&mut self, rejects: Vec<Reject>) -> Result<()> {
        if self.loaded.is_some() {
            return Ok(());
        }
        let letters = rejects
            .into_iter()
            .map(DeadLetter::of)
            .collect::<Result<Vec<_>>>()?;
        let batch = batch_of(&DeadLetter::schema(), &letters)?;
        match self.sender.send(Some(batch)).await {
            Ok(()) => Ok(()),
            // It does not take them any more: it failed, or this load was made before.
            Err(_) => {
                self.loaded = Some(self.outcome().await?);
                Ok(())
            }
        }
    }

    /// These were all.
    async fn seal(&mut self) -> Result<Loaded> {
        match self.loaded.take() {
            Some(loaded) => Ok(loaded),
            None => {
                // That nobody takes it is told by the outcome.
                drop(self.sender.send(None).await);
                self.outcome().await
            }
        }
    }

    async fn outcome(&mut self) -> Result<Loaded> {
        match (&mut self.load).await {
            Ok(loaded) => loaded,
            Err(error) => Err(Error::new(
                ErrorKind::Io,
                "the load of rejected records did not come to its end",
            )
            .because(error)),
        }
    }
}

impl Letters {
    fn new(sink: Arc<dyn Sink>, id: LoadId, keeping: KeepingAll) -> Self {
        Self {
            sink,
            id,
            load: None,
            keeping,
            sent: 0,
            is_sealed: false,
        }
    }

    /// Sends what was set aside since.
    async fn send_all(&mut self) -> Result<()> {
        let rejects = self.keeping.take();
        if rejects.is_empty() {
            return Ok(());
        }
        self.sent += rejects.len() as u64;
        let (sink, id) = (&self.sink, &self.id);
        let load = self
            .load
            .get_or_insert_with(|| Load::begin(sink.clone(), id.clone()));
        load.send(rejects).await
    }

    async fn seal(mut self) -> Result<()> {
        self.is_sealed = true;
        let Some(load) = &mut self.load else {
            return Ok(());
        };
        let loaded = load.seal().await?;
        // Of one that was superseded it is not known how many it had.
        if loaded.repeated && loaded.rows > 0 && loaded.rows != self.sent {
            let message = format!(
                "{} records that were set aside were loaded as `{}` before, and now there are {}: give the letters another load id, one that changes with what is read; that of the rows can stay",
                loaded.rows, self.id, self.sent
            );
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        Ok(())
    }
}

impl Drop for Letters {
    fn drop(&mut self) {
        if !self.is_sealed {
            // A stream that comes after this one does not take them for its own.
            self.keeping.give_up();
        } else if let Some(load) = &self.load {
            // It has all that it needs to be committed, and nobody waits for it any more.
            load.load.abort();
        }
    }
}
