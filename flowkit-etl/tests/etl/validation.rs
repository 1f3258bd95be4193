//! Records that are checked while they stream past.

use std::fs;
use std::sync::Arc;

use flowkit_etl::arrow_schema::{DataType, Field, Schema};
use flowkit_etl::sink::{DatasetSink, FileSink, LoadId, Sink};
use flowkit_etl::source::{CsvSource, DatasetSource, JsonLinesSource, ParquetSource, Source};
use flowkit_etl::validation::{Drift, Validation};
use flowkit_etl::{BatchStream, DeadLetter, ErrorKind, Rejects, Tolerance, batch_of};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::plants::columns;

mod letters;
mod values;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, garde::Validate, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Measurement {
    #[garde(length(min = 1, max = 10), pattern("^[a-z0-9]+$"))]
    #[schemars(regex(pattern = "^[a-z0-9]+$"))]
    plant_name: String,
    #[garde(skip)]
    scenario: Scenario,
    #[garde(range(min = 0.0, max = 5000.0), custom(not_below(&self.last_height)))]
    plant_height: Option<f64>,
    #[garde(skip)]
    last_height: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
enum Scenario {
    #[serde(rename = "WW")]
    Watered,
    #[serde(rename = "WD")]
    Dry,
}

/// Plants do not shrink.
fn not_below(last: &Option<f64>) -> impl FnOnce(&Option<f64>, &()) -> garde::Result + '_ {
    move |height, ()| match (height, last) {
        (Some(height), Some(last)) if height < last => {
            Err(garde::Error::new(format!("less than it was, {last}")))
        }
        _ => Ok(()),
    }
}

/// Lines of JSON as a stream of batches.
async fn lines(lines: &[Value], schema: &[(&str, DataType)]) -> BatchStream {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lines.jsonl");
    fs::write(
        &path,
        lines.iter().map(|line| format!("{line}\n")).collect::<String>(),
    )
    .unwrap();
    let source = JsonLinesSource::new(&path).schema(columns(schema)).batch_rows(2);
    let batches = source.open().await.unwrap().collect_batches().await.unwrap();
    BatchStream::of(columns(schema), batches)
}

const COLUMNS: [(&str, DataType); 4] = [
    ("plantName", DataType::Utf8),
    ("scenario", DataType::Utf8),
    ("plantHeight", DataType::Float64),
    ("lastHeight", DataType::Float64),
];

