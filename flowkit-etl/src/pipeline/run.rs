//! A pipeline while it runs: a flow, and a task for each stage.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use flowkit::{TaskCall, TaskHandle, all, current_run, flow, task};
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use serde::{Deserialize, Serialize, Serializer};
use tokio::sync::OnceCell;

use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::stage::{Stage, Work};
use crate::pipeline::workplace::Workplace;
use crate::pipeline::{Pipeline, PipelineReport, StageReport};
use crate::since::Progress;
use crate::sink::{FileSink, LoadId, Sink};
use crate::source::{ParquetSource, Source};
use crate::stream::{BatchStream, columns};

/// A pipeline as the parameter of its flow, known by its name.
#[derive(Clone)]
pub(super) struct Wired(pub(super) Arc<Pipeline>);

impl Serialize for Wired {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.name)
    }
}

/// A stage of a run as the parameter of its task, known by its name: so that the call is the same in every life of the run.
#[derive(Clone)]
struct Step {
    stage: Stage,
    /// Which ends with the flow's body, whatever of its stages is still there.
    course: Weak<Course>,
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.stage.name())
    }
}

/// What a stage passes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Passed {
    report: StageReport,
    /// The file with the rows, if there are any.
    file: Option<PathBuf>,
    /// How far an incremental extraction came.
    progress: Option<Progress>,
}

impl Passed {
    /// That of a stage from which no rows are taken.
    fn nothing(report: StageReport) -> Self {
        Self {
            report,
            file: None,
            progress: None,
        }
    }
}

/// An attempt of a run, or a life of it, as its stages see it.
struct Course {
    pipeline: Arc<Pipeline>,
    workplace: Workplace,
    /// The runs of the stages, as far as they were submitted.
    handles: Mutex<Vec<Option<TaskHandle<Passed>>>>,
    /// What was made anew of what earlier ones had made, which is gone.
    anew: Vec<OnceCell<Passed>>,
}

#[flow(name = "pipeline")]
pub(super) async fn pipeline(wired: Wired) -> flowkit::Result<PipelineReport> {
    let pipeline = wired.0;
    let run = current_run()
        .map(|run| run.flow_run_id().to_string())
        .unwrap_or_default();
    let count = pipeline.nodes.len();
    let course = Arc::new(Course {
        workplace: Workplace::of(run, pipeline.work.clone()).await?,
        handles: Mutex::new(vec![None; count]),
        anew: (0..count).map(|_| OnceCell::new()).collect(),
        pipeline,
    });
    while (0..count).any(|index| course.handle(index).is_none()) {
        for index in 0..count {
            course.submit(index);
        }
    }
    let mut passed = Vec::with_capacity(count);
    for handle in (0..count).filter_map(|index| course.handle(index)) {
        passed.push(handle.await?);
    }
    course
        .workplace
        .clear(passed.iter().filter_map(|passed| passed.file.as_ref()));
    let stages = passed.into_iter().map(|passed| passed.report).collect();
    Ok(PipelineReport { stages })
}

impl Course {
    fn handle(&self, index: usize) -> Option<TaskHandle<Passed>> {
        let handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        handles.get(index).cloned().flatten()
    }

    /// Submits a stage once those that it waits for are submitted.
    fn submit(self: &Arc<Self>, index: usize) {
        let before = self.pipeline.before(index);
        let after: Vec<_> = before.iter().filter_map(|before| self.handle(*before)).collect();
        let Some(node) = self.pipeline.nodes.get(index) else {
            return;
        };
        if self.handle(index).is_some() || after.len() < before.len() {
            return;
        }
        let inputs: Vec<_> = node
            .inputs
            .iter()
            .filter_map(|input| self.handle(*input))
            .collect();
        let step = Step {
            stage: node.stage.clone(),
            course: Arc::downgrade(self),
        };
        let call = configured(stage(step, all(inputs)), &node.stage).wait_for(&after);
        let handle = call.submit();
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = handles.get_mut(index) {
            *place = Some(handle);
        }
    }

