//! Order without data: a run that another waits for, whatever its type.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::completion::WaiterKey;
use crate::engine::scope::Scope;
use crate::error::Error;
use crate::ids::TaskRunId;
use crate::state::State;

/// A submitted run, or a whole fan-out, without its type.
pub(crate) trait AnyRun: Send + Sync {
    fn run_id(&self, index: u32) -> TaskRunId;
    fn scope(&self) -> &Arc<Scope>;
    fn poll_done(&self, index: u32, cx: &Context<'_>, key: &mut WaiterKey) -> Poll<()>;
    fn leave(&self, index: u32, key: &mut WaiterKey);
    /// The error of a run that ended without a value; of a whole fan-out, the first in input order.
    fn error(&self, index: u32) -> Option<Error>;
    fn cancel(&self, index: u32);
    fn state(&self, index: u32) -> State;
}

/// A run to wait for: see [`TaskCall::wait_for`](crate::TaskCall::wait_for).
pub struct Order {
    run: Arc<dyn AnyRun>,
    index: u32,
    key: WaiterKey,
    /// Whether it may have failed.
    tolerant: bool,
}

impl fmt::Debug for Order {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Order")
            .field("after", &self.id())
            .field("tolerant", &self.tolerant)
            .finish()
    }
}

impl Order {
    pub(crate) fn after(run: Arc<dyn AnyRun>, index: u32) -> Self {
        Self {
            run,
            index,
            key: WaiterKey::default(),
            tolerant: false,
        }
    }

    pub(crate) fn tolerant(mut self) -> Self {
        self.tolerant = true;
        self
    }

    pub(crate) fn id(&self) -> TaskRunId {
        self.run.run_id(self.index)
    }

    pub(crate) fn scope(&self) -> &Arc<Scope> {
        self.run.scope()
    }

    /// Notes that how the run ends is known: it was passed on.
    pub(crate) fn observe(&self) {
        self.run.scope().observe(self.id().place());
    }

    /// Ready once the run has ended; an error if it may not have failed and did.
    pub(crate) fn poll_done(&mut self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.run.poll_done(self.index, cx, &mut self.key));
        let Some(error) = self.run.error(self.index) else {
            return Poll::Ready(Ok(()));
        };
        self.observe();
        let tolerant = self.tolerant || cfg!(flowkit_fault = "failed-upstream-ignored");
        Poll::Ready(if tolerant { Ok(()) } else { Err(error) })
    }
}

impl Drop for Order {
    fn drop(&mut self) {
        self.run.leave(self.index, &mut self.key);
    }
}

/// What a call can be told to wait for: a handle, a fan-out, or either with its failure allowed.
pub trait IntoOrder {
    /// The run to wait for.
    fn into_order(self) -> Order;
}
