//! Bodies that block. They run on no thread of their own, which no seed would govern, but on the simulation's, a while after the engine
//! asked for it.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use fastrand::Rng;
use flowkit::prelude::*;
use flowkit::{Blocking, current_run};

use super::{call, group, step_fate};
use crate::plan::Step;
use crate::world::World;

/// The pool of a simulation.
pub(crate) struct SeededBlocking(Mutex<Rng>);

impl SeededBlocking {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(Rng::with_seed(seed)))
    }
}

impl fmt::Debug for SeededBlocking {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SeededBlocking")
    }
}

impl Blocking for SeededBlocking {
    fn execute(&self, work: Box<dyn FnOnce() + Send>) {
        let busy = self.0.lock().unwrap().u64(0..=3);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(busy)).await;
            work();
        });
    }
}

/// Submits what the plan says, and waits for nothing.
pub(super) fn perform(world: &World, id: usize) -> Result<u64> {
    let plan = world.plan();
    let planned = &plan.calls[id];
    let run = current_run().ok_or("a body belongs to a run")?;
    let attempt = run.attempt();
    let group = group::group_of(&run.tags());
    let mut inside = world.enter(run.task_run_id(), run.flow_run_id(), attempt, group);
    let _working = world.work(&planned.options);
    for after in 0..=planned.body.steps.len() {
        step_fate(&planned.body, attempt, after).inspect_err(|_| inside.how = "failed")?;
        if let Some(Step::Submit { call: id, .. }) = planned.body.steps.get(after) {
            drop(call(world, *id, Vec::new()).submit());
        }
    }
    inside.how = "returned";
    Ok(world.value())
}
