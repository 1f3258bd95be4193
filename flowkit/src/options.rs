//! The options of a task: what an attribute, a runtime's defaults and a single call may say, and how they merge.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::definition::Definition;
use crate::retry::RetryPolicy;

/// The delays before each retry; the last one repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delays(Steps);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Steps {
    Static(&'static [Duration]),
    Shared(Arc<[Duration]>),
}

impl Delays {
    /// Delays that the attribute states.
    pub const fn fixed(delays: &'static [Duration]) -> Self {
        Self(Steps::Static(delays))
    }

    /// The delays in order.
    pub fn as_slice(&self) -> &[Duration] {
        match &self.0 {
            Steps::Static(delays) => delays,
            Steps::Shared(delays) => delays,
        }
    }
}

impl From<Duration> for Delays {
    fn from(delay: Duration) -> Self {
        Self(Steps::Shared(Arc::from([delay])))
    }
}

impl<const N: usize> From<[Duration; N]> for Delays {
    fn from(delays: [Duration; N]) -> Self {
        Self(Steps::Shared(Arc::from(delays)))
    }
}

impl From<Vec<Duration>> for Delays {
    fn from(delays: Vec<Duration>) -> Self {
        Self(Steps::Shared(Arc::from(delays)))
    }
}

/// The limits whose slots a run needs, each with how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Needs {
    Static(&'static [(&'static str, u32)]),
    Shared(Arc<[(Arc<str>, u32)]>),
}

impl Needs {
    /// The names and weights.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        let (fixed, shared) = match self {
            Self::Static(needs) => (*needs, &[][..]),
            Self::Shared(needs) => (&[][..], &needs[..]),
        };
        let fixed = fixed.iter().map(|&(name, weight)| (name, weight));
        fixed.chain(shared.iter().map(|(name, weight)| (name.as_ref(), *weight)))
    }
}

/// What an attribute says that options keep in forms which constants cannot replace: where its options start from.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Declared {
    retry_delay: Option<&'static [Duration]>,
    limits: Option<&'static [(&'static str, u32)]>,
    rate_limit: Option<&'static str>,
    circuit_breaker: Option<&'static str>,
}

impl Declared {
    /// Nothing.
    pub const fn new() -> Self {
        Self {
            retry_delay: None,
            limits: None,
            rate_limit: None,
            circuit_breaker: None,
        }
    }

    /// See [`TaskOptions::retry_delay`].
    pub const fn retry_delay(mut self, delays: &'static [Duration]) -> Self {
        self.retry_delay = Some(delays);
        self
    }

    /// See [`TaskOptions::limit`].
    pub const fn limits(mut self, limits: &'static [(&'static str, u32)]) -> Self {
        self.limits = Some(limits);
        self
    }

    /// See [`TaskOptions::rate_limit`].
    pub const fn rate_limit(mut self, name: &'static str) -> Self {
        self.rate_limit = Some(name);
        self
    }

    /// See [`TaskOptions::circuit_breaker`].
    pub const fn circuit_breaker(mut self, name: &'static str) -> Self {
        self.circuit_breaker = Some(name);
        self
    }
}

/// Options of a task run. What is not said is absent, and absence keeps what a weaker source says.
///
/// The strongest is the call ([`TaskCall::with`](crate::TaskCall::with)), then the attribute, then the
/// runtime's defaults ([`Builder::task_defaults`](crate::Builder::task_defaults)). A zero is not absent: `retries(0)` switches
/// retries off.
///
/// ```
/// use flowkit::TaskOptions;
/// use std::time::Duration;
///
/// let options = TaskOptions::new().retries(3).retry_delay(Duration::from_secs(1)).retry_backoff(2.0);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskOptions {
    retries: Option<u32>,
    retry_delay: Option<Delays>,
    retry_backoff: Option<f64>,
    retry_max_delay: Option<Duration>,
    retry_jitter: Option<f64>,
    retry_deadline: Option<Duration>,
    retry_panics: Option<bool>,
    retry_timeouts: Option<bool>,
    timeout: Option<Duration>,
    total_timeout: Option<Duration>,
    cache_expiration: Option<Duration>,
    cache_durable: Option<bool>,
    refresh_cache: Option<bool>,
    limits: Option<Needs>,
    rate_limit: Option<Cow<'static, str>>,
    circuit_breaker: Option<Cow<'static, str>>,
}

impl TaskOptions {
    /// Options that say nothing.
    pub const fn new() -> Self {
        Self::declared(Declared::new())
    }

