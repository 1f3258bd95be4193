//! Values in the server's binary form.

use arrow_array::types::Decimal128Type;
use arrow_cast::parse::parse_decimal;
use sqlx::postgres::{PgRow, PgValueFormat, PgValueRef};
use sqlx::{Row as _, TypeInfo as _, ValueRef as _};

use crate::sql::columns::{Column, Misfit};

/// Days from 1970-01-01 to 2000-01-01, from where the server counts.
const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

pub(super) fn append(row: &PgRow, index: usize, column: &mut Column) -> Result<(), Misfit> {
    match column {
        Column::Boolean(builder) => builder.append_option(row.try_get_unchecked::<Option<bool>, _>(index)?),
        Column::Int16(builder) => builder.append_option(row.try_get_unchecked::<Option<i16>, _>(index)?),
        Column::Int32(builder) => builder.append_option(row.try_get_unchecked::<Option<i32>, _>(index)?),
        Column::Int64(builder) => builder.append_option(row.try_get_unchecked::<Option<i64>, _>(index)?),
        Column::UInt32(builder) => {
            let value = row.try_get_unchecked::<Option<sqlx::postgres::types::Oid>, _>(index)?;
            builder.append_option(value.map(|oid| oid.0));
        }
        Column::Float32(builder) => builder.append_option(row.try_get_unchecked::<Option<f32>, _>(index)?),
        Column::Float64(builder) => builder.append_option(row.try_get_unchecked::<Option<f64>, _>(index)?),
        Column::Bytes(builder) => builder.append_option(row.try_get_unchecked::<Option<&[u8]>, _>(index)?),
        Column::Text(builder) => {
            let value = row.try_get_raw(index)?;
            match value.is_null() {
                true => builder.append_null(),
                false => builder.append_value(text(row, index, &value)?),
            }
        }
        Column::Date(builder) => builder.append_option(days(row, index)?),
        Column::Time(builder) => builder.append_option(long(row, index)?),
        Column::Timestamp(builder) => builder.append_option(micros(row, index)?),
        Column::Decimal(builder, precision, scale) => {
            let value = row.try_get_raw(index)?;
            if value.is_null() {
                builder.append_null();
                return Ok(());
            }
            let number = numeric(&value)?;
            let parsed = parse_decimal::<Decimal128Type>(&number, *precision, *scale);
            builder.append_value(parsed.map_err(|_| Misfit::Value(number))?);
        }
        Column::UInt64(_) => return Err(Misfit::Value("a number of another kind".to_owned())),
    }
    Ok(())
}

/// What is read as text: texts themselves, and types whose text says all that they have.
fn text<'r>(
    row: &'r PgRow,
    index: usize,
    value: &PgValueRef<'r>,
) -> Result<std::borrow::Cow<'r, str>, Misfit> {
    let binary = value.format() == PgValueFormat::Binary;
    let text = match value.type_info().name() {
        "NUMERIC" if binary => numeric(value)?.into(),
        "UUID" if binary => row
            .try_get_unchecked::<sqlx::types::Uuid, _>(index)?
            .to_string()
            .into(),
        // A byte before the text is the version of its form.
        "JSONB" if binary => {
            let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
            let text = std::str::from_utf8(bytes.get(1..).unwrap_or_default());
            text.map_err(|_| Misfit::Value("what is no text".to_owned()))?
                .into()
        }
        _ => row.try_get_unchecked::<&str, _>(index)?.into(),
    };
    Ok(text)
}

fn numeric(value: &PgValueRef<'_>) -> Result<String, Misfit> {
    let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
    super::numeric::text(bytes).ok_or_else(|| Misfit::Value("a number of another form".to_owned()))
}

fn days(row: &PgRow, index: usize) -> Result<Option<i32>, Misfit> {
    let days = bytes(row, index)?.map(i32::from_be_bytes);
    match days {
        Some(i32::MAX | i32::MIN) => Err(Misfit::Value("an infinite date".to_owned())),
        days => Ok(days.map(|days| days.saturating_add(EPOCH_DAYS))),
    }
}

fn micros(row: &PgRow, index: usize) -> Result<Option<i64>, Misfit> {
    match long(row, index)? {
        Some(i64::MAX | i64::MIN) => Err(Misfit::Value("an infinite time".to_owned())),
        micros => Ok(micros.map(|micros| micros.saturating_add(EPOCH_MICROS))),
    }
}

fn long(row: &PgRow, index: usize) -> Result<Option<i64>, Misfit> {
    Ok(bytes(row, index)?.map(i64::from_be_bytes))
}

/// A value of so many bytes.
fn bytes<const N: usize>(row: &PgRow, index: usize) -> Result<Option<[u8; N]>, Misfit> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(None);
    }
    let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
    bytes
        .try_into()
        .map(Some)
        .map_err(|_| Misfit::Value("a value of another size".to_owned()))
}
