//! The figures, and the spans of runs, on their way to a collector of OpenTelemetry.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowkit::Secret;
use opentelemetry::metrics::{AsyncInstrument, Counter, Histogram, Meter, MeterProvider, UpDownCounter};
use opentelemetry::trace::TracerProvider;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

use super::Exporter;
use super::metrics::{self, Change, Kind, Labels, Metric, Unit};
use super::moments::Moment;
use crate::error::{Error, ErrorKind, Result};

/// How often metrics are sent, unless said otherwise.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// Where OpenTelemetry goes: a collector that takes OTLP over HTTP.
#[derive(Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct Otlp {
    endpoint: String,
    headers: Vec<(String, Secret<String>)>,
    service: String,
    interval: Duration,
    timeout: Duration,
}

/// Exports to OpenTelemetry: as an [`Exporter`] the figures, as a [layer](Self::layer) the spans of runs. Clones are the same.
///
/// ```no_run
/// use flowkit::{Runtime, Secret};
/// use flowkit_etl::monitor::{Monitor, OpenTelemetry};
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// # async fn story() -> Result<(), Box<dyn std::error::Error>> {
/// let token = Secret::new(std::env::var("COLLECTOR_TOKEN")?);
/// let otel = OpenTelemetry::to("https://collector.example:4318").header("authorization", token).service("plants").build()?;
/// tracing::subscriber::set_global_default(tracing_subscriber::registry().with(otel.layer()))?;
/// let monitor = Monitor::builder().export(otel.clone()).build();
/// let runtime = Runtime::builder().observe(monitor).build().await?;
/// // … and at the program's end
/// otel.shutdown().await?;
/// # Ok(())
/// # }
/// ```
///
/// What is sent is gathered and sent by threads of its own, so that no run waits for the collector. If that is not there, what it misses is dropped: a warning of the target `opentelemetry` says so.
///
/// Of the figures of a metric, those of quality checks, it tells 1,500 at most, those that were set last, since the provider tells no more than 2,000 apart. Of more that are set again and again, some are
/// missing at a time: whoever has so many gives reports names without days in them, or asks by `Prometheus`.
#[derive(Clone)]
pub struct OpenTelemetry {
    instruments: Arc<Instruments>,
    meters: SdkMeterProvider,
    tracers: SdkTracerProvider,
}

/// What metrics are told through, by what they are called here.
type Instruments = HashMap<&'static str, Instrument>;

enum Instrument {
    Count(Counter<u64>),
    Level(UpDownCounter<i64>),
    Figure(Arc<Figures>),
    Duration(Histogram<f64>),
}

/// The figures that there are, which are asked for whenever metrics are sent: a gauge that is set would go on with the last one when there is none any more.
#[derive(Default)]
struct Figures(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Each with the turn in which it was set last.
    figures: BTreeMap<Labels, (f64, u64)>,
    turn: u64,
    /// Whether one was dropped.
    dropped: bool,
}

impl Figures {
    /// No more than these are told of, in whose place come new ones. It is less than the 2,000 after which the provider stops telling them apart, since that knows for a while those that are gone.
    const MOST: usize = 1500;

    fn set(&self, labels: Labels, figure: f64) {
        let mut known = self.lock();
        if figure.is_nan() {
            known.figures.remove(&labels);
            return;
        }
        known.turn += 1;
        let turn = known.turn;
        known.figures.insert(labels, (figure, turn));
        if known.figures.len() > Self::MOST {
            known.drop_first();
        }
    }

