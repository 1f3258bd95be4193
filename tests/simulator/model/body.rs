//! A body: its steps one after another, each at a time that follows from those before.

use flowkit::{ErrorKind, State};

use super::memo::Scope;
use super::trace::Trace;
use super::{End, Failure, Model};
use crate::plan::{Body, FanEnd, Handle, Pause, Step};

/// A body at work.
struct Work<'a> {
    now: u64,
    /// What it has called.
    children: Vec<Trace>,
    /// Which of those its handles are of.
    handles: Vec<usize>,
    scope: &'a mut Scope,
}

impl Work<'_> {
    fn of(&mut self, handle: Handle) -> &mut Trace {
        &mut self.children[self.handles[handle]]
    }

    /// Keeps a run that the body has waited for, and says how the body goes on.
    fn waited_for(&mut self, mut trace: Trace, pass: bool) -> Result<(), Failure> {
        self.now = trace.ended;
        trace.is_settled = true;
        trace.look(trace.ended);
        let failed = trace.failure.filter(|_| pass);
        self.children.push(trace);
        failed.map_or(Ok(()), Err)
    }

    fn submitted(&mut self, trace: Trace) {
        self.handles.push(self.children.len());
        self.children.push(trace);
    }

    /// Waits for these in order, from `from` on, until one has failed: when that is, and the failure.
    fn gather(&mut self, handles: &[Handle], from: u64) -> (u64, Option<Failure>) {
        let mut at = from;
        let mut failed = None;
        for &handle in handles {
            let run = self.of(handle);
            at = at.max(run.ended);
            run.is_settled = true;
            failed = run.failure;
            if failed.is_some() {
                break;
            }
        }
        for &handle in handles {
            let run = self.of(handle);
            if run.ended <= at {
                run.look(run.ended.max(from));
            } else if failed.is_some() {
                run.look(at);
            }
        }
        (at, failed)
    }
}

