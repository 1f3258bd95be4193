//! Numbers beyond JSON: NaN and the infinities, of which it makes null.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::array_value_to_string;
use arrow_schema::DataType;

/// Such a number in a record.
#[derive(Debug, Clone)]
pub(crate) struct Beyond {
    /// Where it stands, as a JSON pointer.
    pub(crate) pointer: String,
    pub(crate) number: f64,
}

/// Whether a batch may have some: looked at by whole columns.
pub(crate) fn may_be_in(batch: &RecordBatch) -> bool {
    batch.columns().iter().any(may_be_among)
}

fn may_be_among(column: &ArrayRef) -> bool {
    match column.data_type() {
        DataType::Float64 => {
            let numbers = column.as_primitive::<Float64Type>().values();
            !numbers.iter().all(|number| number.is_finite())
        }
        DataType::Float32 => {
            let numbers = column.as_primitive::<Float32Type>().values();
            !numbers.iter().all(|number| number.is_finite())
        }
        DataType::Float16 => {
            let numbers = column.as_primitive::<Float16Type>().values();
            !numbers.iter().all(|number| number.is_finite())
        }
        DataType::Struct(_) => column.as_struct().columns().iter().any(may_be_among),
        DataType::List(_) => may_be_among(column.as_list::<i32>().values()),
        DataType::LargeList(_) => may_be_among(column.as_list::<i64>().values()),
        DataType::FixedSizeList(..) => may_be_among(column.as_fixed_size_list().values()),
        DataType::Map(..) => may_be_among(column.as_map().values()),
        _ => false,
    }
}

/// Those of a row.
pub(crate) fn of_row(batch: &RecordBatch, row: usize) -> Vec<Beyond> {
    let mut found = Vec::new();
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        collect(&below("", field.name()), column, row, &mut found);
    }
    found
}

fn collect(pointer: &str, column: &ArrayRef, row: usize, found: &mut Vec<Beyond>) {
    if column.is_null(row) {
        return;
    }
    let items = |items: ArrayRef, found: &mut Vec<Beyond>| {
        for item in 0..items.len() {
            collect(&below(pointer, &item.to_string()), &items, item, found);
        }
    };
    let number = match column.data_type() {
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row),
        DataType::Float32 => column.as_primitive::<Float32Type>().value(row).into(),
        DataType::Float16 => column.as_primitive::<Float16Type>().value(row).into(),
        DataType::Struct(fields) => {
            for (field, column) in fields.iter().zip(column.as_struct().columns()) {
                collect(&below(pointer, field.name()), column, row, found);
            }
            return;
        }
        DataType::List(_) => return items(column.as_list::<i32>().value(row), found),
        DataType::LargeList(_) => return items(column.as_list::<i64>().value(row), found),
        DataType::FixedSizeList(..) => return items(column.as_fixed_size_list().value(row), found),
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            for entry in 0..entries.len() {
                let name = array_value_to_string(entries.column(0), entry).unwrap_or_default();
                collect(&below(pointer, &name), entries.column(1), entry, found);
            }
            return;
        }
        _ => return,
    };
    if !number.is_finite() {
        found.push(Beyond {
            pointer: pointer.to_owned(),
            number,
        });
    }
}

/// What stands in something under a name, or at a place of a list.
fn below(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}
