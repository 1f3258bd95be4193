//! Rows into a table, many in each statement.

use std::time::Duration;

use futures::StreamExt;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteArguments;

use super::SqliteSession;
use super::bind::{Target, bind};
use crate::error::Result;
use crate::sql::TableName;
use crate::sql::database::PATIENCE;
use crate::sql::plain;
use crate::sql::session::{Destination, Read, Session as _};
use crate::stream::BatchStream;

/// How many parameters a statement has at most. More gain nothing.
const PARAMETERS: usize = 1000;

impl SqliteSession {
    pub(super) async fn insert(&mut self, into: &Destination, batches: &mut BatchStream) -> Result<u64> {
        // What the cache has no place for goes into the file, unless somebody reads that. To wait for each page until nobody does would be to wait for oneself where the rows come from the same file:
        // so the page is kept in memory then, and only the commit waits.
        self.wait_for_others(Duration::ZERO).await?;
        let total = self.insert_all(into, batches).await?;
        self.wait_for_others(PATIENCE).await?;
        Ok(total)
    }

    async fn wait_for_others(&mut self, patience: Duration) -> Result<()> {
        let statement = format!("PRAGMA busy_timeout = {}", patience.as_millis());
        self.execute(&statement, &[]).await.map(drop)
    }

    /// The columns that rows go into, and what the table declares them as.
    async fn targets(&mut self, into: &Destination) -> Result<Vec<Target>> {
        let columns = crate::sql::Dialect::Sqlite.list(&into.columns);
        let table = into.table.quoted(crate::sql::Dialect::Sqlite);
        let read = Read::new(format!("SELECT {columns} FROM {table}"), Vec::new());
        let declared = self.declared(&read).await;
        let (declared, _) = declared.map_err(|error| self.database.failed("load into", error))?;
        let mut numeric = Vec::new();
        if declared.iter().any(|(_, declared)| declared.is_none()) {
            let named = self.of_any_type(&into.table).await;
            numeric = named.map_err(|error| self.database.failed("load into", error))?;
        }
        let target = |(name, (_, declared)): (&String, (String, Option<_>))| Target {
            name: name.clone(),
            makes_numbers: declared.is_none() && numeric.contains(name),
            declared,
        };
        Ok(into.columns.iter().zip(declared).map(target).collect())
    }

    /// The columns that are declared as something, whatever it is. Those of which it says nothing else make numbers of texts, but for `ANY` in a strict table.
    async fn of_any_type(&mut self, table: &TableName) -> Result<Vec<String>, sqlx::Error> {
        let mut parts = table.parts().iter().rev();
        let statement = "SELECT name FROM pragma_table_info($1, $2) WHERE type <> '' AND NOT (UPPER(type) = 'ANY' AND \
                         (SELECT MAX(strict) FROM pragma_table_list($1) WHERE schema = COALESCE($2, schema)))";
        let query = sqlx::query_scalar(statement)
            .bind(parts.next())
            .bind(parts.next());
        query.fetch_all(&mut self.connection).await
    }

    async fn insert_all(&mut self, into: &Destination, batches: &mut BatchStream) -> Result<u64> {
        let targets = self.targets(into).await?;
        let width = into.columns.len().max(1);
        let most = (PARAMETERS / width).max(1);
        let full = into.insert(crate::sql::Dialect::Sqlite, most);
        let mut total = 0;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let rows = batch.num_rows();
            let columns = crate::blocking::run(move || plain::of(&batch)).await?;
            for start in (0..rows).step_by(most) {
                let end = (start + most).min(rows);
                let mut arguments = SqliteArguments::default();
                for row in start..end {
                    for (target, column) in targets.iter().zip(&columns) {
                        bind(&mut arguments, target, column, row)?;
                    }
                }
                let is_full = end - start == most;
                let statement = if is_full {
                    full.clone()
                } else {
                    into.insert(crate::sql::Dialect::Sqlite, end - start)
                };
                let query = sqlx::query_with(AssertSqlSafe(statement), arguments).persistent(is_full);
                query
                    .execute(&mut self.connection)
                    .await
                    .map_err(|error| self.database.failed("load into", error))?;
            }
            total += rows as u64;
        }
        Ok(total)
    }
}
