//! A journal in memory before whose operations a test stands guard: it may let one wait, or fail it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::finished::Finished;
use crate::memory::MemoryJournal;
use crate::record::{AttemptRow, DefinitionRow, Record, RunNo, Spot, Timestamp};
use crate::store::{
    Beginning, ItemCount, JournalError, JournalResult, JournalSize, JournalStore, Pruned, Retention,
    RunFilter, StoredEdge, StoredFlow, StoredLog, StoredTask,
};

/// What stands before the operations of a journal.
pub trait Guard: std::fmt::Debug + Send + Sync + 'static {
    /// Asked before the operation of this name, which fails with what fails here.
    fn pass(&self, operation: &'static str) -> BoxFuture<'_, JournalResult<()>>;
}

/// A journal in memory, and its guard.
#[derive(Debug, Default)]
pub struct Guarded<G> {
    inside: MemoryJournal,
    /// The guard.
    pub guard: G,
}

impl<G> Guarded<G> {
    /// An empty journal with this guard.
    pub fn by(guard: G) -> Self {
        let inside = MemoryJournal::new();
        Self { inside, guard }
    }
}

/// Fails operations, as a disk does that is full.
#[derive(Debug, Default)]
pub struct Fails {
    operations: AtomicUsize,
    /// The operation that fails.
    at: usize,
    /// Whether all that follow do, too.
    for_ever: AtomicBool,
}

impl Fails {
    /// A journal whose operation of this number fails, counted from 0, and on request all that follow until it is mended.
    pub fn at(at: usize, for_ever: bool) -> Arc<Guarded<Self>> {
        Arc::new(Guarded::by(Self {
            at,
            for_ever: AtomicBool::new(for_ever),
            ..Self::default()
        }))
    }

    /// How many operations were tried.
    pub fn operations(&self) -> usize {
        self.operations.load(Ordering::Relaxed)
    }

    /// The disk has room again.
    pub fn mend(&self) {
        self.for_ever.store(false, Ordering::Relaxed);
    }
}

impl Guard for Fails {
    fn pass(&self, _operation: &'static str) -> BoxFuture<'_, JournalResult<()>> {
        let nth = self.operations.fetch_add(1, Ordering::Relaxed);
        let fails = nth == self.at || (nth > self.at && self.for_ever.load(Ordering::Relaxed));
        let failed = || JournalError::Io {
            path: "journal".into(),
            action: "written",
            reason: "no space left on device".into(),
        };
        Box::pin(std::future::ready(if fails { Err(failed()) } else { Ok(()) }))
    }
}

macro_rules! guarded {
    ($(fn $name:ident $(<$life:lifetime>)? (&$($self_life:lifetime)? self $(, $argument:ident: $type:ty)*) -> $output:ty;)*) => {
        impl<G: Guard> JournalStore for Guarded<G> {
            $(fn $name $(<$life>)? (&$($self_life)? self $(, $argument: $type)*) -> $output {
                async move {
                    self.guard.pass(stringify!($name)).await?;
                    self.inside.$name($($argument),*).await
                }
                .boxed()
            })*
        }
    };
}

guarded! {
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
    fn finished(&self, id: u128) -> BoxFuture<'_, JournalResult<Finished>>;
    fn result(&self, spot: Spot) -> BoxFuture<'_, JournalResult<Option<Vec<u8>>>>;
    fn earlier<'a>(&'a self, definition: &'a DefinitionRow, before: Timestamp, limit: u32) -> BoxFuture<'a, JournalResult<Vec<StoredTask>>>;
    fn prune<'a>(&'a self, retention: &'a Retention) -> BoxFuture<'a, JournalResult<Pruned>>;
    fn size(&self) -> BoxFuture<'_, JournalResult<JournalSize>>;
}
