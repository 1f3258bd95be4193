//! The search for a circle of waits, from run to run, also across the borders of flow runs. It locks one graph at a time.

use std::collections::HashSet;
use std::sync::Arc;

use crate::definition::DefinitionKind;
use crate::engine::scope::Scope;
use crate::graph::{Graph, Node, NodeKind};
use crate::ids::{NodeRef, TaskRunId};
use crate::state::State;
use crate::wait_graph::{WaitingRun, WaitsFor};

/// A run, wherever it is. A subflow is the node that stands for it in the flow that called it.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) scope: Arc<Scope>,
    pub(super) place: NodeRef,
}

/// Why a run waits for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Its body awaits it, in the await of this number.
    Body(u64),
    /// It is an input.
    Input(&'static str),
    /// It is an order without data.
    Order,
    /// It is a part of the run: a run in a flow, an item of a fan-out.
    Part,
}

/// A step from one run to one that it waits for.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) why: Why,
    pub(super) to: Run,
}

impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        self.why == other.why && self.to.id() == other.to.id()
    }
}

impl Link {
    #[cfg(feature = "testing")]
    pub(super) fn is_part(&self) -> bool {
        self.why == Why::Part
    }

    fn part(scope: &Arc<Scope>, place: NodeRef) -> Self {
        Self {
            why: Why::Part,
            to: Run::new(scope, place),
        }
    }
}

impl Run {
    pub(super) fn new(scope: &Arc<Scope>, place: NodeRef) -> Self {
        Self {
            scope: Arc::clone(scope),
            place,
        }
    }

    pub(super) fn id(&self) -> TaskRunId {
        self.scope.task_run_id(self.place)
    }

    pub(super) fn subject(&self) -> (DefinitionKind, Arc<str>) {
        if self.place == NodeRef::ROOT {
            return (self.scope.definition.kind(), Arc::from(self.scope.name()));
        }
        let graph = self.scope.graph();
        let kind = graph
            .node(self.place)
            .map_or(DefinitionKind::Task, |node| node.definition.kind());
        (kind, graph.name(self.place).into())
    }

    pub(super) fn state(&self) -> State {
        match self.place {
            NodeRef::ROOT => self.scope.outcome().state,
            place => self.scope.state_of(place),
        }
    }

    /// What the run waits for as far as it can lead to `goal`; nothing if it has ended.
    pub(super) fn links(&self, goal: &Self) -> Vec<Link> {
        let mut links = Vec::new();
        let mut inside = None;
        if self.place == NodeRef::ROOT {
            if !self.state().is_terminal() {
                add_awaited(&self.scope.graph(), self.place, &mut links);
                inside = Some(Arc::clone(&self.scope));
            }
        } else {
            let mut graph = self.scope.graph();
            let Some(state) = graph.record(self.place).map(|record| record.state) else {
                return links;
            };
            if state == State::Pending && !graph.waits.has_ended(self.place) {
                self.add_upstreams(&mut graph, &mut links);
            } else {
                graph.waits.forget_edges(self.place);
            }
            if state.is_terminal() {
                return links;
            }
            add_awaited(&graph, self.place, &mut links);
            if self.place.index().is_none() {
                match graph.node(self.place).map(Node::kind) {
                    Some(NodeKind::FanOut(_)) => self.add_items(&mut graph, goal, &mut links),
                    Some(NodeKind::Subflow(subflow)) => inside = Some(Arc::clone(subflow)),
                    Some(NodeKind::Task) | None => {}
                }
            }
        }
        if let Some(inside) = inside {
            add_parts(&inside, goal, &mut links);
        }
        links
    }

    /// The runs that one needs that has not begun.
    fn add_upstreams(&self, graph: &mut Graph, links: &mut Vec<Link>) {
        let range = graph.waits.edges_of(self.place, &graph.edges);
        for edge in graph.edges.get(range).unwrap_or_default() {
            if edge.to != self.place {
                continue;
            }
            let scope = if edge.from.flow_run() == self.scope.id {
                Some(Arc::clone(&self.scope))
            } else {
                let foreign = graph.waits.foreign_scope(self.place, edge.from);
                foreign.and_then(std::sync::Weak::upgrade)
            };
            links.extend(scope.map(|scope| Link {
                why: edge.parameter.map_or(Why::Order, Why::Input),
                to: Self {
                    scope,
                    place: edge.from.place(),
                },
            }));
        }
    }

