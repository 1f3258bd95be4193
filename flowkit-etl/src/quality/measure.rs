//! The figures of a stream while it passes.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_cast::{can_cast_types, cast};
use arrow_schema::{DataType, Schema, TimeUnit};

use crate::error::{Error, ErrorKind, Result};
use crate::quality::baseline::Distribution;
use crate::quality::check::{Check, Subject};
use crate::quality::figure::{Figure, broken};
use crate::quality::keys::column_at;
use crate::quality::report::{CheckOutcome, Example};
use crate::records;

/// The checks of a stream.
pub(crate) struct Measures {
    rows: u64,
    examples: usize,
    checks: Vec<(Check, Measure)>,
}

/// What is measured for a check.
enum Measure {
    Share(Box<Share>),
    Rows,
    Age(Age),
    Drift(Box<Distribution>),
}

impl Measures {
    pub(crate) fn new(checks: &[Check], schema: &Schema, examples: usize) -> Result<Self> {
        let measure = |check: &Check| -> Result<(Check, Measure)> {
            check.is_possible()?;
            let measure = match &check.subject {
                Subject::Rows => Measure::Rows,
                Subject::Age(column, now) => Measure::Age(Age::new(column, *now, schema)?),
                Subject::Drift(baseline) => {
                    Measure::Drift(Box::new(Distribution::new(baseline.clone(), schema)?))
                }
                subject => Measure::Share(Box::new(Share::new(Figure::new(subject.clone(), schema)?))),
            };
            Ok((check.clone(), measure))
        };
        Ok(Self {
            rows: 0,
            examples,
            checks: checks.iter().map(measure).collect::<Result<_>>()?,
        })
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn observe(&mut self, batch: &RecordBatch) -> Result<()> {
        for (_, measure) in &mut self.checks {
            match measure {
                Measure::Share(share) => share.observe(batch, self.rows, self.examples)?,
                Measure::Rows => {}
                Measure::Age(age) => age.observe(batch)?,
                Measure::Drift(distribution) => distribution.observe(batch)?,
            }
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    pub(crate) fn outcomes(&self) -> Vec<CheckOutcome> {
        let outcome = |(check, measure): &(Check, Measure)| {
            let mut outcome = CheckOutcome::new(check, self.rows);
            match measure {
                Measure::Share(share) => {
                    outcome.counted = share.counted;
                    outcome.bad = share.bad;
                    outcome.examples = share.examples.clone();
                    outcome.measured = Some(share.share());
                }
                Measure::Rows => outcome.measured = Some(self.rows as f64),
                Measure::Age(age) => outcome.measured = age.seconds(),
                Measure::Drift(distribution) => {
                    outcome.counted = distribution.counted();
                    outcome.measured = distribution.stability_index();
                }
            }
            outcome.judged()
        };
        self.checks.iter().map(outcome).collect()
    }
}

impl fmt::Debug for Measures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measures")
            .field("rows", &self.rows)
            .field("checks", &self.checks.len())
            .finish_non_exhaustive()
    }
}

/// A share of good rows.
struct Share {
    figure: Figure,
    counted: u64,
    bad: u64,
    examples: Vec<Example>,
}

impl Share {
    fn new(figure: Figure) -> Self {
        Self {
            figure,
            counted: 0,
            bad: 0,
            examples: Vec::new(),
        }
    }

    fn observe(&mut self, batch: &RecordBatch, before: u64, at_most: usize) -> Result<()> {
        let good = self.figure.good(batch)?;
        if good.len() != batch.num_rows() {
            let message = format!("a rule gave {} answers for {} rows", good.len(), batch.num_rows());
            return Err(Error::new(ErrorKind::Options, message));
        }
        self.counted += (good.len() - good.null_count()) as u64;
        let bad = (good.len() - good.null_count() - good.true_count()) as u64;
        self.bad += bad;
        if bad > 0 && self.examples.len() < at_most {
            let rows = bad_rows(&good, at_most - self.examples.len());
            let records = records::texts_of(batch, &rows)?;
            let example = |(row, record)| Example {
                row: before + row as u64,
                record,
            };
            self.examples.extend(rows.into_iter().zip(records).map(example));
        }
        Ok(())
    }

    fn share(&self) -> f64 {
        match self.counted {
            0 => 1.0,
            counted => (counted - self.bad) as f64 / counted as f64,
        }
    }
}

fn bad_rows(good: &BooleanArray, at_most: usize) -> Vec<usize> {
    let bad = good.iter().enumerate().filter(|(_, good)| *good == Some(false));
    bad.map(|(row, _)| row).take(at_most).collect()
}

/// The age of the latest day or time.
struct Age {
    at: usize,
    now: SystemTime,
    /// Microseconds since 1970.
    latest: Option<i64>,
}

impl Age {
    fn new(column: &str, now: SystemTime, schema: &Schema) -> Result<Self> {
        let at = column_at(schema, column)?;
        if !can_cast_types(schema.field(at).data_type(), &Self::micros()) {
            let message = format!(
                "`{column}` is of {}, which has no age",
                schema.field(at).data_type()
            );
            return Err(Error::new(ErrorKind::Options, message));
        }
        Ok(Self {
            at,
            now,
            latest: None,
        })
    }

    fn micros() -> DataType {
        DataType::Timestamp(TimeUnit::Microsecond, None)
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<()> {
        let times = cast(batch.column(self.at), &Self::micros()).map_err(broken)?;
        let latest = times
            .as_primitive::<TimestampMicrosecondType>()
            .iter()
            .flatten()
            .max();
        self.latest = self.latest.max(latest);
        Ok(())
    }

    fn seconds(&self) -> Option<f64> {
        let latest = self.latest? as f64 / 1e6;
        let now = match self.now.duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_secs_f64(),
            Err(before) => -before.duration().as_secs_f64(),
        };
        Some(now - latest)
    }
}
