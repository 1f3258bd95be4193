//! Records of a text file into batches, as fast as the decoder goes while all is well. A batch with a bad record in it is
//! decoded again in halves, until the bad records stand alone.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::concat::concat_batches;

use crate::error::{Error, ErrorKind, Result};
use crate::reject::{Reject, Rejects, Sieve, Tolerance, Violation};

/// How much is asked of a reader at once.
const CHUNK: usize = 128 * 1024;
/// A batch of wide records ends when its text is so long, and a single record must not be longer.
pub(crate) const LONGEST: usize = 32 * 1024 * 1024;

/// A text format, as this loop needs to know it.
pub(crate) trait TextFormat: Send + Sync {
    /// A decoder that holds up to `rows` records.
    fn decoder(&self, rows: usize) -> Result<Box<dyn TextDecoder>>;

    /// The records in `text`, each with the line on which it begins if the text begins on line 0. Unless `is_all`, a last record that may go on is not among them.
    fn records(&self, text: &[u8], is_all: bool) -> Vec<(Range<usize>, u64)>;

    /// If the text, which is all that there is, ends within a quote: on which line after its first the record begins.
    fn never_closed(&self, _text: &[u8]) -> Option<u64> {
        None
    }

    /// What is wrong with a record that could not be decoded.
    fn violations(&self, record: &str) -> Vec<Violation>;
}

/// What decodes records that come in pieces.
pub(crate) trait TextDecoder: Send {
    /// Takes bytes, and gives how many. An empty slice says that there are no more.
    fn decode(&mut self, text: &[u8]) -> Result<usize, ArrowError>;
    /// Whether it holds as many records as it may.
    fn is_full(&self) -> bool;
    /// The records that it holds, of which this is the text: nothing of it must be lost.
    fn flush(&mut self, text: &[u8]) -> Result<Option<RecordBatch>, ArrowError>;
}

/// What becomes of bad records.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setting {
    pub(crate) tolerance: Tolerance,
    pub(crate) rejects: Rejects,
}

impl Setting {
    /// For one reading of all files.
    pub(crate) fn sieve(&self) -> Sieve {
        Sieve::new(self.tolerance, &self.rejects)
    }
}

/// The batches of one file.
pub(crate) struct TextReader {
    format: Arc<dyn TextFormat>,
    schema: SchemaRef,
    batch_rows: usize,
    /// What errors call the file.
    origin: String,
    sieve: Sieve,
    reader: Box<dyn Read + Send>,
    decoder: Box<dyn TextDecoder>,
    /// The text of the batch that is being decoded, and perhaps a little more.
    text: Vec<u8>,
    /// How much of it the decoder has taken.
    taken: usize,
    /// Lines and records before `text`.
    lines: u64,
    records: u64,
    at_end: bool,
    failed: bool,
}

impl TextReader {
    /// Reads `head` and then `reader`. The head begins on the line after `lines`.
    pub(crate) fn new(
        format: Arc<dyn TextFormat>,
        (schema, batch_rows): (SchemaRef, usize),
        (origin, sieve): (String, Sieve),
        (head, lines, reader): (Vec<u8>, u64, Box<dyn Read + Send>),
    ) -> Result<Self> {
        let decoder = format.decoder(batch_rows)?;
        Ok(Self {
            format,
            schema,
            batch_rows,
            origin,
            sieve,
            reader,
            decoder,
            text: head,
            taken: 0,
            lines,
            records: 0,
            at_end: false,
            failed: false,
        })
    }

