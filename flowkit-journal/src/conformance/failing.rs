//! A journal that fails when it is told to, for tests of who uses one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::future::BoxFuture;

use crate::finished::Finished;
use crate::memory::MemoryJournal;
use crate::record::{AttemptRow, DefinitionRow, Record, RunNo, Spot, Timestamp};
use crate::store::{
    Beginning, ItemCount, JournalError, JournalResult, JournalSize, JournalStore, Pruned, Retention,
    RunFilter, StoredEdge, StoredFlow, StoredLog, StoredTask,
};

/// A journal in memory whose nth operation fails, as on a disk that is full.
#[derive(Debug, Default)]
pub struct FailingJournal {
    inside: MemoryJournal,
    operations: AtomicUsize,
    /// The operation that fails.
    fails_at: usize,
    /// Whether all that follow do, too.
    for_ever: AtomicBool,
}

impl FailingJournal {
    /// One whose operation of this number fails, counted from 0, and on request all that follow until it is mended.
    pub fn at(fails_at: usize, for_ever: bool) -> Arc<Self> {
        Arc::new(Self {
            fails_at,
            for_ever: AtomicBool::new(for_ever),
            ..Self::default()
        })
    }

    /// How many operations were tried.
    pub fn operations(&self) -> usize {
        self.operations.load(Ordering::Relaxed)
    }

    /// The disk has room again.
    pub fn mend(&self) {
        self.for_ever.store(false, Ordering::Relaxed);
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
        impl JournalStore for FailingJournal {
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
    fn finished(&self, id: u128) -> BoxFuture<'_, JournalResult<Finished>>;
    fn result(&self, spot: Spot) -> BoxFuture<'_, JournalResult<Option<Vec<u8>>>>;
    fn earlier<'a>(&'a self, definition: &'a DefinitionRow, before: Timestamp, limit: u32) -> BoxFuture<'a, JournalResult<Vec<StoredTask>>>;
    fn prune<'a>(&'a self, retention: &'a Retention) -> BoxFuture<'a, JournalResult<Pruned>>;
    fn size(&self) -> BoxFuture<'_, JournalResult<JournalSize>>;
}
