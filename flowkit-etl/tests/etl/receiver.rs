//! An HTTP server that takes what is posted to it, and answers as a test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// What was posted.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Posted {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(of, _)| of == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// How it is answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    /// In real time.
    pub(crate) after: Duration,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }
}

/// A server that ends with its test's runtime.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    posted: Arc<Mutex<Vec<Posted>>>,
    arrived: Arc<Notify>,
}

impl Receiver {
    /// Answers by this function, which is given the number of the request, from 0 on.
    pub(crate) async fn start(answer: impl Fn(usize, &Posted) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), answer).await
    }

    /// The same, at this address.
    pub(crate) async fn start_at(
        address: SocketAddr,
        answer: impl Fn(usize, &Posted) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            posted: Arc::default(),
            arrived: Arc::default(),
        };
        let (this, answer) = (receiver.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (this, answer) = (this.clone(), answer.clone());
                let service = service_fn(move |request| {
                    let (this, answer) = (this.clone(), answer.clone());
                    async move { this.take(request, &*answer).await }
                });
                tokio::spawn(async move {
                    let builder = Builder::new(TokioExecutor::new());
                    drop(builder.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        receiver
    }

    async fn take(
        &self,
        request: Request<Incoming>,
        answer: &(dyn Fn(usize, &Posted) -> Answer + Send + Sync),
    ) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let (head, body) = request.into_parts();
        let text =
            |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let posted = Posted {
            path: head.uri.to_string(),
            headers: head
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            body: body.collect().await?.to_bytes().to_vec(),
        };
        let number = {
            let mut all = self.posted.lock().unwrap();
            all.push(posted.clone());
            all.len() - 1
        };
        self.arrived.notify_waiters();
        let answer = answer(number, &posted);
        if !answer.after.is_zero() {
            // Also where tokio's clock is paused.
            let after = answer.after;
            drop(tokio::task::spawn_blocking(move || wait_really(after)).await);
        }
        let mut response = Response::new(Full::new(Bytes::from(answer.body)));
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap();
        for (name, value) in answer.headers {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        Ok(response)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was posted until now.
    pub(crate) fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap().clone()
    }

    /// What was posted, once it is so much.
    pub(crate) async fn until(&self, count: usize) -> Vec<Posted> {
        loop {
            let arrived = self.arrived.notified();
            let posted = self.posted();
            if posted.len() >= count {
                return posted;
            }
            arrived.await;
        }
    }
}

fn wait_really(time: Duration) {
    let (_sender, receiver) = std::sync::mpsc::channel::<()>();
    assert!(receiver.recv_timeout(time).is_err());
}
