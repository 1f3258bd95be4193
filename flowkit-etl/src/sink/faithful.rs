//! What a format would give back as something else: that is refused before it is written, since nobody could tell afterwards.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch, types};
use arrow_schema::{DataType, FieldRef, Schema, SchemaRef, TimeUnit};

use crate::error::{Error, ErrorKind, Result};
use crate::sink::format::FileFormat;

/// The first and the last day of years of four digits, in days since 1970-01-01: others are not written as they are read.
const DAYS: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;
const SECONDS_OF_DAY: i64 = 86_400;

/// Columns without what is noted of them, and of what they are made of, beside their types, which the record of a load does not keep.
pub(crate) fn plain(schema: &Schema) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().map(plain_field).collect();
    Arc::new(Schema::new(fields))
}

fn plain_field(field: &FieldRef) -> FieldRef {
    let data_type = plain_type(field.data_type());
    let field = field.as_ref().clone().with_data_type(data_type);
    Arc::new(field.with_metadata(Default::default()))
}

fn plain_type(data_type: &DataType) -> DataType {
    use DataType as Arrow;
    match data_type {
        Arrow::List(item) => Arrow::List(plain_field(item)),
        Arrow::LargeList(item) => Arrow::LargeList(plain_field(item)),
        Arrow::ListView(item) => Arrow::ListView(plain_field(item)),
        Arrow::LargeListView(item) => Arrow::LargeListView(plain_field(item)),
        Arrow::FixedSizeList(item, size) => Arrow::FixedSizeList(plain_field(item), *size),
        Arrow::Map(entries, is_sorted) => Arrow::Map(plain_field(entries), *is_sorted),
        Arrow::Struct(fields) => Arrow::Struct(fields.iter().map(plain_field).collect()),
        Arrow::Dictionary(keys, values) => Arrow::Dictionary(keys.clone(), Box::new(plain_type(values))),
        other => other.clone(),
    }
}

/// Nothing, if files of a format that have these columns can be read.
pub(crate) fn check_columns(format: FileFormat, schema: &Schema) -> Result<()> {
    for field in schema.fields() {
        if has_runs(field.data_type()) {
            return Err(refused(format, field.name(), "has values as runs"));
        }
    }
    if !is_text(format) {
        return Ok(());
    }
    let mut seen = HashSet::new();
    for field in schema.fields() {
        if !seen.insert(field.name()) {
            return Err(refused(format, field.name(), "has the name of another one"));
        }
        if !is_readable(format, field) {
            let what = format!("is of the type {}", field.data_type());
            return Err(refused(format, field.name(), &what));
        }
    }
    Ok(())
}

/// Nothing, if these rows can be read from a file of a format as they are.
pub(crate) fn check_values(format: FileFormat, batch: &RecordBatch) -> Result<()> {
    if !is_text(format) {
        return Ok(());
    }
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if let Some(what) = changed(format, column) {
            return Err(refused(format, field.name(), what));
        }
    }
    Ok(())
}

/// The same of a file that stands for itself: of JSON alone, which would have nothing, or what no reader takes, in place of a number or a time that it has no word for.
#[cfg_attr(not(feature = "json"), allow(unused_variables, reason = "of JSON alone"))]
pub(crate) fn check_words(format: FileFormat, batch: &RecordBatch) -> Result<()> {
    match format {
        #[cfg(feature = "json")]
        FileFormat::JsonLines => check_values(format, batch),
        #[allow(unreachable_patterns, reason = "with the feature `json` alone")]
        _ => Ok(()),
    }
}

fn refused(format: FileFormat, column: &str, what: &str) -> Error {
    let message = format!(
        "the column `{column}` {what}, which cannot be read from {format:?} as it is: cast it, or choose another format"
    );
    Error::new(ErrorKind::Schema, message)
}

fn is_text(format: FileFormat) -> bool {
    match format {
        #[cfg(feature = "csv")]
        FileFormat::Csv => true,
        #[cfg(feature = "json")]
        FileFormat::JsonLines => true,
        #[cfg(feature = "parquet")]
        FileFormat::Parquet => false,
    }
}

