//! Data sets in an S3 server, which runs in this process on files.

use std::sync::Arc;

use flowkit_etl::arrow_array::RecordBatch;
use flowkit_etl::arrow_schema::DataType;
use flowkit_etl::object::Bucket;
use flowkit_etl::sink::{Compression, FileFormat, LoadId, Mode, ObjectSink, Sink, SqlSink};
use flowkit_etl::source::{ObjectSource, Source, SqlSource};
use flowkit_etl::{BatchStream, Error, ErrorKind};
use futures::StreamExt;

use crate::databases::servers::{Kind, on};
use crate::plants::{Plant, columns, plants, stream};
use crate::s3_server::{Asked, Fault, S3};

fn load(name: &str) -> LoadId {
    LoadId::new(name).unwrap()
}

async fn rows(bucket: &Bucket) -> Vec<Plant> {
    ObjectSource::new(bucket)
        .open()
        .await
        .unwrap()
        .collect_rows()
        .await
        .unwrap()
}

/// The names of all objects but the ledger's.
fn objects(server: &S3) -> usize {
    glob_count(server.directory.path().join("plants"))
}

fn glob_count(directory: std::path::PathBuf) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.path().is_dir() {
            true => glob_count(entry.path()),
            false => usize::from(entry.file_name().to_string_lossy().starts_with("part-")),
        })
        .sum()
}

