//! Values of rows as parameters. A table takes any value in any column, and may make another one of it: what would not be read from a column of its declared type is refused, as other databases refuse it.

use std::borrow::Cow;

use arrow_array::Array as _;
use arrow_schema::DataType;
use sqlx::Arguments as _;
use sqlx::sqlite::SqliteArguments;

use super::times;
use crate::error::{Error, ErrorKind, Result};
use crate::exact;
use crate::sql::columns;
use crate::sql::plain::Plain;
use crate::text::cut;

/// A column that rows go into.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    /// As what it is read; nothing, if its values are read as what they are.
    pub(super) declared: Option<DataType>,
    /// Whether it makes numbers of texts that look like some.
    pub(super) makes_numbers: bool,
}

/// A value, as SQLite takes it.
enum Given<'a> {
    Integer(i64),
    Number(f64),
    Text(Cow<'a, str>),
    Bytes,
}

/// A value of a row, as a parameter.
pub(super) fn bind(
    arguments: &mut SqliteArguments,
    target: &Target,
    column: &Plain,
    row: usize,
) -> Result<()> {
    macro_rules! value {
        ($array:expr, $make:expr) => {{
            let value = (!$array.is_null(row)).then(|| $array.value(row));
            arguments.add(value.map($make))
        }};
    }
    target.check(column, row)?;
    let as_text = target.declared == Some(DataType::Utf8);
    let added = match column {
        Plain::Boolean(array) => value!(array, |value| value),
        Plain::Integer(array) => value!(array, |value| value),
        Plain::Unsigned(array) => value!(array, u64::cast_signed),
        // SQLite itself would leave out digits.
        Plain::Float(array) if as_text => value!(array, |value| format!("{value:?}")),
        Plain::Double(array) if as_text => value!(array, |value| format!("{value:?}")),
        Plain::Float(array) => value!(array, f64::from),
        Plain::Double(array) => value!(array, |value| value),
        Plain::Text(array) => value!(array, str::to_owned),
        Plain::Bytes(array) => value!(array, <[u8]>::to_vec),
        Plain::Date(array) => arguments.add(array.value_as_date(row).filter(|_| !array.is_null(row))),
        Plain::Time(array) => arguments.add(array.value_as_time(row).filter(|_| !array.is_null(row))),
        Plain::Timestamp(array) => {
            arguments.add(array.value_as_datetime(row).filter(|_| !array.is_null(row)))
        }
    };
    added.map_err(crate::value::no_parameter)
}

impl Target {
    /// Nothing, if a value is read from this column as it goes in.
    fn check(&self, column: &Plain, row: usize) -> Result<()> {
        use DataType as Arrow;
        // Such a column takes all of these.
        let is_of_it = matches!(
            (column, &self.declared),
            (Plain::Text(_), None) if !self.makes_numbers
        ) || matches!(
            (column, &self.declared),
            (
                Plain::Boolean(_),
                Some(Arrow::Boolean | Arrow::Int64 | Arrow::Utf8)
            ) | (Plain::Integer(_), None | Some(Arrow::Int64 | Arrow::Utf8))
                | (Plain::Text(_), Some(Arrow::Utf8 | Arrow::Binary))
                | (Plain::Bytes(_), None | Some(Arrow::Binary))
                | (Plain::Date(_), None | Some(Arrow::Date32 | Arrow::Utf8))
                | (Plain::Time(_), None | Some(Arrow::Time64(_) | Arrow::Utf8))
                | (
                    Plain::Timestamp(_),
                    None | Some(Arrow::Timestamp(..) | Arrow::Utf8)
                )
        );
        if is_of_it {
            return Ok(());
        }
        let Some(given) = self.given(column, row)? else {
            return Ok(());
        };
        match &self.declared {
            Some(declared) if !given.fits(declared) => {
                let reason = format!("which the table declares as one that is read as {declared}");
                Err(self.misfit(&given, &reason))
            }
            None if self.makes_numbers && !given.is_kept_as_numeric() => Err(self.misfit(
                &given,
                "whose type makes another number, or less than a text, of it",
            )),
            _ => Ok(()),
        }
    }

