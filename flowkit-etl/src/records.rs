//! Rows as JSON objects, without the fields that are missing.

use arrow_array::RecordBatch;
use arrow_json::LineDelimitedWriter;

use crate::error::{Error, ErrorKind, Result};

/// Some rows of a batch as texts.
pub(crate) fn texts_of(batch: &RecordBatch, rows: &[usize]) -> Result<Vec<String>> {
    let mut texts = Vec::with_capacity(rows.len());
    for row in rows {
        let text = lines_of(&batch.slice(*row, 1))?;
        texts.push(String::from_utf8_lossy(text.trim_ascii_end()).into_owned());
    }
    Ok(texts)
}

/// The rows of a batch, each on a line.
pub(crate) fn lines_of(batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut text);
    writer.write(batch).map_err(unwritable)?;
    writer.finish().map_err(unwritable)?;
    Ok(text)
}

/// Rows could not be looked at one by one.
pub(crate) fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(
        ErrorKind::Schema,
        "records with these columns cannot be looked at one by one",
    )
    .because(error)
}
