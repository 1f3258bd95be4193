//! A warehouse of plants, which the examples `elt` and `watch` fill: measurements are loaded as they come, and the database makes the rest of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowkit::prelude::*;
use flowkit::{Clock as _, SystemClock};
use flowkit_etl::arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use flowkit_etl::arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use flowkit_etl::sink::{LoadId, Loaded, Sink, SqlSink};
use flowkit_etl::source::{CsvSource, Source, SqlSource};
use flowkit_etl::sql::{Database, Model, ModelReport, ModelTest};
use flowkit_etl::{BatchStream, Error, ErrorKind, Rejects, Tolerance};
use serde::{Deserialize, Serialize};

/// The columns that are loaded, by the names in the file's header; in the warehouse they are in lower case. Others in the file are an error, so that nothing is lost unnoticed.
const COLUMNS: [(&str, DataType); 14] = [
    ("Ref", DataType::Utf8),
    ("experimentAlias", DataType::Utf8),
    ("Day", DataType::Date32),
    ("potAlias", DataType::Utf8),
    ("scenario", DataType::Utf8),
    ("genotypeAlias", DataType::Utf8),
    ("repetition", DataType::Int32),
    ("Line", DataType::Int32),
    ("Position", DataType::Int32),
    ("thermalTime", DataType::Float64),
    ("plantHeight", DataType::Float64),
    ("leafArea", DataType::Float64),
    ("biovolume", DataType::Float64),
    ("Repsce", DataType::Utf8),
];

/// The share of rows that may not be of these types; they are left out.
const MAX_REJECTED_SHARE: f64 = 0.05;

/// What the warehouse says of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioSummary {
    /// `WW`, well watered, or `WD`, with a deficit.
    pub scenario: String,
    /// Plants.
    pub plants: i64,
    /// Their mean largest leaf area, in square metres.
    pub leaf_area: f64,
    /// Their mean growth in height, in millimetres a day.
    pub growth: f64,
}

/// Loads a file as it is, beside what was loaded before, with the time of the load and the number of the row: by these the models know which of two measurements counts.
#[task(retries = 3, retry_delay = "500ms", retry_backoff = 2.0, retry_if = Error::is_transient)]
pub async fn load_raw(file: &Path, load: LoadId, #[resource] warehouse: &Database) -> Result<Loaded, Error> {
    let fields = COLUMNS.map(|(name, data_type)| Field::new(name, data_type, true));
    let rejects = Rejects::new();
    let source = CsvSource::new(file).schema(Arc::new(Schema::new(fields.to_vec())));
    let batches = source
        .set_aside(Tolerance::share(MAX_REJECTED_SHARE), &rejects)
        .open()
        .await?;
    let now = SystemClock.now().duration_since(std::time::UNIX_EPOCH);
    let micros = now.map_or(0, |now| i64::try_from(now.as_micros()).unwrap_or_default());
    let sink = SqlSink::new(warehouse, "raw_measurements");
    sink.load(&load, numbered(batches, micros)).await
}

/// With names in lower case, which every database writes alike, the time of the load, and the number of the row.
fn numbered(batches: BatchStream, micros: i64) -> BatchStream {
    let lower = |field: &Arc<Field>| Field::new(field.name().to_lowercase(), field.data_type().clone(), true);
    let mut fields: Vec<Field> = batches.schema().fields().iter().map(lower).collect();
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    fields.push(Field::new("loaded_at", time, false));
    fields.push(Field::new("source_row", DataType::Int64, false));
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let (of_batches, mut next) = (schema.clone(), 1_i64);
    batches.map_batches(schema, move |batch| {
        let end = next + i64::try_from(batch.num_rows()).unwrap_or_default();
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(next..end));
        next = end;
        let times = TimestampMicrosecondArray::from_value(micros, batch.num_rows()).with_timezone("UTC");
        let times: ArrayRef = Arc::new(times);
        let columns = batch.columns().iter().cloned().chain([times, numbers]).collect();
        RecordBatch::try_new(of_batches.clone(), columns)
            .map_err(|error| Error::new(ErrorKind::Schema, "a row could not be numbered").because(error))
    })
}

