//! A breaker as a few lines: whether it lets an attempt through, and when it changes, is what the engine's says.

use std::collections::BTreeMap;
use std::time::Duration;

use flowkit::{BreakerState, ErrorKind, State, TaskRunId};

use super::{begins, call_of};
use crate::history::{Line, What};
use crate::plan::BreakerRules;
use crate::simulate::Simulated;

struct Model {
    rules: BreakerRules,
    state: BreakerState,
    /// Which state it is in, counted.
    period: u32,
    failures: u32,
    until: Duration,
    probing: u32,
    succeeded: u32,
    changes: Vec<(BreakerState, BreakerState)>,
    /// The periods of the attempts that go on.
    attempts: BTreeMap<TaskRunId, u32>,
}

impl Model {
    fn enter(&mut self, state: BreakerState) {
        self.changes.push((self.state, state));
        self.state = state;
        self.period += 1;
        (self.failures, self.probing, self.succeeded) = (0, 0, 0);
    }

    fn admit(&mut self, now: Duration) -> bool {
        if self.state == BreakerState::Open && now >= self.until {
            self.enter(BreakerState::HalfOpen);
        }
        match self.state {
            BreakerState::Closed => true,
            BreakerState::Open => false,
            BreakerState::HalfOpen => {
                let admitted = self.probing < self.rules.probes;
                self.probing += u32::from(admitted);
                admitted
            }
        }
    }

    /// An attempt of this period ended.
    fn end(&mut self, period: u32, success: Option<bool>, now: Duration) {
        if period != self.period {
            return;
        }
        match (self.state, success) {
            (BreakerState::Closed, Some(true)) => self.failures = 0,
            (BreakerState::Closed, Some(false)) => {
                self.failures += 1;
                if self.failures >= self.rules.threshold {
                    self.open(now);
                }
            }
            (BreakerState::HalfOpen, Some(false)) => self.open(now),
            (BreakerState::HalfOpen, Some(true)) => {
                self.probing -= 1;
                self.succeeded += 1;
                if self.succeeded >= self.rules.probes {
                    self.enter(BreakerState::Closed);
                }
            }
            (BreakerState::HalfOpen, None) => self.probing -= 1,
            (BreakerState::Open, _) | (BreakerState::Closed, None) => {}
        }
    }

    /// Follows a change of a guarded call. Whether an attempt begins only where this lets it.
    fn agrees(&mut self, line: &Line) -> bool {
        let What::Changed {
            id, from, to, kind, ..
        } = &line.what
        else {
            return true;
        };
        if begins(*from, *to) {
            let admitted = self.admit(line.at);
            self.attempts.insert(*id, self.period);
            return admitted;
        }
        if *kind == Some(ErrorKind::CircuitOpen) {
            return !self.admit(line.at);
        }
        let success = match to {
            State::Running | State::Paused => return true,
            State::Completed => Some(true),
            State::Cancelled => None,
            _ => Some(false),
        };
        if matches!(from, Some(State::Running | State::Paused))
            && let Some(period) = self.attempts.remove(id)
        {
            self.end(period, success, line.at);
        }
        true
    }

    fn open(&mut self, now: Duration) {
        self.enter(BreakerState::Open);
        self.until = now + Duration::from_millis(self.rules.reset);
    }
}

pub(super) fn check(simulated: &Simulated, troubles: &mut Vec<String>) {
    let rules = simulated.gates.breaker.clone();
    let mut model = Model {
        rules,
        state: BreakerState::Closed,
        period: 0,
        failures: 0,
        until: Duration::ZERO,
        probing: 0,
        succeeded: 0,
        changes: Vec::new(),
        attempts: BTreeMap::new(),
    };
    let mut told = Vec::new();
    for part in &simulated.parts {
        for (index, line) in part.lines.iter().enumerate() {
            if let What::Breaker { from, to } = line.what {
                told.push((from, to));
            }
            let What::Changed { name, .. } = &line.what else {
                continue;
            };
            let guarded = call_of(&part.plan, name).is_some_and(|call| call.options.breaker);
            if (guarded || name == "probe") && !model.agrees(line) {
                troubles.push(format!("line {index}: the breaker is {:?}", model.state));
            }
        }
    }
    if told != model.changes {
        troubles.push(format!(
            "the breaker changed {told:?}, the model {:?}",
            model.changes
        ));
    }
}
