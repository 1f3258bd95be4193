//! The runtime of a simulation.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flowkit::journal::MemoryJournal;
use flowkit::prelude::*;
use flowkit::{Breaker, Builder, FastRandomness, HookRun, KeepRuns, RetryBudget, SeededIds, TokioClock};

use crate::history::{Recorder, What};
use crate::interpret::blocking::SeededBlocking;
use crate::plan::{BREAKER, Gates, LIMITS, RATE};
use crate::world::World;

pub(super) async fn build(seed: u64, gates: &Gates, recorder: &Recorder, world: &World) -> Runtime {
    let builder = Runtime::builder()
        .clock(TokioClock::starting_at(SystemTime::UNIX_EPOCH))
        .ids(SeededIds::new(seed))
        .randomness(FastRandomness::seeded(seed))
        .blocking(SeededBlocking::new(seed))
        .journal_store(Arc::new(MemoryJournal::new()))
        .keep_runs(KeepRuns::everything())
        .observe(recorder.clone())
        .resource(world.clone());
    let builder = with_gates(builder, gates);
    let builder = match gates.hooks {
        true => with_hooks(builder, recorder),
        false => builder,
    };
    builder.build().await.unwrap()
}

fn with_gates(mut builder: Builder, gates: &Gates) -> Builder {
    let (permits, interval) = gates.rate;
    let breaker = Breaker::new()
        .failure_threshold(gates.breaker.threshold)
        .reset_timeout(Duration::from_millis(gates.breaker.reset))
        .half_open_probes(gates.breaker.probes);
    let per = Duration::from_millis(interval * u64::from(permits));
    builder = builder
        .rate_limit(RATE, permits, per)
        .circuit_breaker(BREAKER, breaker);
    for (name, capacity) in LIMITS.into_iter().zip(gates.limits) {
        builder = builder.limit(name, capacity);
    }
    if let Some(rules) = &gates.budget {
        let budget = RetryBudget::new()
            .ratio(rules.thousandths as f64 / 1e3)
            .min_per_second(rules.per_second)
            .window(Duration::from_millis(rules.window));
        builder = builder.retry_budget(budget);
    }
    if let Some(limit) = gates.task_limit {
        builder = builder.task_limit(limit);
    }
    builder
}

fn with_hooks(builder: Builder, recorder: &Recorder) -> Builder {
    let hook = || {
        let recorder = recorder.clone();
        move |run: HookRun| {
            if let Some(id) = run.task_run_id() {
                let state = run.state();
                recorder.note(What::Hook { id, state });
            }
        }
    };
    builder
        .on_running(hook())
        .on_success(hook())
        .on_failure(hook())
        .on_cancellation(hook())
        .on_crash(hook())
}
