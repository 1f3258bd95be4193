//! One file, replaced as a whole.

use std::fs::File;
use std::path::{Path, PathBuf};

use futures::future::{BoxFuture, FutureExt};

use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::sink::drain::{Batches, drain};
use crate::sink::format::{Compression, FileFormat};
use crate::sink::output::Output;
use crate::sink::staging::Staging;
use crate::sink::{LoadId, Loaded, Sink, faithful};
use crate::stream::BatchStream;
use crate::traffic::writing;

/// One file, in place of one that may be there: a reader sees the whole former one or the whole new one. Its name says its format, `plants.csv.gz` or `plants.parquet`.
///
/// A repeated load writes the same file once more. JSON has no word for a number that is not finite, nor for a time beyond the year 9999: such a row is refused, as in a data set, and the former file stays.
#[derive(Debug, Clone)]
pub struct FileSink {
    path: PathBuf,
    format: Option<(FileFormat, Compression)>,
}

impl FileSink {
    /// The file at a path. Directories that are not there are made.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            format: None,
        }
    }

    /// A format that the name does not say.
    #[must_use]
    pub fn format(mut self, format: FileFormat, compression: Compression) -> Self {
        self.format = Some((format, compression));
        self
    }

    /// Writes all of a stream, for nobody who counts.
    pub(super) async fn load_all(&self, load: &LoadId, batches: BatchStream) -> Result<Loaded> {
        let format = self.format.map_or_else(|| FileFormat::of_name(&self.path), Ok)?;
        if self.path.is_dir() {
            let message = format!("{} is a directory: name a file in it", self.path.display());
            return Err(Error::new(ErrorKind::Access, message));
        }
        if let Some(progress) = batches.progress() {
            return Err(progress.unkept());
        }
        let (sink, load) = (self.clone(), load.clone());
        drain(batches, move |batches| sink.write(load, batches, format)).await
    }

    fn write(&self, load: LoadId, batches: Batches, format: (FileFormat, Compression)) -> Result<Loaded> {
        let staging = Staging::within(durable::directory_of(&self.path))?;
        let part = staging.directory().join("part");
        let file = File::create_new(&part).map_err(|error| Error::io("write", &self.path, error))?;
        let wanted = batches.wanted.clone();
        let mut output = Output::new((&self.path, file), format, &batches.schema.clone())?;
        for batch in batches {
            let batch = batch?;
            faithful::check_words(format.0, &batch)?;
            output.write(&batch)?;
        }
        let rows = output.rows;
        let bytes = output.finish()?;
        wanted.check()?;
        durable::rename(&part, &self.path)?;
        Ok(Loaded {
            load,
            rows,
            bytes,
            files: vec![self.path.display().to_string()],
            repeated: false,
        })
    }
}

impl Sink for FileSink {
    fn load<'a>(&'a self, load: &'a LoadId, batches: BatchStream) -> BoxFuture<'a, Result<Loaded>> {
        writing(batches, |batches| self.load_all(load, batches)).boxed()
    }
}
