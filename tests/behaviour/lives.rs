//! What the lives and the attempts of one flow run know of each other, where it is easy to get wrong.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowkit::journal::{JournalStore, MemoryJournal, Retention, RunFilter};
use flowkit::prelude::*;
use flowkit::{HookRun, KeepRuns, TaskOptions};
use serde::{Serialize, Serializer};

/// The world outside: it fails for so many calls, and counts what was done in it.
#[derive(Default)]
struct World {
    refusals: AtomicU32,
    transfers: AtomicU32,
    did: Mutex<Vec<String>>,
}

impl World {
    fn refusing(times: u32) -> Arc<Self> {
        let world = Self::default();
        world.refusals.store(times, Ordering::Relaxed);
        Arc::new(world)
    }

    fn refuses(&self) -> bool {
        let left = |left: u32| left.checked_sub(1);
        self.refusals
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
            .is_ok()
    }

    fn transfers(&self) -> u32 {
        self.transfers.load(Ordering::Relaxed)
    }
}

async fn runtime(store: &Arc<dyn JournalStore>, world: &Arc<World>) -> Runtime {
    Runtime::builder()
        .journal_store(Arc::clone(store))
        .resource(Arc::clone(world))
        .build()
        .await
        .unwrap()
}

fn memory() -> Arc<dyn JournalStore> {
    Arc::new(MemoryJournal::new())
}

#[task(effect)]
async fn transfer(amount: u64, #[resource] world: &Arc<World>) -> Result<u64> {
    world.transfers.fetch_add(1, Ordering::Relaxed);
    if world.refuses() {
        return Err("refused".into());
    }
    Ok(amount)
}

#[task(effect)]
async fn slow_transfer(amount: u64, #[resource] world: &Arc<World>) -> u64 {
    world.transfers.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    amount
}

#[flow(retries = 1)]
async fn tried_twice(amount: u64) -> Result<u64> {
    transfer(amount).await?;
    Err("and then it failed".into())
}

#[tokio::test]
async fn an_effect_of_a_later_attempt_is_found_in_the_next_life() {
    // The first attempt's transfer is refused, the second one's is made, and then the flow fails.
    let (store, world) = (memory(), World::refusing(1));
    let runtime = runtime(&store, &world).await;
    let run = runtime.run(tried_twice(7u64)).await;
    assert_eq!((run.state(), world.transfers()), (State::Failed, 2));
    let resumed = runtime.resume(run.id()).await.unwrap();
    assert_eq!((resumed.state(), world.transfers()), (State::Failed, 2));
}

#[flow(retries = 3)]
async fn too_slow(amount: u64) -> Result<u64> {
    let limit = TaskOptions::new().timeout(Duration::from_secs(1));
    Ok(slow_transfer(amount).with(limit).await?)
}

#[tokio::test(start_paused = true)]
async fn an_effect_whose_outcome_is_unknown_is_not_repeated_by_the_next_attempt_of_its_flow() {
    let (store, world) = (memory(), World::refusing(0));
    let run = runtime(&store, &world).await.run(too_slow(7u64)).await;
    assert_eq!(run.result().unwrap_err().kind(), ErrorKind::UnknownOutcome);
    assert_eq!(world.transfers(), 1);
}

#[task]
async fn branch(first: u64, delay: u64) -> Result<u64> {
    tokio::time::sleep(Duration::from_secs(delay)).await;
    Ok(first)
}

#[flow]
async fn branches(early: u64, late: u64, #[resource] world: &Arc<World>) -> Result<u64> {
    let of_branch = |first: u64, delay: u64| async move {
        let first = branch(first, delay).await?;
        (first..first + 3).map(transfer).submit_all().await
    };
    let is_second = world.transfers() > 0;
    let (one, other) = if is_second { (late, early) } else { (early, late) };
    let (one, other) = tokio::join!(of_branch(10, one), of_branch(20, other));
    let sum = one?.iter().sum::<u64>() + other?.iter().sum::<u64>();
    if is_second {
        Ok(sum)
    } else {
        Err("the first life ends here".into())
    }
}

#[tokio::test(start_paused = true)]
async fn effects_in_fan_outs_are_found_whichever_fan_out_comes_first() {
    let (store, world) = (memory(), World::refusing(0));
    let runtime = runtime(&store, &world).await;
    let run = runtime.run(branches(1u64, 2u64)).await;
    assert_eq!((run.state(), world.transfers()), (State::Failed, 6));
    let resumed = runtime.resume(run.id()).await.unwrap();
    assert_eq!(*resumed.result().unwrap(), 33 + 63);
    assert_eq!(world.transfers(), 6);
}

