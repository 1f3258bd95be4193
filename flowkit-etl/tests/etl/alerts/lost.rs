//! What follows from alerts that nobody got, under a paused clock.

use std::time::Duration;

use flowkit::prelude::*;
use flowkit_etl::alerts::{Alerts, AlertsBuilder, Delivery, Failure, Outcome, Rule, Status};
use flowkit_etl::{Error, ErrorKind};
use futures::FutureExt;

use crate::alerts::noted::{HOUR, MINUTE, Noted, clock, nightly, run, unavailable, watched};

/// A channel that lets nobody in the first times that it is asked, each time after a while.
pub(crate) fn refusing(times: u32, takes: Duration) -> Noted {
    Noted::replying(move |asked| {
        async move {
            if asked >= times {
                return Ok(());
            }
            tokio::time::sleep(takes).await;
            Err(Error::new(ErrorKind::Access, "who are you?").into())
        }
        .boxed()
    })
}

/// A runtime that is watched, with one channel that is delivered to like this.
async fn delivered(builder: AlertsBuilder, channel: &Noted, delivery: Delivery) -> (Runtime, Alerts) {
    let builder = builder.channel_with("noted", channel.clone(), delivery);
    let alerts = builder.clock(clock()).start().unwrap();
    let runtime = Runtime::builder().clock(clock()).observe(alerts.clone());
    (runtime.build().await.unwrap(), alerts)
}

fn repeated(channel: &Noted) -> Vec<(Status, u64, u64)> {
    let alerts = channel.alerts().into_iter();
    alerts
        .map(|alert| (alert.status, alert.repeated, alert.held_back))
        .collect()
}

#[flow]
pub(crate) async fn harvest() -> Result<()> {
    Err("it rains".into())
}

#[tokio::test(start_paused = true)]
async fn that_it_is_well_is_not_told_where_the_alert_that_waited_meanwhile_came_to_nothing() {
    let channel = refusing(1, MINUTE / 3);
    let rules = Alerts::builder().rule(Rule::run_failed().tell_resolved());
    let (runtime, alerts) = watched(rules, &channel).await;
    run(&runtime, "shut").await;
    run(&runtime, "well").await;
    assert_eq!(alerts.shutdown(HOUR).await.len(), 1);
    assert!(channel.told().is_empty(), "{:?}", channel.told());
    let outcomes: Vec<_> = alerts.records().iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::Undelivered, Outcome::NotNeeded]);
}

#[tokio::test(start_paused = true)]
async fn that_it_is_well_is_told_where_any_alert_since_it_is_not_was_taken() {
    let channel = Noted::replying(|asked| {
        async move {
            match asked {
                1 => Err(Error::new(ErrorKind::Access, "who are you?").into()),
                _ => Ok(()),
            }
        }
        .boxed()
    });
    let rules = Alerts::builder().rule(Rule::run_failed().once_per(Duration::ZERO).tell_resolved());
    let (runtime, alerts) = watched(rules, &channel).await;
    for outcome in ["shut", "shut", "well"] {
        run(&runtime, outcome).await;
    }
    alerts.shutdown(HOUR).await;
    assert_eq!(
        repeated(&channel),
        [(Status::Raised, 0, 0), (Status::Resolved, 1, 0)]
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_channel_does_not_take_is_none_of_what_is_too_much_and_rests_for_a_while() {
    let channel = refusing(2, Duration::ZERO);
    let rules = Alerts::builder().rule(Rule::run_failed());
    let (runtime, alerts) = delivered(rules, &channel, Delivery::new().at_most(2, HOUR)).await;
    for _ in 0..3 {
        for _ in 0..10 {
            run(&runtime, "shut").await;
        }
        tokio::time::sleep(6 * MINUTE).await;
    }
    assert_eq!(alerts.shutdown(MINUTE).await.len(), 2);
    assert_eq!(repeated(&channel), [(Status::Raised, 20, 0)]);
    assert_eq!(alerts.records().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_was_held_back_is_counted_once_as_the_same_or_as_something_else() {
    let channel = Noted::new();
    let rules = Alerts::builder().rule(Rule::run_failed().once_per(Duration::ZERO));
    let (runtime, alerts) = delivered(rules, &channel, Delivery::new().at_most(1, HOUR)).await;
    for _ in 0..3 {
        run(&runtime, "shut").await;
    }
    drop(runtime.run(harvest()).await);
    tokio::time::sleep(HOUR + MINUTE).await;
    run(&runtime, "shut").await;
    alerts.shutdown(MINUTE).await;
    assert_eq!(
        repeated(&channel),
        [(Status::Raised, 0, 0), (Status::Raised, 2, 1)]
    );
}

#[tokio::test(start_paused = true)]
async fn that_a_run_took_too_long_is_told_at_its_end_where_it_was_not_taken_before() {
    let (chat, mail) = (Noted::new(), refusing(1, Duration::ZERO));
    let rules = Alerts::builder()
        .channel("mail", mail.clone())
        .rule(Rule::took_over(10 * MINUTE).once_per(Duration::ZERO));
    let (runtime, alerts) = watched(rules, &chat).await;
    drop(runtime.run(nightly("well", HOUR)).await);
    alerts.shutdown(MINUTE).await;
    assert_eq!(chat.told(), ["ALERT took over 10m: nightly goes on after 10m"]);
    assert_eq!(mail.told(), ["ALERT took over 10m: nightly took 1h"]);
    assert_eq!(repeated(&mail), [(Status::Raised, 0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn that_a_flow_has_not_succeeded_is_told_soon_where_it_was_not_taken() {
    let (chat, mail) = (Noted::new(), refusing(1, Duration::ZERO));
    let rule = Rule::no_success_within("nightly", 26 * HOUR).once_per(12 * HOUR);
    let rules = Alerts::builder().channel("mail", mail.clone()).rule(rule);
    let (_runtime, alerts) = watched(rules, &chat).await;
    tokio::time::sleep(39 * HOUR).await;
    alerts.shutdown(MINUTE).await;
    let minutes = |channel: &Noted| -> Vec<u64> {
        let taken = channel.taken.lock().unwrap();
        taken.iter().map(|(at, _)| at.as_secs() / 60).collect()
    };
    assert_eq!(minutes(&chat), [26 * 60, 38 * 60]);
    assert_eq!(minutes(&mail), [26 * 60 + 5, 38 * 60 + 5]);
    assert_eq!(repeated(&mail)[0], (Status::Raised, 0, 0));
}

/// A channel that first reaches some, and then is away.
pub(crate) fn partial() -> Noted {
    Noted::replying(|asked| {
        let failure = match asked {
            0 => Failure {
                partly: true,
                ..Error::new(ErrorKind::Unavailable, "Zoë is busy").into()
            },
            _ => unavailable(),
        };
        async move { Err(failure) }.boxed()
    })
}

#[tokio::test(start_paused = true)]
async fn what_reached_some_is_delivered_however_it_ends_and_says_whom_it_did_not_reach() {
    for attempts in [2, 100] {
        let rules = Alerts::builder().rule(Rule::run_failed());
        let (runtime, alerts) = delivered(rules, &partial(), Delivery::new().attempts(attempts)).await;
        run(&runtime, "shut").await;
        assert!(alerts.shutdown(MINUTE).await.is_empty());
        let record = &alerts.records()[0];
        assert_eq!((record.outcome, record.reached_some), (Outcome::Delivered, true));
        let why = record.error.as_deref();
        assert_eq!(why, Some("nobody is there; before that, Zoë is busy"));
    }
}
