//! The jobs, as somebody would write them with the crates beneath: arrow, parquet and sqlx.

use std::fs::File;
use std::io::BufWriter;
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::builder::{Date32Builder, Float64Builder, Int32Builder, Int64Builder, StringBuilder};
use arrow_array::types::Date32Type;
use arrow_array::{ArrayRef, RecordBatch};
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Row};

use crate::{Places, season};

const BATCH: usize = 8192;

fn writer(places: &Places) -> ArrowWriter<BufWriter<File>> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let file = BufWriter::with_capacity(128 * 1024, File::create(&places.out).unwrap());
    ArrowWriter::try_new(file, season::schema(), Some(properties)).unwrap()
}

/// Like us, it leaves a file that outlasts a power failure.
fn finish(writer: ArrowWriter<BufWriter<File>>) {
    writer
        .into_inner()
        .unwrap()
        .into_inner()
        .unwrap()
        .sync_all()
        .unwrap();
}

pub(crate) fn csv_to_parquet(places: &Places) {
    let file = File::open(&places.csv).unwrap();
    let reader = arrow_csv::ReaderBuilder::new(season::schema())
        .with_header(true)
        .with_batch_size(BATCH)
        .build(file)
        .unwrap();
    let mut writer = writer(places);
    for batch in reader {
        writer.write(&batch.unwrap()).unwrap();
    }
    finish(writer);
}

async fn connected(places: &Places) -> PgConnection {
    PgConnectOptions::from_str(&places.postgres)
        .unwrap()
        .disable_statement_logging()
        .connect()
        .await
        .unwrap()
}

pub(crate) async fn parquet_to_postgres(places: &Places) {
    let mut connection = connected(places).await;
    let create = "CREATE TABLE flowkit_bench_plain (id BIGINT, plant TEXT, scenario TEXT, day DATE, position INTEGER, \
                  height DOUBLE PRECISION, leaf_area DOUBLE PRECISION, note TEXT)";
    for statement in ["DROP TABLE IF EXISTS flowkit_bench_plain", "BEGIN", create] {
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    }
    let file = File::open(&places.parquet).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .with_batch_size(BATCH)
        .build()
        .unwrap();
    let mut copy = connection
        .copy_in_raw("COPY flowkit_bench_plain FROM STDIN (FORMAT csv)")
        .await
        .unwrap();
    for batch in reader {
        let mut text = Vec::new();
        let mut writer = arrow_csv::WriterBuilder::new()
            .with_header(false)
            .build(&mut text);
        writer.write(&batch.unwrap()).unwrap();
        drop(writer);
        copy.send(text).await.unwrap();
    }
    copy.finish().await.unwrap();
    sqlx::raw_sql("COMMIT").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

pub(crate) async fn postgres_to_parquet(places: &Places) {
    let mut connection = connected(places).await;
    let mut writer = writer(places);
    let mut rows = sqlx::query("SELECT * FROM flowkit_bench_ours").fetch(&mut connection);
    let mut columns = Columns::default();
    while let Some(row) = rows.try_next().await.unwrap() {
        columns.append(&row);
        if columns.rows == BATCH {
            writer.write(&columns.finish()).unwrap();
        }
    }
    writer.write(&columns.finish()).unwrap();
    finish(writer);
}

#[derive(Default)]
struct Columns {
    rows: usize,
    id: Int64Builder,
    plant: StringBuilder,
    scenario: StringBuilder,
    day: Date32Builder,
    position: Int32Builder,
    height: Float64Builder,
    leaf_area: Float64Builder,
    note: StringBuilder,
}

impl Columns {
    fn append(&mut self, row: &sqlx::postgres::PgRow) {
        self.rows += 1;
        self.id.append_option(row.get::<Option<i64>, _>(0));
        self.plant.append_option(row.get::<Option<&str>, _>(1));
        self.scenario.append_option(row.get::<Option<&str>, _>(2));
        self.day.append_option(
            row.get::<Option<chrono::NaiveDate>, _>(3)
                .map(Date32Type::from_naive_date),
        );
        self.position.append_option(row.get::<Option<i32>, _>(4));
        self.height.append_option(row.get::<Option<f64>, _>(5));
        self.leaf_area.append_option(row.get::<Option<f64>, _>(6));
        self.note.append_option(row.get::<Option<&str>, _>(7));
    }

    fn finish(&mut self) -> RecordBatch {
        self.rows = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.id.finish()),
            Arc::new(self.plant.finish()),
            Arc::new(self.scenario.finish()),
            Arc::new(self.day.finish()),
            Arc::new(self.position.finish()),
            Arc::new(self.height.finish()),
            Arc::new(self.leaf_area.finish()),
            Arc::new(self.note.finish()),
        ];
        RecordBatch::try_new(season::schema(), columns).unwrap()
    }
}
