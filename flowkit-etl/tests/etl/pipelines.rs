//! Pipelines in the classic shape.

mod resumed;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flowkit::{Runtime, State, TaskOptions};
use flowkit_etl::pipeline::{Chain, Pipeline, Stage};
use flowkit_etl::query::Query;
use flowkit_etl::sink::{DatasetSink, FileSink, LoadId, Sink, SqlSink};
use flowkit_etl::source::{CsvSource, DatasetSource, ParquetSource, Source, SqlSource};
use flowkit_etl::validation::Validation;
use flowkit_etl::{Error, ErrorKind, Rejects, Tolerance};
use serde::{Deserialize, Serialize};

use crate::databases::servers::{Kind, on};
use crate::plants::{Plant, plants, stream};

/// How high the plants of a scenario are.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Height {
    plant: String,
    centimetres: f64,
}

fn load(name: &str) -> LoadId {
    LoadId::new(name).unwrap()
}

async fn rows_in(path: &std::path::Path) -> Vec<Height> {
    ParquetSource::new(path)
        .open()
        .await
        .unwrap()
        .collect_rows()
        .await
        .unwrap()
}

/// A file of plants in a directory of its own.
async fn written(count: i64) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("plants.csv");
    FileSink::new(&file)
        .load(&load("1"), stream(&plants(count)))
        .await
        .unwrap();
    (directory, file)
}

fn heights() -> Stage {
    Stage::rows("heights", |rows: Vec<Plant>| {
        let height = |row: Plant| {
            Some(Height {
                plant: row.plant,
                centimetres: row.height?,
            })
        };
        Ok(rows.into_iter().filter_map(height).collect())
    })
}

#[tokio::test]
async fn each_stage_is_a_task_run_and_hands_its_rows_to_the_next() {
    let (directory, file) = written(20_000).await;
    let lake = directory.path().join("heights.parquet");
    let extract = Stage::extract("extract", CsvSource::new(file));
    let chain = extract >> heights() >> Stage::load("load", FileSink::new(&lake), load("2"));
    let runtime = Runtime::builder().build().await.unwrap();
    let run = runtime.run(Pipeline::of("plants", chain).unwrap().run()).await;
    let report = run.result().unwrap();
    let expected: Vec<_> = plants(20_000)
        .into_iter()
        .filter(|plant| plant.height.is_some())
        .collect();
    assert_eq!(report.stage("extract").unwrap().rows, 20_000);
    assert_eq!(report.stage("heights").unwrap().rows, expected.len() as u64);
    assert_eq!(
        report.stage("load").unwrap().loaded.as_ref().unwrap().rows,
        expected.len() as u64
    );
    assert_eq!(rows_in(&lake).await.len(), expected.len());
    for name in ["extract", "heights", "load"] {
        assert_eq!(run.task(name).unwrap().state, State::Completed, "{name}");
    }
    let drawn = run.graph().to_mermaid();
    assert!(drawn.contains("heights") && drawn.contains("-->"), "{drawn}");
}

#[tokio::test]
async fn rows_fan_out_to_several_stages_and_come_together_in_order() {
    let (directory, file) = written(100).await;
    let both = directory.path().join("both.parquet");
    let scenario = |name: &'static str| {
        Stage::rows(name, move |rows: Vec<Plant>| {
            Ok(rows
                .into_iter()
                .filter(|row| row.scenario == name)
                .collect::<Vec<Plant>>())
        })
    };
    let chain = Stage::extract("extract", CsvSource::new(file))
        >> [scenario("WW"), scenario("WD")]
        >> [Stage::load("load", FileSink::new(&both), load("1"))];
    let report = Pipeline::of("scenarios", chain).unwrap().run().await.unwrap();
    assert_eq!(
        (report.stage("WW").unwrap().rows, report.stage("WD").unwrap().rows),
        (50, 50)
    );
    let rows: Vec<Plant> = ParquetSource::new(&both)
        .open()
        .await
        .unwrap()
        .collect_rows()
        .await
        .unwrap();
    let order: Vec<&str> = rows.iter().map(|row| row.scenario.as_str()).collect();
    assert_eq!(order, [["WW"; 50], ["WD"; 50]].concat());
}

