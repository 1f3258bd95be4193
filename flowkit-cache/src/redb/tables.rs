//! The tables: entries, their places, the orders of expiry and of last use, and how much there is of all. A transaction keeps them in line.

use std::collections::{HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use redb::{
    Database, Error, ReadableDatabase, ReadableTable, Table, TableDefinition, TableError, WriteTransaction,
};

use crate::entry::micros;
use crate::key::CacheKey;
use crate::record::{Record, in_order, ordered};
use crate::store::{Listed, StoreStats, SweepBudget};

const ENTRIES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("entries");
/// For each key its last use, its expiry (0: never), and its size.
const PLACES: TableDefinition<'_, &[u8; 32], (u64, u64, u64)> = TableDefinition::new("places");
const EXPIRY: TableDefinition<'_, &[u8; 40], ()> = TableDefinition::new("expiry");
const RECENCY: TableDefinition<'_, &[u8; 40], ()> = TableDefinition::new("recency");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
const COUNT: &str = "entries";
const BYTES: &str = "bytes";
const LAYOUT: &str = "layout";

/// What a transaction may do.
pub(super) enum Change {
    /// Keep a record, in place of one that is there.
    Put(CacheKey, Vec<u8>),
    Remove(CacheKey),
    /// Remove this record, unless another took its place.
    RemoveThis(CacheKey, Arc<[u8]>),
    Sweep(SweepBudget),
    Clear,
    /// Only write last uses.
    Nothing,
}

/// The tables while they are changed.
struct Tables<'t> {
    entries: Table<'t, &'static [u8; 32], &'static [u8]>,
    places: Table<'t, &'static [u8; 32], (u64, u64, u64)>,
    expiry: Table<'t, &'static [u8; 40], ()>,
    recency: Table<'t, &'static [u8; 40], ()>,
    numbers: Table<'t, &'static str, u64>,
    stats: StoreStats,
    /// Files that no record names any more.
    doomed: Vec<String>,
}

/// Makes the changes, all or none, and returns when they are on the disk. Gives what each removed, and the files to be unlinked.
pub(super) fn write(
    database: &Database,
    used: &HashMap<CacheKey, u64>,
    changes: Vec<Change>,
) -> Result<(Vec<u64>, Vec<String>), Error> {
    let transaction = database.begin_write()?;
    let mut counts = Vec::with_capacity(changes.len());
    let doomed = {
        let mut tables = Tables::open(&transaction)?;
        for (key, used) in used {
            tables.note_use(key, *used)?;
        }
        for change in changes {
            counts.push(tables.make(change)?);
        }
        tables.close()?
    };
    transaction.commit()?;
    Ok((counts, doomed))
}

/// The record of a key.
pub(super) fn record(database: &Database, key: &CacheKey) -> Result<Option<Arc<[u8]>>, Error> {
    let transaction = database.begin_read()?;
    let entries = transaction.open_table(ENTRIES)?;
    let record = ReadableTable::get(&entries, key.as_bytes())?;
    Ok(record.map(|record| Arc::from(record.value())))
}

/// Entries after a key, at most so many.
pub(super) fn list(
    database: &Database,
    after: Option<&CacheKey>,
    limit: usize,
) -> Result<Vec<Listed>, Error> {
    let transaction = database.begin_read()?;
    let entries = transaction.open_table(ENTRIES)?;
    let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_bytes()));
    let mut listed = Vec::new();
    for found in entries.range::<&[u8; 32]>((from, Bound::Unbounded))?.take(limit) {
        let (key, record) = found?;
        let key = CacheKey::from_bytes(*key.value());
        listed.push(match Record::read(record.value()) {
            Some(record) => record.listed(key),
            None => Listed {
                key,
                bytes: 0,
                created: UNIX_EPOCH,
                expires: None,
            },
        });
    }
    Ok(listed)
}

pub(super) fn stats(database: &Database) -> Result<StoreStats, Error> {
    let transaction = database.begin_read()?;
    let numbers = transaction.open_table(NUMBERS)?;
    read_stats(&numbers)
}

fn read_stats(numbers: &impl ReadableTable<&'static str, u64>) -> Result<StoreStats, Error> {
    let number = |name| Ok::<_, Error>(numbers.get(name)?.map_or(0, |number| number.value()));
    Ok(StoreStats {
        entries: number(COUNT)?,
        bytes: number(BYTES)?,
    })
}

/// The layout of the tables; makes them, of the layout given, if there are none.
pub(super) fn layout(database: &Database, ours: u64) -> Result<u64, Error> {
    match database.begin_read()?.open_table(NUMBERS) {
        Ok(numbers) => Ok(ReadableTable::get(&numbers, LAYOUT)?.map_or(ours, |layout| layout.value())),
        Err(TableError::TableDoesNotExist(_)) => {
            let transaction = database.begin_write()?;
            let layout = {
                let mut tables = Tables::open(&transaction)?;
                // Another process may have been faster.
                let there = tables.numbers.get(LAYOUT)?.map(|layout| layout.value());
                if there.is_none() {
                    tables.numbers.insert(LAYOUT, ours)?;
                }
                there.unwrap_or(ours)
            };
            transaction.commit()?;
            Ok(layout)
        }
        Err(error) => Err(error.into()),
    }
}

