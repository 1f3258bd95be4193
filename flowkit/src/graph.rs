//! The graph of one flow run, found while it runs: its nodes, their states, and the edges between them.
//!
//! Plain data behind the scope's lock. It knows no clock, no tokio and no user type.

mod control;
mod extra;
mod name;
mod node;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use self::control::Controls;
pub(crate) use self::control::{Cancel, Control};
pub(crate) use self::extra::{Extra, FailedAttempt, Rare};
pub(crate) use self::name::Name;
pub(crate) use self::node::{Node, NodeKind, Record};
use crate::clock::Stamp;
use crate::engine::scope::Scope;
use crate::error::Error;
use crate::ids::{NodeRef, TaskRunId};
use crate::state::State;
use crate::waits::Waits;

/// An input or an order: `to` waited for `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) from: TaskRunId,
    pub(crate) to: NodeRef,
    /// The parameter's name; none for order without data.
    pub(crate) parameter: Option<&'static str>,
}

/// An edge to a run that is being entered.
pub(crate) struct NewEdge {
    pub(crate) from: TaskRunId,
    pub(crate) parameter: Option<&'static str>,
    /// The flow run that it comes from, if it is another one.
    pub(crate) foreign: Option<Weak<Scope>>,
}

#[derive(Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
    /// Who waits for whom, as far as a stall may come of it.
    pub(crate) waits: Waits,
    /// Those of the flow run itself and of items; a node has its own.
    extras: HashMap<NodeRef, Box<Extra>>,
    controls: Controls,
    /// Whether any node stands for a flow run.
    pub(crate) has_subflows: bool,
    /// How many attempts of the flow run itself have begun.
    pub(crate) attempts: u32,
    /// How many runs failed: while there are none, nobody need look for one.
    failures: usize,
}

/// A change that the table of states does not allow. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IllegalTransition {
    pub(crate) from: State,
    pub(crate) to: State,
}

impl Graph {
    pub(crate) fn add(&mut self, node: Node) -> NodeRef {
        if let Some(parent) = node.parent()
            && let Some(parent) = self.node_mut(parent)
        {
            parent.has_children = true;
        }
        let index = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.nodes.push(node);
        NodeRef::node(index)
    }

    pub(crate) fn node(&self, place: NodeRef) -> Option<&Node> {
        self.nodes.get(place.node as usize)
    }

    /// When a run, or the fan-out that it is an item of, was entered.
    pub(crate) fn created(&self, place: NodeRef) -> Stamp {
        self.node(place).map_or(Stamp::BEGINNING, |node| node.created)
    }

    pub(crate) fn node_mut(&mut self, place: NodeRef) -> Option<&mut Node> {
        self.nodes.get_mut(place.node as usize)
    }

    pub(crate) fn record(&self, place: NodeRef) -> Option<&Record> {
        let node = self.node(place)?;
        match (place.index(), node.kind()) {
            (Some(item), NodeKind::FanOut(items)) => items.get(item as usize),
            _ => Some(&node.record),
        }
    }

    fn record_mut(&mut self, place: NodeRef) -> Option<&mut Record> {
        let node = self.node_mut(place)?;
        match place.index() {
            Some(item) if matches!(node.kind(), NodeKind::FanOut(_)) => {
                node.items_mut()?.get_mut(item as usize)
            }
            _ => Some(&mut node.record),
        }
    }

    /// Changes the state of a run, if the table allows it, and says which it was in before.
    pub(crate) fn change(
        &mut self,
        place: NodeRef,
        to: State,
        now: Stamp,
    ) -> Result<State, IllegalTransition> {
        let Some(record) = self.record_mut(place) else {
            return Err(IllegalTransition {
                from: State::Scheduled,
                to,
            });
        };
        let from = record.state;
        if !from.may_become(to) {
            return Err(IllegalTransition { from, to });
        }
        record.state = to;
        // A run that was paused goes on with the attempt that it was in.
        if to == State::Running && from != State::Paused {
            record.attempts = record.attempts.saturating_add(1);
            if record.started == Stamp::NEVER {
                record.started = now;
            }
        }
        if to.is_terminal() && !from.is_terminal() {
            record.ended = now;
            if to.is_failure() {
                self.failures += 1;
            }
            if place.index().is_none() {
                drop(self.take_control(place));
            }
        }
        Ok(from)
    }

    /// The flow runs that nodes stand for, which they let go.
    pub(crate) fn take_subflows(&mut self) -> Vec<Arc<Scope>> {
        if !std::mem::take(&mut self.has_subflows) {
            return Vec::new();
        }
        self.nodes.iter_mut().filter_map(Node::take_subflow).collect()
    }

