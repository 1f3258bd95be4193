//! Transactions: what a group of runs leaves behind when it commits, and what is undone when it does not.

use std::sync::{Arc, Mutex};

use flowkit::prelude::*;
use flowkit::{HookRun, Transaction, transaction};

/// What happened, in order.
type Story = Mutex<Vec<String>>;

fn note(story: &Story, what: &str, run: &HookRun) {
    story.lock().unwrap().push(format!("{what} {}", run.run_name()));
}

/// Three tasks with hooks that tell the given story.
macro_rules! story {
    ($story:ident) => {
        static $story: Story = Mutex::new(Vec::new());
        fn committed(run: HookRun) {
            note(&$story, "commit", &run);
        }
        async fn rolled_back(run: HookRun) {
            assert_eq!(run.state(), State::RolledBack);
            note(&$story, "undo", &run);
        }
        #[task(run_name = "{name}", on_commit = committed, on_rollback = rolled_back)]
        async fn step(name: &str) -> String {
            name.to_owned()
        }
    };
}

fn told(story: &Story) -> Vec<String> {
    std::mem::take(&mut *story.lock().unwrap())
}

#[task]
async fn fails() -> Result<()> {
    Err("no".into())
}

// 161, Z22
#[tokio::test]
async fn on_error_what_completed_is_undone_the_last_first() {
    story!(STORY);
    #[flow]
    async fn migrate() -> Result<()> {
        transaction(async {
            step("a").await?;
            step("b").submit().await?;
            fails().await?;
            step("never").await?;
            Ok(())
        })
        .await
    }
    let run = migrate().run().await;
    assert_eq!(told(&STORY), ["undo b", "undo a"]);
    let states: Vec<_> = run.tasks().iter().map(|task| task.state).collect();
    assert_eq!(states, [State::RolledBack, State::RolledBack, State::Failed]);
    assert_eq!(run.state(), State::Failed);
}

// 163
#[tokio::test]
async fn on_success_all_commit_in_the_order_of_completion_and_not_before() {
    story!(STORY);
    #[flow]
    async fn migrate() -> Result<()> {
        step("before").await?;
        transaction(async {
            step("a").await?;
            step("b").await?;
            assert!(!STORY.lock().unwrap().contains(&"commit a".to_owned()));
            Ok::<_, flowkit::Error>(())
        })
        .await?;
        assert_eq!(told(&STORY), ["commit before", "commit a", "commit b"]);
        Ok(())
    }
    migrate().run().await.into_result().unwrap();
}

// 157: without a transaction each task is one of its own
#[tokio::test]
async fn a_task_outside_any_transaction_commits_when_it_completes() {
    story!(STORY);
    #[flow]
    async fn alone() -> Result<()> {
        step("a").await?;
        fails().await?;
        Ok(())
    }
    assert!(alone().await.is_err());
    assert_eq!(told(&STORY), ["commit a"]);
}

// 158
#[tokio::test]
async fn a_transaction_inside_another_is_undone_with_it_and_can_be_undone_alone() {
    story!(STORY);
    #[flow]
    async fn nested(outer_fails: bool) -> Result<()> {
        transaction(async {
            step("a").await?;
            let inner: Result<()> = transaction(async {
                step("b").await?;
                Ok(fails().await?)
            })
            .await;
            assert!(inner.is_err());
            transaction(async { step("c").await }).await?;
            if outer_fails {
                fails().await?;
            }
            Ok(())
        })
        .await
    }
    nested(false).await.unwrap();
    assert_eq!(told(&STORY), ["undo b", "commit a", "commit c"]);
    assert!(nested(true).await.is_err());
    assert_eq!(told(&STORY), ["undo b", "undo c", "undo a"]);
}

#[tokio::test]
async fn an_eager_transaction_commits_at_its_own_end() {
    story!(STORY);
    #[flow]
    async fn nested() -> Result<()> {
        transaction(async {
            step("a").await?;
            Transaction::new().eager().run(async { step("b").await }).await?;
            assert_eq!(told(&STORY), ["commit b"]);
            Ok(fails().await?)
        })
        .await
    }
    assert!(nested().await.is_err());
    assert_eq!(told(&STORY), ["undo a"]);
}

#[derive(Clone, Default)]
struct Calls(Arc<Mutex<u32>>);

#[task(cache, cache_exclude(calls))]
async fn squared(n: u64, calls: Calls) -> u64 {
    *calls.0.lock().unwrap() += 1;
    n * n
}

// 164, 143
#[tokio::test]
async fn a_result_is_kept_when_its_group_commits_and_never_if_it_does_not() {
    #[flow]
    async fn group(calls: Calls, fail: bool) -> Result<()> {
        transaction(async {
            squared(12u64, calls.clone()).await?;
            // It is not there yet, so an equal call runs too.
            squared(12u64, calls.clone()).await?;
            if fail {
                fails().await?;
            }
            Ok(())
        })
        .await
    }
    let (runtime, calls) = (Runtime::builder().build().await.unwrap(), Calls::default());
    let count = || *calls.0.lock().unwrap();
    assert!(
        runtime
            .run(group(calls.clone(), true))
            .await
            .into_result()
            .is_err()
    );
    assert_eq!(count(), 2);
    runtime
        .run(group(calls.clone(), false))
        .await
        .into_result()
        .unwrap();
    assert_eq!(count(), 4, "nothing of the first was kept");
    let run = runtime.run(group(calls.clone(), false)).await;
    assert_eq!(count(), 4);
    assert!(run.tasks().iter().all(|task| task.state == State::Cached));
}

