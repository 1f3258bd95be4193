//! What a fan-out gives its owner: all values, all outcomes, those that completed, or one after another.

use std::fmt;
use std::future::{IntoFuture, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Stream;
use futures::future::BoxFuture;

use super::shared::{ANY, SharedFanOut, WHOLE};
use crate::completion::WaiterKey;
use crate::definition::DefinitionKind;
use crate::engine::slots::{Wait, without_slots};
use crate::engine::stall::toward;
use crate::error::{Error, ErrorKind};
use crate::handle::TaskHandle;
use crate::ids::{NodeRef, TaskRunId};
use crate::input::Upstream;
use crate::job::Exactly;
use crate::order::{AnyRun, IntoOrder, Order};
use crate::state::State;

/// A submitted fan-out.
///
/// Await it for all values in input order, or the first error in input order. [`outcomes`](Self::outcomes) gives every outcome,
/// [`tolerate`](Self::tolerate) allows some failures, [`as_completed`](Self::as_completed) gives them as they end. Pass `&mapped` to a parameter `Vec<T>` for
/// a fan-in. Dropped, the fan-out goes on, and the flow waits for it.
#[must_use = "a fan-out whose failures nobody looks at fails its flow; await it or pass it on"]
pub struct Mapped<T> {
    fan_out: Arc<SharedFanOut>,
    output: PhantomData<Exactly<T>>,
}

impl<T> fmt::Debug for Mapped<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Mapped")
            .field("node", &self.fan_out.node)
            .finish_non_exhaustive()
    }
}

impl<T> Mapped<T> {
    /// A fan-out whose items give a `T`.
    pub(super) fn new(fan_out: Arc<SharedFanOut>) -> Self {
        Self {
            fan_out,
            output: PhantomData,
        }
    }

    /// The same fan-out, for somebody else who wants its values.
    pub(crate) fn again(&self) -> Self {
        Self::new(self.fan_out.shared())
    }

    /// The fan-out, as what an input comes from.
    pub(crate) fn upstream(&self) -> Upstream<'_> {
        Upstream {
            id: self.id(),
            scope: &self.fan_out.scope,
        }
    }

    /// The identity of the fan-out's node.
    pub fn id(&self) -> TaskRunId {
        self.fan_out.scope.task_run_id(self.fan_out.node)
    }
}

impl<T: Send + Sync + 'static> Mapped<T> {
    /// How many items there are. Of a lazy fan-out over an iterator of unknown length, how many were taken so far.
    pub fn len(&self) -> usize {
        self.fan_out.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether every item has ended.
    pub fn is_finished(&self) -> bool {
        self.fan_out.is_closed()
    }

    /// The state of each item now, in input order.
    pub fn states(&self) -> Vec<State> {
        let places = self
            .indexes()
            .map(|index| NodeRef::item(self.fan_out.node.node, index));
        places.map(|place| self.fan_out.scope.state_of(place)).collect()
    }

    fn indexes(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.len()).unwrap_or(u32::MAX)
    }

    /// A handle of each item, in input order: what a further fan-out maps over, so that each of its items starts when
    /// its own input is there.
    ///
    /// ```
    /// use flowkit::prelude::*;
    ///
    /// #[task]
    /// async fn add(n: u64, more: u64) -> u64 {
    ///     n + more
    /// }
    ///
    /// #[flow]
    /// async fn chained() -> Result<Vec<u64>> {
    ///     let ones = (0..3).map(|n| add(n, 1u64)).submit_all();
    ///     Ok(ones.handles().map(|one| add(one, 10u64)).submit_all().await?)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// assert_eq!(chained().await.unwrap(), [11, 12, 13]);
    /// # }
    /// ```
    pub fn handles(&self) -> impl ExactSizeIterator<Item = TaskHandle<T>> + use<T> {
        let fan_out = self.fan_out.shared();
        let indexes = 0..u32::try_from(fan_out.len()).unwrap_or(u32::MAX);
        indexes.map(move |index| TaskHandle::new(Arc::clone(&fan_out) as _, index))
    }

    /// Cancels what has not ended.
    pub fn cancel(&self) {
        AnyRun::cancel(&*self.fan_out, WHOLE);
    }
}

impl<T: Clone + Send + Sync + 'static> Mapped<T> {
    /// Waits for every item, and gives every outcome in input order, failures among them. If some never end, because they wait for the run that asks,
    /// their outcome is an error of kind [`Stalled`](ErrorKind::Stalled).
    pub async fn outcomes(self) -> Outcomes<T> {
        let ended = async {
            self.fan_out.closed().await;
            Ok(())
        };
        let (scope, node) = (&self.fan_out.scope, self.fan_out.node);
        let ended = without_slots(toward(scope, node, ended)).await;
        self.fan_out.look_at_all();
        Outcomes(match ended {
            Ok(()) => self.fan_out.outcomes(),
            Err(stalled) => self.fan_out.outcomes_so_far(&stalled),
        })
    }

    /// The outcomes, for a run that has no slots to give back: its inputs are not there yet.
    pub(crate) async fn gathered_outcomes(self) -> Outcomes<T> {
        self.fan_out.closed().await;
        self.fan_out.look_at_all();
        Outcomes(self.fan_out.outcomes())
    }

    /// Waits for every item, and gives every outcome, unless more than `failures` of them failed.
    ///
    /// # Errors
    /// The first error in input order, if too many items failed.
    pub async fn tolerate(self, failures: usize) -> Result<Outcomes<T>, Error> {
        let outcomes = self.outcomes().await;
        let failed = outcomes.failures().count();
        outcomes.unless(failed > failures)
    }

    /// Waits for every item, and gives every outcome, unless more than this share of them failed, from 0 to 1.
    ///
    /// # Errors
    /// The first error in input order, if too many items failed.
    pub async fn tolerate_share(self, share: f64) -> Result<Outcomes<T>, Error> {
        let outcomes = self.outcomes().await;
        let (failed, items) = (outcomes.failures().count(), outcomes.len());
        // Written so that a share that is no number tolerates nothing.
        let tolerable = failed as f64 <= share * items as f64;
        outcomes.unless(!tolerable)
    }

    /// The outcomes with their indexes, each as soon as its item has ended.
    ///
    /// A failure is looked at when it is taken from here; one that is left in the stream is looked at by nobody. If the
    /// iterator of calls panicked, that comes last, unless items that were announced have it for their outcome.
    pub fn as_completed(&self) -> AsCompleted<T> {
        AsCompleted {
            fan_out: self.fan_out.shared(),
            seen: 0,
            key: WaiterKey::default(),
            wait: Wait::default(),
            output: PhantomData,
        }
    }

    /// All values, or the first error in input order, which is known once all items before it have ended.
    pub(crate) async fn gathered_values(self) -> Result<Vec<T>, Error> {
        self.fan_out.completed().await?;
        self.fan_out.outcomes().into_iter().collect()
    }
}