    /// The items of a fan-out that may wait for something, or are the goal.
    fn add_items(&self, graph: &mut Graph, goal: &Self, links: &mut Vec<Link>) {
        // Edges that nobody asked for so far are not known by their items yet.
        let _ = graph.waits.edges_of(self.place, &graph.edges);
        let items = graph.waits.items(self.place.node);
        links.extend(items.into_iter().map(|item| Link::part(&self.scope, item)));
        if goal.scope.id == self.scope.id
            && goal.place.node == self.place.node
            && goal.place.index().is_some()
        {
            links.push(Link::part(&self.scope, goal.place));
        }
    }
}

/// The runs that a body awaits.
fn add_awaited(graph: &Graph, place: NodeRef, links: &mut Vec<Link>) {
    for waits in graph.waits.of_body(place) {
        for (scope, place) in &waits.runs {
            links.extend(scope.upgrade().map(|scope| Link {
                why: Why::Body(waits.serial),
                to: Run { scope, place: *place },
            }));
        }
    }
}

/// The runs in a flow run through which it may wait for something outside, or the goal, if that is one of them.
fn add_parts(scope: &Arc<Scope>, goal: &Run, links: &mut Vec<Link>) {
    if goal.scope.id == scope.id && goal.place != NodeRef::ROOT {
        links.push(Link::part(scope, goal.place));
        return;
    }
    let mut graph = scope.graph();
    let mut waits = std::mem::take(&mut graph.waits);
    let ways = waits.ways_out(|place| {
        graph
            .record(place)
            .is_some_and(|record| !record.state.is_terminal())
    });
    graph.waits = waits;
    links.extend(ways.into_iter().map(|place| Link::part(scope, place)));
}

/// The shortest circle of waits that begins in `run` with one of the links `first`: its links, of which the last leads back to `run`.
pub(super) fn circle(run: &Run, first: Vec<Link>) -> Option<Vec<Link>> {
    let goal = run.id();
    let mut seen = HashSet::new();
    // Every link that was found, and which one it follows.
    let mut found: Vec<(Link, Option<usize>)> = first.into_iter().map(|link| (link, None)).collect();
    let mut next = 0;
    while let Some((link, _)) = found.get(next) {
        let to = link.to.clone();
        if to.id() == goal {
            return Some(path(&found, next));
        }
        if seen.insert(to.id()) {
            found.extend(to.links(run).into_iter().map(|link| (link, Some(next))));
        }
        next += 1;
    }
    None
}

fn path(found: &[(Link, Option<usize>)], last: usize) -> Vec<Link> {
    let mut path = Vec::new();
    let mut at = Some(last);
    while let Some((link, before)) = at.and_then(|at| found.get(at)) {
        path.push(link.clone());
        at = *before;
    }
    path.reverse();
    path
}

/// A step as data.
pub(super) fn waits_for(link: &Link) -> WaitsFor {
    let (id, (_, name)) = (link.to.id(), link.to.subject());
    match link.why {
        Why::Body(_) => WaitsFor::Run { id, name },
        Why::Input(parameter) => WaitsFor::Input { id, name, parameter },
        Why::Order => WaitsFor::Order { id, name },
        Why::Part => WaitsFor::Part { id, name },
    }
}

/// A circle as data: each of its runs with the one that it waits for.
pub(super) fn wait_graph(run: &Run, circle: &[Link]) -> Vec<WaitingRun> {
    let waiters = std::iter::once(run).chain(circle.iter().map(|link| &link.to));
    let waiting = waiters.zip(circle).map(|(waiter, link)| WaitingRun {
        id: waiter.id(),
        name: waiter.subject().1,
        state: waiter.state(),
        waits_for: vec![waits_for(link)],
    });
    waiting.collect()
}
