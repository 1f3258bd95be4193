//! What this life of a flow run, and the subflows in it, did that the lives before it know nothing of.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flowkit_journal::record::{Digest, Effect};

use super::replay::Found;

/// What this life did, by the places of the calls.
#[derive(Debug, Default)]
pub(crate) struct ThisLife(Mutex<Done>);

#[derive(Debug, Default)]
struct Done {
    /// The effects that began, in all attempts of the flow runs.
    effects: HashMap<Digest, Found>,
    /// What was rolled back: whatever is known of it, it may be done again.
    undone: HashSet<Digest>,
    /// Effects of an earlier life that a call took for its own, which is at another place since the program changed.
    taken: HashSet<Digest>,
    /// The calls with an effect that were made, and were given secrets.
    made: HashSet<Digest>,
}

impl ThisLife {
    fn lock(&self) -> MutexGuard<'_, Done> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the effect of the call at this place went, if it began in this life.
    pub(crate) fn effect(&self, place: &Digest) -> Option<Found> {
        self.lock().effects.get(place).copied()
    }

    /// Notes what is known of an effect.
    pub(crate) fn note_effect(&self, place: Digest, found: Found) {
        let mut done = self.lock();
        match found.effect {
            Effect::Intended | Effect::Happened => drop(done.effects.insert(place, found)),
            Effect::None | Effect::Failed | Effect::Undoing => drop(done.effects.remove(&place)),
        }
    }

    /// Notes that nobody knows whether the effect of the call at this place stands: it is being undone, or what undoes it failed. Also of one of which only an
    /// earlier life knew. Gives what was known of it in this one.
    pub(crate) fn doubt(&self, place: Digest, found: Found) -> Option<Found> {
        self.lock().effects.insert(place, found)
    }

    /// Notes that what was to be undone was not, and stands: what was known of it counts again.
    pub(crate) fn stands(&self, place: Digest, known: Option<Found>) {
        let mut done = self.lock();
        match known {
            Some(known) => drop(done.effects.insert(place, known)),
            None => drop(done.effects.remove(&place)),
        }
    }

    /// Notes that the call at this place was rolled back.
    pub(crate) fn undo(&self, place: Digest) {
        if cfg!(flowkit_fault = "undone-and-forgotten") {
            return;
        }
        let mut done = self.lock();
        done.effects.remove(&place);
        done.undone.insert(place);
    }

    /// Whether the call at this place was rolled back.
    pub(crate) fn is_undone(&self, place: &Digest) -> bool {
        self.lock().undone.contains(place)
    }

    /// Notes that a call with an effect, which was given secrets, was made.
    pub(crate) fn note_made(&self, place: Digest) {
        self.lock().made.insert(place);
    }

    /// Whether it was.
    pub(crate) fn is_made(&self, place: &Digest) -> bool {
        self.lock().made.contains(place)
    }

    /// Takes the effect at a place of an earlier life, once.
    pub(crate) fn take(&self, place: Digest) -> bool {
        self.lock().taken.insert(place)
    }
}
