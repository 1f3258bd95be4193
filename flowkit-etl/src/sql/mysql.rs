//! MySQL and MariaDB.

use std::collections::HashMap;

use arrow_schema::{DataType, TimeUnit};
use futures::future::{BoxFuture, FutureExt};
use sqlx::mysql::{MySql, MySqlArguments, MySqlColumn, MySqlConnection};
use sqlx::{
    Arguments as _, AssertSqlSafe, Column as _, Executor as _, Row as _, SqlSafeStr as _, Statement as _,
    TypeInfo as _,
};

use crate::error::{Error, ErrorKind, Result};
use crate::sql::Database;
use crate::sql::columns::{self, Reading};
use crate::sql::session::{self, Batches, Destination, Read, Session};
use crate::stream::BatchStream;
use crate::value::Value;

mod decode;
mod insert;

pub(crate) struct MySqlSession {
    connection: MySqlConnection,
    database: Database,
}

impl MySqlSession {
    pub(crate) fn new(connection: MySqlConnection, database: Database) -> Self {
        Self { connection, database }
    }

    /// A session in which a value that does not fit is an error, whatever the server is set to: it would cut it off else.
    pub(crate) async fn strict(mut self) -> Result<Self> {
        self.execute(
            "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')",
            &[],
        )
        .await?;
        self.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", &[])
            .await?;
        Ok(self)
    }

    /// The columns of a statement, and how many parameters it has.
    async fn described(&mut self, statement: &str) -> Result<(Vec<MySqlColumn>, usize), sqlx::Error> {
        let statement = AssertSqlSafe(statement).into_sql_str();
        let statement = self.connection.prepare(statement).await?;
        Ok((statement.columns().to_vec(), session::parameters_of(&statement)))
    }

    /// How many digits the exact numbers among columns have: what the types of a result do not say, their tables do.
    async fn digits(&mut self, columns: &[MySqlColumn]) -> Result<HashMap<usize, DataType>, sqlx::Error> {
        let mut digits = HashMap::new();
        for (index, column) in columns.iter().enumerate() {
            let origin = column.origin();
            let Some(origin) = origin
                .table_column()
                .filter(|_| column.type_info().name() == "DECIMAL")
            else {
                continue;
            };
            let statement = "SELECT CAST(numeric_precision AS SIGNED), CAST(numeric_scale AS SIGNED) FROM information_schema.columns \
                             WHERE CONCAT(table_schema, '.', table_name) = ? AND column_name = ?";
            let query = sqlx::query(statement)
                .bind(origin.table.to_string())
                .bind(origin.name.to_string());
            let Some(row) = query.fetch_optional(&mut self.connection).await? else {
                continue;
            };
            let (precision, scale): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            if let (Ok(precision @ 1..=38), Ok(scale @ 0..=38)) =
                (u8::try_from(precision), i8::try_from(scale))
            {
                digits.insert(index, DataType::Decimal128(precision, scale));
            }
        }
        Ok(digits)
    }
}

