//! Every way in and every way out gives the same figures, of a generated season, or of the file that `FLOWKIT_SEASON` names.

use std::path::Path;
use std::sync::Arc;

use flowkit_etl::BatchStream;
use flowkit_etl::arrow_array::RecordBatch;
use flowkit_etl::arrow_schema::{DataType, Field, Schema};
use flowkit_etl::sink::{FileSink, LoadId, Sink, SqlSink};
use flowkit_etl::source::{CsvSource, DatasetSource, ObjectSource, Source, SqlSource};
use flowkit_etl::sql::Database;
use serde::{Deserialize, Serialize};

use crate::http_server::{Reply, Server};
use crate::program::Program;
use crate::s3_server::S3;
use crate::servers::{Kind, on};

/// A row of the figures of plants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Figure {
    #[serde(rename = "ref")]
    plant: String,
    genotype: String,
    scenario: String,
    growth_rate: Option<f64>,
    max_leaf_area: Option<f64>,
}

fn load() -> LoadId {
    LoadId::new("season").unwrap()
}

/// The season as the file has it: texts, whatever they look like.
async fn season(file: &Path) -> BatchStream {
    let header = std::fs::read_to_string(file).unwrap();
    let header = header.lines().next().unwrap().to_owned();
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let columns = Schema::new(header.split(',').map(text).collect::<Vec<_>>());
    CsvSource::new(file)
        .schema(Arc::new(columns))
        .open()
        .await
        .unwrap()
}

/// The figures, in one order.
async fn figures(source: &dyn Source) -> Vec<Figure> {
    let mut figures: Vec<Figure> = source.open().await.unwrap().collect_rows().await.unwrap();
    figures.sort_by(|a, b| (&a.plant, &a.scenario).cmp(&(&b.plant, &b.scenario)));
    figures
}

async fn table(database: &Database) -> Vec<Figure> {
    figures(&SqlSource::table(database, "plants")).await
}

/// A table with the season.
async fn fill(database: &Database, file: &Path) {
    // Databases differ in what they make of upper case: the program does not mind.
    let batches = season(file).await;
    let lower = |field: &Arc<Field>| Field::new(field.name().to_lowercase(), DataType::Utf8, true);
    let columns: Vec<Field> = batches.schema().fields().iter().map(lower).collect();
    let columns = Arc::new(Schema::new(columns));
    let of_batch = columns.clone();
    let batches = batches.map_batches(columns, move |batch| {
        Ok(RecordBatch::try_new(of_batch.clone(), batch.columns().to_vec()).unwrap())
    });
    SqlSink::new(database, "season")
        .load(&load(), batches)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_in_and_every_way_out_gives_the_same_figures() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let s3 = S3::start().await;
    let program = Program::new(directory.path(), &s3.endpoint, "hunter2");
    let mut plain = program.run(None, "out").await;
    let file = place("target/plant_phenotyping/season.csv");
    if let Some(season) = std::env::var_os("FLOWKIT_SEASON") {
        std::fs::copy(season, &file).unwrap();
        plain = program.run(file.to_str(), "out").await;
    }
    assert_eq!(plain.code, Some(0), "{plain:?}");
    assert!(plain.figures().len() > 1, "{plain:?}");
    let text = std::fs::read(&file).unwrap();
    let expected = figures(&CsvSource::new(place("out/plants.csv")).schema(columns())).await;
    assert!(expected.len() > 10);

    // The same season in each form, here, in the bucket, and behind an address.
    let mut sources = Vec::new();
    for name in [
        "season.csv.gz",
        "season.csv.zst",
        "season.jsonl",
        "season.parquet",
    ] {
        FileSink::new(place(name))
            .load(&load(), season(&file).await)
            .await
            .unwrap();
        s3.put(&format!("in/{name}"), std::fs::read(place(name)).unwrap())
            .await;
        sources.extend([name.to_owned(), format!("s3://plants/in/{name}")]);
    }
    s3.put("in/season.csv", text.clone()).await;
    let half = halves(&text);
    s3.put("parts/1.csv", half.0).await;
    s3.put("parts/2.csv", half.1).await;
    let parquet = std::fs::read(place("season.parquet")).unwrap();
    let web = Server::start(move |_, request| match request.path.as_str() {
        "/season.csv?token=hunter2" => Reply::file(request, &text, "1"),
        "/season.parquet" => Reply::file(request, &parquet, "1"),
        _ => Reply::status(404),
    })
    .await;
    sources.extend([
        "s3://plants/in/season.csv".to_owned(),
        "s3://plants/in/*.csv".to_owned(),
        "s3://plants/parts/".to_owned(),
        "target/*/season.csv".to_owned(),
        "parquet:season.parquet".to_owned(),
        format!("{}/season.csv?token=hunter2", web.address),
        format!("{}/season.parquet", web.address),
    ]);
    let sqlite = Database::new(&format!("sqlite:{}", place("in.db").display())).unwrap();
    fill(&sqlite, &file).await;
    sources.push("sqlite:in.db?table=season".to_owned());
    for source in &sources {
        let said = program.run(Some(source), "again").await;
        assert_eq!(said.code, Some(0), "{source}: {said:?}");
        assert_eq!(said.figures(), plain.figures(), "{source}");
        let again = figures(&CsvSource::new(place("again/plants.csv")).schema(columns())).await;
        assert_eq!(again, expected, "{source}");
        assert!(!format!("{said:?}").contains("hunter2"), "{source}: {said:?}");
    }

    // And out again, from the bucket, each twice: the second run is in place of the first.
    let source = Some("s3://plants/in/season.csv.gz");
    let into = Database::new(&format!("sqlite:{}", place("out.db").display())).unwrap();
    for destination in ["parquet:lake", "s3://plants/lake/maize", "sqlite:out.db"] {
        for _ in 0..2 {
            let said = program.run(source, destination).await;
            assert_eq!(
                (said.code, said.figures()),
                (Some(0), plain.figures()),
                "{destination}: {said:?}"
            );
        }
    }
    assert_eq!(figures(&DatasetSource::new(place("lake/plants"))).await, expected);
    assert_eq!(
        figures(&ObjectSource::new(&s3.bucket("lake/maize/plants"))).await,
        expected
    );
    assert_eq!(table(&into).await, expected);
    for kind in [Kind::Postgres, Kind::MySql] {
        on(kind, |there| {
            let (program, file, expected, figures) = (&program, &file, &expected, plain.figures());
            async move {
                fill(&there.database, file).await;
                let address = &there.address;
                let from = format!("{address}?table=season");
                let said = program.run(Some(&from), address).await;
                assert_eq!((said.code, said.figures()), (Some(0), figures), "{said:?}");
                assert_eq!(&table(&there.database).await, expected);
            }
        })
        .await;
    }
}

/// The columns of the figures, by name and type.
fn columns() -> Arc<Schema> {
    let figure = Figure {
        plant: String::new(),
        genotype: String::new(),
        scenario: String::new(),
        growth_rate: None,
        max_leaf_area: None,
    };
    BatchStream::from_rows(vec![figure]).unwrap().schema().clone()
}

/// A CSV file as two, each with the header.
fn halves(text: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let (first, second) = lines.split_at(lines.len() / 2);
    (first.concat(), [&lines[..1], second].concat().concat())
}
