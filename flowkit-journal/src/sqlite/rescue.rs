//! What becomes of a journal whose files were deleted or replaced while it was open. The system keeps such files as long as they are open, so all of it
//! is still there, but nobody else will ever find it: it is written anew where it belongs.

use std::fs;
use std::path::Path;

use sqlx::{Row, SqliteConnection};

use super::errors::{failed, failed_io};
use super::files::{COMPANIONS, Displaced, LOG, beside, free_name, length};
use super::objects::sync_directory;
use super::writer::Writer;
use super::{SqliteJournal, open};
use crate::store::{JournalError, JournalResult};

impl SqliteJournal {
    /// Sees to it that what is open is what lies in the directory.
    ///
    /// # Errors
    /// When it is not, and what is open cannot be put back there.
    pub(super) async fn in_place(&self, writer: &mut Writer) -> JournalResult<()> {
        let displaced = writer.files.displaced(&self.reading.file);
        match displaced.map_err(failed_io(&self.reading.file, "written"))? {
            None => Ok(()),
            Some(Displaced::Deleted) => self.rescue_database(writer).await,
            Some(Displaced::Replaced) => Err(self.keep_what_was_open(writer).await),
            Some(Displaced::Beside) => self.rescue_log(writer).await,
        }
    }

    fn displaced(&self, how: &'static str, advice: impl Into<String>) -> JournalError {
        JournalError::Displaced {
            path: self.reading.file.clone(),
            how,
            advice: advice.into().into(),
        }
    }

    /// The database was deleted: what is open is copied to where it was.
    async fn rescue_database(&self, writer: &mut Writer) -> JournalResult<()> {
        let copy = free_name(&self.reading.file, "rescued");
        let copied = self.copy(writer, &copy).await;
        copied.map_err(|trouble| {
            self.displaced(
                "deleted",
                format!("what was in it could not be written there anew ({trouble}): put it back, or start the program again, which loses what was in it"),
            )
        })?;
        let _alone = self.reading.readers.alone().await?;
        // SQLite leaves what lies beside it alone then, since it is no longer there.
        writer.give_up().await;
        put_in_place(&copy, &self.reading.file).map_err(failed_io(&self.reading.file, "written"))?;
        self.reopen(writer).await?;
        tracing::error!(target: "flowkit_journal", path = %self.reading.file.display(), "the journal was deleted while this program used it: all of it was written anew, except for results that lay in `objects` and were deleted, too; leave it alone as long as the program runs");
        Ok(())
    }

    /// Another database lies in its place, which is not to be written into: what is open is copied beside it, once.
    async fn keep_what_was_open(&self, writer: &mut Writer) -> JournalError {
        let restart = "start the program again, which goes on with what lies there now";
        if writer.connection.is_some() && !writer.is_rescued {
            let copy = free_name(&self.reading.file, "rescued");
            match self.copy(writer, &copy).await {
                Ok(()) => {
                    writer.is_rescued = true;
                    tracing::error!(target: "flowkit_journal", path = %self.reading.file.display(), copy = %copy.display(), "the journal was replaced while this program used it: what it had written until then is in the copy");
                }
                Err(trouble) => {
                    tracing::error!(target: "flowkit_journal", path = %self.reading.file.display(), %trouble, "the journal was replaced while this program used it, and what it had written could not be copied");
                }
            }
        }
        self.displaced("replaced", restart)
    }

    /// Copies what is open, whole and synced.
    async fn copy(&self, writer: &mut Writer, copy: &Path) -> JournalResult<()> {
        let is_broken = writer.is_broken;
        let Some(connection) = &mut writer.connection else {
            return Err(self.displaced("deleted", "it was not open"));
        };
        let failed_io = failed_io(copy, "written");
        fs::create_dir_all(&self.reading.directory).map_err(&failed_io)?;
        open::keep_from_others(copy).map_err(&failed_io)?;
        if is_broken {
            // It may be in the middle of a transaction of which sqlx knows nothing.
            drop(sqlx::query("ROLLBACK").execute(&mut *connection).await);
        }
        let written = vacuum_into(connection, copy).await;
        let written = written.map_err(failed(copy, "written"));
        let synced = match written {
            Ok(()) => {
                let copy = copy.to_owned();
                self.reading
                    .blocking("written", move |_| fs::File::open(copy)?.sync_all())
                    .await
            }
            Err(trouble) => Err(trouble),
        };
        if synced.is_err() {
            // Halves help nobody.
            drop(fs::remove_file(copy));
        }
        synced
    }

    /// What lies beside the database was deleted or replaced: what is in the log that is open is carried over into the database, and another log begun.
    async fn rescue_log(&self, writer: &mut Writer) -> JournalResult<()> {
        let log = beside(&self.reading.file, LOG);
        let _alone = self.reading.readers.alone().await?;
        let displaced = |reason: String| {
            JournalError::Displaced {
            path: log.clone(),
            how: "deleted or replaced",
            advice: format!("what is in it could not be carried over into the database ({reason}): it is tried again with what is written next").into(),
        }
        };
        if let Some(connection) = &mut writer.connection {
            if writer.is_broken {
                drop(sqlx::query("ROLLBACK").execute(&mut *connection).await);
            }
            let carried = carry_over(connection).await;
            if !carried.map_err(|error| displaced(error.to_string()))? {
                return Err(displaced("another process reads it".to_owned()));
            }
        }
        // SQLite would delete it as its own when it is closed, or apply it.
        set_aside(&log).map_err(failed_io(&log, "set aside"))?;
        writer.give_up().await;
        self.reopen(writer).await?;
        tracing::error!(target: "flowkit_journal", path = %log.display(), "the log of the journal was deleted or replaced while this program used it: nothing is lost, since it was still open; leave it alone as long as the program runs");
        Ok(())
    }
}

async fn vacuum_into(connection: &mut SqliteConnection, copy: &Path) -> Result<(), sqlx::Error> {
    let name = copy
        .to_str()
        .ok_or_else(|| sqlx::Error::Configuration("SQLite copies only to a path that is Unicode".into()))?;
    sqlx::query("VACUUM INTO ?")
        .bind(name)
        .execute(connection)
        .await?;
    Ok(())
}

/// Carries over all that is in the log into the database, and says whether that was possible.
async fn carry_over(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one(connection)
        .await?;
    Ok(row.try_get::<i64, _>(0)? == 0)
}

/// Renames a log of another database; an empty one may stay.
fn set_aside(log: &Path) -> std::io::Result<()> {
    if length(log) == 0 {
        return Ok(());
    }
    fs::rename(log, free_name(log, "foreign"))
}

/// Renames a copy to where it belongs. What lies beside it there belongs to something else, and SQLite would apply it.
fn put_in_place(copy: &Path, file: &Path) -> std::io::Result<()> {
    for companion in COMPANIONS.map(|end| beside(file, end)) {
        match fs::remove_file(&companion) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(copy, file)?;
    file.parent().map_or(Ok(()), sync_directory)
}
