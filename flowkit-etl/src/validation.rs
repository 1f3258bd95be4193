//! Records that are checked one by one while they stream past: the good ones go on, the bad ones are set aside with all that is wrong with them.

mod beyond;
mod columns;
mod json_schema;
mod objects;
mod typed;

pub use columns::{Drift, RetypedColumn};

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use garde::Validate;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::records;
use crate::reject::{Reject, Rejects, Sieve, Tolerance, Violation};
use crate::stream::BatchStream;

use columns::ColumnsCheck;
use json_schema::JsonSchemaCheck;
use typed::TypedCheck;

/// A way to check records.
pub trait RecordCheck: fmt::Debug + Send + Sync {
    /// The columns that accepted records have, if they come with these.
    ///
    /// # Errors
    /// When records with these columns cannot be checked at all.
    fn columns(&self, incoming: &SchemaRef) -> Result<SchemaRef>;

    /// Checks each record of a batch. It may compute for as long as it takes: it is called where blocking is allowed.
    ///
    /// # Errors
    /// When they could not be checked. That a record is bad is no error.
    fn check(&self, batch: &RecordBatch) -> Result<Checked>;
}

/// What became of the records of a batch.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The good ones, in their order.
    pub accepted: RecordBatch,
    /// The rows that are bad, in their order, each with all that is wrong with it.
    pub rejected: Vec<(usize, Vec<Violation>)>,
}

/// Checks the records of a stream.
///
/// ```
/// use flowkit_etl::validation::Validation;
/// use flowkit_etl::{BatchStream, Rejects, Tolerance};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, garde::Validate, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Plant {
///     #[garde(length(min = 1))]
///     name: String,
///     #[garde(range(min = 0.0, max = 5000.0))]
///     height: Option<f64>,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let plant = |name: &str, height| Plant { name: name.into(), height };
/// let plants = BatchStream::from_rows(vec![plant("a", Some(140.3)), plant("", Some(-1.0)), plant("c", None)])?;
///
/// let rejects = Rejects::new();
/// let good = Validation::typed::<Plant>()?.origin("season").set_aside(Tolerance::share(0.4), &rejects).apply(plants)?;
/// assert_eq!(good.collect_rows::<Plant>().await?.len(), 2);
/// assert_eq!(
///     rejects.kept()[0].to_string(),
///     r#"season record 1: name is "": length is lower than 1; height is "-1.0": lower than 0"#
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Validation {
    check: Arc<dyn RecordCheck>,
    origin: String,
    tolerance: Tolerance,
    rejects: Rejects,
}

impl Validation {
    /// By a check of your own.
    pub fn new(check: impl RecordCheck + 'static) -> Self {
        Self {
            check: Arc::new(check),
            origin: "records".to_owned(),
            tolerance: Tolerance::NONE,
            rejects: Rejects::new(),
        }
    }

    /// By a type: what its fields are, that there are no others if it says `#[serde(deny_unknown_fields)]`, and what it declares by `#[garde(…)]` on fields,
    /// across them by `#[garde(custom(…))]`. Accepted records have the columns of [`schema_of`](crate::schema_of).
    ///
    /// Good records cost their conversion and their rules. A record that does not fit its type is looked at once more, by the JSON Schema that schemars makes of the type,
    /// since serde stops at the first thing that is wrong. An integer or a decimal number is a number for a field that is a float.
    ///
    /// A NaN is a number for a field without a range, and breaks each range that there is: `#[garde(range(…))]`, as schemars reads it.
    ///
    /// # Errors
    /// When the type has no columns, or no valid schema.
    pub fn typed<T>() -> Result<Self>
    where
        T: Serialize + DeserializeOwned + Validate<Context: Default> + JsonSchema + 'static,
    {
        Ok(Self::new(TypedCheck::<T>::new()?))
    }

