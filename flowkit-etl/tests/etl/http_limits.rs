//! What an API says that cannot be done, and how often it is asked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowkit_etl::ErrorKind;
use flowkit_etl::arrow_schema::DataType;
use flowkit_etl::http::Pages;
use flowkit_etl::sensor::{HttpCondition, Sensor};
use flowkit_etl::source::{HttpSource, Source};
use serde_json::json;
use tokio::time::Instant;

use crate::http_apis::{endpoint, numbers, parameter, records};
use crate::http_server::{Reply, Server};
use crate::plants::columns;

#[tokio::test]
async fn pages_that_would_go_on_for_ever_are_an_error() {
    let server = Server::start(|number, request| match request.path.split('?').next().unwrap() {
        // An API that goes round for ever would be found by what comes then.
        _ if number >= 100 => Reply::status(410),
        "/deaf" => Reply::json(json!({ "took": number, "items": records(0, 2) })),
        "/last" => {
            let page: usize = parameter(request, "page").unwrap().parse().unwrap();
            Reply::json(json!({ "items": records(page.min(3), 1) }))
        }
        _ => {
            let at = parameter(request, "at").unwrap_or_default();
            let next = match at.as_str() {
                "" => "a",
                "a" => "b",
                "b" => "c",
                _ => "a",
            };
            let link = format!("Link: </circle?at={next}>; rel=\"next\"");
            Reply::json(json!({ "items": records(number, 1), "next": next })).header(link)
        }
    })
    .await;
    let at = |path: &str| HttpSource::new(endpoint(&server, path)).records("/items");
    for (source, expected) in [
        (at("/deaf").pages(Pages::numbered("page", 1)), "`page`"),
        (at("/deaf").pages(Pages::offset("offset")), "`offset`"),
        (at("/last").pages(Pages::numbered("page", 1)), "`page`"),
        (at("/circle").pages(Pages::cursor("/next", "at")), "for ever"),
        (at("/circle").pages(Pages::link_header()), "for ever"),
    ] {
        let shown = format!("{source:?}");
        let error = numbers(source).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format, "{shown}: {error}");
        assert!(error.to_string().contains(expected), "{shown}: {error}");
    }
}

#[tokio::test]
async fn pages_that_are_equal_and_come_to_an_end_are_read() {
    // Six pages of one record each, all equal.
    let server = Server::start(|_, request| {
        let page = |name: &str| parameter(request, name).and_then(|page| page.parse::<usize>().ok());
        match page("page").or(page("offset")).unwrap() {
            0..6 => Reply::json(json!(records(7, 1))),
            6..100 => Reply::json(json!([])),
            _ => Reply::status(503),
        }
    })
    .await;
    for pages in [Pages::numbered("page", 0), Pages::offset("offset")] {
        let source = HttpSource::new(endpoint(&server, "/")).pages(pages);
        assert_eq!(numbers(source).await.unwrap(), [7; 6]);
        let asked = server.requests();
        let far = asked
            .iter()
            .filter(|request| request.path.contains("=10000000"))
            .count();
        assert_eq!(
            (asked.len(), far),
            (10, 3),
            "at the first, second and fourth pair, once each"
        );
    }
}

#[tokio::test]
async fn no_request_is_sent_before_its_time_whoever_sends_it() {
    let was_busy = AtomicBool::new(false);
    let server = Server::start(move |_, request| match request.path.as_str() {
        "/?who=busy" if !was_busy.swap(true, Ordering::SeqCst) => Reply::status(503).header("Retry-After: 0"),
        "/?who=moved" => Reply::status(302).header("Location: /there"),
        _ => Reply::json(json!(records(0, 1))),
    })
    .await;
    let began = Instant::now();
    let spaced = endpoint(&server, "/").at_most(4, Duration::from_secs(1));
    let source = |who: &str| HttpSource::new(spaced.clone().query("who", who));
    let sensor = Sensor::new(HttpCondition::new(spaced.clone()));
    let (busy, moved, looked) =
        tokio::join!(numbers(source("busy")), numbers(source("moved")), sensor.wait());
    assert_eq!((busy.unwrap(), moved.unwrap()), (vec![0], vec![0]));
    looked.unwrap();
    assert_eq!(server.paths().len(), 5);
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn an_answer_that_has_nothing_or_leads_elsewhere_says_so() {
    let server = Server::start(|_, request| match request.path.as_str() {
        "/none" => Reply {
            body: Vec::new(),
            ..Reply::status(204)
        },
        "/away" => Reply::status(301).header("Location: https://127.0.0.1:1/plants?key=hunter2"),
        "/round" => Reply::status(302).header("Location: round"),
        "/next" => {
            Reply::json(json!(records(0, 1))).header("Link: <https://127.0.0.1:1/x?key=hunter2>; rel=next")
        }
        "/here" => Reply::status(302).header("Location: there"),
        _ => Reply::json(json!(records(0, 1))),
    })
    .await;
    let at = |path: &str| HttpSource::new(endpoint(&server, path));
    let schema = columns(&[("number", DataType::Int64)]);
    let none = at("/none").schema(schema).open().await.unwrap();
    assert!(none.collect_batches().await.unwrap().is_empty());
    assert_eq!(at("/none").open().await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(numbers(at("/here")).await.unwrap(), [0]);
    let address = &server.address;
    for (source, expected) in [
        (
            at("/away"),
            format!("{address}/away leads to https://127.0.0.1:1/plants, which is not followed"),
        ),
        (
            at("/round"),
            format!("{address}/round leads from place to place without an end"),
        ),
        (
            at("/next").pages(Pages::link_header()),
            format!("at https://127.0.0.1:1, where this one is at {address}"),
        ),
    ] {
        let error = numbers(source).await.unwrap_err();
        assert!(error.to_string().contains(&expected), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
