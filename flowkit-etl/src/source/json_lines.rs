//! Files of JSON lines: an object on each line.

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_json::ReaderBuilder;
use arrow_json::reader::{Decoder, infer_json_schema};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use futures::future::{BoxFuture, FutureExt};

use crate::error::{Error, ErrorKind, Result};
use crate::exact;
use crate::reject::{Rejects, Tolerance, Violation};
use crate::source::files::{self, FileBatches};
use crate::source::text::{Setting, TextDecoder, TextFormat, TextReader};
use crate::source::{Input, Location, Source};
use crate::stream::{BatchStream, DEFAULT_BATCH_ROWS};
use crate::traffic::reading;

/// From how many records columns are inferred, unless said otherwise.
const INFER_RECORDS: usize = 10_000;
/// No more of a file than this is held in memory for it.
const INFER_BYTES: u64 = 4 * 1024 * 1024;
/// What some programs write before UTF-8.
const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Files of JSON lines, one or all that match a pattern, compressed or not, here or [elsewhere](Self::at).
///
/// Without [`schema`](Self::schema) the columns are inferred from the first 10,000 records of the first file, up to 4 MiB of it; all are nullable, and one that has texts beside numbers or truth values is text and
/// has those as they stand. A byte order mark is no part of the text.
/// Members of an object that are no columns are left out, unless [`strict`](Self::strict) makes them errors.
#[derive(Debug, Clone)]
pub struct JsonLinesSource {
    location: Location,
    schema: Option<SchemaRef>,
    strict: bool,
    infer_records: usize,
    batch_rows: usize,
    setting: Setting,
}

impl JsonLinesSource {
    /// The file or files of a path or pattern.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self::at(Location::path(path))
    }

    /// The file or files of a place: of this system, in an object store, at an address of HTTP.
    pub fn at(location: Location) -> Self {
        Self {
            location,
            schema: None,
            strict: false,
            infer_records: INFER_RECORDS,
            batch_rows: DEFAULT_BATCH_ROWS,
            setting: Setting::default(),
        }
    }

    /// The columns to read, in this order.
    #[must_use]
    pub fn schema(mut self, schema: SchemaRef) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Makes a record bad that has members which are no columns.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// From how many records columns are inferred; 10,000 unless said otherwise.
    #[must_use]
    pub fn infer_from(mut self, records: usize) -> Self {
        self.infer_records = records;
        self
    }

    /// How many rows a batch has at most; [`DEFAULT_BATCH_ROWS`] unless said otherwise, and at least 1.
    #[must_use]
    pub fn batch_rows(mut self, rows: usize) -> Self {
        self.batch_rows = rows.max(1);
        self
    }

    /// Sets records aside that are no JSON, or have a value that its column cannot hold, instead of failing at the first one.
    /// The stream ends with an error if they are more than is tolerated of the records that it read itself. A batch of which all records are bad comes without rows.
    #[must_use]
    pub fn set_aside(mut self, tolerance: Tolerance, rejects: &Rejects) -> Self {
        self.setting = Setting {
            tolerance,
            rejects: rejects.clone(),
        };
        self
    }

    /// What is opened off the caller's thread.
    pub(crate) fn open_files(&self, files: Vec<Input>) -> Result<(SchemaRef, FileBatches)> {
        let schema = match (&self.schema, files.first()) {
            (Some(schema), _) => schema.clone(),
            (None, Some(first)) => self.infer(first)?,
            (None, None) => Arc::new(Schema::empty()),
        };
        let format = Arc::new(JsonFormat {
            schema: schema.clone(),
            strict: self.strict,
            coerce: self.schema.is_none(),
        });
        // That these can be columns is known now, and not only once there is a record.
        format.decoder(1)?;
        let (of_batches, rows, sieve) = (schema.clone(), self.batch_rows, self.setting.sieve());
        let judged = sieve.clone();
        let open = move |file: &Input| -> Result<FileBatches> {
            let (head, reader) = opened(file)?;
            let origin = file.to_string();
            let batches = TextReader::new(
                format.clone(),
                (of_batches.clone(), rows),
                (origin, sieve.clone()),
                (head, 0, reader),
            )?;
            Ok(Box::new(batches))
        };
        Ok((schema, files::batches_of(files, open, move || judged.judge())))
    }

    /// The columns that the first records have. Those that are no JSON are told when they are read.
    fn infer(&self, file: &Input) -> Result<SchemaRef> {
        let (mut text, reader) = opened(file)?;
        let read = reader
            .take(INFER_BYTES)
            .read_to_end(&mut text)
            .map_err(|error| Error::io("read", file.path(), error))?;
        let whole = match memchr::memrchr(b'\n', &text) {
            Some(end) if read as u64 == INFER_BYTES => text.get(..=end).unwrap_or_default(),
            _ => &text,
        };
        let mut objects = Vec::with_capacity(whole.len());
        for line in whole.split(|byte| *byte == b'\n').take(self.infer_records) {
            if serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line).is_ok() {
                objects.extend_from_slice(line);
                objects.push(b'\n');
            }
        }
        let (inferred, _) = infer_json_schema(objects.as_slice(), None).map_err(|error| {
            let message = format!("cannot tell the types of the columns of {file}");
            Error::new(ErrorKind::Format, message).because(error)
        })?;
        if inferred.fields().is_empty() {
            return Err(Error::new(
                ErrorKind::Format,
                format!("no line of {file} is a JSON object: give its columns with `schema`"),
            ));
        }
        let fields = inferred.fields().iter().map(|field| match field.data_type() {
            DataType::Null => Field::new(field.name(), DataType::Utf8, true),
            _ => field.as_ref().clone(),
        });
        Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
    }
}

