//! The metrics that are exported, in one table, and what a moment does to them: whatever they are exported to.

use std::time::{Duration, SystemTime};

use super::moments::{Moment, What, kind_of};

/// What is measured.
pub(super) struct Metric {
    /// What Prometheus calls it.
    #[cfg_attr(
        not(feature = "prometheus"),
        allow(dead_code, reason = "nothing is exported there")
    )]
    pub(super) prometheus: &'static str,
    /// What OpenTelemetry calls it, if it is told of that.
    #[cfg_attr(not(feature = "otel"), allow(dead_code, reason = "nothing is exported there"))]
    pub(super) otel: Option<&'static str>,
    pub(super) kind: Kind,
    pub(super) unit: Unit,
    pub(super) description: &'static str,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// It only grows.
    Count,
    /// It goes up and down.
    Level,
    /// It is what it was told last.
    Figure,
    /// How long something took.
    Duration,
}

#[derive(Clone, Copy)]
pub(super) enum Unit {
    Runs,
    Records,
    Bytes,
    Seconds,
    None,
}

/// What a moment does to a metric.
pub(super) enum Change {
    Count(u64),
    Level(i64),
    /// No number where there is none any more.
    Figure(f64),
    Duration(Duration),
}

/// What a metric is told apart by, with names that are known beforehand.
pub(super) type Labels = Vec<(&'static str, String)>;

/// What is measured of flow runs and of task runs alike. Those of tasks have the label `task` beside `flow`.
struct OfRuns {
    started: Metric,
    ended: Metric,
    running: Metric,
    retries: Metric,
    errors: Metric,
    duration: Metric,
}

static OF_FLOWS: OfRuns = OfRuns {
    started: runs(
        "flowkit_flow_runs_started_total",
        "flowkit.flow.started",
        "Flow runs that began.",
    ),
    ended: runs(
        "flowkit_flow_runs_ended_total",
        "flowkit.flow.ended",
        "Flow runs that ended, by state.",
    ),
    running: Metric {
        kind: Kind::Level,
        ..runs(
            "flowkit_flow_runs_running",
            "flowkit.flow.running",
            "Flow runs that go on.",
        )
    },
    retries: runs(
        "flowkit_flow_run_retries_total",
        "flowkit.flow.retries",
        "Attempts of flow runs after the first.",
    ),
    errors: runs(
        "flowkit_flow_run_errors_total",
        "flowkit.flow.errors",
        "Flow runs that ended with an error, by kind.",
    ),
    duration: duration(
        "flowkit_flow_run_duration_seconds",
        "flowkit.flow.duration",
        "How long flow runs took, with all attempts.",
    ),
};

static OF_TASKS: OfRuns = OfRuns {
    started: runs(
        "flowkit_task_runs_started_total",
        "flowkit.task.started",
        "Task runs that began.",
    ),
    ended: runs(
        "flowkit_task_runs_ended_total",
        "flowkit.task.ended",
        "Task runs that ended, by state; what came from the cache is Cached.",
    ),
    running: Metric {
        kind: Kind::Level,
        ..runs(
            "flowkit_task_runs_running",
            "flowkit.task.running",
            "Task runs that go on.",
        )
    },
    retries: runs(
        "flowkit_task_run_retries_total",
        "flowkit.task.retries",
        "Attempts of task runs after the first.",
    ),
    errors: runs(
        "flowkit_task_run_errors_total",
        "flowkit.task.errors",
        "Task runs that ended with an error, by kind.",
    ),
    duration: duration(
        "flowkit_task_run_duration_seconds",
        "flowkit.task.duration",
        "How long task runs took, with all attempts.",
    ),
};

static LAST_SUCCESS: Metric = Metric {
    prometheus: "flowkit_flow_last_success_timestamp_seconds",
    otel: None,
    kind: Kind::Figure,
    unit: Unit::Seconds,
    description: "When a run of the flow ended with a value last.",
};

static RECORDS: Metric = Metric {
    unit: Unit::Records,
    ..runs(
        "flowkit_records_total",
        "flowkit.records",
        "Records that were read (in), committed (out) and set aside (rejected).",
    )
};

static BYTES: Metric = Metric {
    unit: Unit::Bytes,
    ..runs(
        "flowkit_bytes_total",
        "flowkit.bytes",
        "Bytes that were read (in) and committed (out), as they lie in memory, and of files that were committed (file).",
    )
};

static QUALITY: Metric = Metric {
    prometheus: "flowkit_quality_figure",
    otel: Some("flowkit.quality.figure"),
    kind: Kind::Figure,
    unit: Unit::None,
    description: "The figure of a check of quality, as measured last.",
};

const fn runs(prometheus: &'static str, otel: &'static str, description: &'static str) -> Metric {
    Metric {
        prometheus,
        otel: Some(otel),
        kind: Kind::Count,
        unit: Unit::Runs,
        description,
    }
}

const fn duration(prometheus: &'static str, otel: &'static str, description: &'static str) -> Metric {
    Metric {
        prometheus,
        otel: Some(otel),
        kind: Kind::Duration,
        unit: Unit::Seconds,
        description,
    }
}

/// Every metric there is.
pub(super) fn all() -> impl Iterator<Item = &'static Metric> {
    let of_runs = [&OF_FLOWS, &OF_TASKS].into_iter().flat_map(|of| {
        [
            &of.started,
            &of.ended,
            &of.running,
            &of.retries,
            &of.errors,
            &of.duration,
        ]
    });
    of_runs.chain([&LAST_SUCCESS, &RECORDS, &BYTES, &QUALITY])
}

