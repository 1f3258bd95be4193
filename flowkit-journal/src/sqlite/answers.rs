//! What was given to runs that waited for it: rows that end with a digest over all of them, of which one that does not verify is not there.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::bytes::{put_bytes, put_number, put_signed};
use super::read::report;
use super::reading::Reading;
use crate::record::{AnswerRow, Digest, RunNo, Timestamp};
use crate::store::JournalResult;

fn digest(row: &AnswerRow) -> [u8; 8] {
    let mut bytes = row.place.to_vec();
    put_number(&mut bytes, row.run.0);
    put_signed(&mut bytes, row.at.0);
    put_bytes(&mut bytes, row.key.as_bytes());
    put_bytes(&mut bytes, &row.value);
    let whole = blake3::hash(&bytes);
    whole.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// Writes them one by one: somebody thought about each.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    answers: &[&AnswerRow],
) -> Result<(), sqlx::Error> {
    for row in answers {
        sqlx::query(
            "INSERT OR REPLACE INTO answers (place, run, key, at, value, digest) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(row.place.to_vec())
        .bind(row.run.0 as i64)
        .bind(row.key.as_ref())
        .bind(row.at.0)
        .bind(row.value.to_vec())
        .bind(digest(row).to_vec())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

fn read(row: &SqliteRow, place: Digest) -> Option<AnswerRow> {
    let found = AnswerRow {
        run: RunNo(row.try_get::<i64, _>(0).ok()? as u64),
        place,
        key: row.try_get::<&str, _>(1).ok()?.into(),
        at: Timestamp(row.try_get(2).ok()?),
        value: row.try_get::<&[u8], _>(3).ok()?.into(),
    };
    let written: &[u8] = row.try_get(4).ok()?;
    (digest(&found) == written).then_some(found)
}

impl Reading {
    pub(super) async fn read_answer(&self, place: Digest) -> JournalResult<Option<AnswerRow>> {
        let mut lease = self.lease().await?;
        let mut snapshot = self.snapshot(&mut lease).await?;
        let row = sqlx::query("SELECT run, key, at, value, digest FROM answers WHERE place = ?")
            .bind(place.to_vec())
            .fetch_optional(&mut *snapshot.transaction)
            .await
            .map_err(self.read_failed())?;
        let Some(row) = row else { return Ok(None) };
        let Some(found) = read(&row, place) else {
            report("answer", row.try_get(0).ok());
            return Ok(None);
        };
        let is_leaving = snapshot.is_leaving(found.run).await.map_err(self.read_failed())?;
        Ok((!is_leaving).then_some(found))
    }
}
