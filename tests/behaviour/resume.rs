//! A flow run that did not complete begins another life: what completed before returns at once, and the rest runs.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use flowkit::journal::{JournalStore, MemoryJournal};
use flowkit::prelude::*;
use flowkit::{FlowRunId, ResumeOptions};

/// What bodies did, in order, and whether the one that may fail does.
#[derive(Default)]
struct World {
    did: Mutex<Vec<String>>,
    broken: AtomicBool,
    calls: AtomicU32,
}

impl World {
    fn note(&self, what: impl Into<String>) {
        self.did.lock().unwrap().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        let mut did = std::mem::take(&mut *self.did.lock().unwrap());
        did.sort();
        did
    }
}

async fn runtime(store: &Arc<MemoryJournal>, world: &Arc<World>) -> Runtime {
    Runtime::builder()
        .journal_store(Arc::clone(store) as Arc<dyn JournalStore>)
        .resource(Arc::clone(world))
        .build()
        .await
        .unwrap()
}

/// Runs a flow that fails in one runtime, and resumes it in another.
async fn broken_then_resumed<T: Send + Sync + 'static>(
    call: FlowCall<T>,
) -> (Vec<String>, FlowRun<serde_json::Value>, Vec<String>) {
    let (store, world) = (Arc::new(MemoryJournal::new()), Arc::new(World::default()));
    world.broken.store(true, Ordering::Relaxed);
    let first = runtime(&store, &world).await;
    let run = first.run(call).await;
    assert_eq!(run.state(), State::Failed);
    let before = world.take();
    world.broken.store(false, Ordering::Relaxed);
    let second = runtime(&store, &world).await;
    let resumed = second.resume(run.id()).await.unwrap();
    assert_eq!(resumed.id(), run.id());
    (before, resumed, world.take())
}

#[task]
async fn extract(source: &str, #[resource] world: &Arc<World>) -> Vec<u64> {
    world.note(format!("extract {source}"));
    vec![1, 2, source.len() as u64]
}

#[task]
async fn load(rows: &[u64], #[resource] world: &Arc<World>) -> Result<u64> {
    world.note(format!("load {}", rows.len()));
    if world.broken.load(Ordering::Relaxed) {
        return Err("the warehouse is down".into());
    }
    Ok(rows.iter().sum())
}

#[flow]
async fn pipeline(source: String, times: u32) -> Result<u64> {
    let mut sum = 0;
    for _ in 0..times {
        let rows = extract(&source).submit();
        sum += load(&rows).await?;
    }
    Ok(sum)
}

#[tokio::test]
async fn what_completed_is_not_run_again_and_keeps_its_times() {
    let (before, resumed, after) = broken_then_resumed(pipeline("seeds".to_owned(), 1u32)).await;
    assert_eq!(before, ["extract seeds", "load 3"]);
    assert_eq!(after, ["load 3"]);
    assert_eq!(resumed.state(), State::Completed);
    assert_eq!(*resumed.result().unwrap(), 8);
    let extract = resumed.task("extract").unwrap();
    assert_eq!(extract.state, State::Completed);
    assert_eq!(extract.attempts, 1);
    assert!(extract.started.unwrap() < resumed.record().started);
}

#[task]
async fn count(name: &str, #[resource] world: &Arc<World>) -> Result<u32> {
    let nth = world.calls.fetch_add(1, Ordering::Relaxed);
    world.note(format!("{name} {nth}"));
    if nth == 3 && world.broken.load(Ordering::Relaxed) {
        return Err("the third is one too many".into());
    }
    Ok(nth)
}

#[flow]
async fn counting(name: String) -> Result<Vec<u32>> {
    let mut counts = Vec::new();
    for _ in 0..5 {
        counts.push(count(&name).await?);
    }
    Ok(counts)
}

#[tokio::test]
async fn a_loop_of_equal_calls_gets_each_calls_own_value() {
    let (before, resumed, after) = broken_then_resumed(counting("n".to_owned())).await;
    assert_eq!(before, ["n 0", "n 1", "n 2", "n 3"]);
    assert_eq!(after, ["n 4", "n 5"]);
    assert_eq!(*resumed.result().unwrap(), serde_json::json!([0, 1, 2, 4, 5]));
}

#[task]
async fn weigh(plant: u32, #[resource] world: &Arc<World>) -> Result<u32> {
    world.note(format!("weigh {plant}"));
    if plant % 7 == 6 && world.broken.load(Ordering::Relaxed) {
        return Err("the scale is stuck".into());
    }
    Ok(plant * 10)
}

#[flow]
async fn weights(plants: u32) -> Result<u32> {
    let weights = (0..plants).map(weigh).submit_all();
    let outcomes = weights.outcomes().await;
    outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
    let again = (0..plants).map(weigh).submit_all().await?;
    Ok(again.iter().sum())
}

#[tokio::test]
async fn items_that_finished_never_run_again() {
    let (before, resumed, after) = broken_then_resumed(weights(20u32)).await;
    assert_eq!(before.len(), 20);
    // Two of the first fan-out had failed, and the second one never began.
    assert_eq!(after.len(), 2 + 20);
    assert_eq!(*resumed.result().unwrap(), 1900);
}

