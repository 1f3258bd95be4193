//! Files of JSON lines: an object on each line.

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, FieldRef, Schema, SchemaRef};
use futures::future::{BoxFuture, FutureExt};

use crate::error::{Error, ErrorKind, Result};
use crate::reject::{Rejects, Tolerance, Violation};
use crate::source::files::{self, FileBatches};
use crate::source::json::{GIVE_SCHEMA, JsonColumns, JsonDecoder};
use crate::source::json_inferred::inferred;
use crate::source::text::{self, Setting, TextDecoder, TextFormat, TextReader};
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
/// has those as they stand; so is one with whole numbers that its numbers would round. A record that has other members is then bad, since they would be lost. With a schema, members that are no columns are left out, unless [`strict`](Self::strict)
/// makes such records bad. So is one with a value of which a column would hold only a part: a fraction where numbers are whole, a time on a day. Text is UTF-8, with or without a byte order mark.
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

    /// Makes a record bad that has members which are no columns, as it is where columns are inferred.
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
        // What the columns were inferred from is not asked for again: there may be no second time.
        let (columns, mut begun) = match (&self.schema, files.first()) {
            (Some(schema), _) => (JsonColumns::given(schema.clone(), self.strict), None),
            (None, Some(first)) => {
                let (schema, begun) = self.infer(first)?;
                (JsonColumns::inferred(schema), Some(begun))
            }
            (None, None) => (JsonColumns::given(Arc::new(Schema::empty()), false), None),
        };
        // That these can be columns is known now, and not only once there is a record.
        columns.decoder(1)?;
        let schema = columns.schema().clone();
        let format = Arc::new(JsonFormat { columns });
        let (of_batches, rows, sieve) = (schema.clone(), self.batch_rows, self.setting.sieve());
        let judged = sieve.clone();
        let open = move |file: &Input| -> Result<FileBatches> {
            let (head, reader) = begun.take().map_or_else(|| opened(file), Ok)?;
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

    /// The columns that the first records have, and the file from its beginning. Those that are no JSON are told when they are read.
    fn infer(&self, file: &Input) -> Result<(SchemaRef, Begun)> {
        let (mut text, mut reader) = opened(file)?;
        let read = (&mut reader)
            .take(INFER_BYTES)
            .read_to_end(&mut text)
            .map_err(|error| Error::io("read", file.path(), error))?;
        let whole = match memchr::memrchr(b'\n', &text) {
            Some(end) if read as u64 == INFER_BYTES => text.get(..=end).unwrap_or_default(),
            _ => &text,
        };
        let lines = whole.split(|byte| *byte == b'\n').take(self.infer_records);
        let is_object =
            |line: &&[u8]| serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line).is_ok();
        let objects: Vec<&[u8]> = lines.filter(is_object).collect();
        let schema = inferred(objects.into_iter()).map_err(|error| {
            let message = format!("cannot tell the types of the columns of {file}: {GIVE_SCHEMA}");
            Error::new(ErrorKind::Format, message).because(error)
        })?;
        if schema.fields().is_empty() {
            return Err(Error::new(
                ErrorKind::Format,
                format!(
                    "no line of {file} is a JSON object with members: where it may have no records, {GIVE_SCHEMA}; of a list, or of objects over several lines, `jq -c '.[]?'` makes one object a line"
                ),
            ));
        }
        Ok((schema, (text, reader)))
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
type Begun = (Vec<u8>, Box<dyn Read + Send>);

fn opened(file: &Input) -> Result<Begun> {
    let (mut reader, mut head) = (file.open()?, Vec::new());
    let first = (&mut reader).take(MARK.len() as u64).read_to_end(&mut head);
    first.map_err(|error| Error::io("read", file.path(), error))?;
    // JSON begins with a character of ASCII, which has a zero beside it there.
    if text::has_mark_of_utf_16(&head) || head.iter().take(2).any(|byte| *byte == 0) {
        return Err(text::utf_16(&file.to_string()));
    }
    if head == MARK {
        head.clear();
    }
    Ok((head, reader))
}

/// How lines are decoded.
struct JsonFormat {
    columns: JsonColumns,
}

impl JsonFormat {
    /// Whether a record fits this column alone. Where one is strict, the record must have no other member.
    fn fits(&self, column: &FieldRef, record: &str, is_strict: bool) -> bool {
        let column = Arc::new(Schema::new(vec![column.clone()]));
        let decoder = self.columns.only(column, is_strict).decoder(1);
        decoder.is_ok_and(|mut decoder| {
            let decoded = decoder.decode(record.as_bytes());
            decoded.and_then(|_| decoder.flush([record.as_bytes()])).is_ok()
        })
    }

    /// The members of a record that are no columns, at any depth.
    fn unknown(&self, object: &serde_json::Map<String, serde_json::Value>) -> Vec<Violation> {
        if !self.columns.is_strict() {
            return Vec::new();
        }
        let hint = if self.columns.is_inferred() {
            format!(": {GIVE_SCHEMA}")
        } else {
            String::new()
        };
        let mut violations = Vec::new();
        for (name, value) in object {
            let rule = match self.columns.schema().field_with_name(name) {
                Err(_) => "not a known member",
                Ok(field) => {
                    let alone = serde_json::json!({ name: value }).to_string();
                    let (field, is_nested) = (Arc::new(field.clone()), field.data_type().is_nested());
                    if !is_nested || !self.fits(&field, &alone, false) || self.fits(&field, &alone, true) {
                        continue;
                    }
                    "has a member that is not known"
                }
            };
            violations.push(Violation::new(name, &value.to_string(), format!("{rule}{hint}")));
        }
        violations
    }
}

impl TextFormat for JsonFormat {
    fn decoder(&self, rows: usize) -> Result<Box<dyn TextDecoder>> {
        Ok(Box::new(self.columns.decoder(rows)?))
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
        for field in self.columns.schema().fields() {
            if self.fits(field, record, false) {
                continue;
            }
            let value = object.get(field.name());
            let text = value.map(ToString::to_string).unwrap_or_default();
            let rule = match value {
                None | Some(serde_json::Value::Null) => "missing".to_owned(),
                Some(_) => format!("not of type {}", field.data_type()),
            };
            violations.push(Violation::new(field.name(), &text, rule));
        }
        violations.extend(self.unknown(&object));
        if violations.is_empty() {
            violations.push(Violation::new("", record, "not a record that can be decoded"));
        }
        violations
    }
}

impl TextDecoder for JsonDecoder {
    fn decode(&mut self, text: &[u8]) -> Result<usize, ArrowError> {
        Self::decode(self, text)
    }

    fn is_full(&self) -> bool {
        Self::is_full(self)
    }

    fn flush(&mut self, text: &[u8]) -> Result<Option<RecordBatch>, ArrowError> {
        Self::flush(self, [text])
    }
}
