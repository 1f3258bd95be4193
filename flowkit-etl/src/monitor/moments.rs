//! From the engine's events to what counts: which flow and task, and how long it took.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use flowkit::{ErrorKind, Event, EventKind, FlowRunId, State, TaskRunId};

use crate::names::{flow_of, task_of};
use crate::traffic::Traffic;

/// Something that counts.
#[derive(Debug, Clone)]
pub struct Moment<'a> {
    /// When it happened.
    pub at: SystemTime,
    /// The flow run.
    pub flow_run: FlowRunId,
    /// The name of that run.
    pub flow_run_name: &'a str,
    /// The flow.
    pub flow: &'a str,
    /// The task, or the subflow; none where it is about the flow run itself.
    pub task: Option<&'a str>,
    /// What happened.
    pub what: What<'a>,
}

/// What happened to a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum What<'a> {
    /// It began to run.
    Started {
        /// The flow run that calls it, if it is a flow run that one calls.
        parent: Option<FlowRunId>,
        /// Its tags, if it is a flow run.
        tags: Vec<String>,
    },
    /// It ended.
    Ended {
        /// How.
        state: State,
        /// How long it took from its first attempt on; none if it never ran.
        took: Option<Duration>,
        /// Why it has no value.
        error: Option<&'a flowkit::Error>,
    },
    /// An attempt failed, and there will be another.
    Retried,
    /// It had completed, and was undone.
    RolledBack,
    /// Records and bytes passed in it.
    Passed(Traffic),
    /// The quality of data was measured in it.
    #[cfg(feature = "quality")]
    Measured(&'a crate::quality::QualityReport),
}

/// The kind of an error, in few words that can be counted by: the engine's kind, and after a slash that of this crate, if it was an error of this crate. `Failed/Unavailable`, `TimedOut`.
pub fn kind_of(error: &flowkit::Error) -> String {
    let kind = error.kind();
    let cause = match kind {
        ErrorKind::Failed => error.downcast_ref::<crate::Error>(),
        _ => None,
    };
    match cause {
        Some(cause) => format!("{kind:?}/{:?}", cause.kind()),
        None => format!("{kind:?}"),
    }
}

/// What must be known of runs while they go on.
#[derive(Default)]
pub(super) struct Follower {
    live: HashMap<FlowRunId, Live>,
}

#[derive(Default)]
struct Live {
    /// When runs of tasks began.
    began: HashMap<TaskRunId, SystemTime>,
    /// Nodes that stand for whole fan-outs, and are no runs.
    fan_outs: HashSet<TaskRunId>,
}

impl Follower {
    /// What an event comes to, if it counts.
    pub(super) fn follow<'a>(&mut self, event: &Event<'a>) -> Option<Moment<'a>> {
        let (task, what) = self.what(event)?;
        Some(Moment {
            at: event.at,
            flow_run: event.flow_run,
            flow_run_name: event.flow_run_name,
            flow: flow_of(event),
            task,
            what,
        })
    }

    fn what<'a>(&mut self, event: &Event<'a>) -> Option<(Option<&'a str>, What<'a>)> {
        let run = event.flow_run;
        match event.kind {
            EventKind::FlowRunStarted { parent } => {
                self.live.insert(run, Live::default());
                let parent = parent.map(TaskRunId::flow_run);
                let tags = event.flow_run_tags();
                Some((None, What::Started { parent, tags }))
            }
            EventKind::FlowRunFinished {
                state,
                error,
                elapsed,
            } => {
                let took = self.live.remove(&run).map(|_| elapsed);
                Some((None, What::Ended { state, took, error }))
            }
            // That of a flow names the flow run itself, or the run that stands for it in another one.
            EventKind::RetryScheduled { id, .. } if id.flow_run() != run || is_root(id) => {
                Some((None, What::Retried))
            }
            EventKind::FanOutStarted { id, .. } => {
                let live = self.live.get_mut(&run)?;
                live.began.remove(&id);
                live.fan_outs.insert(id);
                None
            }
            EventKind::TaskRunState {
                id,
                name,
                task,
                from,
                to,
                error,
                ..
            } => {
                let what = self.state(event.at, id, (from, to), error)?;
                Some((Some(task_of(event, name, task)), what))
            }
            EventKind::Reported {
                id,
                name,
                task,
                report,
            } => {
                let task = id.map(|_| task_of(event, name, task));
                if let Some(traffic) = report.downcast_ref::<Traffic>() {
                    return Some((task, What::Passed(*traffic)));
                }
                #[cfg(feature = "quality")]
                if let Some(report) = report.downcast_ref() {
                    return Some((task, What::Measured(report)));
                }
                None
            }
            _ => None,
        }
    }

    fn state<'a>(
        &mut self,
        at: SystemTime,
        id: TaskRunId,
        (from, to): (Option<State>, State),
        error: Option<&'a flowkit::Error>,
    ) -> Option<What<'a>> {
        let mut live = self.live.get_mut(&id.flow_run());
        if live.as_ref().is_some_and(|live| live.fan_outs.contains(&id)) {
            return None;
        }
        match to {
            State::RolledBack => Some(What::RolledBack),
            State::AwaitingRetry => Some(What::Retried),
            State::Running => {
                let began = live.as_mut().map(|live| &mut live.began)?;
                if began.contains_key(&id) {
                    return None;
                }
                began.insert(id, at);
                Some(What::Started {
                    parent: None,
                    tags: Vec::new(),
                })
            }
            state if state.is_terminal() && from != Some(to) => {
                let began = live.and_then(|live| live.began.remove(&id));
                let took = began.map(|began| at.duration_since(began).unwrap_or_default());
                Some(What::Ended { state, took, error })
            }
            _ => None,
        }
    }
}

/// Whether an id is that of a flow run itself, which has no place in it.
fn is_root(id: TaskRunId) -> bool {
    id.node() == u32::MAX
}
