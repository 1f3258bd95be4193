//! An effect whose outcome the journal does not know is settled by somebody who looked: it happened, and this is what it returned, or it did not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use flowkit::journal::{JournalStore, MemoryJournal};
use flowkit::prelude::*;
use flowkit::{FlowRun, ResumeOptions, TaskOptions, UnknownEffect};
use serde::{Deserialize, Serialize};

/// A printer that may be slow.
#[derive(Default)]
struct Printer {
    printed: AtomicU32,
    hangs: AtomicBool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Receipt {
    number: u32,
    copies: Vec<String>,
}

fn receipt(number: u32) -> Receipt {
    Receipt {
        number,
        copies: vec!["customer".to_owned(), "files".to_owned()],
    }
}

async fn runtime(store: &Arc<MemoryJournal>, printer: &Arc<Printer>) -> Runtime {
    Runtime::builder()
        .journal_store(Arc::clone(store) as Arc<dyn JournalStore>)
        .resource(Arc::clone(printer))
        .build()
        .await
        .unwrap()
}

#[task(effect, run_name = "receipt {number}")]
async fn print(number: u32, #[resource] printer: &Arc<Printer>) -> Receipt {
    printer.printed.fetch_add(1, Ordering::Relaxed);
    if printer.hangs.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    receipt(number)
}

#[task]
async fn file(receipt: &Receipt) -> String {
    format!("{} in {} copies", receipt.number, receipt.copies.len())
}

/// Prints within a second, or not at all.
#[flow]
async fn print_and_file(number: u32) -> Result<String> {
    let limit = TaskOptions::new().timeout(Duration::from_secs(1));
    Ok(file(print(number).with(limit)).await?)
}

/// A run whose printer hung, and the effect that it left.
async fn left_unknown(runtime: &Runtime, printer: &Printer) -> (FlowRun<String>, UnknownEffect) {
    printer.hangs.store(true, Ordering::Relaxed);
    let run = runtime.run(print_and_file(7u32)).await;
    printer.hangs.store(false, Ordering::Relaxed);
    assert_eq!(run.state(), State::Failed);
    let mut unknown = runtime.unknown_effects(run.id()).await.unwrap();
    assert_eq!(unknown.len(), 1);
    (run, unknown.remove(0))
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_happened_completes_with_the_value_that_is_given() {
    let (store, printer) = (Arc::default(), Arc::default());
    let runtime = runtime(&store, &printer).await;
    let (run, effect) = left_unknown(&runtime, &printer).await;
    assert_eq!((&*effect.task, effect.life), ("print", 1));
    assert_eq!(effect.name.as_deref(), Some("receipt 7"));
    let options = ResumeOptions::new().happened(&effect, receipt(7));
    let resumed = runtime.resume_with(run.id(), options).await.unwrap();
    assert_eq!(*resumed.result().unwrap(), "7 in 2 copies");
    assert_eq!(resumed.task("receipt 7").unwrap().state, State::Completed);
    assert_eq!(printer.printed.load(Ordering::Relaxed), 1);
    assert_eq!(runtime.unknown_effects(run.id()).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_did_not_happen_runs() {
    let (store, printer) = (Arc::default(), Arc::default());
    let runtime = runtime(&store, &printer).await;
    let (run, effect) = left_unknown(&runtime, &printer).await;
    let options = ResumeOptions::new().did_not_happen(&effect);
    let resumed = runtime.resume_with(run.id(), options).await.unwrap();
    assert_eq!(*resumed.result().unwrap(), "7 in 2 copies");
    assert_eq!(printer.printed.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_an_effect_is_recorded_for_the_lives_that_follow() {
    let (store, printer) = (Arc::default(), Arc::default());
    let runtime = runtime(&store, &printer).await;
    printer.hangs.store(true, Ordering::Relaxed);
    let run = runtime.run(print_then_fail(7u32)).await;
    let unknown = runtime.unknown_effects(run.id()).await.unwrap();
    let options = ResumeOptions::new().happened(&unknown[0], receipt(7));
    let second = runtime.resume_with(run.id(), options).await.unwrap();
    assert!(format!("{:#}", second.result().unwrap_err()).contains("no room for receipt 7"));
    // Nobody says it again.
    let third = runtime.resume(run.id()).await.unwrap();
    assert!(format!("{:#}", third.result().unwrap_err()).contains("no room for receipt 7"));
    assert_eq!(printer.printed.load(Ordering::Relaxed), 1);
}

#[flow]
async fn print_then_fail(number: u32) -> Result<()> {
    let limit = TaskOptions::new().timeout(Duration::from_secs(1));
    let receipt = print(number).with(limit).await?;
    Err(format!("no room for receipt {}", receipt.number).into())
}

#[tokio::test(start_paused = true)]
async fn a_value_that_the_task_could_not_return_is_refused_and_the_outcome_stays_unknown() {
    let (store, printer) = (Arc::default(), Arc::default());
    let runtime = runtime(&store, &printer).await;
    let (run, effect) = left_unknown(&runtime, &printer).await;
    let options = ResumeOptions::new().happened(&effect, "number seven");
    let resumed = runtime.resume_with(run.id(), options).await.unwrap();
    let error = format!("{:#}", resumed.result().unwrap_err());
    assert!(
        error.contains("the value given for what it returned cannot be read as that"),
        "{error}"
    );
    assert!(error.contains("expected struct Receipt"), "{error}");
    let unknown = runtime.unknown_effects(run.id()).await.unwrap();
    assert_eq!(unknown.len(), 1);
    // That is where the printer was last at work.
    assert_eq!(unknown[0].life, 1);
    let options = ResumeOptions::new().happened(&unknown[0], receipt(7));
    let resumed = runtime.resume_with(run.id(), options).await.unwrap();
    assert_eq!(*resumed.result().unwrap(), "7 in 2 copies");
    assert_eq!(printer.printed.load(Ordering::Relaxed), 1);
}

/// Two equal effects and one more are three, each settled for itself.
#[tokio::test(start_paused = true)]
async fn each_of_several_effects_is_settled_for_itself() {
    let (store, printer) = (Arc::default(), Arc::default());
    let runtime = runtime(&store, &printer).await;
    printer.hangs.store(true, Ordering::Relaxed);
    let run = runtime.run(print_three()).await;
    printer.hangs.store(false, Ordering::Relaxed);
    let unknown = runtime.unknown_effects(run.id()).await.unwrap();
    assert_eq!(unknown.len(), 3);
    assert_eq!(printer.printed.load(Ordering::Relaxed), 3);
    let options = ResumeOptions::new()
        .happened(&unknown[0], receipt(100))
        .did_not_happen(&unknown[1])
        .happened(&unknown[2], receipt(102));
    let resumed = runtime.resume_with(run.id(), options).await.unwrap();
    assert_eq!(*resumed.result().unwrap(), serde_json::json!([100, 7, 102]));
    assert_eq!(printer.printed.load(Ordering::Relaxed), 4);
}

#[flow]
async fn print_three() -> Result<Vec<u32>> {
    let limit = || TaskOptions::new().timeout(Duration::from_secs(1));
    let receipts = [7u32, 7, 8].map(|number| print(number).with(limit()).submit());
    let mut numbers = Vec::new();
    for receipt in receipts {
        numbers.push(receipt.await?.number);
    }
    Ok(numbers)
}
