//! Reads task runs and their results.

use futures::TryStreamExt;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row};

use super::flow_row;
use super::read::{Snapshot, report, whole};
use super::reading::Reading;
use super::task_row::{self, EPOCH, Kept, Read, SELECTED, item_number};
use crate::finished::{Finished, Gathering};
use crate::record::{DefinitionRow, RunNo, Spot, Timestamp};
use crate::store::{ItemCount, JournalResult, KeptResult, StoredTask};

/// How many items' results are read at once.
const AHEAD: u32 = 512;

impl Snapshot<'_> {
    /// The task runs that a query finds, of those that were asked for. What is not what was written is left out and counted, and so is what was written
    /// elsewhere: a damaged file may give an undamaged row in place of another.
    async fn tasks(
        &mut self,
        sql: String,
        numbers: &[i64],
        is_asked_for: impl Fn(&StoredTask) -> bool,
    ) -> Result<(Vec<Read>, u64), sqlx::Error> {
        let mut arguments = SqliteArguments::default();
        for number in numbers {
            arguments.add(*number).map_err(sqlx::Error::Encode)?;
        }
        let mut rows = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch(&mut *self.transaction);
        let (mut tasks, mut unreadable) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await? {
            match task_row::read(&row, &self.dictionary) {
                Some(read) if is_asked_for(&read.task) => tasks.push(read),
                _ => {
                    report("task run", row.try_get(0).ok());
                    unreadable += 1;
                }
            }
        }
        Ok((tasks, unreadable))
    }

    /// The task runs of a life of a flow run that a query finds, which orders them by their spots. And how many more it found that cannot be read.
    async fn tasks_of(&mut self, sql: String, run: RunNo) -> Result<(Vec<StoredTask>, u64), sqlx::Error> {
        let (found, mut unreadable) = self
            .tasks(sql, &[run.0 as i64], |task| task.spot.run == run)
            .await?;
        let mut tasks: Vec<StoredTask> = Vec::with_capacity(found.len());
        for Read { task, .. } in found {
            // Where one is found twice, or out of order, a page lies where another was.
            if tasks.last().is_none_or(|last| last.spot < task.spot) {
                tasks.push(task);
            } else {
                report("task run out of order", Some(run.0 as i64));
                unreadable += 1;
            }
        }
        Ok((tasks, unreadable))
    }

    /// Begins with the flow runs of the trees that the lives of a flow run are in. The lives are looked for with the index and without it, since either
    /// may lack one that is there.
    async fn gathering(&mut self, id: u128) -> Result<Gathering, sqlx::Error> {
        let sql = format!(
            "WITH lives AS (SELECT no, root FROM flows WHERE id = ?1 UNION SELECT no, root FROM flows NOT INDEXED WHERE id = ?1), \
             trees AS (SELECT root FROM lives UNION SELECT no FROM lives) \
             SELECT {} FROM flows AS f WHERE (f.root IN (SELECT root FROM trees) OR f.no IN (SELECT no FROM lives)) \
             AND f.root NOT IN (SELECT root FROM leaving) ORDER BY f.no",
            flow_row::SELECTED
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(id.to_be_bytes().to_vec())
            .fetch_all(&mut *self.transaction)
            .await?;
        let mut gathering = Gathering::of(id, rows.iter().filter_map(flow_row::belonging));
        // What a run consists of verifies by itself. But a damaged row may have belonged here, and not say so any more.
        let belongs = |row: &SqliteRow| {
            let found = flow_row::belonging(row);
            found.is_some_and(|found| gathering.runs.contains(&found.no))
        };
        let lost = rows
            .iter()
            .filter(|row| !belongs(row) && flow_row::read(row, &self.dictionary).is_none());
        let lost = lost.count() as u64;
        gathering.miss(lost);
        let last: i64 = sqlx::query_scalar("SELECT CAST(coalesce(max(last), 0) AS INTEGER) FROM losses")
            .fetch_one(&mut *self.transaction)
            .await?;
        let may_lack = gathering.runs.first().is_some_and(|run| run.0 as i64 <= last);
        gathering.miss(u64::from(may_lack));
        Ok(gathering)
    }

    async fn finished(&mut self, id: u128) -> Result<Finished, sqlx::Error> {
        let mut gathering = self.gathering(id).await?;
        for run in gathering.runs.clone() {
            // All of them: a damaged one need not say any more that it has a result, or an effect.
            let sql = format!("SELECT {SELECTED} FROM tasks AS t WHERE t.run = ? ORDER BY t.node, t.item");
            let (tasks, unreadable) = self.tasks_of(sql, run).await?;
            gathering.add(tasks);
            gathering.miss(unreadable);
        }
        Ok(gathering.finish())
    }

    /// The latest task runs of these definitions: those that are no items, then the items of fan-outs, latest fan-out first, until no
    /// fan-out can hold a later one than what was found.
    async fn earlier(
        &mut self,
        wanted: &DefinitionRow,
        before: i64,
        limit: usize,
    ) -> Result<Vec<StoredTask>, sqlx::Error> {
        let definitions = self.dictionary.of_same_name(wanted);
        let is_wanted = |task: &StoredTask| {
            let (its, wanted) = (&*task.definition, wanted);
            (&its.package, &its.module, &its.name) == (&wanted.package, &wanted.module, &wanted.name)
                && task
                    .ended
                    .is_some_and(|ended| ended.0.wrapping_sub(EPOCH) < before)
        };
        let list = definitions
            .iter()
            .map(i64::to_string)
            .collect::<Vec<_>>()
            .join(",");
        let present = "t.run NOT IN (SELECT f.no FROM flows AS f JOIN leaving AS l ON l.root = f.root)";
        let sql = format!(
            "SELECT {SELECTED} FROM tasks AS t WHERE t.definition IN ({list}) AND t.item = 0 AND t.created + t.ended < ?1 AND {present} \
             ORDER BY t.created + t.ended DESC, t.run DESC, t.node DESC LIMIT ?2"
        );
        let rows = i64::try_from(limit).unwrap_or(i64::MAX);
        let (single, _) = self.tasks(sql, &[before, rows], is_wanted).await?;
        let mut found: Vec<StoredTask> = single.into_iter().map(|read| read.task).collect();
        let sql = format!(
            "SELECT t.run, t.node, t.created + t.ended FROM tasks AS t WHERE t.definition IN ({list}) AND t.item = 0 AND t.kind = 1 \
             AND {present} ORDER BY t.created + t.ended IS NOT NULL, t.created + t.ended DESC"
        );
        let fan_outs = sqlx::query(AssertSqlSafe(sql))
            .fetch_all(&mut *self.transaction)
            .await?;
        for fan_out in &fan_outs {
            let ended: Option<i64> = fan_out.try_get(2)?;
            let last = limit.checked_sub(1).and_then(|last| found.get(last)?.ended);
            if let (Some(ended), Some(last)) = (ended, last)
                && last.0.wrapping_sub(EPOCH) > ended
            {
                break;
            }
            let sql = format!(
                "SELECT {SELECTED} FROM tasks AS t WHERE t.run = ?1 AND t.node = ?2 AND t.item > 0 AND t.definition IN ({list}) \
                 AND t.created + t.ended < ?3 ORDER BY t.created + t.ended DESC, t.item DESC LIMIT ?4"
            );
            let place = [fan_out.try_get(0)?, fan_out.try_get(1)?, before, rows];
            let (items, _) = self.tasks(sql, &place, is_wanted).await?;
            found.extend(items.into_iter().map(|read| read.task));
            found.sort_by_key(|task| std::cmp::Reverse((task.ended, task.spot)));
            found.truncate(limit);
        }
        Ok(found)
    }
}

