//! A data set in an object store.

use std::collections::BTreeSet;
use std::path::Path;

use arrow_schema::Schema;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::error::{Error, ErrorKind, Result};
use crate::object::{self, Bucket};
use crate::since::{Progress, Since};
use crate::sink::drain::drain;
use crate::sink::ledger::{Ledger, LoadRecord, PartRecord, directory_name};
use crate::sink::shape::Shape;
use crate::sink::{Compression, FileFormat, LoadId, Loaded, Mode, Sink};
use crate::stream::BatchStream;
use crate::traffic::writing;

/// How often a commit is tried while others commit too.
const TURNS: u32 = 100;
/// How many files are put at a time.
const AT_A_TIME: usize = 4;

/// A data set in an object store, some files for each load, `load=2013-02-04/scenario=WW/part-….parquet`, and one ledger of all: what the ledger names is there, and nothing else. It is read by
/// [`ObjectSource`](crate::source::ObjectSource).
///
/// A load is written to a local temporary directory, put into the store, and appears when the ledger is replaced, on the condition that nobody else replaced it (the store must know conditional writes: S3, Google Cloud Storage and Azure do). So several may
/// load at a time, and a load that dies leaves objects that nobody reads. A load of a name that was there before changes nothing.
#[derive(Debug, Clone)]
pub struct ObjectSink {
    bucket: Bucket,
    shape: Shape,
    mode: Mode,
}

impl ObjectSink {
    /// The data set in a bucket, or in a part of it, of Parquet files.
    pub fn new(bucket: &Bucket) -> Self {
        Self {
            bucket: bucket.clone(),
            shape: Shape::new(FileFormat::Parquet),
            mode: Mode::Append,
        }
    }

    /// Files of another format, of which text may be compressed. Parquet files do that themselves, and with anything but [`Compression::None`] a load into them fails.
    #[must_use]
    pub fn format(mut self, format: FileFormat, compression: Compression) -> Self {
        self.shape.format = format;
        self.shape.compression = compression;
        self
    }

    /// A part of the names for each value of these columns, as the directories of [`DatasetSink`](crate::sink::DatasetSink) are: `scenario=WW/`. Numbers, texts, dates, decimals and booleans can be such columns. The columns are not in the files then.
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

    async fn load_all(&self, load: &LoadId, batches: BatchStream) -> Result<Loaded> {
        let batches = Shape::plain(batches);
        let schema = batches.schema().clone();
        let (ledger, _) = object::read(&self.bucket).await?;
        if let Some(loaded) = ledger.repeated(&self.bucket.shown(), load) {
            return Ok(loaded);
        }
        self.check(&ledger, &schema)?;
        let progress = batches.progress().cloned();
        // Two who make this load at a time do not write over each other's files.
        let stem = format!("part-{:016x}", fastrand::u64(..));
        let shape = self.shape.clone();
        // The directory goes with the work that writes into it: if this future is dropped, that goes on for a while.
        let (parts, staging) = drain(batches, move |batches| {
            let staging =
                tempfile::tempdir().map_err(|error| Error::io("write into", &std::env::temp_dir(), error))?;
            Ok((shape.write(batches, staging.path(), &stem)?, staging))
        })
        .await?;
        let names: Vec<String> = parts.iter().map(|part| name_of(load, part)).collect();
        let record = self.shape.record(load.clone(), &schema, parts);
        let committed = match self.put(&record, staging.path()).await {
            Ok(()) => self.commit(record, &schema, progress.as_ref()).await,
            Err(error) => {
                // A store that is away now cannot be asked to remove anything either.
                if !error.is_transient() {
                    self.remove(&names).await;
                }
                return Err(error);
            }
        };
        match &committed {
            // Somebody else made this load meanwhile, or it cannot be one: these objects are nobody's. After another error they may have been committed.
            Ok(loaded) if loaded.repeated => self.remove(&names).await,
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Schema) => {
                self.remove(&names).await;
            }
            _ => {}
        }
        committed
    }

    fn check(&self, ledger: &Ledger, schema: &Schema) -> Result<()> {
        self.shape.check(schema)?;
        match self.mode {
            Mode::Append => ledger.check(&self.bucket.shown(), schema),
            Mode::Replace => Ok(()),
        }
    }

    /// Puts the files of a load there, where nobody looks for them yet.
    async fn put(&self, record: &LoadRecord, directory: &Path) -> Result<()> {
        let upload = |part: &PartRecord| {
            let (bucket, file) = (self.bucket.clone(), directory.join(&part.path));
            let name = name_of(&record.load, part);
            async move { bucket.upload(&file, &name).await }
        };
        let uploads: Vec<_> = record.parts.iter().map(upload).collect();
        stream::iter(uploads)
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await
    }

    async fn remove(&self, names: &[String]) {
        for name in names {
            self.bucket.remove(name).await;
        }
    }

    async fn commit(
        &self,
        record: LoadRecord,
        schema: &Schema,
        progress: Option<&Progress>,
    ) -> Result<Loaded> {
        let root = self.bucket.shown();
        let mut replaced = Vec::new();
        for _ in 0..TURNS {
            let (mut ledger, version) = object::read(&self.bucket).await?;
            // A commit of which the answer was lost is sent again by the store's client, and then conflicts with itself.
            if let Some(own) = ledger.loads.iter().find(|there| there.is_of(&record)) {
                let loaded = own.loaded(&root, false);
                self.remove_loads(&replaced).await;
                return Ok(loaded);
            }
            if let Some(loaded) = ledger.repeated(&root, &record.load) {
                return Ok(loaded);
            }
            self.check(&ledger, schema)?;
            let mut record = record.clone();
            record.follow(&ledger, progress)?;
            let former = match self.mode {
                Mode::Append => Vec::new(),
                Mode::Replace => std::mem::take(&mut ledger.loads),
            };
            replaced.clone_from(&former);
            let names: BTreeSet<LoadId> = former.iter().map(|record| record.load.clone()).collect();
            ledger.superseded.extend(names);
            let loaded = record.loaded(&root, false);
            ledger.loads.push(record);
            match object::commit(&self.bucket, ledger, version).await {
                Ok(()) => {
                    self.remove_loads(&former).await;
                    return Ok(loaded);
                }
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        let message = format!("others commit to {} all the time: try again later", self.bucket);
        Err(Error::new(ErrorKind::Unavailable, message))
    }
}

impl ObjectSink {
    /// Removes the files of loads that were replaced.
    async fn remove_loads(&self, loads: &[LoadRecord]) {
        for record in loads {
            let names = record.parts.iter().map(|part| name_of(&record.load, part));
            self.remove(&names.collect::<Vec<_>>()).await;
        }
    }
}

/// The name of a file of a load in the bucket's part.
fn name_of(load: &LoadId, part: &PartRecord) -> String {
    format!("{}/{}", directory_name(load), part.path)
}

impl Sink for ObjectSink {
    fn load<'a>(&'a self, load: &'a LoadId, batches: BatchStream) -> BoxFuture<'a, Result<Loaded>> {
        writing(batches, |batches| self.load_all(load, batches)).boxed()
    }

    fn since<'a>(&'a self, cursor: &'a str) -> BoxFuture<'a, Result<Since>> {
        async move { Ok(object::read(&self.bucket).await?.0.since(cursor)) }.boxed()
    }
}
