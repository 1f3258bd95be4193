//! Items that are not run: cancelled alone or with the whole, or announced and never made.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::AbortHandle;

use super::shared::{Items, SharedFanOut};
use crate::definition::DefinitionKind;
use crate::engine::scope::Change;
use crate::error::{Error, ErrorKind};
use crate::graph::{Cancel, Node};
use crate::ids::NodeRef;
use crate::state::State;

impl SharedFanOut {
    /// Cancels one item: the lane that runs it drops it, and one whose turn has not come ends here.
    pub(super) fn cancel_item(&self, index: u32) {
        let close = {
            let mut items = self.lock();
            if !items.is_open(index) {
                return;
            }
            if index < items.taken {
                let lane = items.lanes.values().find(|lane| lane.item == Some(index));
                let signal = lane.map(|lane| Arc::clone(&lane.signal));
                drop(items);
                signal.iter().for_each(|signal| signal.ask(index));
                return;
            }
            let place = NodeRef::item(self.node.node, index);
            let error = self.cancelled_error_of(place);
            items.outcomes.fail(index, error.clone());
            items.ended.push(index);
            (items.closes(), place, error)
        };
        let (close, place, error) = close;
        self.record_cancelled(place, &error);
        self.after_end(close, Some(index));
    }

    /// Says that an item was cancelled before its turn came. Observers are told: not under the lock.
    fn record_cancelled(&self, place: NodeRef, error: &Error) {
        let change = Change {
            error: Some(error),
            ..Change::default()
        };
        self.scope.change(place, State::Cancelled, &change);
    }

    /// No call follows, because the iterator ended, broke or was dropped.
    pub(crate) fn exhaust(&self, broken: Option<Error>) {
        let (close, refused) = {
            let mut items = self.lock();
            items.exhausted = true;
            items.broken = items.broken.take().or(broken);
            let refused = self.refuse_the_rest(&mut items);
            (items.closes(), refused)
        };
        if let Some((indexes, error)) = refused {
            for index in indexes {
                self.record_cancelled(NodeRef::item(self.node.node, index), &error);
            }
        }
        self.after_end(close, None);
    }

    /// Ends the items that were announced and never taken: the fan-out was cancelled, or its iterator was shorter. Gives those that
    /// were refused, and why.
    fn refuse_the_rest(&self, items: &mut Items) -> Option<(Vec<u32>, Error)> {
        let taken = items.taken as usize;
        if !self.is_cancelled() && items.broken.is_none() {
            items.outcomes.truncate(taken);
            if let Some(records) = self.scope.graph().node_mut(self.node).and_then(Node::items_mut) {
                records.truncate(taken);
            }
            return None;
        }
        let mut refused = Vec::new();
        let error = items.broken.clone().unwrap_or_else(|| self.cancelled_error());
        let announced = u32::try_from(items.outcomes.len()).unwrap_or(u32::MAX);
        for index in items.taken..announced {
            if items.is_open(index) {
                items.outcomes.fail(index, error.clone());
                items.ended.push(index);
                items.broken_in_items |= items.broken.is_some();
                refused.push(index);
            }
        }
        items.taken = announced;
        Some((refused, error))
    }

    pub(super) fn cancelled_error(&self) -> Error {
        self.cancelled_error_of(self.node)
    }

    fn cancelled_error_of(&self, place: NodeRef) -> Error {
        Error::new(ErrorKind::Cancelled, DefinitionKind::Task, self.definition.name())
            .in_task_run(self.scope.task_run_id(place))
    }
}

impl Cancel for SharedFanOut {
    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.drop_calls();
        self.exhaust(None);
        let lanes = std::mem::take(&mut self.lock().lanes);
        let tasks = lanes.values().filter_map(|lane| lane.task.as_ref());
        tasks.for_each(AbortHandle::abort);
    }
}
