//! A process that writes is killed, runs out of disk, or is watched by another.

use std::path::Path;
use std::process::Command;

use flowkit_journal::conformance::rows::{attempt, edge, ended, flow, item, log, spot, task, with_result};
use flowkit_journal::record::{Record, RunNo, Timestamp};
use flowkit_journal::{JournalError, JournalStore, Retention, RunFilter, SqliteJournal};

use super::{lines, say, spawn, start};

/// How many items a batch has.
const ITEMS: u32 = 40;

/// The content of a result: of every twentieth item too large for its row.
fn result(run: u64, index: u32) -> Vec<u8> {
    let size = if index % 20 == 7 { 9_000 } else { 16 };
    (run * 1_000 + u64::from(index)).to_le_bytes().repeat(size / 8)
}

/// A batch: a whole flow run with all that belongs to it, which ends if it is a multiple of three.
fn batch(run: u64) -> Vec<Record> {
    let this = if run.is_multiple_of(3) {
        ended(flow(run, run.into()), 9)
    } else {
        flow(run, run.into())
    };
    let mut batch: Vec<Record> = vec![
        this.into(),
        task(spot(run, 0)).into(),
        edge(spot(run, 0), spot(run, 1), Some("source")).into(),
        attempt(run, None, 1).into(),
        log(run, None, "a line").into(),
    ];
    let items = (0..ITEMS).map(|index| with_result(task(item(run, 1, index)), &result(run, index)).into());
    batch.extend(items);
    batch
}

/// Whether a batch is there, all of it. Panics if half of it is, or it is another.
async fn is_whole(store: &dyn JournalStore, run: u64) -> bool {
    let there = store.flow(run.into()).await.unwrap().is_some();
    let counts = [
        store.tasks(RunNo(run), true).await.unwrap().len(),
        store.edges(RunNo(run)).await.unwrap().len(),
        store.attempts(RunNo(run)).await.unwrap().len(),
        store.logs(RunNo(run), None).await.unwrap().len(),
    ];
    let expected = if there {
        [ITEMS as usize + 1, 1, 1, 1]
    } else {
        [0; 4]
    };
    assert_eq!(counts, expected, "batch {run} is there in part");
    for index in (0..ITEMS).filter(|_| there) {
        let read = store.result(item(run, 1, index)).await.unwrap();
        assert_eq!(read, Some(result(run, index)), "the result of {run}, {index}");
    }
    there
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build();
    runtime.unwrap().block_on(future)
}

/// Writes batch after batch, clears out now and then, and says which was written.
pub(super) fn write(directory: &Path) {
    block_on(async {
        let store = SqliteJournal::open(directory).await.unwrap();
        let first = store
            .begin(Timestamp(5_000_000), "Crashed")
            .await
            .unwrap()
            .next_run
            .0;
        for run in first.. {
            store.write(&batch(run)).await.unwrap();
            say(run);
            if run.is_multiple_of(4) {
                let some = Retention {
                    ended_before: None,
                    runs: Some(10),
                    result_bytes: None,
                    log_bytes: None,
                    spared: Vec::new(),
                };
                say(format!("pruned {:?}", store.prune(&some).await.unwrap().runs));
            }
        }
    });
}

/// Writes until long after the disk is full; says which batches were written, and the kind of the first error.
pub(super) fn fill(directory: &Path) {
    block_on(async {
        let store = match SqliteJournal::open(directory).await {
            Ok(store) => store,
            Err(error) => return say(kind(&error)),
        };
        if let Err(error) = store.begin(Timestamp(5_000_000), "Crashed").await {
            return say(kind(&error));
        }
        let mut failed = 0;
        for run in 1.. {
            match store.write(&batch(run)).await {
                Ok(()) => say(run),
                Err(error) => {
                    failed += 1;
                    if failed == 1 {
                        say(kind(&error));
                    }
                }
            }
            if failed > 20 {
                break;
            }
        }
        // All of these answer, one way or another.
        let nothing = Retention {
            ended_before: None,
            runs: Some(0),
            result_bytes: Some(0),
            log_bytes: Some(0),
            spared: Vec::new(),
        };
        drop((
            store.prune(&nothing).await,
            store.size().await,
            store.flows(&RunFilter::default()).await,
        ));
        say("done");
    });
}

fn kind(error: &JournalError) -> &'static str {
    match error {
        JournalError::Io { .. } => "Io",
        JournalError::Damaged { .. } => "Damaged",
        _ => "another",
    }
}

