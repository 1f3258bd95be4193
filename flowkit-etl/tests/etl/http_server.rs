//! A small HTTP server, which answers as a test says.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// A request: its path with its parameters, and its headers in lower case.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: Vec<String>,
}

/// An answer, of which the connection may break in the middle.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) breaks: bool,
}

impl Reply {
    pub(crate) fn json(body: impl ToString) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
            breaks: false,
        }
    }

    /// A file of this version, or the part of it that is asked for.
    pub(crate) fn file(request: &Request, content: &[u8], version: &str) -> Self {
        let header = |name: &str| {
            request
                .headers
                .iter()
                .find_map(|header| header.strip_prefix(name))
        };
        let reply = |status, body: &[u8]| Self {
            status,
            body: body.to_vec(),
            ..Self::json("")
        };
        let tag = format!("ETag: \"{version}\"");
        let same = header("if-range: ").is_none_or(|tag| tag == format!("\"{version}\""));
        let range = header("range: bytes=").and_then(|range| range.split_once('-'));
        let (Some((from, to)), true) = (range, same) else {
            return reply(200, content).header("Accept-Ranges: bytes").header(tag);
        };
        let from: usize = from.parse().unwrap();
        let to = to.parse().map_or(content.len(), |last: usize| last + 1);
        let place = format!("Content-Range: bytes {from}-{}/{}", to - 1, content.len());
        reply(206, &content[from..to]).header(place).header(tag)
    }

    /// The same, but the connection is dropped after the first half.
    pub(crate) fn breaking(self) -> Self {
        Self { breaks: true, ..self }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::json("[]")
        }
    }

    pub(crate) fn header(mut self, header: impl Into<String>) -> Self {
        self.headers.push(header.into());
        self
    }
}

/// A server that ends with its test's runtime, and what it was asked.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers by this function, which is given the number of the request, from 0 on.
    pub(crate) async fn start(answer: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            asked: Arc::default(),
        };
        let (asked, answer) = (server.asked.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (asked, answer) = (asked.clone(), answer.clone());
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let mut lines = Vec::new();
                    loop {
                        let mut line = String::new();
                        if stream.read_line(&mut line).await.unwrap_or(0) == 0 || line.trim().is_empty() {
                            break;
                        }
                        lines.push(line.trim().to_owned());
                    }
                    let Some(first) = lines.first() else { return };
                    let path = first.split(' ').nth(1).unwrap().to_owned();
                    let headers = lines[1..].iter().map(|line| line.to_lowercase()).collect();
                    let request = Request { path, headers };
                    let number = {
                        let mut asked = asked.lock().unwrap();
                        asked.push(request.clone());
                        asked.len() - 1
                    };
                    let reply = answer(number, &request);
                    let extra: String = reply
                        .headers
                        .iter()
                        .map(|header| format!("{header}\r\n"))
                        .collect();
                    let length = match extra.contains("Transfer-Encoding") {
                        true => String::new(),
                        false => format!("content-length: {}\r\n", reply.body.len()),
                    };
                    let status = reply.status;
                    let head = format!("HTTP/1.1 {status} Test\r\n{length}connection: close\r\n{extra}\r\n");
                    let body = if reply.breaks {
                        &reply.body[..reply.body.len() / 2]
                    } else {
                        &reply.body
                    };
                    // Who asked may be gone.
                    let _ = stream.write_all(head.as_bytes()).await;
                    let _ = stream.write_all(body).await;
                    let _ = stream.flush().await;
                });
            }
        });
        server
    }

    /// What was asked since this was asked last.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// The paths that were asked for.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .map(|request| request.path.clone())
            .collect()
    }
}
