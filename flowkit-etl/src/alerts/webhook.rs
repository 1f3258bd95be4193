//! Any webhook.

use std::fmt;
use std::sync::Arc;

use flowkit::Secret;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;

use super::post::Post;
use super::{Alert, Channel, Failure};
use crate::error::{Error, ErrorKind, Result};

/// Makes the body of a request.
type Body = Arc<dyn Fn(&Alert) -> Value + Send + Sync>;

/// An address that alerts are posted to as JSON: an [`Alert`] as it is, unless a [`body`](Self::body) is made of it.
#[derive(Clone)]
pub struct Webhook {
    post: Post,
    body: Option<Body>,
}

impl Webhook {
    /// To this address.
    ///
    /// # Errors
    /// When it is no address of HTTP.
    pub fn new(url: impl Into<Secret<String>>) -> Result<Self> {
        let post = Post::new(&url.into())?;
        Ok(Self { post, body: None })
    }

    /// To the address that a variable of the environment has.
    ///
    /// # Errors
    /// When the variable is not set, or has no address of HTTP.
    pub fn from_env(variable: &str) -> Result<Self> {
        let post = Post::from_env(variable)?;
        Ok(Self { post, body: None })
    }

    /// With a header: `("authorization", "Bearer …".to_owned())`.
    ///
    /// # Errors
    /// When the name or the value has characters that no header can have.
    pub fn header(mut self, name: &str, value: impl Into<Secret<String>>) -> Result<Self> {
        self.post.header(name, &value.into())?;
        Ok(self)
    }

    /// With another body, as whoever takes it expects one.
    #[must_use]
    pub fn body(mut self, body: impl Fn(&Alert) -> Value + Send + Sync + 'static) -> Self {
        self.body = Some(Arc::new(body));
        self
    }
}

impl Channel for Webhook {
    fn send<'a>(&'a self, alert: &'a Alert) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let body = match &self.body {
                Some(body) => body(alert),
                None => serde_json::to_value(alert).map_err(|error| {
                    Error::new(ErrorKind::Format, "the alert cannot be JSON").because(error)
                })?,
            };
            self.post.send(&body).await
        }
        .boxed()
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("post", &self.post)
            .finish_non_exhaustive()
    }
}
