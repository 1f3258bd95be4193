//! Brings a database to the present version, and refuses one that is newer, or no journal.

use std::path::Path;

use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::errors::failed;
use super::schema::Schema;
use crate::store::{JournalError, JournalResult};

/// What the tables and whatever belongs to them were created by.
const DEFINITIONS: &str = "SELECT CAST(sql AS BLOB) FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

/// The version of a database that may be read: one that we know, and that has what such a version has.
pub(super) async fn check_version(
    connection: &mut SqliteConnection,
    file: &Path,
    schema: &Schema,
) -> JournalResult<usize> {
    let read = failed(file, "opened");
    // At one moment: another process may be making them.
    let mut connection = connection.begin().await.map_err(&read)?;
    let connection = &mut *connection;
    let found: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await
        .map_err(&read)?;
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .fetch_all(&mut *connection)
        .await
        .map_err(&read)?;
    let damaged = |reason: &str| JournalError::Damaged {
        path: file.to_owned(),
        reason: reason.into(),
    };
    let found = u32::try_from(found).map_err(|_| damaged("its version is below zero"))?;
    let known = schema.steps.len();
    if found as usize > known {
        return Err(JournalError::Newer {
            path: file.to_owned(),
            found,
            known: known as u32,
        });
    }
    if found == 0 && !tables.is_empty() {
        return Err(damaged("it has tables, but no version"));
    }
    if found as usize == known {
        let texts: Vec<Vec<u8>> = sqlx::query_scalar(DEFINITIONS)
            .fetch_all(connection)
            .await
            .map_err(&read)?;
        let has = |table: &&str| tables.iter().any(|name| name == table);
        if !schema.tables.iter().all(has) || !texts.iter().all(|text| schema.creates(text)) {
            return Err(damaged("its tables are not those that it should have"));
        }
    }
    Ok(found as usize)
}

/// Takes the steps that the database has not taken yet: all of them, or, if one fails or the process dies, none.
pub(super) async fn migrate(
    connection: &mut SqliteConnection,
    file: &Path,
    schema: &Schema,
) -> JournalResult<()> {
    let found = check_version(connection, file, schema).await?;
    if found == schema.steps.len() {
        return Ok(());
    }
    take_steps(connection, found, schema)
        .await
        .map_err(failed(file, "opened"))?;
    if found > 0 {
        tracing::info!(target: "flowkit_journal", path = %file.display(), from = found, to = schema.steps.len(), "the journal was brought to this program's version");
    }
    Ok(())
}

async fn take_steps(
    connection: &mut SqliteConnection,
    found: usize,
    schema: &Schema,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    take_each(&mut transaction, found, schema).await?;
    transaction.commit().await
}

async fn take_each(
    connection: &mut SqliteConnection,
    found: usize,
    schema: &Schema,
) -> Result<(), sqlx::Error> {
    for step in schema.steps.iter().skip(found) {
        sqlx::raw_sql(*step).execute(&mut *connection).await?;
    }
    let mark = AssertSqlSafe(format!("PRAGMA user_version = {}", schema.steps.len()));
    sqlx::raw_sql(mark).execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
