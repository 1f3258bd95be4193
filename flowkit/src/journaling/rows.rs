//! How a run stands, as a row of the journal.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flowkit_journal::record::{
    AttemptRow, EdgeRow, FlowRow, NodeKind as RowKind, Record, TaskRow, Timestamp,
};

use super::calls::Calls;
use super::{CallRecord, Life};
use crate::clock::Stamp;
use crate::context::RunContext;
use crate::definition::Definition;
use crate::engine::scope::Scope;
use crate::error::Error;
use crate::graph::{Edge, Graph, NodeKind, Rare};
use crate::ids::NodeRef;
use crate::state::State;
use crate::told::said_by;

impl Scope {
    fn timestamp(&self, stamp: Stamp) -> Timestamp {
        self.epoch.wall_time(stamp).into()
    }

    fn timestamp_of(&self, stamp: Stamp) -> Option<Timestamp> {
        (stamp != Stamp::NEVER).then(|| self.timestamp(stamp))
    }

    /// Appends how a run stands in a graph that the caller has locked: rows of one run so come in the order of its changes.
    pub(crate) fn journal_task(&self, graph: &Graph, place: NodeRef, call: Option<&CallRecord>) {
        self.journal_task_saying(graph, place, call, None);
    }

    /// The same, of a run that failed and whose error says this.
    pub(crate) fn journal_task_saying(
        &self,
        graph: &Graph,
        place: NodeRef,
        call: Option<&CallRecord>,
        said: Option<Arc<str>>,
    ) {
        if let Some(life) = &self.life
            && let Some(row) = self.task_row(life, graph, place, call, said)
            && !(cfg!(flowkit_fault = "end-not-journaled") && row.ended.is_some())
        {
            life.append(Record::Task(Box::new(row)));
        }
    }

    fn task_row(
        &self,
        life: &Life,
        graph: &Graph,
        place: NodeRef,
        call: Option<&CallRecord>,
        error: Option<Arc<str>>,
    ) -> Option<TaskRow> {
        let (node, record) = (graph.node(place)?, graph.record(place)?);
        let extra = graph.extra(place);
        let call = call.or_else(|| extra.and_then(|extra| extra.call.as_deref()));
        let original = call.and_then(|call| call.original);
        let parent = match place.index() {
            Some(_) => Some(NodeRef::node(place.node)),
            None => node.parent(),
        };
        let rare = Rare::of(extra);
        let mut tags: Vec<String> = rare.tags.iter().map(|tag| tag.as_ref().to_owned()).collect();
        tags.sort_unstable();
        tags.dedup();
        Some(TaskRow {
            spot: life.spot(place),
            parent: parent.map(|parent| life.spot(parent)),
            kind: match (place.index(), node.kind()) {
                (Some(_), _) | (None, NodeKind::Task) => RowKind::Task,
                (None, NodeKind::FanOut(_)) => RowKind::FanOut,
                (None, NodeKind::Subflow(_)) => RowKind::Subflow,
            },
            definition: life.recorder.definition(node.definition),
            name: extra.and_then(|extra| extra.name.clone()),
            tags,
            state: record.state.name(),
            attempts: original.map_or_else(|| u32::from(record.attempts), |original| original.attempts),
            error,
            created: self.timestamp(node.created),
            started: original.map_or_else(|| self.timestamp_of(record.started), |original| original.started),
            ended: original.map_or_else(|| self.timestamp_of(record.ended), |original| original.ended),
            place: call.and_then(|call| call.place),
            inputs: call.map(|call| call.inputs.clone()).unwrap_or_default(),
            cache_key: extra.and_then(|extra| extra.cache_key).map(|key| *key.as_bytes()),
            origin: extra.and_then(|extra| Some(Arc::from(extra.origin?.to_string()))),
            uncached: rare.uncached.clone().or_else(|| rare.missed.map(Arc::from)),
            effect: call.map(|call| call.effect).unwrap_or_default(),
            result: call.and_then(|call| call.result.clone()),
        })
    }

    /// Says whose calls the items of a fan-out are.
    pub(crate) fn journal_fan_out(
        &self,
        node: NodeRef,
        definition: &'static Definition,
        caller: &mut RunContext,
    ) {
        let Some(calls) = &caller.calls else { return };
        let items = Calls::of_fan_out(definition, calls);
        let call = CallRecord {
            place: Some(items.caller()),
            ..CallRecord::default()
        };
        caller.calls = Some(Arc::new(items));
        if self.life.is_none() {
            return;
        }
        self.note(node, |extra| extra.call = Some(Arc::new(call)));
        self.journal_task(&self.graph(), node, None);
    }

    /// Returns when what was recorded so far is written, as far as it must be before more comes.
    pub(crate) async fn room_in_journal(&self) {
        if let Some(life) = &self.life {
            life.recorder.journal.room().await;
        }
    }

    /// Appends what a run waits for.
    pub(crate) fn journal_edges(&self, edges: &[Edge]) {
        let Some(life) = &self.life else { return };
        for edge in edges {
            if let Some(from) = life.spot_of(edge.from) {
                life.append(Record::Edge(EdgeRow {
                    from,
                    to: life.spot(edge.to),
                    parameter: edge.parameter,
                }));
            }
        }
    }

    /// Appends an attempt that failed and is followed by another; without a place, of the flow run itself.
    pub(crate) fn journal_attempt(
        &self,
        place: Option<NodeRef>,
        attempt: u32,
        (started, ended): (Stamp, Stamp),
        error: &Error,
    ) {
        if let Some(life) = &self.life {
            life.append(Record::Attempt(Box::new(AttemptRow {
                task: place.map(|place| life.spot(place)),
                run: life.no,
                attempt,
                started: self.timestamp(started),
                ended: self.timestamp(ended),
                error: said_by(error),
            })));
        }
    }

    /// The runtime takes the flow run in, and from here on the journal has it.
    pub(crate) fn note_taken_in(&self) {
        if let Some(life) = &self.life {
            life.take_in();
        }
    }

    /// Appends how the flow run itself stands.
    pub(crate) fn journal_flow(&self) {
        let outcome = self.outcome();
        // Between attempts it has none of its own: the attempt that failed has.
        let error = outcome.error.as_ref().filter(|_| outcome.state.is_terminal());
        self.journal_flow_as(outcome.state, error, outcome.ended);
        if let Some(life) = self.life.as_ref().filter(|_| outcome.ended != Stamp::NEVER) {
            life.ended.store(true, Ordering::Relaxed);
        }
    }

    /// Appends the flow run as it would stand, in this state.
    pub(crate) fn journal_flow_as(&self, state: State, error: Option<&Error>, ended: Stamp) {
        let Some(life) = &self.life else { return };
        let parent = self
            .parent()
            .and_then(|(parent, place)| Some(parent.life.as_ref()?.spot(place)));
        let attempts = self.graph().attempts;
        let row = FlowRow {
            no: life.no,
            id: self.id.as_u128(),
            life: life.number,
            root: life.root,
            parent,
            definition: life.recorder.definition(self.definition),
            name: Arc::from(self.name()),
            tags: self.own_tags(),
            state: state.name(),
            attempts,
            error: error.map(said_by),
            created: self.epoch.wall().into(),
            ended: self.timestamp_of(ended),
            parameters: life.parameters.get().cloned(),
            result_json: life.result_json.get().cloned(),
        };
        life.append(Record::Flow(Box::new(row)));
    }
}
