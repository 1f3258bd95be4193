//! A journal that fails when it is told to, for tests of who uses one.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::future::BoxFuture;

use super::guarded::{Guard, Guarded};
use crate::store::{JournalError, JournalResult};

/// A journal in memory whose nth operation fails, as on a disk that is full.
pub type FailingJournal = Guarded<Failing>;

/// Which operations fail.
#[derive(Debug, Default)]
pub struct Failing {
    operations: AtomicUsize,
    /// The operation that fails.
    at: usize,
    /// Whether all that follow do, too.
    for_ever: AtomicBool,
}

impl FailingJournal {
    /// One whose operation of this number fails, counted from 0, and on request all that follow until it is mended.
    pub fn at(at: usize, for_ever: bool) -> Arc<Self> {
        Arc::new(Self::by(Failing {
            at,
            for_ever: AtomicBool::new(for_ever),
            ..Failing::default()
        }))
    }

    /// How many operations were tried.
    pub fn operations(&self) -> usize {
        self.guard.operations.load(Ordering::Relaxed)
    }

    /// The disk has room again.
    pub fn mend(&self) {
        self.guard.for_ever.store(false, Ordering::Relaxed);
    }
}

impl Guard for Failing {
    fn pass(&self, _operation: &'static str) -> BoxFuture<'_, JournalResult<()>> {
        let nth = self.operations.fetch_add(1, Ordering::Relaxed);
        let fails = nth == self.at || (nth > self.at && self.for_ever.load(Ordering::Relaxed));
        let full = || JournalError::Io {
            path: "journal".into(),
            action: "written",
            reason: "no space left on device".into(),
        };
        Box::pin(ready(if fails { Err(full()) } else { Ok(()) }))
    }
}
