//! How fast requests may follow each other.

use std::time::Duration;

use tokio::sync::Mutex;
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

    /// Waits for the next turn, one after the other. Who goes before it came leaves it to others.
    pub(super) async fn turn(&self) {
        let mut next = self.next.lock().await;
        let now = Instant::now();
        let turn = next.map_or(now, |next| next.max(now));
        sleep_until(turn).await;
        *next = Some(turn + self.spacing);
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

    #[tokio::test(start_paused = true)]
    async fn a_turn_of_which_somebody_did_not_wait_for_the_end_is_left_to_others() {
        let pace = Pace::new(500, Duration::from_secs(24 * 60 * 60));
        pace.turn().await;
        let mut given_up = 0;
        while tokio::time::timeout(Duration::from_secs(60), pace.turn())
            .await
            .is_err()
        {
            given_up += 1;
            assert!(given_up < 10, "it comes never");
        }
        assert_eq!(given_up, 2, "a turn is 172.8 seconds after the one before");
    }
}
