//! Alerts reach real servers, also such as fail, and no secret shows on the way.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowkit::Secret;
use flowkit::prelude::*;
use flowkit_etl::alerts::{Alerts, Channel, Delivery, Email, Encryption, Outcome, Rule, Slack, Webhook};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::alerts::smtp::MailServer;
use crate::receiver::{Answer, Receiver};

const CANARY: &str = "canary-hunter2";
const SOON: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(60);

#[flow]
async fn nightly() -> Result<()> {
    Err("the <barn> is shut & dark".into())
}

/// Runs a flow that fails, with this channel, and tells what became of the alert: its outcome, its attempts, its error.
async fn alerted(channel: impl Channel, delivery: Delivery) -> (Outcome, u32, String) {
    let alerts = Alerts::builder()
        .channel_with("ops", channel, delivery)
        .rule(Rule::run_failed())
        .start()
        .unwrap();
    let runtime = Runtime::builder().observe(alerts.clone()).build().await.unwrap();
    assert_eq!(runtime.run(nightly()).await.state(), State::Failed);
    alerts.shutdown(LONG).await;
    let records = alerts.records();
    let shown = format!(
        "{alerts:?} {records:?} {}",
        serde_json::to_string(&records).unwrap()
    );
    assert!(!shown.contains(CANARY), "{shown}");
    let record = records.last().unwrap();
    (
        record.outcome,
        record.attempts,
        record.error.clone().unwrap_or_default(),
    )
}

fn often() -> Delivery {
    Delivery::new().attempts(6).backoff(SOON, 5 * SOON)
}

#[tokio::test]
async fn a_webhook_that_is_busy_is_asked_again_and_gets_all_of_the_alert_as_json() {
    let receiver = Receiver::start(|number, _| match number {
        0 => Answer::status(500),
        1 => Answer {
            // More than the longest delay: that counts.
            headers: vec![("retry-after", "3600".into())],
            ..Answer::status(429)
        },
        _ => Answer::status(204),
    })
    .await;
    let webhook = Webhook::new(receiver.url(&format!("/hooks/{CANARY}")))
        .unwrap()
        .header("x-token", CANARY.to_owned())
        .unwrap();
    assert_eq!(
        alerted(webhook, often()).await,
        (Outcome::Delivered, 3, String::new())
    );
    let posted = receiver.posted();
    assert_eq!(posted.len(), 3);
    let last = &posted[2];
    assert_eq!(
        (last.path.as_str(), last.header("x-token")),
        (&*format!("/hooks/{CANARY}"), Some(CANARY))
    );
    assert_eq!(last.header("content-type"), Some("application/json"));
    let body = last.json();
    assert_eq!(
        (&body["status"], &body["rule"], &body["flow"], &body["repeated"]),
        (
            &json!("raised"),
            &json!("run failed"),
            &json!("nightly"),
            &json!(0)
        )
    );
    assert!(
        body["details"]
            .as_str()
            .unwrap()
            .contains("the <barn> is shut & dark"),
        "{body}"
    );
    body["flow_run"]
        .as_str()
        .unwrap()
        .parse::<flowkit::FlowRunId>()
        .unwrap();
}

#[tokio::test]
async fn slack_and_whatever_else_get_the_body_that_they_expect() {
    let receiver = Receiver::start(|_, _| Answer::status(200)).await;
    let slack = Slack::new(receiver.url("/slack")).unwrap();
    assert_eq!(alerted(slack, often()).await.0, Outcome::Delivered);
    let own = Webhook::new(receiver.url("/own"))
        .unwrap()
        .body(|alert| json!({ "message": alert.title(), "priority": 5 }));
    assert_eq!(alerted(own, often()).await.0, Outcome::Delivered);
    let posted = receiver.posted();
    let text = posted[0].json()["text"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("*ALERT run failed: nightly is Failed: "),
        "{text}"
    );
    assert!(
        text.contains("the &lt;barn&gt; is shut &amp; dark") && !text.contains("<barn>"),
        "{text}"
    );
    assert_eq!(posted[1].json()["priority"], 5);
}

#[flow]
async fn talkative() -> Result<()> {
    Err("<&> ".repeat(2000).into())
}

