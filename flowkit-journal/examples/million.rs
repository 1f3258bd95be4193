//! Measures the journal on disk: a fan-out of a million items, or of as many as the first argument says.
//!
//! `cargo run --release -p flowkit-journal --features sqlite,conformance --example million`
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "it measures and prints"
)]

use std::time::Instant;

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

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let items: u32 = std::env::args()
        .nth(1)
        .map_or(1_000_000, |items| items.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteJournal::open(directory.path()).await.unwrap();
    store.begin(Timestamp(0), "Crashed").await.unwrap();
    let shared = task(spot(1, 0));
    let fan_out = TaskRow {
        kind: NodeKind::FanOut,
        ..shared.clone()
    };
    store.write(&[flow(1, 7).into(), fan_out.into()]).await.unwrap();
    let mut writing = std::time::Duration::ZERO;
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
    let bytes = std::fs::metadata(directory.path().join("journal.sqlite"))
        .unwrap()
        .len();
    println!("{:.1} bytes an item on the disk", bytes as f64 / f64::from(items));

    let start = Instant::now();
    let store = SqliteJournal::open(directory.path()).await.unwrap();
    println!("open: {:?}", start.elapsed());
    let start = Instant::now();
    let beginning = store.begin(Timestamp(9), "Crashed").await.unwrap();
    println!(
        "begin, {} flow run and 1,000 task runs unfinished: {:?}",
        beginning.crashed.len(),
        start.elapsed()
    );
    let start = Instant::now();
    println!(
        "without items: {} in {:?}",
        store.tasks(RunNo(1), false).await.unwrap().len(),
        start.elapsed()
    );
    let start = Instant::now();
    println!(
        "finished: {} in {:?}",
        store.finished(7).await.unwrap().tasks.len(),
        start.elapsed()
    );
    let start = Instant::now();
    for index in 0..1_000 {
        assert!(
            store
                .result(item(1, 0, index * (items / 1_000)))
                .await
                .unwrap()
                .is_some()
        );
    }
    println!("a result: {:?}", start.elapsed() / 1_000);
    let start = Instant::now();
    println!("size: {:?} in {:?}", store.size().await.unwrap(), start.elapsed());
    store.write(&[ended(flow(1, 7), 5).into()]).await.unwrap();
    let nothing = Retention {
        ended_before: None,
        runs: Some(0),
        result_bytes: None,
        log_bytes: None,
        spared: Vec::new(),
    };
    let start = Instant::now();
    let (mut slices, mut longest) = (0, std::time::Duration::ZERO);
    loop {
        let slice = Instant::now();
        slices += 1;
        let more = store.prune(&nothing).await.unwrap().more;
        longest = longest.max(slice.elapsed());
        if !more {
            break;
        }
    }
    println!(
        "prune: {:?} in {slices} slices, the longest {longest:?}",
        start.elapsed()
    );
    println!("left: {:?}", store.size().await.unwrap());
}
