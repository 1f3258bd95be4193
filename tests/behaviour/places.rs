//! A call is the same call in every attempt and every life of its flow run, whatever order things happen in. All of this the simulator found.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use flowkit::journal::{JournalStore, MemoryJournal};
use flowkit::prelude::*;
use tokio::sync::Semaphore;

#[derive(Default)]
struct Office {
    stamped: AtomicU32,
    copied: AtomicU32,
    lives: AtomicU32,
}

async fn runtime(store: &Arc<MemoryJournal>, office: &Arc<Office>) -> Runtime {
    Runtime::builder()
        .journal_store(Arc::clone(store) as Arc<dyn JournalStore>)
        .resource(Arc::clone(office))
        .build()
        .await
        .unwrap()
}

/// The second stamp jams once.
#[task(effect)]
async fn stamp(letter: u32, #[resource] office: &Arc<Office>) -> Result<u32> {
    if office.stamped.fetch_add(1, Ordering::Relaxed) == 1 {
        office.stamped.fetch_sub(1, Ordering::Relaxed);
        office.stamped.fetch_add(100, Ordering::Relaxed);
        return Err("it jams".into());
    }
    Ok(letter)
}

#[flow(retries = 1)]
async fn stamp_twice() -> Result<u32> {
    Ok(stamp(7u32).await? + stamp(7u32).await?)
}

#[tokio::test]
async fn of_two_equal_effects_the_one_that_failed_is_tried_again_by_the_next_attempt_of_the_flow() {
    let (store, office) = (Arc::default(), Arc::default());
    let run = runtime(&store, &office).await.run(stamp_twice()).await;
    assert_eq!(run.into_result().unwrap(), 14);
    // One that jammed, and two that were stamped.
    assert_eq!(office.stamped.load(Ordering::Relaxed), 102);
}

#[task(effect)]
async fn copy(page: u32, #[resource] office: &Arc<Office>) -> u32 {
    office.copied.fetch_add(1, Ordering::Relaxed);
    page
}

#[task]
async fn bind(page: u32) -> Result<u32> {
    Ok(copy(page).await?)
}

/// Binds two books at once, each in the other life first, and fails in the first.
#[flow]
async fn bind_books(#[resource] office: &Arc<Office>) -> Result<u32> {
    let life = office.lives.fetch_add(1, Ordering::Relaxed);
    let turn = Semaphore::new(0);
    let bind_all = |pages: [u32; 3], comes_first: bool| {
        let turn = &turn;
        async move {
            if !comes_first {
                turn.acquire().await?.forget();
            }
            let pages = pages.into_iter().map(bind).submit_all();
            turn.add_permits(1);
            Ok::<u32, flowkit::BoxError>(pages.await?.into_iter().sum())
        }
    };
    let (one, other) = futures::join!(bind_all([1, 2, 3], life == 0), bind_all([4, 1, 2], life == 1));
    if life == 0 {
        return Err("the glue is used up".into());
    }
    Ok(one? + other?)
}

#[tokio::test]
async fn the_items_of_two_fan_outs_of_one_task_are_found_again_in_whatever_order_those_come() {
    let (store, office) = (Arc::default(), Arc::default());
    let runtime = runtime(&store, &office).await;
    let run = runtime.run(bind_books()).await;
    assert_eq!(run.state(), State::Failed);
    assert_eq!(office.copied.load(Ordering::Relaxed), 6);
    let resumed = runtime.resume(run.id()).await.unwrap();
    assert_eq!(*resumed.result().unwrap(), 13);
    assert_eq!(office.copied.load(Ordering::Relaxed), 6);
}

/// A constant of which nobody can say what it is.
struct Unwritable;

impl serde::Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it cannot be written down"))
    }
}

const SEAL: Unwritable = Unwritable;

#[task(cache, cache_includes(SEAL))]
async fn open(letter: u32, #[resource] office: &Arc<Office>) -> u32 {
    office.copied.fetch_add(1, Ordering::Relaxed);
    letter
}

#[task(cache, cache_includes(SEAL))]
async fn close(letter: u32, #[resource] office: &Arc<Office>) -> u32 {
    office.copied.fetch_add(1, Ordering::Relaxed);
    letter * 10
}

/// Opens and closes a letter, in each life in another order, and fails in the first.
#[flow]
async fn handle_letter(#[resource] office: &Arc<Office>) -> Result<(u32, u32)> {
    if office.lives.fetch_add(1, Ordering::Relaxed) == 0 {
        open(7u32).await?;
        close(7u32).await?;
        return Err("the light went out".into());
    }
    let closed = close(7u32).await?;
    Ok((open(7u32).await?, closed))
}

#[tokio::test]
async fn what_a_task_returned_whose_code_has_no_key_is_not_served_to_another_nor_again() {
    let (store, office) = (Arc::default(), Arc::default());
    let runtime = runtime(&store, &office).await;
    let run = runtime.run(handle_letter()).await;
    assert_eq!(run.state(), State::Failed);
    let resumed = runtime.resume(run.id()).await.unwrap();
    assert_eq!(resumed.into_result().unwrap(), serde_json::json!([7, 70]));
    assert_eq!(office.copied.load(Ordering::Relaxed), 4, "all of it ran again");
}
