//! Writes batches, many rows a statement.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Connection, Row, SqliteConnection};

use super::bytes::{spot_to_bytes, texts_to_bytes};
use super::dictionary::Numbers;
use super::errors::failed;
use super::fit::fitted;
use super::objects::{INLINE, Name, name_of};
use super::task_row::{self, Checked, EPOCH, Kept, effect_number, item_number, kind_number};
use super::{SqliteJournal, answers, flow_row};
use crate::record::{AnswerRow, AttemptRow, EdgeRow, FlowRow, LogRow, Record, RunNo, Spot, TaskRow};
use crate::store::JournalResult;

type Done<T = ()> = Result<T, sqlx::Error>;

/// The rows of one statement at most. It is prepared once for each power of two up to this.
const ROWS: usize = 256;

/// An insertion of many rows.
struct Insertion {
    head: &'static str,
    columns: usize,
    tail: &'static str,
}

const FLOWS: Insertion = Insertion {
    head: "INSERT INTO flows (no, id, life, root, parent, definition, name, tags, state, attempts, error, created, ended, json, bytes, result_json, digest)",
    columns: 17,
    tail: "ON CONFLICT DO UPDATE SET id = excluded.id, life = excluded.life, root = excluded.root, parent = excluded.parent, \
        definition = excluded.definition, name = excluded.name, tags = excluded.tags, state = excluded.state, attempts = excluded.attempts, \
        error = excluded.error, created = excluded.created, ended = excluded.ended, json = excluded.json, bytes = excluded.bytes, \
        result_json = excluded.result_json, digest = excluded.digest",
};
const TASKS: Insertion = Insertion {
    head: "INSERT INTO tasks (run, node, item, definition, state, created, ended, kind, effect, name, error, uncached, result, object, body)",
    columns: 15,
    tail: "ON CONFLICT DO UPDATE SET definition = excluded.definition, state = excluded.state, created = excluded.created, \
        ended = excluded.ended, kind = excluded.kind, effect = excluded.effect, name = excluded.name, error = excluded.error, \
        uncached = excluded.uncached, result = excluded.result, object = excluded.object, body = excluded.body",
};
const ATTEMPTS: Insertion = Insertion {
    head: "INSERT INTO attempts (run, node, item, attempt, started, ended, error)",
    columns: 7,
    tail: "ON CONFLICT DO UPDATE SET started = excluded.started, ended = excluded.ended, error = excluded.error",
};
const EDGES: Insertion = Insertion {
    head: "INSERT INTO edges (run, node, item, from_run, from_node, from_item, parameter)",
    columns: 7,
    tail: "ON CONFLICT DO NOTHING",
};
const LOGS: Insertion = Insertion {
    head: "INSERT INTO logs (run, node, item, attempt, at, level, target, message)",
    columns: 8,
    tail: "",
};

impl Insertion {
    fn sql(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns].join(","));
        format!("{} VALUES {} {}", self.head, vec![row; rows].join(","), self.tail)
    }

    /// Inserts rows of values, which are bound one after the other.
    async fn run<R>(
        &self,
        connection: &mut SqliteConnection,
        mut rows: &[R],
        bind: impl Fn(&mut SqliteArguments, &R) -> Result<(), sqlx::error::BoxDynError>,
    ) -> Done {
        let mut size = ROWS;
        while !rows.is_empty() {
            while size > rows.len() {
                size /= 2;
            }
            let (now, later) = rows.split_at(size.max(1));
            let mut arguments = SqliteArguments::default();
            arguments.reserve(now.len() * self.columns, 0);
            for row in now {
                bind(&mut arguments, row).map_err(sqlx::Error::Encode)?;
            }
            sqlx::query_with(AssertSqlSafe(self.sql(now.len())), arguments)
                .execute(&mut *connection)
                .await?;
            rows = later;
        }
        Ok(())
    }
}

/// A batch, by kind, and of each place only the last row.
#[derive(Default)]
struct Batch<'a> {
    flows: BTreeMap<RunNo, &'a FlowRow>,
    tasks: Vec<&'a TaskRow>,
    attempts: BTreeMap<(RunNo, Option<Spot>, u32), &'a AttemptRow>,
    edges: Vec<&'a EdgeRow>,
    logs: Vec<&'a LogRow>,
    answers: Vec<&'a AnswerRow>,
    /// Large results, and their names by the places of their tasks.
    objects: Vec<(Name, Arc<[u8]>)>,
}

