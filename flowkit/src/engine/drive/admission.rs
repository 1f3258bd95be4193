//! What stands between a task run and its next attempt: a rate limit, slots of limits, a circuit breaker, the retry budget.
//!
//! Permits of a rate limit come first, since waiting for one holds nothing; then slots, all of which go back when the attempt
//! ends; and the breaker last, which never waits.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tokio::time::Instant;

use super::{Drive, Phase, Step};
use crate::breaker::{CircuitBreaker, Permit, StateChange};
use crate::engine::scope::Change;
use crate::engine::slots::RunSlots;
use crate::error::{Cause, Error, Failure};
use crate::event::EventKind;
use crate::options::Plan;
use crate::rate::RateLimit;
use crate::runtime::RuntimeInner;
use crate::state::State;

/// What one run must have before each of its attempts.
#[derive(Default)]
pub(super) struct Admission {
    pub(super) slots: Option<Arc<RunSlots>>,
    rate: Option<Arc<RateLimit>>,
    breaker: Option<Arc<CircuitBreaker>>,
    /// Held while an attempt runs.
    permit: Option<Permit>,
}

impl Admission {
    /// What a plan asks of its runtime.
    ///
    /// # Errors
    /// When the runtime has nothing of a name that the plan says.
    pub(super) fn of(plan: &Plan, runtime: &RuntimeInner) -> Result<Self, Error> {
        let needs = plan.limits.iter().flat_map(crate::options::Needs::iter);
        let slots = runtime.gates.limits.slots(needs)?;
        let rate = plan.rate_limit.as_deref();
        let breaker = plan.circuit_breaker.as_deref();
        Ok(Self {
            slots: (!slots.is_empty()).then(|| RunSlots::new(slots)),
            rate: rate
                .map(|name| runtime.gates.rate_limits.find(name).cloned())
                .transpose()?,
            breaker: breaker
                .map(|name| runtime.gates.breakers.find(name).cloned())
                .transpose()?,
            permit: None,
        })
    }
}

impl Drive {
    fn admission(&mut self) -> Option<&mut Admission> {
        self.more.as_mut()?.admission.as_mut().ok()
    }

    /// The inputs are there, or the delay is over: what must the run have before its attempt?
    pub(super) fn seek_admission(&mut self) -> Step {
        let refused = self.more.as_ref().and_then(|more| more.admission.as_ref().err());
        if let Some(error) = refused.cloned() {
            self.share(Err(error.clone()));
            return self.end(State::Failed, Some(error));
        }
        match self.admission().map(|admission| admission.rate.clone()) {
            None => Step::Next(Phase::Begin),
            Some(None) => Step::Next(Phase::Slots),
            Some(Some(rate)) => {
                let permit: BoxFuture<'static, ()> = Box::pin(async move { rate.until_ready().await });
                Step::Next(Phase::Rate(permit))
            }
        }
    }

    pub(super) fn poll_rate(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Phase::Rate(permit) = &mut self.phase
            && permit.as_mut().poll(cx).is_pending()
        {
            self.await_slot();
            return Poll::Pending;
        }
        Poll::Ready(Step::Next(Phase::Slots))
    }

    pub(super) fn poll_slots(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Some(Admission {
            slots: Some(slots), ..
        }) = self.admission()
            && slots.poll_begin(cx).is_pending()
        {
            self.await_slot();
            return Poll::Pending;
        }
        Poll::Ready(Step::Next(Phase::Begin))
    }

    /// Says, once, that the run waits to be let in.
    fn await_slot(&self) {
        if self.scope.state_of(self.place) != State::AwaitingSlot {
            self.scope
                .change(self.place, State::AwaitingSlot, &Change::default());
            #[cfg(feature = "testing")]
            self.note_gate();
        }
    }