#[tokio::test]
async fn a_chat_is_sent_no_more_than_the_least_of_them_takes() {
    let receiver = Receiver::start(|_, _| Answer::status(200)).await;
    let alerts = Alerts::builder()
        .channel("chat", Slack::new(receiver.url("/slack")).unwrap())
        .rule(Rule::run_failed())
        .start()
        .unwrap();
    let runtime = Runtime::builder().observe(alerts.clone()).build().await.unwrap();
    drop(runtime.run(talkative()).await);
    assert!(alerts.shutdown(LONG).await.is_empty());
    let text = receiver.posted()[0].json()["text"].as_str().unwrap().to_owned();
    let length = text.encode_utf16().count();
    assert!(length <= 2000 && length > 1900, "{length}: {text}");
    assert!(text.contains("\nflow run talkative, "), "{text}");
    assert!(text.ends_with('…'), "{text}");
    let rest = ["&lt;", "&amp;", "&gt;"]
        .iter()
        .fold(text, |text, word| text.replace(word, ""));
    assert!(!rest.contains('&'), "nothing is cut in its middle: {rest}");
}

#[tokio::test]
async fn a_webhook_that_refuses_is_not_asked_again_and_a_redirection_is_not_followed() {
    let elsewhere = Receiver::start(|_, _| Answer::status(200)).await;
    let there = elsewhere.url("/");
    let receiver = Receiver::start(move |number, _| match number {
        0 => Answer {
            body: format!("no such hook: {CANARY}"),
            ..Answer::status(404)
        },
        _ => Answer {
            headers: vec![("location", there.clone())],
            ..Answer::status(307)
        },
    })
    .await;
    for expected in [
        "the webhook answers 404 Not Found",
        "the webhook answers 307 Temporary Redirect",
    ] {
        let webhook = Webhook::new(receiver.url(&format!("/{CANARY}"))).unwrap();
        let (outcome, attempts, error) = alerted(webhook, often()).await;
        assert_eq!(
            (outcome, attempts, error.as_str()),
            (Outcome::Undelivered, 1, expected)
        );
    }
    assert!(elsewhere.posted().is_empty());
}

#[tokio::test]
async fn a_webhook_that_is_slow_or_not_there_yet_is_waited_for() {
    let slow = Receiver::start(|number, _| Answer {
        after: if number == 0 {
            Duration::from_millis(500)
        } else {
            Duration::ZERO
        },
        ..Answer::status(200)
    })
    .await;
    let delivery = often().timeout(Duration::from_millis(250));
    let (outcome, attempts, _) = alerted(Webhook::new(slow.url("/")).unwrap(), delivery).await;
    assert!(
        outcome == Outcome::Delivered && attempts >= 2,
        "{outcome:?} after {attempts}"
    );

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let webhook = Webhook::new(format!("http://{address}/{CANARY}")).unwrap();
    let alerts = Alerts::builder()
        .channel_with("ops", webhook, Delivery::new().attempts(1000).backoff(SOON, SOON))
        .rule(Rule::run_failed())
        .start()
        .unwrap();
    let runtime = Runtime::builder().observe(alerts.clone()).build().await.unwrap();
    drop(runtime.run(nightly()).await);
    let refused = loop {
        match alerts.records().first().and_then(|record| record.error.clone()) {
            Some(error) => break error,
            None => tokio::task::yield_now().await,
        }
    };
    assert!(
        refused.starts_with("the webhook does not answer") && !refused.contains(CANARY),
        "{refused}"
    );
    let receiver = Receiver::start_at(address, |_, _| Answer::status(200)).await;
    receiver.until(1).await;
    assert!(alerts.shutdown(LONG).await.is_empty());
}

fn email(server: &MailServer, encryption: Encryption, password: &str) -> Email {
    Email::new(
        "localhost",
        "Farm <etl@farm.example>",
        ["ops@farm.example", "Zoë <zoe@farm.example>"],
    )
    .unwrap()
    .port(server.port)
    .encryption(encryption)
    .credentials("etl", password.to_owned())
    .root_certificate(server.certificate.as_bytes())
    .unwrap()
}

