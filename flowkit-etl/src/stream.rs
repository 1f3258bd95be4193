//! Record batches one after the other: the form in which data passes from part to part, in bounded memory.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::{Error, ErrorKind, Result};
use crate::since::Progress;
use crate::traffic::Counted;

/// How many rows a batch has, unless said otherwise.
pub const DEFAULT_BATCH_ROWS: usize = 8192;

/// How many batches wait between what makes them and what takes them.
pub(crate) const WAITING: usize = 2;

/// Record batches of one schema, made as they are asked for.
///
/// It ends after its first error. A batch whose columns are not those of [`schema`](Self::schema) is such an error.
pub struct BatchStream {
    schema: SchemaRef,
    batches: Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>,
    ended: bool,
    /// How far an incremental extraction came, for the sink that keeps it.
    progress: Option<Progress>,
    /// Who counts what passes here.
    counted: Vec<Counted>,
}

/// A task that makes batches. Nobody is left to take them when this is dropped.
pub(crate) struct Producer(pub(crate) JoinHandle<()>);

impl Drop for Producer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl BatchStream {
    /// The batches of a stream.
    pub fn new(schema: SchemaRef, batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static) -> Self {
        Self {
            schema,
            batches: Box::pin(batches),
            ended: false,
            progress: None,
            counted: Vec::new(),
        }
    }

    /// Batches that are there already.
    pub fn of(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self::new(schema, stream::iter(batches.into_iter().map(Ok)))
    }

    /// The batches of an iterator that blocks or computes: it runs on tokio's pool for blocking work, two batches ahead of what takes
    /// them, and stops when the stream is dropped. If it panics, the stream ends with an error.
    ///
    /// Must be called within a tokio runtime.
    pub fn blocking<I>(schema: SchemaRef, batches: I) -> Self
    where
        I: Iterator<Item = Result<RecordBatch>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(WAITING);
        let producer = Producer(tokio::task::spawn_blocking(move || {
            for batch in batches {
                if sender.blocking_send(batch).is_err() {
                    break;
                }
            }
        }));
        Self::produced(schema, receiver, producer)
    }

    /// The batches that a task of tokio's sends, which is stopped when the stream is dropped. That the task came to its end is looked at before the stream ends.
    pub(crate) fn produced(
        schema: SchemaRef,
        receiver: mpsc::Receiver<Result<RecordBatch>>,
        producer: Producer,
    ) -> Self {
        let next = |(mut receiver, producer): (mpsc::Receiver<_>, Option<Producer>)| async move {
            match receiver.recv().await {
                Some(batch) => Some((batch, (receiver, producer))),
                // It may have ended because it panicked, and what came before is then not all there is.
                None => match (&mut producer?.0).await {
                    Ok(()) => None,
                    Err(error) => {
                        let lost =
                            Error::new(ErrorKind::Io, "what makes the batches did not come to its end");
                        Some((Err(lost.because(error)), (receiver, None)))
                    }
                },
            }
        };
        Self::new(schema, stream::unfold((receiver, Some(producer)), next))
    }

    /// The columns of every batch.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How far it came, if it is an incremental extraction. It is complete once the stream has ended.
    pub(crate) fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }

    /// As part of the same extraction.
    pub(crate) fn with_progress(mut self, progress: Option<Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// With its batches counted, too.
    #[cfg_attr(
        not(any(feature = "files", feature = "sql")),
        allow(dead_code, reason = "by what reads and writes")
    )]
    pub(crate) fn counted(mut self, counted: Counted) -> Self {
        self.counted.push(counted);
        self
    }

    /// Each batch as a function leaves it. The schema is that of what it returns.
    pub fn map_batches<F>(self, schema: SchemaRef, mut each: F) -> Self
    where
        F: FnMut(RecordBatch) -> Result<RecordBatch> + Send + 'static,
    {
        let progress = self.progress.clone();
        Self::new(schema, self.map(move |batch| each(batch?))).with_progress(progress)
    }

    /// Each batch as work that blocks or computes leaves it, one after the other, off the threads that drive futures.
    #[cfg(any(feature = "validation", feature = "quality"))]
    pub(crate) fn map_blocking<F>(self, schema: SchemaRef, each: F) -> Self
    where
        F: FnMut(RecordBatch) -> Result<RecordBatch> + Send + 'static,
    {
        let progress = self.progress.clone();
        let mapped = stream::try_unfold((self, each), |(mut stream, mut each)| async move {
            let Some(batch) = stream.next().await.transpose()? else {
                return Ok(None);
            };
            let (batch, each) = crate::blocking::run(move || each(batch).map(|batch| (batch, each))).await?;
            Ok(Some((batch, (stream, each))))
        });
        Self::new(schema, mapped).with_progress(progress)
    }

    /// The same, and after the last batch the error that `judge` finds, if any.
    #[cfg(any(feature = "validation", feature = "quality"))]
    pub(crate) fn then_judge(self, judge: impl FnOnce() -> Result<()> + Send + 'static) -> Self {
        let (schema, progress) = (self.schema.clone(), self.progress.clone());
        let verdict = stream::once(async move { judge() });
        let verdict = verdict.filter_map(|verdict| async move { verdict.err().map(Err) });
        Self::new(schema, self.chain(verdict)).with_progress(progress)
    }

    /// All batches, in memory.
    ///
    /// # Errors
    /// The first error of the stream.
    pub async fn collect_batches(mut self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await {
            batches.push(batch?);
        }
        Ok(batches)
    }
}

