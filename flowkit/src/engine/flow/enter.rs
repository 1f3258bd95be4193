//! Enters a flow run where it is called: at the root of a runtime, or as a subflow of the run that calls it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::Entered;
use crate::context::{Ambient, RunContext};
use crate::definition::Definition;
use crate::engine::drive::{edges_of, with_ambient};
use crate::engine::scope::{Change, NewRun, Scope};
use crate::engine::stall;
use crate::error::Error;
use crate::graph::NewEdge;
use crate::ids::NodeRef;
use crate::job::Job;
use crate::journaling::replay::Resumed;
use crate::options::{Plan, TaskOptions};
use crate::order::Order;
use crate::state::State;

/// What a flow call says beside its inputs.
#[derive(Default)]
pub(crate) struct FlowExtras {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) tags: Vec<Arc<str>>,
    pub(crate) wait_for: Vec<Order>,
    pub(crate) timeout: Option<Duration>,
    /// The life that it begins, where earlier ones left something.
    pub(crate) resumed: Option<Resumed>,
}

impl FlowExtras {
    /// Of a run that goes on: it is called as it was before, unless it is called otherwise now.
    fn resuming(mut self, definition: &Definition) -> Self {
        if let Some(resumed) = &self.resumed {
            let own = (*resumed.name != *definition.name()).then(|| Arc::clone(&resumed.name));
            self.name = self.name.or(own);
            if self.tags.is_empty() {
                self.tags.clone_from(&resumed.tags);
            }
        }
        self
    }
}

/// Enters a flow run: as a subflow of the run that calls it, or at the root of a runtime.
pub(crate) fn enter(
    definition: &'static Definition,
    extras: FlowExtras,
    mut job: Pin<&mut dyn Job>,
    caller: &Ambient,
    awaited: bool,
) -> Entered {
    job.as_mut().start_inputs();
    let FlowExtras {
        name,
        tags,
        wait_for,
        timeout,
        resumed,
    } = extras.resuming(definition);
    let (scope, tags) = match caller {
        Ambient::Runtime(runtime, around) => {
            let tags = with_ambient(tags, around);
            let scope = Scope::with_life(runtime, definition, None, tags.clone(), resumed);
            (scope, tags)
        }
        Ambient::Run(run) => enter_subflow(definition, name.clone(), tags, job, &wait_for, run),
    };
    if let Some(name) = name {
        scope.set_name(&*name);
    }
    // A runtime's defaults are for tasks: a flow's options are its attribute's, and the call's.
    let mut plan = Plan::of(None, definition, &TaskOptions::new());
    if let Some(timeout) = timeout {
        plan.timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
    }
    let (calls, transaction) = match caller {
        Ambient::Run(run) => (run.calls.clone(), run.around().transaction.clone()),
        Ambient::Runtime(..) => (None, None),
    };
    let member = transaction.as_ref().zip(scope.parent());
    Entered {
        member: member.map(|(group, (parent, place))| group.enter(&parent, place)),
        scope,
        orders: wait_for,
        plan,
        tags,
        calls,
        place: None,
        transaction,
        awaited,
    }
}

fn enter_subflow(
    definition: &'static Definition,
    name: Option<Arc<str>>,
    tags: Vec<Arc<str>>,
    job: Pin<&mut dyn Job>,
    orders: &[Order],
    caller: &RunContext,
) -> (Arc<Scope>, Vec<Arc<str>>) {
    let tags = with_ambient(tags, &caller.around().tags);
    let parent = &caller.scope;
    let edges = edges_of(definition, job, orders, parent);
    let may_close = stall::may_close(parent, false, &edges);
    let scope = parent.add_subflow(definition, caller.place, name, tags.clone(), edges);
    if may_close
        && let Some((_, place)) = &scope.parent()
        && let Some(stalled) = stall::of_entered(parent, *place)
    {
        scope.stall(stalled);
    }
    if caller.is_abandoned() {
        scope.cancel();
    }
    (scope, tags)
}

impl Entered {
    /// Ends a run that nothing takes in.
    pub(crate) fn refuse(&self, refused: &Error) {
        self.scope.end(State::Cancelled, Some(refused));
        if let Some((parent, place)) = &self.scope.parent() {
            let change = Change {
                error: Some(refused),
                ..Change::default()
            };
            parent.change(*place, State::Cancelled, &change);
        }
    }
}

impl Scope {
    /// Enters a subflow: a run of its own, and the node that stands for it here.
    fn add_subflow(
        self: &Arc<Self>,
        definition: &'static Definition,
        parent: Option<NodeRef>,
        name: Option<Arc<str>>,
        tags: Vec<Arc<str>>,
        edges: Vec<NewEdge>,
    ) -> Arc<Self> {
        let new = NewRun {
            definition,
            parent,
            items: None,
            name,
            tags: tags.clone(),
            edges,
        };
        let place = self.add(new);
        let child = Self::new(&self.runtime, definition, Some((Arc::clone(self), place)), tags);
        let late = {
            let mut graph = self.graph();
            if let Some(node) = graph.node_mut(place) {
                node.set_subflow(Arc::clone(&child));
            }
            graph.has_subflows = true;
            graph.waits.add_subflow(place);
            self.is_closed()
        };
        if late {
            child.cancel();
        }
        child
    }
}
