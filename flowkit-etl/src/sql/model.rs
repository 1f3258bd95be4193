//! Models: tables and views that a database makes of what was loaded into it, and what must be true of them.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::sql::dialect::{Dialect, TableName};
use crate::sql::session::{Read, Session};
use crate::sql::{Database, ModelTest};
use crate::traffic::Traffic;
use crate::value::Value;

/// How many seconds one waits at a time for others who build the same model.
const TURN: u32 = 60;

/// A table or view that the database makes of others by a query: the T of ELT.
///
/// A model is built beside the one that is there, its tests are asked, and only if all pass it takes the other's place, in one transaction (in MySQL by one renaming): a reader sees the
/// former or the new one, and never one whose tests failed. Builds of one model at a time come one after the other in SQLite and MySQL; in PostgreSQL the second may be told that its table is there already. In PostgreSQL, where a table cannot go while there are views on it, the rows of one
/// with the same columns are replaced within it; if its columns change, those views must be dropped before.
#[derive(Debug, Clone)]
pub struct Model {
    name: String,
    query: String,
    view: bool,
    tests: Vec<ModelTest>,
}

/// What a model came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelReport {
    /// Its name.
    pub model: String,
    /// How many rows it has.
    pub rows: u64,
    /// What was asked of it.
    pub tests: Vec<ModelTestReport>,
}

/// What a test of a model came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelTestReport {
    /// What was to be true.
    pub test: String,
    /// How many rows, or groups of rows, it is not true of.
    pub failing: u64,
}

impl Model {
    /// A table of what a query answers, in the database's own language.
    pub fn table(name: impl Into<String>, query: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            query: query.into(),
            view: false,
            tests: Vec::new(),
        }
    }

    /// A view of what a query answers.
    pub fn view(name: impl Into<String>, query: impl Into<String>) -> Self {
        Self {
            view: true,
            ..Self::table(name, query)
        }
    }

    /// With one more thing that must be true of it.
    #[must_use]
    pub fn test(mut self, test: ModelTest) -> Self {
        self.tests.push(test);
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Builds it.
    ///
    /// # Errors
    /// What the database says against the query; [`ErrorKind::Quality`], with the tests that failed, if it is not what it must be.
    pub async fn build(&self, database: &Database) -> Result<ModelReport> {
        let name = TableName::new(&self.name)?;
        let building = Building {
            dialect: database.dialect(),
            table: name.quoted(database.dialect()),
            fresh: name.beside("__building").quoted(database.dialect()),
            former: name.beside("__former").quoted(database.dialect()),
            own: name,
            model: self,
        };
        let mut session = database.connect_to_write().await?;
        let report = building.build(session.as_mut()).await?;
        session.close().await;
        Ok(report)
    }
}

/// Builds models in this order, each of which may read those before it.
///
/// # Errors
/// The first error of a model. Those before it are built and stay.
pub async fn build_models(database: &Database, models: &[Model]) -> Result<Vec<ModelReport>> {
    let mut reports = Vec::with_capacity(models.len());
    for model in models {
        let report = model.build(database).await?;
        tracing::info!(target: "flowkit_etl", model = model.name, rows = report.rows, tests = report.tests.len(), "a model was built");
        if !model.view {
            let made = Traffic {
                records_out: report.rows,
                ..Traffic::default()
            };
            made.report();
        }
        reports.push(report);
    }
    Ok(reports)
}

/// A model while it is built.
struct Building<'a> {
    model: &'a Model,
    dialect: Dialect,
    own: TableName,
    /// Its name, and those of what comes before it and goes after it; quoted.
    table: String,
    fresh: String,
    former: String,
}

