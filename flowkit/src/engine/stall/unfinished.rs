//! All runs that have not ended and what each waits for: what a runtime without time to wait for is stalled by.

use std::sync::Arc;

use super::walk::{self, Run};
use crate::engine::scope::Scope;
use crate::graph::{Node, NodeKind};
use crate::ids::NodeRef;
use crate::runtime::RuntimeInner;
use crate::state::State;
use crate::wait_graph::{WaitingRun, WaitsFor};

/// The runs of a runtime that have not ended, each flow run before what is in it.
pub(crate) fn unfinished(runtime: &RuntimeInner) -> Vec<WaitingRun> {
    let mut runs = Vec::new();
    for scope in runtime.scopes() {
        runs.push(describe(
            &Run::new(&scope, NodeRef::ROOT),
            &parts(&scope, |parent| parent.is_none()),
        ));
        add_runs_of(&scope, &mut runs);
    }
    runs
}

/// The runs in a flow run that have not ended, and of which it is so that `counts`.
fn parts(scope: &Arc<Scope>, counts: impl Fn(Option<NodeRef>) -> bool) -> Vec<NodeRef> {
    let graph = scope.graph();
    (0u32..)
        .zip(&graph.nodes)
        .filter(|(_, node)| !node.record.state.is_terminal() && counts(node.parent()))
        .map(|(index, _)| NodeRef::node(index))
        .collect()
}

/// The items of a fan-out that have begun and not ended.
fn items(scope: &Arc<Scope>, node: NodeRef) -> Vec<NodeRef> {
    match scope.graph().node(node).map(Node::kind) {
        Some(NodeKind::FanOut(items)) => (0u32..)
            .zip(items)
            .filter(|(_, item)| !item.state.is_terminal() && item.state != State::Pending)
            .map(|(item, _)| NodeRef::item(node.node, item))
            .collect(),
        _ => Vec::new(),
    }
}

fn add_runs_of(scope: &Arc<Scope>, runs: &mut Vec<WaitingRun>) {
    for place in parts(scope, |_| true) {
        let run = Run::new(scope, place);
        let subflow = match scope.graph().node(place).map(Node::kind) {
            Some(NodeKind::Subflow(subflow)) => Some(Arc::clone(subflow)),
            _ => None,
        };
        let mut inside: Vec<_> = items(scope, place);
        if let Some(subflow) = &subflow {
            inside = parts(subflow, |parent| parent.is_none());
        }
        let of = subflow.as_ref().unwrap_or(scope);
        runs.push(describe_with(&run, of, &inside));
        if let Some(subflow) = &subflow {
            add_runs_of(subflow, runs);
        }
        let items = items(scope, place).into_iter();
        runs.extend(items.map(|item| describe(&Run::new(scope, item), &[])));
    }
}

fn describe(run: &Run, parts: &[NodeRef]) -> WaitingRun {
    describe_with(run, &run.scope, parts)
}

/// What a run waits for, `parts` of it in `scope` among that.
fn describe_with(run: &Run, scope: &Arc<Scope>, parts: &[NodeRef]) -> WaitingRun {
    let state = run.state();
    let mut waits_for: Vec<WaitsFor> = run
        .links(run)
        .iter()
        .filter(|link| !link.is_part() && !link.to.state().is_terminal())
        .map(walk::waits_for)
        .collect();
    waits_for.extend(parts.iter().map(|place| {
        let part = Run::new(scope, *place);
        WaitsFor::Part {
            id: part.id(),
            name: part.subject().1,
        }
    }));
    match state {
        State::AwaitingSlot => {
            let gate = run.scope.graph().waits.gate(run.place);
            waits_for = gate.map(|name| WaitsFor::Gate { name }).into_iter().collect();
        }
        State::AwaitingRetry => waits_for = vec![WaitsFor::Retry],
        State::Paused => waits_for = vec![WaitsFor::Resumption],
        _ => {}
    }
    if waits_for.is_empty() {
        let follows = state == State::Pending && has_key(run);
        waits_for.push(if follows {
            WaitsFor::EqualRun
        } else {
            WaitsFor::Outside
        });
    }
    WaitingRun {
        id: run.id(),
        name: run.subject().1,
        state,
        waits_for,
    }
}

/// Whether the run has come as far as its cache key.
fn has_key(run: &Run) -> bool {
    let graph = run.scope.graph();
    graph
        .extra(run.place)
        .is_some_and(|extra| extra.cache_key.is_some())
}
