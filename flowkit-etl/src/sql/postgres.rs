//! PostgreSQL. Values come in its binary form, whose types are known before the first row; rows go by `COPY`.

use std::collections::HashMap;

use arrow_schema::{DataType, TimeUnit};
use futures::future::{BoxFuture, FutureExt};
use sqlx::postgres::{PgArguments, PgColumn, PgConnection, PgTypeInfo, PgTypeKind, Postgres};
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

mod copy;
mod decode;
mod numeric;
mod text;

pub(crate) struct PostgresSession {
    connection: PgConnection,
    database: Database,
}

impl PostgresSession {
    pub(crate) fn new(connection: PgConnection, database: Database) -> Self {
        Self { connection, database }
    }

    /// The columns of a query, and their types.
    async fn described(&mut self, statement: &str, values: &[Value]) -> Result<Vec<PgColumn>, sqlx::Error> {
        let types: Vec<PgTypeInfo> = values.iter().map(type_of).collect();
        let statement = AssertSqlSafe(statement).into_sql_str();
        let statement = self.connection.prepare_with(statement, &types).await?;
        Ok(statement.columns().to_vec())
    }

    /// The type of the first column of a query, as casts call it: with its schema, where that must be said. Texts need no cast, but for those that are filled up with spaces, which count in other texts alone;
    /// and a cast to `character` would cut them off.
    async fn first_type(&mut self, read: &Read) -> Result<Option<String>, sqlx::Error> {
        let described = self.described(&read.statement, &read.values).await?;
        let of = described.first().map(PgColumn::type_info);
        if of.is_some_and(|of| of.name() == "CHAR") {
            return Ok(Some("bpchar".to_owned()));
        }
        let is_text = |of: &&PgTypeInfo| matches!(of.name(), "TEXT" | "VARCHAR" | "NAME" | "UNKNOWN");
        let Some(oid) = of.filter(|of| !is_text(of)).and_then(PgTypeInfo::oid) else {
            return Ok(None);
        };
        let query = sqlx::query_scalar("SELECT $1::regtype::text").bind(oid);
        query.fetch_optional(&mut self.connection).await
    }

    /// How many digits the exact numbers among columns have: what the types of a result do not say, their tables do.
    async fn digits(&mut self, columns: &[PgColumn]) -> Result<HashMap<usize, DataType>, sqlx::Error> {
        let mut digits = HashMap::new();
        for (index, column) in columns.iter().enumerate() {
            let (Some(table), Some(attribute)) = (column.relation_id(), column.relation_attribute_no())
            else {
                continue;
            };
            if column.type_info().name() != "NUMERIC" {
                continue;
            }
            let statement = "SELECT atttypmod FROM pg_attribute WHERE attrelid = $1 AND attnum = $2";
            let query = sqlx::query(statement).bind(table).bind(attribute);
            let row = query.fetch_optional(&mut self.connection).await?;
            let modifier: i32 = row.map(|row| row.try_get(0)).transpose()?.unwrap_or(-1);
            // The header's four bytes, then the precision, then the scale of eleven bits.
            let (precision, scale) = ((modifier - 4) >> 16, (modifier - 4) & 0x7ff);
            if modifier >= 4
                && let (Ok(precision @ 1..=38), Ok(scale @ 0..=38)) =
                    (u8::try_from(precision), i8::try_from(scale))
                && i32::from(scale) <= i32::from(precision)
            {
                digits.insert(index, DataType::Decimal128(precision, scale));
            }
        }
        Ok(digits)
    }
}

impl Session for PostgresSession {
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
            let described = self.described(statement, &[]).await;
            let described = described.map_err(|error| self.database.failed("look into", error))?;
            Ok(described.iter().map(|column| column.name().to_owned()).collect())
        }
        .boxed()
    }

    fn type_in_casts<'a>(
        &'a mut self,
        read: &'a Read,
        _: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<Option<String>>> {
        async move {
            let first = self.first_type(read).await;
            first.map_err(|error| self.database.failed("look into", error))
        }
        .boxed()
    }

    fn read<'a>(&'a mut self, read: &'a Read) -> BoxFuture<'a, Result<Batches<'a>>> {
        async move {
            let database = self.database.clone();
            let failed = move |error| database.failed("read from", error);
            let arguments = arguments(&read.values)?;
            let described = self
                .described(&read.statement, &read.values)
                .await
                .map_err(&failed)?;
            let digits = self.digits(&described).await.map_err(&failed)?;
            let schema = columns::described(&described, digits, data_type)?;
            let query = sqlx::query_with::<Postgres, _>(AssertSqlSafe(read.statement.clone()), arguments);
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
        self.copy(into, batches).boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        session::close(self.connection)
    }
}

/// The Arrow type of a column.
fn data_type(column: &PgColumn) -> Result<DataType> {
    let of = column.type_info();
    Ok(match of.name() {
        "BOOL" => DataType::Boolean,
        "INT2" => DataType::Int16,
        "INT4" => DataType::Int32,
        "INT8" => DataType::Int64,
        "OID" => DataType::UInt32,
        "FLOAT4" => DataType::Float32,
        "FLOAT8" => DataType::Float64,
        // Of any number of digits: exact as a text.
        "NUMERIC" => DataType::Utf8,
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "UNKNOWN" | "JSON" | "JSONB" | "UUID" | "citext" => {
            DataType::Utf8
        }
        "BYTEA" => DataType::Binary,
        "DATE" => DataType::Date32,
        "TIME" => DataType::Time64(TimeUnit::Microsecond),
        "TIMESTAMP" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "TIMESTAMPTZ" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ if matches!(of.kind(), PgTypeKind::Enum(_)) => DataType::Utf8,
        other => {
            let message = format!(
                "the column `{}` is of the type {other}, which no column of a batch holds: cast it in the query, `{}::text`",
                column.name(),
                column.name()
            );
            return Err(Error::new(ErrorKind::Schema, message));
        }
    })
}

/// The type that a parameter is given.
fn type_of(value: &Value) -> PgTypeInfo {
    fn of<T: sqlx::Type<Postgres>>() -> PgTypeInfo {
        T::type_info()
    }
    match value {
        Value::Null | Value::Text(_) => of::<String>(),
        Value::Boolean(_) => of::<bool>(),
        Value::Integer(_) => of::<i64>(),
        Value::Number(_) => of::<f64>(),
        Value::Bytes(_) => of::<Vec<u8>>(),
        Value::Date(_) => of::<chrono::NaiveDate>(),
        Value::Timestamp(_) => of::<chrono::NaiveDateTime>(),
        Value::Moment(_) => of::<chrono::DateTime<chrono::Utc>>(),
    }
}

/// Parameters.
fn arguments(values: &[Value]) -> Result<PgArguments> {
    let mut arguments = PgArguments::default();
    for value in values {
        let added = match value {
            Value::Null => arguments.add(None::<String>),
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
