//! Which loads a table has had: a table beside it, written in their own transactions.

use crate::error::{Error, ErrorKind, Result};
use crate::since::{Progress, Since};
use crate::sink::LoadId;
use crate::sql::{Dialect, EXACT_TEXT, Read, Session, TableName};
use crate::value::Value;

/// How many characters a name in a ledger has at most in MySQL, which cuts off the rest where it is told to ignore what is there.
const LONGEST: usize = 255;

/// The loads of one table.
pub(super) struct Ledger {
    dialect: Dialect,
    name: TableName,
    /// The ledger, quoted.
    table: String,
    /// The table of cursors beside it, quoted.
    cursors: String,
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
            cursors: name.beside("_cursors").quoted(dialect),
            name,
            target: target.to_owned(),
        }
    }

    /// Makes the ledger, and that of cursors for a load that moves one, if they are not there.
    pub(super) async fn make(&self, session: &mut dyn Session, progress: Option<&Progress>) -> Result<()> {
        let time = if self.dialect == Dialect::Postgres {
            "TIMESTAMPTZ"
        } else {
            "TIMESTAMP"
        };
        let key = self.key_type();
        let columns = format!(
            "target {key} NOT NULL, load_id {key} NOT NULL, row_count BIGINT NOT NULL, \
             committed_at {time} NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (target, load_id)"
        );
        self.make_table(session, &self.table, "target, load_id, row_count", &columns)
            .await?;
        match progress {
            Some(progress) => self.make_cursors(session, progress).await,
            None => Ok(()),
        }
    }

    /// Makes the table of cursors, if it is not there. It can keep this one then.
    async fn make_cursors(&self, session: &mut dyn Session, progress: &Progress) -> Result<()> {
        let cursor = progress.since.cursor();
        if self.dialect == Dialect::MySql && cursor.chars().count() > LONGEST {
            let message = format!("a cursor in MySQL has a name of {LONGEST} characters at most: `{cursor}`");
            return Err(Error::new(ErrorKind::Options, message));
        }
        let key = self.key_type();
        let text = match self.dialect {
            Dialect::MySql => "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            Dialect::Sqlite | Dialect::Postgres => "TEXT",
        };
        let columns = format!(
            "target {key} NOT NULL, cursor_name {key} NOT NULL, reached {text} NOT NULL, PRIMARY KEY (target, cursor_name)"
        );
        self.make_table(session, &self.cursors, "target, cursor_name, reached", &columns)
            .await
    }

    /// The type of names, of which two are equal only if all their characters are.
    fn key_type(&self) -> &'static str {
        match self.dialect {
            Dialect::MySql => EXACT_TEXT,
            Dialect::Sqlite | Dialect::Postgres => "TEXT",
        }
    }

    async fn make_table(
        &self,
        session: &mut dyn Session,
        table: &str,
        probed: &str,
        columns: &str,
    ) -> Result<()> {
        let probe = format!("SELECT {probed} FROM {table}");
        match session.columns(&probe).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.kind() == ErrorKind::Schema => {
                let message = format!("{table} is no ledger of loads: give another name by `ledger`");
                return Err(Error::new(ErrorKind::Options, message).because(error));
            }
            Err(error) => return Err(error),
        }
        let statement = format!("CREATE TABLE IF NOT EXISTS {table} ({columns})");
        let Err(error) = session.execute(&statement, &[]).await else {
            return Ok(());
        };
        // Somebody else was making it, and PostgreSQL does not wait for that.
        match session.columns(&probe).await {
            Ok(_) => Ok(()),
            Err(missing) if missing.kind() == ErrorKind::NotFound => Err(error),
            Err(broken) => Err(broken),
        }
    }

    /// How many rows a load had, if it was committed. A ledger that is not there has none.
    pub(super) async fn find(&self, session: &mut dyn Session, load: &LoadId) -> Result<Option<u64>> {
        let (first, second) = (self.dialect.place(1), self.dialect.place(2));
        let statement = format!(
            "SELECT row_count FROM {} WHERE target = {first} AND load_id = {second}",
            self.table
        );
        let read = Read::new(statement, self.key(load));
        let rows = match session.value(&read).await {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            rows => rows?,
        };
        match rows {
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
        match self.find(session, load).await? {
            Some(rows) => Ok(Claim::Committed(rows)),
            None => {
                let message = format!(
                    "the ledger `{}` does not take the load `{load}` of `{}`, and does not have it either",
                    self.name.plain(),
                    self.target
                );
                Err(Error::new(ErrorKind::Conflict, message))
            }
        }
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

    /// Where a cursor is.
    pub(super) async fn since(&self, session: &mut dyn Session, cursor: &str) -> Result<Since> {
        let (first, second) = (self.dialect.place(1), self.dialect.place(2));
        let statement = format!(
            "SELECT reached FROM {} WHERE target = {first} AND cursor_name = {second}",
            self.cursors
        );
        let read = Read::new(statement, vec![self.target.as_str().into(), cursor.into()]);
        let reached = match session.value(&read).await {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            reached => reached?,
        };
        match reached {
            None => Ok(Since::beginning(cursor)),
            Some(Value::Text(text)) => {
                let value =
                    serde_json::from_str(&text).map_err(|error| self.unreadable(cursor).because(error))?;
                Ok(Since::after(cursor, value))
            }
            Some(_) => Err(self.unreadable(cursor)),
        }
    }

    fn unreadable(&self, cursor: &str) -> Error {
        let message = format!(
            "the cursor `{cursor}` of `{}` is written in a form that is not known",
            self.target
        );
        Error::new(ErrorKind::Format, message)
    }

    /// Moves a cursor on, within the transaction of its load, if it is where that load began.
    pub(super) async fn advance(&self, session: &mut dyn Session, progress: &Progress) -> Result<()> {
        let Some(reached) = progress.reached() else {
            return Ok(());
        };
        let cursor = progress.since.cursor();
        let written = |value: &Value| {
            serde_json::to_string(value).map_err(|error| self.unreadable(cursor).because(error))
        };
        let places = [1, 2, 3, 4].map(|number| self.dialect.place(number));
        let [first, second, third, fourth] = &places;
        let mut values = vec![
            Value::Text(written(&reached)?),
            self.target.as_str().into(),
            cursor.into(),
        ];
        let statement = match progress.since.value() {
            Some(from) => {
                values.push(Value::Text(written(from)?));
                format!(
                    "UPDATE {} SET reached = {first} WHERE target = {second} AND cursor_name = {third} AND reached = {fourth}",
                    self.cursors
                )
            }
            None => {
                let values = format!(
                    "{} (reached, target, cursor_name) VALUES ({first}, {second}, {third})",
                    self.cursors
                );
                match self.dialect {
                    Dialect::MySql => format!("INSERT IGNORE INTO {values}"),
                    Dialect::Sqlite | Dialect::Postgres => {
                        format!("INSERT INTO {values} ON CONFLICT DO NOTHING")
                    }
                }
            }
        };
        match session.execute(&statement, &values).await? {
            1 => Ok(()),
            _ => Err(progress.overtaken()),
        }
    }

    fn key(&self, load: &LoadId) -> Vec<Value> {
        vec![self.target.as_str().into(), load.as_str().into()]
    }
}
