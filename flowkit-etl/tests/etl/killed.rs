//! A process that is killed in the middle of a load.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use flowkit_etl::sink::{DatasetSink, LoadId, Sink};
use flowkit_etl::source::{DatasetSource, Source};
use flowkit_etl::{BatchStream, ErrorKind};
use futures::StreamExt;

use crate::plants::{Plant, plants, stream};

/// The directory into which this program, started once more, is to load.
const DIRECTORY: &str = "FLOWKIT_ETL_TEST_LOAD_INTO";

/// What the second process does: it loads without end, and says so once the first rows are in files.
#[tokio::test]
async fn loads_without_end_when_started_for_that() {
    let Some(root) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let rows = plants(100);
    let schema = stream(&rows).schema().clone();
    let endless = futures::stream::repeat(rows)
        .enumerate()
        .flat_map(|(turn, rows)| {
            if turn == 50 {
                println!("loading");
            }
            stream(&rows)
        });
    let sink = DatasetSink::parquet(root)
        .partition_by(["scenario"])
        .rows_per_file(1000);
    let loaded = sink
        .load(&LoadId::new("1").unwrap(), BatchStream::new(schema, endless))
        .await;
    panic!("it came to an end: {loaded:?}");
}

#[tokio::test]
async fn a_killed_load_is_not_seen_and_what_it_wrote_is_cleared_away_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "killed::loads_without_end_when_started_for_that",
            "--nocapture",
        ])
        .env(DIRECTORY, directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let loading = output.lines().any(|line| line.unwrap().contains("loading"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(loading, "it ended by itself");

    let hidden = |path: &Path| -> usize {
        let names = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with(".staging"))
            .count()
    };
    assert_eq!(hidden(directory.path()), 2, "a directory and its lock");
    let error = DatasetSource::new(directory.path()).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);

    let rows = plants(10);
    let sink = DatasetSink::parquet(directory.path());
    assert!(
        !sink
            .load(&LoadId::new("1").unwrap(), stream(&rows))
            .await
            .unwrap()
            .repeated
    );
    assert_eq!(hidden(directory.path()), 0);
    let back: Vec<Plant> = DatasetSource::new(directory.path())
        .open()
        .await
        .unwrap()
        .collect_rows()
        .await
        .unwrap();
    assert_eq!(back, rows);
}
