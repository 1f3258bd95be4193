//! Files at addresses of HTTP: streamed, gone on with where they broke off, and never taken for whole when they are not.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flowkit_etl::arrow_array::RecordBatch;
use flowkit_etl::http::{Auth, Endpoint};
use flowkit_etl::sink::{FileFormat, FileSink, LoadId, Sink};
use flowkit_etl::source::{CsvSource, FileSource, Location, ParquetSource, Source};
use flowkit_etl::{ErrorKind, Result};
use futures::StreamExt;
use tokio::time::Instant;

use crate::http_server::{Reply, Server};
use crate::plants::{Plant, plants, stream};

/// What a file of this name has with these rows in it.
async fn file(name: &str, rows: &[Plant]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    let load = LoadId::new("1").unwrap();
    FileSink::new(&path).load(&load, stream(rows)).await.unwrap();
    std::fs::read(path).unwrap()
}

fn gzipped(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn at(server: &Server, path: &str) -> Endpoint {
    let endpoint = Endpoint::new(&format!("{}{path}", server.address)).unwrap();
    endpoint.retries(2).timeout(Duration::from_secs(20))
}

fn csv(endpoint: &Endpoint) -> CsvSource {
    CsvSource::at(Location::url(endpoint)).schema(stream(&[]).schema().clone())
}

async fn rows(source: &dyn Source) -> Result<Vec<Plant>> {
    source.open().await?.collect_rows().await
}

#[tokio::test]
async fn every_format_is_read_from_an_address_whatever_compresses_it() {
    let all = plants(20_000);
    for name in [
        "a.csv",
        "a.csv.gz",
        "a.csv.zst",
        "a.jsonl",
        "a.jsonl.gz",
        "a.parquet",
    ] {
        let content = file(name, &all).await;
        let server = Server::start(move |_, request| Reply::file(request, &content, "1")).await;
        let source = FileSource::at(Location::url(&at(&server, &format!("/{name}?season=1"))));
        assert_eq!(
            rows(&source.schema(stream(&[]).schema().clone())).await.unwrap(),
            all,
            "{name}"
        );
    }
    // A server that compresses on the way, though it was asked not to.
    let (content, gzip) = (file("a.csv", &all).await, file("a.csv.gz", &all).await);
    let server = Server::start(move |_, request| match request.path.as_str() {
        "/gzip.csv" => Reply::file(request, &gzip, "1").header("Content-Encoding: gzip"),
        _ => Reply::json("x").header("Content-Encoding: br"),
    })
    .await;
    assert_eq!(rows(&csv(&at(&server, "/gzip.csv"))).await.unwrap(), all);
    let error = csv(&at(&server, "/br.csv")).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encoding, "{error:?}");
    // Of what was compressed on the way there are no parts, so that even Parquet is read as a whole.
    let parquet = file("a.parquet", &all).await;
    let zipped = gzipped(&parquet);
    let server_of_parquet = Server::start(move |_, request| {
        let reply = Reply::file(request, &zipped, "1");
        reply.header("Content-Encoding: gzip")
    })
    .await;
    let source = ParquetSource::at(Location::url(&at(&server_of_parquet, "/a.parquet")));
    assert_eq!(rows(&source).await.unwrap(), all);
    let server = Server::start(move |_, request| Reply::file(request, &content, "1")).await;
    let nameless = FileSource::at(Location::url(&at(&server, "/download")));
    let error = nameless.open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Options, "{error:?}");
    let said = nameless.format(FileFormat::Csv).open().await.unwrap();
    assert_eq!(
        said.collect_batches()
            .await
            .unwrap()
            .iter()
            .map(RecordBatch::num_rows)
            .sum::<usize>(),
        20_000
    );
}

