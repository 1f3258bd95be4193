//! Circuit breakers: what has failed too often is left alone for a while, and then tried with a few calls before it is used again.

mod machine;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::named::Named;
use crate::retry::LONGEST;
use machine::{FailureRate, Machine, Period, Rules};

/// Consecutive failures that open a breaker that was told nothing about when to open.
const DEFAULT_FAILURE_THRESHOLD: u32 = 5;

/// How long a breaker stays open by default.
const DEFAULT_RESET_TIMEOUT: Duration = Duration::from_secs(60);

/// Describes a circuit breaker.
///
/// A closed breaker lets every call through. It opens after too many failures, and then refuses all calls until
/// [`reset_timeout`](Self::reset_timeout) has passed. After that it is half-open: it lets
/// [`half_open_probes`](Self::half_open_probes) calls through at a time. One failure opens it again; as many successes close it. A
/// call that is cancelled counts as neither.
///
/// ```
/// use flowkit::Breaker;
/// use std::time::Duration;
///
/// // Opens after three failures in a row, or once half of at least 20 calls of the last minute failed.
/// let breaker = Breaker::new()
///     .failure_threshold(3)
///     .failure_rate(0.5, Duration::from_secs(60), 20)
///     .reset_timeout(Duration::from_secs(30));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a description does nothing until a runtime is built with it"]
pub struct Breaker {
    failure_threshold: Option<u32>,
    failure_rate: Option<(f64, Duration, u32)>,
    reset_timeout: Duration,
    half_open_probes: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new()
    }
}

impl Breaker {
    /// A breaker that opens after 5 consecutive failures, stays open for 60 seconds, and closes again after one successful probe.
    pub fn new() -> Self {
        Self {
            failure_threshold: None,
            failure_rate: None,
            reset_timeout: DEFAULT_RESET_TIMEOUT,
            half_open_probes: 1,
        }
    }

    /// Opens after this many consecutive failures. The default is 5, unless a [`failure_rate`](Self::failure_rate) is given: then the
    /// rate alone decides. If both are given, either opens it. Zero is an error when the runtime is built.
    pub fn failure_threshold(mut self, failures: u32) -> Self {
        self.failure_threshold = Some(failures);
        self
    }

    /// Opens once this share of the calls that ended within `window` failed, if there were at least `min_calls` of them.
    ///
    /// `rate` is over 0 and up to 1. The window slides in tenths of its length. It is an error when the runtime is built if the rate
    /// lies outside, or if `window` or `min_calls` is zero. The default is no rate.
    pub fn failure_rate(mut self, rate: f64, window: Duration, min_calls: u32) -> Self {
        self.failure_rate = Some((rate, window, min_calls));
        self
    }

    /// How long an open breaker refuses every call. The default is 60 seconds. Zero is an error when the runtime is built.
    pub fn reset_timeout(mut self, timeout: Duration) -> Self {
        self.reset_timeout = timeout;
        self
    }

    /// How many calls a half-open breaker lets through at a time, and how many successes close it. The default is 1. Zero is an
    /// error when the runtime is built.
    pub fn half_open_probes(mut self, probes: u32) -> Self {
        self.half_open_probes = probes;
        self
    }

    /// The description as rules, or what is wrong with it.
    fn check(&self) -> Result<Rules, &'static str> {
        if self.failure_threshold == Some(0) {
            return Err("a failure threshold of 0 would never let a call through: give at least 1");
        }
        let failure_rate = match self.failure_rate {
            None => None,
            Some((rate, ..)) if !(rate > 0.0 && rate <= 1.0) => {
                return Err("its failure rate must be over 0 and up to 1");
            }
            Some((_, window, _)) if window.is_zero() => {
                return Err("the window of its failure rate is zero: give it a length");
            }
            Some((_, _, 0)) => {
                return Err("a failure rate of at least 0 calls says nothing: give at least 1");
            }
            Some((rate, window, min_calls)) => Some(FailureRate {
                rate,
                window,
                min_calls,
            }),
        };
        if self.reset_timeout.is_zero() {
            return Err("with a reset timeout of zero it would never be open: give it a length");
        }
        if self.half_open_probes == 0 {
            return Err("without half-open probes it would never close again: give at least 1");
        }
        let default_threshold = failure_rate.is_none().then_some(DEFAULT_FAILURE_THRESHOLD);
        Ok(Rules {
            failure_threshold: self.failure_threshold.or(default_threshold),
            failure_rate,
            reset_timeout: self.reset_timeout.min(LONGEST),
            half_open_probes: self.half_open_probes,
        })
    }
}

