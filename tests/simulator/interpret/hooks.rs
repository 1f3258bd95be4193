//! The hooks of commits and rollbacks. A hook is told of its run and nothing else, so what notes it belongs to the thread, on which one
//! simulation runs at a time.

use std::cell::RefCell;
use std::time::Duration;

use flowkit::{HookRun, TaskRunId};

use crate::history::{Recorder, What};

/// The most that a hook takes.
pub(crate) const LONGEST: Duration = Duration::from_millis(2);

thread_local! {
    static RECORDER: RefCell<Option<Recorder>> = const { RefCell::new(None) };
}

/// From now on, hooks that are called on this thread are noted here.
pub(crate) fn note_in(recorder: &Recorder) {
    RECORDER.with_borrow_mut(|noted| *noted = Some(recorder.clone()));
}

fn note(what: What) {
    RECORDER.with_borrow(|recorder| {
        if let Some(recorder) = recorder {
            recorder.note(what);
        }
    });
}

/// Every other hook takes a while.
async fn dawdle(id: TaskRunId) {
    if id.node().is_multiple_of(2) {
        tokio::time::sleep(LONGEST).await;
    }
}

pub(super) async fn committed(run: HookRun) {
    let Some(id) = run.task_run_id() else { return };
    note(What::Committed { id });
    dawdle(id).await;
}

pub(super) async fn rolled_back(run: HookRun) {
    let Some(id) = run.task_run_id() else { return };
    note(What::RolledBack { id });
    dawdle(id).await;
}
