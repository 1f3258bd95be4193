//! Where to ask, and how often.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LINK, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response, StatusCode, Url};

use crate::error::{Error, ErrorKind, Result};
use crate::http::Auth;
use crate::http::pace::Pace;
use crate::refusal;

/// How long a request may take, unless said otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a request is sent again when the other side is busy or broken, unless said otherwise.
pub const DEFAULT_RETRIES: u32 = 4;
/// The largest answer that is taken, since it is held in memory.
pub const MAX_PAGE_BYTES: usize = 64 << 20;

/// How often what is asked for may be said to be elsewhere.
const MOST_REDIRECTIONS: u32 = 10;
/// How long is waited before a request is sent again, the first time; twice as long each time after.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// No longer than this, and not for longer than this if the other side says when to come back.
const LONGEST_DELAY: Duration = Duration::from_secs(120);

/// What is asked: an address, its parameters, and what lets one in.
///
/// A request that finds the other side busy (429, 503) is sent again when that says (`Retry-After`), and otherwise, as after other errors of theirs and broken connections, after a while that grows. Secrets in
/// the address (`https://user:password@…`) are taken out of it, and neither errors nor logs show its parameters. A redirection to another host, port or scheme is not followed, except
/// for a file, which is asked for there without what lets one in here.
#[derive(Clone)]
pub struct Endpoint {
    url: Url,
    headers: HeaderMap,
    timeout: Duration,
    retries: u32,
    pace: Option<Arc<Pace>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Why a request is not done.
pub(super) enum Failure {
    /// It may do later: after this time, if the other side said so.
    Passing(Error, Option<Duration>),
    Lasting(Error),
}

impl Endpoint {
    /// What is at this address.
    ///
    /// # Errors
    /// When it is no address of HTTP.
    pub fn new(url: &str) -> Result<Self> {
        let no_address = || {
            Error::new(
                ErrorKind::Options,
                "this is no address of HTTP: it begins with `https://` or `http://`",
            )
        };
        let mut url = Url::parse(url).map_err(|error| no_address().because(error))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(no_address());
        }
        let user = decoded(url.username());
        let password = url.password().map(decoded);
        // There is a host, so both can be taken away.
        let taken = url.set_username("").and_then(|()| url.set_password(None));
        taken.map_err(|()| no_address())?;
        let endpoint = Self {
            url,
            headers: HeaderMap::new(),
            timeout: DEFAULT_TIMEOUT,
            retries: DEFAULT_RETRIES,
            pace: None,
        };
        if user.is_empty() && password.is_none() {
            return Ok(endpoint);
        }
        Ok(endpoint.auth(&Auth::basic(&user, &password.unwrap_or_default())?))
    }

