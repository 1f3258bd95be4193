//! One flow run while it lives: its graph behind a lock, what is still running in it, and the way to stop all of it.
//!
//! Only this room changes the state of a run, and only along the table of states. Every change is told to observers.

mod live;
mod own;
mod telling;

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio::sync::Notify;

use super::memo::Memo;
use crate::clock::{Epoch, Stamp};
use crate::context::{Ambient, RunContext, Tags};
use crate::definition::Definition;
use crate::error::Error;
use crate::graph::{Extra, FailedAttempt, Graph, NewEdge, Node, Rare, Record};
use crate::ids::{FlowRunId, NodeRef, TaskRunId};
use crate::journaling::calls::Calls;
use crate::journaling::replay::Resumed;
use crate::journaling::{CallRecord, Life};
use crate::pause::Pauses;
use crate::runtime::RuntimeInner;
use crate::state::State;
use crate::told::said_by;

/// One flow run.
pub(crate) struct Scope {
    pub(crate) id: FlowRunId,
    pub(crate) runtime: Arc<RuntimeInner>,
    pub(crate) definition: &'static Definition,
    pub(crate) epoch: Epoch,
    /// The node that stands for this run in the flow it was called from.
    above: Option<(Weak<Self>, NodeRef)>,
    name: OnceLock<Box<str>>,
    tags: Vec<Arc<str>>,
    graph: Mutex<Graph>,
    /// Submitted runs that have not ended, and whether anybody waits for their end.
    live: AtomicUsize,
    /// Whether any run in it was stopped.
    stops: AtomicBool,
    drained: Notify,
    /// How many runs wait for the end of what they called.
    draining: AtomicUsize,
    /// Some run has ended, while one waited for that.
    left: Notify,
    /// The runs that have begun something beside their bodies, which ends before they are tried again.
    beside: Mutex<Vec<NodeRef>>,
    /// Whether it takes no more runs.
    closed: AtomicBool,
    /// Whether somebody asked for its end.
    cancelled: AtomicBool,
    cancel: Notify,
    /// Why it was ended, if it could not go on.
    stalled: OnceLock<Error>,
    /// What its runs returned in earlier attempts, if there may be more than one.
    memo: OnceLock<Arc<Memo>>,
    /// The calls that the flow's own body makes, where they must be known again. A subflow knows them once its inputs are there.
    calls: OnceLock<Arc<Calls>>,
    outcome: Mutex<Outcome>,
    /// Where it waits, or has waited, to be resumed.
    pub(crate) pauses: Pauses,
    /// Its life in the journal, if the runtime has one.
    pub(crate) life: Option<Life>,
}

/// One flow run after another goes, however deep they are in each other.
impl Drop for Scope {
    fn drop(&mut self) {
        let subflows_of = |scope: &mut Self| {
            let graph = scope.graph.get_mut().unwrap_or_else(PoisonError::into_inner);
            graph.take_subflows()
        };
        let mut subflows = subflows_of(self);
        while let Some(subflow) = subflows.pop() {
            if let Some(mut subflow) = Arc::into_inner(subflow) {
                subflows.extend(subflows_of(&mut subflow));
            }
        }
    }
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Scope")
            .field("id", &self.id)
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

/// Where the flow run itself stands.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) state: State,
    pub(crate) error: Option<Error>,
    pub(crate) ended: Stamp,
}

/// A run to be entered in the graph.
pub(crate) struct NewRun {
    pub(crate) definition: &'static Definition,
    pub(crate) parent: Option<NodeRef>,
    /// How many items there are so far, if it is a fan-out.
    pub(crate) items: Option<usize>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) tags: Vec<Arc<str>>,
    pub(crate) edges: Vec<NewEdge>,
}

/// A change of a run's state, with what goes with it.
#[derive(Default)]
pub(crate) struct Change<'a> {
    pub(crate) attempt: u32,
    pub(crate) error: Option<&'a Error>,
    /// Whether the caller itself is given the outcome, so that nobody else need look at it.
    pub(crate) observed: bool,
    /// What the journal is to have of the run beside its state.
    pub(crate) call: Option<&'a CallRecord>,
    /// Whether it is made in the moment in which the run was entered: then no clock is asked.
    pub(crate) at_once: bool,
}

impl Scope {
    /// A run of `definition` that begins now.
    pub(crate) fn new(
        runtime: &Arc<RuntimeInner>,
        definition: &'static Definition,
        parent: Option<(Arc<Self>, NodeRef)>,
        tags: Vec<Arc<str>>,
    ) -> Arc<Self> {
        Self::with_life(runtime, definition, parent, tags, None)
    }

