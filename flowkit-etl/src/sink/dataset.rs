//! A directory of files that grows load by load, or is replaced by each.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use arrow_schema::Schema;
use futures::future::{BoxFuture, FutureExt};

use crate::blocking;
use crate::durable;
use crate::error::{Error, Result};
use crate::since::{Progress, Since};
use crate::sink::drain::{Batches, Wanted, drain};
use crate::sink::format::{Compression, FileFormat};
use crate::sink::ledger::{self, Ledger, LoadRecord};
use crate::sink::shape::Shape;
use crate::sink::staging::Staging;
use crate::sink::{LoadId, Loaded, Mode, Sink};
use crate::stream::BatchStream;
use crate::traffic::writing;

/// The file that whoever commits a load holds locked.
const LOCK: &str = ".lock";

/// A directory in which every load is a directory of its own, `load=2013-02-04/scenario=WW/part-00000.parquet`, with a record of what it is.
///
/// A load appears whole, by one renaming, for whoever reads `load=*/` in any way. It is read by [`DatasetSource`](crate::source::DatasetSource), which also never sees
/// a load beside the one that replaced it; what reads by patterns may for a moment. A load of a name that was there before changes nothing, also after it was
/// replaced by another. Files that a killed process left half-written are hidden, and cleared away by the next load.
///
/// Several processes may load into one directory at a time. It must be on one file system, whose renaming is atomic and which has locks.
#[derive(Debug, Clone)]
pub struct DatasetSink {
    root: PathBuf,
    shape: Shape,
    mode: Mode,
}

impl DatasetSink {
    /// A data set in a directory, which is made if it is not there, of files of a format.
    pub fn new(root: impl AsRef<Path>, format: FileFormat) -> Self {
        Self {
            root: root.as_ref().to_owned(),
            shape: Shape::new(format),
            mode: Mode::Append,
        }
    }

    /// A data set of Parquet files.
    #[cfg(feature = "parquet")]
    pub fn parquet(root: impl AsRef<Path>) -> Self {
        Self::new(root, FileFormat::Parquet)
    }

    /// Compresses text files. Parquet files do that themselves, and with anything but `None` a load into them fails.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.shape.compression = compression;
        self
    }

    /// A directory for each value of these columns, one in the other. Numbers, texts, dates, decimals and booleans can be such columns. The columns are not in the files then.
    #[must_use]
    pub fn partition_by<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.shape.partition_by = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Begins another file once one has so many rows; a batch is not divided. Never unless said, except that memory is bounded to some 256 MiB and open files to 64.
    #[must_use]
    pub fn rows_per_file(mut self, rows: u64) -> Self {
        self.shape.rows_per_file = rows.max(1);
        self
    }

    /// How a load stands to those before it; beside them unless said otherwise.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    fn check(&self, ledger: &Ledger, schema: &Schema) -> Result<()> {
        self.shape.check(schema)?;
        match self.mode {
            Mode::Append => ledger.check(&self.root, schema),
            Mode::Replace => Ok(()),
        }
    }

    fn write(&self, load: LoadId, batches: Batches, progress: Option<&Progress>) -> Result<Loaded> {
        let (schema, wanted) = (batches.schema.clone(), batches.wanted.clone());
        let staging = Staging::within(&self.root)?;
        let parts = self.shape.write(batches, staging.directory(), "part")?;
        let record = self.shape.record(load, &schema, parts);
        self.commit(&staging, record, (&schema, progress), &wanted)
    }

    /// Puts what was written in place, one load at a time.
    fn commit(
        &self,
        staging: &Staging,
        mut record: LoadRecord,
        (schema, progress): (&Schema, Option<&Progress>),
        wanted: &Wanted,
    ) -> Result<Loaded> {
        let lock = self.root.join(LOCK);
        let held = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|error| Error::io("lock", &lock, error))?;
        let ledger = Ledger::read(&self.root)?;
        if let Some(loaded) = ledger.repeated(&self.root, &record.load) {
            return Ok(loaded);
        }
        self.check(&ledger, schema)?;
        record.follow(&ledger, progress)?;
        let Ledger {
            loads,
            mut superseded,
        } = ledger;
        if self.mode == Mode::Replace {
            superseded.extend(loads.into_iter().map(|former| former.load));
            // What was superseded stays known, so that a load from before is not repeated. Else those who know it stay themselves.
            record.supersedes.clone_from(&superseded);
        }
        record.write(staging.directory())?;
        let place = self.root.join(ledger::directory_name(&record.load));
        wanted.check()?;
        durable::rename(staging.directory(), &place)?;
        let there = ledger::listed(&self.root).unwrap_or_default();
        for load in there.iter().filter(|load| superseded.contains(load)) {
            self.remove(load);
        }
        drop(held);
        Ok(record.loaded(&self.root, false))
    }

    /// Removes a load that was superseded. One that cannot be removed now counts no more than one that is gone, and is removed by the next load.
    fn remove(&self, load: &LoadId) {
        if let Err(error) = fs::remove_dir_all(self.root.join(ledger::directory_name(load)))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(target: "flowkit_etl", %error, %load, "a load that was replaced could not be removed");
        }
    }
}

impl Sink for DatasetSink {
    fn load<'a>(&'a self, load: &'a LoadId, batches: BatchStream) -> BoxFuture<'a, Result<Loaded>> {
        writing(batches, move |batches| async move {
            let batches = Shape::plain(batches);
            let (sink, name, schema) = (self.clone(), load.clone(), batches.schema().clone());
            let repeated = blocking::run(move || {
                let ledger = Ledger::read(&sink.root)?;
                let repeated = ledger.repeated(&sink.root, &name);
                if repeated.is_none() {
                    sink.check(&ledger, &schema)?;
                }
                Ok(repeated)
            })
            .await?;
            if let Some(repeated) = repeated {
                return Ok(repeated);
            }
            let (sink, name, progress) = (self.clone(), load.clone(), batches.progress().cloned());
            drain(batches, move |batches| {
                sink.write(name, batches, progress.as_ref())
            })
            .await
        })
        .boxed()
    }

    fn since<'a>(&'a self, cursor: &'a str) -> BoxFuture<'a, Result<Since>> {
        let (root, cursor) = (self.root.clone(), cursor.to_owned());
        blocking::run(move || Ok(Ledger::read(&root)?.since(&cursor))).boxed()
    }
}
