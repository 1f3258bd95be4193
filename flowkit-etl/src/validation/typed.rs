//! Records against a type: as they are read by serde, and by the rules that it declares with garde.

use std::fmt;
use std::marker::PhantomData;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use garde::Validate;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Result;
use crate::reject::Violation;
use crate::rows::{batch_of, rows_of, schema_of};
use crate::validation::json_schema::{JsonSchemaCheck, text_of};
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

    /// The rows that fit the type, and what is wrong with the others.
    fn read(&self, batch: &RecordBatch) -> Result<Vec<Result<T, Vec<Violation>>>> {
        // All at once, if all of them fit; and else one by one, through JSON, where an integer is a number, too.
        if let Ok(rows) = rows_of::<T>(batch) {
            return Ok(rows.into_iter().map(Ok).collect());
        }
        let read = |object| {
            let record = Value::Object(object);
            T::deserialize(&record).map_err(|error| {
                let violations = self.schema.violations(&record);
                if violations.is_empty() {
                    vec![Violation::new(
                        "",
                        &record.to_string(),
                        format!("not readable: {error}"),
                    )]
                } else {
                    violations
                }
            })
        };
        Ok(objects::objects_of(batch)?.into_iter().map(read).collect())
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
        for (row, read) in self.read(batch)?.into_iter().enumerate() {
            let violations = match read {
                Err(violations) => violations,
                Ok(value) => match broken_rules(&value) {
                    none if none.is_empty() => {
                        accepted.push(value);
                        continue;
                    }
                    broken => broken,
                },
            };
            rejected.push((row, self.in_order(violations)));
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
