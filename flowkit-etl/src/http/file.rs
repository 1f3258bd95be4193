//! A file at an address: its body as it comes, gone on with where it broke off, and parts of it where the server gives them.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream, StreamExt};
use reqwest::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE,
    LAST_MODIFIED, RANGE,
};
use reqwest::{Client, Response, StatusCode};

use crate::error::{Error, ErrorKind, Result};
use crate::http::Endpoint;
use crate::http::endpoint::Failure;
use crate::remote::Remote;

/// What comes of a body is handed on in pieces of this size.
const PIECE: usize = 256 << 10;
/// How a body may be encoded: text that is compressed so is read as a compressed file is.
const READABLE: [&[u8]; 4] = [b"identity", b"gzip", b"x-gzip", b"zstd"];
/// How long is waited before a body that broke off is gone on with.
const BREATH: Duration = Duration::from_millis(100);

/// A file at an address, as it was when it was first asked for.
pub(crate) struct UrlFile {
    endpoint: Endpoint,
    client: Client,
    name: String,
    length: Option<u64>,
    /// What says which version it is.
    version: Option<HeaderValue>,
    /// Whether parts of that version can be asked for.
    in_parts: bool,
    /// The answer, until somebody takes its body.
    answer: Mutex<Option<Response>>,
}

impl UrlFile {
    /// Asks for it. Its body is yet to come.
    pub(crate) async fn open(endpoint: &Endpoint) -> Result<Self> {
        let client = endpoint.client_for_files()?;
        let whole = plain();
        let answer = endpoint
            .insist(|| endpoint.begin(&client, &whole).boxed())
            .await?;
        let headers = answer.headers();
        // Of what the server compresses on its way, neither the length nor a part is that of the file.
        let compressed = headers.get(CONTENT_ENCODING);
        if let Some(how) = compressed
            && !READABLE
                .iter()
                .any(|known| how.as_bytes().eq_ignore_ascii_case(known))
        {
            let message = format!("{endpoint} answers in the encoding {how:?}, which it was not asked for");
            return Err(Error::new(ErrorKind::Encoding, message));
        }
        let compressed = compressed.is_some_and(|how| how != "identity");
        let parts = headers
            .get(ACCEPT_RANGES)
            .is_some_and(|ranges| ranges.as_bytes().eq_ignore_ascii_case(b"bytes"));
        let version = version_of(headers);
        Ok(Self {
            endpoint: endpoint.clone(),
            name: endpoint.to_string(),
            length: answer.content_length().filter(|_| !compressed),
            in_parts: version.is_some() && parts && !compressed,
            version: version.cloned(),
            client,
            answer: Mutex::new(Some(answer)),
        })
    }

    /// A body from the beginning: of the first answer, if nobody took it, or of a new one.
    async fn body(&self) -> Result<Response> {
        let first = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(first) = first {
            return Ok(first);
        }
        let whole = plain();
        let answer = self
            .endpoint
            .insist(|| self.endpoint.begin(&self.client, &whole).boxed())
            .await?;
        match (&self.version, version_of(answer.headers())) {
            (Some(then), Some(now)) if then != now => Err(self.changed()),
            _ => Ok(answer),
        }
    }

    /// A part of the version that was there first; nothing, if that ends where the part begins.
    async fn part(&self, from: u64, to: Option<u64>) -> Result<Option<Response>, Failure> {
        let mut headers = plain();
        let last = to.map(|to| to.saturating_sub(1).to_string()).unwrap_or_default();
        let wanted = HeaderValue::from_str(&format!("bytes={from}-{last}"));
        headers.insert(
            RANGE,
            wanted.map_err(|error| Failure::Lasting(self.partless().because(error)))?,
        );
        headers.extend(self.version.clone().map(|version| (IF_RANGE, version)));
        let answer = self.endpoint.begin(&self.client, &headers).await?;
        let place = answer.headers().get(CONTENT_RANGE);
        // A version that is a time is that of all that is written within its second.
        if let (Some(then), Some(now)) = (self.length, place.and_then(length_of))
            && then != now
        {
            return Err(Failure::Lasting(self.changed()));
        }
        if answer.status() == StatusCode::PARTIAL_CONTENT {
            let begins = place.and_then(begin_of);
            return match begins {
                Some(begin) if begin == from => Ok(Some(answer)),
                _ => Err(Failure::Lasting(self.partless())),
            };
        }
        if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            // Of another version all of it would have come.
            return match place.and_then(length_of) {
                Some(length) if length == from => Ok(None),
                _ => Err(Failure::Lasting(self.partless())),
            };
        }
        // All of it, since it is another version, or since the server gives no parts after all.
        Err(Failure::Lasting(
            match (&self.version, version_of(answer.headers())) {
                (Some(then), Some(now)) if then == now => self.partless(),
                _ => self.changed(),
            },
        ))
    }

    /// A part of it, at once.
    #[cfg_attr(
        not(feature = "parquet"),
        allow(dead_code, reason = "only of Parquet files parts are read")
    )]
    async fn whole_part(&self, range: Range<u64>) -> Result<Bytes, Failure> {
        let part = self.part(range.start, Some(range.end)).await?;
        let mut answer = part.ok_or_else(|| Failure::Lasting(self.partless()))?;
        let mut bytes = BytesMut::new();
        let wanted = range.end - range.start;
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| self.endpoint.unanswered(error))?
        {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > wanted {
                return Err(Failure::Lasting(self.partless()));
            }
        }
        if (bytes.len() as u64) < wanted {
            return Err(Failure::Passing(
                self.broken(bytes.len() as u64, Some(wanted)),
                None,
            ));
        }
        Ok(bytes.freeze())
    }

    fn changed(&self) -> Error {
        let message = format!("{} was replaced while it was read: read it anew", self.name);
        Error::new(ErrorKind::Changed, message)
    }

    fn partless(&self) -> Error {
        let message = format!("{} does not give the parts that it says it gives", self.name);
        Error::new(ErrorKind::Unavailable, message)
    }

    fn broken(&self, after: u64, of: Option<u64>) -> Error {
        let of = of.map(|of| format!(" of {of}")).unwrap_or_default();
        let message = format!("{} broke off after {after}{of} bytes", self.name);
        Error::new(ErrorKind::Unavailable, message)
    }
}