    /// Notes what is waited for, if a test will ask when nothing happens any more.
    #[cfg(feature = "testing")]
    fn note_gate(&self) {
        let Some(more) = self
            .more
            .as_ref()
            .filter(|_| self.scope.runtime.stall_watch.is_some())
        else {
            return;
        };
        let limits = more.plan.limits.iter().flat_map(crate::options::Needs::iter);
        let mut gates: Vec<_> = limits
            .map(|(name, _)| format!("a slot of the limit `{name}`"))
            .collect();
        if let (Phase::Rate(_), Some(name)) = (&self.phase, &more.plan.rate_limit) {
            gates = vec![format!("a permit of the rate limit `{name}`")];
        } else if gates.is_empty() {
            gates.push("a slot of the limit on all tasks".to_owned());
        }
        self.scope
            .graph()
            .waits
            .set_gate(self.place, gates.join(" and ").into());
    }

    /// Whether the breaker has let the attempt through already.
    pub(super) fn has_passed_breaker(&mut self) -> bool {
        self.admission()
            .is_some_and(|admission| admission.permit.is_some())
    }

    /// Asks the circuit breaker, if there is one, whether the attempt may be made.
    ///
    /// # Errors
    /// The refusal of one that is open.
    pub(super) fn pass_breaker(&mut self) -> Result<(), Error> {
        let (definition, place, attempts) =
            (self.definition, self.scope.task_run_id(self.place), self.attempt);
        let Some(admission) = self.admission() else {
            return Ok(());
        };
        let Some(breaker) = admission.breaker.clone() else {
            return Ok(());
        };
        match breaker.try_call(Instant::now()) {
            Ok((permit, change)) => {
                admission.permit = Some(permit);
                self.tell_breaker(&breaker, change);
                Ok(())
            }
            Err(refused) => Err(breaker
                .refusal(refused)
                .about(definition.kind(), definition.name())
                .in_task_run(place)
                .after_attempts(attempts)),
        }
    }

    /// The body was polled and goes on later: if it waits, it holds no slots meanwhile.
    pub(super) fn after_poll(&mut self) {
        if let Some(slots) = self.admission().and_then(|admission| admission.slots.as_ref()) {
            slots.after_poll();
        }
    }

    /// The attempt is over: gives slots back and tells the breaker how it went. An error that is not worth a retry says nothing
    /// about what the breaker guards, and so counts as neither.
    pub(super) fn leave_admission(&mut self, failure: Option<&Failure>) {
        let Some(admission) = self.admission() else {
            return;
        };
        if let Some(slots) = &admission.slots
            && !cfg!(flowkit_fault = "slots-held-during-a-retry-delay")
        {
            slots.release();
        }
        let breaker = admission.breaker.clone();
        let (Some(permit), Some(breaker)) = (admission.permit.take(), breaker) else {
            return;
        };
        let now = Instant::now();
        let change = match failure {
            None => permit.success(now),
            Some(Failure {
                cause: Cause::Refused(_),
                ..
            }) => None,
            Some(failure) if !failure.retry => None,
            Some(_) => permit.failure(now),
        };
        self.tell_breaker(&breaker, change);
    }

    /// The run is over, however it ended: nothing of it is kept.
    pub(super) fn give_up_admission(&mut self) {
        if let Some(admission) = self.admission() {
            admission.permit = None;
            if let Some(slots) = &admission.slots {
                slots.release();
            }
        }
    }

    fn tell_breaker(&self, breaker: &CircuitBreaker, change: Option<StateChange>) {
        let Some(StateChange { from, to }) = change else {
            return;
        };
        tracing::info!(target: "flowkit", breaker = &**breaker.name(), ?from, ?to, "a circuit breaker changed");
        self.scope.tell_now(EventKind::BreakerChanged {
            name: breaker.name(),
            from,
            to,
        });
    }

    /// Whether the runtime's budget pays for one more retry.
    pub(super) fn budget_allows_retry(&self) -> bool {
        let Some(budget) = &self.scope.runtime.gates.retry_budget else {
            return true;
        };
        let allowed = budget.try_withdraw(Instant::now());
        if !allowed {
            tracing::warn!(target: "flowkit", task = self.definition.name(), "no retry: the runtime's retry budget is spent");
        }
        allowed
    }

    /// Counts the first attempt of a run into the budget.
    pub(super) fn pay_into_budget(&self) {
        if let Some(budget) = &self.scope.runtime.gates.retry_budget {
            budget.deposit(Instant::now());
        }
    }
}
