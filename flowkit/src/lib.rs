//! Workflows of plain async functions: cached, retried, timed, run concurrently, recorded. No server to install.
//!
//! Annotate a function with [`macro@task`] or [`macro@flow`]. Calling it gives a [`TaskCall`] or [`FlowCall`]: await it to run it here,
//! [`submit`](TaskCall::submit) it to run it beside you, pass its handle to another task to draw an edge. The graph is found while it
//! runs.
//!
//! ```
//! use flowkit::prelude::*;
//!
//! /// Fetch a page.
//! #[task(retries = 3, retry_delay = "100ms", timeout = "10s")]
//! async fn fetch(url: &str) -> Result<String> {
//!     Ok(format!("<h1>{url}</h1>"))
//! }
//!
//! #[task]
//! async fn count(page: &str) -> usize {
//!     page.len()
//! }
//!
//! #[flow]
//! async fn survey(urls: Vec<String>) -> Result<usize> {
//!     let pages: Vec<_> = urls.iter().map(|url| fetch(url).submit()).collect(); // all start now
//!     let mut total = 0;
//!     for page in pages {
//!         total += count(page).await?; // waits for its own page
//!     }
//!     Ok(total)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! assert_eq!(survey(vec!["a".into(), "bc".into()]).await?, 21);
//! # Ok(())
//! # }
//! ```
//!
//! | word | meaning |
//! |---|---|
//! | task | a function annotated with [`macro@task`]; one execution of it is a *task run*, one try of that an *attempt* |
//! | flow | a function annotated with [`macro@flow`]; one execution of it is a *flow run*, one called by another a *subflow* |
//! | upstream | a run whose value, or end, another one waits for |
//! | [`State`] | where a run stands; a terminal state never changes |
//! | [`TaskHandle`], [`Mapped`] | a submitted run, a submitted fan-out |
//! | [`Runtime`] | what runs share: cache, resources, observers, clock |
//! | [`FlowRun`] | the record of a run that has ended |
//!
//! # Features
//!
//! `sled` (default) keeps cached results on disk.
//!
//! `redb` brings `cache::RedbStore`, a store that several processes use at once: give it to a runtime by
//! `Runtime::builder().cache_store(RedbStore::open(directory)?)`. Every result that is kept is synced to the disk, which takes some
//! milliseconds; where one process has the directory for itself, the default is faster by far.
//!
//! `journal` records every run below the data directory, in SQLite, so that one whose process died can be resumed.
//!
//! `cli` brings `flowkit::cli`: a `main` that lists the program's flows, runs them, and shows, resumes and cancels their runs.
//!
//! `logs` brings `JournalLayer`, a layer of `tracing_subscriber` that keeps what bodies log in the journal, run by run.
//!
//! `testing` brings `flowkit::testing`: a runtime for the tests of your own flows, with a clock that jumps, faults on demand, and a log to
//! assert over. It belongs under `[dev-dependencies]`.

mod breaker;
mod call;
mod carried;
#[cfg(feature = "cli")]
pub mod cli;
mod clock;
mod completion;
mod context;
mod definition;
mod engine;
mod error;
mod event;
pub mod explain;
mod fan_out;
mod flow_call;
mod gather;
mod graph;
mod handle;
mod hook;
mod ids;
mod input;
mod job;
#[cfg_attr(
    not(feature = "journal"),
    allow(dead_code, reason = "without the feature nothing is resumed")
)]
mod journaling;
mod key_probe;
mod limit;
#[cfg(feature = "logs")]
mod logs;
mod named;
mod options;
mod order;
mod panics;
#[cfg_attr(
    not(feature = "journal"),
    allow(dead_code, reason = "without the feature nothing is registered")
)]
mod parameters;
mod pause;
mod random;
mod rate;
#[cfg(feature = "journal")]
mod registry;
mod render;
mod resource;
mod retry;
mod retry_budget;
mod returned;
mod rfc3339;
mod run;
mod runtime;
mod secret;
mod secret_key;
mod state;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod told;
mod transaction;
mod wait_graph;
mod waits;
mod window;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use flowkit_cache as cache;
pub use flowkit_journal as journal;
pub use flowkit_macros::{fingerprint, flow, task};

pub use breaker::{Breaker, BreakerState};
pub use call::{TaskCall, TaskFuture};
pub use clock::{Clock, SystemClock, TokioClock};
pub use context::{CurrentRun, current_run, sleep, tagged, waiting};
pub use definition::{CachePolicy, Definition, DefinitionKind, Place};
pub use engine::blocking::{Blocking, TokioBlocking};
pub use error::{BoxError, Error, ErrorKind};
pub use event::{Event, EventKind, Observer};
pub use explain::explain;
pub use fan_out::{AsCompleted, DEFAULT_CONCURRENCY, FanOut, Mapped, Outcomes, SubmitAll, SubmitStream};
pub use flow_call::FlowCall;
pub use gather::{AllowFailure, Group, IntoHandle, Tolerable, all, allow_failure};
pub use handle::{HandleFuture, TaskHandle};
pub use hook::{Hook, HookFuture, HookOutcome, HookRun};
pub use ids::{FlowRunId, Ids, ParseRunIdError, SeededIds, SystemIds, TaskRunId};
pub use input::{Input, IntoInput};
#[cfg(feature = "journal")]
pub use journaling::resume::ResumeOptions;
pub use journaling::retention::KeepRuns;
#[cfg(feature = "journal")]
pub use journaling::settled::UnknownEffect;
#[cfg(feature = "logs")]
pub use logs::{DEFAULT_LOG_BYTES, JournalLayer};
pub use options::{Delays, TaskOptions};
pub use order::{IntoOrder, Order};
pub use parameters::ParameterError;
pub use pause::{Pause, PausedRun, pause};
pub use random::{FastRandomness, Randomness};
#[cfg(feature = "journal")]
pub use registry::{FlowNotFound, FlowParameter, RegisteredFlow, registered_flows};
pub use retry_budget::RetryBudget;
pub use run::{
    AttemptRecord, Counts, FanOutRecord, FlowRun, ItemRecord, RunEdge, RunGraph, RunRecord, TaskRun,
    TaskRunKind,
};
pub use runtime::{Builder, LimitUse, OnStart, Runtime};
pub use secret::Secret;
pub use state::State;
pub use transaction::{Transaction, transaction};
pub use wait_graph::{WaitingRun, WaitsFor};

/// What bodies return: any error will do, so `?` takes everything.
pub type Result<T, E = BoxError> = std::result::Result<T, E>;

/// Everything that most programs need: `use flowkit::prelude::*;`.
pub mod prelude {
    pub use crate::{
        ErrorKind, FlowCall, FlowRun, Mapped, Result, Runtime, State, SubmitAll, SubmitStream, TaskCall,
        TaskHandle, TaskOptions, all, allow_failure, current_run, flow, task,
    };
}

/// The README's examples, which are compiled with the documentation's. One of them tests a flow.
#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../../README.md")]
mod readme {}
