//! CSV files: their columns found by the names in the header, given or inferred, and bad records told by their line.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use arrow_csv::reader::Format;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use futures::future::{BoxFuture, FutureExt};

use crate::error::{Error, ErrorKind, Result};
use crate::reject::{Rejects, Sieve, Tolerance};
use crate::source::csv_records::{CsvFormat, csv_reader, never_closed};
use crate::source::files::{self, FileBatches};
use crate::source::text::{self, Setting, TextReader};
use crate::source::{Input, Location, Source};
use crate::stream::{BatchStream, DEFAULT_BATCH_ROWS, columns};
use crate::traffic::reading;

/// From how many records columns are inferred, unless said otherwise.
const INFER_RECORDS: usize = 10_000;
/// No more of a file than this is held in memory for it.
const INFER_BYTES: u64 = 4 * 1024 * 1024;

/// CSV files with a header, one or all that match a pattern such as `season/*.csv`, compressed or not, here or [elsewhere](Self::at).
///
/// An empty field is a missing value. Columns are found by their names, in whatever order they stand. Without [`schema`](Self::schema) their types are
/// inferred from the first 10,000 records of the first file, up to 4 MiB of it: all are nullable, a column without any value is text, and numbers with leading zeros
/// are numbers. The other files must have the same columns. Text is UTF-8, with or without a byte order mark; anything else is an error that says so.
///
/// ```
/// use flowkit_etl::arrow_schema::{DataType, Field, Schema};
/// use flowkit_etl::source::{CsvSource, Source};
/// use flowkit_etl::{Rejects, Tolerance};
/// use std::sync::Arc;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let file = directory.path().join("plants.csv");
/// std::fs::write(&file, "plant,height\na,1.5\nb,tall\n")?;
/// let columns = Schema::new(vec![Field::new("height", DataType::Float64, true)]);
/// let rejects = Rejects::new();
/// let source = CsvSource::new(&file).schema(Arc::new(columns)).set_aside(Tolerance::share(0.5), &rejects);
/// let batches = source.open().await?.collect_batches().await?;
/// assert_eq!(batches[0].num_rows(), 1);
/// assert!(rejects.kept()[0].to_string().ends_with(r#"line 3: height is "tall": not of type Float64"#));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct CsvSource {
    location: Location,
    schema: Option<SchemaRef>,
    delimiter: u8,
    infer_records: usize,
    batch_rows: usize,
    setting: Setting,
}

impl CsvSource {
    /// The file or files of a path or pattern.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self::at(Location::path(path))
    }

    /// The file or files of a place: of this system, in an object store, at an address of HTTP.
    pub fn at(location: Location) -> Self {
        Self {
            location,
            schema: None,
            delimiter: b',',
            infer_records: INFER_RECORDS,
            batch_rows: DEFAULT_BATCH_ROWS,
            setting: Setting::default(),
        }
    }

    /// The columns to read, in this order. Others in the file are left out; one that the file does not have is an error.
    #[must_use]
    pub fn schema(mut self, schema: SchemaRef) -> Self {
        self.schema = Some(schema);
        self
    }

    /// What separates fields; a comma unless said otherwise.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
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

    /// Sets records aside that have too few or too many fields, or a value that its column cannot hold, or not all of, instead of failing at the first one.
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
        let first = files.first().map(|first| Head::read(first, self)).transpose()?;
        let schema = match (&self.schema, &first) {
            (Some(schema), _) => schema.clone(),
            (None, Some(head)) => head.infer(self)?,
            (None, None) => Arc::new(Schema::empty()),
        };
        if let Some(head) = &first {
            head.format(self, &schema)?;
        }
        let (source, of_batches, mut first) = (self.clone(), schema.clone(), first);
        let sieve = self.setting.sieve();
        let judged = sieve.clone();
        let open = move |file: &Input| -> Result<FileBatches> {
            let head = first.take().map_or_else(|| Head::read(file, &source), Ok)?;
            Ok(Box::new(head.batches(&source, &of_batches, sieve.clone())?))
        };
        Ok((schema, files::batches_of(files, open, move || judged.judge())))
    }
}

impl Source for CsvSource {
    fn open(&self) -> BoxFuture<'_, Result<BatchStream>> {
        let mut source = self.clone();
        source.setting.rejects = source.setting.rejects.in_current_run();
        let location = source.location.clone();
        reading(files::opened(location, move |files| source.open_files(files))).boxed()
    }
}

/// A file of which the header was read.
struct Head {
    origin: String,
    names: Vec<String>,
    /// What was read of the file after the header.
    text: Vec<u8>,
    /// Whether that is all.
    is_all: bool,
    /// The lines of the header.
    lines: u64,
    reader: Box<dyn Read + Send>,
}

