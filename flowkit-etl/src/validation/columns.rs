//! Columns against those that were expected: what differs, and coercion where it loses nothing.

use std::fmt;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_cast::can_cast_types;
use arrow_cast::display::array_value_to_string;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::exact::{Coerced, missing_in};
use crate::reject::Violation;
use crate::validation::{Checked, RecordCheck, objects};

/// How the columns that come differ from those that were expected. Their order does not count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Columns that do not come.
    pub missing: Vec<String>,
    /// Columns that nobody expected.
    pub unexpected: Vec<String>,
    /// Columns of other types.
    pub retyped: Vec<RetypedColumn>,
    /// Columns that may have missing values and should not.
    pub nullable: Vec<String>,
}

/// A column of another type than was expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetypedColumn {
    /// Its name.
    pub column: String,
    /// The type that comes.
    pub found: String,
    /// The type that was expected.
    pub expected: String,
    /// Whether values of the one can be values of the other.
    pub coercible: bool,
}

/// Whether values of one type can be values of another. A number is no day and no time: of which unit, and since when, it does not say.
fn is_coercible(found: &DataType, expected: &DataType) -> bool {
    let found = match found {
        DataType::Dictionary(_, of) => of.as_ref(),
        found => found,
    };
    can_cast_types(found, expected) && !(found.is_numeric() && expected.is_temporal())
}

impl Drift {
    /// What differs between two schemas.
    pub fn between(found: &Schema, expected: &Schema) -> Self {
        let mut drift = Self::default();
        for field in expected.fields() {
            let Ok(there) = found.field_with_name(field.name()) else {
                drift.missing.push(field.name().clone());
                continue;
            };
            if there.data_type() != field.data_type() {
                drift.retyped.push(RetypedColumn {
                    column: field.name().clone(),
                    found: there.data_type().to_string(),
                    expected: field.data_type().to_string(),
                    coercible: is_coercible(there.data_type(), field.data_type()),
                });
            }
            if there.is_nullable() && !field.is_nullable() {
                drift.nullable.push(field.name().clone());
            }
        }
        let unknown = |field: &&Arc<Field>| expected.field_with_name(field.name()).is_err();
        let names = found
            .fields()
            .iter()
            .filter(unknown)
            .map(|field| field.name().clone());
        drift.unexpected = names.collect();
        drift
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (what, names) in [
            ("missing", &self.missing),
            ("unexpected", &self.unexpected),
            ("may have missing values", &self.nullable),
        ] {
            if !names.is_empty() {
                parts.push(format!("{what}: `{}`", names.join("`, `")));
            }
        }
        for RetypedColumn {
            column,
            found,
            expected,
            ..
        } in &self.retyped
        {
            parts.push(format!("`{column}` is {found} instead of {expected}"));
        }
        match parts.is_empty() {
            true => f.write_str("no drift"),
            false => f.write_str(&parts.join("; ")),
        }
    }
}

/// Columns that there are to be.
#[derive(Debug)]
pub(crate) struct ColumnsCheck {
    expected: SchemaRef,
    exactly: bool,
}

impl ColumnsCheck {
    pub(crate) fn new(expected: SchemaRef, exactly: bool) -> Self {
        Self { expected, exactly }
    }

    /// A column of a batch as it is expected, and the rows in which it cannot be.
    fn coerced(&self, batch: &RecordBatch, field: &Field) -> Result<(ArrayRef, Vec<(usize, Violation)>)> {
        let Some(found) = batch.column_by_name(field.name()) else {
            return Ok((new_null_array(field.data_type(), batch.num_rows()), Vec::new()));
        };
        let coerced = Coerced::new(found, field.data_type()).map_err(|error| {
            Error::new(
                ErrorKind::Schema,
                format!("the column `{}` cannot be coerced", field.name()),
            )
            .because(error)
        })?;
        let (was_missing, is_missing) = (missing_in(found), missing_in(&coerced.column));
        let mut bad = Vec::new();
        for row in 0..batch.num_rows() {
            let rule = if was_missing(row) {
                match field.is_nullable() {
                    true => continue,
                    false => "missing".to_owned(),
                }
            } else if is_missing(row) {
                format!("not of type {}", field.data_type())
            } else if coerced.is_lost(row) {
                format!("not of type {} without loss", field.data_type())
            } else {
                continue;
            };
            let value = array_value_to_string(found, row).unwrap_or_default();
            bad.push((row, Violation::new(field.name(), &value, rule)));
        }
        Ok((coerced.column, bad))
    }
}

impl RecordCheck for ColumnsCheck {
    fn columns(&self, incoming: &SchemaRef) -> Result<SchemaRef> {
        let drift = Drift::between(incoming, &self.expected);
        let cannot = |name: &String| {
            self.expected
                .field_with_name(name)
                .is_ok_and(|field| !field.is_nullable())
        };
        let hopeless =
            drift.retyped.iter().any(|column| !column.coercible) || drift.missing.iter().any(cannot);
        if hopeless || (self.exactly && !drift.is_empty()) {
            return Err(Error::new(
                ErrorKind::Schema,
                format!("the columns are not those that were expected: {drift}"),
            ));
        }
        if !drift.is_empty() {
            tracing::warn!(target: "flowkit_etl", %drift, "columns are not quite those that were expected, and are coerced");
        }
        Ok(self.expected.clone())
    }

    fn check(&self, batch: &RecordBatch) -> Result<Checked> {
        let mut columns = Vec::with_capacity(self.expected.fields().len());
        let mut bad: Vec<(usize, Violation)> = Vec::new();
        for field in self.expected.fields() {
            let (column, of_column) = self.coerced(batch, field)?;
            columns.push(column);
            bad.extend(of_column);
        }
        bad.sort_by_key(|(row, _)| *row);
        let mut rejected: Vec<(usize, Vec<Violation>)> = Vec::new();
        for (row, violation) in bad {
            match rejected.last_mut() {
                Some((last, violations)) if *last == row => violations.push(violation),
                _ => rejected.push((row, vec![violation])),
            }
        }
        // A column that may not have missing values has them until the bad rows are gone.
        let may = self
            .expected
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_nullable(true));
        let may = Arc::new(Schema::new(may.collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let rows: Vec<usize> = rejected.iter().map(|(row, _)| *row).collect();
        let accepted = RecordBatch::try_new_with_options(may, columns, &options)
            .map_err(|error| Error::new(ErrorKind::Schema, "the columns cannot be coerced").because(error))
            .and_then(|batch| objects::without(&batch, &rows))?;
        let options = RecordBatchOptions::new().with_row_count(Some(accepted.num_rows()));
        let accepted = RecordBatch::try_new_with_options(
            self.expected.clone(),
            accepted.columns().to_vec(),
            &options,
        )
        .map_err(|error| Error::new(ErrorKind::Schema, "the columns cannot be coerced").because(error))?;
        Ok(Checked { accepted, rejected })
    }
}
