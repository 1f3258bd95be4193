//! What a transaction undid is not there, for a later attempt of its flow or a later life: it is done again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use flowkit::journal::{JournalStore, MemoryJournal};
use flowkit::prelude::*;
use flowkit::{FlowCall, HookRun, transaction};
use tokio::sync::Notify;

#[derive(Debug, Default)]
struct Site {
    built: AtomicU32,
    /// How often a crane is yet to break down.
    breakdowns: AtomicU32,
}

impl Site {
    fn breaks_down(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.breakdowns
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}

async fn runtime(store: &Arc<MemoryJournal>, site: &Arc<Site>) -> Runtime {
    Runtime::builder()
        .journal_store(Arc::clone(store) as Arc<dyn JournalStore>)
        .resource(Arc::clone(site))
        .build()
        .await
        .unwrap()
}

#[task]
async fn build(floor: u32, #[resource] site: &Arc<Site>) -> u32 {
    site.built.fetch_add(1, Ordering::Relaxed);
    floor
}

fn drain(run: HookRun) {
    assert_eq!(run.state(), State::RolledBack);
}

#[task(effect, on_rollback = drain)]
async fn pour(floor: u32, #[resource] site: &Arc<Site>) -> u32 {
    site.built.fetch_add(1, Ordering::Relaxed);
    floor
}

#[task]
async fn lift(#[resource] site: &Arc<Site>) -> Result<()> {
    match site.breaks_down() {
        true => Err("the crane broke down".into()),
        false => Ok(()),
    }
}

/// Fails once with what it built standing, and from then on undoes it.
#[flow]
async fn house() -> Result<u32> {
    let floors = transaction(async {
        let floor = build(1u32).await?;
        let floor = floor + pour(2u32).await?;
        let floors: Vec<u32> = (3..5u32).map(build).submit_all().await?;
        let poured: Vec<u32> = (5..7u32).map(pour).submit_all().await?;
        lift().await?;
        Ok::<_, flowkit::Error>(floor + floors.iter().sum::<u32>() + poured.iter().sum::<u32>())
    });
    Ok(floors.await?)
}

/// The same, tried again at once.
#[flow(retries = 1)]
async fn steady_house() -> Result<u32> {
    Ok(house().await?)
}

#[flow(retries = 1)]
async fn stubborn_house() -> Result<u32> {
    let floors = transaction(async {
        let floor = build(1u32).await? + pour(2u32).await?;
        lift().await?;
        Ok::<_, flowkit::Error>(floor)
    });
    Ok(floors.await?)
}

async fn built_after(flow: impl Fn() -> FlowCall<u32>, breakdowns: [u32; 2]) -> (u32, u32, u32) {
    let (store, site) = (Arc::default(), Arc::<Site>::default());
    let runtime = runtime(&store, &site).await;
    site.breakdowns.store(breakdowns[0], Ordering::Relaxed);
    let run = runtime.run(flow()).await;
    assert_eq!(run.state(), State::Failed);
    let first = site.built.load(Ordering::Relaxed);
    site.breakdowns.store(breakdowns[1], Ordering::Relaxed);
    let resumed = runtime.resume(run.id()).await.unwrap();
    let value = resumed.result().unwrap().as_u64().unwrap() as u32;
    (value, first, site.built.load(Ordering::Relaxed) - first)
}

#[tokio::test]
async fn what_was_undone_in_an_earlier_life_is_done_again() {
    assert_eq!(built_after(house, [1, 0]).await, (21, 6, 6));
}

#[tokio::test]
async fn what_was_undone_in_an_earlier_attempt_is_done_again() {
    // Two attempts in the first life, and two in the second, each of which builds all of it.
    assert_eq!(built_after(stubborn_house, [2, 1]).await, (3, 4, 4));
    assert_eq!(built_after(steady_house, [2, 1]).await, (21, 12, 12));
}

/// What was built stands when the flow fails, and is undone by a later life.
#[flow(retries = 1)]
async fn late() -> Result<u32> {
    let floor = transaction(async {
        let floor = build(1u32).await? + pour(2u32).await?;
        inspect().await?;
        lift().await?;
        Ok::<_, flowkit::Error>(floor)
    });
    Ok(floor.await?)
}

static HANGS: AtomicBool = AtomicBool::new(true);
static INSPECTED: Notify = Notify::const_new();

#[task]
async fn inspect() {
    if HANGS.load(Ordering::Relaxed) {
        INSPECTED.notify_one();
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn what_an_earlier_life_completed_and_this_one_undid_is_done_again_in_its_next_attempt() {
    let (store, site) = (Arc::default(), Arc::<Site>::default());
    let first = runtime(&store, &site).await;
    let hanging = tokio::spawn({
        let first = first.clone();
        async move { first.run(late()).await.state() }
    });
    INSPECTED.notified().await;
    assert_eq!(site.built.load(Ordering::Relaxed), 2);
    // The first process never does anything again, as if it were dead.
    HANGS.store(false, Ordering::Relaxed);
    site.breakdowns.store(1, Ordering::Relaxed);
    let second = runtime(&store, &site).await;
    let (_, resumed) = second.resume_all().await.unwrap().remove(0);
    assert_eq!(*resumed.unwrap().result().unwrap(), 3);
    // The first attempt was served both, undid them, and the second built them.
    assert_eq!(site.built.load(Ordering::Relaxed), 4);
    hanging.abort();
}

#[flow]
async fn nothing() {}

static UNDOING: AtomicU32 = AtomicU32::new(0);
static UNDO_HANGS: AtomicBool = AtomicBool::new(true);
static UNDO_BEGAN: Notify = Notify::const_new();

async fn clear_away(_run: HookRun) {
    UNDOING.fetch_add(1, Ordering::Relaxed);
    UNDO_BEGAN.notify_one();
    if UNDO_HANGS.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

#[task(on_rollback = clear_away)]
async fn dig(depth: u32, #[resource] site: &Arc<Site>) -> u32 {
    site.built.fetch_add(1, Ordering::Relaxed);
    depth
}

#[flow]
async fn foundation() -> Result<u32> {
    let dug = transaction(async {
        let depth = dig(4u32).await?;
        lift().await?;
        Ok::<_, flowkit::Error>(depth)
    });
    Ok(dug.await?)
}

#[tokio::test]
async fn what_was_being_undone_when_the_process_died_is_undone_before_it_is_done_again() {
    let (store, site) = (Arc::default(), Arc::<Site>::default());
    site.breakdowns.store(1, Ordering::Relaxed);
    let first = runtime(&store, &site).await;
    let hanging = tokio::spawn({
        let first = first.clone();
        async move { first.run(foundation()).await.state() }
    });
    UNDO_BEGAN.notified().await;
    // The end of a run is on the disk, and so is what came before it.
    assert_eq!(first.run(nothing()).await.state(), State::Completed);
    UNDO_HANGS.store(false, Ordering::Relaxed);
    let second = runtime(&store, &site).await;
    let (id, resumed) = second.resume_all().await.unwrap().remove(0);
    assert_eq!(*resumed.unwrap().result().unwrap(), 4);
    assert_eq!(
        (
            UNDOING.load(Ordering::Relaxed),
            site.built.load(Ordering::Relaxed)
        ),
        (2, 2)
    );
    let lives = second.journal().unwrap().lives(id.as_u128()).await.unwrap();
    assert_eq!(lives.len(), 2);
    hanging.abort();
}

/// Around a subflow, which is undone with the rest.
#[flow(retries = 1)]
async fn around() -> Result<u32> {
    let floors = transaction(async {
        let floor = inside().await?;
        lift().await?;
        Ok::<_, flowkit::Error>(floor)
    });
    Ok(floors.await?)
}

#[flow]
async fn inside() -> Result<u32> {
    Ok(build(1u32).await? + pour(2u32).await?)
}

#[tokio::test]
async fn a_subflow_whose_transaction_was_undone_runs_again() {
    let (store, site) = (Arc::default(), Arc::<Site>::default());
    let runtime = runtime(&store, &site).await;
    site.breakdowns.store(1, Ordering::Relaxed);
    let run = runtime.run(around()).await;
    assert_eq!(*run.result().unwrap(), 3);
    assert_eq!(site.built.load(Ordering::Relaxed), 4);
}

#[task(effect)]
async fn blast(depth: u32, #[resource] site: &Arc<Site>) -> u32 {
    site.built.fetch_add(1, Ordering::Relaxed);
    depth
}

#[flow(retries = 1)]
async fn tunnel() -> Result<u32> {
    let dug = transaction(async {
        let depth = blast(4u32).await?;
        lift().await?;
        Ok::<_, flowkit::Error>(depth)
    });
    Ok(dug.await?)
}

#[tokio::test]
async fn an_effect_that_no_hook_undoes_stands_and_is_not_repeated() {
    // By another attempt, and by another life.
    for breakdowns in [1, 2] {
        let (store, site) = (Arc::default(), Arc::<Site>::default());
        let runtime = runtime(&store, &site).await;
        site.breakdowns.store(breakdowns, Ordering::Relaxed);
        let run = runtime.run(tunnel()).await;
        let value = match breakdowns {
            1 => *run.result().unwrap(),
            _ => {
                let resumed = runtime.resume(run.id()).await.unwrap();
                resumed.result().unwrap().as_u64().unwrap() as u32
            }
        };
        assert_eq!((value, site.built.load(Ordering::Relaxed)), (4, 1));
    }
}

fn refuses(_run: HookRun) -> Result<()> {
    Err("it cannot be taken back".into())
}

#[task(effect, on_rollback = refuses)]
async fn sell(parcel: u32, #[resource] site: &Arc<Site>) -> u32 {
    site.built.fetch_add(1, Ordering::Relaxed);
    parcel
}

#[flow(retries = 1)]
async fn estate() -> Result<u32> {
    let sold = transaction(async {
        let parcel = sell(4u32).await?;
        lift().await?;
        Ok::<_, flowkit::Error>(parcel)
    });
    Ok(sold.await?)
}

#[tokio::test]
async fn an_effect_whose_undoing_failed_is_not_repeated() {
    let (store, site) = (Arc::default(), Arc::<Site>::default());
    let runtime = runtime(&store, &site).await;
    site.breakdowns.store(1, Ordering::Relaxed);
    let run = runtime.run(estate()).await;
    assert_eq!(run.result().unwrap_err().root().kind(), ErrorKind::UnknownOutcome);
    let resumed = runtime.resume(run.id()).await.unwrap();
    assert_eq!(
        resumed.result().unwrap_err().root().kind(),
        ErrorKind::UnknownOutcome
    );
    assert_eq!(site.built.load(Ordering::Relaxed), 1);
}

static EMPTIED: AtomicU32 = AtomicU32::new(0);

async fn empty(_run: HookRun) {
    // As long as the next attempt would need to begin, if it did not wait.
    tokio::task::yield_now().await;
    EMPTIED.fetch_add(1, Ordering::Relaxed);
}

#[task(effect, on_rollback = empty)]
async fn fill(litres: u32, #[resource] site: &Arc<Site>) -> u32 {
    site.built.fetch_add(1, Ordering::Relaxed);
    litres
}

/// Is given what it filled once more when it is tried again, in the same transaction.
#[task(retries = 1)]
async fn fill_and_close() -> Result<u32> {
    let litres = fill(7u32).await?;
    lift().await?;
    Ok(litres)
}

#[flow]
async fn pool() -> Result<u32> {
    let filled = transaction(async {
        let litres = fill_and_close().await?;
        lift().await?;
        Ok::<_, flowkit::Error>(litres)
    });
    Ok(filled.await?)
}

/// Fills in a transaction that is cut short by the task's timeout, once.
#[task(retries = 1, timeout = "1s")]
async fn fill_in_time() -> Result<u32> {
    let first = flowkit::current_run().unwrap().attempt() == 1;
    let emptied = EMPTIED.load(Ordering::Relaxed);
    let filled = transaction(async {
        let litres = fill(7u32).await?;
        if first {
            std::future::pending::<()>().await;
        }
        Ok::<_, flowkit::Error>(litres)
    });
    Ok(filled.await? + emptied)
}

#[flow]
async fn pond() -> Result<u32> {
    Ok(fill_in_time().await?)
}

#[tokio::test(start_paused = true)]
async fn what_was_given_twice_is_undone_once_and_before_it_is_done_again() {
    let (store, site) = (Arc::default(), Arc::<Site>::default());
    let runtime = runtime(&store, &site).await;
    site.breakdowns.store(2, Ordering::Relaxed);
    let run = runtime.run(pool()).await;
    assert!(run.result().is_err());
    assert_eq!(
        (
            site.built.load(Ordering::Relaxed),
            EMPTIED.load(Ordering::Relaxed)
        ),
        (1, 1)
    );
    // The next attempt begins when it is undone.
    EMPTIED.store(0, Ordering::Relaxed);
    site.built.store(0, Ordering::Relaxed);
    let run = runtime.run(pond()).await;
    assert_eq!(*run.result().unwrap(), 8);
    assert_eq!(
        (
            site.built.load(Ordering::Relaxed),
            EMPTIED.load(Ordering::Relaxed)
        ),
        (2, 1)
    );
}
