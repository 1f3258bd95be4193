//! Whether a value is still the same one in another type.

#[cfg(any(feature = "csv", feature = "json", feature = "http"))]
mod cut;
#[cfg(any(feature = "csv", feature = "json", feature = "http"))]
mod wide;

#[cfg(feature = "sql")]
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType};

#[cfg(feature = "csv")]
pub(crate) use self::cut::may_be_cut;
#[cfg(any(feature = "json", feature = "http"))]
pub(crate) use self::cut::{digits_from, ends_in_seconds, goes_on_with_a_time};
#[cfg(any(feature = "csv", feature = "json", feature = "http"))]
pub(crate) use self::cut::{is_cut, places};
#[cfg(any(feature = "csv", feature = "json", feature = "http"))]
pub(crate) use self::wide::{narrowed, widened};

/// The first row whose value is another one in a column that was cast from it. Texts are what they are read as, but for digits that an exact number has no place for.
#[cfg(feature = "sql")]
pub(crate) fn first_changed(found: &ArrayRef, column: &ArrayRef) -> Option<usize> {
    let is_text = |data_type: &DataType| {
        matches!(
            data_type,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        )
    };
    if found.data_type() == column.data_type() || is_text(column.data_type()) {
        return None;
    }
    if is_text(found.data_type()) {
        return first_cut(found, column.data_type());
    }
    changed(found, column).unwrap_or(None)
}

/// The first row that does not come back.
fn changed(found: &ArrayRef, column: &ArrayRef) -> Result<Option<usize>, ArrowError> {
    let (found, column) = (without_zone(found)?, without_zone(column)?);
    let back = cast(&column, found.data_type())?;
    if *back == *found {
        return Ok(None);
    }
    let differs = |row: &usize| *back.slice(*row, 1) != *found.slice(*row, 1);
    Ok((0..found.len()).find(differs))
}

/// The numbers that moments are: in which zone they are shown changes nothing.
fn without_zone(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match column.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let numbers = cast(column, &DataType::Int64)?;
            cast(&numbers, &DataType::Timestamp(*unit, None))
        }
        _ => Ok(column.clone()),
    }
}

/// The first text with more digits after the point than a type has.
#[cfg(feature = "sql")]
fn first_cut(texts: &ArrayRef, to: &DataType) -> Option<usize> {
    let scale = match to {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => i64::from(*scale),
        _ => return None,
    };
    let texts = cast(texts, &DataType::Utf8).ok()?;
    let texts = texts.as_string::<i32>();
    let cut = |text: Option<&str>| text.is_some_and(|text| digits_after_point(text) > scale);
    texts.iter().position(cut)
}

/// How many digits after the point a number needs; fewer than none where it ends in zeros before it.
#[cfg(feature = "sql")]
fn digits_after_point(number: &str) -> i64 {
    let (mantissa, exponent) = match number.trim().split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().unwrap_or_default()),
        None => (number.trim(), 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let kept = all.trim_end_matches('0');
    match kept.trim_start_matches(['-', '+', '0']).is_empty() {
        true => i64::MIN,
        false => fraction.len() as i64 - (all.len() - kept.len()) as i64 - exponent,
    }
}

#[cfg(all(test, feature = "sql"))]
mod tests {
    use super::*;

    #[test]
    fn zeros_at_the_end_of_a_number_need_no_place() {
        for (number, digits) in [
            ("1.239", 3),
            ("1.2300", 2),
            ("-0.5e1", 0),
            ("1500e-2", 0),
            ("1505e-2", 2),
            ("100", -2),
            ("0.000", i64::MIN),
            ("1e-3", 3),
        ] {
            assert_eq!(digits_after_point(number), digits, "{number}");
        }
    }
}
