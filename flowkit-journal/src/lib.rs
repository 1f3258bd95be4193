//! The journal of flowkit: every flow run, task run, attempt, edge, log line and result, so that a run survives the death of its
//! process and can be looked at afterwards.
//!
//! [`record`] is what it is given, [`JournalStore`] what keeps it, and [`Journal`] stands before
//! a store and writes in batches.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod journal;
mod memory;
mod owner;
pub mod record;
mod store;
mod stored;

pub use journal::Journal;
pub use memory::MemoryJournal;
pub use owner::Owner;
pub use store::{
    Beginning, JournalError, JournalResult, JournalSize, JournalStore, Pruned, Retention, RunFilter,
    StoredEdge, StoredFlow, StoredLog, StoredTask,
};
