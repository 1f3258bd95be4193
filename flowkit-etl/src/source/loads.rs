//! The loads of a data set as batches, wherever its files are.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Schema, SchemaRef};

use crate::error::{Error, ErrorKind, Result};
use crate::sink::ledger::{Ledger, LoadRecord, PartRecord};
use crate::sink::{FileFormat, LoadId, partition};
use crate::source::Input;
use crate::source::files::FileBatches;
use crate::stream::columns;

/// The loads that are to be read of a data set that is called so: all, or the one of this name.
///
/// # Errors
/// When there is none.
pub(crate) fn chosen(
    ledger: Ledger,
    load: Option<&LoadId>,
    called: &dyn fmt::Display,
) -> Result<Vec<LoadRecord>> {
    let mut loads = ledger.loads;
    if let Some(load) = load {
        loads.retain(|record| record.load == *load);
    }
    if !loads.is_empty() {
        return Ok(loads);
    }
    let which = load.map_or("no load".to_owned(), |load| format!("no load `{load}`"));
    Err(Error::new(ErrorKind::NotFound, format!("{called} has {which}")))
}

/// The batches of loads, one file after the other, each opened as its turn comes.
pub(crate) fn batches<F>(
    loads: Vec<LoadRecord>,
    batch_rows: usize,
    input: F,
) -> Result<(SchemaRef, FileBatches)>
where
    F: Fn(&LoadId, &PartRecord) -> Result<Input> + Send + 'static,
{
    let schema: SchemaRef = match loads.first() {
        Some(first) => Arc::new(first.schema()?),
        None => Arc::new(Schema::empty()),
    };
    let mut parts = Vec::new();
    for load in loads {
        let layout = Arc::new(Layout::of(load, &schema, batch_rows)?);
        let of_load = layout.record.parts.clone();
        parts.extend(of_load.into_iter().map(|part| (part, layout.clone())));
    }
    let batches = parts.into_iter().flat_map(move |(part, layout)| {
        let opened = input(&layout.record.load, &part).and_then(|file| Layout::open(&layout, &file, part));
        opened.unwrap_or_else(|error| Box::new(std::iter::once(Err(error))))
    });
    Ok((schema, Box::new(batches)))
}

/// Batches as they are given on, until there are none or one is an error. The last one is followed by nothing, which may be an error, too.
fn ended(
    mut batches: FileBatches,
    mut each: impl FnMut(Option<Result<RecordBatch>>) -> Option<Result<RecordBatch>>,
) -> impl Iterator<Item = Result<RecordBatch>> {
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let batch = each(batches.next());
        is_over = !matches!(batch, Some(Ok(_)));
        batch
    })
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
    ///
    /// A file that was cut short may still be one of its format: so its rows are counted, too.
    fn open(layout: &Arc<Self>, file: &Input, part: PartRecord) -> Result<FileBatches> {
        let batches = layout.open_file(file)?;
        let (layout, mut rows, path) = (layout.clone(), 0, file.path().to_owned());
        let count = move |batch: Option<Result<RecordBatch>>| match batch {
            Some(batch) => {
                let batch = batch.and_then(|batch| layout.complete(&part.path, &batch));
                rows += batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
                Some(batch)
            }
            None if rows == part.rows => None,
            None => {
                let message = format!(
                    "{} has {rows} rows, where the record of the load `{}` says {}: it is not the file that was loaded",
                    path.display(),
                    layout.record.load,
                    part.rows
                );
                Some(Err(Error::new(ErrorKind::Format, message)))
            }
        };
        Ok(Box::new(ended(batches, count)))
    }

    fn open_file(&self, file: &Input) -> Result<FileBatches> {
        match self.record.format {
            #[cfg(feature = "csv")]
            FileFormat::Csv => {
                let source = crate::source::CsvSource::new(file.path())
                    .schema(self.in_files.clone())
                    .batch_rows(self.batch_rows);
                Ok(source.open_files(vec![file.clone()])?.1)
            }
            #[cfg(feature = "json")]
            FileFormat::JsonLines => {
                let source = crate::source::JsonLinesSource::new(file.path())
                    .schema(self.in_files.clone())
                    .batch_rows(self.batch_rows);
                Ok(source.open_files(vec![file.clone()])?.1)
            }
            #[cfg(feature = "parquet")]
            FileFormat::Parquet => {
                let opened = crate::source::parquet::ParquetFile::open(file, None)?;
                if crate::sink::faithful::plain(&opened.schema).fields() != self.in_files.fields() {
                    return Err(self.misplaced(file.path()));
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
