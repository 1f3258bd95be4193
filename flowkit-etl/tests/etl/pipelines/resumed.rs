//! What passes between stages, while runs fail and go on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use flowkit::{ResumeOptions, Runtime, State, flow};
use flowkit_etl::pipeline::{Pipeline, PipelineReport, Stage};
use flowkit_etl::sink::FileSink;
use flowkit_etl::source::CsvSource;
use flowkit_etl::{Error, ErrorKind};
use serde::{Serialize, Serializer};

use super::{heights, load, rows_in, written};

/// A pipeline over a file of plants whose load fails while it is told to, and how often its source was read.
#[derive(Clone)]
struct Plants {
    file: PathBuf,
    work: Option<PathBuf>,
    extracted: Arc<AtomicU32>,
    failures: Arc<AtomicU32>,
    outer_failures: Arc<AtomicU32>,
}

impl Serialize for Plants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.file.serialize(serializer)
    }
}

impl Plants {
    fn of(file: &Path, work: Option<PathBuf>) -> Self {
        Self {
            file: file.to_owned(),
            work,
            extracted: Arc::default(),
            failures: Arc::default(),
            outer_failures: Arc::default(),
        }
    }

    fn extracted(&self) -> u32 {
        self.extracted.load(Ordering::SeqCst)
    }

    fn tall(&self) -> PathBuf {
        self.file.with_file_name("tall.parquet")
    }

    fn pipeline(&self) -> Pipeline {
        let (extracted, failures) = (self.extracted.clone(), self.failures.clone());
        let extract = Stage::extract("extract", CsvSource::new(&self.file)).check(move |batches| {
            extracted.fetch_add(1, Ordering::SeqCst);
            Ok(batches)
        });
        let tall = Stage::load("tall", FileSink::new(self.tall()), load("1"));
        let tall = tall.check(move |batches| match once_less(&failures) {
            true => Err(Error::new(ErrorKind::Full, "no room")),
            false => Ok(batches),
        });
        let all = Stage::load(
            "all",
            FileSink::new(self.file.with_file_name("all.parquet")),
            load("1"),
        );
        let pipeline = Pipeline::of("plants", extract >> [heights() >> tall, all.into()]).unwrap();
        match &self.work {
            Some(work) => pipeline.work_dir(work),
            None => pipeline,
        }
    }
}

/// Whether there was one more, which is taken.
fn once_less(count: &AtomicU32) -> bool {
    count
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
        .is_ok()
}

#[flow(retries = 1)]
async fn daily(plants: Plants) -> flowkit::Result<PipelineReport> {
    let report = plants.pipeline().run().await?;
    match once_less(&plants.outer_failures) {
        true => Err("what comes after it failed".into()),
        false => Ok(report),
    }
}

async fn journaled(file: &Path) -> Runtime {
    let data = file.with_file_name("data");
    Runtime::builder().data_dir(data).build().await.unwrap()
}

#[tokio::test]
async fn a_run_without_a_directory_of_its_own_is_resumed_and_makes_anew_what_it_needs() {
    let (_directory, file) = written(10).await;
    let (plants, runtime) = (Plants::of(&file, None), journaled(&file).await);
    plants.failures.store(2, Ordering::SeqCst);
    let run = runtime.run(plants.pipeline().run()).await;
    assert_eq!(run.state(), State::Failed);
    // As often as it takes: what was made anew in one life is gone in the next.
    for (life, state) in [(2, State::Failed), (3, State::Completed)] {
        let resumed = runtime
            .resume_call(run.id(), plants.pipeline().run(), ResumeOptions::new())
            .await
            .unwrap();
        assert_eq!(resumed.state(), state, "{life}: {:?}", resumed.result());
        assert_eq!(plants.extracted(), life, "once in each life");
    }
    assert!(!rows_in(&plants.tall()).await.is_empty());
    // Of what is complete nothing runs again.
    let again = runtime
        .resume_call(run.id(), plants.pipeline().run(), ResumeOptions::new())
        .await;
    assert!(again.is_err() || plants.extracted() == 3);
}