#[tokio::test]
async fn an_email_is_encrypted_logged_in_and_sent_again_when_the_server_was_busy() {
    for (how, encryption) in [("starttls", Encryption::StartTls), ("tls", Encryption::Tls)] {
        let Some(mut server) = MailServer::start(how, CANARY, 2).await else {
            return;
        };
        let sent = alerted(email(&server, encryption, CANARY), often()).await;
        assert_eq!(sent, (Outcome::Delivered, 3, String::new()), "{how}");
        let message = server.message().await;
        assert_eq!(message["encrypted"], true, "{message}");
        assert_eq!(message["login"], true);
        assert_eq!(message["from"], "etl@farm.example");
        assert_eq!(message["to"], json!(["ops@farm.example", "zoe@farm.example"]));
        let content = message["content"].as_str().unwrap();
        assert!(
            content.contains("Subject: ALERT run failed: nightly is Failed"),
            "{content}"
        );
        assert!(content.contains("the <barn> is shut & dark"), "{content}");
        assert!(
            content.contains("Message-ID: <flowkit.") && content.contains("@farm.example>"),
            "{content}"
        );
        assert!(content.contains("\nDate: "), "{content}");
    }
}

#[tokio::test]
async fn a_mail_server_that_knows_us_not_or_that_is_not_there_is_told_without_the_password() {
    let Some(server) = MailServer::start("starttls", "another password", 0).await else {
        return;
    };
    let refused = alerted(email(&server, Encryption::StartTls, CANARY), often()).await;
    assert_eq!((refused.0, refused.1), (Outcome::Undelivered, 1), "{refused:?}");
    assert_eq!(refused.2, "the mail server localhost answers 535");

    let untrusted = Email::new("localhost", "etl@farm.example", ["ops@farm.example"]).unwrap();
    let untrusted = alerted(
        untrusted.port(server.port).credentials("etl", CANARY.to_owned()),
        often(),
    )
    .await;
    assert!(untrusted.2.contains("certificate"), "{untrusted:?}");

    let busy = MailServer::start("starttls", CANARY, 100).await.unwrap();
    let busy = alerted(email(&busy, Encryption::StartTls, CANARY), often()).await;
    assert_eq!(
        (busy.0, busy.1, busy.2.as_str()),
        (Outcome::Undelivered, 6, "the mail server localhost answers 451")
    );

    let gone = email(&server, Encryption::StartTls, CANARY);
    drop(server);
    let gone = alerted(gone, Delivery::new().attempts(2).backoff(SOON, SOON)).await;
    assert_eq!((gone.0, gone.1), (Outcome::Undelivered, 2));
    assert!(
        gone.2.starts_with("the mail server localhost cannot be reached"),
        "{gone:?}"
    );
}

#[tokio::test]
async fn an_email_reaches_those_whom_the_server_takes_and_says_whom_it_refused() {
    let Some(mut server) = MailServer::start("starttls", CANARY, 0).await else {
        return;
    };
    let to = |server: &MailServer, to: &[&str]| {
        let email = Email::new("localhost", "etl@farm.example", to).unwrap();
        let email = email.port(server.port).credentials("etl", CANARY.to_owned());
        email.root_certificate(server.certificate.as_bytes()).unwrap()
    };
    let some = to(&server, &["gone@farm.example", "ops@farm.example"]);
    let sent = alerted(some, often()).await;
    let refused = "the mail server localhost answers 550 to gone@farm.example";
    assert_eq!(sent, (Outcome::Delivered, 1, refused.to_owned()));
    assert_eq!(server.message().await["to"], json!(["ops@farm.example"]));

    // Who was told is not told again while another one is tried again.
    let some = to(&server, &["ops@farm.example", "later@farm.example"]);
    let sent = alerted(some, often()).await;
    assert_eq!(sent, (Outcome::Delivered, 3, String::new()));
    assert_eq!(server.message().await["to"], json!(["ops@farm.example"]));
    assert_eq!(server.message().await["to"], json!(["later@farm.example"]));

    let some = to(
        &server,
        &["never@farm.example", "gone@farm.example", "ops@farm.example"],
    );
    let (outcome, attempts, error) = alerted(some, often()).await;
    assert_eq!((outcome, attempts), (Outcome::Delivered, 6));
    let refused = "the mail server localhost answers 450 to never@farm.example, 550 to gone@farm.example";
    assert_eq!(error, refused);
    assert_eq!(server.message().await["to"], json!(["ops@farm.example"]));

    let all = to(&server, &["gone@farm.example"]);
    let refused = "the mail server localhost answers 550 to gone@farm.example".to_owned();
    assert_eq!(alerted(all, often()).await, (Outcome::Undelivered, 1, refused));
}