impl<T: Clone + Send + Sync + 'static> IntoFuture for Mapped<T> {
    type Output = Result<Vec<T>, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let fan_out = Arc::clone(&self.fan_out);
            without_slots(toward(&fan_out.scope, fan_out.node, self.gathered_values())).await
        })
    }
}

impl<T: Clone + Send + Sync + 'static> IntoFuture for &Mapped<T> {
    type Output = Result<Vec<T>, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.again().into_future()
    }
}

impl<T: Send + Sync + 'static> IntoOrder for &Mapped<T> {
    fn into_order(self) -> Order {
        Order::after(Arc::clone(&self.fan_out) as _, WHOLE)
    }
}

impl<T: Send + Sync + 'static> IntoOrder for Mapped<T> {
    fn into_order(self) -> Order {
        (&self).into_order()
    }
}

/// Every outcome of a fan-out, in input order.
#[derive(Debug, Clone)]
pub struct Outcomes<T>(Vec<Result<T, Error>>);

impl<T> Outcomes<T> {
    /// The outcomes, or the first error if too many failed.
    fn unless(self, too_many: bool) -> Result<Self, Error> {
        if !too_many {
            return Ok(self);
        }
        let first = self.0.into_iter().find_map(Result::err);
        Err(first.unwrap_or_else(|| Error::new(ErrorKind::Internal, DefinitionKind::Task, "fan-out")))
    }

    /// The values of the items that completed, in input order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(|outcome| outcome.as_ref().ok())
    }

    /// The values of the items that completed, in input order.
    pub fn into_values(self) -> Vec<T> {
        self.0.into_iter().filter_map(Result::ok).collect()
    }

    /// The errors of the items that did not, with their indexes.
    pub fn failures(&self) -> impl Iterator<Item = (usize, &Error)> {
        self.0
            .iter()
            .enumerate()
            .filter_map(|(index, outcome)| Some((index, outcome.as_ref().err()?)))
    }

    /// The outcomes, one for each item.
    pub fn into_vec(self) -> Vec<Result<T, Error>> {
        self.0
    }
}

impl<T> std::ops::Deref for Outcomes<T> {
    type Target = [Result<T, Error>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> IntoIterator for Outcomes<T> {
    type Item = Result<T, Error>;
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The outcomes of a fan-out as they come: a stream of indexes and outcomes.
#[must_use = "streams do nothing unless polled"]
pub struct AsCompleted<T: Send + Sync + 'static> {
    fan_out: Arc<SharedFanOut>,
    seen: usize,
    key: WaiterKey,
    wait: Wait<Indexed<T>>,
    output: PhantomData<Exactly<T>>,
}

/// An outcome and its index; none after the last.
type Indexed<T> = Option<(usize, Result<T, Error>)>;

impl<T: Send + Sync + 'static> Unpin for AsCompleted<T> {}

impl<T: Send + Sync + 'static> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AsCompleted")
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

impl<T: Clone + Send + Sync + 'static> AsCompleted<T> {
    /// The next outcome; none after the last.
    pub async fn next(&mut self) -> Option<(usize, Result<T, Error>)> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    fn poll_one(&mut self, cx: &Context<'_>) -> Poll<Indexed<T>> {
        ready!(self.fan_out.poll_any(self.seen, cx, &mut self.key));
        let Some((index, outcome)) = self.fan_out.nth_ended(self.seen) else {
            // Every outcome was given, and with them that of the whole.
            self.fan_out.scope.observe(self.fan_out.node);
            return Poll::Ready(None);
        };
        self.seen += 1;
        if outcome.is_err() {
            self.fan_out
                .scope
                .observe(NodeRef::item(self.fan_out.node.node, index));
        }
        Poll::Ready(Some((index as usize, outcome)))
    }
}

impl<T: Clone + Send + Sync + 'static> Stream for AsCompleted<T> {
    type Item = (usize, Result<T, Error>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut wait = std::mem::take(&mut self.wait);
        let polled = wait.poll(cx, |cx| self.poll_one(cx));
        self.wait = wait;
        polled
    }
}

impl<T: Send + Sync + 'static> Drop for AsCompleted<T> {
    fn drop(&mut self) {
        self.fan_out.leave(ANY, &mut self.key);
    }
}
