//! The connections that read: a few, opened when they are needed. sqlx's own pool would wait by tokio's clock, which tests pause.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::errors::failed;
use crate::store::{JournalError, JournalResult};

/// How many read at once.
const READERS: usize = 3;

#[derive(Debug)]
pub(super) struct Readers {
    options: SqliteConnectOptions,
    file: PathBuf,
    permits: Semaphore,
    idle: Mutex<Vec<SqliteConnection>>,
}

impl Readers {
    pub(super) fn new(options: SqliteConnectOptions, file: PathBuf) -> Self {
        Self {
            options,
            file,
            permits: Semaphore::new(READERS),
            idle: Mutex::default(),
        }
    }

    pub(super) fn give(&self, connection: SqliteConnection) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection);
    }

    fn take(&self) -> Option<SqliteConnection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// A connection for one read.
    pub(super) async fn lease(&self) -> JournalResult<Lease<'_>> {
        let permit = self.permits.acquire().await.map_err(|_| self.closed())?;
        let mut idle = self.take();
        // Its thread may have ended on an error.
        if let Some(connection) = &mut idle
            && connection.ping().await.is_err()
        {
            idle = None;
        }
        let connection = match idle {
            Some(connection) => connection,
            None => self.options.connect().await.map_err(failed(&self.file, "read"))?,
        };
        Ok(Lease {
            connection: Some(connection),
            readers: self,
            _permit: permit,
        })
    }

    /// Closes what is idle, as when the file under it was renamed.
    pub(super) async fn close_idle(&self) {
        while let Some(connection) = self.take() {
            drop(connection.close().await);
        }
    }

    /// Waits until nobody reads, and keeps it so as long as what it gives is there.
    pub(super) async fn alone(&self) -> JournalResult<SemaphorePermit<'_>> {
        let all = self.permits.acquire_many(READERS as u32).await;
        let all = all.map_err(|_| self.closed())?;
        self.close_idle().await;
        Ok(all)
    }

    fn closed(&self) -> JournalError {
        JournalError::Io {
            path: self.file.clone(),
            action: "read",
            reason: "it was closed".into(),
        }
    }

    /// Nobody reads any more.
    pub(super) async fn close(&self) {
        self.permits.close();
        self.close_idle().await;
    }
}

/// A connection that goes back when it is dropped.
pub(super) struct Lease<'a> {
    connection: Option<SqliteConnection>,
    readers: &'a Readers,
    _permit: SemaphorePermit<'a>,
}

impl Lease<'_> {
    pub(super) fn connection(&mut self) -> JournalResult<&mut SqliteConnection> {
        let gone = || JournalError::Io {
            path: self.readers.file.clone(),
            action: "read",
            reason: "its connection is gone".into(),
        };
        self.connection.as_mut().ok_or_else(gone)
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && !self.readers.permits.is_closed()
        {
            self.readers.give(connection);
        }
    }
}
