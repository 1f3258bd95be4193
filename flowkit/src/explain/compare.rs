//! What differs between two runs of a task, and which earlier run is the nearest. Pure.

use std::collections::BTreeMap;

use flowkit_journal::StoredTask;
use flowkit_journal::record::Digest;

use super::{Change, Comparison, EarlierRun};
use crate::state::State;

/// Whether a run ended with a value.
pub(super) fn succeeded(run: &StoredTask) -> bool {
    [State::Completed, State::Cached]
        .iter()
        .any(|state| state.name() == run.state)
}

/// The inputs of a run by the names of their parameters; none if they are not known.
fn inputs(run: &StoredTask) -> Option<BTreeMap<&str, &Digest>> {
    let parameters = &run.definition.parameters;
    let known = parameters.len() == run.inputs.len();
    known.then(|| parameters.iter().map(String::as_str).zip(&run.inputs).collect())
}

/// The earlier run that is nearest to this one, of runs of which the latest comes first.
pub(super) fn nearest<'a>(run: &StoredTask, earlier: &'a [StoredTask]) -> Option<&'a StoredTask> {
    let own = inputs(run).unwrap_or_default();
    let nearness = |other: &&StoredTask| {
        let shared = inputs(other).map_or(0, |other| {
            let equal = |(name, digest): &(&&str, &&Digest)| other.get(*name) == Some(*digest);
            own.iter().filter(equal).count()
        });
        let same_key = run.cache_key.is_some() && other.cache_key == run.cache_key;
        let same_code = other.definition.code == run.definition.code;
        // Of runs with the same key, one that could have been served says more than one that failed.
        (same_key, same_key && succeeded(other), shared, same_code)
    };
    // The last of equals is found, and that is to be the latest.
    earlier.iter().rev().max_by_key(nearness)
}

/// What differs.
pub(super) fn compare(run: &StoredTask, earlier: &StoredTask, with: EarlierRun) -> Comparison {
    let mut changes = Vec::new();
    changes.extend(code_change(&earlier.definition.code, &run.definition.code));
    let mut equal = Vec::new();
    let both_keyed = run.cache_key.is_some() && earlier.cache_key.is_some();
    let key_differs = both_keyed && run.cache_key != earlier.cache_key;
    match (inputs(run), inputs(earlier)) {
        (Some(now), Some(then)) => {
            for parameter in &run.definition.parameters {
                let name = parameter.as_str();
                match then.get(name) {
                    None => changes.push(Change::ParameterAdded {
                        parameter: parameter.clone(),
                    }),
                    Some(digest) if now.get(name) == Some(digest) => equal.push(parameter.clone()),
                    Some(_) => changes.push(Change::Input {
                        parameter: parameter.clone(),
                    }),
                }
            }
            let lost = then.keys().filter(|name| !now.contains_key(*name));
            changes.extend(lost.map(|name| Change::ParameterRemoved {
                parameter: (*name).to_owned(),
            }));
        }
        _ if key_differs => changes.push(Change::SomeInput),
        _ => {}
    }
    if key_differs && changes.is_empty() {
        changes.push(Change::OtherPartOfKey);
    }
    Comparison { with, changes, equal }
}

fn code_change(from: &str, to: &str) -> Option<Change> {
    if from == to {
        return None;
    }
    let version = |code: &str| code.strip_prefix("version ").map(str::to_owned);
    Some(match (version(from), version(to)) {
        (Some(from), Some(to)) => Change::Version { from, to },
        _ => Change::Code,
    })
}
