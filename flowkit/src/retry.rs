//! When a failed attempt is followed by another, and after what delay. Pure: no clock, no source of randomness.

use std::time::Duration;

use crate::error::Cause;
use crate::options::Delays;

/// Longer than any sleep that could matter, and far from overflowing a clock.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600 * 10);

/// The retry options of one run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RetryPolicy {
    /// Attempts after the first.
    pub(crate) retries: u32,
    pub(crate) delays: Option<Delays>,
    pub(crate) backoff: f64,
    pub(crate) max_delay: Option<Duration>,
    pub(crate) jitter: f64,
    pub(crate) deadline: Option<Duration>,
    pub(crate) panics: bool,
    pub(crate) timeouts: bool,
}

impl RetryPolicy {
    /// Whether an attempt that ended for this reason may be followed by another.
    pub(crate) fn covers(&self, cause: &Cause) -> bool {
        match cause {
            Cause::Returned(_) => true,
            Cause::TimedOut(_) => self.timeouts || cfg!(flowkit_fault = "timeouts-retried-all-the-same"),
            Cause::Panicked(_) => self.panics,
            Cause::Refused(_) => false,
        }
    }

    /// The delay before retry `retry` (1 for the first): `min(max, delay · backoffⁿ⁻¹)`, then moved by jitter.
    ///
    /// `unit` is a random number in `0..1`; 0.5 is the middle, which moves nothing.
    fn delay(&self, retry: u32, unit: f64) -> Duration {
        let nominal = self.nominal_delay(retry);
        if self.jitter <= 0.0 {
            return nominal;
        }
        let factor = 1.0 + self.jitter.min(1.0) * (2.0 * unit - 1.0);
        scaled(nominal, factor)
    }

    fn nominal_delay(&self, retry: u32) -> Duration {
        let step = retry.saturating_sub(1 + u32::from(cfg!(flowkit_fault = "delay-of-the-retry-before")));
        let steps = self.delays.as_ref().map(Delays::as_slice).unwrap_or_default();
        let base = match steps.get(step as usize).or(steps.last()) {
            Some(&delay) => delay,
            None => return Duration::ZERO,
        };
        let grown = if steps.len() > 1 {
            base
        } else {
            let exponent = i32::try_from(step).unwrap_or(i32::MAX);
            scaled(base, self.backoff.max(0.0).powi(exponent))
        };
        grown.min(self.max_delay.unwrap_or(LONGEST)).min(LONGEST)
    }

    /// How long retry `retry` waits: as long as the policy says and at least `after`, which the error asks for. None if it would then
    /// start too late, `elapsed` after the first attempt started.
    pub(crate) fn next_delay(
        &self,
        retry: u32,
        unit: f64,
        after: Duration,
        elapsed: Duration,
    ) -> Option<Duration> {
        let delay = self.delay(retry, unit).max(after);
        self.within_deadline(elapsed, delay).then_some(delay)
    }

    /// Whether a retry that waits for `delay` may still start, `elapsed` after the first attempt started.
    fn within_deadline(&self, elapsed: Duration, delay: Duration) -> bool {
        self.deadline
            .is_none_or(|deadline| elapsed.saturating_add(delay) <= deadline)
    }
}

/// `delay · factor`, never less than nothing and never longer than the longest.
fn scaled(delay: Duration, factor: f64) -> Duration {
    let seconds = delay.as_secs_f64() * factor;
    if seconds.is_nan() {
        return LONGEST;
    }
    Duration::try_from_secs_f64(seconds.max(0.0))
        .unwrap_or(LONGEST)
        .min(LONGEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(delays: impl Into<Delays>) -> RetryPolicy {
        RetryPolicy {
            retries: 3,
            delays: Some(delays.into()),
            backoff: 1.0,
            max_delay: None,
            jitter: 0.0,
            deadline: None,
            panics: false,
            timeouts: true,
        }
    }

    fn seconds(values: &[u64]) -> Vec<Duration> {
        values.iter().copied().map(Duration::from_secs).collect()
    }

    fn delays_of(policy: &RetryPolicy) -> Vec<Duration> {
        (1..=3).map(|retry| policy.delay(retry, 0.5)).collect()
    }

    #[test]
    fn one_delay_repeats_and_the_last_of_a_list_repeats() {
        assert_eq!(delays_of(&policy(Duration::from_secs(1))), seconds(&[1, 1, 1]));
        assert_eq!(delays_of(&policy(seconds(&[1, 2, 3]))), seconds(&[1, 2, 3]));
        assert_eq!(delays_of(&policy(seconds(&[1, 2]))), seconds(&[1, 2, 2]));
    }

    #[test]
    fn backoff_grows_the_delay_up_to_the_maximum() {
        let mut growing = policy(Duration::from_secs(1));
        growing.backoff = 2.0;
        assert_eq!(delays_of(&growing), seconds(&[1, 2, 4]));
        growing.max_delay = Some(Duration::from_secs(3));
        assert_eq!(delays_of(&growing), seconds(&[1, 2, 3]));
    }

    #[test]
    fn without_a_delay_a_retry_follows_at_once() {
        let mut none = policy(Duration::ZERO);
        none.delays = None;
        assert_eq!(none.delay(1, 0.9), Duration::ZERO);
    }

    #[test]
    fn a_deadline_counts_the_delay_that_lies_ahead() {
        let mut limited = policy(Duration::from_secs(1));
        limited.deadline = Some(Duration::from_secs(10));
        assert!(limited.within_deadline(Duration::from_secs(9), Duration::from_secs(1)));
        assert!(!limited.within_deadline(Duration::from_secs(9), Duration::from_millis(1001)));
    }

    proptest! {
        #[test]
        fn every_delay_stays_within_its_jitter(
            base in 0u64..1_000_000, backoff in 1.0f64..10.0, jitter in 0.0f64..=1.0, retry in 1u32..10_000, unit in 0.0f64..1.0
        ) {
            let mut policy = policy(Duration::from_millis(base));
            policy.backoff = backoff;
            policy.jitter = jitter;
            let nominal = policy.nominal_delay(retry).as_secs_f64();
            let delay = policy.delay(retry, unit).as_secs_f64();
            prop_assert!(delay >= nominal * (1.0 - jitter) - 1e-6 * nominal - 1e-9);
            prop_assert!(delay <= nominal * (1.0 + jitter) + 1e-6 * nominal + 1e-9);
            prop_assert!(policy.delay(retry, unit) <= LONGEST);
        }

        #[test]
        fn without_jitter_delays_never_shrink(base in 0u64..1_000, backoff in 1.0f64..10.0, retry in 1u32..100) {
            let mut policy = policy(Duration::from_millis(base));
            policy.backoff = backoff;
            prop_assert!(policy.delay(retry, 0.0) <= policy.delay(retry + 1, 0.0));
        }
    }
}