    /// What a stage made, of which it is known that it is gone, made anew: once, whoever needs it.
    fn anew(self: Arc<Self>, index: usize) -> BoxFuture<'static, Result<Passed>> {
        async move {
            let (Some(node), Some(cell)) = (self.pipeline.nodes.get(index), self.anew.get(index)) else {
                return Err(no_rows("a stage that is none"));
            };
            let made = cell.get_or_try_init(|| async {
                let mut from = Vec::with_capacity(node.inputs.len());
                for input in &node.inputs {
                    let handle = self.handle(*input).ok_or_else(|| no_rows(node.stage.name()))?;
                    from.push(handle.await.map_err(|error| lost(&node.stage, error))?);
                }
                loop {
                    let step = Step {
                        stage: node.stage.clone(),
                        course: Arc::downgrade(&self),
                    };
                    let call = configured(stage(step, from.clone()), &node.stage);
                    let passed = call.await.map_err(|error| lost(&node.stage, error))?;
                    // An earlier life may have made it anew, too, and what it made then is gone as well.
                    if self.has(&passed).await? {
                        return Ok(passed);
                    }
                }
            });
            // Whoever waits for another stage to make it holds no slot that this may need.
            flowkit::waiting(made).await.cloned()
        }
        .boxed()
    }

    async fn has(self: &Arc<Self>, passed: &Passed) -> Result<bool> {
        let (course, file) = (Arc::clone(self), passed.file.clone());
        crate::blocking::run(move || Ok(file.is_none_or(|file| course.workplace.has(&file)))).await
    }
}

/// A call of a stage, with its name and options.
fn configured(call: TaskCall<Passed>, stage: &Stage) -> TaskCall<Passed> {
    let name: Arc<str> = stage.name().into();
    call.named(name).with(stage.options.clone())
}

fn no_rows(stage: &str) -> Error {
    Error::new(
        ErrorKind::Options,
        format!("the stage `{stage}` has no rows to take"),
    )
}

/// What a stage made is gone, and cannot be made anew.
fn lost(stage: &Stage, error: flowkit::Error) -> Error {
    let own = std::error::Error::source(error.root()).and_then(|cause| cause.downcast_ref::<Error>());
    let kind = own.map_or(ErrorKind::Io, Error::kind);
    let message = format!(
        "what the stage `{}` had made is gone, and it could not make it again",
        stage.name()
    );
    Error::new(kind, message).because(error)
}

#[task]
async fn stage(step: Step, from: Vec<Passed>) -> Result<Passed> {
    let Step { stage, course } = step;
    let course = course.upgrade().ok_or_else(|| {
        let message = format!("the run of the stage `{}` has ended", stage.name());
        Error::new(ErrorKind::Io, message)
    })?;
    let mut report = StageReport {
        stage: stage.name().to_owned(),
        rows: 0,
        loaded: None,
    };
    let rows = match &stage.work {
        Work::Act(act) => {
            report.rows = act().await?;
            return Ok(Passed::nothing(report));
        }
        Work::Extract(source) => source.open().await?,
        Work::Transform(transform) => transform(open(&stage, from, &course).await?).await?,
        Work::Load(..) => open(&stage, from, &course).await?,
    };
    let rows = stage.checks.iter().try_fold(rows, |rows, check| check(rows))?;
    if let Work::Load(sink, load) = &stage.work {
        let loaded = sink.load(load, rows).await?;
        report.rows = loaded.rows;
        report.loaded = Some(loaded);
        return Ok(Passed::nothing(report));
    }
    let file = course.workplace.file(stage.name());
    let progress = rows
        .progress()
        .cloned()
        .map(|progress| progress.extracted_by(stage.name()));
    let kept = FileSink::new(&file)
        .load(&LoadId::new(stage.name())?, rows.with_progress(None))
        .await?;
    report.rows = kept.rows;
    Ok(Passed {
        report,
        file: Some(file),
        progress,
    })
}

/// What the stages before made, one after the other.
async fn open(stage: &Stage, from: Vec<Passed>, course: &Arc<Course>) -> Result<BatchStream> {
    let mut all: Option<BatchStream> = None;
    for mut passed in from {
        if !course.has(&passed).await?
            && let Some(index) = course.pipeline.index(&passed.report.stage)
        {
            passed = Arc::clone(course).anew(index).await?;
        }
        let Some(file) = passed.file else { continue };
        let next = ParquetSource::new(file)
            .open()
            .await?
            .with_progress(passed.progress);
        all = Some(match all {
            None => next,
            Some(all) => chained(stage, all, next)?,
        });
    }
    all.ok_or_else(|| no_rows(stage.name()))
}

fn chained(stage: &Stage, first: BatchStream, second: BatchStream) -> Result<BatchStream> {
    if first.schema().fields() != second.schema().fields() {
        let message = format!(
            "the stage `{}` takes from stages with other columns than each other: {} and {}",
            stage.name(),
            columns(first.schema()),
            columns(second.schema())
        );
        return Err(Error::new(ErrorKind::Schema, message));
    }
    let progress = match (first.progress(), second.progress()) {
        (Some(first), Some(second)) if !first.is_that_of(second) => {
            let message = format!(
                "the stage `{}` takes from two incremental extractions, of which only one can be kept",
                stage.name()
            );
            return Err(Error::new(ErrorKind::Options, message));
        }
        (first, second) => first.or(second).cloned(),
    };
    let schema = first.schema().clone();
    Ok(BatchStream::new(schema, first.chain(second)).with_progress(progress))
}
