//! Inputs that come from more than one value: groups, fan-outs, and outcomes that may be failures.

use std::fmt;
use std::future::IntoFuture;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;

use crate::call::TaskCall;
use crate::completion::Given;
use crate::engine::slots::without_slots;
use crate::engine::stall::{Awaited, BodyWait};
use crate::error::Error;
use crate::fan_out::Mapped;
use crate::flow_call::FlowCall;
use crate::handle::{Awaiting, TaskHandle};
use crate::input::{Input, IntoInput, Upstream};
use crate::order::{IntoOrder, Order};

/// Puts an input together.
pub(crate) trait Gathering<T>: Send {
    /// Submits what is not started yet.
    fn start(&mut self) {}
    /// Names the runs it comes from.
    fn upstreams(&self, visit: &mut dyn FnMut(Upstream<'_>));
    /// Ready with the input.
    fn poll_gathered(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, Error>>;
}

/// A handle, or what becomes one.
pub trait IntoHandle {
    /// What the run gives.
    type Value;
    /// The handle; a call that is not started yet is submitted.
    fn into_handle(self) -> TaskHandle<Self::Value>;
}

impl<T> IntoHandle for TaskHandle<T> {
    type Value = T;
    fn into_handle(self) -> Self {
        self
    }
}

impl<T> IntoHandle for &TaskHandle<T> {
    type Value = T;
    fn into_handle(self) -> TaskHandle<T> {
        self.clone()
    }
}

impl<T: Send + Sync + 'static> IntoHandle for TaskCall<T> {
    type Value = T;
    fn into_handle(self) -> TaskHandle<T> {
        self.submit()
    }
}

impl<T: Send + Sync + 'static> IntoHandle for FlowCall<T> {
    type Value = T;
    fn into_handle(self) -> TaskHandle<T> {
        self.submit()
    }
}

/// Handles that are passed as one input: see [`all`].
pub struct Group<T>(Vec<TaskHandle<T>>);

impl<T> fmt::Debug for Group<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Group").field(&self.0).finish()
    }
}

/// Handles, as the input of a parameter `Vec<T>`, or awaited together: all values in order, or the first error in order.
///
/// ```
/// use flowkit::prelude::*;
///
/// #[task]
/// async fn square(n: u64) -> u64 {
///     n * n
/// }
///
/// #[task]
/// async fn total(numbers: &[u64]) -> u64 {
///     numbers.iter().sum()
/// }
///
/// #[flow]
/// async fn sum_of_squares() -> Result<u64> {
///     let (a, b) = (square(3).submit(), square(4).submit());
///     Ok(total(all([a, b])).await?)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(sum_of_squares().await.unwrap(), 25);
/// # }
/// ```
pub fn all<H: IntoHandle>(handles: impl IntoIterator<Item = H>) -> Group<H::Value> {
    Group(handles.into_iter().map(IntoHandle::into_handle).collect())
}

impl<T: Clone + Send + Sync + 'static> IntoFuture for Group<T> {
    type Output = Result<Vec<T>, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let mut gathering = GatherAll::new(self);
        let mut wait = BodyWait::default();
        let gathered = std::future::poll_fn(move |cx| {
            if let Poll::Ready(values) = gathering.poll_gathered(cx) {
                wait.over();
                return Poll::Ready(values);
            }
            let stalled = wait.pending(&|visit| gathering.pending.iter().for_each(|run| run.runs(visit)));
            stalled.map_or_else(|stalled| Poll::Ready(Err(stalled)), |()| Poll::Pending)
        });
        Box::pin(without_slots(gathered))
    }
}

/// The values of a group.
struct GatherAll<T> {
    pending: Vec<Awaiting<T>>,
    outcomes: Vec<Option<Result<Given<T>, Error>>>,
}

impl<T> GatherAll<T> {
    fn new(group: Group<T>) -> Self {
        let pending: Vec<_> = group.0.into_iter().map(TaskHandle::awaiting).collect();
        Self {
            outcomes: pending.iter().map(|_| None).collect(),
            pending,
        }
    }

    /// Ready once every run has ended.
    fn poll_outcomes(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut all = Poll::Ready(());
        for (awaiting, outcome) in self.pending.iter_mut().zip(&mut self.outcomes) {
            if outcome.is_none() {
                match awaiting.poll_taken(cx) {
                    Poll::Ready(ended) => *outcome = Some(ended),
                    Poll::Pending => all = Poll::Pending,
                }
            }
        }
        all
    }
}

