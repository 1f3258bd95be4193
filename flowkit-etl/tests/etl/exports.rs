//! What a monitor counts reaches Prometheus and collectors of OpenTelemetry.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use flowkit::prelude::*;
use flowkit::{Secret, SeededIds, TokioClock};
use flowkit_etl::arrow_schema::DataType;
use flowkit_etl::monitor::{Monitor, OpenTelemetry, Prometheus, Traffic};
use flowkit_etl::quality::{Check, Quality};
use flowkit_etl::{BatchStream, Error, ErrorKind};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing_subscriber::layer::SubscriberExt;

use crate::plants::columns;
use crate::receiver::{Answer, Posted, Receiver};

/// A `%` in it stays one.
const CANARY: &str = "canary-hunter%412";

#[derive(Serialize, Deserialize)]
struct Plant {
    name: String,
}

#[task(retries = 1, retry_delay = "2s")]
async fn weigh(number: u32) -> Result<u32, Error> {
    let traffic = Traffic {
        records_in: 3,
        bytes_in: 24,
        ..Traffic::default()
    };
    traffic.report();
    match number {
        0 => Ok(0),
        _ => Err(Error::new(ErrorKind::Unavailable, "the scales are \"closed\"")),
    }
}

#[task]
async fn measure() -> Result<f64, Error> {
    let plants = ["a", "b", "a", "a"].map(|name| Plant { name: name.into() });
    let checks = Quality::new("harvest").check(Check::unique(["name"]).at_least(0.1));
    let report = checks.measure(BatchStream::from_rows(plants.into())?).await?;
    Ok(report.checks[0].measured.unwrap())
}

#[flow]
async fn harvest(number: u32) -> Result<f64> {
    let measured = measure().await?;
    weigh(number).await?;
    Ok(measured)
}

async fn harvested(monitor: Monitor) -> f64 {
    let clock = TokioClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
    let builder = Runtime::builder().clock(clock).ids(SeededIds::new(1));
    let runtime = builder.observe(monitor).build().await.unwrap();
    let measured = runtime.run(harvest(0u32)).await.into_result().unwrap();
    assert_eq!(runtime.run(harvest(1u32)).await.state(), State::Failed);
    measured
}

#[tokio::test(start_paused = true)]
async fn prometheus_is_given_all_of_it_as_text() {
    let prometheus = Prometheus::new();
    let monitor = Monitor::builder().export(prometheus.clone()).build();
    let measured = harvested(monitor).await;
    let text = prometheus.render();
    let expected = [
        "flowkit_flow_runs_started_total{flow=\"harvest\"} 2".to_owned(),
        "flowkit_flow_runs_ended_total{flow=\"harvest\",state=\"Completed\"} 1".to_owned(),
        "flowkit_flow_runs_ended_total{flow=\"harvest\",state=\"Failed\"} 1".to_owned(),
        "flowkit_flow_runs_running{flow=\"harvest\"} 0".to_owned(),
        "flowkit_task_runs_ended_total{flow=\"harvest\",task=\"weigh\",state=\"Failed\"} 1".to_owned(),
        "flowkit_task_run_retries_total{flow=\"harvest\",task=\"weigh\"} 1".to_owned(),
        "flowkit_task_run_errors_total{flow=\"harvest\",task=\"weigh\",kind=\"Failed/Unavailable\"} 1"
            .to_owned(),
        "flowkit_task_run_duration_seconds_bucket{flow=\"harvest\",task=\"weigh\",le=\"1\"} 1".to_owned(),
        "flowkit_task_run_duration_seconds_bucket{flow=\"harvest\",task=\"weigh\",le=\"5\"} 2".to_owned(),
        "flowkit_task_run_duration_seconds_count{flow=\"harvest\",task=\"weigh\"} 2".to_owned(),
        "flowkit_records_total{flow=\"harvest\",task=\"weigh\",direction=\"in\"} 9".to_owned(),
        "flowkit_bytes_total{flow=\"harvest\",task=\"weigh\",direction=\"in\"} 72".to_owned(),
        "# HELP flowkit_records_total Records that were read (in), committed (out) and set aside (rejected)."
            .to_owned(),
        "# TYPE flowkit_records_total counter".to_owned(),
        "# TYPE flowkit_task_run_duration_seconds histogram".to_owned(),
    ];
    for line in expected {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
    let figure = text
        .lines()
        .find(|line| line.starts_with("flowkit_quality_figure{"))
        .unwrap();
    assert!(
        figure.contains("report=\"harvest\"") && figure.ends_with(&format!(" {measured}")),
        "{figure}"
    );
    let last = "flowkit_flow_last_success_timestamp_seconds{flow=\"harvest\"} 1000000";
    assert!(text.contains(last), "{text}");
    assert!(Prometheus::with_buckets(&[]).is_err());
}

#[tokio::test]
async fn a_server_of_its_own_answers_prometheus_and_a_taken_port_is_an_error() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    let error = Prometheus::listening(address).unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    drop(port);
    let prometheus = Prometheus::listening(address).unwrap();
    harvested(Monitor::builder().export(prometheus).build()).await;
    let text = asked(address).await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(
        text.contains("flowkit_flow_runs_started_total{flow=\"harvest\"} 2"),
        "{text}"
    );
}