    /// The same, of a flow run that goes on where an earlier life of it was left.
    pub(crate) fn with_life(
        runtime: &Arc<RuntimeInner>,
        definition: &'static Definition,
        parent: Option<(Arc<Self>, NodeRef)>,
        tags: Vec<Arc<str>>,
        resumed: Option<Resumed>,
    ) -> Arc<Self> {
        let epoch = Epoch::new(&*runtime.clock);
        let id = match &resumed {
            Some(resumed) => resumed.id,
            None => runtime.ids.flow_run(epoch.wall()),
        };
        let life = match (&parent, &runtime.recorder) {
            (Some((parent, _)), _) => parent.life.as_ref().map(|life| life.below(id)),
            (None, Some(recorder)) => Some(Life::of_root(recorder, id, resumed)),
            (None, None) => None,
        };
        let is_journaled_root = parent.is_none() && life.is_some();
        let scope = Self {
            id,
            life,
            runtime: Arc::clone(runtime),
            definition,
            epoch,
            above: parent.map(|(parent, place)| (Arc::downgrade(&parent), place)),
            name: OnceLock::new(),
            tags,
            graph: Mutex::new(Graph::default()),
            live: AtomicUsize::new(0),
            stops: AtomicBool::new(false),
            drained: Notify::new(),
            draining: AtomicUsize::new(0),
            left: Notify::new(),
            beside: Mutex::default(),
            closed: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            cancel: Notify::new(),
            stalled: OnceLock::new(),
            memo: OnceLock::new(),
            calls: OnceLock::new(),
            outcome: Mutex::new(Outcome {
                state: State::Pending,
                error: None,
                ended: Stamp::NEVER,
            }),
            pauses: Pauses::default(),
        };
        if is_journaled_root {
            scope.set_calls(Calls::of_root(id.as_u128()));
        }
        Arc::new(scope)
    }

    /// The flow run that this one was called in, and the node that stands for it there.
    ///
    /// It holds this one by that node, so it is not held by it. As long as a subflow goes on the flow above does, which waits for it.
    pub(crate) fn parent(&self) -> Option<(Arc<Self>, NodeRef)> {
        let (parent, place) = self.above.as_ref()?;
        Some((parent.upgrade()?, *place))
    }

    /// Whether no flow called it.
    pub(crate) fn is_root(&self) -> bool {
        self.above.is_none()
    }

    pub(crate) fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run's name: the definition's, unless one was given.
    pub(crate) fn name(&self) -> &str {
        self.name.get().map_or(self.definition.name(), |name| name)
    }

    /// Names the run; only the first name counts.
    pub(crate) fn set_name(&self, name: impl Into<Box<str>>) {
        // A second name is dropped on purpose: a run is named once.
        let _ = self.name.set(name.into());
    }

    /// The context of this run's body.
    pub(crate) fn context(self: &Arc<Self>, tags: Tags, attempt: u32) -> RunContext {
        let mut context = RunContext::of(Arc::clone(self), attempt, self.calls().cloned());
        if tags.is_some() {
            context.around_mut().tags = tags;
        }
        context
    }

    /// The same, to be put in place when the body is polled.
    pub(crate) fn ambient(self: &Arc<Self>, tags: Tags, attempt: u32) -> Ambient {
        Ambient::Run(self.context(tags, attempt))
    }

    pub(crate) fn task_run_id(&self, place: NodeRef) -> TaskRunId {
        TaskRunId::new(self.id, place)
    }

    /// The tags of the flow run itself, sorted.
    pub(crate) fn own_tags(&self) -> Vec<String> {
        sorted(self.definition.tags(), &self.tags)
    }

    /// The tags of a run in it, sorted.
    pub(crate) fn tags(&self, place: NodeRef) -> Vec<String> {
        let graph = self.graph();
        tags_of(&graph, place)
    }

    /// Enters a run in the graph.
    pub(crate) fn add(&self, run: NewRun) -> NodeRef {
        let now = self.epoch.stamp();
        let place = {
            let mut graph = self.graph();
            let node = Node::new(run.definition, run.parent, now);
            let place = graph.add(match run.items {
                Some(items) => node.with_items(items),
                None => node,
            });
            let known = graph.edges.len();
            graph.describe(place, run.edges, run.name, run.tags);
            if self.life.is_some() {
                self.journal_task(&graph, place, None);
                self.journal_edges(graph.edges.get(known..).unwrap_or_default());
            }
            place
        };
        if self.is_watched() {
            self.tell_state(place, None, State::Pending, &Change::default(), now);
        }
        place
    }

    /// Enters one more item of a fan-out.
    pub(crate) fn add_item(
        &self,
        node: NodeRef,
        item: u32,
        name: Option<Arc<str>>,
        tags: Vec<Arc<str>>,
        edges: Vec<NewEdge>,
    ) -> NodeRef {
        let place = NodeRef::item(node.node, item);
        {
            let mut graph = self.graph();
            if let Some(items) = graph.node_mut(node).and_then(Node::items_mut)
                && items.len() <= item as usize
            {
                items.resize(item as usize + 1, Record::new());
            }
            let known = graph.edges.len();
            graph.describe(place, edges, name, tags);
            self.journal_edges(graph.edges.get(known..).unwrap_or_default());
        }
        if self.is_watched() {
            self.tell_state(
                place,
                None,
                State::Pending,
                &Change::default(),
                self.epoch.stamp(),
            );
        }
        place
    }

