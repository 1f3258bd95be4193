//! Drives one task run from its inputs to its terminal state.
//!
//! A state machine that is polled with the job it drives: first the inputs, then for a cached task the cache and the
//! flight of its key, then attempts with delays between them, then the value into the cache. Whoever owns the job polls it:
//! the caller of a task that is awaited in place, a tokio task for one that was submitted, a lane of a fan-out for an
//! item. Dropping it before its end is how a run is cancelled.

mod admission;
mod attempt;
mod cached;
mod effect;
mod ending;
mod enter;
mod journaled;
mod moved;
mod outlasting;
mod upstreams;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use flowkit_cache::{CacheKey, Lookup, NewEntry, Role};
use flowkit_journal::JournalResult;
use futures::future::BoxFuture;
use tokio::time::{Instant, Sleep};
use tracing::Span;

use self::admission::Admission;
pub(crate) use self::enter::{CallExtras, Entrance};
use self::journaled::Journaled;
use self::moved::Moved;
pub(crate) use self::upstreams::{edges_of, look_at_upstreams, with_ambient};
use super::caching::{Caching, Shared};
use super::hooks::HookQueue;
use super::scope::Scope;
use super::slots::RunSlots;
use crate::clock::Stamp;
use crate::context::Ambient;
use crate::definition::Definition;
use crate::error::{Error, ErrorKind, Failure};
use crate::ids::NodeRef;
use crate::job::Job;
use crate::journaling::replay::Found;
use crate::options::Plan;
use crate::order::Order;
use crate::panics::caught;
use crate::state::State;
use crate::transaction::Member;

/// Drives one task run.
pub(crate) struct Drive {
    definition: &'static Definition,
    /// The run's own context, in place whenever its body is polled.
    ambient: Option<Ambient>,
    scope: Arc<Scope>,
    place: NodeRef,
    attempt: u32,
    awaiter: Awaiter,
    /// Whether all inputs are there from the beginning.
    has_values: bool,
    /// Whether nothing has come between its entering and now, so that it begins when it was entered.
    at_once: bool,
    /// Whether it is woken when it is stopped, since it has waited where others stop it.
    stoppable: bool,
    phase: Phase,
    /// What a test has happen in the attempt.
    #[cfg(feature = "testing")]
    fault: Option<Box<crate::testing::FaultyAttempt>>,
    /// What log lines of its body are in; none where nobody listens.
    span: Option<Arc<Span>>,
    /// Which call it is and what the journal keeps of it, where there is a journal or the flow may be retried.
    journaled: Option<Box<Journaled>>,
    /// What a run without options and cache does not need.
    more: Option<Box<More>>,
}

/// Who is given the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaiter {
    /// Whoever has a handle.
    Handles,
    /// The caller itself.
    Caller,
    /// A blocking body, which goes on when it is given up: then nobody drops the run.
    BlockingBody,
}

/// What only some runs have.
struct More {
    plan: Plan,
    orders: Vec<Order>,
    caching: Option<Caching>,
    /// Ends the whole run.
    total: Option<Pin<Box<Sleep>>>,
    first_attempt: Option<Instant>,
    attempt_began: Stamp,
    hooks: Option<HookQueue>,
    /// Its place in a transaction.
    member: Option<Member>,
    /// What its commit puts into the cache, once it has completed in a transaction.
    uncommitted: Option<(CacheKey, NewEntry)>,
    /// What stands before each attempt; an error if the runtime lacks something that the run asks for.
    admission: Result<Admission, Error>,
}

impl More {
    fn slots(&self) -> Option<Arc<RunSlots>> {
        self.admission.as_ref().ok()?.slots.clone()
    }
}

