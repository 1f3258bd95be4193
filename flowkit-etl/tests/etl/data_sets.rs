//! Directories that grow load by load.

use std::fs;
use std::path::Path;

use flowkit_etl::arrow_schema::DataType;
use flowkit_etl::sink::{Compression, DatasetSink, FileFormat, LoadId, Mode, Sink};
use flowkit_etl::source::{DatasetSource, Source};
use flowkit_etl::{BatchStream, Error, ErrorKind, Result, batch_of};
use futures::StreamExt;

use crate::plants::{Plant, columns, plants, stream};

fn id(name: &str) -> LoadId {
    LoadId::new(name).unwrap()
}

async fn read(root: &Path) -> Result<Vec<Plant>> {
    DatasetSource::new(root).open().await?.collect_rows().await
}

fn sorted(mut rows: Vec<Plant>) -> Vec<Plant> {
    rows.sort_by(|a, b| a.plant.cmp(&b.plant));
    rows
}

#[tokio::test]
async fn loads_add_up_and_a_load_repeated_ten_times_is_a_load_made_once() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("lake");
    let sink = DatasetSink::parquet(&root);
    let rows = plants(100);
    let first = sink.load(&id("monday"), stream(&rows[..60])).await.unwrap();
    for _ in 0..10 {
        let again = sink.load(&id("monday"), stream(&rows[..60])).await.unwrap();
        assert!(again.repeated);
        assert_eq!((again.rows, &again.files), (first.rows, &first.files));
    }
    sink.load(&id("tuesday"), stream(&rows[60..])).await.unwrap();
    assert_eq!(read(&root).await.unwrap(), rows);
    let monday = DatasetSource::new(&root).load(id("monday"));
    assert_eq!(
        monday
            .open()
            .await
            .unwrap()
            .collect_rows::<Plant>()
            .await
            .unwrap(),
        rows[..60]
    );
}

#[tokio::test]
async fn partitions_are_directories_and_their_columns_come_back_in_place_and_type() {
    let directory = tempfile::tempdir().unwrap();
    let rows = plants(1000);
    for format in [FileFormat::Csv, FileFormat::JsonLines, FileFormat::Parquet] {
        let root = directory.path().join(format.extension());
        let sink = DatasetSink::new(&root, format).partition_by(["scenario", "day"]);
        let loaded = sink.load(&id("1"), stream(&rows)).await.unwrap();
        assert_eq!(loaded.files.len(), 40, "each day has one scenario");
        assert!(root.join("load=1/scenario=WD/day=39").is_dir());
        assert!(
            sorted(read(&root).await.unwrap()) == sorted(rows.clone()),
            "{format:?}"
        );
    }
}

#[tokio::test]
async fn more_partitions_than_files_may_be_open_and_few_rows_a_file_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let rows: Vec<Plant> = (0..3)
        .flat_map(|_| plants(300))
        .enumerate()
        .map(|(at, plant)| Plant {
            day: (at % 300) as i64,
            ..plant
        })
        .collect();
    let schema = stream(&rows).schema().clone();
    let batches = rows
        .chunks(100)
        .map(|chunk| batch_of(&schema, chunk).unwrap())
        .collect();
    let sink = DatasetSink::new(directory.path(), FileFormat::Csv)
        .compression(Compression::Gzip)
        .partition_by(["day"]);
    let loaded = sink
        .load(&id("1"), BatchStream::of(schema, batches))
        .await
        .unwrap();
    assert!(
        loaded.files.len() > 300,
        "some were closed and begun again: {}",
        loaded.files.len()
    );
    assert!(loaded.files.iter().all(|file| file.ends_with(".csv.gz")));
    assert_eq!(
        sorted(read(directory.path()).await.unwrap()),
        sorted(rows.clone())
    );

    let sink = DatasetSink::parquet(directory.path())
        .rows_per_file(100)
        .mode(Mode::Replace);
    let batches = stream(&rows).schema().clone();
    let chunks = rows
        .chunks(50)
        .map(|chunk| batch_of(&batches, chunk).unwrap())
        .collect();
    let loaded = sink
        .load(&id("2"), BatchStream::of(batches, chunks))
        .await
        .unwrap();
    assert_eq!(loaded.files.len(), 9);
    assert_eq!(read(directory.path()).await.unwrap(), rows);
}

