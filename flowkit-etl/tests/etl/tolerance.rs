//! How many bad records are too many, of which records.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flowkit::TaskOptions;
use flowkit_etl::arrow_array::RecordBatch;
use flowkit_etl::arrow_schema::DataType;
use flowkit_etl::pipeline::{Pipeline, Stage};
use flowkit_etl::sink::{FileSink, LoadId};
use flowkit_etl::source::{CsvSource, JsonLinesSource, Source};
use flowkit_etl::validation::Validation;
use flowkit_etl::{BatchStream, ErrorKind, Rejects, Tolerance};
use serde::{Deserialize, Serialize};

use crate::plants::columns;

#[derive(Debug, Serialize, Deserialize, garde::Validate, schemars::JsonSchema)]
struct Plant {
    #[garde(range(min = 0.0))]
    height: f64,
}

/// A file of so many heights, of which every so manieth is `bad`.
fn write(path: &Path, plants: usize, every: usize, bad: &str) {
    let height = |plant: usize| if plant.is_multiple_of(every) { bad } else { "1.5" };
    let lines: Vec<&str> = (0..plants).map(height).collect();
    fs::write(path, format!("height\n{}\n", lines.join("\n"))).unwrap();
}

fn heights(path: &Path) -> CsvSource {
    CsvSource::new(path).schema(columns(&[("height", DataType::Float64)]))
}

fn plants(heights: &[f64]) -> BatchStream {
    BatchStream::from_rows(heights.iter().map(|height| Plant { height: *height }).collect()).unwrap()
}

#[tokio::test]
async fn records_that_a_source_and_a_validation_looked_at_are_judged_by_each() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plants.csv");
    write(&path, 100, 4, "-1");
    let rejects = Rejects::new();
    let read = heights(&path).set_aside(Tolerance::share(0.2), &rejects);
    let good = Validation::typed::<Plant>()
        .unwrap()
        .set_aside(Tolerance::share(0.2), &rejects)
        .apply(read.open().await.unwrap())
        .unwrap();
    let error = good.collect_batches().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.to_string().starts_with("25 of 100 records"), "{error}");
    assert_eq!((rejects.records(), rejects.rejected()), (200, 25));
}

#[tokio::test]
async fn each_stream_that_a_validation_is_applied_to_is_judged_by_itself() {
    let strict = Validation::typed::<Plant>().unwrap();
    let rejects = Rejects::new();
    let lenient = strict.clone().set_aside(Tolerance::share(0.5), &rejects);
    for validation in [strict, lenient] {
        let bad = validation.clone().apply(plants(&[1.0, -1.0, -2.0])).unwrap();
        assert_eq!(
            bad.collect_batches().await.unwrap_err().kind(),
            ErrorKind::Rejected
        );
        let good = validation.apply(plants(&[1.0, 2.0])).unwrap();
        assert_eq!(good.collect_rows::<Plant>().await.unwrap().len(), 2);
    }
    assert_eq!((rejects.records(), rejects.rejected()), (5, 2));
}

#[tokio::test]
async fn what_an_earlier_reading_set_aside_does_not_count_against_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let (csv, lines) = (
        directory.path().join("plants.csv"),
        directory.path().join("plants.jsonl"),
    );
    let write = |every: usize| {
        write(&csv, 100, every, "tall");
        let heights = (0..100).map(|plant| if plant % every == 0 { "\"tall\"" } else { "1.5" });
        let text: String = heights
            .map(|height| format!("{{\"height\":{height}}}\n"))
            .collect();
        fs::write(&lines, text).unwrap();
    };
    let (rejects, tolerance) = (Rejects::new(), Tolerance::share(0.05));
    let sources: [Box<dyn Source>; 2] = [
        Box::new(heights(&csv).set_aside(tolerance, &rejects)),
        Box::new(
            JsonLinesSource::new(&lines)
                .schema(columns(&[("height", DataType::Float64)]))
                .set_aside(tolerance, &rejects),
        ),
    ];
    for source in sources {
        write(5);
        let read = source.open().await.unwrap().collect_batches().await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Rejected);
        write(20);
        let read = source.open().await.unwrap().collect_batches().await.unwrap();
        assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 95);
    }
    assert_eq!((rejects.records(), rejects.rejected()), (400, 50));
}

#[tokio::test]
async fn a_validation_checks_a_stage_of_which_another_attempt_has_better_records() {
    let directory = tempfile::tempdir().unwrap();
    let (path, loaded) = (
        directory.path().join("plants.csv"),
        directory.path().join("plants.parquet"),
    );
    write(&path, 10, 11, "1.0");
    let attempts = AtomicU32::new(0);
    let validation = Validation::typed::<Plant>().unwrap();
    let extract = Stage::extract("extract", heights(&path))
        .check(move |batches| match attempts.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(plants(&[1.0, -1.0])),
            _ => Ok(batches),
        })
        .check(move |batches| validation.apply(batches))
        .options(TaskOptions::new().retries(1).retry_delay(Duration::ZERO));
    let load = Stage::load("load", FileSink::new(&loaded), LoadId::new("1").unwrap());
    let report = Pipeline::of("plants", extract >> load)
        .unwrap()
        .run()
        .await
        .unwrap();
    assert_eq!(report.stage("load").unwrap().rows, 10);
}
