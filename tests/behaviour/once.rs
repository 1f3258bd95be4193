//! An effect happens at most once, whatever else happens: what an earlier life, an earlier attempt, or a run that was stopped has done is never done again, and what
//! was undone is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use flowkit::journal::{JournalResult, JournalStore};
use flowkit::prelude::*;
use flowkit::{FlowCall, FlowRunId, HookRun, transaction};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::guarded::{Guard, Guarded};

/// A disk that can be stopped, and writes when it goes on.
#[derive(Debug)]
struct Disk {
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
    fn stop(&self) {
        self.stopped.send_replace(true);
    }

    fn go_on(&self) {
        self.stopped.send_replace(false);
    }

    /// Returns when somebody waits for a disk that stands still.
    async fn is_waited_for(&self) {
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
struct Till {
    store: Arc<Guarded<Disk>>,
    charged: AtomicU32,
    /// Who charged first.
    run: OnceLock<FlowRunId>,
    /// Whether the disk stands still once somebody was charged.
    stops: AtomicBool,
}

impl Till {
    fn charge(&self) {
        self.charged.fetch_add(1, Ordering::Relaxed);
        self.run
            .get_or_init(|| flowkit::current_run().unwrap().flow_run_id());
        if self.stops.swap(false, Ordering::Relaxed) {
            self.store.guard.stop();
        }
    }

    fn charged(&self) -> u32 {
        self.charged.load(Ordering::Relaxed)
    }
}

async fn runtime(till: &Arc<Till>) -> Runtime {
    Runtime::builder()
        .journal_store(Arc::clone(&till.store) as Arc<dyn JournalStore>)
        .resource(Arc::clone(till))
        .build()
        .await
        .unwrap()
}

/// Cancels a run of `flow` while the outcome of its effect waits to be written, and gives it when it has ended.
async fn cancelled_before_the_outcome_is_written<T: Clone + Send + Sync + 'static>(
    till: &Arc<Till>,
    runtime: &Runtime,
    flow: FlowCall<T>,
) -> FlowRun<T> {
    till.stops.store(true, Ordering::Relaxed);
    let run = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.run(flow).await }
    });
    till.store.guard.is_waited_for().await;
    let run_id = *till.run.get().unwrap();
    assert!(runtime.cancel(run_id));
    till.store.guard.go_on();
    run.await.unwrap()
}

/// Gives what cannot be written down.
#[task(effect)]
async fn open(_door: u32, #[resource] till: &Arc<Till>) -> PathBuf {
    till.charge();
    OsStr::from_bytes(b"\xff").into()
}

#[flow]
async fn enter(door: u32) -> Result<()> {
    open(door).await?;
    Ok(())
}

#[tokio::test]
async fn an_effect_whose_value_cannot_be_kept_is_not_repeated_after_its_run_was_cancelled() {
    let till = Arc::<Till>::default();
    let runtime = runtime(&till).await;
    let run = cancelled_before_the_outcome_is_written(&till, &runtime, enter(1u32)).await;
    assert_eq!(run.state(), State::Cancelled);
    assert_eq!(run.task("open").unwrap().state, State::Completed);
    let resumed = runtime.resume(run.id()).await.unwrap();
    assert_eq!(
        resumed.result().unwrap_err().root().kind(),
        ErrorKind::UnknownOutcome
    );
    assert_eq!(till.charged(), 1);
}

static REFUNDED: AtomicU32 = AtomicU32::new(0);

fn refund(run: HookRun) {
    assert_eq!(run.state(), State::RolledBack);
    REFUNDED.fetch_add(1, Ordering::Relaxed);
}

#[task(effect, on_rollback = refund)]
async fn charge(amount: u32, #[resource] till: &Arc<Till>) -> u32 {
    till.charge();
    amount
}

#[flow]
async fn buy(amount: u32) -> Result<u32> {
    transaction(async { Ok(charge(amount).submit().await?) }).await
}

#[tokio::test]
async fn an_effect_that_happened_is_undone_when_its_run_is_cancelled_before_the_outcome_is_written() {
    let till = Arc::<Till>::default();
    let runtime = runtime(&till).await;
    let run = cancelled_before_the_outcome_is_written(&till, &runtime, buy(5u32)).await;
    assert_eq!(run.task("charge").unwrap().state, State::RolledBack);
    assert_eq!((till.charged(), REFUNDED.load(Ordering::Relaxed)), (1, 1));
    // What was undone may be done again.
    let resumed = runtime.resume(run.id()).await.unwrap();
    assert_eq!(*resumed.result().unwrap(), 5);
    assert_eq!((till.charged(), REFUNDED.load(Ordering::Relaxed)), (2, 1));
}
