//! A retry budget: retries of a whole runtime may be a share of its calls and no more, so that something that is dying is not
//! hammered to death by those that try again. Pure: the caller says what time it is.
//!
//! The idea and the default numbers are those of Finagle (<https://finagle.github.io/blog/2016/02/08/retry-budgets>), which tower's
//! `TpsBudget` follows too: every call pays in a part of a retry, every retry takes out a whole one, and both are forgotten after a
//! window of time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::window::Window;

/// What one retry costs. Whole numbers, so that five fifths make exactly one.
const RETRY: u64 = 1_000;

/// The largest ratio: a thousand retries for each call.
const LARGEST_RATIO: f64 = 1_000.0;

/// Describes how many retries a runtime may make, all its tasks together.
///
/// At any time, the retries of the last [`window`](Self::window) are at most a [`ratio`](Self::ratio) of the calls of that window, and
/// [`min_per_second`](Self::min_per_second) for each of its seconds on top. A task whose retry is refused fails with its last error, as
/// if it had no retries left.
///
/// ```
/// use flowkit::RetryBudget;
/// use std::time::Duration;
///
/// let budget = RetryBudget::new()
///     .ratio(0.1)
///     .min_per_second(1)
///     .window(Duration::from_secs(30));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a description does nothing until a runtime is built with it"]
pub struct RetryBudget {
    ratio: f64,
    min_per_second: u32,
    window: Duration,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

impl RetryBudget {
    /// A budget of one retry for five calls, and 10 retries per second on top, over a window of 10 seconds.
    pub fn new() -> Self {
        Self {
            ratio: 0.2,
            min_per_second: 10,
            window: Duration::from_secs(10),
        }
    }

    /// How many retries each call allows, to a thousandth: with 0.2, five calls allow one. The default is 0.2. Anything but a number
    /// from 0 to 1,000 is an error when the runtime is built.
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = ratio;
        self
    }

    /// How many retries per second are allowed in any case, so that a runtime with few calls can retry too. The default is 10.
    ///
    /// They may be made at once: with 10 per second and a window of 10 seconds, 100 in a row. Zero, together with a ratio of zero, is
    /// an error when the runtime is built.
    pub fn min_per_second(mut self, retries: u32) -> Self {
        self.min_per_second = retries;
        self
    }

    /// For how long calls and retries count. The default is 10 seconds. It slides in tenths of its length. Zero is an error when
    /// the runtime is built.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }
}

/// The budget of one runtime.
pub(crate) struct Budget {
    /// What the window holds without any call.
    reserve: u64,
    /// What a call pays in.
    deposit: u64,
    balance: Mutex<Window<Balance>>,
}

/// What happened in one slice of the window.
#[derive(Debug, Default)]
struct Balance {
    paid_in: u64,
    taken_out: u64,
}

impl Budget {
    /// A budget nothing of which is spent; an error of kind [`Build`](ErrorKind::Build) if its description makes no sense.
    pub(crate) fn new(budget: &RetryBudget) -> Result<Self, Error> {
        let refuse = |trouble: &str| {
            let detail = format!("the retry budget {trouble}");
            Err(Error::about_runtime(ErrorKind::Build, detail))
        };
        if !(0.0..=LARGEST_RATIO).contains(&budget.ratio) {
            return refuse("has a ratio that is not between 0 and 1000");
        }
        if budget.window.is_zero() {
            return refuse("has a window of zero: give it a length");
        }
        // In range, for the ratio is.
        let deposit = (budget.ratio * RETRY as f64).round() as u64;
        if deposit == 0 && budget.min_per_second == 0 {
            return refuse(
                "allows no retry at all: give it a ratio or a minimum, or switch retries off with `retries(0)`",
            );
        }
        // A retry costs as many units as a second has milliseconds.
        let millis = u64::try_from(budget.window.as_millis()).unwrap_or(u64::MAX);
        Ok(Self {
            reserve: u64::from(budget.min_per_second).saturating_mul(millis),
            deposit,
            balance: Mutex::new(Window::new(budget.window)),
        })
    }

    /// A call was made: the first attempt of a run, not its retries.
    pub(crate) fn deposit(&self, now: Instant) {
        let mut window = self.balance.lock().unwrap_or_else(PoisonError::into_inner);
        let current = window.at(now);
        current.paid_in = current.paid_in.saturating_add(self.deposit);
    }

