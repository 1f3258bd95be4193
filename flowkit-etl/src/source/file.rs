//! Files of which the name says the format.

use arrow_schema::SchemaRef;
use futures::future::{BoxFuture, FutureExt};

use crate::error::Result;
use crate::sink::FileFormat;
use crate::source::files::{self, FileBatches};
use crate::source::{Input, Location, Source};
use crate::stream::{BatchStream, DEFAULT_BATCH_ROWS};
use crate::traffic::reading;

/// Files of any format, one or all that a [`Location`] names. The name of the first one says the format, `plants.csv.gz` or `plants.parquet`, unless it is [given](Self::format). It is the other end of [`FileSink`](crate::sink::FileSink);
/// what more can be said of a format is said by its own source.
#[derive(Debug, Clone)]
pub struct FileSource {
    location: Location,
    format: Option<FileFormat>,
    schema: Option<SchemaRef>,
    batch_rows: usize,
}

impl FileSource {
    /// The files of a place.
    pub fn at(location: Location) -> Self {
        Self {
            location,
            format: None,
            schema: None,
            batch_rows: DEFAULT_BATCH_ROWS,
        }
    }

    /// The format, where the names do not say it.
    #[must_use]
    pub fn format(mut self, format: FileFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// The columns to read of text files, in this order; inferred unless said. Parquet files know their own.
    #[must_use]
    pub fn schema(mut self, schema: SchemaRef) -> Self {
        self.schema = Some(schema);
        self
    }

    /// How many rows a batch has at most; [`DEFAULT_BATCH_ROWS`] unless said otherwise, and at least 1.
    #[must_use]
    pub fn batch_rows(mut self, rows: usize) -> Self {
        self.batch_rows = rows.max(1);
        self
    }

    /// What is opened off the caller's thread, by the source of its format.
    fn open_files(self, files: Vec<Input>) -> Result<(SchemaRef, FileBatches)> {
        let named = files.first().map(|first| FileFormat::of_name(first.path()));
        let format = match (self.format, named) {
            (Some(format), _) => format,
            (None, Some(named)) => named?.0,
            (None, None) => {
                let nothing: FileBatches = Box::new(std::iter::empty());
                return Ok((SchemaRef::new(arrow_schema::Schema::empty()), nothing));
            }
        };
        let (location, rows) = (self.location, self.batch_rows);
        match format {
            #[cfg(feature = "csv")]
            FileFormat::Csv => {
                let source = crate::source::CsvSource::at(location).batch_rows(rows);
                match self.schema {
                    Some(schema) => source.schema(schema).open_files(files),
                    None => source.open_files(files),
                }
            }
            #[cfg(feature = "json")]
            FileFormat::JsonLines => {
                let source = crate::source::JsonLinesSource::at(location).batch_rows(rows);
                match self.schema {
                    Some(schema) => source.schema(schema).open_files(files),
                    None => source.open_files(files),
                }
            }
            #[cfg(feature = "parquet")]
            FileFormat::Parquet => {
                let source = crate::source::ParquetSource::at(location).batch_rows(rows);
                source.open_files(files)
            }
        }
    }
}

impl Source for FileSource {
    fn open(&self) -> BoxFuture<'_, Result<BatchStream>> {
        let (location, source) = (self.location.clone(), self.clone());
        reading(files::opened(location, move |files| source.open_files(files))).boxed()
    }
}
