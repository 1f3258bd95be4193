//! A column as one of another type, and which of its values are others then.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal256Type, Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef};
use arrow_cast::cast;
use arrow_cast::display::array_value_to_string;
use arrow_schema::{ArrowError, DataType, TimeUnit};

use crate::nanos::Nanos;

/// A column that was coerced.
pub(crate) struct Coerced {
    /// A value that cannot be one of this type is missing here.
    pub(crate) column: ArrayRef,
    is_lost: Box<dyn Fn(usize) -> bool>,
}

impl Coerced {
    /// Times without a zone are UTC.
    pub(crate) fn new(found: &ArrayRef, to: &DataType) -> Result<Self, ArrowError> {
        let found = match found.data_type() {
            same if same == to => return Ok(Self::without_loss(found.clone())),
            DataType::Dictionary(_, of) => &cast(found, of)?,
            _ => found,
        };
        let column = cast_in_utc(found, to)?;
        let is_lost = match (found.data_type().is_string(), to.is_string()) {
            (false, false) => other_when_cast_back(found, &column),
            (true, false) => read_in_part(found, &column)?,
            (_, true) => return Ok(Self::without_loss(column)),
        };
        Ok(Self { column, is_lost })
    }

    fn without_loss(column: ArrayRef) -> Self {
        Self {
            column,
            is_lost: Box::new(|_| false),
        }
    }

    /// Whether the value of a row, which is there, is another one than before.
    pub(crate) fn is_lost(&self, row: usize) -> bool {
        (self.is_lost)(row)
    }
}

/// What Arrow would take for the time on clocks in the zone.
fn cast_in_utc(found: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    match (found.data_type(), to) {
        (DataType::Timestamp(unit, None), DataType::Timestamp(_, Some(_))) => {
            let utc = DataType::Timestamp(*unit, Some("+00:00".into()));
            cast(&cast(found, &utc)?, to)
        }
        _ => cast(found, to),
    }
}

/// Of numbers and times.
fn other_when_cast_back(found: &ArrayRef, column: &ArrayRef) -> Box<dyn Fn(usize) -> bool> {
    let back = cast_in_utc(column, found.data_type()).ok();
    let Some(back) = back.filter(|back| back != found) else {
        return Box::new(|_| false);
    };
    let found = found.clone();
    Box::new(move |row| back.slice(row, 1) != found.slice(row, 1))
}

/// Of texts: whether a type that holds more reads more in them.
fn read_in_part(texts: &ArrayRef, column: &ArrayRef) -> Result<Box<dyn Fn(usize) -> bool>, ArrowError> {
    let to = column.data_type();
    if let Some(read) = Nanos::of(column)? {
        let finer: Vec<Nanos> = finer_than(to)
            .iter()
            .filter_map(|finer| cast(texts, finer).ok())
            .filter_map(|whole| Nanos::of(&whole).ok().flatten())
            .collect();
        return Ok(Box::new(move |row| {
            let whole = finer.iter().find_map(|finer| finer.at(row));
            whole.is_some_and(|whole| read.at(row) != Some(whole))
        }));
    }
    if to.is_decimal() {
        let all = DataType::Decimal256(76, 38);
        let (read, whole) = (cast(column, &all)?, cast(texts, &all)?);
        return Ok(Box::new(move |row| {
            let (read, whole) = (
                read.as_primitive::<Decimal256Type>(),
                whole.as_primitive::<Decimal256Type>(),
            );
            whole.is_valid(row) && (read.is_null(row) || read.value(row) != whole.value(row))
        }));
    }
    if to.is_floating() {
        let (texts, column) = (texts.clone(), column.clone());
        return Ok(Box::new(move |row| {
            let text = array_value_to_string(&texts, row).unwrap_or_default();
            !is_kept(&text, &column, row)
        }));
    }
    Ok(Box::new(|_| false))
}

/// Types that read all of a text that is a day or a time, the first of them where it is not too far from 1970.
fn finer_than(to: &DataType) -> Vec<DataType> {
    let times = |zone: Option<Arc<str>>| {
        [TimeUnit::Nanosecond, TimeUnit::Microsecond]
            .map(|unit| DataType::Timestamp(unit, zone.clone()))
            .to_vec()
    };
    match to {
        DataType::Timestamp(_, zone) => times(zone.clone()),
        DataType::Date32 | DataType::Date64 => times(None),
        DataType::Time32(_) | DataType::Time64(_) => vec![DataType::Time64(TimeUnit::Nanosecond)],
        _ => Vec::new(),
    }
}

