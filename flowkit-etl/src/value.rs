//! Single values: those that go into statements as parameters, and those at which cursors stand.

use std::fmt;

use arrow_array::cast::AsArray;
use arrow_array::types as of;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use serde::{Deserialize, Serialize};

/// A single value: for a parameter of a statement, of whose text it never becomes part, or of a [`Since`](crate::Since).
///
/// Made by `into()` from numbers, texts, booleans, bytes and options of them. A type that is not here goes as text, with a cast in the statement: `$1::uuid`, `CAST(? AS JSON)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Value {
    /// No value.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Number(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A day, in days since 1970-01-01.
    Date(i32),
    /// A time without a zone, in microseconds since 1970-01-01 00:00:00.
    Timestamp(i64),
    /// A moment, in microseconds since 1970-01-01 00:00:00 UTC.
    Moment(i64),
}

impl Value {
    /// The value of a row, if it is of a type that parameters have.
    pub(crate) fn at(column: &ArrayRef, row: usize) -> Option<Self> {
        if column.is_null(row) {
            return Some(Self::Null);
        }
        Some(match column.data_type() {
            DataType::Boolean => Self::Boolean(column.as_boolean().value(row)),
            DataType::Int8 => Self::Integer(column.as_primitive::<of::Int8Type>().value(row).into()),
            DataType::Int16 => Self::Integer(column.as_primitive::<of::Int16Type>().value(row).into()),
            DataType::Int32 => Self::Integer(column.as_primitive::<of::Int32Type>().value(row).into()),
            DataType::Int64 => Self::Integer(column.as_primitive::<of::Int64Type>().value(row)),
            DataType::UInt8 => Self::Integer(column.as_primitive::<of::UInt8Type>().value(row).into()),
            DataType::UInt16 => Self::Integer(column.as_primitive::<of::UInt16Type>().value(row).into()),
            DataType::UInt32 => Self::Integer(column.as_primitive::<of::UInt32Type>().value(row).into()),
            DataType::UInt64 => {
                Self::Integer(i64::try_from(column.as_primitive::<of::UInt64Type>().value(row)).ok()?)
            }
            DataType::Float32 => Self::Number(column.as_primitive::<of::Float32Type>().value(row).into()),
            DataType::Float64 => Self::Number(column.as_primitive::<of::Float64Type>().value(row)),
            DataType::Utf8 => Self::Text(column.as_string::<i32>().value(row).to_owned()),
            DataType::LargeUtf8 => Self::Text(column.as_string::<i64>().value(row).to_owned()),
            DataType::Binary => Self::Bytes(column.as_binary::<i32>().value(row).to_owned()),
            DataType::Date32 => Self::Date(column.as_primitive::<of::Date32Type>().value(row)),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let micros = column.as_primitive::<of::TimestampMicrosecondType>().value(row);
                match zone {
                    Some(_) => Self::Moment(micros),
                    None => Self::Timestamp(micros),
                }
            }
            _ => return None,
        })
    }

    /// The value of a row, as text if it is of a type that parameters do not have: exact numbers, times of the day.
    #[cfg(feature = "sql")]
    pub(crate) fn or_text(column: &ArrayRef, row: usize) -> crate::Result<Self> {
        if let Some(value) = Self::at(column, row) {
            return Ok(value);
        }
        let text = arrow_cast::display::array_value_to_string(column, row);
        text.map(Self::Text).map_err(|error| {
            let message = format!(
                "a value of the type {} cannot be read: cast it in the query",
                column.data_type()
            );
            crate::Error::new(crate::ErrorKind::Schema, message).because(error)
        })
    }

    /// Whether it is less than another one, if both are of a kind whose order everybody agrees on: not texts, of which each database has its own.
    pub(crate) fn is_known_below(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Integer(own), Self::Integer(other))
            | (Self::Timestamp(own), Self::Timestamp(other))
            | (Self::Moment(own), Self::Moment(other)) => own < other,
            (Self::Date(own), Self::Date(other)) => own < other,
            (Self::Number(own), Self::Number(other)) => own < other,
            _ => false,
        }
    }

    /// Whether it is no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl fmt::Display for Value {
    /// As it is for who reads it, times in ISO 8601.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let beyond = "a time that no calendar has";
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value:?}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Date(_) => match self.date() {
                Some(date) => write!(f, "{date}"),
                None => f.write_str(beyond),
            },
            Self::Timestamp(_) => match self.time() {
                Some(time) => write!(f, "{}", time.format("%Y-%m-%dT%H:%M:%S%.f")),
                None => f.write_str(beyond),
            },
            Self::Moment(_) => match self.time() {
                Some(time) => write!(f, "{}Z", time.format("%Y-%m-%dT%H:%M:%S%.f")),
                None => f.write_str(beyond),
            },
        }
    }
}

impl Value {
    /// The day, if it is one.
    pub(crate) fn date(&self) -> Option<chrono::NaiveDate> {
        match self {
            Self::Date(days) => {
                arrow_array::temporal_conversions::date32_to_datetime(*days).map(|time| time.date())
            }
            _ => None,
        }
    }

    /// The time, without its zone, if it is one.
    pub(crate) fn time(&self) -> Option<chrono::NaiveDateTime> {
        match self {
            Self::Timestamp(micros) | Self::Moment(micros) => {
                chrono::DateTime::from_timestamp_micros(*micros).map(|time| time.naive_utc())
            }
            _ => None,
        }
    }
}

/// A time of the day, in microseconds since midnight.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(crate) fn micros_of_day(time: chrono::NaiveTime) -> i64 {
    use chrono::Timelike as _;
    i64::from(time.num_seconds_from_midnight()) * 1_000_000 + i64::from(time.nanosecond() / 1000)
}

/// A value could not be made a parameter.
#[cfg(feature = "sql")]
pub(crate) fn no_parameter(error: sqlx::error::BoxDynError) -> crate::Error {
    crate::Error::new(
        crate::ErrorKind::Options,
        "a value cannot be a parameter of a statement",
    )
    .because(error)
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_such_that_a_person_knows_it() {
        assert_eq!(Value::from("a").to_string(), "\"a\"");
        assert_eq!(Value::from(2.0).to_string(), "2.0");
        assert_eq!(Value::Date(15_740).to_string(), "2013-02-04");
        assert_eq!(
            Value::Moment(1_359_936_000_500_000).to_string(),
            "2013-02-04T00:00:00.500Z"
        );
        assert_eq!(
            Value::Timestamp(i64::MAX).to_string(),
            "a time that no calendar has"
        );
    }

    #[test]
    fn a_value_outlasts_being_written_down() {
        for value in [
            Value::Null,
            Value::from(i64::MIN),
            Value::from("ä"),
            Value::Moment(1),
            // Read in a hurry, it is the number beside it.
            Value::from(31.245270191439438),
        ] {
            let text = serde_json::to_string(&value).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }
}