    fn tell(&self, observer: &dyn AsyncInstrument<f64>) {
        for (labels, (figure, _)) in &self.lock().figures {
            observer.observe(*figure, &attributes(labels.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Drops the one that was set longest ago.
    fn drop_first(&mut self) {
        let first = self.figures.iter().min_by_key(|(_, (_, turn))| *turn);
        if let Some(first) = first.map(|(labels, _)| labels.clone()) {
            self.figures.remove(&first);
        }
        if !std::mem::replace(&mut self.dropped, true) {
            tracing::warn!(target: "flowkit_etl", "OpenTelemetry is told no more than {} figures of a metric: those that were set longest ago are dropped. Reports whose names have a day in them make new ones without end", Figures::MOST);
        }
    }
}

fn attributes(labels: Labels) -> Vec<KeyValue> {
    let labels = labels.into_iter();
    labels.map(|(name, value)| KeyValue::new(name, value)).collect()
}

impl Otlp {
    /// A header of each request, to be let in.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Secret<String>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// What the program is called there; "flowkit" unless said otherwise.
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.service = name.into();
        self
    }

    /// How often metrics are sent; [`DEFAULT_INTERVAL`] unless said otherwise.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long a request may take; 10 seconds unless said otherwise.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Begins to send.
    ///
    /// # Errors
    /// When the address is none.
    pub fn build(self) -> Result<OpenTelemetry> {
        crate::tls::provide();
        let cannot = |error: String| {
            let message = "the collector of OpenTelemetry cannot be reached so: it takes an address such as `http://collector:4318`, and headers that can be such";
            Error::new(ErrorKind::Options, message).because(error)
        };
        self.check()?;
        let at = |path: &str| format!("{}/{path}", self.endpoint.trim_end_matches('/'));
        let headers: HashMap<String, String> = self
            .headers
            .iter()
            // They are decoded once more, as those of the environment are.
            .map(|(name, value)| (name.clone(), value.expose_secret().replace('%', "%25")))
            .collect();
        let metrics = MetricExporter::builder()
            .with_http()
            .with_endpoint(at("v1/metrics"))
            .with_timeout(self.timeout)
            .with_headers(headers.clone())
            .build()
            .map_err(|error| cannot(self.without_secrets(&error.to_string())))?;
        let spans = SpanExporter::builder()
            .with_http()
            .with_endpoint(at("v1/traces"))
            .with_timeout(self.timeout)
            .with_headers(headers)
            .build()
            .map_err(|error| cannot(self.without_secrets(&error.to_string())))?;
        let resource = Resource::builder()
            .with_service_name(self.service.clone())
            .build();
        let reader = PeriodicReader::builder(metrics)
            .with_interval(self.interval)
            .build();
        let meters = SdkMeterProvider::builder()
            .with_reader(reader)
            .with_resource(resource.clone())
            .build();
        let tracers = SdkTracerProvider::builder()
            .with_batch_exporter(spans)
            .with_resource(resource)
            .build();
        Ok(OpenTelemetry::of(meters, tracers))
    }

    /// Whether the address and the headers can be such. What cannot be a header would be left out without a word.
    fn check(&self) -> Result<()> {
        // After the scheme and before the path, there is room for a user and a password.
        if self
            .endpoint
            .split('/')
            .nth(2)
            .is_none_or(|host| host.contains('@'))
        {
            let message = "this is no address of a collector: it takes one such as `http://collector:4318`, and what lets one in as a header";
            return Err(Error::new(ErrorKind::Options, message));
        }
        for (name, value) in &self.headers {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            let fits = value
                .expose_secret()
                .bytes()
                .all(|byte| matches!(byte, b' '..=b'~'));
            if name.is_empty() || !name.bytes().all(plain) || !fits {
                let message = format!("{name:?} with its value cannot be a header: a line break, perhaps");
                return Err(Error::new(ErrorKind::Options, message));
            }
        }
        Ok(())
    }

    /// What an error says, without what only we and the collector know.
    fn without_secrets(&self, text: &str) -> String {
        let secrets = self.headers.iter().map(|(_, value)| value.expose_secret());
        secrets
            .filter(|secret| !secret.is_empty())
            .fold(text.to_owned(), |text, secret| {
                text.replace(secret.as_str(), "[secret]")
            })
    }
}

impl OpenTelemetry {
    /// To a collector at this address, the one below which `v1/metrics` and `v1/traces` are: `http://collector:4318`.
    pub fn to(endpoint: impl Into<String>) -> Otlp {
        Otlp {
            endpoint: endpoint.into(),
            headers: Vec::new(),
            service: "flowkit".to_owned(),
            interval: DEFAULT_INTERVAL,
            timeout: Duration::from_secs(10),
        }
    }

    /// To wherever these providers send it.
    pub fn of(meters: SdkMeterProvider, tracers: SdkTracerProvider) -> Self {
        let scope = InstrumentationScope::builder("flowkit")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        let meter = meters.meter_with_scope(scope);
        Self {
            instruments: Arc::new(
                metrics::all()
                    .filter_map(|metric| Some((metric.otel?, metric)))
                    .map(|(name, metric)| (name, Instrument::of(&meter, metric, name)))
                    .collect(),
            ),
            meters,
            tracers,
        }
    }

    /// A layer of `tracing_subscriber` that sends the spans of flow runs, task runs and whatever the program has within them. Which spans are sent is said by a filter:
    /// `otel.layer().with_filter(LevelFilter::INFO)`.
    pub fn layer<S>(&self) -> OpenTelemetryLayer<S, SdkTracer>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        OpenTelemetryLayer::new(self.tracers.tracer("flowkit"))
    }

    /// Sends what there is now.
    ///
    /// # Errors
    /// When the collector does not take it.
    pub async fn flush(&self) -> Result<()> {
        let this = self.clone();
        blocking(move || this.meters.force_flush().and(this.tracers.force_flush())).await
    }

    /// Sends what there is, and nothing after it.
    ///
    /// # Errors
    /// When the collector does not take it.
    pub async fn shutdown(&self) -> Result<()> {
        let this = self.clone();
        blocking(move || {
            let meters = this.meters.shutdown();
            meters.and(this.tracers.shutdown())
        })
        .await
    }
}

/// The providers wait for threads of theirs.
async fn blocking(
    work: impl FnOnce() -> opentelemetry_sdk::error::OTelSdkResult + Send + 'static,
) -> Result<()> {
    let done = tokio::task::spawn_blocking(work).await;
    let cannot = |error: String| {
        Error::new(
            ErrorKind::Unavailable,
            "not all could be sent to the collector of OpenTelemetry",
        )
        .because(error)
    };
    match done {
        Ok(sent) => sent.map_err(|error| cannot(error.to_string())),
        Err(error) => Err(cannot(error.to_string())),
    }
}

impl Instrument {
    fn of(meter: &Meter, metric: &Metric, name: &'static str) -> Self {
        let unit = match metric.unit {
            Unit::Runs => "{run}",
            Unit::Records => "{record}",
            Unit::Bytes => "By",
            Unit::Seconds => "s",
            Unit::None => "",
        };
        macro_rules! described {
            ($builder:expr) => {
                $builder
                    .with_unit(unit)
                    .with_description(metric.description)
                    .build()
            };
        }
        match metric.kind {
            Kind::Count => Self::Count(described!(meter.u64_counter(name))),
            Kind::Level => Self::Level(described!(meter.i64_up_down_counter(name))),
            Kind::Figure => {
                let figures = Arc::new(Figures::default());
                let told = figures.clone();
                let gauge = meter.f64_observable_gauge(name);
                // It is asked as long as the provider is there.
                let _gauge = described!(gauge.with_callback(move |observer| told.tell(observer)));
                Self::Figure(figures)
            }
            Kind::Duration => {
                let buckets = super::figures::DURATION_BUCKETS.to_vec();
                Self::Duration(described!(meter.f64_histogram(name).with_boundaries(buckets)))
            }
        }
    }

    fn change(&self, labels: Labels, change: &Change) {
        match (self, change) {
            (Self::Count(counter), Change::Count(count)) => counter.add(*count, &attributes(labels)),
            (Self::Level(counter), Change::Level(by)) => counter.add(*by, &attributes(labels)),
            (Self::Figure(figures), Change::Figure(figure)) => figures.set(labels, *figure),
            (Self::Duration(histogram), Change::Duration(took)) => {
                histogram.record(took.as_secs_f64(), &attributes(labels));
            }
            // A metric is changed as its kind is.
            _ => {}
        }
    }
}

impl Exporter for OpenTelemetry {
    fn export(&self, moment: &Moment<'_>) {
        metrics::changes(moment, |metric, labels, change| {
            let instrument = metric.otel.and_then(|name| self.instruments.get(name));
            if let Some(instrument) = instrument {
                instrument.change(labels, &change);
            }
        });
    }
}

impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otlp")
            .field("headers", &self.headers)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OpenTelemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenTelemetry").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_figures_the_one_that_was_set_longest_ago_is_told_no_more() {
        let figures = Figures::default();
        let labels = |day: usize| vec![("report", format!("day {day}"))];
        for day in 0..Figures::MOST {
            figures.set(labels(day), 1.0);
        }
        figures.set(labels(0), 2.0);
        figures.set(labels(Figures::MOST), 3.0);
        let known = figures.lock();
        let told = |day| known.figures.get(&labels(day)).map(|(figure, _)| *figure);
        assert_eq!(known.figures.len(), Figures::MOST);
        assert_eq!((told(0), told(1), told(2)), (Some(2.0), None, Some(1.0)));
        assert_eq!(told(Figures::MOST), Some(3.0));
    }
}
