//! Two changes that count only together, and somebody who has a say in it: `cargo run --example transaction`.
//!
//! A release waits, paused, for its approval. Refused, what it did already is undone, the last first.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use flowkit::prelude::*;
use flowkit::{HookRun, pause, transaction};

fn remove(run: HookRun) {
    println!("  undone: {}", run.run_name());
}

fn announce(run: HookRun) {
    println!("  done: {}", run.run_name());
}

#[task(run_name = "table {name}", on_commit = announce, on_rollback = remove)]
async fn create_table(name: &str) -> usize {
    name.len()
}

#[task(run_name = "rows of {name}", on_commit = announce, on_rollback = remove)]
async fn load_rows(name: &str, width: usize) -> usize {
    name.len() * width
}

#[flow]
async fn release(name: String) -> Result<usize> {
    transaction(async {
        let width = create_table(&name).await?;
        let rows = load_rows(&name, width).await?;
        let approved: bool = pause("approval").await?;
        if approved {
            Ok(rows)
        } else {
            Err(format!("{name} was not approved").into())
        }
    })
    .await
}

/// Answers the next release that waits, as a person would over some other way in.
async fn answer(runtime: &Runtime, approve: bool) -> Result<()> {
    loop {
        if let Some(paused) = runtime.paused().pop() {
            println!("{} waits for `{}`: {approve}", paused.run, paused.key);
            return Ok(runtime.resume_paused(paused.run, &paused.key, approve)?);
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let runtime = Runtime::builder().build().await?;
    for (name, approve) in [("plants", true), ("weather", false)] {
        let (run, answered) = tokio::join!(runtime.run(release(name.to_owned())), answer(&runtime, approve));
        answered?;
        match run.into_result() {
            Ok(rows) => println!("{name}: {rows} rows\n"),
            Err(error) => println!("{name}: {error:#}"),
        }
    }
    Ok(())
}
