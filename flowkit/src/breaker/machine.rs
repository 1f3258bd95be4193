//! The states of a circuit breaker, and what moves it from one to another. Pure: no clock, no lock.

use std::time::Duration;

use tokio::time::Instant;

use super::{BreakerState, StateChange};
use crate::window::Window;

/// A description that was checked.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// So many failures in a row open it.
    pub(super) failure_threshold: Option<u32>,
    pub(super) failure_rate: Option<FailureRate>,
    pub(super) reset_timeout: Duration,
    pub(super) half_open_probes: u32,
}

/// This share of failures among the calls of a window opens it, if there were enough of them.
#[derive(Debug, Clone)]
pub(super) struct FailureRate {
    pub(super) rate: f64,
    pub(super) window: Duration,
    pub(super) min_calls: u32,
}

/// The period in which a call was admitted: from one change of the state to the next. A call that outlives its period says nothing
/// about the one that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period(u64);

#[derive(Debug)]
pub(super) struct Machine {
    rules: Rules,
    phase: Phase,
    period: Period,
}

#[derive(Debug)]
enum Phase {
    Closed {
        /// Failures since the last success.
        in_a_row: u32,
        calls: Option<Window<Calls>>,
    },
    Open {
        until: Instant,
    },
    HalfOpen {
        /// Probes under way.
        probing: u32,
        succeeded: u32,
    },
}

#[derive(Debug, Default)]
struct Calls {
    all: u64,
    failed: u64,
}

impl Phase {
    fn closed(rules: &Rules) -> Self {
        Self::Closed {
            in_a_row: 0,
            calls: rules.failure_rate.as_ref().map(|rate| Window::new(rate.window)),
        }
    }

    fn state(&self) -> BreakerState {
        match self {
            Self::Closed { .. } => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

impl Machine {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            phase: Phase::closed(&rules),
            rules,
            period: Period(0),
        }
    }

    /// The state as a call at `now` would find it: an open breaker whose time is over is half-open.
    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.phase {
            Phase::Open { until } if until <= now => BreakerState::HalfOpen,
            _ => self.phase.state(),
        }
    }

    /// Lets a call through, or says how long to wait before another one is worth a try.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(Period, Option<StateChange>), Duration> {
        match &mut self.phase {
            Phase::Closed { .. } => Ok((self.period, None)),
            Phase::Open { until } if now < *until => Err(*until - now),
            Phase::Open { .. } => {
                let change = self.enter(Phase::HalfOpen {
                    probing: 1,
                    succeeded: 0,
                });
                Ok((self.period, Some(change)))
            }
            Phase::HalfOpen { probing, .. } if *probing < self.rules.half_open_probes => {
                *probing += 1;
                Ok((self.period, None))
            }
            // The probes decide when it goes on, not the clock. If one fails, it takes this long.
            Phase::HalfOpen { .. } => Err(self.rules.reset_timeout),
        }
    }

    pub(super) fn succeeded(&mut self, period: Period, now: Instant) -> Option<StateChange> {
        if period != self.period {
            return None;
        }
        match &mut self.phase {
            Phase::Closed { in_a_row, calls } => {
                *in_a_row = 0;
                if let Some(calls) = calls {
                    calls.at(now).all += 1;
                }
                self.open_if_broken(now)
            }
            Phase::HalfOpen { probing, succeeded } => {
                *probing = probing.saturating_sub(1);
                *succeeded += 1;
                let enough = *succeeded >= self.rules.half_open_probes;
                enough.then(|| self.enter(Phase::closed(&self.rules)))
            }
            Phase::Open { .. } => None,
        }
    }

    pub(super) fn failed(&mut self, period: Period, now: Instant) -> Option<StateChange> {
        if period != self.period {
            return None;
        }
        match &mut self.phase {
            Phase::Closed { in_a_row, calls } => {
                *in_a_row = in_a_row.saturating_add(1);
                if let Some(calls) = calls {
                    let calls = calls.at(now);
                    calls.all += 1;
                    calls.failed += 1;
                }
                self.open_if_broken(now)
            }
            Phase::HalfOpen { .. } => Some(self.open(now)),
            Phase::Open { .. } => None,
        }
    }

    /// A call ended without an outcome, so its place is free for another probe.
    pub(super) fn abandoned(&mut self, period: Period) {
        if cfg!(flowkit_fault = "probe-not-freed") {
            return;
        }
        if let Phase::HalfOpen { probing, .. } = &mut self.phase
            && period == self.period
        {
            *probing = probing.saturating_sub(1);
        }
    }

    fn open_if_broken(&mut self, now: Instant) -> Option<StateChange> {
        let Phase::Closed { in_a_row, calls } = &self.phase else {
            return None;
        };
        let in_a_row_enough = self.rules.failure_threshold.is_some_and(|threshold| {
            *in_a_row >= threshold + u32::from(cfg!(flowkit_fault = "breaker-opens-late"))
        });
        let rate_enough = match (&self.rules.failure_rate, calls) {
            (Some(rate), Some(calls)) => rate.is_reached(calls),
            _ => false,
        };
        (in_a_row_enough || rate_enough).then(|| self.open(now))
    }

    fn open(&mut self, now: Instant) -> StateChange {
        self.enter(Phase::Open {
            until: now + self.rules.reset_timeout,
        })
    }

    fn enter(&mut self, phase: Phase) -> StateChange {
        let change = StateChange {
            from: self.phase.state(),
            to: phase.state(),
        };
        self.phase = phase;
        self.period.0 += 1;
        change
    }
}

