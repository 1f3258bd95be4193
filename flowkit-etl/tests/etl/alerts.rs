//! What is alerted of, how often, and what becomes of it: under a paused clock, to channels in memory.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use flowkit::prelude::*;
use flowkit::{SeededIds, TokioClock};
use flowkit_etl::alerts::{
    Alert, AlertRecord, Alerts, AlertsBuilder, Channel, Delivery, Failure, Outcome, Rule, Status,
};
use flowkit_etl::quality::{Check, Quality};
use flowkit_etl::{BatchStream, Error, ErrorKind};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What a channel does when it is asked for the how-manieth time.
type Reply = Arc<dyn Fn(u32) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>;

/// A channel that keeps what it is sent, and when, if it takes it.
#[derive(Clone)]
struct Noted {
    taken: Arc<Mutex<Vec<(Duration, Alert)>>>,
    asked: Arc<AtomicU32>,
    tried: Arc<Mutex<Vec<Duration>>>,
    began: Instant,
    reply: Reply,
}

impl Noted {
    fn new() -> Self {
        Self::replying(|_| async { Ok(()) }.boxed())
    }

    fn replying(
        reply: impl Fn(u32) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            taken: Arc::default(),
            asked: Arc::default(),
            tried: Arc::default(),
            began: Instant::now(),
            reply: Arc::new(reply),
        }
    }

    fn alerts(&self) -> Vec<Alert> {
        self.taken
            .lock()
            .unwrap()
            .iter()
            .map(|(_, alert)| alert.clone())
            .collect()
    }

    fn told(&self) -> Vec<String> {
        self.alerts().iter().map(ToString::to_string).collect()
    }
}

impl std::fmt::Debug for Noted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Noted")
    }
}

impl Channel for Noted {
    fn send<'a>(&'a self, alert: &'a Alert) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            self.tried.lock().unwrap().push(self.began.elapsed());
            (self.reply)(self.asked.fetch_add(1, Ordering::SeqCst)).await?;
            self.taken
                .lock()
                .unwrap()
                .push((self.began.elapsed(), alert.clone()));
            Ok(())
        }
        .boxed()
    }
}

fn unavailable() -> Failure {
    Error::new(ErrorKind::Unavailable, "nobody is there").into()
}

fn clock() -> TokioClock {
    TokioClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000))
}

/// A runtime that is watched, with one channel.
async fn watched(builder: AlertsBuilder, channel: &Noted) -> (Runtime, Alerts) {
    let alerts = builder
        .channel("noted", channel.clone())
        .clock(clock())
        .start()
        .unwrap();
    let runtime = Runtime::builder()
        .clock(clock())
        .ids(SeededIds::new(1))
        .observe(alerts.clone());
    (runtime.build().await.unwrap(), alerts)
}

#[flow(tags("farm"), run_name = "nightly-{outcome}")]
async fn nightly(outcome: String, takes: Duration) -> Result<()> {
    flowkit::sleep(takes).await;
    match outcome.as_str() {
        "well" => Ok(()),
        _ => Err(format!("the barn is {outcome}").into()),
    }
}

#[flow]
async fn weekly(outcome: String) -> Result<()> {
    drop(nightly(outcome, Duration::ZERO).await);
    Ok(())
}

