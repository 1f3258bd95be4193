//! Opens the database, and sets it aside for a new one when it is damaged beyond reading.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::errors::{failed, failed_io};
use super::files::{COMPANIONS, FILE, LOG, OBJECTS, WITH, beside, free_name, length};
use super::log;
use super::migrate::{check_version, migrate};
use super::objects::sync_directory;
use super::opened;
use super::schema::PRESENT;
use crate::store::{JournalError, JournalResult};

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
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        // A batch that was written survives a power failure.
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "4000")
        .pragma("journal_size_limit", "16777216")
        .pragma("cell_size_check", "ON")
        .pragma("temp_store", "MEMORY")
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
    refuse_a_log_alone(file)?;
    let log = beside(file, LOG);
    // Before SQLite makes one, or begins one anew.
    let (is_new, has_log) = (!file.exists(), length(&log) > 0);
    let is_broken = log::is_broken(file).map_err(failed_io(&log, "read"))?;
    keep_from_others(file).map_err(failed_io(file, "opened"))?;
    let options = to_write(file).create_if_missing(true);
    let mut connection = options.connect().await.map_err(failed(file, "opened"))?;
    if let Err(error) = migrate(&mut connection, file, &PRESENT).await {
        // Before its file is renamed, nothing may have it open.
        drop(connection.close().await);
        return Err(error);
    }
    if is_broken {
        tracing::error!(target: "flowkit_journal", path = %log.display(), "the journal's log is damaged or was cut short: what was written last is missing");
    }
    if is_broken || (!has_log && opened::report_missing_log(&mut connection, file).await) {
        opened::note_loss(&mut connection)
            .await
            .map_err(failed(file, "written"))?;
    }
    opened::note(&mut connection).await;
    if is_new && let Some(directory) = file.parent() {
        sync_directory(directory).map_err(failed_io(file, "opened"))?;
    }
    Ok(connection)
}

/// Parameters, results and logs are for the owner's eyes. SQLite gives the files beside it the same mode.
#[cfg(unix)]
pub(super) fn keep_from_others(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    match options.open(file) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
pub(super) fn keep_from_others(_file: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Opens a journal for writing that was open before.
pub(super) async fn reopen(file: &Path) -> JournalResult<SqliteConnection> {
    let mut connection = to_write(file).connect().await.map_err(failed(file, "opened"))?;
    opened::note(&mut connection).await;
    Ok(connection)
}

/// Opens a journal only to look at it.
pub(super) async fn open_to_read(file: &Path) -> JournalResult<SqliteConnection> {
    refuse_what_is_no_file(file)?;
    refuse_a_log_alone(file)?;
    let has_log = length(&beside(file, LOG)) > 0;
    let connection = to_read(file).connect().await;
    let mut connection = connection.map_err(failed(file, "opened"))?;
    let found = check_version(&mut connection, file, &PRESENT).await?;
    if found < PRESENT.steps.len() {
        return Err(JournalError::Io {
            path: file.to_owned(),
            action: "opened",
            reason: match found {
                0 => "nothing is written in it yet: a program is beginning it, or died when it did; run or resume something",
                _ => "an older flowkit wrote it: run or resume something with this one, which brings it to its own version",
            }
            .into(),
        });
    }
    if !has_log {
        opened::report_missing_log(&mut connection, file).await;
    }
    Ok(connection)
}

/// SQLite would delete it, as one that belongs to nothing, and what was written last with it.
fn refuse_a_log_alone(file: &Path) -> JournalResult<()> {
    if length(file) > 0 || length(&beside(file, LOG)) == 0 {
        return Ok(());
    }
    Err(JournalError::Damaged {
        path: file.to_owned(),
        reason: format!(
            "only its log, `{FILE}{LOG}`, is there: put the database back that belongs to it, or copy both together"
        )
        .into(),
    })
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

/// Renames what cannot be read, so that nothing is lost and a new journal can begin.
pub(super) fn set_aside(directory: &Path, reason: &str) -> JournalResult<()> {
    let file = directory.join(FILE);
    let aside = free_name(&file, "damaged");
    for end in WITH {
        // What the files in `objects` hold is named only in it.
        let from = match end {
            OBJECTS => directory.join("objects"),
            _ => beside(&file, end),
        };
        match fs::rename(&from, beside(&aside, end)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed_io(&from, "set aside")(error));
            }
            _ => {}
        }
    }
    sync_directory(directory).map_err(failed_io(&file, "set aside"))?;
    tracing::error!(target: "flowkit_journal", aside = %aside.display(), reason, "the journal is damaged: it was set aside, and a new one begun");
    Ok(())
}
