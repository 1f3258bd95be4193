//! How far an incremental extraction has come: kept with the data that it brought, and by the same commit.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::array_value_to_string;
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::stream::BatchStream;
use crate::value::Value;

/// Where an incremental extraction begins: after a value of a column that grows, a number of the row or a time of the last change.
///
/// It is kept, under a name, by the sink that the rows are loaded into, in the commit that loads them: [`Sink::since`](crate::sink::Sink::since) gives it. So it moves on exactly when the
/// load succeeded, and goes back with the data if that is restored from a backup.
///
/// A stream of a source that was told where to begin knows how far it came, also after transforms and checks. Two loads that began at the same place cannot both be
/// committed: the second ends with [`ErrorKind::Conflict`], and is to begin anew.
///
/// Rows must come in the order of the column. Numbers and times that do not are an error, and so is a number that is not finite; the order of texts is known to the database alone. Exact numbers are kept as
/// texts of their digits. So is a text after a number in SQLite, where a column may have both: no number comes after a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Since {
    cursor: String,
    value: Option<Value>,
}

impl Since {
    /// From the beginning, under this name.
    pub fn beginning(cursor: impl Into<String>) -> Self {
        Self {
            cursor: cursor.into(),
            value: None,
        }
    }

    /// After this value, under this name.
    pub fn after(cursor: impl Into<String>, value: Value) -> Self {
        Self {
            cursor: cursor.into(),
            value: Some(value),
        }
    }

    /// The name.
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The value; none, if nothing was loaded yet.
    pub fn value(&self) -> Option<&Value> {
        self.value.as_ref()
    }
}

/// How far a stream has come.
#[cfg_attr(
    not(all(feature = "files", feature = "sql")),
    allow(dead_code, reason = "each sink uses some of it")
)]
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) since: Since,
    /// The stage of a pipeline that opened the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extracted_by: Option<String>,
    /// As it stands when it is written down.
    #[serde(with = "shared")]
    reached: Arc<Mutex<Option<Value>>>,
}

#[cfg_attr(
    not(all(feature = "files", feature = "sql")),
    allow(dead_code, reason = "each sink uses some of it")
)]
impl Progress {
    /// The value of the last row, if that is not where it began.
    pub(crate) fn reached(&self) -> Option<Value> {
        let reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached
            .clone()
            .filter(|reached| Some(reached) != self.since.value())
    }

    /// As that of the source that this stage opened, unless it is known to be that of an earlier one.
    #[cfg(feature = "pipeline")]
    pub(crate) fn extracted_by(mut self, stage: &str) -> Self {
        self.extracted_by.get_or_insert_with(|| stage.to_owned());
        self
    }

    /// Whether it is how far the same extraction came, which two stages passed on.
    #[cfg(feature = "pipeline")]
    pub(crate) fn is_that_of(&self, other: &Self) -> bool {
        self.extracted_by.is_some()
            && (&self.extracted_by, &self.since, self.reached())
                == (&other.extracted_by, &other.since, other.reached())
    }

    /// What is said to whoever was not the first.
    pub(crate) fn overtaken(&self) -> Error {
        let message = format!(
            "another load moved the cursor `{}` meanwhile: begin again where it is now",
            self.since.cursor()
        );
        Error::new(ErrorKind::Conflict, message)
    }

    /// What is said where cursors cannot be kept.
    pub(crate) fn unkept(&self) -> Error {
        let message = format!(
            "this sink cannot keep the cursor `{}` with its rows: load them into a table or a data set",
            self.since.cursor()
        );
        Error::new(ErrorKind::Options, message)
    }

    fn follow(&self, column: &Followed, batch: &RecordBatch) -> Result<()> {
        let values = batch.column(column.index);
        if values.null_count() > 0 {
            let message = format!(
                "a row has no value in `{}`, so that it cannot be told whether it is new",
                column.name
            );
            return Err(Error::new(ErrorKind::Schema, message));
        }
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = reached.take().or_else(|| self.since.value.clone());
        // Of what has no order that is known here, the last one is all that counts.
        let of = values.data_type();
        let first = match of.is_numeric() || of.is_temporal() {
            true => 0,
            false => batch.num_rows().saturating_sub(1),
        };
        for row in first..batch.num_rows() {
            let value = column.value_at(values, row)?;
            if let Some(before) = &before {
                column.check_order(before, &value)?;
            }
            before = Some(value);
        }
        *reached = before;
        Ok(())
    }
}

/// The column that is followed.
struct Followed {
    name: String,
    index: usize,
    /// Whether its texts are the digits of exact numbers.
    is_exact: bool,
    /// Whether its values may be of several types, as in SQLite.
    is_mixed: bool,
}

impl Followed {
    /// What a cursor can stand at.
    fn value_at(&self, values: &ArrayRef, row: usize) -> Result<Value> {
        let column = &self.name;
        let refused = |message| Err(Error::new(ErrorKind::Schema, message));
        let last = |number: &dyn std::fmt::Display| {
            format!(
                "a row has {number} in `{column}`, after which nothing comes: leave such rows out in the query"
            )
        };
        match Value::at(values, row) {
            Some(Value::Number(number)) if !number.is_finite() => refused(last(&number)),
            Some(Value::Text(text))
                if self.is_exact && matches!(text.as_str(), "NaN" | "Infinity" | "-Infinity") =>
            {
                refused(last(&text))
            }
            Some(value) => Ok(value),
            None => match array_value_to_string(values, row) {
                Ok(digits) if is_decimal(values.data_type()) => Ok(Value::Text(digits)),
                _ => refused(format!(
                    "a column of the type {} cannot say what is new: cast `{column}` in the query",
                    values.data_type()
                )),
            },
        }
    }