#[tokio::test]
async fn a_failure_in_a_group_that_nobody_looked_at_undoes_it() {
    story!(STORY);
    #[flow]
    async fn careless() -> Result<()> {
        let outcome: Result<()> = transaction(async {
            step("a").await?;
            drop(fails().submit());
            Ok(())
        })
        .await;
        assert!(outcome.unwrap_err().to_string().contains("`fails`"));
        Ok(())
    }
    let run = careless().run().await;
    assert_eq!(run.state(), State::Completed, "{:?}", run.result());
    assert_eq!(told(&STORY), ["undo a"]);
}

#[tokio::test]
async fn a_transaction_that_is_dropped_is_undone_before_its_flow_ends() {
    story!(STORY);
    #[flow]
    async fn impatient() -> Result<()> {
        let begun = tokio::sync::Notify::new();
        let group = transaction(async {
            step("a").await?;
            begun.notify_one();
            std::future::pending::<Result<(), flowkit::Error>>().await
        });
        tokio::select! {
            _ = group => unreachable!("it waits for ever"),
            () = begun.notified() => {}
        }
        Ok(())
    }
    impatient().run().await.into_result().unwrap();
    assert_eq!(told(&STORY), ["undo a"]);
}

#[tokio::test]
async fn what_was_undone_runs_again_when_its_flow_is_retried() {
    story!(STORY);
    #[flow(retries = 1)]
    async fn second_time() -> Result<()> {
        transaction(async {
            step("a").await?;
            match flowkit::current_run().map_or(0, |run| run.attempt()) {
                1 => Err("not yet".into()),
                _ => Ok(()),
            }
        })
        .await
    }
    let run = second_time().run().await;
    assert_eq!(told(&STORY), ["undo a", "commit a"]);
    let states: Vec<_> = run.tasks().iter().map(|task| task.state).collect();
    assert_eq!(states, [State::RolledBack, State::Completed]);
}

#[tokio::test]
async fn a_rollback_hook_that_fails_is_recorded_and_the_others_are_called() {
    static STORY: Story = Mutex::new(Vec::new());
    fn refuses(_run: HookRun) -> Result<()> {
        Err("the table is locked".into())
    }
    fn undone(run: HookRun) {
        note(&STORY, "undo", &run);
    }
    #[task(on_rollback(refuses, undone))]
    async fn create() {}
    #[flow]
    async fn group() -> Result<()> {
        transaction(async {
            create().await?;
            Ok(fails().await?)
        })
        .await
    }
    let run = group().run().await;
    assert_eq!(told(&STORY), ["undo create"]);
    assert_eq!(
        run.tasks()[0].hook_failures,
        ["a hook for RolledBack failed: the table is locked"]
    );
}

#[tokio::test]
async fn a_subflow_belongs_to_the_transaction_that_it_is_called_in() {
    story!(STORY);
    #[flow]
    async fn child() -> Result<()> {
        step("inside").await?;
        Ok(())
    }
    #[flow]
    async fn parent() -> Result<()> {
        transaction(async {
            child().await?;
            Ok(fails().await?)
        })
        .await
    }
    assert!(parent().await.is_err());
    assert_eq!(told(&STORY), ["undo inside"]);
}

// 160: a result that is there already is served, and there is nothing to commit
#[tokio::test]
async fn what_is_served_from_the_cache_is_neither_committed_nor_undone() {
    static STORY: Story = Mutex::new(Vec::new());
    fn noted(run: HookRun) {
        note(&STORY, run.state().name(), &run);
    }
    #[task(cache, on_commit = noted, on_rollback = noted)]
    async fn kept() -> u8 {
        7
    }
    #[flow]
    async fn group() -> Result<()> {
        transaction(async {
            kept().await?;
            Ok(fails().await?)
        })
        .await
    }
    #[flow]
    async fn alone() -> Result<u8> {
        Ok(kept().await?)
    }
    let runtime = Runtime::builder().build().await.unwrap();
    runtime.run(alone()).await.into_result().unwrap();
    let run = runtime.run(group()).await;
    assert_eq!(run.tasks()[0].state, State::Cached);
    assert_eq!(told(&STORY), ["Completed kept"]);
}

#[tokio::test]
async fn outside_any_run_there_is_nothing_to_group() {
    let outcome: Result<()> = transaction(async { Ok(()) }).await;
    assert!(outcome.unwrap_err().to_string().contains("inside a flow"));
}

#[tokio::test]
async fn the_hooks_of_a_runtime_are_told_what_commits_and_what_is_undone_after_those_of_the_task() {
    static STORY: Story = Mutex::new(Vec::new());
    fn own(run: HookRun) {
        note(&STORY, "own", &run);
    }
    #[task(run_name = "{name}", on_commit = own, on_rollback = own)]
    async fn hooked(name: &str) -> String {
        name.to_owned()
    }
    #[task(run_name = "{name}")]
    async fn plain(name: &str) -> String {
        name.to_owned()
    }
    #[flow]
    async fn group(fail: bool) -> Result<()> {
        transaction(async {
            hooked("a").await?;
            plain("b").submit().await?;
            if fail {
                fails().await?;
            }
            Ok::<_, flowkit::BoxError>(())
        })
        .await?;
        plain("alone").await?;
        Ok(())
    }
    let runtime = Runtime::builder()
        .on_commit(|run: HookRun| note(&STORY, "commit", &run))
        .on_rollback(async |run: HookRun| {
            assert_eq!(run.state(), State::RolledBack);
            note(&STORY, "undo", &run);
        })
        .build()
        .await
        .unwrap();
    runtime.run(group(false)).await.into_result().unwrap();
    assert_eq!(told(&STORY), ["own a", "commit a", "commit b", "commit alone"]);
    runtime.run(group(true)).await.into_result().unwrap_err();
    assert_eq!(told(&STORY), ["undo b", "own a", "undo a"]);
}
