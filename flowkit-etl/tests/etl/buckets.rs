//! Data sets in an S3 server, which runs in this process on files.

use std::sync::Arc;

use flowkit_etl::object::Bucket;
use flowkit_etl::object::object_store::ObjectStore;
use flowkit_etl::object::object_store::aws::AmazonS3Builder;
use flowkit_etl::sink::{LoadId, Mode, ObjectSink, Sink, SqlSink};
use flowkit_etl::source::{ObjectSource, Source, SqlSource};
use flowkit_etl::{BatchStream, Error, ErrorKind};
use futures::StreamExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;

use crate::plants::{Plant, plants, stream};
use crate::servers::{Kind, on};

/// A server with a bucket `plants`, which ends with the test's runtime.
async fn bucket(prefix: &str) -> (tempfile::TempDir, Bucket, String) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("plants")).unwrap();
    let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(directory.path()).unwrap());
    service.set_auth(SimpleAuth::from_single("key", "hunter2"));
    let service = service.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    // This server looks whether a condition holds and then writes, where S3 does both at once: so it answers one request after the other.
    let turns = Arc::new(tokio::sync::Mutex::new(()));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (service, turns) = (service.clone(), turns.clone());
            let service = hyper::service::service_fn(move |request| {
                let (service, turns) = (service.clone(), turns.clone());
                async move {
                    let _turn = turns.lock().await;
                    hyper::service::Service::call(&service, request).await
                }
            });
            tokio::spawn(async move {
                drop(
                    Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(socket), service)
                        .await,
                );
            });
        }
    });
    let bucket = Bucket::of(store(&endpoint, "hunter2"), "s3://plants", prefix).unwrap();
    (directory, bucket, endpoint)
}

fn store(endpoint: &str, secret: &str) -> Arc<dyn ObjectStore> {
    let builder = AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_region("us-east-1");
    let builder = builder
        .with_bucket_name("plants")
        .with_access_key_id("key")
        .with_secret_access_key(secret);
    Arc::new(builder.build().unwrap())
}

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
fn objects(directory: &tempfile::TempDir) -> usize {
    glob_count(directory.path().join("plants"))
}

fn glob_count(directory: std::path::PathBuf) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.path().is_dir() {
            true => glob_count(entry.path()),
            false => usize::from(
                entry
                    .path()
                    .extension()
                    .is_some_and(|extension| extension == "parquet"),
            ),
        })
        .sum()
}

#[tokio::test]
async fn a_load_appears_as_a_whole_and_once() {
    let (directory, bucket, _) = bucket("lake/maize").await;
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
    assert_eq!(objects(&directory), 1);
    assert!(sink.load(&load("b"), stream(&first)).await.unwrap().repeated);
}

#[tokio::test]
async fn a_load_that_fails_is_not_seen() {
    let (directory, bucket, _) = bucket("").await;
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
    let other = flowkit_etl::arrow_array::RecordBatch::new_empty(crate::plants::columns(&[(
        "other",
        flowkit_etl::arrow_schema::DataType::Utf8,
    )]));
    let error = sink
        .load(&load("2"), BatchStream::of(other.schema(), vec![other]))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    assert_eq!((rows(&bucket).await, objects(&directory)), (rows_there, 1));
}

#[tokio::test]
async fn those_who_load_at_a_time_are_all_there_and_equal_ones_once() {
    let (directory, bucket, _) = bucket("lake").await;
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
    assert_eq!((rows(&bucket).await.len(), objects(&directory)), (6 * 40, 6));
}

#[tokio::test]
async fn a_cursor_is_kept_with_the_objects() {
    let (_directory, bucket, _) = bucket("lake").await;
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
    let (_directory, _, endpoint) = bucket("").await;
    let locked = Bucket::of(store(&endpoint, "wrong-hunter2"), "s3://plants", "").unwrap();
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