    /// Nothing, if a row with this value may come after one with that.
    fn check_order(&self, before: &Value, value: &Value) -> Result<()> {
        let column = &self.name;
        let refused = |message| Err(Error::new(ErrorKind::Schema, message));
        if self.is_mixed && matches!((rank(before), rank(value)), (Some(before), Some(own)) if before < own) {
            return refused(format!(
                "a row has {value} in `{column}` after {before}, and where a column has values of several types, none of those that are lower comes after one of the higher: cast `{column}` in the query, or leave such rows out"
            ));
        }
        let is_below = match (value, before) {
            (Value::Text(own), Value::Text(before)) if self.is_exact => {
                compared(own, before) == Ordering::Less
            }
            _ => value.is_known_below(before),
        };
        match is_below {
            false => Ok(()),
            true => refused(format!(
                "the rows do not come in the order of `{column}`, from the lowest value to the highest, so that nobody knows where to go on after them"
            )),
        }
    }
}

/// Where values of a type stand in a column that has several: so they do in SQLite.
fn rank(value: &Value) -> Option<u8> {
    match value {
        Value::Integer(_) | Value::Number(_) => Some(0),
        Value::Text(_) => Some(1),
        Value::Bytes(_) => Some(2),
        _ => None,
    }
}

fn is_decimal(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..)
            | DataType::Decimal256(..)
    )
}

/// How exact numbers stand to each other, by their digits.
fn compared(own: &str, other: &str) -> Ordering {
    let parts = |number: &str| {
        let digits = number.trim_start_matches('-');
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let is_zero = whole.is_empty() && fraction.is_empty();
        let is_below_zero = number.starts_with('-') && !is_zero;
        (
            is_below_zero,
            (whole.len(), whole.to_owned(), fraction.to_owned()),
        )
    };
    let ((own_is_below, own), (other_is_below, other)) = (parts(own), parts(other));
    match (own_is_below, other_is_below) {
        (false, false) => own.cmp(&other),
        (true, true) => other.cmp(&own),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    }
}

/// A shared value, written down as it stands.
mod shared {
    use super::{Arc, Deserialize, Mutex, PoisonError, Serialize, Value};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        shared: &Arc<Mutex<Option<Value>>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<Mutex<Option<Value>>>, D::Error> {
        Ok(Arc::new(Mutex::new(Option::deserialize(deserializer)?)))
    }
}

impl BatchStream {
    /// Follows a column by which the rows of this stream are ordered, so that the sink that they are loaded into keeps how far it came. For sources of one's own: those of this crate do it.
    ///
    /// # Errors
    /// When there is no such column.
    pub fn following(self, column: &str, since: Since) -> Result<Self> {
        self.following_of(column, since, false)
    }

    /// The same of a column whose texts are, or are not, the digits of exact numbers.
    pub(crate) fn following_of(self, column: &str, since: Since, is_exact: bool) -> Result<Self> {
        let index = self.schema().index_of(column).map_err(|_| {
            let there = crate::stream::columns(self.schema());
            Error::new(
                ErrorKind::Schema,
                format!("there is no column `{column}` to follow in {there}"),
            )
        })?;
        let is_exact = is_exact || is_decimal(self.schema().field(index).data_type());
        let followed = Followed {
            name: column.to_owned(),
            index,
            is_exact,
            is_mixed: false,
        };
        Ok(self.following_at(followed, since))
    }

    /// Follows the last column, which stands for this one, and leaves it out.
    #[cfg(feature = "sqlite")]
    pub(crate) fn following_last(self, column: &str, since: Since) -> Result<Self> {
        let Some(last) = self.schema().fields().len().checked_sub(1) else {
            return Err(Error::new(
                ErrorKind::Schema,
                "a result without columns has none to follow",
            ));
        };
        let rest: Vec<usize> = (0..last).collect();
        let unprojected =
            |error| Error::new(ErrorKind::Schema, "a batch lacks columns of its stream").because(error);
        let schema = Arc::new(self.schema().project(&rest).map_err(unprojected)?);
        let column = Followed {
            name: column.to_owned(),
            index: last,
            is_exact: false,
            is_mixed: true,
        };
        let followed = self.following_at(column, since);
        Ok(followed.map_batches(schema, move |batch| batch.project(&rest).map_err(unprojected)))
    }

    fn following_at(self, column: Followed, since: Since) -> Self {
        let progress = Progress {
            since,
            extracted_by: None,
            reached: Arc::default(),
        };
        let (following, schema) = (progress.clone(), self.schema().clone());
        let followed = self.map_batches(schema, move |batch| {
            following.follow(&column, &batch)?;
            Ok(batch)
        });
        followed.with_progress(Some(progress))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_numbers_are_in_the_order_of_their_values() {
        let numbers = [
            "-10.5", "-9", "-0.10", "-0", "0.00", "0.25", "0.5", "9.99", "10", "100.1",
        ];
        for pair in numbers.windows(2) {
            let expected = match pair[0] {
                "-0" => Ordering::Equal,
                _ => Ordering::Less,
            };
            assert_eq!(compared(pair[0], pair[1]), expected, "{pair:?}");
            assert_eq!(compared(pair[1], pair[0]), expected.reverse(), "{pair:?}");
        }
        assert_eq!(compared("1.50", "1.5"), Ordering::Equal);
    }
}
