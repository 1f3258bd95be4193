//! Exact numbers in texts. Arrow's decoders cut off the digits that a column has no place for, and say nothing: so they are given all the place there is.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_cast::{CastOptions, cast, cast_with_options};
use arrow_schema::{ArrowError, DECIMAL256_MAX_PRECISION, DataType, Field, Fields, Schema, SchemaRef};

/// These columns, in which exact numbers have the digits before the point that they are to have, and as many after it as can be.
pub(crate) fn widened(schema: &SchemaRef) -> SchemaRef {
    match wide_fields(schema.fields()) {
        Some(fields) => Arc::new(Schema::new(fields)),
        None => schema.clone(),
    }
}

/// Nothing, if all of them have place enough.
fn wide_fields(fields: &Fields) -> Option<Fields> {
    let wider: Vec<Option<Arc<Field>>> = fields.iter().map(wide_field).collect();
    let is_wider = wider.iter().any(Option::is_some);
    let either = |(wide, field): (Option<Arc<Field>>, &Arc<Field>)| wide.unwrap_or_else(|| field.clone());
    is_wider.then(|| wider.into_iter().zip(fields).map(either).collect())
}

fn wide_field(field: &Arc<Field>) -> Option<Arc<Field>> {
    let wide = wide(field.data_type())?;
    Some(Arc::new(field.as_ref().clone().with_data_type(wide)))
}

fn wide(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            let before_point = i16::from(*precision) - i16::from(*scale);
            let after_point = (i16::from(DECIMAL256_MAX_PRECISION) - before_point).max(0);
            DataType::Decimal256(DECIMAL256_MAX_PRECISION, i8::try_from(after_point).ok()?)
        }
        DataType::Struct(fields) => DataType::Struct(wide_fields(fields)?),
        DataType::List(item) => DataType::List(wide_field(item)?),
        DataType::LargeList(item) => DataType::LargeList(wide_field(item)?),
        DataType::ListView(item) => DataType::ListView(wide_field(item)?),
        DataType::LargeListView(item) => DataType::LargeListView(wide_field(item)?),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(wide_field(item)?, *length),
        DataType::Map(entries, sorted) => DataType::Map(wide_field(entries)?, *sorted),
        _ => return None,
    })
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
        match changed(column, &narrow)? {
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

/// The first row that does not come back.
fn changed(found: &ArrayRef, column: &ArrayRef) -> Result<Option<usize>, ArrowError> {
    let back = cast(column, found.data_type())?;
    if *back == **found {
        return Ok(None);
    }
    let differs = |row: &usize| *back.slice(*row, 1) != *found.slice(*row, 1);
    Ok((0..found.len()).find(differs))
}
