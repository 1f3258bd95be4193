//! Files that are deleted, moved or replaced while a program uses them, and files that are copied one without the other: nothing of that is silent, and
//! nothing is lost that need not be.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flowkit_journal::conformance::rows::{flow, log, spot, task, with_result};
use flowkit_journal::record::{Record, RunNo, Timestamp};
use flowkit_journal::{Journal, JournalError, JournalStore, Owner, RunFilter, SqliteJournal};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

const DATABASE: &str = "journal.sqlite";
const LOG: &str = "journal.sqlite-wal";
const INDEX: &str = "journal.sqlite-shm";

/// What was said as a warning or an error.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<String>>);

impl Said {
    fn contains(&self, words: &str) -> bool {
        self.0.lock().unwrap().contains(words)
    }
}

impl Visit for &Said {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0.lock().unwrap().push_str(&format!("{value:?}\n"));
        }
    }
}

impl<S: tracing::Subscriber> Layer<S> for Said {
    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
        if *event.metadata().level() <= tracing::Level::WARN {
            event.record(&mut &*self);
        }
    }
}

/// Listens on this thread.
fn listen() -> (Said, tracing::subscriber::DefaultGuard) {
    let said = Said::default();
    // Where there is one subscriber alone, what another thread comes to first is taken for what nobody listens to.
    drop(tracing::subscriber::set_global_default(
        tracing_subscriber::registry(),
    ));
    let subscriber = tracing_subscriber::registry().with(said.clone());
    (said, tracing::subscriber::set_default(subscriber))
}

/// A flow run with a small and a large result, and a line of log.
fn batch(run: u64) -> Vec<Record> {
    vec![
        flow(run, run.into()).into(),
        with_result(task(spot(run, 0)), b"small").into(),
        with_result(task(spot(run, 1)), &[run as u8; 9_000]).into(),
        log(run, None, "a line").into(),
    ]
}

/// The flow runs that are there, all of each.
async fn there(store: &SqliteJournal) -> Vec<u64> {
    let flows = store.flows(&RunFilter::default()).await.unwrap();
    let mut runs: Vec<u64> = flows.iter().map(|flow| flow.no.0).collect();
    runs.sort_unstable();
    for run in &runs {
        assert_eq!(store.tasks(RunNo(*run), true).await.unwrap().len(), 2);
        assert_eq!(store.logs(RunNo(*run), None).await.unwrap().len(), 1);
        assert_eq!(store.result(spot(*run, 0)).await.unwrap().unwrap(), b"small");
    }
    runs
}

async fn begun(directory: &Path) -> SqliteJournal {
    let store = SqliteJournal::open(directory).await.unwrap();
    store.begin(Timestamp(0), "Crashed").await.unwrap();
    store.write(&batch(1)).await.unwrap();
    // So that a connection reads, too.
    assert_eq!(there(&store).await, [1]);
    store
}

/// What is there for who comes next.
async fn there_next(directory: &Path) -> Vec<u64> {
    there(&SqliteJournal::open(directory).await.unwrap()).await
}

#[cfg(unix)]
#[tokio::test]
async fn files_that_are_deleted_while_they_are_open_are_written_anew_with_all_that_was_in_them() {
    let all: [&[&str]; 6] = [
        &[DATABASE],
        &[LOG],
        &[INDEX],
        &[LOG, INDEX],
        &[DATABASE, LOG],
        &[DATABASE, LOG, INDEX],
    ];
    for gone in all {
        let (said, _listening) = listen();
        let directory = tempfile::tempdir().unwrap();
        let store = begun(directory.path()).await;
        for run in 2..6 {
            for name in gone {
                fs::remove_file(directory.path().join(name)).unwrap();
            }
            store.write(&batch(run)).await.unwrap();
            assert_eq!(there(&store).await, (1..=run).collect::<Vec<_>>(), "{gone:?}");
        }
        assert!(said.contains("while this program used it"), "{gone:?}");
        store.close().await.unwrap();
        // As long as it is open, its log is there, too.
        let next = SqliteJournal::open(directory.path()).await.unwrap();
        assert_eq!(there(&next).await, [1, 2, 3, 4, 5], "{gone:?}");
        assert_eq!(
            names(directory.path()),
            ["journal.sqlite", "journal.sqlite-shm", "journal.sqlite-wal"]
        );
        next.close().await.unwrap();
    }
}

