//! The jobs, by this crate.

use flowkit_etl::sink::{FileSink, LoadId, Mode, Sink, SqlSink};
use flowkit_etl::source::{CsvSource, ParquetSource, Source, SqlSource};
use flowkit_etl::sql::Database;

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
