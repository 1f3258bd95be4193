//! SQL over batches: joins, sums and windows over what passes between a source and a sink, by [DataFusion](https://datafusion.apache.org).

mod failure;
mod limit;
mod table;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::datasource::MemTable;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;

use futures::StreamExt;

use self::failure::failed;
use crate::error::{Error, ErrorKind, Result};
use crate::since::Progress;
use crate::stream::BatchStream;
use crate::value::Value;

/// How much memory a query takes before it puts what it holds on the disk, unless said otherwise: 512 MiB.
pub const DEFAULT_MEMORY: usize = 512 << 20;

/// A query in SQL over record batches.
///
/// Its tables are streams, each read once, and batches in memory, read as often as the query likes. Names are written as they are: `"Plant"` and `Plant` are the same column, and `plant` is another.
/// Values go in by [`bind`](Self::bind), never into the text. It reads and does nothing else: no files, no tables of its own.
///
/// Whole numbers are added and multiplied as Arrow does it: beyond the largest of their type they go on with the smallest. Cast to a wider type where that can be: `sum(CAST(x AS DECIMAL(38, 0)))`.
///
/// What a join, a sum or a sort has to hold stays within [`memory`](Self::memory); beyond that it goes to temporary files, where the operator can do that, and is an error of kind
/// [`Full`](ErrorKind::Full) where it cannot.
///
/// ```
/// use flowkit_etl::query::Query;
/// use flowkit_etl::{BatchStream, Result};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Height { plant: String, cm: f64 }
/// #[derive(Deserialize, PartialEq, Debug)]
/// struct Tallest { plant: String, cm: f64 }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let heights = [("a", 140.5), ("a", 151.0), ("b", 90.0)].map(|(plant, cm)| Height { plant: plant.into(), cm });
/// let tallest: Vec<Tallest> = Query::new("SELECT plant, max(cm) AS cm FROM heights WHERE cm > $1 GROUP BY plant ORDER BY plant")
///     .table("heights", BatchStream::from_rows(heights.into())?)
///     .bind(100.0)
///     .run()
///     .await?
///     .collect_rows()
///     .await?;
/// assert_eq!(tallest, [Tallest { plant: "a".into(), cm: 151.0 }]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a query does nothing until it is run"]
pub struct Query {
    text: String,
    tables: Vec<(String, Table)>,
    values: Vec<Value>,
    memory: usize,
    spill: Option<PathBuf>,
}

#[derive(Debug)]
enum Table {
    Stream(BatchStream),
    Kept(SchemaRef, Vec<RecordBatch>),
}

impl Query {
    /// A query of this text: one statement, which selects.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            tables: Vec::new(),
            values: Vec::new(),
            memory: DEFAULT_MEMORY,
            spill: None,
        }
    }

    /// A table of this name: the batches of a stream, which the query can read once.
    pub fn table(mut self, name: impl Into<String>, batches: BatchStream) -> Self {
        self.tables.push((name.into(), Table::Stream(batches)));
        self
    }

    /// A table of this name: batches in memory, which the query can read as often as it likes.
    pub fn kept(mut self, name: impl Into<String>, schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        self.tables.push((name.into(), Table::Kept(schema, batches)));
        self
    }

    /// The next parameter: `$1`, `$2` and so on.
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// How many bytes joins, sums and sorts may hold, together; [`DEFAULT_MEMORY`] unless said otherwise. Batches in memory and those on their way do not count.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// The directory for what does not fit; that of the system for temporary files, unless said otherwise.
    pub fn spill_to(mut self, directory: impl Into<PathBuf>) -> Self {
        self.spill = Some(directory.into());
        self
    }

    /// Plans it and begins to read. The rows come as they are asked for; an error on the way, also of a stream that it reads, ends them. Texts and bytes come as `Utf8` and `Binary`,
    /// however the query made them.
    ///
    /// If one of its streams is an incremental extraction, so is the result: what keeps its cursor is the sink, which takes all that is new for loaded. So no `LIMIT` or `OFFSET` may leave out a
    /// part of it; what `WHERE` leaves out is not loaded later either.
    ///
    /// # Errors
    /// [`Options`](ErrorKind::Options) when the text is no query, names tables, columns or functions that are not there, has parameters without a value, two tables have one name,
    /// two streams are incremental extractions, or the rows of one are limited; [`Schema`](ErrorKind::Schema) when two columns of the result have the same name.
    pub async fn run(self) -> Result<BatchStream> {
        let (new, progress) = self.progress()?.unzip();
        let (text, values) = (
            self.text.clone(),
            self.values.iter().map(scalar).collect::<Vec<_>>(),
        );
        let session = self.session()?;
        let read_only = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        let frame = session.sql_with_options(&text, read_only).await.map_err(failed)?;
        let parameters = frame.logical_plan().get_parameter_names().map_err(failed)?;
        bound(&parameters, values.len())?;
        if let Some(new) = new {
            limit::refuse(&new, frame.logical_plan())?;
        }
        let frame = frame.with_param_values(values).map_err(failed)?;
        let rows = frame.execute_stream().await.map_err(failed)?;
        Ok(plain(rows)?.with_progress(progress))
    }

    /// The one table that is an incremental extraction, and how far that came.
    fn progress(&self) -> Result<Option<(String, Progress)>> {
        let of_streams = self.tables.iter().filter_map(|(name, table)| match table {
            Table::Stream(stream) => Some((name.clone(), stream.progress().cloned()?)),
            Table::Kept(..) => None,
        });
        let mut all: Vec<_> = of_streams.collect();
        let first = all.pop();
        if all.is_empty() {
            return Ok(first);
        }
        Err(Error::new(
            ErrorKind::Options,
            "two tables of the query are incremental extractions, and a load keeps one cursor: load them one by one, and query what was loaded",
        ))
    }

    /// What runs it, with its tables.
    fn session(self) -> Result<SessionContext> {
        let mut config = SessionConfig::new();
        let parser = &mut config.options_mut().sql_parser;
        parser.enable_ident_normalization = false;
        parser.map_string_types_to_utf8view = false;
        let mut runtime =
            RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(self.memory)));
        if let Some(directory) = self.spill {
            runtime = runtime.with_temp_file_path(directory);
        }
        let runtime = runtime.build_arc().map_err(failed)?;
        let session = SessionContext::new_with_config_rt(config, runtime);
        for (name, table) in self.tables {
            let provider: Arc<dyn TableProvider> = match table {
                Table::Stream(stream) => table::once(&name, stream)?,
                Table::Kept(schema, batches) => {
                    Arc::new(MemTable::try_new(schema, vec![batches]).map_err(failed)?)
                }
            };
            let registered = session.register_table(TableReference::bare(name.clone()), provider);
            if registered.map_err(failed)?.is_some() {
                return Err(Error::new(
                    ErrorKind::Options,
                    format!("two tables of the query are called `{name}`"),
                ));
            }
        }
        Ok(session)
    }
}

