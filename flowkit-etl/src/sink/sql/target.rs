//! The table that is loaded, and the statements that load it.

use arrow_array::Array as _;
use arrow_schema::SchemaRef;

use crate::error::{Error, ErrorKind, Result};
use crate::sql::{Destination, Dialect, Read, Session, TableName};
use crate::stream::BatchStream;
use crate::value::Value;

/// Where rows of an upsert wait in PostgreSQL, whose `COPY` knows no conflicts.
const STAGE: &str = "flowkit_stage";
/// Where a transaction in PostgreSQL goes back to when a table cannot be made.
const MAKING: &str = "flowkit_making";
/// The column that says which of them came last.
const ORDER: &str = "flowkit_row";

pub(super) struct Target {
    dialect: Dialect,
    name: TableName,
    /// The table, quoted.
    table: String,
    schema: SchemaRef,
    columns: Vec<String>,
    keys: Vec<String>,
}

impl Target {
    pub(super) fn new(dialect: Dialect, table: &str, schema: SchemaRef, keys: &[String]) -> Result<Self> {
        let name = TableName::new(table)?;
        let columns: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        if columns.is_empty() {
            return Err(Error::new(
                ErrorKind::Schema,
                "rows without columns cannot be loaded",
            ));
        }
        if let Some(key) = keys.iter().find(|key| !columns.contains(key)) {
            let message = format!(
                "the rows have no column `{key}`, which is to be a key; they have {}",
                columns.join(", ")
            );
            return Err(Error::new(ErrorKind::Schema, message));
        }
        let target = Self {
            dialect,
            table: name.quoted(dialect),
            name,
            schema,
            columns,
            keys: keys.to_vec(),
        };
        // What no table can hold is told before anything is done.
        target.create()?;
        Ok(target)
    }

    /// The statement that makes the table.
    fn create(&self) -> Result<String> {
        let mut parts = Vec::with_capacity(self.columns.len() + 1);
        for field in self.schema.fields() {
            let key = self.keys.contains(field.name());
            let column = self.dialect.column_type(field.name(), field.data_type(), key)?;
            let null = if field.is_nullable() && !key {
                ""
            } else {
                " NOT NULL"
            };
            parts.push(format!("{} {column}{null}", self.dialect.quoted(field.name())));
        }
        if !self.keys.is_empty() {
            parts.push(format!("PRIMARY KEY ({})", self.dialect.list(&self.keys)));
        }
        Ok(format!(
            "CREATE TABLE IF NOT EXISTS {} ({})",
            self.table,
            parts.join(", ")
        ))
    }

    /// Makes the table, which was not there. If somebody else makes it meanwhile, it is that one, once it can take the rows.
    pub(super) async fn make(&self, session: &mut dyn Session) -> Result<()> {
        let statement = self.create()?;
        if self.dialect != Dialect::Postgres {
            return session.execute(&statement, &[]).await.map(drop);
        }
        // It waits for the other one to commit, and then refuses, whatever `IF NOT EXISTS` says; and the transaction must go on.
        session.execute(&format!("SAVEPOINT {MAKING}"), &[]).await?;
        let Err(error) = session.execute(&statement, &[]).await else {
            return Ok(());
        };
        let back = format!("ROLLBACK TO SAVEPOINT {MAKING}");
        session.execute(&back, &[]).await?;
        match self.check(session).await? {
            true => Ok(()),
            false => Err(error),
        }
    }

    /// Whether the table is there; and then, that it can take the rows.
    pub(super) async fn check(&self, session: &mut dyn Session) -> Result<bool> {
        let there = match session.columns(&format!("SELECT * FROM {}", self.table)).await {
            Ok(there) => there,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let missing: Vec<&String> = self
            .columns
            .iter()
            .filter(|column| !there.contains(column))
            .collect();
        if !missing.is_empty() {
            let message = format!(
                "the table `{}` has no {}, which the rows have; it has {}",
                self.name.plain(),
                named(&missing),
                there.join(", ")
            );
            return Err(Error::new(ErrorKind::Schema, message));
        }
        // The others look at this themselves.
        if self.dialect == Dialect::MySql && !self.keys.is_empty() {
            self.check_keys(session).await?;
        }
        Ok(true)
    }

    /// MySQL takes any unique index for a conflict, and without one adds the rows once more.
    async fn check_keys(&self, session: &mut dyn Session) -> Result<()> {
        let (schema, table) = match self.name.parts() {
            [schema, table] => (Some(schema.as_str()), table.as_str()),
            [table] => (None, table.as_str()),
            _ => (None, ""),
        };
        let statement = "SELECT CAST(GROUP_CONCAT(column_name ORDER BY column_name SEPARATOR '\n') AS CHAR) FROM information_schema.statistics \
                         WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? AND non_unique = 0 GROUP BY index_name";
        let read = Read::new(
            statement,
            vec![Value::from(schema.map(str::to_owned)), table.into()],
        );
        let mut keys = self.keys.clone();
        keys.sort();
        let wanted = Value::from(keys.join("\n"));
        let batches = session.select(&read).await?;
        let indices = batches.iter().flat_map(|batch| {
            let column = batch.columns().first();
            (0..batch.num_rows()).filter_map(move |row| Value::at(column?, row))
        });
        let indices: Vec<Value> = indices.collect();
        match indices.as_slice() {
            [only] if *only == wanted => Ok(()),
            others => {
                let message = if others.contains(&wanted) {
                    format!(
                        "the table `{}` has other unique indices beside that of {}: MySQL would take a row that is equal there for the same row",
                        self.name.plain(),
                        self.keys.join(", ")
                    )
                } else {
                    format!(
                        "the table `{}` has no primary key or unique index of exactly {}",
                        self.name.plain(),
                        self.keys.join(", ")
                    )
                };
                Err(Error::new(ErrorKind::Options, message))
            }
        }
    }

    /// Takes all rows away, and lets nobody else change any until the end of the transaction.
    ///
    /// Rows that others commit while it is under way would be left in PostgreSQL, which does not look for them: so it waits until nobody is about to commit any. MySQL does look,
    /// and keeps the places that it has seen (see [`isolation`](Self::isolation)).
    pub(super) async fn clear(&self, session: &mut dyn Session) -> Result<()> {
        if self.dialect == Dialect::Postgres {
            let lock = format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", self.table);
            session.execute(&lock, &[]).await?;
        }
        let clear = format!("DELETE FROM {}", self.table);
        session.execute(&clear, &[]).await.map(drop)
    }

    /// What the transaction of a load that replaces all rows needs to be told before it begins.
    pub(super) fn isolation(&self) -> Option<&'static str> {
        let keeping = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";
        (self.dialect == Dialect::MySql).then_some(keeping)
    }