fn told(rejects: &Rejects) -> Vec<String> {
    rejects.kept().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn every_violation_of_a_typed_record_is_told_with_index_field_value_and_rule() {
    let records = [
        json!({"plantName": "a", "scenario": "WW", "plantHeight": 140.3, "lastHeight": 140.0}),
        json!({"plantName": "B!", "scenario": "WW", "plantHeight": -1.0}),
        json!({"plantName": "c", "scenario": "moist", "plantHeight": 1.0}),
        json!({"scenario": "dry", "plantHeight": 9000.0}),
        json!({"plantName": "e", "scenario": "WD", "plantHeight": 3.0, "lastHeight": 4.0}),
        json!({"plantName": "f", "scenario": "WD"}),
    ];
    let rejects = Rejects::new();
    let good = Validation::typed::<Measurement>()
        .unwrap()
        .origin("season")
        .set_aside(Tolerance::ALL, &rejects)
        .apply(lines(&records, &COLUMNS).await)
        .unwrap();
    let good: Vec<Measurement> = good.collect_rows().await.unwrap();
    let names: Vec<&str> = good.iter().map(|row| row.plant_name.as_str()).collect();
    assert_eq!(names, ["a", "f"]);
    assert_eq!(
        told(&rejects),
        [
            "season record 1: plantName is \"B!\": does not match pattern /^[a-z0-9]+$/; plantHeight is \"-1.0\": lower than 0",
            "season record 2: scenario is \"moist\": not one of \"WW\" or \"WD\"",
            "season record 3: plantName is \"\": missing; scenario is \"dry\": not one of \"WW\" or \"WD\"; plantHeight is \"9000.0\": greater than the maximum of 5000.0",
            "season record 4: plantHeight is \"3.0\": less than it was, 4",
        ]
    );
    assert_eq!((rejects.records(), rejects.rejected()), (6, 4));
    assert_eq!(
        rejects.kept()[2].content,
        "{\"scenario\":\"dry\",\"plantHeight\":9000.0}"
    );
}

#[tokio::test]
async fn a_field_that_the_type_does_not_have_makes_a_record_bad_where_it_says_so() {
    let mut schema = COLUMNS.to_vec();
    schema.push(("note", DataType::Utf8));
    let records = [
        json!({"plantName": "a", "scenario": "WW"}),
        json!({"plantName": "b", "scenario": "WW", "note": "?"}),
    ];
    let rejects = Rejects::new();
    let good = Validation::typed::<Measurement>()
        .unwrap()
        .set_aside(Tolerance::ALL, &rejects)
        .apply(lines(&records, &schema).await)
        .unwrap();
    assert_eq!(good.schema().fields().len(), 4);
    assert_eq!(good.collect_rows::<Measurement>().await.unwrap().len(), 1);
    assert_eq!(
        told(&rejects),
        ["records record 1: note is \"?\": not a known field"]
    );
}

#[tokio::test]
async fn integers_are_numbers_for_a_type_that_says_so() {
    let mut schema = COLUMNS.to_vec();
    schema[2].1 = DataType::Int64;
    let records = [json!({"plantName": "a", "scenario": "WW", "plantHeight": 3})];
    let good = Validation::typed::<Measurement>()
        .unwrap()
        .apply(lines(&records, &schema).await)
        .unwrap();
    assert_eq!(
        good.collect_rows::<Measurement>().await.unwrap()[0].plant_height,
        Some(3.0)
    );
}

#[tokio::test]
async fn without_tolerance_the_first_bad_record_ends_the_stream_and_a_share_is_judged_at_its_end() {
    let record = |height: f64| json!({"plantName": "a", "scenario": "WW", "plantHeight": height});
    let records: Vec<Value> = [1.0, -1.0, 2.0, -2.0, 3.0, 4.0].map(record).to_vec();
    let validation = || Validation::typed::<Measurement>().unwrap();
    let mut strict = validation().apply(lines(&records, &COLUMNS).await).unwrap();
    let error = strict.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(
        error.to_string().contains("1 of 2 records") && error.to_string().contains("lower than 0"),
        "{error}"
    );

    let rejects = Rejects::new();
    let lenient = validation().set_aside(Tolerance::share(0.34), &rejects);
    let rows = lenient
        .apply(lines(&records, &COLUMNS).await)
        .unwrap()
        .collect_rows::<Measurement>()
        .await;
    assert_eq!(rows.unwrap().len(), 4);
    let mut judged = validation()
        .set_aside(Tolerance::share(0.33), &Rejects::new())
        .apply(lines(&records, &COLUMNS).await)
        .unwrap();
    let mut ended = Vec::new();
    while let Some(batch) = judged.next().await {
        ended.push(batch.map(|batch| batch.num_rows()).map_err(|error| error.kind()));
    }
    assert_eq!(ended, [Ok(1), Ok(1), Ok(2), Err(ErrorKind::Rejected)]);
}

#[tokio::test]
async fn a_schema_file_is_kept_to_and_one_that_is_none_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plant.schema.json");
    let schema = json!({
        "type": "object",
        "required": ["plantName", "day"],
        "properties": {
            "plantName": {"type": "string", "maxLength": 3},
            "day": {"type": "string", "format": "date"},
            "plantHeight": {"type": "number", "exclusiveMinimum": 0},
        },
        "if": {"properties": {"scenario": {"const": "WD"}}, "required": ["scenario"]},
        "then": {"required": ["plantHeight"]},
    });
    fs::write(&path, schema.to_string()).unwrap();
    let of_records = [
        ("plantName", DataType::Utf8),
        ("day", DataType::Utf8),
        ("scenario", DataType::Utf8),
        ("plantHeight", DataType::Float64),
    ];
    let records = [
        json!({"plantName": "a", "day": "2013-02-04", "scenario": "WW"}),
        json!({"plantName": "long", "day": "2013-02-30", "plantHeight": 0.0}),
        json!({"plantName": "b", "day": "2013-02-04", "scenario": "WD"}),
        json!({"plantName": "c"}),
    ];
    let rejects = Rejects::new();
    let good = Validation::json_schema_file(&path)
        .unwrap()
        .set_aside(Tolerance::ALL, &rejects)
        .apply(lines(&records, &of_records).await)
        .unwrap();
    assert_eq!(good.collect_rows::<Value>().await.unwrap().len(), 1);
    let told = told(&rejects);
    assert_eq!(told.len(), 3);
    for part in [
        "plantName is \"long\": longer than 3 characters",
        "day is \"2013-02-30\": not a \"date\"",
        "plantHeight is \"0.0\": less than or equal to the minimum of 0",
    ] {
        assert!(told[0].contains(part), "{part} in {}", told[0]);
    }
    assert_eq!(told[1], "records record 2: plantHeight is \"\": missing");
    assert_eq!(told[2], "records record 3: day is \"\": missing");

    fs::write(&path, "{\"type\": 3}").unwrap();
    let error = Validation::json_schema_file(&path).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("plant.schema.json is no valid JSON Schema"),
        "{error}"
    );
}

