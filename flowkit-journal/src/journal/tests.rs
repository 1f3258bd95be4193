use super::*;
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
