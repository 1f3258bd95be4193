//! What becomes of alerts on their way, under a paused clock.

use std::time::Duration;

use flowkit::prelude::*;
use flowkit_etl::alerts::{AlertRecord, Alerts, Delivery, Failure, Outcome, Rule, Status};
use flowkit_etl::{Error, ErrorKind};
use futures::FutureExt;
use tokio::time::Instant;

use crate::alerts::noted::{HOUR, MINUTE, Noted, clock, run, unavailable, watched};

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
    let told: Vec<_> = told.iter().map(|alert| (alert.status, alert.repeated)).collect();
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

#[tokio::test(start_paused = true)]
async fn what_a_channel_did_not_take_was_not_told_there_and_is_told_when_it_is_found_again() {
    let (chat, mail) = (
        Noted::new(),
        Noted::replying(|asked| {
            let answer = match asked {
                0 | 1 => Err(Error::new(ErrorKind::Access, "who are you?").into()),
                _ => Ok(()),
            };
            async move { answer }.boxed()
        }),
    );
    let rules = Alerts::builder()
        .channel("mail", mail.clone())
        .rule(Rule::run_failed().once_per(HOUR).tell_resolved());
    let (runtime, alerts) = watched(rules, &chat).await;
    for minutes in [0, 10, 10, 10] {
        tokio::time::sleep(minutes * MINUTE).await;
        run(&runtime, "shut").await;
    }
    run(&runtime, "well").await;
    let undelivered = alerts.shutdown(MINUTE).await;
    assert_eq!(undelivered.len(), 2);
    let told = |channel: &Noted| -> Vec<(Status, u64)> {
        let told = channel.alerts().into_iter();
        told.map(|alert| (alert.status, alert.repeated)).collect()
    };
    assert_eq!(told(&chat), [(Status::Raised, 0), (Status::Resolved, 3)]);
    assert_eq!(told(&mail), [(Status::Raised, 2), (Status::Resolved, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_held_back_is_told_when_it_is_found_again_and_there_is_room() {
    let channel = Noted::new();
    let alerts = Alerts::builder()
        .channel_with("noted", channel.clone(), Delivery::new().at_most(1, 10 * MINUTE))
        .rule(Rule::run_failed().once_per(HOUR).named("first").tell_resolved())
        .rule(Rule::run_failed().once_per(HOUR).named("second").tell_resolved())
        .start()
        .unwrap();
    let runtime = Runtime::builder().clock(clock()).observe(alerts.clone());
    let runtime = runtime.build().await.unwrap();
    run(&runtime, "shut").await;
    tokio::time::sleep(11 * MINUTE).await;
    run(&runtime, "shut").await;
    alerts.shutdown(MINUTE).await;
    let told: Vec<_> = channel.alerts().into_iter().map(|alert| alert.rule).collect();
    assert_eq!(told, ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_recorded_however_little_is_remembered() {
    let channel = Noted::replying(|asked| match asked {
        0 => tokio::time::sleep(MINUTE / 3).map(Ok).boxed(),
        _ => futures::future::pending().boxed(),
    });
    let rules = Alerts::builder()
        .remember(1)
        .rule(Rule::run_failed().once_per(Duration::ZERO));
    let (runtime, alerts) = watched(rules, &channel).await;
    for _ in 0..4 {
        run(&runtime, "shut").await;
    }
    tokio::time::sleep(MINUTE).await;
    let records = alerts.records();
    assert_eq!(records.len(), 3, "one was delivered, and is forgotten");
    assert!(records.iter().all(|record| record.outcome == Outcome::Waiting));
    assert_eq!(alerts.shutdown(MINUTE).await.len(), 3);
    assert_eq!(alerts.records().len(), 1);
}
