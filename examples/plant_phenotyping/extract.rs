//! Extract: from a file of measurements to raw records that know their lines.
//!
//! A [`SourceId`] says which file was read by what it holds, so that a cached extract of a file that has changed since is
//! never taken for the file of now.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::record::{Column, RawRecord};

/// A file and what it holds. Two are equal only when path, size and content are.
///
/// The modification time is left out on purpose: a file that was touched and holds the same bytes is the same source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceId {
    pub(crate) path: PathBuf,
    /// Bytes.
    pub(crate) size: u64,
    /// BLAKE3 of the content, in hexadecimal.
    pub(crate) digest: String,
}

/// Why a source could not be read. Each message names the file, and the line where there is one.
#[derive(Debug, Error)]
pub(crate) enum ExtractError {
    #[error("cannot read {}", file.display())]
    Read { file: PathBuf, source: io::Error },
    #[error("{}: not a regular file", file.display())]
    NotAFile { file: PathBuf },
    #[error("{}: changed while it was being read", file.display())]
    Changed { file: PathBuf },
    #[error("{}: empty, without even a header", file.display())]
    Empty { file: PathBuf },
    #[error("{}, line {line}: a header and no record", file.display())]
    NoRecords { file: PathBuf, line: u64 },
    #[error("{}, line {line}: not UTF-8 text; is this a CSV file?", file.display())]
    NotText { file: PathBuf, line: u64 },
    #[error("{}, line {line}: {}", file.display(), wrong_columns(unknown, missing, repeated))]
    Columns {
        file: PathBuf,
        line: u64,
        unknown: Vec<String>,
        missing: Vec<Column>,
        repeated: Vec<Column>,
    },
    #[error("{}, line {line}: {found} fields where the header has {expected}", file.display())]
    FieldCount {
        file: PathBuf,
        line: u64,
        found: u64,
        expected: u64,
    },
    #[error("{}, line {line}: {column}: a line break within the field; is a quote not closed?", file.display())]
    LineBreak {
        file: PathBuf,
        line: u64,
        column: Column,
    },
    #[error("{}: not CSV", file.display())]
    Csv { file: PathBuf, source: csv::Error },
}

impl ExtractError {
    /// Whether trying again may help: a failed read may, a file that is absent, forbidden or wrong does not mend itself.
    pub(crate) fn is_transient(&self) -> bool {
        let lasting = [
            ErrorKind::NotFound,
            ErrorKind::PermissionDenied,
            ErrorKind::IsADirectory,
            ErrorKind::InvalidInput,
        ];
        matches!(self, Self::Read { source, .. } if !lasting.contains(&source.kind()))
    }
}

/// Which file lies at `path` now.
pub(crate) fn identify(path: &Path) -> Result<SourceId, ExtractError> {
    let bytes = read(path)?;
    Ok(SourceId {
        path: path.to_owned(),
        size: bytes.len() as u64,
        digest: digest(&bytes),
    })
}

/// Every record of `source`, in the order of the file. Fails unless the file still holds what `source` says.
pub(crate) fn extract(source: &SourceId) -> Result<Vec<RawRecord>, ExtractError> {
    let file = source.path.as_path();
    let bytes = read(file)?;
    if digest(&bytes) != source.digest {
        return Err(ExtractError::Changed {
            file: file.to_owned(),
        });
    }
    parse(file, text_of(file, &bytes)?)
}

fn read(path: &Path) -> Result<Vec<u8>, ExtractError> {
    let unreadable = |source| ExtractError::Read {
        file: path.to_owned(),
        source,
    };
    // A pipe would be empty the second time, a device might never end.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(ExtractError::NotAFile {
            file: path.to_owned(),
        });
    }
    fs::read(path).map_err(unreadable)
}

fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// `bytes` as text, without the byte-order mark that spreadsheets like to put first.
fn text_of<'a>(file: &Path, bytes: &'a [u8]) -> Result<&'a str, ExtractError> {
    let invalid = match std::str::from_utf8(bytes) {
        Ok(text) => match text.find('\0') {
            Some(nul) => nul,
            None => return Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        },
        Err(error) => error.valid_up_to(),
    };
    let line = 1 + bytes.iter().take(invalid).filter(|byte| **byte == b'\n').count() as u64;
    Err(ExtractError::NotText {
        file: file.to_owned(),
        line,
    })
}

fn parse(file: &Path, text: &str) -> Result<Vec<RawRecord>, ExtractError> {
    let mut lines = Lines::of(text);
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let header = reader
        .headers()
        .map_err(|error| unreadable_record(file, &mut lines, error))?
        .clone();
    if header.is_empty() {
        return Err(ExtractError::Empty {
            file: file.to_owned(),
        });
    }
    let header_line = lines.at(header.position());
    let places = places(file, header_line, &header)?;

    let mut records = Vec::new();
    let mut row = csv::StringRecord::new();
    while reader
        .read_record(&mut row)
        .map_err(|error| unreadable_record(file, &mut lines, error))?
    {
        let line = lines.at(row.position());
        let field = |column: Column| {
            places
                .get(column as usize)
                .and_then(|place| row.get(*place))
                .unwrap_or_default()
        };
        // No column holds text of several lines. A quote that is never closed would swallow the records after it.
        if let Some(column) = Column::ALL
            .into_iter()
            .find(|column| field(*column).contains('\n'))
        {
            return Err(ExtractError::LineBreak {
                file: file.to_owned(),
                line,
                column,
            });
        }
        records.push(RawRecord::new(line, field));
    }
    if records.is_empty() {
        return Err(ExtractError::NoRecords {
            file: file.to_owned(),
            line: header_line,
        });
    }
    Ok(records)
}

/// Where in the file's rows each column of [`Column::ALL`] stands.
fn places(file: &Path, line: u64, header: &csv::StringRecord) -> Result<Vec<usize>, ExtractError> {
    let place = |column: &Column| header.iter().position(|name| name == column.name());
    let count = |column: &Column| header.iter().filter(|name| *name == column.name()).count();
    let known = |name: &&str| Column::ALL.iter().any(|column| column.name() == *name);
    let unknown: Vec<String> = header.iter().filter(|name| !known(name)).map(quoted).collect();
    let missing: Vec<Column> = Column::ALL
        .into_iter()
        .filter(|column| count(column) == 0)
        .collect();
    let repeated: Vec<Column> = Column::ALL
        .into_iter()
        .filter(|column| count(column) > 1)
        .collect();
    if unknown.is_empty() && missing.is_empty() && repeated.is_empty() {
        Ok(Column::ALL.iter().filter_map(place).collect())
    } else {
        Err(ExtractError::Columns {
            file: file.to_owned(),
            line,
            unknown,
            missing,
            repeated,
        })
    }
}

fn wrong_columns(unknown: &[String], missing: &[Column], repeated: &[Column]) -> String {
    let names = |columns: &[Column]| {
        columns
            .iter()
            .map(|column| quoted(column.name()))
            .collect::<Vec<_>>()
    };
    let kinds = [
        ("unknown", unknown.to_vec()),
        ("missing", names(missing)),
        ("repeated", names(repeated)),
    ];
    let parts = kinds
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(kind, names)| {
            let noun = if names.len() == 1 { "column" } else { "columns" };
            format!("{kind} {noun} {}", names.join(", "))
        });
    parts.collect::<Vec<_>>().join("; ")
}

/// `text` in backticks for a message of one line: escaped, and cut when it is long.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 40;
    let shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    let rest = if text.chars().nth(LONGEST).is_some() {
        "…"
    } else {
        ""
    };
    format!("`{shown}{rest}`")
}