#[tokio::test]
async fn missing_and_odd_values_name_directories_and_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let schema = columns(&[("name", DataType::Utf8), ("value", DataType::Int64)]);
    let odd = ["a/b", "..", "", "x=y %", "ä", "__HIVE_DEFAULT_PARTITION__"];
    let mut rows: Vec<serde_json::Value> = odd
        .iter()
        .map(|name| serde_json::json!({"name": name, "value": 1}))
        .collect();
    rows.push(serde_json::json!({"name": null, "value": 2}));
    let batch = batch_of(&schema, &rows).unwrap();
    let sink = DatasetSink::new(directory.path(), FileFormat::JsonLines).partition_by(["name"]);
    sink.load(&id("1"), BatchStream::of(schema, vec![batch]))
        .await
        .unwrap();
    #[derive(Debug, serde::Deserialize)]
    struct Row {
        name: Option<String>,
        value: i64,
    }
    let back: Vec<Row> = DatasetSource::new(directory.path())
        .open()
        .await
        .unwrap()
        .collect_rows()
        .await
        .unwrap();
    let mut names: Vec<&str> = back.iter().filter_map(|row| row.name.as_deref()).collect();
    names.sort_unstable();
    let mut expected = odd;
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert!(back.iter().any(|row| row.name.is_none() && row.value == 2));
}

#[tokio::test]
async fn a_replacing_load_is_all_there_is_and_one_that_was_replaced_is_not_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let sink = DatasetSink::parquet(directory.path()).mode(Mode::Replace);
    let rows = plants(30);
    for (name, rows) in [("a", &rows[..10]), ("b", &rows[10..20]), ("c", &rows[20..])] {
        sink.load(&id(name), stream(rows)).await.unwrap();
        assert_eq!(read(directory.path()).await.unwrap(), rows);
    }
    for name in ["a", "b"] {
        assert!(sink.load(&id(name), stream(&rows)).await.unwrap().repeated);
    }
    assert_eq!(read(directory.path()).await.unwrap(), rows[20..]);
    assert!(!directory.path().join("load=a").exists());
}