async fn asked(address: SocketAddr) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_of_opentelemetry_receives_the_figures_and_the_spans_of_runs() {
    let collector = Receiver::start(|_, _| Answer::status(200)).await;
    let otlp = OpenTelemetry::to(collector.url("/"))
        .header("x-token", CANARY.to_owned())
        .service("plants");
    assert!(!format!("{otlp:?}").contains(CANARY), "{otlp:?}");
    let otel = otlp.build().unwrap();
    let subscriber = tracing_subscriber::registry().with(otel.layer());
    let monitor = Monitor::builder().export(otel.clone()).build();
    {
        // Where there is one subscriber alone, what another thread comes to first is taken for what nobody listens to.
        drop(tracing::subscriber::set_global_default(
            tracing_subscriber::registry(),
        ));
        let _here = tracing::subscriber::set_default(subscriber);
        harvested(monitor).await;
    }
    otel.shutdown().await.unwrap();

    let posted = collector.posted();
    assert!(
        posted
            .iter()
            .all(|posted| posted.header("x-token") == Some(CANARY))
    );
    let metrics = metrics_in(&posted);
    let sum = |name: &str, label: &str| sum_of(&metrics, name, label);
    assert_eq!(sum("flowkit.flow.started", "harvest"), 2);
    assert_eq!(sum("flowkit.flow.running", "harvest"), 0);
    assert_eq!(sum("flowkit.task.ended", "Failed"), 1);
    assert_eq!(sum("flowkit.task.errors", "Failed/Unavailable"), 1);
    assert_eq!(sum("flowkit.records", "weigh"), 9);
    let of = |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap();
    assert!(matches!(of("flowkit.quality.figure").data, Some(Data::Gauge(_))));
    assert!(matches!(
        of("flowkit.task.duration").data,
        Some(Data::Histogram(_))
    ));

    let spans = spans_in(&posted);
    let flow = spans.iter().find(|span| span.name == "flow_run").unwrap();
    let within = |span: &&Span| span.trace_id == flow.trace_id && span.parent_span_id == flow.span_id;
    let count = spans.iter().filter(within).count();
    assert!(
        count >= 2,
        "the tasks' spans are within that of their flow: {spans:?}"
    );
}

fn metrics_in(posted: &[Posted]) -> Vec<Metric> {
    let posted = posted.iter().filter(|posted| posted.path == "/v1/metrics");
    let mut metrics = Vec::new();
    for posted in posted {
        for of in ExportMetricsServiceRequest::decode(&posted.body[..])
            .unwrap()
            .resource_metrics
        {
            let resource = format!("{:?}", of.resource);
            assert!(
                resource.contains("service.name") && resource.contains("plants"),
                "{resource}"
            );
            metrics.extend(of.scope_metrics.into_iter().flat_map(|scope| scope.metrics));
        }
    }
    metrics
}

/// What the points come to that have a label of this value.
fn sum_of(metrics: &[Metric], name: &str, label: &str) -> i64 {
    let metric = metrics.iter().rfind(|metric| metric.name == name).unwrap();
    let Some(Data::Sum(sum)) = &metric.data else {
        panic!("{name} is a sum: {metric:?}")
    };
    let labelled = |point: &&NumberDataPoint| format!("{:?}", point.attributes).contains(label);
    let value = |point: &NumberDataPoint| match point.value {
        Some(Value::AsInt(value)) => value,
        _ => 0,
    };
    sum.data_points.iter().filter(labelled).map(value).sum()
}

