//! The kit for testing flows: its time, its log, and that its assertions can fail.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::{Duration, SystemTime};

use flowkit::prelude::*;
use flowkit::testing::{EventLog, Fault, TestRuntime};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The message of the panic that `assertion` fails with, and the line of the code that is blamed for it.
pub(crate) fn failure_of(assertion: impl FnOnce()) -> (String, u32) {
    thread_local! {
        static BLAMED: RefCell<Option<(String, u32)>> = const { RefCell::new(None) };
    }
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic.location().unwrap();
            BLAMED.set(Some((place.file().to_owned(), place.line())));
            before(panic);
        }));
    });
    let payload = catch_unwind(AssertUnwindSafe(assertion)).unwrap_err();
    let (file, line) = BLAMED.take().unwrap();
    assert!(file.contains("behaviour"), "{file}");
    (payload.downcast_ref::<String>().unwrap().clone(), line)
}

// --- a flow to test ---

#[task(retries = 3, retry_delay = "1h", timeout = "10m")]
async fn fetch(url: &str) -> Result<Vec<u64>> {
    Ok(vec![url.len() as u64, 20])
}

#[task(cache, cache_expiration = "1h")]
async fn parse(numbers: &[u64]) -> u64 {
    numbers.iter().sum()
}

#[task]
async fn notify(total: u64) -> Result<()> {
    assert!(total > 0, "there is nothing to tell");
    Ok(())
}

#[flow]
pub(crate) async fn report(url: String, told: bool) -> Result<u64> {
    let total = parse(fetch(&url).submit()).await?;
    if told {
        notify(total).await?;
    }
    Ok(total)
}

pub(crate) async fn with(name: &str, fault: Fault) -> TestRuntime {
    TestRuntime::builder().fault(name, fault).build().await
}

// --- time ---

