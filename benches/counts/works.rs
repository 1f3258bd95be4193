//! The works that are counted, each so many times, on one thread.

use std::hint::black_box;
use std::path::Path;

use flowkit::cache::SledStore;
use flowkit::prelude::*;

/// One piece of work, whose cost is counted.
pub(crate) struct Work {
    pub(crate) name: &'static str,
    /// Where it can be made this many times more.
    pub(crate) run: fn(&Path, u64),
    /// Whether how often it asks the system is a part of what it costs.
    pub(crate) asks_system: bool,
}

#[task]
async fn add(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

#[task(retries = 1, timeout = "1h")]
async fn guarded(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

#[task(cache)]
async fn cached(n: u64) -> u64 {
    n
}

#[flow]
async fn awaited(runs: u64) -> Result<u64> {
    let mut sum = 0;
    for n in 0..runs {
        sum = add(sum, n).await?;
    }
    Ok(sum)
}

#[flow]
async fn awaited_guarded(runs: u64) -> Result<u64> {
    let mut sum = 0;
    for n in 0..runs {
        sum = guarded(sum, n).await?;
    }
    Ok(sum)
}

#[flow]
async fn submitted(runs: u64) -> Result<u64> {
    let mut sum = 0;
    for n in 0..runs {
        sum = add(sum, n).submit().await?;
    }
    Ok(sum)
}

#[flow]
async fn chained(runs: u64) -> Result<u64> {
    let mut last = add(0u64, 0u64).submit();
    for n in 1..runs {
        last = add(last, n).submit();
    }
    Ok(last.await?)
}

#[flow]
async fn mapped(runs: u64) -> Result<u64> {
    Ok((0..runs)
        .map(|n| add(n, 1u64))
        .submit_lazily()
        .await?
        .iter()
        .sum())
}

#[flow]
async fn hits(runs: u64) -> Result<u64> {
    let mut sum = 0;
    for _ in 0..runs {
        sum += cached(7u64).await?;
    }
    Ok(sum)
}

#[flow]
async fn writes(runs: u64) -> Result<u64> {
    let mut sum = 0;
    for n in 0..runs {
        sum += cached(n).await?;
    }
    Ok(sum)
}

/// In a tokio task: what `block_on` polls itself is woken by a call of the system each time.
fn block_on<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    black_box(
        runtime
            .unwrap()
            .block_on(async { tokio::spawn(work).await.unwrap() }),
    );
}

fn flow(flow: flowkit::FlowCall<u64>) {
    block_on(async { flow.await.unwrap() });
}

fn with_cache(directory: &Path, flow: flowkit::FlowCall<u64>) {
    let directory = directory.to_owned();
    block_on(async move {
        let store = SledStore::open(directory).unwrap();
        let runtime = Runtime::builder().cache_store(store).build().await.unwrap();
        runtime.run(flow).await.into_result().unwrap()
    });
}

async fn bare(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

async fn spawned(runs: u64) -> u64 {
    let mut sum = 0;
    for n in 0..runs {
        sum = tokio::spawn(bare(sum, n)).await.unwrap();
    }
    sum
}

/// All of them. Their names are those in `ceilings.toml`.
pub(crate) const WORKS: [Work; 8] = [
    Work {
        name: "spawned",
        run: |_, runs| block_on(spawned(runs)),
        asks_system: true,
    },
    Work {
        name: "awaited",
        run: |_, runs| flow(awaited(runs)),
        asks_system: true,
    },
    Work {
        name: "guarded",
        run: |_, runs| flow(awaited_guarded(runs)),
        asks_system: false,
    },
    Work {
        name: "submitted",
        run: |_, runs| flow(submitted(runs)),
        asks_system: true,
    },
    Work {
        name: "chained",
        run: |_, runs| flow(chained(runs)),
        asks_system: false,
    },
    Work {
        name: "mapped",
        run: |_, runs| flow(mapped(runs)),
        asks_system: false,
    },
    Work {
        name: "hit",
        run: |directory, runs| with_cache(directory, hits(runs)),
        asks_system: true,
    },
    Work {
        name: "written",
        run: |directory, runs| with_cache(directory, writes(runs)),
        asks_system: true,
    },
];
