//! A task that is tried again runs again with all that it calls: nothing of the attempt before goes on beside it, and nothing that an earlier life has of it is
//! served in place of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use flowkit::journal::{JournalStore, MemoryJournal};
use flowkit::prelude::*;
use tokio::sync::Semaphore;

#[derive(Debug)]
struct Desk {
    /// How many clerks work.
    working: AtomicU32,
    began: Semaphore,
    tokens: AtomicU32,
    /// The oldest token that is still good.
    good_from: AtomicU32,
    broken: AtomicBool,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            working: AtomicU32::new(0),
            began: Semaphore::new(0),
            tokens: AtomicU32::new(0),
            good_from: AtomicU32::new(0),
            broken: AtomicBool::new(false),
        }
    }
}

/// While it lives, one more clerk works.
struct Working(Arc<Desk>);

impl Working {
    fn begin(desk: &Arc<Desk>) -> Self {
        desk.working.fetch_add(1, Ordering::Relaxed);
        desk.began.add_permits(1);
        Self(Arc::clone(desk))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn runtime(store: &Arc<MemoryJournal>, desk: &Arc<Desk>) -> Runtime {
    Runtime::builder()
        .journal_store(Arc::clone(store) as Arc<dyn JournalStore>)
        .resource(Arc::clone(desk))
        .build()
        .await
        .unwrap()
}

#[task]
async fn never_done(#[resource] desk: &Arc<Desk>) {
    let _working = Working::begin(desk);
    std::future::pending::<()>().await;
}

#[task]
async fn asks_for_more() -> Result<u32> {
    never_done().await?;
    Ok(0)
}

/// Fails once beside what it submitted, and then says how much of that still goes on.
#[task(retries = 1)]
async fn impatient(#[resource] desk: &Arc<Desk>) -> Result<u32> {
    if flowkit::current_run().unwrap().attempt() == 1 {
        let _submitted = asks_for_more().submit();
        let _mapped = (0..3).map(|_| never_done()).submit_all();
        desk.began.acquire_many(4).await?.forget();
        return Err("too slow".into());
    }
    Ok(desk.working.load(Ordering::Relaxed))
}

#[flow]
async fn office() -> Result<u32> {
    Ok(impatient().await?)
}

#[tokio::test]
async fn what_an_attempt_called_has_ended_when_the_next_one_begins() {
    let (store, desk) = (Arc::default(), Arc::<Desk>::default());
    let runtime = runtime(&store, &desk).await;
    assert_eq!(runtime.run(office()).await.into_result().unwrap(), 0);
}

#[task]
async fn fetch_token(#[resource] desk: &Arc<Desk>) -> u32 {
    desk.tokens.fetch_add(1, Ordering::Relaxed)
}

#[flow]
async fn token_of_office() -> Result<u32> {
    Ok(fetch_token().await?)
}

#[task(retries = 1)]
async fn sign_in(#[resource] desk: &Arc<Desk>) -> Result<u32> {
    let token = fetch_token().await?.min(token_of_office().await?);
    if desk.broken.load(Ordering::Relaxed) || token < desk.good_from.load(Ordering::Relaxed) {
        return Err(format!("token {token} is not good").into());
    }
    Ok(token)
}

#[flow]
async fn visit() -> Result<u32> {
    Ok(sign_in().await?)
}

#[tokio::test]
async fn what_made_an_attempt_fail_is_not_served_to_the_next() {
    let (store, desk) = (Arc::default(), Arc::<Desk>::default());
    let runtime = runtime(&store, &desk).await;
    desk.broken.store(true, Ordering::Relaxed);
    let run = runtime.run(visit()).await;
    assert_eq!(
        (run.state(), desk.tokens.load(Ordering::Relaxed)),
        (State::Failed, 4)
    );
    // Meanwhile the tokens that were recorded have expired.
    desk.broken.store(false, Ordering::Relaxed);
    desk.good_from.store(4, Ordering::Relaxed);
    let resumed = runtime.resume(run.id()).await.unwrap();
    assert_eq!(*resumed.result().unwrap(), 4);
    // The first attempt was served them, the second was not.
    assert_eq!(desk.tokens.load(Ordering::Relaxed), 6);
}

/// Awaits on its own thread what never ends, in its first attempt.
#[task(retries = 1, timeout = "20ms")]
fn waits_on_its_thread(#[resource] desk: &Arc<Desk>) -> Result<u32> {
    if flowkit::current_run().unwrap().attempt() == 1 {
        tokio::runtime::Handle::current().block_on(async { never_done().await })?;
    }
    Ok(desk.working.load(Ordering::Relaxed))
}

#[flow]
async fn threads() -> Result<u32> {
    Ok(waits_on_its_thread().await?)
}

#[tokio::test]
async fn what_a_blocking_body_awaits_that_was_given_up_ends_before_the_next_attempt() {
    let (store, desk) = (Arc::default(), Arc::<Desk>::default());
    let runtime = runtime(&store, &desk).await;
    let run = runtime.run(threads()).await;
    assert_eq!(*run.result().unwrap(), 0);
    assert_eq!(run.task("never_done").unwrap().state, State::Cancelled);
}
