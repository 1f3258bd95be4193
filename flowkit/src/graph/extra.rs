//! What is known of some runs and not of all, and what of only few.

use std::sync::Arc;

use flowkit_cache::CacheKey;

use crate::clock::Stamp;
use crate::error::Error;
use crate::ids::TaskRunId;
use crate::journaling::CallRecord;

/// What not every run has. A run that is served from the cache has it, so what few others have is apart.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) error: Option<Error>,
    pub(crate) cache_key: Option<CacheKey>,
    /// The task run whose value was served from the cache.
    pub(crate) origin: Option<TaskRunId>,
    /// What the journal has of it beside.
    pub(crate) call: Option<Arc<CallRecord>>,
    rare: Option<Box<Rare>>,
}

/// What only few runs have.
#[derive(Debug)]
pub(crate) struct Rare {
    pub(crate) tags: Vec<Arc<str>>,
    /// Why a cached task ran without its cache.
    pub(crate) uncached: Option<Arc<str>>,
    /// Why a cached task ran although the cache had something, or may have had.
    pub(crate) missed: Option<&'static str>,
    /// The attempts that failed and were followed by another.
    pub(crate) failed_attempts: Vec<FailedAttempt>,
    /// What hooks did that failed.
    pub(crate) hook_failures: Vec<Box<str>>,
}

impl Rare {
    const NOTHING: Self = Self {
        tags: Vec::new(),
        uncached: None,
        missed: None,
        failed_attempts: Vec::new(),
        hook_failures: Vec::new(),
    };

    /// That of a run, which is nothing of most.
    pub(crate) fn of(extra: Option<&Extra>) -> &Self {
        static NOTHING: Rare = Rare::NOTHING;
        extra.and_then(|extra| extra.rare.as_deref()).unwrap_or(&NOTHING)
    }
}

impl Extra {
    pub(crate) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(|| Box::new(Rare::NOTHING))
    }

    /// Whether there is nothing but what the cache knows.
    pub(super) fn is_of_cache_only(&self) -> bool {
        self.name.is_none() && self.error.is_none() && self.call.is_none() && self.rare.is_none()
    }
}

/// An attempt that was followed by another.
#[derive(Debug, Clone)]
pub(crate) struct FailedAttempt {
    pub(crate) started: Stamp,
    pub(crate) ended: Stamp,
    pub(crate) error: Error,
}
