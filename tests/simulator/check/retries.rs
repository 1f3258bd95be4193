//! A failure is retried if, and only if, the run's policy says so and the runtime's retry budget pays for it.

use std::collections::BTreeMap;

use flowkit::{ErrorKind, State};

use super::{begins, call_of};
use crate::history::{Line, What};
use crate::plan::{BudgetRules, Call};
use crate::simulate::Simulated;

/// How many slices the window of a budget has.
const SLICES: u64 = 10;

/// A budget as a few lines. What is paid in and taken out is counted in thousandths of a retry, by slices of its window.
struct Budget {
    rules: BudgetRules,
    paid_in: BTreeMap<u64, u64>,
    taken_out: BTreeMap<u64, u64>,
}

impl Budget {
    fn slice(&self, line: &Line) -> u64 {
        line.at.as_millis() as u64 / (self.rules.window / SLICES)
    }

    fn call(&mut self, line: &Line) {
        *self.paid_in.entry(self.slice(line)).or_default() += self.rules.thousandths;
    }

    fn retry(&mut self, line: &Line) {
        *self.taken_out.entry(self.slice(line)).or_default() += 1_000;
    }

    fn allows(&self, line: &Line) -> bool {
        let oldest = (self.slice(line) + 1).saturating_sub(SLICES);
        let sum = |counts: &BTreeMap<u64, u64>| counts.range(oldest..).map(|(_, count)| count).sum::<u64>();
        let reserve = u64::from(self.rules.per_second) * self.rules.window;
        sum(&self.taken_out) + 1_000 <= reserve + sum(&self.paid_in)
    }
}

pub(super) fn check(simulated: &Simulated, troubles: &mut Vec<String>) {
    let mut budget = simulated.gates.budget.clone().map(|rules| Budget {
        // The call that opened the cache, which is before all parts.
        paid_in: BTreeMap::from([(0, rules.thousandths)]),
        taken_out: BTreeMap::new(),
        rules,
    });
    for part in &simulated.parts {
        for (index, line) in part.lines.iter().enumerate() {
            let What::Changed { name, .. } = &line.what else {
                continue;
            };
            let call = call_of(&part.plan, name);
            if let Some(budget) = &mut budget
                && is_first_attempt(line)
                && (call.is_some() || name == "probe")
            {
                budget.call(line);
            }
            let pays = budget.as_ref().is_none_or(|budget| budget.allows(line));
            let Some(retried) = call.and_then(|call| check_change(index, line, call, pays, troubles)) else {
                continue;
            };
            if let Some(budget) = budget.as_mut().filter(|_| retried) {
                budget.retry(line);
            }
        }
    }
}

fn is_first_attempt(line: &Line) -> bool {
    let What::Changed {
        from, to, attempt, ..
    } = line.what
    else {
        return false;
    };
    attempt == 1 && begins(from, to)
}

/// Looks at a change of a call's state. If that is how an attempt failed: whether another follows.
fn check_change(
    index: usize,
    line: &Line,
    call: &Call,
    pays: bool,
    troubles: &mut Vec<String>,
) -> Option<bool> {
    let What::Changed {
        from: Some(State::Running),
        to,
        attempt,
        kind,
        ..
    } = line.what
    else {
        return None;
    };
    let options = &call.options;
    let covered = match kind? {
        ErrorKind::Failed => true,
        ErrorKind::Crashed => options.retry_panics,
        ErrorKind::TimedOut => !options.gives_up_on_timeouts,
        _ => return None,
    };
    let retried = to == State::AwaitingRetry;
    let may = covered && pays && attempt <= options.retries;
    if retried && !may {
        troubles.push(format!(
            "line {index}: it is retried; its policy covers that: {covered}, the budget pays: {pays}"
        ));
    }
    // With these, the next attempt may come too late.
    let in_time = options.deadline.is_none() && options.total.is_none();
    if !retried && may && in_time {
        troubles.push(format!("line {index}: it is not retried, as it should be"));
    }
    Some(retried)
}
