//! Parquet files.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow_schema::{Schema, SchemaRef};
use futures::future::{BoxFuture, FutureExt};

use crate::error::{Error, ErrorKind, Result};
use crate::source::Source;
use crate::source::files::{self, FileBatches};
use crate::stream::{BatchStream, DEFAULT_BATCH_ROWS, columns};
use crate::traffic::reading;

/// Parquet files, one or all that match a pattern such as `plants/*.parquet`. All have the columns of the first.
///
/// To read what [`DatasetSink`](crate::sink::DatasetSink) wrote, use [`DatasetSource`](crate::source::DatasetSource), which sees whole loads and the columns it was partitioned by.
#[derive(Debug, Clone)]
pub struct ParquetSource {
    path: PathBuf,
    columns: Option<Vec<String>>,
    batch_rows: usize,
}

impl ParquetSource {
    /// The file or files of a path or pattern.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            columns: None,
            batch_rows: DEFAULT_BATCH_ROWS,
        }
    }

    /// Reads only these columns, in the order in which the file has them. The others are not even decoded.
    #[must_use]
    pub fn columns<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.columns = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// How many rows a batch has at most; [`DEFAULT_BATCH_ROWS`] unless said otherwise, and at least 1.
    #[must_use]
    pub fn batch_rows(mut self, rows: usize) -> Self {
        self.batch_rows = rows.max(1);
        self
    }

    /// Begins to read, for nobody who counts.
    pub(crate) async fn begin(&self) -> Result<BatchStream> {
        let source = self.clone();
        let (schema, batches) = crate::blocking::run(move || source.open_files()).await?;
        Ok(BatchStream::blocking(schema, batches))
    }

    fn open_files(&self) -> Result<(SchemaRef, FileBatches)> {
        let files = crate::matching::matching(&self.path)?;
        let schema = match files.first() {
            Some(first) => ParquetFile::open(first, self.columns.as_deref())?.schema,
            None => Arc::new(Schema::empty()),
        };
        let (wanted, rows, expected) = (self.columns.clone(), self.batch_rows, schema.clone());
        let open = move |path: &Path| -> Result<FileBatches> {
            let file = ParquetFile::open(path, wanted.as_deref())?;
            if file.schema.fields() != expected.fields() {
                return Err(Error::new(
                    ErrorKind::Schema,
                    format!(
                        "{} has the columns {}, where the files before it have {}",
                        path.display(),
                        columns(&file.schema),
                        columns(&expected)
                    ),
                ));
            }
            file.batches(rows)
        };
        Ok((schema, files::batches_of(files, open, || Ok(()))))
    }
}

impl Source for ParquetSource {
    fn open(&self) -> BoxFuture<'_, Result<BatchStream>> {
        reading(self.begin()).boxed()
    }
}

/// A Parquet file whose footer was read.
pub(crate) struct ParquetFile {
    path: PathBuf,
    /// The columns that are wanted.
    pub(crate) schema: SchemaRef,
    builder: ParquetRecordBatchReaderBuilder<File>,
}

impl ParquetFile {
    /// Opens a file for all its columns, or for some.
    pub(crate) fn open(path: &Path, wanted: Option<&[String]>) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::io("read", path, error))?;
        let builder =
            ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| no_parquet(path, error))?;
        let of_file = builder.schema().clone();
        let Some(wanted) = wanted else {
            return Ok(Self {
                path: path.to_owned(),
                schema: of_file,
                builder,
            });
        };
        let mut indexes = Vec::new();
        for name in wanted {
            let index = of_file.index_of(name).map_err(|_| {
                Error::new(
                    ErrorKind::Schema,
                    format!(
                        "{} has no column `{name}`; it has {}",
                        path.display(),
                        columns(&of_file)
                    ),
                )
            })?;
            indexes.push(index);
        }
        indexes.sort_unstable();
        indexes.dedup();
        let schema = of_file
            .project(&indexes)
            .map_err(|error| no_parquet(path, error))?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), indexes);
        Ok(Self {
            path: path.to_owned(),
            schema: Arc::new(schema),
            builder: builder.with_projection(mask),
        })
    }

    /// Its batches.
    pub(crate) fn batches(self, rows: usize) -> Result<FileBatches> {
        let path = self.path;
        let reader = self
            .builder
            .with_batch_size(rows)
            .build()
            .map_err(|error| no_parquet(&path, error))?;
        Ok(Box::new(reader.map(move |batch| {
            batch.map_err(|error| no_parquet(&path, error))
        })))
    }
}

fn no_parquet(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let message = format!("{} cannot be read as Parquet", path.display());
    Error::new(ErrorKind::Format, message).because(error)
}
