//! The connection that writes: one, in turns, which is opened when it is needed and closed when the journal is to rest.

use std::path::Path;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::MutexGuard;

use super::dictionary::Numbers;
use super::errors::{failed, failed_io};
use super::files::Files;
use super::{SqliteJournal, end, open, opened};
use crate::record::Spot;
use crate::store::{JournalError, JournalResult};

/// The one that writes.
#[derive(Debug)]
pub(super) struct Writer {
    /// None while it is closed.
    pub(super) connection: Option<SqliteConnection>,
    /// Whether it was closed for good.
    is_closed: bool,
    /// Whether something failed on it: SQLite may have rolled back by itself then, of which sqlx knows nothing, so another one is opened.
    pub(super) is_broken: bool,
    /// What is open, or was when it was open last.
    pub(super) files: Files,
    /// Whether what was open was copied, since another database lies in its place.
    pub(super) is_rescued: bool,
    /// None until they are read, and after an error.
    pub(super) numbers: Option<Numbers>,
    /// Whether the last batch may have been committed and nobody knows: who wrote it stopped waiting, or something after the commit failed. It is then written
    /// again.
    pub(super) is_unconfirmed: bool,
    /// Up to where the results of a flow run were cleared out.
    pub(super) stripped: Option<(u128, Spot)>,
}

impl Writer {
    /// With a connection that was just opened.
    pub(super) fn new(connection: SqliteConnection, file: &Path) -> JournalResult<Self> {
        Ok(Self {
            connection: Some(connection),
            is_closed: false,
            is_broken: false,
            files: Files::of(file).map_err(failed_io(file, "opened"))?,
            is_rescued: false,
            numbers: None,
            is_unconfirmed: false,
            stripped: None,
        })
    }

    /// Closes the connection, however that goes.
    pub(super) async fn give_up(&mut self) {
        self.files = self.files.closed();
        if let Some(connection) = self.connection.take() {
            drop(connection.close().await);
        }
    }

    /// Closes the connection in good order.
    async fn close(&mut self) -> Result<(), sqlx::Error> {
        self.files = self.files.closed();
        match self.connection.take() {
            Some(connection) if self.is_broken => connection.close().await,
            Some(connection) => opened::close(connection).await,
            None => Ok(()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && !self.is_broken
        {
            opened::close_soon(connection);
        }
    }
}

impl SqliteJournal {
    /// The writer, in its turn.
    pub(super) async fn writer(&self) -> JournalResult<MutexGuard<'_, Writer>> {
        match &self.writer {
            Some(writer) => Ok(writer.lock().await),
            None => Err(self.refused("it was opened only to be read")),
        }
    }

    /// The one connection that writes: after one that failed, or was closed to rest, a new one.
    pub(super) async fn connection<'a>(
        &self,
        writer: &'a mut Writer,
    ) -> JournalResult<&'a mut SqliteConnection> {
        if writer.is_closed {
            return Err(self.refused("it was closed"));
        }
        self.in_place(writer).await?;
        if writer.is_broken {
            writer.give_up().await;
        }
        if writer.connection.is_none() {
            self.reopen(writer).await?;
        }
        writer
            .connection
            .as_mut()
            .ok_or_else(|| self.refused("it was closed"))
    }

    /// Opens the connection again.
    pub(super) async fn reopen(&self, writer: &mut Writer) -> JournalResult<()> {
        let connection = open::reopen(&self.reading.file).await?;
        let is_unconfirmed = writer.is_unconfirmed;
        *writer = Writer::new(connection, &self.reading.file)?;
        writer.is_unconfirmed = is_unconfirmed;
        Ok(())
    }

    fn refused(&self, reason: &str) -> JournalError {
        JournalError::Io {
            path: self.reading.file.clone(),
            action: "written",
            reason: reason.into(),
        }
    }

    /// Closes every connection, in good order, until the next use.
    pub(super) async fn close_all(&self) -> JournalResult<()> {
        let Some(writer) = &self.writer else {
            self.reading.readers.close_idle().await;
            return Ok(());
        };
        let writer = &mut *writer.lock().await;
        if writer.is_closed {
            return Ok(());
        }
        self.in_place(writer).await?;
        // SQLite carries the log over when the last connection is closed.
        let _alone = self.reading.readers.alone().await;
        writer
            .close()
            .await
            .map_err(failed(&self.reading.file, "closed"))?;
        end::forget(&self.reading.file);
        Ok(())
    }

    /// Notes how far the log goes, now that something was committed.
    pub(super) async fn note_end(&self, connection: &mut SqliteConnection) {
        let frames = end::frames(connection).await;
        let noted = match frames.map_err(failed(&self.reading.file, "read")) {
            Ok(None) => return,
            Ok(Some(frames)) => {
                let file = self.reading.file.clone();
                self.reading
                    .blocking("written", move |_| end::note(&file, frames))
                    .await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            // Nothing is lost by it, unless the log is cut short later.
            tracing::warn!(target: "flowkit_journal", %error, "how far the journal's log goes could not be noted beside it");
        }
    }

    /// Closes it, and waits until its files are closed as well. Without it they are closed soon after the last use. Whoever asks it afterwards is
    /// told so.
    ///
    /// # Errors
    /// When its files could not be put in order; nothing that was written is lost.
    pub async fn close(&self) -> JournalResult<()> {
        let closed = self.close_all().await;
        if let Some(writer) = &self.writer {
            writer.lock().await.is_closed = true;
        }
        self.reading.readers.close().await;
        closed
    }
}
