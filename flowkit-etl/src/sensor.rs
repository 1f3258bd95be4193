//! Waiting for something outside: files, objects, a time of day, a row in a database, anything that can be looked at.
//!
//! A [`Sensor`] looks at a [`Condition`] again and again until it is met. It is awaited in a task, which has its own name and state in the run, and holds no slot between looks: a hundred
//! that wait keep nobody from anything.
//!
//! ```
//! use flowkit::prelude::*;
//! use flowkit_etl::sensor::{Files, Sensor};
//! use std::path::PathBuf;
//! use std::time::Duration;
//!
//! /// The day's files, once nobody has written to them for a minute; none, if they do not come.
//! #[task(limit = "disk")]
//! async fn arrived(pattern: PathBuf) -> Result<Option<Vec<PathBuf>>, flowkit_etl::Error> {
//!     Sensor::new(Files::matching(pattern).stable_for(Duration::from_secs(60)))
//!         .poke_interval(Duration::from_secs(30))
//!         .timeout(Duration::from_secs(6 * 3600))
//!         .wait_or_skip()
//!         .await
//! }
//!
//! #[flow]
//! async fn daily(pattern: PathBuf) -> Result<usize> {
//!     let Some(files) = arrived(pattern).await? else {
//!         return Ok(0); // nothing to do today
//!     };
//!     Ok(files.len())
//! }
//! ```

mod files;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "objects")]
mod objects;
mod predicate;
mod settling;
#[cfg(feature = "sql")]
mod sql;
mod time_of_day;
mod watching;

pub use self::files::Files;
#[cfg(feature = "http")]
pub use self::http::HttpCondition;
#[cfg(feature = "objects")]
pub use self::objects::Objects;
pub use self::predicate::Predicate;
#[cfg(feature = "sql")]
pub use self::sql::SqlCondition;
pub use self::time_of_day::TimeOfDay;

use std::fmt;
use std::time::Duration;

use futures::future::{self, BoxFuture, Either, FutureExt};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::error::{Error, ErrorKind, Result};

/// How long a sensor waits between two looks, unless said otherwise.
pub const DEFAULT_POKE_INTERVAL: Duration = Duration::from_secs(30);
/// How long a look may take, unless said otherwise.
pub const DEFAULT_POKE_TIMEOUT: Duration = Duration::from_secs(60);
/// From the beginning of a look to that of the next there is this time at least, however often something tells that it is worth to look.
const BREATH: Duration = Duration::from_millis(100);

/// Something that can be looked at, and is met or not yet.
pub trait Condition: fmt::Debug + Send {
    /// What is known once it is met.
    type Met: Send;

    /// Looks: what is known, or nothing if it is not met yet. An error that [is transient](Error::is_transient) counts as not yet, any other ends the wait.
    fn poke(&mut self) -> BoxFuture<'_, Result<Option<Self::Met>>>;

    /// Ends when it is worth to look before the interval is over. Never, unless something tells. What it misses is found by the next look.
    fn worth_a_look(&mut self) -> BoxFuture<'_, ()> {
        future::pending().boxed()
    }
}

/// Looks at a condition until it is met.
#[derive(Debug)]
#[must_use = "a sensor does nothing until it is awaited by `wait` or `wait_or_skip`"]
pub struct Sensor<C> {
    condition: C,
    poke_interval: Duration,
    poke_timeout: Duration,
    backoff: f64,
    longest: Duration,
    timeout: Option<Duration>,
}

impl<C: Condition> Sensor<C> {
    /// Waits for this, for as long as it takes, with a look every [`DEFAULT_POKE_INTERVAL`].
    pub fn new(condition: C) -> Self {
        Self {
            condition,
            poke_interval: DEFAULT_POKE_INTERVAL,
            poke_timeout: DEFAULT_POKE_TIMEOUT,
            backoff: 1.0,
            longest: Duration::MAX,
            timeout: None,
        }
    }

    /// How long it waits between two looks. A tenth of a second passes from one to the next in any case.
    pub fn poke_interval(mut self, interval: Duration) -> Self {
        self.poke_interval = interval;
        self
    }

    /// Makes each wait longer than the one before by this factor, up to a longest one. A factor below 1 counts as 1.
    pub fn backoff(mut self, factor: f64, longest: Duration) -> Self {
        self.backoff = if factor >= 1.0 { factor } else { 1.0 };
        self.longest = longest;
        self
    }

    /// How long it waits in all. It looks once more at the end.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long one look may take; one that takes longer counts as not yet. [`DEFAULT_POKE_TIMEOUT`] unless said otherwise.
    pub fn poke_timeout(mut self, timeout: Duration) -> Self {
        self.poke_timeout = timeout;
        self
    }

    /// Waits until the condition is met.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] when it is not met in time; or the first error of a look that will not go away by itself.
    pub async fn wait(self) -> Result<C::Met> {
        let (description, timeout) = (format!("{:?}", self.condition), self.timeout.unwrap_or_default());
        let (met, last) = self.watch().await?;
        met.ok_or_else(|| {
            let message = format!("{description} was not met within {timeout:?}");
            let error = Error::new(ErrorKind::TimedOut, message);
            match last {
                Some(last) => error.because(last),
                None => error,
            }
        })
    }

    /// The same, but a condition that is not met in time is no error: there is nothing then, and what would come next can be skipped.
    ///
    /// # Errors
    /// The first error of a look that will not go away by itself.
    pub async fn wait_or_skip(self) -> Result<Option<C::Met>> {
        Ok(self.watch().await?.0)
    }

    /// What was met, if it was; else the error of the last look, if it was one.
    async fn watch(mut self) -> Result<(Option<C::Met>, Option<Error>)> {
        let deadline = self
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        let mut interval = self.poke_interval;
        loop {
            let began = Instant::now();
            let last = match self.poke(deadline).await {
                Ok(Some(met)) => return Ok((Some(met), None)),
                Ok(None) => None,
                Err(error) if error.is_transient() => {
                    tracing::warn!(target: "flowkit_etl", %error, condition = ?self.condition, "could not look, and will again");
                    Some(error)
                }
                Err(error) => return Err(error),
            };
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Ok((None, last));
            }
            let next = now.checked_add(interval).map(|next| next.max(began + BREATH));
            let next = [next, deadline].into_iter().flatten().min();
            flowkit::waiting(self.pause(began, next)).await;
            interval = longer(interval, self.backoff).min(self.longest.max(self.poke_interval));
        }
    }

    async fn poke(&mut self, deadline: Option<Instant>) -> Result<Option<C::Met>> {
        let now = Instant::now();
        // The last look has a moment, even if the time is over.
        let until = deadline.map(|deadline| deadline.max(now + Duration::from_secs(1)));
        let until = [until, now.checked_add(self.poke_timeout)]
            .into_iter()
            .flatten()
            .min();
        let Some(until) = until else {
            return self.condition.poke().await;
        };
        match timeout_at(until, self.condition.poke()).await {
            Ok(poked) => poked,
            Err(_) => Err(Error::new(ErrorKind::Unavailable, "a look took too long")),
        }
    }

    /// Until the next look.
    async fn pause(&mut self, began: Instant, next: Option<Instant>) {
        let over = match next {
            Some(next) => sleep_until(next).boxed(),
            None => future::pending().boxed(),
        };
        match future::select(self.condition.worth_a_look(), over).await {
            Either::Left(((), over)) => {
                future::select(sleep_until(began + BREATH).boxed(), over).await;
            }
            Either::Right(((), _)) => {}
        }
    }
}

fn longer(interval: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(interval.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}
