//! A flow run: its attempts, which wait for everything submitted in them, and what the next one remembers.

use flowkit::{ErrorKind, State};

use super::memo::{Memo, Scope};
use super::trace::{Began, Trace};
use super::{End, Failure, Model};
use crate::plan::FLOW_DELAYS;

impl Model<'_> {
    /// A call of a flow, in an attempt of the flow above.
    pub(super) fn flow(&mut self, index: usize, at: u64, above: &mut Scope) -> Trace {
        let flow = &self.plan.flows[index];
        let mut trace = Trace::new(format!("f{index}"), true, at, at);
        let key = (true, index, Vec::new());
        let mut memo = (flow.retries > 0).then(Memo::default);
        if let Some(place) = above.place(key) {
            if let Some(value) = above.recall(&place) {
                (trace.state, trace.value) = (State::Cached, value);
                return trace;
            }
            let known = above.memo.as_ref().and_then(|memo| memo.subflows.get(&place));
            memo = Some(known.cloned().unwrap_or_default());
            trace.place = Some(place);
        }
        let mut at = at;
        for attempt in 1..=flow.retries + 1 {
            let mut scope = Scope::of(memo.clone());
            let (children, end, failed) = self.flow_attempt(index, attempt, at, &mut scope);
            if let Some(memo) = &mut memo {
                memo.harvest(&children);
            }
            trace.attempts.push(Began { at, children });
            trace.ended = end;
            let Some((failure, again)) = failed else {
                return trace.complete(self.value());
            };
            let state = match failure.kind {
                ErrorKind::TimedOut => State::TimedOut,
                ErrorKind::Crashed => State::Crashed,
                _ => State::Failed,
            };
            trace = trace.fail(state, failure, end);
            if !again || attempt > flow.retries {
                return trace;
            }
            // What failed in this attempt is its failure, and nobody else's.
            trace.look_below(end);
            at = end + FLOW_DELAYS[attempt as usize - 1];
        }
        trace
    }

    /// What the attempt called, when it ended, and how it failed, if so, and whether another may follow.
    fn flow_attempt(
        &mut self,
        index: usize,
        attempt: u32,
        at: u64,
        scope: &mut Scope,
    ) -> (Vec<Trace>, u64, Option<(Failure, bool)>) {
        let flow = &self.plan.flows[index];
        let (mut children, mut end, mut how) = self.body(&flow.body, attempt, at, scope);
        if matches!(how, End::Value) {
            // What was submitted belongs to the attempt, and to its time.
            end = children.iter().map(Trace::last_end).fold(end, u64::max);
        }
        if let Some(timeout) = flow.timeout
            && !self.is_before(end, at + timeout)
        {
            (end, how) = (at + timeout, End::TimedOut);
        }
        let failed = match how {
            End::Value => {
                let unhandled = children.iter().find_map(Trace::unhandled);
                let failed = unhandled.map(|failure| Failure {
                    kind: ErrorKind::UnhandledFailure,
                    ..failure
                });
                return (children, end, failed.map(|failed| (failed, true)));
            }
            End::Error(passed_on) => (passed_on.unwrap_or(Failure::of(ErrorKind::Failed)), true),
            // Only the flow that is retried twice retries panics.
            End::Panic => (Failure::of(ErrorKind::Crashed), flow.retries == 2),
            End::TimedOut => (Failure::of(ErrorKind::TimedOut), true),
        };
        self.cut_all(&mut children, end);
        (children, end, Some(failed))
    }
}
