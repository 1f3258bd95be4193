//! Servers of databases that go down, and come back, while loads and readings are under way.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use flowkit::prelude::*;
use flowkit_etl::arrow_array::RecordBatch;
use flowkit_etl::sink::{LoadId, Loaded, Mode, Sink, SqlSink};
use flowkit_etl::source::{Source, SqlSource};
use flowkit_etl::sql::Database;
use flowkit_etl::{BatchStream, Error, ErrorKind};
use futures::StreamExt;
use futures::future::{join_all, try_join_all};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::databases::servers::{Kind, Started};
use crate::databases::{count, load, rows, sorted};
use crate::plants::{Plant, plants, stream};

/// A server of a test's own, and its database.
pub(crate) async fn on_own<F: Future<Output = ()>>(story: impl Fn(Kind, Started, Database) -> F) {
    for kind in [Kind::Postgres, Kind::MySql] {
        if let Some(server) = Started::of(kind) {
            let database = Database::new(&server.address).unwrap();
            // That of the server's own tables is no place for others.
            let own = server.address.replace("/mysql", "/plants");
            if own != server.address {
                database.execute("CREATE DATABASE plants", &[]).await.unwrap();
            }
            story(kind, server, Database::new(&own).unwrap()).await;
        }
    }
}

/// What does not hold up the others.
pub(crate) async fn aside(mut server: Started, act: fn(&mut Started)) -> Started {
    tokio::task::spawn_blocking(move || {
        act(&mut server);
        server
    })
    .await
    .unwrap()
}

const LOADS: usize = 4;
const ROWS: usize = 60_000;

/// How loads stand to each other.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Beside,
    InPlaceOfAll,
    ByKeys,
}

const WAYS: [Way; 3] = [Way::Beside, Way::InPlaceOfAll, Way::ByKeys];

impl Way {
    fn into(self, sink: SqlSink, keys: &[&str]) -> SqlSink {
        match self {
            Self::Beside => sink,
            Self::InPlaceOfAll => sink.mode(Mode::Replace),
            Self::ByKeys => sink.upsert_on(keys.iter().copied()),
        }
    }
}

/// The plants of a load, which no other has; but those of the load 0 begin with the ones that are there before.
fn of_load(number: usize) -> Vec<Plant> {
    let mut plants = plants(ROWS as i64);
    for plant in &mut plants {
        plant.height = Some(1.0);
        if number > 0 {
            plant.plant.insert_str(0, &format!("load {number}: "));
        }
    }
    plants
}

/// Plants that say once some are on their way, and then go on when the server is gone.
fn held(plants: &[Plant], reached: mpsc::Sender<()>, gone: watch::Receiver<bool>) -> BatchStream {
    let batches = stream(plants);
    let schema = batches.schema().clone();
    let held = batches.enumerate().then(move |(number, batch)| {
        let (reached, mut gone) = (reached.clone(), gone.clone());
        async move {
            if number == 3 {
                reached.send(()).await.unwrap();
                gone.wait_for(|gone| *gone).await.unwrap();
            }
            batch
        }
    });
    BatchStream::new(schema, held)
}

#[tokio::test]
async fn a_server_that_restarts_amid_loads_has_nothing_of_them_and_they_can_be_tried_again() {
    on_own(|kind, mut server, database| async move {
        for way in WAYS {
            server = restart_amid_loads(kind, server, &database, way).await;
        }
    })
    .await;
}

/// Tries again what may be tried again, as a task does.
async fn until_it_is_done(sink: &SqlSink, load: &LoadId, plants: &[Plant]) -> Loaded {
    loop {
        match sink.load(load, stream(plants)).await {
            Err(error) if error.is_transient() => {}
            other => return other.unwrap(),
        }
    }
}

