//! Every source and every sink tells the run that it is called in what passes, once.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flowkit::prelude::*;
use flowkit_etl::Error;
use flowkit_etl::monitor::Monitor;
use flowkit_etl::object::Bucket;
use flowkit_etl::object::object_store::memory::InMemory;
use flowkit_etl::sink::{DatasetSink, FileSink, LoadId, ObjectSink, Sink, SqlSink};
use flowkit_etl::source::{
    CsvSource, DatasetSource, JsonLinesSource, ObjectSource, ParquetSource, Source, SqlSource,
};
use flowkit_etl::sql::{Database, Model, build_models};

use crate::plants::{plants, stream};

/// A sink, and the source that reads what it wrote.
type Pair = (Arc<dyn Sink>, Arc<dyn Source>);

struct Pairs(Mutex<Vec<Pair>>);

fn pairs(directory: &Path) -> Vec<Pair> {
    let file = |name: &str| directory.join(name);
    let lake = file("lake");
    let bucket = Bucket::of(Arc::new(InMemory::new()), "memory://plants", "lake").unwrap();
    let database = Database::new(&format!("sqlite:{}", file("plants.db").display())).unwrap();
    vec![
        (
            Arc::new(FileSink::new(file("a.csv"))),
            Arc::new(CsvSource::new(file("a.csv"))),
        ),
        (
            Arc::new(FileSink::new(file("a.jsonl"))),
            Arc::new(JsonLinesSource::new(file("a.jsonl"))),
        ),
        (
            Arc::new(FileSink::new(file("a.parquet"))),
            Arc::new(ParquetSource::new(file("a.parquet"))),
        ),
        (
            Arc::new(DatasetSink::parquet(&lake).partition_by(["scenario"])),
            Arc::new(DatasetSource::new(&lake)),
        ),
        (
            Arc::new(ObjectSink::new(&bucket)),
            Arc::new(ObjectSource::new(&bucket)),
        ),
        (
            Arc::new(SqlSink::new(&database, "plants")),
            Arc::new(SqlSource::table(&database, "plants")),
        ),
    ]
}

#[task]
async fn write(number: usize, #[resource] pairs: &Pairs) -> Result<u64, Error> {
    let sink = pairs.0.lock().unwrap()[number].0.clone();
    Ok(sink.load(&LoadId::new("1")?, stream(&plants(10_000))).await?.rows)
}

#[task]
async fn read(number: usize, #[resource] pairs: &Pairs) -> Result<usize, Error> {
    let source = pairs.0.lock().unwrap()[number].1.clone();
    Ok(source.open().await?.collect_batches().await?.len())
}

#[task]
async fn model(file: PathBuf) -> Result<(), Error> {
    let database = Database::new(&format!("sqlite:{}", file.display()))?;
    let few = Model::table("few", "SELECT * FROM plants LIMIT 7");
    let all = Model::view("everything", "SELECT * FROM plants");
    build_models(&database, &[few, all]).await.map(drop)
}

#[flow]
async fn modelled(file: PathBuf) -> Result<()> {
    Ok(model(file).await?)
}

#[flow(run_name = "there and back {number}")]
async fn there_and_back(number: usize) -> Result<()> {
    assert_eq!(write(number).await?, 10_000);
    read(number).await?;
    Ok(())
}

#[tokio::test]
async fn what_each_sink_writes_and_each_source_reads_is_counted_once() {
    let directory = tempfile::tempdir().unwrap();
    let pairs = pairs(directory.path());
    let count = pairs.len();
    let monitor = Monitor::new();
    let runtime = Runtime::builder()
        .resource(Pairs(Mutex::new(pairs)))
        .observe(monitor.clone());
    let runtime = runtime.build().await.unwrap();
    for number in 0..count {
        let run = runtime.run(there_and_back(number)).await;
        let id = run.id();
        run.into_result().unwrap();
        let of_run = monitor.run(id).unwrap();
        let (wrote, read) = (of_run.tasks["write"].traffic, of_run.tasks["read"].traffic);
        assert_eq!((wrote.records_in, wrote.records_out), (0, 10_000), "{number}");
        assert_eq!((read.records_in, read.records_out), (10_000, 0), "{number}");
        assert!(
            wrote.bytes_out > 100_000 && read.bytes_in > 100_000,
            "{number}: {wrote:?} {read:?}"
        );
        assert_eq!(wrote.file_bytes > 0, number < 5, "a database has no files");
    }
    let run = runtime.run(modelled(directory.path().join("plants.db"))).await;
    run.into_result().unwrap();
    let made = monitor.snapshot().task("modelled", "model").unwrap().traffic;
    assert_eq!(made.records_out, 7, "a view has no rows of its own");
}
