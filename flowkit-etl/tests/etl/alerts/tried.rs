//! How often an alert is tried by processes one after the other, which know of each other by a file.

use std::path::Path;
use std::time::Duration;

use flowkit_etl::alerts::{Alerts, AlertsBuilder, Outcome, Rule};

use crate::alerts::history::{channel, outcomes, process, written};
use crate::alerts::lost::partial;
use crate::alerts::noted::{HOUR, MINUTE, Noted, run};

fn alerts(noted: &Noted, path: &Path) -> AlertsBuilder {
    let rule = Rule::run_failed().once_per(Duration::ZERO);
    let builder = Alerts::builder().rule(rule).remember(1).keep_in(path);
    builder.channel("noted", noted.clone())
}

#[test]
fn those_who_have_an_alert_do_not_get_it_from_each_process_again() {
    for is_shut_down in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let path = &directory.path().join("records.jsonl");
        let mut asked = Vec::new();
        for hour in 0..5 {
            // Each process asks anew, and those who can be reached are.
            let noted = partial();
            process(hour * HOUR, alerts(&noted, path), |runtime, alerts| async move {
                if hour == 0 {
                    run(&runtime, "shut").await;
                    while !is_shut_down && !written(path).iter().any(|record| record.reached_some) {
                        tokio::task::yield_now().await;
                    }
                }
                if is_shut_down || hour > 0 {
                    assert!(alerts.shutdown(MINUTE).await.is_empty());
                    let record = &alerts.records()[0];
                    assert_eq!(record.outcome, Outcome::Delivered);
                    assert!(record.error.as_ref().unwrap().contains("Zoë is busy"));
                    assert_eq!(written(path), alerts.records());
                }
            });
            asked.push(noted.tried.lock().unwrap().len());
        }
        assert!(asked[0] > 0 && asked[1..] == [0; 4], "{asked:?}");
    }
}

#[test]
fn an_alert_is_tried_so_often_by_all_processes_and_then_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = &directory.path().join("records.jsonl");
    let noted = channel(false);
    for hour in 0..20 {
        process(hour * HOUR, alerts(&noted, path), |runtime, alerts| async move {
            if hour == 0 {
                run(&runtime, "shut").await;
            }
            alerts.shutdown(MINUTE / 6).await;
        });
    }
    assert_eq!(outcomes(&written(path)), [("noted", Outcome::Undelivered, 10)]);
    assert_eq!(noted.tried.lock().unwrap().len(), 10);
}

#[test]
fn what_waits_does_not_grow_from_process_to_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = &directory.path().join("records.jsonl");
    for hour in 0..3 {
        process(
            hour * HOUR,
            alerts(&channel(false), path),
            |runtime, alerts| async move {
                for _ in 0..1001 {
                    run(&runtime, "shut").await;
                }
                let waiting = alerts.shutdown(MINUTE / 6).await.len();
                assert_eq!(waiting, if hour == 0 { 1001 } else { 2002 });
            },
        );
    }
}
