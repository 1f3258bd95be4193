//! A task run: its attempts, the delays between them, and what cuts them off.

use flowkit::{ErrorKind, State};

use super::memo::Scope;
use super::trace::{Began, Trace};
use super::{End, Failure, Model};

/// A time that a timer counts: whole milliseconds.
fn rounded(millis: f64) -> u64 {
    ((millis * 1e6).round() as u64).div_ceil(1_000_000)
}

impl Model<'_> {
    /// A call that is submitted, and whose inputs are there when it is `ready`.
    pub(super) fn call(
        &mut self,
        id: usize,
        submitted: u64,
        ready: u64,
        inputs: Vec<u64>,
        scope: &mut Scope,
    ) -> Trace {
        let mut trace = Trace::new(format!("t{id}"), false, submitted, ready);
        let key = (false, id, inputs);
        if let Some(place) = scope.place(key) {
            if let Some(value) = scope.recall(&place) {
                (trace.state, trace.value) = (State::Cached, value);
                return trace;
            }
            trace.place = Some(place);
        }
        let trace = self.attempts(id, trace, scope);
        self.within_total(id, trace)
    }

    fn attempts(&mut self, id: usize, mut trace: Trace, scope: &Scope) -> Trace {
        let call = &self.plan.calls[id];
        let options = &call.options;
        let mut at = trace.ready;
        for attempt in 1.. {
            let mut below = scope.below(trace.place.as_ref());
            let (mut children, mut end, mut how) = self.body(&call.body, attempt, at, &mut below);
            if let Some(timeout) = options.timeout
                && !self.is_before(end, at + timeout)
            {
                (end, how) = (at + timeout, End::TimedOut);
            }
            if !matches!(how, End::Value) {
                self.cut_all(&mut children, end);
            }
            trace.attempts.push(Began { at, children });
            trace.ended = end;
            let (state, kind, again) = match how {
                End::Value => {
                    return trace.complete(self.value());
                }
                End::Error(_) => (State::Failed, ErrorKind::Failed, true),
                End::TimedOut => (
                    State::TimedOut,
                    ErrorKind::TimedOut,
                    !options.gives_up_on_timeouts,
                ),
                End::Panic => (State::Crashed, ErrorKind::Crashed, options.retry_panics),
            };
            trace = trace.fail(state, Failure::of(kind), end);
            let delay = options.nominal_delay(attempt);
            let in_time = options
                .deadline
                .is_none_or(|deadline| (end - trace.ready) as f64 + delay <= deadline as f64);
            if attempt > options.retries || !again || !in_time {
                return trace;
            }
            trace.look_below(end);
            at = end + rounded(delay);
        }
        trace
    }

    fn within_total(&mut self, id: usize, mut trace: Trace) -> Trace {
        let Some(total) = self.plan.calls[id].options.total else {
            return trace;
        };
        let until = trace.ready + total;
        if self.is_before(trace.ended, until) {
            return trace;
        }
        self.cut_attempts(&mut trace, until);
        trace.fail(State::TimedOut, Failure::of(ErrorKind::TimedOut), until)
    }
}