#[test]
fn every_batch_that_was_written_is_whole_after_a_kill_and_no_other_is_there_in_part() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..25usize {
        let mut child = start("write", directory.path());
        let mut said = lines(&mut child);
        let some: Vec<String> = said.by_ref().take(1 + round % 7).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said between our last look and its end counts too.
        for line in some.into_iter().chain(said) {
            acknowledged = line.parse().unwrap_or(acknowledged);
        }
        block_on(async {
            let store = SqliteJournal::open(directory.path()).await.unwrap();
            let begun = store.begin(Timestamp(6_000_000), "Crashed").await.unwrap();
            assert!(begun.next_run.0 > acknowledged, "round {round}");
            let mut gone = 0;
            for run in 1..begun.next_run.0 + 2 {
                if !is_whole(&store, run).await && run <= acknowledged {
                    gone += 1;
                }
            }
            let there = store.flows(&RunFilter::default()).await.unwrap().len();
            assert!(
                gone == 0 || there >= 10,
                "round {round}: {gone} of {acknowledged} are gone, and {there} there"
            );
            store.close().await.unwrap();
        });
        no_orphans(directory.path());
    }
}

/// Nothing belongs to a flow run that is not there, and every file is named by a row.
pub(super) fn no_orphans(directory: &Path) {
    let orphans = super::orphans::find(directory);
    assert_eq!(orphans, Vec::<String>::new());
}

#[test]
fn a_journal_on_a_full_disk_says_so_keeps_what_it_said_and_works_again() {
    let mut fullest = 0;
    for kilobytes in [0u32, 4, 12, 40, 90, 200, 500, 1_000] {
        let directory = tempfile::tempdir().unwrap();
        // No file can grow beyond so much, as if the disk were full.
        let limited = format!("trap '' XFSZ; ulimit -f {kilobytes}; exec \"$0\" \"$@\"");
        let mut bash = Command::new("bash");
        bash.args(["-c", &limited]).arg(std::env::current_exe().unwrap());
        let mut child = spawn(bash, "fill", directory.path());
        let said: Vec<String> = lines(&mut child).collect();
        assert!(child.wait().unwrap().success(), "{kilobytes} KiB: {said:?}");
        assert!(said.iter().any(|line| line == "Io"), "{kilobytes} KiB: {said:?}");
        let written: Vec<u64> = said.iter().filter_map(|line| line.parse().ok()).collect();
        fullest = fullest.max(written.len());
        block_on(async {
            let store = SqliteJournal::open(directory.path()).await.unwrap();
            let next = store
                .begin(Timestamp(6_000_000), "Crashed")
                .await
                .unwrap()
                .next_run
                .0;
            for run in 1..next + 2 {
                // A run that had ended may have been cleared out.
                let may_be_gone = run.is_multiple_of(3) || !written.contains(&run);
                assert!(
                    is_whole(&store, run).await || may_be_gone,
                    "{kilobytes} KiB: {run}"
                );
            }
            store.write(&batch(next)).await.unwrap();
            assert!(is_whole(&store, next).await);
            store.close().await.unwrap();
        });
        no_orphans(directory.path());
    }
    assert!(fullest > 5, "the largest disk holds more than {fullest}");
}

#[test]
fn another_process_sees_whole_batches_while_one_writes() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = start("write", directory.path());
    let mut said = lines(&mut child);
    assert_eq!(said.next().unwrap(), "1");
    block_on(async {
        let store = SqliteJournal::open_read_only(directory.path()).await.unwrap();
        for _ in 0..60 {
            // Whoever looks, and looks anew, must not keep it from writing on.
            let other = SqliteJournal::open_read_only(directory.path()).await.unwrap();
            other.close().await.unwrap();
            let line = said.next().expect("it writes on");
            let Ok(run) = line.parse::<u64>() else { continue };
            // It may have been cleared out meanwhile, but what is there is whole.
            assert!(is_whole_or_going(&store, run).await);
            is_whole_or_going(&store, run + 1).await;
        }
        let error = store.write(&batch(1)).await.unwrap_err();
        assert!(
            matches!(
                error,
                JournalError::Io {
                    action: "written",
                    ..
                }
            ),
            "{error}"
        );
    });
    child.kill().unwrap();
    child.wait().unwrap();
    // Nobody writes any more, and it can be looked at all the same.
    block_on(async {
        let store = SqliteJournal::open_read_only(directory.path()).await.unwrap();
        assert!(is_whole(&store, 1).await);
    });
}

/// The same as [`is_whole`] from one moment of the database.
async fn is_whole_or_going(store: &dyn JournalStore, run: u64) -> bool {
    let found = store.finished(run.into()).await.unwrap().tasks.len();
    assert!(found == 0 || found == ITEMS as usize, "{found} of batch {run}");
    found > 0 || run.is_multiple_of(3)
}
