//! What a runtime was lent is given back when it is dropped: nothing that ended keeps it.

use std::sync::{Arc, Weak};

use flowkit::journal::{JournalStore, MemoryJournal};
use flowkit::prelude::*;

struct Pool;

#[task(retries = 1)]
async fn double(n: u64, #[resource] _pool: &Arc<Pool>) -> u64 {
    n * 2
}

#[task]
async fn fails() -> Result<u64> {
    Err("always".into())
}

#[flow]
async fn below(n: u64) -> Result<u64> {
    Ok(double(double(n)).await?)
}

#[flow(retries = 1)]
async fn above(n: u64) -> Result<u64> {
    let submitted = below(n).submit();
    let awaited = below(n).await?;
    let items = (0..n).map(double).submit_all();
    let grouped = flowkit::transaction(async { double(n).await }).await?;
    let failed = fails().submit();
    let failed = u64::from(failed.await.is_err());
    Ok(submitted.await? + awaited + items.await?.iter().sum::<u64>() + grouped + failed)
}

/// The pool of a runtime that ran a flow and was dropped.
async fn after_a_run(journal: Option<Arc<dyn JournalStore>>) -> Weak<Pool> {
    let pool = Arc::new(Pool);
    let lent = Arc::downgrade(&pool);
    let builder = Runtime::builder().resource(pool);
    let builder = match journal {
        Some(journal) => builder.journal_store(journal),
        None => builder,
    };
    let runtime = builder.build().await.unwrap();
    let run = runtime.run(above(3u64)).await;
    assert_eq!(run.into_result().unwrap(), 12 + 12 + 6 + 6 + 1);
    let handle = runtime.scope(async { below(1u64).submit() }).await;
    assert_eq!(handle.await.unwrap(), 4);
    runtime.shutdown(std::time::Duration::from_secs(10)).await;
    lent
}

/// What ends on a task of its own does so soon.
async fn is_released(lent: &Weak<Pool>) -> bool {
    for _ in 0..1000 {
        if lent.strong_count() == 0 {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

#[tokio::test]
async fn a_runtime_that_was_dropped_holds_nothing() {
    assert!(is_released(&after_a_run(None).await).await);
}

#[tokio::test]
async fn a_runtime_with_a_journal_holds_nothing_either() {
    assert!(is_released(&after_a_run(Some(Arc::new(MemoryJournal::new()))).await).await);
}
