//! What a database answers.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_cast::display::array_value_to_string;
use arrow_schema::SchemaRef;
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, ErrorKind, Result};
use crate::exact::Coerced;
use crate::since::Since;
use crate::source::Source;
use crate::sql::{Database, Dialect, Read, Session, TableName};
use crate::stream::{BatchStream, DEFAULT_BATCH_ROWS, Producer, WAITING, columns};
use crate::traffic::reading;
use crate::value::Value;

/// The rows of a table, or of a query with parameters. They are read as they are asked for, however many there are.
///
/// Columns have the types that the database knows: dates and times to the microsecond, numbers as wide as they are. Exact decimals of a declared size (up to 38 digits) are
/// `Decimal128`; of any other, texts with all their digits, which [`schema`](Self::schema) or a cast in the query makes numbers of. What has a zone is in UTC. UUIDs, JSON
/// and values of enumerations are texts; what Arrow has no simple type for (arrays, ranges, intervals) is an error that says to cast it. In SQLite, where a value may be of another type
/// than its column, that is an error, and a column without a declared type has that of the first batch's values.
///
/// A reading is one statement, so what it sees is one state of the database.
#[derive(Debug, Clone)]
pub struct SqlSource {
    database: Database,
    from: Statement,
    values: Vec<Value>,
    schema: Option<SchemaRef>,
    batch_rows: usize,
    following: Option<Following>,
}

/// The column by which rows are new.
#[derive(Debug, Clone)]
struct Following {
    column: String,
    since: Since,
    /// Whether those at the value itself are read once more.
    at: bool,
}

/// What is read.
#[derive(Debug, Clone)]
enum Statement {
    Table(String),
    Query(String),
}

impl SqlSource {
    fn new(database: &Database, from: Statement) -> Self {
        Self {
            database: database.clone(),
            from,
            values: Vec::new(),
            schema: None,
            batch_rows: DEFAULT_BATCH_ROWS,
            following: None,
        }
    }

    /// All rows of a table, `plants` or `raw.plants`.
    pub fn table(database: &Database, table: impl Into<String>) -> Self {
        Self::new(database, Statement::Table(table.into()))
    }

    /// The rows of a query, in the database's own language. Values go in by [`bind`](Self::bind), never into its text: the parameters are `$1`, `$2` and so on, for MySQL `?`.
    pub fn query(database: &Database, query: impl Into<String>) -> Self {
        Self::new(database, Statement::Query(query.into()))
    }

    /// The next parameter.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Makes these columns of the result's, by their names: in this order and of these types. Others are left out. A value that cannot be of its type, or would be another value in it, is an error: 3.7 is no
    /// `Int64`, and 0.1 of 64 bits is no `Float32`. A text is the value that it says, if that has a place for all of it: a day with a time is no `Date32`, and a whole number is a `Float64` only if that is
    /// exactly it, while a fraction is the nearest one. Times without a zone are in UTC where a zone is asked for; so are days, and a moment is a day where it is the beginning of one in UTC. A text that says its
    /// zone is that moment.
    #[must_use]
    pub fn schema(mut self, schema: SchemaRef) -> Self {
        self.schema = Some(schema);
        self
    }

    /// How many rows a batch has at most; [`DEFAULT_BATCH_ROWS`] unless said otherwise, and at least 1. Batches of large texts are shorter, at some 16 MiB.
    #[must_use]
    pub fn batch_rows(mut self, rows: usize) -> Self {
        self.batch_rows = rows.max(1);
        self
    }

    /// Reads only rows whose value in this column is greater than where an incremental extraction has come, in the order of that column; and the sink that they are loaded into keeps how far
    /// this one came.
    ///
    /// The column must grow with what is new, and no row may become visible later than one with a greater value: numbers from a sequence do that where one writes at a time.
    /// Where equal or lower values may come late, as times of changes do, see [`since_or_at`](Self::since_or_at). A row without a value is an error,
    /// and so is an enumeration, a set or JSON of MySQL, which are ordered in one way and compared in another.
    #[must_use]
    pub fn since(mut self, column: impl Into<String>, since: Since) -> Self {
        let column = column.into();
        self.following = Some(Following {
            column,
            since,
            at: false,
        });
        self
    }

    /// The same, and the rows at that value once more, for a sink that [upserts](crate::sink::SqlSink::upsert_on): so what came late with an equal value is not missed.
    #[must_use]
    pub fn since_or_at(mut self, column: impl Into<String>, since: Since) -> Self {
        let column = column.into();
        self.following = Some(Following {
            column,
            since,
            at: true,
        });
        self
    }

    /// What is said to the database. What is new is that which is greater than the cursor, of this type.
    fn read(&self, cast: Option<&str>) -> Result<Read> {
        let dialect = self.database.dialect();
        let mut values = self.values.clone();
        let statement = match (&self.from, &self.following) {
            (Statement::Query(query), None) => query.clone(),
            (Statement::Table(table), None) => {
                format!("SELECT * FROM {}", TableName::new(table)?.quoted(dialect))
            }
            (from, Some(following)) => following.select(dialect, &from.rows(dialect)?, cast, &mut values),
        };
        Ok(Read {
            statement,
            values,
            batch_rows: self.batch_rows,
            schema: self.schema.clone(),
        })
    }
}

impl Statement {
    /// Its rows, as they stand after `FROM`.
    fn rows(&self, dialect: Dialect) -> Result<String> {
        match self {
            Self::Table(table) => Ok(TableName::new(table)?.quoted(dialect)),
            // It may end in a comment, which ends with the line.
            Self::Query(query) => {
                let query = query.trim_end().trim_end_matches(';');
                Ok(format!("({query}\n) AS since"))
            }
        }
    }
}

