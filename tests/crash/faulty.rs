//! The program whose disk fails: it begins the flow run, or resumes it, and says how that ended, which may be by any error that has a type.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flowkit::journal::RunFilter;
use flowkit::prelude::*;

use crate::ledger::Pen;
use crate::program::{DIRECTORY, block_on, runtime, season};

/// Writes `began`, then `ended V` or `failed KIND: …`, and nothing after it.
async fn endure(directory: &Path) {
    let pen = Arc::new(Pen::open(directory));
    pen.write("began anew");
    match outcome(directory, &pen).await {
        Ok(value) => pen.write(format_args!("ended {value}")),
        Err(error) => {
            let said = format!("{error:#}").replace('\n', " ");
            pen.write(format_args!("failed {:?}: {said}", error.root().kind()));
        }
    }
}

async fn outcome(directory: &Path, pen: &Arc<Pen>) -> Result<serde_json::Value, flowkit::Error> {
    let runtime = runtime(directory, pen).await?;
    let journal = runtime.journal().unwrap();
    let known = journal.flows(&RunFilter::default()).await;
    let outcome = match known.as_deref() {
        Err(trouble) => {
            pen.write(format_args!("unread {trouble}"));
            return Ok(serde_json::Value::Null);
        }
        Ok([]) => {
            let run = runtime.run(season(20u64)).await;
            run.into_result().map(serde_json::Value::from)
        }
        Ok([run, others @ ..]) => {
            assert!(others.is_empty(), "a run is resumed, and never begun anew");
            if run.state == State::Completed.name() {
                let json = run.result_json.as_deref().unwrap();
                Ok(serde_json::from_str(json).unwrap())
            } else {
                let id = flowkit::FlowRunId::from_u128(run.id);
                runtime.resume(id).await.and_then(FlowRun::into_result)
            }
        }
    };
    runtime.shutdown(Duration::from_secs(10)).await;
    outcome
}

/// Not a test of its own: the tests start it as a process, and tell it a directory.
#[test]
fn the_program() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        block_on(endure(Path::new(&directory)));
    }
}
