//! `run`: a flow runs in a runtime that owns the data directory, until it ends or somebody asks it to.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::given::Wanted;
use super::progress::Progress;
use super::screen::{Screen, clean};
use super::signals::Signals;
use super::times::length;
use super::trouble::Trouble;
use super::{Exit, MakeBuilder};
use crate::error::Error;
use crate::render::words::shortened;
use crate::run::FlowRun;
use crate::runtime::{Builder, Runtime};

/// How often a run is drawn as it goes.
const FRAME: Duration = Duration::from_millis(100);
/// What fits into a terminal that does not say how wide it is. A line that is broken could not be drawn over.
const NARROW: usize = 80;
/// How long what a flow left behind may take to end.
const GRACE: Duration = Duration::from_secs(5);

type Ended = Result<FlowRun<Value>, Error>;

/// Runs a flow.
pub(super) async fn run(
    builder: MakeBuilder,
    wanted: Wanted,
    screen: &mut Screen<'_>,
    signals: &mut Signals,
) -> Result<Exit, Trouble> {
    signals.listen();
    let progress = Progress::default();
    let runtime = build(builder, wanted.data_dir, &progress).await?;
    let running = runtime.clone();
    let flow = wanted.flow.path();
    let run = tokio::spawn(async move { running.run_named(&flow, wanted.parameters).await });
    finish(&runtime, run, &progress, screen, signals).await
}

/// Builds the runtime that owns the directory.
pub(super) async fn build(
    builder: MakeBuilder,
    data_dir: PathBuf,
    progress: &Progress,
) -> Result<Runtime, Trouble> {
    let builder = described(builder).await?;
    let built = builder.data_dir(data_dir).observe(progress.clone()).build().await;
    built.map_err(|error| Trouble::of_runtime(&error))
}

/// The runtime as the program describes it.
pub(super) async fn described(builder: MakeBuilder) -> Result<Builder, Trouble> {
    builder()
        .await
        .map_err(|error| Trouble::failed(format!("the program's runtime cannot be described: {error}")))
}

/// Waits for the run's end, has it cancelled when somebody asks, and says how it ended.
pub(super) async fn finish(
    runtime: &Runtime,
    run: JoinHandle<Ended>,
    progress: &Progress,
    screen: &mut Screen<'_>,
    signals: &mut Signals,
) -> Result<Exit, Trouble> {
    let ended = watch(runtime, run, progress, screen, signals).await;
    screen.show_progress("");
    let Some(ended) = ended else {
        screen.tell("killed: `resume` goes on with the run");
        return Ok(Exit::Failed);
    };
    tokio::select! {
        _ = runtime.shutdown(GRACE) => {}
        () = signals.asked() => {}
    }
    match ended {
        Ok(run) => Ok(report(&run, screen)),
        Err(error) => Err(Trouble::of_runtime(&error)),
    }
}

/// Gives how it ended; nothing if it was not waited for.
async fn watch(
    runtime: &Runtime,
    mut run: JoinHandle<Ended>,
    progress: &Progress,
    screen: &mut Screen<'_>,
    signals: &mut Signals,
) -> Option<Ended> {
    let mut frames = tokio::time::interval(FRAME);
    let room = screen.columns.unwrap_or(NARROW).saturating_sub(1);
    let mut asked = false;
    loop {
        tokio::select! {
            ended = &mut run => {
                return Some(ended.unwrap_or_else(|error| {
                    Err(Error::about_runtime(crate::ErrorKind::Internal, format!("the run was lost: {error}")))
                }));
            }
            () = signals.asked() => {
                if std::mem::replace(&mut asked, true) {
                    return None;
                }
                screen.show_progress("");
                screen.tell("cancelling what runs; once more ends the program at once");
                runtime.scopes().iter().for_each(|scope| scope.cancel());
            }
            _ = frames.tick(), if screen.progress => screen.show_progress(&shortened(&progress.line(), room)),
        }
    }
}

/// Says how a run ended.
fn report(run: &FlowRun<Value>, screen: &mut Screen<'_>) -> Exit {
    let (record, counts) = (run.record(), run.counts());
    let value = run.result().ok().cloned().unwrap_or_default();
    if screen.json {
        screen.value(&json!({
            "id": record.id,
            "flow": record.flow,
            "name": record.name,
            "state": record.state,
            "error": record.error,
            "value": value,
            "seconds": run.elapsed().as_secs_f64(),
            "tasks": {
                "completed": counts.completed,
                "cached": counts.cached,
                "failed": counts.failed,
                "upstream_failed": counts.upstream_failed,
                "cancelled": counts.cancelled,
                "retries": counts.retries,
            },
        }));
    } else {
        match &value {
            Value::Null => {}
            Value::String(text) => screen.text(text),
            value => screen.value(value),
        }
    }
    let counted = [
        (counts.completed, "completed"),
        (counts.cached, "cached"),
        (counts.failed, "failed"),
        (counts.upstream_failed, "spared"),
        (counts.cancelled, "cancelled"),
        (
            counts.retries,
            if counts.retries == 1 { "retry" } else { "retries" },
        ),
    ];
    let counted = counted.into_iter().filter(|(runs, _)| *runs > 0);
    let mut line = format!(
        "{} {}: {} in {}",
        record.name,
        record.id,
        record.state,
        length(run.elapsed())
    );
    counted.for_each(|(runs, what)| line.push_str(&format!(", {runs} {what}")));
    screen.tell(&clean(&line));
    if let Some(error) = &record.error {
        screen.tell(&clean(error));
    }
    if run.state().is_success() {
        Exit::Completed
    } else {
        Exit::Failed
    }
}
