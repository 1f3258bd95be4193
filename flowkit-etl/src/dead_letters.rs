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
    /// When records are set aside after letters were loaded under this id, as in a file that was corrected in part, and there are not as many as then, the stream ends with [`ErrorKind::Conflict`]: these
    /// letters are others, and need another id. Where no record is bad any more, nothing is to be loaded.
    ///
    /// Whatever `rejects` keeps and is given meanwhile is taken for a letter of this stream, since its source may have set records aside before this is called. So each stream needs `rejects` of its own; while
    /// one takes them, a second one that is to take the same ends with [`ErrorKind::Options`].
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
            stream: self,
            letters: Some(Letters::begin(sink, load, keeping)),
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
    stream: BatchStream,
    /// Until they are sealed.
    letters: Option<Letters>,
}

impl Passing {
    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        let batch = self.stream.next().await;
        let letters = self.letters.as_mut()?;
        if let Err(error) = letters.send_all().await {
            self.letters = None;
            return Some(Err(error));
        }
        match batch {
            Some(Ok(batch)) => Some(Ok(batch)),
            Some(Err(error)) if error.kind() != ErrorKind::Rejected => {
                self.letters = None;
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

/// A load of letters that goes on beside.
struct Letters {
    /// Nothing means that these were all; a channel that closes without it, that they were not.
    sender: mpsc::Sender<Option<RecordBatch>>,
    id: LoadId,
    load: JoinHandle<Result<Loaded>>,
    /// What came of it, if it ended well before it was given all: that load was made before. A task is asked how it ended only once.
    loaded: Option<Loaded>,
    keeping: KeepingAll,
    /// How many there are.
    sent: u64,
    /// Whether it was told that these are all.
    is_sealed: bool,
}

impl Letters {
    fn begin(sink: Arc<dyn Sink>, load: LoadId, keeping: KeepingAll) -> Self {
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
        let id = load.clone();
        Self {
            sender,
            id,
            load: tokio::spawn(async move { sink.load(&load, batches).await }),
            loaded: None,
            keeping,
            sent: 0,
            is_sealed: false,
        }
    }

    /// Sends what was set aside since.
    async fn send_all(&mut self) -> Result<()> {
        let rejects = self.keeping.take();
        self.sent += rejects.len() as u64;
        if rejects.is_empty() || self.loaded.is_some() {
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

    async fn seal(mut self) -> Result<()> {
        self.is_sealed = true;
        let loaded = match self.loaded.take() {
            Some(loaded) => loaded,
            None => {
                // That nobody takes it is told by the outcome.
                drop(self.sender.send(None).await);
                self.outcome().await?
            }
        };
        if loaded.repeated && self.sent > 0 && loaded.rows != self.sent {
            let message = format!(
                "{} records that were set aside were loaded as `{}` before, and now there are {}: give these another load id",
                loaded.rows, self.id, self.sent
            );
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        Ok(())
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

impl Drop for Letters {
    fn drop(&mut self) {
        if self.is_sealed {
            // It has all that it needs to be committed, and nobody waits for it any more.
            self.load.abort();
        } else {
            // A stream that comes after this one does not take them for its own.
            drop(self.keeping.take());
        }
    }
}
