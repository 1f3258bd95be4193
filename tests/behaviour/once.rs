//! An effect happens at most once, whatever else happens: what an earlier life, an earlier attempt, or a run that was stopped has done is never done again, and what
//! was undone is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flowkit::prelude::*;
use flowkit::{FlowCall, ResumeOptions, Secret, transaction};

use crate::till::{REFUNDED, Till, charge, is_unknown, runtime};

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

#[task(effect)]
async fn send(amount: u32, _token: Secret<String>, #[resource] till: &Arc<Till>) -> u32 {
    till.charge();
    amount
}

#[task]
async fn connected(amount: u32, token: Secret<String>) -> Result<u32> {
    Ok(charge(amount).await? + send(amount, token).await?)
}

#[flow]
async fn with_token(amount: u32, token: Secret<String>) -> Result<u32> {
    connected(amount, token).await?;
    Err("and then this happened".into())
}

#[tokio::test]
async fn a_renewed_secret_does_not_repeat_an_effect() {
    let till = Arc::<Till>::default();
    let runtime = runtime(&till).await;
    let token = |token: &str| Secret::new(token.to_owned());
    let run = runtime.run(with_token(5, token("old"))).await;
    assert_eq!((run.state(), till.charged()), (State::Failed, 2));
    let again = |token| {
        let call = with_token(5, token);
        runtime.resume_call(run.id(), call, ResumeOptions::new())
    };
    let resumed = again(token("new")).await.unwrap();
    assert!(is_unknown(&resumed));
    let said = format!("{:?}", resumed.result().unwrap_err());
    assert!(said.contains("before a secret was renewed"), "{said}");
    // With the one it was given before, it is known.
    let resumed = again(token("old")).await.unwrap();
    assert!(format!("{:#}", resumed.result().unwrap_err()).contains("and then this"));
    assert_eq!(till.charged(), 2);
}

/// Sends for two accounts, one after the other, in an order that may be another one next time.
#[flow]
async fn for_each(tokens: Vec<u32>, #[resource] till: &Arc<Till>) -> Result<u32> {
    let _ = till;
    for token in tokens {
        send(5, Secret::new(token.to_string())).await?;
    }
    Err("and then this happened".into())
}

#[tokio::test]
async fn effects_that_differ_by_their_secrets_are_told_apart_by_them() {
    let till = Arc::<Till>::default();
    let runtime = runtime(&till).await;
    let run = runtime.run(for_each(vec![1])).await;
    assert_eq!(till.charged(), 1);
    let options = ResumeOptions::new().allow_changes();
    let resumed = runtime
        .resume_call(run.id(), for_each(vec![1, 2]), options)
        .await
        .unwrap();
    assert!(format!("{:#}", resumed.result().unwrap_err()).contains("and then this"));
    assert_eq!(till.charged(), 2);
}
