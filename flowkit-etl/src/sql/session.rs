//! A connection to a database, for one reading or one load.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{BoxStream, TryStreamExt};

use crate::error::Result;
#[cfg(any(feature = "sqlite", feature = "mysql"))]
use crate::error::{Error, ErrorKind};
#[cfg(any(feature = "sqlite", feature = "mysql"))]
use crate::sql::Dialect;
use crate::sql::TableName;
use crate::stream::BatchStream;
use crate::value::Value;

/// How many parameters a statement has that a database looked at.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(crate) fn parameters_of(statement: &impl sqlx::Statement) -> usize {
    let asked = statement.parameters();
    asked.map_or(0, |asked| asked.either(<[_]>::len, |count| count))
}

/// Refuses parameters that are too few or too many for a statement: databases take one that is missing for nothing, or say something else.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(crate) fn bound(asked: usize, values: &[Value]) -> Result<()> {
    if asked == values.len() {
        return Ok(());
    }
    let message = format!(
        "the statement asks for {asked} parameters, and {} are bound",
        values.len()
    );
    Err(Error::new(ErrorKind::Options, message))
}

/// What is to be read.
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "others know their types"))]
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) statement: String,
    pub(crate) values: Vec<Value>,
    pub(crate) batch_rows: usize,
    /// The columns that are asked for, by which a database whose values have no types knows them.
    pub(crate) schema: Option<SchemaRef>,
}

impl Read {
    pub(crate) fn new(statement: impl Into<String>, values: Vec<Value>) -> Self {
        Self {
            statement: statement.into(),
            values,
            batch_rows: crate::stream::DEFAULT_BATCH_ROWS,
            schema: None,
        }
    }
}

/// Where rows go.
#[cfg_attr(
    not(any(feature = "sqlite", feature = "mysql")),
    allow(dead_code, reason = "`COPY` has no conflicts")
)]
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) table: TableName,
    pub(crate) columns: Vec<String>,
    /// What stands after the rows of an `INSERT`.
    pub(crate) on_conflict: String,
}

/// Batches while they are read.
pub(crate) type Batches<'a> = (SchemaRef, BoxStream<'a, Result<RecordBatch>>);

/// A connection. Whoever drops it takes back what was not committed.
pub(crate) trait Session: Send {
    /// Executes a statement, and says how many rows it changed.
    fn execute<'a>(&'a mut self, statement: &'a str, values: &'a [Value]) -> BoxFuture<'a, Result<u64>>;

    /// The names of the columns that a query would have, without executing it.
    fn columns<'a>(&'a mut self, statement: &'a str) -> BoxFuture<'a, Result<Vec<String>>>;

    /// What the type of the only column of a query is called in casts, where a cursor that stands at this value, kept as a text, may not be compared to it as it is. A column whose values are not in the
    /// order in which they are compared is an error.
    fn type_in_casts<'a>(
        &'a mut self,
        _: &'a Read,
        _at: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<Option<String>>> {
        std::future::ready(Ok(None)).boxed()
    }

    /// The rows of a query, as they are asked for.
    fn read<'a>(&'a mut self, read: &'a Read) -> BoxFuture<'a, Result<Batches<'a>>>;

    /// Appends all rows of a stream to a table, and says how many they were.
    fn write<'a>(
        &'a mut self,
        into: &'a Destination,
        batches: &'a mut BatchStream,
    ) -> BoxFuture<'a, Result<u64>>;

    /// Ends the connection in the way that the server expects.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

impl dyn Session + '_ {
    /// All rows of a query that has few.
    pub(crate) fn select<'a>(&'a mut self, read: &'a Read) -> BoxFuture<'a, Result<Vec<RecordBatch>>> {
        async move {
            let (_, batches) = self.read(read).await?;
            batches.try_collect().await
        }
        .boxed()
    }

    /// The first value of the first row of a query, of which no more is read. A value of a type that no [`Value`] has comes as text.
    pub(crate) fn value<'a>(&'a mut self, read: &'a Read) -> BoxFuture<'a, Result<Option<Value>>> {
        async move {
            let read = Read {
                batch_rows: 1,
                ..read.clone()
            };
            let (_, mut batches) = self.read(&read).await?;
            let Some(batch) = batches.try_next().await? else {
                return Ok(None);
            };
            batch
                .columns()
                .first()
                .map(|column| Value::or_text(column, 0))
                .transpose()
        }
        .boxed()
    }
}

/// Ends a connection of any kind. What it was for is done by then, so that it matters to nobody if this fails.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub(crate) fn close<C: sqlx::Connection + 'static>(connection: C) -> BoxFuture<'static, ()> {
    async move {
        if let Err(error) = connection.close().await {
            tracing::debug!(target: "flowkit_etl", %error, "a connection did not close well");
        }
    }
    .boxed()
}

#[cfg(any(feature = "sqlite", feature = "mysql"))]
impl Destination {
    /// A statement that inserts so many rows.
    pub(crate) fn insert(&self, dialect: Dialect, rows: usize) -> String {
        let width = self.columns.len();
        let row = |row: usize| {
            let places: Vec<String> = (1..=width)
                .map(|column| dialect.place(row * width + column))
                .collect();
            format!("({})", places.join(", "))
        };
        let rows: Vec<String> = (0..rows).map(row).collect();
        let (columns, rows) = (dialect.list(&self.columns), rows.join(", "));
        format!(
            "INSERT INTO {} ({columns}) VALUES {rows}{}",
            self.table.quoted(dialect),
            self.on_conflict
        )
    }
}
