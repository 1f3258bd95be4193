//! The jobs, by this crate.

use flowkit_etl::BatchStream;
use flowkit_etl::quality::{Check, Comparison, Quality};
use flowkit_etl::sink::{FileSink, LoadId, Mode, Sink, SqlSink};
use flowkit_etl::source::{CsvSource, ParquetSource, Source, SqlSource};
use flowkit_etl::sql::Database;

use futures::StreamExt;

use crate::{Places, season};

fn load() -> LoadId {
    // Another one each time, so that it is no repeated load.
    LoadId::new(format!("bench-{}", std::process::id())).unwrap()
}

pub(crate) async fn csv_to_parquet(places: &Places) {
    let batches = CsvSource::new(&places.csv)
        .schema(season::schema())
        .open()
        .await
        .unwrap();
    FileSink::new(&places.out).load(&load(), batches).await.unwrap();
}

pub(crate) async fn parquet_to_postgres(places: &Places) {
    let database = Database::new(&places.postgres).unwrap();
    database
        .execute("DROP TABLE IF EXISTS flowkit_bench_ours", &[])
        .await
        .unwrap();
    let batches = ParquetSource::new(&places.parquet).open().await.unwrap();
    SqlSink::new(&database, "flowkit_bench_ours")
        .mode(Mode::Replace)
        .ledger("flowkit_bench_loads")
        .load(&load(), batches)
        .await
        .unwrap();
}

pub(crate) async fn postgres_to_parquet(places: &Places) {
    let database = Database::new(&places.postgres).unwrap();
    let batches = SqlSource::table(&database, "flowkit_bench_ours")
        .open()
        .await
        .unwrap();
    FileSink::new(&places.out).load(&load(), batches).await.unwrap();
}

async fn pass(mut batches: BatchStream) {
    let mut rows = 0;
    while let Some(batch) = batches.next().await {
        rows += batch.unwrap().num_rows();
    }
    assert!(rows > 0);
}

/// All of a file is read, and nothing done with it: what the checks cost is what they take beyond this.
pub(crate) async fn parquet_without_checks(places: &Places) {
    pass(ParquetSource::new(&places.parquet).open().await.unwrap()).await;
}

/// The same, with a check of each kind that needs nothing but the data.
pub(crate) async fn parquet_with_checks(places: &Places) {
    let quality = Quality::new("season")
        .check(Check::rows(1, None))
        .check(Check::complete("leaf_area").at_least(0.5))
        .check(Check::unique(["id"]))
        .check(Check::within("height", 0.0, 10_000.0))
        .check(Check::one_of("scenario", ["WW", "WD"]))
        .check(Check::matching("plant", "^manip1_[0-9]+_W[WD]$").unwrap())
        .check(Check::compare("leaf_area", Comparison::LessOrEqual, "height"));
    pass_guarded(places, &quality).await;
}

/// The same, with keys that are kept by their digests.
pub(crate) async fn parquet_with_keys(places: &Places) {
    let quality = Quality::new("season").check(Check::unique(["plant", "id"]));
    pass_guarded(places, &quality).await;
}

async fn pass_guarded(places: &Places, quality: &Quality) {
    let batches = ParquetSource::new(&places.parquet).open().await.unwrap();
    let (batches, measured) = quality.guard(batches).unwrap();
    pass(batches).await;
    assert!(measured.report().passed());
}