impl FailureRate {
    fn is_reached(&self, calls: &Window<Calls>) -> bool {
        let (all, failed) = calls.counts().fold((0, 0), |(all, failed), calls| {
            (all + calls.all, failed + calls.failed)
        });
        all >= u64::from(self.min_calls) && failed as f64 >= self.rate * all as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A breaker as a full history: nothing is counted on the way, everything is looked up.
    struct Model {
        rules: Rules,
        /// Each period's state, and when it began.
        periods: Vec<(BreakerState, Instant)>,
        /// Each call: its period, and its outcome and time once it has one.
        calls: Vec<(usize, Fate)>,
        /// When the first call of the period had an outcome.
        first: Option<Instant>,
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Fate {
        UnderWay,
        Abandoned,
        Ended { ok: bool, order: usize, slice: u128 },
    }

    impl Model {
        fn new(rules: Rules, now: Instant) -> Self {
            Self {
                rules,
                periods: vec![(BreakerState::Closed, now)],
                calls: Vec::new(),
                first: None,
            }
        }

        fn period(&self) -> usize {
            self.periods.len() - 1
        }

        fn state(&self) -> (BreakerState, Instant) {
            self.periods[self.period()]
        }

        fn of_period(&self) -> impl Iterator<Item = Fate> {
            let period = self.period();
            self.calls
                .iter()
                .filter(move |(of, _)| *of == period)
                .map(|(_, fate)| *fate)
        }

        fn enter(&mut self, state: BreakerState, now: Instant) {
            self.periods.push((state, now));
            self.first = None;
        }

        fn admit(&mut self, now: Instant) -> bool {
            let (state, since) = self.state();
            let admitted = match state {
                BreakerState::Closed => true,
                BreakerState::Open => {
                    let over = now >= since + self.rules.reset_timeout;
                    if over {
                        self.enter(BreakerState::HalfOpen, now);
                    }
                    over
                }
                BreakerState::HalfOpen => {
                    let probing = self.of_period().filter(|fate| *fate == Fate::UnderWay).count();
                    probing < self.rules.half_open_probes as usize
                }
            };
            if admitted {
                self.calls.push((self.period(), Fate::UnderWay));
            }
            admitted
        }

        fn end(&mut self, call: usize, ok: bool, now: Instant, order: usize) {
            if self.calls[call].0 != self.period() {
                self.calls[call].1 = Fate::Abandoned;
                return;
            }
            let first = *self.first.get_or_insert(now);
            let slice_length = self.rules.failure_rate.as_ref().unwrap().window / 10;
            let slice = (now - first).as_nanos() / slice_length.as_nanos();
            self.calls[call].1 = Fate::Ended { ok, order, slice };
            let mut ended: Vec<_> = self
                .of_period()
                .filter_map(|fate| match fate {
                    Fate::Ended { ok, order, slice } => Some((order, ok, slice)),
                    _ => None,
                })
                .collect();
            ended.sort_unstable();
            match self.state().0 {
                BreakerState::Closed => {
                    let in_a_row = ended.iter().rev().take_while(|(_, ok, _)| !ok).count();
                    let recent: Vec<_> = ended.iter().filter(|(_, _, of)| of + 10 > slice).collect();
                    let failed = recent.iter().filter(|(_, ok, _)| !ok).count();
                    let rate = self.rules.failure_rate.as_ref().unwrap();
                    let share = failed as f64 / recent.len() as f64;
                    if in_a_row >= self.rules.failure_threshold.unwrap() as usize
                        || (recent.len() >= rate.min_calls as usize && share >= rate.rate)
                    {
                        self.enter(BreakerState::Open, now);
                    }
                }
                BreakerState::HalfOpen if !ok => self.enter(BreakerState::Open, now),
                BreakerState::HalfOpen => {
                    if ended.len() >= self.rules.half_open_probes as usize {
                        self.enter(BreakerState::Closed, now);
                    }
                }
                BreakerState::Open => {}
            }
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Wait(u64),
        Call,
        End(usize, bool),
        Abandon(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            2 => (1u64..400).prop_map(Step::Wait),
            4 => Just(Step::Call),
            4 => (0usize..6, any::<bool>()).prop_map(|(nth, ok)| Step::End(nth, ok)),
            1 => (0usize..6).prop_map(Step::Abandon),
        ];
        proptest::collection::vec(step, 1..300)
    }

    fn rules() -> impl Strategy<Value = Rules> {
        (2u32..6, 1u32..=4, 100u64..2_000, 1u32..12, 100u64..1_000, 1u32..4).prop_map(
            |(threshold, quarters, window, min_calls, reset, probes)| Rules {
                failure_threshold: Some(threshold),
                failure_rate: Some(FailureRate {
                    rate: f64::from(quarters) / 4.0,
                    window: Duration::from_millis(window),
                    min_calls,
                }),
                reset_timeout: Duration::from_millis(reset),
                half_open_probes: probes,
            },
        )
    }

    proptest! {
        #[test]
        fn any_history_moves_it_as_a_lookup_of_the_whole_history_does(rules in rules(), steps in steps()) {
            let mut now = Instant::now();
            let mut machine = Machine::new(rules.clone());
            let mut model = Model::new(rules, now);
            let mut under_way: Vec<(usize, Period)> = Vec::new();
            for (order, step) in steps.into_iter().enumerate() {
                let before = model.state().0;
                let change = match step {
                    Step::Wait(millis) => {
                        now += Duration::from_millis(millis);
                        None
                    }
                    Step::Call => {
                        let call = model.calls.len();
                        let admitted = machine.admit(now);
                        prop_assert_eq!(admitted.is_ok(), model.admit(now));
                        match admitted {
                            Ok((period, change)) => {
                                under_way.push((call, period));
                                change
                            }
                            Err(retry_after) => {
                                prop_assert!(!retry_after.is_zero());
                                None
                            }
                        }
                    }
                    Step::End(nth, ok) if nth < under_way.len() => {
                        let (call, period) = under_way.remove(nth);
                        model.end(call, ok, now, order);
                        if ok { machine.succeeded(period, now) } else { machine.failed(period, now) }
                    }
                    Step::Abandon(nth) if nth < under_way.len() => {
                        let (call, period) = under_way.remove(nth);
                        model.calls[call].1 = Fate::Abandoned;
                        machine.abandoned(period);
                        None
                    }
                    Step::End(..) | Step::Abandon(_) => None,
                };
                let after = model.state().0;
                prop_assert_eq!(machine.phase.state(), after);
                let expected = (before != after).then_some(StateChange { from: before, to: after });
                prop_assert_eq!(change, expected);
            }
        }
    }
}
