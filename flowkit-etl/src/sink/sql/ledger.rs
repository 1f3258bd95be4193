//! Which loads a table has had: a table beside it, written in their own transactions.

use crate::error::{Error, ErrorKind, Result};
use crate::sink::LoadId;
use crate::sql::{Dialect, Read, Session, TableName, Value};

/// The loads of one table.
pub(super) struct Ledger {
    dialect: Dialect,
    name: TableName,
    /// The ledger, quoted.
    table: String,
    /// The table that is loaded.
    target: String,
}

/// What came of putting one's name down.
pub(super) enum Claim {
    /// The load is ours.
    Ours,
    /// It was committed meanwhile, with so many rows.
    Committed(u64),
}

impl Ledger {
    pub(super) fn new(dialect: Dialect, name: TableName, target: &str) -> Self {
        Self {
            dialect,
            table: name.quoted(dialect),
            name,
            target: target.to_owned(),
        }
    }

    /// Makes the ledger, if it is not there.
    pub(super) async fn make(&self, session: &mut dyn Session) -> Result<()> {
        let probe = format!("SELECT target, load_id, row_count FROM {}", self.table);
        match session.columns(&probe).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.kind() == ErrorKind::Schema => {
                let message = format!(
                    "`{}` is no ledger of loads: give another name by `ledger`",
                    self.name.plain()
                );
                return Err(Error::new(ErrorKind::Options, message).because(error));
            }
            Err(error) => return Err(error),
        }
        let text = if self.dialect == Dialect::MySql {
            "VARCHAR(255)"
        } else {
            "TEXT"
        };
        let time = if self.dialect == Dialect::Postgres {
            "TIMESTAMPTZ"
        } else {
            "TIMESTAMP"
        };
        let statement = format!(
            "CREATE TABLE IF NOT EXISTS {} (target {text} NOT NULL, load_id {text} NOT NULL, row_count BIGINT NOT NULL, \
             committed_at {time} NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (target, load_id))",
            self.table
        );
        match session.execute(&statement, &[]).await {
            Ok(_) => Ok(()),
            // Somebody else was making it, and PostgreSQL does not wait for that.
            Err(_) if session.columns(&probe).await.is_ok() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// How many rows a load had, if it was committed.
    pub(super) async fn find(&self, session: &mut dyn Session, load: &LoadId) -> Result<Option<u64>> {
        let (first, second) = (self.dialect.place(1), self.dialect.place(2));
        let statement = format!(
            "SELECT row_count FROM {} WHERE target = {first} AND load_id = {second}",
            self.table
        );
        let read = Read::new(statement, self.key(load));
        match session.value(&read).await? {
            None => Ok(None),
            Some(Value::Integer(rows)) => Ok(Some(u64::try_from(rows).unwrap_or_default())),
            Some(other) => {
                let message = format!(
                    "the ledger `{}` has {other} for a number of rows",
                    self.name.plain()
                );
                Err(Error::new(ErrorKind::Format, message))
            }
        }
    }

    /// Puts the load down, within its transaction. Waits for whoever is about to do the same.
    pub(super) async fn claim(&self, session: &mut dyn Session, load: &LoadId) -> Result<Claim> {
        let (first, second) = (self.dialect.place(1), self.dialect.place(2));
        let values = format!(
            "{} (target, load_id, row_count) VALUES ({first}, {second}, 0)",
            self.table
        );
        let statement = match self.dialect {
            Dialect::MySql => format!("INSERT IGNORE INTO {values}"),
            Dialect::Sqlite | Dialect::Postgres => {
                format!("INSERT INTO {values} ON CONFLICT (target, load_id) DO NOTHING")
            }
        };
        if session.execute(&statement, &self.key(load)).await? == 1 {
            return Ok(Claim::Ours);
        }
        let rows = self.find(session, load).await?;
        Ok(Claim::Committed(rows.unwrap_or_default()))
    }

    /// Writes down how many rows it had, within its transaction.
    pub(super) async fn settle(&self, session: &mut dyn Session, load: &LoadId, rows: u64) -> Result<()> {
        let places = [1, 2, 3].map(|number| self.dialect.place(number));
        let [first, second, third] = &places;
        let statement = format!(
            "UPDATE {} SET row_count = {first} WHERE target = {second} AND load_id = {third}",
            self.table
        );
        let mut values = vec![Value::Integer(i64::try_from(rows).unwrap_or(i64::MAX))];
        values.extend(self.key(load));
        session.execute(&statement, &values).await.map(drop)
    }

    fn key(&self, load: &LoadId) -> Vec<Value> {
        vec![self.target.as_str().into(), load.as_str().into()]
    }
}