async fn run(runtime: &Runtime, outcome: &str) {
    drop(runtime.run(nightly(outcome, Duration::ZERO)).await);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_once_in_a_while_with_how_often_it_was_and_when_it_is_well_again() {
    let channel = Noted::new();
    let rules = Alerts::builder().rule(Rule::run_failed().once_per(HOUR).tell_resolved());
    let (runtime, alerts) = watched(rules, &channel).await;
    for outcome in ["well", "shut", "shut", "shut"] {
        run(&runtime, outcome).await;
    }
    tokio::time::sleep(HOUR + MINUTE).await;
    run(&runtime, "on fire").await;
    run(&runtime, "on fire").await;
    run(&runtime, "well").await;
    run(&runtime, "well").await;
    // After what is well again, it is told at once.
    run(&runtime, "shut").await;
    assert!(alerts.shutdown(MINUTE).await.is_empty());

    assert_eq!(
        channel.told(),
        [
            "ALERT run failed: nightly is Failed: flow `nightly-shut` failed: the barn is shut",
            "ALERT run failed: nightly is Failed: flow `nightly-on fire` failed: the barn is on fire",
            "RESOLVED run failed: nightly is Completed, in 0ms",
            "ALERT run failed: nightly is Failed: flow `nightly-shut` failed: the barn is shut",
        ]
    );
    let told = channel.alerts();
    assert_eq!(
        told.iter().map(|alert| alert.repeated).collect::<Vec<_>>(),
        [0, 2, 1, 0]
    );
    assert_eq!(told[0].flow_run_name.as_deref(), Some("nightly-shut"));
    assert_eq!(
        told[0].at,
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
    );
    assert!(
        told[0].details.contains("the barn is shut"),
        "{}",
        told[0].details
    );
    let records = alerts.records();
    assert!(
        records
            .iter()
            .all(|record| record.outcome == Outcome::Delivered && record.attempts == 1)
    );
    assert_eq!(records.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn rules_are_about_flows_and_tags_and_a_subflow_counts_where_it_is_named() {
    let (all, tagged, named) = (Noted::new(), Noted::new(), Noted::new());
    let builder = Alerts::builder()
        .channel("tagged", tagged.clone())
        .channel("named", named.clone())
        .rule(Rule::run_failed().named("any").to("noted"))
        .rule(Rule::run_failed().tag("farm").tag("night").to("tagged"))
        .rule(
            Rule::run_failed()
                .flow("nightly")
                .once_per(Duration::ZERO)
                .to("named"),
        );
    let (runtime, alerts) = watched(builder, &all).await;
    drop(runtime.run(weekly("shut")).await); // its subflow fails, and it deals with that
    run(&runtime, "shut").await;
    let night = runtime.scope(flowkit::tagged(["night"], nightly("shut", Duration::ZERO).run()));
    drop(night.await);
    alerts.shutdown(MINUTE).await;
    assert_eq!(
        (all.told().len(), tagged.told().len(), named.told().len()),
        (1, 1, 3)
    );
    assert!(
        all.told()[0].starts_with("ALERT any: nightly is Failed"),
        "{:?}",
        all.told()
    );
    let wrong = |builder: AlertsBuilder| builder.start().unwrap_err().to_string();
    assert_eq!(wrong(Alerts::builder()), "alerts go nowhere: add a channel");
    let lost = Alerts::builder()
        .channel("a", Noted::new())
        .rule(Rule::run_failed().to("b"));
    assert_eq!(
        wrong(lost),
        "the rule `run failed` goes to `b`, and there are the channels `a`"
    );
    let twice = Alerts::builder()
        .channel("a", Noted::new())
        .channel("a", Noted::new());
    assert_eq!(wrong(twice), "two channels are called `a`");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_takes_too_long_is_told_of_while_it_goes_on_and_once() {
    let channel = Noted::new();
    let rules = Alerts::builder().rule(
        Rule::took_over(10 * MINUTE)
            .once_per(Duration::ZERO)
            .tell_resolved(),
    );
    let (runtime, alerts) = watched(rules, &channel).await;
    drop(runtime.run(nightly("well", 9 * MINUTE)).await);
    drop(runtime.run(nightly("well", HOUR)).await);
    drop(runtime.run(nightly("shut", MINUTE)).await); // quick, but that is not well
    drop(runtime.run(nightly("well", MINUTE)).await);
    alerts.shutdown(MINUTE).await;
    assert_eq!(
        channel.told(),
        [
            "ALERT took over 10m: nightly goes on after 10m",
            "RESOLVED took over 10m: nightly is Completed, in 1m",
        ]
    );
    let told = channel.taken.lock().unwrap()[0].0;
    assert!(told >= 19 * MINUTE && told < 20 * MINUTE, "at {told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_has_not_succeeded_for_too_long_is_told_of_again_and_again() {
    let channel = Noted::new();
    let rule = Rule::no_success_within("nightly", 26 * HOUR)
        .once_per(12 * HOUR)
        .tell_resolved();
    let (runtime, alerts) = watched(Alerts::builder().rule(rule), &channel).await;
    tokio::time::sleep(20 * HOUR).await;
    run(&runtime, "well").await;
    tokio::time::sleep(20 * HOUR).await;
    run(&runtime, "shut").await;
    tokio::time::sleep(20 * HOUR).await;
    run(&runtime, "well").await;
    tokio::time::sleep(HOUR).await;
    alerts.shutdown(MINUTE).await;
    assert_eq!(
        channel.told(),
        [
            "ALERT no success within 1d 2h: nightly has not succeeded for 1d 2h",
            "ALERT no success within 1d 2h: nightly has not succeeded for 1d 14h",
            "RESOLVED no success within 1d 2h: nightly is Completed, in 0ms",
        ]
    );
    let at = |hours: u32| SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) + hours * HOUR;
    let told = channel.alerts()[0].at;
    assert!(told >= at(46) && told < at(46) + MINUTE, "{told:?}");
}

#[derive(Serialize, Deserialize)]
struct Plant {
    name: String,
}

#[task]
async fn measured(names: Vec<String>) -> Result<(), Error> {
    let plants = names.into_iter().map(|name| Plant { name }).collect();
    let checks = Quality::new("season")
        .check(Check::unique(["name"]).at_least(0.6))
        .check(Check::matching("name", "^[a-z]$")?.warn());
    let (batches, _) = checks.guard(BatchStream::from_rows(plants)?)?;
    batches.collect_batches().await.map(drop)
}

#[flow]
async fn season(names: Vec<String>) -> Result<()> {
    Ok(measured(names).await?)
}

#[tokio::test(start_paused = true)]
async fn quality_that_does_not_do_is_told_of_by_check_and_by_figure() {
    let channel = Noted::new();
    let unique = Quality::new("x").check(Check::unique(["name"]));
    let report = unique.measure(BatchStream::from_rows(vec![Plant { name: "a".into() }]).unwrap());
    let check = report.await.unwrap().checks[0].check.clone();
    let rules = Alerts::builder()
        .rule(Rule::quality_failed().tell_resolved())
        .rule(Rule::quality_failed().report("another").named("never"))
        .rule(Rule::quality_failed().warnings_too().named("warned"))
        .rule(Rule::quality_below(&check, 0.9).named("figure").tell_resolved());
    let (runtime, alerts) = watched(rules, &channel).await;
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    drop(runtime.run(season(names(&["a", "b", "c", "d", "d"]))).await);
    drop(runtime.run(season(names(&["a", "a", "a"]))).await);
    drop(runtime.run(season(names(&["a", "B"]))).await);
    alerts.shutdown(MINUTE).await;
    let told = channel.alerts();
    let of = |rule: &str| -> Vec<(Status, String)> {
        let those = told.iter().filter(|alert| alert.rule == rule);
        those.map(|alert| (alert.status, alert.subject.clone())).collect()
    };
    let subject = "season / season".to_owned();
    assert_eq!(
        of("quality failed"),
        [
            (Status::Raised, subject.clone()),
            (Status::Resolved, subject.clone())
        ]
    );
    assert_eq!(of("never"), []);
    assert_eq!(of("warned"), [(Status::Raised, subject.clone())]);
    let figure = format!("{subject} / {check}");
    assert_eq!(
        of("figure"),
        [(Status::Raised, figure.clone()), (Status::Resolved, figure)]
    );
    let failed = told.iter().find(|alert| alert.rule == "quality failed").unwrap();
    assert!(
        !failed.details.contains("row "),
        "no record is sent around: {failed:?}"
    );
    assert!(
        failed.details.contains("FAIL") && failed.summary.contains(&check),
        "{failed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_channel_is_spared_what_is_too_much_and_told_how_much_that_was() {
    let channel = Noted::new();
    let alerts = Alerts::builder()
        .channel_with("noted", channel.clone(), Delivery::new().at_most(2, HOUR))
        .rule(Rule::run_failed().once_per(Duration::ZERO).tell_resolved())
        .start()
        .unwrap();
    let runtime = Runtime::builder()
        .clock(clock())
        .observe(alerts.clone())
        .build()
        .await
        .unwrap();
    for _ in 0..5 {
        run(&runtime, "shut").await;
    }
    run(&runtime, "well").await; // that it is well again is told in any case
    tokio::time::sleep(HOUR + MINUTE).await;
    run(&runtime, "shut").await;
    alerts.shutdown(MINUTE).await;
    let told = channel.alerts();
    let told: Vec<_> = told.iter().map(|alert| (alert.status, alert.held_back)).collect();
    assert_eq!(
        told,
        [
            (Status::Raised, 0),
            (Status::Raised, 0),
            (Status::Resolved, 3),
            (Status::Raised, 0)
        ]
    );
    let held_back = alerts
        .records()
        .into_iter()
        .filter(|record| record.outcome == Outcome::HeldBack);
    assert_eq!(held_back.count(), 3);
}

/// A channel that is away at first, is broken twice, and then is away for ever.
fn moody(asked: u32) -> Result<(), Failure> {
    match asked {
        0..3 => Err(unavailable()),
        3 => Err(Failure {
            after: Some(Duration::from_secs(40)),
            ..unavailable()
        }),
        4 => Ok(()),
        5 => Err(Error::new(ErrorKind::Access, "who are you?").into()),
        6 => panic!("this channel is broken"),
        _ => Err(unavailable()),
    }
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_cannot_be_delivered_is_tried_again_recorded_and_delays_no_run() {
    let channel = Noted::replying(|asked| async move { moody(asked) }.boxed());
    let delivery = Delivery::new()
        .attempts(5)
        .backoff(Duration::from_secs(10), MINUTE);
    let alerts = Alerts::builder()
        .channel_with("noted", channel.clone(), delivery)
        .rule(Rule::run_failed().once_per(Duration::ZERO))
        .start()
        .unwrap();
    let runtime = Runtime::builder()
        .clock(clock())
        .observe(alerts.clone())
        .build()
        .await
        .unwrap();
    let began = Instant::now();
    for _ in 0..4 {
        run(&runtime, "shut").await;
    }
    assert_eq!(began.elapsed(), Duration::ZERO, "no run waits for an alert");
    let undelivered = alerts.shutdown(HOUR).await;
    let outcomes: Vec<_> = alerts
        .records()
        .iter()
        .map(|record| (record.outcome, record.attempts))
        .collect();
    assert_eq!(
        outcomes,
        [
            (Outcome::Delivered, 5),
            (Outcome::Undelivered, 1), // it would not be let in another time either
            (Outcome::Undelivered, 1),
            (Outcome::Undelivered, 5),
        ]
    );
    let errors: Vec<_> = undelivered
        .iter()
        .map(|record| record.error.as_deref().unwrap())
        .collect();
    assert_eq!(
        errors,
        ["who are you?", "the channel panicked", "nobody is there"]
    );
    let tried: Vec<u64> = channel
        .tried
        .lock()
        .unwrap()
        .iter()
        .map(Duration::as_secs)
        .collect();
    assert_eq!(
        tried,
        [0, 10, 30, 70, 110, 110, 110, 110, 120, 140, 180, 240],
        "delays double, up to a minute, and the other side may say how long"
    );
    assert_eq!(channel.told().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_what_is_outstanding_but_not_for_ever() {
    let channel = Noted::replying(|asked| match asked {
        0 => tokio::time::sleep(MINUTE / 3).map(Ok).boxed(),
        _ => futures::future::pending().boxed(),
    });
    let rules = Alerts::builder().rule(Rule::run_failed().once_per(Duration::ZERO));
    let (runtime, alerts) = watched(rules, &channel).await;
    run(&runtime, "shut").await;
    run(&runtime, "on fire").await;
    runtime.shutdown(MINUTE).await;
    let began = Instant::now();
    // Two at once wait for the same.
    let (undelivered, same) = tokio::join!(alerts.shutdown(MINUTE), alerts.shutdown(MINUTE));
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!(undelivered.len(), same.len());
    assert_eq!(channel.told().len(), 1, "what took its time was delivered");
    let [
        AlertRecord {
            alert,
            outcome,
            error,
            ..
        },
    ] = &undelivered[..]
    else {
        panic!("one is left: {undelivered:?}");
    };
    assert!(alert.summary.contains("on fire"));
    assert_eq!(*outcome, Outcome::Undelivered);
    assert!(error.is_some());
    // What comes after it is taken by nobody, and disturbs nobody.
    run(&runtime, "shut").await;
    assert_eq!(alerts.shutdown(MINUTE).await.len(), 1);
}
