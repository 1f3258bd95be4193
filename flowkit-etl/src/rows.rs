//! Typed rows into batches and back: any type with serde's traits is a row.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{FieldRef, Schema, SchemaRef};
use futures::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_arrow::schema::{SchemaLike, TracingOptions};

use crate::error::{Error, ErrorKind, Result};
use crate::stream::{BatchStream, DEFAULT_BATCH_ROWS, columns};

/// The columns that rows of a type have: a field each, in their order, with strings as `Utf8` and `Option` as nullable.
///
/// # Errors
/// When the type is not a struct, or has a field that no column can hold.
pub fn schema_of<T: DeserializeOwned>() -> Result<SchemaRef> {
    let options = TracingOptions::default()
        .allow_null_fields(true)
        .sequence_as_large_list(false)
        .strings_as_large_utf8(false)
        .bytes_as_large_binary(false)
        .enums_without_data_as_strings(true);
    let fields = Vec::<FieldRef>::from_type::<T>(options).map_err(|error| {
        let message = format!("rows of {} cannot be columns", std::any::type_name::<T>());
        Error::new(ErrorKind::Schema, message).because(error)
    })?;
    Ok(Arc::new(Schema::new(fields)))
}

/// Rows as a batch with these columns, which may be narrower or wider than those of [`schema_of`]: dates for strings of dates, 32 bits for 64.
///
/// # Errors
/// When a row has a value that its column cannot hold.
pub fn batch_of<T: Serialize>(schema: &SchemaRef, rows: &[T]) -> Result<RecordBatch> {
    let batch = serde_arrow::to_record_batch(schema.fields(), &rows).map_err(|error| {
        let message = format!(
            "rows of {} do not fit into the columns {}",
            std::any::type_name::<T>(),
            columns(schema)
        );
        Error::new(ErrorKind::Schema, message).because(error)
    })?;
    batch.with_schema(schema.clone()).map_err(|error| {
        Error::new(ErrorKind::Schema, "the batch has other columns than asked for").because(error)
    })
}

/// The rows of a batch. Columns that the type does not have are left out, unless it says `#[serde(deny_unknown_fields)]`.
///
/// # Errors
/// When a value is not one of its field, or a column that the type needs is not there.
pub fn rows_of<T: DeserializeOwned>(batch: &RecordBatch) -> Result<Vec<T>> {
    serde_arrow::from_record_batch(batch).map_err(|error| {
        let name = std::any::type_name::<T>();
        let message = format!(
            "the columns {} are no rows of {name}: a source that is given `schema_of::<{name}>()` has the columns that are",
            columns(batch.schema_ref())
        );
        Error::new(ErrorKind::Schema, message).because(error)
    })
}

impl BatchStream {
    /// Rows as a stream of batches of [`DEFAULT_BATCH_ROWS`], converted as they are asked for.
    ///
    /// # Errors
    /// When the type has no columns: see [`schema_of`].
    pub fn from_rows<T>(rows: Vec<T>) -> Result<Self>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        let schema = schema_of::<T>()?;
        let of_batches = schema.clone();
        let mut rows = rows.into_iter();
        let batches = std::iter::from_fn(move || {
            let chunk: Vec<T> = rows.by_ref().take(DEFAULT_BATCH_ROWS).collect();
            (!chunk.is_empty()).then(|| batch_of(&of_batches, &chunk))
        });
        Ok(Self::new(schema, futures::stream::iter(batches)))
    }

    /// The rows, one by one.
    pub fn rows<T>(self) -> impl futures::Stream<Item = Result<T>> + Send
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.map(|batch| rows_of::<T>(&batch?)).flat_map(|rows| {
            let rows: Vec<Result<T>> = match rows {
                Ok(rows) => rows.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            };
            futures::stream::iter(rows)
        })
    }

    /// All rows, in memory.
    ///
    /// # Errors
    /// The first error of the stream, or of [`rows_of`].
    pub async fn collect_rows<T: DeserializeOwned>(mut self) -> Result<Vec<T>> {
        let mut all = Vec::new();
        while let Some(batch) = self.next().await {
            all.append(&mut rows_of(&batch?)?);
        }
        Ok(all)
    }
}
