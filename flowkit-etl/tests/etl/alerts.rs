//! What is alerted of and how often, under a paused clock.

mod channels;
mod delivery;
mod history;
mod lost;
mod noted;
mod smtp;
mod tried;

use std::time::{Duration, SystemTime};

use flowkit::prelude::*;
use flowkit_etl::alerts::{Alerts, AlertsBuilder, Outcome, Rule, Status};
use flowkit_etl::quality::{Check, Quality};
use flowkit_etl::{BatchStream, Error};
use serde::{Deserialize, Serialize};

use tracing_subscriber::layer::SubscriberExt;

use crate::alerts::channels::Logged;
use crate::alerts::noted::{HOUR, MINUTE, Noted, nightly, run, watched};

#[flow]
async fn weekly(outcome: String) -> Result<()> {
    drop(nightly(outcome, Duration::ZERO).await);
    Ok(())
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
    let without_effect = [
        (Rule::run_failed().report("season"), "report"),
        (Rule::took_over(HOUR).warnings_too(), "warnings_too"),
        (Rule::quality_below("rows", 1.0).warnings_too(), "warnings_too"),
        (
            Rule::run_failed().last_success(SystemTime::UNIX_EPOCH),
            "last_success",
        ),
    ];
    for (rule, word) in without_effect {
        let said = format!("the rule `{rule}` says `{word}`, ");
        let error = wrong(Alerts::builder().channel("a", Noted::new()).rule(rule));
        assert!(error.starts_with(&said), "{error}");
    }
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

#[tokio::test(start_paused = true)]
async fn a_success_in_an_earlier_process_counts() {
    let channel = Noted::new();
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) - 20 * HOUR;
    let rule = Rule::no_success_within("nightly", 26 * HOUR).last_success(last);
    let (_runtime, alerts) = watched(Alerts::builder().rule(rule), &channel).await;
    tokio::time::sleep(6 * HOUR + MINUTE).await;
    alerts.shutdown(MINUTE).await;
    let told = "ALERT no success within 1d 2h: nightly has not succeeded for 1d 2h";
    assert_eq!(channel.told(), [told]);
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
async fn of_checks_that_have_one_name_the_lowest_figure_counts() {
    let channel = Noted::new();
    let rule = Rule::quality_below("names", 0.9);
    let (runtime, alerts) = watched(Alerts::builder().rule(rule), &channel).await;
    drop(runtime.run(alike()).await);
    alerts.shutdown(MINUTE).await;
    assert_eq!(
        channel.told(),
        ["ALERT names below 0.9: names of season is 0.5, and is to be at least 0.9"]
    );
}

#[flow]
async fn alike() -> Result<()> {
    let plants = ["a", "a"].map(|name| Plant { name: name.into() });
    let checks = Quality::new("season")
        .check(Check::complete("name").named("names"))
        .check(Check::unique(["name"]).named("names"));
    checks.measure(BatchStream::from_rows(plants.into())?).await?;
    Ok(())
}

#[flow]
async fn twice_measured() -> Result<()> {
    let plants = || BatchStream::from_rows(vec![Plant { name: "a".into() }]);
    let raw = Quality::new("raw").check(Check::complete("name"));
    raw.measure(plants()?).await?;
    let clean = Quality::new("clean").check(Check::unique(["name"]));
    clean.measure(plants()?).await?;
    Ok(())
}

/// What is warned of checks that are in no report, in runs of this flow by these rules, which tell nothing.
async fn warned(rules: [Rule; 2], flow: impl Fn() -> FlowCall<()>) -> Vec<String> {
    let logged = Logged::default();
    drop(tracing::subscriber::set_global_default(
        tracing_subscriber::registry(),
    ));
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(logged.clone()));
    let channel = Noted::new();
    let rules = rules.into_iter().fold(Alerts::builder(), AlertsBuilder::rule);
    let (runtime, alerts) = watched(rules, &channel).await;
    for _ in 0..2 {
        assert!(runtime.run(flow()).await.state().is_success());
    }
    alerts.shutdown(MINUTE).await;
    assert!(channel.told().is_empty());
    let text = logged.0.lock().unwrap().clone();
    let warned = text.lines().filter(|line| line.contains("no report"));
    warned.map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn that_no_report_has_the_check_of_a_rule_is_warned_of_once() {
    let rules = [
        Rule::quality_below("uniqueness of name", 0.9), // of the second report
        Rule::quality_below("uniqueness of plant", 0.9).named("misspelt"),
    ];
    let warned = warned(rules, twice_measured).await;
    let [warned] = &warned[..] else {
        panic!("it is warned of once: {warned:?}");
    };
    for word in [
        "misspelt",
        "uniqueness of plant",
        "completeness of name",
        "uniqueness of name",
    ] {
        assert!(warned.contains(word), "{word} is not in {warned}");
    }
}

#[flow]
async fn raw() -> Result<()> {
    let checks = Quality::new("raw").check(Check::complete("name"));
    let plants = BatchStream::from_rows(vec![Plant { name: "a".into() }])?;
    checks.measure(plants).await?;
    Ok(())
}

#[flow]
async fn measured_in_parts() -> Result<()> {
    raw().await?;
    let checks = Quality::new("clean").check(Check::unique(["name"]));
    let plants = BatchStream::from_rows(vec![Plant { name: "a".into() }])?;
    checks.measure(plants).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn whether_a_check_is_in_no_report_is_known_when_the_run_above_all_has_ended() {
    let rules = [
        Rule::quality_below("uniqueness of name", 0.9), // of a report after the subflow's end
        Rule::quality_below("completeness of nam", 0.9)
            .flow("raw")
            .named("misspelt"),
    ];
    let warned = warned(rules, measured_in_parts).await;
    let [warned] = &warned[..] else {
        panic!("it is warned of once: {warned:?}");
    };
    assert!(warned.contains("misspelt"), "{warned}");
}
