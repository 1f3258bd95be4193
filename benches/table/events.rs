//! Observers: what they cost who has none, one or four.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flowkit::prelude::*;
use flowkit::{Event, Observer};
use flowkit_benches::measure::{each, timed};
use flowkit_benches::row::{Goal, Row};
use flowkit_benches::table::Table;

const RUNS: u64 = 50_000;

#[task]
async fn add(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

#[flow]
async fn one_by_one(runs: u64) -> Result<u64> {
    let mut sum = 0;
    for n in 0..runs {
        sum = add(sum, n).await?;
    }
    Ok(sum)
}

/// The cheapest observer that does anything.
struct Counting(Arc<AtomicU64>);

impl Observer for Counting {
    fn on_event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

async fn observed_by(observers: usize) -> Runtime {
    let mut builder = Runtime::builder();
    for _ in 0..observers {
        builder = builder.observe(Counting(Arc::default()));
    }
    builder.build().await.unwrap()
}

async fn tasks(runtime: &Runtime) -> f64 {
    each(timed(async { runtime.run(one_by_one(RUNS)).await }).await, RUNS)
}

pub(crate) async fn rows(table: &mut Table) {
    let of = [
        (
            "task with no observer, beside the default",
            0,
            Some(Goal::Ratio(1.1)),
        ),
        ("task with one observer", 1, None),
        ("task with four observers", 4, None),
    ];
    let bare = observed_by(0).await;
    for (what, observers, goal) in of {
        let runtime = observed_by(observers).await;
        let mut row = Row::new(what, "µs");
        if let Some(goal) = goal {
            row = row.goal(goal);
        }
        for _ in table.rounds() {
            row.ours(tasks(&runtime).await);
            row.floor("nobody looks", tasks(&bare).await);
        }
        table.add(&row);
    }
}