fn unreadable_record(file: &Path, lines: &mut Lines<'_>, error: csv::Error) -> ExtractError {
    let line = lines.at(error.position());
    let file = file.to_owned();
    match *error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => ExtractError::FieldCount {
            file,
            line,
            found: len,
            expected: expected_len,
        },
        _ => ExtractError::Csv { file, source: error },
    }
}

/// Counts lines up to ever later places of a text.
///
/// The reader's own line numbers point at the blank lines before a record, and count `\r\n` one record late.
struct Lines<'a> {
    rest: &'a [u8],
    /// The place of `rest` in the text.
    byte: u64,
    /// The line on which `rest` begins.
    line: u64,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            rest: text.as_bytes(),
            byte: 0,
            line: 1,
        }
    }

    /// The line of the record at `position`, which is not before the one asked for last.
    fn at(&mut self, position: Option<&csv::Position>) -> u64 {
        let target = position.map_or(self.byte, csv::Position::byte);
        while let Some((first, rest)) = self.rest.split_first() {
            let line_end = matches!(first, b'\r' | b'\n');
            if self.byte >= target && !line_end {
                break;
            }
            self.line += u64::from(*first == b'\n');
            self.byte += 1;
            self.rest = rest;
        }
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "Ref,experimentAlias,Day,potAlias,scenario,genotypeAlias,repetition,Line,Position,\
                          thermalTime,plantHeight,leafArea,biovolume,Repsce";
    const ROW: &str = "x_1_1_WW,x,2024-04-01,1,WW,A,1,1,1,1.5,100,0.02,,1_WW";

    fn records(text: &str) -> Result<Vec<RawRecord>, String> {
        parse(Path::new("p.csv"), text).map_err(|error| error.to_string())
    }

    fn lines_of(text: &str) -> Vec<u64> {
        records(text).unwrap().iter().map(|record| record.line).collect()
    }

    #[test]
    fn fields_are_found_by_the_name_of_their_column_whatever_the_order() {
        let swap = |row: &str| {
            let mut fields: Vec<&str> = row.split(',').collect();
            fields.reverse();
            fields.join(",")
        };
        let ahead = records(&format!("{HEADER}\n{ROW}\n")).unwrap();
        let reversed = records(&format!("{}\n{}\n", swap(HEADER), swap(ROW))).unwrap();
        assert_eq!(ahead, reversed);
        assert_eq!(ahead[0].field(Column::Day), "2024-04-01");
        assert_eq!(ahead[0].field(Column::Biovolume), "");
    }

    #[test]
    fn line_numbers_are_those_an_editor_shows() {
        assert_eq!(lines_of(&format!("{HEADER}\n{ROW}\n{ROW}\n{ROW}")), [2, 3, 4]);
        assert_eq!(lines_of(&format!("{HEADER}\r\n{ROW}\r\n{ROW}\r\n")), [2, 3]);
        assert_eq!(lines_of(&format!("\n{HEADER}\n\n\n{ROW}\n\n{ROW}\n\n")), [5, 7]);
        assert_eq!(lines_of(&format!("\r\n{HEADER}\r\n\r\n{ROW}\r\n")), [4]);
    }

    #[test]
    fn unknown_missing_and_repeated_columns_are_named() {
        let header = HEADER.replace("plantHeight", "height").replace("Line", "Day");
        assert_eq!(
            records(&format!("{header}\n{ROW}\n")).unwrap_err(),
            "p.csv, line 1: unknown column `height`; missing columns `Line`, `plantHeight`; repeated column `Day`"
        );
        let error = records(&format!("{HEADER},note\n{ROW},x\n")).unwrap_err();
        assert_eq!(error, "p.csv, line 1: unknown column `note`");
    }

    #[test]
    fn a_row_with_too_many_or_too_few_fields_is_an_error_with_its_line() {
        let short = records(&format!("{HEADER}\n{ROW}\n\n1,2,3\n{ROW}\n")).unwrap_err();
        assert_eq!(short, "p.csv, line 4: 3 fields where the header has 14");
        let long = records(&format!("{HEADER}\r\n{ROW}\r\n{ROW},1\r\n")).unwrap_err();
        assert_eq!(long, "p.csv, line 3: 15 fields where the header has 14");
    }

    #[test]
    fn a_quote_that_is_never_closed_does_not_swallow_the_records_after_it() {
        let open = ROW.replace("1_WW", "\"1_WW").replace("x_\"1_WW", "x_1_1_WW");
        let text = format!("{HEADER}\n{ROW}\n{open}\n{ROW}\n{ROW}\n");
        let error = records(&text).unwrap_err();
        assert_eq!(
            error,
            "p.csv, line 3: Repsce: a line break within the field; is a quote not closed?"
        );
    }

    #[test]
    fn a_quoted_field_loses_its_quotes() {
        let records = records(&format!(
            "{HEADER}\n{}\n",
            ROW.replace(",A,", ",\"A, \"\"b\"\"\",")
        ))
        .unwrap();
        assert_eq!(records[0].field(Column::GenotypeAlias), "A, \"b\"");
    }

    #[test]
    fn a_file_without_records_is_an_error() {
        assert_eq!(records("").unwrap_err(), "p.csv: empty, without even a header");
        assert_eq!(
            records("\n\n").unwrap_err(),
            "p.csv: empty, without even a header"
        );
        assert_eq!(
            records(HEADER).unwrap_err(),
            "p.csv, line 1: a header and no record"
        );
    }

    #[test]
    fn bytes_that_are_not_text_are_an_error_with_their_line() {
        let file = Path::new("p.csv");
        let latin = text_of(file, b"a\nb\nMa\xefs\n").unwrap_err().to_string();
        assert_eq!(latin, "p.csv, line 3: not UTF-8 text; is this a CSV file?");
        let nul = text_of(file, b"a\n\0b").unwrap_err().to_string();
        assert_eq!(nul, "p.csv, line 2: not UTF-8 text; is this a CSV file?");
        assert_eq!(text_of(file, b"\xef\xbb\xbfRef").unwrap(), "Ref");
    }

    #[test]
    fn a_source_is_what_its_file_holds_and_a_changed_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.csv");
        fs::write(&path, format!("{HEADER}\n{ROW}\n")).unwrap();
        let before = identify(&path).unwrap();
        assert_eq!(before, identify(&path).unwrap());
        assert_eq!(extract(&before).unwrap().len(), 1);

        fs::write(&path, format!("{HEADER}\n{}\n", ROW.replace("100", "101"))).unwrap();
        let after = identify(&path).unwrap();
        assert_eq!(before.size, after.size);
        assert_ne!(before, after);
        assert!(matches!(extract(&before), Err(ExtractError::Changed { .. })));
    }

    #[test]
    fn a_source_that_is_absent_or_no_file_is_an_error_that_does_not_mend_itself() {
        let dir = tempfile::tempdir().unwrap();
        let absent = identify(&dir.path().join("none.csv")).unwrap_err();
        assert!(absent.to_string().starts_with("cannot read ") && absent.to_string().ends_with("none.csv"));
        assert!(!absent.is_transient());
        let directory = identify(dir.path()).unwrap_err();
        assert!(matches!(directory, ExtractError::NotAFile { .. }));
        assert!(!directory.is_transient());
    }

    #[test]
    fn a_read_that_was_cut_short_may_be_tried_again() {
        let source = io::Error::from(ErrorKind::TimedOut);
        assert!(
            ExtractError::Read {
                file: "p.csv".into(),
                source
            }
            .is_transient()
        );
    }

    #[test]
    fn a_quoted_text_stays_on_one_line_and_short() {
        assert_eq!(quoted("a\nb"), "`a\\nb`");
        assert_eq!(quoted(&"x".repeat(41)), format!("`{}…`", "x".repeat(40)));
        assert_eq!(quoted(&"x".repeat(40)), format!("`{}`", "x".repeat(40)));
    }
}
