//! What attempts pass before they begin: the limits, rate limits, circuit breakers and retry budget of a runtime.

use std::sync::Arc;
use std::time::Duration;

use crate::breaker::{Breaker, Breakers};
use crate::error::Error;
use crate::limit::{Limit, Limits};
use crate::rate::RateLimits;
use crate::retry_budget::{Budget, RetryBudget};

/// The gates of a runtime.
#[derive(Default)]
pub(crate) struct Gates {
    pub(crate) limits: Limits,
    pub(crate) rate_limits: RateLimits,
    pub(crate) breakers: Breakers,
    pub(crate) retry_budget: Option<Budget>,
}

impl Gates {
    /// Whether every run passes one.
    pub(crate) fn stand_before_all(&self) -> bool {
        self.limits.total().is_some() || self.retry_budget.is_some()
    }
}

/// The gates as a builder describes them.
#[derive(Default)]
pub(super) struct GatesPlan {
    pub(super) limits: Vec<(Arc<str>, u32)>,
    pub(super) task_limit: Option<u32>,
    pub(super) rate_limits: Vec<(Arc<str>, u32, Duration)>,
    pub(super) breakers: Vec<(Arc<str>, Breaker)>,
    pub(super) retry_budget: Option<RetryBudget>,
}

impl GatesPlan {
    /// The gates.
    ///
    /// # Errors
    /// Of kind [`Build`](crate::ErrorKind::Build), if a number makes no sense or a name comes twice.
    pub(super) fn build(self) -> Result<Gates, Error> {
        Ok(Gates {
            limits: Limits::new(self.limits, self.task_limit)?,
            rate_limits: RateLimits::new(self.rate_limits)?,
            breakers: Breakers::new(self.breakers)?,
            retry_budget: self.retry_budget.as_ref().map(Budget::new).transpose()?,
        })
    }
}

/// How much of a limit is in use at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitUse {
    /// The slots that there are.
    pub capacity: u32,
    /// Those that running attempts hold.
    pub in_use: u32,
    /// The runs that wait for some.
    pub waiting: usize,
}

impl LimitUse {
    pub(super) fn of(limit: &Arc<Limit>) -> Self {
        Self {
            capacity: limit.capacity(),
            in_use: limit.in_use(),
            waiting: limit.waiting(),
        }
    }
}
