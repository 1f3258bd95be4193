//! What runs do, in figures, collected from the engine's events: nothing is written in tasks for it.
//!
//! A [`Monitor`] observes a runtime. Runs, how they ended, how long they took, retries and errors come from the engine; records and bytes from sources, sinks and whatever sets records aside, which
//! report what passes to the run they are called in. [`Monitor::snapshot`] is all of it as data, per flow and task; [`Monitor::runs`] the same per run. An [`Exporter`] passes it on
//! as it happens: `Prometheus` (feature `prometheus`), `OpenTelemetry` (feature `otel`), or one of your own.
//!
#![cfg_attr(feature = "parquet", doc = "```")]
#![cfg_attr(not(feature = "parquet"), doc = "```ignore")]
//! use flowkit::prelude::*;
//! use flowkit_etl::monitor::Monitor;
//! use flowkit_etl::sink::{FileSink, LoadId, Loaded, Sink};
//! use flowkit_etl::BatchStream;
//! use std::path::PathBuf;
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Plant {
//!     height: f64,
//! }
//!
//! #[task]
//! async fn load(heights: Vec<f64>, file: PathBuf) -> Result<Loaded> {
//!     let plants = heights.into_iter().map(|height| Plant { height }).collect();
//!     Ok(FileSink::new(file).load(&LoadId::new("1")?, BatchStream::from_rows(plants)?).await?)
//! }
//!
//! #[flow]
//! async fn nightly(file: PathBuf) -> Result<u64> {
//!     Ok(load(vec![1.5, 2.5], file).await?.rows)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let directory = tempfile::tempdir()?;
//! # let file = directory.path().join("plants.parquet");
//! let monitor = Monitor::new();
//! let runtime = Runtime::builder().observe(monitor.clone()).build().await?;
//! runtime.run(nightly(file)).await;
//!
//! let snapshot = monitor.snapshot();
//! let load = snapshot.task("nightly", "load").unwrap();
//! assert_eq!((load.ended(State::Completed), load.traffic.records_out), (1, 2));
//! # Ok(())
//! # }
//! ```

mod figures;
#[cfg(any(feature = "prometheus", feature = "otel"))]
mod metrics;
mod moments;
#[cfg(feature = "otel")]
mod otel;
#[cfg(feature = "prometheus")]
mod prometheus;
mod tables;

pub use self::figures::{Durations, Figures, FlowFigures, RunFigures, Snapshot, TaskFigures};
pub use self::moments::{Moment, What, kind_of};
#[cfg(feature = "otel")]
pub use self::otel::{DEFAULT_INTERVAL, OpenTelemetry, Otlp};
#[cfg(feature = "prometheus")]
pub use self::prometheus::{DEFAULT_BUCKETS, Prometheus};
pub use crate::traffic::Traffic;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowkit::{Event, EventKind, FlowRunId, Observer};

use self::moments::Follower;
use self::tables::Tables;
use crate::said;

/// How many runs that have ended are remembered one by one, unless said otherwise.
pub const DEFAULT_RUNS: usize = 100;

/// Passes on what a [`Monitor`] is told, as it happens.
///
/// It is called where it happens, so it must be quick and never block.
pub trait Exporter: Send + Sync + 'static {
    /// Something happened.
    fn export(&self, moment: &Moment<'_>);
}

impl<E: Exporter + ?Sized> Exporter for Arc<E> {
    fn export(&self, moment: &Moment<'_>) {
        (**self).export(moment);
    }
}

/// An observer that adds up what runs do. Clones are the same.
///
/// Flows and tasks count by the names of their definitions, whatever their runs are named, so that there are only so many. The flows and stages of [pipelines](crate::pipeline) count by their own names.
/// What it remembers is bounded by how many flows and tasks there are, by what runs at present, and by [`DEFAULT_RUNS`] that have ended.
#[derive(Clone)]
pub struct Monitor {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    exporters: Vec<Box<dyn Exporter>>,
}

struct State {
    follower: Follower,
    tables: Tables,
}

/// Describes a [`Monitor`].
#[must_use = "a builder does nothing until it is built"]
pub struct MonitorBuilder {
    exporters: Vec<Box<dyn Exporter>>,
    runs: usize,
}

impl Monitor {
    /// One that has seen nothing yet and exports nothing.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Describes one that exports, or remembers more runs.
    pub fn builder() -> MonitorBuilder {
        MonitorBuilder {
            exporters: Vec::new(),
            runs: DEFAULT_RUNS,
        }
    }

    /// All figures, per flow and per task.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().tables.snapshot()
    }

    /// The runs that go on, and those that ended last, in the order in which they began. Each has the figures of its tasks.
    pub fn runs(&self) -> Vec<RunFigures> {
        self.lock().tables.runs()
    }

    /// The figures of a run, if it goes on or ended lately.
    pub fn run(&self, id: FlowRunId) -> Option<RunFigures> {
        self.lock().tables.run(id)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked while it held the lock left whole numbers behind.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Monitor {
    fn default() -> Self {
        Self::new()
    }
}

impl MonitorBuilder {
    /// Passes on what happens to this, too.
    pub fn export(mut self, exporter: impl Exporter) -> Self {
        self.exporters.push(Box::new(exporter));
        self
    }

    /// How many runs that have ended are remembered one by one; [`DEFAULT_RUNS`] unless said otherwise.
    pub fn remember_runs(mut self, at_most: usize) -> Self {
        self.runs = at_most;
        self
    }

    /// Builds it.
    pub fn build(self) -> Monitor {
        let state = State {
            follower: Follower::default(),
            tables: Tables::new(self.runs),
        };
        Monitor {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                exporters: self.exporters,
            }),
        }
    }
}

impl Observer for Monitor {
    fn on_event(&self, event: &Event<'_>) {
        let said = match &event.kind {
            EventKind::FlowRunFinished { error, .. } => error.map(said::in_a_line),
            _ => None,
        };
        let moment = {
            let state = &mut *self.lock();
            let Some(moment) = state.follower.follow(event) else {
                return;
            };
            state.tables.note(&moment, said);
            moment
        };
        for exporter in &self.shared.exporters {
            exporter.export(&moment);
        }
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor")
            .field("exporters", &self.shared.exporters.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MonitorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonitorBuilder")
            .field("exporters", &self.exporters.len())
            .field("runs", &self.runs)
            .finish()
    }
}