    /// The options that an attribute starts from.
    #[doc(hidden)]
    pub const fn declared(declared: Declared) -> Self {
        Self {
            retries: None,
            retry_delay: match declared.retry_delay {
                Some(delays) => Some(Delays::fixed(delays)),
                None => None,
            },
            limits: match declared.limits {
                Some(limits) => Some(Needs::Static(limits)),
                None => None,
            },
            rate_limit: match declared.rate_limit {
                Some(name) => Some(Cow::Borrowed(name)),
                None => None,
            },
            circuit_breaker: match declared.circuit_breaker {
                Some(name) => Some(Cow::Borrowed(name)),
                None => None,
            },
            retry_backoff: None,
            retry_max_delay: None,
            retry_jitter: None,
            retry_deadline: None,
            retry_panics: None,
            retry_timeouts: None,
            timeout: None,
            total_timeout: None,
            cache_expiration: None,
            cache_durable: None,
            refresh_cache: None,
        }
    }

    /// How many attempts may follow the first one.
    pub const fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// The delay before each retry, or one for each in order, of which the last repeats.
    pub fn retry_delay(mut self, delays: impl Into<Delays>) -> Self {
        self.retry_delay = Some(delays.into());
        self
    }

    /// The factor by which the delay grows from retry to retry; 1 keeps it.
    pub const fn retry_backoff(mut self, factor: f64) -> Self {
        self.retry_backoff = Some(factor);
        self
    }

    /// No delay is longer than this, before jitter.
    pub const fn retry_max_delay(mut self, delay: Duration) -> Self {
        self.retry_max_delay = Some(delay);
        self
    }

    /// The share, from 0 to 1, by which a delay may differ from its nominal length, either way.
    pub const fn retry_jitter(mut self, share: f64) -> Self {
        self.retry_jitter = Some(share);
        self
    }

    /// No retry starts later than this after the first attempt started.
    pub const fn retry_deadline(mut self, deadline: Duration) -> Self {
        self.retry_deadline = Some(deadline);
        self
    }

    /// Whether a panic is retried like an error. It is not, unless this says so.
    pub const fn retry_panics(mut self, retry: bool) -> Self {
        self.retry_panics = Some(retry);
        self
    }

    /// Whether an attempt that took longer than its [`timeout`](Self::timeout) is retried like an error. It is, unless this says
    /// `false`.
    pub const fn retry_timeouts(mut self, retry: bool) -> Self {
        self.retry_timeouts = Some(retry);
        self
    }

    /// How long one attempt may take. [`Duration::ZERO`] means no limit.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long all attempts and the delays between them may take. [`Duration::ZERO`] means no limit.
    pub const fn total_timeout(mut self, timeout: Duration) -> Self {
        self.total_timeout = Some(timeout);
        self
    }

    /// How long a cached result may be served, from the moment of completion. [`Duration::MAX`] means for ever.
    pub const fn cache_expiration(mut self, expiration: Duration) -> Self {
        self.cache_expiration = Some(expiration);
        self
    }

    /// Whether a cached result is on the disk before the task counts as done.
    pub const fn cache_durable(mut self, durable: bool) -> Self {
        self.cache_durable = Some(durable);
        self
    }

    /// Whether the body runs even where the cache has its result, and replaces it.
    pub const fn refresh_cache(mut self, refresh: bool) -> Self {
        self.refresh_cache = Some(refresh);
        self
    }

    /// The run needs so many slots of this limit of the runtime, beside others that these options name. Where options name any limit, those of weaker
    /// ones (the attribute's, the runtime's defaults) do not count. See [`Builder::limit`](crate::Builder::limit).
    pub fn limit(mut self, name: impl Into<Arc<str>>, slots: u32) -> Self {
        let name = name.into();
        let mut needs: Vec<(Arc<str>, u32)> = self
            .limits
            .iter()
            .flat_map(Needs::iter)
            .filter(|(other, _)| *other != &*name)
            .map(|(other, weight)| (Arc::from(other), weight))
            .collect();
        needs.push((name, slots));
        self.limits = Some(Needs::Shared(Arc::from(needs)));
        self
    }

    /// The run needs no slots of any named limit, whatever the attribute says.
    pub fn no_limit(mut self) -> Self {
        self.limits = Some(Needs::Static(&[]));
        self
    }

    /// Attempts begin no faster than this rate limit of the runtime allows. See [`Builder::rate_limit`](crate::Builder::rate_limit).
    pub fn rate_limit(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.rate_limit = Some(name.into());
        self
    }

    /// Attempts are made through this circuit breaker of the runtime. See [`Builder::circuit_breaker`](crate::Builder::circuit_breaker).
    pub fn circuit_breaker(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.circuit_breaker = Some(name.into());
        self
    }