#[tokio::test]
async fn columns_are_coerced_where_that_loses_nothing_and_their_drift_is_told() {
    let expected = Arc::new(Schema::new(vec![
        Field::new("count", DataType::Int32, false),
        Field::new("day", DataType::Date32, true),
        Field::new("height", DataType::Float32, true),
        Field::new("note", DataType::Utf8, true),
    ]));
    let came = [
        ("height", DataType::Float64),
        ("day", DataType::Utf8),
        ("count", DataType::Float64),
        ("extra", DataType::Boolean),
    ];
    let drift = Drift::between(&columns(&came), &expected);
    assert_eq!(
        drift.to_string(),
        "missing: `note`; unexpected: `extra`; may have missing values: `count`; `count` is Float64 instead of Int32; \
         `day` is Utf8 instead of Date32; `height` is Float64 instead of Float32"
    );
    let records = [
        json!({"count": 3.0, "day": "2013-02-04", "height": 1.5}),
        json!({"count": 3.5, "day": "2013-02-04", "height": 1.5}),
        json!({"count": 3.0, "day": "soon", "height": 0.1}),
        json!({"day": "2013-02-04"}),
        json!({"count": 1e12}),
    ];
    let rejects = Rejects::new();
    let good = Validation::columns(expected.clone())
        .set_aside(Tolerance::ALL, &rejects)
        .apply(lines(&records, &came).await)
        .unwrap();
    assert_eq!(good.schema(), &expected);
    let rows: Vec<Value> = good.collect_rows().await.unwrap();
    assert_eq!(
        rows,
        [json!({"count": 3, "day": 15740, "height": 1.5, "note": null})]
    );
    assert_eq!(
        told(&rejects),
        [
            "records record 1: count is \"3.5\": not of type Int32 without loss",
            "records record 2: day is \"soon\": not of type Date32; height is \"0.1\": not of type Float32 without loss",
            "records record 3: count is \"\": missing",
            "records record 4: count is \"1000000000000.0\": not of type Int32",
        ]
    );

    let error = Validation::columns_exactly(expected.clone())
        .apply(lines(&records, &came).await)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    assert!(error.to_string().contains("unexpected: `extra`"), "{error}");
    let numbers = [("count", DataType::Int32), ("day", DataType::Int64)];
    let error = Validation::columns(expected.clone()).apply(lines(&[], &numbers).await);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`day` is Int64 instead of Date32"), "{error}");
    let without_count = lines(&[], &came[..2]).await;
    let error = Validation::columns(expected).apply(without_count).unwrap_err();
    assert!(error.to_string().contains("missing: `count`"), "{error}");
}

