//! Enters a task run in the graph: its inputs are submitted, its body has not begun.

use std::pin::Pin;
use std::sync::Arc;

use tracing::Span;
use tracing::level_filters::LevelFilter;

use super::admission::Admission;
use super::journaled::Journaled;
use super::upstreams::{edges_of, with_ambient};
use super::{Awaiter, Drive, More, Phase};
use crate::clock::Stamp;
use crate::context::{Ambient, RunContext};
use crate::definition::Definition;
use crate::engine::hooks::HookQueue;
use crate::engine::scope::{NewRun, Scope};
use crate::engine::stall;
use crate::ids::{NodeRef, TaskRunId};
use crate::job::Job;
use crate::options::{Plan, TaskOptions};
use crate::order::Order;

/// What a call says beside its inputs.
#[derive(Default)]
pub(crate) struct CallExtras {
    pub(crate) options: Option<TaskOptions>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) tags: Vec<Arc<str>>,
    pub(crate) wait_for: Vec<Order>,
}

/// Where a run is entered in the graph.
pub(crate) enum Entrance {
    /// A node of its own.
    Node,
    /// The next item of a fan-out.
    Item { node: NodeRef, item: u32 },
}

impl Entrance {
    /// Takes a place in the graph for a run.
    fn take(self, scope: &Scope, run: NewRun) -> NodeRef {
        match self {
            Self::Node => scope.add(run),
            Self::Item { node, item } => scope.add_item(node, item, run.name, run.tags, run.edges),
        }
    }
}

impl Drive {
    /// Enters a run in the graph of the context's flow run. Its inputs are submitted, its body has not begun.
    pub(crate) fn new(
        definition: &'static Definition,
        extras: Option<Box<CallExtras>>,
        mut job: Pin<&mut dyn Job>,
        mut caller: RunContext,
        entrance: Entrance,
        awaited: bool,
    ) -> Self {
        let scope = Arc::clone(&caller.scope);
        let has_values = job.as_mut().start_inputs();
        let (options, name, tags, orders) = match extras {
            Some(extras) => (extras.options, extras.name, extras.tags, extras.wait_for),
            None => (None, None, Vec::new(), Vec::new()),
        };
        let edges = if has_values && orders.is_empty() {
            Vec::new()
        } else {
            edges_of(definition, job, &orders, &scope)
        };
        let may_close = stall::may_close(&scope, matches!(entrance, Entrance::Item { .. }), &edges);
        let tags = with_ambient(tags, &caller.around().tags);
        let is_plain = options.is_none() && orders.is_empty() && is_plain(definition, &caller);
        let run = NewRun {
            definition,
            parent: caller.place,
            items: None,
            name,
            tags,
            edges,
        };
        let place = entrance.take(&scope, run);
        let stalled = may_close.then(|| stall::of_entered(&scope, place)).flatten();
        let more =
            (!is_plain).then(|| Box::new(More::of(definition, options.as_ref(), orders, &caller, place)));
        let journaled = caller.calls.take().map(|calls| Box::new(Journaled::of(calls)));
        let span = span_of(&scope, place, definition);
        let phase = match stalled {
            Some(stalled) => Phase::Stalled(stalled),
            None if caller.is_abandoned() => Phase::Orphaned,
            None => Phase::Inputs,
        };
        let awaiter = match awaited {
            false => Awaiter::Handles,
            true if caller.is_blocking() => Awaiter::BlockingBody,
            true => Awaiter::Caller,
        };
        let context = caller.below(place, more.as_deref().and_then(More::slots));
        Self {
            definition,
            ambient: Some(Ambient::Run(context)),
            scope,
            place,
            attempt: 0,
            awaiter,
            has_values,
            at_once: awaited && more.is_none(),
            stoppable: false,
            phase,
            #[cfg(feature = "testing")]
            fault: None,
            span,
            journaled,
            more,
        }
    }
}

/// Whether a run of a call that says nothing of its own needs nothing but its body.
fn is_plain(definition: &Definition, caller: &RunContext) -> bool {
    let scope = &caller.scope;
    definition.cache().is_none()
        && scope.memo().is_none()
        && caller.around().transaction.is_none()
        && scope.runtime.is_plain(definition)
}

impl More {
    fn of(
        definition: &'static Definition,
        options: Option<&TaskOptions>,
        orders: Vec<Order>,
        caller: &RunContext,
        place: NodeRef,
    ) -> Self {
        let scope = &caller.scope;
        let plan = Plan::of(options, definition, &scope.runtime.task_defaults);
        let group = caller.around().transaction.as_ref();
        Self {
            admission: Admission::of(&plan, &scope.runtime).map_err(|error| {
                error
                    .about(definition.kind(), definition.name())
                    .in_task_run(scope.task_run_id(place))
            }),
            plan,
            orders,
            caching: None,
            total: None,
            first_attempt: None,
            attempt_began: Stamp::NEVER,
            hooks: HookQueue::start(scope, Some(place), definition),
            member: group.map(|group| group.enter(scope, place)),
            uncommitted: None,
        }
    }
}

/// What log lines of a run's body are in, if anybody listens.
fn span_of(scope: &Scope, place: NodeRef, definition: &Definition) -> Option<Arc<Span>> {
    if LevelFilter::current() < LevelFilter::INFO {
        return None;
    }
    let span = tracing::info_span!(
        target: "flowkit", "task_run", task = definition.name(), flow_run_id = %scope.id,
        task_run_id = %TaskRunId::new(scope.id, place), attempt = tracing::field::Empty
    );
    (!span.is_disabled()).then(|| Arc::new(span))
}
