//! Sets of keys, which are the values of some columns: numbers themselves, and of others a digest of 128 bits each.

use std::fmt;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::{DataType, Schema};
use futures::StreamExt;
use hashbrown::{HashMap, HashTable};
use twox_hash::XxHash3_128;

use crate::error::{Error, ErrorKind, Result};
use crate::stream::{BatchStream, columns};

/// The keys of rows.
///
/// A key of one column of numbers, days or times is kept as it is, and 64 of them that follow each other without a gap take 20 to 40 bytes together; a number far from all others takes that for
/// itself. All other keys are told apart by 128 bits of a hash, and take 20 to 40 bytes each, however long they are.
#[derive(Clone, Default)]
pub struct KeySet {
    numbers: Numbers,
    digests: Digests,
    /// Whether a number is missing, which is a key, too.
    missing: bool,
    /// Of what types the keys are: those of others are other keys.
    types: Vec<DataType>,
}

/// A key in a set.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key {
    Number(u64),
    Digest(u128),
    Missing,
}

impl KeySet {
    /// The values that these columns have in a stream.
    ///
    /// # Errors
    /// The stream's error, or that there are no such columns, or that none is named.
    pub async fn collect<C: Into<String>>(
        mut stream: BatchStream,
        columns: impl IntoIterator<Item = C>,
    ) -> Result<Self> {
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        let mut keys = Keys::new(stream.schema(), &columns)?;
        let mut set = Self {
            types: keys.types(stream.schema()),
            ..Self::default()
        };
        while let Some(batch) = stream.next().await {
            keys.each(&batch?, |_, key| {
                set.insert(key);
            })?;
        }
        Ok(set)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.numbers.len + self.digests.len() + usize::from(self.missing)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn types(&self) -> &[DataType] {
        &self.types
    }

    pub(crate) fn contains(&self, key: Key) -> bool {
        match key {
            Key::Number(number) => self.numbers.contains(number),
            Key::Digest(digest) => self.digests.contains(digest),
            Key::Missing => self.missing,
        }
    }

    /// Whether it was not there before.
    pub(crate) fn insert(&mut self, key: Key) -> bool {
        match key {
            Key::Number(number) => self.numbers.insert(number),
            Key::Digest(digest) => self.digests.insert(digest),
            Key::Missing => !std::mem::replace(&mut self.missing, true),
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("len", &self.len()).finish()
    }
}

/// Numbers, 64 neighbours an entry: keys are often counted through.
#[derive(Clone, Default)]
struct Numbers {
    /// By what 64 numbers have in common, which of them are there.
    neighbours: HashMap<u64, u64>,
    len: usize,
}

impl Numbers {
    fn contains(&self, number: u64) -> bool {
        let there = self.neighbours.get(&(number / 64));
        there.is_some_and(|there| there & (1 << (number % 64)) != 0)
    }

    fn insert(&mut self, number: u64) -> bool {
        let there = self.neighbours.entry(number / 64).or_default();
        let is_new = *there & (1 << (number % 64)) == 0;
        *there |= 1 << (number % 64);
        self.len += usize::from(is_new);
        is_new
    }
}

/// In how many tables digests are. While a table grows, it is there twice: so it is a small part that is.
const TABLES: usize = 16;

/// Digests, which are their own hashes.
#[derive(Clone, Default)]
struct Digests([HashTable<u128>; TABLES]);

impl Digests {
    /// The hash within a table, and which table: other bits decide about each.
    fn place(digest: u128) -> (u64, usize) {
        (digest as u64, (digest >> 124) as usize % TABLES)
    }

    fn len(&self) -> usize {
        self.0.iter().map(HashTable::len).sum()
    }

    fn contains(&self, digest: u128) -> bool {
        let (hash, table) = Self::place(digest);
        let found = self
            .0
            .get(table)
            .and_then(|table| table.find(hash, |other| *other == digest));
        found.is_some()
    }

    fn insert(&mut self, digest: u128) -> bool {
        let (hash, table) = Self::place(digest);
        let Some(table) = self.0.get_mut(table) else {
            return false;
        };
        let entry = table.entry(hash, |other| *other == digest, |other| *other as u64);
        let is_new = matches!(entry, hashbrown::hash_table::Entry::Vacant(_));
        entry.or_insert(digest);
        is_new
    }
}

/// How keys are made of rows. Equal values of one type are equal keys, whichever stream they are from.
pub(crate) struct Keys {
    at: Vec<usize>,
    rows: Option<(RowConverter, Rows)>,
}

impl Keys {
    pub(crate) fn new(schema: &Schema, of: &[String]) -> Result<Self> {
        if of.is_empty() {
            let message = "keys are the values of columns: name one at least";
            return Err(Error::new(ErrorKind::Options, message));
        }
        let at: Vec<usize> = of
            .iter()
            .map(|name| column_at(schema, name))
            .collect::<Result<_>>()?;
        let types = at.iter().map(|at| schema.field(*at).data_type());
        let rows = match at.as_slice() {
            [only] if width(schema.field(*only).data_type()).is_some() => None,
            _ => {
                let fields = types.cloned().map(SortField::new).collect();
                let converter = RowConverter::new(fields).map_err(no_keys)?;
                let rows = converter.empty_rows(0, 0);
                Some((converter, rows))
            }
        };
        Ok(Self { at, rows })
    }

    pub(crate) fn types(&self, schema: &Schema) -> Vec<DataType> {
        self.at
            .iter()
            .map(|at| schema.field(*at).data_type().clone())
            .collect()
    }

    /// Each row's number and key, in their order.
    pub(crate) fn each(&mut self, batch: &RecordBatch, mut each: impl FnMut(usize, Key)) -> Result<()> {
        let columns: Vec<ArrayRef> = self.at.iter().map(|at| batch.column(*at).clone()).collect();
        match (&mut self.rows, columns.as_slice()) {
            (Some((converter, rows)), columns) => {
                rows.clear();
                converter.append(rows, columns).map_err(no_keys)?;
                for (number, row) in rows.iter().enumerate() {
                    each(number, Key::Digest(XxHash3_128::oneshot(row.as_ref())));
                }
            }
            (None, [only]) => each_number(only, each),
            (None, _) => {}
        }
        Ok(())
    }

    /// Whether a row has all of its key.
    pub(crate) fn whole(&self, batch: &RecordBatch) -> impl Fn(usize) -> bool + use<> {
        let missing = self.at.iter().filter_map(|at| batch.column(*at).logical_nulls());
        let missing: Vec<_> = missing.collect();
        move |row| missing.iter().all(|missing| missing.is_valid(row))
    }
}

/// How many bytes a value has, if it is a number, a day or a time that fits into 64 bits.
fn width(data_type: &DataType) -> Option<usize> {
    let is_number = data_type.is_integer() || data_type.is_floating() || data_type.is_temporal();
    match data_type {
        DataType::Interval(_) => None,
        _ if is_number => data_type.primitive_width(),
        _ => None,
    }
}

/// Values of equal bits are equal, as they are in rows of Arrow's.
fn each_number(column: &ArrayRef, each: impl FnMut(usize, Key)) {
    let data = column.to_data();
    match width(column.data_type()) {
        Some(1) => each_of(data.buffer::<u8>(0), column, each),
        Some(2) => each_of(data.buffer::<u16>(0), column, each),
        Some(4) => each_of(data.buffer::<u32>(0), column, each),
        _ => each_of(data.buffer::<u64>(0), column, each),
    }
}

fn each_of<N: Copy + Into<u64>>(numbers: &[N], column: &ArrayRef, mut each: impl FnMut(usize, Key)) {
    let nulls = column.nulls();
    for (row, number) in numbers.iter().take(column.len()).enumerate() {
        match nulls.is_none_or(|nulls| nulls.is_valid(row)) {
            true => each(row, Key::Number((*number).into())),
            false => each(row, Key::Missing),
        }
    }
}

/// Where a column stands.
pub(crate) fn column_at(schema: &Schema, name: &str) -> Result<usize> {
    schema.index_of(name).map_err(|_| {
        let message = format!(
            "there is no column `{name}` to check; there are {}",
            columns(schema)
        );
        Error::new(ErrorKind::Schema, message)
    })
}

fn no_keys(error: arrow_schema::ArrowError) -> Error {
    Error::new(ErrorKind::Schema, "values of these columns cannot be keys").because(error)
}