#[tokio::test]
async fn a_pipeline_that_is_part_of_a_flow_goes_on_with_the_flow() {
    for kept in [true, false] {
        let (directory, file) = written(10).await;
        let work = directory.path().join("work");
        let plants = Plants::of(&file, kept.then(|| work.clone()));
        let runtime = journaled(&file).await;
        plants.failures.store(2, Ordering::SeqCst);
        // Its own retry, then another life.
        let run = runtime.run(daily(plants.clone())).await;
        assert_eq!(run.state(), State::Failed, "{kept}");
        let read = if kept { 1 } else { 2 };
        assert_eq!(plants.extracted(), read, "{kept}");
        let resumed = runtime
            .resume_call(run.id(), daily(plants.clone()), ResumeOptions::new())
            .await
            .unwrap();
        assert_eq!(
            resumed.state(),
            State::Completed,
            "{kept}: {:?}",
            resumed.result()
        );
        assert_eq!(plants.extracted(), if kept { 1 } else { 3 }, "{kept}");
        if kept {
            assert_eq!(
                std::fs::read_dir(&work).unwrap().count(),
                0,
                "nothing is left of any life"
            );
        }
    }
}

#[tokio::test]
async fn a_pipeline_that_was_complete_does_not_run_again_with_what_comes_after_it() {
    let (_directory, file) = written(10).await;
    let (plants, runtime) = (Plants::of(&file, None), journaled(&file).await);
    plants.outer_failures.store(3, Ordering::SeqCst);
    let run = runtime.run(daily(plants.clone())).await;
    assert_eq!((run.state(), plants.extracted()), (State::Failed, 1));
    let resumed = runtime
        .resume_call(run.id(), daily(plants.clone()), ResumeOptions::new())
        .await
        .unwrap();
    assert_eq!(resumed.state(), State::Completed, "{:?}", resumed.result());
    assert_eq!(resumed.result().unwrap().stage("extract").unwrap().rows, 10);
    assert_eq!(plants.extracted(), 1);
}

#[tokio::test]
async fn what_passes_between_stages_is_for_nobody_else_and_goes_with_the_run() {
    let places: Arc<std::sync::Mutex<Vec<(PathBuf, u32)>>> = Arc::default();
    let (directory, file) = written(10).await;
    for work in [None, Some(directory.path().join("work"))] {
        let (seen, root) = (places.clone(), work.clone().unwrap_or_else(std::env::temp_dir));
        let look = Stage::action("look", move || {
            let run = flowkit::current_run().unwrap().flow_run_id().to_string();
            let entries = std::fs::read_dir(&root).unwrap().flatten();
            let ours = entries.filter(|entry| entry.file_name().to_string_lossy().contains(&run));
            for place in ours {
                seen.lock().unwrap().push((place.path(), mode(&place.path())));
            }
            async { Ok(0) }
        });
        // A name is a name: it makes no directories.
        let chain = Stage::extract("extract", CsvSource::new(&file)) >> look;
        let pipeline = Pipeline::of("plants/../daily", chain).unwrap();
        let pipeline = match &work {
            Some(work) => pipeline.work_dir(work),
            None => pipeline,
        };
        pipeline.run().await.unwrap();
        if let Some(work) = work {
            assert_eq!(std::fs::read_dir(&work).unwrap().count(), 0);
        }
    }
    let places = places.lock().unwrap();
    assert_eq!(places.len(), 2, "{places:?}");
    for (place, mode) in &*places {
        assert_eq!(mode & 0o777, 0o700, "{}", place.display());
        assert!(!place.exists(), "{}", place.display());
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode()
}

#[cfg(not(unix))]
fn mode(_: &Path) -> u32 {
    0o700
}