/// Refuses values that the text does not ask for: one that is missing is told by the query.
fn bound(parameters: &HashSet<String>, values: usize) -> Result<()> {
    let last = parameters
        .iter()
        .filter_map(|name| name.strip_prefix('$')?.parse::<usize>().ok());
    let asked = last.max().unwrap_or_default();
    if values <= asked {
        return Ok(());
    }
    let message = format!("the query asks for {asked} parameters, by $1 and so on, and {values} are bound");
    Err(Error::new(ErrorKind::Options, message))
}

/// A value as the query takes it.
fn scalar(value: &Value) -> ScalarValue {
    match value {
        Value::Null => ScalarValue::Null,
        Value::Boolean(value) => ScalarValue::Boolean(Some(*value)),
        Value::Integer(value) => ScalarValue::Int64(Some(*value)),
        Value::Number(value) => ScalarValue::Float64(Some(*value)),
        Value::Text(value) => ScalarValue::Utf8(Some(value.clone())),
        Value::Bytes(value) => ScalarValue::Binary(Some(value.clone())),
        Value::Date(value) => ScalarValue::Date32(Some(*value)),
        Value::Timestamp(value) => ScalarValue::TimestampMicrosecond(Some(*value), None),
        Value::Moment(value) => ScalarValue::TimestampMicrosecond(Some(*value), Some("UTC".into())),
    }
}

/// What the query gives, in the types that everything here reads.
fn plain(rows: SendableRecordBatchStream) -> Result<BatchStream> {
    let given = rows.schema();
    let mut fields: Vec<Field> = Vec::with_capacity(given.fields().len());
    for field in given.fields() {
        if fields.iter().any(|earlier| earlier.name() == field.name()) {
            return Err(Error::new(
                ErrorKind::Schema,
                format!(
                    "two columns of the query are called `{}`: give one another name, by AS",
                    field.name()
                ),
            ));
        }
        let plain = match field.data_type() {
            DataType::Utf8View => DataType::Utf8,
            DataType::BinaryView => DataType::Binary,
            other => other.clone(),
        };
        fields.push(field.as_ref().clone().with_data_type(plain));
    }
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let to = Arc::clone(&schema);
    let batches = rows.map(move |batch| cast(&batch.map_err(failed)?, &to));
    Ok(BatchStream::new(schema, batches))
}

fn cast(batch: &RecordBatch, to: &SchemaRef) -> Result<RecordBatch> {
    let cast =
        |(column, field): (&arrow_array::ArrayRef, &Arc<Field>)| arrow_cast::cast(column, field.data_type());
    let columns = batch
        .columns()
        .iter()
        .zip(to.fields())
        .map(cast)
        .collect::<Result<Vec<_>, _>>();
    let cast = columns.and_then(|columns| RecordBatch::try_new(Arc::clone(to), columns));
    cast.map_err(|error| {
        Error::new(
            ErrorKind::Schema,
            "a column of the query cannot be given as its type",
        )
        .because(error)
    })
}