fn spans_in(posted: &[Posted]) -> Vec<Span> {
    let posted = posted.iter().filter(|posted| posted.path == "/v1/traces");
    posted
        .flat_map(|posted| {
            ExportTraceServiceRequest::decode(&posted.body[..])
                .unwrap()
                .resource_spans
        })
        .flat_map(|of| of.scope_spans)
        .flat_map(|scope| scope.spans)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_not_there_changes_nothing_about_the_runs_and_shows_no_secret() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}", port.local_addr().unwrap());
    drop(port);
    let otel = OpenTelemetry::to(nowhere)
        .header("x-token", Secret::new(CANARY.to_owned()))
        .timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    harvested(Monitor::builder().export(otel.clone()).build()).await;
    let error = otel.shutdown().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!format!("{error:?}").contains(CANARY), "{error:?}");

    let broken = OpenTelemetry::to("http://collector:4318").header("x-token", format!("{CANARY}\n"));
    let error = broken.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Options);
    assert!(!format!("{error:?}").contains(CANARY), "{error:?}");
    for wrong in ["collector", &format!("http://user:{CANARY}@collector:4318")] {
        let error = OpenTelemetry::to(wrong).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options);
        assert!(!format!("{error:?}").contains(CANARY), "{error:?}");
    }
}

/// Measures days, of which there may be none.
#[flow]
async fn dated(days: Vec<String>) -> Result<()> {
    let schema = columns(&[("day", DataType::Date32)]);
    let days: Vec<_> = days.into_iter().map(|day| json!({ "day": day })).collect();
    let batch = flowkit_etl::batch_of(&schema, &days)?;
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(3 * 86_400);
    let checks = Quality::new("day \"one\"")
        .check(Check::rows(0, None).named("seen"))
        .check(Check::fresh("day", now, Duration::from_secs(60)).named("seen"))
        .check(Check::rows(0, None).named("a\\\"b\\\n\\\\c\\"));
    checks.measure(BatchStream::of(schema, vec![batch])).await?;
    Ok(())
}

/// Another run, of these days.
async fn measured(monitor: &Monitor, days: &[&str]) {
    let runtime = Runtime::builder().observe(monitor.clone()).build().await.unwrap();
    let days: Vec<String> = days.iter().map(ToString::to_string).collect();
    runtime.run(dated(days)).await.into_result().unwrap();
}

#[tokio::test]
async fn labels_are_escaped_for_prometheus_and_two_checks_of_one_name_are_two_series() {
    let prometheus = Prometheus::new();
    let monitor = Monitor::builder().export(prometheus.clone()).build();
    measured(&monitor, &["1970-01-02"]).await;
    measured(&monitor, &[]).await;
    let text = prometheus.render();
    let lines = text.lines();
    let mut figures: Vec<&str> = lines
        .filter(|line| line.starts_with("flowkit_quality_figure{"))
        .collect();
    figures.sort_unstable();
    let figure = |check: &str, figure: &str| {
        format!(r#"flowkit_quality_figure{{flow="dated",report="day \"one\"",check="{check}"}} {figure}"#)
    };
    assert_eq!(
        figures,
        [
            figure(r#"a\\\"b\\\n\\\\c\\"#, "0"),
            figure("seen (2)", "NaN"),
            figure("seen", "0"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_figure_that_cannot_be_measured_any_more_is_none_for_opentelemetry_either() {
    let collector = Receiver::start(|_, _| Answer::status(200)).await;
    let otel = OpenTelemetry::to(collector.url("/"))
        .service("plants")
        .build()
        .unwrap();
    let monitor = Monitor::builder().export(otel.clone()).build();
    let told = |check: &str| {
        let metrics = metrics_in(&collector.posted());
        let figures = metrics
            .iter()
            .rfind(|metric| metric.name == "flowkit.quality.figure");
        let Some(Data::Gauge(gauge)) = figures.and_then(|metric| metric.data.clone()) else {
            panic!("it is a gauge: {metrics:?}");
        };
        let check = format!("StringValue(\"{check}\")");
        let mut points = gauge.data_points.into_iter();
        let point = points.find(|point| format!("{:?}", point.attributes).contains(&check));
        point.and_then(|point| point.value)
    };
    measured(&monitor, &["1970-01-02"]).await;
    otel.flush().await.unwrap();
    assert_eq!(told("seen"), Some(Value::AsDouble(1.0)));
    assert_eq!(told("seen (2)"), Some(Value::AsDouble(172_800.0)));
    measured(&monitor, &[]).await;
    otel.shutdown().await.unwrap();
    assert_eq!(told("seen"), Some(Value::AsDouble(0.0)));
    assert_eq!(told("seen (2)"), None);
}

#[test]
fn a_server_for_prometheus_outside_of_tokio_is_an_error() {
    let error = Prometheus::listening("127.0.0.1:0".parse().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Options);
    assert!(error.to_string().contains("tokio"), "{error}");
}
