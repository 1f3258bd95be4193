//! A journal that fails: a run ends with a typed error or a correct result, and never hangs, panics or lies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use flowkit::journal::record::{AttemptRow, DefinitionRow, Record, RunNo, Spot, Timestamp};
use flowkit::journal::{
    Beginning, ItemCount, JournalError, JournalResult, JournalSize, JournalStore, MemoryJournal, Pruned,
    Retention, RunFilter, StoredEdge, StoredFlow, StoredLog, StoredTask,
};
use flowkit::prelude::*;
use futures::future::BoxFuture;

/// A journal whose operations fail as they are told to.
#[derive(Debug, Default)]
struct Failing {
    inside: MemoryJournal,
    operations: AtomicUsize,
    /// The operation that fails.
    fails_at: usize,
    /// Whether all that follow do, too.
    for_ever: AtomicBool,
}

impl Failing {
    fn at(fails_at: usize, for_ever: bool) -> Arc<Self> {
        Arc::new(Self {
            fails_at,
            for_ever: AtomicBool::new(for_ever),
            ..Self::default()
        })
    }

    fn check(&self) -> JournalResult<()> {
        let nth = self.operations.fetch_add(1, Ordering::Relaxed);
        if nth == self.fails_at || (nth > self.fails_at && self.for_ever.load(Ordering::Relaxed)) {
            return Err(JournalError::Io {
                path: "journal".into(),
                action: "written",
                reason: "no space left on device".into(),
            });
        }
        Ok(())
    }
}

macro_rules! failing {
    ($(fn $name:ident $(<$life:lifetime>)? (&$($self_life:lifetime)? self $(, $argument:ident: $type:ty)*) -> $output:ty;)*) => {
        impl JournalStore for Failing {
            $(fn $name $(<$life>)? (&$($self_life)? self $(, $argument: $type)*) -> $output {
                match self.check() {
                    Ok(()) => self.inside.$name($($argument),*),
                    Err(error) => Box::pin(std::future::ready(Err(error))),
                }
            })*
        }
    };
}

failing! {
    fn begin<'a>(&'a self, now: Timestamp, crashed: &'static str) -> BoxFuture<'a, JournalResult<Beginning>>;
    fn write<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, JournalResult<()>>;
    fn flow(&self, id: u128) -> BoxFuture<'_, JournalResult<Option<StoredFlow>>>;
    fn lives(&self, id: u128) -> BoxFuture<'_, JournalResult<Vec<StoredFlow>>>;
    fn flows<'a>(&'a self, filter: &'a RunFilter) -> BoxFuture<'a, JournalResult<Vec<StoredFlow>>>;
    fn tree(&self, root: RunNo) -> BoxFuture<'_, JournalResult<Vec<StoredFlow>>>;
    fn life(&self, no: RunNo) -> BoxFuture<'_, JournalResult<Option<StoredFlow>>>;
    fn task(&self, spot: Spot) -> BoxFuture<'_, JournalResult<Option<StoredTask>>>;
    fn tasks(&self, run: RunNo, items: bool) -> BoxFuture<'_, JournalResult<Vec<StoredTask>>>;
    fn item_counts(&self, run: RunNo) -> BoxFuture<'_, JournalResult<Vec<ItemCount>>>;
    fn edges(&self, run: RunNo) -> BoxFuture<'_, JournalResult<Vec<StoredEdge>>>;
    fn attempts(&self, run: RunNo) -> BoxFuture<'_, JournalResult<Vec<AttemptRow>>>;
    fn logs(&self, run: RunNo, task: Option<Spot>) -> BoxFuture<'_, JournalResult<Vec<StoredLog>>>;
    fn finished(&self, id: u128) -> BoxFuture<'_, JournalResult<Vec<StoredTask>>>;
    fn result(&self, spot: Spot) -> BoxFuture<'_, JournalResult<Option<Vec<u8>>>>;
    fn earlier<'a>(&'a self, definition: &'a DefinitionRow, before: Timestamp, limit: u32) -> BoxFuture<'a, JournalResult<Vec<StoredTask>>>;
    fn prune<'a>(&'a self, retention: &'a Retention) -> BoxFuture<'a, JournalResult<Pruned>>;
    fn size(&self) -> BoxFuture<'_, JournalResult<JournalSize>>;
}

#[task(effect)]
async fn send(n: u32, #[resource] sent: &Arc<AtomicUsize>) -> u32 {
    sent.fetch_add(1, Ordering::Relaxed);
    n
}

#[task]
async fn double(n: u32) -> u32 {
    n * 2
}

#[task]
async fn add(a: u32, b: u32) -> u32 {
    a + b
}

#[flow]
async fn story(n: u32) -> Result<u32> {
    let doubled = double(n).submit();
    let sent = send(&doubled).await?;
    let items: Vec<u32> = (0..4u32).map(double).submit_all().await?;
    Ok(add(sent, items.iter().sum::<u32>()).await?)
}

async fn runtime(store: &Arc<Failing>, sent: &Arc<AtomicUsize>) -> Result<Runtime, flowkit::Error> {
    let store: Arc<dyn JournalStore> = Arc::clone(store) as _;
    Runtime::builder()
        .journal_store(store)
        .resource(Arc::clone(sent))
        .build()
        .await
}

#[tokio::test(start_paused = true)]
async fn whichever_operation_fails_the_outcome_is_right_or_a_typed_error() {
    for for_ever in [false, true] {
        for nth in 0.. {
            let (store, sent) = (Failing::at(nth, for_ever), Arc::new(AtomicUsize::new(0)));
            let runtime = match runtime(&store, &sent).await {
                Ok(runtime) => runtime,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Journal);
                    assert!(error.to_string().contains("no space left"), "{error}");
                    continue;
                }
            };
            let run = runtime.run(story(3u32)).await;
            let id = run.id();
            match run.into_result() {
                Ok(value) => assert_eq!(value, 18),
                Err(error) => assert_eq!(error.root().kind(), ErrorKind::Journal, "{error:#}"),
            }
            let operations = store.operations.load(Ordering::Relaxed);
            // The disk has room again: what was not committed can be resumed, and no effect happens twice.
            store.for_ever.store(false, Ordering::Relaxed);
            let resumed = runtime.resume(id).await;
            match resumed {
                Ok(resumed) => assert_eq!(*resumed.result().unwrap(), 18),
                Err(refused) => {
                    let said = refused.to_string();
                    assert!(
                        said.contains("has completed")
                            || said.contains("no flow run")
                            || said.contains("no space left"),
                        "{said}"
                    );
                }
            }
            assert!(sent.load(Ordering::Relaxed) <= 1);
            if operations < nth {
                assert_eq!(sent.load(Ordering::Relaxed), 1);
                break;
            }
        }
    }
}
