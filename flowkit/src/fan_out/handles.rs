//! What handles ask of a fan-out, as a whole or item by item: its ends, outcomes and states, and to be cancelled.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::outcomes::Standing;
use super::shared::{ANY, Items, Prefix, SharedFanOut, WHOLE};
use crate::completion::{Given, Outcome, WaiterKey};
use crate::engine::scope::Scope;
use crate::error::Error;
use crate::graph::Cancel;
use crate::handle::HandleSource;
use crate::ids::{NodeRef, TaskRunId};
use crate::order::AnyRun;
use crate::state::State;

impl AnyRun for SharedFanOut {
    fn run_id(&self, index: u32) -> TaskRunId {
        let place = if index == WHOLE {
            self.node
        } else {
            NodeRef::item(self.node.node, index)
        };
        self.scope.task_run_id(place)
    }

    fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    fn poll_done(&self, index: u32, cx: &Context<'_>, key: &mut WaiterKey) -> Poll<()> {
        let mut items = self.lock();
        if items.is_done(index) {
            return Poll::Ready(());
        }
        self.wait_in(&mut items, index, cx, key);
        Poll::Pending
    }

    fn leave(&self, index: u32, key: &mut WaiterKey) {
        if let Some(key) = key.0.take() {
            self.lock().waiters.remove(&(index, key));
        }
    }

    fn error(&self, index: u32) -> Option<Error> {
        if index == WHOLE {
            return match self.prefix(0) {
                Prefix::Failed(error) => Some(error),
                Prefix::Complete | Prefix::OpenAt(_) => None,
            };
        }
        match self.lock().outcomes.standing(index) {
            Some(Standing::Failed(error)) => Some(error.clone()),
            _ => None,
        }
    }

    fn cancel(&self, index: u32) {
        match index {
            WHOLE => Cancel::cancel(self),
            index => self.cancel_item(index),
        }
    }

    fn state(&self, index: u32) -> State {
        self.scope.state_of(self.run_id(index).place())
    }
}

impl SharedFanOut {
    fn wait_in(&self, items: &mut Items, index: u32, cx: &Context<'_>, key: &mut WaiterKey) {
        let own = *key.0.get_or_insert_with(|| {
            items.next_waiter += 1;
            items.next_waiter
        });
        items.waiters.insert((index, own), cx.waker().clone());
    }

    /// Waits for one more item to end, unless more than `seen` have.
    pub(crate) fn poll_any(&self, seen: usize, cx: &Context<'_>, key: &mut WaiterKey) -> Poll<()> {
        let mut items = self.lock();
        if items.ended.len() > seen || items.closed {
            return Poll::Ready(());
        }
        self.wait_in(&mut items, ANY, cx, key);
        Poll::Pending
    }
}

impl<T: Send + Sync + 'static> HandleSource<T> for SharedFanOut {
    fn outcome(&self, index: u32) -> Option<Result<Arc<T>, Error>> {
        let mut items = self.lock();
        let outcome = match items.outcomes_of() {
            Ok(outcomes) => outcomes.get_mut(index as usize).map(Outcome::share),
            Err(error) => return Some(Err(error)),
        };
        outcome.unwrap_or_else(|| {
            let broken = items.broken.clone();
            Some(Err(broken.unwrap_or_else(|| self.cancelled_error())))
        })
    }

    fn poll_take(
        &self,
        index: u32,
        cx: &Context<'_>,
        key: &mut WaiterKey,
    ) -> Poll<Option<Result<Given<T>, Error>>> {
        ready!(self.poll_done(index, cx, key));
        Poll::Ready(self.outcome(index).map(|outcome| outcome.map(Given::Shared)))
    }

    // The fan-out keeps every value for its owner, so handles of items need not be counted.
    fn retain(&self, _index: u32) {}

    fn release(&self, _index: u32) {}
}
