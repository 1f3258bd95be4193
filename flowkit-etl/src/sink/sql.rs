//! A table of a database.

use futures::future::{BoxFuture, FutureExt};

use crate::error::{Error, ErrorKind, Result};
use crate::since::Since;
use crate::sink::{LoadId, Loaded, Mode, Sink};
use crate::sql::{Database, Session, TableName};
use crate::stream::BatchStream;
use crate::traffic::writing;

mod ledger;
mod target;

use self::ledger::{Claim, Ledger};
use self::target::Target;

/// The table in which loads are recorded, unless said otherwise.
pub const LEDGER: &str = "flowkit_loads";

/// A table of a database, loaded in one transaction: appended to, replaced, or brought up to date by keys.
///
/// In that transaction the load is recorded, by its name, in a table `flowkit_loads` beside: so a load that was committed is known, also if the connection broke before the answer came,
/// and repeating it changes nothing. Two processes that load under one name at a time wait for each other, and only one does. The ledger is made by the first load.
///
/// Rows go by `COPY` to PostgreSQL, elsewhere by statements of many rows. A table that is not there is made, with a column for each of the stream's. One that is there must have those columns, and may
/// have more. In MySQL, where making a table commits, one that was made stays, empty, when the load then fails.
/// In SQLite, whose tables take any value, one that would not be read from its column, as the type of that is declared, is refused.
/// In PostgreSQL, loads into a table that is not there wait for the one that makes it; then they go on together.
///
/// Replacing deletes the rows and keeps the table, so that readers see the former rows until the new ones are there, and permissions, views and indices remain.
/// Loads that replace one table at a time come one after the other, and the last one's rows are there. In PostgreSQL each waits for the others, and for whoever else changes the table; in MySQL one of two may be
/// told of a deadlock, which is [transient](crate::Error::is_transient).
#[derive(Debug, Clone)]
pub struct SqlSink {
    database: Database,
    table: String,
    mode: Mode,
    keys: Vec<String>,
    create: bool,
    ledger: String,
}

impl SqlSink {
    /// The table of this name, `plants` or `raw.plants`. Its loads and cursors are recorded under the name as it is given here: `plants` and `public.plants` have loads of their own, also where they are one table.
    pub fn new(database: &Database, table: impl Into<String>) -> Self {
        Self {
            database: database.clone(),
            table: table.into(),
            mode: Mode::Append,
            keys: Vec::new(),
            create: true,
            ledger: LEDGER.to_owned(),
        }
    }

    /// How a load stands to those before it; beside them unless said otherwise.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Puts a row in place of the one with equal values in these columns, if there is one. Of several such rows in a load, the last counts. Values of keys may not be missing, also where the table would take that.
    ///
    /// The table must have a primary key or a unique index of exactly these columns; one that is made gets it. Which texts are equal is for the table to say, and many in MySQL ignore case; in one that is made
    /// they are equal only if all their characters are.
    #[must_use]
    pub fn upsert_on<C: Into<String>>(mut self, keys: impl IntoIterator<Item = C>) -> Self {
        self.keys = keys.into_iter().map(Into::into).collect();
        self
    }

    /// Whether a table that is not there is made. It is, unless said otherwise.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// The table in which loads are recorded; [`LEDGER`] unless said otherwise. Cursors are in one beside it, whose name goes on with `_cursors`.
    #[must_use]
    pub fn ledger(mut self, table: impl Into<String>) -> Self {
        self.ledger = table.into();
        self
    }

    fn target(&self, batches: &BatchStream) -> Result<Target> {
        if self.mode == Mode::Replace && !self.keys.is_empty() {
            let message =
                "a load either replaces all rows or those with equal keys: leave out `mode` or `upsert_on`";
            return Err(Error::new(ErrorKind::Options, message));
        }
        Target::new(
            self.database.dialect(),
            &self.table,
            batches.schema().clone(),
            &self.keys,
        )
    }

    fn opened_ledger(&self) -> Result<Ledger> {
        Ok(Ledger::new(
            self.database.dialect(),
            TableName::new(&self.ledger)?,
            &self.table,
        ))
    }

    async fn load_all(&self, load: &LoadId, batches: BatchStream) -> Result<Loaded> {
        let target = self.target(&batches)?;
        let ledger = self.opened_ledger()?;
        let mut session = self.database.connect_to_write().await?;
        if !self.database.dialect().waits_for_readers() {
            ledger.make(session.as_mut(), batches.progress()).await?;
        }
        if let Some(rows) = ledger.find(session.as_mut(), load).await? {
            session.close().await;
            return Ok(loaded(load, rows, true));
        }
        let there = target.check(session.as_mut()).await?;
        if !there && !self.create {
            let message = format!(
                "{} has no table `{}`, and it is not to be made",
                self.database, self.table
            );
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        let make = !there;
        if make && !self.database.dialect().makes_tables_in_transactions() {
            target.make(session.as_mut()).await?;
        }
        let done = self
            .in_transaction(session.as_mut(), load, batches, (&target, &ledger, make))
            .await;
        match done {
            Ok(loaded) => {
                session.close().await;
                Ok(loaded)
            }
            // Dropping the connection takes everything back.
            Err(error) => Err(error),
        }
    }

    async fn in_transaction(
        &self,
        session: &mut dyn Session,
        load: &LoadId,
        batches: BatchStream,
        (target, ledger, make): (&Target, &Ledger, bool),
    ) -> Result<Loaded> {
        let dialect = self.database.dialect();
        if let (Mode::Replace, Some(isolation)) = (self.mode, target.isolation()) {
            session.execute(isolation, &[]).await?;
        }
        session.execute(dialect.begin(), &[]).await?;
        if dialect.waits_for_readers() {
            ledger.make(session, batches.progress()).await?;
        }
        // First of all, so that whoever loads under the same name waits here.
        if let Claim::Committed(rows) = ledger.claim(session, load).await? {
            session.execute("ROLLBACK", &[]).await?;
            return Ok(loaded(load, rows, true));
        }
        if make && dialect.makes_tables_in_transactions() {
            target.make(session).await?;
        }
        if self.mode == Mode::Replace {
            target.clear(session).await?;
        }
        let progress = batches.progress().cloned();
        let rows = target.fill(session, batches).await?;
        ledger.settle(session, load, rows).await?;
        if let Some(progress) = &progress {
            ledger.advance(session, progress).await?;
        }
        session.execute("COMMIT", &[]).await?;
        Ok(loaded(load, rows, false))
    }
}

fn loaded(load: &LoadId, rows: u64, repeated: bool) -> Loaded {
    Loaded {
        load: load.clone(),
        rows,
        bytes: 0,
        files: Vec::new(),
        repeated,
    }
}

impl Sink for SqlSink {
    fn load<'a>(&'a self, load: &'a LoadId, batches: BatchStream) -> BoxFuture<'a, Result<Loaded>> {
        writing(batches, |batches| self.load_all(load, batches)).boxed()
    }

    fn since<'a>(&'a self, cursor: &'a str) -> BoxFuture<'a, Result<Since>> {
        async move {
            let ledger = self.opened_ledger()?;
            let mut session = self.database.connect_to_write().await?;
            let since = ledger.since(session.as_mut(), cursor).await?;
            session.close().await;
            Ok(since)
        }
        .boxed()
    }
}
