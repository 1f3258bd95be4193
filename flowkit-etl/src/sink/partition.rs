//! Rows by the values of some columns, and directories that are named after them: `scenario=WW/day=2013-02-04`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Schema, SchemaRef};
use arrow_select::take::take_record_batch;

use crate::error::{Error, ErrorKind, Result};
use crate::stream::columns;

/// The name of a missing value, as in Hive and what followed it.
const MISSING: &str = "__HIVE_DEFAULT_PARTITION__";

/// The columns that name directories, and those that remain in files.
#[derive(Debug, Clone)]
pub(crate) struct Partitioning {
    by: Vec<usize>,
    rest: Vec<usize>,
    /// The columns that remain in files.
    pub(crate) schema: SchemaRef,
}

impl Partitioning {
    pub(crate) fn new(schema: &Schema, by: &[String]) -> Result<Self> {
        let index = |name: &String| {
            schema.index_of(name).map_err(|_| {
                let message = format!(
                    "cannot partition by `{name}`: there are the columns {}",
                    columns(schema)
                );
                Error::new(ErrorKind::Options, message)
            })
        };
        let by = by.iter().map(index).collect::<Result<Vec<_>>>()?;
        let rest: Vec<usize> = (0..schema.fields().len())
            .filter(|index| !by.contains(index))
            .collect();
        if rest.is_empty() {
            let message = "cannot partition by all columns: one must remain in the files";
            return Err(Error::new(ErrorKind::Options, message));
        }
        if let Some(field) = by
            .iter()
            .map(|index| schema.field(*index))
            .find(|field| !is_nameable(field.data_type()))
        {
            let message = format!(
                "cannot partition by `{}`: values of {} name no directories",
                field.name(),
                field.data_type()
            );
            return Err(Error::new(ErrorKind::Options, message));
        }
        let schema = schema.project(&rest).map_err(broken)?;
        Ok(Self {
            by,
            rest,
            schema: Arc::new(schema),
        })
    }

    /// The rows of a batch by the directory in which they belong, in the order in which the directories are met. The directory is empty without partitioning.
    pub(crate) fn split(&self, batch: &RecordBatch) -> Result<Vec<(String, RecordBatch)>> {
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        if self.by.is_empty() {
            return Ok(vec![(String::new(), batch.clone())]);
        }
        let directories = self.directories(batch)?;
        let remaining = batch.project(&self.rest).map_err(broken)?;
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut split: Vec<(&str, Vec<u32>)> = Vec::new();
        for (row, directory) in (0u32..).zip(&directories) {
            let place = *places.entry(directory).or_insert(split.len());
            match split.get_mut(place) {
                Some((_, rows)) => rows.push(row),
                None => {
                    self.check(batch, row as usize, directory)?;
                    split.push((directory, vec![row]));
                }
            }
        }
        let of_directory = |(directory, rows): (&str, Vec<u32>)| {
            let rows = take_record_batch(&remaining, &UInt32Array::from(rows)).map_err(broken)?;
            Ok((directory.to_owned(), rows))
        };
        split.into_iter().map(of_directory).collect()
    }

    /// Nothing, if the values of a row come back from the name of its directory.
    fn check(&self, batch: &RecordBatch, row: usize, directory: &str) -> Result<()> {
        let values = self.by.iter().map(|index| batch.column(*index));
        let types: Vec<DataType> = values.clone().map(|values| values.data_type().clone()).collect();
        let named = values_of(&format!("{directory}/"), &types, 1)?;
        match values
            .zip(&named)
            .all(|(values, named)| *values.slice(row, 1) == **named)
        {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Schema,
                format!(
                    "`{directory}` would be read as the name of another value: partition by other columns"
                ),
            )),
        }
    }

    /// The directory of each row.
    fn directories(&self, batch: &RecordBatch) -> Result<Vec<String>> {
        let options = FormatOptions::default();
        let mut directories = vec![String::new(); batch.num_rows()];
        let schema = batch.schema_ref();
        for index in &self.by {
            let column = batch.column(*index);
            let name = encoded(schema.field(*index).name());
            let values = ArrayFormatter::try_new(column.as_ref(), &options).map_err(broken)?;
            for (row, directory) in directories.iter_mut().enumerate() {
                if !directory.is_empty() {
                    directory.push('/');
                }
                directory.push_str(&name);
                directory.push('=');
                if column.is_null(row) {
                    directory.push_str(MISSING);
                } else {
                    let value = values.value(row).try_to_string().map_err(broken)?;
                    directory.push_str(&named(&value));
                }
            }
        }
        Ok(directories)
    }
}

/// The values that a file's directories say, one for each of `types`, as columns of so many rows.
pub(crate) fn values_of(file: &str, types: &[DataType], rows: usize) -> Result<Vec<ArrayRef>> {
    let directories: Vec<&str> = file.split('/').collect();
    let first = directories.len().saturating_sub(types.len() + 1);
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let mut columns = Vec::with_capacity(types.len());
    for (directory, data_type) in directories.iter().skip(first).zip(types) {
        let value = directory.split_once('=').map_or("", |(_, value)| value);
        let value = (value != MISSING).then(|| decoded(value));
        let text: ArrayRef = Arc::new(StringArray::from(vec![value; rows]));
        columns.push(cast_with_options(&text, data_type, &options).map_err(|error| {
            let message = format!("the directory `{directory}` of {file} names no value of the type {data_type}: something else wrote it");
            Error::new(ErrorKind::Schema, message).because(error)
        })?);
    }
    Ok(columns)
}

/// Whether a type's values can be told from their texts.
fn is_nameable(data_type: &DataType) -> bool {
    data_type.is_integer()
        || data_type.is_floating()
        || matches!(
            data_type,
            DataType::Boolean
                | DataType::Utf8
                | DataType::LargeUtf8
                | DataType::Date32
                | DataType::Decimal128(..)
        )
}

/// A value as the name of a directory. What is neither letter, digit, `-`, `_` nor `.` is percent-encoded.
fn named(value: &str) -> String {
    match value.strip_prefix('_') {
        // Not to be taken for a missing value.
        Some(rest) if value == MISSING => format!("%5F{rest}"),
        _ => encoded(value),
    }
}

fn encoded(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name
}

fn decoded(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn broken(error: arrow_schema::ArrowError) -> Error {
    Error::new(ErrorKind::Schema, "rows cannot be partitioned by their values").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_missing_value_and_its_name_are_two_things() {
        assert_eq!(named(MISSING), "%5F_HIVE_DEFAULT_PARTITION__");
        assert_eq!(decoded(&named(MISSING)), MISSING);
        let columns = values_of(&format!("load=1/a={MISSING}/part.csv"), &[DataType::Int64], 2).unwrap();
        assert_eq!(columns[0].null_count(), 2);
    }

    proptest! {
        #[test]
        fn every_text_comes_back_from_the_name_of_its_directory(text in "\\PC*") {
            let name = named(&text);
            prop_assert!(!name.contains(['/', '=', '\\', ' ']));
            prop_assert_eq!(decoded(&name), text);
        }
    }
}
