//! durare: workflows whose steps are checkpointed in a database.

use ::durare::{DurableContext, DurableEngine, Result, WorkflowOptions};
use flowkit_benches::measure::{each, timed};

/// Where the checkpoints go.
#[derive(Clone, Copy)]
pub(crate) enum Store {
    Memory,
    /// WAL with `synchronous = NORMAL`, which is what durare sets.
    Sqlite,
}

#[durare::step]
async fn double(ctx: &DurableContext, n: u64) -> Result<u64> {
    Ok(n * 2)
}

#[durare::workflow]
async fn one_by_one(ctx: DurableContext, steps: u64) -> Result<u64> {
    let mut n = 1;
    for _ in 0..steps {
        n = double(&ctx, n).await? % 1000;
    }
    Ok(n)
}

async fn engine(store: Store, directory: &std::path::Path) -> DurableEngine {
    let url = match store {
        Store::Memory => "memory:".to_owned(),
        Store::Sqlite => format!("sqlite://{}", directory.join("durare.db").display()),
    };
    DurableEngine::connect(&url).await.unwrap().build().await.unwrap()
}

async fn run(engine: &DurableEngine, id: String, steps: u64) -> u64 {
    let started = engine
        .start_with(OneByOne, steps, WorkflowOptions::with_id(id))
        .await;
    started.unwrap().await.unwrap()
}

/// One workflow of so many steps.
pub(crate) async fn steps(store: Store, steps: u64) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(store, directory.path()).await;
    let work = timed(run(&engine, "steps".to_owned(), steps));
    each(work.await, steps)
}

/// Workflows without steps.
pub(crate) async fn workflows(workflows: u64) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(Store::Memory, directory.path()).await;
    let work = timed(async {
        for n in 0..workflows {
            run(&engine, format!("{n}"), 0).await;
        }
    });
    each(work.await, workflows)
}