/// The files that records name.
pub(super) fn objects(database: &Database) -> Result<HashSet<String>, Error> {
    let transaction = database.begin_read()?;
    let entries = transaction.open_table(ENTRIES)?;
    let mut objects = HashSet::new();
    for entry in entries.iter()? {
        objects.extend(object(entry?.1.value()));
    }
    Ok(objects)
}

fn object(record: &[u8]) -> Option<String> {
    Record::read(record)
        .and_then(|record| record.object())
        .map(str::to_owned)
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, Error> {
        let numbers = transaction.open_table(NUMBERS)?;
        let stats = read_stats(&numbers)?;
        Ok(Self {
            entries: transaction.open_table(ENTRIES)?,
            places: transaction.open_table(PLACES)?,
            expiry: transaction.open_table(EXPIRY)?,
            recency: transaction.open_table(RECENCY)?,
            numbers,
            stats,
            doomed: Vec::new(),
        })
    }

    fn close(mut self) -> Result<Vec<String>, Error> {
        self.numbers.insert(COUNT, self.stats.entries)?;
        self.numbers.insert(BYTES, self.stats.bytes)?;
        Ok(self.doomed)
    }

    /// Makes a change; gives how many entries it removed.
    fn make(&mut self, change: Change) -> Result<u64, Error> {
        match change {
            Change::Put(key, record) => self.put(&key, &record).map(|()| 0),
            Change::Remove(key) => self.remove(&key).map(u64::from),
            Change::RemoveThis(key, record) => {
                let there = self
                    .entries
                    .get(key.as_bytes())?
                    .is_some_and(|there| there.value() == &*record);
                Ok(u64::from(there && self.remove(&key)?))
            }
            Change::Sweep(budget) => self.sweep(&budget),
            Change::Clear => {
                let mut cleared = 0;
                while let Some(key) = self.any_key()? {
                    cleared += u64::from(self.remove(&key)?);
                }
                Ok(cleared)
            }
            Change::Nothing => Ok(0),
        }
    }

    fn any_key(&self) -> Result<Option<CacheKey>, Error> {
        let first = self.entries.first()?;
        Ok(first.map(|(key, _)| CacheKey::from_bytes(*key.value())))
    }

    fn put(&mut self, key: &CacheKey, record: &[u8]) -> Result<(), Error> {
        self.remove(key)?;
        let Some(read) = Record::read(record) else {
            return Ok(());
        };
        self.entries.insert(key.as_bytes(), record)?;
        self.places
            .insert(key.as_bytes(), (read.created, read.expires, read.size))?;
        self.recency.insert(&ordered(read.created, key), ())?;
        if read.expires > 0 {
            self.expiry.insert(&ordered(read.expires, key), ())?;
        }
        self.stats.entries += 1;
        self.stats.bytes = self.stats.bytes.saturating_add(read.size);
        Ok(())
    }

    fn remove(&mut self, key: &CacheKey) -> Result<bool, Error> {
        let Some(object) = self
            .entries
            .remove(key.as_bytes())?
            .map(|record| object(record.value()))
        else {
            return Ok(false);
        };
        self.doomed.extend(object);
        let place = self.places.remove(key.as_bytes())?.map(|place| place.value());
        if let Some((used, expires, size)) = place {
            self.recency.remove(&ordered(used, key))?;
            if expires > 0 {
                self.expiry.remove(&ordered(expires, key))?;
            }
            self.stats.bytes = self.stats.bytes.saturating_sub(size);
        }
        self.stats.entries = self.stats.entries.saturating_sub(1);
        Ok(true)
    }

    fn note_use(&mut self, key: &CacheKey, now: u64) -> Result<(), Error> {
        let place = self.places.get(key.as_bytes())?.map(|place| place.value());
        if let Some((used, expires, size)) = place
            && used < now
        {
            self.places.insert(key.as_bytes(), (now, expires, size))?;
            self.recency.remove(&ordered(used, key))?;
            self.recency.insert(&ordered(now, key), ())?;
        }
        Ok(())
    }

    fn sweep(&mut self, budget: &SweepBudget) -> Result<u64, Error> {
        let mut removed = 0;
        while removed < budget.entries as u64
            && let Some(at) = self.next_to_go(budget)?
        {
            match in_order(&at) {
                Some((_, key)) if self.remove(&key)? => removed += 1,
                // In an order and nowhere else: that cannot be, and must not hold up the others.
                _ => {
                    self.expiry.remove(&at)?;
                    self.recency.remove(&at)?;
                }
            }
        }
        Ok(removed)
    }

    /// The next entry to go: one that has expired, else one that is surplus.
    fn next_to_go(&self, budget: &SweepBudget) -> Result<Option<[u8; 40]>, Error> {
        let first = self.expiry.first()?.map(|(at, _)| *at.value());
        let now = micros(budget.now);
        if let Some(at) = first
            && in_order(&at).is_some_and(|(expires, _)| expires <= now)
        {
            return Ok(Some(at));
        }
        if self.stats.bytes > budget.max_bytes {
            return Ok(self.recency.first()?.map(|(at, _)| *at.value()));
        }
        Ok(None)
    }
}
