//! A pipeline while it runs: a flow, and a task for each stage.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowkit::{TaskHandle, all, current_run, flow, task};
use futures::StreamExt;
use serde::{Deserialize, Serialize, Serializer};

use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::stage::{Stage, Work};
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

/// A stage as the parameter of its task, known by its name.
#[derive(Clone)]
struct Step(Stage);

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
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

/// The directory of a run, which goes when the run has ended.
struct Workplace {
    directory: PathBuf,
    /// Whether it is left to a run that is resumed.
    keep: bool,
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = std::fs::remove_dir_all(&self.directory)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(target: "flowkit_etl", %error, directory = %self.directory.display(), "what passed between stages could not be removed");
        }
    }
}

#[flow(name = "pipeline")]
pub(super) async fn pipeline(wired: Wired) -> flowkit::Result<PipelineReport> {
    let pipeline = wired.0;
    let run = current_run()
        .map(|run| run.flow_run_id().to_string())
        .unwrap_or_default();
    let root = pipeline.work.clone().unwrap_or_else(std::env::temp_dir);
    let mut workplace = Workplace {
        directory: root.join(format!("flowkit-{}-{run}", pipeline.name)),
        keep: pipeline.work.is_some(),
    };
    let mut handles: Vec<Option<TaskHandle<Passed>>> = vec![None; pipeline.nodes.len()];
    while handles.iter().any(Option::is_none) {
        for (index, node) in pipeline.nodes.iter().enumerate() {
            let submitted = |index: &usize| handles.get(*index).cloned().flatten();
            let before = pipeline.before(index);
            if submitted(&index).is_some() || before.iter().any(|before| submitted(before).is_none()) {
                continue;
            }
            let inputs: Vec<_> = node.inputs.iter().filter_map(submitted).collect();
            let after: Vec<_> = before.iter().filter_map(submitted).collect();
            let name: Arc<str> = node.stage.name().into();
            let call = stage(
                Step(node.stage.clone()),
                all(inputs),
                workplace.directory.as_path(),
            );
            let call = call.named(name).with(node.stage.options.clone()).wait_for(&after);
            if let Some(handle) = handles.get_mut(index) {
                *handle = Some(call.submit());
            }
        }
    }
    let mut stages = Vec::with_capacity(handles.len());
    for handle in handles.into_iter().flatten() {
        stages.push(handle.await?.report);
    }
    workplace.keep = false;
    Ok(PipelineReport { stages })
}

#[task]
async fn stage(step: Step, from: Vec<Passed>, workplace: &Path) -> Result<Passed> {
    let stage = step.0;
    let mut report = StageReport {
        stage: stage.name().to_owned(),
        rows: 0,
        loaded: None,
    };
    let rows = match &stage.work {
        Work::Act(act) => {
            report.rows = act().await?;
            return Ok(Passed {
                report,
                file: None,
                progress: None,
            });
        }
        Work::Extract(source) => source.open().await?,
        Work::Transform(transform) => transform(open(&stage, from).await?)?,
        Work::Load(..) => open(&stage, from).await?,
    };
    let rows = stage.checks.iter().try_fold(rows, |rows, check| check(rows))?;
    if let Work::Load(sink, load) = &stage.work {
        let loaded = sink.load(load, rows).await?;
        report.rows = loaded.rows;
        report.loaded = Some(loaded);
        return Ok(Passed {
            report,
            file: None,
            progress: None,
        });
    }
    let file = workplace.join(format!("{}.parquet", stage.name()));
    let progress = rows.progress().cloned();
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
async fn open(stage: &Stage, from: Vec<Passed>) -> Result<BatchStream> {
    let mut all: Option<BatchStream> = None;
    for passed in from {
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
    all.ok_or_else(|| {
        Error::new(
            ErrorKind::Options,
            format!("the stage `{}` has no rows to take", stage.name()),
        )
    })
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
        (Some(_), Some(_)) => {
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
