//! The journal of flowkit: every flow run, task run, attempt, edge, log line and result, so that a run survives the death of its
//! process and can be looked at afterwards.
//!
//! [`record`] is what it is given, [`JournalStore`] what keeps it, and [`Journal`] stands before
//! a store and writes in batches.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod finished;
mod identity;
mod journal;
mod memory;
mod owner;
pub mod record;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;
mod stored;

pub use finished::Finished;
pub use journal::Journal;
pub use memory::MemoryJournal;
pub use owner::{OwnedBy, Owner};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteJournal;
pub use store::{
    Beginning, ItemCount, JournalError, JournalResult, JournalSize, JournalStore, KeptResult, Pruned,
    Retention, RunFilter, StoredEdge, StoredFlow, StoredLog, StoredTask,
};
