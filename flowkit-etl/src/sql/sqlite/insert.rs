//! Rows into a table, many in each statement.

use futures::StreamExt;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteArguments;

use super::{SqliteSession, bind};
use crate::error::Result;
use crate::sql::plain;
use crate::sql::session::Destination;
use crate::stream::BatchStream;

/// How many parameters a statement has at most. More gain nothing.
const PARAMETERS: usize = 1000;

impl SqliteSession {
    pub(super) async fn insert(&mut self, into: &Destination, batches: &mut BatchStream) -> Result<u64> {
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
                    for (name, column) in into.columns.iter().zip(&columns) {
                        bind(&mut arguments, name, column, row)?;
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