#[tokio::test]
async fn a_load_whose_record_was_lost_is_told_and_not_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let sink = DatasetSink::parquet(root);
    let rows = plants(20);
    for (name, rows) in [("1", &rows[..10]), ("2", &rows[10..])] {
        sink.load(&id(name), stream(rows)).await.unwrap();
    }
    let (record, aside) = (root.join("load=2/_load.json"), root.join("aside.json"));
    fs::rename(&record, &aside).unwrap();
    let loaded = sink.load(&id("3"), stream(&rows)).await;
    for error in [read(root).await.unwrap_err(), loaded.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Format, "{error:?}");
        assert!(error.to_string().contains("load=2 has no record"), "{error}");
    }
    fs::rename(&aside, &record).unwrap();
    assert_eq!(read(root).await.unwrap(), rows);
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_told_though_what_is_left_can_be_read() {
    for format in [FileFormat::Csv, FileFormat::JsonLines] {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let sink = DatasetSink::new(root, format);
        sink.load(&id("1"), stream(&plants(100))).await.unwrap();
        let parts = fs::read_dir(root.join("load=1"))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let part = parts
            .into_iter()
            .find(|path| !path.ends_with("_load.json"))
            .unwrap();
        let text = fs::read_to_string(&part).unwrap();
        let half = text.lines().count() / 2;
        let lines: String = text.split_inclusive('\n').take(half - half % 2 + 1).collect();
        fs::write(&part, lines).unwrap();
        let error = read(root).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format, "{error:?}");
        assert!(
            error.to_string().contains("the record of the load `1` says 100"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_load_of_other_columns_is_refused_before_anything_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let sink = DatasetSink::parquet(directory.path());
    sink.load(&id("1"), stream(&plants(1))).await.unwrap();
    let schema = columns(&[("weight", DataType::Float64)]);
    let unread = BatchStream::new(schema.clone(), futures::stream::pending());
    let error = sink.load(&id("2"), unread).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    assert!(
        error.to_string().contains("(weight Float64) are to be added"),
        "{error}"
    );
    for columns in [vec!["age"], vec!["weight"]] {
        let unread = BatchStream::new(schema.clone(), futures::stream::pending());
        let sink = DatasetSink::parquet(directory.path().join("other")).partition_by(columns);
        assert_eq!(
            sink.load(&id("2"), unread).await.unwrap_err().kind(),
            ErrorKind::Options
        );
    }
}

#[tokio::test]
async fn a_load_that_fails_half_way_is_not_seen_and_can_be_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let sink = DatasetSink::parquet(directory.path());
    let rows = plants(10);
    let half = stream(&rows[..5]);
    let schema = half.schema().clone();
    let cut = half.chain(futures::stream::iter([Err(Error::new(
        ErrorKind::Unavailable,
        "cut off",
    ))]));
    sink.load(&id("1"), BatchStream::new(schema, cut))
        .await
        .unwrap_err();
    assert_eq!(
        read(directory.path()).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert!(!sink.load(&id("1"), stream(&rows)).await.unwrap().repeated);
    assert_eq!(read(directory.path()).await.unwrap(), rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn loads_at_one_time_are_all_there_and_of_one_name_only_one() {
    let directory = tempfile::tempdir().unwrap();
    let sink = DatasetSink::parquet(directory.path());
    let loads = (0..12).map(|number| {
        let sink = sink.clone();
        tokio::spawn(async move {
            sink.load(&id(&format!("l{}", number / 2)), stream(&plants(50)))
                .await
                .unwrap()
        })
    });
    let loaded = futures::future::join_all(loads).await;
    let made = loaded
        .into_iter()
        .filter(|loaded| !loaded.as_ref().unwrap().repeated)
        .count();
    assert_eq!(made, 6);
    assert_eq!(read(directory.path()).await.unwrap().len(), 300);
    let hidden = fs::read_dir(directory.path()).unwrap().filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with(".staging")
    });
    assert_eq!(hidden.count(), 0);
}

#[tokio::test]
async fn an_empty_load_counts_and_keeps_its_columns() {
    let directory = tempfile::tempdir().unwrap();
    let sink = DatasetSink::parquet(directory.path()).partition_by(["day"]);
    let loaded = sink.load(&id("1"), stream(&[])).await.unwrap();
    assert_eq!((loaded.rows, loaded.files.len()), (0, 0));
    assert!(sink.load(&id("1"), stream(&plants(1))).await.unwrap().repeated);
    let source = DatasetSource::new(directory.path()).open().await.unwrap();
    assert_eq!(source.schema().fields().len(), 4);
    assert!(source.collect_rows::<Plant>().await.unwrap().is_empty());
}

#[tokio::test]
async fn only_a_load_that_replaces_says_what_was_superseded_and_all_of_it_stays_known() {
    let directory = tempfile::tempdir().unwrap();
    let sink = DatasetSink::parquet(directory.path());
    let replacing = sink.clone().mode(Mode::Replace);
    let rows = plants(10);
    replacing.load(&id("a"), stream(&rows)).await.unwrap();
    replacing.load(&id("b"), stream(&rows)).await.unwrap();
    sink.load(&id("c"), stream(&rows)).await.unwrap();
    let record: serde_json::Value =
        serde_json::from_slice(&fs::read(directory.path().join("load=c/_load.json")).unwrap()).unwrap();
    assert_eq!(record["supersedes"], serde_json::json!([]));
    // What could not be removed is removed by the next load, of whatever kind.
    fs::create_dir(directory.path().join("load=a")).unwrap();
    sink.load(&id("d"), stream(&rows)).await.unwrap();
    assert!(!directory.path().join("load=a").exists());
    replacing.load(&id("e"), stream(&rows)).await.unwrap();
    for name in ["a", "b", "c", "d", "e"] {
        assert!(
            sink.load(&id(name), stream(&rows)).await.unwrap().repeated,
            "{name}"
        );
    }
    assert_eq!(read(directory.path()).await.unwrap(), rows);
}

#[tokio::test]
async fn a_load_that_is_dropped_once_all_was_handed_over_is_not_committed() {
    let directory = tempfile::tempdir().unwrap();
    let sink = DatasetSink::parquet(directory.path());
    sink.load(&id("1"), stream(&plants(1))).await.unwrap();
    // Nobody can commit while this is held.
    let lock = fs::OpenOptions::new()
        .write(true)
        .open(directory.path().join(".lock"))
        .unwrap();
    lock.lock().unwrap();
    let rows = stream(&plants(5));
    let schema = rows.schema().clone();
    let (ended, ends) = tokio::sync::oneshot::channel();
    let told = futures::stream::once(async move {
        ended.send(()).unwrap();
    });
    let ending = rows.chain(told.filter_map(|()| async { None }));
    let name = id("2");
    tokio::select! {
        loaded = sink.load(&name, BatchStream::new(schema, ending)) => panic!("{loaded:?}"),
        _ = ends => {}
    }
    lock.unlock().unwrap();
    let staged = || {
        let entries = fs::read_dir(directory.path()).unwrap();
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with(".staging"))
    };
    while staged() {
        tokio::task::yield_now().await;
    }
    assert_eq!(read(directory.path()).await.unwrap().len(), 1);
    assert!(!sink.load(&name, stream(&plants(5))).await.unwrap().repeated);
}