    /// Whether nothing is said: the common case, known of a definition before anything runs.
    pub(crate) const fn says_nothing(&self) -> bool {
        let Self {
            retries,
            retry_delay,
            retry_backoff,
            retry_max_delay,
            retry_jitter,
            retry_deadline,
            retry_panics,
            retry_timeouts,
            timeout,
            total_timeout,
            cache_expiration,
            cache_durable,
            refresh_cache,
            limits,
            rate_limit,
            circuit_breaker,
        } = self;
        let retries = retries.is_none()
            && retry_delay.is_none()
            && retry_backoff.is_none()
            && retry_max_delay.is_none()
            && retry_jitter.is_none()
            && retry_deadline.is_none()
            && retry_panics.is_none()
            && retry_timeouts.is_none();
        let times = timeout.is_none() && total_timeout.is_none();
        let cache = cache_expiration.is_none() && cache_durable.is_none() && refresh_cache.is_none();
        let gates = limits.is_none() && rate_limit.is_none() && circuit_breaker.is_none();
        retries && times && cache && gates
    }

    /// What `self` says, and where it says nothing what `weaker` says.
    pub(crate) fn or(&self, weaker: &Self) -> Self {
        Self {
            retries: self.retries.or(weaker.retries),
            retry_delay: self.retry_delay.clone().or_else(|| weaker.retry_delay.clone()),
            retry_backoff: self.retry_backoff.or(weaker.retry_backoff),
            retry_max_delay: self.retry_max_delay.or(weaker.retry_max_delay),
            retry_jitter: self.retry_jitter.or(weaker.retry_jitter),
            retry_deadline: self.retry_deadline.or(weaker.retry_deadline),
            retry_panics: self.retry_panics.or(weaker.retry_panics),
            retry_timeouts: self.retry_timeouts.or(weaker.retry_timeouts),
            timeout: self.timeout.or(weaker.timeout),
            total_timeout: self.total_timeout.or(weaker.total_timeout),
            cache_expiration: self.cache_expiration.or(weaker.cache_expiration),
            cache_durable: self.cache_durable.or(weaker.cache_durable),
            refresh_cache: self.refresh_cache.or(weaker.refresh_cache),
            limits: self.limits.clone().or_else(|| weaker.limits.clone()),
            rate_limit: self.rate_limit.clone().or_else(|| weaker.rate_limit.clone()),
            circuit_breaker: self
                .circuit_breaker
                .clone()
                .or_else(|| weaker.circuit_breaker.clone()),
        }
    }
}

/// The options of one run, merged and in the form the engine reads.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) total_timeout: Option<Duration>,
    pub(crate) cache_expiration: Option<Duration>,
    pub(crate) cache_durable: bool,
    pub(crate) refresh_cache: bool,
    pub(crate) limits: Option<Needs>,
    pub(crate) rate_limit: Option<Cow<'static, str>>,
    pub(crate) circuit_breaker: Option<Cow<'static, str>>,
}

impl Plan {
    /// Merges what the call, the definition and the runtime say, strongest first.
    pub(crate) fn of(call: Option<&TaskOptions>, definition: &Definition, defaults: &TaskOptions) -> Self {
        let declared = definition.options();
        match call {
            Some(call) => Self::from_options(&call.or(declared).or(defaults)),
            // Nothing is put together for what most calls and runtimes leave unsaid.
            None if defaults.says_nothing() => Self::from_options(declared),
            None => Self::from_options(&declared.or(defaults)),
        }
    }

    fn from_options(options: &TaskOptions) -> Self {
        Self {
            retry: options
                .retries
                .filter(|&retries| retries > 0)
                .map(|retries| RetryPolicy {
                    retries,
                    delays: options.retry_delay.clone(),
                    backoff: options.retry_backoff.unwrap_or(1.0),
                    max_delay: options.retry_max_delay,
                    jitter: options.retry_jitter.unwrap_or(0.0),
                    deadline: options.retry_deadline,
                    panics: options.retry_panics.unwrap_or(false),
                    timeouts: options.retry_timeouts.unwrap_or(true),
                }),
            timeout: options.timeout.filter(|timeout| !timeout.is_zero()),
            total_timeout: options.total_timeout.filter(|timeout| !timeout.is_zero()),
            cache_expiration: options
                .cache_expiration
                .filter(|expiration| *expiration != Duration::MAX),
            cache_durable: options.cache_durable.unwrap_or(false),
            refresh_cache: options.refresh_cache.unwrap_or(false),
            limits: options.limits.clone(),
            rate_limit: options.rate_limit.clone(),
            circuit_breaker: options.circuit_breaker.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn zero_overrides_and_absence_keeps() {
        let attribute = TaskOptions::new().retries(3).timeout(SECOND);
        let merged = Plan::from_options(&TaskOptions::new().retries(0).or(&attribute));
        assert_eq!(merged.retry, None, "retries(0) switches retries off");
        assert_eq!(merged.timeout, Some(SECOND), "what the call does not say is kept");
    }

    #[test]
    fn a_zero_timeout_lifts_the_limit() {
        let attribute = TaskOptions::new().timeout(SECOND);
        assert_eq!(
            Plan::from_options(&TaskOptions::new().timeout(Duration::ZERO).or(&attribute)).timeout,
            None
        );
    }
}
