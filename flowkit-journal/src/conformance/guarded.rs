//! A journal in memory before whose operations a test stands guard: it may let one wait, or fail it.

use std::fmt;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::finished::Finished;
use crate::memory::MemoryJournal;
use crate::record::{AnswerRow, AttemptRow, DefinitionRow, Digest, Record, RunNo, Spot, Timestamp};
use crate::store::{
    Beginning, ItemCount, JournalResult, JournalSize, JournalStore, Pruned, Retention, RunFilter, StoredEdge,
    StoredFlow, StoredLog, StoredTask,
};

/// What stands before the operations of a journal.
pub trait Guard: fmt::Debug + Send + Sync + 'static {
    /// Asked before the operation of this name, which fails with what fails here.
    ///
    /// # Errors
    /// When the operation is to fail.
    fn pass(&self, operation: &'static str) -> BoxFuture<'_, JournalResult<()>>;
}

/// A journal in memory, and its guard.
#[derive(Debug, Default)]
pub struct Guarded<G> {
    inside: MemoryJournal,
    /// Who stands guard.
    pub guard: G,
}

impl<G> Guarded<G> {
    /// One that is guarded by this.
    pub fn by(guard: G) -> Self {
        let inside = MemoryJournal::new();
        Self { inside, guard }
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
    fn answer(&self, place: Digest) -> BoxFuture<'_, JournalResult<Option<AnswerRow>>>;
    fn earlier<'a>(&'a self, definition: &'a DefinitionRow, before: Timestamp, limit: u32) -> BoxFuture<'a, JournalResult<Vec<StoredTask>>>;
    fn prune<'a>(&'a self, retention: &'a Retention) -> BoxFuture<'a, JournalResult<Pruned>>;
    fn size(&self) -> BoxFuture<'_, JournalResult<JournalSize>>;
}
