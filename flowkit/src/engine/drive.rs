//! Drives one task run from its inputs to its terminal state.
//!
//! A state machine that is polled with the job it drives: first the inputs, then for a cached task the cache and the
//! flight of its key, then attempts with delays between them, then the value into the cache. Whoever owns the job polls it:
//! the caller of a task that is awaited in place, a tokio task for one that was submitted, a lane of a fan-out for an
//! item. Dropping it before its end is how a run is cancelled.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use flowkit_cache::{CacheKey, Entry, NewEntry, Role};
use futures::future::BoxFuture;
use tokio::time::{Instant, Sleep};
use tracing::Span;

use super::caching::{self, Caching, Shared};
use super::scope::{Change, NewRun, Scope};
use crate::clock::Stamp;
use crate::context::{self, Ambient, Leading, RunContext, Tags};
use crate::definition::Definition;
use crate::error::{Cause, Error, ErrorKind, Failure};
use crate::event::EventKind;
use crate::graph::NodeKind;
use crate::ids::{NodeRef, TaskRunId};
use crate::job::{Attempt, Job};
use crate::options::{Plan, TaskOptions};
use crate::order::Order;
use crate::state::State;

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
    phase: Phase,
    span: Span,
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
}

enum Phase {
    Inputs,
    LookUp(BoxFuture<'static, Option<Entry>>),
    Join(BoxFuture<'static, Role<Shared>>),
    /// The leader looks again: another run may have filled the cache in between.
    LookAgain(BoxFuture<'static, Option<Entry>>),
    /// A stored value could not be decoded and is forgotten first.
    Forget(BoxFuture<'static, ()>),
    Begin,
    Attempt {
        timeout: Option<Pin<Box<Sleep>>>,
    },
    Delay(Pin<Box<Sleep>>),
    Keep(BoxFuture<'static, Option<String>>, Arc<[u8]>),
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
        caller: &RunContext,
        entrance: Entrance,
        awaited: bool,
    ) -> Self {
        let scope = Arc::clone(&caller.scope);
        job.as_mut().start_inputs();
        let (options, name, tags, orders) = match extras {
            Some(extras) => (extras.options, extras.name, extras.tags, extras.wait_for),
            None => (None, None, Vec::new(), Vec::new()),
        };
        let edges = edges_of(definition, job, &orders);
        let plain = options.is_none()
            && orders.is_empty()
            && definition.cache().is_none()
            && scope.runtime.is_plain(definition);
        let tags = with_ambient(tags, &caller.tags);
        let place = match entrance {
            Entrance::Node => scope.add(NewRun {
                definition,
                parent: caller.place,
                kind: NodeKind::Task,
                name,
                tags,
                edges,
                running: false,
            }),
            Entrance::Item { node, item } => scope.add_item(node, item, name, tags, edges),
        };
        let more = (!plain).then(|| {
            Box::new(More {
                plan: Plan::of(options.as_ref(), definition, &scope.runtime.task_defaults),
                orders,
                caching: None,
                total: None,
                first_attempt: None,
                attempt_began: Stamp::NEVER,
            })
        });
        let span = tracing::info_span!(
            target: "flowkit", "task_run", task = definition.name(), flow_run_id = %scope.id,
            task_run_id = %TaskRunId::new(scope.id, place), attempt = tracing::field::Empty
        );
        let ambient = Ambient::Run(RunContext {
            scope: Arc::clone(&scope),
            place: Some(place),
            attempt: 0,
            tags: caller.tags.clone(),
            leading: caller.leading.clone(),
        });
        Self {
            definition,
            ambient: Some(ambient),
            scope,
            place,
            attempt: 0,
            awaited,
            phase: Phase::Inputs,
            span,
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
        let _entered = span.enter();
        loop {
            let step = match self.poll_phase(job.as_mut(), cx) {
                Poll::Ready(step) => step,
                // What is ready in this very moment has come in time: the timer is asked last.
                Poll::Pending => ready!(self.poll_total_timeout(job.as_mut(), cx)),
            };
            match step {
                Step::Next(phase) => self.phase = phase,
                Step::End(outcome) => {
                    self.phase = Phase::Ended;
                    return Poll::Ready(outcome);
                }
            }
        }
    }

    fn poll_phase(&mut self, mut job: Pin<&mut dyn Job>, cx: &mut Context<'_>) -> Poll<Step> {
        let step = match &mut self.phase {
            Phase::Inputs => ready!(self.poll_inputs(job.as_mut(), cx)),
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
            Phase::Begin => self.begin_attempt(job),
            Phase::Attempt { .. } => ready!(self.poll_attempt(job, cx)),
            Phase::Delay(delay) => {
                ready!(delay.as_mut().poll(cx));
                Step::Next(Phase::Begin)
            }
            Phase::Keep(keep, _) => {
                let trouble = ready!(keep.as_mut().poll(cx));
                self.after_keep(trouble)
            }
            Phase::Ended => return Poll::Pending,
        };
        Poll::Ready(step)
    }

    // --- inputs ---

    fn poll_inputs(&mut self, mut job: Pin<&mut dyn Job>, cx: &mut Context<'_>) -> Poll<Step> {
        if self.scope.is_cancelled() {
            return Poll::Ready(self.end(State::Cancelled, Some(self.error(ErrorKind::Cancelled))));
        }
        if let Some(more) = &mut self.more {
            for order in &mut more.orders {
                if let Err(error) = ready!(order.poll_done(cx)) {
                    return Poll::Ready(self.upstream_failed(error));
                }
            }
        }
        if let Err(error) = ready!(job.as_mut().poll_inputs(cx)) {
            return Poll::Ready(self.upstream_failed(error));
        }
        Poll::Ready(self.after_inputs(job))
    }

    fn after_inputs(&mut self, job: Pin<&mut dyn Job>) -> Step {
        if let Some(name) = job.run_name() {
            self.scope.note(self.place, |extra| {
                extra.name.get_or_insert_with(|| Arc::from(name));
            });
        }
        if self.definition.cache().is_some() {
            return self.look_up(&*job);
        }
        Step::Next(Phase::Begin)
    }

    fn upstream_failed(&self, upstream: Error) -> Step {
        // The failure that started it all is what the reader wants to see next, not each step in between.
        let error = self
            .error(ErrorKind::UpstreamFailed)
            .because(upstream.root().clone());
        self.end(State::UpstreamFailed, Some(error))
    }

    // --- the cache ---

    fn look_up(&mut self, job: &dyn Job) -> Step {
        let (definition, run) = (self.definition, self.scope.id);
        let hashed = context::enter(&mut self.ambient, || caching::key_of(definition, run, job));
        let key = match hashed {
            Ok(Some(key)) => key,
            Ok(None) => return Step::Next(Phase::Begin),
            Err(error) => {
                self.uncached(&format!("its key could not be computed: {error}"));
                return Step::Next(Phase::Begin);
            }
        };
        self.scope.note(self.place, |extra| extra.cache_key = Some(key));
        let refresh = self.more.as_ref().is_some_and(|more| more.plan.refresh_cache);
        if let Some(more) = &mut self.more {
            more.caching = Some(Caching { key, leader: None });
        }
        if refresh {
            return Step::Next(Phase::Begin);
        }
        Step::Next(Phase::LookUp(caching::look_up(
            Arc::clone(&self.scope.runtime),
            key,
        )))
    }

    fn key(&self) -> Option<CacheKey> {
        Some(self.more.as_ref()?.caching.as_ref()?.key)
    }

    fn after_look_up(&mut self, job: Pin<&mut dyn Job>, found: Option<Entry>) -> Step {
        match found {
            Some(entry) => self.serve(job, &entry.value, Some(entry.origin.as_ref())),
            None => self.join_flight(),
        }
    }

    /// Ends as `Cached` with these bytes; if they do not decode, forgets them and goes on.
    fn serve(&mut self, job: Pin<&mut dyn Job>, bytes: &[u8], origin: Option<&str>) -> Step {
        match job.decode(bytes) {
            Ok(()) => {
                if let Some(origin) = origin {
                    self.scope
                        .note(self.place, |extra| extra.origin = Some(Arc::from(origin)));
                }
                self.end(State::Cached, None)
            }
            Err(error) => {
                self.uncached(&format!("a cached value could not be restored: {error}"));
                match self.key() {
                    Some(key) => Step::Next(Phase::Forget(caching::forget(
                        Arc::clone(&self.scope.runtime),
                        key,
                    ))),
                    None => Step::Next(Phase::Begin),
                }
            }
        }
    }

    fn join_flight(&mut self) -> Step {
        let Some(key) = self.key() else {
            return Step::Next(Phase::Begin);
        };
        let leads_above = matches!(&self.ambient, Some(Ambient::Run(run)) if run.is_leading(&key));
        if leads_above || self.is_leader() {
            return Step::Next(Phase::Begin);
        }
        Step::Next(Phase::Join(caching::join(Arc::clone(&self.scope.runtime), key)))
    }

    fn is_leader(&self) -> bool {
        self.more
            .as_ref()
            .and_then(|more| more.caching.as_ref())
            .is_some_and(|caching| caching.leader.is_some())
    }

    fn after_join(&mut self, job: Pin<&mut dyn Job>, role: Role<Shared>) -> Step {
        match role {
            Role::Follower(Ok(bytes)) => match job.decode(&bytes) {
                Ok(()) => self.end(State::Cached, None),
                Err(error) => {
                    self.uncached(&format!(
                        "the value of an equal run could not be restored: {error}"
                    ));
                    Step::Next(Phase::Begin)
                }
            },
            Role::Follower(Err(error)) => {
                let state = match error.kind() {
                    ErrorKind::TimedOut => State::TimedOut,
                    ErrorKind::Crashed => State::Crashed,
                    _ => State::Failed,
                };
                self.end(state, Some(error))
            }
            Role::Leader(guard) => {
                let Some(key) = self.key() else {
                    return Step::Next(Phase::Begin);
                };
                if let Some(caching) = self.more.as_mut().and_then(|more| more.caching.as_mut()) {
                    caching.leader = Some(guard);
                }
                if let Some(Ambient::Run(run)) = &mut self.ambient {
                    run.leading = Some(Arc::new(Leading {
                        key,
                        above: run.leading.take(),
                    }));
                }
                Step::Next(Phase::LookAgain(caching::look_up(
                    Arc::clone(&self.scope.runtime),
                    key,
                )))
            }
        }
    }

    fn after_look_again(&mut self, job: Pin<&mut dyn Job>, found: Option<Entry>) -> Step {
        let Some(entry) = found else {
            return Step::Next(Phase::Begin);
        };
        let step = self.serve(job, &entry.value, Some(entry.origin.as_ref()));
        if matches!(step, Step::End(_)) {
            self.share(Ok(Arc::from(&entry.value[..])));
        }
        step
    }

    /// Gives the outcome to the runs that wait for the same key.
    fn share(&mut self, shared: Shared) {
        if let Some(caching) = self.more.as_mut().and_then(|more| more.caching.as_mut())
            && let Some(leader) = caching.leader.take()
        {
            leader.complete(shared);
        }
    }

    /// Says that the run goes on without its cache, and why.
    fn uncached(&self, reason: &str) {
        tracing::warn!(target: "flowkit", task = self.definition.name(), reason, "a cached task runs without its cache");
        self.scope
            .note(self.place, |extra| extra.uncached = Some(Arc::from(reason)));
        self.tell_uncached(reason);
    }

    fn tell_uncached(&self, reason: &str) {
        if let Some(name) = self.scope.watched_name(self.place) {
            let id = self.scope.task_run_id(self.place);
            self.scope.tell_now(EventKind::Uncached {
                id,
                name: &name,
                reason,
            });
        }
    }

    // --- attempts ---

    fn begin_attempt(&mut self, job: Pin<&mut dyn Job>) -> Step {
        if self.scope.is_cancelled() {
            return self.end(State::Cancelled, Some(self.error(ErrorKind::Cancelled)));
        }
        self.attempt += 1;
        let attempt = self.attempt;
        self.scope.change(
            self.place,
            State::Running,
            &Change {
                attempt,
                ..Change::default()
            },
        );
        self.span.record("attempt", attempt);
        if let Some(Ambient::Run(run)) = &mut self.ambient {
            run.attempt = attempt;
        }
        let mut last = true;
        let mut timeout = None;
        if let Some(more) = &mut self.more {
            let retries = more.plan.retry.as_ref().map_or(0, |retry| retry.retries);
            last = attempt > retries || !job.is_repeatable();
            timeout = more.plan.timeout.map(|limit| Box::pin(tokio::time::sleep(limit)));
            more.attempt_began = self.scope.epoch.stamp();
            let first = *more.first_attempt.get_or_insert_with(Instant::now);
            if attempt == 1 {
                more.total = more
                    .plan
                    .total_timeout
                    .map(|limit| Box::pin(tokio::time::sleep_until(first + limit)));
            }
        }
        let (definition, scope) = (self.definition, &self.scope);
        let begun = context::enter(&mut self.ambient, || {
            let begin = std::panic::AssertUnwindSafe(|| {
                job.begin(&Attempt {
                    definition,
                    runtime: &scope.runtime,
                    last,
                })
            });
            std::panic::catch_unwind(begin)
        });
        match begun {
            Ok(Ok(())) => Step::Next(Phase::Attempt { timeout }),
            Ok(Err(error)) => self.after_failure(
                Failure {
                    cause: Cause::Refused(error),
                    retry: false,
                },
                false,
            ),
            Err(payload) => {
                self.after_failure(Failure::panicked(crate::error::panic_message(&*payload)), false)
            }
        }
    }

    fn poll_attempt(&mut self, mut job: Pin<&mut dyn Job>, cx: &mut Context<'_>) -> Poll<Step> {
        let polled = context::enter(&mut self.ambient, || job.as_mut().poll_attempt(cx));
        let repeatable = job.is_repeatable();
        match polled {
            Poll::Ready(Ok(())) => return Poll::Ready(self.after_success(&*job)),
            Poll::Ready(Err(failure)) => return Poll::Ready(self.after_failure(failure, repeatable)),
            Poll::Pending => {}
        }
        let Phase::Attempt {
            timeout: Some(timeout),
        } = &mut self.phase
        else {
            return Poll::Pending;
        };
        ready!(timeout.as_mut().poll(cx));
        context::enter(&mut self.ambient, || job.drop_attempt());
        let limit = self
            .more
            .as_ref()
            .and_then(|more| more.plan.timeout)
            .unwrap_or_default();
        let failure = Failure {
            cause: Cause::TimedOut(limit),
            retry: true,
        };
        Poll::Ready(self.after_failure(failure, repeatable))
    }

    /// Ends a run whose whole time is up. A value that is being kept has come in time.
    fn poll_total_timeout(&mut self, job: Pin<&mut dyn Job>, cx: &mut Context<'_>) -> Poll<Step> {
        let Some(more) = &mut self.more else {
            return Poll::Pending;
        };
        let Some(total) = &mut more.total else {
            return Poll::Pending;
        };
        if matches!(self.phase, Phase::Keep(..) | Phase::Ended) {
            return Poll::Pending;
        }
        ready!(total.as_mut().poll(cx));
        more.total = None;
        let limit = more.plan.total_timeout.unwrap_or_default();
        context::enter(&mut self.ambient, || job.drop_attempt());
        self.scope.stop_descendants(self.place);
        let error = self.error(ErrorKind::TimedOut).after_time(limit);
        self.share(Err(error.clone()));
        Poll::Ready(self.end(State::TimedOut, Some(error)))
    }

    fn after_success(&mut self, job: &dyn Job) -> Step {
        let Some(key) = self.key() else {
            return self.end(State::Completed, None);
        };
        if let Some((reason, first)) = self.scope.runtime.cache_trouble() {
            self.scope
                .note(self.place, |extra| extra.uncached = Some(Arc::clone(&reason)));
            if first {
                self.tell_uncached(&reason);
            }
        }
        match job.encode() {
            Ok(bytes) => {
                let now = self.scope.runtime.clock.now();
                let plan = self
                    .more
                    .as_ref()
                    .map(|more| (more.plan.cache_expiration, more.plan.cache_durable));
                let (expiration, durable) = plan.unwrap_or_default();
                let shared: Arc<[u8]> = Arc::from(bytes.as_slice());
                let origin = self.scope.task_run_id(self.place).to_string();
                let mut entry = NewEntry::new(bytes, now).origin(origin).durable(durable);
                if let Some(expires) = caching::expiry(now, expiration) {
                    entry = entry.expires(expires);
                }
                let keep = caching::keep(Arc::clone(&self.scope.runtime), key, entry);
                Step::Next(Phase::Keep(keep, shared))
            }
            Err(error) => {
                self.uncached(&format!("its value could not be encoded: {error}"));
                self.end(State::Completed, None)
            }
        }
    }

    fn after_keep(&mut self, trouble: Option<String>) -> Step {
        if let Some(trouble) = trouble {
            self.scope
                .note(self.place, |extra| extra.uncached = Some(Arc::from(trouble)));
        }
        if let Phase::Keep(_, bytes) = std::mem::replace(&mut self.phase, Phase::Ended) {
            self.share(Ok(bytes));
        }
        self.end(State::Completed, None)
    }

    fn after_failure(&mut self, failure: Failure, repeatable: bool) -> Step {
        self.scope.stop_descendants(self.place);
        let (state, error, retryable) = self.judge(failure);
        if retryable
            && repeatable
            && let Some(delay) = self.next_delay()
        {
            return self.retry_after(delay, error);
        }
        self.share(Err(error.clone()));
        self.end(state, Some(error))
    }

    /// What an attempt's failure means, and whether another may follow.
    fn judge(&self, failure: Failure) -> (State, Error, bool) {
        let panics = self
            .more
            .as_ref()
            .and_then(|more| more.plan.retry.as_ref())
            .is_some_and(|retry| retry.panics);
        match failure.cause {
            Cause::Returned(error) => (
                State::Failed,
                self.error(ErrorKind::Failed).because(error),
                failure.retry,
            ),
            Cause::TimedOut(limit) => (
                State::TimedOut,
                self.error(ErrorKind::TimedOut).after_time(limit),
                failure.retry,
            ),
            Cause::Panicked(message) => (
                State::Crashed,
                self.error(ErrorKind::Crashed).detailed(message),
                failure.retry && panics,
            ),
            Cause::Refused(error) => (
                State::Failed,
                error.in_task_run(self.scope.task_run_id(self.place)),
                false,
            ),
        }
    }

    /// How long until the next attempt, if there is to be one.
    fn next_delay(&self) -> Option<Duration> {
        let more = self.more.as_ref()?;
        let retry = more.plan.retry.as_ref()?;
        if self.attempt > retry.retries || self.scope.is_cancelled() {
            return None;
        }
        let delay = retry.delay(self.attempt, self.scope.runtime.randomness.unit());
        let elapsed = more
            .first_attempt
            .map(|first| first.elapsed())
            .unwrap_or_default();
        retry.within_deadline(elapsed, delay).then_some(delay)
    }

    fn retry_after(&mut self, delay: Duration, error: Error) -> Step {
        let attempt = self.attempt;
        let began = self.more.as_ref().map_or(Stamp::NEVER, |more| more.attempt_began);
        let change = Change {
            attempt,
            error: Some(&error),
            observed: false,
        };
        self.scope.change(self.place, State::AwaitingRetry, &change);
        tracing::info!(target: "flowkit", task = self.definition.name(), attempt, ?delay, error = %Causes(&error), "retrying");
        if let Some(name) = self.scope.watched_name(self.place) {
            let id = self.scope.task_run_id(self.place);
            self.scope.tell_now(EventKind::RetryScheduled {
                id,
                name: &name,
                attempt,
                delay,
            });
        }
        self.scope.note_failed_attempt(self.place, began, error);
        if delay.is_zero() {
            return Step::Next(Phase::Begin);
        }
        Step::Next(Phase::Delay(Box::pin(tokio::time::sleep(delay))))
    }

    // --- the end ---

    fn error(&self, kind: ErrorKind) -> Error {
        let name = self.scope.graph().name(self.place);
        Error::new(kind, self.definition.kind(), name)
            .in_task_run(self.scope.task_run_id(self.place))
            .after_attempts(self.attempt)
    }

    fn end(&self, state: State, error: Option<Error>) -> Step {
        let change = Change {
            attempt: self.attempt,
            error: error.as_ref(),
            observed: self.awaited,
        };
        self.scope.change(self.place, state, &change);
        if let Some(error) = &error {
            tracing::debug!(target: "flowkit", task = self.definition.name(), %state, error = %Causes(error), "task run ended");
        }
        Step::End(error.map_or(Ok(()), Err))
    }

    /// Ends a run that nobody will drive on. Gives the error that who waits for it is to see; none if it had ended.
    pub(crate) fn abandon(&mut self) -> Option<Error> {
        if matches!(self.phase, Phase::Ended) {
            return None;
        }
        self.phase = Phase::Ended;
        let error = self.error(ErrorKind::Cancelled);
        self.end(State::Cancelled, Some(error.clone()));
        self.scope.stop_descendants(self.place);
        Some(error)
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// An error and its causes in one line, for a log.
pub(crate) struct Causes<'a>(pub(crate) &'a Error);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut source = std::error::Error::source(self.0);
        while let Some(error) = source {
            write!(formatter, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

/// The runs that a run waits for.
pub(crate) fn edges_of(
    definition: &'static Definition,
    job: Pin<&mut dyn Job>,
    orders: &[Order],
) -> Vec<(TaskRunId, Option<&'static str>)> {
    let mut edges = Vec::new();
    job.upstreams(&mut |index, upstream| {
        edges.push((upstream.id, definition.parameters().get(index).copied()));
    });
    edges.extend(orders.iter().map(|order| (order.id(), None)));
    edges
}

/// A call's own tags and those in force around it.
pub(crate) fn with_ambient(mut tags: Vec<Arc<str>>, ambient: &Tags) -> Vec<Arc<str>> {
    if let Some(ambient) = ambient {
        tags.extend(ambient.iter().cloned());
    }
    tags
}
