//! What a data set has, whole loads of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Schema, SchemaRef};
use futures::future::{BoxFuture, FutureExt};

use crate::error::{Error, ErrorKind, Result};
use crate::sink::ledger::{self, Ledger, LoadRecord};
use crate::sink::{FileFormat, LoadId, partition};
use crate::source::Source;
use crate::source::files::FileBatches;
use crate::stream::{BatchStream, DEFAULT_BATCH_ROWS, columns};
use crate::traffic::reading;

/// What [`DatasetSink`](crate::sink::DatasetSink) wrote into a directory: all loads that count, in the order of their names, with the columns in their own order and types, also those that it was partitioned by.
///
/// What is read is what was there when it was opened. A load that is replaced meanwhile is removed, and then the reading fails with [`ErrorKind::NotFound`].
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
        let mut loads = Ledger::read(&self.root)?.loads;
        if let Some(load) = &self.load {
            loads.retain(|record| record.load == *load);
        }
        let Some(first) = loads.first() else {
            let which = self
                .load
                .as_ref()
                .map_or("no load".to_owned(), |load| format!("no load `{load}`"));
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("{} has {which}", self.root.display()),
            ));
        };
        let schema: SchemaRef = Arc::new(first.schema()?);
        let mut parts = Vec::new();
        for load in loads {
            let directory = self.root.join(ledger::directory_name(&load.load));
            let layout = Arc::new(Layout::of(load, &schema, self.batch_rows)?);
            let of_load = layout.record.parts.iter().map(|part| part.path.clone());
            parts.extend(
                of_load
                    .map(|part| (directory.clone(), part, layout.clone()))
                    .collect::<Vec<_>>(),
            );
        }
        let batches = parts.into_iter().flat_map(|(directory, part, layout)| {
            let opened = Layout::open(&layout, &directory, part);
            opened.unwrap_or_else(|error| Box::new(std::iter::once(Err(error))))
        });
        Ok((schema, Box::new(batches)))
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

/// How the files of a load become batches.
struct Layout {
    record: LoadRecord,
    schema: SchemaRef,
    /// The columns in the files.
    in_files: SchemaRef,
    /// The types of those that name directories, in the order of the directories.
    in_names: Vec<DataType>,
    batch_rows: usize,
}

impl Layout {
    fn of(record: LoadRecord, schema: &SchemaRef, batch_rows: usize) -> Result<Self> {
        let own = record.schema()?;
        if own.fields() != schema.fields() {
            return Err(Error::new(
                ErrorKind::Schema,
                format!(
                    "the load `{}` has the columns {}, where those before it have {}",
                    record.load,
                    columns(&own),
                    columns(schema)
                ),
            ));
        }
        let in_names = |name: &String| record.partitioned_by.contains(name);
        let fields = own
            .fields()
            .iter()
            .filter(|field| !in_names(field.name()))
            .cloned();
        let type_of = |name: &String| own.field_with_name(name).map(|field| field.data_type().clone());
        let types = record
            .partitioned_by
            .iter()
            .map(type_of)
            .collect::<Result<Vec<_>, _>>();
        Ok(Self {
            in_files: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            in_names: types.map_err(|error| {
                Error::new(
                    ErrorKind::Format,
                    format!("the record of the load `{}` is damaged", record.load),
                )
                .because(error)
            })?,
            record,
            schema: schema.clone(),
            batch_rows,
        })
    }

    /// The batches of a file, with all columns.
    fn open(layout: &Arc<Self>, directory: &Path, part: String) -> Result<FileBatches> {
        let batches = layout.open_file(&directory.join(&part))?;
        let layout = layout.clone();
        Ok(Box::new(
            batches.map(move |batch| layout.complete(&part, &batch?)),
        ))
    }

    fn open_file(&self, file: &Path) -> Result<FileBatches> {
        match self.record.format {
            #[cfg(feature = "csv")]
            FileFormat::Csv => {
                let source = crate::source::CsvSource::new(file)
                    .schema(self.in_files.clone())
                    .batch_rows(self.batch_rows);
                Ok(source.open_files()?.1)
            }
            #[cfg(feature = "json")]
            FileFormat::JsonLines => {
                let source = crate::source::JsonLinesSource::new(file)
                    .schema(self.in_files.clone())
                    .batch_rows(self.batch_rows);
                Ok(source.open_files()?.1)
            }
            #[cfg(feature = "parquet")]
            FileFormat::Parquet => {
                let opened = crate::source::parquet::ParquetFile::open(file, None)?;
                if opened.schema.fields() != self.in_files.fields() {
                    return Err(self.misplaced(file));
                }
                opened.batches(self.batch_rows)
            }
        }
    }

    fn misplaced(&self, file: &Path) -> Error {
        let message = format!(
            "{} does not have the columns that the record of the load `{}` says: something else wrote it",
            file.display(),
            self.record.load
        );
        Error::new(ErrorKind::Schema, message)
    }

    /// The rows of a file, with what its directories say.
    fn complete(&self, part: &str, batch: &RecordBatch) -> Result<RecordBatch> {
        let in_names = partition::values_of(part, &self.in_names, batch.num_rows())?;
        let mut of_file = batch.columns().iter().cloned();
        let column = |name: &String| -> Option<ArrayRef> {
            match self
                .record
                .partitioned_by
                .iter()
                .position(|column| column == name)
            {
                Some(at) => in_names.get(at).cloned(),
                None => of_file.next(),
            }
        };
        let columns = self
            .schema
            .fields()
            .iter()
            .map(|field| field.name())
            .filter_map(column)
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| self.misplaced(part.as_ref()).because(error))
    }
}
