//! A kit for the tests of your own flows: a runtime whose time jumps, a log to assert over, and faults on demand.
//!
//! Every night a job fetches the prices of the day and publishes them. The shop that it asks is down now and then, so a fetch is
//! retried, an hour later each time. Does the job get through such a night? Nobody can wait for a night to find out, so the test runs
//! on tokio's paused clock: whenever nothing else is to be done, it jumps to the next moment at which something is.
//!
//! ```
//! use flowkit::prelude::*;
//! use flowkit::testing::{Fault, TestRuntime};
//! use std::time::Duration;
//!
//! #[task(retries = 3, retry_delay = "1h", timeout = "10m")]
//! async fn fetch(shop: &str) -> Result<Vec<u32>> {
//!     Ok(vec![shop.len() as u32, 20]) // asks the shop
//! }
//!
//! #[task]
//! async fn publish(prices: &[u32]) -> usize {
//!     prices.len()
//! }
//!
//! #[flow]
//! async fn nightly() -> Result<usize> {
//!     Ok(publish(fetch("greengrocer")).await?)
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! // In a file of your own this stands under `#[tokio::test(start_paused = true)]`.
//! let runtime = TestRuntime::builder()
//!     .fault("fetch", Fault::fail("no route to host").on_attempt(1)) // at first nobody is there,
//!     .fault("fetch", Fault::hang().on_attempt(2)) // then somebody is, and does not answer
//!     .build()
//!     .await;
//!
//! let run = runtime.run(nightly()).await;
//!
//! assert_eq!(run.elapsed(), Duration::from_secs(2 * 3600 + 10 * 60)); // two delays, and a timeout
//! assert_eq!(run.into_result().unwrap(), 2);
//! let log = runtime.log();
//! log.assert_retried("fetch", 2);
//! log.assert_ended("fetch", State::Completed);
//! log.assert_ran_once("publish");
//! log.assert_began_before("fetch", "publish");
//! runtime.assert_faults_met(); // both faults happened: the night was as bad as it was meant to be
//! # }
//! ```
//!
//! That took no time worth measuring, and it takes the same course every time: the wall clock begins at a fixed moment and follows tokio's, and ids and
//! jitter come from a seed. [`EventLog::digest`] says so: it is equal for equal histories.
//!
//! # What it needs
//!
//! ```toml
//! [dev-dependencies]
//! flowkit = { …, features = ["testing"] }
//! tokio = { version = "1", features = ["macros", "rt", "test-util"] }
//! ```
//!
//! A test of it begins with `#[tokio::test(start_paused = true)]`. Where tokio's clock is not paused, building a test runtime panics and says so. Time stands
//! still while anything works, also on tokio's pool for blocking work; it jumps only when all wait for time. A task that waits for something
//! outside of the process, such as a socket, waits for no time: the clock jumps over its timeout.

mod fault;
mod history;
mod log;
mod stall;

use std::any::Any;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

pub use fault::Fault;
pub(crate) use fault::{Faults, FaultyAttempt};
pub use history::LoggedRun;
pub use log::EventLog;
pub(crate) use stall::StallWatch;

use crate::clock::TokioClock;
use crate::flow_call::FlowCall;
use crate::ids::SeededIds;
use crate::random::FastRandomness;
use crate::run::FlowRun;
use crate::runtime::{Builder, Runtime};

/// Where the wall clock of a test begins unless it says otherwise: the first moment of 2030, in UTC.
const BEGINNING: Duration = Duration::from_secs(1_893_456_000);

/// A runtime for tests: its cache is in memory, its wall clock follows tokio's paused one, its ids and jitter come from a seed, and
/// an [`EventLog`] is told of everything. See the [module](self) for a story with one.
#[derive(Debug)]
pub struct TestRuntime {
    runtime: Runtime,
    log: EventLog,
    faults: Arc<Faults>,
}

impl TestRuntime {
    /// A test runtime without faults, and with nothing else said.
    ///
    /// # Panics
    /// If tokio's clock is not paused.
    #[track_caller]
    pub fn new() -> impl Future<Output = Self> + Send {
        Self::builder().build()
    }

    /// Describes a test runtime.
    pub fn builder() -> TestRuntimeBuilder {
        TestRuntimeBuilder {
            seed: 0,
            beginning: SystemTime::UNIX_EPOCH + BEGINNING,
            faults: Faults::default(),
            stall_after: None,
            runtime: Runtime::builder(),
        }
    }

    /// Runs a flow and gives its record. See [`Runtime::run`].
    pub async fn run<T: Send + Sync + 'static>(&self, call: FlowCall<T>) -> FlowRun<T> {
        self.runtime.run(call).await
    }

    /// The runtime itself: for calls outside any flow in its [`scope`](Runtime::scope), for its limits and breakers, for its shutdown.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// What has happened.
    pub fn log(&self) -> &EventLog {
        &self.log
    }

    /// Every fault that the runtime was given has happened at least once: so the test was about what it says.
    ///
    /// # Panics
    /// If one has not. The message names it, and says what happened to its task.
    #[track_caller]
    pub fn assert_faults_met(&self) {
        let unmet = self.faults.unmet();
        if unmet.is_empty() {
            return;
        }
        let mut what = String::from("expected every fault to have been met, but these never were:\n");
        for (name, fault) in &unmet {
            what.push_str(&format!("  `{name}`: {fault}\n"));
        }
        let mut names: Vec<_> = unmet.iter().map(|(name, _)| *name).collect();
        names.dedup();
        for name in names {
            what.push('\n');
            what.push_str(&self.log.describe(name, &log::is_notable));
        }
        fail(&what)
    }
}

