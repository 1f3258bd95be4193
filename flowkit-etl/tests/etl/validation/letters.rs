//! Letters of streams that are read again, dropped, or have their rejects in common.

use std::sync::Arc;

use flowkit_etl::sink::{DatasetSink, LoadId, Loaded, Mode, Sink};
use flowkit_etl::source::{CsvSource, DatasetSource, Source};
use flowkit_etl::validation::Validation;
use flowkit_etl::{BatchStream, DeadLetter, Error, ErrorKind, Reject, Rejects, Result, Tolerance, Violation};
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use super::{COLUMNS, Measurement, lines};

async fn heights(heights: &[f64], rejects: &Rejects) -> BatchStream {
    let record = |height: &f64| json!({"plantName": "a", "scenario": "WW", "plantHeight": height});
    let records: Vec<Value> = heights.iter().map(record).collect();
    Validation::typed::<Measurement>()
        .unwrap()
        .set_aside(Tolerance::ALL, rejects)
        .apply(lines(&records, &COLUMNS).await)
        .unwrap()
}

fn load(name: &str) -> LoadId {
    LoadId::new(name).unwrap()
}

#[tokio::test]
async fn letters_of_a_corrected_file_are_not_taken_for_those_that_were_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let letters: Arc<dyn Sink> = Arc::new(DatasetSink::parquet(directory.path()));
    let read = async |read: &[f64], name: &str| {
        let rejects = Rejects::new();
        let good = heights(read, &rejects).await;
        let good = good.dead_letters(&rejects, letters.clone(), load(name));
        good.collect_rows::<Measurement>().await.map(|rows| rows.len())
    };
    let twenty: Vec<f64> = (0..20).map(|height| -1.0 - f64::from(height)).collect();
    assert_eq!(read(&twenty[..3], "1").await.unwrap(), 0);
    for (corrected, now) in [(&[-1.0, 2.0, 3.0][..], 1), (&twenty[..], 20)] {
        let error = read(corrected, "1").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let expected = format!(
            "3 records that were set aside were loaded as `1` before, and now there are {now}: give the letters another load id, one that changes with what is read; that of the rows can stay"
        );
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(read(&[1.0, 2.0, 3.0], "1").await.unwrap(), 3);
    assert_eq!(read(&[-1.0, 2.0, 3.0], "2").await.unwrap(), 2);
    let there = DatasetSource::new(directory.path()).open().await.unwrap();
    assert_eq!(there.collect_rows::<DeadLetter>().await.unwrap().len(), 4);
}

#[tokio::test]
async fn where_no_record_is_bad_nothing_is_loaded_that_stands_in_the_way_of_letters() {
    let directory = tempfile::tempdir().unwrap();
    let letters: Arc<dyn Sink> = Arc::new(DatasetSink::parquet(directory.path()));
    for (read, there) in [(&[1.0, 2.0][..], 0), (&[1.0, -2.0], 1), (&[1.0, 2.0], 1)] {
        let rejects = Rejects::new();
        let good = heights(read, &rejects).await;
        let good = good.dead_letters(&rejects, letters.clone(), load("1"));
        good.collect_batches().await.unwrap();
        let loads = std::fs::read_dir(directory.path()).unwrap();
        let is_load = |name: &str| name.starts_with("load=");
        let loads = loads.filter(|entry| is_load(entry.as_ref().unwrap().file_name().to_str().unwrap()));
        assert_eq!(loads.count(), there, "{read:?}");
    }
}

#[tokio::test]
async fn a_repeated_load_passes_though_others_came_in_place_of_its_letters() {
    let directory = tempfile::tempdir().unwrap();
    let letters: Arc<dyn Sink> = Arc::new(DatasetSink::parquet(directory.path()).mode(Mode::Replace));
    for (read, name) in [(&[-1.0, -2.0][..], "1"), (&[-3.0], "2"), (&[-1.0, -2.0], "1")] {
        let rejects = Rejects::new();
        let good = heights(read, &rejects).await;
        let good = good.dead_letters(&rejects, letters.clone(), load(name));
        good.collect_batches().await.unwrap();
    }
    let there = DatasetSource::new(directory.path()).open().await.unwrap();
    assert_eq!(there.collect_rows::<DeadLetter>().await.unwrap().len(), 1);
}

/// Is full after one batch.
#[derive(Debug)]
struct Full;

impl Sink for Full {
    fn load<'a>(&'a self, _: &'a LoadId, mut batches: BatchStream) -> BoxFuture<'a, Result<Loaded>> {
        async move {
            drop(batches.next().await);
            Err(Error::new(ErrorKind::Full, "there is no room"))
        }
        .boxed()
    }
}