/// Says that it serializes, and refuses.
#[derive(Clone)]
struct Refusing;

impl Serialize for Refusing {
    fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("never"))
    }
}

#[task(effect)]
async fn strange(_what: Refusing, #[resource] world: &Arc<World>) -> u64 {
    world.transfers.fetch_add(1, Ordering::Relaxed).into()
}

#[flow]
async fn with_a_strange_input() -> Result<u64> {
    Ok(strange(Refusing).await?)
}

#[tokio::test]
async fn an_effect_that_could_not_be_known_again_does_not_begin() {
    let (store, world) = (memory(), World::refusing(0));
    let run = runtime(&store, &world).await.run(with_a_strange_input()).await;
    assert_eq!(run.result().unwrap_err().kind(), ErrorKind::Input);
    assert_eq!(world.transfers(), 0);
}

#[flow]
async fn pay_and_fail(amount: u64) -> Result<u64> {
    transfer(amount).await?;
    Err("after it".into())
}

#[tokio::test]
async fn an_effect_whose_result_was_cleared_out_is_not_repeated() {
    let (store, world) = (memory(), World::refusing(0));
    let runtime = runtime(&store, &world).await;
    let run = runtime.run(pay_and_fail(7u64)).await;
    let nothing = Retention {
        result_bytes: Some(0),
        ..KeepRuns::everything().at(std::time::SystemTime::UNIX_EPOCH)
    };
    while store.prune(&nothing).await.unwrap().more {}
    let resumed = runtime.resume(run.id()).await.unwrap();
    assert_eq!(
        resumed.result().unwrap_err().root().kind(),
        ErrorKind::UnknownOutcome
    );
    assert_eq!(world.transfers(), 1);
}

#[tokio::test]
async fn without_a_journal_an_effect_that_is_refused_is_tried_again_as_it_says() {
    let world = World::refusing(1);
    let runtime = Runtime::builder()
        .resource(Arc::clone(&world))
        .build()
        .await
        .unwrap();
    let retried = transfer(7u64).with(TaskOptions::new().retries(1));
    assert_eq!(runtime.scope(async { retried.await }).await.unwrap(), 7);
    assert_eq!(world.transfers(), 2);
}

#[task(on_rollback = drop_table)]
async fn create_table(#[resource] world: &Arc<World>) -> u64 {
    world.did.lock().unwrap().push("create".to_owned());
    1
}

fn drop_table(_run: HookRun) {}

#[flow]
async fn migrate(#[resource] world: &Arc<World>) -> Result<u64> {
    let filled = flowkit::transaction(async {
        let table = create_table().await?;
        if world.refuses() {
            return Err("no rows".into());
        }
        Ok::<_, flowkit::BoxError>(table)
    });
    let table = filled.await?;
    if world.refuses() {
        return Err("after the commit".into());
    }
    Ok(table)
}

