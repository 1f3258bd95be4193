//! Data sets in buckets, on each kind of store, and in an S3 server that fails as it is told.

use std::sync::Arc;

use flowkit_etl::arrow_array::cast::AsArray;
use flowkit_etl::arrow_array::{RecordBatch, StringArray};
use flowkit_etl::arrow_schema::DataType;
use flowkit_etl::object::Bucket;
use flowkit_etl::sink::{Compression, FileFormat, LoadId, Mode, ObjectSink, Sink};
use flowkit_etl::source::{ObjectSource, Source};
use flowkit_etl::{BatchStream, Error, ErrorKind};
use futures::StreamExt;

use crate::plants::{Plant, columns, plants, stream};
use crate::s3_server::{Asked, Fault, S3};
use crate::stores::{Place, on_each, parts};

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

#[tokio::test]
async fn a_load_appears_as_a_whole_and_once() {
    on_each(async |place| {
        let bucket = place.bucket("lake/maize");
        assert_eq!(
            ObjectSource::new(&bucket).open().await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        let (first, second) = (plants(20_000), plants(10));
        let sink = ObjectSink::new(&bucket);
        for turn in 0..10 {
            let loaded = sink.load(&load("b"), stream(&first)).await.unwrap();
            assert_eq!((loaded.rows, loaded.repeated), (20_000, turn > 0));
            let under = format!("{}/lake/maize/load=b/part-", place.address());
            assert!(loaded.files[0].starts_with(&under), "{loaded:?}");
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
        assert_eq!(place.parts("").await, 1);
        assert!(sink.load(&load("b"), stream(&first)).await.unwrap().repeated);
    })
    .await;
}

/// 20 MB, which are three parts.
fn large() -> RecordBatch {
    let texts: Vec<String> = (0..20_000).map(|number| format!("{number:01000}")).collect();
    let texts = Arc::new(StringArray::from(texts));
    RecordBatch::try_new(columns(&[("text", DataType::Utf8)]), vec![texts]).unwrap()
}

fn takes_back(asked: &Asked) -> bool {
    asked.method == "DELETE" && asked.path.contains("uploadId=")
}

#[tokio::test]
async fn an_upload_that_fails_takes_its_parts_back_whatever_failed() {
    let server = S3::start().await;
    let batch = large();
    let sink = ObjectSink::new(&server.bucket("")).format(FileFormat::Csv, Compression::None);
    for (method, what) in [
        ("PUT", "partNumber=1&"),
        ("PUT", "partNumber=3&"),
        ("POST", "uploadId="),
    ] {
        server.faults(
            move |asked| match asked.method == method && asked.path.contains(what) {
                true => Fault::Status(500),
                false => Fault::None,
            },
        );
        let batches = BatchStream::of(batch.schema(), vec![batch.clone()]);
        sink.load(&load("1"), batches).await.unwrap_err();
        assert!(server.asked().iter().any(takes_back), "{method} {what}");
    }
}

#[tokio::test]
async fn a_load_that_is_dropped_in_the_middle_of_an_upload_takes_its_parts_back() {
    let server = S3::start().await;
    let batch = large();
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
        loaded = sink.load(&name, BatchStream::of(batch.schema(), vec![batch])) => panic!("{loaded:?}"),
    }
    while !server.asked().iter().any(takes_back) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_load_that_is_dropped_while_it_takes_its_parts_back_takes_them_back() {
    let server = S3::start().await;
    let batch = large();
    let sink = ObjectSink::new(&server.bucket("")).format(FileFormat::Csv, Compression::None);
    let (reached, mut reaches) = tokio::sync::mpsc::unbounded_channel();
    let mut refused = 0;
    server.faults(move |asked| {
        let is_part = asked.path.contains("partNumber=1&");
        if takes_back(asked) && refused == 0 {
            refused += 1;
            reached.send(()).unwrap();
            return Fault::Status(500);
        }
        match is_part {
            true => Fault::Status(500),
            false => Fault::None,
        }
    });
    let name = load("1");
    tokio::select! {
        biased;
        _ = reaches.recv() => {}
        loaded = sink.load(&name, BatchStream::of(batch.schema(), vec![batch])) => panic!("{loaded:?}"),
    }
    let mut taken_back = 0;
    while taken_back < 2 {
        taken_back += server.asked().iter().filter(|asked| takes_back(asked)).count();
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_file_that_is_too_large_for_one_request_is_put_in_several_and_is_one() {
    on_each(async |place| {
        let bucket = place.bucket("lake");
        let text = |number: usize| char::from(b'a' + number as u8).to_string().repeat(1 << 20);
        let texts: Vec<String> = (0..20).map(text).collect();
        let column = Arc::new(StringArray::from(texts.clone()));
        let batch = RecordBatch::try_new(columns(&[("text", DataType::Utf8)]), vec![column]).unwrap();
        let sink = ObjectSink::new(&bucket).format(FileFormat::Csv, Compression::None);
        for turn in 0..2 {
            let batches = BatchStream::of(batch.schema(), vec![batch.clone()]);
            let loaded = sink.load(&load("1"), batches).await.unwrap();
            assert_eq!((loaded.files.len(), loaded.repeated), (1, turn > 0));
        }
        let back = ObjectSource::new(&bucket).open().await.unwrap();
        let back = back.collect_batches().await.unwrap();
        let back = back
            .iter()
            .flat_map(|batch| batch.column(0).as_string::<i32>().iter());
        assert!(back.eq(texts.iter().map(|text| Some(text.as_str()))));
    })
    .await;
}

#[tokio::test]
async fn a_load_that_fails_is_not_seen() {
    on_each(async |place| {
        let bucket = place.bucket("");
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
        assert_eq!((rows(&bucket).await, place.parts("").await), (rows_there, 1));
    })
    .await;
}

#[tokio::test]
async fn those_who_load_at_a_time_are_all_there_and_equal_ones_once() {
    on_each(async |place| {
        let bucket = place.bucket("lake");
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
        assert_eq!((rows(&bucket).await.len(), place.parts("").await), (6 * 40, 6));
    })
    .await;
}

#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
#[tokio::test]
async fn a_cursor_is_kept_with_the_objects() {
    use crate::databases::servers::{Kind, on};
    use flowkit_etl::sink::SqlSink;
    use flowkit_etl::source::SqlSource;

    on_each(async |place| {
        let bucket = place.bucket("lake");
        on(Kind::Sqlite, |place| {
            let bucket = bucket.clone();
            async move {
                let raw = SqlSink::new(&place.database, "raw");
                raw.load(&load("1"), stream(&plants(5))).await.unwrap();
                let sink = ObjectSink::new(&bucket);
                let since = sink.since("raw").await.unwrap();
                let source = SqlSource::table(&place.database, "raw");
                let stale = source.clone().since("day", since.clone()).open().await.unwrap();
                let batches = source.clone().since("day", since).open().await.unwrap();
                sink.load(&load("1"), batches).await.unwrap();
                let error = sink.load(&load("2"), stale).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Conflict);
                raw.load(&load("2"), stream(&plants(7)[5..])).await.unwrap();
                let since = sink.since("raw").await.unwrap();
                let batches = source.since("day", since).open().await.unwrap();
                let loaded = sink.load(&load("3"), batches).await.unwrap();
                assert_eq!((loaded.rows, rows(&bucket).await.len()), (2, 7));
            }
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_secret_is_in_no_error() {
    on_each(async |place| {
        let locked = place.locked();
        let error = ObjectSource::new(&locked).open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Access, "{error:?}");
        assert!(!format!("{error:?} {locked:?}").contains("hunter2"), "{error:?}");
    })
    .await;
}

#[test]
fn an_address_that_is_none_is_told() {
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
    on_each(async |place| {
        // Azurite takes its time for each blob.
        let days = if matches!(place, Place::Azure(_)) { 4 } else { 40 };
        let mut all = plants(3_000);
        all.iter_mut().for_each(|plant| plant.day %= days);
        let formats = [
            (FileFormat::Csv, Compression::None, ".csv"),
            (FileFormat::Csv, Compression::Gzip, ".csv.gz"),
            (FileFormat::JsonLines, Compression::Zstd, ".jsonl.zst"),
            (FileFormat::Parquet, Compression::None, ".parquet"),
        ];
        for (number, (format, compression, end)) in formats.into_iter().enumerate() {
            let bucket = place.bucket(&format!("lake{number}"));
            let sink = ObjectSink::new(&bucket).format(format, compression);
            // A value that is no name of an object is written as one.
            let mut odd = all.clone();
            odd[0].scenario = "half/dry 50%".to_owned();
            let by = sink.clone().partition_by(["scenario", "day"]);
            let loaded = by.load(&load("1"), stream(&odd)).await.unwrap();
            assert_eq!(
                (loaded.rows, loaded.files.len()),
                (3_000, days as usize + 1),
                "{end}"
            );
            let parted = |file: &&String| file.contains("/load=1/scenario=W") && file.contains("/day=");
            let count = loaded.files.iter().filter(parted).count();
            assert_eq!(count, days as usize, "{:?}", loaded.files);
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
        let compressed = ObjectSink::new(&place.bucket("x")).format(FileFormat::Parquet, Compression::Gzip);
        let error = compressed.load(&load("1"), stream(&all)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options);
        let absent = ObjectSink::new(&place.bucket("x")).partition_by(["absent"]);
        let error = absent.load(&load("1"), stream(&all)).await.unwrap_err();
        assert!(
            error.to_string().contains("cannot partition by `absent`"),
            "{error}"
        );
        assert_eq!(place.parts("x").await, 0);
    })
    .await;
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
    assert_eq!(
        (rows(&bucket).await, parts(&server.store("hunter2"), "").await),
        (all, 1)
    );
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
