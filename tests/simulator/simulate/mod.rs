//! Runs one seed: first a plan with faults, then, on the same runtime, one without, in which everything must complete, and with some seeds
//! one more, which the end of the runtime overtakes.

mod build;
mod roots;

use std::sync::Arc;
use std::time::Duration;

use flowkit::RunRecord;
use flowkit::prelude::*;

use crate::check;
use crate::engine_errors::EngineErrors;
use crate::generate;
use crate::history::{Line, Recorder, What};
use crate::interpret::hooks;
use crate::plan::{Gates, LIMITS, Plan};
use crate::world::World;
use roots::Stage;

/// Longer than any plan takes: a run that has not ended by then never will.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What became of a seed.
pub(crate) struct Simulated {
    pub(crate) gates: Gates,
    pub(crate) parts: Vec<Part>,
    /// What was wrong while it ran, or when all was over.
    pub(crate) troubles: Vec<String>,
}

/// What became of one plan.
pub(crate) struct Part {
    pub(crate) plan: Arc<Plan>,
    pub(crate) lines: Vec<Line>,
    /// Those of the roots whose futures were not dropped, and that ended.
    pub(crate) records: Vec<RunRecord>,
}

#[task(cache)]
async fn first_use() -> u64 {
    0
}

#[flow]
async fn open_cache() -> Result<u64> {
    Ok(first_use().await?)
}

#[task(circuit_breaker = "breaker")]
async fn probe() -> u64 {
    0
}

#[flow]
async fn close_breaker(probes: u32) -> Result<()> {
    for _ in 0..probes {
        probe().await?;
    }
    Ok(())
}

/// Runs a seed on a tokio runtime of its own, whose clock jumps.
pub(crate) fn simulate(seed: u64) -> Simulated {
    let errors = EngineErrors::default();
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let mut simulated = errors.while_watched(|| tokio.block_on(all_parts(seed)));
    simulated.troubles.extend(errors.seen());
    simulated
}

async fn all_parts(seed: u64) -> Simulated {
    let generate::Drawn { gates, plans } = generate::draw(seed);
    let recorder = Recorder::new();
    hooks::note_in(&recorder);
    let world = World::new(recorder.clone(), Arc::clone(&plans[0]));
    let runtime = build::build(seed, &gates, &recorder, &world).await;
    world.set_runtime(Some(runtime.clone()));
    // What the first use of a cache opens is opened on a thread of its own, which no seed governs.
    let opened = runtime.run(open_cache()).await.into_result();
    let mut troubles: Vec<_> = opened.err().map(|error| error.to_string()).into_iter().collect();
    let stage = Stage {
        runtime,
        recorder,
        world,
    };
    let mut parts = Vec::new();
    for plan in plans {
        parts.push(run_part(&stage, &gates, plan, &mut troubles).await);
    }
    troubles.extend(stage.world.troubles());
    let journal = stage.runtime.journal().unwrap();
    let records: Vec<_> = parts.iter().flat_map(|part| part.records.clone()).collect();
    troubles.extend(check::journal::compare(&*journal, &records).await);
    stage.world.set_runtime(None);
    Simulated {
        gates,
        parts,
        troubles,
    }
}

async fn run_part(stage: &Stage, gates: &Gates, plan: Arc<Plan>, troubles: &mut Vec<String>) -> Part {
    let Stage {
        runtime,
        recorder,
        world,
    } = stage;
    let first = recorder.lines().len();
    recorder.note(What::Phase(if plan.sound {
        "without faults"
    } else {
        "with faults"
    }));
    world.set_plan(Arc::clone(&plan));
    if plan.sound {
        let settled = tokio::time::timeout(NEVER, settle(runtime, gates.breaker.probes)).await;
        let stalled = |_| Some("a stall: what comes next finds something held".to_owned());
        troubles.extend(settled.unwrap_or_else(stalled));
    }
    let records = match tokio::time::timeout(NEVER, stage.run(&plan)).await {
        Ok(records) => records,
        Err(_) => {
            troubles.push("a stall: a run has not ended, and nothing is left that could end it".into());
            Vec::new()
        }
    };
    // What was dropped ends by itself, and calls hooks before that.
    tokio::time::sleep(Duration::from_secs(1)).await;
    troubles.extend(idle(runtime));
    Part {
        lines: recorder.lines().split_off(first),
        plan,
        records,
    }
}

/// Waits until a breaker that is open lets calls through, and closes it.
async fn settle(runtime: &Runtime, probes: u32) -> Option<String> {
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let error = runtime.run(close_breaker(probes)).await.into_result().err()?;
    Some(format!("the breaker cannot be closed: {error:#}"))
}

/// What an idle runtime still holds.
fn idle(runtime: &Runtime) -> Vec<String> {
    let uses = LIMITS.into_iter().map(|name| (name, runtime.limit_use(name)));
    let mut troubles: Vec<String> = uses
        .chain([("all tasks", runtime.task_limit_use())])
        .filter_map(|(name, used)| Some((name, used?)))
        .filter(|(_, used)| used.in_use > 0 || used.waiting > 0)
        .map(|(name, used)| format!("nothing runs, and of the limit `{name}` {used:?}"))
        .collect();
    if runtime.running() > 0 {
        troubles.push(format!(
            "nothing runs, and {} flow runs are said to",
            runtime.running()
        ));
    }
    troubles
}