/// What a moment does, metric by metric.
pub(super) fn changes(moment: &Moment<'_>, mut change: impl FnMut(&'static Metric, Labels, Change)) {
    let mut labels = vec![("flow", moment.flow.to_owned())];
    labels.extend(moment.task.map(|task| ("task", task.to_owned())));
    let with = |name: &'static str, value: String| {
        let mut labels = labels.clone();
        labels.push((name, value));
        labels
    };
    let of = match moment.task {
        Some(_) => &OF_TASKS,
        None => &OF_FLOWS,
    };
    match &moment.what {
        What::Started { .. } => {
            change(&of.started, labels.clone(), Change::Count(1));
            change(&of.running, labels, Change::Level(1));
        }
        What::Ended { state, took, error } => {
            change(&of.ended, with("state", state.to_string()), Change::Count(1));
            if let Some(error) = error {
                change(&of.errors, with("kind", kind_of(error)), Change::Count(1));
            }
            if state.is_success() && moment.task.is_none() {
                let since_epoch = moment.at.duration_since(SystemTime::UNIX_EPOCH);
                let seconds = since_epoch.unwrap_or_default().as_secs_f64();
                change(&LAST_SUCCESS, labels.clone(), Change::Figure(seconds));
            }
            if let Some(took) = took {
                change(&of.running, labels.clone(), Change::Level(-1));
                change(&of.duration, labels, Change::Duration(*took));
            }
        }
        What::Retried => change(&of.retries, labels, Change::Count(1)),
        What::RolledBack => {}
        What::Passed(traffic) => {
            for (direction, count) in traffic.records() {
                change(
                    &RECORDS,
                    with("direction", direction.into()),
                    Change::Count(count),
                );
            }
            for (direction, count) in traffic.bytes() {
                change(&BYTES, with("direction", direction.into()), Change::Count(count));
            }
        }
        #[cfg(feature = "quality")]
        What::Measured(report) => {
            for (check, figure) in figures(report) {
                let mut labels = with("report", report.name.clone());
                labels.push(("check", check));
                change(&QUALITY, labels, Change::Figure(figure));
            }
        }
    }
}

/// The figures of a report by check. Of checks that have one name, the later ones are numbered, since each figure is one of its own.
#[cfg(feature = "quality")]
fn figures(report: &crate::quality::QualityReport) -> Vec<(String, f64)> {
    let mut figures: Vec<(String, f64)> = Vec::new();
    for check in &report.checks {
        let numbered = (2..).map(|number| format!("{} ({number})", check.check));
        let free = std::iter::once(check.check.clone())
            .chain(numbered)
            .find(|name| figures.iter().all(|(other, _)| other != name));
        figures.extend(free.map(|name| (name, check.measured.unwrap_or(f64::NAN))));
    }
    figures
}