    /// Notes how a node's run is stopped.
    pub(crate) fn set_control(&mut self, place: NodeRef, control: Control) {
        if let Some(node) = self.nodes.get_mut(place.node as usize) {
            self.controls.set(&mut node.control, control);
        }
    }

    /// Forgets how a node's run is stopped, and gives it.
    pub(crate) fn take_control(&mut self, place: NodeRef) -> Option<Control> {
        let node = self.nodes.get_mut(place.node as usize)?;
        self.controls.take(&mut node.control)
    }

    /// Notes that somebody looked at how a run ended.
    pub(crate) fn observe(&mut self, place: NodeRef) {
        if let Some(record) = self.record_mut(place) {
            record.observed = true;
        }
        if place.index().is_none()
            && let Some(items) = self.node_mut(place).and_then(Node::items_mut)
        {
            for item in items {
                item.observed = true;
            }
        }
    }

    /// Notes that how everything ended so far is known.
    pub(crate) fn observe_all(&mut self) {
        for node in 0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX) {
            self.observe(NodeRef::node(node));
        }
    }

    /// The errors of all runs and their attempts.
    pub(crate) fn errors(&self) -> Vec<Error> {
        let of = |extra: &Extra| {
            let attempts = Rare::of(Some(extra)).failed_attempts.iter();
            let attempts = attempts.map(|attempt| attempt.error.clone());
            attempts.chain(extra.error.clone()).collect::<Vec<_>>()
        };
        let of_nodes = self.nodes.iter().filter_map(|node| node.extra.as_ref());
        of_nodes
            .chain(self.extras.values())
            .flat_map(|extra| of(extra))
            .collect()
    }

    pub(crate) fn extra(&self, place: NodeRef) -> Option<&Extra> {
        let extra = match self.own_node(place) {
            Some(node) => node.extra.as_ref(),
            None => self.extras.get(&place),
        };
        extra.map(|extra| &**extra)
    }

    pub(crate) fn extra_mut(&mut self, place: NodeRef) -> &mut Extra {
        // Asked twice, since what is found is lent until the end.
        if self.own_node(place).is_some()
            && let Some(node) = self.nodes.get_mut(place.node as usize)
        {
            return node.extra.get_or_insert_default();
        }
        self.extras.entry(place).or_default()
    }

    /// Forgets what the cache knows of an item that was served, and nothing shows: of a million of them that would be most of what is kept.
    pub(crate) fn forget_key(&mut self, place: NodeRef) {
        if place.index().is_some()
            && let Some(extra) = self.extras.get(&place)
            && extra.is_of_cache_only()
        {
            self.extras.remove(&place);
        }
    }

    /// The node at a place that is no item's.
    fn own_node(&self, place: NodeRef) -> Option<&Node> {
        self.node(place).filter(|_| place.index().is_none())
    }

    /// Notes what a run that was entered waits for, and its own name and tags, if it has any.
    pub(crate) fn describe(
        &mut self,
        place: NodeRef,
        edges: Vec<NewEdge>,
        name: Option<Arc<str>>,
        tags: Vec<Arc<str>>,
    ) {
        for edge in edges {
            let NewEdge {
                from,
                parameter,
                foreign,
            } = edge;
            if let Some(scope) = foreign {
                self.waits.add_foreign(place, from, scope);
            }
            self.edges.push(Edge {
                from,
                to: place,
                parameter,
            });
        }
        if name.is_some() || !tags.is_empty() {
            let extra = self.extra_mut(place);
            extra.name = name;
            if !tags.is_empty() {
                extra.rare_mut().tags = tags;
            }
        }
    }

    /// The name of a run: its own, or its fan-out's, or its task's.
    pub(crate) fn name(&self, place: NodeRef) -> Name {
        let own = |place| self.extra(place)?.name.clone();
        match own(place).or_else(|| own(NodeRef::node(place.node))) {
            Some(name) => Name::Own(name),
            None => Name::Task(self.node(place).map_or("", |node| node.definition.name())),
        }
    }

    /// The error of the first failed run, in the order of submission, that nobody looked at.
    pub(crate) fn first_unhandled(&self) -> Option<Error> {
        if self.failures == 0 {
            return None;
        }
        (0u32..).zip(&self.nodes).find_map(|(index, node)| {
            let own = NodeRef::node(index);
            let items = match node.kind() {
                NodeKind::FanOut(items) => items,
                NodeKind::Task | NodeKind::Subflow(_) => &[],
            };
            let places = (0u32..)
                .zip(items)
                .map(|(item, record)| (NodeRef::item(index, item), record));
            std::iter::once((own, &node.record))
                .chain(places)
                .find_map(|(place, record)| {
                    if !record.state.is_failure() || record.observed {
                        return None;
                    }
                    // What did not begin because somebody cancelled what it needs is nobody's failure.
                    let needed = record.state == State::UpstreamFailed;
                    let error = self.extra(place)?.error.clone();
                    error.filter(|error| !(needed && error.is_cancelled()))
                })
        })
    }

    /// The nodes below `place`: what it called, what that called, and so on.
    pub(crate) fn descendants(&self, place: NodeRef) -> Vec<u32> {
        let mut below = vec![false; self.nodes.len()];
        let mut found = Vec::new();
        for (index, node) in (0u32..).zip(&self.nodes) {
            let Some(parent) = node.parent() else { continue };
            let is_below = parent == place || below.get(parent.node as usize).copied().unwrap_or(false);
            if let Some(mark) = below.get_mut(index as usize) {
                *mark = is_below;
            }
            if is_below {
                found.push(index);
            }
        }
        found
    }

    /// Those of them that have not ended: what is to be stopped when it fails or is cancelled.
    pub(crate) fn live_descendants(&self, place: NodeRef) -> Vec<u32> {
        let mut live = self.descendants(place);
        live.retain(|&node| {
            self.node(NodeRef::node(node))
                .is_some_and(|node| !node.record.state.is_terminal())
        });
        live
    }
}

