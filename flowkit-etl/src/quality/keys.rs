//! Sets of keys: the values of some columns, by a digest of 128 bits each.

use std::collections::HashSet;
use std::fmt;

use arrow_array::RecordBatch;
use arrow_row::{RowConverter, SortField};
use arrow_schema::{DataType, Schema};
use futures::StreamExt;
use twox_hash::XxHash3_128;

use crate::error::{Error, ErrorKind, Result};
use crate::stream::{BatchStream, columns};

/// The keys of rows. Keys are told apart by 128 bits of a hash, so that they take the same memory however long they are.
#[derive(Clone, Default)]
pub struct KeySet {
    digests: HashSet<u128>,
    /// Of what types the keys are: those of others are other keys.
    types: Vec<DataType>,
}

impl KeySet {
    /// The values that these columns have in a stream.
    ///
    /// # Errors
    /// The stream's error, or that there are no such columns.
    pub async fn collect<C: Into<String>>(
        mut stream: BatchStream,
        columns: impl IntoIterator<Item = C>,
    ) -> Result<Self> {
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        let keys = Keys::new(stream.schema(), &columns)?;
        let mut set = Self {
            digests: HashSet::new(),
            types: keys.types(stream.schema()),
        };
        while let Some(batch) = stream.next().await {
            set.digests.extend(keys.digests(&batch?)?);
        }
        Ok(set)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    pub(crate) fn types(&self) -> &[DataType] {
        &self.types
    }

    pub(crate) fn contains(&self, digest: u128) -> bool {
        self.digests.contains(&digest)
    }

    /// Whether it was not there before.
    pub(crate) fn insert(&mut self, digest: u128) -> bool {
        self.digests.insert(digest)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("len", &self.len()).finish()
    }
}

/// How keys are made of rows. Equal values of one type are equal keys, whichever stream they are from.
pub(crate) struct Keys {
    at: Vec<usize>,
    converter: RowConverter,
}

impl Keys {
    pub(crate) fn new(schema: &Schema, of: &[String]) -> Result<Self> {
        let at: Vec<usize> = of
            .iter()
            .map(|name| column_at(schema, name))
            .collect::<Result<_>>()?;
        let fields = at
            .iter()
            .map(|at| SortField::new(schema.field(*at).data_type().clone()));
        let converter = RowConverter::new(fields.collect()).map_err(no_keys)?;
        Ok(Self { at, converter })
    }

    pub(crate) fn types(&self, schema: &Schema) -> Vec<DataType> {
        self.at
            .iter()
            .map(|at| schema.field(*at).data_type().clone())
            .collect()
    }

    /// The key of each row.
    pub(crate) fn digests(&self, batch: &RecordBatch) -> Result<Vec<u128>> {
        let columns: Vec<_> = self.at.iter().map(|at| batch.column(*at).clone()).collect();
        let rows = self.converter.convert_columns(&columns).map_err(no_keys)?;
        Ok(rows
            .iter()
            .map(|row| XxHash3_128::oneshot(row.as_ref()))
            .collect())
    }

    /// Whether a row has all of its key.
    pub(crate) fn is_whole(&self, batch: &RecordBatch, row: usize) -> bool {
        self.at.iter().all(|at| batch.column(*at).is_valid(row))
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
