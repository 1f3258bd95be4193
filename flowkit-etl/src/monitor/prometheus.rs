//! The figures as Prometheus reads them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use metrics::{Key, Label, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::Exporter;
use super::moments::{Moment, What, kind_of};
use crate::error::{Error, ErrorKind, Result};

/// The upper bounds of the buckets of durations, in seconds, unless said otherwise.
pub const DEFAULT_BUCKETS: [f64; 12] = super::figures::DURATION_BUCKETS;

/// After so many durations the recorder is told to put them into their buckets, so that they do not gather when nobody asks.
const UPKEEP: u64 = 4096;

/// Every metric: name, kind, unit, description. Those of tasks have the label `task` beside `flow`.
const DESCRIBED: [(&str, Kind, Option<Unit>, &str); 16] = [
    (
        "flowkit_flow_runs_started_total",
        Kind::Counter,
        None,
        "Flow runs that began.",
    ),
    (
        "flowkit_flow_runs_ended_total",
        Kind::Counter,
        None,
        "Flow runs that ended, by state.",
    ),
    (
        "flowkit_flow_runs_running",
        Kind::Gauge,
        None,
        "Flow runs that go on.",
    ),
    (
        "flowkit_flow_run_retries_total",
        Kind::Counter,
        None,
        "Attempts of flow runs after the first.",
    ),
    (
        "flowkit_flow_run_errors_total",
        Kind::Counter,
        None,
        "Flow runs that ended with an error, by kind.",
    ),
    (
        "flowkit_flow_run_duration_seconds",
        Kind::Histogram,
        Some(Unit::Seconds),
        "How long flow runs took.",
    ),
    (
        "flowkit_flow_last_success_timestamp_seconds",
        Kind::Gauge,
        Some(Unit::Seconds),
        "When a run of the flow ended with a value last.",
    ),
    (
        "flowkit_task_runs_started_total",
        Kind::Counter,
        None,
        "Task runs that began.",
    ),
    (
        "flowkit_task_runs_ended_total",
        Kind::Counter,
        None,
        "Task runs that ended, by state; what came from the cache is Cached.",
    ),
    (
        "flowkit_task_runs_running",
        Kind::Gauge,
        None,
        "Task runs that go on.",
    ),
    (
        "flowkit_task_run_retries_total",
        Kind::Counter,
        None,
        "Attempts of task runs after the first.",
    ),
    (
        "flowkit_task_run_errors_total",
        Kind::Counter,
        None,
        "Task runs that ended with an error, by kind.",
    ),
    (
        "flowkit_task_run_duration_seconds",
        Kind::Histogram,
        Some(Unit::Seconds),
        "How long task runs took, with all attempts.",
    ),
    (
        "flowkit_records_total",
        Kind::Counter,
        None,
        "Records that were read (in), committed (out) and set aside (rejected).",
    ),
    (
        "flowkit_bytes_total",
        Kind::Counter,
        Some(Unit::Bytes),
        "Bytes that were read (in) and committed (out), as they lie in memory, and of files that were committed (file).",
    ),
    (
        "flowkit_quality_figure",
        Kind::Gauge,
        None,
        "The figure of a check of quality, as measured last.",
    ),
];

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Exports to Prometheus: what [`render`](Self::render) gives is the answer to its request, by the HTTP server that the program has anyway; or [`listening`](Self::listening) is one. Clones are the same.
///
/// ```
/// use flowkit_etl::monitor::{Monitor, Prometheus};
///
/// let prometheus = Prometheus::new();
/// let monitor = Monitor::builder().export(prometheus.clone()).build();
/// // … `Runtime::builder().observe(monitor)`, and in the program's server:
/// let answer = ([("content-type", Prometheus::CONTENT_TYPE)], prometheus.render());
/// ```
#[derive(Clone)]
pub struct Prometheus {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    durations: Arc<AtomicU64>,
}

impl Prometheus {
    /// The type of what is rendered.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// With the buckets of [`DEFAULT_BUCKETS`].
    pub fn new() -> Self {
        // The default buckets are some.
        Self::with_buckets(&DEFAULT_BUCKETS)
            .unwrap_or_else(|_| Self::of(PrometheusBuilder::new().build_recorder()))
    }

    /// With durations in buckets of these upper bounds, in seconds.
    ///
    /// # Errors
    /// When there are none.
    pub fn with_buckets(seconds: &[f64]) -> Result<Self> {
        let builder = PrometheusBuilder::new().set_buckets(seconds).map_err(|error| {
            Error::new(ErrorKind::Options, "durations need a bucket at least").because(error)
        })?;
        Ok(Self::of(builder.build_recorder()))
    }