impl Reading {
    pub(super) async fn read_tasks(&self, run: RunNo, items: bool) -> JournalResult<Vec<StoredTask>> {
        let mut lease = self.lease().await?;
        let mut snapshot = self.snapshot(&mut lease).await?;
        if snapshot.is_leaving(run).await.map_err(self.read_failed())? {
            return Ok(Vec::new());
        }
        let sql = if items {
            format!("SELECT {SELECTED} FROM tasks AS t WHERE t.run = ?1 ORDER BY t.node, t.item")
        } else {
            // From node to node, past all items.
            format!(
                "WITH RECURSIVE nodes (node) AS (SELECT min(node) FROM tasks WHERE run = ?1 UNION ALL \
                 SELECT (SELECT min(node) FROM tasks WHERE run = ?1 AND node > nodes.node) FROM nodes WHERE nodes.node IS NOT NULL) \
                 SELECT {SELECTED} FROM nodes CROSS JOIN tasks AS t ON t.run = ?1 AND t.node = nodes.node AND t.item = 0 ORDER BY t.node"
            )
        };
        let read = snapshot.tasks_of(sql, run).await;
        read.map(|(tasks, _)| tasks).map_err(self.read_failed())
    }

    pub(super) async fn count_items(&self, run: RunNo) -> JournalResult<Vec<ItemCount>> {
        let mut lease = self.lease().await?;
        let mut snapshot = self.snapshot(&mut lease).await?;
        let sql = "SELECT node, state, count(*) FROM tasks WHERE run = ? AND item > 0 GROUP BY node, state";
        let rows = self.rows_of(&mut snapshot, sql, run).await?;
        let count = |row: &SqliteRow| {
            let number = |column: usize| row.try_get::<i64, _>(column).ok();
            Some(ItemCount {
                node: u32::try_from(number(0)?).ok()?,
                state: snapshot.dictionary.word(number(1)?)?.to_owned(),
                items: u64::try_from(number(2)?).ok()?,
            })
        };
        let mut counts = whole("number of items", run, &rows, count);
        counts.sort_by(|a, b| (a.node, &a.state).cmp(&(b.node, &b.state)));
        Ok(counts)
    }

