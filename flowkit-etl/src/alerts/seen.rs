//! What rules look at, taken from the engine's events.

use std::time::{Duration, SystemTime};

use flowkit::{Event, EventKind, FlowRunId, State, TaskRunId};

use crate::said;

/// What the judge is sent.
pub(super) enum Message {
    Seen(Seen),
    /// There will be no more.
    Stop,
}

/// A flow run, as far as rules ask.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) id: FlowRunId,
    pub(super) flow: String,
    pub(super) name: String,
    pub(super) tags: Vec<String>,
    /// The run of the flow that calls it, if one does.
    pub(super) caller: Option<FlowRunId>,
}

/// Something that rules look at.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) at: SystemTime,
    pub(super) run: Run,
    pub(super) what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Began,
    Ended {
        state: State,
        took: Duration,
        /// What the error says, in a line and as a report.
        error: Option<(String, String)>,
    },
    #[cfg(feature = "quality")]
    Measured(crate::quality::QualityReport),
}

impl Seen {
    pub(super) fn of(event: &Event<'_>) -> Option<Self> {
        let what = match &event.kind {
            EventKind::FlowRunStarted { .. } => What::Began,
            EventKind::FlowRunFinished {
                state,
                error,
                elapsed,
            } => What::Ended {
                state: *state,
                took: *elapsed,
                error: error.map(|error| (said::in_a_line(error), said::as_report(error))),
            },
            #[cfg(feature = "quality")]
            EventKind::Reported { report, .. } => {
                let report: &crate::quality::QualityReport = report.downcast_ref()?;
                What::Measured(report.clone())
            }
            _ => return None,
        };
        Some(Self {
            at: event.at,
            run: Run {
                id: event.flow_run,
                flow: crate::names::flow_of(event).to_owned(),
                name: event.flow_run_name.to_owned(),
                tags: event.flow_run_tags(),
                caller: event.parent().map(TaskRunId::flow_run),
            },
            what,
        })
    }
}
