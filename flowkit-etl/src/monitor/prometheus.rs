//! The figures as Prometheus reads them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::Exporter;
use super::metrics::{self, Change, Kind, Labels, Metric, Unit};
use super::moments::Moment;
use crate::error::{Error, ErrorKind, Result};

/// The upper bounds of the buckets of durations, in seconds, unless said otherwise.
pub const DEFAULT_BUCKETS: [f64; 12] = super::figures::DURATION_BUCKETS;

/// After so many durations the recorder is told to put them into their buckets, so that they do not gather when nobody asks.
const UPKEEP: u64 = 4096;

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

    /// With an HTTP server at this address, which answers to whoever reaches it, at any path, until tokio ends.
    ///
    /// # Errors
    /// When nothing can listen there, or no tokio runtime is here.
    #[cfg(feature = "prometheus-listener")]
    pub fn listening(address: std::net::SocketAddr) -> Result<Self> {
        let tokio = tokio::runtime::Handle::try_current().map_err(|error| {
            let message = "a server for Prometheus is started within a tokio runtime";
            Error::new(ErrorKind::Options, message).because(error)
        })?;
        let cannot = |error: metrics_exporter_prometheus::BuildError| {
            let message = format!("no server can listen at {address} for Prometheus: is another one there?");
            Error::new(ErrorKind::Options, message).because(error)
        };
        let builder = PrometheusBuilder::new()
            .set_buckets(&DEFAULT_BUCKETS)
            .map(|builder| builder.with_http_listener(address));
        let (recorder, server) = builder.and_then(PrometheusBuilder::build).map_err(cannot)?;
        tokio.spawn(async move {
            if server.await.is_err() {
                tracing::error!(target: "flowkit_etl", %address, "the server that Prometheus asks has ended");
            }
        });
        Ok(Self::of(recorder))
    }

    fn of(recorder: PrometheusRecorder) -> Self {
        for metric in metrics::all() {
            let (name, description) = (metric.prometheus.into(), metric.description.into());
            let unit = match metric.unit {
                Unit::Bytes => Some(::metrics::Unit::Bytes),
                Unit::Seconds => Some(::metrics::Unit::Seconds),
                Unit::Runs | Unit::Records | Unit::None => None,
            };
            match metric.kind {
                Kind::Count => recorder.describe_counter(name, unit, description),
                Kind::Level | Kind::Figure => recorder.describe_gauge(name, unit, description),
                Kind::Duration => recorder.describe_histogram(name, unit, description),
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

    fn change(&self, metric: &'static Metric, labels: Labels, change: &Change) {
        let labels: Vec<Label> = labels.into_iter().map(label).collect();
        let key = Key::from_parts(metric.prometheus, labels);
        match change {
            Change::Count(count) => self.recorder.register_counter(&key, &METADATA).increment(*count),
            Change::Level(by) => self
                .recorder
                .register_gauge(&key, &METADATA)
                .increment(*by as f64),
            Change::Figure(figure) => self.recorder.register_gauge(&key, &METADATA).set(*figure),
            Change::Duration(took) => {
                self.recorder.register_histogram(&key, &METADATA).record(*took);
                if self.durations.fetch_add(1, Ordering::Relaxed) % UPKEEP == UPKEEP - 1 {
                    self.handle.run_upkeep();
                }
            }
        }
    }
}

/// The recorder takes a backslash for one that escapes what comes after it, so each is given as it is to be rendered.
fn label((name, value): (&'static str, String)) -> Label {
    match value.contains('\\') {
        true => Label::new(name, value.replace('\\', r"\\")),
        false => Label::new(name, value),
    }
}

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

impl Exporter for Prometheus {
    fn export(&self, moment: &Moment<'_>) {
        metrics::changes(moment, |metric, labels, change| {
            self.change(metric, labels, &change);
        });
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