#[tokio::test]
async fn what_was_rolled_back_is_done_again_in_the_next_life() {
    let (store, world) = (memory(), World::refusing(1));
    let runtime = runtime(&store, &world).await;
    let run = runtime.run(migrate()).await;
    assert_eq!(run.state(), State::Failed);
    let resumed = runtime.resume(run.id()).await.unwrap();
    assert_eq!(resumed.state(), State::Completed);
    assert_eq!(world.did.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_runtime_that_was_shut_down_resumes_nothing_and_leaves_the_run_as_it_is() {
    let (store, world) = (memory(), World::refusing(0));
    let first = runtime(&store, &world).await;
    let run = first.run(pay_and_fail(7u64)).await;
    first.shutdown(Duration::ZERO).await;
    assert_eq!(
        first.resume(run.id()).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    let flow = store.flow(run.id().as_u128()).await.unwrap().unwrap();
    assert_eq!((flow.life, &*flow.state), (1, "Failed"));
}

#[flow(retries = 1, retry_delay = "10h")]
async fn waits_to_retry() -> Result<u64> {
    Err("not yet".into())
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_process_dies_between_two_attempts_is_resumed_by_itself() {
    let (store, world) = (memory(), World::refusing(0));
    let first = runtime(&store, &world).await;
    let waiting = tokio::spawn(async move { first.run(waits_to_retry()).await.state() });
    let awaits = RunFilter {
        state: Some(State::AwaitingRetry.name().to_owned()),
        ..RunFilter::default()
    };
    while store.flows(&awaits).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let resumed = runtime(&store, &world).await.resume_all().await.unwrap();
    assert_eq!(resumed.len(), 1);
    waiting.abort();
}

/// An error that looks at a run while it is told.
struct Curious(TaskHandle<u64>);

impl fmt::Debug for Curious {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Curious")
    }
}

impl fmt::Display for Curious {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "it was {}", self.0.state())
    }
}

impl std::error::Error for Curious {}

#[task]
async fn curious(#[resource] handle: &Arc<Mutex<Option<TaskHandle<u64>>>>) -> Result<u64> {
    Err(Curious(handle.lock().unwrap().clone().unwrap()).into())
}

#[task]
async fn plain() -> u64 {
    1
}

#[flow]
async fn looked_at(#[resource] handle: &Arc<Mutex<Option<TaskHandle<u64>>>>) -> Result<u64> {
    *handle.lock().unwrap() = Some(plain().submit());
    Ok(curious().await?)
}

#[tokio::test]
async fn an_error_that_asks_for_a_state_while_it_is_told_is_answered() {
    let handle: Arc<Mutex<Option<TaskHandle<u64>>>> = Arc::default();
    let runtime = Runtime::builder()
        .journal_store(memory())
        .resource(Arc::clone(&handle))
        .build()
        .await
        .unwrap();
    assert_eq!(runtime.run(looked_at()).await.state(), State::Failed);
    handle.lock().unwrap().take();
}

#[flow]
async fn short() -> Result<u64> {
    Ok(plain().await?)
}

#[test]
fn a_runtime_can_be_used_from_one_tokio_runtime_after_another() {
    let tokio = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (one, other) = (tokio(), tokio());
    let runtime = one
        .block_on(Runtime::builder().journal_store(memory()).build())
        .unwrap();
    for _ in 0..3 {
        assert_eq!(one.block_on(runtime.run(short())).into_result().unwrap(), 1);
        assert_eq!(other.block_on(runtime.run(short())).into_result().unwrap(), 1);
    }
}

#[flow]
async fn ends_its_process(#[resource] world: &Arc<World>) -> Result<u64> {
    plain().await?;
    // So that it is in the journal by then.
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.transfers.fetch_add(1, Ordering::Relaxed);
    if world.refuses() {
        // As if its process were dead: it never does anything again.
        std::future::pending::<()>().await;
    }
    Ok(world.transfers().into())
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_its_process_each_time_is_given_up_after_so_many_lives_and_resumed_by_its_id() {
    let (store, world) = (memory(), World::refusing(5));
    let builder = || {
        Runtime::builder()
            .journal_store(Arc::clone(&store))
            .resource(Arc::clone(&world))
            .on_start(flowkit::OnStart::Resume)
            .most_lives(5)
    };
    let first = builder().build().await.unwrap();
    let mut dead = vec![tokio::spawn(
        async move { drop(first.run(ends_its_process()).await) },
    )];
    let mut lives = 1;
    let last = loop {
        while world.transfers() < lives {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let flow = store.flows(&RunFilter::default()).await.unwrap().remove(0);
        let next = builder().build().await.unwrap();
        if flow.life == 5 {
            break next;
        }
        lives += 1;
        dead.push(tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(next);
        }));
    };
    let crashed = async || {
        loop {
            let flow = store.flows(&RunFilter::default()).await.unwrap().remove(0);
            if flow.error.is_some() {
                break flow;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let flow = crashed().await;
    assert_eq!((flow.life, &*flow.state, world.transfers()), (5, "Crashed", 5));
    let said = flow.error.unwrap();
    assert!(said.contains("left unfinished in each of 5 lives"), "{said}");
    // Later processes leave it alone, too, and it is not a new finding each time.
    assert!(
        builder()
            .build()
            .await
            .unwrap()
            .resume_all()
            .await
            .unwrap()
            .is_empty()
    );
    let id = flowkit::FlowRunId::from_u128(flow.id);
    let resumed = last.resume(id).await.unwrap();
    assert_eq!(resumed.into_result().unwrap(), 6);
    dead.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn whoever_resumes_all_is_told_which_runs_are_given_up() {
    let (store, world) = (memory(), World::refusing(9));
    let first = runtime(&store, &world).await;
    let dead = tokio::spawn(async move { first.run(ends_its_process()).await.state() });
    while world.transfers() < 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let builder = Runtime::builder().journal_store(Arc::clone(&store));
    let next = builder.resource(world).most_lives(1).build().await.unwrap();
    let (id, outcome) = next.resume_all().await.unwrap().remove(0);
    let error = outcome.unwrap_err();
    assert_eq!(
        (error.kind(), error.flow_run_id()),
        (ErrorKind::GivenUp, Some(id))
    );
    dead.abort();
}
