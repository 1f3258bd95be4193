//! Records against a type: as they are read by serde, and by the rules that it declares with garde.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_cast::cast;
use arrow_schema::{Field, Schema, SchemaRef};
use garde::Validate;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Result;
use crate::records::unwritable;
use crate::reject::Violation;
use crate::rows::{batch_of, rows_of, schema_of};
use crate::validation::beyond::{self, Beyond};
use crate::validation::json_schema::{JsonSchemaCheck, path_of, text_of};
use crate::validation::{Checked, RecordCheck, objects};

/// A type that records are to be.
pub(crate) struct TypedCheck<T> {
    columns: SchemaRef,
    /// For those that are not: says all that is wrong.
    schema: JsonSchemaCheck,
    of: PhantomData<fn() -> T>,
}

impl<T> TypedCheck<T>
where
    T: Serialize + DeserializeOwned + Validate<Context: Default> + JsonSchema,
{
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            columns: schema_of::<T>()?,
            schema: JsonSchemaCheck::new(schemars::schema_for!(T).as_value())?,
            of: PhantomData,
        })
    }

    /// Violations in the order of the fields.
    fn in_order(&self, mut violations: Vec<Violation>) -> Vec<Violation> {
        let place = |violation: &Violation| {
            let field = violation.field.split(['.', '[']).next().unwrap_or_default();
            self.columns.index_of(field).unwrap_or(usize::MAX)
        };
        violations.sort_by_key(place);
        violations
    }

    /// The rows that fit the type, and what is wrong with the others. It depends on each row alone: they are read together where all of them fit, and else in halves until those that do not stand alone.
    fn read(&self, batch: &RecordBatch) -> Result<Vec<Result<T, Vec<Violation>>>> {
        if let Ok(rows) = rows_of::<T>(batch) {
            return Ok(rows.into_iter().map(Ok).collect());
        }
        let mut read = Vec::with_capacity(batch.num_rows());
        self.read_in_halves(&self.widened(batch)?, &mut read)?;
        Ok(read)
    }

    fn read_in_halves(&self, batch: &RecordBatch, read: &mut Vec<Result<T, Vec<Violation>>>) -> Result<()> {
        match (rows_of::<T>(batch), batch.num_rows()) {
            (Ok(rows), _) => read.extend(rows.into_iter().map(Ok)),
            (Err(_), 0) => {}
            (Err(_), 1) => read.push(self.read_as_json(batch)?),
            (Err(_), rows) => {
                let half = rows / 2;
                self.read_in_halves(&batch.slice(0, half), read)?;
                self.read_in_halves(&batch.slice(half, rows - half), read)?;
            }
        }
        Ok(())
    }

    /// With floats where the type has them: an integer is a number, too.
    fn widened(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let expected = self.columns.field_with_name(field.name()).map(Field::data_type);
            let found = field.data_type();
            match expected {
                Ok(to) if to.is_floating() && found.is_numeric() && !found.is_floating() => {
                    columns.push(cast(column, to).map_err(unwritable)?);
                    fields.push(Arc::new(field.as_ref().clone().with_data_type(to.clone())));
                }
                _ => {
                    columns.push(column.clone());
                    fields.push(field.clone());
                }
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
            .map_err(unwritable)
    }

    /// A row that is not of the type as it stands. It may be as JSON, where a time is a text; or else JSON says all that is wrong with it.
    fn read_as_json(&self, row: &RecordBatch) -> Result<Result<T, Vec<Violation>>> {
        let mut record = Value::Object(objects::objects_of(row)?.pop().unwrap_or_default());
        let beyond = beyond::of_row(row, 0);
        let read = T::deserialize(&record);
        let error = match read {
            // With numbers that JSON does not have, it would be another record.
            Ok(read) if beyond.is_empty() => return Ok(Ok(read)),
            Ok(_) => "it has numbers that JSON does not have".to_owned(),
            Err(error) => error.to_string(),
        };
        let text = record.to_string();
        for beyond in &beyond {
            if let Some(place) = record.pointer_mut(&beyond.pointer) {
                // What is wrong with a NaN is told where ranges are looked at.
                *place = match beyond.number.is_nan() {
                    true => 0.0.into(),
                    false => f64::MAX.copysign(beyond.number).into(),
                };
            }
        }
        let mut violations = self.schema.violations(&record);
        let is_nan = |violation: &Violation| {
            let mut nans = beyond.iter().filter(|beyond| beyond.number.is_nan());
            nans.any(|nan| path_of(&nan.pointer) == violation.field)
        };
        violations.retain(|violation| !is_nan(violation));
        if violations.is_empty() {
            violations.push(Violation::new("", &text, format!("not readable: {error}")));
        }
        Ok(Err(violations))
    }
}

/// Which of the NaNs in records break a range.
struct Ranges<'c> {
    schema: &'c JsonSchemaCheck,
    /// By pointer: it is the same for all records of a type.
    known: HashMap<String, bool>,
}

