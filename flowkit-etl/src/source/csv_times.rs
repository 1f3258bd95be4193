//! Days and times in CSV, of which nothing must be cut off.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_csv::ReaderBuilder;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use crate::exact;

/// Columns that are days or times, among others.
pub(crate) struct Times {
    /// All columns of the file, in which those are texts.
    as_texts: SchemaRef,
    /// Which of them they are, and what.
    columns: Vec<(usize, DataType)>,
    delimiter: u8,
}

impl Times {
    /// Those among the columns that are read, if there are any.
    pub(crate) fn among(schema: &SchemaRef, read: &[usize], delimiter: u8) -> Option<Self> {
        let of = |column: &usize| schema.field(*column).data_type();
        let is_one = |column: &&usize| of(column) == &DataType::Date32 || exact::places(of(column)).is_some();
        let times = read.iter().filter(is_one);
        let columns: Vec<(usize, DataType)> = times.map(|column| (*column, of(column).clone())).collect();
        if columns.is_empty() {
            return None;
        }
        let texts = schema
            .fields()
            .iter()
            .map(|field| Field::new(field.name(), DataType::Utf8, true));
        Some(Self {
            as_texts: Arc::new(Schema::new(texts.collect::<Vec<_>>())),
            columns,
            delimiter,
        })
    }

    /// Nothing, if the columns hold all that these records say.
    pub(crate) fn check(&self, text: &[u8], records: usize) -> Result<(), ArrowError> {
        let types = || self.columns.iter().map(|(_, data_type)| data_type);
        let has_days = types().any(|data_type| data_type == &DataType::Date32);
        if !exact::may_be_cut(text, has_days, types().filter_map(exact::places).min()) {
            return Ok(());
        }
        let mut decoder = ReaderBuilder::new(self.as_texts.clone())
            .with_delimiter(self.delimiter)
            .with_batch_size(records.max(1))
            .with_projection(self.columns.iter().map(|(column, _)| *column).collect())
            .build_decoder();
        if decoder.decode(text)? == text.len() && decoder.capacity() > 0 {
            decoder.decode(&[])?;
        }
        let Some(texts) = decoder.flush()? else {
            return Ok(());
        };
        for (column, data_type) in texts.columns().iter().zip(types()) {
            let texts = column.as_string::<i32>();
            if let Some(text) = texts.iter().flatten().find(|text| exact::is_cut(text, data_type)) {
                return Err(ArrowError::CastError(format!(
                    "{text} says more than {data_type} holds"
                )));
            }
        }
        Ok(())
    }
}
