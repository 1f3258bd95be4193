//! Whatever happens to the files of a journal, it is opened, or says why not; what it then answers is what was written, or nothing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

#[path = "../../../flowkit-cache/tests/damage/hurt.rs"]
mod hurt;
mod large;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use flowkit_journal::conformance::rows::{attempt, ended, flow, item, log, spot, task, with_result};
use flowkit_journal::record::{Effect, Parameters, Record, RunNo, Spot, TaskRow, Timestamp};
use flowkit_journal::{
    Finished, JournalError, JournalResult, JournalStore, Retention, RunFilter, SqliteJournal, StoredTask,
};
use hurt::{copy_all, damage, files, numbers, trials};

/// How many flow runs are written, and how many task runs in each.
const RUNS: u64 = 6;
const TASKS: u32 = 60;

type Written = BTreeMap<Spot, (StoredTask, Option<Vec<u8>>)>;

fn rows(run: u64) -> Vec<TaskRow> {
    let row = |index: u32| {
        let at = if index.is_multiple_of(2) {
            spot(run, index / 2)
        } else {
            item(run, 0, index)
        };
        let size = if index % 20 == 3 { 6_000 } else { 24 };
        let row = TaskRow {
            name: index.is_multiple_of(5).then(|| format!("name {index}").into()),
            effect: if index == 4 {
                Effect::Intended
            } else {
                Effect::None
            },
            inputs: vec![[index as u8; 16]],
            place: Some([run as u8; 16]),
            ..task(at)
        };
        with_result(
            row,
            &(run * 1_000 + u64::from(index)).to_le_bytes().repeat(size / 8),
        )
    };
    (0..TASKS).map(row).collect()
}

fn flow_row(run: u64) -> flowkit_journal::record::FlowRow {
    let mut row = flow(run, run.into());
    row.parameters = Some(std::sync::Arc::new(Parameters {
        json: None,
        bytes: vec![run as u8; 40],
    }));
    if run < 4 { ended(row, 50) } else { row }
}

/// Writes a journal; with `killed` as a process leaves it that did not close it.
async fn write(directory: &Path, killed: bool) -> Written {
    let store = SqliteJournal::open(directory).await.unwrap();
    store.begin(Timestamp(0), "Crashed").await.unwrap();
    let mut written = Written::new();
    for run in 1..=RUNS {
        let rows = rows(run);
        let mut batch: Vec<Record> = vec![
            flow_row(run).into(),
            attempt(run, None, 1).into(),
            log(run, None, "line").into(),
        ];
        batch.extend(rows.iter().cloned().map(Record::from));
        store.write(&batch).await.unwrap();
        written.extend(
            rows.iter()
                .map(|row| (row.spot, (row.into(), row.result.as_deref().map(<[u8]>::to_vec)))),
        );
    }
    if killed {
        let copy = directory.join("copy");
        copy_all(directory, &copy);
        store.close().await.unwrap();
        for file in files(directory)
            .into_iter()
            .filter(|file| !file.starts_with(&copy))
        {
            fs::remove_file(file).unwrap();
        }
        copy_all(&copy, directory);
        fs::remove_dir_all(copy).unwrap();
    } else {
        store.close().await.unwrap();
    }
    written
}

