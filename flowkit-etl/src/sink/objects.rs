//! A data set in an object store.

use std::collections::BTreeSet;

use futures::future::{BoxFuture, FutureExt};

use crate::error::{Error, ErrorKind, Result};
use crate::object::{self, Bucket};
use crate::since::{Progress, Since};
use crate::sink::ledger::{Ledger, LoadRecord, PartRecord, directory_name};
use crate::sink::{Compression, FileFormat, FileSink, LoadId, Loaded, Mode, Sink};
use crate::stream::BatchStream;
use crate::traffic::writing;

/// How often a commit is tried while others commit too.
const TURNS: u32 = 100;

/// A data set of Parquet files in an object store, a file for each load, and one ledger of all: what the ledger names is there, and nothing else. It is read by
/// [`ObjectSource`](crate::source::ObjectSource).
///
/// A load is written to a local temporary file, put into the store, and appears when the ledger is replaced, on the condition that nobody else replaced it (the store must know conditional writes: S3, Google Cloud Storage and Azure do). So several may
/// load at a time, and a load that dies leaves an object that nobody reads.
#[derive(Debug, Clone)]
pub struct ObjectSink {
    bucket: Bucket,
    mode: Mode,
}

impl ObjectSink {
    /// The data set in a bucket, or in a part of it.
    pub fn new(bucket: &Bucket) -> Self {
        Self {
            bucket: bucket.clone(),
            mode: Mode::Append,
        }
    }

    /// How a load stands to those before it; beside them unless said otherwise.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    async fn load_all(&self, load: &LoadId, batches: BatchStream) -> Result<Loaded> {
        let root = self.bucket.shown();
        let schema = batches.schema().clone();
        LoadRecord::check_columns(&schema)?;
        let (ledger, _) = object::read(&self.bucket).await?;
        if let Some(loaded) = ledger.repeated(&root, load) {
            return Ok(loaded);
        }
        self.check(&ledger, &schema)?;
        let progress = batches.progress().cloned();
        let staging =
            tempfile::tempdir().map_err(|error| Error::io("write into", &std::env::temp_dir(), error))?;
        let file = staging.path().join("part.parquet");
        let written = FileSink::new(&file)
            .load_all(load, batches.with_progress(None))
            .await?;
        let path = format!("part-{:016x}.parquet", fastrand::u64(..));
        let name = format!("{}/{path}", directory_name(load));
        self.bucket.upload(&file, &name).await?;
        let part = PartRecord {
            path,
            rows: written.rows,
            bytes: written.bytes,
        };
        let record = LoadRecord::new(
            load.clone(),
            (FileFormat::Parquet, Compression::None),
            &schema,
            &[],
            vec![part],
        );
        let committed = self.commit(record, &schema, progress.as_ref()).await;
        match &committed {
            // Somebody else made this load meanwhile, or it cannot be one: this object is nobody's. After another error it may have been committed.
            Ok(loaded) if loaded.repeated => self.bucket.remove(&name).await,
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Schema) => {
                self.bucket.remove(&name).await;
            }
            _ => {}
        }
        committed
    }

    fn check(&self, ledger: &Ledger, schema: &arrow_schema::Schema) -> Result<()> {
        match self.mode {
            Mode::Append => ledger.check(&self.bucket.shown(), schema),
            Mode::Replace => Ok(()),
        }
    }

    async fn commit(
        &self,
        record: LoadRecord,
        schema: &arrow_schema::Schema,
        progress: Option<&Progress>,
    ) -> Result<Loaded> {
        let root = self.bucket.shown();
        for _ in 0..TURNS {
            let (mut ledger, version) = object::read(&self.bucket).await?;
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
            let names: BTreeSet<LoadId> = former.iter().map(|record| record.load.clone()).collect();
            ledger.superseded.extend(names);
            let loaded = record.loaded(&root, false);
            ledger.loads.push(record);
            match object::commit(&self.bucket, ledger, version).await {
                Ok(()) => {
                    for record in former {
                        for part in &record.parts {
                            self.bucket
                                .remove(&format!("{}/{}", directory_name(&record.load), part.path))
                                .await;
                        }
                    }
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

impl Sink for ObjectSink {
    fn load<'a>(&'a self, load: &'a LoadId, batches: BatchStream) -> BoxFuture<'a, Result<Loaded>> {
        writing(batches, |batches| self.load_all(load, batches)).boxed()
    }

    fn since<'a>(&'a self, cursor: &'a str) -> BoxFuture<'a, Result<Since>> {
        async move { Ok(object::read(&self.bucket).await?.0.since(cursor)) }.boxed()
    }
}
