//! Single files in every format, written and read.

use std::fs;

use flowkit_etl::sink::{Compression, FileFormat, FileSink, LoadId, Loaded, Sink};
use flowkit_etl::source::{CsvSource, JsonLinesSource, ParquetSource, Source};
use flowkit_etl::{BatchStream, Error, ErrorKind, Result};
use futures::StreamExt;

use crate::plants::{Plant, plants, stream};

fn load() -> LoadId {
    LoadId::new("first").unwrap()
}

async fn write(path: &std::path::Path, rows: &[Plant]) -> Result<Loaded> {
    FileSink::new(path).load(&load(), stream(rows)).await
}

#[tokio::test]
async fn every_format_gives_back_what_was_written_into_it() {
    let directory = tempfile::tempdir().unwrap();
    let rows = plants(20_000);
    for name in [
        "a.csv",
        "a.csv.gz",
        "a.csv.zst",
        "a.jsonl",
        "a.ndjson.gz",
        "a.jsonl.zst",
        "a.parquet",
    ] {
        let path = directory.path().join("out").join(name);
        let loaded = write(&path, &rows).await.unwrap();
        assert_eq!((loaded.rows, loaded.repeated), (20_000, false));
        assert_eq!(loaded.bytes, fs::metadata(&path).unwrap().len(), "{name}");
        let source: Box<dyn Source> = match name.split('.').nth(1) {
            Some("csv") => Box::new(CsvSource::new(&path)),
            Some("parquet") => Box::new(ParquetSource::new(&path)),
            _ => Box::new(JsonLinesSource::new(&path)),
        };
        let back: Vec<Plant> = source.open().await.unwrap().collect_rows().await.unwrap();
        assert!(back == rows, "{name}");
    }
    let left = fs::read_dir(directory.path().join("out")).unwrap().count();
    assert_eq!(left, 7, "nothing but the files is left");
}

#[tokio::test]
async fn a_load_that_fails_leaves_the_former_file_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plants.csv");
    write(&path, &plants(1)).await.unwrap();
    let former = fs::read(&path).unwrap();
    let rows = stream(&plants(5));
    let schema = rows.schema().clone();
    let broken = rows.chain(futures::stream::iter([Err(Error::new(
        ErrorKind::Unavailable,
        "cut off",
    ))]));
    let error = FileSink::new(&path)
        .load(&load(), BatchStream::new(schema, broken))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "cut off");
    assert_eq!(fs::read(&path).unwrap(), former);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_load_that_is_dropped_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plants.csv");
    let rows = stream(&plants(5));
    let (schema, asked) = (
        rows.schema().clone(),
        std::sync::Arc::new(tokio::sync::Notify::new()),
    );
    let told = asked.clone();
    let endless = rows.chain(futures::stream::once(async move {
        told.notify_one();
        futures::future::pending().await
    }));
    let sink = FileSink::new(&path);
    let loading = tokio::spawn(async move { sink.load(&load(), BatchStream::new(schema, endless)).await });
    asked.notified().await;
    loading.abort();
    assert!(loading.await.unwrap_err().is_cancelled());
    // The writing ends beside us, and takes what it wrote away.
    while fs::read_dir(directory.path()).unwrap().count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_name_that_says_no_format_is_an_error_unless_the_format_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plants.data");
    let error = write(&path, &plants(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Options);
    let sink = FileSink::new(&path).format(FileFormat::JsonLines, Compression::None);
    sink.load(&load(), stream(&plants(1))).await.unwrap();
    assert!(fs::read_to_string(&path).unwrap().starts_with("{\"plant\":"));
}

#[tokio::test]
async fn chosen_columns_of_a_parquet_file_are_all_that_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.parquet");
    write(&path, &plants(3)).await.unwrap();
    let batches = ParquetSource::new(&path)
        .columns(["day", "plant"])
        .open()
        .await
        .unwrap();
    let names: Vec<&str> = batches
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(names, ["plant", "day"]);
    let error = ParquetSource::new(&path)
        .columns(["age"])
        .open()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("has no column `age`"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_parquet_or_was_cut_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.parquet");
    write(&path, &plants(1000)).await.unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = ParquetSource::new(&path).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert!(
        error.to_string().contains("a.parquet cannot be read as Parquet"),
        "{error}"
    );
}

#[tokio::test]
async fn a_compressed_file_that_was_cut_is_an_error_and_not_an_end() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a.csv.gz", "a.csv.zst"] {
        let path = directory.path().join(name);
        write(&path, &plants(50_000)).await.unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 20]).unwrap();
        let read = async { CsvSource::new(&path).open().await?.collect_rows::<Plant>().await };
        let error = read.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format, "{name}: {error:?}");
    }
}

#[tokio::test]
async fn json_has_no_word_for_what_is_no_number_and_csv_has() {
    let directory = tempfile::tempdir().unwrap();
    let mut rows = plants(3);
    let path = directory.path().join("plants.jsonl");
    write(&path, &rows).await.unwrap();
    let former = fs::read(&path).unwrap();
    rows[1].height = Some(f64::NAN);
    let error = write(&path, &rows).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema, "{error:#}");
    let told = error.to_string();
    assert!(
        told.contains("`height`") && told.contains("no finite number"),
        "{told}"
    );
    assert!(fs::read(&path).unwrap() == former, "the former file is as it was");
    let path = directory.path().join("plants.csv");
    write(&path, &rows).await.unwrap();
    let back: Vec<Plant> = CsvSource::new(&path)
        .open()
        .await
        .unwrap()
        .collect_rows()
        .await
        .unwrap();
    assert!(back[1].height.is_some_and(f64::is_nan));
}