/// Whether what reads a format knows a type: it is asked.
#[cfg_attr(
    not(any(feature = "csv", feature = "json")),
    allow(unused_variables, reason = "Parquet knows all")
)]
fn is_readable(format: FileFormat, field: &FieldRef) -> bool {
    if is_misread(field.data_type()) {
        return false;
    }
    let schema = Arc::new(Schema::new(vec![field.as_ref().clone().with_nullable(true)]));
    match format {
        #[cfg(feature = "csv")]
        FileFormat::Csv => {
            // It looks at types only once there is a record.
            let mut decoder = arrow_csv::ReaderBuilder::new(schema).build_decoder();
            let decoded = decoder
                .decode(b"\"\"\n")
                .and_then(|_| decoder.decode(&[]))
                .and_then(|_| decoder.flush());
            decoded.is_ok()
        }
        #[cfg(feature = "json")]
        FileFormat::JsonLines => arrow_json::ReaderBuilder::new(schema).build_decoder().is_ok(),
        #[cfg(feature = "parquet")]
        FileFormat::Parquet => true,
    }
}

/// Whether a type is one of values that are written down once for many rows, or is made of such: formats write them, and do not read them.
fn has_runs(data_type: &DataType) -> bool {
    use DataType as Arrow;
    match data_type {
        Arrow::RunEndEncoded(..) => true,
        Arrow::List(item)
        | Arrow::LargeList(item)
        | Arrow::ListView(item)
        | Arrow::LargeListView(item)
        | Arrow::FixedSizeList(item, _)
        | Arrow::Map(item, _) => has_runs(item.data_type()),
        Arrow::Struct(fields) => fields.iter().any(|field| has_runs(field.data_type())),
        Arrow::Dictionary(_, values) => has_runs(values),
        _ => false,
    }
}

/// Whether a type is known to what reads texts, and read in another way than it is written.
fn is_misread(data_type: &DataType) -> bool {
    use DataType as Arrow;
    match data_type {
        Arrow::Duration(_) => true,
        Arrow::Decimal32(_, scale)
        | Arrow::Decimal64(_, scale)
        | Arrow::Decimal128(_, scale)
        | Arrow::Decimal256(_, scale) => *scale < 0,
        Arrow::List(item) | Arrow::LargeList(item) | Arrow::FixedSizeList(item, _) | Arrow::Map(item, _) => {
            is_misread(item.data_type())
        }
        Arrow::ListView(item) | Arrow::LargeListView(item) => is_misread(item.data_type()),
        Arrow::Struct(fields) => fields.iter().any(|field| is_misread(field.data_type())),
        _ => false,
    }
}

/// What a column has that would become something else in a text.
fn changed(format: FileFormat, column: &ArrayRef) -> Option<&'static str> {
    use DataType as Arrow;
    let found = |is_found: bool, what| is_found.then_some(what);
    let empty = "has an empty text, which is a missing value there";
    match column.data_type() {
        Arrow::Utf8 => found(has_empty_field(format, column.as_string::<i32>().iter()), empty),
        Arrow::Utf8View => found(has_empty_field(format, column.as_string_view().iter()), empty),
        Arrow::Float16 | Arrow::Float32 | Arrow::Float64 => {
            found(lacks_number(format, column), "has what is no finite number")
        }
        Arrow::Date32 | Arrow::Date64 | Arrow::Timestamp(..) => found(
            is_far(column),
            "has a time before the year 0 or after the year 9999",
        ),
        Arrow::Dictionary(..)
        | Arrow::Struct(_)
        | Arrow::Map(..)
        | Arrow::List(_)
        | Arrow::LargeList(_)
        | Arrow::ListView(_)
        | Arrow::LargeListView(_)
        | Arrow::FixedSizeList(..) => changed_within(format, column),
        _ => None,
    }
}

/// The same of what a column is made of. What stands where a value is missing, or between values, is not written.
fn changed_within(format: FileFormat, column: &ArrayRef) -> Option<&'static str> {
    parts(column, None)
        .iter()
        .find_map(|part| changed(format, part))?;
    let rows = (0..column.len()).filter(|row| column.is_valid(*row));
    if let Some(dictionary) = column.as_any_dictionary_opt() {
        let keys = dictionary.normalized_keys();
        let used: HashSet<usize> = rows.filter_map(|row| keys.get(row).copied()).collect();
        let mut values = used.iter().map(|key| dictionary.values().slice(*key, 1));
        return values.find_map(|value| changed(format, &value));
    }
    rows.flat_map(|row| parts(column, Some(row)))
        .find_map(|part| changed(format, &part))
}