/// The names that begin like those of the database.
fn names(directory: &Path) -> Vec<String> {
    let files = fs::read_dir(directory).unwrap();
    let name = |file: std::io::Result<fs::DirEntry>| file.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = files
        .map(name)
        .filter(|name| name.starts_with(DATABASE))
        .collect();
    names.sort_unstable();
    names
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_deleted_after_the_last_batch_is_written_anew_when_the_journal_is_closed() {
    for gone in [DATABASE, LOG, INDEX] {
        let directory = tempfile::tempdir().unwrap();
        let store = begun(directory.path()).await;
        fs::remove_file(directory.path().join(gone)).unwrap();
        store.close().await.unwrap();
        assert_eq!(names(directory.path()), [DATABASE]);
        assert_eq!(there_next(directory.path()).await, [1]);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_directory_that_is_deleted_whole_is_written_anew() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("data");
    let owner = Owner::take(&directory, Timestamp(0)).unwrap();
    let store = Arc::new(begun(&directory).await);
    let (journal, _) = Journal::begin(store, Timestamp(0), "Crashed", Some(owner))
        .await
        .unwrap();
    fs::remove_dir_all(&directory).unwrap();
    batch(2).into_iter().for_each(|record| journal.append(record));
    journal.rest().await.unwrap();
    let error = Owner::take(&directory, Timestamp(0)).unwrap_err();
    assert!(matches!(error, JournalError::Owned { .. }), "{error}");
    assert_eq!(there_next(&directory).await, [1, 2]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_journal_whose_directory_another_process_took_writes_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let owner = Owner::take(directory.path(), Timestamp(0)).unwrap();
    let store = Arc::new(begun(directory.path()).await);
    let begun = Journal::begin(Arc::clone(&store) as _, Timestamp(0), "Crashed", Some(owner));
    let (journal, _) = begun.await.unwrap();
    fs::remove_file(directory.path().join("owner")).unwrap();
    let _another = Owner::take(directory.path(), Timestamp(0)).unwrap();
    batch(2).into_iter().for_each(|record| journal.append(record));
    let error = journal.flush().await.unwrap_err();
    assert!(matches!(error, JournalError::Displaced { .. }), "{error}");
    assert_eq!(there(&store).await, [1]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_database_that_was_replaced_is_not_written_into_and_what_was_open_is_kept_beside_it() {
    let (said, _listening) = listen();
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = begun(directory.path()).await;
    begun(other.path()).await.close().await.unwrap();
    let (file, away) = (directory.path().join(DATABASE), other.path().join("away"));
    fs::rename(&file, &away).unwrap();
    fs::copy(other.path().join(DATABASE), &file).unwrap();
    let before = fs::read(&file).unwrap();
    for _ in 0..2 {
        let error = store.write(&batch(2)).await.unwrap_err();
        let JournalError::Displaced { path, how, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((path, *how), (&file, "replaced"));
        assert!(error.to_string().contains("start the program again"), "{error}");
    }
    assert_eq!(fs::read(&file).unwrap(), before);
    assert!(said.contains("what it had written until then is in the copy"));
    let rescued: Vec<PathBuf> = names(directory.path())
        .into_iter()
        .filter(|name| name.contains("rescued"))
        .map(|name| directory.path().join(name))
        .collect();
    assert_eq!(rescued.len(), 1);
    // It is put back, and all goes on.
    fs::rename(&away, &file).unwrap();
    store.write(&batch(2)).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(there_next(directory.path()).await, [1, 2]);
    fs::rename(&rescued[0], other.path().join(DATABASE)).unwrap();
    fs::rename(
        directory.path().join("objects"),
        other.path().join("rescued-objects"),
    )
    .unwrap();
    assert_eq!(there_next(other.path()).await, [1]);
}

#[cfg(unix)]
#[tokio::test]
async fn the_log_of_another_database_is_not_applied() {
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = begun(directory.path()).await;
    let another = begun(other.path()).await;
    another.write(&batch(7)).await.unwrap();
    let log = directory.path().join(LOG);
    fs::remove_file(&log).unwrap();
    fs::copy(other.path().join(LOG), &log).unwrap();
    store.write(&batch(2)).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(there_next(directory.path()).await, [1, 2]);
    assert!(directory.path().join("journal.sqlite-wal.foreign-1").exists());
}

#[tokio::test]
async fn a_journal_at_rest_is_one_file_and_is_opened_again_by_the_next_use() {
    let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = begun(directory.path()).await;
    for run in 2..5 {
        store.rest().await.unwrap();
        assert_eq!(names(directory.path()), [DATABASE]);
        fs::copy(directory.path().join(DATABASE), copy.path().join(DATABASE)).unwrap();
        store.write(&batch(run)).await.unwrap();
        assert_eq!(there(&store).await, (1..=run).collect::<Vec<_>>());
    }
    let (said, _listening) = listen();
    assert_eq!(there_next(copy.path()).await, [1, 2, 3]);
    assert!(!said.contains("missing"), "{:?}", said.0);
}

#[cfg(unix)]
#[tokio::test]
async fn a_journal_that_was_deleted_at_rest_is_not_begun_anew_unasked() {
    let directory = tempfile::tempdir().unwrap();
    let store = begun(directory.path()).await;
    store.rest().await.unwrap();
    fs::remove_file(directory.path().join(DATABASE)).unwrap();
    let error = store.write(&batch(2)).await.unwrap_err();
    assert!(
        matches!(error, JournalError::Displaced { how: "deleted", .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_database_that_was_copied_without_its_log_says_so() {
    let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = begun(directory.path()).await;
    fs::copy(directory.path().join(DATABASE), copy.path().join(DATABASE)).unwrap();
    {
        let (said, _listening) = listen();
        let looked = SqliteJournal::open_read_only(copy.path()).await.unwrap();
        assert!(said.contains("copied, or its log was deleted"));
        looked.close().await.unwrap();
    }
    // Whoever looks leaves an empty log.
    drop(fs::remove_file(copy.path().join(LOG)));
    let (said, _listening) = listen();
    drop(SqliteJournal::open(copy.path()).await.unwrap());
    assert!(said.contains("what was written last may be missing"));
    // It was not alone, and says nothing of the kind.
    let (said, _listening) = listen();
    drop(SqliteJournal::open_read_only(directory.path()).await.unwrap());
    assert!(!said.contains("missing"));
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_log_without_its_database_is_set_aside_and_not_deleted() {
    let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = begun(directory.path()).await;
    fs::copy(directory.path().join(LOG), copy.path().join(LOG)).unwrap();
    store.close().await.unwrap();
    let error = SqliteJournal::open_read_only(copy.path()).await.unwrap_err();
    assert!(error.to_string().contains("only its log"), "{error}");
    let (said, _listening) = listen();
    assert_eq!(there_next(copy.path()).await, Vec::<u64>::new());
    assert!(said.contains("it was set aside"));
    assert!(copy.path().join("journal.sqlite.damaged-1-wal").exists());
}

#[tokio::test]
async fn a_journal_that_was_dropped_and_not_closed_is_no_journal_without_its_log() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteJournal::open(directory.path()).await.unwrap();
    store.write(&batch(1)).await.unwrap();
    drop(store);
    // It is closed by a thread of its own.
    while directory.path().join(LOG).exists() {
        tokio::task::yield_now().await;
    }
    let (said, _listening) = listen();
    assert_eq!(there_next(directory.path()).await, [1]);
    assert!(!said.contains("missing"));
}
