//! Days and times in CSV, of which nothing must be cut off.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use crate::exact::{self, Days};
use crate::source::csv_records;

/// Columns that are days or times, among others.
pub(crate) struct Times {
    /// All columns of the file.
    of_file: SchemaRef,
    /// Which of them they are, and what.
    columns: Vec<(usize, DataType)>,
    delimiter: u8,
}

impl Times {
    /// Those among the columns that are read, if there are any.
    pub(crate) fn among(of_file: &SchemaRef, read: &[usize], delimiter: u8) -> Option<Self> {
        let of = |column: &usize| of_file.field(*column).data_type();
        let is_one = |column: &&usize| of(column) == &DataType::Date32 || exact::places(of(column)).is_some();
        let times = read.iter().filter(is_one);
        let columns: Vec<(usize, DataType)> = times.map(|column| (*column, of(column).clone())).collect();
        (!columns.is_empty()).then(|| Self {
            of_file: of_file.clone(),
            columns,
            delimiter,
        })
    }

    /// Whether there are days among them.
    pub(crate) fn have_days(&self) -> bool {
        self.types().any(|data_type| data_type == &DataType::Date32)
    }

    fn types(&self) -> impl Iterator<Item = &DataType> {
        self.columns.iter().map(|(_, data_type)| data_type)
    }

    /// All columns, in which days have place for a time, which costs next to nothing. What reads them does not know years of more than four digits.
    pub(crate) fn widened(&self) -> SchemaRef {
        self.with(&|data_type| (data_type == &DataType::Date32).then_some(DataType::Date64))
    }

    fn with(&self, to: &dyn Fn(&DataType) -> Option<DataType>) -> SchemaRef {
        let fields = self.of_file.fields().iter().map(|field| {
            let data_type = to(field.data_type()).unwrap_or_else(|| field.data_type().clone());
            field.as_ref().clone().with_data_type(data_type)
        });
        Arc::new(Schema::new(fields.collect::<Vec<Field>>()))
    }

    /// Nothing, if the columns hold all that these records say. Of days that are read with place for a time, only what that does not hold is said.
    pub(crate) fn check(&self, text: &[u8], records: usize, days_are_wide: bool) -> Result<(), ArrowError> {
        let days = self.have_days().then_some(match days_are_wide {
            true => Days::Wide,
            false => Days::Whole,
        });
        let places = self.types().filter_map(exact::places).min();
        if !exact::may_be_cut(text, days, places) {
            return Ok(());
        }
        let columns = self.columns.iter().map(|(column, _)| *column).collect();
        let as_texts = self.with(&|_| Some(DataType::Utf8));
        let texts = read_again(as_texts, columns, self.delimiter, text, records)?;
        let columns = texts.iter().flat_map(RecordBatch::columns);
        for (column, data_type) in columns.zip(self.types()) {
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

/// So many records, whose text is at hand.
pub(crate) fn read_again(
    of_file: SchemaRef,
    columns: Vec<usize>,
    delimiter: u8,
    text: &[u8],
    records: usize,
) -> Result<Option<RecordBatch>, ArrowError> {
    let mut decoder = csv_records::decoder(of_file, columns, delimiter, records.max(1));
    if decoder.decode(text)? == text.len() && decoder.capacity() > 0 {
        decoder.decode(&[])?;
    }
    decoder.flush()
}
