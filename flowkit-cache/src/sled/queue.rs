//! The keys whose hints are not in line with their entries yet: a queue in memory, settled in turns.
//!
//! Every record says in which turn it was put. When all keys of a turn are settled, that is written down, so that opening
//! knows which records a crash kept from being settled: those of a later turn.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use crate::key::CacheKey;
use crate::record::Record;

/// Whenever so many more keys wait, the flusher is woken to settle them.
const WAKE: usize = 1024;
/// No more keys than this wait. Beyond it a put settles its own key, and a hit goes unnoted.
const BOUND: usize = 8 * 1024;

/// The record whose hints a key still has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// The one that is there.
    Same,
    /// None: the key was not there.
    Nothing,
    /// Another one, of this creation and expiry.
    Was { created: u64, expires: u64 },
}

impl Before {
    /// What to note for a record that was replaced or removed.
    pub(super) fn replaced(record: Option<&[u8]>) -> Self {
        match record.map(Record::read) {
            Some(Some(record)) => Self::Was {
                created: record.created,
                expires: record.expires,
            },
            Some(None) => Self::Was {
                created: 0,
                expires: 0,
            },
            None => Self::Nothing,
        }
    }
}

/// What is known of a key that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    /// Its last use as far as it was noted.
    pub(super) used: u64,
    pub(super) before: Before,
}

impl Note {
    /// With what was noted later. Its hints are still those of before the first change.
    fn then(&mut self, later: Self) {
        self.used = self.used.max(later.used);
        if self.before == Before::Same {
            self.before = later.before;
        }
    }
}

/// Keys are digests already: eight bytes of one are as good as any hash of it.
#[derive(Default)]
struct OfDigest(u64);

impl Hasher for OfDigest {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    /// The length of the key, always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

type Notes = HashMap<CacheKey, Note, BuildHasherDefault<OfDigest>>;

/// How a note was taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// It waits.
    Waits,
    /// It waits, and so do so many others that the flusher should be woken.
    Wake,
    /// There is no room.
    Full,
}

pub(super) struct Queue {
    notes: Mutex<Notes>,
    /// Who changes an entry holds it from asking for the turn until the change is noted; who takes the notes holds it alone.
    turn: RwLock<u64>,
}

/// A turn that cannot end while this is held.
pub(super) struct Turn<'a>(RwLockReadGuard<'a, u64>);

impl Turn<'_> {
    pub(super) fn number(&self) -> u64 {
        *self.0
    }
}

impl Queue {
    pub(super) fn new(turn: u64) -> Self {
        Self {
            notes: Mutex::default(),
            turn: RwLock::new(turn),
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn turn(&self) -> Turn<'_> {
        Turn(self.turn.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn note(&self, key: &CacheKey, note: Note) -> Noted {
        let mut notes = self.notes();
        if let Some(earlier) = notes.get_mut(key) {
            earlier.then(note);
            return Noted::Waits;
        }
        if notes.len() >= BOUND {
            return Noted::Full;
        }
        notes.insert(*key, note);
        if notes.len().is_multiple_of(WAKE) {
            Noted::Wake
        } else {
            Noted::Waits
        }
    }

    /// Ends the turn: gives its number, and all that was noted.
    pub(super) fn take(&self) -> (u64, Vec<(CacheKey, Note)>) {
        let mut turn = self.turn.write().unwrap_or_else(PoisonError::into_inner);
        let notes = std::mem::take(&mut *self.notes());
        let ended = *turn;
        *turn += 1;
        (ended, notes.into_iter().collect())
    }

    /// Takes back notes that could not be settled.
    pub(super) fn put_back(&self, notes: &[(CacheKey, Note)]) {
        let mut waiting = self.notes();
        for (key, note) in notes {
            let mut earlier = *note;
            waiting
                .entry(*key)
                .and_modify(|later| {
                    earlier.then(*later);
                    *later = earlier;
                })
                .or_insert(*note);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_of;

    const fn note(used: u64, before: Before) -> Note {
        Note { used, before }
    }

    #[test]
    fn what_is_noted_twice_remembers_the_hints_of_before_the_first_change() {
        let queue = Queue::new(5);
        let (key, was) = (
            key_of("k").unwrap(),
            Before::Was {
                created: 1,
                expires: 2,
            },
        );
        assert_eq!(queue.note(&key, note(9, Before::Same)), Noted::Waits);
        queue.note(&key, note(3, was));
        queue.note(&key, note(4, Before::Nothing));
        assert_eq!(queue.take(), (5, vec![(key, note(9, was))]));
        queue.note(&key, note(10, Before::Nothing));
        queue.put_back(&[(key, note(9, was))]);
        assert_eq!(queue.take(), (6, vec![(key, note(10, was))]));
    }

    #[test]
    fn it_asks_for_the_flusher_and_has_an_end() {
        let queue = Queue::new(0);
        let mut wakes = 0;
        for n in 0..BOUND {
            match queue.note(&key_of(&n).unwrap(), note(1, Before::Nothing)) {
                Noted::Waits => {}
                Noted::Wake => wakes += 1,
                Noted::Full => panic!("{n} are not too many"),
            }
        }
        assert_eq!(wakes, BOUND / WAKE);
        assert_eq!(
            queue.note(&key_of("one more").unwrap(), note(1, Before::Nothing)),
            Noted::Full
        );
    }
}
