//! What becomes of alerts, for what depends on it: whether the same is told again, and whether that it is well again is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::record::Outcome;

/// What becomes of an alert that was sent on its way. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Fate(Arc<Mutex<Outcome>>);

impl Default for Fate {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Outcome::Waiting)))
    }
}

impl Fate {
    pub(super) fn follows(&self, outcome: Outcome) {
        *self.lock() = outcome;
    }

    /// Whether it came to nothing: nobody heard of it, or will.
    pub(super) fn is_lost(&self) -> bool {
        matches!(*self.lock(), Outcome::HeldBack | Outcome::Undelivered)
    }

    fn is_open(&self) -> bool {
        *self.lock() == Outcome::Waiting
    }

    fn lock(&self) -> MutexGuard<'_, Outcome> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was told of the same before on a channel, since it is wrong. What is on its way still is remembered until it is known what became of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Before {
    /// Whether the channel took any of it.
    heard: bool,
    /// How often it was found and not told, after what was taken last.
    untold: u64,
    /// What is on its way, the first one first, and how often the same was found after it.
    open: VecDeque<(Fate, u64)>,
}

impl Before {
    /// After it was told once more, and then found so often.
    pub(super) fn then(mut self, fate: Fate, since: u64) -> Self {
        self.open.push_back((fate, since));
        self.settle();
        self
    }

    /// It was not told so often at least.
    pub(super) fn at_least(mut self, untold: u64) -> Self {
        self.untold = self.untold.max(untold);
        self
    }

    /// Without the last finding, which is the one that is told now.
    pub(super) fn but_one(mut self) -> Self {
        self.untold = self.untold.saturating_sub(1);
        self
    }

    /// Whether somebody heard of it, or may yet.
    pub(super) fn is_heard_of(&mut self) -> bool {
        self.settle();
        self.heard || !self.open.is_empty()
    }

    /// How often it was found and not told, if what is on its way comes through.
    pub(super) fn untold(&mut self) -> u64 {
        self.settle();
        self.open.back().map_or(self.untold, |(_, since)| *since)
    }

    fn settle(&mut self) {
        while let Some((fate, since)) = self.open.front()
            && !fate.is_open()
        {
            match fate.is_lost() {
                true => self.untold += 1 + since,
                false => (self.heard, self.untold) = (true, *since),
            }
            self.open.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_it_was_heard_of_and_how_often_not_is_known_when_all_has_come_to_its_end() {
        let (first, second) = (Fate::default(), Fate::default());
        let mut before = Before::default().then(first.clone(), 2).then(second.clone(), 3);
        assert_eq!((before.is_heard_of(), before.untold()), (true, 3));
        second.follows(Outcome::HeldBack);
        first.follows(Outcome::Undelivered);
        assert_eq!((before.is_heard_of(), before.untold()), (false, 7));

        let third = Fate::default();
        let mut before = before.then(third.clone(), 1);
        third.follows(Outcome::Delivered);
        assert_eq!((before.is_heard_of(), before.untold()), (true, 1));
    }
}