#[tokio::test]
async fn dead_letters_are_loaded_with_their_reason_while_the_good_records_pass() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plants.csv");
    let mut text = String::from("plantName,scenario,plantHeight,lastHeight\n");
    for number in 0..30_000 {
        let height = if number % 10 == 3 { "-1" } else { "1.5" };
        text.push_str(&format!("p{number},WW,{height},\n"));
    }
    text.push_str("cut\n");
    fs::write(&path, &text).unwrap();
    let (rejects, letters) = (Rejects::new(), directory.path().join("letters"));
    let dead: Arc<dyn Sink> = Arc::new(DatasetSink::parquet(&letters));
    let load = LoadId::new("monday").unwrap();
    let read = CsvSource::new(&path)
        .set_aside(Tolerance::share(0.2), &rejects)
        .open()
        .await
        .unwrap();
    let good = Validation::typed::<Measurement>()
        .unwrap()
        .origin("plants")
        .set_aside(Tolerance::share(0.2), &rejects)
        .apply(read)
        .unwrap()
        .dead_letters(&rejects, dead, load.clone());
    let sink = FileSink::new(directory.path().join("good.parquet"));
    assert_eq!(sink.load(&load, good).await.unwrap().rows, 27_000);

    let letters = DatasetSource::new(&letters).open().await.unwrap();
    let letters: Vec<DeadLetter> = letters.collect_rows().await.unwrap();
    assert_eq!(letters.len(), 3001);
    let cut = letters.iter().find(|letter| letter.line.is_some()).unwrap();
    assert_eq!((cut.line, cut.content.as_str()), (Some(30_002), "cut"));
    let low = letters.iter().find(|letter| letter.line.is_none()).unwrap();
    assert_eq!(
        (low.record, low.reason.as_str()),
        (3, "plantHeight is \"-1.0\": lower than 0")
    );
    let violations: Vec<flowkit_etl::Violation> = serde_json::from_str(&low.violations).unwrap();
    assert_eq!(violations[0].field, "plantHeight");
}

#[tokio::test]
async fn dead_letters_are_kept_when_too_many_end_the_stream_and_not_when_something_else_does() {
    let directory = tempfile::tempdir().unwrap();
    let records = [json!({"plantName": "a", "scenario": "WW", "plantHeight": -1.0})];
    for (name, fails_before) in [("rejected", false), ("failed", true)] {
        let letters = directory.path().join(format!("{name}.parquet"));
        let rejects = Rejects::new();
        let schema = columns(&COLUMNS);
        let batch = batch_of(&schema, &records).unwrap();
        let failure = fails_before.then(|| Err(flowkit_etl::Error::new(ErrorKind::Unavailable, "cut off")));
        let stream = BatchStream::new(
            schema,
            futures::stream::iter([Ok(batch)].into_iter().chain(failure)),
        );
        let good = Validation::typed::<Measurement>()
            .unwrap()
            .set_aside(Tolerance::share(0.5), &rejects)
            .apply(stream)
            .unwrap()
            .dead_letters(
                &rejects,
                Arc::new(FileSink::new(&letters)),
                LoadId::new("1").unwrap(),
            );
        let error = good.collect_batches().await.unwrap_err();
        if fails_before {
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(!letters.exists());
        } else {
            assert_eq!(error.kind(), ErrorKind::Rejected);
            let letters = ParquetSource::new(&letters).open().await.unwrap();
            assert_eq!(letters.collect_rows::<DeadLetter>().await.unwrap().len(), 1);
        }
    }
}

#[tokio::test]
async fn records_that_are_set_aside_again_after_their_letters_were_loaded_pass_as_they_did_then() {
    let directory = tempfile::tempdir().unwrap();
    let record = |height: f64| json!({"plantName": "a", "scenario": "WW", "plantHeight": height});
    let bad: Vec<Value> = [-1.0, -2.0, -3.0, -4.0].map(record).to_vec();
    for _ in 0..2 {
        let rejects = Rejects::keeping(1);
        let good = Validation::typed::<Measurement>()
            .unwrap()
            .set_aside(Tolerance::ALL, &rejects)
            .apply(lines(&bad, &COLUMNS).await)
            .unwrap()
            .dead_letters(
                &rejects,
                Arc::new(DatasetSink::parquet(directory.path())),
                LoadId::new("1").unwrap(),
            );
        let rows = good.collect_rows::<Measurement>().await.unwrap();
        assert_eq!((rows.len(), rejects.rejected()), (0, 4));
        // Whoever goes on with these rejects is not left with all of them in memory.
        let again = Validation::typed::<Measurement>()
            .unwrap()
            .set_aside(Tolerance::ALL, &rejects)
            .apply(lines(&bad, &COLUMNS).await)
            .unwrap();
        again.collect_batches().await.unwrap();
        assert_eq!((rejects.kept().len(), rejects.rejected()), (1, 8));
    }
    let letters = DatasetSource::new(directory.path()).open().await.unwrap();
    assert_eq!(letters.collect_rows::<DeadLetter>().await.unwrap().len(), 4);
}