    /// The task of a node that was entered before it was known.
    pub(crate) fn define(&self, place: NodeRef, definition: &'static Definition) {
        if let Some(node) = self.graph().node_mut(place) {
            node.definition = definition;
        }
    }

    /// Changes the state of a run. A change that the table forbids is a bug of ours: it is logged and not made.
    pub(crate) fn change(&self, place: NodeRef, to: State, change: &Change<'_>) -> bool {
        let stamp = (!change.at_once).then(|| self.epoch.stamp());
        // What an error says is the user's code, which may ask for the state of a run: not under the lock.
        let said = change
            .error
            .filter(|_| to.is_terminal() && self.life.is_some())
            .map(said_by);
        let (changed, now) = {
            let mut graph = self.graph();
            let now = stamp.unwrap_or_else(|| graph.created(place));
            let changed = graph.change(place, to, now);
            if changed.is_ok() {
                if let Some(error) = change.error.filter(|_| to.is_terminal()) {
                    graph.extra_mut(place).error = Some(error.clone());
                }
                if (change.observed || cfg!(flowkit_fault = "failure-looked-at-by-nobody")) && to.is_failure()
                {
                    graph.observe(place);
                }
                self.journal_task_saying(&graph, place, change.call, said);
                if to == State::Cached {
                    graph.forget_key(place);
                }
            }
            (changed, now)
        };
        match changed {
            Ok(from) => {
                if to.is_terminal() {
                    self.tell_draining();
                }
                if self.is_watched() {
                    self.tell_state(place, Some(from), to, change, now);
                }
                true
            }
            Err(refused) => {
                tracing::error!(
                    target: "flowkit", task_run = %self.task_run_id(place), from = %refused.from, to = %refused.to,
                    "the table of states forbids this change; it was not made"
                );
                false
            }
        }
    }

    pub(crate) fn state_of(&self, place: NodeRef) -> State {
        self.graph()
            .record(place)
            .map_or(State::Scheduled, |record| record.state)
    }

    /// The error of a run that failed and that nobody has looked at, which is looked at by this.
    pub(crate) fn take_unhandled(&self, place: NodeRef) -> Option<Error> {
        let mut graph = self.graph();
        let record = graph.record(place)?;
        if record.observed || !record.state.is_failure() {
            return None;
        }
        graph.observe(place);
        graph.extra(place)?.error.clone()
    }

    /// Notes that somebody looked at how a run ended.
    pub(crate) fn observe(&self, place: NodeRef) {
        self.graph().observe(place);
    }

    /// Notes that how everything ended that a run called is known.
    pub(crate) fn observe_descendants(&self, place: NodeRef) {
        let mut graph = self.graph();
        if graph.node(place).is_some_and(|node| node.has_children) {
            for node in graph.descendants(place) {
                graph.observe(NodeRef::node(node));
            }
        }
    }

    /// Notes what only few runs have.
    pub(crate) fn note(&self, place: NodeRef, note: impl FnOnce(&mut Extra)) {
        note(self.graph().extra_mut(place));
    }

    /// Notes what the journal is to have of a run, whoever writes it; without its result, which is written once.
    pub(crate) fn note_call(&self, place: NodeRef, call: &CallRecord) {
        let call = CallRecord {
            result: None,
            ..call.clone()
        };
        self.note(place, |extra| extra.call = Some(Arc::new(call)));
    }

    /// Records an attempt that is followed by another.
    pub(crate) fn note_failed_attempt(&self, place: NodeRef, started: Stamp, error: Error) {
        let ended = self.epoch.stamp();
        if self.life.is_some() {
            let attempt = self.graph().record(place).map_or(0, |record| record.attempts);
            self.journal_attempt(Some(place), u32::from(attempt), (started, ended), &error);
        }
        self.note(place, |extra| {
            extra.rare_mut().failed_attempts.push(FailedAttempt {
                started,
                ended,
                error,
            });
        });
    }

    /// Records that a hook of a run in it failed; without a place, of the flow run itself.
    pub(crate) fn note_hook_failure(&self, place: Option<NodeRef>, trouble: &str) {
        self.note(place.unwrap_or(NodeRef::ROOT), |extra| {
            extra.rare_mut().hook_failures.push(trouble.into());
        });
    }
}

/// The tags of a run: those of its definition, its call and its surroundings.
pub(crate) fn tags_of(graph: &Graph, place: NodeRef) -> Vec<String> {
    let declared = graph.node(place).map_or(&[][..], |node| node.definition.tags());
    let own = &Rare::of(graph.extra(place)).tags;
    sorted(declared, own)
}

fn sorted(declared: &[&str], own: &[Arc<str>]) -> Vec<String> {
    let mut tags: Vec<String> = declared.iter().map(|&tag| tag.to_owned()).collect();
    tags.extend(own.iter().map(|tag| tag.as_ref().to_owned()));
    tags.sort_unstable();
    tags.dedup();
    tags
}