    /// The next batch. One of bad records alone has no rows, and is handed on so that whoever takes those gets them before they are many.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        match self.decode() {
            Ok(batch) => Ok(batch),
            Err(Trouble::Record) => self.sift().map(Some),
            Err(Trouble::Read(error)) => Err(error),
        }
    }

    /// Decodes until there is a batch, or nothing left.
    fn decode(&mut self) -> Result<Option<RecordBatch>, Trouble> {
        loop {
            let untaken = self.text.get(self.taken..).unwrap_or_default();
            if !untaken.is_empty() {
                let taken = self.decoder.decode(untaken).map_err(|_| Trouble::Record)?;
                self.taken += taken;
            }
            if self.decoder.is_full() {
                break;
            }
            if self.text.len() > LONGEST {
                return Err(Trouble::Record);
            }
            if self.taken == self.text.len() {
                self.read_more().map_err(Trouble::Read)?;
                if self.at_end {
                    self.decoder.decode(&[]).map_err(|_| Trouble::Record)?;
                    break;
                }
            }
        }
        let text = self.text.get(..self.taken).unwrap_or_default();
        let batch = self.decoder.flush(text).map_err(|_| Trouble::Record)?;
        if let Some(batch) = &batch {
            self.sieve.accept(batch.num_rows() as u64);
            self.records += batch.num_rows() as u64;
        }
        self.forget(self.taken);
        Ok(batch)
    }

    fn read_more(&mut self) -> Result<()> {
        let filled = self.text.len();
        self.text.resize(filled + CHUNK, 0);
        let room = self.text.get_mut(filled..).unwrap_or_default();
        let read = loop {
            match self.reader.read(room) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.text.truncate(filled + *read.as_ref().unwrap_or(&0));
        let read = read.map_err(|error| Error::io("read", self.origin.as_ref(), error))?;
        self.at_end = read == 0;
        let never_closed = self.at_end.then(|| self.format.never_closed(&self.text));
        match never_closed.flatten() {
            None => Ok(()),
            Some(line) => Err(self.error(
                ErrorKind::Format,
                self.lines + line + 1,
                "a quote is opened in this record and never closed: is the file whole?",
            )),
        }
    }

    /// Goes on after the first `length` bytes of the text.
    fn forget(&mut self, length: usize) {
        let gone = self.text.get(..length).unwrap_or_default();
        self.lines += memchr::memchr_iter(b'\n', gone).count() as u64;
        self.text.drain(..length);
        self.taken = 0;
    }

    /// The batch that has a bad record in it, without that.
    fn sift(&mut self) -> Result<RecordBatch> {
        let mut found = loop {
            let found = self.format.records(&self.text, self.at_end);
            if !found.is_empty() || self.at_end {
                break found;
            }
            if self.text.len() > LONGEST {
                return Err(self.error(
                    ErrorKind::Format,
                    self.lines + 1,
                    "a record is longer than 32 MiB: is a quote never closed?",
                ));
            }
            self.read_more()?;
        };
        found.truncate(self.batch_rows);
        let end = found.last().map_or(self.text.len(), |(range, _)| range.end);
        let text = std::mem::take(&mut self.text);
        let mut good = Vec::new();
        self.sift_records(&text, &found, self.records, &mut good)?;
        self.text = text;
        self.records += found.len() as u64;
        self.forget(end);
        self.decoder = self.format.decoder(self.batch_rows)?;
        concat_batches(&self.schema, &good).map_err(|error| {
            self.error(ErrorKind::Format, self.lines, "cannot be decoded")
                .because(error)
        })
    }

    /// Decodes those of these records that are good, of which the first is the `number`th of the file.
    fn sift_records(
        &self,
        text: &[u8],
        records: &[(Range<usize>, u64)],
        number: u64,
        good: &mut Vec<RecordBatch>,
    ) -> Result<()> {
        let (Some((first, line)), Some((last, _))) = (records.first(), records.last()) else {
            return Ok(());
        };
        let piece = text.get(first.start..last.end).unwrap_or_default();
        if let Some(batch) = self.decode_all(piece, records.len())? {
            self.sieve.accept(batch.num_rows() as u64);
            good.push(batch);
        } else if records.len() > 1 {
            let (left, right) = records.split_at(records.len() / 2);
            self.sift_records(text, left, number, good)?;
            self.sift_records(text, right, number + left.len() as u64, good)?;
        } else {
            self.reject(piece, number, self.lines + line + 1)?;
        }
        Ok(())
    }

    /// These records as a batch, if all of them are good.
    fn decode_all(&self, text: &[u8], records: usize) -> Result<Option<RecordBatch>> {
        let mut decoder = self.format.decoder(records)?;
        let mut decode = || -> Result<Option<RecordBatch>, ArrowError> {
            let taken = decoder.decode(text)?;
            if taken == text.len() && !decoder.is_full() {
                decoder.decode(&[])?;
            }
            // More on a line than a record is not passed over.
            let is_all = text.get(taken..).is_none_or(|rest| rest.trim_ascii().is_empty());
            if is_all { decoder.flush(text) } else { Ok(None) }
        };
        Ok(decode()
            .ok()
            .flatten()
            .filter(|batch| batch.num_rows() == records))
    }

    fn reject(&self, record: &[u8], number: u64, line: u64) -> Result<()> {
        let Ok(content) = std::str::from_utf8(record) else {
            return Err(self.error(
                ErrorKind::Encoding,
                line,
                "is not UTF-8: convert the file, for example with `iconv -f WINDOWS-1252 -t UTF-8`",
            ));
        };
        let content = content.trim_matches(['\r', '\n']);
        let reject = Reject {
            origin: self.origin.clone(),
            line: Some(line),
            record: number,
            violations: self.format.violations(content),
            content: content.to_owned(),
        };
        if self.sieve.tolerance() == Tolerance::NONE {
            return Err(Error::new(ErrorKind::Rejected, reject.to_string()));
        }
        self.sieve.reject(reject);
        Ok(())
    }

    fn error(&self, kind: ErrorKind, line: u64, what: &str) -> Error {
        Error::new(kind, format!("{} line {line}: {what}", self.origin))
    }
}

/// That a file is in another encoding than UTF-8, in which there are zeros.
pub(crate) fn utf_16(origin: &str) -> Error {
    let message =
        format!("{origin} is UTF-16: convert the file, for example with `iconv -f UTF-16 -t UTF-8`");
    Error::new(ErrorKind::Encoding, message)
}

/// Whether a text has the mark of that encoding.
pub(crate) fn has_mark_of_utf_16(text: &[u8]) -> bool {
    text.starts_with(&[0xff, 0xfe]) || text.starts_with(&[0xfe, 0xff])
}

/// Why there is no batch.
enum Trouble {
    /// A record is bad.
    Record,
    /// The text could not be read.
    Read(Error),
}

impl Iterator for TextReader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let batch = self.next_batch().transpose();
        self.failed = matches!(batch, Some(Err(_)));
        batch
    }
}