impl Model<'_> {
    /// What an attempt of a body calls, and when and how it ends.
    pub(super) fn body(
        &mut self,
        body: &Body,
        attempt: u32,
        at: u64,
        scope: &mut Scope,
    ) -> (Vec<Trace>, u64, End) {
        let mut work = Work {
            now: at,
            children: Vec::new(),
            handles: Vec::new(),
            scope,
        };
        let fate = body.fates.get(attempt as usize - 1);
        for after in 0..=body.steps.len() {
            if let Some(fate) = fate.filter(|fate| fate.after == after) {
                let how = if fate.panics { End::Panic } else { End::Error(None) };
                return (work.children, work.now, how);
            }
            if let Some(step) = body.steps.get(after)
                && let Err(failure) = self.step(step, &mut work)
            {
                return (work.children, work.now, End::Error(Some(failure)));
            }
        }
        (work.children, work.now, End::Value)
    }

    fn step(&mut self, step: &Step, work: &mut Work<'_>) -> Result<(), Failure> {
        let now = work.now;
        match step {
            Step::Work(time) | Step::Rest(time) => work.now += time,
            Step::Here { call, pass } => {
                let trace = self.call(*call, now, now, Vec::new(), work.scope);
                return work.waited_for(trace, *pass);
            }
            Step::FlowHere { flow, pass } => {
                let trace = self.flow(*flow, now, work.scope);
                return work.waited_for(trace, *pass);
            }
            Step::Abandon { call, after } => return self.abandon(*call, *after, work),
            Step::Submit {
                call,
                inputs,
                order,
                tolerant,
                ..
            } => {
                let trace = self.submit(*call, inputs, order, *tolerant, work);
                work.submitted(trace);
            }
            Step::FlowSubmit { flow } => {
                let trace = self.flow(*flow, now, work.scope);
                work.submitted(trace);
            }
            Step::Join { handle, pass } => {
                let (at, failed) = work.gather(&[*handle], now);
                work.now = at;
                return failed.filter(|_| *pass).map_or(Ok(()), Err);
            }
            Step::JoinAll { handles, pass } => {
                let (at, failed) = work.gather(handles, now);
                work.now = at;
                return failed.filter(|_| *pass).map_or(Ok(()), Err);
            }
            Step::Peek { handle, at_most } => self.peek(*handle, *at_most, work),
            Step::Cancel { handle } => self.cancel(*handle, work),
            Step::FanOut {
                calls,
                concurrency,
                end,
                ..
            } => return self.fan_out(calls, *concurrency, end, work),
            Step::Pause(pause) => return self.pause(pause, work),
            // Only where things are shared.
            Step::Both { .. } | Step::Group(_) => self.is_tied = true,
        }
        Ok(())
    }

    fn abandon(&mut self, call: usize, after: u64, work: &mut Work<'_>) -> Result<(), Failure> {
        let now = work.now;
        let mut trace = self.call(call, now, now, Vec::new(), work.scope);
        if !self.is_before(trace.ended, now + after) {
            self.cut(&mut trace, now + after);
        }
        work.waited_for(trace, false)?;
        // The body waits properly before it goes on.
        work.now += 1;
        Ok(())
    }

    fn peek(&mut self, handle: Handle, at_most: u64, work: &mut Work<'_>) {
        let (now, ended) = (work.now, work.of(handle).ended);
        if ended > now {
            let in_time = self.is_before(ended, now + at_most);
            work.of(handle).is_settled |= in_time;
            work.now = if in_time { ended } else { now + at_most };
        }
    }

    fn cancel(&mut self, handle: Handle, work: &mut Work<'_>) {
        let now = work.now;
        let run = work.of(handle);
        // One that still waits would have looked at what it waits for: that is beyond this model.
        self.is_tied |= run.ready > now || (run.ended == now && !run.is_settled);
        if run.ended > now {
            self.cut(run, now);
            run.is_settled = true;
        }
    }

    fn pause(&mut self, pause: &Pause, work: &mut Work<'_>) -> Result<(), Failure> {
        let until = work.now + pause.after;
        let timeout = pause.timeout.map_or(u64::MAX, |timeout| work.now + timeout);
        work.now = until.min(timeout);
        match self.is_before(until, timeout) || !pause.pass {
            true => Ok(()),
            false => Err(Failure::of(ErrorKind::TimedOut)),
        }
    }

    fn submit(
        &mut self,
        call: usize,
        inputs: &[Handle],
        order: &[Handle],
        tolerant: bool,
        work: &mut Work<'_>,
    ) -> Trace {
        let now = work.now;
        let mut at = now;
        let mut failed = None;
        for &handle in order {
            let run = work.of(handle);
            at = at.max(run.ended);
            run.is_settled = true;
            if run.failure.is_some() {
                run.look(at);
            }
            failed = run.failure.filter(|_| !tolerant);
            if failed.is_some() {
                break;
            }
        }
        if failed.is_none() {
            (at, failed) = work.gather(inputs, at);
        }
        if let Some(failure) = failed {
            for &handle in order.iter().chain(inputs) {
                work.of(handle).look(at);
            }
            let failure = Failure {
                kind: ErrorKind::UpstreamFailed,
                ..failure
            };
            return Trace::new(format!("t{call}"), false, now, at).fail(State::UpstreamFailed, failure, at);
        }
        let values = inputs.iter().map(|&input| work.of(input).value).collect();
        self.call(call, now, at, values, work.scope)
    }

    fn fan_out(
        &mut self,
        calls: &[usize],
        concurrency: usize,
        end: &FanEnd,
        work: &mut Work<'_>,
    ) -> Result<(), Failure> {
        let now = work.now;
        // When each lane is free.
        let mut lanes = vec![now; concurrency];
        let first = work.children.len();
        for &call in calls {
            lanes.sort_unstable();
            let trace = self.call(call, lanes[0], lanes[0], Vec::new(), work.scope);
            lanes[0] = trace.ended;
            work.children.push(trace);
        }
        let items = &mut work.children[first..];
        let last = items.iter().map(|item| item.ended).max().unwrap_or(now).max(now);
        let failures = items.iter().filter(|item| item.failure.is_some()).count();
        let (at, failure) = match end {
            FanEnd::Dropped => return Ok(()),
            FanEnd::Outcomes => (last, None),
            FanEnd::Tolerate { failures: most, pass } if *pass && failures > *most => {
                (last, items.iter().find_map(|item| item.failure))
            }
            FanEnd::Tolerate { .. } => (last, None),
            FanEnd::Values { pass } => {
                let up_to = items.iter().position(|item| item.failure.is_some());
                let known = &items[..up_to.map_or(items.len(), |index| index + 1)];
                let at = known.iter().map(|item| item.ended).max().unwrap_or(now);
                (at, up_to.and_then(|index| items[index].failure).filter(|_| *pass))
            }
            // Only where things are shared.
            FanEnd::Stream { .. } | FanEnd::Cancelled { .. } | FanEnd::ItemCancelled { .. } => {
                self.is_tied = true;
                (last, None)
            }
        };
        for item in items {
            item.is_settled = item.ended <= at;
            item.look(at);
        }
        work.now = at;
        failure.map_or(Ok(()), Err)
    }
}
