//! The tasks and flows of every simulation: each looks up in the plan what it is to do, and does it.

pub(crate) mod blocking;
mod group;
pub(crate) mod hooks;
mod pause;

use std::num::NonZeroUsize;
use std::time::Duration;

use flowkit::prelude::*;
use flowkit::{BoxError, Error, FlowCall, TaskCall, current_run};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::history::What;
use crate::plan::{Body, FanEnd, Options, Step};
use crate::world::World;

#[task]
async fn step(id: usize, inputs: Vec<u64>, #[resource] world: &World) -> Result<u64> {
    drop(inputs);
    perform_call(world, id).await
}

#[task(cache, cache_exclude(id, inputs))]
async fn cached(key: u32, id: usize, inputs: Vec<u64>, #[resource] world: &World) -> Result<u64> {
    drop((key, inputs));
    perform_call(world, id).await
}

#[task(on_commit = hooks::committed, on_rollback = hooks::rolled_back)]
async fn hooked_step(id: usize, inputs: Vec<u64>, #[resource] world: &World) -> Result<u64> {
    drop(inputs);
    perform_call(world, id).await
}

#[task(cache, cache_exclude(id, inputs), on_commit = hooks::committed, on_rollback = hooks::rolled_back)]
async fn hooked_cached(key: u32, id: usize, inputs: Vec<u64>, #[resource] world: &World) -> Result<u64> {
    drop((key, inputs));
    perform_call(world, id).await
}

#[task]
fn blocking_step(id: usize, inputs: Vec<u64>, #[resource] world: &World) -> Result<u64> {
    drop(inputs);
    blocking::perform(world, id)
}

#[flow]
async fn once(index: usize, #[resource] world: &World) -> Result<u64> {
    perform_flow(world, index).await
}

#[flow(retries = 1, retry_delay = "7ms")]
async fn twice(index: usize, #[resource] world: &World) -> Result<u64> {
    perform_flow(world, index).await
}

#[flow(retries = 2, retry_delay = ["7ms", "11ms"], retry_panics)]
async fn thrice(index: usize, #[resource] world: &World) -> Result<u64> {
    perform_flow(world, index).await
}

/// The flow of this index in the plan.
pub(crate) fn flow(world: &World, index: usize) -> FlowCall<u64> {
    let plan = world.plan();
    let flow = &plan.flows[index];
    let call = match flow.retries {
        0 => once(index),
        1 => twice(index),
        _ => thrice(index),
    };
    let call = call.named(format!("f{index}"));
    match flow.timeout {
        Some(timeout) => call.timeout(Duration::from_millis(timeout)),
        None => call,
    }
}

/// The call of this index in the plan, which takes the values of these.
fn call(world: &World, id: usize, inputs: Vec<TaskHandle<u64>>) -> TaskCall<u64> {
    let plan = world.plan();
    let planned = &plan.calls[id];
    let call = match (&planned.cached, planned.is_hooked()) {
        (Some(key), false) => cached(key.key, id, all(inputs)),
        (Some(key), true) => hooked_cached(key.key, id, all(inputs)),
        (None, _) if planned.blocks => blocking_step(id, all(inputs)),
        (None, false) => step(id, all(inputs)),
        (None, true) => hooked_step(id, all(inputs)),
    };
    call.named(format!("t{id}"))
        .with(planned.options.of_task(planned.cached.as_ref()))
}

async fn perform_call(world: &World, id: usize) -> Result<u64> {
    let plan = world.plan();
    let call = &plan.calls[id];
    perform(world, &call.body, &call.options).await
}

async fn perform_flow(world: &World, index: usize) -> Result<u64> {
    let plan = world.plan();
    perform(world, &plan.flows[index].body, &Options::default()).await
}

fn perform<'a>(world: &'a World, body: &'a Body, options: &'a Options) -> BoxFuture<'a, Result<u64>> {
    async move {
        let run = current_run().ok_or("a body belongs to a run")?;
        let attempt = run.attempt();
        let group = group::group_of(&run.tags());
        let mut inside = world.enter(run.task_run_id(), run.flow_run_id(), attempt, group);
        let in_task = run.task_run_id().is_some();
        let mut performer = Performer {
            world,
            options: in_task.then_some(options),
            handles: Vec::new(),
            group,
        };
        for after in 0..=body.steps.len() {
            step_fate(body, attempt, after).inspect_err(|_| inside.how = "failed")?;
            if let Some(step) = body.steps.get(after)
                && let Err(error) = performer.take(step).await
            {
                inside.how = "failed";
                return Err(error);
            }
        }
        inside.how = "returned";
        Ok(world.value())
    }
    .boxed()
}

/// Fails, or panics, if that is the fate of the attempt after so many steps.
fn step_fate(body: &Body, attempt: u32, after: usize) -> Result<()> {
    match body.fates.get(attempt as usize - 1) {
        // Without the hook, which would print it.
        Some(fate) if fate.after == after && fate.panics => std::panic::resume_unwind(Box::new("as planned")),
        Some(fate) if fate.after == after => Err("as planned".into()),
        _ => Ok(()),
    }
}

/// A body at work.
struct Performer<'a> {
    world: &'a World,
    /// None in a flow, which holds no slots.
    options: Option<&'a Options>,
    /// None once it was used up.
    handles: Vec<Option<TaskHandle<u64>>>,
    /// The transaction that it is in.
    group: Option<u64>,
}

