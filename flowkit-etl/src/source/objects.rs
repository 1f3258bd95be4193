//! What a data set in an object store has.

use std::collections::VecDeque;

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream;

use crate::error::{Error, ErrorKind, Result};
use crate::object::{self, Bucket};
use crate::sink::LoadId;
use crate::sink::ledger::directory_name;
use crate::source::{ParquetSource, Source};
use crate::stream::BatchStream;
use crate::traffic::reading;

/// What [`ObjectSink`](crate::sink::ObjectSink) put into an object store: all loads that count, in the order in which they were committed. Each file is brought to a local temporary file when its turn comes, and read from there.
///
/// What is read is what was there when it was opened. A load that is replaced meanwhile is removed, and then the reading fails with [`ErrorKind::NotFound`].
#[derive(Debug, Clone)]
pub struct ObjectSource {
    bucket: Bucket,
    load: Option<LoadId>,
}

impl ObjectSource {
    /// The data set in a bucket, or in a part of it.
    pub fn new(bucket: &Bucket) -> Self {
        Self {
            bucket: bucket.clone(),
            load: None,
        }
    }

    /// Only this load.
    #[must_use]
    pub fn load(mut self, load: LoadId) -> Self {
        self.load = Some(load);
        self
    }

    async fn begin(&self) -> Result<BatchStream> {
        let (ledger, _) = object::read(&self.bucket).await?;
        let mut loads = ledger.loads;
        if let Some(load) = &self.load {
            loads.retain(|record| record.load == *load);
        }
        let Some(first) = loads.first() else {
            let which = self
                .load
                .as_ref()
                .map_or("no load".to_owned(), |load| format!("no load `{load}`"));
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("{} has {which}", self.bucket),
            ));
        };
        let schema = std::sync::Arc::new(first.schema()?);
        let mut names = VecDeque::new();
        for record in &loads {
            names.extend(
                record
                    .parts
                    .iter()
                    .map(|part| format!("{}/{}", directory_name(&record.load), part.path)),
            );
        }
        let staging =
            tempfile::tempdir().map_err(|error| Error::io("write into", &std::env::temp_dir(), error))?;
        let reading = Reading {
            bucket: self.bucket.clone(),
            names,
            current: None,
            staging,
        };
        let batches = stream::try_unfold(reading, |mut reading| async move {
            loop {
                if let Some(current) = &mut reading.current
                    && let Some(batch) = current.next().await.transpose()?
                {
                    return Ok(Some((batch, reading)));
                }
                let Some(name) = reading.names.pop_front() else {
                    return Ok(None);
                };
                reading.open(&name).await?;
            }
        });
        Ok(BatchStream::new(schema, batches))
    }
}

impl Source for ObjectSource {
    fn open(&self) -> BoxFuture<'_, Result<BatchStream>> {
        reading(self.begin()).boxed()
    }
}

/// Files while they are read.
struct Reading {
    bucket: Bucket,
    names: VecDeque<String>,
    current: Option<BatchStream>,
    staging: tempfile::TempDir,
}

impl Reading {
    /// Brings the next file, over the one before.
    async fn open(&mut self, name: &str) -> Result<()> {
        self.current = None;
        let file = self.staging.path().join("part.parquet");
        self.bucket.download(name, &file).await?;
        self.current = Some(ParquetSource::new(file).begin().await?);
        Ok(())
    }
}
