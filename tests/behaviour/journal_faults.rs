//! A journal that fails: a run ends with a typed error or a correct result, and never hangs, panics or lies.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flowkit::journal::{JournalStore, RunFilter};
use flowkit::prelude::*;
use flowkit_journal::conformance::failing::FailingJournal;

#[task(effect)]
async fn send(n: u32, #[resource] sent: &Arc<AtomicUsize>) -> u32 {
    sent.fetch_add(1, Ordering::Relaxed);
    n
}

#[task]
async fn double(n: u32) -> u32 {
    n * 2
}

#[task]
async fn add(a: u32, b: u32) -> u32 {
    a + b
}

#[flow]
async fn story(n: u32) -> Result<u32> {
    let doubled = double(n).submit();
    let sent = send(&doubled).await?;
    let items: Vec<u32> = (0..4u32).map(double).submit_all().await?;
    Ok(add(sent, items.iter().sum::<u32>()).await?)
}

async fn runtime(store: &Arc<FailingJournal>, sent: &Arc<AtomicUsize>) -> Result<Runtime, flowkit::Error> {
    let store: Arc<dyn JournalStore> = Arc::clone(store) as _;
    Runtime::builder()
        .journal_store(store)
        .resource(Arc::clone(sent))
        .build()
        .await
}

#[tokio::test(start_paused = true)]
async fn whichever_operation_fails_the_outcome_is_right_or_a_typed_error() {
    for for_ever in [false, true] {
        for nth in 0.. {
            let (store, sent) = (FailingJournal::at(nth, for_ever), Arc::new(AtomicUsize::new(0)));
            let runtime = match runtime(&store, &sent).await {
                Ok(runtime) => runtime,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Journal);
                    assert!(error.to_string().contains("no space left"), "{error}");
                    continue;
                }
            };
            let run = runtime.run(story(3u32)).await;
            let id = run.id();
            match run.into_result() {
                Ok(value) => assert_eq!(value, 18),
                Err(error) => assert_eq!(error.root().kind(), ErrorKind::Journal, "{error:#}"),
            }
            let operations = store.operations();
            // The disk has room again: what was not committed can be resumed, and no effect happens twice.
            store.mend();
            let resumed = runtime.resume(id).await;
            match resumed {
                Ok(resumed) => assert_eq!(*resumed.result().unwrap(), 18),
                Err(refused) => {
                    let said = refused.to_string();
                    assert!(
                        said.contains("has completed")
                            || said.contains("no flow run")
                            || said.contains("no space left"),
                        "{said}"
                    );
                }
            }
            assert!(sent.load(Ordering::Relaxed) <= 1);
            if operations < nth {
                assert_eq!(sent.load(Ordering::Relaxed), 1);
                break;
            }
        }
    }
}

#[task]
async fn sweep_away(files: Vec<String>, #[resource] directory: &Arc<Path>) -> Result<u64> {
    for file in &files {
        std::fs::remove_file(directory.join(file))?;
    }
    Ok(1)
}

#[task]
async fn replace(#[resource] directory: &Arc<Path>) -> Result<u64> {
    let file = directory.join("journal.sqlite");
    std::fs::copy(&file, directory.join("copy"))?;
    std::fs::rename(directory.join("copy"), file)?;
    Ok(1)
}

#[flow]
async fn swept(files: Vec<String>) -> Result<u64> {
    let before = double(1u32).await?;
    let swept = sweep_away(files).await?;
    Ok(swept + u64::from(before) + u64::from(double(before).await?))
}

#[flow]
async fn replaced() -> Result<u64> {
    Ok(replace().await?)
}

async fn on_disk(directory: &Path) -> Runtime {
    Runtime::builder()
        .data_dir(directory)
        .resource(Arc::<Path>::from(directory))
        .build()
        .await
        .unwrap()
}

#[cfg(unix)]
#[tokio::test]
async fn a_run_whose_journal_is_deleted_under_it_is_in_the_journal_all_the_same() {
    let all = [
        "owner",
        "journal.sqlite",
        "journal.sqlite-wal",
        "journal.sqlite-shm",
    ];
    let groups = all.map(|file| vec![file]).into_iter().chain([all.to_vec()]);
    for files in groups {
        let directory = tempfile::tempdir().unwrap();
        let runtime = on_disk(directory.path()).await;
        let files: Vec<String> = files.into_iter().map(str::to_owned).collect();
        let run = runtime.run(swept(files.clone())).await;
        assert_eq!(*run.result().unwrap(), 7, "{files:?}");
        runtime.shutdown(Duration::ZERO).await;
        drop(runtime);
        let journal = on_disk(directory.path()).await.journal().unwrap();
        let flow = journal.flow(run.id().as_u128()).await.unwrap().unwrap();
        assert_eq!(flow.state, "Completed", "{files:?}");
        assert_eq!(journal.tasks(flow.no, true).await.unwrap().len(), 3, "{files:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_run_whose_journal_is_replaced_under_it_fails_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = on_disk(directory.path()).await;
    let run = runtime.run(replaced()).await;
    let error = run.result().unwrap_err();
    assert_eq!(error.root().kind(), ErrorKind::Journal);
    assert!(
        format!("{error:#}")
            .contains("journal.sqlite` was replaced while this program used it: start the program again"),
        "{error:#}"
    );
}

#[tokio::test]
async fn after_a_shutdown_the_journal_is_one_file_which_is_all_that_need_be_copied() {
    let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let runtime = on_disk(directory.path()).await;
    let run = runtime.run(swept(Vec::new())).await;
    runtime.shutdown(Duration::ZERO).await;
    for end in ["-wal", "-shm"] {
        let file = directory.path().join(format!("journal.sqlite{end}"));
        assert!(!file.exists(), "{file:?}");
    }
    let name = "journal.sqlite";
    std::fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
    // It can still be asked.
    for journal in [
        runtime.journal().unwrap(),
        on_disk(copy.path()).await.journal().unwrap(),
    ] {
        let flow = journal.flow(run.id().as_u128()).await.unwrap().unwrap();
        assert_eq!(flow.state, "Completed");
    }
}

#[flow]
async fn stuck(#[resource] begun: &Arc<tokio::sync::Notify>) -> Result<()> {
    double(1u32).await?;
    begun.notify_one();
    std::future::pending::<()>().await;
    Ok(())
}

#[test]
fn what_a_run_did_last_is_in_the_journal_though_tokio_ended_before_it_was_written() {
    let tokio = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (directory, begun) = (tempfile::tempdir().unwrap(), Arc::new(tokio::sync::Notify::new()));
    let ending = tokio();
    ending.block_on(async {
        let runtime = Runtime::builder()
            .data_dir(directory.path())
            .resource(Arc::clone(&begun))
            .build()
            .await
            .unwrap();
        tokio::spawn(async move { runtime.run(stuck()).await });
        begun.notified().await;
    });
    // Nobody shut it down.
    drop(ending);
    let runs = tokio().block_on(async {
        let journal = on_disk(directory.path()).await.journal().unwrap();
        journal.flows(&RunFilter::default()).await.unwrap()
    });
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].state, "Cancelled");
}
