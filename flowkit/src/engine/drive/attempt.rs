//! The attempts of a task run: each with its context and its timeout, its failure judged, a delay before the next.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use flowkit_journal::record::Effect;
use tokio::time::{Instant, Sleep};

use super::{Drive, Phase, Step};
use crate::clock::Stamp;
use crate::context::{self, Ambient};
use crate::engine::scope::Change;
use crate::error::{Cause, Error, ErrorKind, Failure};
use crate::event::EventKind;
use crate::job::{Attempt, Job};
#[cfg(feature = "testing")]
use crate::panics::caught;
use crate::state::State;

impl Drive {
    pub(super) fn begin_attempt(&mut self, mut job: Pin<&mut dyn Job>, cx: &mut Context<'_>) -> Poll<Step> {
        if self.scope.is_closed() {
            return Poll::Ready(self.end(State::Cancelled, Some(self.error(ErrorKind::Cancelled))));
        }
        // Once passed, it is not asked again after the intent of an effect was written.
        if !self.has_passed_breaker()
            && let Err(refused) = self.pass_breaker()
        {
            self.leave_admission(None);
            self.share(Err(refused.clone()));
            return Poll::Ready(self.end(State::Failed, Some(refused)));
        }
        if let Some(step) = self.intend() {
            return Poll::Ready(step);
        }
        let (last, timeout) = self.count_attempt(&*job);
        #[cfg(feature = "testing")]
        self.plan_fault();
        let (definition, scope) = (self.definition, &self.scope);
        let phase = &mut self.phase;
        // A fault that a test plans comes before the body.
        #[cfg(feature = "testing")]
        let only_begins = self.fault.is_some();
        #[cfg(not(feature = "testing"))]
        let only_begins = false;
        let polled = context::enter(&mut self.ambient, || {
            job.as_mut().begin(&Attempt {
                definition,
                runtime: &scope.runtime,
                last,
            })?;
            *phase = Phase::Attempt { timeout };
            Ok((!only_begins).then(|| job.as_mut().poll_attempt(cx)))
        });
        match polled {
            Ok(Some(polled)) => self.after_body(job, cx, polled),
            Ok(None) => self.poll_attempt(job, cx),
            Err(failure) => Poll::Ready(self.after_failure(failure, false)),
        }
    }

    /// One more attempt begins. Gives whether another can follow it, and how long it may take.
    fn count_attempt(&mut self, job: &dyn Job) -> (bool, Option<Pin<Box<Sleep>>>) {
        if self.attempt == 0 {
            self.pay_into_budget();
        }
        self.attempt += if cfg!(flowkit_fault = "attempt-counted-twice") {
            2
        } else {
            1
        };
        let attempt = self.attempt;
        let change = Change {
            attempt,
            call: self.call_record(),
            at_once: self.at_once,
            ..Change::default()
        };
        self.scope.change(self.place, State::Running, &change);
        self.call_hooks(State::Running, None);
        if let Some(span) = &self.span {
            span.record("attempt", attempt);
        }
        if let Some(Ambient::Run(run)) = &mut self.ambient {
            run.attempt = attempt;
            if attempt > 1 {
                run.calls = run.calls.take().map(|calls| Arc::new(calls.again()));
            }
        }
        self.note_begin();
        let Some(more) = &mut self.more else {
            return (true, None);
        };
        let retries = more.plan.retry.as_ref().map_or(0, |retry| retry.retries);
        more.attempt_began = self.scope.epoch.stamp();
        let first = *more.first_attempt.get_or_insert_with(Instant::now);
        if attempt == 1 {
            // A time that no clock reaches is no limit.
            let end = more.plan.total_timeout.and_then(|limit| first.checked_add(limit));
            more.total = end.map(|end| Box::pin(tokio::time::sleep_until(end)));
        }
        let timeout = more.plan.timeout.map(|limit| Box::pin(tokio::time::sleep(limit)));
        (attempt > retries || !job.is_repeatable(), timeout)
    }

    pub(super) fn poll_attempt(&mut self, mut job: Pin<&mut dyn Job>, cx: &mut Context<'_>) -> Poll<Step> {
        let polled = self.poll_body(job.as_mut(), cx);
        self.after_body(job, cx, polled)
    }

    /// The body was polled: it is done, or the time of the attempt may be up.
    fn after_body(
        &mut self,
        job: Pin<&mut dyn Job>,
        cx: &mut Context<'_>,
        polled: Poll<Result<(), Failure>>,
    ) -> Poll<Step> {
        match polled {
            Poll::Ready(Ok(())) => return Poll::Ready(self.after_success(&*job)),
            Poll::Ready(Err(failure)) => {
                return Poll::Ready(self.after_failure(failure, job.is_repeatable()));
            }
            Poll::Pending => self.after_poll(),
        }
        let Phase::Attempt {
            timeout: Some(timeout),
        } = &mut self.phase
        else {
            return Poll::Pending;
        };
        ready!(timeout.as_mut().poll(cx));
        let repeatable = job.is_repeatable();
        self.drop_body(job);
        let limit = self
            .more
            .as_ref()
            .and_then(|more| more.plan.timeout)
            .unwrap_or_default();
        Poll::Ready(self.after_failure(Failure::timed_out(limit), repeatable))
    }