    /// With an HTTP server at this address, which answers to whoever reaches it, at any path, until tokio ends. Within a tokio runtime.
    ///
    /// # Errors
    /// When nothing can listen there.
    #[cfg(feature = "prometheus-listener")]
    pub fn listening(address: std::net::SocketAddr) -> Result<Self> {
        let cannot = |error: metrics_exporter_prometheus::BuildError| {
            let message = format!("no server can listen at {address} for Prometheus: is another one there?");
            Error::new(ErrorKind::Options, message).because(error)
        };
        let builder = PrometheusBuilder::new()
            .set_buckets(&DEFAULT_BUCKETS)
            .map(|builder| builder.with_http_listener(address));
        let (recorder, server) = builder.and_then(PrometheusBuilder::build).map_err(cannot)?;
        tokio::spawn(async move {
            if server.await.is_err() {
                tracing::error!(target: "flowkit_etl", %address, "the server that Prometheus asks has ended");
            }
        });
        Ok(Self::of(recorder))
    }

    fn of(recorder: PrometheusRecorder) -> Self {
        for (name, kind, unit, description) in DESCRIBED {
            let (name, description) = (name.into(), description.into());
            match kind {
                Kind::Counter => recorder.describe_counter(name, unit, description),
                Kind::Gauge => recorder.describe_gauge(name, unit, description),
                Kind::Histogram => recorder.describe_histogram(name, unit, description),
            }
        }
        Self {
            handle: recorder.handle(),
            recorder: Arc::new(recorder),
            durations: Arc::default(),
        }
    }

    /// All metrics, in the text format of Prometheus.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    fn add(&self, name: &'static str, labels: Vec<Label>, count: u64) {
        if count > 0 {
            let key = Key::from_parts(name, labels);
            self.recorder.register_counter(&key, &METADATA).increment(count);
        }
    }

    fn gauge(&self, name: &'static str, labels: Vec<Label>) -> metrics::Gauge {
        self.recorder
            .register_gauge(&Key::from_parts(name, labels), &METADATA)
    }

    fn took(&self, name: &'static str, labels: Vec<Label>, took: Duration) {
        let key = Key::from_parts(name, labels);
        self.recorder.register_histogram(&key, &METADATA).record(took);
        if self.durations.fetch_add(1, Ordering::Relaxed) % UPKEEP == UPKEEP - 1 {
            self.handle.run_upkeep();
        }
    }
}

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// The names of what is counted of flow runs and of task runs alike.
struct Names {
    started: &'static str,
    ended: &'static str,
    running: &'static str,
    retries: &'static str,
    errors: &'static str,
    duration: &'static str,
}

const OF_FLOWS: Names = Names {
    started: "flowkit_flow_runs_started_total",
    ended: "flowkit_flow_runs_ended_total",
    running: "flowkit_flow_runs_running",
    retries: "flowkit_flow_run_retries_total",
    errors: "flowkit_flow_run_errors_total",
    duration: "flowkit_flow_run_duration_seconds",
};

const OF_TASKS: Names = Names {
    started: "flowkit_task_runs_started_total",
    ended: "flowkit_task_runs_ended_total",
    running: "flowkit_task_runs_running",
    retries: "flowkit_task_run_retries_total",
    errors: "flowkit_task_run_errors_total",
    duration: "flowkit_task_run_duration_seconds",
};

impl Exporter for Prometheus {
    fn export(&self, moment: &Moment<'_>) {
        let mut labels = vec![Label::new("flow", moment.flow.to_owned())];
        if let Some(task) = moment.task {
            labels.push(Label::new("task", task.to_owned()));
        }
        let with = |name: &'static str, value: String| {
            let mut labels = labels.clone();
            labels.push(Label::new(name, value));
            labels
        };
        let names = if moment.task.is_some() { OF_TASKS } else { OF_FLOWS };
        match &moment.what {
            What::Started { .. } => {
                self.add(names.started, labels.clone(), 1);
                self.gauge(names.running, labels).increment(1.0);
            }
            What::Ended { state, took, error } => {
                self.add(names.ended, with("state", state.to_string()), 1);
                if let Some(error) = error {
                    self.add(names.errors, with("kind", kind_of(error)), 1);
                }
                if state.is_success() && moment.task.is_none() {
                    let name = "flowkit_flow_last_success_timestamp_seconds";
                    let since_epoch = moment.at.duration_since(SystemTime::UNIX_EPOCH);
                    let gauge = self.gauge(name, labels.clone());
                    gauge.set(since_epoch.unwrap_or_default().as_secs_f64());
                }
                if let Some(took) = took {
                    self.gauge(names.running, labels.clone()).decrement(1.0);
                    self.took(names.duration, labels, *took);
                }
            }
            What::Retried => self.add(names.retries, labels, 1),
            What::RolledBack => {}
            What::Passed(traffic) => {
                for (direction, count) in traffic.records() {
                    self.add(
                        "flowkit_records_total",
                        with("direction", direction.into()),
                        count,
                    );
                }
                for (direction, count) in traffic.bytes() {
                    self.add("flowkit_bytes_total", with("direction", direction.into()), count);
                }
            }
            #[cfg(feature = "quality")]
            What::Measured(report) => {
                for check in &report.checks {
                    let mut labels = with("report", report.name.clone());
                    labels.push(Label::new("check", check.check.clone()));
                    let gauge = self.gauge("flowkit_quality_figure", labels);
                    gauge.set(check.measured.unwrap_or(f64::NAN));
                }
            }
        }
    }
}

impl Default for Prometheus {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus").finish_non_exhaustive()
    }
}
