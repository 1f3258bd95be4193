//! How fast requests may follow each other.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// No clock is asked for a time further away than this.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Turns that are so far apart, whoever takes them.
#[derive(Debug)]
pub(super) struct Pace {
    spacing: Duration,
    /// When the next turn is; now, if nobody took one yet.
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// So many turns in a time, evenly.
    pub(super) fn new(turns: u32, per: Duration) -> Self {
        Self {
            spacing: (per / turns.max(1)).min(LONGEST),
            next: Mutex::new(None),
        }
    }

    /// Waits for the next turn that nobody has taken. Who goes before it came has had it.
    pub(super) async fn turn(&self) {
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let turn = next.map_or(now, |next| next.max(now));
            *next = Some(turn + self.spacing);
            turn
        };
        sleep_until(turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_are_apart_whoever_takes_them_and_none_are_saved_up() {
        let pace = Pace::new(10, Duration::from_secs(1));
        let began = Instant::now();
        let tenths = |at: Instant| (at - began).as_millis() / 100;
        let turn = async || {
            pace.turn().await;
            tenths(Instant::now())
        };
        assert_eq!(tokio::join!(turn(), turn(), turn()), (0, 1, 2));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(tokio::join!(turn(), turn()), (12, 13));
        let never = Pace::new(0, Duration::MAX);
        never.turn().await;
        let again = tokio::time::timeout(Duration::from_secs(1_000), never.turn());
        assert!(again.await.is_err());
        assert!(
            tokio::time::timeout(Duration::from_secs(1_000), never.turn())
                .await
                .is_err()
        );
    }
}
