//! What programs that alert know of those before them, by the file in which records are kept. A process is a runtime of tokio's here, which ends with all that goes on in it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use flowkit::prelude::*;
use flowkit::{SeededIds, TokioClock};
use flowkit_etl::ErrorKind;
use flowkit_etl::alerts::{AlertRecord, Alerts, AlertsBuilder, Delivery, Outcome, Rule};
use futures::FutureExt;

use crate::alerts::lost::{harvest, partial, refusing};
use crate::alerts::noted::{HOUR, MINUTE, Noted, run};

/// What a process does that begins so long after the first one, if it alerts by these rules.
pub(super) fn process<F: Future<Output = ()>>(
    after: Duration,
    builder: AlertsBuilder,
    story: impl FnOnce(Runtime, Alerts) -> F,
) {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    tokio.block_on(async {
        let clock = || TokioClock::starting_at(SystemTime::UNIX_EPOCH + 300 * HOUR + after);
        let alerts = builder.clock(clock()).start().unwrap();
        let runtime = Runtime::builder().clock(clock()).ids(SeededIds::new(1));
        let runtime = runtime.observe(alerts.clone()).build().await.unwrap();
        story(runtime, alerts).await;
    });
}

pub(super) fn channel(answers: bool) -> Noted {
    Noted::replying(move |_| match answers {
        true => async { Ok(()) }.boxed(),
        false => futures::future::pending().boxed(),
    })
}

pub(super) fn outcomes(records: &[AlertRecord]) -> Vec<(&str, Outcome, u32)> {
    let outcome = |record: &AlertRecord| (record.outcome, record.attempts);
    let each = records
        .iter()
        .map(|record| (record.channel.as_str(), outcome(record)));
    each.map(|(channel, (outcome, attempts))| (channel, outcome, attempts))
        .collect()
}

/// Alerts of failures and of what is well again, on one channel.
fn resolving(path: &Path, channel: Noted) -> AlertsBuilder {
    let rule = Rule::run_failed().tell_resolved();
    Alerts::builder()
        .rule(rule)
        .channel("noted", channel)
        .keep_in(path)
}

/// What the file says of each alert at last.
pub(super) fn written(path: &Path) -> Vec<AlertRecord> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut last = std::collections::BTreeMap::new();
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(number) = line["number"].as_u64() {
            last.insert(number, serde_json::from_value(line).unwrap());
        }
    }
    last.into_values().collect()
}

#[tokio::test]
async fn a_file_of_something_else_is_not_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious.csv");
    std::fs::write(&path, "plant,height\na,1.5\n").unwrap();
    let alerts = Alerts::builder()
        .rule(Rule::run_failed())
        .channel("chat", channel(true));
    let error = alerts.keep_in(&path).start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert!(error.to_string().contains("name a file of their own"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "plant,height\na,1.5\n");
}

#[test]
fn what_was_not_delivered_when_a_process_died_is_known_to_the_next_one_and_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let path = &directory.path().join("alerts/records.jsonl");
    let alerts = || {
        let rule = Rule::run_failed().once_per(Duration::ZERO);
        Alerts::builder().rule(rule).keep_in(path)
    };
    let silent = alerts()
        .channel("chat", channel(true))
        .channel("mail", channel(false))
        .channel("pager", channel(false));
    process(Duration::ZERO, silent, |runtime, _alerts| async move {
        run(&runtime, "shut").await;
        let expected = [
            ("chat", Outcome::Delivered, 1),
            ("mail", Outcome::Waiting, 1),
            ("pager", Outcome::Waiting, 1),
        ];
        while outcomes(&written(path)) != expected {
            tokio::task::yield_now().await;
        }
        // It dies without a shutdown.
    });
    let (chat, mail) = (channel(true), channel(true));
    let next = alerts()
        .channel("chat", chat.clone())
        .channel("mail", mail.clone());
    process(HOUR, next, |runtime, alerts| async move {
        run(&runtime, "on fire").await;
        let undelivered = alerts.shutdown(MINUTE).await;
        assert_eq!(undelivered.len(), 1);
        let why = undelivered[0].error.as_deref();
        assert_eq!(why, Some("there is no channel `pager` any more"));
        assert_eq!(
            outcomes(&alerts.records()),
            [
                ("chat", Outcome::Delivered, 1),
                ("mail", Outcome::Delivered, 2),
                ("pager", Outcome::Undelivered, 1),
                ("chat", Outcome::Delivered, 1),
                ("mail", Outcome::Delivered, 1),
            ]
        );
        assert_eq!(
            written(path),
            alerts.records(),
            "it is written once it is shut down"
        );
    });
    let told = |channel: &Noted| {
        channel
            .alerts()
            .into_iter()
            .map(|alert| alert.summary)
            .collect::<Vec<_>>()
    };
    assert_eq!((told(&chat).len(), told(&mail).len()), (1, 2));
    assert!(told(&mail)[0].contains("shut") && told(&mail)[1].contains("on fire"));
}

