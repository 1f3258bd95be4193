//! Rows in the text form of `COPY`, in which the server makes of each value what its column is.

use arrow_array::Array;
use arrow_cast::display::{ArrayFormatter, FormatOptions};

use crate::error::{Error, ErrorKind, Result};
use crate::sql::plain::Plain;

/// Appends all rows of these columns to a text.
pub(super) fn write(columns: &[Plain], rows: usize, text: &mut Vec<u8>) -> Result<()> {
    let options = FormatOptions::default();
    let writers = columns
        .iter()
        .map(|column| Writer::of(column, &options))
        .collect::<Result<Vec<_>>>()?;
    for row in 0..rows {
        for (index, writer) in writers.iter().enumerate() {
            if index > 0 {
                text.push(b'\t');
            }
            writer.write(row, text)?;
        }
        text.push(b'\n');
    }
    Ok(())
}

/// How the values of a column are written.
enum Writer<'a> {
    Text(&'a arrow_array::StringArray),
    Bytes(&'a arrow_array::BinaryArray),
    Integer(&'a arrow_array::Int64Array),
    Other(&'a dyn Array, ArrayFormatter<'a>),
}

impl<'a> Writer<'a> {
    fn of(column: &'a Plain, options: &FormatOptions<'a>) -> Result<Self> {
        let other: &dyn Array = match column {
            Plain::Text(array) => return Ok(Self::Text(array)),
            Plain::Bytes(array) => return Ok(Self::Bytes(array)),
            Plain::Integer(array) => return Ok(Self::Integer(array)),
            Plain::Boolean(array) => array,
            Plain::Unsigned(array) => array,
            Plain::Float(array) => array,
            Plain::Double(array) => array,
            Plain::Date(array) => array,
            Plain::Time(array) => array,
            Plain::Timestamp(array) => array,
        };
        let formatter = ArrayFormatter::try_new(other, options).map_err(unwritable)?;
        Ok(Self::Other(other, formatter))
    }

    fn write(&self, row: usize, text: &mut Vec<u8>) -> Result<()> {
        use std::io::Write as _;
        let missing = match self {
            Self::Text(array) => array.is_null(row),
            Self::Bytes(array) => array.is_null(row),
            Self::Integer(array) => array.is_null(row),
            Self::Other(array, _) => array.is_null(row),
        };
        if missing {
            text.extend_from_slice(b"\\N");
            return Ok(());
        }
        let written = match self {
            Self::Text(array) => {
                escape(array.value(row).as_bytes(), text);
                Ok(())
            }
            Self::Bytes(array) => {
                text.extend_from_slice(b"\\\\x");
                array
                    .value(row)
                    .iter()
                    .try_for_each(|byte| write!(text, "{byte:02x}"))
            }
            Self::Integer(array) => write!(text, "{}", array.value(row)),
            Self::Other(_, formatter) => write!(text, "{}", formatter.value(row)),
        };
        written.map_err(unwritable)
    }
}

/// What would end a value or a row, or begin something else, with a backslash before it.
fn escape(value: &[u8], text: &mut Vec<u8>) {
    let mut rest = value;
    while let Some(at) = rest
        .iter()
        .position(|byte| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r'))
    {
        let (before, after) = rest.split_at(at);
        text.extend_from_slice(before);
        text.push(b'\\');
        let mut after = after.iter();
        text.push(match after.next() {
            Some(b'\t') => b't',
            Some(b'\n') => b'n',
            Some(b'\r') => b'r',
            _ => b'\\',
        });
        rest = after.as_slice();
    }
    text.extend_from_slice(rest);
}

fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Schema, "a value cannot be written as text").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_looks_like_a_form_of_its_own_stays_a_text() {
        let texts = arrow_array::StringArray::from(vec![Some("a\tb\\\r\nc"), Some("\\N"), Some(""), None]);
        let mut text = Vec::new();
        write(&[Plain::Text(texts)], 4, &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "a\\tb\\\\\\r\\nc\n\\\\N\n\n\\N\n"
        );
    }

    #[test]
    fn numbers_times_and_bytes_are_as_the_server_reads_them() {
        let columns = [
            Plain::Double(vec![0.1, f64::NAN].into()),
            Plain::Date(vec![15_740, 0].into()),
            Plain::Timestamp(
                arrow_array::TimestampMicrosecondArray::from(vec![1_500_000, 0]).with_timezone("+00:00"),
            ),
            Plain::Bytes(vec![&[0_u8, 255][..], &[]].into()),
        ];
        let mut text = Vec::new();
        write(&columns, 2, &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "0.1\t2013-02-04\t1970-01-01T00:00:01.500Z\t\\\\x00ff\nNaN\t1970-01-01\t1970-01-01T00:00:00Z\t\\\\x\n"
        );
    }
}
