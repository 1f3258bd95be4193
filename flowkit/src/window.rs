//! Counting over a sliding window of time, in tenths: what is older than the window is forgotten a tenth at a time, so that the
//! memory does not grow with what is counted. Pure: whoever counts says what time it is.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How many slices a window has. It covers the current slice, which is not over yet, and the nine before it.
const SLICES: u32 = 10;

/// Counts of the kind `C`, one for each slice.
#[derive(Debug)]
pub(crate) struct Window<C> {
    slice: Duration,
    /// When the first slice began.
    began: Option<Instant>,
    /// The number of the current slice.
    index: u128,
    current: C,
    /// The slices before it that still count, with their numbers, the oldest first. Empty ones are not kept.
    past: VecDeque<(u128, C)>,
}

impl<C: Default> Window<C> {
    pub(crate) fn new(window: Duration) -> Self {
        Self {
            slice: (window / SLICES).max(Duration::from_nanos(1)),
            began: None,
            index: 0,
            current: C::default(),
            past: VecDeque::new(),
        }
    }

    /// The counts of the slice that `now` falls into. A time that lies before an earlier call's counts as that one's.
    pub(crate) fn at(&mut self, now: Instant) -> &mut C {
        let began = *self.began.get_or_insert(now);
        let index = now.saturating_duration_since(began).as_nanos() / self.slice.as_nanos();
        if index > self.index {
            self.past
                .push_back((self.index, std::mem::take(&mut self.current)));
            self.index = index;
            let oldest = (index + 1).saturating_sub(u128::from(SLICES));
            while self.past.front().is_some_and(|(index, _)| *index < oldest) {
                self.past.pop_front();
            }
        }
        &mut self.current
    }

    /// All counts that were in the window when it was last asked for a slice.
    pub(crate) fn counts(&self) -> impl Iterator<Item = &C> {
        self.past
            .iter()
            .map(|(_, counts)| counts)
            .chain(std::iter::once(&self.current))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn total(window: &Window<u64>) -> u64 {
        window.counts().sum()
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten_a_tenth_at_a_time() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut window = Window::<u64>::new(Duration::from_secs(1));
        *window.at(start) += 1;
        *window.at(after(150)) += 2;
        *window.at(after(999)) += 4;
        assert_eq!(total(&window), 7);
        window.at(after(1_000));
        assert_eq!(total(&window), 6);
        window.at(after(1_100));
        assert_eq!(total(&window), 4);
        window.at(after(60_000));
        assert_eq!(total(&window), 0);
    }

    #[test]
    fn a_clock_that_steps_back_loses_nothing() {
        let start = Instant::now() + Duration::from_secs(100);
        let mut window = Window::<u64>::new(Duration::from_secs(1));
        *window.at(start) += 1;
        *window.at(start + Duration::from_millis(500)) += 1;
        *window.at(start + Duration::from_millis(100)) += 1;
        *window.at(start - Duration::from_secs(50)) += 1;
        assert_eq!(total(&window), 4);
        assert_eq!(window.counts().count(), 2, "two slices, however it steps");
        window.at(start + Duration::from_millis(1_499));
        assert_eq!(total(&window), 3, "what came late counts as the last before it");
        window.at(start + Duration::from_millis(1_500));
        assert_eq!(total(&window), 0);
    }

    proptest! {
        #[test]
        fn it_counts_what_a_list_of_everything_counts(
            millis in 1u64..5_000,
            steps in proptest::collection::vec((0u64..1_000, 0u64..5), 1..100)
        ) {
            let start = Instant::now();
            let mut window = Window::<u64>::new(Duration::from_millis(millis));
            window.at(start);
            let mut everything = Vec::new();
            let mut elapsed = Duration::ZERO;
            for (gap, count) in steps {
                elapsed += Duration::from_millis(gap);
                *window.at(start + elapsed) += count;
                let slice = elapsed.as_nanos() / (Duration::from_millis(millis) / 10).as_nanos();
                everything.push((slice, count));
                let expected: u64 = everything.iter().filter(|(of, _)| of + 10 > slice).map(|(_, count)| count).sum();
                prop_assert_eq!(total(&window), expected);
                prop_assert!(window.counts().count() <= 10);
            }
        }
    }
}