#[tokio::test]
async fn a_stage_is_a_query_and_the_cursor_of_what_it_reads_is_kept() {
    on(Kind::Sqlite, |place| async move {
        let raw = SqlSink::new(&place.database, "raw");
        raw.load(&load("raw"), stream(&plants(20))).await.unwrap();
        let sink = SqlSink::new(&place.database, "counts");
        let since = sink.since("raw").await.unwrap();
        let source = SqlSource::table(&place.database, "raw").since("day", since);
        let text = "SELECT scenario, count(*) AS plants FROM rows GROUP BY scenario HAVING count(*) > $1";
        let counts = Stage::query("counts", move |rows| Query::new(text).table("rows", rows).bind(1));
        let asked = Stage::transform_async("asked", |rows| async move {
            tokio::task::yield_now().await;
            Ok(rows)
        });
        let chain = Stage::extract("extract", source)
            >> counts
            >> asked
            >> Stage::load("load", sink.clone(), load("1"));
        let report = Pipeline::of("counts", chain).unwrap().run().await.unwrap();
        assert_eq!(report.stage("counts").unwrap().rows, 2);
        let wrong = Stage::query("wrong", |rows| {
            Query::new("SELECT absent FROM rows").table("rows", rows)
        });
        let chain = Stage::extract("extract", SqlSource::table(&place.database, "raw")) >> wrong;
        let error = Pipeline::of("wrong", chain).unwrap().run().await.unwrap_err();
        assert!(format!("{error:#}").contains("absent"), "{error:#}");
        assert!(sink.since("raw").await.unwrap().value().is_some());
    })
    .await;
}

#[tokio::test]
async fn stages_are_added_one_by_one_too_and_actions_keep_their_order() {
    let (directory, file) = written(10).await;
    let (one, two) = (
        directory.path().join("one.parquet"),
        directory.path().join("two.parquet"),
    );
    let (seen, looks) = (Arc::new(AtomicU32::new(0)), one.clone());
    let saw = seen.clone();
    let look = Stage::action("look", move || {
        let (there, saw) = (looks.exists(), saw.clone());
        async move {
            saw.store(if there { 2 } else { 1 }, Ordering::SeqCst);
            Ok(7)
        }
    });
    let pipeline = Pipeline::new("plants")
        .stage(Stage::extract("extract", CsvSource::new(file)))
        .unwrap()
        .stage(Stage::batches("as-they-are", Ok))
        .unwrap()
        .stage(Stage::load("one", FileSink::new(&one), load("1")))
        .unwrap()
        .stage(look)
        .unwrap();
    let report = pipeline.run().await.unwrap();
    assert_eq!(
        (report.stage("look").unwrap().rows, seen.load(Ordering::SeqCst)),
        (7, 2)
    );

    let chain = Chain::from([
        Stage::extract("plants", ParquetSource::new(&one))
            >> Stage::load("load", FileSink::new(&two), load("1")),
        Stage::action("last", || async { Ok(0) }).after("load").into(),
    ]);
    let run = Runtime::builder()
        .build()
        .await
        .unwrap()
        .run(Pipeline::of("ordered", chain).unwrap().run())
        .await;
    assert!(run.task("last").unwrap().started >= run.task("load").unwrap().ended);
    assert!(two.exists());
}

#[tokio::test]
async fn a_stage_that_fails_is_tried_again_by_itself() {
    let (directory, file) = written(10).await;
    let (out, tries) = (directory.path().join("out.parquet"), Arc::new(AtomicU32::new(0)));
    let tried = tries.clone();
    let unsteady = Stage::transform("unsteady", move |batches| {
        match tried.fetch_add(1, Ordering::SeqCst) {
            0 => Err(Error::new(ErrorKind::Unavailable, "not now")),
            _ => Ok(batches),
        }
    });
    let unsteady = unsteady.options(TaskOptions::new().retries(2).retry_delay(Duration::ZERO));
    let chain = Stage::extract("extract", CsvSource::new(file))
        >> unsteady
        >> Stage::load("load", FileSink::new(&out), load("1"));
    let run = Runtime::builder()
        .build()
        .await
        .unwrap()
        .run(Pipeline::of("unsteady", chain).unwrap().run())
        .await;
    assert_eq!(run.result().unwrap().stage("load").unwrap().rows, 10);
    assert_eq!(run.task("unsteady").unwrap().attempts, 2);
    assert_eq!(run.task("extract").unwrap().attempts, 1);
}