    pub(super) async fn read_finished(&self, id: u128) -> JournalResult<Finished> {
        let mut lease = self.lease().await?;
        let mut snapshot = self.snapshot(&mut lease).await?;
        snapshot.finished(id).await.map_err(self.read_failed())
    }

    /// The row of one task run; none, if it is being cleared out.
    async fn row_at(&self, snapshot: &mut Snapshot<'_>, spot: Spot) -> JournalResult<Option<Read>> {
        if snapshot.is_leaving(spot.run).await.map_err(self.read_failed())? {
            return Ok(None);
        }
        let sql = format!("SELECT {SELECTED} FROM tasks AS t WHERE t.run = ? AND t.node = ? AND t.item = ?");
        let place = [spot.run.0 as i64, spot.node.into(), item_number(spot.item)];
        let (found, _) = snapshot
            .tasks(sql, &place, |task| task.spot == spot)
            .await
            .map_err(self.read_failed())?;
        Ok(found.into_iter().next())
    }

    pub(super) async fn read_task(&self, spot: Spot) -> JournalResult<Option<StoredTask>> {
        let mut lease = self.lease().await?;
        let mut snapshot = self.snapshot(&mut lease).await?;
        Ok(self.row_at(&mut snapshot, spot).await?.map(|read| read.task))
    }

    pub(super) async fn read_result(&self, spot: Spot) -> JournalResult<Option<Vec<u8>>> {
        let mut lease = self.lease().await?;
        let mut snapshot = self.snapshot(&mut lease).await?;
        let found = self.row_at(&mut snapshot, spot).await?;
        match found.map(|read| read.kept) {
            None | Some(Kept::Nowhere) => Ok(None),
            Some(Kept::Here(result)) => Ok(Some(result)),
            Some(Kept::Object(name)) => {
                let result = self.blocking("read", move |objects| objects.read(&name)).await?;
                if result.is_none() {
                    report("result in a file", Some(spot.run.0 as i64));
                }
                Ok(result)
            }
        }
    }

    /// The small results of a fan-out's items from `first` on: as many as are worth being read at once.
    pub(super) async fn read_results_from(&self, first: Spot) -> JournalResult<Vec<KeptResult>> {
        let mut lease = self.lease().await?;
        let mut snapshot = self.snapshot(&mut lease).await?;
        if snapshot.is_leaving(first.run).await.map_err(self.read_failed())? {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {SELECTED} FROM tasks AS t WHERE t.run = ? AND t.node = ? AND t.item >= ? ORDER BY t.item LIMIT {AHEAD}"
        );
        let place = [first.run.0 as i64, first.node.into(), item_number(first.item)];
        let is_of_fan_out = |task: &StoredTask| (task.spot.run, task.spot.node) == (first.run, first.node);
        let (found, _) = snapshot
            .tasks(sql, &place, is_of_fan_out)
            .await
            .map_err(self.read_failed())?;
        let small = found.into_iter().map(|read| match read.kept {
            Kept::Here(result) => (read.task.spot, Some(result)),
            Kept::Nowhere | Kept::Object(_) => (read.task.spot, None),
        });
        Ok(small.collect())
    }

    pub(super) async fn read_earlier(
        &self,
        definition: &DefinitionRow,
        before: Timestamp,
        limit: u32,
    ) -> JournalResult<Vec<StoredTask>> {
        let mut lease = self.lease().await?;
        let mut snapshot = self.snapshot(&mut lease).await?;
        let before = before.0.wrapping_sub(EPOCH);
        let found = snapshot.earlier(definition, before, limit as usize).await;
        found.map_err(self.read_failed())
    }
}