impl Head {
    fn read(file: &Input, source: &CsvSource) -> Result<Self> {
        let origin = file.to_string();
        let mut reader = file.open()?;
        let mut text = Vec::new();
        let read = (&mut reader)
            .take(INFER_BYTES)
            .read_to_end(&mut text)
            .map_err(|error| Error::io("read", file.path(), error))?;
        decodable(&origin, &mut text)?;
        let mut header = csv_reader(source.delimiter, text.as_slice());
        let mut names = ::csv::StringRecord::new();
        header.read_record(&mut names).map_err(|error| {
            Error::new(ErrorKind::Format, format!("{origin} has no header")).because(error)
        })?;
        if names.is_empty() {
            return Err(Error::new(
                ErrorKind::Format,
                format!("{origin} is empty, where it should at least have a header"),
            ));
        }
        let end = usize::try_from(header.position().byte()).unwrap_or(text.len());
        if end == text.len() && never_closed(source.delimiter, &text).is_some() {
            let message = format!(
                "{origin} line 1: a quote is opened in the header and never closed: is the file whole?"
            );
            return Err(Error::new(ErrorKind::Format, message));
        }
        let names: Vec<String> = names.iter().map(str::to_owned).collect();
        let mut seen = HashSet::new();
        if let Some(name) = names.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(Error::new(
                ErrorKind::Schema,
                format!("{origin} has two columns named `{name}`"),
            ));
        }
        let lines = memchr::memchr_iter(b'\n', text.get(..end).unwrap_or_default()).count() as u64;
        text.drain(..end);
        Ok(Self {
            origin,
            names,
            text,
            is_all: (read as u64) < INFER_BYTES,
            lines,
            reader,
        })
    }

    /// The columns that the first records have.
    fn infer(&self, source: &CsvSource) -> Result<SchemaRef> {
        let format = Format::default()
            .with_delimiter(source.delimiter)
            .with_truncated_rows(true);
        // The last record may be cut.
        let whole = match memchr::memrchr(b'\n', &self.text) {
            Some(end) if !self.is_all => self.text.get(..=end).unwrap_or_default(),
            _ => &self.text,
        };
        // `infer_schema` takes the number of columns from the first record: the header, under names that no column has.
        let mut text = self
            .names
            .iter()
            .map(|_| "?")
            .collect::<Vec<_>>()
            .join(&char::from(source.delimiter).to_string());
        text.push('\n');
        let text = text.as_bytes().chain(whole);
        let (inferred, _) = format
            .with_header(true)
            .infer_schema(text, Some(source.infer_records))
            .map_err(|error| {
                let message = format!("cannot tell the types of the columns of {}", self.origin);
                Error::new(ErrorKind::Format, message).because(error)
            })?;
        let fields = self.names.iter().zip(inferred.fields()).map(|(name, field)| {
            let data_type = match field.data_type() {
                DataType::Null => DataType::Utf8,
                data_type => data_type.clone(),
            };
            Field::new(name, data_type, true)
        });
        Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
    }

    /// How this file's records are decoded into these columns.
    fn format(&self, source: &CsvSource, schema: &SchemaRef) -> Result<CsvFormat> {
        let at = |name: &str| self.names.iter().position(|column| column == name);
        let missing: Vec<&str> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .filter(|name| at(name).is_none())
            .collect();
        let surplus = self.names.iter().find(|name| schema.index_of(name).is_err());
        let problem = match (missing.is_empty(), surplus) {
            (false, _) => format!("has no column `{}`", missing.join("`, `")),
            // Given columns are all that is wanted; inferred ones are all that there are.
            (true, Some(name)) if source.schema.is_none() => {
                format!("has a column `{name}`, which the files before it have not")
            }
            _ => {
                let text = |name: &String| Field::new(name, DataType::Utf8, true);
                let of_file = self.names.iter().map(|name| match schema.field_with_name(name) {
                    Ok(field) => field.clone(),
                    Err(_) => text(name),
                });
                return Ok(CsvFormat {
                    of_file: Arc::new(Schema::new(of_file.collect::<Vec<_>>())),
                    projection: schema
                        .fields()
                        .iter()
                        .filter_map(|field| at(field.name()))
                        .collect(),
                    delimiter: source.delimiter,
                });
            }
        };
        Err(Error::new(
            ErrorKind::Schema,
            format!(
                "{} {problem}; it has `{}`, and {} was expected",
                self.origin,
                self.names.join("`, `"),
                columns(schema)
            ),
        ))
    }

    fn batches(self, source: &CsvSource, schema: &SchemaRef, sieve: Sieve) -> Result<TextReader> {
        let format = Arc::new(self.format(source, schema)?);
        TextReader::new(
            format,
            (schema.clone(), source.batch_rows),
            (self.origin, sieve),
            (self.text, self.lines, self.reader),
        )
    }
}

/// Takes a byte order mark away, and refuses what shows that it is no UTF-8.
fn decodable(origin: &str, text: &mut Vec<u8>) -> Result<()> {
    let first_line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let has_zeros = first_line.contains(&0);
    if text::has_mark_of_utf_16(text) || has_zeros && is_wide(text) {
        return Err(text::utf_16(origin));
    }
    if has_zeros {
        let message = format!("{origin} has a byte of zero in its first line: is it a CSV file, and whole?");
        return Err(Error::new(ErrorKind::Format, message));
    }
    if text.starts_with(&[0xef, 0xbb, 0xbf]) {
        text.drain(..3);
    }
    let until = match std::str::from_utf8(text) {
        Err(error) if error.error_len().is_some() => error.valid_up_to(),
        // What was read may end within a character.
        _ => return Ok(()),
    };
    let line = memchr::memchr_iter(b'\n', text.get(..until).unwrap_or_default()).count() + 1;
    Err(Error::new(
        ErrorKind::Encoding,
        format!(
            "{origin} line {line}: is not UTF-8: convert the file, for example with `iconv -f WINDOWS-1252 -t UTF-8`"
        ),
    ))
}

/// Whether text with bytes of zero in its first line looks like UTF-16: they are all on the same side, and the end of the line has one, too.
fn is_wide(text: &[u8]) -> bool {
    let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
    let line = text.get(..end).unwrap_or_default();
    let all_at = |side: usize| memchr::memchr_iter(0, line).all(|at| at % 2 == side);
    let is_little = all_at(1) && text.get(end + 1).is_none_or(|byte| *byte == 0);
    let is_big = all_at(0) && (end == text.len() || line.ends_with(&[0]));
    is_little || is_big
}