impl Session for MySqlSession {
    fn execute<'a>(&'a mut self, statement: &'a str, values: &'a [Value]) -> BoxFuture<'a, Result<u64>> {
        async move {
            // Some statements cannot be prepared.
            let done = match values.is_empty() {
                true => {
                    sqlx::raw_sql(AssertSqlSafe(statement))
                        .execute(&mut self.connection)
                        .await
                }
                false => {
                    let query =
                        sqlx::query_with(AssertSqlSafe(statement), arguments(values)?).persistent(false);
                    query.execute(&mut self.connection).await
                }
            };
            done.map(|done| done.rows_affected())
                .map_err(|error| self.database.failed("do this in", error))
        }
        .boxed()
    }

    fn columns<'a>(&'a mut self, statement: &'a str) -> BoxFuture<'a, Result<Vec<String>>> {
        async move {
            let described = self.described(statement).await;
            let (described, _) = described.map_err(|error| self.database.failed("look into", error))?;
            Ok(described.iter().map(|column| column.name().to_owned()).collect())
        }
        .boxed()
    }

    fn type_in_casts<'a>(
        &'a mut self,
        read: &'a Read,
        at: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<Option<String>>> {
        async move {
            let database = self.database.clone();
            let failed = |error| database.failed("look into", error);
            let (described, _) = self.described(&read.statement).await.map_err(failed)?;
            let Some(column) = described.first() else {
                return Ok(None);
            };
            if has_two_orders(column)? {
                return Err(two_orders(column.name()));
            }
            Ok(match (column.type_info().name(), at) {
                // To a text it would be compared as a number that is not exact.
                ("DECIMAL", Some(Value::Text(digits))) => Some(decimal_of(digits)),
                _ => None,
            })
        }
        .boxed()
    }

    fn read<'a>(&'a mut self, read: &'a Read) -> BoxFuture<'a, Result<Batches<'a>>> {
        async move {
            let database = self.database.clone();
            let failed = move |error| database.failed("read from", error);
            let (described, parameters) = self.described(&read.statement).await.map_err(&failed)?;
            session::bound(parameters, &read.values)?;
            let mut known = self.digits(&described).await.map_err(&failed)?;
            known.extend(numbers(&described, read));
            let schema = columns::described(&described, known, data_type)?;
            let query =
                sqlx::query_with::<MySql, _>(AssertSqlSafe(read.statement.clone()), arguments(&read.values)?);
            Reading {
                rows: query.fetch(&mut self.connection),
                schema,
                batch_rows: read.batch_rows,
                append: decode::append,
                takes_types: false,
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

/// The Arrow type of a column.
fn data_type(column: &MySqlColumn) -> Result<DataType> {
    let of = column.type_info();
    // Texts that are compared character by character go by the names of bytes here, but for what they are compared by.
    let is_text = <str as sqlx::Type<MySql>>::compatible(of);
    Ok(match of.name() {
        "BOOLEAN" => DataType::Boolean,
        "TINYINT" | "SMALLINT" => DataType::Int16,
        "MEDIUMINT" | "INT" => DataType::Int32,
        "BIGINT" => DataType::Int64,
        "TINYINT UNSIGNED" | "SMALLINT UNSIGNED" | "MEDIUMINT UNSIGNED" | "INT UNSIGNED" | "YEAR" => {
            DataType::UInt32
        }
        "BIGINT UNSIGNED" | "BIT" => DataType::UInt64,
        "FLOAT" => DataType::Float32,
        "DOUBLE" => DataType::Float64,
        "DATE" => DataType::Date32,
        "TIME" => DataType::Time64(TimeUnit::Microsecond),
        "DATETIME" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "TIMESTAMP" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        // Of an expression, with any number of digits: exact as a text.
        "DECIMAL" => DataType::Utf8,
        "CHAR" | "VARCHAR" | "TINYTEXT" | "TEXT" | "MEDIUMTEXT" | "LONGTEXT" | "ENUM" | "SET" | "JSON"
        | "NULL" => DataType::Utf8,
        "BINARY" | "VARBINARY" | "TINYBLOB" | "BLOB" | "MEDIUMBLOB" | "LONGBLOB" => match is_text {
            true => DataType::Utf8,
            false => DataType::Binary,
        },
        other => {
            let message = format!(
                "the column `{}` is of the type {other}, which no column of a batch holds: cast it in the query",
                column.name()
            );
            return Err(Error::new(ErrorKind::Schema, message));
        }
    })
}

/// The truth values among columns of which something else is asked: they are numbers of one byte there, of which two are truth values.
fn numbers(columns: &[MySqlColumn], read: &Read) -> HashMap<usize, DataType> {
    let asked = |column: &MySqlColumn| {
        let field = read.schema.as_ref()?.field_with_name(column.name()).ok()?;
        (field.data_type() != &DataType::Boolean && column.type_info().name() == "BOOLEAN").then(|| {
            match <u64 as sqlx::Type<MySql>>::compatible(column.type_info()) {
                true => DataType::UInt32,
                false => DataType::Int16,
            }
        })
    };
    let columns = columns.iter().enumerate();
    columns
        .filter_map(|(index, column)| Some((index, asked(column)?)))
        .collect()
}

/// Whether the values of a column come in another order than that in which they are compared to a text. That it is an enumeration or a set is among the flags that the server sends with it, which are only shown: their names are
/// those of texts and bytes, and what is made of a query comes from no table that could be asked.
fn has_two_orders(column: &MySqlColumn) -> Result<bool> {
    if column.type_info().name() == "JSON" {
        return Ok(true);
    }
    let shown = format!("{:?}", column.type_info());
    let Some(mut flags) = flags_in(&shown) else {
        let message = format!(
            "it is not known whether the column `{}` is an enumeration or a set, which cannot be followed: follow another column",
            column.name()
        );
        return Err(Error::new(ErrorKind::Schema, message));
    };
    Ok(flags.any(|flag| matches!(flag, "ENUM" | "SET")))
}

/// The flags in a type as it is shown; nothing, if it is shown in another way.
fn flags_in(shown: &str) -> Option<impl Iterator<Item = &str>> {
    let (_, flags) = shown.split_once("flags: ColumnFlags(")?;
    let (flags, _) = flags.split_once(')')?;
    Some(flags.split(" | "))
}

/// What is said of a column that cannot be followed.
fn two_orders(name: &str) -> Error {
    let message = format!(
        "the column `{name}` is an enumeration, a set or JSON, which is ordered in one way and compared to a text in another: follow `{name} + 0 AS place` if it is an enumeration or a set, or another column"
    );
    Error::new(ErrorKind::Schema, message)
}

/// The type of exact numbers that holds one with these digits, whatever its size.
fn decimal_of(digits: &str) -> String {
    let after_point = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    format!("DECIMAL(65, {after_point})")
}

/// Parameters.
fn arguments(values: &[Value]) -> Result<MySqlArguments> {
    let mut arguments = MySqlArguments::default();
    for value in values {
        let added = match value {
            Value::Null => arguments.add(None::<i64>),
            Value::Boolean(value) => arguments.add(*value),
            Value::Integer(value) => arguments.add(*value),
            Value::Number(value) => arguments.add(*value),
            Value::Text(text) => arguments.add(text.as_str()),
            Value::Bytes(bytes) => arguments.add(bytes.as_slice()),
            Value::Date(_) => arguments.add(value.date()),
            Value::Timestamp(_) => arguments.add(value.time()),
            Value::Moment(_) => arguments.add(value.time().map(|time| time.and_utc())),
        };
        added.map_err(crate::value::no_parameter)?;
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_a_type_are_those_that_are_shown_and_never_taken_for_none() {
        let flags = |shown| flags_in(shown).map(Iterator::collect::<Vec<_>>);
        let shown = "MySqlTypeInfo { type: String, flags: ColumnFlags(NOT_NULL | ENUM), max_size: Some(4) }";
        assert_eq!(flags(shown), Some(vec!["NOT_NULL", "ENUM"]));
        for other in ["MySqlTypeInfo { flags: [ENUM] }", "flags: ColumnFlags(ENUM", ""] {
            assert_eq!(flags(other), None, "{other}");
        }
    }
}