    /// Pays for a retry, if the budget allows one.
    pub(crate) fn try_withdraw(&self, now: Instant) -> bool {
        let mut window = self.balance.lock().unwrap_or_else(PoisonError::into_inner);
        window.at(now);
        let (paid_in, taken_out) =
            window
                .counts()
                .fold((self.reserve, RETRY), |(paid_in, taken_out), slice| {
                    (
                        paid_in.saturating_add(slice.paid_in),
                        taken_out.saturating_add(slice.taken_out),
                    )
                });
        let spare = u64::from(cfg!(flowkit_fault = "one-retry-too-many")) * RETRY;
        let allowed = taken_out <= paid_in.saturating_add(spare);
        if allowed {
            window.at(now).taken_out += RETRY;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn budget(description: &RetryBudget) -> Budget {
        Budget::new(description).unwrap()
    }

    /// How many of a thousand retries are allowed at `now`.
    fn allowed(budget: &Budget, now: Instant) -> usize {
        (0..1_000).filter(|_| budget.try_withdraw(now)).count()
    }

    #[test]
    fn retries_are_a_share_of_the_calls() {
        let now = Instant::now();
        let budget = budget(&RetryBudget::new().min_per_second(0));
        assert!(!budget.try_withdraw(now), "nothing was paid in");
        for _ in 0..100 {
            budget.deposit(now);
        }
        assert_eq!(allowed(&budget, now), 20);
        for _ in 0..4 {
            budget.deposit(now);
        }
        assert!(!budget.try_withdraw(now), "four fifths of a retry are none");
        budget.deposit(now);
        assert!(budget.try_withdraw(now));
    }

    #[test]
    fn a_runtime_with_few_calls_has_a_floor_to_stand_on() {
        let now = Instant::now();
        let budget = budget(&RetryBudget::new());
        assert_eq!(allowed(&budget, now), 100, "10 seconds of 10 per second");
        let later = now + Duration::from_secs(9);
        assert_eq!(allowed(&budget, later), 0, "it is spent for this window");
        let after = now + Duration::from_secs(10);
        assert_eq!(allowed(&budget, after), 100);
    }

    #[test]
    fn calls_count_for_as_long_as_the_window_is() {
        let now = Instant::now();
        let description = RetryBudget::new().ratio(1.0).min_per_second(0);
        let budget = budget(&description.window(Duration::from_secs(1)));
        for _ in 0..5 {
            budget.deposit(now);
        }
        assert!(budget.try_withdraw(now + Duration::from_millis(999)));
        assert!(!budget.try_withdraw(now + Duration::from_secs(1)));
    }

    #[test]
    fn a_budget_that_makes_no_sense_is_not_built() {
        let message = |description: RetryBudget| {
            let error = Budget::new(&description).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Build);
            error.to_string()
        };
        for ratio in [-0.1, 1_000.1, f64::NAN, f64::INFINITY] {
            assert_eq!(
                message(RetryBudget::new().ratio(ratio)),
                "the retry budget has a ratio that is not between 0 and 1000"
            );
        }
        assert!(message(RetryBudget::new().window(Duration::ZERO)).contains("window of zero"));
        assert!(message(RetryBudget::new().ratio(0.0).min_per_second(0)).contains("no retry at all"));
        budget(&RetryBudget::new().min_per_second(u32::MAX).window(Duration::MAX));
        budget(&RetryBudget::new().ratio(0.0));
    }

    proptest! {
        #[test]
        fn the_retries_of_a_window_never_exceed_its_share_and_none_is_refused_below_it(
            thousandths in 0u64..2_000, floor in 1u32..20, millis in 100u64..3_000,
            steps in proptest::collection::vec((0u64..200, any::<bool>()), 1..200)
        ) {
            let window = Duration::from_millis(millis);
            let description = RetryBudget::new().ratio(thousandths as f64 / 1_000.0).min_per_second(floor).window(window);
            let budget = budget(&description);
            let start = Instant::now();
            let (mut calls, mut retries) = (Vec::new(), Vec::new());
            let (mut elapsed, mut first) = (Duration::ZERO, None);
            for (gap, is_retry) in steps {
                elapsed += Duration::from_millis(gap);
                let first = *first.get_or_insert(elapsed);
                let slice = (elapsed - first).as_nanos() / (window / 10).as_nanos();
                if is_retry {
                    let counted = |all: &[u128]| all.iter().filter(|of| **of + 10 > slice).count() as u64;
                    let share = u64::from(floor) * millis + thousandths * counted(&calls);
                    let expected = (counted(&retries) + 1) * 1_000 <= share;
                    prop_assert_eq!(budget.try_withdraw(start + elapsed), expected);
                    if expected {
                        retries.push(slice);
                    }
                } else {
                    budget.deposit(start + elapsed);
                    calls.push(slice);
                }
            }
        }
    }
}