#[test]
fn what_was_told_lately_is_not_told_again_by_the_next_process_but_that_it_is_well_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = &directory.path().join("records.jsonl");
    let noted = channel(true);
    let alerts = || {
        let rule = Rule::run_failed().once_per(HOUR).tell_resolved();
        Alerts::builder()
            .rule(rule)
            .channel("noted", noted.clone())
            .keep_in(path)
    };
    for (minute, outcome, told) in [
        (0, "shut", 1),
        (20, "shut", 1),
        (70, "shut", 2),
        (80, "well", 3),
        (90, "well", 3),
    ] {
        process(minute * MINUTE, alerts(), |runtime, alerts| async move {
            run(&runtime, outcome).await;
            alerts.shutdown(MINUTE).await;
        });
        assert_eq!(noted.told().len(), told, "after {minute} minutes");
    }
}

#[test]
fn how_long_a_flow_has_not_succeeded_is_counted_from_a_success_in_an_earlier_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = &directory.path().join("records.jsonl");
    let noted = channel(true);
    let alerts = || {
        let rule = Rule::no_success_within("nightly", 26 * HOUR).once_per(24 * HOUR);
        Alerts::builder()
            .rule(rule)
            .channel("noted", noted.clone())
            .keep_in(path)
    };
    // Each lives for ten hours, and the first one is the only one in which the flow succeeds.
    for (hour, told) in [(0, 0), (10, 0), (20, 1), (30, 1), (40, 1), (50, 2)] {
        process(hour * HOUR, alerts(), |runtime, alerts| async move {
            run(&runtime, if hour == 0 { "well" } else { "shut" }).await;
            tokio::time::sleep(10 * HOUR - MINUTE).await;
            alerts.shutdown(MINUTE).await;
        });
        assert_eq!(noted.told().len(), told, "{:?}", noted.told());
    }
    let said: Vec<String> = noted.alerts().into_iter().map(|alert| alert.summary).collect();
    let expected = ["1d 2h", "2d 2h"].map(|time| format!("nightly has not succeeded for {time}"));
    assert_eq!(said, expected);
}

#[test]
fn a_flow_that_never_succeeded_is_told_of_however_often_the_process_is_started_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = &directory.path().join("records.jsonl");
    let noted = channel(true);
    for hour in [0, 20, 40] {
        let rule = Rule::no_success_within("nightly", 26 * HOUR);
        let alerts = Alerts::builder()
            .rule(rule)
            .channel("noted", noted.clone())
            .keep_in(path);
        process(hour * HOUR, alerts, |_runtime, alerts| async move {
            tokio::time::sleep(MINUTE).await;
            alerts.shutdown(MINUTE).await;
        });
    }
    assert_eq!(noted.told().len(), 1, "{:?}", noted.told());
}