#[tokio::test]
async fn an_email_that_was_taken_is_not_sent_again_however_slowly_the_server_says_goodbye() {
    let Some(mut server) = MailServer::start("starttls", CANARY, 0).await else {
        return;
    };
    let email = Email::new("localhost", "etl@farm.example", ["silent@farm.example"]).unwrap();
    let email = email.port(server.port).credentials("etl", CANARY.to_owned());
    let email = email.root_certificate(server.certificate.as_bytes()).unwrap();
    let delivery = often().attempts(2).timeout(Duration::from_secs(5));
    let sent = alerted(email, delivery).await;
    assert_eq!(sent, (Outcome::Delivered, 1, String::new()));
    assert_eq!(server.message().await["to"], json!(["silent@farm.example"]));
}

#[tokio::test]
async fn what_is_described_wrongly_is_refused_at_once_and_shows_no_secret() {
    for wrong in [
        CANARY.to_owned(),
        format!("ftp://{CANARY}"),
        format!("http://[{CANARY}"),
    ] {
        let error = Webhook::new(wrong.clone()).unwrap_err();
        assert!(!format!("{error:?}").contains(CANARY), "{error:?}");
        assert!(Slack::new(Secret::new(wrong)).is_err());
    }
    let webhook = Webhook::new(format!("https://chat.example/{CANARY}")).unwrap();
    assert!(!format!("{webhook:?}").contains(CANARY), "{webhook:?}");
    let error = webhook.header("x-token", format!("{CANARY}\n")).unwrap_err();
    assert!(!format!("{error:?}").contains(CANARY), "{error:?}");
    assert!(
        Slack::from_env("FLOWKIT_NO_SUCH_VARIABLE")
            .unwrap_err()
            .to_string()
            .contains("FLOWKIT_NO_SUCH_VARIABLE")
    );

    let nobody: [&str; 0] = [];
    assert!(Email::new("localhost", "etl@farm.example", nobody).is_err());
    assert!(
        Email::new("localhost", "etl", ["ops@farm.example"])
            .unwrap_err()
            .to_string()
            .contains("\"etl\"")
    );
    let clear = Email::new("localhost", "etl@farm.example", ["ops@farm.example"])
        .unwrap()
        .encryption(Encryption::None)
        .credentials("etl", CANARY.to_owned());
    let shown = format!("{clear:?}");
    let error = Alerts::builder().channel("mail", clear).start().unwrap_err();
    assert!(
        format!("{error:?}").contains("a password is not sent in the clear"),
        "{error:?}"
    );
    assert!(!shown.contains(CANARY) && !format!("{error:?}").contains(CANARY));
}

/// Everything that is logged, by whomever.
#[derive(Clone, Default)]
pub(crate) struct Logged(pub(crate) Arc<Mutex<String>>);

struct Words<'a>(&'a mut String);

impl Visit for Words<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl<S: tracing::Subscriber> Layer<S> for Logged {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut text = self.0.lock().unwrap();
        text.push_str(event.metadata().target());
        event.record(&mut Words(&mut text));
        text.push('\n');
    }

    fn on_new_span(&self, attributes: &tracing::span::Attributes<'_>, _: &tracing::Id, _: Context<'_, S>) {
        attributes.record(&mut Words(&mut self.0.lock().unwrap()));
    }
}

#[tokio::test]
async fn nothing_that_is_logged_anywhere_has_a_secret_in_it() {
    let logged = Logged::default();
    let subscriber = tracing_subscriber::registry().with(logged.clone());
    // Where there is one subscriber alone, what another thread comes to first is taken for what nobody listens to.
    drop(tracing::subscriber::set_global_default(
        tracing_subscriber::registry(),
    ));
    let _here = tracing::subscriber::set_default(subscriber);
    let receiver = Receiver::start(|number, _| Answer::status(if number == 0 { 500 } else { 400 })).await;
    let webhook = Webhook::new(receiver.url(&format!("/{CANARY}?token={CANARY}")))
        .unwrap()
        .header("authorization", format!("Bearer {CANARY}"))
        .unwrap();
    assert_eq!(alerted(webhook, often()).await.0, Outcome::Undelivered);
    if let Some(server) = MailServer::start("starttls", CANARY, 100).await {
        let sent = alerted(email(&server, Encryption::StartTls, CANARY), often()).await;
        assert_eq!(sent.0, Outcome::Undelivered);
    }
    let text = logged.0.lock().unwrap().clone();
    assert!(text.contains("an alert could not be delivered"), "{text}");
    assert!(!text.contains(CANARY), "{text}");
}
