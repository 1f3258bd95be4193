//! The attempts of a flow run: each with its body, its time and the end of all that was submitted in it, its failure judged, a delay before the next.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument;
use tracing::level_filters::LevelFilter;

use super::{Entered, flow_error};
use crate::context::{Ambient, scoped};
use crate::engine::run_guard::{RunGuard, unhandled};
use crate::error::{Cause, Error, ErrorKind, Failure};
use crate::job::{Attempt, Job};
use crate::panics::caught;

impl Entered {
    /// Runs the body until an attempt succeeds or none may follow.
    pub(super) async fn run_attempts(
        &self,
        guard: &mut RunGuard,
        mut job: Pin<&mut dyn Job>,
    ) -> Result<(), Error> {
        let scope = &self.scope;
        let first = Instant::now();
        loop {
            // Its caller may have been stopped before it was ever polled: then not even the first step of the body is made.
            if scope.is_cancelled() {
                return Err(guard.cancelled_error());
            }
            guard.start();
            let retries = self.plan.retry.as_ref().map_or(0, |retry| retry.retries);
            let last = guard.attempt() > retries || !job.is_repeatable();
            let failed = match self.run_attempt(guard, job.as_mut(), last).await {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            let delay = self.next_delay(guard.attempt(), first.elapsed(), failed.after);
            let Some(delay) = delay.filter(|_| failed.retry && !last && !scope.is_cancelled()) else {
                return Err(failed.error);
            };
            guard.await_retry(&failed.error, delay);
            tokio::select! {
                biased;
                () = scope.cancelled() => return Err(guard.cancelled_error()),
                () = tokio::time::sleep(delay) => {}
            }
            scope.reopen();
        }
    }

    fn next_delay(&self, attempt: u32, elapsed: Duration, after: Duration) -> Option<Duration> {
        let retry = self.plan.retry.as_ref()?;
        retry.next_delay(attempt, self.scope.runtime.randomness.unit(), after, elapsed)
    }

    /// Runs the body once, and waits for the end of everything that was submitted in it.
    async fn run_attempt(&self, guard: &RunGuard, job: Pin<&mut dyn Job>, last: bool) -> Result<(), Failed> {
        let scope = &self.scope;
        let ended = {
            let mut body = Body(job);
            self.run_body(guard, body.0.as_mut(), last).await
        };
        if let Err(failed) = ended {
            scope.stop_live();
            scope.drained().await;
            return Err(failed);
        }
        match unhandled(scope) {
            Some(error) if !scope.is_cancelled() => Err(Failed::new(error, true)),
            _ => Ok(()),
        }
    }

    /// Runs the body and what it submits, for as long as the flow may take and nobody cancels it.
    async fn run_body(&self, guard: &RunGuard, mut job: Pin<&mut dyn Job>, last: bool) -> Result<(), Failed> {
        let scope = &self.scope;
        let attempt = Attempt {
            definition: scope.definition,
            runtime: &scope.runtime,
            last,
        };
        let body = async {
            let begun = caught(|| job.as_mut().begin(&attempt));
            let begun = begun.unwrap_or_else(|message| Err(Failure::panicked(message)));
            begun.map_err(|failure| Failed {
                retry: false,
                ..self.judge(failure, guard.attempt())
            })?;
            let ended = std::future::poll_fn(|cx| poll_caught(job.as_mut(), cx)).await;
            ended.map_err(|failure| self.judge(failure, guard.attempt()))
        };
        let limit = async {
            match self.plan.timeout {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let body = scoped(self.ambient(guard.attempt()), body).instrument(self.span(guard.attempt()));
        // What was submitted belongs to the attempt, and to its time.
        let whole = async {
            body.await?;
            scope.drained().await;
            Ok(())
        };
        tokio::select! {
            biased;
            // First, since a body that waits for what was stopped with it would be woken, and go on.
            () = scope.cancelled() => Err(Failed::new(guard.cancelled_error(), false)),
            outcome = whole => outcome,
            () = limit => {
                let limit = self.plan.timeout.unwrap_or_default();
                Err(self.judge(Failure::timed_out(limit), guard.attempt()))
            }
        }
    }

    /// What log lines of the body are in. That of a subflow is inside the span of the run that called it.
    fn span(&self, attempt: u32) -> tracing::Span {
        let scope = &self.scope;
        // A span that is disabled is not free either.
        if LevelFilter::current() < LevelFilter::INFO {
            return tracing::Span::none();
        }
        tracing::info_span!(target: "flowkit", "flow_run", flow = scope.definition.name(), flow_run_id = %scope.id, attempt)
    }

    /// What the failure of the body means. A task's error that the flow passes on stays what it is.
    fn judge(&self, failure: Failure, attempt: u32) -> Failed {
        let scope = &self.scope;
        let error = |kind| flow_error(scope, kind).after_attempts(attempt);
        let after = failure.after.unwrap_or_default();
        let policy = self.plan.retry.as_ref();
        let retry = failure.retry && policy.is_some_and(|policy| policy.covers(&failure.cause));
        let error = match failure.cause {
            Cause::Returned(source) => match source.downcast::<Error>() {
                Ok(passed_on) => *passed_on,
                Err(source) => error(ErrorKind::Failed).because(source),
            },
            Cause::Panicked(message) => error(ErrorKind::Crashed).detailed(message),
            Cause::TimedOut(limit) => error(ErrorKind::TimedOut).after_time(limit),
            Cause::Refused(refused) => refused.in_flow_run(scope.id),
        };
        Failed { error, retry, after }
    }

    fn ambient(&self, attempt: u32) -> Ambient {
        let tags = (!self.tags.is_empty()).then(|| Arc::from(self.tags.as_slice()));
        let mut run = self.scope.context(tags, attempt);
        if self.transaction.is_some() {
            run.around_mut().transaction.clone_from(&self.transaction);
        }
        Ambient::Run(run)
    }
}

/// Polls the body; a panic in it is a failure of it.
fn poll_caught(mut job: Pin<&mut dyn Job>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
    caught(|| job.as_mut().poll_attempt(cx)).unwrap_or_else(|message| {
        job.end_attempt();
        Poll::Ready(Err(Failure::panicked(message)))
    })
}

/// The body of an attempt. However the attempt ends, also if it is dropped, the body does so before the run.
struct Body<'a>(Pin<&'a mut dyn Job>);

impl Drop for Body<'_> {
    fn drop(&mut self) {
        self.0.as_mut().end_attempt();
    }
}

/// How an attempt failed, and whether another may follow.
struct Failed {
    error: Error,
    retry: bool,
    /// How long that one waits at least.
    after: Duration,
}

impl Failed {
    fn new(error: Error, retry: bool) -> Self {
        Self {
            error,
            retry,
            after: Duration::ZERO,
        }
    }
}
