//! Rows of a database, one after the other, into columns.

#[cfg(any(feature = "postgres", feature = "mysql"))]
use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
    Int16Builder, Int32Builder, Int64Builder, StringBuilder, Time64MicrosecondBuilder,
    TimestampMicrosecondBuilder, UInt32Builder, UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use futures::stream::{self, BoxStream, Stream, StreamExt};

use crate::error::{Error, ErrorKind, Result};
use crate::sql::session::Batches;

/// A batch ends once its texts and bytes are as large as this, however few rows it has.
const BATCH_BYTES: usize = 16 << 20;

/// A column that is filled row by row.
#[cfg_attr(
    not(all(feature = "sqlite", feature = "postgres", feature = "mysql")),
    allow(dead_code, reason = "each database has some of them")
)]
pub(crate) enum Column {
    Boolean(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    UInt32(UInt32Builder),
    UInt64(UInt64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Decimal(Decimal128Builder, u8, i8),
}

impl Column {
    fn new(field: &Field) -> Result<Self> {
        Ok(match field.data_type() {
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Int16 => Self::Int16(Int16Builder::new()),
            DataType::Int32 => Self::Int32(Int32Builder::new()),
            DataType::Int64 => Self::Int64(Int64Builder::new()),
            DataType::UInt32 => Self::UInt32(UInt32Builder::new()),
            DataType::UInt64 => Self::UInt64(UInt64Builder::new()),
            DataType::Float32 => Self::Float32(Float32Builder::new()),
            DataType::Float64 => Self::Float64(Float64Builder::new()),
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::Binary => Self::Bytes(BinaryBuilder::new()),
            DataType::Date32 => Self::Date(Date32Builder::new()),
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(Time64MicrosecondBuilder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone_opt(zone.clone()))
            }
            DataType::Decimal128(precision, scale) => {
                let builder = Decimal128Builder::new().with_data_type(field.data_type().clone());
                Self::Decimal(builder, *precision, *scale)
            }
            other => return Err(crate::sql::dialect::no_type(field.name(), other)),
        })
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Int16(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::UInt32(builder) => Arc::new(builder.finish()),
            Self::UInt64(builder) => Arc::new(builder.finish()),
            Self::Float32(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Bytes(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder, ..) => Arc::new(builder.finish()),
        }
    }

    /// Of texts and bytes; the others are small in any case.
    fn bytes(&self) -> usize {
        match self {
            Self::Text(builder) => builder.values_slice().len(),
            Self::Bytes(builder) => builder.values_slice().len(),
            _ => 0,
        }
    }
}

/// A value does not fit its column, or the connection broke.
pub(crate) enum Misfit {
    /// What is there instead.
    Value(String),
    /// What the library said.
    Library(sqlx::Error),
}

impl From<sqlx::Error> for Misfit {
    fn from(error: sqlx::Error) -> Self {
        Self::Library(error)
    }
}

/// The truth value that a number stands for.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(crate) fn truth(number: i64) -> Result<bool, Misfit> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Misfit::Value(other.to_string())),
    }
}

/// How a database's rows become batches.
pub(crate) struct Reading<'a, R> {
    pub(crate) rows: BoxStream<'a, Result<R, sqlx::Error>>,
    pub(crate) schema: SchemaRef,
    pub(crate) batch_rows: usize,
    /// Appends a value of a row to its column.
    pub(crate) append: fn(&R, usize, &mut Column) -> Result<(), Misfit>,
    /// Whether columns are read as the types that are asked for, and not as those that the database says.
    pub(crate) takes_types: bool,
    /// What is said of an error.
    pub(crate) failed: Box<dyn Fn(sqlx::Error) -> Error + Send + 'a>,
}

impl<'a, R: Send + 'a> Reading<'a, R> {
    /// The columns, and the batches as they are asked for.
    pub(crate) fn begin(self) -> Result<Batches<'a>> {
        Ok((self.schema.clone(), self.batches()?.boxed()))
    }

    fn batches(self) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + 'a> {
        let fields = self.schema.fields();
        let columns = fields
            .iter()
            .map(|field| Column::new(field))
            .collect::<Result<Vec<_>>>()?;
        let state = (self, columns, 0_u64, false);
        Ok(stream::try_unfold(
            state,
            |(mut reading, mut columns, from, ended)| async move {
                if ended {
                    return Ok(None);
                }
                let (rows, ended) = reading.fill(&mut columns, from).await?;
                if rows == 0 {
                    return Ok(None);
                }
                let arrays = columns.iter_mut().map(Column::finish).collect();
                let options = RecordBatchOptions::new().with_row_count(Some(rows));
                let batch = RecordBatch::try_new_with_options(reading.schema.clone(), arrays, &options)
                    .map_err(|error| {
                        Error::new(
                            ErrorKind::Schema,
                            "what the database gave is not in the columns that it said",
                        )
                        .because(error)
                    })?;
                let state = (reading, columns, from + rows as u64, ended);
                Ok(Some((batch, state)))
            },
        ))
    }

    /// Takes rows until the batch is full, and says how many, and whether they were the last.
    async fn fill(&mut self, columns: &mut [Column], from: u64) -> Result<(usize, bool)> {
        let mut rows = 0;
        while rows < self.batch_rows {
            let Some(row) = self.rows.next().await else {
                return Ok((rows, true));
            };
            let row = row.map_err(&self.failed)?;
            for (index, column) in columns.iter_mut().enumerate() {
                if let Err(misfit) = (self.append)(&row, index, column) {
                    return Err(self.misfit(index, from + rows as u64, misfit));
                }
            }
            rows += 1;
            if rows.is_multiple_of(64) && columns.iter().map(Column::bytes).sum::<usize>() > BATCH_BYTES {
                break;
            }
        }
        Ok((rows, false))
    }

    fn misfit(&self, index: usize, row: u64, misfit: Misfit) -> Error {
        let field = self.schema.field(index);
        let what = match &misfit {
            Misfit::Value(what) => format!("has {what}"),
            Misfit::Library(_) => "has a value".to_owned(),
        };
        // Truth values are read as numbers where numbers are asked for.
        let way_out = match self.takes_types || field.data_type() == &DataType::Boolean {
            true => "cast it in the query, or say the column's type by `schema`",
            false => "cast it in the query",
        };
        let message = format!(
            "row {row} of the result {what} in the column `{}`, which does not go into {}: {way_out}",
            field.name(),
            field.data_type()
        );
        let error = Error::new(ErrorKind::Schema, message);
        match misfit {
            Misfit::Value(_) => error,
            Misfit::Library(cause) => error.because(cause),
        }
    }
}

/// The columns of a result in a database in which their types say what they are, but for how many digits an exact number has: that is known of some.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn described<C: sqlx::Column>(
    columns: &[C],
    mut digits: HashMap<usize, DataType>,
    data_type: fn(&C) -> Result<DataType>,
) -> Result<SchemaRef> {
    let mut decided = Vec::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        let data_type = match digits.remove(&index) {
            Some(data_type) => data_type,
            None => data_type(column)?,
        };
        decided.push((column.name().to_owned(), data_type));
    }
    Ok(schema(decided))
}

/// A schema of columns that a database named. All may be missing: what a database promises of a table it does not promise of a query.
pub(crate) fn schema(columns: Vec<(String, DataType)>) -> SchemaRef {
    let fields: Vec<Field> = columns
        .into_iter()
        .map(|(name, data_type)| Field::new(name, data_type, true))
        .collect();
    Arc::new(Schema::new(fields))
}