/// None for an error that says what is wrong.
fn answered<T>(answer: JournalResult<T>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(JournalError::Damaged { .. } | JournalError::Io { .. } | JournalError::Newer { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

/// Whatever lies before something that is found is found as well, or said to be missing.
fn nothing_is_missing_silently(finished: &Finished, run: u64, written: &Written) {
    let found = |at: &Spot| finished.tasks.iter().any(|task| task.spot == *at);
    let nodes = (0..TASKS / 2).map(|node| spot(run, node));
    let last = nodes.clone().rfind(found);
    let gone = nodes
        .filter(|at| Some(*at) < last)
        .find(|at| written.contains_key(at) && !found(at));
    assert!(
        gone.is_none() || finished.unreadable > 0,
        "{gone:?} is not there, and nothing is said to be missing"
    );
}

/// What can be asked is answered by what was written, or by nothing. Gives how many task runs are there.
async fn answers_rightly(store: &dyn JournalStore, written: &Written) -> usize {
    let mut there = 0;
    let right = |task: &StoredTask| {
        let (expected, _) = written
            .get(&task.spot)
            .unwrap_or_else(|| panic!("nobody wrote {task:?}"));
        assert_eq!(task, expected);
    };
    for run in 1..=RUNS {
        let is_there = matches!(answered(store.flow(run.into()).await), Some(Some(_)));
        let finished = answered(store.finished(run.into()).await);
        if let Some(finished) = finished.as_ref().filter(|_| is_there) {
            nothing_is_missing_silently(finished, run, written);
        }
        let finished = finished.unwrap_or_default().tasks;
        let all = answered(store.tasks(RunNo(run), true).await).unwrap_or_default();
        finished.iter().chain(&all).for_each(right);
        assert!(
            finished
                .iter()
                .chain(&all)
                .all(|task| task.spot.run == RunNo(run)),
            "it is of the run that was asked for"
        );
        there += all.len();
        if let Some(Some(flow)) = answered(store.flow(run.into()).await) {
            assert_eq!(
                flow.parameters.as_ref(),
                flow_row(run).parameters.as_deref(),
                "a run is resumed with what it was called with"
            );
        }
        drop((
            store.edges(RunNo(run)).await,
            store.attempts(RunNo(run)).await,
            store.logs(RunNo(run), None).await,
        ));
    }
    for (spot, (_, expected)) in written {
        if let Some(Some(result)) = answered(store.result(*spot).await) {
            assert_eq!(Some(&result), expected.as_ref(), "{spot:?}");
        }
    }
    drop((store.flows(&RunFilter::default()).await, store.size().await));
    there
}

/// Opens it, asks it, begins, writes and clears out.
async fn use_damaged(directory: &Path, written: &Written) -> usize {
    if let Some(looker) = answered(SqliteJournal::open_read_only(directory).await) {
        answers_rightly(&looker, written).await;
        looker.close().await.unwrap();
    }
    let Some(store) = answered(SqliteJournal::open(directory).await) else {
        return 0;
    };
    let there = answers_rightly(&store, written).await;
    if answered(store.begin(Timestamp(60_000_000), "Crashed").await).is_some() {
        let new = with_result(task(spot(99, 0)), b"new");
        if answered(store.write(&[flow(99, 99).into(), new.into()]).await).is_some() {
            let read = answered(store.result(spot(99, 0)).await).flatten();
            assert!(read.is_none_or(|read| read == b"new"));
        }
        answers_rightly(&store, written).await;
        let some = Retention {
            ended_before: None,
            runs: Some(1),
            result_bytes: Some(1_000),
            log_bytes: Some(1),
            spared: Vec::new(),
        };
        for _ in 0..20 {
            if !answered(store.prune(&some).await).is_some_and(|slice| slice.more) {
                break;
            }
        }
        for spot in written.keys() {
            drop(answered(store.result(*spot).await));
        }
    }
    answered(store.close().await);
    there
}

async fn damage_many(killed: bool) {
    // Some seconds are enough for every day.
    let sound = tempfile::tempdir().unwrap();
    let written = write(sound.path(), killed).await;
    assert_eq!(
        files(sound.path())
            .iter()
            .any(|file| file.ends_with("journal.sqlite-wal")),
        killed
    );
    let mut intact = 0;
    for seed in 0..trials(50) {
        let directory = tempfile::tempdir().unwrap();
        copy_all(sound.path(), directory.path());
        let mut random = numbers(seed);
        let files = files(directory.path());
        // Half of the time one of the database's own files, and else any.
        let databases: Vec<_> = files
            .iter()
            .filter(|file| file.display().to_string().contains("journal.sqlite"))
            .collect();
        let any: Vec<_> = files.iter().collect();
        let from = if random(4) == 0 { any } else { databases };
        let what = damage(from[random(from.len())], random);
        println!("seed {seed}, killed: {killed}: {what}");
        intact += usize::from(use_damaged(directory.path(), &written).await == written.len());
    }
    assert!(intact > 0, "some damage hurts nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_journal_answers_rightly_or_not_at_all() {
    damage_many(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_journal_whose_process_was_killed_and_that_is_damaged_answers_rightly_or_not_at_all() {
    damage_many(true).await;
}

#[tokio::test]
async fn what_is_no_journal_is_set_aside_and_reported() {
    for rubbish in [&b"not what SQLite wrote"[..], &[0xff; 20_000]] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("journal.sqlite");
        fs::write(&file, rubbish).unwrap();
        let error = SqliteJournal::open_read_only(directory.path()).await.unwrap_err();
        assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
        let store = SqliteJournal::open(directory.path()).await.unwrap();
        store.begin(Timestamp(0), "Crashed").await.unwrap();
        store.write(&[flow(1, 1).into()]).await.unwrap();
        assert!(store.flow(1).await.unwrap().is_some());
        assert_eq!(
            fs::read(directory.path().join("journal.sqlite.damaged-1")).unwrap(),
            rubbish
        );
    }
}

#[tokio::test]
async fn an_object_that_is_damaged_or_gone_costs_one_result_and_is_mended_by_writing_it_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteJournal::open(directory.path()).await.unwrap();
    let large = |at, byte| Record::from(with_result(task(at), &[byte; 9_000]));
    store
        .write(&[flow(1, 1).into(), large(spot(1, 0), 1), large(spot(1, 1), 2)])
        .await
        .unwrap();
    let objects = directory.path().join("objects");
    for hurt in [
        |file: &Path| fs::write(file, [1; 8_999]).unwrap(),
        |file: &Path| fs::remove_file(file).unwrap(),
    ] {
        let of_first = files(&objects)
            .into_iter()
            .find(|file| fs::read(file).unwrap()[0] == 1)
            .unwrap();
        hurt(&of_first);
        assert_eq!(store.result(spot(1, 0)).await.unwrap(), None);
        assert_eq!(store.result(spot(1, 1)).await.unwrap(), Some(vec![2; 9_000]));
        store.write(&[large(spot(1, 0), 1)]).await.unwrap();
        assert_eq!(store.result(spot(1, 0)).await.unwrap(), Some(vec![1; 9_000]));
    }
}
