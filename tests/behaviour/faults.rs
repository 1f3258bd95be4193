//! Faults that the testing kit has happen: to the engine each is what a body does.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flowkit::prelude::*;
use flowkit::testing::{Fault, TestRuntime};
use flowkit::{Breaker, BreakerState};

use crate::testing::{failure_of, report, with};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

const BOO: &str = "boo";

/// What was recorded, without the places of panics: those alone differ.
fn placeless(recorded: &str) -> String {
    let before = format!("{BOO} (");
    let mut parts = recorded.split(&before);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + BOO + part.split_once(')').unwrap().1)
}

/// What the body itself does, in its first attempt.
#[derive(Debug, Clone, Copy)]
enum Misdeed {
    Nothing,
    Fails,
    Panics,
    Sleeps,
    Hangs,
}

impl Misdeed {
    /// The fault that is to look the same.
    fn as_fault(self) -> Fault {
        match self {
            Self::Nothing => Fault::delay(Duration::ZERO),
            Self::Fails => Fault::fail("as it was told"),
            Self::Panics => Fault::panic(BOO),
            Self::Sleeps => Fault::delay(SECOND * 7),
            Self::Hangs => Fault::hang(),
        }
        .on_attempt(1)
    }
}

#[task(
    cache,
    cache_exclude(misdeed),
    retries = 1,
    retry_delay = "1h",
    retry_panics,
    timeout = "10s",
    limit = "db",
    circuit_breaker = "db"
)]
async fn store(n: u64, misdeed: Misdeed) -> Result<u64> {
    if flowkit::current_run().map(|run| run.attempt()) == Some(1) {
        assert!(!matches!(misdeed, Misdeed::Panics), "{BOO}");
        match misdeed {
            Misdeed::Nothing | Misdeed::Panics => {}
            Misdeed::Fails => return Err("as it was told".into()),
            Misdeed::Sleeps => tokio::time::sleep(SECOND * 7).await,
            Misdeed::Hangs => std::future::pending().await,
        }
    }
    Ok(n)
}

#[flow]
async fn stores(misdeed: Misdeed) -> Result<u64> {
    let (one, equal) = (store(1, misdeed).submit(), store(1, misdeed).submit());
    let items = (2..5u64).map(|n| store(n, misdeed)).submit_all();
    Ok(one.await? + equal.await? + items.await?.into_iter().sum::<u64>() + store(6, misdeed).await?)
}