#[tokio::test]
async fn a_body_that_breaks_off_is_gone_on_with_where_it_broke_off() {
    let all = plants(20_000);
    let content = file("a.csv", &all).await;
    let length = content.len();
    // The first three answers break off half-way through what is left, and one is a failure.
    let server = Server::start(move |number, request| match number {
        0..=2 => Reply::file(request, &content, "1").breaking(),
        3 => Reply::status(500),
        _ => Reply::file(request, &content, "1"),
    })
    .await;
    assert_eq!(rows(&csv(&at(&server, "/a.csv"))).await.unwrap(), all);
    let asked: Vec<String> = server
        .requests()
        .iter()
        .map(|request| {
            request
                .headers
                .iter()
                .find(|header| header.starts_with("range: "))
                .cloned()
                .unwrap_or_default()
        })
        .collect();
    let half = |from: usize| from + (length - from) / 2;
    let from = |from: usize| format!("range: bytes={from}-");
    let second = half(half(0));
    let expected = [
        String::new(),
        from(half(0)),
        from(second),
        from(half(second)),
        from(half(second)),
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn a_body_that_is_cut_is_an_error_and_never_a_short_file() {
    let content = file("a.csv", &plants(20_000)).await;
    let gzip = file("a.csv.gz", &plants(20_000)).await;
    let parquet = file("a.parquet", &plants(20_000)).await;
    let server = Server::start(move |_, request| {
        let whole = |body: &[u8]| Reply {
            body: body.to_vec(),
            ..Reply::json("")
        };
        match request.path.as_str() {
            // No parts: it cannot be gone on with.
            "/a.csv" => whole(&content).breaking(),
            "/a.parquet" => whole(&parquet).breaking(),
            // In chunks, of which the last one never comes.
            "/chunked.csv" => {
                let text = format!("{:x}\r\n{}\r\n", content.len(), String::from_utf8_lossy(&content));
                whole(text.as_bytes()).header("Transfer-Encoding: chunked")
            }
            // Cut before it got to the server: what is compressed shows it.
            "/cut.csv.gz" => whole(&gzip[..gzip.len() / 2]),
            // Parts are promised, and break off again and again.
            _ => Reply::file(request, &content[..1_000], "1").breaking(),
        }
    })
    .await;
    for path in ["/a.csv", "/chunked.csv", "/a.parquet", "/endless.csv"] {
        let endpoint = at(&server, path).retries(1);
        let error = match path {
            "/a.parquet" => rows(&ParquetSource::at(Location::url(&endpoint))).await,
            _ => rows(&csv(&endpoint)).await,
        }
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{path}: {error:?}");
        assert!(error.to_string().contains("broke off after"), "{path}: {error:?}");
    }
    let error = rows(&csv(&at(&server, "/cut.csv.gz"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format, "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_replaced_while_it_is_read_is_an_error() {
    let (one, other) = (
        file("a.csv", &plants(20_000)).await,
        file("a.csv", &plants(10)).await,
    );
    let server = Server::start(move |number, request| match number {
        0 => Reply::file(request, &one, "1").breaking(),
        _ => Reply::file(request, &other, "2"),
    })
    .await;
    let error = rows(&csv(&at(&server, "/a.csv"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{error:?}");
    assert_eq!(
        rows(&csv(&at(&server, "/a.csv"))).await.unwrap().len(),
        10,
        "another attempt reads the new one"
    );
    let (one, other) = (
        file("a.parquet", &plants(50_000)).await,
        file("a.parquet", &plants(49_000)).await,
    );
    let server = Server::start(move |number, request| match number {
        0..=1 => Reply::file(request, &one, "1"),
        _ => Reply::file(request, &other, "2"),
    })
    .await;
    let error = rows(&ParquetSource::at(Location::url(&at(&server, "/a.parquet"))))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_replaced_within_a_second_shows_it_by_its_length() {
    let (one, longer) = (
        file("a.csv", &plants(20_000)).await,
        file("a.csv", &plants(20_001)).await,
    );
    for shorter in [false, true] {
        let (one, longer) = (one.clone(), longer.clone());
        let half = one.len() / 2;
        let server = Server::start(move |number, request| match number {
            0 => Reply::file(request, &one, "1").breaking(),
            _ if shorter => Reply::status(416).header(format!("Content-Range: bytes */{half}")),
            _ => Reply::file(request, &longer, "1"),
        })
        .await;
        let error = rows(&csv(&at(&server, "/a.csv"))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed, "{error:?}");
    }
}

#[tokio::test]
async fn of_a_parquet_file_only_what_is_wanted_is_brought_if_the_server_gives_parts() {
    let all = plants(50_000);
    let content = Arc::new(file("a.parquet", &all).await);
    let whole = content.len();
    let shared = content.clone();
    let brought = Arc::new(AtomicUsize::new(0));
    let bringing = brought.clone();
    let server = Server::start(move |number, request| {
        let reply = match request.path.as_str() {
            "/parts" => Reply::file(request, &shared, "1"),
            _ => Reply {
                body: shared.to_vec(),
                ..Reply::json("")
            },
        };
        // The second request is answered half.
        let reply = if number == 1 { reply.breaking() } else { reply };
        if reply.status == 206 {
            bringing.fetch_add(reply.body.len(), Ordering::SeqCst);
        }
        reply
    })
    .await;
    let parts = ParquetSource::at(Location::url(&at(&server, "/parts")));
    let days = parts
        .clone()
        .columns(["day"])
        .open()
        .await
        .unwrap()
        .collect_batches()
        .await
        .unwrap();
    assert_eq!(days.iter().map(RecordBatch::num_rows).sum::<usize>(), 50_000);
    let of_days = brought.load(Ordering::SeqCst);
    assert!(0 < of_days && of_days < whole / 2, "{of_days} of {whole}");
    assert_eq!(rows(&parts).await.unwrap(), all);
    assert_eq!(
        rows(&ParquetSource::at(Location::url(&at(&server, "/whole"))))
            .await
            .unwrap(),
        all
    );
}

#[tokio::test]
async fn what_lets_one_in_is_sent_there_and_nowhere_else_also_where_the_file_has_moved() {
    let content = file("a.csv", &plants(10)).await;
    let other = {
        let content = content.clone();
        Server::start(move |_, request| Reply::file(request, &content, "1")).await
    };
    let elsewhere = format!(
        "{}/signed?token=hunter2",
        other.address.replace("127.0.0.1", "localhost")
    );
    let server = Server::start(move |_, request| {
        let let_in = request
            .headers
            .iter()
            .any(|header| header == "x-api-key: hunter2");
        match request.path.split('?').next().unwrap() {
            _ if !let_in => Reply::status(403),
            "/moved.csv" => Reply::status(302).header(format!("Location: {elsewhere}")),
            "/round.csv" => Reply::status(302).header("Location: /round.csv"),
            "/absent.csv" => Reply::status(404),
            _ => Reply::file(request, &content, "1"),
        }
    })
    .await;
    let auth = Auth::header("X-Api-Key", "hunter2").unwrap();
    for path in ["/a.csv", "/moved.csv"] {
        assert_eq!(
            rows(&csv(&at(&server, path).auth(&auth))).await.unwrap().len(),
            10,
            "{path}"
        );
    }
    let told = other.requests();
    assert!(
        !told.is_empty()
            && told
                .iter()
                .all(|request| !request.headers.iter().any(|header| header.contains("x-api-key")))
    );
    for (path, kind) in [
        ("/round.csv?token=hunter2", ErrorKind::Options),
        ("/absent.csv?token=hunter2", ErrorKind::NotFound),
    ] {
        let source = csv(&at(&server, path).auth(&auth));
        let error = source.open().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(
            !format!("{error:?} {source:?}").contains("hunter2"),
            "{error:?} {source:?}"
        );
    }
    let error = csv(&at(&server, "/a.csv")).open().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (
            ErrorKind::Access,
            format!("{}/a.csv answers 403 Forbidden", server.address)
        )
    );
}

#[tokio::test]
async fn a_large_file_is_not_brought_faster_than_it_is_taken() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    // A file that has no end, of which a reader takes some.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/a.csv", listener.local_addr().unwrap());
    let sent = Arc::new(AtomicUsize::new(0));
    let sending = sent.clone();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut asked = [0; 4096];
        let _ = socket.read(&mut asked).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\nplant,height\n";
        socket.write_all(head.as_bytes()).await.unwrap();
        let piece = "a,1.5\n".repeat(10_000);
        while socket.write_all(piece.as_bytes()).await.is_ok() {
            sending.fetch_add(piece.len(), Ordering::SeqCst);
        }
    });
    let source = CsvSource::at(Location::url(&Endpoint::new(&address).unwrap()));
    let mut batches = source.open().await.unwrap();
    let mut taken = 0;
    while taken < 3_000_000 {
        taken += batches.next().await.unwrap().unwrap().num_rows();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ahead = sent.load(Ordering::SeqCst) - taken * 6;
    assert!(
        ahead < 24 << 20,
        "{ahead} bytes ahead, those that the system holds included"
    );
    // Who reads no more is not sent to any more.
    drop(batches);
    server.await.unwrap();
}

#[tokio::test]
async fn a_parquet_file_of_which_the_server_gives_no_parts_is_brought_once() {
    let content = file("a.parquet", &plants(10)).await;
    let server = Server::start(move |_, _| Reply {
        body: content.clone(),
        ..Reply::json("")
    })
    .await;
    let source = ParquetSource::at(Location::url(&at(&server, "/a.parquet")));
    assert_eq!(rows(&source).await.unwrap(), plants(10));
    assert_eq!(server.paths(), ["/a.parquet"]);
}

#[tokio::test]
async fn a_body_that_breaks_off_after_its_last_byte_is_whole() {
    let all = plants(1_000);
    let content = file("a.csv", &all).await;
    let length = content.len();
    for claimed in [length, length + 1] {
        let content = content.clone();
        // In chunks, of which the last one, that says that it was the last, never comes.
        let server = Server::start(move |number, request| match number {
            0 => {
                let text = format!("{:x}\r\n{}\r\n", content.len(), String::from_utf8_lossy(&content));
                let reply = Reply {
                    body: text.into_bytes(),
                    ..Reply::file(request, &content, "1")
                };
                reply.header("Transfer-Encoding: chunked")
            }
            _ => Reply::status(416)
                .header(format!("Content-Range: bytes */{claimed}"))
                .header("ETag: \"1\""),
        })
        .await;
        let read = rows(&csv(&at(&server, "/a.csv"))).await;
        match read {
            Ok(rows) => assert!(claimed == length && rows == all),
            Err(error) => assert!(claimed > length, "{error:?}"),
        }
        assert_eq!(server.paths().len(), 2);
    }
}

#[tokio::test]
async fn parts_of_a_file_are_asked_for_no_faster_than_the_endpoint_may_be_asked() {
    let all = plants(20_000);
    let content = file("a.csv", &all).await;
    let server = Server::start(move |number, request| match number {
        0 => Reply::status(302).header("Location: /b.csv"),
        1 => Reply::file(request, &content, "1").breaking(),
        _ => Reply::file(request, &content, "1"),
    })
    .await;
    let began = Instant::now();
    let spaced = at(&server, "/a.csv").at_most(4, Duration::from_secs(2));
    assert_eq!(rows(&csv(&spaced)).await.unwrap(), all);
    assert_eq!(server.paths(), ["/a.csv", "/b.csv", "/a.csv"]);
    assert!(began.elapsed() >= Duration::from_secs(1));
}
