//! What is posted to an address that is a secret.

use std::fmt;

use flowkit::Secret;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use super::Failure;
use crate::error::{Error, ErrorKind, Result};
use crate::refusal;

/// An address that JSON is posted to. Whoever knows it may post there, so it is shown nowhere.
#[derive(Clone)]
pub(super) struct Post {
    client: Client,
    url: Secret<Url>,
    headers: HeaderMap,
}

impl Post {
    pub(super) fn new(url: &Secret<String>) -> Result<Self> {
        crate::tls::provide();
        // What the parser says of an address may quote it.
        let url = Url::parse(url.expose_secret().trim()).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some());
        let url = url.ok_or_else(|| {
            let message = "this is no address of a webhook: it begins with `https://` or `http://`";
            Error::new(ErrorKind::Options, message)
        })?;
        // Another address is none that was said to be told.
        let client = Client::builder().redirect(Policy::none()).build();
        let client = client.map_err(|error| {
            Error::new(ErrorKind::Options, "no client of HTTP can be made").because(error.without_url())
        })?;
        Ok(Self {
            client,
            url: Secret::new(url),
            headers: HeaderMap::new(),
        })
    }

    pub(super) fn from_env(variable: &str) -> Result<Self> {
        match std::env::var(variable) {
            Ok(url) => Self::new(&Secret::new(url)),
            Err(_) => Err(Error::new(
                ErrorKind::NotFound,
                format!("the environment has no `{variable}`: set it to the address of the webhook"),
            )),
        }
    }

    pub(super) fn header(&mut self, name: &str, value: &Secret<String>) -> Result<()> {
        let wrong = || {
            let message = format!("{name:?} with its value cannot be a header: a line break, perhaps");
            Error::new(ErrorKind::Options, message)
        };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(())
    }

    /// Posts this, and takes any answer of success.
    pub(super) async fn send(&self, body: &serde_json::Value) -> Result<(), Failure> {
        let request = self
            .client
            .post(self.url.expose_secret().clone())
            .header(CONTENT_TYPE, "application/json")
            .headers(self.headers.clone())
            .body(body.to_string());
        let answer = request.send().await.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the webhook does not answer").because(error.without_url())
        })?;
        let status = answer.status();
        let Some(kind) = refusal::kind_of(status) else {
            return Ok(());
        };
        // What it says beside that may repeat what it was asked.
        Err(Failure {
            error: Error::new(kind, format!("the webhook answers {status}")),
            after: refusal::retry_after(answer.headers()),
            partly: false,
        })
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post")
            .field("url", &self.url)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}
