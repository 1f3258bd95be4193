//! The orders of expiry and of last use: hints that follow the entries, and are never believed unseen.
//!
//! A put changes nothing but its entry, and a hit changes nothing at all. Both note the key in the queue, and settling a
//! key brings its hints in line with its entry as it is by then; the flusher settles the queue
//! twice a second, and a sweep before it sweeps. An entry was last used when it was made, unless `uses` has a later time. New hints are written
//! before old ones are taken away, so a crash leaves no entry of a settled turn without its hints. A hint that outlived what it
//! was written for is dropped by the sweep that meets it.
//!
//! Plain inserts, no transactions and no batches: those lock every sled tree of the process while they run.

use std::sync::{Mutex, PoisonError};

use sled::{IVec, Tree};

use super::queue::{Before, Note, Noted, Queue, Turn};
use super::sled_error;
use crate::key::CacheKey;
use crate::record::{Record, in_order, ordered};
use crate::store::StoreError;

/// Where it is written which turn was settled last.
const SETTLED: &str = "settled";

/// Where a key is in the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    used: u64,
    /// 0 means in no order of expiry.
    expires: u64,
}

/// The one of the two orders that a hint is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Expiry,
    LastUse,
}

/// A key that may have to go.
#[derive(Debug)]
pub(super) struct Hint {
    pub(super) key: CacheKey,
    order: Order,
    at: u64,
}

impl Hint {
    fn read(order: Order, bytes: &[u8]) -> Option<Self> {
        let (at, key) = in_order(bytes)?;
        Some(Self { key, order, at })
    }

    /// Whether this is where the key still is.
    pub(super) fn stands(&self, place: Place) -> bool {
        match self.order {
            Order::Expiry => self.at == place.expires,
            Order::LastUse => self.at == place.used,
        }
    }
}

pub(super) struct Orders {
    db: sled::Db,
    entries: Tree,
    expiry: Tree,
    recency: Tree,
    /// Last uses that are later than the creation.
    uses: Tree,
    queue: Queue,
    /// Held while one key is settled.
    settling: Mutex<()>,
    /// Held while the queue is settled, so that who waits for it knows that it was.
    emptying: Mutex<()>,
}

fn failed(error: sled::Error) -> StoreError {
    sled_error("ordering the cache", error)
}

fn number(bytes: &IVec) -> u64 {
    bytes.as_ref().try_into().map_or(0, u64::from_be_bytes)
}

/// When a record was made and when it expires. What does not read as one is as old as can be, and the first to go.
fn times(record: &[u8]) -> (u64, u64) {
    Record::read(record).map_or((0, 0), |record| (record.created, record.expires))
}

impl Orders {
    /// Opens the orders, and settles the entries that a crash kept from being settled. `look` sees every record.
    pub(super) fn open(
        db: &sled::Db,
        entries: Tree,
        mut look: impl FnMut(&[u8]),
    ) -> Result<Self, sled::Error> {
        let settled = db.get(SETTLED)?.map_or(0, |turn| number(&turn));
        let mut orders = Self {
            db: db.clone(),
            entries,
            expiry: db.open_tree("expiry")?,
            recency: db.open_tree("recency")?,
            uses: db.open_tree("uses")?,
            queue: Queue::new(settled + 1),
            settling: Mutex::default(),
            emptying: Mutex::default(),
        };
        let last = orders.repair(settled, &mut look)?;
        db.insert(SETTLED, &last.to_be_bytes())?;
        orders.queue = Queue::new(last + 1);
        Ok(orders)
    }

    /// Gives the last turn of any record. Entries and uses are both in the order of keys, so one walk finds the uses of entries
    /// that are gone.
    fn repair(&self, settled: u64, look: &mut impl FnMut(&[u8])) -> Result<u64, sled::Error> {
        let (mut last, mut unsettled, mut unused) = (settled, Vec::new(), Vec::new());
        let mut uses = self.uses.iter().peekable();
        for entry in &self.entries {
            let (key, record) = entry?;
            look(&record);
            while let Some(gone) = uses.next_if(|used| used.as_ref().map_or(true, |(at, _)| *at < key)) {
                unused.push(gone?.0);
            }
            uses.next_if(|used| used.as_ref().is_ok_and(|(at, _)| *at == key));
            let turn = Record::read(&record).map_or(settled, |record| record.turn);
            if turn > settled {
                last = last.max(turn);
                unsettled.push(key);
            }
        }
        for gone in uses {
            unused.push(gone?.0);
        }
        for key in unused {
            self.uses.remove(key)?;
        }
        let note = Note {
            used: 0,
            before: Before::Nothing,
        };
        for key in unsettled.iter().filter_map(|key| key.as_ref().try_into().ok()) {
            self.try_settle(&CacheKey::from_bytes(key), note)?;
        }
        Ok(last)
    }

