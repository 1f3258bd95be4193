//! Named rate limits: so many permits in a period, given out in the order in which they were asked for.
//!
//! The arithmetic is the generic cell rate algorithm (GCRA, of ITU-T I.371), as in the crate `governor`. That crate would do, its clock
//! can be tokio's; but it is not fair, so that a line of our own stands before it all the same, and whoever is at the head of a line
//! needs none of its atomics. What is left is one comparison and one addition, for which it would bring nine crates into the core.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::error::{Error, ErrorKind};
use crate::limit::Limit;
use crate::named::Named;
use crate::retry::LONGEST;

/// When permits are due. Pure.
#[derive(Debug)]
struct Gcra {
    /// The time from one permit to the next.
    interval: Duration,
    /// How far permits may run ahead of that: all but one of a period at once.
    tolerance: Duration,
    /// When the next permit is due, if they come evenly; before the first one, any time.
    due: Option<Instant>,
}

impl Gcra {
    fn new(permits: u32, per: Duration) -> Self {
        let per = per.min(LONGEST);
        // Rounded up, since a rate that is exceeded by a nanosecond is exceeded.
        let rounded = per / permits.max(1);
        let exact = rounded.saturating_mul(permits) == per;
        let interval = if exact {
            rounded
        } else {
            rounded + Duration::from_nanos(1)
        };
        Self {
            interval,
            tolerance: interval.saturating_mul(
                permits.saturating_sub(u32::from(!cfg!(flowkit_fault = "one-permit-too-many"))),
            ),
            due: None,
        }
    }

    /// Takes a permit, or says when there will be one.
    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let due = self.due.map_or(now, |due| due.max(now));
        match due.checked_sub(self.tolerance) {
            Some(earliest) if now < earliest => Err(earliest),
            _ => {
                self.due = Some(due + self.interval);
                Ok(())
            }
        }
    }
}

/// A rate limit of a runtime. After a pause, a whole period's permits may be taken at once; then they come evenly.
pub(crate) struct RateLimit {
    name: Arc<str>,
    /// Whose turn it is: the one at the head sleeps until its permit is due, the others wait behind it.
    turn: Arc<Limit>,
    permits: Mutex<Gcra>,
}

impl RateLimit {
    /// A limit of `permits` in each period; an error of kind [`Build`](ErrorKind::Build) if either is zero.
    pub(crate) fn new(name: impl Into<Arc<str>>, permits: u32, per: Duration) -> Result<Arc<Self>, Error> {
        let name = name.into();
        let trouble = match (permits, per) {
            (0, _) => Some("gives no permits, so whoever needs one would wait forever: give at least 1"),
            (_, Duration::ZERO) => Some("has a period of zero, which limits nothing: give it a length"),
            _ => None,
        };
        if let Some(trouble) = trouble {
            let detail = format!("the rate limit `{name}` {trouble}");
            return Err(Error::about_runtime(ErrorKind::Build, detail));
        }
        Ok(Arc::new(Self {
            turn: Limit::new(Arc::clone(&name), 1)?,
            name,
            permits: Mutex::new(Gcra::new(permits, per)),
        }))
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How many stand in line behind the one whose turn it is.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.turn.waiting()
    }

    /// Waits in line for a permit, and takes it.
    ///
    /// Cancel safe: dropped before it is ready, it has taken no permit, and the next in line goes on.
    pub(crate) async fn until_ready(&self) {
        let _turn = self.turn.acquire(1).await;
        while let Err(due) = self.take() {
            sleep_until(due).await;
        }
    }

    fn take(&self) -> Result<(), Instant> {
        let mut permits = self.permits.lock().unwrap_or_else(PoisonError::into_inner);
        permits.take(Instant::now())
    }
}

/// The rate limits of one runtime, by name.
pub(crate) struct RateLimits(Named<Arc<RateLimit>>);

impl Default for RateLimits {
    /// None.
    fn default() -> Self {
        Self(Named::new("rate limit", "rate_limit"))
    }
}

impl RateLimits {
    /// The limits of these names, permits and periods; an error of kind [`Build`](ErrorKind::Build) if one is zero or comes twice.
    pub(crate) fn new<N: Into<Arc<str>>>(
        limits: impl IntoIterator<Item = (N, u32, Duration)>,
    ) -> Result<Self, Error> {
        let mut all = Self::default();
        for (name, permits, per) in limits {
            let limit = RateLimit::new(name, permits, per)?;
            all.0.insert(Arc::clone(limit.name()), limit)?;
        }
        Ok(all)
    }

