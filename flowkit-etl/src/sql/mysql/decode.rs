//! Values of a row.

use arrow_array::types::{Date32Type, Decimal128Type};
use arrow_cast::parse::parse_decimal;
use sqlx::Row as _;
use sqlx::mysql::MySqlRow;

use crate::sql::columns::{Column, Misfit, truth};

pub(super) fn append(row: &MySqlRow, index: usize, column: &mut Column) -> Result<(), Misfit> {
    match column {
        Column::Boolean(builder) => {
            let number = row.try_get_unchecked::<Option<i8>, _>(index)?;
            builder.append_option(number.map(|number| truth(number.into())).transpose()?);
        }
        Column::Int16(builder) => builder.append_option(row.try_get_unchecked::<Option<i16>, _>(index)?),
        Column::Int32(builder) => builder.append_option(row.try_get_unchecked::<Option<i32>, _>(index)?),
        Column::Int64(builder) => builder.append_option(row.try_get_unchecked::<Option<i64>, _>(index)?),
        Column::UInt32(builder) => builder.append_option(row.try_get_unchecked::<Option<u32>, _>(index)?),
        Column::UInt64(builder) => builder.append_option(row.try_get_unchecked::<Option<u64>, _>(index)?),
        Column::Float32(builder) => builder.append_option(row.try_get_unchecked::<Option<f32>, _>(index)?),
        Column::Float64(builder) => builder.append_option(row.try_get_unchecked::<Option<f64>, _>(index)?),
        Column::Text(builder) => builder.append_option(row.try_get_unchecked::<Option<&str>, _>(index)?),
        Column::Bytes(builder) => builder.append_option(row.try_get_unchecked::<Option<&[u8]>, _>(index)?),
        Column::Date(builder) => {
            let date = row.try_get_unchecked::<Option<chrono::NaiveDate>, _>(index)?;
            builder.append_option(date.map(Date32Type::from_naive_date));
        }
        Column::Time(builder) => {
            let time = row.try_get_unchecked::<Option<chrono::NaiveTime>, _>(index)?;
            builder.append_option(time.map(crate::value::micros_of_day));
        }
        // The session's zone is UTC, so that both kinds of times come alike.
        Column::Timestamp(builder) => {
            let time = row.try_get_unchecked::<Option<chrono::NaiveDateTime>, _>(index)?;
            builder.append_option(time.map(|time| time.and_utc().timestamp_micros()));
        }
        Column::Decimal(builder, precision, scale) => {
            let number = row.try_get_unchecked::<Option<&str>, _>(index)?;
            let parse = |number: &str| {
                parse_decimal::<Decimal128Type>(number, *precision, *scale)
                    .map_err(|_| Misfit::Value(number.to_owned()))
            };
            builder.append_option(number.map(parse).transpose()?);
        }
    }
    Ok(())
}
