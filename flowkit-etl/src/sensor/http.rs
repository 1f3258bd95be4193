//! An HTTP service.

use std::fmt;

use futures::future::{BoxFuture, FutureExt};

use crate::error::{Error, ErrorKind, Result};
use crate::http::Endpoint;
use crate::sensor::Condition;

type Judge = Box<dyn FnMut(u16, &[u8]) -> bool + Send>;

/// What an HTTP service answers: met by an answer of success, or by what is said. Met, it gives the body.
///
/// A service that does not answer, or answers something else, is not met yet; one that does not let one in (401, 403) is an error.
pub struct HttpCondition {
    endpoint: Endpoint,
    client: Option<reqwest::Client>,
    judge: Judge,
}

impl HttpCondition {
    /// An answer of success, 200 to 299, from this endpoint. Its retries do not count: the sensor asks again.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            client: None,
            judge: Box::new(|status, _| (200..300).contains(&status)),
        }
    }

    /// An answer of this status.
    #[must_use]
    pub fn status(self, expected: u16) -> Self {
        self.when(move |status, _| status == expected)
    }

    /// An answer whose status and body fulfil this.
    #[must_use]
    pub fn when(mut self, judge: impl FnMut(u16, &[u8]) -> bool + Send + 'static) -> Self {
        self.judge = Box::new(judge);
        self
    }
}

impl Condition for HttpCondition {
    type Met = Vec<u8>;

    fn poke(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>>> {
        async move {
            let client = match self.client.take() {
                Some(client) => client,
                None => self.endpoint.client()?,
            };
            let answer = self.endpoint.once(&client).await;
            self.client = Some(client);
            let answer = answer?;
            let status = answer.status.as_u16();
            if (self.judge)(status, &answer.body) {
                return Ok(Some(answer.body));
            }
            if matches!(status, 401 | 403) {
                return Err(Error::new(
                    ErrorKind::Access,
                    format!("{} answers {}", self.endpoint, answer.status),
                ));
            }
            Ok(None)
        }
        .boxed()
    }
}

impl fmt::Debug for HttpCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what {} answers", self.endpoint)
    }
}
