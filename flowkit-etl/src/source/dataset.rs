//! What a data set has, whole loads of it.

use std::path::{Path, PathBuf};

use arrow_schema::SchemaRef;
use futures::future::{BoxFuture, FutureExt};

use crate::error::Result;
use crate::sink::LoadId;
use crate::sink::ledger::{self, Ledger};
use crate::source::files::FileBatches;
use crate::source::{Input, Source, loads};
use crate::stream::{BatchStream, DEFAULT_BATCH_ROWS};
use crate::traffic::reading;

/// What [`DatasetSink`](crate::sink::DatasetSink) wrote into a directory: all loads that count, in the order of their names, with the columns in their own order and types, also those that it was partitioned by.
///
/// What is read is what was there when it was opened. A load that is replaced meanwhile is removed, and then the reading fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound).
#[derive(Debug, Clone)]
pub struct DatasetSource {
    root: PathBuf,
    load: Option<LoadId>,
    batch_rows: usize,
}

impl DatasetSource {
    /// The data set in a directory.
    pub fn new(root: impl AsRef<Path>) -> Self {
        Self {
            root: root.as_ref().to_owned(),
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

    fn open_loads(&self) -> Result<(SchemaRef, FileBatches)> {
        let ledger = Ledger::read(&self.root)?;
        let loads = loads::chosen(ledger, self.load.as_ref(), &self.root.display())?;
        let root = self.root.clone();
        loads::batches(loads, self.batch_rows, move |load, part| {
            let directory = root.join(ledger::directory_name(load));
            Ok(Input::Local(directory.join(&part.path)))
        })
    }
}

impl Source for DatasetSource {
    fn open(&self) -> BoxFuture<'_, Result<BatchStream>> {
        let source = self.clone();
        reading(async move {
            let (schema, batches) = crate::blocking::run(move || source.open_loads()).await?;
            Ok(BatchStream::blocking(schema, batches))
        })
        .boxed()
    }
}
