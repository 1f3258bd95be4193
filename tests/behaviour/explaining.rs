//! What the journal says of why a task ran or was served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use flowkit::explain::{Change, Comparison, Explanation, Reason, explain};
use flowkit::journal::{JournalStore, MemoryJournal};
use flowkit::prelude::*;
use flowkit::{FlowRunId, TokioClock, transaction};

async fn runtime(store: &Arc<MemoryJournal>) -> Runtime {
    Runtime::builder()
        .journal_store(Arc::clone(store) as Arc<dyn JournalStore>)
        .clock(TokioClock::starting_at(
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000),
        ))
        .build()
        .await
        .unwrap()
}

async fn journal() -> (Arc<MemoryJournal>, Runtime) {
    let store = Arc::new(MemoryJournal::new());
    let runtime = runtime(&store).await;
    (store, runtime)
}

async fn explained(store: &MemoryJournal, run: FlowRunId, task: &str) -> Explanation {
    explain(store, run, task).await.unwrap()
}

fn compared(explanation: &Explanation) -> &Comparison {
    explanation.compared.as_ref().expect("there is an earlier run")
}

fn input(parameter: &str) -> Change {
    Change::Input {
        parameter: parameter.to_owned(),
    }
}

#[task(cache, cache_expiration = "1h")]
async fn area(width: u32, height: u32) -> u32 {
    width * height
}

#[flow]
async fn plot_of(width: u32, height: u32) -> Result<u32> {
    Ok(area(width, height).await?)
}

#[tokio::test(start_paused = true)]
async fn the_first_run_of_a_cached_task_has_nothing_to_be_compared_with() {
    let (store, runtime) = journal().await;
    let run = runtime.run(plot_of(2u32, 3u32)).await;
    let explanation = explained(&store, run.id(), "area").await;
    assert_eq!(explanation.reason, Reason::First);
    assert_eq!(explanation.compared, None);
    assert_eq!((&*explanation.task, &*explanation.state), ("area", "Completed"));
}

#[tokio::test(start_paused = true)]
async fn a_changed_input_is_named_against_the_run_that_shares_the_most() {
    let (store, runtime) = journal().await;
    let near = runtime.run(plot_of(2u32, 3u32)).await;
    drop(runtime.run(plot_of(7u32, 7u32)).await);
    let run = runtime.run(plot_of(2u32, 4u32)).await;
    let explanation = explained(&store, run.id(), "area").await;
    assert_eq!(explanation.reason, Reason::Changed);
    let compared = compared(&explanation);
    assert_eq!(compared.changes, [input("height")]);
    assert_eq!(compared.equal, ["width"]);
    assert_eq!(compared.with.run.flow_run(), near.id());
    let said = explanation.to_string();
    assert!(said.contains("the input `height` changed"), "{said}");
    assert!(said.contains("since no earlier run had the same key"), "{said}");
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["reason"]["because"], "changed");
    assert_eq!(json["compared"]["changes"][0]["parameter"], "height");
}

#[tokio::test(start_paused = true)]
async fn a_served_run_names_the_one_whose_value_it_was_given() {
    let (store, runtime) = journal().await;
    let first = runtime.run(plot_of(2u32, 3u32)).await;
    let second = runtime.run(plot_of(2u32, 3u32)).await;
    let explanation = explained(&store, second.id(), "area").await;
    let Reason::Served {
        by: Some(by),
        from_memory: false,
        ..
    } = &explanation.reason
    else {
        panic!("{explanation}");
    };
    assert_eq!(by.run, first.task("area").unwrap().id);
    assert!(explanation.to_string().contains("it was served from the cache"));
}

#[tokio::test(start_paused = true)]
async fn equal_runs_at_one_time_share_a_value_and_say_whose() {
    #[task(cache)]
    async fn slow(n: u32) -> u32 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        n
    }
    #[flow]
    async fn equal_calls(n: u32) -> Result<u32> {
        let (one, two) = (slow(n).submit(), slow(n).submit());
        Ok(one.await? + two.await?)
    }
    let (store, runtime) = journal().await;
    let run = runtime.run(equal_calls(4u32)).await;
    let explanation = explained(&store, run.id(), "1").await;
    let Reason::Served {
        origin: None,
        by: Some(by),
        ..
    } = &explanation.reason
    else {
        panic!("{explanation}");
    };
    assert_eq!(by.run, run.tasks()[0].id);
}

