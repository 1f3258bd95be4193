//! What the runs of a flow's earlier attempts returned, so that another attempt of the flow does not run them again.
//!
//! A run is known by its place (see `journaling/calls.rs`): the same call of the same caller. What an equal call of another caller returned is not this one's,
//! since that caller may not run again, and then this call would never have been made.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowkit_journal::record::Digest;

use crate::ids::TaskRunId;

/// A value whose type only its task knows.
pub(crate) type Value = Arc<dyn Any + Send + Sync>;

/// What a run returned, and which run.
#[derive(Clone)]
pub(crate) struct Remembered {
    pub(crate) value: Value,
    pub(crate) origin: TaskRunId,
}

/// The completed runs of a flow run, over all of its attempts.
#[derive(Default)]
pub(crate) struct Memo(Mutex<Inner>);

#[derive(Default, Clone)]
struct Inner {
    /// How many attempts have begun.
    attempt: u32,
    /// By the places of the calls, with the attempt in which each completed.
    values: HashMap<Digest, (u32, Remembered)>,
    /// Subflows, which may complete some runs and fail all the same.
    subflows: HashMap<Digest, Subflow>,
}

/// What the runs of a subflow returned.
#[derive(Clone)]
struct Subflow {
    /// The attempt of the flow above in which it was called last.
    attempt: u32,
    /// What it knew when that attempt began.
    before: Arc<Memo>,
    /// What it knows.
    now: Arc<Memo>,
}

impl Memo {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another attempt of the flow begins: what completed before need not run again in it.
    pub(crate) fn begin_attempt(&self) {
        self.lock().attempt += 1;
    }

    /// What the call at this place returned in an earlier attempt of the flow. What an earlier attempt of its caller had of it in this one does not count: a task that
    /// is retried runs again with all that it calls.
    pub(crate) fn recall(&self, place: &Digest) -> Option<Remembered> {
        let inner = self.lock();
        let (attempt, remembered) = inner.values.get(place)?;
        let is_earlier = *attempt < inner.attempt || cfg!(flowkit_fault = "recalled-within-an-attempt");
        is_earlier.then(|| remembered.clone())
    }

    /// Keeps what a call returned, unless it was recalled itself.
    pub(crate) fn remember(&self, place: Digest, remembered: Remembered) {
        let mut inner = self.lock();
        let attempt = inner.attempt;
        let known = inner.values.get(&place);
        if known.is_none_or(|(earlier, _)| *earlier == attempt) {
            inner.values.insert(place, (attempt, remembered));
        }
    }

    /// What the runs of the subflow at this place returned in earlier attempts of the flow, for one more attempt of it.
    pub(crate) fn of_subflow(&self, place: Digest) -> Arc<Self> {
        let mut inner = self.lock();
        let attempt = inner.attempt;
        let known = inner.subflows.get(&place);
        let before = match known {
            None => Arc::default(),
            Some(known) if known.attempt == attempt => Arc::clone(&known.before),
            Some(known) => Arc::new(known.now.copy()),
        };
        let now = Arc::new(before.copy());
        now.begin_attempt();
        let subflow = Subflow {
            attempt,
            before,
            now: Arc::clone(&now),
        };
        inner.subflows.insert(place, subflow);
        now
    }

    fn copy(&self) -> Self {
        Self(Mutex::new(self.lock().clone()))
    }
}
