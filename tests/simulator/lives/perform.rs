//! The tasks and flows of a program: each looks up what it is to do, and does it.

use flowkit::prelude::*;
use flowkit::{FlowCall, TaskCall, TaskOptions, current_run, tagged, transaction};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::ledger::World;
use super::program::{Kind, Step};

/// The tag of what a task calls that was tried before.
const AGAIN: &str = "again";

#[task(run_name = "c{call}")]
async fn plain(call: usize, input: Vec<u64>, #[resource] world: &World) -> Result<u64> {
    perform_call(world, call, &input).await
}

#[task(run_name = "c{call}", persist = false)]
async fn unkept(call: usize, input: Vec<u64>, #[resource] world: &World) -> Result<u64> {
    perform_call(world, call, &input).await
}

#[task(run_name = "c{call}", effect)]
async fn effect(call: usize, input: Vec<u64>, #[resource] world: &World) -> Result<u64> {
    perform_call(world, call, &input).await
}

#[flow]
async fn once(index: usize, #[resource] world: &World) -> Result<u64> {
    perform_flow(world, index).await
}

#[flow(retries = 1)]
async fn twice(index: usize, #[resource] world: &World) -> Result<u64> {
    perform_flow(world, index).await
}

pub(super) fn flow(world: &World, index: usize) -> FlowCall<u64> {
    match world.program().flows[index].fails_once {
        true => twice(index),
        false => once(index),
    }
}

fn call(world: &World, index: usize, input: Vec<TaskHandle<u64>>) -> TaskCall<u64> {
    let planned = &world.program().calls[index];
    let call = match planned.kind {
        Kind::Plain => plain(index, all(input)),
        Kind::Unkept => unkept(index, all(input)),
        Kind::Effect => effect(index, all(input)),
    };
    call.with(TaskOptions::new().retries(planned.failures))
}

/// What a body returns that had these values.
fn fold(index: usize, values: &[u64]) -> u64 {
    let step = |sum: u64, value: &u64| (sum ^ value).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    values.iter().fold(index as u64 + 0x9e37_79b9, step)
}

async fn perform_call(world: &World, index: usize, input: &[u64]) -> Result<u64> {
    let run = current_run().ok_or("a body belongs to a run")?;
    let id = run.task_run_id().ok_or("a task has a run")?;
    world.begins(index, id, run.tags().iter().any(|tag| tag == AGAIN));
    let call = &world.program().calls[index];
    world.rest().await;
    let mut values = input.to_vec();
    let fails = run.attempt() <= call.failures;
    let performed = perform(world, &call.steps, fails);
    values.extend(match run.attempt() {
        1 => performed.await?,
        _ => tagged([AGAIN], performed).await?,
    });
    if fails {
        return Err("as planned".into());
    }
    let value = fold(index, &values);
    if call.kind == Kind::Effect {
        world.happens(index, value);
        world.rest().await;
    }
    Ok(value)
}

async fn perform_flow(world: &World, index: usize) -> Result<u64> {
    let flow = &world.program().flows[index];
    let attempt = current_run().ok_or("a body belongs to a run")?.attempt();
    let fails = flow.fails_once && attempt == 1;
    let values = perform(world, &flow.steps, fails).await?;
    if fails {
        return Err("as planned".into());
    }
    Ok(fold(index, &values))
}

/// Why a transaction was undone.
enum Undone {
    AsPlanned,
    By(flowkit::Error),
}

impl From<flowkit::Error> for Undone {
    fn from(error: flowkit::Error) -> Self {
        Self::By(error)
    }
}

/// Calls in a transaction, which may fail at its end: then it has no values, and whoever called it fails later.
async fn undoable(world: &World, calls: &[usize], submits: bool, fails: bool) -> Result<Vec<u64>> {
    let outcome = transaction(async {
        let calls = calls.iter().map(|&index| call(world, index, Vec::new()));
        let mut values = Vec::new();
        if submits {
            let handles: Vec<_> = calls.map(TaskCall::submit).collect();
            for handle in handles {
                values.push(handle.await?);
            }
        } else {
            for call in calls {
                values.push(call.await?);
            }
        }
        match fails {
            true => Err(Undone::AsPlanned),
            false => Ok(values),
        }
    });
    match outcome.await {
        Ok(values) => Ok(values),
        Err(Undone::AsPlanned) => Ok(Vec::new()),
        Err(Undone::By(error)) => Err(error.into()),
    }
}

/// Takes steps, in an attempt that is to fail or not, and gives the values that came of them in the order in which they are written.
fn perform<'a>(world: &'a World, steps: &'a [Step], fails: bool) -> BoxFuture<'a, Result<Vec<u64>>> {
    async move {
        let mut values = Vec::new();
        let mut submitted = Vec::new();
        let mut last: Option<TaskHandle<u64>> = None;
        for step in steps {
            match step {
                Step::Rest => world.rest().await,
                Step::Here(index) => values.push(call(world, *index, Vec::new()).await?),
                Step::Submit(index) | Step::Feed(index) => {
                    let input = match step {
                        Step::Feed(_) => last.iter().cloned().collect(),
                        _ => Vec::new(),
                    };
                    let handle = call(world, *index, input).submit();
                    last = Some(handle.clone());
                    submitted.push(handle);
                }
                Step::FanOut(calls) => {
                    let calls: Vec<_> = calls
                        .iter()
                        .map(|&index| call(world, index, Vec::new()))
                        .collect();
                    values.extend(calls.into_iter().submit_all().await?);
                }
                Step::FlowHere(index) => values.push(flow(world, *index).await?),
                Step::FlowSubmit(index) => submitted.push(flow(world, *index).submit()),
                Step::Both([one, other]) => {
                    let (one, other) =
                        futures::join!(perform(world, one, fails), perform(world, other, fails));
                    values.extend(one?);
                    values.extend(other?);
                }
                Step::Transaction {
                    calls,
                    submits,
                    fails: planned,
                } => values.extend(undoable(world, calls, *submits, *planned && fails).await?),
            }
        }
        for handle in submitted {
            values.push(handle.await?);
        }
        Ok(values)
    }
    .boxed()
}
