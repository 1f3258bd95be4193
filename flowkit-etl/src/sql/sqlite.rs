//! SQLite. Its values have types of their own, whatever their column says: so each is looked at.

use arrow_schema::{DataType, SchemaRef, TimeUnit};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt, TryStreamExt};
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{
    Arguments as _, AssertSqlSafe, Column as _, Executor as _, Row as _, Statement as _, TypeInfo as _,
    ValueRef as _,
};

use crate::error::{Error, ErrorKind, Result};
use crate::sql::Database;
use crate::sql::columns::{self, Column, Misfit, Reading};
use crate::sql::session::{self, Batches, Destination, Read, Session};
use crate::stream::BatchStream;
use crate::value::Value;

mod bind;
mod insert;
mod times;

pub(crate) struct SqliteSession {
    connection: SqliteConnection,
    database: Database,
}

/// A column, and what it was declared as.
type Declared = (String, Option<DataType>);

impl SqliteSession {
    pub(crate) fn new(connection: SqliteConnection, database: Database) -> Self {
        Self { connection, database }
    }

    /// What a column was declared as; nothing, where it was not, as with expressions. And how many parameters the statement has.
    async fn declared(&mut self, read: &Read) -> Result<(Vec<Declared>, usize), sqlx::Error> {
        let statement = AssertSqlSafe(read.statement.as_str());
        let statement = self
            .connection
            .prepare(sqlx::SqlSafeStr::into_sql_str(statement))
            .await?;
        let asked = session::parameters_of(&statement);
        let declared = statement.columns().iter().map(|column| {
            let data_type = match column.type_info().name() {
                "BOOLEAN" => Some(DataType::Boolean),
                "INTEGER" => Some(DataType::Int64),
                "REAL" => Some(DataType::Float64),
                "TEXT" => Some(DataType::Utf8),
                "BLOB" => Some(DataType::Binary),
                "DATE" => Some(DataType::Date32),
                "TIME" => Some(DataType::Time64(TimeUnit::Microsecond)),
                "DATETIME" => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
                _ => None,
            };
            (column.name().to_owned(), data_type)
        });
        Ok((declared.collect(), asked))
    }
}

impl Session for SqliteSession {
    fn execute<'a>(&'a mut self, statement: &'a str, values: &'a [Value]) -> BoxFuture<'a, Result<u64>> {
        async move {
            let query = sqlx::query_with(AssertSqlSafe(statement), arguments(values)?).persistent(false);
            let done = query.execute(&mut self.connection).await;
            done.map(|done| done.rows_affected())
                .map_err(|error| self.database.failed("do this in", error))
        }
        .boxed()
    }

    fn columns<'a>(&'a mut self, statement: &'a str) -> BoxFuture<'a, Result<Vec<String>>> {
        async move {
            let declared = self.declared(&Read::new(statement, Vec::new())).await;
            let (declared, _) = declared.map_err(|error| self.database.failed("look into", error))?;
            Ok(declared.into_iter().map(|(name, _)| name).collect())
        }
        .boxed()
    }

    fn read<'a>(&'a mut self, read: &'a Read) -> BoxFuture<'a, Result<Batches<'a>>> {
        async move {
            let database = self.database.clone();
            let failed = move |error| database.failed("read from", error);
            let (declared, parameters) = self.declared(read).await.map_err(&failed)?;
            session::bound(parameters, &read.values)?;
            let query = sqlx::query_with::<Sqlite, _>(
                AssertSqlSafe(read.statement.clone()),
                arguments(&read.values)?,
            );
            let mut rows = query.fetch(&mut self.connection);
            // Where nothing is declared, the first rows say what there is.
            let mut first = Vec::new();
            let known = |(name, data_type): &(String, Option<DataType>)| {
                data_type.is_some() || asked(read, name).is_some()
            };
            if !declared.iter().all(known) {
                while first.len() < read.batch_rows
                    && let Some(row) = rows.try_next().await.map_err(&failed)?
                {
                    first.push(row);
                }
            }
            let schema = decide(read, declared, &first)?;
            Reading {
                rows: stream::iter(first.into_iter().map(Ok)).chain(rows).boxed(),
                schema,
                batch_rows: read.batch_rows,
                append,
                takes_types: true,
                failed: Box::new(failed),
            }
            .begin()
        }
        .boxed()
    }

    fn write<'a>(
        &'a mut self,
        into: &'a Destination,
        batches: &'a mut BatchStream,
    ) -> BoxFuture<'a, Result<u64>> {
        self.insert(into, batches).boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        session::close(self.connection)
    }
}

/// The type in which a value of a type that is asked for is read.
fn asked(read: &Read, name: &str) -> Option<DataType> {
    let field = read.schema.as_ref()?.field_with_name(name).ok()?;
    crate::sql::dialect::plain_type(name, field.data_type())
        .ok()
        .map(|plain| match plain {
            DataType::UInt64 => DataType::Int64,
            DataType::Float32 => DataType::Float64,
            // Without its zone, which the column then gets.
            DataType::Timestamp(unit, _) => DataType::Timestamp(unit, None),
            plain => plain,
        })
}

