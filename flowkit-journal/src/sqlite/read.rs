//! Reads what is not a task run. Every question is answered from one moment of the database.

use std::sync::{Arc, PoisonError};

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection, Row, Sqlite, SqliteConnection, Transaction};

use super::dictionary::Dictionary;
use super::errors::failed;
use super::readers::Lease;
use super::reading::Reading;
use super::task_row::{item_number, spot_of};
use super::write::node_number;
use super::{files, flow_row};
use crate::record::{AttemptRow, RunNo, Spot, Timestamp};
use crate::store::{JournalError, JournalResult, JournalSize, RunFilter, StoredEdge, StoredFlow, StoredLog};

/// One moment of the database.
pub(super) struct Snapshot<'a> {
    pub(super) transaction: Transaction<'a, Sqlite>,
    pub(super) dictionary: Arc<Dictionary>,
}

/// Says that a row is not what was written. It counts as not there.
pub(super) fn report(what: &'static str, run: Option<i64>) {
    tracing::error!(target: "flowkit_journal", what, run, "a row of the journal is damaged: it counts as not there");
}

const NOT_LEAVING: &str = "f.root NOT IN (SELECT root FROM leaving)";

impl Reading {
    pub(super) fn read_failed(&self) -> impl Fn(sqlx::Error) -> JournalError {
        failed(&self.file, "read")
    }

