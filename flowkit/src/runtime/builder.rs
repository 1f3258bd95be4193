//! How a runtime is described before it is built.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowkit_cache::CacheStore;
use flowkit_journal::JournalStore;
use tokio::sync::Notify;

use super::cache::{CachePlace, CacheSlot};
use super::gates::{Gates, GatesPlan};
use super::journal::{JournalPlace, OnStart};
use super::{Runtime, RuntimeInner};
use crate::breaker::Breaker;
use crate::clock::{Clock, SystemClock};
use crate::engine::blocking::{Blocking, TokioBlocking};
use crate::engine::caching::Flights;
use crate::engine::stall::Stalls;
use crate::error::{Error, ErrorKind};
use crate::event::{Observer, Observers};
use crate::hook::{Hook, Moment, RuntimeHooks};
use crate::ids::{Ids, SystemIds};
use crate::journaling::Recorder;
use crate::journaling::retention::KeepRuns;
use crate::options::TaskOptions;
use crate::random::{FastRandomness, Randomness};
use crate::resource::Resources;
use crate::retry_budget::RetryBudget;
use crate::secret_key::{self, RuntimeKey};

/// How many lives a flow run has at most unless [`Builder::most_lives`] says otherwise.
const MOST_LIVES: u32 = 10;

/// How long a hook may take unless [`Builder::hook_timeout`] says otherwise.
const HOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// Describes a [`Runtime`]. Without anything said, everything stays in memory.
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    clock: Box<dyn Clock>,
    ids: Box<dyn Ids>,
    randomness: Box<dyn Randomness>,
    blocking: Box<dyn Blocking>,
    resources: Resources,
    observers: Observers,
    hooks: RuntimeHooks,
    hook_timeout: Duration,
    gates: GatesPlan,
    task_defaults: TaskOptions,
    cache: CachePlace,
    /// Whether the program itself said where, and so is told if that cannot be.
    named_data_dir: bool,
    cache_limit: Option<u64>,
    /// The file of the key that secrets are hashed with.
    secret_key: Option<PathBuf>,
    journal: JournalPlace,
    on_start: OnStart,
    keep_runs: KeepRuns,
    most_lives: u32,
    #[cfg(feature = "testing")]
    faults: Option<Arc<crate::testing::Faults>>,
    #[cfg(feature = "testing")]
    stall_watch: Option<crate::testing::StallWatch>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            clock: Box::new(SystemClock),
            ids: Box::new(SystemIds),
            randomness: Box::new(FastRandomness::default()),
            blocking: Box::new(TokioBlocking),
            resources: Resources::default(),
            observers: Observers::default(),
            hooks: RuntimeHooks::default(),
            hook_timeout: HOOK_TIMEOUT,
            gates: GatesPlan::default(),
            task_defaults: TaskOptions::new(),
            cache: CachePlace::Memory,
            named_data_dir: false,
            cache_limit: None,
            secret_key: None,
            journal: JournalPlace::None,
            on_start: OnStart::default(),
            keep_runs: KeepRuns::new(),
            most_lives: MOST_LIVES,
            #[cfg(feature = "testing")]
            faults: None,
            #[cfg(feature = "testing")]
            stall_watch: None,
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Builder")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Where the runtime keeps what outlives it: the cache, in the directory `cache` below this one, and with the feature `journal` the journal
    /// of its runs, in `journal.sqlite`.
    ///
    /// One runtime owns a directory that has a journal: a second one, in this process or another, is refused with an error that says who has it.
    /// The directory is made when it is first needed. If it cannot be used then, tasks run uncached and one warning says why. A path that is
    /// a file is an error when the runtime is built.
    pub fn data_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        self.cache = CachePlace::Directory(directory.join("cache"));
        self.secret_key = Some(directory.join(secret_key::FILE));
        self.named_data_dir = true;
        if cfg!(feature = "journal") {
            self.journal = JournalPlace::Directory(directory);
        }
        self
    }

    /// Writes no journal: what is said after [`data_dir`](Self::data_dir) of a directory that only the cache is kept in.
    pub fn without_journal(mut self) -> Self {
        self.journal = JournalPlace::None;
        self
    }

    /// Writes the journal of its runs into this store: [`MemoryJournal`](crate::journal::MemoryJournal), for one that outlives the runtime and not the
    /// process, or one of your own.
    ///
    /// Nobody takes it for the runtime alone, as is done with a directory: whoever gives it sees to it that no other runtime writes into it, in this process or another
    /// ([`Owner`](crate::journal::Owner) is there for that). Runs that it has as going on when the runtime is built count as those of a process that died. It is closed by whoever holds it last;
    /// [`Runtime::shutdown`] has it put its files in order.
    pub fn journal_store(mut self, store: Arc<dyn JournalStore>) -> Self {
        self.journal = JournalPlace::Store(store);
        self
    }

    /// How much of the past the journal keeps. Without this, runs of the last 30 days, 10,000 of them at most, 1 GiB of results and 256 MiB of logs.
    pub fn keep_runs(mut self, keep: KeepRuns) -> Self {
        self.keep_runs = keep;
        self
    }

    /// How much of the past is kept, for who clears out without a runtime.
    #[cfg(feature = "cli")]
    pub(crate) fn kept_runs(&self) -> KeepRuns {
        self.keep_runs
    }

    /// What becomes of flow runs that an earlier process left unfinished when it died.
    pub fn on_start(mut self, on_start: OnStart) -> Self {
        self.on_start = on_start;
        self
    }

    /// After how many lives a flow run is given up whose process died in the last one, too: it may be what kills it. By [`OnStart::Resume`] and
    /// [`Runtime::resume_all`] it is then no longer resumed, only by its id. The default is 10; the first life counts, too.
    pub fn most_lives(mut self, lives: u32) -> Self {
        self.most_lives = lives;
        self
    }

    /// Keeps what outlives the runtime where the default runtime does: in `$FLOWKIT_HOME`, or without that in `.flowkit`
    /// below the working directory. If that cannot be used, tasks run uncached and one warning says why.
    pub fn default_data_dir(mut self) -> Self {
        let home = std::env::var_os("FLOWKIT_HOME").filter(|home| !home.is_empty());
        let home = home.map_or_else(|| PathBuf::from(".flowkit"), PathBuf::from);
        self.cache = CachePlace::Directory(home.join("cache"));
        self.secret_key = Some(home.join(secret_key::FILE));
        self.named_data_dir = false;
        self
    }

    /// Keeps cached results in this store.
    pub fn cache_store(mut self, store: impl CacheStore) -> Self {
        self.cache = CachePlace::Store(Arc::new(store));
        self
    }

    /// How many bytes of cached results are kept; those used longest ago go first. The default is the store's own, 1 GiB.
    pub fn cache_limit(mut self, bytes: u64) -> Self {
        self.cache_limit = Some(bytes);
        self
    }

    /// What `#[resource]` parameters of this type receive. It is never part of a cache key. A second one of a type replaces the first.
    pub fn resource<R: Any + Send + Sync>(mut self, resource: R) -> Self {
        self.resources.insert(resource);
        self
    }

    /// Tells this observer of every event.
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.observers.add(Box::new(observer));
        self
    }

    /// A limit of this name: at most so many of its slots are held at a time by the runs that ask for it with `limit = "name"`.
    ///
    /// A run holds its slots while its body works, not while it waits: for its inputs, for other runs that its body awaits,
    /// for a retry delay, in [`flowkit::sleep`](crate::sleep). So nested runs finish even at a limit of 1. Slots are given out in the
    /// order in which runs asked for them.
    pub fn limit(mut self, name: impl Into<Arc<str>>, slots: u32) -> Self {
        self.gates.limits.push((name.into(), slots));
        self
    }

    /// At most so many task runs work at a time, whatever their task. Held and given back like the slots of a [`limit`](Self::limit).
    pub fn task_limit(mut self, runs: u32) -> Self {
        self.gates.task_limit = Some(runs);
        self
    }

    /// A rate limit of this name: at most so many attempts are let through in each period, of the runs that ask for it with
    /// `rate_limit = "name"`. After a pause a whole period's are let through at once, then they come evenly.
    ///
    /// It comes before the slots of limits, so that waiting for a permit holds none: runs that have been let through may then gather before
    /// a limit that is full, and begin together when it is freed.
    pub fn rate_limit(mut self, name: impl Into<Arc<str>>, attempts: u32, per: Duration) -> Self {
        self.gates.rate_limits.push((name.into(), attempts, per));
        self
    }

    /// A circuit breaker of this name, shared by the tasks that say `circuit_breaker = "name"`.
    ///
    /// Errors, timeouts and panics of attempts count as failures; an error for which the task's `retry_if` says no counts as neither
    /// failure nor success. While it is open, attempts fail at once with [`CircuitOpen`](ErrorKind::CircuitOpen), and are not counted.
    pub fn circuit_breaker(mut self, name: impl Into<Arc<str>>, breaker: Breaker) -> Self {
        self.gates.breakers.push((name.into(), breaker));
        self
    }

    /// Bounds the retries of all tasks together. Without it there is no such bound.
    pub fn retry_budget(mut self, budget: RetryBudget) -> Self {
        self.gates.retry_budget = Some(budget);
        self
    }

    /// Calls this hook whenever an attempt of any task or flow of the runtime begins.
    pub fn on_running<M>(mut self, hook: impl Hook<M>) -> Self {
        self.hooks.add(Moment::Running, hook);
        self
    }

    /// Calls this hook for every run that ends with a value, cached ones among them.
    pub fn on_success<M>(mut self, hook: impl Hook<M>) -> Self {
        self.hooks.add(Moment::Success, hook);
        self
    }

    /// Calls this hook for every run that fails or times out, after its last attempt.
    pub fn on_failure<M>(mut self, hook: impl Hook<M>) -> Self {
        self.hooks.add(Moment::Failure, hook);
        self
    }

    /// Calls this hook for every run that is cancelled.
    pub fn on_cancellation<M>(mut self, hook: impl Hook<M>) -> Self {
        self.hooks.add(Moment::Cancellation, hook);
        self
    }

    /// Calls this hook for every run that panics.
    pub fn on_crash<M>(mut self, hook: impl Hook<M>) -> Self {
        self.hooks.add(Moment::Crash, hook);
        self
    }

    /// Calls this hook for every task run that commits: as soon as it has completed, or when the [transaction](crate::transaction()) that it
    /// completed in does. What is served from the cache has nothing to commit.
    pub fn on_commit<M>(mut self, hook: impl Hook<M>) -> Self {
        self.hooks.add(Moment::Commit, hook);
        self
    }

    /// Calls this hook for every task run that had completed and is undone with its [transaction](crate::transaction()), the last first.
    pub fn on_rollback<M>(mut self, hook: impl Hook<M>) -> Self {
        self.hooks.add(Moment::Rollback, hook);
        self
    }

    /// How long a single hook may take before it is dropped; 30 seconds unless this says otherwise.
    pub fn hook_timeout(mut self, timeout: Duration) -> Self {
        self.hook_timeout = timeout;
        self
    }

    /// Options of every task whose attribute and call do not say otherwise.
    pub fn task_defaults(mut self, options: TaskOptions) -> Self {
        self.task_defaults = options;
        self
    }

    /// Where wall time comes from.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Where the ids of runs come from.
    pub fn ids(mut self, ids: impl Ids) -> Self {
        self.ids = Box::new(ids);
        self
    }

    /// Where jitter comes from.
    pub fn randomness(mut self, randomness: impl Randomness) -> Self {
        self.randomness = Box::new(randomness);
        self
    }

    /// Where blocking bodies run.
    pub fn blocking(mut self, blocking: impl Blocking) -> Self {
        self.blocking = Box::new(blocking);
        self
    }

    /// Has these faults happen in attempts.
    #[cfg(feature = "testing")]
    pub(crate) fn faults(mut self, faults: Arc<crate::testing::Faults>) -> Self {
        self.faults = Some(faults);
        self
    }

    /// Has runs ended in which nothing happens any more.
    #[cfg(feature = "testing")]
    pub(crate) fn stall_watch(mut self, watch: crate::testing::StallWatch) -> Self {
        self.stall_watch = Some(watch);
        self
    }

    /// Builds the runtime.
    ///
    /// # Errors
    /// Of kind [`Build`](ErrorKind::Build), if what was described cannot be.
    pub async fn build(mut self) -> Result<Runtime, Error> {
        if matches!(&self.cache, CachePlace::Directory(directory) if self.named_data_dir && directory == std::path::Path::new("cache"))
        {
            let detail = "`data_dir` is empty: give it the path of a directory, `.` for this one";
            return Err(Error::about_runtime(ErrorKind::Build, detail));
        }
        if self.named_data_dir && cfg!(not(feature = "sled")) {
            let detail =
                "`data_dir` keeps the cache in sled, and flowkit was built without its feature `sled`";
            return Err(Error::about_runtime(ErrorKind::Build, detail));
        }
        if let CachePlace::Directory(directory) = &self.cache
            && self.named_data_dir
            && let Some(data_dir) = directory.parent()
            && data_dir.is_file()
        {
            let detail = format!(
                "`{}` is a file, and data_dir takes a directory",
                data_dir.display()
            );
            return Err(Error::about_runtime(ErrorKind::Build, detail));
        }
        let gates = std::mem::take(&mut self.gates).build()?;
        #[cfg(feature = "cli")]
        let directory = self.journal.directory().map(std::path::Path::to_owned);
        let recorder = std::mem::take(&mut self.journal)
            .open(&*self.clock, self.keep_runs, self.most_lives)
            .await?;
        let on_start = self.on_start;
        let runtime = Runtime(self.into_inner(gates, recorder));
        #[cfg(feature = "cli")]
        if let Some(directory) = directory {
            runtime.0.own_requests(&directory);
        }
        #[cfg(feature = "journal")]
        runtime.start(on_start);
        #[cfg(not(feature = "journal"))]
        let _ = on_start;
        Ok(runtime)
    }

    pub(super) fn into_inner(self, gates: Gates, recorder: Option<Arc<Recorder>>) -> Arc<RuntimeInner> {
        let plain = self.task_defaults.says_nothing() && !self.hooks.any() && !gates.stand_before_all();
        Arc::new(RuntimeInner {
            plain,
            gates,
            clock: self.clock,
            ids: self.ids,
            randomness: self.randomness,
            blocking: self.blocking,
            resources: self.resources,
            observers: self.observers,
            hooks: self.hooks,
            hook_timeout: self.hook_timeout,
            task_defaults: self.task_defaults,
            flights: Flights::new(),
            stalls: Stalls::default(),
            abandoned_blocking: AtomicUsize::new(0),
            #[cfg(feature = "testing")]
            faults: self.faults,
            #[cfg(feature = "testing")]
            stall_watch: self.stall_watch,
            secrets: Arc::new(RuntimeKey::new(self.secret_key)),
            cache: CacheSlot::new(self.cache, self.cache_limit),
            recorder,
            #[cfg(feature = "cli")]
            requests: std::sync::OnceLock::new(),
            runs: Mutex::new(BTreeMap::new()),
            no_runs: Notify::new(),
            shut_down: AtomicBool::new(false),
        })
    }
}