/// The columns of a result: as asked for, else as declared, else as the first values are.
fn decide(read: &Read, declared: Vec<(String, Option<DataType>)>, first: &[SqliteRow]) -> Result<SchemaRef> {
    let mut decided = Vec::with_capacity(declared.len());
    for (index, (name, data_type)) in declared.into_iter().enumerate() {
        let data_type = asked(read, &name).or(data_type);
        let data_type = match data_type {
            Some(data_type) => data_type,
            None => observed(&name, index, first)?,
        };
        decided.push((name, data_type));
    }
    Ok(columns::schema(decided))
}

fn observed(name: &str, index: usize, rows: &[SqliteRow]) -> Result<DataType> {
    let mut observed = None;
    for row in rows {
        let value = row.try_get_raw(index).map_err(|error| {
            Error::new(ErrorKind::Format, format!("the column `{name}` cannot be read")).because(error)
        })?;
        if value.is_null() {
            continue;
        }
        let data_type = match value.type_info().name() {
            "INTEGER" => DataType::Int64,
            "REAL" => DataType::Float64,
            "BLOB" => DataType::Binary,
            _ => DataType::Utf8,
        };
        observed = match (observed, data_type) {
            (None, data_type) => Some(data_type),
            (Some(DataType::Int64), DataType::Float64) => Some(DataType::Float64),
            (Some(before), _) => Some(before),
        };
    }
    Ok(observed.unwrap_or(DataType::Utf8))
}

/// What a value is, for who is told that it does not fit.
fn named(storage: &str) -> Misfit {
    let what = match storage {
        "INTEGER" => "a whole number",
        "REAL" => "a number with a fraction",
        "TEXT" => "a text",
        _ => "bytes",
    };
    Misfit::Value(what.to_owned())
}

fn append(row: &SqliteRow, index: usize, column: &mut Column) -> Result<(), Misfit> {
    let value = row.try_get_raw(index)?;
    let storage = match value.is_null() {
        true => "NULL".to_owned(),
        false => value.type_info().name().to_owned(),
    };
    let fits: &[&str] = match column {
        Column::Boolean(_) | Column::Int64(_) => &["INTEGER"],
        Column::Float64(_) => &["REAL", "INTEGER"],
        // A number in a column of times may count days or seconds, from whenever.
        Column::Text(_) | Column::Date(_) | Column::Time(_) | Column::Timestamp(_) => &["TEXT"],
        Column::Bytes(_) => &["BLOB", "TEXT"],
        _ => &["TEXT", "INTEGER", "REAL"],
    };
    if storage != "NULL" && !fits.contains(&storage.as_str()) {
        return Err(named(&storage));
    }
    match column {
        Column::Boolean(builder) => {
            let number = row.try_get_unchecked::<Option<i64>, _>(index)?;
            builder.append_option(number.map(columns::truth).transpose()?);
        }
        Column::Int64(builder) => builder.append_option(row.try_get_unchecked::<Option<i64>, _>(index)?),
        Column::Float64(builder) => {
            let number = row.try_get_unchecked::<Option<f64>, _>(index)?;
            if storage == "INTEGER" {
                let whole: i64 = row.try_get_unchecked(index)?;
                if number.is_some_and(|number| number as i128 != i128::from(whole)) {
                    return Err(Misfit::Value(whole.to_string()));
                }
            }
            builder.append_option(number);
        }
        Column::Text(builder) => builder.append_option(row.try_get_unchecked::<Option<&str>, _>(index)?),
        Column::Bytes(builder) => builder.append_option(row.try_get_unchecked::<Option<&[u8]>, _>(index)?),
        Column::Date(builder) => {
            let text = row.try_get_unchecked::<Option<&str>, _>(index)?;
            let day = text.map(times::day).transpose()?;
            builder.append_option(day.map(arrow_array::types::Date32Type::from_naive_date));
        }
        Column::Time(builder) => {
            let text = row.try_get_unchecked::<Option<&str>, _>(index)?;
            builder.append_option(text.map(times::time_of_day).transpose()?);
        }
        Column::Timestamp(builder) => {
            let text = row.try_get_unchecked::<Option<&str>, _>(index)?;
            builder.append_option(text.map(times::time).transpose()?);
        }
        _ => return Err(named(&storage)),
    }
    Ok(())
}

/// Parameters.
fn arguments(values: &[Value]) -> Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        let added = match value {
            Value::Null => arguments.add(None::<i64>),
            Value::Boolean(value) => arguments.add(*value),
            Value::Integer(value) => arguments.add(*value),
            Value::Number(value) => arguments.add(*value),
            Value::Text(text) => arguments.add(text.clone()),
            Value::Bytes(bytes) => arguments.add(bytes.clone()),
            Value::Date(_) => arguments.add(value.date()),
            Value::Timestamp(_) | Value::Moment(_) => arguments.add(value.time()),
        };
        added.map_err(crate::value::no_parameter)?;
    }
    Ok(arguments)
}
