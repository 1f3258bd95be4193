//! What a process does before it writes: it marks what earlier ones left unfinished, and removes the files that nothing names.

use std::collections::HashSet;

use sqlx::{Connection, Row, SqliteConnection};

use super::dictionary::Numbers;
use super::errors::failed;
use super::objects::Name;
use super::task_row::EPOCH;
use super::write::forget_doomed;
use super::writer::Writer;
use super::{SqliteJournal, open};
use crate::record::{RunNo, Timestamp};
use crate::store::{Beginning, JournalError, JournalResult};

impl SqliteJournal {
    pub(super) async fn begin_writing(&self, now: Timestamp, crashed: &str) -> JournalResult<Beginning> {
        let mut writer = self.writer().await?;
        match self.try_begin(&mut writer, now, crashed).await {
            // Opening reads little of a file. What is found out now would keep this program from ever beginning.
            Err(JournalError::Damaged { reason, .. }) => {
                self.begin_anew(&mut writer, &reason).await?;
                self.try_begin(&mut writer, now, crashed).await
            }
            begun => begun,
        }
    }

    async fn begin_anew(&self, writer: &mut Writer, reason: &str) -> JournalResult<()> {
        self.reading.readers.close_idle().await;
        writer.give_up().await;
        open::set_aside(&self.reading.directory, reason)?;
        *self
            .reading
            .dictionary
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = std::sync::Arc::default();
        *writer = Writer::new(open::open(&self.reading.directory).await?, &self.reading.file)?;
        Ok(())
    }

    async fn try_begin(
        &self,
        writer: &mut Writer,
        now: Timestamp,
        crashed: &str,
    ) -> JournalResult<Beginning> {
        writer.numbers = None;
        writer.stripped = None;
        let connection = self.connection(writer).await?;
        let begun = begin(connection, now, crashed).await;
        let (numbers, beginning, named) = begun.map_err(failed(&self.reading.file, "written"))?;
        writer.numbers = Some(numbers);
        self.reading
            .blocking("written", move |objects| objects.remove_orphans(&named))
            .await?;
        Ok(beginning)
    }
}

async fn begin(
    connection: &mut SqliteConnection,
    now: Timestamp,
    crashed: &str,
) -> Result<(Numbers, Beginning, HashSet<Name>), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut numbers = Numbers::read(&mut transaction).await?;
    let state = numbers.word(&mut transaction, crashed).await?;
    let ids: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT id FROM flows WHERE ended IS NULL AND parent IS NULL AND root NOT IN (SELECT root FROM leaving) ORDER BY no",
    )
    .fetch_all(&mut *transaction)
    .await?;
    let marks = [
        ("UPDATE flows SET state = ?, ended = ? WHERE ended IS NULL", now.0),
        (
            "UPDATE tasks SET state = ?, ended = ? - created WHERE ended IS NULL",
            now.0.wrapping_sub(EPOCH),
        ),
    ];
    for (mark, moment) in marks {
        sqlx::query(mark)
            .bind(state)
            .bind(moment)
            .execute(&mut *transaction)
            .await?;
    }
    let last: i64 = sqlx::query_scalar("SELECT max(coalesce((SELECT max(seq) FROM sqlite_sequence), 0), coalesce((SELECT max(no) FROM flows), 0))")
        .fetch_one(&mut *transaction)
        .await?;
    // An object that no row names any more may have been overlooked only if the file is damaged; then, too, it goes.
    sqlx::query("INSERT OR IGNORE INTO doomed SELECT id FROM objects WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE object = objects.id)")
        .execute(&mut *transaction)
        .await?;
    forget_doomed(&mut transaction).await?;
    let rows = sqlx::query("SELECT digest FROM objects")
        .fetch_all(&mut *transaction)
        .await?;
    let named = rows
        .iter()
        .filter_map(|row| row.try_get::<&[u8], _>(0).ok()?.try_into().ok())
        .collect();
    transaction.commit().await?;
    let id = |bytes: Vec<u8>| Some(u128::from_be_bytes(bytes.try_into().ok()?));
    let beginning = Beginning {
        next_run: RunNo(last as u64 + 1),
        crashed: ids.into_iter().filter_map(id).collect(),
    };
    Ok((numbers, beginning, named))
}