/// What the database makes of the raw measurements, in this order.
pub fn models(days_between: &str) -> [Model; 3] {
    let measurements = Model::table(
        "measurements",
        "SELECT * FROM (SELECT raw.*, ROW_NUMBER() OVER (PARTITION BY ref, day ORDER BY loaded_at DESC, source_row DESC) AS place FROM raw_measurements AS raw) AS ranked WHERE place = 1",
    );
    let without_height = "CASE WHEN plantheight IS NULL THEN 1 ELSE 0 END";
    let plants = Model::table(
        "plants",
        format!(
            "SELECT ref, MIN(scenario) AS scenario, MIN(genotypealias) AS genotype, MAX(leafarea) AS max_leaf_area, \
             MAX(CASE WHEN up = 1 THEN plantheight END) AS first_height, MAX(CASE WHEN down = 1 THEN plantheight END) AS last_height, \
             MIN(CASE WHEN plantheight IS NOT NULL THEN day END) AS first_day, MAX(CASE WHEN plantheight IS NOT NULL THEN day END) AS last_day \
             FROM (SELECT one.*, ROW_NUMBER() OVER (PARTITION BY ref ORDER BY {without_height}, day) AS up, \
             ROW_NUMBER() OVER (PARTITION BY ref ORDER BY {without_height}, day DESC) AS down FROM measurements AS one) AS ranked GROUP BY ref"
        ),
    );
    let growth = Model::view(
        "scenarios",
        format!(
            "SELECT scenario, COUNT(*) AS plants, AVG(max_leaf_area) AS leaf_area, AVG((last_height - first_height) / {days_between}) AS growth \
             FROM plants GROUP BY scenario"
        ),
    );
    [
        measurements
            .test(ModelTest::unique(["ref", "day"]))
            .test(ModelTest::not_null("scenario")),
        plants
            .test(ModelTest::unique(["ref"]))
            .test(ModelTest::never(
                "a plant of no scenario",
                "scenario NOT IN ('WW', 'WD')",
            ))
            .test(ModelTest::never(
                "a height that is none",
                "first_height <= 0 OR last_height <= 0",
            )),
        growth
            .test(ModelTest::at_least(1))
            .test(ModelTest::never("a scenario without leaves", "leaf_area <= 0")),
    ]
}

/// The days between a plant's first and last height, in the language of the database; none where they are one.
pub fn days_between(warehouse: &Database) -> &'static str {
    match warehouse.to_string().split(':').next() {
        Some("postgres") => "NULLIF(last_day - first_day, 0)",
        Some("mysql") => "NULLIF(DATEDIFF(last_day, first_day), 0)",
        _ => "NULLIF(JULIANDAY(last_day) - JULIANDAY(first_day), 0)",
    }
}

/// How the warehouse writes the first parameter of a statement.
pub fn first_parameter(warehouse: &Database) -> &'static str {
    match warehouse.to_string().starts_with("mysql") {
        true => "?",
        false => "$1",
    }
}

/// Builds one model.
#[task(run_name = "model-{name}", retries = 3, retry_delay = "500ms", retry_if = Error::is_transient)]
pub async fn model(name: &str, #[resource] warehouse: &Database) -> Result<ModelReport, Error> {
    let models = models(days_between(warehouse));
    let model = models.iter().find(|model| model.name() == name);
    let model = model.ok_or_else(|| Error::new(ErrorKind::Options, format!("there is no model `{name}`")))?;
    model.build(warehouse).await
}

/// What the warehouse says now.
#[task]
pub async fn summary(#[resource] warehouse: &Database) -> Result<Vec<ScenarioSummary>, Error> {
    let query = "SELECT scenario, plants, leaf_area, growth FROM scenarios ORDER BY scenario";
    let batches = SqlSource::query(warehouse, query).open().await?;
    batches.collect_rows().await
}

/// Loads a file raw, and lets the database make the rest of it.
#[flow]
pub async fn fill(file: PathBuf, load: LoadId) -> Result<(Loaded, Vec<ModelReport>, Vec<ScenarioSummary>)> {
    let loaded = load_raw(&file, load).submit();
    let measurements = model("measurements").wait_for([&loaded]).submit();
    let plants = model("plants").wait_for([&measurements]).submit();
    let scenarios = model("scenarios").wait_for([&plants]).submit();
    let summary = summary().wait_for([&scenarios]).await?;
    let reports = all([measurements, plants, scenarios]).await?;
    Ok((loaded.await?, reports, summary))
}

/// Shows what came of it.
#[allow(clippy::print_stdout, reason = "an example shows what it does")]
pub fn show(loaded: &Loaded, models: &[ModelReport], summary: &[ScenarioSummary]) {
    let again = if loaded.repeated { ", before already" } else { "" };
    println!("loaded    {} rows{again}", loaded.rows);
    for model in models {
        println!(
            "model     {:<14} {:>6} rows, {} tests passed",
            model.model,
            model.rows,
            model.tests.len()
        );
    }
    for row in summary {
        let ScenarioSummary {
            scenario,
            plants,
            leaf_area,
            growth,
        } = row;
        println!("{scenario}        {plants} plants, {leaf_area:.6} m² of leaves, {growth:.4} mm a day");
    }
}