impl Building<'_> {
    async fn build(&self, session: &mut dyn Session) -> Result<ModelReport> {
        // It may end in a comment, which ends with the line.
        let query = &format!("{}\n", self.model.query.trim_end().trim_end_matches(';'));
        if self.dialect == Dialect::MySql {
            self.take_turns(session).await?;
        }
        if self.dialect == Dialect::Sqlite {
            // Else the views on a table would have to hold at each step, also between its going and coming.
            session.execute("PRAGMA legacy_alter_table = ON", &[]).await?;
        }
        if self.dialect.makes_tables_in_transactions() {
            session.execute(self.dialect.begin(), &[]).await?;
        }
        session
            .execute(&format!("DROP TABLE IF EXISTS {}", self.fresh), &[])
            .await?;
        // What is asked: the new table, or what the view will be.
        let asked = match self.model.view {
            true => format!("({query}) AS model"),
            false => {
                session
                    .execute(&format!("CREATE TABLE {} AS {query}", self.fresh), &[])
                    .await?;
                self.fresh.clone()
            }
        };
        let report = self.ask(session, &asked).await?;
        match self.judge(&report) {
            Ok(()) => self.put_in_place(session, query).await?,
            Err(error) => {
                self.take_back(session).await?;
                return Err(error);
            }
        }
        if self.dialect.makes_tables_in_transactions() {
            session.execute("COMMIT", &[]).await?;
        }
        Ok(report)
    }

    async fn ask(&self, session: &mut dyn Session, asked: &str) -> Result<ModelReport> {
        let rows = count(
            session,
            Read::new(format!("SELECT COUNT(*) FROM {asked}"), Vec::new()),
        )
        .await?;
        let mut tests = Vec::with_capacity(self.model.tests.len());
        for test in &self.model.tests {
            let failing = match test.at_least_rows() {
                Some(least) => u64::from(rows < least),
                None => {
                    let query = test.query(self.dialect, asked)?;
                    count(session, Read::new(query, Vec::new())).await?
                }
            };
            tests.push(ModelTestReport {
                test: test.to_string(),
                failing,
            });
        }
        Ok(ModelReport {
            model: self.model.name.clone(),
            rows,
            tests,
        })
    }

    fn judge(&self, report: &ModelReport) -> Result<()> {
        let failed = report.tests.iter().filter(|test| test.failing > 0);
        let failed: Vec<String> = failed
            .map(|test| format!("{} ({} failing)", test.test, test.failing))
            .collect();
        if failed.is_empty() {
            return Ok(());
        }
        let message = format!(
            "the model `{}` of {} rows is not what it must be, and the former one stays: {}",
            report.model,
            report.rows,
            failed.join("; ")
        );
        Err(Error::new(ErrorKind::Quality, message))
    }

    async fn put_in_place(&self, session: &mut dyn Session, query: &str) -> Result<()> {
        let (table, fresh, former) = (&self.table, &self.fresh, &self.former);
        let mut statements = Vec::new();
        match (self.model.view, self.dialect) {
            (true, Dialect::MySql) => statements.push(format!("CREATE OR REPLACE VIEW {table} AS {query}")),
            (true, _) => {
                statements.push(format!("DROP VIEW IF EXISTS {table}"));
                statements.push(format!("CREATE VIEW {table} AS {query}"));
            }
            (false, Dialect::MySql) => {
                // One renaming of both is atomic there, and dropping and renaming is not.
                // What was there may have been a view.
                let clear = [
                    format!("DROP TABLE IF EXISTS {former}"),
                    format!("DROP VIEW IF EXISTS {former}"),
                ];
                statements.extend(clear.clone());
                statements.push(match self.is_there(session).await? {
                    true => format!("RENAME TABLE {table} TO {former}, {fresh} TO {table}"),
                    false => format!("RENAME TABLE {fresh} TO {table}"),
                });
                statements.extend(clear);
            }
            // What is there keeps its permissions, indices and the views on it.
            (false, Dialect::Postgres) if self.same_shape(session).await? => {
                statements.push(format!("DELETE FROM {table}"));
                statements.push(format!("INSERT INTO {table} SELECT * FROM {fresh}"));
                statements.push(format!("DROP TABLE {fresh}"));
            }
            (false, _) => {
                let plain = self
                    .own
                    .parts()
                    .last()
                    .map(|name| self.dialect.quoted(name))
                    .unwrap_or_default();
                statements.push(match self.is_view(session).await? {
                    true => format!("DROP VIEW {table}"),
                    false => format!("DROP TABLE IF EXISTS {table}"),
                });
                statements.push(format!("ALTER TABLE {fresh} RENAME TO {plain}"));
            }
        }
        for statement in statements {
            session.execute(&statement, &[]).await?;
        }
        Ok(())
    }

    /// Waits until nobody else builds this model, where a transaction does not do that: else one build would put in place what another one has only begun to look at. The lock ends with the connection.
    async fn take_turns(&self, session: &mut dyn Session) -> Result<()> {
        let (schema, table) = match self.own.parts() {
            [schema, table] => (Some(schema.as_str()), table.as_str()),
            parts => (None, parts.first().map_or("", String::as_str)),
        };
        let statement = format!(
            "SELECT CAST(GET_LOCK(SHA1(CONCAT('flowkit', 0x00, COALESCE(?, DATABASE()), 0x00, ?)), {TURN}) AS SIGNED)"
        );
        let values = vec![Value::from(schema.map(str::to_owned)), table.into()];
        let read = Read::new(statement, values);
        loop {
            match session.value(&read).await? {
                Some(Value::Integer(1)) => return Ok(()),
                // Somebody takes long.
                Some(Value::Integer(0)) => {}
                _ => {
                    let message = format!(
                        "the database does not say whose turn it is to build `{}`",
                        self.own.plain()
                    );
                    return Err(Error::new(ErrorKind::Unavailable, message));
                }
            }
        }
    }

    async fn is_there(&self, session: &mut dyn Session) -> Result<bool> {
        match session.columns(&format!("SELECT * FROM {}", self.table)).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a view is there, in a database that drops views and tables in different ways.
    async fn is_view(&self, session: &mut dyn Session) -> Result<bool> {
        let (statement, values) = match self.dialect {
            Dialect::Sqlite => {
                let mut parts = self.own.parts().iter().rev();
                let mut part = || Value::from(parts.next().cloned());
                let statement = "SELECT COUNT(*) FROM pragma_table_list($1) WHERE type = 'view' AND schema = COALESCE($2, schema)";
                (statement, vec![part(), part()])
            }
            _ => {
                let statement = "SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass($1) AND relkind = 'v'";
                (statement, vec![self.table.as_str().into()])
            }
        };
        count(session, Read::new(statement, values))
            .await
            .map(|views| views > 0)
    }

    /// Whether the table that is there has the same columns, of the same types, as the new one. A view has not: to delete its rows would be to delete those of the table that it shows.
    async fn same_shape(&self, session: &mut dyn Session) -> Result<bool> {
        let statement = "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute \
                         JOIN pg_class ON pg_class.oid = attrelid AND relkind IN ('r', 'p') \
                         WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
        let mut shapes = Vec::with_capacity(2);
        for table in [&self.table, &self.fresh] {
            let read = Read::new(statement, vec![table.as_str().into()]);
            shapes.push(session.value(&read).await?.filter(|shape| !shape.is_null()));
        }
        Ok(shapes.first() == shapes.last() && shapes.iter().all(Option::is_some))
    }

    async fn take_back(&self, session: &mut dyn Session) -> Result<()> {
        let statement = match self.dialect.makes_tables_in_transactions() {
            true => "ROLLBACK".to_owned(),
            false => format!("DROP TABLE IF EXISTS {}", self.fresh),
        };
        session.execute(&statement, &[]).await.map(drop)
    }
}

async fn count(session: &mut dyn Session, query: Read) -> Result<u64> {
    match session.value(&query).await? {
        Some(Value::Integer(count)) => Ok(u64::try_from(count).unwrap_or_default()),
        other => {
            let message = format!("the database counted {other:?}, which is no number");
            Err(Error::new(ErrorKind::Format, message))
        }
    }
}