/// Describes a [`TestRuntime`].
#[must_use = "a builder does nothing until it is built"]
#[derive(Debug)]
pub struct TestRuntimeBuilder {
    seed: u64,
    beginning: SystemTime,
    faults: Faults,
    stall_after: Option<Duration>,
    runtime: Builder,
}

impl TestRuntimeBuilder {
    /// What ids and jitter follow from; 0 unless this says otherwise.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What the wall clock shows at first; the beginning of 2030, in UTC, unless this says otherwise.
    pub fn starting_at(mut self, beginning: SystemTime) -> Self {
        self.beginning = beginning;
        self
    }

    /// Has this happen in attempts of the task of this name, or of the run of this name. It is for tasks, not for flows.
    pub fn fault(mut self, name: impl Into<Arc<str>>, fault: Fault) -> Self {
        self.faults.add(name.into(), fault);
        self
    }

    /// Ends a flow run that has not ended, and in which nothing has happened for so long, of tokio's time: no run of the runtime changed its state. It fails with an error of
    /// kind [`Stalled`](crate::ErrorKind::Stalled) that says of each run that has not ended what it waits for, in its message and in its
    /// [`wait_graph`](crate::Error::wait_graph); what still runs in it is cancelled. Without this, a test whose flow waits for a message that
    /// nobody sends hangs.
    ///
    /// Say more than the longest time in which a body, a rate limit or a breaker of the flow is silent; a retry delay is waited for,
    /// however long. A body that waits for a real socket or for a thread outside of tokio looks as if it waited for nothing, since the clock jumps meanwhile: a test of such a body cannot say this.
    ///
    /// ```
    /// use flowkit::prelude::*;
    /// use flowkit::testing::TestRuntime;
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// #[task]
    /// async fn listen(told: Arc<tokio::sync::Notify>) {
    ///     told.notified().await; // nobody tells it
    /// }
    ///
    /// #[flow]
    /// async fn deaf() -> Result<()> {
    ///     let told = Arc::new(tokio::sync::Notify::new());
    ///     Ok(listen(told).await?)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let runtime = TestRuntime::builder().stall_after(Duration::from_secs(3600)).build().await;
    /// let error = runtime.run(deaf()).await.into_result().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Stalled);
    /// assert_eq!(
    ///     error.to_string(),
    ///     "flow `deaf` is stalled: nothing has happened for 1h, and these runs have not ended: \
    ///      `deaf` (Running) ends only after `listen`; `listen` (Running) waits for something outside of flowkit"
    /// );
    /// # }
    /// ```
    pub fn stall_after(mut self, silence: Duration) -> Self {
        self.stall_after = Some(silence);
        self
    }

    /// See [`Builder::limit`].
    pub fn limit(self, name: impl Into<Arc<str>>, slots: u32) -> Self {
        self.configure(|runtime| runtime.limit(name, slots))
    }

    /// See [`Builder::resource`].
    pub fn resource<R: Any + Send + Sync>(self, resource: R) -> Self {
        self.configure(|runtime| runtime.resource(resource))
    }

    /// Says whatever else a runtime can be told: `.configure(|runtime| runtime.circuit_breaker("api", Breaker::new()))`. Its clock, ids
    /// and randomness are those of the test all the same.
    pub fn configure(mut self, configure: impl FnOnce(Builder) -> Builder) -> Self {
        self.runtime = configure(self.runtime);
        self
    }

    /// Builds the test runtime.
    ///
    /// # Panics
    /// If tokio's clock is not paused, or if what was described cannot be built.
    #[track_caller]
    pub fn build(self) -> impl Future<Output = TestRuntime> + Send {
        if !tokio_is_paused() {
            fail(
                "a test runtime needs tokio's clock to be paused, or every delay of the flow would be waited for: begin the test with \
                 `#[tokio::test(start_paused = true)]`, which needs tokio's feature `test-util` in `[dev-dependencies]`",
            );
        }
        let asked_for = Location::caller();
        async move {
            let (log, faults) = (EventLog::new(), Arc::new(self.faults));
            let mut runtime = self.runtime;
            if let Some(after) = self.stall_after {
                let activity = stall::Activity::new();
                runtime = runtime
                    .observe(activity.clone())
                    .stall_watch(StallWatch::new(after, activity));
            }
            let runtime = runtime
                .clock(TokioClock::starting_at(self.beginning))
                .ids(SeededIds::new(self.seed))
                .randomness(FastRandomness::seeded(self.seed))
                .observe(log.clone())
                .faults(Arc::clone(&faults))
                .build()
                .await;
            let runtime = runtime.unwrap_or_else(|error| {
                fail(&format!(
                    "the test runtime of {asked_for} cannot be built: {error}"
                ))
            });
            // Opened on another thread when it is first asked for, a cache would come into the history at that thread's pace.
            drop(runtime.0.cache().await);
            TestRuntime { runtime, log, faults }
        }
    }
}

/// Whether tokio's clock stands still while the system's goes on.
///
/// Tokio's feature for tests, which could be asked, is the user's to switch on. A clock that goes reads at least as much as the system's at
/// each moment, so once that has moved, a tokio clock that has not is paused.
#[expect(
    clippy::disallowed_methods,
    reason = "it is the clock that tokio's is compared with"
)]
fn tokio_is_paused() -> bool {
    let before = Instant::now();
    let system = std::time::Instant::now();
    while std::time::Instant::now() <= system {
        std::hint::spin_loop();
    }
    Instant::now() == before
}

/// Fails the test.
#[track_caller]
#[expect(clippy::panic, reason = "an assertion that does not hold panics")]
fn fail(what: &str) -> ! {
    panic!("{what}")
}
