//! The work of small tasks on plain tokio, which flowkit's is held against. Each floor is told what to keep of every task, if anything.

use futures::FutureExt;

/// The function that is the task's body elsewhere.
pub async fn bare(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

/// Spawned and joined, one after the other.
///
/// # Panics
/// If a spawned task does not end.
pub async fn spawn_and_join(runs: u64, mut keep: impl FnMut(u64)) -> u64 {
    let mut sum = 0;
    for n in 0..runs {
        keep(n);
        sum = tokio::spawn(bare(sum, n)).await.unwrap();
    }
    sum
}

/// All at once.
///
/// # Panics
/// If a spawned task does not end.
pub async fn join_set(runs: u64, mut keep: impl FnMut(u64)) -> u64 {
    let spawned = (0..runs).inspect(|n| keep(*n)).map(|n| bare(n, 1));
    let mut set: tokio::task::JoinSet<u64> = spawned.collect();
    let mut sum = 0;
    while let Some(value) = set.join_next().await {
        sum += value.unwrap();
    }
    sum
}

/// Each waits for the one before, whose result may have several readers, as that of a task may.
///
/// # Panics
/// If a spawned task does not end.
pub async fn shared_chain(runs: u64, mut keep: impl FnMut(u64)) -> u64 {
    keep(0);
    let mut last = tokio::spawn(bare(0, 0)).map(Result::unwrap).boxed().shared();
    for n in 1..runs {
        keep(n);
        let before = last;
        last = tokio::spawn(async move { bare(before.await, n).await })
            .map(Result::unwrap)
            .boxed()
            .shared();
    }
    last.await
}
