//! What runs share: the seams, the resources, the defaults, the observers and the cache. No global state is needed;
//! several runtimes live side by side in one process.

mod builder;
mod cache;
mod gates;
mod journal;
#[cfg(feature = "cli")]
pub(crate) mod requests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use flowkit_cache::SecretKey;
use tokio::sync::Notify;

pub use builder::Builder;
pub(crate) use cache::CacheSlot;
pub(crate) use gates::Gates;
pub use gates::LimitUse;
pub use journal::OnStart;
#[cfg(feature = "cli")]
pub(crate) use journal::own;

use crate::breaker::BreakerState;
use crate::clock::Clock;
use crate::context::{Ambient, scoped};
use crate::definition::Definition;
use crate::engine::blocking::Blocking;
use crate::engine::caching::Flights;
use crate::engine::scope::Scope;
use crate::engine::slots::without_slots;
use crate::engine::stall::Stalls;
use crate::error::{Error, ErrorKind};
use crate::event::Observers;
use crate::flow_call::FlowCall;
use crate::hook::RuntimeHooks;
use crate::ids::{FlowRunId, Ids};
use crate::journaling::Recorder;
use crate::options::TaskOptions;
use crate::random::Randomness;
use crate::resource::Resources;
use crate::run::FlowRun;
use crate::secret_key::RuntimeKey;

/// Runs flows. Cheap to clone; all clones are the same runtime.
///
/// Most programs need none: a call outside any runtime uses a default one, in memory, whose cache lies in
/// `$FLOWKIT_HOME/cache` or, without that, `.flowkit/cache`, opened by the first call of a cached task. A service builds its own with
/// [`Runtime::builder`] and runs flows with [`run`](Self::run).
///
/// ```
/// use flowkit::prelude::*;
/// use std::time::Duration;
///
/// struct Pool;
///
/// #[task]
/// async fn load(rows: u64, #[resource] _pool: &Pool) -> u64 {
///     rows
/// }
///
/// #[flow]
/// async fn pipeline(rows: u64) -> Result<u64> {
///     Ok(load(rows).await?)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let runtime = Runtime::builder().resource(Pool).build().await?;
/// let run = runtime.run(pipeline(7)).await;
/// assert_eq!(run.state(), State::Completed);
/// assert_eq!(run.into_result()?, 7);
/// runtime.shutdown(Duration::from_secs(10)).await;
/// # Ok(())
/// # }
/// ```
///
/// A runtime that is dropped without [`shutdown`](Self::shutdown) has its journal's last rows written all the same, by a task that outlives it. If tokio ends before that, whoever drops the last
/// of it waits for them, up to five seconds; rows that are lost even so are counted in an error that is logged.
#[derive(Clone)]
pub struct Runtime(pub(crate) Arc<RuntimeInner>);

pub(crate) struct RuntimeInner {
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) ids: Box<dyn Ids>,
    pub(crate) randomness: Box<dyn Randomness>,
    pub(crate) blocking: Box<dyn Blocking>,
    pub(crate) resources: Resources,
    pub(crate) observers: Observers,
    pub(crate) hooks: RuntimeHooks,
    pub(crate) hook_timeout: Duration,
    pub(crate) gates: Gates,
    pub(crate) task_defaults: TaskOptions,
    /// Whether nothing of the runtime concerns every run: no defaults, hooks, or gates before all.
    plain: bool,
    pub(crate) flights: Flights,
    pub(crate) stalls: Stalls,
    pub(crate) abandoned_blocking: AtomicUsize,
    #[cfg(feature = "testing")]
    pub(crate) faults: Option<Arc<crate::testing::Faults>>,
    #[cfg(feature = "testing")]
    pub(crate) stall_watch: Option<crate::testing::StallWatch>,
    cache: CacheSlot,
    secrets: Arc<RuntimeKey>,
    /// What writes the runs into the journal, if there is one.
    pub(crate) recorder: Option<Arc<Recorder>>,
    /// None if the runtime owns no data directory.
    #[cfg(feature = "cli")]
    requests: OnceLock<requests::Requests>,
    /// In order: a shutdown cancels them in the same order each time.
    runs: Mutex<BTreeMap<FlowRunId, Arc<Scope>>>,
    no_runs: Notify,
    shut_down: AtomicBool,
}