    /// What is bound for a row; nothing, where it has no value.
    fn given<'a>(&self, column: &'a Plain, row: usize) -> Result<Option<Given<'a>>> {
        macro_rules! given {
            ($array:expr, text $value:expr) => {
                $value
                    .filter(|_| !$array.is_null(row))
                    .map(|value| Given::Text(value.to_string().into()))
            };
            ($array:expr, $given:expr) => {
                (!$array.is_null(row)).then(|| $given)
            };
        }
        let given = match column {
            Plain::Boolean(array) => given!(array, Given::Integer(array.value(row).into())),
            Plain::Integer(array) => given!(array, Given::Integer(array.value(row))),
            Plain::Unsigned(array) => {
                let number = given!(array, i64::try_from(array.value(row))).transpose();
                let number = number.map_err(|_| self.impossible("a number above 2^63"))?;
                number.map(Given::Integer)
            }
            Plain::Float(array) => given!(array, Given::Number(array.value(row).into())),
            Plain::Double(array) => given!(array, Given::Number(array.value(row))),
            Plain::Text(array) => given!(array, Given::Text(array.value(row).into())),
            Plain::Bytes(array) => given!(array, Given::Bytes),
            Plain::Date(array) => given!(array, text array.value_as_date(row)),
            Plain::Time(array) => given!(array, text array.value_as_time(row)),
            Plain::Timestamp(array) => given!(array, text array.value_as_datetime(row)),
        };
        match given {
            // SQLite makes a missing value of it, and says nothing.
            Some(Given::Number(number)) if number.is_nan() => {
                Err(self.impossible("what is not a number (NaN)"))
            }
            given => Ok(given),
        }
    }

    fn impossible(&self, what: &str) -> Error {
        let message = format!("the column `{}` has {what}, which SQLite cannot hold", self.name);
        Error::new(ErrorKind::Schema, message)
    }

    fn misfit(&self, given: &Given<'_>, reason: &str) -> Error {
        let what = match given {
            Given::Integer(number) => format!("the number {number}"),
            Given::Number(number) => format!("the number {number:?}"),
            Given::Text(text) => format!("the text {:?}", cut(text, 40)),
            Given::Bytes => "bytes".to_owned(),
        };
        let message = format!(
            "a row has {what} for the column `{}`, {reason}: cast it, or load it into a column of another type",
            self.name
        );
        Error::new(ErrorKind::Rejected, message)
    }
}

impl Given<'_> {
    /// Whether it is read from a column of this type, as the value that it is.
    fn fits(&self, declared: &DataType) -> bool {
        match (declared, self) {
            (DataType::Utf8, given) => !matches!(given, Given::Bytes),
            (DataType::Binary, given) => matches!(given, Given::Bytes | Given::Text(_)),
            (DataType::Boolean, given) => given.whole().is_some_and(|number| columns::truth(number).is_ok()),
            (DataType::Int64, given) => given.whole().is_some(),
            (DataType::Float64, Given::Number(_)) => true,
            (DataType::Float64, Given::Integer(number)) => exact::is_float(*number),
            (DataType::Float64, Given::Text(text)) => is_number(text),
            (DataType::Date32, Given::Text(text)) => times::day(text).is_ok(),
            (DataType::Time64(_), Given::Text(text)) => times::time_of_day(text).is_ok(),
            (DataType::Timestamp(..), Given::Text(text)) => times::time(text).is_ok(),
            _ => false,
        }
    }

    /// Whether a column that makes numbers of texts leaves it what it is.
    fn is_kept_as_numeric(&self) -> bool {
        match self {
            Self::Text(text) => exact::is_kept_as_numeric(text),
            _ => true,
        }
    }

    /// The whole number that a column of whole numbers makes of it.
    fn whole(&self) -> Option<i64> {
        const BEYOND: f64 = 9_223_372_036_854_775_808.0;
        match self {
            Self::Integer(number) => Some(*number),
            Self::Number(number) if number.fract() == 0.0 && number.abs() < BEYOND => Some(*number as i64),
            Self::Text(text) => text.trim_ascii().parse().ok(),
            _ => None,
        }
    }
}

/// Whether a text is a number, as SQLite reads one, which a column of numbers with a fraction keeps.
fn is_number(text: &str) -> bool {
    let text = text.trim_ascii();
    // No word for one that is infinite, or none.
    let is_written = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    is_written && exact::is_kept_as_float(text)
}