    /// By a JSON Schema, each record as an object without the fields that are missing. Formats count. References into other files are not followed.
    ///
    /// JSON has no NaN and no infinity: they count as the texts `NaN`, `inf` and `-inf`, and so break a rule that a field be a number, and are not taken for missing.
    ///
    /// # Errors
    /// When it is no valid schema.
    pub fn json_schema(schema: &serde_json::Value) -> Result<Self> {
        Ok(Self::new(JsonSchemaCheck::new(schema)?))
    }

    /// By the JSON Schema in a file.
    ///
    /// # Errors
    /// When it cannot be read, or is no valid schema.
    pub fn json_schema_file(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::new(JsonSchemaCheck::from_file(path.as_ref())?))
    }

    /// By the columns that there are to be. What comes is coerced: columns are found by name, numbers and texts become what is expected where that loses nothing, a
    /// column that is missing is filled with missing values if it may have them, and others are left out. A record with a value that cannot be coerced is bad. A number is no day and no time, since it does not say of which unit: cast it before, by `map_batches` or a query.
    ///
    /// A text that says more than the type holds is lost: a day with a time as a day, a third decimal where there are two, more digits than a float of 32 bits has. Only a text with a fraction may be
    /// the float of 64 bits that is nearest to it. Times without a zone are UTC where one is expected, or comes; so are days, and a moment is a day where it is the beginning of one in UTC. A text that
    /// says its zone is that moment.
    ///
    /// What [`Drift::between`] says about the two schemas is logged as a warning.
    pub fn columns(expected: SchemaRef) -> Self {
        Self::new(ColumnsCheck::new(expected, false))
    }

    /// By the columns that there are to be, which must come as they are: their order may differ, and nothing else.
    pub fn columns_exactly(expected: SchemaRef) -> Self {
        Self::new(ColumnsCheck::new(expected, true))
    }

    /// What rejects call that which is checked: a file, a table. "records" unless said otherwise.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = origin.into();
        self
    }

    /// Sets bad records aside instead of failing at the first batch that has one. The stream ends with an error if they are more than is tolerated of its own records, whatever else
    /// `rejects` is given.
    #[must_use]
    pub fn set_aside(mut self, tolerance: Tolerance, rejects: &Rejects) -> Self {
        self.tolerance = tolerance;
        self.rejects = rejects.clone();
        self
    }

    /// The good records of a stream. Each that it is applied to is judged by itself, so that it can be a check of a stage that is tried again.
    ///
    /// # Errors
    /// When records with its columns cannot be checked at all.
    pub fn apply(&self, stream: BatchStream) -> Result<BatchStream> {
        let schema = self.check.columns(stream.schema())?;
        let sieve = Sieve::new(self.tolerance, &self.rejects.in_current_run());
        let mut pass = Pass {
            check: Arc::clone(&self.check),
            origin: self.origin.clone(),
            sieve: sieve.clone(),
            before: 0,
        };
        let checked = stream.map_blocking(schema, move |batch| pass.accepted(&batch));
        Ok(checked.then_judge(move || sieve.judge()))
    }
}

/// A stream on its way through a check.
struct Pass {
    check: Arc<dyn RecordCheck>,
    origin: String,
    sieve: Sieve,
    /// How many records there were in the batches before.
    before: u64,
}

impl Pass {
    /// The good records of the next batch.
    fn accepted(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let checked = self.check.check(batch)?;
        let rows: Vec<usize> = checked.rejected.iter().map(|(row, _)| *row).collect();
        let contents = records::texts_of(batch, &rows)?;
        self.sieve.accept((batch.num_rows() - rows.len()) as u64);
        for ((row, violations), content) in checked.rejected.into_iter().zip(contents) {
            self.sieve.reject(Reject {
                origin: self.origin.clone(),
                line: None,
                record: self.before + row as u64,
                violations,
                content,
            });
        }
        self.before += batch.num_rows() as u64;
        if self.sieve.tolerance() == Tolerance::NONE {
            self.sieve.judge()?;
        }
        Ok(checked.accepted)
    }
}
