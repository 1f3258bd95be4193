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
use tracing::level_filters::LevelFilter;

use self::admission::Admission;
use self::journaled::Journaled;
use self::moved::Moved;
pub(crate) use self::upstreams::{edges_of, look_at_upstreams, with_ambient};
use super::caching::{Caching, Shared};
use super::hooks::HookQueue;
use super::scope::{Change, NewRun, Scope};
use super::slots::RunSlots;
use super::stall;
use crate::clock::Stamp;
use crate::context::{Ambient, RunContext};
use crate::definition::Definition;
use crate::error::{Error, ErrorKind, Failure};
use crate::graph::NodeKind;
use crate::hook::{HookRun, Moment};
use crate::ids::{NodeRef, TaskRunId};
use crate::job::Job;
use crate::journaling::CallRecord;
use crate::journaling::replay::Found;
use crate::options::{Plan, TaskOptions};
use crate::order::Order;
use crate::panics::caught;
use crate::state::State;
use crate::transaction::Member;

/// What a call says beside its inputs.
#[derive(Default)]
pub(crate) struct CallExtras {
    pub(crate) options: Option<TaskOptions>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) tags: Vec<Arc<str>>,
    pub(crate) wait_for: Vec<Order>,
}

/// Drives one task run.
pub(crate) struct Drive {
    definition: &'static Definition,
    /// The run's own context, in place whenever its body is polled.
    ambient: Option<Ambient>,
    scope: Arc<Scope>,
    place: NodeRef,
    attempt: u32,
    /// Whether the caller is given the outcome itself.
    awaited: bool,
    /// Whether all inputs are there from the beginning.
    has_values: bool,
    /// Whether nothing has come between its entering and now, so that it begins when it was entered.
    at_once: bool,
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
    Undo(BoxFuture<'static, ()>),
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

/// Where a run is entered in the graph.
pub(crate) enum Entrance {
    /// A node of its own.
    Node,
    /// The next item of a fan-out.
    Item { node: NodeRef, item: u32 },
}

impl Drive {
    /// Enters a run in the graph of the context's flow run. Its inputs are submitted, its body has not begun.
    pub(crate) fn new(
        definition: &'static Definition,
        extras: Option<Box<CallExtras>>,
        mut job: Pin<&mut dyn Job>,
        mut caller: RunContext,
        entrance: Entrance,
        awaited: bool,
    ) -> Self {
        let scope = Arc::clone(&caller.scope);
        let has_values = job.as_mut().start_inputs();
        let (options, name, tags, orders) = match extras {
            Some(extras) => (extras.options, extras.name, extras.tags, extras.wait_for),
            None => (None, None, Vec::new(), Vec::new()),
        };
        let edges = if has_values && orders.is_empty() {
            Vec::new()
        } else {
            edges_of(definition, job, &orders, &scope)
        };
        let may_close = stall::may_close(&scope, matches!(entrance, Entrance::Item { .. }), &edges);
        let plain = options.is_none()
            && orders.is_empty()
            && definition.cache().is_none()
            && scope.memo().is_none()
            && caller.around().transaction.is_none()
            && scope.runtime.is_plain(definition);
        let tags = with_ambient(tags, &caller.around().tags);
        let place = match entrance {
            Entrance::Node => scope.add(NewRun {
                definition,
                parent: caller.place,
                kind: NodeKind::Task,
                name,
                tags,
                edges,
            }),
            Entrance::Item { node, item } => scope.add_item(node, item, name, tags, edges),
        };
        let stalled = may_close.then(|| stall::of_entered(&scope, place)).flatten();
        let more = (!plain).then(|| {
            let plan = Plan::of(options.as_ref(), definition, &scope.runtime.task_defaults);
            Box::new(More {
                admission: Admission::of(&plan, &scope.runtime).map_err(|error| {
                    error
                        .about(definition.kind(), definition.name())
                        .in_task_run(scope.task_run_id(place))
                }),
                plan,
                orders,
                caching: None,
                total: None,
                first_attempt: None,
                attempt_began: Stamp::NEVER,
                hooks: HookQueue::start(&scope, Some(place), definition),
                member: caller
                    .around()
                    .transaction
                    .as_ref()
                    .map(|group| group.enter(&scope, place)),
                uncommitted: None,
            })
        });
        let journaled = caller.calls.take().map(|caller| {
            Box::new(Journaled {
                caller,
                record: CallRecord::default(),
                place: None,
                keeps: true,
                began: false,
            })
        });
        let span = span_of(&scope, place, definition);
        let phase = match stalled {
            Some(stalled) => Phase::Stalled(stalled),
            None if caller.is_abandoned() => Phase::Orphaned,
            None => Phase::Inputs,
        };
        let context = caller.below(place, more.as_deref().and_then(More::slots));
        Self {
            definition,
            ambient: Some(Ambient::Run(context)),
            scope,
            place,
            attempt: 0,
            awaited,
            has_values,
            at_once: awaited && more.is_none(),
            phase,
            #[cfg(feature = "testing")]
            fault: None,
            span,
            journaled,
            more,
        }
    }

    pub(crate) fn place(&self) -> NodeRef {
        self.place
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
            Phase::Restore(read) => {
                let (read, found) = ready!(read.as_mut().poll(cx));
                self.after_restore(job, read, &found)
            }
            Phase::Moved(read) => {
                let moved = ready!(read.as_mut().poll(cx));
                self.after_moved(job, moved)
            }
            Phase::Undo(undo) => {
                ready!(undo.as_mut().poll(cx));
                self.after_undo(&*job)
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
            Phase::Intend(intend) => {
                let written = ready!(intend.as_mut().poll(cx));
                self.after_intend(written)
            }
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
            Phase::Commit(commit) => {
                let written = ready!(commit.as_mut().poll(cx));
                self.after_commit(written)
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
        self.cached_or_admitted(&*job)
    }

    fn cached_or_admitted(&mut self, job: &dyn Job) -> Step {
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

    // --- the end ---

    fn error(&self, kind: ErrorKind) -> Error {
        let name = self.scope.graph().name(self.place);
        Error::new(kind, self.definition.kind(), name)
            .in_task_run(self.scope.task_run_id(self.place))
            .after_attempts(self.attempt)
    }

    /// The run as its hooks are to see it.
    fn hook_run(&self, state: State, error: Option<&Error>) -> HookRun {
        HookRun {
            kind: self.definition.kind(),
            name: Arc::from(self.definition.name()),
            run_name: self.scope.graph().name(self.place),
            flow_run: self.scope.id,
            task_run: Some(self.scope.task_run_id(self.place)),
            state,
            attempt: self.attempt,
            error: error.cloned(),
        }
    }

    /// Has the run's hooks called for the state that it is in now.
    fn call_hooks(&self, state: State, error: Option<&Error>) {
        if let Some(hooks) = self.more.as_ref().and_then(|more| more.hooks.as_ref()) {
            hooks.call(self.hook_run(state, error));
            if state == State::Completed && self.more.as_ref().is_some_and(|more| more.member.is_none()) {
                hooks.call_at(Moment::Commit, self.hook_run(state, error));
            }
        }
    }

    fn end(&mut self, state: State, error: Option<Error>) -> Step {
        self.settle_effect();
        self.give_up_admission();
        let change = Change {
            attempt: self.attempt,
            error: error.as_ref(),
            observed: self.awaited,
            call: self.call_record(),
            at_once: false,
        };
        self.scope.change(self.place, state, &change);
        if !self.is_restored() {
            self.call_hooks(state, error.as_ref());
        }
        if let Some(more) = &mut self.more {
            more.hooks = None;
        }
        if let Some(error) = &error {
            tracing::debug!(target: "flowkit", task = self.definition.name(), %state, error = format_args!("{error:#}"), "task run ended");
        }
        Step::End(error.map_or(Ok(()), Err))
    }

    /// Ends a run that nobody will drive on. Gives the outcome that who waits for it is to see; none if it had ended.
    pub(crate) fn abandon(&mut self, job: Pin<&mut dyn Job>) -> Option<Result<(), Error>> {
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        if matches!(phase, Phase::Ended) {
            return None;
        }
        if self.has_happened(&phase) {
            return Some(self.complete_abandoned(job, phase));
        }
        let error = self.error(ErrorKind::Cancelled);
        self.end(State::Cancelled, Some(error.clone()));
        self.scope.stop_descendants(self.place);
        if let Some(more) = &mut self.more {
            more.member = None;
        }
        Some(Err(error))
    }
}

/// What log lines of a run's body are in, if anybody listens.
fn span_of(scope: &Scope, place: NodeRef, definition: &Definition) -> Option<Arc<Span>> {
    if LevelFilter::current() < LevelFilter::INFO {
        return None;
    }
    let span = tracing::info_span!(
        target: "flowkit", "task_run", task = definition.name(), flow_run_id = %scope.id,
        task_run_id = %TaskRunId::new(scope.id, place), attempt = tracing::field::Empty
    );
    (!span.is_disabled()).then(|| Arc::new(span))
}
