//! Runs one seed: first a plan with faults, then, on the same runtime, one without, in which everything must complete.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use flowkit::prelude::*;
use flowkit::{Breaker, FastRandomness, HookRun, RunRecord, SeededIds, TokioClock};

use crate::engine_errors::EngineErrors;
use crate::generate::{self, Profile};
use crate::history::{Line, Recorder, What};
use crate::interpret::flow;
use crate::plan::{BREAKER, Gates, LIMITS, Plan, RATE};
use crate::world::World;

/// Longer than any plan takes: a run that has not ended by then never will.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What became of a seed.
pub(crate) struct Simulated {
    pub(crate) gates: Gates,
    pub(crate) parts: Vec<Part>,
    /// What was wrong while it ran, or when all was over.
    pub(crate) troubles: Vec<String>,
}

/// One of the two runs.
pub(crate) struct Part {
    pub(crate) plan: Arc<Plan>,
    pub(crate) lines: Vec<Line>,
    /// None if its future was dropped, or it never ended.
    pub(crate) record: Option<RunRecord>,
    /// Whether all of it must complete.
    pub(crate) sound: bool,
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
    let mut simulated = errors.while_watched(|| tokio.block_on(both_phases(seed)));
    simulated.troubles.extend(errors.seen());
    simulated
}

async fn both_phases(seed: u64) -> Simulated {
    let mut rng = Rng::with_seed(seed);
    let profile = if seed.is_multiple_of(3) {
        Profile::Exact
    } else {
        Profile::Shared
    };
    let mut gates = generate::gates(&mut rng);
    if profile == Profile::Exact {
        gates.task_limit = None;
    }
    let faulty = Arc::new(generate::plan(&mut rng, profile, &gates));
    let sound = Arc::new(generate::plan(&mut rng, Profile::Sound, &gates));
    let recorder = Recorder::new();
    let world = World::new(recorder.clone(), Arc::clone(&faulty));
    let runtime = build(seed, &gates, &recorder, &world).await;
    world.set_runtime(Some(runtime.clone()));
    let mut troubles = Vec::new();
    // What the first use of a cache opens is opened on a thread of its own, which no seed governs.
    troubles.extend(
        runtime
            .run(open_cache())
            .await
            .into_result()
            .err()
            .map(|error| error.to_string()),
    );

    let mut parts = Vec::new();
    for (plan, sound) in [(faulty, false), (sound, true)] {
        let first = recorder.lines().len();
        recorder.note(What::Phase(if sound { "without faults" } else { "with faults" }));
        world.set_plan(Arc::clone(&plan));
        if sound {
            let settled = tokio::time::timeout(NEVER, settle(&runtime, gates.breaker.probes)).await;
            let stalled = |_| Some("a stall: what comes next finds something held".to_owned());
            troubles.extend(settled.unwrap_or_else(stalled));
        }
        let record = match tokio::time::timeout(NEVER, run(&runtime, &recorder, &world, &plan)).await {
            Ok(record) => record,
            Err(_) => {
                troubles.push("a stall: the run has not ended, and nothing is left that could end it".into());
                None
            }
        };
        // What was dropped ends by itself.
        tokio::time::sleep(Duration::from_millis(1)).await;
        troubles.extend(idle(&runtime));
        let lines = recorder.lines().split_off(first);
        parts.push(Part {
            plan,
            lines,
            record,
            sound,
        });
    }
    troubles.extend(world.troubles());
    world.set_runtime(None);
    Simulated {
        gates,
        parts,
        troubles,
    }
}

async fn build(seed: u64, gates: &Gates, recorder: &Recorder, world: &World) -> Runtime {
    let (permits, interval) = gates.rate;
    let breaker = Breaker::new()
        .failure_threshold(gates.breaker.threshold)
        .reset_timeout(Duration::from_millis(gates.breaker.reset))
        .half_open_probes(gates.breaker.probes);
    let mut builder = Runtime::builder()
        .clock(TokioClock::starting_at(SystemTime::UNIX_EPOCH))
        .ids(SeededIds::new(seed))
        .randomness(FastRandomness::seeded(seed))
        .observe(recorder.clone())
        .resource(world.clone())
        .rate_limit(
            RATE,
            permits,
            Duration::from_millis(interval * u64::from(permits)),
        )
        .circuit_breaker(BREAKER, breaker);
    for (name, capacity) in LIMITS.into_iter().zip(gates.limits) {
        builder = builder.limit(name, capacity);
    }
    if gates.hooks {
        let hook = |recorder: &Recorder| {
            let recorder = recorder.clone();
            move |run: HookRun| {
                if let Some(id) = run.task_run_id() {
                    let state = run.state();
                    recorder.note(What::Hook { id, state });
                }
            }
        };
        builder = builder
            .on_running(hook(recorder))
            .on_success(hook(recorder))
            .on_failure(hook(recorder))
            .on_cancellation(hook(recorder))
            .on_crash(hook(recorder));
    }
    if let Some(limit) = gates.task_limit {
        builder = builder.task_limit(limit);
    }
    builder.build().await.unwrap()
}

/// Runs the root of a plan, unless the plan is to drop it.
async fn run(runtime: &Runtime, recorder: &Recorder, world: &World, plan: &Plan) -> Option<RunRecord> {
    let canceller = plan.cancel_at.map(|at| {
        let (runtime, recorder) = (runtime.clone(), recorder.clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(at)).await;
            if let Some(root) = recorder.root() {
                recorder.note(What::CancelFlow { flow: root });
                runtime.cancel(root);
            }
        })
    });
    let running = async { runtime.run(flow(world, 0)).await.record().clone() };
    let record = match plan.drop_at {
        Some(at) => tokio::time::timeout(Duration::from_millis(at), running)
            .await
            .ok(),
        None => Some(running.await),
    };
    if let Some(canceller) = canceller {
        canceller.abort();
    }
    record
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
