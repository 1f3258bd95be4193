//! A file that is being written in a format, and synced when it is whole.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::error::{Error, Result};
use crate::sink::format::{Compression, FileFormat};
#[cfg(any(feature = "csv", feature = "json"))]
use crate::sink::text::{Encoder, Taken, Trouble};

/// A file that is being written.
pub(crate) struct Output {
    path: PathBuf,
    writer: Writer,
    /// Rows that were written.
    pub(crate) rows: u64,
}

enum Writer {
    #[cfg(feature = "csv")]
    Csv(Box<arrow_csv::Writer<Encoder>>, Trouble, Taken),
    #[cfg(feature = "json")]
    JsonLines(
        Box<arrow_json::writer::LineDelimitedWriter<Encoder>>,
        Trouble,
        Taken,
    ),
    #[cfg(feature = "parquet")]
    Parquet(Box<::parquet::arrow::ArrowWriter<BufWriter<File>>>),
}

impl Output {
    #[allow(
        unused_variables,
        reason = "Parquet compresses by itself, and JSON lines have no header"
    )]
    /// Begins to write into an empty file. `path` is what errors call it.
    pub(crate) fn new(
        (path, file): (&Path, File),
        (format, compression): (FileFormat, Compression),
        schema: &SchemaRef,
    ) -> Result<Self> {
        let file = BufWriter::with_capacity(128 * 1024, file);
        let writer = match format {
            #[cfg(feature = "csv")]
            FileFormat::Csv => {
                let encoder = Encoder::new(path, file, compression)?;
                let trouble = encoder.trouble();
                let taken = encoder.taken();
                let mut writer = arrow_csv::Writer::new(encoder);
                // So that the header is there also if no row is.
                writer
                    .write(&RecordBatch::new_empty(schema.clone()))
                    .map_err(|error| trouble.why(path, error))?;
                Writer::Csv(Box::new(writer), trouble, taken)
            }
            #[cfg(feature = "json")]
            FileFormat::JsonLines => {
                let builder = arrow_json::WriterBuilder::new().with_explicit_nulls(true);
                let encoder = Encoder::new(path, file, compression)?;
                let trouble = encoder.trouble();
                let taken = encoder.taken();
                Writer::JsonLines(Box::new(builder.build(encoder)), trouble, taken)
            }
            #[cfg(feature = "parquet")]
            FileFormat::Parquet => {
                use ::parquet::basic::Compression::SNAPPY;
                use ::parquet::file::properties::WriterProperties;
                let properties = WriterProperties::builder().set_compression(SNAPPY).build();
                let writer = ::parquet::arrow::ArrowWriter::try_new(file, schema.clone(), Some(properties));
                Writer::Parquet(Box::new(writer.map_err(|error| unwritten_parquet(path, error))?))
            }
        };
        Ok(Self {
            path: path.to_owned(),
            writer,
            rows: 0,
        })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let path = &self.path;
        match &mut self.writer {
            #[cfg(feature = "csv")]
            Writer::Csv(writer, trouble, _) => {
                writer.write(batch).map_err(|error| trouble.why(path, error))?;
            }
            #[cfg(feature = "json")]
            Writer::JsonLines(writer, trouble, _) => {
                writer.write(batch).map_err(|error| trouble.why(path, error))?;
            }
            #[cfg(feature = "parquet")]
            Writer::Parquet(writer) => writer
                .write(batch)
                .map_err(|error| unwritten_parquet(path, error))?,
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// How many bytes of text were written; none, where it is no text.
    #[cfg(any(feature = "csv", feature = "json"))]
    pub(crate) fn text_bytes(&self) -> u64 {
        match &self.writer {
            #[cfg(feature = "csv")]
            Writer::Csv(_, _, taken) => taken.bytes(),
            #[cfg(feature = "json")]
            Writer::JsonLines(_, _, taken) => taken.bytes(),
            #[cfg(feature = "parquet")]
            Writer::Parquet(_) => 0,
        }
    }

    /// How many bytes of what was written are still in memory.
    pub(crate) fn in_memory(&self) -> usize {
        match &self.writer {
            #[cfg(feature = "parquet")]
            Writer::Parquet(writer) => writer.memory_size(),
            #[allow(unreachable_patterns, reason = "with the feature `parquet` alone")]
            _ => 0,
        }
    }

    /// Ends the file, and gives its size when all of it is on the disk.
    pub(crate) fn finish(self) -> Result<u64> {
        let path = &self.path;
        let failed = |error: io::Error| Error::io("write", path, error);
        let file = match self.writer {
            // Each write was flushed: nothing is left to be written by `into_inner`.
            #[cfg(feature = "csv")]
            Writer::Csv(writer, ..) => writer.into_inner().finish().map_err(failed)?,
            #[cfg(feature = "json")]
            Writer::JsonLines(mut writer, trouble, _) => {
                writer.finish().map_err(|error| trouble.why(path, error))?;
                writer.into_inner().finish().map_err(failed)?
            }
            #[cfg(feature = "parquet")]
            Writer::Parquet(writer) => {
                let file = writer
                    .into_inner()
                    .map_err(|error| unwritten_parquet(path, error))?;
                file.into_inner().map_err(|error| failed(error.into_error()))?
            }
        };
        file.sync_all().map_err(failed)?;
        Ok(file.metadata().map_err(failed)?.len())
    }
}

#[cfg(feature = "parquet")]
fn unwritten_parquet(path: &Path, error: ::parquet::errors::ParquetError) -> Error {
    use ::parquet::errors::ParquetError;
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => Error::io("write", path, *error),
            Err(error) => Error::new(
                crate::error::ErrorKind::Io,
                format!("cannot write {}", path.display()),
            )
            .because(error),
        },
        error => {
            let message = format!("what is to be written cannot be in {}", path.display());
            Error::new(crate::error::ErrorKind::Schema, message).because(error)
        }
    }
}
