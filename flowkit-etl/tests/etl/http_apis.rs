//! APIs that answer page by page, and not always.

use std::time::Duration;

use flowkit_etl::arrow_array::cast::AsArray;
use flowkit_etl::arrow_array::types::{Decimal128Type, Float64Type};
use flowkit_etl::arrow_schema::{DataType, TimeUnit};
use flowkit_etl::http::{Auth, Endpoint, Pages};
use flowkit_etl::sensor::{HttpCondition, Sensor};
use flowkit_etl::sink::{DatasetSink, LoadId, Sink};
use flowkit_etl::source::{HttpSource, Source};
use flowkit_etl::{ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::http_server::{Reply, Request, Server};
use crate::plants::columns;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    number: i64,
    name: String,
}

/// Records from this number on, so many.
pub(crate) fn records(from: usize, count: usize) -> Vec<Value> {
    (from..from + count)
        .map(|number| json!({ "number": number, "name": format!("plant {number}") }))
        .collect()
}

pub(crate) fn parameter(request: &Request, name: &str) -> Option<String> {
    let (_, query) = request.path.split_once('?')?;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(&format!("{name}=")).map(str::to_owned))
}

pub(crate) fn endpoint(server: &Server, path: &str) -> Endpoint {
    Endpoint::new(&format!("{}{path}", server.address)).unwrap()
}

pub(crate) async fn numbers(source: HttpSource) -> Result<Vec<i64>> {
    let rows: Vec<Record> = source.open().await?.collect_rows().await?;
    Ok(rows.into_iter().map(|row| row.number).collect())
}

#[tokio::test]
async fn pages_are_followed_in_whichever_way_the_api_names_them() {
    let server = Server::start(|_, request| {
        let page = |name: &str| parameter(request, name).and_then(|page| page.parse::<usize>().ok());
        let items = |from: usize| {
            if from < 250 {
                records(from, 100.min(250 - from))
            } else {
                Vec::new()
            }
        };
        match request.path.split('?').next().unwrap() {
            "/numbered" => Reply::json(json!({ "items": items((page("page").unwrap() - 1) * 100) })),
            "/offset" => Reply::json(json!(items(page("offset").unwrap()))),
            "/cursor" => {
                let from = page("after").unwrap_or(0);
                let next = (from < 200).then(|| format!("{}", from + 100));
                Reply::json(json!({ "data": { "list": items(from) }, "meta": { "next": next } }))
            }
            "/url" => {
                let from = page("from").unwrap_or(0);
                let next = (from < 200).then(|| format!("/url?from={}", from + 100));
                Reply::json(json!({ "items": items(from), "next": next }))
            }
            _ => {
                let from = page("from").unwrap_or(0);
                let reply = Reply::json(json!(items(from)));
                if from < 200 {
                    reply.header(format!("Link: </link?from={}>; rel=\"next\"", from + 100))
                } else {
                    reply
                }
            }
        }
    })
    .await;
    let at = |path: &str| HttpSource::new(endpoint(&server, path));
    let sources = [
        at("/numbered")
            .records("/items")
            .pages(Pages::numbered("page", 1)),
        at("/offset").pages(Pages::offset("offset")),
        at("/cursor")
            .records("/data/list")
            .pages(Pages::cursor("/meta/next", "after")),
        at("/url").records("/items").pages(Pages::next_url("/next")),
        at("/link").pages(Pages::link_header()),
    ];
    for source in sources {
        let shown = format!("{source:?}");
        assert_eq!(
            numbers(source).await.unwrap(),
            (0..250).collect::<Vec<_>>(),
            "{shown}"
        );
    }
    assert_eq!(
        server
            .paths()
            .iter()
            .filter(|path| path.starts_with("/numbered"))
            .count(),
        4,
        "until one is empty"
    );
}

#[tokio::test]
async fn an_api_that_is_busy_or_breaks_is_asked_again_when_it_says() {
    let server = Server::start(|number, _| match number {
        0 => Reply::status(429).header("Retry-After: 1"),
        1 => Reply::status(500),
        2 => Reply {
            breaks: true,
            ..Reply::json(json!(records(0, 10)))
        },
        _ => Reply::json(json!(records(0, 10))),
    })
    .await;
    let began = Instant::now();
    assert_eq!(
        numbers(HttpSource::new(endpoint(&server, "/")))
            .await
            .unwrap()
            .len(),
        10
    );
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.paths().len(), 4);

    let server = Server::start(|_, _| Reply::status(503)).await;
    let error = numbers(HttpSource::new(endpoint(&server, "/down?key=hunter2").retries(2)))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        error.to_string(),
        format!("{}/down answers 503 Service Unavailable", server.address)
    );
    assert_eq!(server.paths().len(), 3);
    let server = Server::start(|_, _| Reply::status(503).header("Retry-After: 100000")).await;
    assert!(
        numbers(HttpSource::new(endpoint(&server, "/")))
            .await
            .unwrap_err()
            .is_transient(),
        "too long to wait here"
    );
    assert_eq!(server.paths().len(), 1);
}

