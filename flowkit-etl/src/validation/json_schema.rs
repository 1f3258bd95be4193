//! Records against a JSON Schema: all that is wrong with each.

use std::fs;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::reject::Violation;
use crate::validation::{Checked, RecordCheck, beyond, objects};

/// A schema that records are checked against.
#[derive(Debug)]
pub(crate) struct JsonSchemaCheck {
    validator: Validator,
}

impl JsonSchemaCheck {
    pub(crate) fn new(schema: &Value) -> Result<Self> {
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(schema)
            .map_err(|error| {
                Error::new(ErrorKind::Options, "this is no valid JSON Schema").because(error.to_string())
            })?;
        Ok(Self { validator })
    }

    pub(crate) fn from_file(path: &Path) -> Result<Self> {
        let text = fs::read(path).map_err(|error| Error::io("read", path, error))?;
        let no_schema = |error: Box<dyn std::error::Error + Send + Sync>| {
            let message = format!("{} is no valid JSON Schema", path.display());
            Error::new(ErrorKind::Options, message).because(error)
        };
        let schema = serde_json::from_slice(&text).map_err(|error| no_schema(error.into()))?;
        Self::new(&schema).map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            no_schema(cause.unwrap_or_default().into())
        })
    }

    /// All that is wrong with a record; nothing, if it is good.
    pub(crate) fn violations(&self, record: &Value) -> Vec<Violation> {
        self.validator.iter_errors(record).flat_map(of_error).collect()
    }

    /// Whether a number in a record has a range, so that there are numbers that are outside.
    pub(crate) fn has_range(&self, record: &Value, pointer: &str) -> bool {
        let mut record = record.clone();
        let mut breaks = |number: f64| {
            if let Some(place) = record.pointer_mut(pointer) {
                *place = number.into();
            }
            let mut errors = self.validator.iter_errors(&record);
            errors.any(|error| is_of_range(&error, pointer))
        };
        breaks(f64::MAX) || breaks(f64::MIN)
    }
}

/// Whether an error is about the range of what stands there, or is one about something around it for such a reason: what may be missing is one of two schemas.
fn is_of_range(error: &ValidationError<'_>, pointer: &str) -> bool {
    match error.kind() {
        ValidationErrorKind::Minimum { .. }
        | ValidationErrorKind::Maximum { .. }
        | ValidationErrorKind::ExclusiveMinimum { .. }
        | ValidationErrorKind::ExclusiveMaximum { .. } => error.instance_path().as_str() == pointer,
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            context.iter().flatten().any(|error| is_of_range(error, pointer))
        }
        _ => false,
    }
}

/// What an error says, about each field that it is about.
fn of_error(error: ValidationError<'_>) -> Vec<Violation> {
    let path = path_of(error.instance_path().as_str());
    let within = |field: &str| match path.as_str() {
        "" => field.to_owned(),
        path => format!("{path}.{field}"),
    };
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let field = property.as_str().unwrap_or_default();
            vec![Violation::new(within(field), "", "missing")]
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let violation = |field: &String| {
                let value = error.instance().get(field).map(text_of).unwrap_or_default();
                Violation::new(within(field), &value, "not a known field")
            };
            unexpected.iter().map(violation).collect()
        }
        _ => {
            let masked = error.masked().to_string();
            let rule = masked.strip_prefix("value is ").or(masked.strip_prefix("value "));
            vec![Violation::new(
                path,
                &text_of(error.instance()),
                rule.unwrap_or(&masked),
            )]
        }
    }
}

/// A JSON pointer as the path of a field: `/tags/0` is `tags[0]`.
pub(crate) fn path_of(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty() {
            path.push_str(&format!("[{part}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&part);
        }
    }
    path
}

/// A value, texts without quotes.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

impl RecordCheck for JsonSchemaCheck {
    fn columns(&self, incoming: &SchemaRef) -> Result<SchemaRef> {
        Ok(incoming.clone())
    }

    fn check(&self, batch: &RecordBatch) -> Result<Checked> {
        let mut rejected = Vec::new();
        let may_be_beyond = beyond::may_be_in(batch);
        for (row, object) in objects::objects_of(batch)?.into_iter().enumerate() {
            let mut record = Value::Object(object);
            if may_be_beyond {
                for beyond in beyond::of_row(batch, row) {
                    if let Some(place) = record.pointer_mut(&beyond.pointer) {
                        *place = beyond.number.to_string().into();
                    }
                }
            }
            if !self.validator.is_valid(&record) {
                rejected.push((row, self.violations(&record)));
            }
        }
        let rows: Vec<usize> = rejected.iter().map(|(row, _)| *row).collect();
        Ok(Checked {
            accepted: objects::without(batch, &rows)?,
            rejected,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_field_is_written_as_in_code() {
        assert_eq!(path_of(""), "");
        assert_eq!(path_of("/height"), "height");
        assert_eq!(path_of("/site/tags/0/a~1b"), "site.tags[0].a/b");
    }
}
