//! Clears out results and logs of flow runs whose history stays.

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::dictionary::Dictionary;
use super::prune::{Done, ENDED, SLICE};
use super::task_row::{self, SELECTED, spot_of};
use crate::record::Spot;

/// How many trees are measured at once.
const MEASURED: i64 = 20;

/// The roots of what has ended.
const ROOTS: &str = "SELECT l.no FROM flows AS f JOIN flows AS l ON l.id = f.id AND l.parent IS NULL";

/// Measures trees that have ended since, some at a time. Gives whether there may be more.
pub(super) async fn measure(connection: &mut SqliteConnection) -> Done<bool> {
    let sql = format!(
        "INSERT INTO measured SELECT r.no, \
         (SELECT coalesce(sum(coalesce(length(t.result), (SELECT bytes FROM objects WHERE id = t.object))), 0) \
          FROM flows AS w JOIN tasks AS t ON t.run = w.no WHERE w.root = r.no), \
         (SELECT coalesce(sum(octet_length(g.message)), 0) FROM flows AS w JOIN logs AS g ON g.run = w.no WHERE w.root = r.no) \
         FROM ({ROOTS} WHERE {ENDED} AND l.no NOT IN (SELECT root FROM measured) LIMIT ?) AS r"
    );
    let done = sqlx::query(AssertSqlSafe(sql))
        .bind(MEASURED)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() > 0)
}

async fn total(connection: &mut SqliteConnection, sql: &'static str) -> Done<u64> {
    let total: i64 = sqlx::query_scalar(sql).fetch_one(connection).await?;
    Ok(u64::try_from(total).unwrap_or(0))
}

/// Forgets results, those of what ended longest ago first, until the rest is small enough. Gives how many, and whether there may be more to do.
pub(super) async fn strip(
    connection: &mut SqliteConnection,
    limit: u64,
    stripped: &mut Option<(u128, Spot)>,
) -> Done<(u64, bool)> {
    let bytes = total(connection, "SELECT coalesce(sum(result_bytes), 0) FROM measured").await?;
    let Some(surplus) = bytes.checked_sub(limit).filter(|surplus| *surplus > 0) else {
        return Ok((0, false));
    };
    let sql = format!(
        "SELECT f.id FROM flows AS f WHERE {ENDED} AND EXISTS (SELECT 1 FROM flows AS l JOIN measured AS m ON m.root = l.no \
         WHERE l.id = f.id AND m.result_bytes > 0) ORDER BY f.ended, f.no LIMIT 1"
    );
    let oldest: Option<Vec<u8>> = sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_optional(&mut *connection)
        .await?;
    let Some(oldest) = oldest else {
        return Ok((0, false));
    };
    let id = u128::from_be_bytes(oldest.as_slice().try_into().unwrap_or_default());
    let after = stripped.filter(|(of, _)| *of == id).map(|(_, spot)| spot);
    let (count, last) = strip_run(connection, &oldest, after, surplus).await?;
    *stripped = last.map(|spot| (id, spot));
    if count == 0 {
        // Either there was a start of it, before where the last slice ended, or it was measured wrong.
        let sql = "UPDATE measured SET result_bytes = 0 WHERE root IN (SELECT no FROM flows WHERE id = ?)";
        sqlx::query(sql).bind(oldest).execute(connection).await?;
    }
    Ok((count, true))
}

