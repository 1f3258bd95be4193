//! The seam for wall time. Everything else (delays, timeouts, durations) is tokio's time, which tests can pause.

use std::fmt;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Tells the wall time: when a run began, and whether a cached result has expired.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> SystemTime;
}

/// The system's clock: what a runtime uses unless told otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the seam that everything else asks"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A wall clock that moves with tokio's clock, so that a paused test moves both.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use flowkit::{Clock, TokioClock};
/// use std::time::{Duration, SystemTime};
///
/// let clock = TokioClock::starting_at(SystemTime::UNIX_EPOCH);
/// tokio::time::sleep(Duration::from_secs(90 * 24 * 3600)).await; // a paused clock jumps
/// assert!(clock.now() >= SystemTime::UNIX_EPOCH + Duration::from_secs(90 * 24 * 3600));
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    wall: SystemTime,
    start: Instant,
}

impl TokioClock {
    /// A clock that shows `wall` now.
    pub fn starting_at(wall: SystemTime) -> Self {
        Self {
            wall,
            start: Instant::now(),
        }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> SystemTime {
        self.wall.checked_add(self.start.elapsed()).unwrap_or(self.wall)
    }
}

/// When a run began, by both clocks: the origin of every time stamp in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epoch {
    wall: SystemTime,
    start: Instant,
}

impl Epoch {
    pub(crate) fn new(clock: &dyn Clock) -> Self {
        Self {
            wall: clock.now(),
            start: Instant::now(),
        }
    }

    pub(crate) fn wall(&self) -> SystemTime {
        self.wall
    }

    /// The stamp of this moment.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The wall time of a stamp.
    pub(crate) fn wall_time(&self, stamp: Stamp) -> SystemTime {
        self.wall
            .checked_add(Duration::from_nanos(stamp.0))
            .unwrap_or(self.wall)
    }
}

/// A moment of a run: nanoseconds since the run's epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(u64);

impl Stamp {
    /// Stands for a moment that has not come.
    pub(crate) const NEVER: Self = Self(u64::MAX);
    /// The moment at which the run was entered.
    pub(crate) const BEGINNING: Self = Self(0);
}
