//! One node of the graph, in the room that a plain task run needs: there may be a million, and each page of them is touched for the first time.
//!
//! What only some nodes have is elsewhere, and found from here.

use std::sync::Arc;

use super::control::ControlKey;
use super::extra::Extra;
use crate::clock::Stamp;
use crate::definition::Definition;
use crate::engine::scope::Scope;
use crate::ids::NodeRef;
use crate::state::State;

/// What a node stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NodeKind<'a> {
    /// One task run.
    Task,
    /// The runs of a fan-out, in compact form.
    FanOut(&'a [Record]),
    /// A flow run of its own.
    Subflow(&'a Arc<Scope>),
}

/// What a node is made of that is more than one task run.
enum Parts {
    Items(Vec<Record>),
    Subflow(Arc<Scope>),
}

/// The states and times that every run has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) state: State,
    pub(crate) observed: bool,
    pub(crate) attempts: u16,
    pub(crate) started: Stamp,
    pub(crate) ended: Stamp,
}

impl Record {
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Pending,
            observed: false,
            attempts: 0,
            started: Stamp::NEVER,
            ended: Stamp::NEVER,
        }
    }
}

pub(crate) struct Node {
    pub(crate) definition: &'static Definition,
    pub(crate) created: Stamp,
    pub(crate) record: Record,
    /// What called it; the flow run itself where the flow's own body did.
    parent: NodeRef,
    parts: Option<Box<Parts>>,
    pub(super) extra: Option<Box<Extra>>,
    pub(super) control: ControlKey,
    /// Whether somebody stopped it.
    pub(crate) stopped: bool,
    pub(crate) has_children: bool,
}

const _: () = assert!(size_of::<Node>() <= 72);

impl Node {
    /// A node that is entered now.
    pub(crate) fn new(definition: &'static Definition, parent: Option<NodeRef>, created: Stamp) -> Self {
        Self {
            definition,
            created,
            record: Record::new(),
            parent: parent.unwrap_or(NodeRef::ROOT),
            parts: None,
            extra: None,
            control: ControlKey::NONE,
            stopped: false,
            has_children: false,
        }
    }

    /// The same, of a fan-out with so many items so far.
    pub(crate) fn with_items(mut self, items: usize) -> Self {
        self.parts = Some(Box::new(Parts::Items(vec![Record::new(); items])));
        self
    }

    /// It stands for this flow run.
    pub(crate) fn set_subflow(&mut self, subflow: Arc<Scope>) {
        self.parts = Some(Box::new(Parts::Subflow(subflow)));
    }

    /// The flow run that it stands for, which it lets go.
    pub(crate) fn take_subflow(&mut self) -> Option<Arc<Scope>> {
        self.parts
            .take_if(|parts| matches!(**parts, Parts::Subflow(_)))
            .and_then(|parts| match *parts {
                Parts::Subflow(subflow) => Some(subflow),
                Parts::Items(_) => None,
            })
    }

    /// What called it; none where the flow's own body did.
    pub(crate) fn parent(&self) -> Option<NodeRef> {
        (self.parent != NodeRef::ROOT).then_some(self.parent)
    }

    pub(crate) fn kind(&self) -> NodeKind<'_> {
        match self.parts.as_deref() {
            None => NodeKind::Task,
            Some(Parts::Items(items)) => NodeKind::FanOut(items),
            Some(Parts::Subflow(subflow)) => NodeKind::Subflow(subflow),
        }
    }

    /// The runs of a fan-out; none of what is none.
    pub(crate) fn items_mut(&mut self) -> Option<&mut Vec<Record>> {
        match self.parts.as_deref_mut() {
            Some(Parts::Items(items)) => Some(items),
            Some(Parts::Subflow(_)) | None => None,
        }
    }
}
