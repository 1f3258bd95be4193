//! Two columns beside each other, as values of one type.

use std::cmp::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray};
use arrow_cast::{can_cast_types, cast};
use arrow_ord::cmp;
use arrow_schema::{DataType, TimeUnit};

use crate::error::Result;
use crate::exact::Digits;
use crate::nanos::{Nanos, unit_of};
use crate::quality::check::Comparison;
use crate::quality::figure::{broken, with_unreadable_bad};

/// As what values of two types are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Common {
    /// As they are: they are of one type, in dictionaries or not.
    Same,
    /// As values of this type.
    Type(DataType),
    /// As numbers of which one is a text: in all digits, or as floats where the text has none.
    Read,
    /// As nanoseconds since the same, where the columns are first made these types.
    Nanos(DataType, DataType),
}

impl Common {
    /// Nothing, if there is no such type.
    pub(crate) fn of(left: &DataType, right: &DataType) -> Option<Self> {
        let (left, right) = (plain(left), plain(right));
        if left.is_nested() || right.is_nested() {
            return None;
        }
        let is_boolean = |data_type: &DataType| *data_type == DataType::Boolean;
        let is_plain_number = |data_type: &DataType| data_type.is_numeric() && !data_type.is_decimal();
        match (left, right) {
            (DataType::Float16, DataType::Float16) => Some(Self::Type(DataType::Float32)),
            _ if left == right => Some(Self::Same),
            (DataType::Null, other) | (other, DataType::Null) => Some(Self::Type(other.clone())),
            _ if left.is_string() && right.is_string() => Some(Self::Type(DataType::LargeUtf8)),
            _ if left.is_string() && is_exact(right) => Some(Self::Read),
            _ if right.is_string() && is_exact(left) => Some(Self::Read),
            _ if left.is_string() => Self::as_read(&text_beside(right), right),
            _ if right.is_string() => Self::as_read(left, &text_beside(left)),
            _ if left.is_numeric() && right.is_numeric() => Some(Self::Type(number(left, right))),
            _ if is_boolean(left) && is_plain_number(right) => Some(Self::Type(right.clone())),
            _ if is_boolean(right) && is_plain_number(left) => Some(Self::Type(left.clone())),
            _ => match (unit_of(left), unit_of(right)) {
                (Some((since, _)), Some((other, _))) => {
                    (since == other).then(|| Self::Nanos(left.clone(), right.clone()))
                }
                _ => can_cast_types(right, left).then(|| Self::Type(left.clone())),
            },
        }
    }

    /// The same, where texts are first read as one of these.
    fn as_read(left: &DataType, right: &DataType) -> Option<Self> {
        if left.is_string() || right.is_string() {
            return can_cast_types(right, left).then(|| Self::Type(left.clone()));
        }
        match Self::of(left, right)? {
            Self::Same => Some(Self::Type(left.clone())),
            other => Some(other),
        }
    }

    /// True where the values stand to each other so, false where they do not or one of them is none of the type, nothing where one is missing.
    pub(crate) fn compare(
        &self,
        left: &ArrayRef,
        comparison: Comparison,
        right: &ArrayRef,
    ) -> Result<BooleanArray> {
        let good = match self {
            Self::Same => same(left, comparison, right)?,
            Self::Type(of) => as_type(of, left, comparison, right)?,
            Self::Read => numbers(left, comparison, right)?,
            Self::Nanos(of_left, of_right) => {
                let nanos = |column: &ArrayRef, of: &DataType| {
                    cast(column, of)
                        .and_then(|column| Nanos::of(&column))
                        .map_err(broken)
                };
                match (nanos(left, of_left)?, nanos(right, of_right)?) {
                    (Some(left), Some(right)) => times(&left, comparison, &right),
                    _ => same(left, comparison, right)?,
                }
            }
        };
        Ok(with_unreadable_bad(good, &[left, right]))
    }
}

/// The exact numbers that most texts are read as: as many digits as there can be, half of them after the point.
const EXACT: DataType = DataType::Decimal256(76, PLACES as i8);
const PLACES: usize = 38;

fn as_type(of: &DataType, left: &ArrayRef, comparison: Comparison, right: &ArrayRef) -> Result<BooleanArray> {
    let (left, right) = (cast(left, of).map_err(broken)?, cast(right, of).map_err(broken)?);
    same(&left, comparison, &right)
}

/// Numbers of which one is a text. Those that are not written so that they fit are compared by their digits.
fn numbers(left: &ArrayRef, comparison: Comparison, right: &ArrayRef) -> Result<BooleanArray> {
    let exact = as_type(&EXACT, left, comparison, right)?;
    let text = match plain(left.data_type()).is_string() {
        true => left,
        false => right,
    };
    let said = |column: &ArrayRef| cast(column, &DataType::LargeUtf8).map_err(broken);
    let text = said(text)?;
    let text = text.as_string::<i64>();
    let fits = |row| exact.is_valid(row) && is_plain(text.value(row));
    if (0..text.len()).all(|row| text.is_null(row) || fits(row)) {
        return Ok(exact);
    }
    // What is no float is no number.
    let near = as_type(&DataType::Float64, left, comparison, right)?;
    let (left, right) = (said(left)?, said(right)?);
    let (left, right) = (left.as_string::<i64>(), right.as_string::<i64>());
    let holds = holding(comparison);
    let rows = (0..text.len()).map(|row| {
        if near.is_null(row) || fits(row) {
            return exact.is_valid(row).then(|| exact.value(row));
        }
        match (Digits::of(left.value(row)), Digits::of(right.value(row))) {
            (Some(left), Some(right)) => Some(holds(left.cmp(&right))),
            _ => Some(near.value(row)),
        }
    });
    Ok(rows.collect())
}

