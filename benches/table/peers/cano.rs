//! cano: state machines whose states are tasks.

use std::sync::atomic::{AtomicU64, Ordering};

use ::cano::prelude::*;
use flowkit_benches::measure::{each, timed};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Stage {
    Count,
    Split,
    Joined,
    Done,
}

/// Goes round as often as it is told.
struct Count {
    left: AtomicU64,
}

#[task(state = Stage)]
impl Count {
    fn config(&self) -> TaskConfig {
        TaskConfig::minimal()
    }

    async fn run_bare(&self) -> CanoResult<TaskResult<Stage>> {
        let next = if self.left.fetch_sub(1, Ordering::Relaxed) > 1 {
            Stage::Count
        } else {
            Stage::Done
        };
        Ok(TaskResult::Single(next))
    }
}

/// Fails twice, then goes on.
struct Flaky {
    calls: AtomicU64,
}

#[task(state = Stage)]
impl Flaky {
    fn config(&self) -> TaskConfig {
        TaskConfig::new().with_fixed_retry(2, std::time::Duration::ZERO)
    }

    async fn run_bare(&self) -> CanoResult<TaskResult<Stage>> {
        match self.calls.fetch_add(1, Ordering::Relaxed) % 3 {
            2 => Ok(TaskResult::Single(Stage::Done)),
            _ => Err(CanoError::task_execution("not yet")),
        }
    }
}

#[derive(Clone)]
struct Part;

#[task(state = Stage)]
impl Part {
    fn config(&self) -> TaskConfig {
        TaskConfig::minimal()
    }

    async fn run_bare(&self) -> CanoResult<TaskResult<Stage>> {
        Ok(TaskResult::Single(Stage::Joined))
    }
}

async fn orchestrated(workflow: &Workflow<Stage>, from: Stage) {
    workflow
        .orchestrate(from, CancellationToken::disabled())
        .await
        .unwrap();
}

/// One workflow that goes through so many states.
pub(crate) async fn states(states: u64) -> f64 {
    let count = Count {
        left: AtomicU64::new(states),
    };
    let workflow = Workflow::bare()
        .register(Stage::Count, count)
        .add_exit_state(Stage::Done);
    each(timed(orchestrated(&workflow, Stage::Count)).await, states)
}

/// Workflows of one state.
pub(crate) async fn workflows(workflows: u64) -> f64 {
    let count = Count {
        left: AtomicU64::new(0),
    };
    let workflow = Workflow::bare()
        .register(Stage::Count, count)
        .add_exit_states(vec![Stage::Done]);
    let work = timed(async {
        for _ in 0..workflows {
            // Wrapping below zero: one state each.
            orchestrated(&workflow, Stage::Done).await;
        }
    });
    each(work.await, workflows)
}

/// Workflows of one state that is tried three times.
pub(crate) async fn retried(runs: u64) -> f64 {
    let flaky = Flaky {
        calls: AtomicU64::new(0),
    };
    let workflow = Workflow::bare()
        .register(Stage::Count, flaky)
        .add_exit_state(Stage::Done);
    let work = timed(async {
        for _ in 0..runs {
            orchestrated(&workflow, Stage::Count).await;
        }
    });
    each(work.await, runs)
}

/// One state of so many parallel tasks.
pub(crate) async fn split(parts: usize) -> f64 {
    let join = JoinConfig::new(JoinStrategy::All, Stage::Joined);
    let workflow = Workflow::bare()
        .register_split(Stage::Split, vec![Part; parts], join)
        .add_exit_state(Stage::Joined);
    each(timed(orchestrated(&workflow, Stage::Split)).await, parts as u64)
}