#[task]
async fn nested(source: &str, #[resource] world: &Arc<World>) -> Result<u64> {
    world.note("nested");
    let inner = extract(source).await?;
    Ok(load(inner).await?)
}

#[flow]
async fn below(source: String) -> Result<u64> {
    let rows = extract(&source).await?;
    Ok(load(rows).await? + nested(&source).await?)
}

#[flow]
async fn above(source: String) -> Result<u64> {
    let rows = extract(&source).await?;
    Ok(rows.len() as u64 + nested(&source).await? + below(source.clone()).await?)
}

#[tokio::test]
async fn tasks_in_tasks_and_in_subflows_are_found_again() {
    let (before, resumed, after) = broken_then_resumed(above("seeds".to_owned())).await;
    assert_eq!(before, ["extract seeds", "extract seeds", "load 3", "nested"]);
    // `nested` had not completed, and what it had called had; the subflow never began.
    assert_eq!(
        after,
        [
            "extract seeds",
            "extract seeds",
            "load 3",
            "load 3",
            "load 3",
            "nested",
            "nested"
        ]
    );
    assert_eq!(*resumed.result().unwrap(), 3 + 8 + 16);
}

#[tokio::test]
async fn a_resumed_run_that_fails_can_be_resumed_again() {
    let (store, world) = (Arc::new(MemoryJournal::new()), Arc::new(World::default()));
    world.broken.store(true, Ordering::Relaxed);
    let runtime = runtime(&store, &world).await;
    let run = runtime.run(pipeline("seeds".to_owned(), 2u32)).await;
    assert_eq!(world.take(), ["extract seeds", "load 3"]);
    let again = runtime.resume(run.id()).await.unwrap();
    assert_eq!(again.state(), State::Failed);
    assert_eq!(world.take(), ["load 3"]);
    world.broken.store(false, Ordering::Relaxed);
    let last = runtime.resume(run.id()).await.unwrap();
    assert_eq!(*last.result().unwrap(), 16);
    assert_eq!(world.take(), ["extract seeds", "load 3", "load 3"]);
    let refused = runtime.resume(run.id()).await.unwrap_err();
    assert!(refused.to_string().contains("has completed"), "{refused}");
}

#[tokio::test]
async fn what_cannot_be_resumed_says_why() {
    let (store, world) = (Arc::new(MemoryJournal::new()), Arc::new(World::default()));
    let journaled = runtime(&store, &world).await;
    let unknown = FlowRunId::from_u128(7);
    let refused = journaled.resume(unknown).await.unwrap_err();
    assert!(refused.to_string().contains("no flow run"), "{refused}");
    let plain = Runtime::builder().build().await.unwrap();
    let refused = plain.resume(unknown).await.unwrap_err();
    assert!(refused.to_string().contains("has no journal"), "{refused}");
}

#[tokio::test]
async fn a_call_of_the_flow_can_stand_for_the_recorded_parameters() {
    let (store, world) = (Arc::new(MemoryJournal::new()), Arc::new(World::default()));
    world.broken.store(true, Ordering::Relaxed);
    let runtime = runtime(&store, &world).await;
    let run = runtime.run(pipeline("seeds".to_owned(), 1u32)).await;
    let other = counting("n".to_owned());
    let refused = runtime
        .resume_call(run.id(), other, ResumeOptions::new())
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("given a call of `counting`"),
        "{refused}"
    );
    let call = pipeline("other seeds".to_owned(), 1u32);
    let mistaken = runtime
        .resume_call(run.id(), call, ResumeOptions::new())
        .await
        .unwrap();
    assert_eq!(mistaken.result().unwrap_err().kind(), ErrorKind::ResumeMismatch);
    world.broken.store(false, Ordering::Relaxed);
    let call = pipeline("seeds".to_owned(), 1u32);
    let resumed = runtime
        .resume_call(run.id(), call, ResumeOptions::new())
        .await
        .unwrap();
    assert_eq!(resumed.into_result().unwrap(), 8);
    assert_eq!(world.take(), ["extract seeds", "load 3", "load 3"]);
}

#[tokio::test]
async fn one_run_is_resumed_once_at_a_time() {
    let (store, world) = (Arc::new(MemoryJournal::new()), Arc::new(World::default()));
    world.broken.store(true, Ordering::Relaxed);
    let runtime = runtime(&store, &world).await;
    let run = runtime.run(pipeline("seeds".to_owned(), 1u32)).await;
    world.broken.store(false, Ordering::Relaxed);
    let (one, other) = tokio::join!(runtime.resume(run.id()), runtime.resume(run.id()));
    let refused = other.unwrap_err();
    assert!(refused.to_string().contains("is going on"), "{refused}");
    assert_eq!(one.unwrap().state(), State::Completed);
    assert_eq!(world.take(), ["extract seeds", "load 3", "load 3"]);
}

#[tokio::test]
async fn a_resumed_run_has_the_name_and_the_tags_that_its_call_gave_it() {
    let call = counting("n".to_owned())
        .named("the north field")
        .tag("2026")
        .tag("maize");
    let (_, resumed, _) = broken_then_resumed(call).await;
    assert_eq!(resumed.record().name, "the north field");
    assert_eq!(resumed.record().tags, ["2026", "maize"]);
}