#[tokio::test]
async fn a_secret_lets_one_in_and_goes_nowhere_else() {
    let other = Server::start(|_, _| Reply::json(json!([]))).await;
    let elsewhere = other.address.replace("127.0.0.1", "localhost");
    let server = Server::start(move |_, request| {
        let has = |header: &str| request.headers.iter().any(|other| other == header);
        match request.path.as_str() {
            "/bearer" if has("authorization: bearer token") => Reply::json(json!(records(0, 1))),
            "/basic" if has("authorization: basic zxrsomh1bnrlcji=") => Reply::json(json!(records(0, 1))),
            "/key" if has("x-api-key: hunter2") => Reply::json(json!(records(0, 1))),
            "/moved" => Reply::status(302).header(format!("Location: {elsewhere}/")),
            "/next" => Reply::json(json!(records(0, 1))).header(format!("Link: <{elsewhere}/>; rel=next")),
            _ => Reply::status(401),
        }
    })
    .await;
    let with = |path: &str, auth: Result<Auth>| HttpSource::new(endpoint(&server, path).auth(&auth.unwrap()));
    assert_eq!(
        numbers(with("/bearer", Auth::bearer("token"))).await.unwrap(),
        [0]
    );
    assert_eq!(
        numbers(with("/basic", Auth::basic("etl", "hunter2")))
            .await
            .unwrap(),
        [0]
    );
    assert_eq!(
        numbers(with("/key", Auth::header("X-Api-Key", "hunter2")))
            .await
            .unwrap(),
        [0]
    );
    let source = with("/other", Auth::bearer("hunter2"));
    let error = numbers(source.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Access);
    assert!(
        !format!("{error:?} {source:?}").contains("hunter2"),
        "{error:?} {source:?}"
    );
    // Nobody else is told.
    assert!(
        numbers(with("/moved", Auth::header("X-Api-Key", "hunter2")))
            .await
            .is_err()
    );
    let error = numbers(with("/next", Auth::bearer("token")).pages(Pages::link_header()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Access, "{error:?}");
    assert!(other.paths().is_empty());
}

#[tokio::test]
async fn columns_are_typed_and_what_does_not_fit_is_told() {
    let server = Server::start(|_, request| match request.path.as_str() {
        "/late" => Reply::json(json!([{ "number": 1 }, { "number": 2, "height": 3.5 }])),
        "/wrong" => {
            Reply::json(json!([{ "number": 1, "day": "2013-02-04" }, { "number": "tall", "day": null }]))
        }
        "/more?page=1" => Reply::json(json!([{ "number": 1 }])),
        "/more?page=2" => Reply::json(json!([{ "number": 2, "height": 1.0 }])),
        "/html" => Reply {
            body: b"<html>".to_vec(),
            ..Reply::json("")
        },
        "/circle" => Reply::json(json!({ "items": [], "next": "/circle" })),
        _ => Reply::json(json!([])),
    })
    .await;
    let at = |path: &str| HttpSource::new(endpoint(&server, path));
    let schema = at("/late").open().await.unwrap().schema().clone();
    assert_eq!(
        schema.field_with_name("height").unwrap().data_type(),
        &DataType::Float64
    );
    let expected = columns(&[
        ("number", DataType::Int64),
        ("day", DataType::Timestamp(TimeUnit::Second, None)),
    ]);
    let error = at("/wrong")
        .schema(expected.clone())
        .open()
        .await
        .unwrap()
        .collect_batches()
        .await
        .unwrap_err();
    assert!(
        error.to_string().starts_with("record 1 of a page of"),
        "{error:?}"
    );
    let error = at("/more")
        .pages(Pages::numbered("page", 1))
        .open()
        .await
        .unwrap()
        .collect_batches()
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("give the columns with `schema`"),
        "{error:?}"
    );
    assert_eq!(at("/empty").open().await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(
        at("/empty")
            .schema(expected)
            .open()
            .await
            .unwrap()
            .collect_batches()
            .await
            .unwrap()
            .is_empty()
    );
    for (source, expected) in [
        (at("/html"), "does not answer in JSON"),
        (at("/late").records("/data"), "has no list at `/data`"),
    ] {
        let error = source.open().await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error = at("/circle")
        .records("/items")
        .pages(Pages::next_url("/next"))
        .open()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("for ever"), "{error}");
}

#[tokio::test]
async fn only_what_is_new_is_asked_for_and_the_sink_keeps_how_far_it_came() {
    let server = Server::start(|number, request| {
        let after: usize = parameter(request, "after").map_or(0, |after| after.parse().unwrap());
        let there = if number == 0 { 5 } else { 8 };
        Reply::json(json!(records(after + 1, there - after)))
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let sink = DatasetSink::parquet(directory.path().join("lake"));
    for (turn, expected) in [(1, 5), (2, 3), (3, 0)] {
        let since = sink.since("plants").await.unwrap();
        let schema = columns(&[("number", DataType::Int64), ("name", DataType::Utf8)]);
        let source = HttpSource::new(endpoint(&server, "/plants"))
            .schema(schema)
            .since("after", "number", since);
        let loaded = sink
            .load(
                &LoadId::new(format!("{turn}")).unwrap(),
                source.open().await.unwrap(),
            )
            .await
            .unwrap();
        assert_eq!(loaded.rows, expected, "turn {turn}");
    }
    assert_eq!(server.paths(), ["/plants", "/plants?after=5", "/plants?after=8"]);
}

#[tokio::test]
async fn requests_are_spaced_and_a_sensor_asks_until_the_answer_is_right() {
    let server = Server::start(|number, request| match request.path.as_str() {
        "/ready" if number < 3 => Reply::status(503),
        "/ready" => Reply::json(json!({ "state": if number < 5 { "loading" } else { "ready" } })),
        "/closed" => Reply::status(403),
        _ => {
            let page: usize = parameter(request, "page").unwrap().parse().unwrap();
            Reply::json(json!(if page < 5 { records(page, 1) } else { Vec::new() }))
        }
    })
    .await;
    let ready = HttpCondition::new(endpoint(&server, "/ready")).when(|status, body| {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        status == 200 && body["state"] == "ready"
    });
    let body = Sensor::new(ready)
        .poke_interval(Duration::from_millis(10))
        .wait()
        .await
        .unwrap();
    assert!(String::from_utf8(body).unwrap().contains("ready"));
    assert_eq!(server.paths().len(), 6);
    let closed = Sensor::new(HttpCondition::new(endpoint(&server, "/closed")));
    assert_eq!(closed.wait().await.unwrap_err().kind(), ErrorKind::Access);
    Sensor::new(HttpCondition::new(endpoint(&server, "/closed")).status(403))
        .wait()
        .await
        .unwrap();

    let began = Instant::now();
    let spaced = endpoint(&server, "/pages").at_most(6, Duration::from_millis(600));
    assert_eq!(
        numbers(HttpSource::new(spaced).pages(Pages::numbered("page", 0)))
            .await
            .unwrap()
            .len(),
        5
    );
    assert!(began.elapsed() >= Duration::from_millis(500));
}

/// An answer of this text as it stands.
fn text(body: &str) -> Reply {
    Reply::json(body)
}

#[tokio::test]
async fn numbers_come_as_they_stand_in_the_answer() {
    let server = Server::start(|_, request| match request.path.as_str() {
        "/mixed" => {
            text(r#"[{"number": 1}, {"number": "x"}, {"number": 0.10}, {"number": 12345678901234567890}]"#)
        }
        _ => text(
            r#"{"total": 3, "\u0064ata": {"~/": [
                {"height": 31.245270191439438, "price": 12345678901234567.89, "name": "a"},
                {
                    "height": -0.1, "price": "0.10", "name": "}{\"", "height": 0.1
                }
            ]}}"#,
        ),
    })
    .await;
    let schema = columns(&[
        ("height", DataType::Float64),
        ("price", DataType::Decimal128(20, 2)),
        ("name", DataType::Utf8),
    ]);
    let source = HttpSource::new(endpoint(&server, "/"))
        .records("/data/~0~1")
        .schema(schema);
    let batches = source.open().await.unwrap().collect_batches().await.unwrap();
    let batch = &batches[0];
    let heights = batch.column(0).as_primitive::<Float64Type>();
    assert_eq!(heights.values(), &[31.245_270_191_439_438, 0.1]);
    let prices = batch.column(1).as_primitive::<Decimal128Type>();
    assert_eq!(prices.values(), &[1_234_567_890_123_456_789, 10]);
    assert_eq!(batch.column(2).as_string::<i32>().value(1), "}{\"");

    let mixed = HttpSource::new(endpoint(&server, "/mixed"));
    let batches = mixed.open().await.unwrap().collect_batches().await.unwrap();
    let texts: Vec<_> = batches[0].column(0).as_string::<i32>().iter().flatten().collect();
    assert_eq!(texts, ["1", "x", "0.10", "12345678901234567890"]);
}