impl Source for JsonLinesSource {
    fn open(&self) -> BoxFuture<'_, Result<BatchStream>> {
        let mut source = self.clone();
        source.setting.rejects = source.setting.rejects.in_current_run();
        let location = source.location.clone();
        reading(files::opened(location, move |files| source.open_files(files))).boxed()
    }
}

/// The first bytes of a file, without a byte order mark, and what is read after them.
fn opened(file: &Input) -> Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let (mut reader, mut head) = (file.open()?, Vec::new());
    let first = (&mut reader).take(MARK.len() as u64).read_to_end(&mut head);
    first.map_err(|error| Error::io("read", file.path(), error))?;
    if head == MARK {
        head.clear();
    }
    Ok((head, reader))
}

/// How lines are decoded.
struct JsonFormat {
    schema: SchemaRef,
    strict: bool,
    /// Whether columns of text take numbers and truth values, since that they are text was inferred from there being both.
    coerce: bool,
}

impl JsonFormat {
    fn decoder_for(&self, schema: SchemaRef, strict: bool, rows: usize) -> Result<JsonDecoder> {
        let decoder = ReaderBuilder::new(exact::widened(&schema))
            .with_batch_size(rows)
            .with_strict_mode(strict)
            .with_coerce_primitive(self.coerce)
            .build_decoder()
            .map_err(|error| {
                Error::new(ErrorKind::Schema, "these columns cannot be read from JSON").because(error)
            })?;
        Ok(JsonDecoder {
            decoder,
            wanted: schema,
            rows,
        })
    }
}

impl TextFormat for JsonFormat {
    fn decoder(&self, rows: usize) -> Result<Box<dyn TextDecoder>> {
        Ok(Box::new(self.decoder_for(
            self.schema.clone(),
            self.strict,
            rows,
        )?))
    }

    fn records(&self, text: &[u8], is_all: bool) -> Vec<(Range<usize>, u64)> {
        let (mut records, mut begin) = (Vec::new(), 0);
        for (line, piece) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let end = begin + piece.len();
            let is_whole = piece.ends_with(b"\n") || is_all;
            if is_whole && !piece.trim_ascii().is_empty() {
                records.push((begin..end, line as u64));
            }
            begin = end;
        }
        records
    }

    fn violations(&self, record: &str) -> Vec<Violation> {
        let object: serde_json::Map<String, serde_json::Value> = match serde_json::from_str(record) {
            Ok(object) => object,
            Err(error) => return vec![Violation::new("", record, format!("not a JSON object: {error}"))],
        };
        let mut violations = Vec::new();
        for field in self.schema.fields() {
            let value = object.get(field.name());
            let column = Arc::new(Schema::new(vec![field.clone()]));
            let alone: serde_json::Map<_, _> = value
                .map(|value| (field.name().clone(), value.clone()))
                .into_iter()
                .collect();
            let fits = self.decoder_for(column, false, 1).is_ok_and(|mut decoder| {
                let taken = decoder.decoder.serialize(&[alone]);
                taken.and_then(|()| decoder.flush()).is_ok()
            });
            if fits {
                continue;
            }
            let text = value.map(ToString::to_string).unwrap_or_default();
            let rule = match value {
                None | Some(serde_json::Value::Null) => "missing".to_owned(),
                Some(_) => format!("not of type {}", field.data_type()),
            };
            violations.push(Violation::new(field.name(), &text, rule));
        }
        if self.strict {
            for (name, value) in &object {
                if self.schema.index_of(name).is_err() {
                    violations.push(Violation::new(name, &value.to_string(), "not a known member"));
                }
            }
        }
        if violations.is_empty() {
            violations.push(Violation::new("", record, "not a record that can be decoded"));
        }
        violations
    }
}

/// Decodes lines, and has no exact number cut off.
struct JsonDecoder {
    decoder: Decoder,
    wanted: SchemaRef,
    rows: usize,
}

impl TextDecoder for JsonDecoder {
    fn decode(&mut self, text: &[u8]) -> Result<usize, ArrowError> {
        self.decoder.decode(text)
    }

    fn is_full(&self) -> bool {
        self.decoder.len() >= self.rows && !self.decoder.has_partial_record()
    }

    fn flush(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let batch = self.decoder.flush()?;
        batch
            .map(|batch| exact::narrowed(batch, &self.wanted))
            .transpose()
    }
}
