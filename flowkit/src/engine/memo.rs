//! What the runs of a flow's earlier attempts returned, so that another attempt of the flow does not run them again.
//!
//! A run is known by its key (task identity, code and inputs) and its occurrence: the how-manieth call with that key it
//! is in its attempt. A loop that calls one task many times with equal inputs so gets each call's own value again.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowkit_cache::{CacheKey, KeyHasher};

use crate::definition::Definition;
use crate::ids::TaskRunId;
use crate::job::Job;
use crate::secret_key::ProcessKey;

/// A value whose type only its task knows.
pub(crate) type Value = Arc<dyn Any + Send + Sync>;

/// One call among those of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Occurrence {
    key: CacheKey,
    number: u32,
}

/// What a run returned, and which run.
#[derive(Clone)]
pub(crate) struct Remembered {
    pub(crate) value: Value,
    pub(crate) origin: TaskRunId,
}

/// The completed runs of a flow run, over all of its attempts.
#[derive(Default)]
pub(crate) struct Memo(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    values: HashMap<Occurrence, Remembered>,
    /// The memos of subflows, which may complete some runs and fail all the same.
    subflows: HashMap<Occurrence, Arc<Memo>>,
    /// How many calls with a key the attempt has made.
    made: HashMap<CacheKey, u32>,
}

impl Memo {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts occurrences anew.
    pub(crate) fn begin_attempt(&self) {
        self.lock().made.clear();
    }

    /// Which call this is; none if its inputs have no key, and it is run every time.
    pub(crate) fn occurrence(&self, definition: &Definition, job: &dyn Job) -> Option<Occurrence> {
        // It does not outlive the process.
        let mut hasher = KeyHasher::new().with_secrets(Arc::new(ProcessKey));
        let hashed = definition.hash_identity(&mut hasher);
        let known = hashed.and_then(|()| job.hash_all_inputs(&mut hasher));
        let key = match known.and_then(|known| Ok((known, hasher.finish()?))) {
            Ok((true, key)) => key,
            Ok((false, _)) => return None,
            Err(error) => {
                tracing::debug!(target: "flowkit", task = definition.name(), %error, "inputs without a key: a retry of the flow runs this again");
                return None;
            }
        };
        let mut inner = self.lock();
        let made = inner.made.entry(key).or_insert(0);
        *made += u32::from(*made == 0 || !cfg!(flowkit_fault = "memo-of-another-occurrence"));
        Some(Occurrence { key, number: *made })
    }

    /// What this call returned in an earlier attempt.
    pub(crate) fn recall(&self, occurrence: Occurrence) -> Option<Remembered> {
        self.lock().values.get(&occurrence).cloned()
    }

    pub(crate) fn remember(&self, occurrence: Occurrence, remembered: Remembered) {
        self.lock().values.insert(occurrence, remembered);
    }

    /// What the runs of this subflow returned, for whichever attempt of it.
    pub(crate) fn of_subflow(&self, occurrence: Occurrence) -> Arc<Self> {
        Arc::clone(self.lock().subflows.entry(occurrence).or_default())
    }
}