#[tokio::test(start_paused = true)]
async fn to_everything_else_a_fault_is_what_a_body_does() {
    let history = async |misdeed: Misdeed, fault: Option<Fault>| {
        let mut runtime = TestRuntime::builder().limit("db", 2).configure(|runtime| {
            let breaker = Breaker::new().failure_threshold(5);
            runtime.circuit_breaker("db", breaker)
        });
        if let Some(fault) = fault {
            runtime = runtime.fault("store", fault);
        }
        let runtime = runtime.build().await;
        let run = runtime.run(stores(misdeed)).await;
        runtime.assert_faults_met();
        assert_eq!(runtime.runtime().limit_use("db").unwrap().in_use, 0);
        (
            placeless(&run.to_json()),
            placeless(&runtime.log().to_string()),
            run.into_result().unwrap(),
        )
    };
    for misdeed in [
        Misdeed::Nothing,
        Misdeed::Fails,
        Misdeed::Panics,
        Misdeed::Sleeps,
        Misdeed::Hangs,
    ] {
        let (json, log, value) = history(misdeed, None).await;
        let (faulty_json, faulty_log, faulty) = history(Misdeed::Nothing, Some(misdeed.as_fault())).await;
        assert_eq!(log, faulty_log, "{misdeed:?}");
        assert_eq!(json, faulty_json, "{misdeed:?}");
        assert_eq!((value, faulty), (17, 17), "{misdeed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_fault_can_be_found_again_and_is_made_anew_for_each_attempt() {
    let made = Arc::new(AtomicU32::new(0));
    let makes = Arc::clone(&made);
    let refused = Fault::fail_with(move || {
        makes.fetch_add(1, Ordering::SeqCst);
        io::Error::from(io::ErrorKind::ConnectionRefused)
    });
    let runtime = with("fetch", refused).await;
    let run = runtime.run(report("a", true)).await;
    let error = run.into_result().unwrap_err();
    assert_eq!(error.root().attempts(), 4);
    let cause = error.downcast_ref::<io::Error>().unwrap();
    assert_eq!(cause.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(made.load(Ordering::SeqCst), 4);
    runtime.log().assert_ended("fetch", State::Failed);
    runtime.log().assert_ended("parse", State::UpstreamFailed);
    runtime.log().assert_never_ran("notify");
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_is_not_tried_again() {
    let runtime = with("fetch", Fault::fail("no such page").permanent()).await;
    drop(runtime.run(report("a", true)).await);
    runtime.log().assert_retried("fetch", 0);
    runtime.log().assert_ended("fetch", State::Failed);
}

#[tokio::test(start_paused = true)]
async fn an_error_may_ask_for_a_longer_delay_and_a_panic_happened_where_the_fault_was_made() {
    let here = line!() + 3;
    let runtime = TestRuntime::builder()
        .fault("fetch", Fault::fail("busy").retry_after(HOUR * 5).on_attempt(1))
        .fault("fetch", Fault::panic("oh").on_attempt(2))
        .build()
        .await;
    let run = runtime.run(report("a", true)).await;
    assert_eq!(run.elapsed(), HOUR * 5);
    let error = format!("{:#}", run.into_result().unwrap_err());
    let panic = format!("`fetch` panicked after 2 attempts: oh (tests/behaviour/faults.rs:{here}:");
    assert!(error.contains(&panic), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_task_without_any_options_and_one_that_blocks_meet_faults_too() {
    #[task]
    async fn plain() -> u8 {
        1
    }
    #[task(retries = 1)]
    fn blocks(#[resource] ran: &AtomicU32) -> u32 {
        ran.fetch_add(1, Ordering::SeqCst)
    }
    let runtime = TestRuntime::builder()
        .resource(AtomicU32::new(0))
        .fault("plain", Fault::panic("oh"))
        .fault("blocks", Fault::fail("no disk").on_attempt(1))
        .build()
        .await;
    let outside_any_flow = async {
        assert_eq!(plain().await.unwrap_err().kind(), ErrorKind::Crashed);
        assert_eq!(blocks().submit().await.unwrap(), 0, "the body began once");
    };
    runtime.runtime().scope(outside_any_flow).await;
    runtime.assert_faults_met();
    runtime.log().assert_ran_once("plain");
    runtime.log().assert_ended("plain", State::Crashed);
    runtime.log().assert_retried("blocks", 1);
}

#[tokio::test(start_paused = true)]
async fn after_the_body_its_work_is_done_and_its_answer_is_lost() {
    #[task(retries = 3, timeout = "10s")]
    async fn charge(#[resource] charged: &AtomicU32) -> u32 {
        charged.fetch_add(1, Ordering::SeqCst) + 1
    }
    #[flow]
    async fn order() -> Result<u32> {
        Ok(charge().await?)
    }
    let runtime = TestRuntime::builder()
        .resource(AtomicU32::new(0))
        .fault(
            "charge",
            Fault::fail("connection reset").after_body().on_attempt(1),
        )
        .fault("charge", Fault::hang().after_body().on_attempt(2))
        .fault("charge", Fault::delay(SECOND * 9).after_body().on_attempt(3))
        .build()
        .await;
    let run = runtime.run(order()).await;
    assert_eq!(run.elapsed(), SECOND * 19);
    let failed = &run.tasks()[0].failed_attempts;
    assert!(
        failed[0].error.contains("connection reset"),
        "{}",
        failed[0].error
    );
    assert!(
        failed[1].error.contains("timed out after 10s"),
        "{}",
        failed[1].error
    );
    assert_eq!(
        run.into_result().unwrap(),
        3,
        "charged three times, which is what such a test shows"
    );
    runtime.assert_faults_met();
}

#[tokio::test(start_paused = true)]
async fn several_faults_of_an_attempt_happen_in_order_up_to_the_one_that_ends_it() {
    let runtime = TestRuntime::builder()
        .fault("fetch", Fault::delay(SECOND * 5).on_attempt(1))
        .fault("fetch", Fault::delay(SECOND * 6).on_attempt(1))
        .fault("fetch", Fault::fail("no route").on_attempt(1))
        .fault("fetch", Fault::panic("never reached").on_attempt(1))
        .build()
        .await;
    let run = runtime.run(report("a", false)).await;
    assert_eq!(run.elapsed(), SECOND * 11 + HOUR);
    assert_eq!(run.state(), State::Completed);
    let here = line!() + 1;
    let (message, line) = failure_of(|| runtime.assert_faults_met());
    assert_eq!(line, here);
    let unmet = "these never were:\n  `fetch`: panic with \"never reached\" in attempt 1\n\nWhat happened to `fetch`:";
    assert!(message.contains(unmet), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_fault_may_be_for_one_run_of_many_by_its_number_or_its_name() {
    #[task(run_name = "row-{n}")]
    async fn row(n: u32) -> u32 {
        n
    }
    #[flow]
    async fn rows() -> Result<Vec<bool>> {
        let rows = (0..6u32).map(row).submit_all().outcomes().await;
        Ok(rows.into_iter().map(|row| row.is_ok()).collect())
    }
    let ended = async |name: &str, fault| {
        let runtime = with(name, fault).await;
        let ended = runtime.run(rows()).await.into_result().unwrap();
        runtime.assert_faults_met();
        ended
    };
    let third = [true, true, false, true, true, true];
    assert_eq!(ended("row", Fault::fail("no").on_run(3)).await, third);
    assert_eq!(ended("row-2", Fault::fail("no")).await, third);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_served_from_the_cache_meets_no_fault() {
    let runtime = with("parse", Fault::fail("too late").on_run(2)).await;
    for _ in 0..2 {
        let run = runtime.run(report("a", false)).await;
        assert_eq!(run.state(), State::Completed);
    }
    let (message, _) = failure_of(|| runtime.assert_faults_met());
    assert!(
        message.contains("`parse`: fail with \"too late\" in every attempt of run 2"),
        "{message}"
    );
    assert!(
        message.contains("Cached: its value was there, and no attempt began"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_ended_by_the_total_timeout_and_by_who_cancels_it() {
    #[task(total_timeout = "1m")]
    async fn limited() {}
    #[task]
    async fn endless() {}
    #[flow]
    async fn both() -> Result<bool> {
        let timed_out = limited().await.unwrap_err().is_timed_out();
        let endless = endless().submit();
        tokio::time::sleep(HOUR).await;
        assert_eq!(endless.state(), State::Running);
        endless.cancel();
        Ok(timed_out && endless.await.unwrap_err().is_cancelled())
    }
    let runtime = TestRuntime::builder()
        .fault("limited", Fault::hang())
        .fault("endless", Fault::hang())
        .build()
        .await;
    let run = runtime.run(both()).await;
    assert_eq!(run.elapsed(), Duration::from_secs(60) + HOUR);
    assert!(run.into_result().unwrap());
    runtime.log().assert_ended("limited", State::TimedOut);
    runtime.log().assert_ended("endless", State::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_nothing_ends_fails_after_a_year_and_is_not_tried_again() {
    #[task(retries = 5)]
    async fn endless() {}
    #[flow]
    async fn around() -> Result<()> {
        Ok(endless().await?)
    }
    let runtime = with("endless", Fault::hang()).await;
    let run = runtime.run(around()).await;
    assert_eq!(run.elapsed(), Duration::from_secs(365 * 24 * 3600));
    let error = format!("{:#}", run.into_result().unwrap_err());
    assert!(error.contains("no timeout ended it"), "{error}");
    runtime.log().assert_retried("endless", 0);
}

#[tokio::test(start_paused = true)]
async fn faults_open_a_circuit_breaker() {
    #[task(circuit_breaker = "api")]
    async fn ask() -> u8 {
        1
    }
    #[flow]
    async fn asks() -> Result<Vec<Option<ErrorKind>>> {
        let mut kinds = Vec::new();
        for _ in 0..3 {
            kinds.push(ask().await.err().map(|error| error.kind()));
        }
        Ok(kinds)
    }
    let runtime = TestRuntime::builder()
        .configure(|runtime| runtime.circuit_breaker("api", Breaker::new().failure_threshold(2)))
        .fault("ask", Fault::fail("down"))
        .build()
        .await;
    let kinds = runtime.run(asks()).await.into_result().unwrap();
    let expected = [ErrorKind::Failed, ErrorKind::Failed, ErrorKind::CircuitOpen];
    assert_eq!(kinds, expected.map(Some));
    let breaker = runtime.runtime().breaker_state("api");
    assert!(matches!(breaker, Some(BreakerState::Open)), "{breaker:?}");
    runtime.log().assert_ran("ask", 2);
}
