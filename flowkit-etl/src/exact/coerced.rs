//! A column as one of another type, and which of its values are others then.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, Int64Array};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, TimeUnit};

use super::cut::is_cut;
use super::digits::Digits;
use super::floats;
use crate::nanos::{Nanos, unit_of};

/// A column that was coerced.
pub(crate) struct Coerced {
    /// A value that cannot be one of this type is missing here.
    pub(crate) column: ArrayRef,
    is_lost: Box<dyn Fn(usize) -> bool>,
}

impl Coerced {
    /// Times without a zone are UTC, days are those in UTC, and a text that says its zone is that moment. Texts keep everything; a value of which nobody can tell whether it is kept is lost.
    pub(crate) fn new(found: &ArrayRef, to: &DataType) -> Result<Self, ArrowError> {
        match (found.data_type(), to) {
            (same, to) if same == to => Ok(Self::without_loss(found.clone())),
            (DataType::Dictionary(_, of), to) => Self::new(&cast(found, of)?, to),
            (_, DataType::Dictionary(_, of)) => {
                let Self { column, is_lost } = Self::new(found, of)?;
                let column = cast(&column, to)?;
                Ok(Self { column, is_lost })
            }
            (_, text) if text.is_string() => Ok(Self::without_loss(cast(found, to)?)),
            (text, _) if text.is_string() => Self::of_texts(found, to),
            (from, to) => match (unit_of(from), unit_of(to)) {
                (Some((since, _)), Some((other, unit))) if since == other => Self::of_times(found, to, unit),
                // A moment is no time of the day.
                (Some(_), Some(_)) => Ok(Self::with_loss(cast(found, to)?, |_| true)),
                _ => Self::of_others(found, to),
            },
        }
    }

    fn without_loss(column: ArrayRef) -> Self {
        Self::with_loss(column, |_| false)
    }

    fn with_loss(column: ArrayRef, is_lost: impl Fn(usize) -> bool + 'static) -> Self {
        Self {
            column,
            is_lost: Box::new(is_lost),
        }
    }

    /// Whether the value of a row, which is there, is another one than before.
    pub(crate) fn is_lost(&self, row: usize) -> bool {
        (self.is_lost)(row)
    }

    /// The first row with a value that is missing now, or is another one.
    #[cfg(any(feature = "sql", test))]
    pub(crate) fn first_lost(&self, found: &ArrayRef) -> Option<usize> {
        let (was_missing, is_missing) = (missing_in(found), missing_in(&self.column));
        (0..found.len()).find(|row| !was_missing(*row) && (is_missing(*row) || self.is_lost(*row)))
    }

    /// Those that are counted from the same: by their counts, so that no zone is looked up.
    fn of_times(found: &ArrayRef, to: &DataType, unit: i128) -> Result<Self, ArrowError> {
        let Some(nanos) = Nanos::of(found)? else {
            return Self::of_others(found, to);
        };
        let count = |row| i64::try_from(nanos.at(row)?.div_euclid(unit)).ok();
        let counts: ArrayRef = Arc::new((0..found.len()).map(count).collect::<Int64Array>());
        let column = match to {
            DataType::Date32 | DataType::Time32(_) => cast(&cast(&counts, &DataType::Int32)?, to)?,
            _ => cast(&counts, to)?,
        };
        let is_between = move |row| nanos.at(row).is_some_and(|nanos| nanos.rem_euclid(unit) != 0);
        Ok(Self::with_loss(column, is_between))
    }

    /// Texts, of which another type that holds more may read more.
    fn of_texts(texts: &ArrayRef, to: &DataType) -> Result<Self, ArrowError> {
        let column = read_in_utc(texts, to)?;
        let of_days = finer_than(to).iter().map(|finer| Nanos::of(&cast(texts, finer)?));
        let finer: Vec<Nanos> = of_days.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        let texts = cast(texts, &DataType::LargeUtf8)?.as_string::<i64>().clone();
        if let Some(read) = Nanos::of(&column)? {
            let to = to.clone();
            return Ok(Self::with_loss(column, move |row| {
                let whole = finer.iter().find_map(|finer| finer.at(row));
                is_cut(texts.value(row), &to) || whole.is_some_and(|whole| read.at(row) != Some(whole))
            }));
        }
        if let Some(scale) = scale_of(to) {
            return Ok(Self::with_loss(column, move |row| {
                Digits::of(texts.value(row)).is_none_or(|said| said.after_point() > scale)
            }));
        }
        if to.is_floating() {
            let floats = column.clone();
            return Ok(Self::with_loss(column, move |row| {
                !is_kept(texts.value(row), &floats, row)
            }));
        }
        Ok(Self::without_loss(column))
    }

    /// What does not come back is lost.
    fn of_others(found: &ArrayRef, to: &DataType) -> Result<Self, ArrowError> {
        let column = cast(found, to)?;
        let Ok(back) = cast(&column, found.data_type()) else {
            return Ok(Self::with_loss(column, |_| true));
        };
        if *back == **found {
            return Ok(Self::without_loss(column));
        }
        let found = found.clone();
        let differs = move |row| back.slice(row, 1) != found.slice(row, 1);
        Ok(Self::with_loss(column, differs))
    }
}

/// Which values are missing in a column, whichever way it says so.
pub(crate) fn missing_in(column: &ArrayRef) -> impl Fn(usize) -> bool + use<> {
    let there = column.logical_nulls();
    move |row| there.as_ref().is_some_and(|there| there.is_null(row))
}

/// What texts say. Arrow would take a time without a zone for the time on clocks in the zone that is wanted.
fn read_in_utc(texts: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    match to {
        DataType::Timestamp(unit, Some(_)) => {
            let moments = cast(texts, &DataType::Timestamp(*unit, None))?;
            cast(&cast(&moments, &DataType::Int64)?, to)
        }
        _ => cast(texts, to),
    }
}

/// Types that read all of a text that is a day, the first of them where it is not too far from 1970.
fn finer_than(to: &DataType) -> &'static [DataType] {
    match to {
        DataType::Date32 | DataType::Date64 => &[
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            DataType::Timestamp(TimeUnit::Microsecond, None),
        ],
        _ => &[],
    }
}

/// How many digits exact numbers of a type have after the point.
fn scale_of(to: &DataType) -> Option<i64> {
    match to {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => Some(i64::from(*scale)),
        _ => None,
    }
}

/// Whether a float is the number that a text says. It is where the float, written with as many digits as the text has, is that text; one of 64 bits keeps more, see [`floats`].
fn is_kept(text: &str, column: &ArrayRef, row: usize) -> bool {
    let Some(said) = Digits::of(text) else {
        // NaN and the infinities.
        return true;
    };
    match column.data_type() {
        DataType::Float64 => floats::is_kept_by(&said, column.as_primitive::<Float64Type>().value(row)),
        DataType::Float32 => {
            let number = column.as_primitive::<Float32Type>().value(row);
            said.are_those_of(|precision| format!("{number:.precision$e}"))
        }
        _ => {
            let number = column.as_primitive::<Float16Type>().value(row).to_f32();
            said.are_those_of(|precision| format!("{number:.precision$e}"))
        }
    }
}

#[cfg(test)]
mod tests;
