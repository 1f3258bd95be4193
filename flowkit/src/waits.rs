//! What a flow run's graph keeps so that a stall is found: which bodies wait for which runs, and what leads out of the flow run.
//!
//! It is filled by bodies of tasks that wait, and by edges that cross the border of a flow run. A flow's body that awaits what it submitted
//! leaves nothing here: the flow ends only after that anyway.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Weak;

use crate::engine::scope::Scope;
use crate::graph::Edge;
use crate::ids::{NodeRef, TaskRunId};

/// The waits of one graph.
#[derive(Default)]
pub(crate) struct Waits {
    /// Bodies that wait, by the run that they belong to.
    bodies: BTreeMap<NodeRef, Vec<BodyWaits>>,
    /// Inputs and orders that come from another flow run, by the run that needs them.
    foreign: BTreeMap<NodeRef, Vec<(TaskRunId, Weak<Scope>)>>,
    /// The subflows that were entered, apart from those that were found to have ended.
    subflows: Vec<NodeRef>,
    /// The edges of runs that have not begun, by the run, as far as they were asked for.
    edges: BTreeMap<NodeRef, Range<usize>>,
    /// How many edges have been looked at for that.
    indexed: usize,
    /// What runs wait for that are not let in yet, where somebody will ask.
    #[cfg(feature = "testing")]
    gates: BTreeMap<NodeRef, std::sync::Arc<str>>,
    /// Runs that a stall has ended before they began: they wait no more.
    ended: BTreeSet<NodeRef>,
}

/// What one await of a body waits for.
pub(crate) struct BodyWaits {
    pub(crate) serial: u64,
    pub(crate) runs: Vec<(Weak<Scope>, NodeRef)>,
}

/// The items of a fan-out, without the fan-out itself.
fn items_of(node: u32) -> Range<NodeRef> {
    NodeRef::item(node, 0)..NodeRef::node(node)
}

impl Waits {
    pub(crate) fn add(&mut self, waiter: NodeRef, waits: BodyWaits) {
        self.bodies.entry(waiter).or_default().push(waits);
    }

    /// An await is over, or was dropped. Whether it was there.
    pub(crate) fn remove(&mut self, waiter: NodeRef, serial: u64) -> bool {
        let Some(waits) = self.bodies.get_mut(&waiter) else {
            return false;
        };
        let before = waits.len();
        waits.retain(|wait| wait.serial != serial);
        let removed = waits.len() < before;
        if waits.is_empty() {
            self.bodies.remove(&waiter);
        }
        removed
    }

    /// What the body of a run waits for.
    pub(crate) fn of_body(&self, waiter: NodeRef) -> &[BodyWaits] {
        self.bodies.get(&waiter).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn add_foreign(&mut self, to: NodeRef, from: TaskRunId, scope: Weak<Scope>) {
        self.foreign.entry(to).or_default().push((from, scope));
    }

    /// The flow run of an input that is not of this graph.
    pub(crate) fn foreign_scope(&self, to: NodeRef, from: TaskRunId) -> Option<&Weak<Scope>> {
        let foreign = self.foreign.get(&to)?;
        foreign.iter().find(|(id, _)| *id == from).map(|(_, scope)| scope)
    }

    pub(crate) fn add_subflow(&mut self, place: NodeRef) {
        self.subflows.push(place);
    }

    /// A stall ends this run before it begins: nothing is waited for by it any more.
    pub(crate) fn end(&mut self, place: NodeRef) {
        self.ended.insert(place);
    }

    pub(crate) fn has_ended(&self, place: NodeRef) -> bool {
        self.ended.contains(&place)
    }

    /// Notes what a run waits for that is not let in yet.
    #[cfg(feature = "testing")]
    pub(crate) fn set_gate(&mut self, place: NodeRef, gate: std::sync::Arc<str>) {
        self.gates.insert(place, gate);
    }

    #[cfg(feature = "testing")]
    pub(crate) fn gate(&self, place: NodeRef) -> Option<std::sync::Arc<str>> {
        self.gates.get(&place).cloned()
    }

    /// The edges of a run that has not begun, as a range of all. Each edge is looked at once for this, and not before it is asked for.
    pub(crate) fn edges_of(&mut self, place: NodeRef, edges: &[Edge]) -> Range<usize> {
        while let Some(edge) = edges.get(self.indexed) {
            let range = self.edges.entry(edge.to).or_insert(self.indexed..self.indexed);
            range.end = self.indexed + 1;
            self.indexed += 1;
        }
        self.edges.get(&place).cloned().unwrap_or_default()
    }

    /// The run has begun, or ended: its edges are not asked for again.
    pub(crate) fn forget_edges(&mut self, place: NodeRef) {
        self.edges.remove(&place);
    }

    /// The items of a fan-out that may wait for something.
    pub(crate) fn items(&self, node: u32) -> Vec<NodeRef> {
        let mut items: Vec<_> = self
            .bodies
            .range(items_of(node))
            .map(|(place, _)| *place)
            .collect();
        items.extend(self.edges.range(items_of(node)).map(|(place, _)| *place));
        items
    }

    /// The runs of the flow run through which a wait may lead out of it: those whose body waits, those with inputs from outside, and
    /// subflows, of which those are forgotten for which `lives` says no.
    pub(crate) fn ways_out(&mut self, lives: impl Fn(NodeRef) -> bool) -> Vec<NodeRef> {
        self.subflows.retain(|place| lives(*place));
        let bodies = self.bodies.keys().filter(|place| **place != NodeRef::ROOT);
        bodies
            .chain(self.foreign.keys())
            .chain(&self.subflows)
            .copied()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::FlowRunId;

    fn edge(from: u32, to: NodeRef) -> Edge {
        Edge {
            from: TaskRunId::new(FlowRunId::from_u128(1), NodeRef::node(from)),
            to,
            parameter: None,
        }
    }

    fn waits(serial: u64) -> BodyWaits {
        BodyWaits {
            serial,
            runs: Vec::new(),
        }
    }

    #[test]
    fn an_await_that_is_over_leaves_the_others_of_its_body() {
        let (mut all, place) = (Waits::default(), NodeRef::node(3));
        all.add(place, waits(1));
        all.add(place, waits(2));
        assert!(all.remove(place, 1));
        assert!(!all.remove(place, 1), "only once");
        assert_eq!(all.of_body(place).len(), 1);
        assert!(all.remove(place, 2));
        assert!(all.bodies.is_empty());
    }

    #[test]
    fn edges_are_found_by_the_run_that_needs_them_also_those_that_come_later() {
        let (mut all, item) = (Waits::default(), NodeRef::item(2, 5));
        let mut edges = vec![edge(0, NodeRef::node(1)), edge(0, item), edge(1, item)];
        assert_eq!(all.edges_of(item, &edges), 1..3);
        edges.push(edge(1, NodeRef::node(7)));
        assert_eq!(all.edges_of(NodeRef::node(7), &edges), 3..4);
        assert_eq!(all.items(2), [item]);
        all.forget_edges(item);
        assert!(all.items(2).is_empty());
        assert!(all.edges_of(item, &edges).is_empty());
    }

    #[test]
    fn the_items_of_a_fan_out_are_its_own() {
        let mut all = Waits::default();
        for place in [
            NodeRef::item(1, 0),
            NodeRef::item(2, 0),
            NodeRef::node(2),
            NodeRef::item(3, 0),
        ] {
            all.add(place, waits(u64::from(place.node)));
        }
        assert_eq!(all.items(2), [NodeRef::item(2, 0)]);
    }
}