impl<'a> Batch<'a> {
    fn new(records: &'a [Record]) -> Self {
        let mut batch = Self::default();
        for record in records {
            match record {
                Record::Flow(flow) => {
                    batch.flows.insert(flow.no, flow);
                }
                Record::Task(task) => batch.tasks.push(task),
                Record::Attempt(row) => {
                    batch.attempts.insert((row.run, row.task, row.attempt), row);
                }
                Record::Edge(edge) => batch.edges.push(edge),
                Record::Log(log) => batch.logs.push(log),
                Record::Answer(answer) => batch.answers.push(answer),
            }
        }
        // The last of each place comes first, and stays.
        batch.tasks.reverse();
        batch.tasks.sort_by_key(|task| task.spot);
        batch.tasks.dedup_by_key(|task| task.spot);
        let large = batch.tasks.iter().filter_map(|task| task.result.as_ref());
        let large = large.filter(|result| result.len() > INLINE);
        batch.objects = large
            .map(|result| (name_of(result), Arc::clone(result)))
            .collect();
        batch
    }

    /// The flow runs that it is about.
    fn runs(&self) -> BTreeSet<RunNo> {
        let tasks = self.tasks.iter().map(|task| task.spot.run);
        let logs = self.logs.iter().map(|log| log.run);
        self.flows.keys().copied().chain(tasks).chain(logs).collect()
    }
}

impl SqliteJournal {
    pub(super) async fn write_batch(&self, records: &[Record]) -> JournalResult<()> {
        let records = fitted(records);
        let batch = Batch::new(&records);
        let mut writer = self.writer().await?;
        let writer = &mut *writer;
        self.connection(writer).await?;
        // Until the end they are gone, so that no error, and nobody who stops waiting, leaves numbers that were not committed.
        let numbers = writer.numbers.take();
        if !batch.objects.is_empty() {
            let objects = batch.objects.clone();
            self.reading
                .blocking("written", move |place| place.write(&objects))
                .await?;
        }
        let failed = failed(&self.reading.file, "written");
        let is_again = std::mem::replace(&mut writer.is_unconfirmed, true);
        let connection = self.connection(writer).await?;
        let written = write(connection, numbers, &batch, is_again).await;
        if written.is_ok() {
            self.note_end(connection).await;
        }
        writer.is_broken = written.is_err();
        let (numbers, forgotten) = written.map_err(failed)?;
        writer.numbers = Some(numbers);
        if !forgotten.is_empty() {
            self.reading
                .blocking("written", move |objects| {
                    objects.unlink(&forgotten);
                    Ok(())
                })
                .await?;
        }
        // What went into files that nobody will find was not written.
        self.in_place(writer).await?;
        writer.is_unconfirmed = false;
        Ok(())
    }
}

async fn write(
    connection: &mut SqliteConnection,
    numbers: Option<Numbers>,
    batch: &Batch<'_>,
    is_again: bool,
) -> Done<(Numbers, Vec<Name>)> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut numbers = match numbers {
        Some(numbers) => numbers,
        None => Numbers::read(&mut transaction).await?,
    };
    write_flows(&mut transaction, &mut numbers, batch).await?;
    write_tasks(&mut transaction, &mut numbers, batch).await?;
    write_beside(&mut transaction, &mut numbers, batch).await?;
    answers::write(&mut transaction, &batch.answers).await?;
    if !(is_again && are_last_logs(&mut transaction, batch).await?) {
        write_logs(&mut transaction, &mut numbers, batch).await?;
    }
    unmeasure(&mut transaction, batch).await?;
    let forgotten = forget_doomed(&mut transaction).await?;
    transaction.commit().await?;
    Ok((numbers, forgotten))
}

async fn write_flows(connection: &mut SqliteConnection, numbers: &mut Numbers, batch: &Batch<'_>) -> Done {
    let mut rows = Vec::with_capacity(batch.flows.len());
    for flow in batch.flows.values() {
        let definition = numbers.definition(connection, &flow.definition).await?;
        rows.push((*flow, definition, numbers.word(connection, flow.state).await?));
    }
    let bind = |arguments: &mut SqliteArguments, row: &(&FlowRow, (i64, [u8; 16]), i64)| {
        let (flow, (definition, definition_digest), state) = row;
        let parameters = flow.parameters.as_deref();
        let digest = flow_row::digest(flow, *definition_digest);
        arguments.add(flow.no.0 as i64)?;
        arguments.add(flow.id.to_be_bytes().to_vec())?;
        arguments.add(flow.life)?;
        arguments.add(flow.root.0 as i64)?;
        arguments.add(flow.parent.map(spot_to_bytes))?;
        arguments.add(*definition)?;
        arguments.add(flow.name.as_ref())?;
        arguments.add((!flow.tags.is_empty()).then(|| texts_to_bytes(&flow.tags)))?;
        arguments.add(*state)?;
        arguments.add(flow.attempts)?;
        arguments.add(flow.error.as_deref())?;
        arguments.add(flow.created.0)?;
        arguments.add(flow.ended.map(|ended| ended.0))?;
        arguments.add(parameters.and_then(|parameters| parameters.json.as_deref()))?;
        arguments.add(parameters.map(|parameters| parameters.bytes.as_slice()))?;
        arguments.add(flow.result_json.as_deref())?;
        arguments.add(digest.to_vec())
    };
    FLOWS.run(connection, &rows, bind).await
}

