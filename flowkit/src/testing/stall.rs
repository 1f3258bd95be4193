//! Ends flow runs in which nothing happens any more, under a clock that is paused.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::engine::scope::Scope;
use crate::engine::stall::unfinished;
use crate::error::{Error, ErrorKind};
use crate::event::{Event, Observer};
use crate::ids::FlowRunId;
use crate::wait_graph::{WaitingRun, WaitsFor};

/// So many runs are told of in the message; the wait graph has all of them.
const SHOWN: usize = 20;

/// When the last event was.
#[derive(Clone)]
pub(crate) struct Activity(Arc<Mutex<Instant>>);

impl Activity {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn last(&self) -> MutexGuard<'_, Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Activity {
    fn on_event(&self, _event: &Event<'_>) {
        *self.last() = Instant::now();
    }
}

/// Watches the flow runs of a runtime.
pub(crate) struct StallWatch {
    after: Duration,
    activity: Activity,
    watchers: Mutex<BTreeMap<FlowRunId, AbortHandle>>,
}

impl StallWatch {
    pub(crate) fn new(after: Duration, activity: Activity) -> Self {
        Self {
            after,
            activity,
            watchers: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<FlowRunId, AbortHandle>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A flow run begins that no other flow called.
    pub(crate) fn begin(&self, scope: &Arc<Scope>) {
        let Ok(tokio) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let watcher = tokio.spawn(watch(Arc::downgrade(scope), self.activity.clone(), self.after));
        self.lock().insert(scope.id, watcher.abort_handle());
    }

    /// It has ended: no timer is left behind for the clock to jump to.
    pub(crate) fn end(&self, run: FlowRunId) {
        if let Some(watcher) = self.lock().remove(&run) {
            watcher.abort();
        }
    }
}

async fn watch(scope: Weak<Scope>, activity: Activity, after: Duration) {
    loop {
        let last = *activity.last();
        // A time that no clock reaches never comes.
        let Some(due) = last.checked_add(after) else {
            return;
        };
        tokio::time::sleep_until(due).await;
        // What is due in this very moment comes first.
        tokio::task::yield_now().await;
        if *activity.last() != last {
            continue;
        }
        let Some(scope) = scope.upgrade() else {
            return;
        };
        let runs = unfinished(&scope.runtime);
        if runs.iter().any(|run| run.waits_for.contains(&WaitsFor::Retry)) {
            // Something will happen: the next attempt.
            *activity.last() = Instant::now();
            continue;
        }
        return scope.stall(stalled(&scope, after, runs));
    }
}

fn stalled(scope: &Scope, after: Duration, runs: Vec<WaitingRun>) -> Error {
    let mut detail = format!(
        "nothing has happened for {}, and these runs have not ended: ",
        humantime::format_duration(after)
    );
    for (nth, run) in runs.iter().take(SHOWN).enumerate() {
        let between = if nth == 0 { "" } else { "; " };
        // Writing to a string succeeds.
        let _ = write!(detail, "{between}{run}");
    }
    if let Some(more) = runs.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        let _ = write!(detail, "; and {more} more");
    }
    Error::new(ErrorKind::Stalled, scope.definition.kind(), scope.name())
        .in_flow_run(scope.id)
        .detailed(detail)
        .waiting(runs)
}
