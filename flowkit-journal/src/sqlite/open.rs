//! Opens the file, brings it to the present version, and sets it aside for a new one when it is damaged beyond reading.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};

use super::errors::{failed, failed_io};
use super::objects::sync_directory;
use super::schema::{STEPS, TABLES};
use crate::store::{JournalError, JournalResult};

/// The name of the file.
pub(super) const FILE: &str = "journal.sqlite";
/// What SQLite puts beside it, by the ends of their names.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];
/// How long a statement waits for another process's.
const BUSY: Duration = Duration::from_secs(10);

fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(BUSY)
        .foreign_keys(false)
        .statement_cache_capacity(256)
        .disable_statement_logging()
}

/// How the one connection that writes is opened.
fn to_write(file: &Path) -> SqliteConnectOptions {
    options(file)
        .create_if_missing(true)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        // A batch that was written survives a power failure.
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "4000")
        .pragma("journal_size_limit", "16777216")
        .pragma("cell_size_check", "ON")
        .pragma("cache_size", "-16384")
}

/// How a connection that reads is opened.
pub(super) fn to_read(file: &Path) -> SqliteConnectOptions {
    options(file)
        .read_only(true)
        .row_buffer_size(1_000)
        .pragma("cell_size_check", "ON")
}

/// Opens the journal of a directory for writing.
pub(super) async fn open(directory: &Path) -> JournalResult<SqliteConnection> {
    let file = directory.join(FILE);
    fs::create_dir_all(directory.join("objects")).map_err(failed_io(directory, "opened"))?;
    match open_here(&file).await {
        Err(JournalError::Damaged { reason, .. }) => {
            set_aside(directory, &reason)?;
            open_here(&file).await
        }
        opened => opened,
    }
}

async fn open_here(file: &Path) -> JournalResult<SqliteConnection> {
    refuse_what_is_no_file(file)?;
    let is_new = !file.exists();
    keep_from_others(file).map_err(failed_io(file, "opened"))?;
    let mut connection = to_write(file).connect().await.map_err(failed(file, "opened"))?;
    if let Err(error) = migrate(&mut connection, file, STEPS).await {
        // Before its file is renamed, nothing may have it open.
        drop(connection.close().await);
        return Err(error);
    }
    if is_new && let Some(directory) = file.parent() {
        sync_directory(directory).map_err(failed_io(file, "opened"))?;
    }
    Ok(connection)
}

/// Parameters, results and logs are for the owner's eyes. SQLite gives the files beside it the same mode.
#[cfg(unix)]
fn keep_from_others(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    match options.open(file) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn keep_from_others(_file: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Opens a journal for writing that was open before.
pub(super) async fn reopen(file: &Path) -> JournalResult<SqliteConnection> {
    to_write(file).connect().await.map_err(failed(file, "opened"))
}

/// Opens a journal only to look at it.
pub(super) async fn open_to_read(file: &Path) -> JournalResult<SqliteConnection> {
    refuse_what_is_no_file(file)?;
    let connection = to_read(file).connect().await;
    let mut connection = connection.map_err(failed(file, "opened"))?;
    let found = check_version(&mut connection, file, STEPS.len() as u32).await?;
    if (found as usize) < STEPS.len() {
        return Err(JournalError::Io {
            path: file.to_owned(),
            action: "opened",
            reason: "an older flowkit wrote it, or nobody yet: open it for writing first".into(),
        });
    }
    Ok(connection)
}

fn refuse_what_is_no_file(file: &Path) -> JournalResult<()> {
    let companions = COMPANIONS.map(|end| beside(file, end));
    for path in [file.to_owned()].into_iter().chain(companions) {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {
                return Err(JournalError::Damaged {
                    path,
                    reason: "it is a directory".into(),
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The version of a file that may be read: one that we know, and that has what such a version has.
async fn check_version(connection: &mut SqliteConnection, file: &Path, known: u32) -> JournalResult<u32> {
    let read = failed(file, "opened");
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
    let has = |table: &&str| tables.iter().any(|name| name == table);
    if found > known {
        return Err(JournalError::Newer {
            path: file.to_owned(),
            found,
            known,
        });
    }
    if found == 0 && !tables.is_empty() {
        return Err(damaged("it has tables, but no version"));
    }
    if found as usize == STEPS.len() {
        let texts: Vec<Vec<u8>> = sqlx::query_scalar(DEFINITIONS)
            .fetch_all(connection)
            .await
            .map_err(&read)?;
        if !TABLES.iter().all(has) || !texts.iter().all(|text| is_ours(text)) {
            return Err(damaged("its tables are not those that it should have"));
        }
    }
    Ok(found)
}

/// What the tables and whatever belongs to them were created by.
const DEFINITIONS: &str = "SELECT CAST(sql AS BLOB) FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

/// Whether we create something by this text, which SQLite keeps as it was. Besides that a damaged one means another thing, sqlx panics on a
/// name that is no UTF-8, and its connection may answer no more.
fn is_ours(text: &[u8]) -> bool {
    let text = std::str::from_utf8(text);
    text.is_ok_and(|text| STEPS.iter().any(|step| step.contains(text)))
}

/// Takes the steps that the file has not taken yet, each in one transaction.
async fn migrate(
    connection: &mut SqliteConnection,
    file: &Path,
    steps: &'static [&'static str],
) -> JournalResult<()> {
    let found = check_version(connection, file, steps.len() as u32).await?;
    let failed = failed(file, "opened");
    for (version, step) in (1u32..).zip(steps).skip(found as usize) {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(&failed)?;
        sqlx::raw_sql(*step)
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        let mark = AssertSqlSafe(format!("PRAGMA user_version = {version}"));
        sqlx::raw_sql(mark)
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
    }
    Ok(())
}

/// Renames what cannot be read, so that nothing is lost and a new journal can begin.
pub(super) fn set_aside(directory: &Path, reason: &str) -> JournalResult<()> {
    let file = directory.join(FILE);
    let aside = (1u32..)
        .map(|number| directory.join(format!("{FILE}.damaged-{number}")))
        .find(|path| !path.exists())
        .unwrap_or_else(|| directory.join(format!("{FILE}.damaged")));
    for end in ["", COMPANIONS[0], COMPANIONS[1]] {
        let (from, to) = (beside(&file, end), beside(&aside, end));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed_io(&file, "set aside")(error));
            }
            _ => {}
        }
    }
    // What the files beside it hold is named only in it.
    let objects = directory.join("objects");
    match fs::rename(&objects, beside(&aside, "-objects")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed_io(&objects, "set aside")(error));
        }
        _ => {}
    }
    sync_directory(directory).map_err(failed_io(&file, "set aside"))?;
    tracing::error!(target: "flowkit_journal", aside = %aside.display(), reason, "the journal is damaged: it was set aside, and a new one begun");
    Ok(())
}

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// How many bytes the database takes on the disk.
pub(super) fn disk_bytes(file: &Path) -> u64 {
    let sizes = ["", COMPANIONS[0], COMPANIONS[1]]
        .map(|end| fs::metadata(beside(file, end)).map_or(0, |found| found.len()));
    sizes.iter().sum()
}