    pub(super) async fn lease(&self) -> JournalResult<Lease<'_>> {
        self.readers.lease().await
    }

    /// The database as it is now.
    pub(super) async fn snapshot<'a>(&self, lease: &'a mut Lease<'_>) -> JournalResult<Snapshot<'a>> {
        let known = self.known();
        let begun = Snapshot::begin(lease.connection()?, known).await;
        let snapshot = begun.map_err(self.read_failed())?;
        let mut shared = self.dictionary.lock().unwrap_or_else(PoisonError::into_inner);
        *shared = Arc::clone(&snapshot.dictionary);
        drop(shared);
        Ok(snapshot)
    }

    pub(super) async fn read_flow(&self, id: u128) -> JournalResult<Option<StoredFlow>> {
        let mut lease = self.lease().await?;
        let mut snapshot = self.snapshot(&mut lease).await?;
        let sql = format!(
            "SELECT {} FROM flows AS f WHERE f.id = ? AND {NOT_LEAVING} ORDER BY f.life DESC, f.no DESC LIMIT 1",
            flow_row::SELECTED
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id.to_be_bytes().to_vec())
            .fetch_optional(&mut *snapshot.transaction)
            .await
            .map_err(self.read_failed())?;
        Ok(row
            .and_then(|row| snapshot.flow(&row))
            .filter(|flow| flow.id == id))
    }

    pub(super) async fn read_lives(&self, id: u128) -> JournalResult<Vec<StoredFlow>> {
        let mut lease = self.lease().await?;
        let mut snapshot = self.snapshot(&mut lease).await?;
        let sql = format!(
            "SELECT {} FROM flows AS f WHERE f.id = ? AND {NOT_LEAVING} ORDER BY f.life, f.no",
            flow_row::SELECTED
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(id.to_be_bytes().to_vec())
            .fetch_all(&mut *snapshot.transaction)
            .await
            .map_err(self.read_failed())?;
        let lives = rows.iter().filter_map(|row| snapshot.flow(row));
        Ok(lives.filter(|flow| flow.id == id).collect())
    }

    pub(super) async fn read_life(&self, no: RunNo) -> JournalResult<Option<StoredFlow>> {
        let mut lease = self.lease().await?;
        let mut snapshot = self.snapshot(&mut lease).await?;
        let sql = format!(
            "SELECT {} FROM flows AS f WHERE f.no = ? AND {NOT_LEAVING}",
            flow_row::SELECTED
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(no.0 as i64)
            .fetch_optional(&mut *snapshot.transaction)
            .await
            .map_err(self.read_failed())?;
        Ok(row
            .and_then(|row| snapshot.flow(&row))
            .filter(|flow| flow.no == no))
    }

    pub(super) async fn read_flows(&self, filter: &RunFilter) -> JournalResult<Vec<StoredFlow>> {
        let mut lease = self.lease().await?;
        let mut snapshot = self.snapshot(&mut lease).await?;
        let sql = format!(
            "SELECT {} FROM flows AS f WHERE f.parent IS NULL AND {NOT_LEAVING} \
             AND NOT EXISTS (SELECT 1 FROM flows AS g WHERE g.id = f.id AND g.life > f.life AND g.parent IS NULL) \
             AND (?1 IS NULL OR f.definition IN (SELECT id FROM definitions WHERE name = ?1)) \
             AND (?2 IS NULL OR f.state IN (SELECT id FROM words WHERE text = ?2)) \
             AND (?3 IS NULL OR f.created >= ?3) AND (?4 IS NULL OR f.created < ?4) ORDER BY f.no DESC LIMIT ?5",
            flow_row::SELECTED
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(filter.flow.as_deref())
            .bind(filter.state.as_deref())
            .bind(filter.since.map(|since| since.0))
            .bind(filter.until.map(|until| until.0))
            .bind(filter.limit.map_or(-1, i64::from))
            .fetch_all(&mut *snapshot.transaction)
            .await
            .map_err(self.read_failed())?;
        Ok(rows.iter().filter_map(|row| snapshot.flow(row)).collect())
    }

    pub(super) async fn read_tree(&self, root: RunNo) -> JournalResult<Vec<StoredFlow>> {
        let mut lease = self.lease().await?;
        let mut snapshot = self.snapshot(&mut lease).await?;
        let sql = format!(
            "SELECT {} FROM flows AS f WHERE f.root = ? AND {NOT_LEAVING} ORDER BY f.no",
            flow_row::SELECTED
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(root.0 as i64)
            .fetch_all(&mut *snapshot.transaction)
            .await
            .map_err(self.read_failed())?;
        let flows = rows.iter().filter_map(|row| snapshot.flow(row));
        Ok(flows.filter(|flow| flow.root == root).collect())
    }

    /// The rows of one life of a flow run that this query finds; none, if it is being cleared out.
    pub(super) async fn rows_of(
        &self,
        snapshot: &mut Snapshot<'_>,
        sql: &'static str,
        run: RunNo,
    ) -> JournalResult<Vec<SqliteRow>> {
        if snapshot.is_leaving(run).await.map_err(self.read_failed())? {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(sql)
            .bind(run.0 as i64)
            .fetch_all(&mut *snapshot.transaction)
            .await;
        rows.map_err(self.read_failed())
    }

    pub(super) async fn read_edges(&self, run: RunNo) -> JournalResult<Vec<StoredEdge>> {
        let mut lease = self.lease().await?;
        let mut snapshot = self.snapshot(&mut lease).await?;
        let sql =
            "SELECT run, node, item, from_run, from_node, from_item, parameter FROM edges WHERE run = ?";
        let rows = self.rows_of(&mut snapshot, sql, run).await?;
        let edge = |row: &SqliteRow| {
            let number = |column: usize| row.try_get::<i64, _>(column).ok();
            Some(StoredEdge {
                to: spot_of(number(0)?, number(1)?, number(2)?)?,
                from: spot_of(number(3)?, number(4)?, number(5)?)?,
                parameter: match number(6)? {
                    0 => None,
                    word => Some(snapshot.dictionary.word(word)?.to_owned()),
                },
            })
        };
        let mut edges = whole("edge", run, &rows, edge);
        edges.sort_by(|a, b| (a.to, a.from, &a.parameter).cmp(&(b.to, b.from, &b.parameter)));
        Ok(edges)
    }

    pub(super) async fn read_attempts(&self, run: RunNo) -> JournalResult<Vec<AttemptRow>> {
        let mut lease = self.lease().await?;
        let mut snapshot = self.snapshot(&mut lease).await?;
        let sql = "SELECT node, item, attempt, started, ended, (SELECT text FROM texts WHERE run = a.run AND hash = a.error) \
            FROM attempts AS a WHERE run = ? ORDER BY node, item, attempt";
        let rows = self.rows_of(&mut snapshot, sql, run).await?;
        let attempt = |row: &SqliteRow| {
            let number = |column: usize| row.try_get::<i64, _>(column).ok();
            Some(AttemptRow {
                task: task_of(run, number(0)?, number(1)?)?,
                run,
                attempt: u32::try_from(number(2)?).ok()?,
                started: Timestamp(number(3)?),
                ended: Timestamp(number(4)?),
                error: row.try_get::<Option<String>, _>(5).ok()??.into(),
            })
        };
        Ok(whole("attempt", run, &rows, attempt))
    }

    pub(super) async fn read_logs(&self, run: RunNo, task: Option<Spot>) -> JournalResult<Vec<StoredLog>> {
        let mut lease = self.lease().await?;
        let mut snapshot = self.snapshot(&mut lease).await?;
        if snapshot.is_leaving(run).await.map_err(self.read_failed())? {
            return Ok(Vec::new());
        }
        let sql = "SELECT node, item, attempt, at, level, target, message FROM logs \
            WHERE run = ?1 AND (?2 IS NULL OR (node = ?2 AND item = ?3)) ORDER BY seq";
        let rows = sqlx::query(sql)
            .bind(run.0 as i64)
            .bind(task.map(|task| node_number(Some(task))))
            .bind(item_number(task.and_then(|task| task.item)))
            .fetch_all(&mut *snapshot.transaction)
            .await
            .map_err(self.read_failed())?;
        let log = |row: &SqliteRow| {
            let number = |column: usize| row.try_get::<i64, _>(column).ok();
            Some(StoredLog {
                task: task_of(run, number(0)?, number(1)?)?,
                attempt: u32::try_from(number(2)?).ok()?,
                at: Timestamp(number(3)?),
                level: u8::try_from(number(4)?).ok()?,
                target: snapshot.dictionary.word(number(5)?)?.to_owned(),
                message: row.try_get(6).ok()?,
            })
        };
        Ok(whole("line of log", run, &rows, log))
    }

    pub(super) async fn measure(&self) -> JournalResult<JournalSize> {
        let mut lease = self.lease().await?;
        let mut snapshot = self.snapshot(&mut lease).await?;
        let sql = "SELECT (SELECT count(*) FROM flows), count(*), \
            coalesce(sum(coalesce(length(t.result), (SELECT bytes FROM objects WHERE id = t.object))), 0), \
            (SELECT coalesce(sum(octet_length(message)), 0) FROM logs), (SELECT coalesce(sum(bytes), 0) FROM objects) FROM tasks AS t";
        let row = sqlx::query(sql)
            .fetch_one(&mut *snapshot.transaction)
            .await
            .map_err(self.read_failed())?;
        let number = |column: usize| row.try_get::<i64, _>(column).map_or(0, i64::unsigned_abs);
        Ok(JournalSize {
            flow_runs: number(0),
            task_runs: number(1),
            result_bytes: number(2),
            log_bytes: number(3),
            disk_bytes: files::disk_bytes(&self.file) + number(4),
        })
    }
}

/// The rows that are what was written.
pub(super) fn whole<T>(
    what: &'static str,
    run: RunNo,
    rows: &[SqliteRow],
    read: impl Fn(&SqliteRow) -> Option<T>,
) -> Vec<T> {
    let or_report = |row| {
        let found = read(row);
        if found.is_none() {
            report(what, Some(run.0 as i64));
        }
        found
    };
    rows.iter().filter_map(or_report).collect()
}

/// A task run, or none, as other tables have it.
fn task_of(run: RunNo, node: i64, item: i64) -> Option<Option<Spot>> {
    match node {
        -1 => Some(None),
        _ => spot_of(run.0 as i64, node, item).map(Some),
    }
}

impl<'a> Snapshot<'a> {
    async fn begin(
        connection: &'a mut SqliteConnection,
        mut dictionary: Arc<Dictionary>,
    ) -> Result<Self, sqlx::Error> {
        let mut transaction = connection.begin().await?;
        if dictionary.is_behind(&mut transaction).await? {
            Arc::make_mut(&mut dictionary).update(&mut transaction).await?;
        }
        Ok(Self {
            transaction,
            dictionary,
        })
    }

    /// Whether a flow run is being cleared out: then nobody sees it any more.
    pub(super) async fn is_leaving(&mut self, run: RunNo) -> Result<bool, sqlx::Error> {
        let found =
            sqlx::query("SELECT 1 FROM flows AS f JOIN leaving AS l ON l.root = f.root WHERE f.no = ?")
                .bind(run.0 as i64)
                .fetch_optional(&mut *self.transaction)
                .await?;
        Ok(found.is_some())
    }

    fn flow(&self, row: &SqliteRow) -> Option<StoredFlow> {
        let flow = flow_row::read(row, &self.dictionary);
        if flow.is_none() {
            report("flow run", row.try_get(0).ok());
        }
        flow
    }
}
