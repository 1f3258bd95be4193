//! The hooks of commits and rollbacks. A hook is told of its run and nothing else, so what notes it belongs to the thread, on which one
//! simulation runs at a time.

use std::cell::RefCell;
use std::time::Duration;

use flowkit::HookRun;

use crate::history::{Recorder, What};

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

pub(super) async fn committed(run: HookRun) {
    let Some(id) = run.task_run_id() else { return };
    note(What::Committed { id });
    if id.node() % 4 == 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub(super) async fn rolled_back(run: HookRun) {
    let Some(id) = run.task_run_id() else { return };
    note(What::RolledBack { id });
    if id.node() % 4 == 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