/// The file itself is wanted, and not what the server would make of it for the way.
fn plain() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))])
}

/// What an answer says of its version: a tag that stands for the very bytes, or a time.
fn version_of(headers: &HeaderMap) -> Option<&HeaderValue> {
    let strong = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    strong.or_else(|| headers.get(LAST_MODIFIED))
}

/// Where a part begins: `bytes 200-1000/67589`.
fn begin_of(range: &HeaderValue) -> Option<u64> {
    let (begin, _) = range.to_str().ok()?.strip_prefix("bytes ")?.split_once('-')?;
    begin.parse().ok()
}

/// How long the file is of which this is a part: `bytes 200-1000/67589`, or of which there is no such part: `bytes */67589`.
fn length_of(range: &HeaderValue) -> Option<u64> {
    let (_, length) = range.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
    length.parse().ok()
}

/// A body while it comes.
struct Body {
    file: Arc<UrlFile>,
    answer: Option<Response>,
    /// How much of it came.
    came: u64,
    /// How often it broke off since it last came on.
    broke: u32,
    ended: bool,
}

impl Body {
    /// What comes next; nothing at the end.
    async fn piece(&mut self) -> Result<Option<Bytes>> {
        let mut piece = BytesMut::new();
        while piece.len() < PIECE && !self.ended {
            let mut answer = match self.answer.take() {
                Some(answer) => answer,
                None => self.file.body().await?,
            };
            match answer.chunk().await {
                Ok(Some(chunk)) => {
                    self.came += chunk.len() as u64;
                    self.broke = 0;
                    piece.extend_from_slice(&chunk);
                    self.answer = Some(answer);
                }
                Ok(None) if self.file.length.is_none() => self.ended = true,
                // However it ended: all of it came.
                Ok(None) | Err(_) if self.file.length == Some(self.came) => self.ended = true,
                Ok(None) => self.go_on(None).await?,
                Err(error) => self.go_on(Some(error)).await?,
            }
        }
        Ok((!piece.is_empty()).then(|| piece.freeze()))
    }

    /// Asks for the rest of a body that broke off. If there is none, it has ended.
    async fn go_on(&mut self, error: Option<reqwest::Error>) -> Result<()> {
        let file = &self.file;
        let broken = || {
            let broken = file.broken(self.came, file.length);
            match error {
                Some(error) => broken.because(error.without_url()),
                None => broken,
            }
        };
        if !file.in_parts || self.broke >= file.endpoint.most_retries() {
            return Err(broken());
        }
        self.broke += 1;
        tokio::time::sleep(BREATH * self.broke).await;
        let came = self.came;
        self.answer = file.endpoint.insist(|| file.part(came, None).boxed()).await?;
        self.ended = self.answer.is_none();
        Ok(())
    }
}

impl Remote for UrlFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn stream(self: Arc<Self>) -> BoxStream<'static, Result<Bytes>> {
        let body = Body {
            file: self,
            answer: None,
            came: 0,
            broke: 0,
            ended: false,
        };
        stream::try_unfold(body, |mut body| async move {
            Ok(body.piece().await?.map(|piece| (piece, body)))
        })
        .boxed()
    }

    fn length(&self) -> BoxFuture<'_, Result<Option<u64>>> {
        std::future::ready(Ok(self.length.filter(|_| self.in_parts))).boxed()
    }

    fn range(&self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        async move {
            self.endpoint
                .insist(|| self.whole_part(range.clone()).boxed())
                .await
        }
        .boxed()
    }
}

impl fmt::Debug for UrlFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UrlFile({})", self.name)
    }
}