#[tokio::test]
async fn a_stage_checks_what_it_passes_on_and_nothing_is_loaded_that_is_not_good() {
    let (directory, file) = written(100).await;
    let lake = directory.path().join("lake");
    let pipeline = |tolerance: f64| {
        let expected = crate::plants::columns(&[("plant", flowkit_etl::arrow_schema::DataType::Utf8)]);
        let mut expected = flowkit_etl::arrow_schema::Schema::clone(&expected)
            .fields
            .to_vec();
        expected.push(Arc::new(flowkit_etl::arrow_schema::Field::new(
            "height",
            flowkit_etl::arrow_schema::DataType::Float64,
            false,
        )));
        let expected = Arc::new(flowkit_etl::arrow_schema::Schema::new(expected));
        let check = move |batches| {
            Validation::columns(expected.clone())
                .set_aside(Tolerance::share(tolerance), &Rejects::new())
                .apply(batches)
        };
        let chain = Stage::extract("extract", CsvSource::new(&file)).check(check)
            >> Stage::load("load", DatasetSink::parquet(&lake), load("1"));
        Pipeline::of("checked", chain).unwrap().run()
    };
    let run = Runtime::builder()
        .build()
        .await
        .unwrap()
        .run(pipeline(0.01))
        .await;
    let error = run.result().unwrap_err();
    let cause = std::error::Error::source(&error.root())
        .and_then(|cause| cause.downcast_ref::<Error>())
        .map(Error::kind);
    assert_eq!(cause, Some(ErrorKind::Rejected), "{error:?}");
    assert_eq!(run.task("load").unwrap().state, State::UpstreamFailed);
    assert!(!lake.exists());
    let report = pipeline(0.2).await.unwrap();
    assert_eq!(report.stage("load").unwrap().rows, 85);
    let rows = DatasetSource::new(&lake)
        .open()
        .await
        .unwrap()
        .collect_batches()
        .await
        .unwrap();
    assert_eq!(
        rows.iter()
            .map(flowkit_etl::arrow_array::RecordBatch::num_rows)
            .sum::<usize>(),
        85
    );
}

#[tokio::test]
async fn what_cannot_be_run_is_told_before_anything_runs() {
    let extract = |name: &str| Stage::extract(name, CsvSource::new("plants.csv"));
    let error = |chain: Chain| Pipeline::of("wrong", chain).unwrap_err().to_string();
    assert_eq!(
        error(extract("a") >> heights() >> heights()),
        "two stages are called `heights`"
    );
    let load = Stage::load("load", FileSink::new("out.csv"), load("1"));
    assert_eq!(
        error(load.clone().into()),
        "the stage `load` takes rows, and no stage before it makes any"
    );
    assert_eq!(
        error(extract("a") >> load.clone().after("b")),
        "the stage `load` is to run after `b`, and there is no such stage"
    );
    assert_eq!(
        error(extract("a").after("load") >> load),
        "the stages of `wrong` wait for each other in a circle"
    );
    assert!(error(extract("a/b").into()).contains("letters, digits"));
    assert!(error(extract("a") >> extract("b")).contains("the stage `b` reads a source"));
    let act = Stage::action("act", || async { Ok(0) });
    assert!(Pipeline::of("right", act >> extract("a")).is_ok());
}

#[tokio::test]
async fn what_passes_between_stages_goes_when_the_run_has_ended_unless_it_failed_in_a_directory_of_its_own() {
    let (directory, file) = written(10).await;
    let work = directory.path().join("work");
    let run = |fails: bool| {
        let out = directory.path().join("out.parquet");
        let judge = Stage::batches("judge", move |batch| match fails && batch.num_rows() > 0 {
            true => Err(Error::new(ErrorKind::Quality, "not good")),
            false => Ok(batch),
        });
        let chain = Stage::extract("extract", CsvSource::new(&file))
            >> judge
            >> Stage::load("load", FileSink::new(out), load("1"));
        Pipeline::of("kept", chain).unwrap().work_dir(&work).run()
    };
    let left = || std::fs::read_dir(&work).unwrap().count();
    run(true).await.unwrap_err();
    assert_eq!(left(), 1);
    run(false).await.unwrap();
    assert_eq!(left(), 1, "its own is gone");
}