#[tokio::test(start_paused = true)]
async fn an_expired_a_refreshed_and_a_lost_entry_are_told_apart() {
    let (store, runtime) = journal().await;
    drop(runtime.run(plot_of(2u32, 3u32)).await);
    tokio::time::advance(Duration::from_secs(2 * 3600)).await;
    let run = runtime.run(plot_of(2u32, 3u32)).await;
    let explanation = explained(&store, run.id(), "area").await;
    assert_eq!(explanation.reason, Reason::Expired);
    assert_eq!(compared(&explanation).changes, []);

    #[flow]
    async fn freshly(width: u32, height: u32) -> Result<u32> {
        Ok(area(width, height).refresh_cache().await?)
    }
    let run = runtime.run(freshly(2u32, 3u32)).await;
    let explanation = explained(&store, run.id(), "area").await;
    assert_eq!(explanation.reason, Reason::Refreshed);
    assert!(explanation.to_string().contains("nothing differs"));

    // Another runtime has another cache.
    let other = self::runtime(&store).await;
    let run = other.run(plot_of(2u32, 3u32)).await;
    assert_eq!(explained(&store, run.id(), "area").await.reason, Reason::Gone);
}

#[tokio::test(start_paused = true)]
async fn a_changed_version_is_named() {
    #[task(cache, version = "1", name = "grow")]
    async fn grow_once(n: u32) -> u32 {
        n + 1
    }
    #[task(cache, version = "2", name = "grow")]
    async fn grow_better(n: u32) -> u32 {
        n + 2
    }
    #[flow]
    async fn growing(better: bool) -> Result<u32> {
        let grow = if better {
            grow_better(1u32)
        } else {
            grow_once(1u32)
        };
        Ok(grow.await?)
    }
    let (store, runtime) = journal().await;
    drop(runtime.run(growing(false)).await);
    let run = runtime.run(growing(true)).await;
    let explanation = explained(&store, run.id(), "grow").await;
    let changed = Change::Version {
        from: "1".to_owned(),
        to: "2".to_owned(),
    };
    assert_eq!(compared(&explanation).changes, [changed]);
    let said = explanation.to_string();
    assert!(said.contains("the version changed from 1 to 2"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn changed_code_and_parameters_are_named() {
    let (store, runtime) = journal().await;
    let before = {
        #[task(cache)]
        async fn shrink(n: u32, unit: &str) -> u32 {
            n.saturating_sub(unit.len() as u32)
        }
        #[flow]
        async fn shrinking(n: u32) -> Result<u32> {
            Ok(shrink(n, "m").await?)
        }
        runtime.run(shrinking(1u32)).await
    };
    let after = {
        #[task(cache)]
        async fn shrink(n: u32, by: u32) -> u32 {
            n.saturating_sub(by)
        }
        #[flow]
        async fn shrinking(n: u32) -> Result<u32> {
            Ok(shrink(n, 1u32).await?)
        }
        runtime.run(shrinking(1u32)).await
    };
    let explanation = explained(&store, after.id(), "shrink").await;
    let compared = compared(&explanation);
    let (added, removed) = ("by".to_owned(), "unit".to_owned());
    assert_eq!(
        compared.changes,
        [
            Change::Code,
            Change::ParameterAdded { parameter: added },
            Change::ParameterRemoved { parameter: removed }
        ]
    );
    assert_eq!(compared.with.run.flow_run(), before.id());
}

#[tokio::test(start_paused = true)]
async fn what_an_own_key_gave_is_another_part_of_the_key() {
    #[task(cache_key = |n| n / 10)]
    async fn coarse(n: u32) -> u32 {
        n
    }
    #[task(cache = inputs + run)]
    async fn within(n: u32) -> u32 {
        n
    }
    #[flow]
    async fn both(n: u32) -> Result<u32> {
        Ok(coarse(n).await? + within(1u32).await?)
    }
    let (store, runtime) = journal().await;
    drop(runtime.run(both(1u32)).await);
    let run = runtime.run(both(2u32)).await;
    let explanation = explained(&store, run.id(), "within").await;
    assert_eq!(compared(&explanation).changes, [Change::OtherPartOfKey]);
    let served = explained(&store, run.id(), "coarse").await;
    assert!(matches!(served.reason, Reason::Served { .. }), "{served}");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_not_cached_says_so_and_what_is_new() {
    #[task]
    async fn plain(n: u32) -> u32 {
        n
    }
    #[flow]
    async fn plainly(n: u32) -> Result<u32> {
        Ok(plain(n).await?)
    }
    let (store, runtime) = journal().await;
    drop(runtime.run(plainly(1u32)).await);
    let run = runtime.run(plainly(1u32)).await;
    let explanation = explained(&store, run.id(), "plain").await;
    assert_eq!(explanation.reason, Reason::NotCached);
    assert_eq!(compared(&explanation).changes, []);
    assert_eq!(compared(&explanation).equal, ["n"]);
}

static BROKEN: AtomicBool = AtomicBool::new(true);

#[task(cache)]
async fn fragile(n: u32) -> Result<u32> {
    if BROKEN.load(Ordering::Relaxed) {
        return Err("broken".into());
    }
    Ok(n)
}

#[task]
async fn after(n: u32) -> u32 {
    n
}

#[flow]
async fn chain(n: u32) -> Result<u32> {
    let sure = after(1u32).await?;
    let last = after(fragile(n)).named("last").await?;
    Ok(sure + last)
}

#[tokio::test(start_paused = true)]
async fn failures_upstreams_and_lives_are_told() {
    let (store, runtime) = journal().await;
    let run = runtime.run(chain(5u32)).await;
    let upstream = explained(&store, run.id(), "last").await;
    let Reason::UpstreamFailed { error: Some(error) } = &upstream.reason else {
        panic!("{upstream}");
    };
    assert!(error.contains("broken"), "{error}");
    BROKEN.store(false, Ordering::Relaxed);
    tokio::time::advance(Duration::from_secs(1)).await;
    let resumed = self::runtime(&store).await.resume(run.id()).await.unwrap();
    assert_eq!(resumed.state(), State::Completed);
    let restored = explained(&store, run.id(), "0").await;
    let Reason::Restored { by } = &restored.reason else {
        panic!("{restored}");
    };
    assert_eq!((by.life, by.run), (1, run.task("after").unwrap().id));
    let again = explained(&store, run.id(), "fragile").await;
    let Reason::Again { by } = &again.reason else {
        panic!("{again}");
    };
    assert_eq!((by.life, by.lives, by.state.as_str()), (1, 2, "Failed"));
    assert_eq!(
        (again.life, again.compared.as_ref()),
        (2, None),
        "there is no other call"
    );
    let said = again.to_string();
    assert!(said.contains("in life 2) is Completed: it ran again"), "{said}");
    assert!(said.contains("life 1 of 2, Failed"), "{said}");
}

static HURRY: AtomicBool = AtomicBool::new(true);

#[task(cache)]
async fn weigh(n: u32) -> u32 {
    n
}

#[task]
async fn stop_at_first(n: u32) -> Result<u32> {
    if HURRY.load(Ordering::Relaxed) {
        return Err("not yet".into());
    }
    Ok(n)
}

/// In its second life it calls more, and before what it called in the first.
#[flow]
async fn growing_flow(n: u32) -> Result<u32> {
    if !HURRY.load(Ordering::Relaxed) {
        after(n).await?;
    }
    let weight = weigh(n).await?;
    Ok(weight + stop_at_first(n).await?)
}

#[tokio::test(start_paused = true)]
async fn a_value_is_traced_to_the_life_that_made_it_and_calls_are_compared_with_other_calls() {
    let (store, runtime) = journal().await;
    let other = runtime.run(growing_flow(1u32)).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    let run = runtime.run(growing_flow(2u32)).await;
    assert_eq!((other.state(), run.state()), (State::Failed, State::Failed));
    tokio::time::advance(Duration::from_secs(1)).await;
    HURRY.store(false, Ordering::Relaxed);
    let resumed = runtime
        .resume_with(run.id(), flowkit::ResumeOptions::new().allow_changes())
        .await
        .unwrap();
    assert_eq!(resumed.state(), State::Completed);

    tokio::time::advance(Duration::from_secs(1)).await;

    // What the node of the first life is in the second is another task.
    let served = runtime.run(growing_flow(2u32)).await;
    let explanation = explained(&store, served.id(), "weigh").await;
    let Reason::Served { by: Some(by), .. } = &explanation.reason else {
        panic!("{explanation}");
    };
    assert_eq!((by.run, by.life, by.lives), (run.task("weigh").unwrap().id, 1, 2));

    let explanation = explained(&store, run.id(), "stop_at_first").await;
    let Reason::Again { by } = &explanation.reason else {
        panic!("{explanation}");
    };
    assert_eq!((by.run.flow_run(), by.life), (run.id(), 1));
    let compared = compared(&explanation);
    assert_eq!(compared.with.run.flow_run(), other.id(), "not with itself");
    assert_eq!(compared.changes, [input("n")]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_rolled_back_left_nothing_to_be_served() {
    #[flow]
    async fn undone(n: u32) -> Result<u32> {
        let undone: Result<()> = transaction(async {
            area(n, n).await?;
            Err("no".into())
        })
        .await;
        drop(undone);
        Ok(area(n, n).named("again").await?)
    }
    let (store, runtime) = journal().await;
    let run = runtime.run(undone(3u32)).await;
    assert_eq!(
        explained(&store, run.id(), "again").await.reason,
        Reason::RolledBack
    );
}

#[flow]
async fn many(n: u32) -> Result<u32> {
    let areas: Vec<u32> = (0..n).map(|width| area(width, 1u32)).submit_all().await?;
    Ok(areas.iter().sum::<u32>() + plot_of(9u32, 9u32).await?)
}

#[tokio::test(start_paused = true)]
async fn items_subflows_and_what_is_in_them_are_found() {
    let (store, runtime) = journal().await;
    drop(runtime.run(many(3u32)).await);
    let run = runtime.run(many(4u32)).await;
    let fan_out = explained(&store, run.id(), "area").await;
    assert_eq!(fan_out.reason, Reason::FanOut { items: 4 });
    let served = explained(&store, run.id(), "area[2]").await;
    assert!(matches!(served.reason, Reason::Served { .. }), "{served}");
    let ran = explained(&store, run.id(), "0[3]").await;
    assert_eq!(compared(&ran).changes, [input("width")]);
    assert_eq!(
        explained(&store, run.id(), "plot_of").await.reason,
        Reason::Subflow
    );
    assert_eq!(explain(&*store, run.id(), ran.run).await.unwrap(), ran);
    assert_eq!(explained(&store, run.id(), &ran.run.to_string()).await, ran);
}

#[tokio::test(start_paused = true)]
async fn a_name_of_several_runs_or_of_none_is_refused_with_what_to_do() {
    #[flow]
    async fn looped(n: u32) -> Result<u32> {
        let mut sum = 0;
        for width in 0..n {
            sum += area(width, 2u32).await?;
        }
        Ok(sum)
    }
    let (store, runtime) = journal().await;
    let run = runtime.run(looped(12u32)).await;
    let error = explain(&*store, run.id(), "area").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    let said = error.to_string();
    assert!(said.contains("12 task runs are named `area`"), "{said}");
    assert!(said.contains(&run.tasks()[0].id.to_string()), "{said}");
    let error = explain(&*store, run.id(), "nobody").await.unwrap_err();
    assert!(
        error.to_string().contains("no task run named `nobody`"),
        "{error}"
    );
    let unknown = FlowRunId::from_u128(7);
    let error = explain(&*store, unknown, "area").await.unwrap_err();
    assert!(error.to_string().contains("no flow run"), "{error}");
    let error = explain(&*store, run.id(), "77").await.unwrap_err();
    assert!(error.to_string().contains("no task run"), "{error}");
}