/// What keeps a value, and the value as others are given it.
type Keeping = (BoxFuture<'static, Option<String>>, Arc<[u8]>);

enum Phase {
    Inputs,
    /// Reads what an earlier life of the flow run returned.
    Restore(BoxFuture<'static, (JournalResult<Option<Vec<u8>>>, Found)>),
    /// Reads what called the effects of earlier lives that may be this call's.
    Moved(BoxFuture<'static, Moved>),
    /// Calls the hooks that undo what an earlier life did.
    Undo(BoxFuture<'static, bool>),
    /// What it needs waits for it: it never begins.
    Stalled(Error),
    /// Who called it was given up.
    Orphaned,
    LookUp(BoxFuture<'static, Lookup>),
    Join(BoxFuture<'static, Role<Shared>>),
    /// The leader looks again: another run may have filled the cache in between.
    LookAgain(BoxFuture<'static, Lookup>),
    /// A stored value could not be decoded and is forgotten first.
    Forget(BoxFuture<'static, ()>),
    /// Waits for a permit of a rate limit.
    Rate(BoxFuture<'static, ()>),
    /// Waits for slots.
    Slots,
    Begin,
    Attempt {
        timeout: Option<Pin<Box<Sleep>>>,
    },
    Delay(Pin<Box<Sleep>>),
    /// What the attempt before called ends.
    Drain(BoxFuture<'static, ()>),
    /// The value is being kept, and then given to others.
    Keep(Box<Keeping>),
    /// Has the intent of an effect written.
    Intend(BoxFuture<'static, JournalResult<()>>),
    /// Has the outcome of an effect written.
    Commit(BoxFuture<'static, JournalResult<()>>),
    Ended,
}

/// What one step leads to.
enum Step {
    Next(Phase),
    End(Result<(), Error>),
}

impl Drive {
    pub(crate) fn place(&self) -> NodeRef {
        self.place
    }

    /// Whether a blocking body awaits it.
    pub(crate) fn is_in_blocking(&self) -> bool {
        self.awaiter == Awaiter::BlockingBody
    }

    /// Whether the attempt that completed was given the inputs themselves, since no other could follow it.
    pub(crate) fn took_inputs(&self) -> bool {
        self.attempt == 1 && self.more.is_none()
    }

    /// Something comes between its entering and its beginning.
    pub(crate) fn begins_later(&mut self) {
        self.at_once = false;
    }

    /// It waits where others stop it: whether for the first time, so that it must be woken when it is stopped.
    pub(crate) fn waits_first(&mut self) -> bool {
        !std::mem::replace(&mut self.stoppable, true)
    }

    pub(crate) fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    /// Drives the run on. Ready when it is in a terminal state; the value is then in the job.
    pub(crate) fn poll(
        &mut self,
        mut job: Pin<&mut dyn Job>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let span = self.span.clone();
        let _entered = span.as_deref().map(Span::enter);
        let outcome = loop {
            match caught(|| self.poll_on(job.as_mut(), cx)) {
                Ok(Poll::Ready(outcome)) => break outcome,
                Ok(Poll::Pending) => {
                    self.at_once = false;
                    return Poll::Pending;
                }
                Err(message) => match self.after_panic(job.as_mut(), message) {
                    Step::Next(phase) => self.phase = phase,
                    Step::End(outcome) => break outcome,
                },
            }
        };
        self.phase = Phase::Ended;
        self.leave_behind(&*job, outcome.is_ok());
        Poll::Ready(outcome)
    }

    /// Goes from phase to phase until the run waits or ends.
    fn poll_on(&mut self, mut job: Pin<&mut dyn Job>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let step = match self.poll_phase(job.as_mut(), cx) {
                Poll::Ready(step) => step,
                // What is ready in this very moment has come in time: the timer is asked last.
                Poll::Pending if cfg!(flowkit_fault = "no-total-timeout") => return Poll::Pending,
                Poll::Pending => ready!(self.poll_total_timeout(job.as_mut(), cx)),
            };
            match step {
                Step::Next(phase) => self.phase = phase,
                Step::End(outcome) => return Poll::Ready(outcome),
            }
        }
    }

    /// A panic ends the attempt: that of a body, which may be tried again, or one of a `Display` that the run's name asks, or of a bug of
    /// ours.
    fn after_panic(&mut self, job: Pin<&mut dyn Job>, message: String) -> Step {
        let in_body = matches!(self.phase, Phase::Attempt { .. });
        let repeatable = in_body && job.is_repeatable();
        if in_body {
            self.drop_body(job);
        }
        self.after_failure(Failure::panicked(message), repeatable)
    }

    fn poll_phase(&mut self, mut job: Pin<&mut dyn Job>, cx: &mut Context<'_>) -> Poll<Step> {
        let step = match &mut self.phase {
            Phase::Inputs => ready!(self.poll_inputs(job.as_mut(), cx)),
            Phase::Restore(_) | Phase::Moved(_) | Phase::Undo(_) | Phase::Intend(_) | Phase::Commit(_) => {
                ready!(self.poll_journal(job, cx))
            }
            Phase::Stalled(error) => {
                let error = error.clone();
                self.end(State::Failed, Some(error))
            }
            Phase::Orphaned => self.end(State::Cancelled, Some(self.error(ErrorKind::Cancelled))),
            Phase::LookUp(look_up) => {
                let found = ready!(look_up.as_mut().poll(cx));
                self.after_look_up(job, found)
            }
            Phase::Join(join) => {
                let role = ready!(join.as_mut().poll(cx));
                self.after_join(job, role)
            }
            Phase::LookAgain(look_up) => {
                let found = ready!(look_up.as_mut().poll(cx));
                self.after_look_again(job, found)
            }
            Phase::Forget(forget) => {
                ready!(forget.as_mut().poll(cx));
                self.join_flight()
            }
            Phase::Rate(_) => ready!(self.poll_rate(cx)),
            Phase::Slots => ready!(self.poll_slots(cx)),
            Phase::Begin => ready!(self.begin_attempt(job, cx)),
            Phase::Attempt { .. } => ready!(self.poll_attempt(job, cx)),
            Phase::Delay(delay) => {
                ready!(delay.as_mut().poll(cx));
                self.try_again()
            }
            Phase::Drain(drain) => {
                ready!(drain.as_mut().poll(cx));
                self.after_drain()
            }
            Phase::Keep(keep) => {
                let trouble = ready!(keep.0.as_mut().poll(cx));
                self.after_keep(trouble)
            }
            Phase::Ended => return Poll::Pending,
        };
        Poll::Ready(step)
    }

    // --- inputs ---

    fn poll_inputs(&mut self, mut job: Pin<&mut dyn Job>, cx: &mut Context<'_>) -> Poll<Step> {
        if self.scope.is_closed() {
            return Poll::Ready(self.end(State::Cancelled, Some(self.error(ErrorKind::Cancelled))));
        }
        if let Some(more) = &mut self.more {
            for order in &mut more.orders {
                if let Err(error) = ready!(order.poll_done(cx)) {
                    return Poll::Ready(self.upstream_failed(job, error));
                }
            }
        }
        if !self.has_values
            && let Err(error) = ready!(job.as_mut().poll_inputs(cx))
        {
            return Poll::Ready(self.upstream_failed(job, error));
        }
        Poll::Ready(self.after_inputs(job))
    }

    fn after_inputs(&mut self, mut job: Pin<&mut dyn Job>) -> Step {
        if let Some(name) = job.run_name() {
            self.scope.note(self.place, |extra| {
                extra.name.get_or_insert_with(|| Arc::from(name));
            });
        }
        if let Some(step) = self.identify(&*job) {
            return step;
        }
        if let Some(step) = self.recall(job.as_mut()) {
            return step;
        }
        if let Some(step) = self.look_back(job.as_mut()) {
            return step;
        }
        self.cached_or_admitted(job)
    }

    fn cached_or_admitted(&mut self, job: Pin<&mut dyn Job>) -> Step {
        if self.definition.cache().is_some() {
            return self.look_up(job);
        }
        self.seek_admission()
    }

    fn upstream_failed(&mut self, job: Pin<&mut dyn Job>, upstream: Error) -> Step {
        let orders = self.more.as_ref().map_or(&[][..], |more| &more.orders);
        look_at_upstreams(job, orders);
        // The failure that started it all is what the reader wants to see next, not each step in between.
        let error = self
            .error(ErrorKind::UpstreamFailed)
            .because(upstream.root().clone());
        self.end(State::UpstreamFailed, Some(error))
    }
}