#[cfg(test)]
mod tests {
    use flowkit_cache::CacheKey;

    use super::*;
    use crate::definition::{Definition, Place};
    use crate::options::TaskOptions;

    const DEFINITION: &Definition = &Definition::task(
        "t",
        Place {
            package: "p",
            module: "m",
            file: "f.rs",
            line: 1,
        },
        TaskOptions::new(),
    );

    fn node(parent: Option<NodeRef>) -> Node {
        Node::new(DEFINITION, parent, Stamp::NEVER)
    }

    fn fan_out(items: usize) -> Node {
        node(None).with_items(items)
    }

    #[test]
    fn a_change_that_the_table_forbids_changes_nothing() {
        let mut graph = Graph::default();
        let place = graph.add(node(None));
        assert_eq!(
            graph.change(place, State::Running, Stamp::NEVER),
            Ok(State::Pending)
        );
        assert_eq!(
            graph.change(place, State::Completed, Stamp::NEVER),
            Ok(State::Running)
        );
        let refused = graph.change(place, State::Failed, Stamp::NEVER);
        assert_eq!(
            refused,
            Err(IllegalTransition {
                from: State::Completed,
                to: State::Failed
            })
        );
        assert_eq!(graph.record(place).unwrap().state, State::Completed);
    }

    #[test]
    fn an_item_goes_by_its_own_name_or_its_fan_outs_whatever_else_is_noted_of_it() {
        let mut graph = Graph::default();
        let fan_out = graph.add(fan_out(3));
        let item = |index| NodeRef::item(fan_out.node, index);
        graph.describe(fan_out, Vec::new(), Some(Arc::from("plants")), Vec::new());
        graph.describe(item(1), Vec::new(), Some(Arc::from("maize")), Vec::new());
        for index in 0..3 {
            graph.extra_mut(item(index)).cache_key = Some(CacheKey::from_bytes([1; 32]));
        }
        let names = [0, 1, 2].map(|index| graph.name(item(index)).to_string());
        assert_eq!(names, ["plants", "maize", "plants"]);
    }

    #[test]
    fn the_key_of_an_item_is_forgotten_if_there_is_nothing_else_to_tell_of_it() {
        let mut graph = Graph::default();
        let fan_out = graph.add(fan_out(2));
        let (plain, named) = (NodeRef::item(fan_out.node, 0), NodeRef::item(fan_out.node, 1));
        graph.describe(named, Vec::new(), Some(Arc::from("maize")), Vec::new());
        for place in [fan_out, plain, named] {
            graph.extra_mut(place).cache_key = Some(CacheKey::from_bytes([1; 32]));
            graph.forget_key(place);
        }
        let has_key = |place| graph.extra(place).is_some_and(|extra| extra.cache_key.is_some());
        assert_eq!([fan_out, plain, named].map(has_key), [true, false, true]);
    }

    #[test]
    fn descendants_are_found_through_any_number_of_generations() {
        let mut graph = Graph::default();
        let root = graph.add(node(None));
        let child = graph.add(node(Some(root)));
        let _other = graph.add(node(None));
        let grandchild = graph.add(node(Some(child)));
        assert_eq!(graph.live_descendants(root), [child.node, grandchild.node]);
    }

    #[test]
    fn an_item_has_a_state_of_its_own() {
        let mut graph = Graph::default();
        let place = graph.add(fan_out(2));
        let item = NodeRef::item(place.node, 1);
        graph.change(item, State::Running, Stamp::NEVER).unwrap();
        assert_eq!(graph.record(item).unwrap().state, State::Running);
        assert_eq!(
            graph.record(NodeRef::item(place.node, 0)).unwrap().state,
            State::Pending
        );
    }
}
