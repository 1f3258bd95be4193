//! Whether a task costs the same as one of a thousand and as one of a million: on one worker and on two, its graph and its history included.
//!
//! `cargo bench -p flowkit-benches --bench scaling`, with a word after `--` for one shape. Each figure stands beside what one of the first row costs; and
//! beside the same on plain tokio with a hundred bytes kept of each task, since memory that is touched for the first time costs everybody.

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
use std::time::{Duration, Instant};

use flowkit::prelude::*;
use flowkit::{Event, Observer};
use flowkit_benches::floor;
use flowkit_benches::measure::each;
use futures::FutureExt;
use futures::future::BoxFuture;

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

/// What a flow run keeps of each task, at least: who it is, who called it, where it stands, and three times.
type Kept = [u64; 12];

async fn spawned(tasks: u64) -> u64 {
    let mut kept = Vec::new();
    let sum = floor::spawn_and_join(tasks, |n| kept.push([n; 12])).await;
    looked_through(&kept);
    sum
}

async fn joined(tasks: u64) -> u64 {
    let mut kept = Vec::new();
    let sum = floor::join_set(tasks, |n| kept.push([n; 12])).await;
    looked_through(&kept);
    sum
}

async fn spawned_chain(tasks: u64) -> u64 {
    let mut kept = Vec::new();
    let last = floor::shared_chain(tasks, |n| kept.push([n; 12])).await;
    looked_through(&kept);
    last
}

/// As whoever reads a record does, once.
fn looked_through(kept: &[Kept]) {
    black_box(kept.iter().map(|one| one[3]).fold(0, u64::wrapping_add));
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
type Floor = fn(u64) -> BoxFuture<'static, u64>;

/// Something that is measured at each size.
struct Shape {
    name: &'static str,
    flow: Flow,
    floor_name: &'static str,
    floor: Floor,
}

const SHAPES: [Shape; 3] = [
    Shape {
        name: "submitted one by one",
        flow: |n| submitted(n),
        floor_name: "spawned one by one",
        floor: |n| spawned(n).boxed(),
    },
    Shape {
        name: "fan-out",
        flow: |n| mapped(n),
        floor_name: "JoinSet",
        floor: |n| joined(n).boxed(),
    },
    Shape {
        name: "chain of handles",
        flow: |n| chained(n),
        floor_name: "spawned chain, shared",
        floor: |n| spawned_chain(n).boxed(),
    },
];

/// Microseconds a task takes, and microseconds more that reading its record and its graph takes.
#[derive(Default, Clone)]
struct Figures {
    run: Vec<f64>,
    read: Vec<f64>,
    floor: Vec<f64>,
}

/// One flow run after another, until there were so many tasks in all.
async fn cost(runtime: &Runtime, flow: Flow, tasks: u64) -> (f64, f64) {
    let times = TASKS / tasks;
    let (mut running, mut reading) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..times {
        let start = Instant::now();
        let run = runtime.run(flow(tasks)).await;
        running += start.elapsed();
        let start = Instant::now();
        black_box((run.counts(), run.graph(), run.tasks().len()));
        drop(run);
        reading += start.elapsed();
    }
    (each(running, tasks * times), each(reading, tasks * times))
}

async fn floor_cost(floor: Floor, tasks: u64) -> f64 {
    let times = TASKS / tasks;
    let start = Instant::now();
    for _ in 0..times {
        black_box(floor(tasks).await);
    }
    each(start.elapsed(), tasks * times)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn measure(tokio: &tokio::runtime::Runtime, shape: &'static Shape) -> [(u64, Figures); 4] {
    let mut of = [1_000u64, 10_000, 100_000, 1_000_000].map(|tasks| (tasks, Figures::default()));
    for _ in 0..ROUNDS {
        for (tasks, figures) in &mut of {
            let tasks = *tasks;
            let round = tokio.spawn(async move {
                let observed = Runtime::builder().observe(Arc::<Progress>::default());
                let runtime = observed.build().await.unwrap();
                let (run, read) = cost(&runtime, shape.flow, tasks).await;
                (run, read, floor_cost(shape.floor, tasks).await)
            });
            let (run, read, floor) = tokio.block_on(round).unwrap();
            figures.run.push(run);
            figures.read.push(read);
            figures.floor.push(floor);
        }
    }
    of
}

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|one| !one.starts_with('-'))
        .collect();
    let is_wanted =
        |shape: &Shape| wanted.is_empty() || wanted.iter().any(|one| shape.name.contains(one.as_str()));
    for workers in [1, 2] {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let tokio = builder.worker_threads(workers).enable_all().build().unwrap();
        for shape in SHAPES.iter().filter(|shape| is_wanted(shape)) {
            let of = measure(&tokio, shape).map(|(tasks, figures)| {
                (
                    tasks,
                    median(figures.run),
                    median(figures.read),
                    median(figures.floor),
                )
            });
            let first = of
                .first()
                .map_or((f64::NAN, f64::NAN), |one| (one.1 + one.2, one.3));
            for (tasks, run, read, floor) in of {
                println!(
                    "{workers} workers, {}, {tasks:>9} tasks: {run:.3} µs each + {read:.3} to read it, {:.2} × | {} {floor:.3} µs, {:.2} ×",
                    shape.name,
                    (run + read) / first.0,
                    shape.floor_name,
                    floor / first.1,
                );
            }
        }
    }
}
