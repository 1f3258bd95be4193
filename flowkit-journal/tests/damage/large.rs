//! How long it takes to open a large journal that is damaged: `cargo test --release -p flowkit-journal --all-features --test damage -- --ignored --nocapture`.
//! `FLOWKIT_TRIALS=200` before it damages more of them than 60, and `FLOWKIT_MEGABYTES=1000` larger ones than 100.

use std::path::Path;
use std::time::Duration;

use flowkit_journal::conformance::rows::{ended, flow, log, spot, task, with_result};
use flowkit_journal::record::{Record, TaskRow, Timestamp};
use flowkit_journal::{JournalStore, RunFilter, SqliteJournal};

use tokio::time::Instant;

use super::answered;
use super::hurt::{copy_all, damage, files, numbers, tell, trials};

/// How many task runs a flow run has.
const TASKS: u32 = 2_000;

/// What a task run returned.
fn result(run: u64, node: u32) -> Vec<u8> {
    let size = if node.is_multiple_of(500) { 10_000 } else { 80 };
    (run * 10_000 + u64::from(node)).to_le_bytes().repeat(size / 8)
}

/// Writes a journal of so many bytes at least, and leaves it as a process does that is killed. Gives how many flow runs it has.
async fn write(directory: &Path, bytes: u64) -> u64 {
    let place = tempfile::tempdir().unwrap();
    let store = SqliteJournal::open(place.path()).await.unwrap();
    store.begin(Timestamp(0), "Crashed").await.unwrap();
    let mut runs = 0;
    while store.size().await.unwrap().disk_bytes < bytes {
        runs += 1;
        // Every tenth goes on.
        let row = flow(runs, runs.into());
        let row = if runs.is_multiple_of(10) {
            row
        } else {
            ended(row, 9)
        };
        let mut batch: Vec<Record> = vec![row.into()];
        for node in 0..TASKS {
            let place = spot(runs, node);
            let row = TaskRow {
                place: Some([node as u8; 16]),
                inputs: vec![[1; 16]],
                ended: (node % 100 != 7 || !runs.is_multiple_of(10)).then_some(Timestamp(2_100_000)),
                ..task(place)
            };
            batch.push(with_result(row, &result(runs, node)).into());
            if node % 10 == 0 {
                batch.push(
                    log(
                        runs,
                        Some(place),
                        "a line of log of the usual length, more or less",
                    )
                    .into(),
                );
            }
        }
        store.write(&batch).await.unwrap();
    }
    copy_all(place.path(), directory);
    runs
}

#[ignore = "it takes a minute, and prints what it measured"]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_large_journal_that_is_damaged_is_opened_and_begun_or_says_why_not() {
    let megabytes: u64 = std::env::var("FLOWKIT_MEGABYTES").map_or(100, |said| said.parse().unwrap());
    let sound = tempfile::tempdir().unwrap();
    let runs = write(sound.path(), megabytes << 20).await;
    let (mut looks, mut openings) = (Vec::new(), Vec::new());
    let mut there = 0;
    for seed in 0..trials(60) {
        let directory = tempfile::tempdir().unwrap();
        copy_all(sound.path(), directory.path());
        let mut random = numbers(seed);
        let databases: Vec<_> = files(directory.path())
            .into_iter()
            .filter(|file| file.display().to_string().contains("journal.sqlite"))
            .collect();
        let what = damage(&databases[random(databases.len())], &mut random);
        let start = Instant::now();
        let looked = answered(SqliteJournal::open_read_only(directory.path()).await);
        looks.push(start.elapsed());
        drop(looked);
        let start = Instant::now();
        let store = answered(SqliteJournal::open(directory.path()).await);
        let begun = match &store {
            Some(store) => answered(store.begin(Timestamp(60_000_000), "Crashed").await).is_some(),
            None => false,
        };
        openings.push(start.elapsed());
        println!(
            "{:?}: seed {seed}: {what}, begun: {begun}",
            openings.last().unwrap_or(&Duration::ZERO)
        );
        if let Some(store) = store {
            there += answered(store.flows(&RunFilter::default()).await)
                .unwrap_or_default()
                .len() as u64;
            for _ in 0..50 {
                let (run, node) = (1 + random(runs as usize) as u64, random(TASKS as usize) as u32);
                if let Some(Some(found)) = answered(store.result(spot(run, node)).await) {
                    assert_eq!(found, result(run, node));
                }
            }
        }
    }
    tell("to look at", looks);
    tell("to write", openings);
    println!("{there} flow runs of {runs} in each were there");
    assert!(there > runs, "some damage hurts nothing");
}
