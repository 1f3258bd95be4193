//! Clears out flow runs, in slices. A tree is first marked as leaving, from when on nobody sees it, and then its rows go, a few hundred at a
//! time.

use sqlx::{Connection, Row, SqliteConnection};

use super::errors::failed;
use super::objects::Name;
use super::write::forget_doomed;
use super::{SqliteJournal, trim};
use crate::record::Spot;
use crate::store::{JournalResult, Pruned, Retention};

pub(super) type Done<T = ()> = Result<T, sqlx::Error>;

/// How many rows go in one slice.
pub(super) const SLICE: u64 = 500;
/// How many flow runs are chosen at once.
const CHOSEN: i64 = 50;
/// How many free pages are given back to the system at once, and how many are kept.
const PAGES: i64 = 256;

/// Flow runs that have ended and are not to go on, each in its last life.
pub(super) const ENDED: &str = "f.parent IS NULL AND f.ended IS NOT NULL AND f.root NOT IN (SELECT root FROM leaving) \
    AND f.id NOT IN (SELECT id FROM temp.spared) \
    AND NOT EXISTS (SELECT 1 FROM flows AS g WHERE g.id = f.id AND g.parent IS NULL AND g.life > f.life)";

/// The tables whose rows belong to a flow run, and how some of them are deleted.
const TABLES: [&str; 6] = [
    "DELETE FROM tasks WHERE run = ?1 AND (node, item) IN (SELECT node, item FROM tasks WHERE run = ?1 ORDER BY node, item LIMIT ?2)",
    "DELETE FROM logs WHERE seq IN (SELECT seq FROM logs WHERE run = ?1 LIMIT ?2)",
    "DELETE FROM edges WHERE run = ?1 AND (node, item, from_run, from_node, from_item, parameter) IN \
        (SELECT node, item, from_run, from_node, from_item, parameter FROM edges WHERE run = ?1 LIMIT ?2)",
    "DELETE FROM attempts WHERE run = ?1 AND (node, item, attempt) IN (SELECT node, item, attempt FROM attempts WHERE run = ?1 LIMIT ?2)",
    "DELETE FROM answers WHERE place IN (SELECT place FROM answers WHERE run = ?1 LIMIT ?2)",
    "DELETE FROM texts WHERE run = ?1 AND hash IN (SELECT hash FROM texts WHERE run = ?1 LIMIT ?2)",
];

impl SqliteJournal {
    pub(super) async fn clear_out(&self, retention: &Retention) -> JournalResult<Pruned> {
        let mut writer = self.writer().await?;
        let writer = &mut *writer;
        let mut stripped = writer.stripped.take();
        let connection = self.connection(writer).await?;
        let slice = slice(connection, retention, &mut stripped).await;
        writer.is_broken = slice.is_err();
        writer.stripped = stripped;
        let (mut pruned, forgotten) = slice.map_err(failed(&self.reading.file, "written"))?;
        if !forgotten.is_empty() {
            self.reading
                .blocking("written", move |objects| {
                    objects.unlink(&forgotten);
                    Ok(())
                })
                .await?;
        }
        if !pruned.more {
            let connection = self.connection(writer).await?;
            let shrunk = give_back(connection).await;
            pruned.more = shrunk.map_err(failed(&self.reading.file, "written"))?;
        }
        Ok(pruned)
    }
}

async fn slice(
    connection: &mut SqliteConnection,
    retention: &Retention,
    stripped: &mut Option<(u128, Spot)>,
) -> Done<(Pruned, Vec<Name>)> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    spare(&mut transaction, retention).await?;
    let mut pruned = Pruned::default();
    if !is_any_leaving(&mut transaction).await? {
        pruned.runs = choose(&mut transaction, retention).await?;
    }
    let gone = delete_leaving(&mut transaction).await?;
    pruned.more = gone > 0 || pruned.runs > 0;
    if !pruned.more && (retention.result_bytes.is_some() || retention.log_bytes.is_some()) {
        pruned.more = trim::measure(&mut transaction).await?;
        if pruned.more {
            // A tree that was written since may have results again before where the last slice ended.
            *stripped = None;
        }
    }
    if !pruned.more
        && let Some(limit) = retention.result_bytes
    {
        (pruned.results, pruned.more) = trim::strip(&mut transaction, limit, stripped).await?;
    }
    if !pruned.more
        && let Some(limit) = retention.log_bytes
    {
        pruned.logs = trim::trim_logs(&mut transaction, limit).await?;
        pruned.more = pruned.logs > 0;
    }
    let forgotten = forget_doomed(&mut transaction).await?;
    transaction.commit().await?;
    Ok((pruned, forgotten))
}

