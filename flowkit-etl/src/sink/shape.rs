//! What the files of a data set are like, and how a load is written as such files.

use std::path::Path;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_cast::cast;
use arrow_schema::{ArrowError, Schema};

use crate::error::{Error, ErrorKind, Result};
use crate::sink::drain::Batches;
use crate::sink::format::{Compression, FileFormat};
use crate::sink::ledger::{LoadRecord, PartRecord};
use crate::sink::partition::Partitioning;
use crate::sink::parts::Parts;
use crate::sink::{LoadId, faithful};
use crate::stream::BatchStream;

/// What the files of a data set are like.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) format: FileFormat,
    pub(crate) compression: Compression,
    pub(crate) partition_by: Vec<String>,
    pub(crate) rows_per_file: u64,
}

impl Shape {
    pub(crate) fn new(format: FileFormat) -> Self {
        Self {
            format,
            compression: Compression::None,
            partition_by: Vec::new(),
            rows_per_file: u64::MAX,
        }
    }

    /// Nothing, if rows of these columns can be in such files. What cannot be is told before anything is written.
    pub(crate) fn check(&self, schema: &Schema) -> Result<()> {
        #[cfg(feature = "parquet")]
        if self.format == FileFormat::Parquet && self.compression != Compression::None {
            let message = "Parquet files are compressed inside: leave `compression` out";
            return Err(Error::new(ErrorKind::Options, message));
        }
        LoadRecord::check_columns(schema)?;
        let partitioning = Partitioning::new(schema, &self.partition_by)?;
        faithful::check_columns(self.format, &partitioning.schema)
    }

    /// The stream as it is recorded: names and types of columns, and nothing that is noted beside them or within.
    pub(crate) fn plain(batches: BatchStream) -> BatchStream {
        let schema = faithful::plain(batches.schema());
        if schema.fields() == batches.schema().fields() {
            return batches;
        }
        batches.map_batches(schema.clone(), move |batch| {
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let fields = schema.fields().iter();
            // Values stay as they are: no cast is to another type.
            let columns = fields
                .zip(batch.columns())
                .map(|(field, column)| cast(column, field.data_type()));
            let columns = columns.collect::<Result<Vec<_>, ArrowError>>();
            columns
                .and_then(|columns| RecordBatch::try_new_with_options(schema.clone(), columns, &options))
                .map_err(|error| {
                    Error::new(ErrorKind::Schema, "a batch lacks columns of its stream").because(error)
                })
        })
    }

    /// Writes all rows into files below a directory, whose names begin with `stem`. All of it is on the disk then.
    pub(crate) fn write(&self, batches: Batches, directory: &Path, stem: &str) -> Result<Vec<PartRecord>> {
        let partitioning = Partitioning::new(&batches.schema, &self.partition_by)?;
        let mut parts = Parts::new(
            (directory.to_owned(), stem.to_owned()),
            (self.format, self.compression),
            partitioning.schema.clone(),
            self.rows_per_file,
        );
        for batch in batches {
            for (directory, rows) in partitioning.split(&batch?)? {
                faithful::check_values(self.format, &rows)?;
                parts.write(&directory, &rows)?;
            }
        }
        parts.finish()
    }

    /// The record of a load that was written so.
    pub(crate) fn record(&self, load: LoadId, schema: &Schema, parts: Vec<PartRecord>) -> LoadRecord {
        let format = (self.format, self.compression);
        LoadRecord::new(load, format, schema, &self.partition_by, parts)
    }
}
