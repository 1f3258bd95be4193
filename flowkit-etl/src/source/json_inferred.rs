//! The columns that objects of JSON have.

use std::ops::Range;
use std::sync::Arc;

use arrow_json::reader::infer_json_schema_from_iterator;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use serde_json::Value;

use crate::exact::LARGEST_WHOLE;

/// Numbers of fewer bytes are smaller.
const SHORT: usize = 16;

/// The columns that these objects have. One without any value is text, and so is one that has whole numbers which its numbers have no place for.
pub(crate) fn inferred<'a>(objects: impl Iterator<Item = &'a [u8]> + Clone) -> Result<SchemaRef, ArrowError> {
    let schema_of = |is_text: fn(&str) -> bool| {
        infer_json_schema_from_iterator(objects.clone().map(|object| {
            serde_json::from_slice::<Value>(&quoted(object, is_text))
                .map_err(|error| ArrowError::JsonError(error.to_string()))
        }))
    };
    let inferred = schema_of(is_beyond_integers)?;
    let mut fields = inferred.fields().clone();
    if objects
        .clone()
        .any(|object| whole_numbers(object).any(|(_, number)| is_beyond_floats(number)))
    {
        let with_texts = schema_of(is_beyond_floats)?;
        fields = fields_of(&fields, with_texts.fields());
    }
    let fields = fields.iter().map(|field| match field.data_type() {
        DataType::Null => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
        _ => field.clone(),
    });
    Ok(Arc::new(Schema::new(fields.collect::<Fields>())))
}

fn is_beyond_integers(number: &str) -> bool {
    number.parse::<i64>().is_err()
}

fn is_beyond_floats(number: &str) -> bool {
    number
        .parse::<i64>()
        .map_or(true, |number| number.unsigned_abs() > LARGEST_WHOLE)
}

/// These columns, but texts where they are numbers with a fraction and others have texts.
fn fields_of(fields: &Fields, others: &Fields) -> Fields {
    let either = |(field, other): (&FieldRef, &FieldRef)| field_of(field, other);
    fields.iter().zip(others).map(either).collect()
}

fn field_of(field: &FieldRef, other: &FieldRef) -> FieldRef {
    let data_type = match (field.data_type(), other.data_type()) {
        (DataType::Float64, DataType::Utf8) => DataType::Utf8,
        (DataType::Struct(fields), DataType::Struct(others)) => DataType::Struct(fields_of(fields, others)),
        (DataType::List(item), DataType::List(other)) => DataType::List(field_of(item, other)),
        (data_type, _) => data_type.clone(),
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

/// An object in which those of its whole numbers are texts.
fn quoted(object: &[u8], is_text: impl Fn(&str) -> bool) -> Vec<u8> {
    let (mut quoted, mut from) = (Vec::with_capacity(object.len()), 0);
    for (place, number) in whole_numbers(object).filter(|(_, number)| is_text(number)) {
        quoted.extend_from_slice(object.get(from..place.start).unwrap_or_default());
        quoted.extend_from_slice(format!("\"{number}\"").as_bytes());
        from = place.end;
    }
    quoted.extend_from_slice(object.get(from..).unwrap_or_default());
    quoted
}

/// The numbers in a JSON text that are written as whole ones and are not short, and where they are.
fn whole_numbers(text: &[u8]) -> impl Iterator<Item = (Range<usize>, &str)> {
    let (mut at, mut is_text) = (0, false);
    let next = move || {
        loop {
            let byte = text.get(at)?;
            match byte {
                b'\\' if is_text => at += 1,
                b'"' => is_text = !is_text,
                b'-' | b'0'..=b'9' if !is_text => {
                    let rest = text.get(at..)?;
                    let length = rest
                        .iter()
                        .take_while(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte));
                    let place = at..at + length.count();
                    at = place.end;
                    return Some((place.clone(), std::str::from_utf8(text.get(place)?).ok()?));
                }
                _ => {}
            }
            at += 1;
        }
    };
    std::iter::from_fn(next).filter(|(_, number)| {
        number.len() >= SHORT && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_found_outside_of_texts_alone() {
        let text = br#"{"a\"1234567890123456789":-1234567890123456789,"b":[1234567890123456.5,"\\",12345678901234567]}"#;
        let found: Vec<&str> = whole_numbers(text).map(|(_, number)| number).collect();
        assert_eq!(found, ["-1234567890123456789", "12345678901234567"]);
        let quoted = String::from_utf8(quoted(text, is_beyond_floats)).unwrap();
        assert!(quoted.ends_with(r#""\\","12345678901234567"]}"#), "{quoted}");
        assert!(quoted.contains(r#":"-1234567890123456789","#), "{quoted}");
    }

    #[test]
    fn columns_are_texts_where_numbers_would_be_rounded() {
        let types = |objects: &[&str]| {
            let schema = inferred(objects.iter().map(|object| object.as_bytes())).unwrap();
            let types = schema.fields().iter().map(|field| field.data_type().clone());
            types.collect::<Vec<_>>()
        };
        let of = |object: &str| types(&[object]);
        assert_eq!(of(r#"{"a":9223372036854775807}"#), [DataType::Int64]);
        assert_eq!(of(r#"{"a":9223372036854775808}"#), [DataType::Utf8]);
        assert_eq!(
            of(r#"{"a":6.02e23,"b":null}"#),
            [DataType::Float64, DataType::Utf8]
        );
        assert_eq!(
            types(&[r#"{"a":9007199254740993}"#, r#"{"a":1}"#]),
            [DataType::Int64]
        );
        assert_eq!(
            types(&[r#"{"a":9007199254740992}"#, r#"{"a":1.5}"#]),
            [DataType::Float64]
        );
        assert_eq!(
            types(&[r#"{"a":9007199254740993}"#, r#"{"a":1.5}"#]),
            [DataType::Utf8]
        );
        let nested = types(&[r#"{"a":[{"b":1.5}]}"#, r#"{"a":[{"b":9007199254740993}]}"#]);
        assert!(format!("{nested:?}").contains("Utf8"), "{nested:?}");
        let scalars = types(&[r#"{"a":[1.5,9007199254740993]}"#]);
        assert!(format!("{scalars:?}").contains("Utf8"), "{scalars:?}");
    }
}