/// A task run with what was looked up for it.
struct Prepared<'a> {
    task: &'a TaskRow,
    definition: (i64, [u8; 16]),
    state: i64,
    texts: [Option<i64>; 3],
    object: Option<(i64, Name)>,
}

async fn write_tasks(connection: &mut SqliteConnection, numbers: &mut Numbers, batch: &Batch<'_>) -> Done {
    let mut objects = batch.objects.iter();
    let mut rows = Vec::with_capacity(batch.tasks.len());
    for task in &batch.tasks {
        let run = task.spot.run.0;
        let mut texts = [None; 3];
        for (hash, text) in texts.iter_mut().zip([&task.name, &task.error, &task.uncached]) {
            if let Some(text) = text {
                *hash = Some(numbers.text(connection, run, text).await?);
            }
        }
        let is_large = task.result.as_ref().is_some_and(|result| result.len() > INLINE);
        let object = match is_large.then(|| objects.next()).flatten() {
            Some((name, bytes)) => Some((object_number(connection, name, bytes.len()).await?, *name)),
            None => None,
        };
        rows.push(Prepared {
            task,
            definition: numbers.definition(connection, &task.definition).await?,
            state: numbers.word(connection, task.state).await?,
            texts,
            object,
        });
    }
    TASKS.run(connection, &rows, bind_task).await
}

fn bind_task(arguments: &mut SqliteArguments, row: &Prepared<'_>) -> Result<(), sqlx::error::BoxDynError> {
    let task = row.task;
    let ended = task.ended.map(|ended| ended.0.wrapping_sub(task.created.0));
    let kept = match (&row.object, &task.result) {
        (Some((_, name)), _) => Kept::Object(*name),
        (None, Some(result)) => Kept::Here(result.to_vec()),
        (None, None) => Kept::Nowhere,
    };
    let checked = Checked {
        spot: task.spot,
        definition: row.definition.1,
        ended: ended.map(|ended| (task.state, ended)),
        created: task.created.0.wrapping_sub(EPOCH),
        kind: kind_number(task.kind),
        effect: effect_number(task.effect),
        texts: row.texts,
        kept: &kept,
    };
    let mut body = task_row::body(task);
    let digest = checked.digest(&body);
    body.extend_from_slice(&digest);
    arguments.add(task.spot.run.0 as i64)?;
    arguments.add(task.spot.node)?;
    arguments.add(item_number(task.spot.item))?;
    arguments.add(row.definition.0)?;
    arguments.add(row.state)?;
    arguments.add(checked.created)?;
    arguments.add(ended)?;
    arguments.add(checked.kind)?;
    arguments.add(checked.effect)?;
    for hash in row.texts {
        arguments.add(hash)?;
    }
    let here = match kept {
        Kept::Here(result) => Some(result),
        Kept::Nowhere | Kept::Object(_) => None,
    };
    arguments.add(here)?;
    arguments.add(row.object.map(|(number, _)| number))?;
    arguments.add(body)
}

async fn object_number(connection: &mut SqliteConnection, name: &Name, bytes: usize) -> Done<i64> {
    sqlx::query_scalar(
        "INSERT INTO objects (digest, bytes) VALUES (?, ?) ON CONFLICT DO UPDATE SET bytes = excluded.bytes RETURNING id",
    )
    .bind(name.to_vec())
    .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
    .fetch_one(connection)
    .await
}

/// The number of a node in tables where what belongs to no task run is as well.
pub(super) fn node_number(task: Option<Spot>) -> i64 {
    task.map_or(-1, |task| task.node.into())
}

