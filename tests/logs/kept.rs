//! What bodies log is in the journal: run by run, attempt by attempt, and no more of it than was said.

use std::fmt;
use std::sync::Arc;

use flowkit::JournalLayer;
use flowkit::journal::{JournalStore, MemoryJournal, StoredLog};
use flowkit::prelude::*;
use tracing_subscriber::layer::{Layer, SubscriberExt};

use super::keep_lines;

async fn journal() -> (Arc<dyn JournalStore>, Runtime) {
    let store: Arc<dyn JournalStore> = Arc::new(MemoryJournal::new());
    let runtime = Runtime::builder().journal_store(Arc::clone(&store));
    (store, runtime.build().await.unwrap())
}

async fn logs_of<T>(store: &Arc<dyn JournalStore>, run: &FlowRun<T>) -> Vec<StoredLog> {
    let flow = store.flow(run.id().as_u128()).await.unwrap().unwrap();
    store.logs(flow.no, None).await.unwrap()
}

fn messages(logs: &[StoredLog]) -> Vec<&str> {
    logs.iter().map(|log| log.message.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_are_kept_under_their_run_and_attempt() {
    #[task(retries = 1)]
    async fn tells(n: u32) -> Result<u32> {
        tracing::warn!(n, unit = "m", "telling");
        tokio::task::yield_now().await;
        match current_run().map_or(0, |run| run.attempt()) {
            1 => Err("not yet".into()),
            _ => Ok(n),
        }
    }
    #[task]
    fn blocks(n: u32) -> u32 {
        tracing::debug!("from a thread of its own");
        n
    }
    #[flow]
    async fn inner(n: u32) -> Result<u32> {
        tracing::info!("in the subflow");
        Ok(n)
    }
    #[flow]
    async fn story(n: u32) -> Result<u32> {
        tracing::error!("in the flow");
        Ok(tells(blocks(inner(n).await?)).await?)
    }
    keep_lines();
    tracing::info!("outside of everything");
    let (store, runtime) = journal().await;
    let run = runtime.run(story(5u32)).await;
    let logs = logs_of(&store, &run).await;
    let of_tests = |log: &&StoredLog| log.target.starts_with("logs");
    let logs: Vec<_> = logs.iter().filter(of_tests).cloned().collect();
    assert_eq!(
        messages(&logs),
        [
            "in the flow",
            "from a thread of its own",
            "telling n=5 unit=\"m\"",
            "telling n=5 unit=\"m\""
        ]
    );
    assert_eq!(logs.iter().map(|log| log.level).collect::<Vec<_>>(), [1, 4, 2, 2]);
    assert_eq!(
        logs.iter().map(|log| log.attempt).collect::<Vec<_>>(),
        [1, 1, 1, 2]
    );
    let node = |name: &str| Some(run.task(name).unwrap().id.node());
    let nodes: Vec<_> = logs.iter().map(|log| log.task.map(|spot| spot.node)).collect();
    assert_eq!(nodes, [None, node("blocks"), node("tells"), node("tells")]);
    let flow = store.flow(run.id().as_u128()).await.unwrap().unwrap();
    let tree = store.tree(flow.no).await.unwrap();
    let below = store.logs(tree[1].no, None).await.unwrap();
    assert_eq!(messages(&below), ["in the subflow"]);
}

#[task(retries = 1)]
async fn babbles(lines: u32) -> Result<u32> {
    for line in 0..lines {
        tracing::info!("{line:0>1000}");
    }
    match current_run().map_or(0, |run| run.attempt()) {
        1 => Err("not yet".into()),
        _ => Ok(lines),
    }
}

#[flow]
async fn babbling(lines: u32) -> Result<u32> {
    Ok(babbles(lines).await?)
}

#[tokio::test]
async fn an_attempt_that_logs_too_much_is_cut_and_says_so() {
    keep_lines();
    let (store, runtime) = journal().await;
    let run = runtime.run(babbling(200u32)).await;
    let logs = logs_of(&store, &run).await;
    for attempt in [1, 2] {
        let of_attempt = |log: &&StoredLog| log.attempt == attempt && log.task.is_some();
        let logs: Vec<_> = logs.iter().filter(of_attempt).collect();
        let (mark, kept) = logs.split_last().unwrap();
        assert!(mark.message.contains("is cut here"), "{}", mark.message);
        assert!(mark.message.contains("65536 bytes"), "{}", mark.message);
        let bytes: usize = kept.iter().map(|log| log.message.len() + log.target.len()).sum();
        assert_eq!(bytes, flowkit::DEFAULT_LOG_BYTES);
    }
}

#[tokio::test]
async fn the_bound_and_the_filters_are_the_programs_own() {
    #[task]
    async fn speaks() -> u32 {
        tracing::info!("ünïcode ünïcode ünïcode ünïcode ünïcode ünïcode ünïcode ünïcode");
        tracing::debug!("not asked for");
        tracing::info!("too much");
        7
    }
    #[flow]
    async fn speaking() -> Result<u32> {
        Ok(speaks().await?)
    }
    let ours = tracing_subscriber::filter::filter_fn(|metadata| {
        metadata.target().starts_with("logs") && *metadata.level() <= tracing::Level::INFO
    });
    let layer = JournalLayer::new().bytes_per_attempt(40).with_filter(ours);
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let (store, runtime) = journal().await;
    let run = runtime.run(speaking()).await;
    let logs = logs_of(&store, &run).await;
    assert_eq!(logs.len(), 2, "{logs:?}");
    assert!("ünïcode ünïcode ünïcode ünïcode".starts_with(&logs[0].message));
    assert!(logs[0].message.len() + logs[0].target.len() <= 40);
    assert!(logs[1].message.contains("40 bytes"));
}

#[tokio::test]
async fn what_flowkit_says_in_a_body_and_what_values_say_when_they_are_printed_is_kept_too() {
    struct Talkative;
    impl fmt::Debug for Talkative {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            tracing::info!("while it is printed");
            formatter.write_str("Talkative")
        }
    }
    /// Refuses to be part of a key.
    #[derive(Clone)]
    struct Keyless;
    impl serde::Serialize for Keyless {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no key"))
        }
    }
    #[task(cache)]
    async fn keyless(_what: Keyless) -> u32 {
        tracing::info!(what = ?Talkative, "printing");
        7
    }
    #[flow]
    async fn printing() -> Result<u32> {
        Ok(keyless(Keyless).await?)
    }
    keep_lines();
    let (store, runtime) = journal().await;
    let run = runtime.run(printing()).await;
    let logs = logs_of(&store, &run).await;
    let own = |log: &StoredLog| log.target == "flowkit" && log.message.contains("without its cache");
    assert!(logs.iter().any(own), "{logs:?}");
    assert!(messages(&logs).contains(&"printing what=Talkative"));
}

#[tokio::test]
async fn a_run_without_a_journal_logs_as_ever() {
    keep_lines();
    let runtime = Runtime::builder().build().await.unwrap();
    let run = runtime.run(babbling(1u32)).await;
    assert_eq!(run.state(), State::Completed);
}
