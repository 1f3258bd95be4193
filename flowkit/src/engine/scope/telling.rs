//! What observers are told, which is put together only if there are any.

use std::any::Any;

use super::{Change, Scope};
use crate::clock::Stamp;
use crate::event::{Event, EventKind};
use crate::graph::Name;
use crate::ids::NodeRef;
use crate::state::State;

impl Scope {
    /// Whether anybody would be told.
    pub(crate) fn is_watched(&self) -> bool {
        !self.runtime.observers.is_empty()
    }

    /// Tells observers of an event at `now`, which is put together only if there are any.
    pub(crate) fn tell<'a>(&'a self, now: Stamp, kind: impl FnOnce() -> EventKind<'a>) {
        if self.is_watched() {
            let at = self.epoch.wall_time(now);
            self.runtime.observers.tell(&Event {
                at,
                flow_run: self.id,
                flow_run_name: self.name(),
                kind: kind(),
                scope: self,
            });
        }
    }

    /// The name of a run, if there is anybody to be told of it.
    pub(crate) fn watched_name(&self, place: NodeRef) -> Option<Name> {
        self.is_watched().then(|| self.graph().name(place))
    }

    /// Tells observers of an event that happens now.
    pub(crate) fn tell_now(&self, kind: EventKind<'_>) {
        self.tell(self.epoch.stamp(), || kind);
    }

    /// Tells observers what the body of a run reports, or that of the flow itself.
    pub(crate) fn tell_report(&self, place: Option<NodeRef>, report: &(dyn Any + Send + Sync)) {
        let Some(place) = place else {
            return self.tell_now(EventKind::Reported {
                id: None,
                name: self.name(),
                task: self.definition.name(),
                report,
            });
        };
        let (name, task) = {
            let graph = self.graph();
            let task = graph.node(place).map_or("", |node| node.definition.name());
            (graph.name(place), task)
        };
        self.tell_now(EventKind::Reported {
            id: Some(self.task_run_id(place)),
            name: &name,
            task,
            report,
        });
    }

    pub(super) fn tell_state(
        &self,
        place: NodeRef,
        from: Option<State>,
        to: State,
        change: &Change<'_>,
        now: Stamp,
    ) {
        let (name, task, attempt) = {
            let graph = self.graph();
            let attempts = graph.record(place).map_or(0, |record| u32::from(record.attempts));
            let task = graph.node(place).map_or("", |node| node.definition.name());
            (graph.name(place), task, change.attempt.max(attempts))
        };
        self.tell(now, || EventKind::TaskRunState {
            id: self.task_run_id(place),
            name: &name,
            task,
            from,
            to,
            attempt,
            error: change.error,
        });
    }
}