impl Ranges<'_> {
    /// Adds what the NaNs of a row break, and gives numbers that JSON does not have their values.
    fn look_at(&mut self, batch: &RecordBatch, row: usize, violations: &mut Vec<Violation>) -> Result<()> {
        for Beyond { pointer, number } in beyond::of_row(batch, row) {
            let (field, value) = (path_of(&pointer), number.to_string());
            let of_field = violations.iter_mut().filter(|violation| violation.field == field);
            of_field.for_each(|violation| violation.value.clone_from(&value));
            if number.is_nan() && self.has_range(batch, row, &pointer)? {
                violations.push(Violation::new(field, &value, "not in a range"));
            }
        }
        Ok(())
    }

    fn has_range(&mut self, batch: &RecordBatch, row: usize, pointer: &str) -> Result<bool> {
        if let Some(known) = self.known.get(pointer) {
            return Ok(*known);
        }
        let record = objects::objects_of(&batch.slice(row, 1))?
            .pop()
            .unwrap_or_default();
        let has_range = self.schema.has_range(&Value::Object(record), pointer);
        self.known.insert(pointer.to_owned(), has_range);
        Ok(has_range)
    }
}

/// What a row breaks of its rules.
fn broken_rules<T: Serialize + Validate<Context: Default>>(row: &T) -> Vec<Violation> {
    let Err(report) = row.validate() else {
        return Vec::new();
    };
    let record = serde_json::to_value(row).unwrap_or_default();
    let violation = |(path, error): &(garde::Path, garde::Error)| {
        let (field, value) = found(&record, &path.to_string());
        let value = value.map(text_of).unwrap_or_default();
        Violation::new(field, &value, error.message())
    };
    report.iter().map(violation).collect()
}

/// The field at the path that garde says, as it is called in a record, and its value. A field may be called otherwise there, `plantHeight` for `plant_height`.
fn found<'r>(record: &'r Value, path: &str) -> (String, Option<&'r Value>) {
    let (mut at, mut name) = (Some(record), String::new());
    for part in path.split(['.', '[']) {
        if let Some(index) = part.strip_suffix(']') {
            let index = index.parse::<usize>().ok();
            at = at.and_then(|value| index.and_then(|index| value.get(index)));
            name.push_str(&format!("[{part}"));
            continue;
        }
        let same = |other: &&String| plain(other).eq(plain(part));
        let members = at.and_then(Value::as_object);
        let called = members.and_then(|members| {
            let exact = members.get_key_value(part).map(|(called, _)| called);
            exact.or_else(|| members.keys().find(same))
        });
        at = at.and_then(|value| called.and_then(|called| value.get(called)));
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(called.map_or(part, String::as_str));
    }
    (name, at)
}

/// A name without what conventions for names differ in.
fn plain(name: &str) -> impl Iterator<Item = char> {
    name.chars()
        .filter(|c| *c != '_' && *c != '-')
        .flat_map(char::to_lowercase)
}

impl<T> RecordCheck for TypedCheck<T>
where
    T: Serialize + DeserializeOwned + Validate<Context: Default> + JsonSchema,
{
    fn columns(&self, _: &SchemaRef) -> Result<SchemaRef> {
        Ok(self.columns.clone())
    }

    fn check(&self, batch: &RecordBatch) -> Result<Checked> {
        let (mut accepted, mut rejected) = (Vec::with_capacity(batch.num_rows()), Vec::new());
        let mut ranges = beyond::may_be_in(batch).then(|| Ranges {
            schema: &self.schema,
            known: HashMap::new(),
        });
        for (row, read) in self.read(batch)?.into_iter().enumerate() {
            let (value, mut violations) = match read {
                Err(violations) => (None, violations),
                Ok(value) => {
                    let broken = broken_rules(&value);
                    (Some(value), broken)
                }
            };
            if let Some(ranges) = &mut ranges {
                ranges.look_at(batch, row, &mut violations)?;
            }
            match value {
                Some(value) if violations.is_empty() => accepted.push(value),
                _ => rejected.push((row, self.in_order(violations))),
            }
        }
        let accepted = if batch.schema_ref().fields() == self.columns.fields() {
            let rows: Vec<usize> = rejected.iter().map(|(row, _)| *row).collect();
            objects::without(batch, &rows)?
        } else {
            batch_of(&self.columns, &accepted)?
        };
        Ok(Checked { accepted, rejected })
    }
}

impl<T> fmt::Debug for TypedCheck<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TypedCheck<{}>", std::any::type_name::<T>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_is_found_under_the_name_that_records_have_for_it() {
        let record = json!({"plantHeight": 3, "tags": [{"Long-Name": "a"}]});
        assert_eq!(
            found(&record, "plant_height"),
            ("plantHeight".into(), Some(&json!(3)))
        );
        assert_eq!(
            found(&record, "tags[0].long_name"),
            ("tags[0].Long-Name".into(), Some(&json!("a")))
        );
        assert_eq!(found(&record, "other"), ("other".into(), None));
    }
}
