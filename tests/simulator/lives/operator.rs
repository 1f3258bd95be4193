//! Who looks how effects went whose outcome is not known, and says so: from the ledger, which knows.

use std::collections::BTreeMap;
use std::sync::Mutex;

use flowkit::journal::record::Effect;
use flowkit::{FlowRunId, ResumeOptions, Runtime, UnknownEffect};

use super::ledger::Ledger;

/// The call that a run of this name is of.
pub(super) fn call_of(name: &str) -> Option<usize> {
    name.strip_prefix('c')?.parse().ok()
}

pub(super) async fn settle(
    runtime: &Runtime,
    run: FlowRunId,
    ledger: &Mutex<Ledger>,
    mut options: ResumeOptions,
) -> ResumeOptions {
    let mut by_call: BTreeMap<usize, Vec<UnknownEffect>> = BTreeMap::new();
    for effect in runtime.unknown_effects(run).await.unwrap() {
        let call = call_of(effect.name.as_deref().unwrap_or_default()).unwrap();
        by_call.entry(call).or_default().push(effect);
    }
    let known = known(runtime, run).await;
    let mut ledger = ledger.lock().unwrap();
    for (call, effects) in by_call {
        let (happened, value) = ledger.happened.get(&call).copied().unwrap_or_default();
        // Equal calls are interchangeable: so many of them happened whose outcome is not known.
        let known = known.get(&call).copied().unwrap_or_default();
        if known > happened {
            let trouble = format!("c{call} happened {happened} times, and the journal knows of {known}");
            ledger.troubles.push(trouble);
        }
        let happened = happened.saturating_sub(known);
        for (index, effect) in effects.iter().enumerate() {
            options = match index < happened {
                true => options.happened(effect, value),
                false => options.did_not_happen(effect),
            };
        }
    }
    options
}

/// Of how many effects of each call the journal knows that they happened.
async fn known(runtime: &Runtime, run: FlowRunId) -> BTreeMap<usize, usize> {
    let finished = runtime.journal().unwrap().finished(run.as_u128()).await.unwrap();
    let mut last = BTreeMap::new();
    for task in finished.tasks.iter().filter(|task| task.effect != Effect::None) {
        last.insert(task.place, task);
    }
    let mut known = BTreeMap::new();
    for task in last
        .values()
        .filter(|task| task.effect == Effect::Happened && task.has_result)
    {
        *known
            .entry(call_of(task.name.as_deref().unwrap()).unwrap())
            .or_default() += 1;
    }
    known
}