/// Whether a number is written without an exponent, and with no more digits after the point than there is place for.
fn is_plain(number: &str) -> bool {
    let places = number.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    places <= PLACES && !number.contains(['e', 'E'])
}

/// Which of two stand to each other so.
fn holding(comparison: Comparison) -> fn(Ordering) -> bool {
    match comparison {
        Comparison::Equal => Ordering::is_eq,
        Comparison::NotEqual => Ordering::is_ne,
        Comparison::Less => Ordering::is_lt,
        Comparison::LessOrEqual => Ordering::is_le,
        Comparison::Greater => Ordering::is_gt,
        Comparison::GreaterOrEqual => Ordering::is_ge,
    }
}

fn is_exact(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_decimal()
}

/// The type of the values of a dictionary, or of runs.
fn plain(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, of) => of,
        DataType::RunEndEncoded(_, of) => of.data_type(),
        other => other,
    }
}

/// As what texts are read that stand beside values of a type; as texts, if that is nothing.
fn text_beside(other: &DataType) -> DataType {
    match other {
        DataType::Boolean => DataType::Boolean,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Nanosecond),
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        _ if other.is_numeric() => DataType::Float64,
        _ => DataType::Utf8,
    }
}

/// A type that has the numbers of both, floats only nearly.
fn number(left: &DataType, right: &DataType) -> DataType {
    if left.is_floating() || right.is_floating() {
        return DataType::Float64;
    }
    match (digits(left), digits(right)) {
        ((_, 0), (_, 0)) if !left.is_decimal() && !right.is_decimal() => match (left, right) {
            (DataType::UInt64, other) | (other, DataType::UInt64) if other.is_signed_integer() => {
                DataType::Decimal128(20, 0)
            }
            (DataType::UInt64, _) | (_, DataType::UInt64) => DataType::UInt64,
            _ => DataType::Int64,
        },
        ((left, of_left), (right, of_right)) => {
            let scale = of_left.max(of_right);
            let whole = (left - of_left).max(right - of_right).max(0);
            match u8::try_from(whole + scale.max(0)).unwrap_or(u8::MAX) {
                all @ ..=38 => DataType::Decimal128(all, scale as i8),
                all @ ..=76 => DataType::Decimal256(all, scale as i8),
                _ => DataType::Float64,
            }
        }
    }
}

/// How many digits numbers of a type have at most, and how many of them behind the point.
fn digits(data_type: &DataType) -> (i16, i16) {
    match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => ((*precision).into(), (*scale).into()),
        _ => (20, 0),
    }
}

/// Columns of one type. Floats are compared as numbers, of which NaN is none: only `≠` holds for it.
fn same(left: &ArrayRef, comparison: Comparison, right: &ArrayRef) -> Result<BooleanArray> {
    match plain(left.data_type()) {
        DataType::Float64 => return floats::<Float64Type>(left, comparison, right),
        DataType::Float32 => return floats::<Float32Type>(left, comparison, right),
        _ => {}
    }
    let compare = match comparison {
        Comparison::Equal => cmp::eq,
        Comparison::NotEqual => cmp::neq,
        Comparison::Less => cmp::lt,
        Comparison::LessOrEqual => cmp::lt_eq,
        Comparison::Greater => cmp::gt,
        Comparison::GreaterOrEqual => cmp::gt_eq,
    };
    compare(left, right).map_err(broken)
}

fn floats<T>(left: &ArrayRef, comparison: Comparison, right: &ArrayRef) -> Result<BooleanArray>
where
    T: ArrowPrimitiveType,
    T::Native: PartialOrd,
{
    let (left, right) = (
        cast(left, &T::DATA_TYPE).map_err(broken)?,
        cast(right, &T::DATA_TYPE).map_err(broken)?,
    );
    let (left, right): (&PrimitiveArray<T>, _) = (left.as_primitive(), right.as_primitive::<T>());
    Ok(match comparison {
        Comparison::Equal => BooleanArray::from_binary(left, right, |left, right| left == right),
        Comparison::NotEqual => BooleanArray::from_binary(left, right, |left, right| left != right),
        Comparison::Less => BooleanArray::from_binary(left, right, |left, right| left < right),
        Comparison::LessOrEqual => BooleanArray::from_binary(left, right, |left, right| left <= right),
        Comparison::Greater => BooleanArray::from_binary(left, right, |left, right| left > right),
        Comparison::GreaterOrEqual => BooleanArray::from_binary(left, right, |left, right| left >= right),
    })
}

/// Days and times of different units, of which no finer one has all that a coarser one has.
fn times(left: &Nanos, comparison: Comparison, right: &Nanos) -> BooleanArray {
    let holds = holding(comparison);
    let (of_left, of_right) = (left.unit, right.unit);
    let of: (&PrimitiveArray<Int64Type>, _) = (&left.counts, &right.counts);
    BooleanArray::from_binary(of.0, of.1, |left, right| {
        holds((i128::from(left) * of_left).cmp(&(i128::from(right) * of_right)))
    })
}
