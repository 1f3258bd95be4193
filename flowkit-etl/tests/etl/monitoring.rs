//! What runs do is counted from outside of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flowkit::prelude::*;
use flowkit::{SeededIds, SubmitStream, TokioClock};
use flowkit_etl::monitor::{Monitor, Traffic};
use flowkit_etl::pipeline::{Pipeline, Stage};
use flowkit_etl::quality::{Check, Quality};
use flowkit_etl::sink::{DatasetSink, FileSink, LoadId, Loaded, Sink};
use flowkit_etl::source::{CsvSource, Source};
use flowkit_etl::validation::Validation;
use flowkit_etl::{Error, Rejects, Tolerance};
use futures::StreamExt;
use serde::{Deserialize, Serialize};

/// 10 records, of which two are no plants, and one is no plant that is possible.
const PLANTS: &str = "plant,height\na,1.5\nb,2.5\nc,tall\nd,3.5\ne\nf,4.5\ng,-1.0\nh,1.0\ni,2.0\nj,3.0\n";

#[derive(Serialize, Deserialize)]
struct Plant {
    plant: String,
    height: f64,
}

async fn watched(monitor: &Monitor) -> Runtime {
    let runtime = Runtime::builder()
        .clock(TokioClock::starting_at(std::time::SystemTime::UNIX_EPOCH))
        .ids(SeededIds::new(1))
        .observe(monitor.clone());
    runtime.build().await.unwrap()
}

#[task]
async fn load(from: &Path, lake: &Path, day: &str) -> Result<Loaded, Error> {
    let rejects = Rejects::new();
    let batches = CsvSource::new(from)
        .schema(flowkit_etl::schema_of::<Plant>()?)
        .set_aside(Tolerance::ALL, &rejects)
        .open()
        .await?;
    let possible = serde_json::json!({"properties": {"height": {"minimum": 0.0}}});
    let batches = Validation::json_schema(&possible)?
        .set_aside(Tolerance::ALL, &rejects)
        .apply(batches)?
        // What was set aside is loaded too, and is none of what the task loads.
        .dead_letters(
            &rejects,
            Arc::new(DatasetSink::parquet(lake.with_extension("bad"))),
            LoadId::new(day)?,
        );
    DatasetSink::parquet(lake).load(&LoadId::new(day)?, batches).await
}

#[flow(run_name = "nightly-{day}")]
async fn nightly(from: PathBuf, lake: PathBuf, day: String) -> Result<u64> {
    Ok(load(from, lake, &day).await?.rows)
}

#[tokio::test]
async fn records_are_counted_for_the_task_that_they_pass_through_with_no_code_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let (from, lake) = (directory.path().join("plants.csv"), directory.path().join("lake"));
    std::fs::write(&from, PLANTS).unwrap();
    let monitor = Monitor::new();
    let runtime = watched(&monitor).await;
    let run = runtime.run(nightly(from.clone(), lake.clone(), "monday")).await;
    let id = run.id();
    assert_eq!(run.into_result().unwrap(), 7);

    let snapshot = monitor.snapshot();
    let of_task = snapshot.task("nightly", "load").unwrap();
    let traffic = of_task.traffic;
    assert_eq!(
        (traffic.records_in, traffic.records_out, traffic.records_rejected),
        (8, 7, 3),
        "two of ten were no records of the file, and one was no plant"
    );
    assert!(
        traffic.bytes_in > traffic.bytes_out && traffic.bytes_out > 0,
        "{traffic:?}"
    );
    let file_bytes: u64 = walked(&lake)
        .iter()
        .map(|file| file.metadata().unwrap().len())
        .sum();
    assert_eq!(traffic.file_bytes, file_bytes);
    let of_flow = snapshot.flow("nightly").unwrap();
    assert_eq!(of_flow.traffic, traffic, "a flow counts what its tasks do");
    assert_eq!(
        (of_flow.started, of_flow.running, of_flow.ended(State::Completed)),
        (1, 0, 1)
    );
    assert!(of_flow.last_success.is_some() && of_flow.last_failure.is_none());

    let of_run = monitor.run(id).unwrap();
    assert_eq!(
        (of_run.flow.as_str(), of_run.name.as_str()),
        ("nightly", "nightly-monday")
    );
    assert_eq!((of_run.traffic, of_run.tasks["load"].traffic), (traffic, traffic));

    // The same once more: it is read, and found to be there already.
    let run = runtime.run(nightly(from, lake, "monday")).await;
    assert_eq!(run.into_result().unwrap(), 7);
    let after = monitor.snapshot().flow("nightly").unwrap().clone();
    assert_eq!((after.traffic.records_out, after.started), (7, 2));
    assert_eq!(monitor.runs().len(), 2);
}

