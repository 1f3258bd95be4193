//! What is served was kept and has not expired, nothing that could have been served is computed, and a key is computed once at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flowkit::State;

use super::{Case, call_of};
use crate::history::What;
use crate::simulate::Simulated;

pub(super) fn check(simulated: &Simulated, troubles: &mut Vec<String>) {
    // Each key's last value: from when it is not served any more.
    let mut kept: BTreeMap<u32, Option<Duration>> = BTreeMap::new();
    for part in &simulated.parts {
        let case = Case::of(part);
        let remembers = part.plan.flows.iter().any(|flow| flow.retries > 0);
        let mut begun = BTreeSet::new();
        let mut computing = BTreeMap::new();
        for (index, line) in part.lines.iter().enumerate() {
            let (id, name) = match &line.what {
                What::Changed { id, name, .. } => (*id, name),
                What::BodyBegan { id: Some(id), .. } | What::BodyEnded { id: Some(id), .. } => {
                    match case.runs.get(id) {
                        Some(run) => (*id, &run.name),
                        None => continue,
                    }
                }
                _ => continue,
            };
            let Some(cached) = call_of(&part.plan, name).and_then(|call| call.cached.as_ref()) else {
                continue;
            };
            let is_there = kept
                .get(&cached.key)
                .is_some_and(|expires| expires.is_none_or(|expires| line.at < expires));
            match &line.what {
                What::Changed {
                    to: State::Pending, ..
                } => {}
                What::Changed { to, .. } => {
                    let first = begun.insert(id);
                    if *to == State::Cached && !is_there && !remembers {
                        troubles.push(format!("line {index}: there was nothing to serve"));
                    }
                    let computes = matches!(to, State::Running | State::AwaitingSlot);
                    if first && computes && is_there && !cached.refresh {
                        troubles.push(format!("line {index}: its value was there"));
                    }
                    if *to == State::Completed {
                        let expires = cached
                            .expires
                            .map(|expires| line.at + Duration::from_millis(expires));
                        kept.insert(cached.key, expires);
                    }
                }
                What::BodyBegan { .. } if !cached.refresh => {
                    if let Some(other) = computing.insert(cached.key, id) {
                        troubles.push(format!("line {index}: {other} computes this key too"));
                    }
                }
                What::BodyEnded { .. } if !cached.refresh => {
                    computing.remove(&cached.key);
                }
                _ => {}
            }
        }
    }
}
