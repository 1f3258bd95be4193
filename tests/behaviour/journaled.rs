//! What a journal has of runs: every one of them, however it was called and however it ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flowkit::journal::{JournalStore, MemoryJournal, RunFilter, SqliteJournal, StoredFlow};
use flowkit::prelude::*;

fn memory() -> Arc<dyn JournalStore> {
    Arc::new(MemoryJournal::new())
}

async fn runtime(store: &Arc<dyn JournalStore>) -> Runtime {
    Runtime::builder()
        .journal_store(Arc::clone(store))
        .build()
        .await
        .unwrap()
}

async fn all(store: &dyn JournalStore) -> Vec<StoredFlow> {
    store.flows(&RunFilter::default()).await.unwrap()
}

/// How many task runs are in each state, in the tree of the one flow run.
async fn states(store: &dyn JournalStore) -> BTreeMap<String, usize> {
    let mut states = BTreeMap::new();
    let root = all(store).await.remove(0).no;
    for flow in store.tree(root).await.unwrap() {
        for task in store.tasks(flow.no, true).await.unwrap() {
            assert!(task.ended.is_some(), "{task:?} has ended");
            *states.entry(task.state).or_default() += 1;
        }
    }
    states
}

#[task]
async fn double(n: u64) -> u64 {
    n * 2
}

#[task]
async fn fails(_n: u64) -> Result<u64> {
    Err("always".into())
}

#[task]
async fn sleeps() {
    tokio::time::sleep(Duration::from_secs(3600)).await;
}

#[flow]
async fn below(n: u64) -> Result<u64> {
    Ok(double(n).await?)
}

// Z23
#[flow]
async fn every_way(many: u64) -> Result<u64> {
    let mapped = (0..many).map(double).submit_all();
    let lazily = (0..many).map(double).submit_lazily();
    let submitted: Vec<_> = (0..many).map(|n| double(n).submit()).collect();
    for n in 0..many {
        double(n).await?;
    }
    below(1u64).await?;
    let forgotten = fails(1u64).submit();
    let never = double(&forgotten).submit();
    assert!(never.await.is_err());
    for handle in submitted {
        handle.await?;
    }
    Ok(mapped.await?.len() as u64 + lazily.await?.len() as u64)
}

#[tokio::test]
async fn as_many_rows_are_recorded_as_runs_were_executed() {
    let store = memory();
    let run = runtime(&store).await.run(every_way(500u64)).await;
    assert_eq!(run.into_result().unwrap(), 1000);
    // Four times 500, what stands for two fan-outs and a subflow, and the subflow's task.
    let expected = [
        ("Completed", 2000 + 2 + 1 + 1),
        ("Failed", 1),
        ("UpstreamFailed", 1),
    ];
    let expected = expected.map(|(state, runs)| (state.to_owned(), runs));
    assert_eq!(states(&*store).await, BTreeMap::from(expected));
}

#[flow]
async fn cancelled() -> Result<()> {
    let _sleeps = sleeps().submit();
    sleeps().await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_is_dropped_ends_in_the_journal_too() {
    let store = memory();
    let runtime = runtime(&store).await;
    let timeout = Duration::from_secs(60);
    assert!(
        tokio::time::timeout(timeout, runtime.run(cancelled()))
            .await
            .is_err()
    );
    runtime.shutdown(timeout).await;
    assert_eq!(all(&*store).await[0].state, "Cancelled");
    assert_eq!(
        states(&*store).await,
        BTreeMap::from([("Cancelled".to_owned(), 2)])
    );
}

// 182
#[flow]
async fn with_parameters(x: u32, y: f64, names: Vec<String>) -> Result<String> {
    Ok(format!("{x} {y} {}", names.join(" ")))
}

#[tokio::test]
async fn parameters_and_the_result_can_be_read() {
    let store = memory();
    let call = with_parameters(1u32, 2.5, vec!["a".to_owned()]);
    runtime(&store).await.run(call).await.into_result().unwrap();
    let flow = all(&*store).await.remove(0);
    let json = flow.parameters.unwrap().json.unwrap();
    let parameters: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(parameters, serde_json::json!({"x": 1, "y": 2.5, "names": ["a"]}));
    assert_eq!(flow.result_json.as_deref(), Some("\"1 2.5 a\""));
}

// Z13, 110: `crash` does the same to real processes.
#[tokio::test(start_paused = true)]
async fn what_a_dead_process_left_is_marked_as_crashed_at_the_next_start() {
    let store = memory();
    let first = runtime(&store).await;
    let hanging = tokio::spawn(async move { first.run(cancelled()).await.state() });
    while store.size().await.unwrap().task_runs < 2 {
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let _second = runtime(&store).await;
    assert_eq!(all(&*store).await[0].state, "Crashed");
    assert_eq!(states(&*store).await, BTreeMap::from([("Crashed".to_owned(), 2)]));
    hanging.abort();
}

// Z24: the benchmark `journal` has the figure, some 95 bytes for an item of a large fan-out.
#[tokio::test]
async fn a_task_run_takes_a_small_part_of_a_page() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder()
        .data_dir(directory.path())
        .build()
        .await
        .unwrap();
    for _ in 0..4 {
        runtime.run(every_way(500u64)).await.into_result().unwrap();
    }
    let size = runtime.journal().unwrap().size().await.unwrap();
    assert_eq!(size.task_runs, 4 * 2006);
    let each = size.disk_bytes / size.task_runs;
    assert!(each < 500, "{each} bytes each");
}

#[tokio::test]
async fn one_runtime_owns_a_directory_and_others_may_look() {
    let directory = tempfile::tempdir().unwrap();
    let build = || Runtime::builder().data_dir(directory.path()).build();
    let owner = build().await.unwrap();
    owner.run(below(1u64)).await.into_result().unwrap();
    let refused = build().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Build);
    let said = refused.to_string();
    assert!(
        said.contains(&format!("in use by process {}", std::process::id())),
        "{said}"
    );
    let looks = SqliteJournal::open_read_only(directory.path()).await.unwrap();
    assert_eq!(all(&looks).await[0].state, "Completed");
    drop(owner);
    build().await.unwrap();
}

// 148
#[tokio::test]
async fn the_error_of_a_run_is_told_to_later_processes() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder()
        .data_dir(directory.path())
        .build()
        .await
        .unwrap();
    let run = runtime.run(failing()).await;
    let said = format!("{:?}", run.result().unwrap_err());
    drop(runtime);
    let later = SqliteJournal::open_read_only(directory.path()).await.unwrap();
    let flow = all(&later).await.remove(0);
    assert_eq!(flow.error.as_deref(), Some(&*said));
    let task = later.tasks(flow.no, true).await.unwrap().remove(0);
    assert!(task.error.unwrap().contains("always"), "{said}");
}

#[flow]
async fn failing() -> Result<u64> {
    Ok(fails(1u64).await?)
}