fn walked(directory: &Path) -> Vec<std::fs::File> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walked(&path));
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(std::fs::File::open(path).unwrap());
        }
    }
    files
}

#[task(retries = 2, retry_delay = "10m")]
async fn flaky(number: u32) -> Result<u32, Error> {
    flowkit::sleep(Duration::from_secs(60)).await;
    let attempt = flowkit::current_run().unwrap().attempt();
    match (number, attempt) {
        (0, 1) => Err(Error::new(flowkit_etl::ErrorKind::Unavailable, "not yet")),
        (7, _) => Err(Error::new(flowkit_etl::ErrorKind::Schema, "never")),
        _ => Ok(number),
    }
}

#[task(cache = inputs + run)]
async fn served(number: u32) -> u32 {
    number
}

#[task(timeout = "1s")]
async fn slow() {
    std::future::pending::<()>().await;
}

#[flow]
async fn inner(number: u32) -> Result<u32> {
    Ok(served(number).await?)
}

#[flow(retries = 1, retry_delay = "1h")]
async fn varied() -> Result<u32> {
    let attempt = flowkit::current_run().unwrap().attempt();
    let ok = flaky(0u32).await?;
    let mapped: Vec<u32> = (1..4u32).map(flaky).submit_all().await?;
    let same = served(3u32).await? + served(3u32).await?;
    inner(9u32).await?;
    assert!(slow().await.is_err());
    Traffic {
        records_out: 5,
        ..Traffic::default()
    }
    .report();
    if attempt == 1 {
        return Err("the flow is tried again".into());
    }
    flaky(7u32).await?;
    Ok(ok + same + mapped.len() as u32)
}

#[tokio::test(start_paused = true)]
async fn how_runs_ended_how_long_they_took_and_what_failed_is_counted_under_a_paused_clock() {
    let monitor = Monitor::new();
    let runtime = watched(&monitor).await;
    let run = runtime.run(varied()).await;
    assert_eq!(run.state(), State::Failed);
    let snapshot = monitor.snapshot();

    let of_flow = snapshot.flow("varied").unwrap();
    assert_eq!(
        (of_flow.started, of_flow.ended(State::Failed), of_flow.retries),
        (1, 1, 1)
    );
    assert_eq!(of_flow.errors.len(), 1, "{:?}", of_flow.errors);
    assert_eq!(of_flow.errors["Failed/Schema"], 1, "{:?}", of_flow.errors);
    assert_eq!(of_flow.traffic.records_out, 10, "two attempts of the body");
    assert!(of_flow.last_failure.is_some());

    let flaky = snapshot.task("varied", "flaky").unwrap();
    // One that is tried again and three of a fan-out, which the second attempt remembers, and one that never works.
    assert_eq!(flaky.ended(State::Failed), 1, "{flaky:?}");
    assert_eq!(flaky.errors["Failed/Schema"], 1);
    assert_eq!(flaky.retries, 1 + 2);
    assert_eq!(flaky.running, 0);
    let minute = Duration::from_secs(60);
    let shortest = flaky.durations.shortest;
    assert!(
        shortest >= minute && shortest < minute + Duration::from_secs(1),
        "{shortest:?}"
    );
    assert!(
        flaky.durations.longest >= 3 * minute + Duration::from_secs(1200),
        "three attempts and two delays"
    );

    assert_eq!(snapshot.task("varied", "slow").unwrap().ended(State::TimedOut), 2);
    assert_eq!(snapshot.task("varied", "slow").unwrap().errors["TimedOut"], 2);
    let served = snapshot.task("varied", "served").unwrap();
    // It is called twice in each of two attempts, and ran once.
    let ends = (served.ended(State::Completed), served.ended(State::Cached));
    assert_eq!(ends, (1, 3), "{served:?}");
    assert_eq!(snapshot.task("varied", "inner").unwrap().failed(), 0);
    let sub = monitor
        .runs()
        .into_iter()
        .find(|run| run.flow == "inner")
        .unwrap();
    assert_eq!(sub.parent, Some(run.id()));
    assert!(
        serde_json::to_string(&snapshot)
            .unwrap()
            .contains("\"Failed/Schema\":1")
    );
}