    /// A parameter of the address. It is no place for a secret, which the other side may log.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// A header of each request.
    ///
    /// # Errors
    /// When the name or the value has characters that no header can have.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self> {
        let wrong = || {
            Error::new(
                ErrorKind::Options,
                format!("{name:?} with its value cannot be a header"),
            )
        };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|error| wrong().because(error))?;
        let value = HeaderValue::from_str(value).map_err(|error| wrong().because(error))?;
        self.headers.insert(key, value);
        Ok(self)
    }

    /// What lets one in.
    #[must_use]
    pub fn auth(mut self, auth: &Auth) -> Self {
        self.headers.insert(auth.name().clone(), auth.value().clone());
        self
    }

    /// How long a request may take, with all of its answer; [`DEFAULT_TIMEOUT`] unless said otherwise. Of a file it is how long the other side may be silent, since a large one takes its time.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a request is sent again; [`DEFAULT_RETRIES`] unless said otherwise.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Sends no more than so many requests in a time, evenly: those that are sent again, follow a redirection or ask for a part of a file count too.
    ///
    /// Clones made after this count together, in whatever sources and sensors of this process they are. Where several addresses of one API share what it allows, this is said once, and the clones have their own parameters.
    #[must_use]
    pub fn at_most(mut self, requests: u32, per: Duration) -> Self {
        self.pace = Some(Arc::new(Pace::new(requests, per)));
        self
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The same, at another address.
    pub(crate) fn at(&self, url: Url) -> Self {
        Self { url, ..self.clone() }
    }

    #[cfg(feature = "files")]
    pub(super) fn most_retries(&self) -> u32 {
        self.retries
    }

    /// What sends the requests of one reading.
    pub(crate) fn client(&self) -> Result<Client> {
        built(Client::builder().timeout(self.timeout).gzip(true))
    }

    /// What sends the requests for a file: their bodies come as they are, and may take as long as they like, but not be silent for long.
    #[cfg(feature = "files")]
    pub(super) fn client_for_files(&self) -> Result<Client> {
        let client = Client::builder()
            .connect_timeout(self.timeout)
            .read_timeout(self.timeout);
        built(client.gzip(false))
    }

    /// Asks until there is an answer that is one.
    pub(crate) async fn ask(&self, client: &Client) -> Result<Answer> {
        self.insist(|| self.attempt(client).boxed()).await
    }

    /// Does something again and again until it is done, as often and after as long as it may.
    pub(super) async fn insist<'a, T>(
        &self,
        attempt: impl Fn() -> BoxFuture<'a, Result<T, Failure>> + Send + Sync,
    ) -> Result<T> {
        let mut delay = FIRST_DELAY;
        for number in 0.. {
            let (error, wait) = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Lasting(error)) => return Err(error),
                Err(Failure::Passing(error, wait)) => (error, wait),
            };
            let wait = wait.unwrap_or(delay);
            if number >= self.retries || wait > LONGEST_DELAY {
                return Err(error);
            }
            tracing::debug!(target: "flowkit_etl", %error, ?wait, "asks again");
            tokio::time::sleep(wait).await;
            delay = (delay * 2).min(LONGEST_DELAY);
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            format!("{self} was asked too often"),
        ))
    }

    async fn attempt(&self, client: &Client) -> Result<Answer, Failure> {
        let answer = self.once(client).await.map_err(Failure::from)?;
        match self.refusal(answer.status, &answer.headers) {
            Some(refusal) => Err(refusal),
            None => Ok(answer),
        }
    }

    /// What an answer of this status is, if it is none of success.
    fn refusal(&self, status: StatusCode, headers: &HeaderMap) -> Option<Failure> {
        let kind = refusal::kind_of(status)?;
        let message = match leads_to(status, headers, &self.url) {
            Some(to) => format!(
                "{self} leads to {}, which is not followed, since what lets one in is for here alone: ask there, if that is right",
                shown(&to)
            ),
            None => format!("{self} answers {status}"),
        };
        let error = Error::new(kind, message);
        Some(match kind {
            ErrorKind::Unavailable => Failure::Passing(error, refusal::retry_after(headers)),
            _ => Failure::Lasting(error),
        })
    }

    /// Begins to get a file, or with these headers a part of it. Where it is elsewhere (`Location`), it is asked for there, but what lets one in here is sent to nobody else.
    #[cfg(feature = "files")]
    pub(super) async fn begin(
        &self,
        client: &Client,
        headers: &HeaderMap,
    ) -> Result<reqwest::Response, Failure> {
        let mut url = self.url.clone();
        for _ in 0..=MOST_REDIRECTIONS {
            let mut all = headers.clone();
            if url.origin() == self.url.origin() {
                all.extend(self.headers.clone());
            }
            let response = self.send(client, url.clone(), all).await?;
            let status = response.status();
            let Some(to) = leads_to(status, response.headers(), &url) else {
                // That there is no such part says something about the file.
                let partless = status == StatusCode::RANGE_NOT_SATISFIABLE
                    && headers.contains_key(reqwest::header::RANGE);
                return match self.refusal(status, response.headers()) {
                    Some(refusal) if !partless => Err(refusal),
                    _ => Ok(response),
                };
            };
            if url.scheme() == "https" && to.scheme() != "https" {
                let message = format!("{self} leads away from HTTPS, which is not followed");
                return Err(Failure::Lasting(Error::new(ErrorKind::Access, message)));
            }
            url = to;
        }
        Err(Failure::Lasting(self.endless()))
    }

    fn endless(&self) -> Error {
        let message = format!("{self} leads from place to place without an end");
        Error::new(ErrorKind::Options, message)
    }

    /// Sends one request, when it is its turn.
    async fn send(&self, client: &Client, url: Url, headers: HeaderMap) -> Result<Response> {
        if let Some(pace) = &self.pace {
            pace.turn().await;
        }
        let response = client.get(url).headers(headers).send().await;
        response.map_err(|error| self.unanswered(error))
    }

    /// That a request was not sent, or its answer did not come.
    pub(super) fn unanswered(&self, error: reqwest::Error) -> Error {
        let kind = if error.is_builder() || error.is_redirect() {
            ErrorKind::Options
        } else {
            ErrorKind::Unavailable
        };
        Error::new(kind, format!("{self} does not answer")).because(error.without_url())
    }

    /// Asks once, and takes any answer but one that leads to another place on the same host.
    pub(crate) async fn once(&self, client: &Client) -> Result<Answer> {
        let mut url = self.url.clone();
        for _ in 0..=MOST_REDIRECTIONS {
            let response = self.send(client, url.clone(), self.headers.clone()).await?;
            match leads_to(response.status(), response.headers(), &url) {
                Some(to) if to.origin() == self.url.origin() => url = to,
                _ => return self.whole(response).await,
            }
        }
        Err(self.endless())
    }

    /// An answer with its body.
    async fn whole(&self, mut response: Response) -> Result<Answer> {
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unanswered(error))? {
            if body.len() + chunk.len() > MAX_PAGE_BYTES {
                let message = format!(
                    "{self} answers with more than {MAX_PAGE_BYTES} bytes at once: ask for smaller pages"
                );
                return Err(Error::new(ErrorKind::Options, message));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body,
        })
    }
}