/// Forgets some results of a flow run, and gives how many, and the last.
async fn strip_run(
    connection: &mut SqliteConnection,
    id: &[u8],
    after: Option<Spot>,
    surplus: u64,
) -> Done<(u64, Option<Spot>)> {
    let mut dictionary = Dictionary::default();
    dictionary.update(connection).await?;
    let runs = sqlx::query("SELECT no, root FROM flows WHERE root IN (SELECT no FROM flows WHERE id = ? AND parent IS NULL) ORDER BY no")
        .bind(id)
        .fetch_all(&mut *connection)
        .await?;
    let (mut bytes, mut count, mut last) = (0, 0, None);
    for run in &runs {
        let (run, root): (i64, i64) = (run.try_get(0)?, run.try_get(1)?);
        if after.is_some_and(|after| run < after.run.0 as i64) {
            continue;
        }
        let start = after.filter(|after| run == after.run.0 as i64);
        let sql = format!(
            "SELECT {SELECTED}, coalesce(length(t.result), (SELECT bytes FROM objects WHERE id = t.object), 0) FROM tasks AS t \
             WHERE t.run = ?1 AND (t.node, t.item) > (?2, ?3) AND (length(t.result) > 0 OR t.object IS NOT NULL) \
             ORDER BY t.node, t.item LIMIT ?4"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(run)
            .bind(start.map_or(-1, |start| i64::from(start.node)))
            .bind(start.map_or(-1, |start| task_row::item_number(start.item)))
            .bind((SLICE - count) as i64)
            .fetch_all(&mut *connection)
            .await?;
        for row in &rows {
            if bytes >= surplus {
                return Ok((count, last));
            }
            bytes += strip_task(connection, row, &dictionary, root).await?;
            count += 1;
            last = spot_of(run, row.try_get(1)?, row.try_get(2)?);
        }
        if count >= SLICE {
            break;
        }
    }
    Ok((count, last))
}

/// Forgets the result of a task run in the tree of this root. Gives how many bytes it had.
async fn strip_task(
    connection: &mut SqliteConnection,
    row: &SqliteRow,
    dictionary: &Dictionary,
    root: i64,
) -> Done<u64> {
    let size: i64 = row.try_get(18)?;
    // A row that is damaged stays so.
    let body = task_row::without_result(row, dictionary);
    sqlx::query("UPDATE tasks SET result = NULL, object = NULL, body = coalesce(?, body) WHERE run = ? AND node = ? AND item = ?")
        .bind(body)
        .bind(row.try_get::<i64, _>(0)?)
        .bind(row.try_get::<i64, _>(1)?)
        .bind(row.try_get::<i64, _>(2)?)
        .execute(&mut *connection)
        .await?;
    sqlx::query("UPDATE measured SET result_bytes = max(0, result_bytes - ?) WHERE root = ?")
        .bind(size)
        .bind(root)
        .execute(connection)
        .await?;
    Ok(u64::try_from(size).unwrap_or(0))
}

/// Forgets lines of log, the oldest first, until the rest is small enough. Gives how many.
pub(super) async fn trim_logs(connection: &mut SqliteConnection, limit: u64) -> Done<u64> {
    let bytes = total(connection, "SELECT coalesce(sum(log_bytes), 0) FROM measured").await?;
    let Some(surplus) = bytes.checked_sub(limit).filter(|surplus| *surplus > 0) else {
        return Ok(0);
    };
    let rows = sqlx::query(
        "SELECT g.seq, octet_length(g.message), f.root FROM logs AS g CROSS JOIN flows AS f ON f.no = g.run \
         CROSS JOIN measured AS m ON m.root = f.root ORDER BY g.seq LIMIT ?",
    )
    .bind(SLICE as i64)
    .fetch_all(&mut *connection)
    .await?;
    let (mut gone, mut count) = (0, 0);
    for row in &rows {
        if gone >= surplus {
            break;
        }
        let (seq, size, root): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        sqlx::query("DELETE FROM logs WHERE seq = ?")
            .bind(seq)
            .execute(&mut *connection)
            .await?;
        sqlx::query("UPDATE measured SET log_bytes = max(0, log_bytes - ?) WHERE root = ?")
            .bind(size)
            .bind(root)
            .execute(&mut *connection)
            .await?;
        gone += u64::try_from(size).unwrap_or(0);
        count += 1;
    }
    if rows.is_empty() {
        // It was measured wrong.
        sqlx::query("UPDATE measured SET log_bytes = 0")
            .execute(connection)
            .await?;
    }
    Ok(count)
}
