//! A task with an effect runs at most once, also over the death of its process: what is not known is said, and never guessed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flowkit::TaskOptions;
use flowkit::journal::{JournalStore, MemoryJournal};
use flowkit::prelude::*;
use tokio::sync::Notify;

/// The world outside, in which effects happen.
#[derive(Default)]
struct Bank {
    transfers: AtomicU32,
    began: Notify,
    /// While it is closed, a transfer begins and never ends.
    hangs: std::sync::atomic::AtomicBool,
    refuses: std::sync::atomic::AtomicBool,
}

async fn runtime(store: &Arc<MemoryJournal>, bank: &Arc<Bank>) -> Runtime {
    Runtime::builder()
        .journal_store(Arc::clone(store) as Arc<dyn JournalStore>)
        .resource(Arc::clone(bank))
        .build()
        .await
        .unwrap()
}

#[task(effect, retries = 2)]
async fn transfer(amount: u32, #[resource] bank: &Arc<Bank>) -> Result<u32> {
    bank.transfers.fetch_add(1, Ordering::Relaxed);
    bank.began.notify_one();
    if bank.hangs.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    if bank.refuses.load(Ordering::Relaxed) {
        return Err("refused".into());
    }
    Ok(amount)
}

#[task]
async fn report(amount: u32, #[resource] bank: &Arc<Bank>) -> Result<String> {
    if bank.refuses.load(Ordering::Relaxed) {
        return Err("the printer is out of paper".into());
    }
    Ok(format!("transferred {amount}"))
}

#[flow]
async fn pay(amount: u32) -> Result<String> {
    match transfer(amount).await {
        Ok(amount) => Ok(report(amount).await?),
        Err(error) if error.kind() == ErrorKind::UnknownOutcome => {
            Ok(format!("somebody must look whether {amount} arrived"))
        }
        Err(error) => Err(error.into()),
    }
}

#[tokio::test]
async fn an_effect_that_happened_is_not_repeated() {
    let (store, bank) = (Arc::new(MemoryJournal::new()), Arc::new(Bank::default()));
    let runtime = runtime(&store, &bank).await;
    let run = runtime.run(pay_then_fail(7u32)).await;
    assert_eq!(run.state(), State::Failed);
    let resumed = runtime.resume(run.id()).await.unwrap();
    assert_eq!(resumed.state(), State::Failed);
    assert_eq!(bank.transfers.load(Ordering::Relaxed), 1);
}

#[flow]
async fn pay_then_fail(amount: u32) -> Result<String> {
    let amount = transfer(amount).await?;
    Err(format!("{amount} was transferred, and then this happened").into())
}

#[tokio::test]
async fn an_effect_in_progress_when_the_process_died_is_reported_as_unknown() {
    let (store, bank) = (Arc::new(MemoryJournal::new()), Arc::new(Bank::default()));
    bank.hangs.store(true, Ordering::Relaxed);
    let first = runtime(&store, &bank).await;
    let hanging = tokio::spawn({
        let first = first.clone();
        async move { first.run(pay(7u32)).await.state() }
    });
    bank.began.notified().await;
    // The first process never does anything again, as if it were dead.
    let second = runtime(&store, &bank).await;
    bank.hangs.store(false, Ordering::Relaxed);
    let mut resumed = second.resume_all().await.unwrap();
    assert_eq!(resumed.len(), 1);
    let (_, resumed) = resumed.pop().unwrap();
    let resumed = resumed.unwrap();
    assert_eq!(*resumed.result().unwrap(), "somebody must look whether 7 arrived");
    assert_eq!(resumed.task("transfer").unwrap().state, State::Failed);
    assert_eq!(bank.transfers.load(Ordering::Relaxed), 1);
    hanging.abort();
}

#[tokio::test]
async fn an_effect_that_returned_an_error_did_not_happen_and_is_tried_again() {
    let (store, bank) = (Arc::new(MemoryJournal::new()), Arc::new(Bank::default()));
    bank.refuses.store(true, Ordering::Relaxed);
    let runtime = runtime(&store, &bank).await;
    let run = runtime.run(pay(7u32)).await;
    assert_eq!(run.state(), State::Failed);
    assert_eq!(bank.transfers.load(Ordering::Relaxed), 3);
    bank.refuses.store(false, Ordering::Relaxed);
    let resumed = runtime.resume(run.id()).await.unwrap();
    assert_eq!(*resumed.result().unwrap(), "transferred 7");
    assert_eq!(bank.transfers.load(Ordering::Relaxed), 4);
}

#[flow]
async fn pay_in_time(amount: u32) -> Result<u32> {
    let limit = TaskOptions::new().timeout(Duration::from_secs(1));
    Ok(transfer(amount).with(limit).await?)
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_took_too_long_is_not_tried_again() {
    let (store, bank) = (Arc::new(MemoryJournal::new()), Arc::new(Bank::default()));
    bank.hangs.store(true, Ordering::Relaxed);
    let runtime = runtime(&store, &bank).await;
    let run = runtime.run(pay_in_time(7u32)).await;
    assert!(run.result().unwrap_err().is_timed_out());
    assert_eq!(bank.transfers.load(Ordering::Relaxed), 1);
    let resumed = runtime.resume(run.id()).await.unwrap();
    assert_eq!(resumed.result().unwrap_err().kind(), ErrorKind::UnknownOutcome);
    assert_eq!(bank.transfers.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn without_a_journal_an_effect_runs_like_any_task() {
    let bank = Arc::new(Bank::default());
    let runtime = Runtime::builder()
        .resource(Arc::clone(&bank))
        .build()
        .await
        .unwrap();
    assert_eq!(
        runtime.run(pay(7u32)).await.into_result().unwrap(),
        "transferred 7"
    );
    assert_eq!(bank.transfers.load(Ordering::Relaxed), 1);
}