async fn restart_amid_loads(kind: Kind, server: Started, database: &Database, way: Way) -> Started {
    let (table, ledger) = (format!("plants_{}", way as u8), format!("loads_{}", way as u8));
    let sink = SqlSink::new(database, &table).ledger(&ledger);
    let sink = way.into(sink, &["plant", "day"]);
    let (few, all) = (plants(10), [0, 1, 2, 3].map(of_load));
    sink.load(&load("first"), stream(&few)).await.unwrap();

    let (reached, mut reaches) = mpsc::channel(LOADS);
    let (ended, gone) = watch::channel(false);
    let loads = all.iter().enumerate().map(|(number, plants)| {
        let (sink, batches) = (sink.clone(), held(plants, reached.clone(), gone.clone()));
        tokio::spawn(async move { sink.load(&load(&number.to_string()), batches).await })
    });
    let loads: Vec<_> = loads.collect();
    // Of those that replace all rows, one is under way at a time.
    let under_way = if way == Way::InPlaceOfAll { 1 } else { LOADS };
    for _ in 0..under_way {
        reaches.recv().await.unwrap();
    }
    let server = aside(server, Started::stop).await;
    ended.send(true).unwrap();
    for broken in join_all(loads).await {
        let error = broken.unwrap().unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::Unavailable,
            "{kind:?}, {way:?}: {error:?}"
        );
        assert!(error.is_transient());
    }
    let error = sink.load(&load("0"), stream(&few)).await.unwrap_err();
    assert!(error.is_transient(), "while it is down, {kind:?}: {error:?}");

    let server = aside(server, Started::start).await;
    assert!(
        rows(database, &table).await == sorted(few.clone()),
        "{kind:?}, {way:?}"
    );
    let in_ledger = format!("SELECT COUNT(*) FROM {ledger}");
    assert_eq!(count(database, &in_ledger).await, 1, "{kind:?}, {way:?}");
    let again = all.iter().enumerate().map(|(number, plants)| {
        let (sink, load) = (sink.clone(), load(&number.to_string()));
        async move { until_it_is_done(&sink, &load, plants).await }
    });
    for loaded in join_all(again).await {
        assert_eq!(
            (loaded.rows, loaded.repeated),
            (ROWS as u64, false),
            "{kind:?}, {way:?}"
        );
    }
    let found = rows(database, &table).await;
    match way {
        Way::Beside => assert!(found == sorted([few, all.concat()].concat()), "{kind:?}"),
        Way::ByKeys => assert!(found == sorted(all.concat()), "{kind:?}"),
        Way::InPlaceOfAll => {
            let of_one = all.into_iter().filter(|plants| sorted(plants.clone()) == found);
            assert_eq!(of_one.count(), 1, "{kind:?}: {} rows", found.len());
        }
    }
    assert_eq!(
        count(database, &in_ledger).await,
        1 + LOADS as i64,
        "{kind:?}, {way:?}"
    );
    server
}

#[tokio::test]
async fn a_server_that_restarts_amid_readings_makes_errors_of_them_and_not_ends() {
    on_own(|kind, server, database| async move {
        // More than the sockets between hold.
        let query = match kind {
            Kind::Postgres => "SELECT repeat('x', 1000) AS text FROM generate_series(1, 100000)",
            _ => "SELECT REPEAT('x', 1000) AS text FROM seq_1_to_100000",
        };
        let source = SqlSource::query(&database, query);
        let mut readings = try_join_all((0..LOADS).map(|_| source.open())).await.unwrap();
        for batches in &mut readings {
            batches.next().await.unwrap().unwrap();
        }
        let server = aside(server, Started::stop).await;
        let _server = aside(server, Started::start).await;
        for batches in readings {
            let error = batches.collect_batches().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{kind:?}: {error:?}");
            assert!(error.is_transient());
        }
        let batches = source.open().await.unwrap().collect_batches().await.unwrap();
        let read: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(read, 100_000, "{kind:?}");
    })
    .await;
}

/// A server that goes down and comes back each time that so many rows have been on their way.
struct Unsteady {
    way: Way,
    database: Database,
    server: Mutex<Option<Started>>,
    due: Mutex<Vec<i64>>,
    passed: AtomicI64,
    attempts: AtomicUsize,
}

impl Unsteady {
    /// The rows of a stream. The batch with which a restart is due waits for it, so that its load is broken for certain, while the others go on as they can.
    fn through(self: &Arc<Self>, batches: BatchStream) -> BatchStream {
        let (schema, unsteady) = (batches.schema().clone(), self.clone());
        let through = batches.then(move |batch| {
            let unsteady = unsteady.clone();
            async move {
                let rows = batch.as_ref().map_or(0, |batch| batch.num_rows() as i64);
                let passed = unsteady.passed.fetch_add(rows, Ordering::SeqCst) + rows;
                if unsteady.is_due(passed) {
                    let server = unsteady.server.lock().unwrap().take().unwrap();
                    let server = aside(server, Started::stop).await;
                    let server = aside(server, Started::start).await;
                    *unsteady.server.lock().unwrap() = Some(server);
                }
                batch
            }
        });
        BatchStream::new(schema, through)
    }

    /// Whether the server goes down now. It does not while it is down.
    fn is_due(&self, passed: i64) -> bool {
        let mut due = self.due.lock().unwrap();
        let is_due = due.last().is_some_and(|rows| *rows <= passed) && self.server.lock().unwrap().is_some();
        if is_due {
            due.pop();
        }
        is_due
    }
}

const PARTS: i64 = 6;
const ROWS_OF_PART: i64 = 50_000;
const RESTARTS: usize = 3;