#[task]
async fn item(number: u32) -> Result<u32> {
    match number {
        13 => Err("unlucky".into()),
        _ => Ok(number),
    }
}

#[flow]
async fn fanned() -> Result<usize> {
    let none: Vec<u32> = (0..0u32).map(item).submit_all().await?;
    let all: Vec<u32> = (20..120u32).map(item).submit_all().await?;
    let lazily: Vec<u32> = (20..120u32).map(item).submit_lazily().await?;
    let streamed: Vec<u32> = futures::stream::iter(20..120u32)
        .map(item)
        .submit_stream(8.try_into()?)
        .await?;
    let tolerated = (0..20u32).map(item).submit_all().tolerate(1).await?;
    Ok(none.len() + all.len() + lazily.len() + streamed.len() + tolerated.len())
}

#[tokio::test]
async fn the_items_of_fan_outs_are_runs_and_a_fan_out_is_none() {
    let monitor = Monitor::new();
    let runtime = watched(&monitor).await;
    let run = runtime.run(fanned()).await;
    assert_eq!(run.state(), State::Completed, "{run:?}");
    let snapshot = monitor.snapshot();
    let [only] = &snapshot.tasks[..] else {
        panic!("there is one task: {snapshot:?}");
    };
    let item = &only.figures;
    assert_eq!(only.task, "item");
    assert_eq!((item.started, item.running), (320, 0));
    assert_eq!((item.ended(State::Completed), item.failed()), (319, 1));
    assert_eq!(item.durations.count, 320);
}

#[tokio::test]
async fn pipelines_and_their_stages_count_by_their_own_names() {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("plants.csv");
    std::fs::write(&from, "plant,height\na,1.5\nb,2.5\n").unwrap();
    let monitor = Monitor::new();
    let runtime = watched(&monitor).await;
    let checks = Quality::new("plants").check(Check::unique(["plant"]));
    let extract =
        Stage::extract("extract", CsvSource::new(from)).check(move |batches| Ok(checks.guard(batches)?.0));
    let tall = Stage::rows("tall", |rows: Vec<Plant>| {
        Ok(rows
            .into_iter()
            .filter(|row| row.height > 2.0)
            .collect::<Vec<_>>())
    });
    let kept = FileSink::new(directory.path().join("tall.parquet"));
    let load = Stage::load("load", kept, LoadId::new("1").unwrap());
    let pipeline = Pipeline::of("season", extract >> tall >> load).unwrap();
    runtime.run(pipeline.run()).await.into_result().unwrap();

    let snapshot = monitor.snapshot();
    assert_eq!(snapshot.flow("season").unwrap().succeeded(), 1);
    let passed = |stage: &str| {
        let traffic = snapshot.task("season", stage).unwrap().traffic;
        (traffic.records_in, traffic.records_out)
    };
    assert_eq!(
        (passed("extract"), passed("tall"), passed("load")),
        ((2, 2), (2, 1), (1, 1))
    );
}

#[tokio::test]
async fn what_is_remembered_of_single_runs_is_bounded_and_parts_work_outside_of_runs() {
    let monitor = Monitor::builder().remember_runs(2).build();
    let runtime = watched(&monitor).await;
    for number in 0..5u32 {
        runtime.run(inner(number)).await.into_result().unwrap();
    }
    assert_eq!(monitor.runs().len(), 2);
    assert_eq!(monitor.snapshot().flow("inner").unwrap().succeeded(), 5);

    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("plants.csv");
    std::fs::write(&from, "plant,height\na,1.5\n").unwrap();
    let batches = CsvSource::new(from).open().await.unwrap();
    let sink = FileSink::new(directory.path().join("plants.parquet"));
    assert_eq!(
        sink.load(&LoadId::new("1").unwrap(), batches).await.unwrap().rows,
        1
    );
    assert_eq!(
        monitor.snapshot().flow("inner").unwrap().traffic,
        Traffic::default()
    );
}
