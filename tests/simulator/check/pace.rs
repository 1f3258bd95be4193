//! Retries come after their delays and not before, and attempts at a rate limit no faster than it allows.

use std::time::Duration;

use flowkit::State;

use super::Case;
use crate::history::What;
use crate::plan::{FLOW_DELAYS, Gates};

pub(super) fn check(case: &Case<'_>, gates: &Gates, troubles: &mut Vec<String>) {
    for (index, line) in case.lines.iter().enumerate() {
        let What::Retry {
            id,
            name,
            attempt,
            delay,
        } = &line.what
        else {
            continue;
        };
        if let Some(call) = case.call(name) {
            let (nominal, jitter) = (call.options.nominal_delay(*attempt), call.options.jitter);
            let given = delay.as_secs_f64() * 1e3;
            let allowed = nominal * (1.0 - jitter) - 1e-3..=nominal * (1.0 + jitter) + 1e-3;
            if !allowed.contains(&given) {
                troubles.push(format!(
                    "line {index}: {name} waits for {given} ms, its policy says {nominal}"
                ));
            }
        } else if case.flow(name).is_some() {
            let planned = FLOW_DELAYS
                .get(*attempt as usize - 1)
                .copied()
                .map(Duration::from_millis);
            if planned != Some(*delay) {
                troubles.push(format!(
                    "line {index}: {name} waits for {delay:?}, its policy says {planned:?}"
                ));
            }
        }
        let next = case
            .runs
            .get(id)
            .and_then(|run| run.changes.iter().find(|change| change.line > index));
        // The timer counts whole milliseconds.
        let due = Duration::from_millis((line.at + *delay).as_nanos().div_ceil(1_000_000) as u64);
        let retries = |state| matches!(state, State::Running | State::AwaitingSlot);
        if let Some(next) = next.filter(|next| retries(next.to) && next.at != due) {
            troubles.push(format!(
                "line {index}: {name} is due at {due:?}, and goes on at {:?}",
                next.at
            ));
        }
    }
    check_rate(case, gates, troubles);
}

fn check_rate(case: &Case<'_>, gates: &Gates, troubles: &mut Vec<String>) {
    // Who waits for slots of all tasks after its permit begins when those are free.
    if gates.task_limit.is_some() {
        return;
    }
    let mut starts: Vec<u64> = Vec::new();
    for run in case.runs.values() {
        if case.call(&run.name).is_some_and(|call| call.options.rate) {
            let attempts = run.changes.iter().filter(|change| change.begins());
            starts.extend(attempts.map(|change| change.at.as_millis() as u64));
        }
    }
    starts.sort_unstable();
    let (permits, interval) = gates.rate;
    for (first, start) in starts.iter().enumerate() {
        for (last, end) in starts.iter().enumerate().skip(first) {
            let most = u64::from(permits) + (end - start) / interval;
            if (last - first + 1) as u64 > most {
                troubles.push(format!(
                    "{} attempts at the rate limit from {start} to {end} ms",
                    last - first + 1
                ));
            }
        }
    }
}