fn passed(outcome: std::result::Result<u64, Error>, pass: bool) -> Result<()> {
    match outcome {
        Err(error) if pass => Err(BoxError::from(error)),
        _ => Ok(()),
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Performer<'_> {
    async fn take(&mut self, step: &Step) -> Result<()> {
        let world = self.world;
        match step {
            Step::Work(time) => {
                let _working = self.options.map(|options| world.work(options));
                tokio::time::sleep(millis(*time)).await;
            }
            Step::Rest(time) => flowkit::sleep(millis(*time)).await,
            Step::Here { call: id, pass } => {
                return passed(call(world, *id, Vec::new()).await, *pass);
            }
            Step::Both { calls: [one, other] } => {
                let both = (call(world, *one, Vec::new()), call(world, *other, Vec::new()));
                drop(futures::join!(both.0.into_future(), both.1.into_future()));
                self.come_back().await;
            }
            Step::Abandon { call: id, after } => {
                drop(tokio::time::timeout(millis(*after), call(world, *id, Vec::new())).await);
                self.come_back().await;
            }
            Step::Submit {
                call: id,
                inputs,
                order,
                tolerant,
                gives_away,
            } => self.submit(*id, inputs, order, *tolerant, *gives_away)?,
            Step::FlowHere { flow: index, pass } => return passed(flow(world, *index).await, *pass),
            Step::FlowSubmit { flow: index } => self.handles.push(Some(flow(world, *index).submit())),
            Step::Join { handle, pass } => return self.join(*handle, *pass).await,
            Step::JoinAll { handles, pass } => {
                let group = all(self.all_of(handles, true)?);
                return passed(group.await.map(|values| values.len() as u64), *pass);
            }
            Step::Peek { handle, at_most } => {
                self.one(*handle)?.wait(millis(*at_most)).await;
            }
            Step::Cancel { handle } => {
                let handle = self.one(*handle)?;
                handle.cancel();
                world.note(What::Cancel { id: handle.id() });
            }
            Step::FanOut {
                calls,
                concurrency,
                lazy,
                end,
            } => {
                return self.fan_out(calls, *concurrency, *lazy, end).await;
            }
            Step::Pause(pause) => return self.pause(pause).await,
            Step::Group(group) => return self.group(group).await,
        }
        Ok(())
    }

    /// Waits properly, so that the slots are held again that a wait which was given up may have left.
    async fn come_back(&self) {
        flowkit::sleep(millis(1)).await;
    }

    fn one(&self, handle: usize) -> Result<&TaskHandle<u64>> {
        Ok(self.handles[handle]
            .as_ref()
            .ok_or("the plan uses a handle twice")?)
    }

    /// These handles, which cannot be used again if they are given away.
    fn all_of(&mut self, handles: &[usize], gives_away: bool) -> Result<Vec<TaskHandle<u64>>> {
        let all = handles.iter().map(|&handle| self.one(handle).cloned()).collect();
        if gives_away {
            handles.iter().for_each(|&handle| self.handles[handle] = None);
        }
        all
    }

    fn submit(
        &mut self,
        id: usize,
        inputs: &[usize],
        order: &[usize],
        tolerant: bool,
        gives_away: bool,
    ) -> Result<()> {
        let order = self.all_of(order, false)?;
        let inputs = self.all_of(inputs, gives_away)?;
        let call = call(self.world, id, inputs);
        let call = match tolerant {
            true => call.wait_for(order.into_iter().map(allow_failure)),
            false => call.wait_for(order),
        };
        self.handles.push(Some(call.submit()));
        Ok(())
    }

    async fn join(&mut self, handle: usize, pass: bool) -> Result<()> {
        let handle = self.handles[handle]
            .take()
            .ok_or("the plan uses a handle twice")?;
        let id = handle.id();
        self.world.note(What::Awaits { id });
        let outcome = handle.await;
        if outcome.is_err() {
            self.world.note(What::Looked { id });
        }
        passed(outcome, pass)
    }

    async fn fan_out(&mut self, calls: &[usize], concurrency: usize, lazy: bool, end: &FanEnd) -> Result<()> {
        let world = self.world.clone();
        let calls: Vec<_> = calls.iter().map(|&id| call(&world, id, Vec::new())).collect();
        let at_once = NonZeroUsize::new(concurrency).unwrap_or(NonZeroUsize::MIN);
        let fan_out = calls.into_iter().concurrency(at_once);
        let mapped = if lazy {
            fan_out.submit_lazily()
        } else {
            fan_out.submit_all()
        };
        let count = |values: Vec<u64>| values.len() as u64;
        match end {
            FanEnd::Values { pass } => return passed(mapped.await.map(count), *pass),
            FanEnd::Outcomes => drop(mapped.outcomes().await),
            FanEnd::Tolerate { failures, pass } => {
                let outcomes = mapped.tolerate(*failures).await;
                return passed(outcomes.map(|outcomes| outcomes.len() as u64), *pass);
            }
            FanEnd::Stream { take } => {
                let mut stream = mapped.as_completed();
                for _ in 0..*take {
                    if stream.next().await.is_none() {
                        break;
                    }
                }
                drop(stream);
                self.come_back().await;
            }
            FanEnd::Dropped => {}
            FanEnd::Cancelled { after } => {
                flowkit::sleep(millis(*after)).await;
                mapped.cancel();
                world.note(What::Cancel { id: mapped.id() });
                drop(mapped.outcomes().await);
            }
            FanEnd::ItemCancelled { item, after } => {
                flowkit::sleep(millis(*after)).await;
                if let Some(item) = mapped.handles().nth(*item) {
                    item.cancel();
                    world.note(What::Cancel { id: item.id() });
                }
                drop(mapped.outcomes().await);
            }
        }
        Ok(())
    }
}