async fn write_beside(connection: &mut SqliteConnection, numbers: &mut Numbers, batch: &Batch<'_>) -> Done {
    let mut attempts = Vec::with_capacity(batch.attempts.len());
    for row in batch.attempts.values() {
        attempts.push((*row, numbers.text(connection, row.run.0, &row.error).await?));
    }
    let bind = |arguments: &mut SqliteArguments, (row, error): &(&AttemptRow, i64)| {
        arguments.add(row.run.0 as i64)?;
        arguments.add(node_number(row.task))?;
        arguments.add(item_number(row.task.and_then(|task| task.item)))?;
        arguments.add(row.attempt)?;
        arguments.add(row.started.0)?;
        arguments.add(row.ended.0)?;
        arguments.add(*error)
    };
    ATTEMPTS.run(connection, &attempts, bind).await?;
    let mut edges = Vec::with_capacity(batch.edges.len());
    for edge in &batch.edges {
        let parameter = match edge.parameter {
            Some(name) => numbers.word(connection, name).await?,
            None => 0,
        };
        edges.push((*edge, parameter));
    }
    let bind = |arguments: &mut SqliteArguments, (edge, parameter): &(&EdgeRow, i64)| {
        for spot in [edge.to, edge.from] {
            arguments.add(spot.run.0 as i64)?;
            arguments.add(spot.node)?;
            arguments.add(item_number(spot.item))?;
        }
        arguments.add(*parameter)
    };
    EDGES.run(connection, &edges, bind).await
}

/// Whether the lines of a batch are the last ones in the database: all that a batch writes but them replaces what is there.
async fn are_last_logs(connection: &mut SqliteConnection, batch: &Batch<'_>) -> Done<bool> {
    let rows = sqlx::query(
        "SELECT g.run, g.node, g.item, g.attempt, g.at, g.message FROM logs AS g ORDER BY g.seq DESC LIMIT ?",
    )
    .bind(i64::try_from(batch.logs.len()).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?;
    let is_same = |(row, log): (&SqliteRow, &&LogRow)| {
        let place = [
            log.run.0 as i64,
            node_number(log.task),
            item_number(log.task.and_then(|task| task.item)),
            log.attempt.into(),
            log.at.0,
        ];
        let is_number = |(column, number): (usize, &i64)| row.try_get::<i64, _>(column).ok() == Some(*number);
        place.iter().enumerate().all(is_number)
            && row
                .try_get::<&str, _>(5)
                .is_ok_and(|message| message == log.message)
    };
    Ok(rows.len() == batch.logs.len() && rows.iter().zip(batch.logs.iter().rev()).all(is_same))
}

async fn write_logs(connection: &mut SqliteConnection, numbers: &mut Numbers, batch: &Batch<'_>) -> Done {
    let mut logs = Vec::with_capacity(batch.logs.len());
    for log in &batch.logs {
        logs.push((*log, numbers.word(connection, &log.target).await?));
    }
    let bind = |arguments: &mut SqliteArguments, (log, target): &(&LogRow, i64)| {
        arguments.add(log.run.0 as i64)?;
        arguments.add(node_number(log.task))?;
        arguments.add(item_number(log.task.and_then(|task| task.item)))?;
        arguments.add(log.attempt)?;
        arguments.add(log.at.0)?;
        arguments.add(log.level)?;
        arguments.add(*target)?;
        arguments.add(log.message.as_str())
    };
    LOGS.run(connection, &logs, bind).await
}

/// What was measured of trees that have ended is no longer so for those that this batch is about.
async fn unmeasure(connection: &mut SqliteConnection, batch: &Batch<'_>) -> Done {
    let measured = sqlx::query("SELECT 1 FROM measured LIMIT 1")
        .fetch_optional(&mut *connection)
        .await?;
    if measured.is_none() {
        return Ok(());
    }
    for run in batch.runs() {
        sqlx::query(
            "DELETE FROM measured WHERE root IN (SELECT lives.no FROM flows AS f JOIN flows AS top ON top.no = f.root \
             JOIN flows AS lives ON lives.id = top.id WHERE f.no = ?)",
        )
        .bind(run.0 as i64)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Forgets the large results that no task run names any more. Gives their names: once this is committed, their files may go.
pub(super) async fn forget_doomed(connection: &mut SqliteConnection) -> Done<Vec<Name>> {
    let doomed = sqlx::query("SELECT 1 FROM doomed LIMIT 1")
        .fetch_optional(&mut *connection)
        .await?;
    if doomed.is_none() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT o.digest FROM doomed AS d JOIN objects AS o ON o.id = d.object \
         WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE object = d.object)",
    )
    .fetch_all(&mut *connection)
    .await?;
    let names: HashSet<Name> = rows
        .iter()
        .filter_map(|row| row.try_get::<&[u8], _>(0).ok()?.try_into().ok())
        .collect();
    sqlx::query(
        "DELETE FROM objects WHERE id IN (SELECT object FROM doomed) AND NOT EXISTS (SELECT 1 FROM tasks WHERE object = objects.id)",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM doomed").execute(connection).await?;
    Ok(names.into_iter().collect())
}