/// What a column is made of, or, unless it is a dictionary, a row of it that has a value.
fn parts(column: &ArrayRef, row: Option<usize>) -> Vec<ArrayRef> {
    let of_row = |part: &ArrayRef| row.map_or_else(|| part.clone(), |row| part.slice(row, 1));
    let rest: ArrayRef = match (column.data_type(), row) {
        (DataType::Struct(_), _) => return column.as_struct().columns().iter().map(of_row).collect(),
        (DataType::Map(..), None) => Arc::new(column.as_map().entries().clone()),
        (DataType::Map(..), Some(row)) => Arc::new(column.as_map().value(row)),
        (DataType::List(_), None) => column.as_list::<i32>().values().clone(),
        (DataType::List(_), Some(row)) => column.as_list::<i32>().value(row),
        (DataType::LargeList(_), None) => column.as_list::<i64>().values().clone(),
        (DataType::LargeList(_), Some(row)) => column.as_list::<i64>().value(row),
        (DataType::ListView(_), None) => column.as_list_view::<i32>().values().clone(),
        (DataType::ListView(_), Some(row)) => column.as_list_view::<i32>().value(row),
        (DataType::LargeListView(_), None) => column.as_list_view::<i64>().values().clone(),
        (DataType::LargeListView(_), Some(row)) => column.as_list_view::<i64>().value(row),
        (DataType::FixedSizeList(..), None) => column.as_fixed_size_list().values().clone(),
        (DataType::FixedSizeList(..), Some(row)) => column.as_fixed_size_list().value(row),
        _ => column.as_any_dictionary().values().clone(),
    };
    vec![rest]
}

/// An empty field is a missing value.
#[cfg_attr(
    not(feature = "csv"),
    allow(unused_variables, unused_mut, reason = "of CSV alone")
)]
fn has_empty_field<'a>(format: FileFormat, mut texts: impl Iterator<Item = Option<&'a str>>) -> bool {
    match format {
        #[cfg(feature = "csv")]
        FileFormat::Csv => texts.any(|text| text == Some("")),
        #[allow(unreachable_patterns, reason = "with the feature `csv` alone")]
        _ => false,
    }
}

/// JSON has no word for what is no finite number.
#[cfg_attr(not(feature = "json"), allow(unused_variables, reason = "of JSON alone"))]
fn lacks_number(format: FileFormat, numbers: &ArrayRef) -> bool {
    match format {
        #[cfg(feature = "json")]
        FileFormat::JsonLines => match numbers.data_type() {
            DataType::Float16 => any(numbers.as_primitive::<types::Float16Type>(), |number| {
                !number.is_finite()
            }),
            DataType::Float32 => any(numbers.as_primitive::<types::Float32Type>(), |number| {
                !number.is_finite()
            }),
            _ => any(numbers.as_primitive::<types::Float64Type>(), |number| {
                !number.is_finite()
            }),
        },
        #[allow(unreachable_patterns, reason = "with the feature `json` alone")]
        _ => false,
    }
}

/// Whether a time is in a year that does not have four digits.
fn is_far(times: &ArrayRef) -> bool {
    let beyond = |in_day: i64| {
        let (first, last) = (DAYS.start() * in_day, (DAYS.end() + 1) * in_day);
        // In a zone it may be another day.
        let margin = match times.data_type() {
            DataType::Timestamp(_, Some(_)) => in_day,
            _ => 0,
        };
        move |time: i64| time < first + margin || time >= last - margin
    };
    let seconds = SECONDS_OF_DAY;
    match times.data_type() {
        DataType::Date32 => any(times.as_primitive::<types::Date32Type>(), |day| {
            beyond(1)(day.into())
        }),
        DataType::Date64 => any(times.as_primitive::<types::Date64Type>(), beyond(seconds * 1000)),
        DataType::Timestamp(TimeUnit::Second, _) => any(
            times.as_primitive::<types::TimestampSecondType>(),
            beyond(seconds),
        ),
        DataType::Timestamp(TimeUnit::Millisecond, _) => any(
            times.as_primitive::<types::TimestampMillisecondType>(),
            beyond(seconds * 1000),
        ),
        DataType::Timestamp(TimeUnit::Microsecond, _) => any(
            times.as_primitive::<types::TimestampMicrosecondType>(),
            beyond(seconds * 1_000_000),
        ),
        // None of these is so far away.
        _ => false,
    }
}

fn any<T: ArrowPrimitiveType>(values: &PrimitiveArray<T>, is: impl Fn(T::Native) -> bool) -> bool {
    values.iter().flatten().any(is)
}