/// Extracts a part of what is there and loads it beside, all in the same server.
#[task(retries = 1000, retry_delay = "20ms", retry_if = flowkit_etl::Error::is_transient)]
async fn copy(part: i64, #[resource] unsteady: &Arc<Unsteady>) -> Result<Loaded, Error> {
    unsteady.attempts.fetch_add(1, Ordering::SeqCst);
    let database = &unsteady.database;
    let query = format!("SELECT * FROM measured WHERE part = {part}");
    let batches = SqlSource::query(database, query).open().await?;
    let sink = unsteady.way.into(SqlSink::new(database, "copied"), &["number"]);
    sink.load(&LoadId::new(format!("part-{part}"))?, unsteady.through(batches))
        .await
}

#[flow]
async fn copy_all(parts: i64) -> Result<Vec<Loaded>> {
    Ok((0..parts).map(copy).submit_all().await?)
}

async fn measure(kind: Kind, database: &Database) {
    let (numbers, text, double) = match kind {
        Kind::Postgres => ("generate_series(0, {}) AS seq", "TEXT", "DOUBLE PRECISION"),
        _ => ("seq_0_to_{}", "CHAR", "DOUBLE"),
    };
    let numbers = numbers.replace("{}", &(PARTS * ROWS_OF_PART - 1).to_string());
    let statement = format!(
        "CREATE TABLE measured AS SELECT seq AS number, seq % {PARTS} AS part, CAST(seq * 7 AS {text}) AS plant, CAST(seq / 4.0 AS {double}) AS height FROM {numbers}"
    );
    database.execute(&statement, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loads_of_a_flow_come_to_the_same_rows_as_undisturbed_however_often_the_server_restarts() {
    on_own(|kind, mut server, database| async move {
        measure(kind, &database).await;
        for way in WAYS {
            server = copy_unsteadily(kind, server, &database, way).await;
        }
    })
    .await;
}

async fn copy_unsteadily(kind: Kind, server: Started, database: &Database, way: Way) -> Started {
    let rows = PARTS * ROWS_OF_PART;
    if way == Way::ByKeys {
        // Half of the rows are there as they were before they were measured.
        let sink = way.into(SqlSink::new(database, "copied"), &["number"]);
        let former = "SELECT number, part, 'not yet' AS plant, height FROM measured WHERE number % 2 = 0";
        let former = SqlSource::query(database, former).open().await.unwrap();
        sink.load(&load("former"), former).await.unwrap();
    }
    let unsteady = Arc::new(Unsteady {
        way,
        database: database.clone(),
        server: Mutex::new(Some(server)),
        due: Mutex::new(vec![rows * 3 / 4, rows * 2 / 5, rows / 10]),
        passed: AtomicI64::new(0),
        attempts: AtomicUsize::new(0),
    });
    let runtime = Runtime::builder()
        .resource(unsteady.clone())
        .build()
        .await
        .unwrap();
    let began = Instant::now();
    let run = runtime.run(copy_all(PARTS)).await;
    let loaded = run.into_result().unwrap();
    let broken = unsteady.attempts.load(Ordering::SeqCst) - PARTS as usize;
    println!(
        "{kind:?}, {way:?}: {broken} attempts failed, {:?}",
        began.elapsed()
    );
    assert!(
        loaded.iter().all(|loaded| loaded.rows == ROWS_OF_PART as u64),
        "{loaded:?}"
    );
    assert!(
        unsteady.due.lock().unwrap().is_empty(),
        "it did not restart {RESTARTS} times"
    );
    assert!(broken >= RESTARTS, "{broken} attempts failed");
    assert_all_are_copied(kind, database, way).await;
    for table in ["copied", "flowkit_loads"] {
        let drop = format!("DROP TABLE {table}");
        database.execute(&drop, &[]).await.unwrap();
    }
    let server = unsteady.server.lock().unwrap().take();
    server.unwrap()
}

async fn assert_all_are_copied(kind: Kind, database: &Database, way: Way) {
    // Of those that replace all rows, one was the last.
    let measured = match way {
        Way::InPlaceOfAll => "SELECT * FROM measured WHERE part = (SELECT MIN(part) FROM copied)",
        _ => "SELECT * FROM measured",
    };
    let copied = "SELECT * FROM copied";
    for (these, those) in [(measured, copied), (copied, measured)] {
        let missing = format!(
            "SELECT COUNT(*) FROM (SELECT * FROM ({these}) AS these EXCEPT ALL SELECT * FROM ({those}) AS those) AS missing"
        );
        assert_eq!(count(database, &missing).await, 0, "{kind:?}, {way:?}: {missing}");
    }
    let once = format!(
        "SELECT COUNT(*) FROM flowkit_loads WHERE target = 'copied' AND load_id LIKE 'part-%' AND row_count = {ROWS_OF_PART}"
    );
    assert_eq!(count(database, &once).await, PARTS, "{kind:?}, {way:?}");
    let others = "SELECT COUNT(*) FROM flowkit_loads WHERE load_id NOT LIKE 'part-%'";
    let former = i64::from(way == Way::ByKeys);
    assert_eq!(count(database, others).await, former, "{kind:?}, {way:?}");
}