    /// Polls the body, or what a test has happen in its place.
    fn poll_body(&mut self, mut job: Pin<&mut dyn Job>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        #[cfg(feature = "testing")]
        if let Some(fault) = &mut self.fault {
            let ambient = &mut self.ambient;
            let body = |cx: &mut Context<'_>| {
                caught(|| context::enter(ambient, || job.as_mut().poll_attempt(cx)))
                    .unwrap_or_else(|message| Poll::Ready(Err(Failure::panicked(message))))
            };
            let outcome = ready!(fault.poll(cx, body));
            // A body that a fault stood in for was never polled.
            self.drop_body(job);
            return Poll::Ready(outcome);
        }
        context::enter(&mut self.ambient, || job.as_mut().poll_attempt(cx))
    }

    /// Drops the body where it stands.
    pub(super) fn drop_body(&mut self, job: Pin<&mut dyn Job>) {
        #[cfg(feature = "testing")]
        {
            self.fault = None;
        }
        context::enter(&mut self.ambient, || job.end_attempt());
    }

    /// Asks the runtime of a test what is to happen in the attempt that begins.
    #[cfg(feature = "testing")]
    fn plan_fault(&mut self) {
        if let Some(faults) = &self.scope.runtime.faults {
            let run = self.scope.task_run_id(self.place);
            let name = self.scope.graph().name(self.place);
            self.fault = faults.of_attempt(self.definition.name(), &name, run, self.attempt);
        }
    }

    /// Ends a run whose whole time is up. A value that is being kept has come in time.
    pub(super) fn poll_total_timeout(&mut self, job: Pin<&mut dyn Job>, cx: &mut Context<'_>) -> Poll<Step> {
        let Some(more) = &mut self.more else {
            return Poll::Pending;
        };
        let Some(total) = &mut more.total else {
            return Poll::Pending;
        };
        if matches!(self.phase, Phase::Keep(_) | Phase::Commit(_) | Phase::Ended) {
            return Poll::Pending;
        }
        ready!(total.as_mut().poll(cx));
        more.total = None;
        let limit = more.plan.total_timeout.unwrap_or_default();
        self.drop_body(job);
        self.leave_admission(Some(&Failure::timed_out(limit)));
        self.scope.stop_descendants(self.place);
        let error = self.error(ErrorKind::TimedOut).after_time(limit);
        self.share(Err(error.clone()));
        Poll::Ready(self.end(State::TimedOut, Some(error)))
    }

    pub(super) fn after_failure(&mut self, failure: Failure, repeatable: bool) -> Step {
        self.leave_admission(Some(&failure));
        self.scope.stop_descendants(self.place);
        let after = failure.after.unwrap_or_default();
        let returned = matches!(failure.cause, Cause::Returned(_) | Cause::Refused(_));
        if returned {
            self.effect_is_known(Effect::Failed);
        }
        let (state, error, retryable) = self.judge(failure);
        if retryable
            && repeatable
            && (returned || !self.definition.has_effect())
            && let Some(delay) = self.next_delay(after)
        {
            return self.retry_after(delay, error);
        }
        self.share(Err(error.clone()));
        self.end(state, Some(error))
    }

    /// What an attempt's failure means, and whether another may follow.
    pub(super) fn judge(&self, failure: Failure) -> (State, Error, bool) {
        let policy = self.more.as_ref().and_then(|more| more.plan.retry.as_ref());
        let retryable = failure.retry && policy.is_some_and(|policy| policy.covers(&failure.cause));
        let (state, error) = match failure.cause {
            Cause::Returned(error) => (State::Failed, self.error(ErrorKind::Failed).because(error)),
            Cause::TimedOut(limit) => (State::TimedOut, self.error(ErrorKind::TimedOut).after_time(limit)),
            Cause::Panicked(message) => (State::Crashed, self.error(ErrorKind::Crashed).detailed(message)),
            Cause::Refused(error) => (
                State::Failed,
                error.in_task_run(self.scope.task_run_id(self.place)),
            ),
        };
        (state, error, retryable)
    }

    /// How long until the next attempt, if there is to be one: as the policy says, and at least as long as the error asks.
    pub(super) fn next_delay(&self, after: Duration) -> Option<Duration> {
        let more = self.more.as_ref()?;
        let retry = more.plan.retry.as_ref()?;
        if self.attempt > retry.retries || self.scope.is_closed() {
            return None;
        }
        let elapsed = more
            .first_attempt
            .map(|first| first.elapsed())
            .unwrap_or_default();
        let unit = self.scope.runtime.randomness.unit();
        let delay = retry.next_delay(self.attempt, unit, after, elapsed)?;
        self.budget_allows_retry().then_some(delay)
    }

    pub(super) fn retry_after(&mut self, delay: Duration, error: Error) -> Step {
        let attempt = self.attempt;
        let began = self.more.as_ref().map_or(Stamp::NEVER, |more| more.attempt_began);
        let change = Change {
            attempt,
            error: Some(&error),
            call: self.call_record(),
            ..Change::default()
        };
        self.scope.change(self.place, State::AwaitingRetry, &change);
        tracing::info!(target: "flowkit", task = self.definition.name(), attempt, ?delay, error = format_args!("{error:#}"), "retrying");
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
        // What failed in this attempt is part of its failure, and nobody else's.
        self.scope.observe_descendants(self.place);
        if delay.is_zero() {
            return self.try_again();
        }
        Step::Next(Phase::Delay(Box::pin(tokio::time::sleep(delay))))
    }

    /// The delay is over. What the attempt before called was stopped, and has ended when the next one begins, also what undoes it. Only a blocking body that was given up
    /// may go on, and calls nothing any more.
    pub(super) fn try_again(&mut self) -> Step {
        if !self.scope.has_live_descendants(self.place) {
            return self.seek_admission();
        }
        let (scope, place) = (Arc::clone(&self.scope), self.place);
        Step::Next(Phase::Drain(Box::pin(async move {
            scope.descendants_drained(place).await;
        })))
    }

    pub(super) fn after_drain(&mut self) -> Step {
        self.scope.observe_descendants(self.place);
        self.seek_admission()
    }
}
