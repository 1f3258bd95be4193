//! An effect is not taken for one that never was, whatever of the journal is damaged or lost.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flowkit::journal::SqliteJournal;
use flowkit::prelude::*;
use flowkit::{FlowRunId, ResumeOptions};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::changed_callers::handle_all;
use crate::till::{Till, is_unknown, on_disk};

#[tokio::test]
async fn an_effect_whose_row_was_damaged_is_not_taken_for_one_that_never_was() {
    let (directory, till) = (tempfile::tempdir().unwrap(), Arc::<Till>::default());
    let runtime = on_disk(directory.path(), &till).await;
    let run = runtime.run(handle_all(vec![1, 2])).await;
    assert_eq!((run.state(), till.charged()), (State::Failed, 1));
    runtime.shutdown(Duration::ZERO).await;
    drop(runtime);
    let file = SqliteConnectOptions::new().filename(directory.path().join("journal.sqlite"));
    let mut journal = file.connect().await.unwrap();
    let damage = "UPDATE tasks SET body = zeroblob(length(body)) WHERE effect = 2";
    let damaged = sqlx::query(damage).execute(&mut journal).await.unwrap();
    assert_eq!(damaged.rows_affected(), 1);
    journal.close().await.unwrap();
    let runtime = on_disk(directory.path(), &till).await;
    let resumed = runtime
        .resume_call(run.id(), handle_all(vec![1, 2]), ResumeOptions::new())
        .await
        .unwrap();
    assert!(is_unknown(&resumed));
    assert_eq!(till.charged(), 1);
}

/// Charges, and dies where it stands: gives a copy of what was on the disk then.
async fn killed(till: &Arc<Till>) -> (tempfile::TempDir, FlowRunId) {
    let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let runtime = on_disk(directory.path(), till).await;
    let run = runtime.run(handle_all(vec![1, 2])).await;
    assert_eq!((run.state(), till.charged()), (State::Failed, 1));
    for file in ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-end"] {
        std::fs::copy(directory.path().join(file), copy.path().join(file)).unwrap();
    }
    (copy, run.id())
}

/// Resumes what a directory has, and gives how often somebody was charged in all, and whether that was not known.
async fn charged_after(directory: &Path, till: &Arc<Till>, run: FlowRunId) -> (u32, bool) {
    let runtime = on_disk(directory, till).await;
    let options = ResumeOptions::new();
    let unknown = match runtime.resume_call(run, handle_all(vec![1, 2]), options).await {
        Ok(resumed) => is_unknown(&resumed),
        Err(refused) => {
            assert!(refused.to_string().contains("no flow run"), "{refused}");
            false
        }
    };
    (till.charged(), unknown)
}

#[tokio::test]
async fn a_log_that_was_damaged_repeats_no_effect() {
    let mut unknown = 0;
    for sixteenth in 0..16 {
        let till = Arc::<Till>::default();
        let (directory, run) = killed(&till).await;
        let log = directory.path().join("journal.sqlite-wal");
        let mut bytes = std::fs::read(&log).unwrap();
        let at = bytes.len() * sixteenth / 16;
        bytes[at] ^= 1;
        std::fs::write(&log, bytes).unwrap();
        let (charged, is_unknown) = charged_after(directory.path(), &till, run).await;
        assert_eq!(charged, 1, "{sixteenth}");
        unknown += u32::from(is_unknown);
    }
    assert!(unknown > 0, "some of it was of the effect");
}

#[tokio::test]
async fn a_log_that_was_cut_short_repeats_no_effect_also_after_somebody_looked() {
    let mut unknown = 0;
    for sixteenth in 0..16 {
        for looks in [false, true] {
            let till = Arc::<Till>::default();
            let (directory, run) = killed(&till).await;
            let log = directory.path().join("journal.sqlite-wal");
            let log = std::fs::File::options().write(true).open(log).unwrap();
            log.set_len(log.metadata().unwrap().len() * sixteenth / 16)
                .unwrap();
            if looks {
                drop(SqliteJournal::open_read_only(directory.path()).await);
            }
            let (charged, is_unknown) = charged_after(directory.path(), &till, run).await;
            assert_eq!(charged, 1, "{sixteenth}");
            unknown += u32::from(is_unknown);
        }
    }
    assert!(unknown > 0, "some of it was of the effect");
}

/// Puts pieces of a commit behind the end of a log, which nobody was told of: a death cut it off, and what was written next wrote over some of it.
async fn leave_pieces(directory: &Path) {
    let names =
        ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-end"].map(|name| directory.join(name));
    let before = names.each_ref().map(|name| std::fs::read(name).unwrap());
    let mut journal = SqliteConnectOptions::new()
        .filename(&names[0])
        .connect()
        .await
        .unwrap();
    let commit = "CREATE TABLE pieces AS WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 50000) SELECT n FROM n";
    sqlx::query(commit).execute(&mut journal).await.unwrap();
    let pieces = std::fs::read(&names[1]).unwrap();
    journal.close().await.unwrap();
    for (name, bytes) in names.iter().zip(&before) {
        std::fs::write(name, bytes).unwrap();
    }
    let (frame, end) = (24 + 4_096, before[1].len());
    assert!(pieces.len() > end + 10 * frame, "{} {end}", pieces.len());
    let (_, pieces) = pieces.split_at(end + frame);
    let log = [&before[1], &vec![7; frame], pieces].concat();
    std::fs::write(&names[1], log).unwrap();
}

#[tokio::test]
async fn what_lies_behind_the_end_of_a_log_is_no_loss() {
    let mut outcomes = Vec::new();
    for has_pieces in [false, true] {
        let till = Arc::<Till>::default();
        let (directory, run) = killed(&till).await;
        if has_pieces {
            leave_pieces(directory.path()).await;
        }
        outcomes.push(charged_after(directory.path(), &till, run).await);
    }
    assert_eq!(outcomes[0], outcomes[1]);
    assert!(!outcomes[1].1, "nothing of it was lost");
}

#[tokio::test]
async fn a_log_that_was_deleted_repeats_no_effect_also_after_somebody_looked() {
    for looks in [false, true] {
        let till = Arc::<Till>::default();
        let (directory, run) = killed(&till).await;
        std::fs::remove_file(directory.path().join("journal.sqlite-wal")).unwrap();
        if looks {
            drop(SqliteJournal::open_read_only(directory.path()).await);
        }
        assert_eq!(charged_after(directory.path(), &till, run).await.0, 1);
    }
}
