//! Whether a task costs the same as one of a thousand and as one of a million: on one worker and on two, its graph and its history included.
//!
//! `cargo bench -p flowkit-benches --bench scaling`. The last column is what one costs beside what one of the first row costs.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench prints, measures time, and stops where it cannot go on"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use flowkit::prelude::*;
use flowkit::{Event, Observer};

/// How many tasks there are in all in each row and round, however many of them are in one flow run.
const TASKS: u64 = 1_000_000;
const ROUNDS: usize = 3;

#[task]
async fn add(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

#[flow]
async fn submitted(tasks: u64) -> Result<u64> {
    let mut sum = 0;
    for n in 0..tasks {
        sum = add(sum, n).submit().await?;
    }
    Ok(sum)
}

#[flow]
async fn mapped(tasks: u64) -> Result<u64> {
    Ok((0..tasks)
        .map(|n| add(n, 1u64))
        .submit_lazily()
        .await?
        .iter()
        .sum())
}

#[flow]
async fn chained(tasks: u64) -> Result<u64> {
    let mut last = add(0u64, 0u64).submit();
    for n in 1..tasks {
        last = add(last, n).submit();
    }
    Ok(last.await?)
}

/// A bar of progress, without the bar.
#[derive(Default)]
struct Progress {
    ended: AtomicU64,
}

impl Observer for Progress {
    fn on_event(&self, event: &Event<'_>) {
        if let flowkit::EventKind::TaskRunState { to, .. } = &event.kind
            && to.is_terminal()
        {
            self.ended.fetch_add(1, Ordering::Relaxed);
        }
    }
}

type Flow = fn(u64) -> flowkit::FlowCall<u64>;

/// One flow run after another, until there were so many tasks in all; of each, its record and its graph are read. Microseconds a task.
async fn cost(runtime: &Runtime, flow: Flow, tasks: u64) -> f64 {
    let times = TASKS / tasks;
    let start = Instant::now();
    for _ in 0..times {
        let run = runtime.run(flow(tasks)).await;
        black_box((run.counts(), run.graph()));
    }
    start.elapsed().as_secs_f64() * 1e6 / (times * tasks) as f64
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() {
    let flows: [(&str, Flow); 3] = [
        ("submitted one by one", |n| submitted(n)),
        ("fan-out", |n| mapped(n)),
        ("chain of handles", |n| chained(n)),
    ];
    for workers in [1, 2] {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let tokio = builder.worker_threads(workers).enable_all().build().unwrap();
        for (what, flow) in flows {
            let mut of = [1_000u64, 10_000, 100_000, 1_000_000].map(|tasks| (tasks, Vec::new()));
            for _ in 0..ROUNDS {
                for (tasks, figures) in &mut of {
                    let tasks = *tasks;
                    let round = tokio.spawn(async move {
                        let runtime = Runtime::builder()
                            .observe(Arc::<Progress>::default())
                            .build()
                            .await
                            .unwrap();
                        cost(&runtime, flow, tasks).await
                    });
                    figures.push(tokio.block_on(round).unwrap());
                }
            }
            let of = of.map(|(tasks, figures)| (tasks, median(figures)));
            let first = of.first().map_or(f64::NAN, |&(_, first)| first);
            for (tasks, each) in of {
                println!(
                    "{workers} workers, {what}, {tasks:>9} tasks: {each:.3} µs each, {:.2} ×",
                    each / first
                );
            }
        }
    }
}
