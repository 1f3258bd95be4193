//! An S3 server that runs in this process on files, and does what a test says to what it is asked.
#![allow(dead_code, reason = "each test uses some of it")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowkit_etl::object::Bucket;
use flowkit_etl::object::object_store::aws::AmazonS3Builder;
use flowkit_etl::object::object_store::{BackoffConfig, ObjectStore, RetryConfig};
use futures::StreamExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::dto::StreamingBlob;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;

/// What the server is asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// How many requests came before.
    pub(crate) number: usize,
    pub(crate) method: String,
    /// The path with its parameters.
    pub(crate) path: String,
    /// How many bytes of an object are asked for, if not all.
    pub(crate) range: Option<u64>,
}

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    None,
    /// It is not done, and this status answered.
    Status(u16),
    /// Its answer breaks off after so many bytes.
    Cut(usize),
    /// Its answer comes in small pieces, with this time between.
    Slow(Duration),
    /// It is done, and 500 is answered.
    Unheard,
}

type Faults = Arc<Mutex<Box<dyn FnMut(&Asked) -> Fault + Send>>>;

/// A server with a bucket `plants`, which ends with the test's runtime.
pub(crate) struct S3 {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) endpoint: String,
    faults: Faults,
    asked: Arc<Mutex<Vec<Asked>>>,
    folders: Arc<Mutex<Vec<String>>>,
}

impl S3 {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("plants")).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(directory.path()).unwrap());
        service.set_auth(SimpleAuth::from_single("key", "hunter2"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            directory,
            faults: Arc::new(Mutex::new(Box::new(|_| Fault::None))),
            asked: Arc::default(),
            folders: Arc::default(),
        };
        let serving = Serving {
            root: server.directory.path().to_owned(),
            service: service.build(),
            turns: Arc::default(),
            faults: server.faults.clone(),
            asked: server.asked.clone(),
            folders: server.folders.clone(),
        };
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let serving = serving.clone();
                let service = hyper::service::service_fn(move |request| {
                    let serving = serving.clone();
                    async move { serving.answer(request).await }
                });
                tokio::spawn(async move {
                    drop(
                        Builder::new(TokioExecutor::new())
                            .serve_connection(TokioIo::new(socket), service)
                            .await,
                    );
                });
            }
        });
        server
    }

    /// From now on, this goes wrong.
    pub(crate) fn faults(&self, faults: impl FnMut(&Asked) -> Fault + Send + 'static) {
        *self.faults.lock().unwrap() = Box::new(faults);
    }

    /// Puts there what browsers of buckets put for a folder: an empty object whose key ends in a slash.
    pub(crate) fn folder(&self, key: &str) {
        self.folders.lock().unwrap().push(key.to_owned());
    }

    /// What it was asked since this was asked last.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// The part of the bucket below a prefix.
    pub(crate) fn bucket(&self, prefix: &str) -> Bucket {
        Bucket::of(self.store("hunter2"), "s3://plants", prefix).unwrap()
    }

    /// A client that lets itself in with this, and asks up to 3 times more.
    pub(crate) fn store(&self, secret: &str) -> Arc<dyn ObjectStore> {
        let builder = AmazonS3Builder::new()
            .with_endpoint(&self.endpoint)
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_retry(retries())
            .with_bucket_name("plants")
            .with_access_key_id("key")
            .with_secret_access_key(secret);
        Arc::new(builder.build().unwrap())
    }

    /// Puts an object there.
    pub(crate) async fn put(&self, key: &str, content: impl Into<Vec<u8>>) {
        let path = flowkit_etl::object::object_store::path::Path::parse(key).unwrap();
        let store = self.store("hunter2");
        let put = store.put_opts(&path, content.into().into(), Default::default());
        put.await.unwrap();
    }
}

/// Up to 3 more requests, each soon.
pub(crate) fn retries() -> RetryConfig {
    RetryConfig {
        max_retries: 3,
        retry_timeout: Duration::from_secs(30),
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(10),
            ..BackoffConfig::default()
        },
    }
}

#[derive(Clone)]
struct Serving {
    root: std::path::PathBuf,
    service: S3Service,
    /// This server looks whether a condition holds and then writes, where S3 does both at once: so it does one request after the other.
    turns: Arc<tokio::sync::Mutex<()>>,
    faults: Faults,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// This server has its objects in files, where a key that ends in a slash cannot be: those it lists beside them, as S3 does.
    folders: Arc<Mutex<Vec<String>>>,
}