impl Stream for BatchStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = self.batches.as_mut().poll_next(context);
        let Poll::Ready(next) = polled else {
            return Poll::Pending;
        };
        let next = next.map(|batch| batch.and_then(|batch| fitting(&self.schema, batch)));
        self.ended = !matches!(next, Some(Ok(_)));
        if let Some(Ok(batch)) = &next {
            self.counted.iter().for_each(|counted| counted.count(batch));
        }
        Poll::Ready(next)
    }
}

/// A batch, if it has the columns that it must have.
fn fitting(schema: &SchemaRef, batch: RecordBatch) -> Result<RecordBatch> {
    let of_batch = batch.schema_ref();
    if std::sync::Arc::ptr_eq(of_batch, schema) || of_batch.fields() == schema.fields() {
        return Ok(batch);
    }
    Err(Error::new(
        ErrorKind::Schema,
        format!(
            "a batch has the columns {}, where the stream has {}",
            columns(of_batch),
            columns(schema)
        ),
    ))
}

/// The columns of a schema, for messages.
pub(crate) fn columns(schema: &arrow_schema::Schema) -> String {
    let mut text = String::from("(");
    for (index, field) in schema.fields().iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        let null = if field.is_nullable() { "" } else { " not null" };
        text.push_str(&format!(
            "{separator}{} {}{null}",
            field.name(),
            field.data_type()
        ));
    }
    text.push(')');
    text
}

impl fmt::Debug for BatchStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchStream")
            .field("schema", &columns(&self.schema))
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use arrow_array::Int64Array;
    use arrow_schema::{DataType, Field, Schema};

    fn schema(name: &str) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new(name, DataType::Int64, false)]))
    }

    fn batch(name: &str, value: i64) -> RecordBatch {
        RecordBatch::try_new(schema(name), vec![Arc::new(Int64Array::from(vec![value]))]).unwrap()
    }

    #[tokio::test]
    async fn a_batch_with_other_columns_ends_the_stream_with_an_error() {
        let mut stream = BatchStream::of(
            schema("height"),
            vec![batch("height", 1), batch("weight", 2), batch("height", 3)],
        );
        assert!(stream.next().await.unwrap().is_ok());
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "a batch has the columns (weight Int64 not null), where the stream has (height Int64 not null)"
        );
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn a_producer_that_panics_is_an_error_and_not_an_end() {
        let batches = (0..3).map(|value| {
            assert!(value < 2, "no more");
            Ok(batch("height", value))
        });
        let error = BatchStream::blocking(schema("height"), batches)
            .collect_batches()
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "what makes the batches did not come to its end"
        );
    }

    #[tokio::test]
    async fn a_stream_that_nobody_takes_from_does_not_run_ahead() {
        let made = Arc::new(AtomicUsize::new(0));
        let ended = Arc::new(tokio::sync::Notify::new());
        struct Ending(Arc<tokio::sync::Notify>);
        impl Drop for Ending {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        let ending = Ending(ended.clone());
        let count = made.clone();
        let batches = (0..1_000_000).map(move |value| {
            let _ = &ending;
            count.fetch_add(1, Ordering::SeqCst);
            Ok(batch("height", value))
        });
        let mut stream = BatchStream::blocking(schema("height"), batches);
        assert!(stream.next().await.is_some());
        drop(stream);
        ended.notified().await;
        assert!(made.load(Ordering::SeqCst) <= 1 + WAITING + 2);
    }
}
