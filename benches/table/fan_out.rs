//! Fan-outs: beside what tokio and futures have for many tasks at once.

use std::hint::black_box;

use flowkit::prelude::*;
use flowkit_benches::floor::{bare, join_set};
use flowkit_benches::measure::each_on_worker;
use flowkit_benches::row::{Goal, Row};
use flowkit_benches::table::Table;
use futures::StreamExt;

#[task]
async fn add(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

#[flow]
async fn mapped(items: u64) -> Result<u64> {
    let values = (0..items).map(|n| add(n, 1u64)).submit_lazily().await?;
    Ok(values.iter().sum())
}

/// Within one tokio task: no other worker can take part.
async fn buffered(items: u64) -> u64 {
    let values = futures::stream::iter(0..items)
        .map(|n| bare(n, 1))
        .buffer_unordered(64);
    values.fold(0, |sum, value| async move { sum + value }).await
}

pub(crate) async fn rows(table: &mut Table) {
    let of = [
        ("fan-out of 100,000, each", 100_000),
        ("fan-out of 1,000,000, each", 1_000_000),
    ];
    for (what, items) in of {
        let mut row = Row::new(what, "µs").goal(Goal::Ratio(1.5));
        let rounds = if items > 100_000 {
            table.few_rounds()
        } else {
            table.rounds()
        };
        for _ in rounds {
            row.ours(each_on_worker(items, mapped(items).into_future()).await);
            row.floor(
                "JoinSet",
                each_on_worker(items, async move { black_box(join_set(items, drop).await) }).await,
            );
            row.floor(
                "buffer_unordered(64), one thread",
                each_on_worker(items, buffered(items)).await,
            );
            #[cfg(feature = "peers")]
            if items <= 100_000 {
                use crate::peers::{IN_MEMORY, cano, dagx};
                row.peer("dagx, 10,000 tasks", IN_MEMORY, dagx::independent(10_000).await);
                row.peer("cano, a split of 1,000", IN_MEMORY, cano::split(1_000).await);
            }
        }
        table.add(&row);
    }
}