impl Following {
    /// The statement that reads what is new. What has no value is read too, since it would never be.
    fn select(&self, dialect: Dialect, from: &str, cast: Option<&str>, values: &mut Vec<Value>) -> String {
        let column = dialect.quoted(&self.column);
        let all = match dialect {
            // A time may be written in many ways there, and is compared as it is written: so that is what is followed. The sign takes the declared type away and leaves the value.
            Dialect::Sqlite => format!("*, +{column} AS flowkit_since"),
            Dialect::Postgres | Dialect::MySql => "*".to_owned(),
        };
        let Some(value) = self.since.value() else {
            return format!("SELECT {all} FROM {from} ORDER BY {column}");
        };
        values.push(value.clone());
        let (place, than) = (dialect.place(values.len()), if self.at { ">=" } else { ">" });
        // Only what is kept as a text is of another type than the column.
        let cast = cast.filter(|_| matches!(value, Value::Text(_)));
        let place = cast.map_or(place.clone(), |cast| format!("CAST({place} AS {cast})"));
        format!(
            "SELECT {all} FROM {from} WHERE {column} {than} {place} OR {column} IS NULL ORDER BY {column}"
        )
    }

    fn followed(&self, batches: BatchStream, dialect: Dialect, of: Option<&str>) -> Result<BatchStream> {
        #[cfg(feature = "sqlite")]
        if dialect == Dialect::Sqlite {
            return batches.following_last(&self.column, self.since.clone());
        }
        let _ = dialect;
        let is_exact = of.is_some_and(|of| of == "numeric" || of.starts_with("DECIMAL"));
        batches.following_of(&self.column, self.since.clone(), is_exact)
    }
}

impl SqlSource {
    /// The type of the column that is followed, as casts call it, where a cursor is kept as the text of a value that is none. That the column can be followed is asked from the beginning.
    async fn cursor_type(&self, session: &mut dyn Session) -> Result<Option<String>> {
        let Some(following) = &self.following else {
            return Ok(None);
        };
        let dialect = self.database.dialect();
        let (column, rows) = (dialect.quoted(&following.column), self.from.rows(dialect)?);
        let read = Read::new(format!("SELECT {column} FROM {rows}"), self.values.clone());
        session.type_in_casts(&read, following.since.value()).await
    }
}

impl Source for SqlSource {
    fn open(&self) -> BoxFuture<'_, Result<BatchStream>> {
        reading(async move {
            let mut read = self.read(None)?;
            let mut session = self.database.connect().await?;
            let followed = self.cursor_type(session.as_mut()).await?;
            if followed.is_some() {
                read = self.read(followed.as_deref())?;
            }
            let (opened, opening) = oneshot::channel();
            let (sender, receiver) = mpsc::channel(WAITING);
            // Guarded from now on: who drops this future before it is ready ends the reading, too.
            let producer = Producer(tokio::spawn(produce(session, read, opened, sender)));
            let schema = opening.await.map_err(|error| {
                Error::new(ErrorKind::Io, "the reading from the database did not begin").because(error)
            })??;
            let mut batches = BatchStream::produced(schema, receiver, producer);
            if let Some(following) = &self.following {
                batches = following.followed(batches, self.database.dialect(), followed.as_deref())?;
            }
            match &self.schema {
                Some(schema) => converted(batches, schema.clone()),
                None => Ok(batches),
            }
        })
        .boxed()
    }
}

/// Reads until nobody takes the rows any more.
async fn produce(
    mut session: Box<dyn Session>,
    read: Read,
    opened: oneshot::Sender<Result<SchemaRef>>,
    sender: mpsc::Sender<Result<RecordBatch>>,
) {
    let mut batches = match session.read(&read).await {
        Err(error) => {
            drop(opened.send(Err(error)));
            return;
        }
        Ok((schema, batches)) => {
            drop(opened.send(Ok(schema)));
            batches
        }
    };
    while let Some(batch) = batches.next().await {
        if sender.send(batch).await.is_err() {
            return;
        }
    }
    drop(batches);
    session.close().await;
}

/// The columns that were asked for.
fn converted(batches: BatchStream, schema: SchemaRef) -> Result<BatchStream> {
    let there = batches.schema().clone();
    let mut indexes = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let index = there.index_of(field.name()).map_err(|_| {
            let message = format!(
                "the result has no column `{}`; it has {}",
                field.name(),
                columns(&there)
            );
            Error::new(ErrorKind::Schema, message)
        })?;
        indexes.push(index);
    }
    let of_batches = schema.clone();
    Ok(batches.map_batches(schema, move |batch| convert(&batch, &indexes, &of_batches)))
}

fn convert(batch: &RecordBatch, indexes: &[usize], schema: &SchemaRef) -> Result<RecordBatch> {
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(indexes.len());
    for (index, field) in indexes.iter().zip(schema.fields()) {
        let column = batch.column(*index);
        let misfit = |what: String| {
            let message = format!(
                "the column `{}` is of the type {}, and {what} does not go into {}: cast it in the query, if it may become another one",
                field.name(),
                column.data_type(),
                field.data_type()
            );
            Error::new(ErrorKind::Schema, message)
        };
        let coerced = Coerced::new(column, field.data_type())
            .map_err(|error| misfit("a value of it".to_owned()).because(error))?;
        if let Some(row) = coerced.first_lost(column) {
            return Err(misfit(array_value_to_string(column, row).unwrap_or_default()));
        }
        arrays.push(coerced.column);
    }
    RecordBatch::try_new(Arc::clone(schema), arrays).map_err(|error| {
        Error::new(
            ErrorKind::Schema,
            "a value is missing in a column in which none may",
        )
        .because(error)
    })
}
