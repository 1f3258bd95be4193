//! Parquet files.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{ArrowReaderBuilder, ParquetRecordBatchReaderBuilder};
use arrow_schema::{Schema, SchemaRef};
use futures::future::{BoxFuture, FutureExt};

use crate::error::{Error, ErrorKind, Result};
use crate::source::files::{self, FileBatches};
use crate::source::{Input, Location, Source};
use crate::stream::{BatchStream, DEFAULT_BATCH_ROWS, columns};
use crate::traffic::reading;

/// Parquet files, one or all that match a pattern such as `plants/*.parquet`, here or [elsewhere](Self::at). All have the columns of the first.
///
/// To read what [`DatasetSink`](crate::sink::DatasetSink) wrote, use [`DatasetSource`](crate::source::DatasetSource), which sees whole loads and the columns it was partitioned by.
#[derive(Debug, Clone)]
pub struct ParquetSource {
    location: Location,
    columns: Option<Vec<String>>,
    batch_rows: usize,
}

impl ParquetSource {
    /// The file or files of a path or pattern.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self::at(Location::path(path))
    }

    /// The file or files of a place: of this system, in an object store, at an address of HTTP. Of a file elsewhere only the parts that are needed are brought, or, where the server gives no parts, all of it into a temporary file.
    pub fn at(location: Location) -> Self {
        Self {
            location,
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

    /// What is opened off the caller's thread.
    pub(crate) fn open_files(&self, files: Vec<Input>) -> Result<(SchemaRef, FileBatches)> {
        let first = files.first();
        let mut first = first
            .map(|first| ParquetFile::open(first, self.columns.as_deref()))
            .transpose()?;
        let schema = match &first {
            Some(first) => first.schema.clone(),
            None => Arc::new(Schema::empty()),
        };
        let (wanted, rows, expected) = (self.columns.clone(), self.batch_rows, schema.clone());
        let open = move |input: &Input| -> Result<FileBatches> {
            let opened = first.take();
            let file = opened.map_or_else(|| ParquetFile::open(input, wanted.as_deref()), Ok)?;
            if file.schema.fields() != expected.fields() {
                return Err(Error::new(
                    ErrorKind::Schema,
                    format!(
                        "{input} has the columns {}, where the files before it have {}",
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
        let (location, source) = (self.location.clone(), self.clone());
        reading(files::opened(location, move |files| source.open_files(files))).boxed()
    }
}

/// A Parquet file whose footer was read.
pub(crate) struct ParquetFile {
    path: PathBuf,
    /// The columns that are wanted.
    pub(crate) schema: SchemaRef,
    bytes: Bytes,
}

/// How its bytes are had.
enum Bytes {
    Here(ParquetRecordBatchReaderBuilder<File>),
    #[cfg(feature = "remote")]
    Elsewhere(
        Arc<dyn crate::remote::Remote>,
        ::parquet::arrow::push_decoder::ParquetPushDecoderBuilder,
    ),
}

impl ParquetFile {
    /// Opens a file for all its columns, or for some. Work that blocks, within a runtime.
    pub(crate) fn open(input: &Input, wanted: Option<&[String]>) -> Result<Self> {
        match input {
            Input::Local(path) => {
                let file = File::open(path).map_err(|error| Error::io("read", path, error))?;
                Self::of_file(path, file, wanted)
            }
            #[cfg(feature = "remote")]
            Input::Remote(remote) => {
                let (asked, path) = (Arc::clone(remote), input.path());
                match crate::remote::wait(async move { asked.length().await })? {
                    Some(length) => {
                        let builder = crate::source::parquet_ranges::open(remote, length)?;
                        let (builder, schema) = projected(path, builder, wanted)?;
                        let bytes = Bytes::Elsewhere(Arc::clone(remote), builder);
                        Ok(Self {
                            path: path.to_owned(),
                            schema,
                            bytes,
                        })
                    }
                    None => Self::of_file(path, downloaded(remote)?, wanted),
                }
            }
        }
    }

    fn of_file(path: &Path, file: File, wanted: Option<&[String]>) -> Result<Self> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file);
        let builder = builder.map_err(|error| no_parquet(path, error))?;
        let (builder, schema) = projected(path, builder, wanted)?;
        Ok(Self {
            path: path.to_owned(),
            schema,
            bytes: Bytes::Here(builder),
        })
    }

    /// Its batches.
    pub(crate) fn batches(self, rows: usize) -> Result<FileBatches> {
        let path = self.path;
        match self.bytes {
            Bytes::Here(builder) => {
                let reader = builder.with_batch_size(rows).build();
                let reader = reader.map_err(|error| no_parquet(&path, error))?;
                Ok(Box::new(reader.map(move |batch| {
                    batch.map_err(|error| no_parquet(&path, error))
                })))
            }
            #[cfg(feature = "remote")]
            Bytes::Elsewhere(remote, builder) => Ok(Box::new(crate::source::parquet_ranges::Batches::new(
                remote,
                builder.with_batch_size(rows),
            )?)),
        }
    }
}

/// For the columns that are wanted, or all.
fn projected<T>(
    path: &Path,
    builder: ArrowReaderBuilder<T>,
    wanted: Option<&[String]>,
) -> Result<(ArrowReaderBuilder<T>, SchemaRef)> {
    let of_file = builder.schema().clone();
    let Some(wanted) = wanted else {
        return Ok((builder, of_file));
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
    Ok((builder.with_projection(mask), Arc::new(schema)))
}

/// All of a file of which no parts can be asked for, in a temporary one without a name. What a server compressed on the way is decompressed.
#[cfg(feature = "remote")]
fn downloaded(remote: &Arc<dyn crate::remote::Remote>) -> Result<File> {
    use std::io::{Read, Seek, Write};
    let name = Path::new(remote.name());
    let failed = |error| Error::io("write into", &std::env::temp_dir(), error);
    let mut file = tempfile::tempfile().map_err(failed)?;
    let content = crate::remote::RemoteReader::new(Arc::clone(remote));
    let mut content = crate::source::bytes::decompressed(name, Box::new(content))?;
    let mut piece = vec![0; 256 << 10];
    loop {
        let length = content
            .read(&mut piece)
            .map_err(|error| Error::io("read", name, error))?;
        let Some(read @ [_, ..]) = piece.get(..length) else {
            break;
        };
        file.write_all(read).map_err(failed)?;
    }
    file.rewind().map_err(failed)?;
    Ok(file)
}

pub(super) fn no_parquet(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let message = format!("{} cannot be read as Parquet", path.display());
    Error::new(ErrorKind::Format, message).because(error)
}
