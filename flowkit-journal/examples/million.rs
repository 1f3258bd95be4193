//! Measures the journal on disk: a fan-out of a million items, or of as many as the first argument says.
//!
//! `cargo run --release -p flowkit-journal --features sqlite,conformance --example million`
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "it measures and prints"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use flowkit_journal::conformance::rows::{ended, flow, item, spot, task};
use flowkit_journal::record::{NodeKind, Record, RunNo, TaskRow, Timestamp};
use flowkit_journal::{JournalStore, Retention, SqliteJournal};

const BATCH: u32 = 1_000;

/// An item as the engine writes one: an input digest, a result of ten bytes, and times some milliseconds apart.
fn row(shared: &TaskRow, index: u32) -> Record {
    let created = Timestamp(1_795_000_000_000_000 + i64::from(index) * 37);
    let mut input = [0x5a; 16];
    input[..4].copy_from_slice(&index.wrapping_mul(0x9e37_79b9).to_le_bytes());
    let spot = item(1, 0, index);
    TaskRow {
        spot,
        parent: Some(shared.spot),
        created,
        started: Some(Timestamp(created.0 + 150)),
        ended: Some(Timestamp(created.0 + 2_300 + i64::from(index % 1_000))),
        inputs: vec![input],
        result: Some([&index.to_le_bytes()[..], &[7; 6]].concat().into()),
        ..shared.clone()
    }
    .into()
}

/// Prints how long this took.
async fn timed<T>(what: &str, work: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let done = work.await;
    println!("{what}: {:?}", start.elapsed());
    done
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let items: u32 = std::env::args()
        .nth(1)
        .map_or(1_000_000, |items| items.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), items).await;
    let file = std::fs::metadata(directory.path().join("journal.sqlite")).unwrap();
    println!(
        "{:.1} bytes an item on the disk",
        file.len() as f64 / f64::from(items)
    );
    let store = timed("open", SqliteJournal::open(directory.path()))
        .await
        .unwrap();
    let begin = store.begin(Timestamp(9), "Crashed");
    let what = "begin, 1 flow run and 1,000 task runs unfinished";
    assert_eq!(timed(what, begin).await.unwrap().crashed.len(), 1);
    read(&store, items).await;
    store.write(&[ended(flow(1, 7), 5).into()]).await.unwrap();
    prune(&store).await;
    println!("left: {:?}", store.size().await.unwrap());
}

/// Writes the items, and task runs that have not ended, as a process leaves them that died.
async fn write(directory: &Path, items: u32) {
    let store = SqliteJournal::open(directory).await.unwrap();
    store.begin(Timestamp(0), "Crashed").await.unwrap();
    let shared = task(spot(1, 0));
    let fan_out = TaskRow {
        kind: NodeKind::FanOut,
        ..shared.clone()
    };
    store.write(&[flow(1, 7).into(), fan_out.into()]).await.unwrap();
    let mut writing = Duration::ZERO;
    let all = Instant::now();
    for first in (0..items).step_by(BATCH as usize) {
        let batch: Vec<Record> = (first..(first + BATCH).min(items))
            .map(|index| row(&shared, index))
            .collect();
        let start = Instant::now();
        store.write(&batch).await.unwrap();
        writing += start.elapsed();
    }
    println!(
        "{items} items in batches of {BATCH}: {:.0} rows/s ({:.2} s, with making them {:.2} s)",
        f64::from(items) / writing.as_secs_f64(),
        writing.as_secs_f64(),
        all.elapsed().as_secs_f64()
    );
    let unfinished = (0..1_000).map(|node| {
        TaskRow {
            state: "Running",
            ended: None,
            ..task(spot(1, node + 1))
        }
        .into()
    });
    store.write(&unfinished.collect::<Vec<Record>>()).await.unwrap();
    store.close().await.unwrap();
}

/// Asks what is asked of a large run.
async fn read(store: &SqliteJournal, items: u32) {
    let nodes = timed("all but the items", store.tasks(RunNo(1), false)).await;
    assert_eq!(nodes.unwrap().len(), 1_001);
    let finished = timed("what is finished", store.finished(7)).await.unwrap();
    assert_eq!(
        (finished.tasks.len(), finished.unreadable),
        (items as usize + 1, 0)
    );
    timed("a thousand results, one by one", async {
        for index in 0..1_000 {
            let result = store.result(item(1, 0, index * (items / 1_000)));
            assert!(result.await.unwrap().is_some());
        }
    })
    .await;
    let size = timed("the size", store.size()).await.unwrap();
    println!("{size:?}");
}

/// Clears everything out.
async fn prune(store: &SqliteJournal) {
    let nothing = Retention {
        ended_before: None,
        runs: Some(0),
        result_bytes: None,
        log_bytes: None,
        spared: Vec::new(),
    };
    let start = Instant::now();
    let (mut slices, mut longest, mut more) = (0, Duration::ZERO, true);
    while more {
        let slice = Instant::now();
        slices += 1;
        more = store.prune(&nothing).await.unwrap().more;
        longest = longest.max(slice.elapsed());
    }
    println!(
        "prune: {:?} in {slices} slices, the longest {longest:?}",
        start.elapsed()
    );
}