/// Whether a float is the number that a text says. It is where the float, written with as many digits as the text has, is that text. Of 64 bits it is enough that it is the float nearest to it, unless
/// that is a whole number: such a one may be the name of something.
fn is_kept(text: &str, column: &ArrayRef, row: usize) -> bool {
    let Some(said) = Digits::of(text) else {
        return true;
    };
    let precision = said.digits.len().saturating_sub(1);
    let written = match column.data_type() {
        DataType::Float64 => {
            let number = column.as_primitive::<Float64Type>().value(row);
            if number.is_finite() && said.has_fraction() {
                return true;
            }
            format!("{number:.precision$e}")
        }
        DataType::Float32 => format!("{:.precision$e}", column.as_primitive::<Float32Type>().value(row)),
        _ => {
            let number = column.as_primitive::<Float16Type>().value(row);
            format!("{:.precision$e}", number.to_f32())
        }
    };
    Digits::of(&written).is_some_and(|written| written == said)
}

/// A decimal number, whichever way it is written.
#[derive(Debug, PartialEq, Eq)]
struct Digits {
    /// Without zeros at the beginning and the end; nothing is 0.
    digits: String,
    is_negative: bool,
    /// The digits are those of a fraction that begins with the point, times ten to this.
    exponent: i64,
}

impl Digits {
    /// Nothing, if it is no such number.
    fn of(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_negative = text.starts_with('-');
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let whole = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = all.trim_start_matches('0');
        let zeros = (all.len() - digits.len()) as i64;
        let digits = digits.trim_end_matches('0');
        let exponent: i64 = exponent.parse().ok()?;
        Some(Self {
            digits: digits.to_owned(),
            is_negative,
            exponent: match digits {
                "" => 0,
                _ => exponent.checked_add(whole.len() as i64 - zeros)?,
            },
        })
    }

    fn has_fraction(&self) -> bool {
        self.digits.len() as i64 > self.exponent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use arrow_array::{Float32Array, Float64Array, StringArray};

    #[test]
    fn a_text_is_kept_by_a_float_that_is_it_in_as_many_digits() {
        let kept_by_32 = |text: &str| {
            let column: ArrayRef = Arc::new(Float32Array::from(vec![text.parse::<f32>().unwrap()]));
            is_kept(text, &column, 0)
        };
        for text in [
            "0",
            "-0.0",
            "1.50",
            "0.1",
            "+140.333",
            "0.100000001",
            "1e30",
            "0.100000001490116119384765625",
            "16777216",
            "1.17549435E-38",
            "nan",
            "inf",
        ] {
            assert!(kept_by_32(text), "{text}");
        }
        for text in ["3.14159265358979", "16777217", "1e39", "1e-50", "0.123456789"] {
            assert!(!kept_by_32(text), "{text}");
        }
        let kept_by_64 = |text: &str| {
            let column: ArrayRef = Arc::new(Float64Array::from(vec![text.parse::<f64>().unwrap()]));
            is_kept(text, &column, 0)
        };
        for text in [
            "3.14159265358979323846",
            "0.10000000000000001",
            "9007199254740992",
            "1e300",
        ] {
            assert!(kept_by_64(text), "{text}");
        }
        for text in ["9007199254740993", "1e400"] {
            assert!(!kept_by_64(text), "{text}");
        }
    }

    #[test]
    fn a_text_that_says_more_than_a_type_holds_is_lost_in_it() {
        let minutes = DataType::Time32(TimeUnit::Second);
        let seconds = DataType::Timestamp(TimeUnit::Second, None);
        for (text, to, is_lost) in [
            ("2013-02-04", DataType::Date32, false),
            ("2013-02-04T00:00:00", DataType::Date32, false),
            ("2013-02-04T18:30:00", DataType::Date32, true),
            ("9999-12-31", DataType::Date32, false),
            ("9999-12-31T18:30:00", DataType::Date32, true),
            ("2013-02-04T18:30:00.25", DataType::Date64, false),
            ("2013-02-04T18:30:00", seconds.clone(), false),
            ("2013-02-04 18:30:00.5", seconds, true),
            ("18:30:00", minutes.clone(), false),
            ("18:30:00.5", minutes, true),
            ("1.239", DataType::Decimal128(10, 2), true),
            ("1.230", DataType::Decimal128(10, 2), false),
            ("-12", DataType::Decimal128(10, 2), false),
            ("true", DataType::Boolean, false),
        ] {
            let texts: ArrayRef = Arc::new(StringArray::from(vec![text]));
            let coerced = Coerced::new(&texts, &to).unwrap();
            assert!(coerced.column.is_valid(0), "{text} as {to}");
            assert_eq!(coerced.is_lost(0), is_lost, "{text} as {to}");
        }
    }
}
