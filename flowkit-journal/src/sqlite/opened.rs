//! Whether a program has the database open to write: noted in the database itself, so that one that was copied without its log, or lost it, says
//! so. Nothing else of it would.

use std::path::Path;

use futures::FutureExt;
use sqlx::{Connection, SqliteConnection};

use super::files::{LOG, beside};

/// Notes that it is open, where a copy of the database alone has it too.
pub(super) async fn note(connection: &mut SqliteConnection) {
    if let Err(error) = try_note(connection).await {
        // A disk that is full must not keep anybody from what is on it.
        tracing::warn!(target: "flowkit_journal", %error, "that the journal is open could not be noted in it");
    }
}

async fn try_note(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let noted = sqlx::query("UPDATE opened SET now = 1 WHERE now <> 1")
        .execute(&mut *connection)
        .await?;
    if noted.rows_affected() > 0 {
        sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
            .fetch_all(connection)
            .await?;
    }
    Ok(())
}

/// Closes it in good order: what is in its log is carried over, and the log goes, unless somebody else has the database open.
pub(super) async fn close(mut connection: SqliteConnection) -> Result<(), sqlx::Error> {
    let noted = sqlx::query("UPDATE opened SET now = 0")
        .execute(&mut connection)
        .await;
    // A looker in another process may keep SQLite from taking the log away: then at least nothing is in it alone.
    let carried = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
        .fetch_all(&mut connection)
        .await;
    connection.close().await?;
    noted.and(carried.map(drop))
}

/// The same for who cannot wait: it is done soon, if the process lives on.
pub(super) fn close_soon(mut connection: SqliteConnection) {
    // Asked for once, it is done by the connection's own thread, which then finds nobody there any more.
    drop(
        sqlx::query("UPDATE opened SET now = 0")
            .execute(&mut connection)
            .now_or_never(),
    );
}

/// A database that was open and has no log: says so, and that something may be missing.
pub(super) async fn report_missing_log(connection: &mut SqliteConnection, file: &Path) -> bool {
    let was_open = sqlx::query_scalar::<_, i64>("SELECT CAST(coalesce(max(now), 0) AS INTEGER) FROM opened")
        .fetch_one(connection)
        .await;
    match was_open {
        Ok(0) => false,
        Ok(_) => {
            tracing::warn!(target: "flowkit_journal", path = %file.display(), log = %beside(file, LOG).display(), "the journal was open to a program when it was copied, or its log was deleted: what was written last may be missing; copy the whole directory, and after the program has shut down its runtime");
            true
        }
        Err(error) => {
            tracing::warn!(target: "flowkit_journal", path = %file.display(), %error, "whether the journal lacks its log could not be read in it");
            false
        }
    }
}

/// Notes that what was written last is missing, of whatever flow runs there are: who resumes one of them must not take what is not there for what never was.
pub(super) async fn note_loss(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let note = "INSERT INTO losses SELECT coalesce(max(no), 0) FROM flows";
    sqlx::query(note).execute(connection).await.map(drop)
}