impl RuntimeInner {
    /// What secrets are hashed with.
    pub(crate) fn secrets(&self) -> Arc<dyn SecretKey> {
        Arc::clone(&self.secrets) as Arc<dyn SecretKey>
    }

    /// Whether a run with only this definition's options has none at all.
    pub(crate) fn is_plain(&self, definition: &Definition) -> bool {
        self.plain && definition.is_plain()
    }

    /// The cache; none if there is none or it cannot be opened, which is reported once.
    pub(crate) async fn cache(&self) -> Option<flowkit_cache::Cache> {
        self.cache.open().await
    }

    /// The same, if it was opened already, or could not be.
    pub(crate) fn open_cache(&self) -> Option<Option<&flowkit_cache::Cache>> {
        self.cache.opened()
    }

    /// Why there is no cache although there should be one; the first time it is asked, with `true`.
    pub(crate) fn cache_trouble(&self) -> Option<(Arc<str>, bool)> {
        self.cache.trouble()
    }

    /// Notes that a value was kept.
    pub(crate) fn note_kept(&self) {
        self.cache.note_kept();
    }

    /// Writes out what was kept: a program may end right after its run does.
    pub(crate) async fn flush_kept(&self) {
        self.cache.flush_kept().await;
    }

    fn lock_runs(&self) -> MutexGuard<'_, BTreeMap<FlowRunId, Arc<Scope>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a flow run in that has no flow above it.
    pub(crate) fn register(self: &Arc<Self>, scope: &Arc<Scope>) -> Result<(), Error> {
        let mut runs = self.lock_runs();
        if self.shut_down.load(Ordering::Acquire) {
            return Err(Error::about_runtime(
                ErrorKind::Unavailable,
                "the runtime was shut down and takes no runs: build another one",
            ));
        }
        scope.note_taken_in();
        runs.insert(scope.id, Arc::clone(scope));
        #[cfg(feature = "testing")]
        if let Some(watch) = &self.stall_watch {
            watch.begin(scope);
        }
        drop(runs);
        #[cfg(feature = "cli")]
        self.look_for_requests();
        Ok(())
    }

    pub(crate) fn unregister(&self, id: FlowRunId) {
        let mut runs = self.lock_runs();
        runs.remove(&id);
        #[cfg(feature = "testing")]
        if let Some(watch) = &self.stall_watch {
            watch.end(id);
        }
        if runs.is_empty() {
            self.no_runs.notify_waiters();
        }
    }

    /// The flow runs that are going on, apart from subflows.
    pub(crate) fn scopes(&self) -> Vec<Arc<Scope>> {
        self.lock_runs().values().cloned().collect()
    }

    async fn no_runs(&self) {
        loop {
            let no_runs = self.no_runs.notified();
            if self.lock_runs().is_empty() {
                return;
            }
            no_runs.await;
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Runtime")
            .field("clock", &self.0.clock)
            .field("ids", &self.0.ids)
            .field("resources", &self.0.resources)
            .field("observers", &self.0.observers)
            .field("cache", &self.0.cache)
            .finish_non_exhaustive()
    }
}

impl Runtime {
    /// Describes a runtime.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The runtime of calls that are made outside any other: made by the first of them.
    pub(crate) fn default_inner() -> &'static Arc<RuntimeInner> {
        static DEFAULT: OnceLock<Arc<RuntimeInner>> = OnceLock::new();
        DEFAULT.get_or_init(|| {
            Builder::default()
                .default_data_dir()
                .into_inner(Gates::default(), None)
        })
    }