/// Notes which flow runs are about to go on. What was measured of them no longer counts as that of runs that have ended.
async fn spare(connection: &mut SqliteConnection, retention: &Retention) -> Done {
    sqlx::query("CREATE TEMP TABLE IF NOT EXISTS spared (id BLOB PRIMARY KEY) WITHOUT ROWID")
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM temp.spared")
        .execute(&mut *connection)
        .await?;
    for id in &retention.spared {
        sqlx::query("INSERT OR IGNORE INTO temp.spared VALUES (?)")
            .bind(id.to_be_bytes().to_vec())
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query(
        "DELETE FROM measured WHERE root IN (SELECT no FROM flows WHERE id IN (SELECT id FROM temp.spared))",
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn is_any_leaving(connection: &mut SqliteConnection) -> Done<bool> {
    let found = sqlx::query("SELECT 1 FROM leaving LIMIT 1")
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some())
}

/// Marks the next flow runs to go, if there are any, as leaving.
async fn choose(connection: &mut SqliteConnection, retention: &Retention) -> Done<u64> {
    let surplus = match retention.runs {
        Some(runs) => {
            let sql = format!("SELECT count(*) FROM flows AS f WHERE {ENDED}");
            let ended: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                .fetch_one(&mut *connection)
                .await?;
            ended.saturating_sub_unsigned(runs).clamp(0, CHOSEN)
        }
        None => 0,
    };
    let sql = format!("SELECT f.id, f.ended FROM flows AS f WHERE {ENDED} ORDER BY f.ended, f.no LIMIT ?");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(CHOSEN)
        .fetch_all(&mut *connection)
        .await?;
    let mut chosen = 0;
    for (turn, row) in (0i64..).zip(&rows) {
        let ended: i64 = row.try_get(1)?;
        let is_too_old = retention.ended_before.is_some_and(|before| ended < before.0);
        if !is_too_old && turn >= surplus {
            break;
        }
        let id: &[u8] = row.try_get(0)?;
        sqlx::query("INSERT OR IGNORE INTO leaving SELECT root FROM flows WHERE id = ? AND parent IS NULL")
            .bind(id)
            .execute(&mut *connection)
            .await?;
        chosen += 1;
    }
    Ok(chosen)
}

/// Deletes one slice of what is leaving; gives how many rows that were.
async fn delete_leaving(connection: &mut SqliteConnection) -> Done<u64> {
    let mut gone = 0;
    while gone < SLICE {
        let root: Option<i64> = sqlx::query_scalar("SELECT root FROM leaving ORDER BY root LIMIT 1")
            .fetch_optional(&mut *connection)
            .await?;
        let Some(root) = root else { break };
        let run: Option<i64> =
            sqlx::query_scalar("SELECT no FROM flows WHERE root = ? ORDER BY no DESC LIMIT 1")
                .bind(root)
                .fetch_optional(&mut *connection)
                .await?;
        let Some(run) = run else {
            for end in [
                "DELETE FROM leaving WHERE root = ?",
                "DELETE FROM measured WHERE root = ?",
            ] {
                sqlx::query(end).bind(root).execute(&mut *connection).await?;
            }
            gone += 1;
            continue;
        };
        let mut of_run = 0;
        for table in TABLES {
            let left = SLICE.saturating_sub(gone + of_run);
            let deleted = sqlx::query(table)
                .bind(run)
                .bind(left as i64)
                .execute(&mut *connection)
                .await?;
            of_run += deleted.rows_affected();
        }
        gone += of_run;
        if gone < SLICE {
            sqlx::query("DELETE FROM flows WHERE no = ?")
                .bind(run)
                .execute(&mut *connection)
                .await?;
            gone += 1;
        }
    }
    Ok(gone)
}

/// Gives some of the pages that are free back to the system, once they are many. Gives whether there are more.
async fn give_back(connection: &mut SqliteConnection) -> Done<bool> {
    let free: i64 = sqlx::query_scalar("PRAGMA freelist_count")
        .fetch_one(&mut *connection)
        .await?;
    if free <= PAGES {
        return Ok(false);
    }
    sqlx::query("PRAGMA incremental_vacuum(256)")
        .fetch_all(&mut *connection)
        .await?;
    let more = free - PAGES > PAGES;
    if !more {
        // The file gets shorter when its log is carried over into it.
        sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
            .fetch_all(connection)
            .await?;
    }
    Ok(more)
}