/// Where a circuit breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Every call is let through.
    Closed,
    /// Every call is refused.
    Open,
    /// A few calls are let through, to see whether they succeed.
    HalfOpen,
}

/// A breaker went from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateChange {
    pub(crate) from: BreakerState,
    pub(crate) to: BreakerState,
}

/// A breaker of a runtime.
pub(crate) struct CircuitBreaker {
    name: Arc<str>,
    machine: Mutex<Machine>,
}

/// A call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    /// When another try is worth it: an open breaker lets a call through after this time; of a half-open one, whose probes are all
    /// under way, it is how long it stays open if one of them fails.
    pub(crate) retry_after: Duration,
}

impl CircuitBreaker {
    /// A closed breaker; an error of kind [`Build`](ErrorKind::Build) if its description makes no sense.
    pub(crate) fn new(name: impl Into<Arc<str>>, breaker: &Breaker) -> Result<Arc<Self>, Error> {
        let name = name.into();
        let rules = breaker.check().map_err(|trouble| {
            Error::about_runtime(
                ErrorKind::Build,
                format!("the circuit breaker `{name}`: {trouble}"),
            )
        })?;
        Ok(Arc::new(Self {
            name,
            machine: Mutex::new(Machine::new(rules)),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The state as a call at `now` would find it.
    pub(crate) fn state(&self, now: Instant) -> BreakerState {
        self.lock().state(now)
    }

    /// Asks for a call. The first one after the reset timeout makes an open breaker half-open.
    pub(crate) fn try_call(self: &Arc<Self>, now: Instant) -> Result<(Permit, Option<StateChange>), Refused> {
        let (period, change) = self
            .lock()
            .admit(now)
            .map_err(|retry_after| Refused { retry_after })?;
        let permit = Permit {
            breaker: Arc::clone(self),
            period: Some(period),
        };
        Ok((permit, change))
    }

    /// The error of a call that was refused and is not tried again.
    pub(crate) fn refusal(&self, refused: Refused) -> Error {
        // Seconds and milliseconds are all that anybody reads.
        let millis = u64::try_from(refused.retry_after.as_millis()).unwrap_or(u64::MAX);
        let detail = format!(
            "the circuit breaker `{}` is open, and may let a call through in {}",
            self.name,
            humantime::format_duration(Duration::from_millis(millis.max(1)))
        );
        Error::about_runtime(ErrorKind::CircuitOpen, detail)
    }
}

/// One call that was let through. Dropped, it counts as neither success nor failure.
#[must_use = "a permit that is dropped counts as a call that was cancelled"]
pub(crate) struct Permit {
    breaker: Arc<CircuitBreaker>,
    /// None once it was used.
    period: Option<Period>,
}

impl Permit {
    /// The call succeeded.
    pub(crate) fn success(mut self, now: Instant) -> Option<StateChange> {
        let period = self.period.take()?;
        self.breaker.lock().succeeded(period, now)
    }

    /// The call failed.
    pub(crate) fn failure(mut self, now: Instant) -> Option<StateChange> {
        let period = self.period.take()?;
        self.breaker.lock().failed(period, now)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(period) = self.period.take() {
            self.breaker.lock().abandoned(period);
        }
    }
}

/// The circuit breakers of one runtime, by name.
pub(crate) struct Breakers(Named<Arc<CircuitBreaker>>);

impl Default for Breakers {
    /// None.
    fn default() -> Self {
        Self(Named::new("circuit breaker", "circuit_breaker"))
    }
}

impl Breakers {
    /// The breakers of these names; an error of kind [`Build`](ErrorKind::Build) if one makes no sense or comes twice.
    pub(crate) fn new<N: Into<Arc<str>>>(
        breakers: impl IntoIterator<Item = (N, Breaker)>,
    ) -> Result<Self, Error> {
        let mut all = Self::default();
        for (name, description) in breakers {
            let breaker = CircuitBreaker::new(name, &description)?;
            all.0.insert(Arc::clone(breaker.name()), breaker)?;
        }
        Ok(all)
    }

    /// The breaker of this name, or an error of kind [`MissingLimit`](ErrorKind::MissingLimit) that says which there are.
    pub(crate) fn find(&self, name: &str) -> Result<&Arc<CircuitBreaker>, Error> {
        self.0.find(name)
    }
}

#[cfg(test)]
mod tests;