impl Serving {
    async fn answer(
        &self,
        request: hyper::Request<hyper::body::Incoming>,
    ) -> Result<hyper::Response<s3s::Body>, s3s::HttpError> {
        let fault = self.fault(&request);
        if let Fault::Status(status) = fault {
            return Ok(failed(status, "InternalError"));
        }
        // This server makes a bucket of what is put there, where S3 says that there is none.
        let bucket = request.uri().path().split('/').nth(1).unwrap_or_default();
        if !self.root.join(bucket).is_dir() {
            return Ok(failed(404, "NoSuchBucket"));
        }
        let uri = request.uri().clone();
        let mut answer = {
            let _turn = self.turns.lock().await;
            hyper::service::Service::call(&self.service, request).await?
        };
        let folders = self.folders_in(uri.query().unwrap_or_default());
        if !folders.is_empty() {
            let mut body = Vec::new();
            while let Some(piece) = answer.body_mut().next().await {
                body.extend_from_slice(&piece.unwrap());
            }
            let listed = String::from_utf8(body).unwrap();
            let listed = listed.replace("</ListBucketResult>", &format!("{folders}</ListBucketResult>"));
            answer.headers_mut().remove("content-length");
            *answer.body_mut() = s3s::Body::from(listed);
        }
        Ok(match fault {
            Fault::Unheard => failed(500, "InternalError"),
            Fault::Cut(after) => answer.map(|body| cut(body, after)),
            Fault::Slow(pause) => answer.map(|body| slow(body, pause)),
            Fault::None | Fault::Status(_) => answer,
        })
    }

    /// The folders that belong to a list, if one is asked for.
    fn folders_in(&self, query: &str) -> String {
        let parameter = |name: &str| {
            let parameters = query.split('&').filter_map(|parameter| parameter.split_once('='));
            let mut values = parameters.filter(|(of, _)| *of == name);
            values.next().map(|(_, value)| value.replace("%2F", "/"))
        };
        if parameter("list-type").is_none() {
            return String::new();
        }
        let prefix = parameter("prefix").unwrap_or_default();
        let of_folder = |key: &String| {
            let rest = key.strip_prefix(&prefix)?;
            match rest.split_once('/').filter(|_| parameter("delimiter").is_some()) {
                Some((name, _)) => Some(format!(
                    "<CommonPrefixes><Prefix>{prefix}{name}/</Prefix></CommonPrefixes>"
                )),
                None => Some(format!(
                    "<Contents><Key>{key}</Key><LastModified>2013-02-04T00:00:00.000Z</LastModified><Size>0</Size></Contents>"
                )),
            }
        };
        self.folders
            .lock()
            .unwrap()
            .iter()
            .filter_map(of_folder)
            .collect()
    }

    fn fault(&self, request: &hyper::Request<hyper::body::Incoming>) -> Fault {
        let range = request.headers().get("range").and_then(|range| {
            let (from, to) = range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
            Some(to.parse::<u64>().ok()? + 1 - from.parse::<u64>().ok()?)
        });
        let mut all = self.asked.lock().unwrap();
        let asked = Asked {
            number: all.len(),
            method: request.method().to_string(),
            path: request.uri().to_string(),
            range,
        };
        all.push(asked.clone());
        (self.faults.lock().unwrap())(&asked)
    }
}

fn failed(status: u16, code: &str) -> hyper::Response<s3s::Body> {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>We have a problem.</Message></Error>"
    );
    let mut response = hyper::Response::new(s3s::Body::from(body));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap();
    response
}

fn cut(body: s3s::Body, after: usize) -> s3s::Body {
    let mut left = after;
    let pieces = body.map(move |piece| {
        let mut piece = piece.map_err(|error| std::io::Error::other(error.to_string()))?;
        if left == 0 {
            return Err(std::io::Error::other("the connection is dropped"));
        }
        piece.truncate(left);
        left -= piece.len();
        Ok(piece)
    });
    StreamingBlob::wrap(Box::pin(pieces)).into()
}

fn slow(body: s3s::Body, pause: Duration) -> s3s::Body {
    let pieces = body.then(move |piece| async move {
        tokio::time::sleep(pause).await;
        piece.map_err(|error| std::io::Error::other(error.to_string()))
    });
    StreamingBlob::wrap(Box::pin(pieces)).into()
}