#[tokio::test(start_paused = true)]
async fn a_flow_that_sleeps_ninety_days_is_over_at_once_and_its_record_says_ninety_days() {
    #[task]
    async fn wait() {
        flowkit::sleep(DAY * 90).await;
    }
    #[flow]
    async fn patient() -> Result<()> {
        Ok(wait().await?)
    }
    let beginning = SystemTime::UNIX_EPOCH + DAY * 365;
    let runtime = TestRuntime::builder().starting_at(beginning).build().await;
    let run = runtime.run(patient()).await;
    assert_eq!(run.elapsed(), DAY * 90);
    assert_eq!(run.record().started, beginning);
    assert_eq!(run.record().ended, beginning + DAY * 90);
    runtime.log().assert_ended("wait", State::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_cached_result_expires_when_the_clock_of_the_test_says_so() {
    let runtime = TestRuntime::new().await;
    let run = || runtime.run(report("a", false));
    run().await.into_result().unwrap();
    tokio::time::sleep(Duration::from_secs(3599)).await;
    run().await.into_result().unwrap();
    runtime.log().assert_ran_once("parse");
    runtime.log().assert_hits("parse", 1);
    tokio::time::sleep(SECOND).await;
    run().await.into_result().unwrap();
    runtime.log().assert_ran("parse", 2);
    runtime.log().assert_hits("parse", 1);
}

#[tokio::test]
async fn a_clock_that_is_not_paused_is_refused_at_the_place_that_asked() {
    let here = line!() + 1;
    let (message, line) = failure_of(|| drop(TestRuntime::new()));
    assert!(message.contains("start_paused = true"), "{message}");
    assert_eq!(line, here);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_goes_on_after_a_pause_is_refused_too() {
    drop(TestRuntime::new().await);
    tokio::time::resume();
    let (message, _) = failure_of(|| drop(TestRuntime::new()));
    assert!(message.contains("start_paused = true"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_of_many_threads_is_refused() {
    let (message, _) = failure_of(|| drop(TestRuntime::new()));
    assert!(message.contains("start_paused = true"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_flows_are_tested_in_one_test() {
    for seed in 0..1_000 {
        let runtime = TestRuntime::builder()
            .seed(seed)
            .fault("fetch", Fault::fail("no route").on_attempt(1))
            .build()
            .await;
        let run = runtime.run(report("https://plants.example", true)).await;
        assert_eq!(run.elapsed(), HOUR);
        assert_eq!(run.into_result().unwrap(), 42);
        runtime.log().assert_retried("fetch", 1);
        runtime.assert_faults_met();
    }
}

// --- the log ---

#[tokio::test(start_paused = true)]
async fn the_log_knows_which_task_ran_was_served_was_retried_and_how_it_ended() {
    let runtime = with("fetch", Fault::fail("no route").on_attempts(..=2).on_run(1)).await;
    for _ in 0..2 {
        let run = runtime.run(report("a", false)).await;
        assert_eq!(run.into_result().unwrap(), 21);
    }
    let log = runtime.log();
    log.assert_ran("fetch", 2);
    log.assert_retried("fetch", 2);
    log.assert_ended("fetch", State::Completed);
    log.assert_hits("fetch", 0);
    // The second night begins two hours later, when the first one's delays are over, and within the hour of its result.
    log.assert_ran_once("parse");
    log.assert_hits("parse", 1);
    log.assert_never_ran("notify");
    log.assert_began_before("fetch", "parse");
    let once = [State::Pending, State::Running];
    let again = [State::AwaitingRetry, State::Running];
    let expected = [&once[..], &again, &again, &[State::Completed]].concat();
    assert_eq!(log.runs("fetch")[0].states(), expected);
    assert_eq!(log.runs("fetch")[0].attempts(), 3);
    assert_eq!(log.runs("fetch")[1].attempts(), 1);
    let parsed = [
        State::Pending,
        State::Running,
        State::Completed,
        State::Pending,
        State::Cached,
    ];
    assert_eq!(log.states("parse"), parsed);
}

#[tokio::test(start_paused = true)]
async fn an_assertion_that_fails_says_what_it_expected_and_what_happened() {
    let runtime = with("fetch", Fault::fail("no route").on_attempt(1)).await;
    drop(runtime.run(report("a", false)).await);
    let log = runtime.log();
    let here = line!() + 1;
    let (message, line) = failure_of(|| log.assert_retried("fetch", 3));
    assert_eq!(
        line, here,
        "the line of the test is blamed, and no line of the kit"
    );
    assert_eq!(
        message,
        "expected `fetch` to have been retried 3 times, but it was once

What happened to `fetch`:
  fetch (#0), a run of `fetch`
            0s  submitted
            0s  attempt 1 began
            0s  attempt 1 did not succeed: task `fetch` failed: no route
            0s  attempt 2 is due in 1h
            1h  attempt 2 began
            1h  Completed
"
    );
}

#[tokio::test(start_paused = true)]
async fn each_assertion_says_in_a_line_what_there_was_instead() {
    let runtime = TestRuntime::new().await;
    drop(runtime.run(report("a", false)).await);
    let log = runtime.log();
    let said = |assertion: &dyn Fn(&EventLog), expected: &str| {
        let (message, _) = failure_of(|| assertion(log));
        let first = message.lines().next().unwrap();
        assert_eq!(first, expected);
        message
    };
    said(
        &|log| log.assert_ran("fetch", 2),
        "expected `fetch` to have run twice, but it ran once",
    );
    said(
        &|log| log.assert_never_ran("parse"),
        "expected `parse` never to have run, but it ran once",
    );
    said(
        &|log| log.assert_hits("parse", 1),
        "expected `parse` to have been served from the cache once, but it was never",
    );
    said(
        &|log| log.assert_ended("parse", State::Cached),
        "expected `parse` to be Cached, but it is Completed",
    );
    said(
        &|log| log.assert_began_before("parse", "fetch"),
        "expected `parse` to have begun before `fetch`, but `fetch` began first",
    );
    said(
        &|log| log.assert_began_before("parse", "notify"),
        "expected `parse` to have begun before `notify`, but `notify` never began",
    );
    said(
        &|log| log.assert_ended("notify", State::Completed),
        "expected `notify` to be Completed, but there was no run of it",
    );
    let misspelled = said(
        &|log| log.assert_ran_once("fetsh"),
        "expected `fetsh` to have run once, but it never ran",
    );
    let known = "Nothing happened to `fetsh`. The log has runs of `fetch`, `parse`.";
    assert!(misspelled.contains(known), "{misspelled}");
    let flow = said(
        &|log| log.assert_ran_once("report"),
        "expected `report` to have run once, but it never ran",
    );
    let elsewhere = "`report` is the flow that was run: what became of it is in its `FlowRun`.";
    assert!(flow.contains(elsewhere), "{flow}");
}

#[tokio::test(start_paused = true)]
async fn of_many_runs_an_assertion_shows_those_that_it_is_about_and_says_how_many_more_there_are() {
    #[task]
    async fn row(n: u32) -> u32 {
        n
    }
    #[flow]
    async fn rows() -> Result<usize> {
        let rows = (0..500u32).map(row).submit_all().outcomes().await;
        Ok(rows.iter().filter(|row| row.is_ok()).count())
    }
    let runtime = with("row", Fault::fail("no disk").on_run(432)).await;
    assert_eq!(runtime.run(rows()).await.into_result().unwrap(), 499);
    let (message, _) = failure_of(|| runtime.log().assert_ended("row", State::Completed));
    assert!(message.contains("one of them is Failed"), "{message}");
    assert!(message.contains("row (#0[431]), a run of `row`"), "{message}");
    assert!(message.ends_with("  and 480 runs more\n"), "{message}");
    let (message, _) = failure_of(|| runtime.log().assert_ended("row", State::Failed));
    assert!(!message.contains("#0[431]"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn the_log_counts_items_subflows_and_named_runs_and_not_the_fan_out_itself() {
    #[task(run_name = "page-{number}")]
    async fn page(number: u32) -> u32 {
        number
    }
    #[flow]
    async fn chapter(pages: u32) -> Result<u32> {
        Ok((0..pages).map(page).submit_all().await?.into_iter().sum())
    }
    #[flow]
    async fn book() -> Result<u32> {
        Ok(chapter(3).await? + page(7).named("afterword").await?)
    }
    let runtime = TestRuntime::new().await;
    assert_eq!(runtime.run(book()).await.into_result().unwrap(), 10);
    let log = runtime.log();
    log.assert_ran("page", 4);
    log.assert_ran_once("page-1");
    log.assert_ran_once("afterword");
    log.assert_ran_once("chapter");
    log.assert_ended("chapter", State::Completed);
    assert_eq!(log.runs("page-2")[0].task(), "page");
    assert_eq!(log.runs("page-2")[0].id().item(), Some(2));
    let (message, _) = failure_of(|| log.assert_ended("page", State::Failed));
    let expected = "expected all 4 runs of `page` to be Failed, but one of them is Completed";
    assert!(message.starts_with(expected), "{message}");
    log.clear();
    log.assert_never_ran("page");
    assert_eq!(log.to_string(), "");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_history_and_another_seed_another() {
    #[task(retries = 2, retry_delay = "1m", retry_jitter = 0.5, limit = "db")]
    async fn load(n: u64) -> Result<u64> {
        tokio::time::sleep(SECOND * u32::try_from(n % 3).unwrap()).await;
        Ok(n)
    }
    #[task(cache)]
    async fn sum(numbers: &[u64]) -> u64 {
        numbers.iter().sum()
    }
    #[flow]
    async fn loads() -> Result<u64> {
        let all = (0..40u64).map(load).submit_all();
        let (once, twice) = (sum(&all).submit(), sum(&all).submit());
        Ok(once.await? + twice.await?)
    }
    let history = async |seed| {
        let runtime = TestRuntime::builder()
            .seed(seed)
            .limit("db", 3)
            .fault("load", Fault::fail("busy").on_attempt(1))
            .build()
            .await;
        let run = runtime.run(loads()).await;
        let (id, log) = (run.id(), runtime.log());
        assert_eq!(run.into_result().unwrap(), 1560);
        (log.digest(), log.to_string(), id)
    };
    let (first, second, other) = (history(7).await, history(7).await, history(8).await);
    assert_eq!(first.1, second.1);
    assert_eq!((&first.0, first.2), (&second.0, second.2));
    assert_ne!(first.0, other.0);
    assert_ne!(first.1, other.1, "delays have other jitter");
    let unlike = first.2.as_u128() ^ other.2.as_u128();
    assert_ne!(
        unlike << 64,
        0,
        "ids differ in more than the time at which they were made"
    );
}
