//! The cached side of a task run: its key, whether it is the one that computes the value, and what it leaves behind.

use std::sync::Arc;
use std::time::SystemTime;

use flowkit_cache::{
    CacheKey, KeyError, KeyHasher, LeaderGuard, Lookup, MissReason, NewEntry, Role, SingleFlight,
};
use futures::future::BoxFuture;

use crate::definition::Definition;
use crate::error::Error;
use crate::ids::FlowRunId;
use crate::job::Job;
use crate::runtime::RuntimeInner;

/// What runs with one key share: the encoded value, or the error of the run that computed it.
pub(crate) type Shared = Result<Arc<[u8]>, Error>;

/// The flights of a runtime.
pub(crate) type Flights = SingleFlight<Shared>;

/// What a cached run knows of its place in the cache.
pub(crate) struct Caching {
    pub(crate) key: CacheKey,
    /// Held by the one run that computes the value of the key.
    pub(crate) leader: Option<LeaderGuard<Shared>>,
}

/// The key of a call; none if the task's own `cache_key` says not to cache it.
pub(crate) fn key_of(
    runtime: &RuntimeInner,
    definition: &Definition,
    run: FlowRunId,
    job: &dyn Job,
) -> Result<Option<CacheKey>, KeyError> {
    let mut hasher = KeyHasher::new().with_secrets(runtime.secrets());
    definition.hash_identity(&mut hasher)?;
    if definition.cache().is_some_and(|policy| policy.holds_run()) {
        hasher.section("flow run", &run.to_string());
    }
    if !job.hash_inputs(&mut hasher)? {
        return Ok(None);
    }
    hasher.finish().map(Some)
}

/// Asks the cache for a value: at once, if it is open and need not read a file for it, and else by what is to be awaited. No cache, or
/// one in trouble, is a miss.
pub(crate) fn look_up(
    runtime: &Arc<RuntimeInner>,
    key: CacheKey,
) -> Result<Lookup, BoxFuture<'static, Lookup>> {
    match runtime.open_cache() {
        Some(Some(cache)) => cache
            .try_get(&key, runtime.clock.now())
            .map_err(|deferred| -> BoxFuture<'static, Lookup> { Box::pin(deferred.read()) }),
        Some(None) => Ok(Lookup::Miss(MissReason::Unavailable)),
        None => Err(Box::pin(open_and_look_up(Arc::clone(runtime), key))),
    }
}

async fn open_and_look_up(runtime: Arc<RuntimeInner>, key: CacheKey) -> Lookup {
    match runtime.cache().await {
        Some(cache) => cache.get(&key, runtime.clock.now()).await,
        None => Lookup::Miss(MissReason::Unavailable),
    }
}

/// Waits to compute the value of a key, or for the run that does.
pub(crate) fn join(runtime: Arc<RuntimeInner>, key: CacheKey) -> BoxFuture<'static, Role<Shared>> {
    Box::pin(async move { runtime.flights.join(key).await })
}

/// Forgets an entry that could not be decoded.
pub(crate) fn forget(runtime: Arc<RuntimeInner>, key: CacheKey) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        if let Some(cache) = runtime.cache().await {
            // The store reports its own trouble; the value is computed either way.
            drop(cache.remove(&key).await);
        }
    })
}

/// Keeps a value. Trouble is reported by the cache and fails nothing.
pub(crate) fn keep(
    runtime: Arc<RuntimeInner>,
    key: CacheKey,
    entry: NewEntry,
) -> BoxFuture<'static, Option<String>> {
    Box::pin(async move {
        let cache = runtime.cache().await?;
        let durable = entry.is_durable();
        let kept = cache.put(&key, entry).await;
        // What is durable is on the disk already.
        if kept.is_ok() && !durable {
            runtime.note_kept();
        }
        kept.err().map(|error| error.to_string())
    })
}

/// When a value that is completed now expires.
pub(crate) fn expiry(now: SystemTime, expiration: Option<std::time::Duration>) -> Option<SystemTime> {
    now.checked_add(expiration?)
}
