use std::fs;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row};

use super::*;
use crate::conformance::rows::{attempt, edge, ended, flow, item, log, spot, task, with_result};
use crate::record::{NodeKind, Parameters, RunNo, TaskRow, Timestamp};
use crate::sqlite::SqliteJournal;
use crate::sqlite::schema::PRESENT;
use crate::store::{JournalStore, RunFilter, StoredFlow, StoredTask};

const VERSION_1: &str = include_str!("version_1.sql");

/// The present version, and a step after it that fails when it has done half of its work.
const FAILING: Schema = Schema {
    steps: &[
        PRESENT.steps[0],
        PRESENT.steps[1],
        PRESENT.steps[2],
        "CREATE TABLE half (done INTEGER); UPDATE tasks SET attempts = 1;",
    ],
    tables: PRESENT.tables,
};

async fn connect(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    options.connect().await.unwrap()
}

/// A directory with a journal that an older flowkit wrote.
async fn of_version_1() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = connect(&directory.path().join("journal.sqlite")).await;
    sqlx::raw_sql(VERSION_1).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let large = [7; 5_000];
    let digits = blake3::hash(&large).to_hex();
    let (folder, name) = digits.split_at(2);
    let folder = directory.path().join("objects").join(folder);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), large).unwrap();
    directory
}

/// The task runs in it.
fn tasks() -> Vec<TaskRow> {
    let named = TaskRow {
        name: Some("extract north".into()),
        place: Some([5; 16]),
        inputs: vec![[1; 16], [2; 16]],
        ..with_result(task(spot(1, 0)), b"small")
    };
    let fan_out = TaskRow {
        kind: NodeKind::FanOut,
        place: Some([6; 16]),
        ..task(spot(1, 1))
    };
    let large = with_result(task(spot(1, 2)), &[7; 5_000]);
    let items = (0..3u8).map(|index| with_result(task(item(1, 1, index.into())), &[index]));
    [named, fan_out].into_iter().chain(items).chain([large]).collect()
}

async fn holds_what_version_1_wrote(store: &SqliteJournal) {
    let mut whole = flow(1, 7);
    whole.parameters = Some(std::sync::Arc::new(Parameters {
        json: Some("[3]".to_owned()),
        bytes: vec![3],
    }));
    let flows = [StoredFlow::from(&ended(flow(2, 8), 9)), StoredFlow::from(&whole)];
    assert_eq!(store.flows(&RunFilter::default()).await.unwrap(), flows);
    let tasks = tasks();
    let stored: Vec<_> = tasks.iter().map(StoredTask::from).collect();
    assert_eq!(store.tasks(RunNo(1), true).await.unwrap(), stored);
    for task in &tasks {
        let result = store.result(task.spot).await.unwrap();
        assert_eq!(result.as_deref(), task.result.as_deref());
    }
    let run = RunNo(1);
    let (first, last) = (spot(1, 0), spot(1, 2));
    let edges = store.edges(run).await.unwrap();
    assert_eq!((edges[0].from, edges[0].to), (first, last));
    assert_eq!(
        edges[0].parameter.as_deref(),
        edge(first, last, Some("source")).parameter
    );
    assert_eq!(store.attempts(run).await.unwrap(), [attempt(1, Some(first), 1)]);
    let logs = store.logs(run, None).await.unwrap();
    assert_eq!(logs[0].message, log(1, Some(first), "a line").message);
}

async fn version(file: &Path) -> i64 {
    let mut connection = connect(file).await;
    let row = sqlx::query("PRAGMA user_version")
        .fetch_one(&mut connection)
        .await;
    connection.close().await.unwrap();
    row.unwrap().get(0)
}

#[tokio::test]
async fn the_journal_of_an_older_flowkit_is_brought_to_the_present_version_with_all_that_is_in_it() {
    let directory = of_version_1().await;
    let looked = SqliteJournal::open_read_only(directory.path()).await.unwrap_err();
    assert!(
        looked.to_string().contains("an older flowkit wrote it"),
        "{looked}"
    );
    for _ in 0..2 {
        let store = SqliteJournal::open(directory.path()).await.unwrap();
        holds_what_version_1_wrote(&store).await;
        store.close().await.unwrap();
    }
    assert_eq!(version(&directory.path().join("journal.sqlite")).await, 3);
    let store = SqliteJournal::open(directory.path()).await.unwrap();
    let begun = store.begin(Timestamp(60_000_000), "Crashed").await.unwrap();
    assert_eq!((begun.next_run, begun.crashed), (RunNo(3), vec![7]));
    store.write(&[flow(3, 9).into()]).await.unwrap();
    assert!(store.flow(9).await.unwrap().is_some());
}

#[tokio::test]
async fn a_step_that_fails_leaves_the_older_version_whole() {
    let directory = of_version_1().await;
    let file = directory.path().join("journal.sqlite");
    let mut connection = connect(&file).await;
    let error = migrate(&mut connection, &file, &FAILING).await.unwrap_err();
    assert!(error.to_string().contains("no such column: attempts"), "{error}");
    connection.close().await.unwrap();
    assert_eq!(version(&file).await, 1);
    let store = SqliteJournal::open(directory.path()).await.unwrap();
    holds_what_version_1_wrote(&store).await;
}

#[tokio::test]
async fn a_process_that_dies_between_two_steps_leaves_the_older_version_whole() {
    let directory = of_version_1().await;
    let (file, dead) = (
        directory.path().join("journal.sqlite"),
        tempfile::tempdir().unwrap(),
    );
    let mut connection = connect(&file).await;
    sqlx::query("PRAGMA journal_mode = WAL")
        .execute(&mut connection)
        .await
        .unwrap();
    // So that what is not committed is in the files, too.
    sqlx::query("PRAGMA cache_size = 1")
        .execute(&mut connection)
        .await
        .unwrap();
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
    take_each(&mut transaction, 1, &PRESENT).await.unwrap();
    let bulk = "CREATE TABLE bulk AS WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000) SELECT n, randomblob(100) FROM n";
    sqlx::query(bulk).execute(&mut *transaction).await.unwrap();
    for end in ["", "-wal"] {
        let name = format!("journal.sqlite{end}");
        fs::copy(directory.path().join(&name), dead.path().join(name)).unwrap();
    }
    assert!(
        fs::metadata(dead.path().join("journal.sqlite-wal"))
            .unwrap()
            .len()
            > 100_000
    );
    drop(transaction);
    connection.close().await.unwrap();
    let copied = dead.path().join("journal.sqlite");
    assert_eq!(version(&copied).await, 1);
    fs::rename(directory.path().join("objects"), dead.path().join("objects")).unwrap();
    let store = SqliteJournal::open(dead.path()).await.unwrap();
    holds_what_version_1_wrote(&store).await;
}