impl Answer {
    /// What `Link` names as next.
    pub(super) fn next_link(&self) -> Option<String> {
        let links = self
            .headers
            .get_all(LINK)
            .iter()
            .filter_map(|link| link.to_str().ok());
        links
            .flat_map(|links| links.split(",<").map(str::to_owned).collect::<Vec<_>>())
            .flat_map(|links| links.split(", <").map(str::to_owned).collect::<Vec<_>>())
            .find_map(|link| {
                let (address, parameters) = link.trim_start_matches([' ', '<']).split_once('>')?;
                let next = parameters.split(';').any(|parameter| {
                    let parameter = parameter.trim().to_ascii_lowercase();
                    matches!(parameter.as_str(), "rel=next" | "rel=\"next\"")
                });
                next.then(|| address.to_owned())
            })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.is_transient() {
            true => Self::Passing(error, None),
            false => Self::Lasting(error),
        }
    }
}

fn built(client: ClientBuilder) -> Result<Client> {
    crate::tls::provide();
    // They are followed here, so that each is a request of its own.
    client.redirect(Policy::none()).build().map_err(|error| {
        Error::new(ErrorKind::Options, "no client of HTTP can be made").because(error.without_url())
    })
}

/// Where an answer says that what was asked for is.
fn leads_to(status: StatusCode, headers: &HeaderMap, from: &Url) -> Option<Url> {
    let to = headers.get(LOCATION).filter(|_| status.is_redirection())?;
    from.join(to.to_str().ok()?).ok()
}

/// An address without its parameters, in which there may be secrets.
fn shown(url: &Url) -> String {
    let (scheme, host) = (url.scheme(), url.host_str().unwrap_or_default());
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{host}{port}{}", url.path())
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

impl fmt::Display for Endpoint {
    /// The address, without its parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.url))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_an_address_is_taken_out_of_it() {
        let endpoint = Endpoint::new("https://etl:hunt%40r+2@api.example/plants?key=hunter2").unwrap();
        assert_eq!(endpoint.to_string(), "https://api.example/plants");
        assert!(!format!("{endpoint:?} {}", endpoint.url()).contains("hunt%40r"));
        assert_eq!(
            endpoint.headers.get("authorization").unwrap(),
            Auth::basic("etl", "hunt@r+2").unwrap().value()
        );
        for wrong in ["plants", "ftp://api.example", "https://"] {
            assert_eq!(
                Endpoint::new(wrong).unwrap_err().kind(),
                ErrorKind::Options,
                "{wrong}"
            );
        }
    }

    #[test]
    fn the_next_link_is_found_among_others() {
        let mut headers = HeaderMap::new();
        let links =
            "<https://a.example/?page=1,2>; rel=\"prev\", </plants?page=3>; title=\"x\"; rel=\"next\"";
        headers.insert(LINK, HeaderValue::from_static(links));
        let answer = Answer {
            status: StatusCode::OK,
            headers,
            body: Vec::new(),
        };
        assert_eq!(answer.next_link().unwrap(), "/plants?page=3");
    }
}
