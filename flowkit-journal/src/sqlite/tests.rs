use std::sync::Mutex;

use super::*;
use crate::store::JournalError;

#[tokio::test]
async fn it_keeps_the_contract() {
    let directories = Mutex::new(Vec::new());
    crate::conformance::run_all(&|| {
        async {
            let directory = tempfile::tempdir().unwrap();
            let store: Arc<dyn JournalStore> = Arc::new(SqliteJournal::open(directory.path()).await.unwrap());
            directories.lock().unwrap().push(directory);
            store
        }
        .boxed()
    })
    .await;
}

#[tokio::test]
async fn the_journal_of_a_newer_flowkit_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteJournal::open(directory.path()).await.unwrap();
    let mut writer = store.writer().await.unwrap();
    let connection = writer.connection.as_mut().unwrap();
    sqlx::query("PRAGMA user_version = 99")
        .execute(connection)
        .await
        .unwrap();
    drop(writer);
    store.close().await.unwrap();
    for opened in [
        SqliteJournal::open(directory.path()).await,
        SqliteJournal::open_read_only(directory.path()).await,
    ] {
        let error = opened.unwrap_err();
        assert!(
            matches!(
                error,
                JournalError::Newer {
                    found: 99,
                    known: 4,
                    ..
                }
            ),
            "{error}"
        );
        let words = "has version 99 and this program knows 4";
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(!directory.path().join("journal.sqlite.damaged-1").exists());
}

/// A flow run of two lives with a subflow and an effect of which nobody knows how it went, damaged by a statement: how many rows are missed, and whether the effect is
/// still known.
async fn missed_after(damage: &'static str) -> (u64, bool) {
    use crate::conformance::rows::{flow, spot, task, with_result};
    use crate::record::{Effect, NodeKind, TaskRow};
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteJournal::open(directory.path()).await.unwrap();
    let mut below = flow(2, 8);
    (below.root, below.parent) = (RunNo(1), Some(spot(1, 2)));
    let mut second = flow(3, 7);
    second.life = 2;
    let subflow = TaskRow {
        kind: NodeKind::Subflow,
        ..task(spot(1, 2))
    };
    let effect = TaskRow {
        effect: Effect::Intended,
        ..task(spot(2, 0))
    };
    let tasks = [
        with_result(task(spot(1, 0)), b"zero"),
        task(spot(1, 1)),
        subflow,
        effect.clone(),
        task(spot(2, 1)),
        with_result(task(spot(3, 0)), b"zero"),
    ];
    let flows = [flow(1, 7), below, second].map(Record::from);
    let batch: Vec<Record> = flows.into_iter().chain(tasks.map(Record::from)).collect();
    store.write(&batch).await.unwrap();
    assert_eq!(store.finished(7).await.unwrap().unreadable, 0);
    let mut writer = store.writer().await.unwrap();
    let connection = writer.connection.as_mut().unwrap();
    let hurt = sqlx::raw_sql(damage).execute(connection).await.unwrap();
    assert_eq!(hurt.rows_affected(), 1, "{damage}");
    drop(writer);
    let finished = store.finished(7).await.unwrap();
    let is_known = finished.tasks.iter().any(|task| task.spot == effect.spot);
    (finished.unreadable, is_known)
}

#[tokio::test]
async fn a_row_that_can_no_longer_be_read_is_missed_and_not_taken_for_one_that_never_was() {
    for of_the_effect in [
        "UPDATE tasks SET effect = 0 WHERE run = 2 AND node = 0",
        "UPDATE tasks SET body = zeroblob(20) WHERE run = 2 AND node = 0",
        "UPDATE tasks SET definition = 99 WHERE run = 2 AND node = 0",
        "UPDATE tasks SET run = 3, node = 1 WHERE run = 2 AND node = 0",
        "DELETE FROM tasks WHERE run = 2 AND node = 0",
        "DELETE FROM flows WHERE no = 2",
        "UPDATE flows SET root = 99 WHERE no = 2",
        "UPDATE flows SET parent = NULL WHERE no = 2",
        "UPDATE flows SET parent = x'ff' WHERE no = 2",
    ] {
        let (missed, is_known) = missed_after(of_the_effect).await;
        assert!(missed > 0 && !is_known, "{missed} after {of_the_effect}");
    }
    for of_another in [
        "UPDATE tasks SET result = NULL WHERE run = 1 AND node = 0",
        "DELETE FROM tasks WHERE run = 1 AND node = 1",
        "DELETE FROM flows WHERE no = 1",
        "UPDATE flows SET id = zeroblob(16) WHERE no = 1",
        "UPDATE flows SET life = 9 WHERE no = 1",
    ] {
        assert!(missed_after(of_another).await.0 > 0, "{of_another}");
    }
    // What does not keep a task run from being found does no harm.
    assert_eq!(
        missed_after("UPDATE flows SET root = 99 WHERE no = 1").await,
        (0, true)
    );
}

#[tokio::test]
async fn a_batch_that_is_written_again_since_nobody_waited_for_its_end_writes_no_line_twice() {
    use crate::conformance::rows::{flow, log, spot, task};
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteJournal::open(directory.path()).await.unwrap();
    // Whether the commit comes through after nobody waits for it is a matter of luck.
    let mut run = 0;
    for polls in (0..20).flat_map(|_| 5..15) {
        run += 1;
        let lines = ["one", "two", "two"].map(|line| Record::from(log(run, None, line)));
        let rows = [flow(run, run.into()).into(), task(spot(run, 0)).into()];
        let batch: Vec<Record> = rows.into_iter().chain(lines).collect();
        let mut writing = store.write(&batch);
        let mut left = polls;
        let written = std::future::poll_fn(|context| {
            left -= 1;
            match writing.as_mut().poll(context) {
                std::task::Poll::Pending if left == 0 => std::task::Poll::Ready(None),
                polled => polled.map(Some),
            }
        })
        .await;
        drop(writing);
        if written.is_none() {
            store.write(&batch).await.unwrap();
        }
        let lines = store.logs(RunNo(run), None).await.unwrap();
        let lines: Vec<_> = lines.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(lines, ["one", "two", "two"], "after {polls} polls");
    }
}

#[tokio::test]
async fn whatever_of_a_flow_run_is_damaged_it_is_not_there() {
    use crate::conformance::rows::{ended, flow};
    for damage in [
        "state = 2",
        "state = 99",
        "ended = ended + 1",
        "ended = NULL",
        "life = 3",
        "root = 4",
        "parent = x'010100'",
        "name = 'another'",
        "tags = x'0161'",
        "attempts = 9",
        "error = 'none'",
        "created = created - 1",
        "json = '[2]'",
        "bytes = x'00'",
        "result_json = NULL",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteJournal::open(directory.path()).await.unwrap();
        let mut whole = ended(flow(1, 7), 50);
        whole.result_json = Some("7".into());
        whole.parameters = Some(Arc::new(crate::record::Parameters {
            json: Some("[1]".to_owned()),
            bytes: vec![1],
        }));
        let going_on = Record::from(flow(2, 8));
        store.write(&[going_on, whole.into()]).await.unwrap();
        assert!(store.flow(7).await.unwrap().is_some());
        let mut writer = store.writer().await.unwrap();
        let sql = format!("UPDATE flows SET {damage} WHERE no = 1");
        let connection = writer.connection.as_mut().unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(connection)
            .await
            .unwrap();
        drop(writer);
        assert_eq!(store.flow(7).await.unwrap(), None, "{damage}");
        assert!(store.flow(8).await.unwrap().is_some(), "{damage}");
    }
}
