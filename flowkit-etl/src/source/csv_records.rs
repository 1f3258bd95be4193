//! Records of CSV: where they begin and end, and what is wrong with them.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_csv::ReaderBuilder;
use arrow_csv::reader::Decoder;
use arrow_schema::{ArrowError, Schema, SchemaRef};

use crate::error::Result;
use crate::exact;
use crate::reject::Violation;
use crate::source::csv_times::{self, Times};
use crate::source::text::{TextDecoder, TextFormat};

/// Reads fields as they stand in a text, however many a record has.
pub(super) fn csv_reader<R: Read>(delimiter: u8, text: R) -> ::csv::Reader<R> {
    ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text)
}

/// If a text ends within a quote: on which line after its first the record begins.
pub(super) fn never_closed(delimiter: u8, text: &[u8]) -> Option<u64> {
    memchr::memchr(b'"', text)?;
    // A record behind the text is one of its own, unless a quote swallows it.
    let mut reader = csv_reader(delimiter, text.chain(&b"\nx\n"[..]));
    let (mut record, mut line, mut is_closed) = (::csv::ByteRecord::new(), 0, true);
    while reader.read_byte_record(&mut record).unwrap_or(false) {
        line = record.position().map_or(line, ::csv::Position::line);
        is_closed = record.len() == 1 && record.get(0) == Some(b"x");
    }
    (!is_closed).then(|| line.saturating_sub(1))
}

/// What decodes some columns of a file, so many records at a time.
pub(super) fn decoder(of_file: SchemaRef, columns: Vec<usize>, delimiter: u8, rows: usize) -> Decoder {
    ReaderBuilder::new(of_file)
        .with_delimiter(delimiter)
        .with_batch_size(rows)
        .with_projection(columns)
        .build_decoder()
}

/// How the records of one file are decoded.
pub(super) struct CsvFormat {
    /// Every column of the file, in its order.
    pub(super) of_file: SchemaRef,
    /// Which of them are wanted, in which order.
    pub(super) projection: Vec<usize>,
    pub(super) delimiter: u8,
}

impl CsvFormat {
    fn projecting(&self, projection: Vec<usize>, rows: usize) -> CsvDecoder {
        let wanted = projection
            .iter()
            .map(|column| self.of_file.field(*column).clone());
        let wanted = Arc::new(Schema::new(wanted.collect::<Vec<_>>()));
        let times = Times::among(&self.of_file, &projection, self.delimiter);
        let of_file = times
            .as_ref()
            .map_or_else(|| self.of_file.clone(), Times::widened);
        let columns = projection.clone();
        let decoder = decoder(exact::widened(&of_file), columns, self.delimiter, rows);
        CsvDecoder {
            decoder,
            rows,
            wanted,
            times,
            of_file: self.of_file.clone(),
            projection,
            delimiter: self.delimiter,
        }
    }
}

impl TextFormat for CsvFormat {
    fn decoder(&self, rows: usize) -> Result<Box<dyn TextDecoder>> {
        Ok(Box::new(self.projecting(self.projection.clone(), rows)))
    }

    fn records(&self, text: &[u8], is_all: bool) -> Vec<(Range<usize>, u64)> {
        let mut reader = csv_reader(self.delimiter, text);
        let mut record = ::csv::ByteRecord::new();
        let (mut records, mut begin, mut line) = (Vec::new(), 0, 0);
        while reader.read_byte_record(&mut record).unwrap_or(false) {
            let end = usize::try_from(reader.position().byte()).unwrap_or(text.len());
            if end == text.len() && !is_all {
                break;
            }
            // The ends of empty lines, and the second half of the end of the line before.
            let piece = text.get(begin..end).unwrap_or_default();
            let blank = piece
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                .count();
            let lines = |bytes: &[u8]| memchr::memchr_iter(b'\n', bytes).count() as u64;
            let (before, own) = piece.split_at(blank);
            line += lines(before);
            records.push((begin + blank..end, line));
            line += lines(own);
            begin = end;
        }
        records
    }

    fn never_closed(&self, text: &[u8]) -> Option<u64> {
        never_closed(self.delimiter, text)
    }

    fn violations(&self, record: &str) -> Vec<Violation> {
        let mut fields = ::csv::StringRecord::new();
        let read = csv_reader(self.delimiter, record.as_bytes()).read_record(&mut fields);
        if read.is_err() || fields.len() != self.of_file.fields().len() {
            let rule = format!(
                "not a record of {} fields: it has {}",
                self.of_file.fields().len(),
                fields.len()
            );
            return vec![Violation::new("", record, rule)];
        }
        let broken = |column: &&usize| {
            let mut decoder = self.projecting(vec![**column], 1);
            let whole = decoder
                .decode(record.as_bytes())
                .and_then(|_| decoder.decode(&[]));
            whole.and_then(|_| decoder.flush(record.as_bytes())).is_err()
        };
        let mut violations: Vec<Violation> = Vec::new();
        for column in self.projection.iter().filter(broken) {
            let value = fields.get(*column).unwrap_or_default();
            let field = self.of_file.field(*column);
            let rule = match (value.is_empty(), field.is_nullable()) {
                (true, false) => "missing".to_owned(),
                _ => format!("not of type {}", field.data_type()),
            };
            violations.push(Violation::new(field.name(), value, rule));
        }
        if violations.is_empty() {
            violations.push(Violation::new("", record, "not a record that can be decoded"));
        }
        violations
    }
}

/// Decodes records, and has no exact number and no time cut off.
struct CsvDecoder {
    decoder: Decoder,
    rows: usize,
    wanted: SchemaRef,
    times: Option<Times>,
    /// Every column of the file, as it is to be, and which of them are wanted.
    of_file: SchemaRef,
    projection: Vec<usize>,
    delimiter: u8,
}

impl CsvDecoder {
    /// A batch that was decoded from a text, with the columns that are wanted.
    fn whole(&self, batch: RecordBatch, text: &[u8], days_are_wide: bool) -> Result<RecordBatch, ArrowError> {
        if let Some(times) = &self.times {
            times.check(text, batch.num_rows(), days_are_wide)?;
        }
        exact::narrowed(batch, &self.wanted)
    }
}

impl TextDecoder for CsvDecoder {
    fn decode(&mut self, text: &[u8]) -> Result<usize, ArrowError> {
        self.decoder.decode(text)
    }

    fn is_full(&self) -> bool {
        self.decoder.capacity() == 0
    }

    fn flush(&mut self, text: &[u8]) -> Result<Option<RecordBatch>, ArrowError> {
        let records = self.rows - self.decoder.capacity();
        let read = match self.decoder.flush() {
            Ok(None) => return Ok(None),
            Ok(Some(batch)) => self.whole(batch, text, true),
            Err(error) => Err(error),
        };
        if read.is_ok() || !self.times.as_ref().is_some_and(Times::have_days) {
            return read.map(Some);
        }
        // Perhaps for the sake of a year of more than four digits.
        let (of_file, columns) = (exact::widened(&self.of_file), self.projection.clone());
        let again = csv_times::read_again(of_file, columns, self.delimiter, text, records)?;
        again.map(|batch| self.whole(batch, text, false)).transpose()
    }
}
