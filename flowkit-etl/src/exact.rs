//! Whether a value is still the same one in another type.

#[cfg(any(feature = "sql", feature = "validation"))]
mod coerced;
#[cfg(any(feature = "sql", feature = "validation"))]
mod digits;

#[cfg(any(feature = "csv", feature = "json"))]
use arrow_array::{Array, ArrayRef};
#[cfg(any(feature = "csv", feature = "json"))]
use arrow_cast::cast;
#[cfg(any(feature = "csv", feature = "json"))]
use arrow_schema::{ArrowError, DataType};
#[cfg(any(feature = "sql", feature = "validation"))]
pub(crate) use coerced::Coerced;
#[cfg(feature = "validation")]
pub(crate) use coerced::missing_in;
#[cfg(any(feature = "csv", feature = "json"))]
pub(crate) use decimals::{narrowed, widened};

/// The first row that does not come back.
#[cfg(any(feature = "csv", feature = "json"))]
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
#[cfg(any(feature = "csv", feature = "json"))]
fn without_zone(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match column.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let numbers = cast(column, &DataType::Int64)?;
            cast(&numbers, &DataType::Timestamp(*unit, None))
        }
        _ => Ok(column.clone()),
    }
}

/// Exact numbers in texts. Arrow's decoders cut off the digits that a column has no place for, and say nothing: so they are given all the place there is.
#[cfg(any(feature = "csv", feature = "json"))]
mod decimals {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
    use arrow_cast::{CastOptions, cast_with_options};
    use arrow_schema::{ArrowError, DECIMAL256_MAX_PRECISION, DataType, Field, Schema, SchemaRef};

    /// These columns, in which exact numbers have the digits before the point that they are to have, and as many after it as can be.
    pub(crate) fn widened(schema: &SchemaRef) -> SchemaRef {
        let wide = |field: &Arc<Field>| match wide(field.data_type()) {
            Some(wide) => Arc::new(field.as_ref().clone().with_data_type(wide)),
            None => field.clone(),
        };
        if schema.fields().iter().all(|field| wide(field) == *field) {
            return schema.clone();
        }
        Arc::new(Schema::new(schema.fields().iter().map(wide).collect::<Vec<_>>()))
    }

    fn wide(data_type: &DataType) -> Option<DataType> {
        let (precision, scale) = match data_type {
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale) => (*precision, *scale),
            _ => return None,
        };
        let before_point = precision.checked_sub(u8::try_from(scale).ok()?)?;
        let after_point = i8::try_from(DECIMAL256_MAX_PRECISION - before_point).ok()?;
        Some(DataType::Decimal256(DECIMAL256_MAX_PRECISION, after_point))
    }

    /// A batch of such columns in those that are wanted, if no number loses a digit.
    pub(crate) fn narrowed(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        if batch.schema_ref().fields() == schema.fields() {
            return Ok(batch);
        }
        let options = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        let narrow = |(column, field): (&ArrayRef, &Arc<Field>)| {
            if column.data_type() == field.data_type() {
                return Ok(column.clone());
            }
            let narrow = cast_with_options(column, field.data_type(), &options)?;
            match super::changed(column, &narrow)? {
                None => Ok(narrow),
                Some(_) => Err(ArrowError::CastError(format!(
                    "a number has more digits than {}",
                    field.data_type()
                ))),
            }
        };
        let columns = batch.columns().iter().zip(schema.fields()).map(narrow);
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(schema.clone(), columns, &options)
    }
}