#[test]
fn a_line_over_which_a_process_died_is_no_record_and_one_process_at_a_time_has_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = &directory.path().join("records.jsonl");
    let alerts = || {
        let rule = Rule::run_failed().once_per(Duration::ZERO);
        Alerts::builder()
            .rule(rule)
            .channel("noted", channel(true))
            .keep_in(path)
    };
    process(Duration::ZERO, alerts(), |runtime, alerts| async move {
        run(&runtime, "shut").await;
        alerts.shutdown(MINUTE).await;
    });
    let mut text = std::fs::read(path).unwrap();
    text.truncate(text.len() - 20);
    text.extend_from_slice(&text.clone()[..30]);
    std::fs::write(path, text).unwrap();
    process(HOUR, alerts(), |runtime, first| async move {
        let error = alerts().start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        run(&runtime, "on fire").await;
        first.shutdown(MINUTE).await;
        assert_eq!(
            outcomes(&written(path)),
            [("noted", Outcome::Delivered, 2), ("noted", Outcome::Delivered, 1)],
            "the alert that was waiting by the last whole line is delivered again"
        );
        assert!(alerts().start().is_ok(), "after a shutdown it is free");
    });
}

#[test]
fn no_more_is_kept_in_the_file_than_is_remembered_when_it_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = &directory.path().join("records.jsonl");
    for turn in 0..2 {
        let rule = Rule::run_failed().once_per(Duration::ZERO);
        let noted = channel(true);
        let alerts = Alerts::builder()
            .rule(rule)
            .channel("noted", noted)
            .remember(3)
            .keep_in(path);
        process(turn * HOUR, alerts, |runtime, alerts| async move {
            assert_eq!(alerts.records().len(), 3 * turn as usize);
            let lines = std::fs::read_to_string(path).unwrap().lines().count();
            assert_eq!(lines, 3 * turn as usize);
            for _ in 0..5 {
                run(&runtime, "shut").await;
            }
            alerts.shutdown(MINUTE).await;
        });
    }
}

#[test]
fn what_a_process_could_not_deliver_is_told_by_the_next_one_that_finds_it_and_not_that_it_is_well() {
    for (outcome, told) in [
        ("shut", &["ALERT", "RESOLVED"][..]),
        ("well", &[]), // of what nobody heard of nobody hears that it is well
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = &directory.path().join("records.jsonl");
        let noted = channel(true);
        let alerts = |channel| {
            let rule = Rule::run_failed().once_per(HOUR).tell_resolved();
            Alerts::builder()
                .rule(rule)
                .channel("noted", channel)
                .keep_in(path)
        };
        process(
            Duration::ZERO,
            alerts(refusing(1, Duration::ZERO)),
            |runtime, alerts| async move {
                run(&runtime, "shut").await;
                assert_eq!(alerts.shutdown(MINUTE).await.len(), 1);
            },
        );
        process(20 * MINUTE, alerts(noted.clone()), |runtime, alerts| async move {
            run(&runtime, outcome).await;
            run(&runtime, "well").await;
            alerts.shutdown(MINUTE).await;
        });
        let titles = noted.told();
        let words = titles.iter().filter_map(|title| title.split_whitespace().next());
        assert_eq!(words.collect::<Vec<_>>(), told, "{titles:?}");
        let repeated = noted.alerts().first().map(|alert| alert.repeated);
        assert!(repeated.is_none_or(|repeated| repeated == 1), "{repeated:?}");
    }
}

#[test]
fn what_waits_is_delivered_by_the_next_process_however_little_is_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let path = &directory.path().join("records.jsonl");
    let alerts = |channel| {
        let rule = Rule::run_failed().once_per(Duration::ZERO);
        Alerts::builder()
            .rule(rule)
            .channel("noted", channel)
            .remember(1)
            .keep_in(path)
    };
    process(
        Duration::ZERO,
        alerts(channel(false)),
        |runtime, _alerts| async move {
            for _ in 0..3 {
                run(&runtime, "shut").await;
            }
            while written(path).len() < 3 {
                tokio::task::yield_now().await;
            }
        },
    );
    let noted = channel(true);
    process(HOUR, alerts(noted.clone()), |_runtime, alerts| async move {
        assert!(alerts.shutdown(MINUTE).await.is_empty());
        assert_eq!(alerts.records().len(), 1);
    });
    assert_eq!(noted.told().len(), 3);
}