#[tokio::test]
async fn a_load_appears_as_a_whole_and_once() {
    let server = S3::start().await;
    let bucket = server.bucket("lake/maize");
    assert_eq!(
        ObjectSource::new(&bucket).open().await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let (first, second) = (plants(20_000), plants(10));
    let sink = ObjectSink::new(&bucket);
    for turn in 0..10 {
        let loaded = sink.load(&load("b"), stream(&first)).await.unwrap();
        assert_eq!((loaded.rows, loaded.repeated), (20_000, turn > 0));
        assert!(
            loaded.files[0].starts_with("s3://plants/lake/maize/load=b/part-"),
            "{loaded:?}"
        );
    }
    sink.load(&load("a"), stream(&second)).await.unwrap();
    assert_eq!(rows(&bucket).await, [first.clone(), second.clone()].concat());
    let only: Vec<Plant> = ObjectSource::new(&bucket)
        .load(load("a"))
        .open()
        .await
        .unwrap()
        .collect_rows()
        .await
        .unwrap();
    assert_eq!(only, second);
    // In place of all of them; those are gone, and known.
    sink.clone()
        .mode(Mode::Replace)
        .load(&load("c"), stream(&second))
        .await
        .unwrap();
    assert_eq!(rows(&bucket).await, second);
    assert_eq!(objects(&server), 1);
    assert!(sink.load(&load("b"), stream(&first)).await.unwrap().repeated);
}

#[tokio::test]
async fn a_load_that_fails_is_not_seen() {
    let server = S3::start().await;
    let bucket = server.bucket("");
    let rows_there = plants(10);
    let sink = ObjectSink::new(&bucket);
    sink.load(&load("1"), stream(&rows_there)).await.unwrap();
    let broken = stream(&plants(20_000)).chain(futures::stream::once(async {
        Err(Error::new(ErrorKind::Unavailable, "it went away"))
    }));
    let broken = BatchStream::new(stream(&rows_there).schema().clone(), broken);
    assert_eq!(
        sink.load(&load("2"), broken).await.unwrap_err().to_string(),
        "it went away"
    );
    let other = RecordBatch::new_empty(columns(&[("other", DataType::Utf8)]));
    let error = sink
        .load(&load("2"), BatchStream::of(other.schema(), vec![other]))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    assert_eq!((rows(&bucket).await, objects(&server)), (rows_there, 1));
}

#[tokio::test]
async fn a_load_that_is_dropped_in_the_middle_of_an_upload_takes_its_parts_back() {
    let server = S3::start().await;
    let schema = columns(&[("text", DataType::Utf8)]);
    let texts: Vec<String> = (0..20_000).map(|number| format!("{number:01000}")).collect();
    let texts = Arc::new(flowkit_etl::arrow_array::StringArray::from(texts));
    let batch = RecordBatch::try_new(schema.clone(), vec![texts]).unwrap();
    let sink = ObjectSink::new(&server.bucket("")).format(FileFormat::Csv, Compression::None);
    let (reached, mut reaches) = tokio::sync::mpsc::unbounded_channel();
    server.faults(move |asked| {
        if asked.path.contains("partNumber=") {
            reached.send(()).unwrap();
        }
        Fault::None
    });
    let name = load("1");
    tokio::select! {
        biased;
        _ = reaches.recv() => {}
        loaded = sink.load(&name, BatchStream::of(schema, vec![batch])) => panic!("{loaded:?}"),
    }
    let takes_back = |asked: &Asked| asked.method == "DELETE" && asked.path.contains("uploadId=");
    while !server.asked().iter().any(takes_back) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn those_who_load_at_a_time_are_all_there_and_equal_ones_once() {
    let server = S3::start().await;
    let bucket = server.bucket("lake");
    let all = plants(40);
    let loads = (0..12).map(|number| {
        let (bucket, rows) = (bucket.clone(), all.clone());
        // Each name twice.
        async move {
            ObjectSink::new(&bucket)
                .load(&load(&format!("{}", number / 2)), stream(&rows))
                .await
                .unwrap()
                .repeated
        }
    });
    let repeated = futures::future::join_all(loads).await;
    assert_eq!(repeated.iter().filter(|repeated| **repeated).count(), 6);
    assert_eq!((rows(&bucket).await.len(), objects(&server)), (6 * 40, 6));
}

#[tokio::test]
async fn a_cursor_is_kept_with_the_objects() {
    let server = S3::start().await;
    let bucket = server.bucket("lake");
    on(Kind::Sqlite, |place| {
        let bucket = bucket.clone();
        async move {
            let raw = SqlSink::new(&place.database, "raw");
            raw.load(&load("1"), stream(&plants(5))).await.unwrap();
            let sink = ObjectSink::new(&bucket);
            let since = sink.since("raw").await.unwrap();
            let source = SqlSource::table(&place.database, "raw");
            let stale = source.clone().since("day", since.clone()).open().await.unwrap();
            sink.load(
                &load("1"),
                source.clone().since("day", since).open().await.unwrap(),
            )
            .await
            .unwrap();
            assert_eq!(
                sink.load(&load("2"), stale).await.unwrap_err().kind(),
                ErrorKind::Conflict
            );
            raw.load(&load("2"), stream(&plants(7)[5..])).await.unwrap();
            let since = sink.since("raw").await.unwrap();
            let loaded = sink
                .load(&load("3"), source.since("day", since).open().await.unwrap())
                .await
                .unwrap();
            assert_eq!((loaded.rows, rows(&bucket).await.len()), (2, 7));
        }
    })
    .await;
}

#[tokio::test]
async fn a_secret_is_in_no_error_and_an_address_that_is_none_is_told() {
    let server = S3::start().await;
    let locked = Bucket::of(server.store("wrong-hunter2"), "s3://plants", "").unwrap();
    let error = ObjectSource::new(&locked).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Access, "{error:?}");
    assert!(!format!("{error:?} {locked:?}").contains("hunter2"), "{error:?}");
    for address in ["plants", "s3://", "ftp://plants"] {
        assert_eq!(
            Bucket::open(address).unwrap_err().kind(),
            ErrorKind::Options,
            "{address}"
        );
    }
}

/// Rows in an order of their own, since partitions have theirs.
fn sorted(mut rows: Vec<Plant>) -> Vec<Plant> {
    rows.sort_by(|a, b| a.plant.cmp(&b.plant));
    rows
}

#[tokio::test]
async fn a_load_is_of_any_format_and_parted_by_columns() {
    let server = S3::start().await;
    let all = plants(3_000);
    let formats = [
        (FileFormat::Csv, Compression::None, ".csv"),
        (FileFormat::Csv, Compression::Gzip, ".csv.gz"),
        (FileFormat::JsonLines, Compression::Zstd, ".jsonl.zst"),
        (FileFormat::Parquet, Compression::None, ".parquet"),
    ];
    for (number, (format, compression, end)) in formats.into_iter().enumerate() {
        let bucket = server.bucket(&format!("lake{number}"));
        let sink = ObjectSink::new(&bucket).format(format, compression);
        // A value that is no name of an object is written as one.
        let mut odd = all.clone();
        odd[0].scenario = "half/dry 50%".to_owned();
        let by = sink.clone().partition_by(["scenario", "day"]);
        let loaded = by.load(&load("1"), stream(&odd)).await.unwrap();
        assert_eq!((loaded.rows, loaded.files.len()), (3_000, 41), "{end}");
        let parted = |file: &&String| file.contains("/load=1/scenario=W") && file.contains("/day=");
        assert_eq!(
            loaded.files.iter().filter(parted).count(),
            40,
            "{:?}",
            loaded.files
        );
        assert!(
            loaded.files.iter().all(|file| file.ends_with(end)),
            "{:?}",
            loaded.files
        );
        let (second, third) = (plants(10), sink.clone().rows_per_file(1_000));
        third.load(&load("2"), stream(&second)).await.unwrap();
        assert_eq!(
            sorted(rows(&bucket).await),
            sorted([odd.clone(), second].concat()),
            "{end}"
        );
        // The columns are in their own order, with their own types.
        let opened = ObjectSource::new(&bucket).load(load("1")).open().await.unwrap();
        assert_eq!(opened.schema().fields(), stream(&all).schema().fields());
        for _ in 0..10 {
            assert!(by.load(&load("1"), stream(&all)).await.unwrap().repeated);
        }
        assert_eq!(rows(&bucket).await.len(), 3_010);
    }
    let compressed = ObjectSink::new(&server.bucket("x")).format(FileFormat::Parquet, Compression::Gzip);
    let error = compressed.load(&load("1"), stream(&all)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Options);
    let absent = ObjectSink::new(&server.bucket("x")).partition_by(["absent"]);
    let error = absent.load(&load("1"), stream(&all)).await.unwrap_err();
    assert!(
        error.to_string().contains("cannot partition by `absent`"),
        "{error}"
    );
    assert_eq!(glob_count(server.directory.path().join("plants/x")), 0);
}

#[tokio::test]
async fn a_commit_of_which_the_answer_was_lost_is_one_and_keeps_its_objects() {
    let server = S3::start().await;
    let (bucket, all) = (server.bucket("lake"), plants(100));
    let mut lost = 0;
    server.faults(move |asked| {
        let commits = asked.method == "PUT" && asked.path.contains("_loads.json");
        lost += usize::from(commits);
        if commits && lost == 1 {
            Fault::Unheard
        } else {
            Fault::None
        }
    });
    let loaded = ObjectSink::new(&bucket)
        .load(&load("1"), stream(&all))
        .await
        .unwrap();
    assert!(!loaded.repeated);
    assert_eq!((rows(&bucket).await, objects(&server)), (all, 1));
}

#[tokio::test]
async fn a_store_that_is_broken_for_a_while_is_asked_again_and_for_ever_is_an_error() {
    let server = S3::start().await;
    let (bucket, all) = (server.bucket("lake"), plants(100));
    let sink = ObjectSink::new(&bucket);
    // Each request fails twice, and then is done.
    let mut failures = std::collections::HashMap::new();
    server.faults(move |asked| {
        let count: &mut usize = failures
            .entry((asked.method.clone(), asked.path.clone()))
            .or_default();
        *count += 1;
        if *count <= 2 {
            Fault::Status(500)
        } else {
            Fault::None
        }
    });
    sink.load(&load("1"), stream(&all)).await.unwrap();
    assert_eq!(rows(&bucket).await, all);
    server.faults(|asked| match asked.method.as_str() {
        "PUT" => Fault::Status(503),
        _ => Fault::None,
    });
    let error = sink.load(&load("2"), stream(&all)).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(rows(&bucket).await, all, "of a load that failed nothing is seen");
    server.faults(|_| Fault::Status(500));
    let error = ObjectSource::new(&bucket).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    server.faults(|_| Fault::None);
    sink.load(&load("2"), stream(&all)).await.unwrap();
    assert_eq!(rows(&bucket).await.len(), 200);
}
