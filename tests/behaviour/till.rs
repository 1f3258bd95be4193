//! A till where money is taken: the world outside, in which effects happen.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use flowkit::journal::{JournalResult, JournalStore};
use flowkit::prelude::*;
use flowkit::{FlowRunId, HookRun, TaskRun};
use flowkit_journal::conformance::guarded::{Guard, Guarded};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

/// A disk that can be stopped, and writes when it goes on.
#[derive(Debug)]
pub(crate) struct Disk {
    stopped: watch::Sender<bool>,
    waits: watch::Sender<bool>,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            stopped: watch::Sender::new(false),
            waits: watch::Sender::new(false),
        }
    }
}

impl Disk {
    pub(crate) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    pub(crate) fn go_on(&self) {
        self.stopped.send_replace(false);
    }

    /// Returns when somebody waits for a disk that stands still.
    pub(crate) async fn is_waited_for(&self) {
        self.waits.subscribe().wait_for(|waits| *waits).await.unwrap();
    }
}

impl Guard for Disk {
    fn pass(&self, operation: &'static str) -> BoxFuture<'_, JournalResult<()>> {
        async move {
            if operation == "write" {
                self.waits.send_replace(*self.stopped.borrow());
                self.stopped
                    .subscribe()
                    .wait_for(|stopped| !stopped)
                    .await
                    .unwrap();
                self.waits.send_replace(false);
            }
            Ok(())
        }
        .boxed()
    }
}

/// Where money is taken, and given back.
#[derive(Debug, Default)]
pub(crate) struct Till {
    pub(crate) store: Arc<Guarded<Disk>>,
    pub(crate) charged: AtomicU32,
    /// Who charged first.
    pub(crate) run: OnceLock<FlowRunId>,
    /// Which program it is, of those that a test has.
    pub(crate) program: AtomicU32,
    /// Whether a charge never comes to an end.
    pub(crate) hangs: AtomicBool,
    /// Whether the disk stands still once somebody was charged.
    pub(crate) stops: AtomicBool,
}

impl Till {
    pub(crate) fn charge(&self) {
        self.charged.fetch_add(1, Ordering::Relaxed);
        self.run
            .get_or_init(|| flowkit::current_run().unwrap().flow_run_id());
        if self.stops.swap(false, Ordering::Relaxed) {
            self.store.guard.stop();
        }
    }

    pub(crate) fn charged(&self) -> u32 {
        self.charged.load(Ordering::Relaxed)
    }
}

pub(crate) async fn runtime(till: &Arc<Till>) -> Runtime {
    Runtime::builder()
        .journal_store(Arc::clone(&till.store) as Arc<dyn JournalStore>)
        .resource(Arc::clone(till))
        .build()
        .await
        .unwrap()
}

pub(crate) async fn on_disk(directory: &Path, till: &Arc<Till>) -> Runtime {
    let builder = Runtime::builder().data_dir(directory).resource(Arc::clone(till));
    builder.build().await.unwrap()
}

pub(crate) static REFUNDED: AtomicU32 = AtomicU32::new(0);

pub(crate) fn refund(run: HookRun) {
    assert_eq!(run.state(), State::RolledBack);
    REFUNDED.fetch_add(1, Ordering::Relaxed);
}

#[task(effect, on_rollback = refund)]
pub(crate) async fn charge(amount: u32, #[resource] till: &Arc<Till>) -> u32 {
    till.charge();
    if till.hangs.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    amount
}

/// Whether it failed since the outcome of an effect in it is not known.
pub(crate) fn is_unknown(run: &FlowRun<u32>) -> bool {
    let unknown = |task: &TaskRun| {
        task.error
            .as_ref()
            .is_some_and(|error| error.contains("it is not run again"))
    };
    run.state() == State::Failed && run.tasks().iter().any(unknown)
}
