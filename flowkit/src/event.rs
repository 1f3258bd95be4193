//! The notable moments of a run, told to observers as they happen.

use std::any::Any;
use std::fmt;
use std::time::{Duration, SystemTime};

use crate::breaker::BreakerState;
use crate::definition::Definition;
use crate::engine::scope::Scope;
use crate::error::Error;
use crate::ids::{FlowRunId, TaskRunId};
use crate::state::State;

/// One moment of a flow run.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// When it happened: the wall time at which the flow run began, plus tokio's time since then.
    pub at: SystemTime,
    /// The flow run it belongs to.
    pub flow_run: FlowRunId,
    /// The name of that flow run.
    pub flow_run_name: &'a str,
    /// What happened.
    pub kind: EventKind<'a>,
    pub(crate) scope: &'a Scope,
}

impl Event<'_> {
    /// The flow whose run it is, whatever the run itself is named.
    pub fn flow(&self) -> &'static Definition {
        self.scope.definition
    }

    /// The run in another flow that stands for this one, if it is a subflow.
    pub fn parent(&self) -> Option<TaskRunId> {
        self.scope.parent().map(|(scope, place)| scope.task_run_id(place))
    }

    /// The tags of the flow run, those of its definition, its call and its surroundings together, sorted. They are put together when this is asked.
    pub fn flow_run_tags(&self) -> Vec<String> {
        self.scope.own_tags()
    }
}

/// What happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum EventKind<'a> {
    /// A flow run began. First of all events of the run; one that ends before its body begins (cancelled, served from an earlier attempt of the flow
    /// above, its inputs failed) only ends.
    FlowRunStarted {
        /// The run in the parent flow that stands for this one, if this is a subflow.
        parent: Option<TaskRunId>,
    },
    /// A flow run that goes on changed its state: it was paused or resumed.
    FlowRunState {
        /// The state before.
        from: State,
        /// The state now.
        to: State,
    },
    /// A flow run came to its end, after everything submitted in it. Only its own hooks, if they fail, are told of after it.
    FlowRunFinished {
        /// How it ended.
        state: State,
        /// Why, unless it completed.
        error: Option<&'a Error>,
        /// How long it took.
        elapsed: Duration,
    },
    /// A task run changed its state. A subflow is a task run in its parent's events.
    TaskRunState {
        /// The task run.
        id: TaskRunId,
        /// Its name.
        name: &'a str,
        /// The name of its task, or of the flow of a subflow, whatever the run itself is named.
        task: &'static str,
        /// The state before; none for the first.
        from: Option<State>,
        /// The state now.
        to: State,
        /// How many attempts have begun.
        attempt: u32,
        /// Why, if it failed; between attempts, why the last one did.
        error: Option<&'a Error>,
    },
    /// A retry is due after a delay. Follows the change to [`State::AwaitingRetry`].
    RetryScheduled {
        /// The task run.
        id: TaskRunId,
        /// Its name.
        name: &'a str,
        /// The attempt that failed.
        attempt: u32,
        /// How long until the next one.
        delay: Duration,
    },
    /// A fan-out was submitted. Its items' state changes follow.
    FanOutStarted {
        /// The node of the whole fan-out.
        id: TaskRunId,
        /// The name of its tasks.
        name: &'a str,
        /// How many items there are, if that is known beforehand.
        items: Option<u64>,
    },
    /// A circuit breaker opened, closed, or lets a few calls through to see. It is told of by the run whose attempt changed it.
    BreakerChanged {
        /// The breaker's name.
        name: &'a str,
        /// Its state before.
        from: BreakerState,
        /// Its state now.
        to: BreakerState,
    },
    /// A hook returned an error, panicked or took too long. The run it was called for is not changed by that.
    HookFailed {
        /// The task run; none if the hook was a flow run's that no other flow called.
        id: Option<TaskRunId>,
        /// The name of the run.
        name: &'a str,
        /// What the hook did.
        error: &'a str,
    },
    /// What a body works with reported something, through [`CurrentRun::report`](crate::CurrentRun::report).
    Reported {
        /// The task run; none for the body of the flow itself.
        id: Option<TaskRunId>,
        /// Its name, or that of the flow run.
        name: &'a str,
        /// The name of its task, or of the flow.
        task: &'static str,
        /// What it reported, of a type that reporter and observer both know: `report.downcast_ref::<Rows>()`.
        report: &'a (dyn Any + Send + Sync),
    },
    /// A task that is cached ran, or ended, without its cache. It is not an error of the task.
    Uncached {
        /// The task run.
        id: TaskRunId,
        /// Its name.
        name: &'a str,
        /// Why, and what to do about it.
        reason: &'a str,
    },
}

/// Is told of every event of every run of a runtime, in the order in which each run's events happen.
///
/// It is called where the event happens, so it must be quick and never block; what takes longer belongs behind a
/// channel. A panic in it is caught and logged, and changes nothing about the run. See [`Builder::observe`](crate::Builder::observe).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot observe runs",
    note = "an observer is a type that implements `flowkit::Observer`: `fn on_event(&self, event: &flowkit::Event<'_>)`"
)]
pub trait Observer: Send + Sync + 'static {
    /// An event happened.
    fn on_event(&self, event: &Event<'_>);
}

impl<O: Observer + ?Sized> Observer for std::sync::Arc<O> {
    fn on_event(&self, event: &Event<'_>) {
        (**self).on_event(event);
    }
}

/// The observers of a runtime.
#[derive(Default)]
pub(crate) struct Observers(Vec<Box<dyn Observer>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: Box<dyn Observer>) {
        self.0.push(observer);
    }

    /// Nobody would be told: nothing need be put together.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        for observer in &self.0 {
            if let Err(message) = crate::panics::caught(|| observer.on_event(event)) {
                tracing::error!(target: "flowkit", panic = message, "an observer panicked; the run goes on");
            }
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Observers").field(&self.0.len()).finish()
    }
}