impl<T: Clone + Send + Sync + 'static> Gathering<Vec<T>> for GatherAll<T> {
    fn upstreams(&self, visit: &mut dyn FnMut(Upstream<'_>)) {
        self.pending
            .iter()
            .for_each(|awaiting| visit(awaiting.upstream()));
    }

    fn poll_gathered(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<T>, Error>> {
        let ended = self.poll_outcomes(cx);
        // The first error in order is known once all before it have ended.
        for outcome in &self.outcomes {
            match outcome {
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    let error = error.clone();
                    // It speaks for those that may still fail, as the first error of a fan-out does.
                    self.pending.iter().for_each(Awaiting::look_at);
                    return Poll::Ready(Err(error));
                }
                None => break,
            }
        }
        ready!(ended);
        Poll::Ready(
            self.outcomes
                .drain(..)
                .flatten()
                .map(|outcome| outcome.map(Given::into_value))
                .collect(),
        )
    }
}

/// The outcomes of a group, failures among them.
struct GatherOutcomes<T>(GatherAll<T>);

impl<T: Clone + Send + Sync + 'static> Gathering<Vec<Result<T, Error>>> for GatherOutcomes<T> {
    fn upstreams(&self, visit: &mut dyn FnMut(Upstream<'_>)) {
        self.0.upstreams(visit);
    }

    fn poll_gathered(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<Result<T, Error>>, Error>> {
        ready!(self.0.poll_outcomes(cx));
        let outcomes = self.0.outcomes.drain(..).flatten();
        Poll::Ready(Ok(outcomes
            .map(|outcome| outcome.map(Given::into_value))
            .collect()))
    }
}

/// The outcome of one run.
struct GatherOutcome<T>(Outcome<T>);

enum Outcome<T> {
    Call(TaskCall<T>),
    Flow(FlowCall<T>),
    Handle(Awaiting<T>),
    Starting,
}

impl<T: Clone + Send + Sync + 'static> Gathering<Result<T, Error>> for GatherOutcome<T> {
    fn start(&mut self) {
        self.0 = match std::mem::replace(&mut self.0, Outcome::Starting) {
            Outcome::Call(call) => Outcome::Handle(call.submit().awaiting()),
            Outcome::Flow(call) => Outcome::Handle(call.submit().awaiting()),
            other => other,
        };
    }

    fn upstreams(&self, visit: &mut dyn FnMut(Upstream<'_>)) {
        if let Outcome::Handle(awaiting) = &self.0 {
            visit(awaiting.upstream());
        }
    }

    fn poll_gathered(&mut self, cx: &mut Context<'_>) -> Poll<Result<Result<T, Error>, Error>> {
        self.start();
        match &mut self.0 {
            Outcome::Handle(awaiting) => awaiting
                .poll_taken(cx)
                .map(|outcome| Ok(outcome.map(Given::into_value))),
            Outcome::Call(_) | Outcome::Flow(_) | Outcome::Starting => Poll::Pending,
        }
    }
}

/// The values of a fan-out.
struct GatherMapped<T> {
    mapped: Mapped<T>,
    future: Option<BoxFuture<'static, Result<Vec<T>, Error>>>,
}

impl<T: Clone + Send + Sync + 'static> Gathering<Vec<T>> for GatherMapped<T> {
    fn upstreams(&self, visit: &mut dyn FnMut(Upstream<'_>)) {
        visit(self.mapped.upstream());
    }

    fn poll_gathered(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<T>, Error>> {
        let mapped = &self.mapped;
        let future = self
            .future
            .get_or_insert_with(|| Box::pin(mapped.again().gathered_values()));
        future.as_mut().poll(cx)
    }
}

/// The outcomes of a fan-out.
struct GatherMappedOutcomes<T> {
    mapped: Mapped<T>,
    future: Option<BoxFuture<'static, Vec<Result<T, Error>>>>,
}

impl<T: Clone + Send + Sync + 'static> Gathering<Vec<Result<T, Error>>> for GatherMappedOutcomes<T> {
    fn upstreams(&self, visit: &mut dyn FnMut(Upstream<'_>)) {
        visit(self.mapped.upstream());
    }

    fn poll_gathered(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<Result<T, Error>>, Error>> {
        let mapped = &self.mapped;
        let future = self.future.get_or_insert_with(|| {
            let mapped = mapped.again();
            Box::pin(async move { mapped.gathered_outcomes().await.into_vec() })
        });
        future.as_mut().poll(cx).map(Ok)
    }
}

/// An upstream whose failure is an answer: see [`allow_failure`].
#[derive(Debug)]
pub struct AllowFailure<S>(S);

/// Passes on the outcome of an upstream that may fail, to a parameter `Result<T, flowkit::Error>`; of a fan-out or a
/// group, to a parameter `Vec<Result<T, flowkit::Error>>`. In [`wait_for`](TaskCall::wait_for), waits for its end, however it ends.
///
/// ```
/// use flowkit::prelude::*;
///
/// #[task]
/// async fn fetch() -> Result<String> {
///     Err("no such host".into())
/// }
///
/// #[task]
/// async fn report(fetched: Result<String, flowkit::Error>) -> String {
///     fetched.unwrap_or_else(|error| format!("nothing: {error}"))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(report(allow_failure(fetch())).await.unwrap(), "nothing: task `fetch` failed");
/// # }
/// ```
pub fn allow_failure<S: Tolerable>(upstream: S) -> AllowFailure<S::Kept> {
    AllowFailure(upstream.keep())
}

/// What [`allow_failure`] takes: a handle, a call of a task or flow, a group or a fan-out.
pub trait Tolerable {
    /// What is kept of it.
    type Kept;
    /// Keeps it.
    fn keep(self) -> Self::Kept;
}

macro_rules! tolerable {
    ($($given:ty => $kept:ty, $keep:expr;)*) => {
        $(impl<T> Tolerable for $given {
            type Kept = $kept;
            fn keep(self) -> $kept {
                $keep(self)
            }
        })*
    };
}

tolerable! {
    TaskHandle<T> => TaskHandle<T>, std::convert::identity;
    &TaskHandle<T> => TaskHandle<T>, TaskHandle::clone;
    TaskCall<T> => TaskCall<T>, std::convert::identity;
    FlowCall<T> => FlowCall<T>, std::convert::identity;
    Group<T> => Group<T>, std::convert::identity;
    Mapped<T> => Mapped<T>, std::convert::identity;
    &Mapped<T> => Mapped<T>, Mapped::again;
}

impl<T: Clone + Send + Sync + 'static> IntoInput<Vec<T>> for Group<T> {
    fn into_input(self) -> Input<Vec<T>> {
        Input::gathered(GatherAll::new(self))
    }
}

impl<T: Clone + Send + Sync + 'static> IntoInput<Vec<T>> for &Mapped<T> {
    fn into_input(self) -> Input<Vec<T>> {
        self.again().into_input()
    }
}

impl<T: Clone + Send + Sync + 'static> IntoInput<Vec<T>> for Mapped<T> {
    fn into_input(self) -> Input<Vec<T>> {
        Input::gathered(GatherMapped {
            mapped: self,
            future: None,
        })
    }
}

