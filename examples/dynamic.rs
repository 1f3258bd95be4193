//! A graph that depends on data: a crawler that finds its pages as it goes. `cargo run --example dynamic`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeSet;

use flowkit::prelude::*;

/// The pages that a page links to.
#[task(run_name = "fetch-{page}")]
async fn links(page: u32) -> Vec<u32> {
    [page * 2, page * 3]
        .into_iter()
        .filter(|&link| link < 40)
        .collect()
}

/// Visits every page that can be reached, each once.
#[flow]
async fn crawl(start: u32) -> Result<BTreeSet<u32>> {
    let mut seen = BTreeSet::from([start]);
    let mut front = vec![links(start).submit()];
    while !front.is_empty() {
        let mut next = Vec::new();
        for found in all(front).await? {
            for page in found {
                if seen.insert(page) {
                    next.push(links(page).submit());
                }
            }
        }
        front = next;
    }
    Ok(seen)
}

/// A task may call itself: each call is a run of its own.
#[task]
async fn hanoi(disks: u32) -> Result<u64> {
    if disks == 0 {
        return Ok(0);
    }
    let (before, after) = (hanoi(disks - 1).submit(), hanoi(disks - 1).submit());
    Ok(before.await? + 1 + after.await?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let run = crawl(1u32).run().await;
    println!("{} pages in {} runs", run.result()?.len(), run.tasks().len());
    println!("{} moves for 6 disks", hanoi(6u32).await?);
    Ok(())
}
