//! How much an attempt may still log, and whether this thread is appending to a journal.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

/// What the attempts of one run have logged.
#[derive(Debug, Default)]
pub(crate) struct Logged(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    attempt: u32,
    bytes: usize,
    cut: bool,
}

/// How much of a line is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// All of it.
    Whole,
    /// So many bytes, and after it the mark.
    Cut(usize),
    /// Nothing: the mark is there already.
    None,
}

impl Logged {
    /// Counts a line of this size that an attempt logged, where an attempt may log so much. What an attempt that was given up logs late counts as
    /// the later one's.
    pub(crate) fn count(&self, attempt: u32, bytes: usize, most: usize) -> Room {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if attempt > counted.attempt {
            *counted = Counted {
                attempt,
                ..Counted::default()
            };
        }
        if counted.cut {
            return Room::None;
        }
        let left = most.saturating_sub(counted.bytes);
        if bytes <= left {
            counted.bytes += bytes;
            return Room::Whole;
        }
        counted.cut = true;
        Room::Cut(left)
    }
}

thread_local! {
    static APPENDING: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, this thread is appending to a journal: what is logged meanwhile is about that, and must not be appended.
pub(crate) struct Appending {
    before: bool,
}

impl Appending {
    pub(crate) fn begin() -> Self {
        let before = APPENDING.try_with(|appending| appending.replace(true));
        Self {
            before: before.unwrap_or(true),
        }
    }

    /// Whether this thread is. One that is ending counts as if it were.
    pub(crate) fn is_going_on() -> bool {
        APPENDING.try_with(Cell::get).unwrap_or(true)
    }
}

impl Drop for Appending {
    fn drop(&mut self) {
        // A thread that is ending appends nothing more.
        let _ = APPENDING.try_with(|appending| appending.set(self.before));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_cut_once_and_the_next_one_begins_anew() {
        let logged = Logged::default();
        assert_eq!(logged.count(1, 6, 10), Room::Whole);
        assert_eq!(logged.count(1, 6, 10), Room::Cut(4));
        assert_eq!(logged.count(1, 1, 10), Room::None);
        assert_eq!(logged.count(2, 10, 10), Room::Whole);
        assert_eq!(logged.count(1, 1, 10), Room::Cut(0));
        assert_eq!(logged.count(2, 1, 10), Room::None);
    }
}
