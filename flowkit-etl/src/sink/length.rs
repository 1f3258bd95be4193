//! How long records are as text: those that are longer than what reads text takes at once are refused before they are in place.

use std::io::{self, Write};

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;

use crate::error::{Error, ErrorKind, Result};
use crate::sink::format::FileFormat;
use crate::source::text::LONGEST;

/// Nothing, if each row of a batch can be read once it is written, where all of it took so many bytes. On a batch that may have one that is too long, its halves are looked at, and so on.
pub(crate) fn check(format: FileFormat, batch: &RecordBatch, taken: u64) -> Result<()> {
    if taken <= LONGEST as u64 {
        return Ok(());
    }
    if batch.num_rows() < 2 {
        let message = format!(
            "a record has {} MiB as text, and text files are read up to {} MiB a record: choose Parquet",
            taken.div_ceil(MIB),
            LONGEST as u64 / MIB
        );
        return Err(Error::new(ErrorKind::Schema, message));
    }
    let half = batch.num_rows() / 2;
    for half in [batch.slice(0, half), batch.slice(half, batch.num_rows() - half)] {
        let taken = length(format, &half).map_err(|error| {
            Error::new(ErrorKind::Schema, "what is to be written is no text").because(error)
        })?;
        check(format, &half, taken)?;
    }
    Ok(())
}

const MIB: u64 = 1024 * 1024;

/// How long rows are as text.
fn length(format: FileFormat, batch: &RecordBatch) -> Result<u64, ArrowError> {
    let mut counted = Counted::default();
    match format {
        #[cfg(feature = "csv")]
        FileFormat::Csv => {
            let builder = arrow_csv::WriterBuilder::new().with_header(false);
            builder.build(&mut counted).write(batch)?;
        }
        #[cfg(feature = "json")]
        FileFormat::JsonLines => {
            let builder = arrow_json::WriterBuilder::new().with_explicit_nulls(true);
            let mut writer = builder.build::<_, arrow_json::writer::LineDelimited>(&mut counted);
            writer.write(batch)?;
            writer.finish()?;
        }
        #[cfg(feature = "parquet")]
        FileFormat::Parquet => {}
    }
    Ok(counted.bytes)
}

/// A place for text of which only the length is kept.
#[derive(Debug, Default)]
struct Counted {
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