    /// The turn of the change that begins now. Hold it until the change is noted.
    pub(super) fn turn(&self) -> Turn<'_> {
        self.queue.turn()
    }

    /// Notes that an entry was put or removed, and what was there before. Says whether the flusher should be woken.
    pub(super) fn note_change(
        &self,
        _turn: &Turn<'_>,
        key: &CacheKey,
        used: u64,
        replaced: Option<&[u8]>,
    ) -> Result<bool, StoreError> {
        let before = Before::replaced(replaced);
        let note = Note { used, before };
        match self.queue.note(key, note) {
            Noted::Waits => Ok(false),
            Noted::Wake => Ok(true),
            Noted::Full => self.settle(key, note).map(|()| false),
        }
    }

    /// Notes that an entry was used. If more entries are used at once than can wait, which of them was last is not known.
    pub(super) fn note_use(&self, key: &CacheKey, used: u64) {
        let before = Before::Same;
        self.queue.note(key, Note { used, before });
    }

    /// Settles every key that was noted before, and gives how many they were.
    pub(super) fn settle_queue(&self) -> Result<usize, StoreError> {
        let _emptying = self.emptying.lock().unwrap_or_else(PoisonError::into_inner);
        let (turn, mut notes) = self.queue.take();
        // In the order of the trees, so that neighbours share pages.
        notes.sort_unstable_by_key(|(key, _)| *key);
        for (done, (key, note)) in notes.iter().enumerate() {
            if let Err(error) = self.settle(key, *note) {
                self.queue.put_back(notes.get(done..).unwrap_or_default());
                return Err(error);
            }
        }
        if !notes.is_empty() {
            self.db.insert(SETTLED, &turn.to_be_bytes()).map_err(failed)?;
        }
        Ok(notes.len())
    }

    /// Brings the hints of a key in line with its entry.
    fn settle(&self, key: &CacheKey, note: Note) -> Result<(), StoreError> {
        let _settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        match self.try_settle(key, note) {
            // A damaged page costs its entries, not the order of the others.
            Err(sled::Error::Corruption { .. }) => Ok(()),
            settled => settled.map_err(failed),
        }
    }

    fn try_settle(&self, key: &CacheKey, note: Note) -> Result<(), sled::Error> {
        let record = self.entries.get(key.as_bytes())?;
        let last = self.uses.get(key.as_bytes())?.map_or(0, |used| number(&used));
        let before = match (note.before, &record) {
            (Before::Nothing, _) | (Before::Same, None) => None,
            (Before::Same, Some(record)) => Some(times(record)),
            (Before::Was { created, expires }, _) => Some((created, expires)),
        };
        let before = before.map(|(created, expires)| Place {
            used: created.max(last),
            expires,
        });
        let now = record.as_deref().map(times).map(|(created, expires)| Place {
            used: created.max(last).max(note.used),
            expires,
        });
        if let Some(now) = now {
            self.enter(key, before, now)?;
            if now.used > last && record.as_deref().is_some_and(|record| now.used > times(record).0) {
                self.uses.insert(key.as_bytes(), &now.used.to_be_bytes())?;
            }
        }
        self.leave(key, before, now)?;
        if now.is_none() && last > 0 {
            self.uses.remove(key.as_bytes())?;
        }
        Ok(())
    }

    /// Writes the hints of the place now that are none of the place before.
    fn enter(&self, key: &CacheKey, before: Option<Place>, now: Place) -> Result<(), sled::Error> {
        if before.is_none_or(|before| before.used != now.used) {
            self.recency.insert(ordered(now.used, key), &[])?;
        }
        if now.expires > 0 && before.is_none_or(|before| before.expires != now.expires) {
            self.expiry.insert(ordered(now.expires, key), &[])?;
        }
        Ok(())
    }

    /// Takes away the hints of the place before that are none of the place now.
    fn leave(&self, key: &CacheKey, before: Option<Place>, now: Option<Place>) -> Result<(), sled::Error> {
        let Some(before) = before else { return Ok(()) };
        if now.is_none_or(|now| now.used != before.used) {
            self.recency.remove(ordered(before.used, key))?;
        }
        if before.expires > 0 && now.is_none_or(|now| now.expires != before.expires) {
            self.expiry.remove(ordered(before.expires, key))?;
        }
        Ok(())
    }

    /// The first in an order, if that is by then.
    pub(super) fn first(&self, order: Order, by: u64) -> Result<Option<Hint>, StoreError> {
        while let Some((bytes, _)) = self.tree(order).first().map_err(failed)? {
            if let Some(hint) = Hint::read(order, &bytes) {
                return Ok(Some(hint).filter(|hint| hint.at <= by));
            }
            self.tree(order).remove(&bytes).map_err(failed)?;
        }
        Ok(None)
    }

    /// The entry that a hint is about, if the hint stands.
    pub(super) fn entry_of(&self, hint: &Hint) -> Result<Option<(IVec, Place)>, StoreError> {
        match self.entries.get(hint.key.as_bytes()) {
            Err(sled::Error::Corruption { .. }) | Ok(None) => Ok(None),
            Err(error) => Err(failed(error)),
            Ok(Some(record)) => {
                let (created, expires) = times(&record);
                let last = self.uses.get(hint.key.as_bytes()).map_err(failed)?;
                let used = created.max(last.map_or(0, |used| number(&used)));
                let place = Place { used, expires };
                Ok(hint.stands(place).then_some((record, place)))
            }
        }
    }

    /// Drops a hint that does not stand.
    pub(super) fn drop_hint(&self, hint: &Hint) -> Result<(), StoreError> {
        let dropped = self.tree(hint.order).remove(ordered(hint.at, &hint.key));
        dropped.map(drop).map_err(failed)
    }

    /// Drops what is left of an entry that was at this place.
    pub(super) fn drop_place(&self, key: &CacheKey, place: Place) -> Result<(), StoreError> {
        self.leave(key, Some(place), None).map_err(failed)?;
        self.uses.remove(key.as_bytes()).map(drop).map_err(failed)
    }

    fn tree(&self, order: Order) -> &Tree {
        match order {
            Order::Expiry => &self.expiry,
            Order::LastUse => &self.recency,
        }
    }
}
