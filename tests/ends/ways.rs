//! Every way in and every way out gives the same figures, of a generated season, or of the file that `FLOWKIT_SEASON` names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowkit_etl::BatchStream;
use flowkit_etl::arrow_array::RecordBatch;
use flowkit_etl::arrow_schema::{DataType, Field, Schema};
use flowkit_etl::object::Bucket;
use flowkit_etl::sink::{FileSink, LoadId, Sink, SqlSink};
use flowkit_etl::source::{CsvSource, DatasetSource, ObjectSource, Source, SqlSource};
use flowkit_etl::sql::Database;
use serde::{Deserialize, Serialize};

use crate::azure_server::{ACCOUNT, Container, KEY};
use crate::http_server::{Reply, Server};
use crate::program::{Program, Said};
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

/// A season, and what the program makes of it from a CSV file into CSV files.
struct Season {
    directory: tempfile::TempDir,
    s3: S3,
    program: Program,
    file: PathBuf,
    plain: Said,
    expected: Vec<Figure>,
}

impl Season {
    async fn begin() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let s3 = S3::start().await;
        let program = Program::new(directory.path(), &s3.endpoint, "hunter2");
        let mut plain = program.run(None, "out").await;
        let file = directory.path().join("target/plant_phenotyping/season.csv");
        if let Some(season) = std::env::var_os("FLOWKIT_SEASON") {
            std::fs::copy(season, &file).unwrap();
            plain = program.run(file.to_str(), "out").await;
        }
        assert_eq!(plain.code, Some(0), "{plain:?}");
        assert!(plain.figures().len() > 1, "{plain:?}");
        let mut season = Self {
            directory,
            s3,
            program,
            file,
            plain,
            expected: Vec::new(),
        };
        season.expected = season.written("out").await;
        assert!(season.expected.len() > 10);
        season
    }

    fn place(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The figures in CSV files.
    async fn written(&self, directory: &str) -> Vec<Figure> {
        let file = self.place(directory).join("plants.csv");
        figures(&CsvSource::new(file).schema(columns())).await
    }

    /// The season as a file of this name has it.
    async fn as_file(&self, name: &str) -> Vec<u8> {
        let sink = FileSink::new(self.place(name));
        sink.load(&load(), season(&self.file).await).await.unwrap();
        std::fs::read(self.place(name)).unwrap()
    }

    /// Runs the program, which must say what it said of the CSV file.
    async fn runs(&self, source: &str, destination: &str) {
        let said = self.program.run(Some(source), destination).await;
        let way = format!("{source} to {destination}");
        assert_eq!(said.code, Some(0), "{way}: {said:?}");
        assert_eq!(said.figures(), self.plain.figures(), "{way}");
        assert!(!format!("{said:?}").contains("hunter2"), "{way}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_in_gives_the_same_figures() {
    let season = Season::begin().await;
    let mut sources = Vec::new();
    for name in [
        "season.csv.gz",
        "season.csv.zst",
        "season.jsonl",
        "season.parquet",
    ] {
        let content = season.as_file(name).await;
        season.s3.put(&format!("in/{name}"), content).await;
        sources.extend([name.to_owned(), format!("s3://plants/in/{name}")]);
    }
    let text = std::fs::read(&season.file).unwrap();
    let (first, second) = halves(&text);
    for (key, content) in [
        ("in/season.csv", text.clone()),
        ("parts/1.csv", first),
        ("parts/2.csv", second),
    ] {
        season.s3.put(key, content).await;
    }
    let parquet = std::fs::read(season.place("season.parquet")).unwrap();
    let web = Server::start(move |_, request| match request.path.as_str() {
        "/season.csv?token=hunter2" => Reply::file(request, &text, "1"),
        "/season.parquet" => Reply::file(request, &parquet, "1"),
        _ => Reply::status(404),
    })
    .await;
    let sqlite = Database::new(&format!("sqlite:{}", season.place("in.db").display())).unwrap();
    fill(&sqlite, &season.file).await;
    let others = [
        "s3://plants/in/season.csv",
        "s3://plants/in/*.csv",
        "s3://plants/parts/",
        "target/*/season.csv",
        "parquet:season.parquet",
        "sqlite:in.db?table=season",
    ];
    sources.extend(others.map(str::to_owned));
    sources.push(format!("{}/season.csv?token=hunter2", web.address));
    sources.push(format!("{}/season.parquet", web.address));
    for source in &sources {
        season.runs(source, "again").await;
        assert_eq!(season.written("again").await, season.expected, "{source}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_out_gives_the_same_figures_and_a_second_run_is_in_place_of_the_first() {
    let season = Season::begin().await;
    let content = season.as_file("season.csv.gz").await;
    season.s3.put("in/season.csv.gz", content).await;
    for destination in ["parquet:lake", "s3://plants/lake/maize", "sqlite:out.db"] {
        for _ in 0..2 {
            season.runs("s3://plants/in/season.csv.gz", destination).await;
        }
    }
    let lake = DatasetSource::new(season.place("lake/plants"));
    assert_eq!(figures(&lake).await, season.expected);
    let lake = ObjectSource::new(&season.s3.bucket("lake/maize/plants"));
    assert_eq!(figures(&lake).await, season.expected);
    let database = Database::new(&format!("sqlite:{}", season.place("out.db").display())).unwrap();
    assert_eq!(table(&database).await, season.expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azures_store_is_a_way_in_and_out() {
    let Some(container) = Container::new().await else {
        return;
    };
    let mut season = Season::begin().await;
    season.program = season
        .program
        .with(
            "AZURE_STORAGE_ENDPOINT",
            format!("{}/{ACCOUNT}", container.server),
        )
        .with("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT.to_owned())
        .with("AZURE_STORAGE_ACCOUNT_KEY", KEY.to_owned());
    let content = season.as_file("season.csv.gz").await;
    container.put("in/season.csv.gz", content).await;
    let place = format!("az://{}", container.name);
    for source in [
        format!("{place}/in/season.csv.gz"),
        format!("{place}/in/*.csv.gz"),
    ] {
        season.runs(&source, &format!("{place}/lake")).await;
    }
    let bucket = Bucket::of(container.store(KEY), &place, "lake/plants").unwrap();
    assert_eq!(figures(&ObjectSource::new(&bucket)).await, season.expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_of_databases_are_ways_in_and_out() {
    let season = &Season::begin().await;
    for kind in [Kind::Postgres, Kind::MySql] {
        on(kind, |there| async move {
            fill(&there.database, &season.file).await;
            let from = format!("{}?table=season", there.address);
            season.runs(&from, &there.address).await;
            assert_eq!(table(&there.database).await, season.expected);
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