#[tokio::test]
async fn an_attempt_after_one_whose_letters_failed_loads_its_own_letters_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plants.csv");
    let lines: Vec<String> = (0..500).map(|number| format!("p{number},tall\n")).collect();
    std::fs::write(&path, format!("plant,height\np,1\n{}", lines.concat())).unwrap();
    let schema = crate::plants::columns(&[
        ("plant", flowkit_etl::arrow_schema::DataType::Utf8),
        ("height", flowkit_etl::arrow_schema::DataType::Int64),
    ]);
    let sinks: [Arc<dyn Sink>; 2] = [
        Arc::new(Full),
        Arc::new(DatasetSink::parquet(directory.path().join("letters"))),
    ];
    let rejects = Rejects::new();
    let mut ends = Vec::new();
    for sink in sinks {
        let source = CsvSource::new(&path).schema(schema.clone()).batch_rows(100);
        let read = source.set_aside(Tolerance::ALL, &rejects).open().await.unwrap();
        let read = read
            .dead_letters(&rejects, sink, load("1"))
            .collect_batches()
            .await;
        ends.push(read.err().map(|error| error.kind()));
    }
    assert_eq!(ends, [Some(ErrorKind::Full), None]);
    let there = DatasetSource::new(directory.path().join("letters"))
        .open()
        .await
        .unwrap();
    assert_eq!(there.collect_rows::<DeadLetter>().await.unwrap().len(), 500);
}

/// Has read all, and waits before it commits.
#[derive(Debug)]
struct Waiting {
    go_on: Arc<Notify>,
    told: mpsc::UnboundedSender<&'static str>,
}

/// Tells that a load is over.
struct Over(mpsc::UnboundedSender<&'static str>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.send("over").unwrap();
    }
}

impl Sink for Waiting {
    fn load<'a>(&'a self, load: &'a LoadId, batches: BatchStream) -> BoxFuture<'a, Result<Loaded>> {
        async move {
            let _over = Over(self.told.clone());
            batches.collect_batches().await?;
            self.told.send("all read").unwrap();
            self.go_on.notified().await;
            self.told.send("committed").unwrap();
            Ok(Loaded {
                load: load.clone(),
                rows: 1,
                bytes: 0,
                files: Vec::new(),
                repeated: false,
            })
        }
        .boxed()
    }
}

#[tokio::test]
async fn letters_of_a_stream_that_is_dropped_at_its_end_are_not_committed() {
    let (told, mut hears) = mpsc::unbounded_channel();
    let (rejects, go_on) = (Rejects::new(), Arc::new(Notify::new()));
    let sink = Waiting {
        go_on: go_on.clone(),
        told,
    };
    let good = heights(&[-1.0], &rejects).await;
    let good = good.dead_letters(&rejects, Arc::new(sink), load("1"));
    tokio::select! {
        read = good.collect_batches() => panic!("it did not wait for its letters: {read:?}"),
        said = hears.recv() => assert_eq!(said, Some("all read")),
    }
    go_on.notify_one();
    assert_eq!(hears.recv().await, Some("over"));
}

#[tokio::test]
async fn rejects_are_taken_by_one_stream_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let letters: Arc<dyn Sink> = Arc::new(DatasetSink::parquet(directory.path()));
    let rejects = Rejects::new();
    let first = heights(&[-1.0, -2.0], &rejects).await;
    let mut first = first.dead_letters(&rejects, letters.clone(), load("1"));
    assert!(first.next().await.unwrap().is_ok());
    let second = heights(&[-3.0], &rejects).await;
    let second = second.dead_letters(&rejects, letters.clone(), load("2"));
    let error = second.collect_batches().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Options);
    assert_eq!(
        error.to_string(),
        "these rejects are taken by another stream: give each its own"
    );
    // What is found ahead of a stream that is dropped is no letter of the next one.
    rejects.reject(Reject {
        origin: "ahead".into(),
        line: None,
        record: 7,
        violations: vec![Violation::new("height", "-7", "lower than 0")],
        content: String::new(),
    });
    drop(first);
    let third = heights(&[-4.0], &rejects).await;
    let third = third.dead_letters(&rejects, letters, load("3"));
    third.collect_batches().await.unwrap();
    let there = DatasetSource::new(directory.path()).open().await.unwrap();
    let there: Vec<DeadLetter> = there.collect_rows().await.unwrap();
    let values: Vec<&str> = there.iter().map(|letter| letter.reason.as_str()).collect();
    assert_eq!(values, ["plantHeight is \"-4.0\": lower than 0"]);
}
