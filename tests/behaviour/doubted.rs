//! What is in doubt: effects that were to be undone, and of which nobody knows whether they were; what a full disk keeps from being undone; answers that are not on the
//! disk. Nothing of it is taken for done, nor done again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use flowkit::journal::{JournalError, JournalResult, JournalStore};
use flowkit::prelude::*;
use flowkit::{HookRun, pause, transaction};
use flowkit_journal::conformance::guarded::{Guard, Guarded};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Notify;

/// A disk that may be full.
#[derive(Debug, Default)]
struct Disk {
    is_full: AtomicBool,
}

impl Guard for Disk {
    fn pass(&self, operation: &'static str) -> BoxFuture<'_, JournalResult<()>> {
        let full = JournalError::Io {
            path: "journal".into(),
            action: "written",
            reason: "the disk is full".into(),
        };
        let is_full = operation == "write" && self.is_full.load(Ordering::Relaxed);
        async move { if is_full { Err(full) } else { Ok(()) } }.boxed()
    }
}

#[derive(Debug, Default)]
struct Estate {
    store: Arc<Guarded<Disk>>,
    sold: AtomicU32,
    /// How often the paperwork is yet to fail.
    mistakes: AtomicU32,
    /// Whether it fills the disk before it fails.
    fills_disk: AtomicBool,
    /// Whether it never ends.
    drags_on: AtomicBool,
    begun: Notify,
}

async fn runtime(estate: &Arc<Estate>) -> Runtime {
    Runtime::builder()
        .journal_store(Arc::clone(&estate.store) as Arc<dyn JournalStore>)
        .resource(Arc::clone(estate))
        .build()
        .await
        .unwrap()
}

#[task]
async fn file_papers(#[resource] estate: &Arc<Estate>) -> Result<()> {
    if estate.drags_on.load(Ordering::Relaxed) {
        estate.begun.notify_one();
        std::future::pending::<()>().await;
    }
    let is_full = estate.fills_disk.load(Ordering::Relaxed);
    estate.store.guard.is_full.store(is_full, Ordering::Relaxed);
    let less = |left: u32| left.checked_sub(1);
    let failed = estate
        .mistakes
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    match failed {
        Ok(_) => Err("they are not in order".into()),
        Err(_) => Ok(()),
    }
}

fn refuses(_run: HookRun) -> Result<()> {
    Err("it cannot be taken back".into())
}

#[task(effect, on_rollback = refuses)]
async fn sell(parcel: u32, #[resource] estate: &Arc<Estate>) -> u32 {
    estate.sold.fetch_add(1, Ordering::Relaxed);
    parcel
}

#[flow(retries = 1)]
async fn deal() -> Result<u32> {
    let sold = transaction(async {
        let parcel = sell(4u32).await?;
        file_papers().await?;
        Ok::<_, flowkit::Error>(parcel)
    });
    Ok(sold.await?)
}

#[tokio::test]
async fn what_an_earlier_life_did_and_a_later_one_failed_to_undo_is_not_taken_for_done() {
    let estate = Arc::<Estate>::default();
    estate.drags_on.store(true, Ordering::Relaxed);
    let first = runtime(&estate).await;
    let hanging = tokio::spawn({
        let first = first.clone();
        async move { first.run(deal()).await.state() }
    });
    estate.begun.notified().await;
    // The first process never does anything again, as if it were dead.
    estate.drags_on.store(false, Ordering::Relaxed);
    estate.mistakes.store(1, Ordering::Relaxed);
    let second = runtime(&estate).await;
    let (id, resumed) = second.resume_all().await.unwrap().remove(0);
    // The first attempt was served the sale, and failed to undo it.
    let error = resumed.unwrap().result().unwrap_err();
    assert_eq!(error.root().kind(), ErrorKind::UnknownOutcome);
    let resumed = second.resume(id).await.unwrap();
    assert_eq!(
        resumed.result().unwrap_err().root().kind(),
        ErrorKind::UnknownOutcome
    );
    assert_eq!(estate.sold.load(Ordering::Relaxed), 1);
    hanging.abort();
}

static REFUNDED: AtomicU32 = AtomicU32::new(0);

fn refund(_run: HookRun) {
    REFUNDED.fetch_add(1, Ordering::Relaxed);
}

#[task(effect, on_rollback = refund)]
async fn let_out(parcel: u32, #[resource] estate: &Arc<Estate>) -> u32 {
    estate.sold.fetch_add(1, Ordering::Relaxed);
    parcel
}

#[flow]
async fn lease() -> Result<u32> {
    let sold = transaction(async {
        let parcel = let_out(4u32).await?;
        file_papers().await?;
        Ok::<_, flowkit::Error>(parcel)
    });
    Ok(sold.await?)
}

#[tokio::test]
async fn what_cannot_be_recorded_as_undone_is_not_undone() {
    let estate = Arc::<Estate>::default();
    estate.mistakes.store(1, Ordering::Relaxed);
    estate.fills_disk.store(true, Ordering::Relaxed);
    let runtime = runtime(&estate).await;
    let run = runtime.run(lease()).await;
    assert_eq!(run.state(), State::Failed);
    assert_eq!(REFUNDED.load(Ordering::Relaxed), 0);
    // There is room again.
    estate.fills_disk.store(false, Ordering::Relaxed);
    estate.store.guard.is_full.store(false, Ordering::Relaxed);
    let resumed = runtime.resume(run.id()).await.unwrap();
    assert_eq!(resumed.result().unwrap().as_u64(), Some(4));
    let counts = [&estate.sold, &REFUNDED].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(counts, [1, 0]);
}

#[task]
async fn sign(name: u32, #[resource] estate: &Arc<Estate>) -> u32 {
    estate.sold.fetch_add(1, Ordering::Relaxed);
    name
}

#[flow(retries = 1)]
async fn contract() -> Result<u32> {
    let name = pause::<u32>("who").persist().await?;
    Ok(sign(name).await?)
}

#[tokio::test]
async fn nothing_goes_on_with_an_answer_that_could_not_be_recorded() {
    let estate = Arc::<Estate>::default();
    let runtime = runtime(&estate).await;
    let waiting = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.run(contract()).await }
    });
    let paused = loop {
        match runtime.paused().pop() {
            Some(paused) => break paused,
            None => tokio::task::yield_now().await,
        }
    };
    estate.store.guard.is_full.store(true, Ordering::Relaxed);
    runtime.resume_paused(paused.run, "who", 7u32).unwrap();
    assert_eq!(waiting.await.unwrap().state(), State::Failed);
    assert_eq!(estate.sold.load(Ordering::Relaxed), 0);
}
