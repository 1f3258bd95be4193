//! How far an incremental extraction has come: kept with the data that it brought, and by the same commit.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{Array, ArrayRef, RecordBatch};
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
/// Rows must come in the order of the column. Numbers and times that do not are an error, and so is a number that is not finite; the order of texts is known to the database alone.
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

    fn follow(&self, column: &str, index: usize, batch: &RecordBatch) -> Result<()> {
        let values = batch.column(index);
        if values.null_count() > 0 {
            let message =
                format!("a row has no value in `{column}`, so that it cannot be told whether it is new");
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
            let value = value_at(column, values, row)?;
            if before.as_ref().is_some_and(|before| value.is_known_below(before)) {
                let message = format!(
                    "the rows do not come in the order of `{column}`, from the lowest value to the highest, so that nobody knows where to go on after them"
                );
                return Err(Error::new(ErrorKind::Schema, message));
            }
            before = Some(value);
        }
        *reached = before;
        Ok(())
    }
}

/// What a cursor can stand at.
fn value_at(column: &str, values: &ArrayRef, row: usize) -> Result<Value> {
    let refused = |message| Err(Error::new(ErrorKind::Schema, message));
    match Value::at(values, row) {
        Some(Value::Number(number)) if !number.is_finite() => refused(format!(
            "a row has {number} in `{column}`, after which nothing comes: leave such rows out in the query"
        )),
        Some(value) => Ok(value),
        None => refused(format!(
            "a column of the type {} cannot say what is new: cast `{column}` in the query",
            values.data_type()
        )),
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
        let index = self.schema().index_of(column).map_err(|_| {
            let there = crate::stream::columns(self.schema());
            Error::new(
                ErrorKind::Schema,
                format!("there is no column `{column}` to follow in {there}"),
            )
        })?;
        Ok(self.following_at(index, column, since))
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
        let followed = self.following_at(last, column, since);
        Ok(followed.map_batches(schema, move |batch| batch.project(&rest).map_err(unprojected)))
    }

    fn following_at(self, index: usize, column: &str, since: Since) -> Self {
        let progress = Progress {
            since,
            extracted_by: None,
            reached: Arc::default(),
        };
        let (following, column, schema) = (progress.clone(), column.to_owned(), self.schema().clone());
        let followed = self.map_batches(schema, move |batch| {
            following.follow(&column, index, &batch)?;
            Ok(batch)
        });
        followed.with_progress(Some(progress))
    }
}