#[test]
fn what_waits_at_a_shutdown_is_delivered_by_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = &directory.path().join("records.jsonl");
    let alerts = |channel| {
        let delivery = Delivery::new().at_most(u32::MAX, HOUR);
        Alerts::builder()
            .rule(Rule::run_failed().once_per(Duration::ZERO))
            .channel_with("noted", channel, delivery)
            .remember(1)
            .keep_in(path)
    };
    // One is tried, and no more wait than fit.
    let failures = 1001;
    process(
        Duration::ZERO,
        alerts(channel(false)),
        |runtime, alerts| async move {
            for _ in 0..failures {
                run(&runtime, "shut").await;
            }
            let left = alerts.shutdown(MINUTE).await;
            assert_eq!(left.len(), failures);
            assert!(left.iter().all(|record| record.outcome == Outcome::Waiting));
            assert_eq!(alerts.shutdown(MINUTE).await.len(), failures);
        },
    );
    let noted = channel(true);
    process(HOUR, alerts(noted.clone()), |_runtime, alerts| async move {
        assert!(alerts.shutdown(MINUTE).await.is_empty());
    });
    assert_eq!(noted.told().len(), failures);
}

#[test]
fn that_an_alert_reached_some_is_known_to_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = &directory.path().join("records.jsonl");
    let alerts = |channel| resolving(path, channel);
    process(Duration::ZERO, alerts(partial()), |runtime, alerts| async move {
        run(&runtime, "shut").await;
        assert!(alerts.shutdown(MINUTE).await.is_empty());
    });
    let noted = channel(true);
    process(HOUR, alerts(noted.clone()), |runtime, alerts| async move {
        let why = "nobody is there; before that, Zoë is busy";
        assert_eq!(alerts.records()[0].error.as_deref(), Some(why));
        run(&runtime, "well").await;
        assert!(alerts.shutdown(MINUTE).await.is_empty());
    });
    let told = noted.told();
    assert_eq!(told.len(), 1, "{told:?}");
    let is_well = told[0].starts_with("RESOLVED");
    assert!(
        is_well,
        "it is well for those who heard that it was not: {told:?}"
    );
}

#[test]
fn that_it_is_well_is_not_told_by_the_next_process_if_the_alert_comes_to_nothing_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = &directory.path().join("records.jsonl");
    let alerts = |channel| resolving(path, channel);
    process(
        Duration::ZERO,
        alerts(channel(false)),
        |runtime, alerts| async move {
            run(&runtime, "shut").await;
            run(&runtime, "well").await;
            assert_eq!(alerts.shutdown(MINUTE).await.len(), 2);
        },
    );
    let noted = refusing(1, Duration::ZERO);
    process(HOUR, alerts(noted.clone()), |_runtime, alerts| async move {
        assert_eq!(alerts.shutdown(MINUTE).await.len(), 1);
        assert_eq!(
            outcomes(&written(path)),
            [
                ("noted", Outcome::Undelivered, 3),
                ("noted", Outcome::NotNeeded, 0)
            ]
        );
    });
    assert!(noted.told().is_empty(), "{:?}", noted.told());
}

#[test]
fn what_is_held_back_again_and_again_does_not_make_a_process_forget_what_was_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = &directory.path().join("records.jsonl");
    let noted = channel(true);
    for (minutes, failures) in [(0, 100), (20, 0)] {
        let delivery = Delivery::new().at_most(1, HOUR);
        let alerts = Alerts::builder()
            .rule(Rule::run_failed().once_per(HOUR))
            .channel_with("noted", noted.clone(), delivery)
            .remember(10)
            .keep_in(path);
        process(minutes * MINUTE, alerts, |runtime, alerts| async move {
            drop(runtime.run(harvest()).await);
            for _ in 0..failures {
                run(&runtime, "shut").await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            alerts.shutdown(MINUTE).await;
        });
    }
    assert_eq!(noted.told().len(), 1, "{:?}", noted.told());
}