impl<T: Clone + Send + Sync + 'static> IntoInput<Result<T, Error>> for AllowFailure<TaskHandle<T>> {
    fn into_input(self) -> Input<Result<T, Error>> {
        Input::gathered(GatherOutcome(Outcome::Handle(self.0.awaiting())))
    }
}

impl<T: Clone + Send + Sync + 'static> IntoInput<Result<T, Error>> for AllowFailure<TaskCall<T>> {
    fn into_input(self) -> Input<Result<T, Error>> {
        Input::gathered(GatherOutcome(Outcome::Call(self.0)))
    }
}

impl<T: Clone + Send + Sync + 'static> IntoInput<Result<T, Error>> for AllowFailure<FlowCall<T>> {
    fn into_input(self) -> Input<Result<T, Error>> {
        Input::gathered(GatherOutcome(Outcome::Flow(self.0)))
    }
}

impl<T: Clone + Send + Sync + 'static> IntoInput<Vec<Result<T, Error>>> for AllowFailure<Group<T>> {
    fn into_input(self) -> Input<Vec<Result<T, Error>>> {
        Input::gathered(GatherOutcomes(GatherAll::new(self.0)))
    }
}

impl<T: Clone + Send + Sync + 'static> IntoInput<Vec<Result<T, Error>>> for AllowFailure<Mapped<T>> {
    fn into_input(self) -> Input<Vec<Result<T, Error>>> {
        Input::gathered(GatherMappedOutcomes {
            mapped: self.0,
            future: None,
        })
    }
}

impl<S: IntoOrder> IntoOrder for AllowFailure<S> {
    fn into_order(self) -> Order {
        self.0.into_order().tolerant()
    }
}
