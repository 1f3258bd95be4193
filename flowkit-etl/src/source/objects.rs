//! What a data set in an object store has.

use futures::future::{BoxFuture, FutureExt};

use crate::error::Result;
use crate::object::{self, Bucket};
use crate::sink::LoadId;
use crate::sink::ledger::directory_name;
use crate::source::{Input, Source, loads};
use crate::stream::{BatchStream, DEFAULT_BATCH_ROWS};
use crate::traffic::reading;

/// What [`ObjectSink`](crate::sink::ObjectSink) put into an object store: all loads that count, in the order in which they were committed, with the columns in their own order and types, also those that it was partitioned by. Text is streamed, and
/// of Parquet files the wanted parts are brought, a row group at a time.
///
/// What is read is what was there when it was opened. A load that is replaced meanwhile is removed, and then the reading fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound).
///
/// Objects that something else put there are read by the source of their format, at [`Location::objects`](crate::source::Location::objects).
#[derive(Debug, Clone)]
pub struct ObjectSource {
    bucket: Bucket,
    load: Option<LoadId>,
    batch_rows: usize,
}

impl ObjectSource {
    /// The data set in a bucket, or in a part of it.
    pub fn new(bucket: &Bucket) -> Self {
        Self {
            bucket: bucket.clone(),
            load: None,
            batch_rows: DEFAULT_BATCH_ROWS,
        }
    }

    /// Only this load.
    #[must_use]
    pub fn load(mut self, load: LoadId) -> Self {
        self.load = Some(load);
        self
    }

    /// How many rows a batch has at most; [`DEFAULT_BATCH_ROWS`] unless said otherwise, and at least 1.
    #[must_use]
    pub fn batch_rows(mut self, rows: usize) -> Self {
        self.batch_rows = rows.max(1);
        self
    }

    async fn begin(&self) -> Result<BatchStream> {
        let (ledger, _) = object::read(&self.bucket).await?;
        let loads = loads::chosen(ledger, self.load.as_ref(), &self.bucket)?;
        let bucket = self.bucket.clone();
        let (schema, batches) = loads::batches(loads, self.batch_rows, move |load, part| {
            let name = format!("{}/{}", directory_name(load), part.path);
            Ok(Input::Remote(std::sync::Arc::new(
                bucket.part(&name, part.bytes)?,
            )))
        })?;
        Ok(BatchStream::blocking(schema, batches))
    }
}

impl Source for ObjectSource {
    fn open(&self) -> BoxFuture<'_, Result<BatchStream>> {
        reading(self.begin()).boxed()
    }
}