    /// The rate limit of this name, or an error of kind [`MissingLimit`](ErrorKind::MissingLimit) that says which there are.
    pub(crate) fn find(&self, name: &str) -> Result<&Arc<RateLimit>, Error> {
        self.0.find(name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::sync::mpsc;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// After how many milliseconds each of so many permits came, all of them asked for at once.
    async fn arrivals(limit: &RateLimit, count: usize) -> Vec<u128> {
        let start = Instant::now();
        let mut arrivals = Vec::new();
        for _ in 0..count {
            limit.until_ready().await;
            arrivals.push(start.elapsed().as_millis());
        }
        arrivals
    }

    #[tokio::test(start_paused = true)]
    async fn a_periods_permits_come_at_once_and_the_others_evenly() {
        let limit = RateLimit::new("api", 4, SECOND).unwrap();
        assert_eq!(
            arrivals(&limit, 9).await,
            [0, 0, 0, 0, 250, 500, 750, 1_000, 1_250]
        );
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(
            arrivals(&limit, 6).await,
            [0, 0, 0, 0, 250, 500],
            "a pause saves up one period and no more"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_came_first_is_first_served() {
        let limit = RateLimit::new("api", 1, SECOND).unwrap();
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let start = Instant::now();
        for index in 0..5u64 {
            let (limit, sender) = (Arc::clone(&limit), sender.clone());
            tokio::spawn(async move {
                limit.until_ready().await;
                sender.send((index, start.elapsed().as_secs())).unwrap();
            });
        }
        drop(sender);
        let mut served = Vec::new();
        while let Some(one) = receiver.recv().await {
            served.push(one);
        }
        assert_eq!(served, [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gives_up_takes_no_permit_and_holds_up_nobody() {
        let limit = RateLimit::new("api", 1, SECOND).unwrap();
        let start = Instant::now();
        limit.until_ready().await;
        let head = tokio::spawn({
            let limit = Arc::clone(&limit);
            async move { limit.until_ready().await }
        });
        let behind = tokio::spawn({
            let limit = Arc::clone(&limit);
            async move { limit.until_ready().await }
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(limit.waiting(), 1, "one has its turn, one waits behind it");
        head.abort();
        behind.await.unwrap();
        assert_eq!(start.elapsed(), SECOND);
        assert!(head.await.unwrap_err().is_cancelled());
    }

    #[test]
    fn a_rate_that_limits_nothing_or_everything_is_not_built() {
        let message = |permits, per| {
            let error = RateLimit::new("api", permits, per).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Build);
            error.to_string()
        };
        assert_eq!(
            message(0, SECOND),
            "the rate limit `api` gives no permits, so whoever needs one would wait forever: give at least 1"
        );
        assert_eq!(
            message(1, Duration::ZERO),
            "the rate limit `api` has a period of zero, which limits nothing: give it a length"
        );
    }

    #[test]
    fn rate_limits_are_found_by_name() {
        let limits = RateLimits::new([("api", 1, SECOND), ("mail", 2, SECOND)]).unwrap();
        assert_eq!(&**limits.find("mail").unwrap().name(), "mail");
        assert_eq!(
            limits.find("db").err().unwrap().to_string(),
            "there is no rate limit named `db`; the runtime has `api`, `mail`"
        );
        assert!(RateLimits::new([("api", 1, SECOND), ("api", 2, SECOND)]).is_err());
    }

    #[test]
    fn the_longest_period_and_the_highest_rate_overflow_nothing() {
        let now = Instant::now();
        for (permits, per) in [
            (u32::MAX, Duration::from_nanos(1)),
            (u32::MAX, Duration::MAX),
            (1, Duration::MAX),
        ] {
            let mut rate = Gcra::new(permits, per);
            for _ in 0..3 {
                let _due = rate.take(now);
            }
            assert!(!rate.interval.is_zero(), "{rate:?}");
        }
    }

    proptest! {
        #[test]
        fn no_period_sees_more_than_a_saved_up_and_a_current_one(
            permits in 1u32..20, per in 1u64..2_000, gaps in proptest::collection::vec(0u64..300, 1..200)
        ) {
            let per = Duration::from_millis(per);
            let mut rate = Gcra::new(permits, per);
            let mut now = Instant::now();
            let mut taken = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                match rate.take(now) {
                    Ok(()) => taken.push(now),
                    Err(due) => {
                        prop_assert!(due > now && due - now <= rate.interval);
                        prop_assert!(Gcra { due: rate.due, ..rate }.take(due).is_ok(), "it is due when it says");
                    }
                }
            }
            for (first, start) in taken.iter().enumerate() {
                for (last, end) in taken.iter().enumerate().skip(first) {
                    let most = u128::from(permits) + (*end - *start).as_nanos() / rate.interval.as_nanos();
                    prop_assert!((last - first + 1) as u128 <= most);
                }
            }
        }
    }
}
