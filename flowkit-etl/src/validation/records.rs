//! Rows as JSON objects, without the fields that are missing.

use arrow_array::{BooleanArray, RecordBatch};
use arrow_json::LineDelimitedWriter;
use arrow_select::filter::filter_record_batch;
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};

/// The rows of a batch.
pub(crate) fn objects_of(batch: &RecordBatch) -> Result<Vec<Map<String, Value>>> {
    let text = lines_of(batch)?;
    serde_json::Deserializer::from_slice(&text)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .map_err(unwritable)
}

/// Some rows of a batch as texts.
pub(crate) fn texts_of(batch: &RecordBatch, rows: &[usize]) -> Result<Vec<String>> {
    let mut texts = Vec::with_capacity(rows.len());
    for row in rows {
        let text = lines_of(&batch.slice(*row, 1))?;
        texts.push(String::from_utf8_lossy(text.trim_ascii_end()).into_owned());
    }
    Ok(texts)
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

fn lines_of(batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut text);
    writer.write(batch).map_err(unwritable)?;
    writer.finish().map_err(unwritable)?;
    Ok(text)
}

fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(
        ErrorKind::Schema,
        "records with these columns cannot be looked at one by one",
    )
    .because(error)
}
