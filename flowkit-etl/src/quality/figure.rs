//! Which rows of a batch are good, check by check.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow_cast::{can_cast_types, cast};
use arrow_ord::cmp;
use arrow_schema::{ArrowError, DataType, Schema};

use crate::error::{Error, ErrorKind, Result};
use crate::quality::check::{Comparison, Subject};
use crate::quality::keys::{KeySet, Keys, column_at};

/// A check of rows, as it stands after those that were seen.
pub(crate) struct Figure {
    subject: Subject,
    /// Where the columns stand that it looks at.
    at: Vec<usize>,
    keys: Option<Keys>,
    seen: KeySet,
}

impl Figure {
    pub(crate) fn new(subject: Subject, schema: &Schema) -> Result<Self> {
        let names: Vec<&String> = match &subject {
            Subject::Complete(column)
            | Subject::Within(column, ..)
            | Subject::OneOf(column, _)
            | Subject::Matching(column, _) => vec![column],
            Subject::Compared(left, _, right) => vec![left, right],
            Subject::Unique(columns) | Subject::References(columns, _) => columns.iter().collect(),
            _ => Vec::new(),
        };
        let at = names
            .iter()
            .map(|name| column_at(schema, name))
            .collect::<Result<Vec<_>>>()?;
        let types: Vec<&DataType> = at.iter().map(|at| schema.field(*at).data_type()).collect();
        let castable = match (&subject, types.as_slice()) {
            (Subject::Within(..), [only]) => can_cast_types(only, &DataType::Float64),
            (Subject::OneOf(..) | Subject::Matching(..), [only]) => can_cast_types(only, &DataType::Utf8),
            (Subject::Compared(..), [left, right]) => can_cast_types(right, left),
            _ => true,
        };
        if !castable {
            let types: Vec<String> = types.iter().map(ToString::to_string).collect();
            let message = format!("columns of {} cannot be checked in this way", types.join(" and "));
            return Err(Error::new(ErrorKind::Options, message));
        }
        let keys = match &subject {
            Subject::Unique(columns) | Subject::References(columns, _) => Some(Keys::new(schema, columns)?),
            _ => None,
        };
        if let (Subject::References(_, referred), Some(keys)) = (&subject, &keys)
            && referred.types() != keys.types(schema)
        {
            let message =
                "the keys that are referred to are of other types: cast them, or no row would be found";
            return Err(Error::new(ErrorKind::Schema, message));
        }
        Ok(Self {
            subject,
            at,
            keys,
            seen: KeySet::default(),
        })
    }

    /// True for good rows, false for bad ones, nothing for those that do not count.
    pub(crate) fn good(&mut self, batch: &RecordBatch) -> Result<BooleanArray> {
        let column = |place: usize| -> Result<&ArrayRef> {
            let column = self.at.get(place).map(|at| batch.column(*at));
            column.ok_or_else(|| Error::new(ErrorKind::Options, "a check lacks a column"))
        };
        match &self.subject {
            Subject::Complete(_) => {
                let column = column(0)?;
                Ok((0..column.len()).map(|row| Some(column.is_valid(row))).collect())
            }
            Subject::Within(_, min, max) => {
                let numbers = cast(column(0)?, &DataType::Float64).map_err(broken)?;
                let numbers = numbers.as_primitive::<Float64Type>();
                Ok(numbers
                    .iter()
                    .map(|number| number.map(|number| number >= *min && number <= *max))
                    .collect())
            }
            Subject::OneOf(_, values) => {
                let is_good = |text: &str| values.contains(text);
                texts(column(0)?, is_good)
            }
            Subject::Matching(_, regex) => texts(column(0)?, |text| regex.is_match(text)),
            Subject::Compared(_, comparison, _) => compared(column(0)?, *comparison, column(1)?),
            Subject::Rule(rule) => rule(batch),
            Subject::Unique(_) => {
                let digests = self.keys.as_ref().map(|keys| keys.digests(batch)).transpose()?;
                let seen = &mut self.seen;
                Ok(digests
                    .unwrap_or_default()
                    .into_iter()
                    .map(|digest| Some(seen.insert(digest)))
                    .collect())
            }
            Subject::References(_, referred) => {
                let Some(keys) = &self.keys else {
                    return Ok(BooleanArray::new_null(batch.num_rows()));
                };
                let digests = keys.digests(batch)?.into_iter().enumerate();
                Ok(digests
                    .map(|(row, digest)| keys.is_whole(batch, row).then(|| referred.contains(digest)))
                    .collect())
            }
            Subject::Rows | Subject::Age(..) | Subject::Drift(_) => {
                Ok(BooleanArray::new_null(batch.num_rows()))
            }
        }
    }
}

fn texts(column: &ArrayRef, is_good: impl Fn(&str) -> bool) -> Result<BooleanArray> {
    let texts = cast(column, &DataType::Utf8).map_err(broken)?;
    let texts: &StringArray = texts.as_string();
    Ok(texts.iter().map(|text| text.map(&is_good)).collect())
}

fn compared(left: &ArrayRef, comparison: Comparison, right: &ArrayRef) -> Result<BooleanArray> {
    let right = cast(right, left.data_type()).map_err(broken)?;
    let compare = match comparison {
        Comparison::Equal => cmp::eq,
        Comparison::NotEqual => cmp::neq,
        Comparison::Less => cmp::lt,
        Comparison::LessOrEqual => cmp::lt_eq,
        Comparison::Greater => cmp::gt,
        Comparison::GreaterOrEqual => cmp::gt_eq,
    };
    compare(left, &right).map_err(broken)
}

pub(crate) fn broken(error: ArrowError) -> Error {
    Error::new(ErrorKind::Schema, "a column cannot be checked in this way").because(error)
}
