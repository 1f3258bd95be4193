//! Rows as JSON objects, and batches without some of their rows.

use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use serde_json::{Map, Value};

use crate::error::Result;
use crate::records::{lines_of, unwritable};

/// The rows of a batch.
pub(crate) fn objects_of(batch: &RecordBatch) -> Result<Vec<Map<String, Value>>> {
    let text = lines_of(batch)?;
    serde_json::Deserializer::from_slice(&text)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .map_err(unwritable)
}

/// The rows of a batch that are not among `rejected`, which are in order.
pub(crate) fn without(batch: &RecordBatch, rejected: &[usize]) -> Result<RecordBatch> {
    if rejected.is_empty() {
        return Ok(batch.clone());
    }
    let keep: BooleanArray = (0..batch.num_rows())
        .map(|row| Some(rejected.binary_search(&row).is_err()))
        .collect();
    filter_record_batch(batch, &keep).map_err(unwritable)
}