    /// Brings the rows into the table, and says how many they were.
    pub(super) async fn fill(&self, session: &mut dyn Session, batches: BatchStream) -> Result<u64> {
        let batches = &mut self.with_keys(batches);
        if self.dialect == Dialect::Postgres && !self.keys.is_empty() {
            return self.merge(session, batches).await;
        }
        let into = Destination {
            table: self.name.clone(),
            columns: self.columns.clone(),
            on_conflict: self.on_conflict(),
        };
        session.write(&into, batches).await
    }

    /// The rows, of which none lacks a value of a key: a unique index would take any number of those.
    fn with_keys(&self, batches: BatchStream) -> BatchStream {
        if self.keys.is_empty() {
            return batches;
        }
        let (schema, keys) = (batches.schema().clone(), self.keys.clone());
        batches.map_batches(schema, move |batch| {
            let lacks = |key: &&String| {
                let column = batch.column_by_name(key);
                column.is_some_and(|column| column.logical_null_count() > 0)
            };
            match keys.iter().find(lacks) {
                None => Ok(batch),
                Some(key) => {
                    let message = format!("a row has no value in `{key}`, which is a key");
                    Err(Error::new(ErrorKind::Rejected, message))
                }
            }
        })
    }

    /// Into a table of the transaction first, and from there.
    async fn merge(&self, session: &mut dyn Session, batches: &mut BatchStream) -> Result<u64> {
        let dialect = self.dialect;
        let (columns, keys) = (dialect.list(&self.columns), dialect.list(&self.keys));
        let stage = format!(
            "CREATE TEMPORARY TABLE {STAGE} ON COMMIT DROP AS SELECT {columns} FROM {} WITH NO DATA",
            self.table
        );
        session.execute(&stage, &[]).await?;
        session
            .execute(&format!("ALTER TABLE {STAGE} ADD COLUMN {ORDER} BIGSERIAL"), &[])
            .await?;
        let into = Destination {
            table: TableName::new(&format!("pg_temp.{STAGE}"))?,
            columns: self.columns.clone(),
            on_conflict: String::new(),
        };
        let rows = session.write(&into, batches).await?;
        let merge = format!(
            "INSERT INTO {} ({columns}) SELECT {columns} FROM (SELECT DISTINCT ON ({keys}) * FROM pg_temp.{STAGE} ORDER BY {keys}, {ORDER} DESC) AS last{}",
            self.table,
            self.on_conflict()
        );
        session.execute(&merge, &[]).await?;
        Ok(rows)
    }

    /// What becomes of a row whose keys are there.
    fn on_conflict(&self) -> String {
        if self.keys.is_empty() {
            return String::new();
        }
        let quoted = |column: &String| self.dialect.quoted(column);
        let others: Vec<String> = self
            .columns
            .iter()
            .filter(|column| !self.keys.contains(column))
            .map(quoted)
            .collect();
        match self.dialect {
            Dialect::MySql => {
                // Where there is nothing but keys, the row stays as it is.
                let all: Vec<String> = if others.is_empty() {
                    self.keys.iter().map(quoted).collect()
                } else {
                    others
                };
                let set: Vec<String> = all
                    .iter()
                    .map(|column| format!("{column} = VALUES({column})"))
                    .collect();
                format!(" ON DUPLICATE KEY UPDATE {}", set.join(", "))
            }
            Dialect::Sqlite | Dialect::Postgres => {
                let keys = self.dialect.list(&self.keys);
                if others.is_empty() {
                    return format!(" ON CONFLICT ({keys}) DO NOTHING");
                }
                let set: Vec<String> = others
                    .iter()
                    .map(|column| format!("{column} = excluded.{column}"))
                    .collect();
                format!(" ON CONFLICT ({keys}) DO UPDATE SET {}", set.join(", "))
            }
        }
    }
}

/// Columns, in words.
fn named(columns: &[&String]) -> String {
    let names: Vec<String> = columns.iter().map(|column| format!("`{column}`")).collect();
    let word = if names.len() == 1 { "column" } else { "columns" };
    format!("{word} {}", names.join(", "))
}