#[tokio::test]
async fn a_run_that_is_resumed_goes_on_after_the_stages_that_were_complete() {
    let (directory, file) = written(10).await;
    let (extracted, broken) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(1)));
    let pipeline = || {
        let (extracted, broken) = (extracted.clone(), broken.clone());
        let counted = Stage::extract("extract", CsvSource::new(&file)).check(move |batches| {
            extracted.fetch_add(1, Ordering::SeqCst);
            Ok(batches)
        });
        let load = Stage::load(
            "load",
            FileSink::new(directory.path().join("out.parquet")),
            load("1"),
        );
        let load = load.check(move |batches| match broken.load(Ordering::SeqCst) {
            0 => Ok(batches),
            _ => Err(Error::new(ErrorKind::Full, "no room")),
        });
        let pipeline = Pipeline::of("resumed", counted >> load).unwrap();
        pipeline.work_dir(directory.path().join("work")).run()
    };
    let runtime = Runtime::builder()
        .data_dir(directory.path().join("data"))
        .build()
        .await
        .unwrap();
    let run = runtime.run(pipeline()).await;
    assert_eq!(run.state(), State::Failed);
    broken.store(0, Ordering::SeqCst);
    let resumed = runtime
        .resume_call(run.id(), pipeline(), flowkit::ResumeOptions::new())
        .await
        .unwrap();
    let report = resumed.result().unwrap();
    assert_eq!(
        (
            report.stage("extract").unwrap().rows,
            report.stage("load").unwrap().rows
        ),
        (10, 10)
    );
    assert_eq!(extracted.load(Ordering::SeqCst), 1, "it was not read once more");
}

#[tokio::test]
async fn a_cursor_is_kept_by_the_load_at_the_end() {
    on(Kind::Sqlite, |place| async move {
        let sink = SqlSink::new(&place.database, "heights");
        for (turn, expected) in [(1, 5), (2, 0), (3, 2)] {
            if turn != 2 {
                let first = if turn == 1 { 0 } else { 5 };
                let raw = SqlSink::new(&place.database, "raw");
                raw.load(
                    &load(&format!("raw-{turn}")),
                    stream(&plants(7)[first..first + expected]),
                )
                .await
                .unwrap();
            }
            let since = sink.since("raw").await.unwrap();
            let extract = Stage::extract(
                "extract",
                SqlSource::table(&place.database, "raw").since("day", since),
            );
            let load = Stage::load("load", sink.clone(), load(&format!("turn-{turn}")));
            let as_they_are = Stage::transform("as-they-are", Ok);
            let report = Pipeline::of("new", extract >> as_they_are >> load)
                .unwrap()
                .run()
                .await
                .unwrap();
            assert_eq!(report.stage("load").unwrap().rows, expected as u64, "turn {turn}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_one_incremental_extraction_brought_comes_together_again() {
    on(Kind::Sqlite, |place| async move {
        let raw = SqlSink::new(&place.database, "raw");
        raw.load(&load("raw"), stream(&plants(6))).await.unwrap();
        let sink = SqlSink::new(&place.database, "heights");
        let extract = |name: &str, since| {
            let source = SqlSource::table(&place.database, "raw").since("day", since);
            Stage::extract(name, source)
        };
        let as_they_are = |name: &str| Stage::transform(name, Ok);
        let load = |name: &str| Stage::load("load", sink.clone(), load(name));
        let since = sink.since("raw").await.unwrap();
        // Two that happen to begin and to end at one place are two all the same.
        let two =
            Chain::from([extract("one", since.clone()), extract("other", since.clone())]) >> load("two");
        let error = Pipeline::of("two", two).unwrap().run().await.unwrap_err();
        assert!(
            format!("{error:#}").contains("two incremental extractions"),
            "{error:#}"
        );
        assert_eq!(sink.since("raw").await.unwrap().value(), None);
        let chain = extract("extract", since) >> [as_they_are("a"), as_they_are("b")] >> load("both");
        let report = Pipeline::of("both", chain).unwrap().run().await.unwrap();
        assert_eq!(report.stage("load").unwrap().rows, 12);
        assert!(sink.since("raw").await.unwrap().value().is_some());
    })
    .await;
}