    /// Runs a flow and gives its record: its value or error, its state, its graph, its times.
    ///
    /// This never fails: how the run ended is in the record, and [`FlowRun::into_result`] turns it into a `Result`. Dropping the
    /// future cancels the run.
    pub async fn run<T: Send + Sync + 'static>(&self, call: FlowCall<T>) -> FlowRun<T> {
        without_slots(call.run_in(Ambient::Runtime(Arc::clone(&self.0), None))).await
    }

    /// Runs `future` so that the calls in it use this runtime: tasks and flows that are called outside any flow.
    pub async fn scope<F: Future>(&self, future: F) -> F::Output {
        scoped(Ambient::Runtime(Arc::clone(&self.0), None), future).await
    }

    /// The flow runs that are going on, apart from subflows.
    pub(crate) fn scopes(&self) -> Vec<Arc<Scope>> {
        self.0.scopes()
    }

    /// Whether it takes no more runs.
    #[cfg(feature = "journal")]
    pub(crate) fn is_shut_down(&self) -> bool {
        self.0.shut_down.load(Ordering::Acquire)
    }

    /// Whether this flow run is going on.
    #[cfg(feature = "journal")]
    pub(crate) fn is_running(&self, run: FlowRunId) -> bool {
        self.0.lock_runs().contains_key(&run)
    }

    /// How many flow runs are going on.
    pub fn running(&self) -> usize {
        self.0.lock_runs().len()
    }

    /// Cancels a flow run that is going on, and says whether there was one: its body is dropped at its next await, what it
    /// submitted is cancelled, and no attempt follows. Subflows are cancelled through their handles.
    pub fn cancel(&self, run: FlowRunId) -> bool {
        let scope = self.0.lock_runs().get(&run).cloned();
        scope.inspect(|scope| scope.cancel()).is_some()
    }

    /// The state of a circuit breaker; none if there is no such breaker.
    pub fn breaker_state(&self, name: &str) -> Option<BreakerState> {
        let breaker = self.0.gates.breakers.find(name).ok()?;
        Some(breaker.state(tokio::time::Instant::now()))
    }

    /// How much of a limit is in use; none if there is no such limit.
    pub fn limit_use(&self, name: &str) -> Option<LimitUse> {
        self.0.gates.limits.get(name).map(LimitUse::of)
    }

    /// How much of the limit on all tasks is in use; none if there is no such limit.
    pub fn task_limit_use(&self) -> Option<LimitUse> {
        self.0.gates.limits.total().map(LimitUse::of)
    }

    /// How many blocking bodies ran on after a timeout or a cancellation, their results discarded.
    pub fn abandoned_blocking(&self) -> usize {
        self.0.abandoned_blocking.load(Ordering::Relaxed)
    }

    /// Takes no more runs, waits up to `grace` for those going on, cancels the rest and waits for their ends, and
    /// writes out the cache. The journal is then one file, `journal.sqlite`, with the large results in `objects` beside it: both can be copied until somebody
    /// reads it through [`journal`](Self::journal).
    ///
    /// Gives how many runs were cancelled.
    pub async fn shutdown(&self, grace: Duration) -> usize {
        {
            let _runs = self.0.lock_runs();
            self.0.shut_down.store(true, Ordering::Release);
        }
        let in_time = tokio::time::timeout(grace, self.0.no_runs()).await;
        let mut cancelled = 0;
        if in_time.is_err() {
            let late: Vec<_> = self.0.lock_runs().values().cloned().collect();
            cancelled = late.len();
            let forgotten = usize::from(cfg!(flowkit_fault = "shutdown-forgets-a-run"));
            late.iter().skip(forgotten).for_each(|scope| scope.cancel());
            self.0.no_runs().await;
        }
        self.0.cache.flush().await;
        if let Some(recorder) = &self.0.recorder
            && let Err(trouble) = recorder.journal.rest().await
        {
            tracing::error!(target: "flowkit", %trouble, "the journal lacks the end of what was shut down, or could not be closed in good order");
        }
        cancelled
    }
}
