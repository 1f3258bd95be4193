use super::*;
use crate::conformance::failing::FailingJournal;
use crate::conformance::rows::{flow, log, spot, task, with_result};
use crate::memory::MemoryJournal;

async fn journal() -> Journal {
    let store: Arc<dyn JournalStore> = Arc::new(MemoryJournal::new());
    Journal::begin(store, Timestamp(0), "Crashed", None)
        .await
        .unwrap()
        .0
}

#[tokio::test]
async fn what_was_appended_before_a_flush_is_in_the_store_after_it() {
    let journal = journal().await;
    journal.append(Record::Flow(Box::new(flow(1, 7))));
    for node in 0..100 {
        journal.append(Record::Task(Box::new(task(spot(1, node)))));
    }
    journal.flush().await.unwrap();
    assert_eq!(journal.store().tasks(RunNo(1), true).await.unwrap().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn nobody_need_flush() {
    let journal = journal().await;
    journal.append(Record::Flow(Box::new(flow(1, 7))));
    while journal.store().flow(7).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn of_the_rows_of_one_place_only_the_last_is_written() {
    let early = Record::Task(Box::new(task(spot(1, 0))));
    let late = Record::Task(Box::new(with_result(task(spot(1, 0)), b"7")));
    let line = Record::Log(Box::new(log(1, None, "twice")));
    let batch = last_of_each_place(vec![early, line.clone(), late.clone(), line.clone()]);
    assert_eq!(batch, [line.clone(), late, line]);
}

#[test]
fn a_journal_outlives_the_tokio_runtime_that_wrote_it() {
    let tokio = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let first = tokio();
    let journal = first.block_on(async {
        let journal = journal().await;
        journal.append(Record::Flow(Box::new(flow(1, 7))));
        journal
    });
    // Before anything was written.
    drop(first);
    tokio().block_on(async {
        journal.append(Record::Flow(Box::new(flow(2, 8))));
        journal.flush().await.unwrap();
        assert!(journal.store().flow(7).await.unwrap().is_some());
        assert!(journal.store().flow(8).await.unwrap().is_some());
    });
}

#[tokio::test(start_paused = true)]
async fn who_makes_too_much_waits_until_some_of_it_is_written() {
    let journal = journal().await;
    let large = with_result(task(spot(1, 0)), &vec![0; ROOM_BYTES]);
    assert!(journal.has_room());
    journal.append(Record::Task(Box::new(large)));
    assert!(!journal.has_room());
    journal.room().await;
    assert_eq!(journal.store().tasks(RunNo(1), true).await.unwrap().len(), 1);
}

/// A journal whose store cannot be written for so long that it gave up a record of a subflow of the third flow run.
async fn overflown() -> (Arc<FailingJournal>, Journal) {
    let store = FailingJournal::at(1, true);
    let begun = Journal::begin(Arc::clone(&store) as _, Timestamp(0), "Crashed", None).await;
    let journal = begun.unwrap().0;
    let mut below = flow(4, 9);
    (below.root, below.parent) = (RunNo(3), Some(spot(3, 0)));
    for flow in [flow(1, 7), flow(3, 8), below] {
        journal.append(Record::from(flow));
    }
    assert!(journal.flush().await.is_err(), "the disk is full");
    // Shared, so that it takes its room once.
    let large: Arc<[u8]> = vec![0; ROOM_BYTES].into();
    for node in 0..4 {
        let mut row = task(spot(1, node));
        row.result = Some(Arc::clone(&large));
        journal.append(Record::from(row));
    }
    journal.append(Record::from(task(spot(4, 0))));
    (store, journal)
}

#[tokio::test(start_paused = true)]
async fn who_asks_is_told_that_records_were_given_up_also_after_the_disk_has_room_again() {
    let (store, journal) = overflown().await;
    let full = |error: JournalResult<()>| matches!(error, Err(JournalError::Io { .. }));
    assert!(full(journal.flush().await) && full(journal.flush_of(RunNo(1)).await));
    store.mend();
    let incomplete = |error: JournalResult<()>| matches!(error, Err(JournalError::Incomplete { .. }));
    journal.flush_taken().await.unwrap();
    assert!(journal.store().flow(8).await.unwrap().is_some());
    for _ in 0..2 {
        // Whoever else was told.
        assert!(incomplete(journal.flush().await));
        assert!(incomplete(journal.flush_of(RunNo(3)).await));
    }
    // Nothing of this one is missing, nor of what comes.
    journal.flush_of(RunNo(1)).await.unwrap();
    journal.append(Record::from(flow(5, 10)));
    journal.flush_of(RunNo(5)).await.unwrap();
    assert!(incomplete(journal.rest().await), "and at last once more");
}

#[test]
fn what_was_appended_is_written_when_everybody_is_gone() {
    let store: Arc<dyn JournalStore> = Arc::new(MemoryJournal::new());
    let tokio = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let begin = async || {
        let begun = Journal::begin(Arc::clone(&store), Timestamp(0), "Crashed", None).await;
        begun.unwrap().0
    };
    // The journal first: its task has not even begun when nobody else holds it any more.
    tokio().block_on(async {
        let journal = begin().await;
        journal.append(Record::from(flow(1, 7)));
        let writer = journal.0.lock().writer.take().unwrap();
        drop(journal);
        writer.await.unwrap();
    });
    // Tokio first.
    let ending = tokio();
    let journal = ending.block_on(async {
        let journal = begin().await;
        journal.append(Record::from(flow(2, 8)));
        journal
    });
    drop(ending);
    drop(journal);
    // Both at once, from within.
    tokio().block_on(async {
        begin().await.append(Record::from(flow(3, 9)));
    });
    tokio().block_on(async {
        for id in 7..10 {
            assert!(store.flow(id).await.unwrap().is_some(), "{id}");
        }
    });
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_written_is_let_go_when_everybody_is_gone() {
    let store = FailingJournal::at(1, true);
    let begun = Journal::begin(Arc::clone(&store) as _, Timestamp(0), "Crashed", None).await;
    let journal = begun.unwrap().0;
    journal.append(Record::from(flow(1, 7)));
    let writer = journal.0.lock().writer.take().unwrap();
    drop(journal);
    writer.await.unwrap();
    assert_eq!(store.operations(), 1 + LAST_TRIES as usize);
    assert_eq!(Arc::strong_count(&store), 1);
}
