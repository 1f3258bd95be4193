//! Columns in the few types in which they go into statements.

use arrow_array::cast::AsArray;
use arrow_array::temporal_conversions::MILLISECONDS_IN_DAY;
use arrow_array::types::{Date64Type, Time64NanosecondType, TimestampNanosecondType};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int64Array, RecordBatch,
    StringArray, Time64MicrosecondArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, TimeUnit};

use crate::error::{Error, ErrorKind, Result};
use crate::sql::dialect::{no_type, plain_type};

/// A column in one of these types.
pub(crate) enum Plain {
    Boolean(BooleanArray),
    Integer(Int64Array),
    Unsigned(UInt64Array),
    Float(Float32Array),
    Double(Float64Array),
    Text(StringArray),
    Bytes(BinaryArray),
    Date(Date32Array),
    Time(Time64MicrosecondArray),
    /// With a zone, it is in UTC.
    Timestamp(TimestampMicrosecondArray),
}

/// The columns of a batch.
pub(crate) fn of(batch: &RecordBatch) -> Result<Vec<Plain>> {
    let fields = batch.schema_ref().fields().iter();
    fields
        .zip(batch.columns())
        .map(|(field, column)| plain(field.name(), column))
        .collect()
}

/// Nothing, if times are as coarse as those of databases, and days are days.
fn is_coarse(name: &str, column: &ArrayRef) -> Result<()> {
    let refused = |what: &str| {
        let message = format!("the column `{name}` has {what}: round them");
        Err(Error::new(ErrorKind::Schema, message))
    };
    let finer = "times that are finer than a microsecond, which is as fine as databases are";
    if let Some(times) = column.as_primitive_opt::<TimestampNanosecondType>()
        && times.iter().flatten().any(|time| time % 1000 != 0)
    {
        return refused(finer);
    }
    if let Some(times) = column.as_primitive_opt::<Time64NanosecondType>()
        && times.iter().flatten().any(|time| time % 1000 != 0)
    {
        return refused(finer);
    }
    if let Some(days) = column.as_primitive_opt::<Date64Type>()
        && days.iter().flatten().any(|day| day % MILLISECONDS_IN_DAY != 0)
    {
        return refused("days with a time of the day");
    }
    Ok(())
}

fn plain(name: &str, column: &ArrayRef) -> Result<Plain> {
    is_coarse(name, column)?;
    let plain = plain_type(name, column.data_type())?;
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let cast = |column: &ArrayRef, to: &DataType| {
        cast_with_options(column, to, &options)
            .map_err(|error| no_type(name, column.data_type()).because(error))
    };
    if let DataType::Timestamp(unit, zone) = column.data_type() {
        // By way of the plain number, since a named zone is not looked up: what has a zone is in UTC in any case.
        let numbers = cast(column, &DataType::Int64)?;
        let times = cast(&numbers, &DataType::Timestamp(*unit, None))?;
        let times = cast(&times, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
        let times: TimestampMicrosecondArray = times.as_primitive().clone();
        return Ok(Plain::Timestamp(match zone {
            Some(_) => times.with_timezone("+00:00"),
            None => times,
        }));
    }
    let column = cast(column, &plain)?;
    Ok(match column.data_type() {
        DataType::Boolean => Plain::Boolean(column.as_boolean().clone()),
        DataType::Int64 => Plain::Integer(column.as_primitive().clone()),
        DataType::UInt64 => Plain::Unsigned(column.as_primitive().clone()),
        DataType::Float32 => Plain::Float(column.as_primitive().clone()),
        DataType::Float64 => Plain::Double(column.as_primitive().clone()),
        DataType::Utf8 => Plain::Text(column.as_string().clone()),
        DataType::Binary => Plain::Bytes(column.as_binary().clone()),
        DataType::Date32 => Plain::Date(column.as_primitive().clone()),
        DataType::Time64(TimeUnit::Microsecond) => Plain::Time(column.as_primitive().clone()),
        other => return Err(no_type(name, other)),
    })
}
