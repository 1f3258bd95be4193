//! Data quality: figures about all of the data, measured in one pass while it streams past, each held against a threshold.

mod baseline;
mod check;
mod compared;
mod figure;
mod html;
mod keys;
mod measure;
mod report;

pub use baseline::Baseline;
pub use check::{Check, Comparison};
pub use keys::KeySet;
pub use report::{CheckOutcome, Example, QualityReport, Severity, Threshold, Verdict};

use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;

use crate::error::Result;
use crate::in_run::InRun;
use crate::stream::BatchStream;

use measure::Measures;

/// Checks that are made together, in one pass.
///
/// ```
/// use flowkit_etl::BatchStream;
/// use flowkit_etl::quality::{Check, Quality};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Plant {
///     name: String,
///     height: Option<f64>,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let plant = |name: &str, height| Plant { name: name.into(), height };
/// let plants = BatchStream::from_rows(vec![plant("a", Some(140.3)), plant("b", None), plant("a", Some(-1.0))])?;
///
/// let report = Quality::new("season")
///     .check(Check::complete("height").at_least(0.5))
///     .check(Check::unique(["name"]))
///     .check(Check::within("height", 0.0, 5000.0).warn())
///     .measure(plants)
///     .await?;
/// assert!(!report.passed(), "a name is there twice");
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Quality {
    name: String,
    checks: Vec<Check>,
    examples: usize,
}

impl Quality {
    /// No checks yet, of something that reports call by this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            checks: Vec::new(),
            examples: 5,
        }
    }

    /// With one check more.
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    /// How many failing records each check shows; 5 unless said otherwise.
    #[must_use]
    pub fn examples(mut self, at_most: usize) -> Self {
        self.examples = at_most;
        self
    }

    /// Measures a stream to its end.
    ///
    /// # Errors
    /// The stream's error, or that a check is about a column that is not there or cannot be looked at so. A check that fails is no error: see [`QualityReport::into_result`].
    pub async fn measure(&self, stream: BatchStream) -> Result<QualityReport> {
        let (mut stream, measured) = self.attach(stream, false)?;
        while let Some(batch) = stream.next().await {
            batch?;
        }
        Ok(measured.report())
    }

    /// A stream that is measured while something else reads it, and where the figures are found.
    ///
    /// If a check of severity [`Severity::Fail`] did not pass, the stream ends with an error after its last batch, so that a sink that reads it commits nothing. The figures are complete then, too: whoever
    /// makes a page of them does so before that error goes on.
    ///
    /// # Errors
    /// When a check is about a column that is not there, or cannot be looked at so.
    pub fn guard(&self, stream: BatchStream) -> Result<(BatchStream, Measured)> {
        self.attach(stream, true)
    }

    fn attach(&self, stream: BatchStream, judging: bool) -> Result<(BatchStream, Measured)> {
        let measures = Measures::new(&self.checks, stream.schema(), self.examples)?;
        let measured = Measured {
            name: self.name.clone(),
            measures: Arc::new(Mutex::new(measures)),
        };
        let (observing, judged) = (measured.clone(), measured.clone());
        let schema = stream.schema().clone();
        let passing = stream.map_blocking(schema, move |batch| {
            let mut measures = observing.measures.lock().unwrap_or_else(PoisonError::into_inner);
            measures.observe(&batch)?;
            Ok(batch)
        });
        let run = InRun::current();
        let judge = move || {
            let report = judged.report();
            run.tell(&report);
            match judging {
                true => report.into_result().map(drop),
                false => Ok(()),
            }
        };
        Ok((passing.then_judge(judge), measured))
    }
}

/// What is measured of a stream. Clones are the same.
#[derive(Debug, Clone)]
pub struct Measured {
    name: String,
    measures: Arc<Mutex<Measures>>,
}

impl Measured {
    /// The figures of what has passed until now; all of them once the stream has ended. A load that had been made before reads nothing, so that nothing has been measured then.
    pub fn report(&self) -> QualityReport {
        let measures = self.measures.lock().unwrap_or_else(PoisonError::into_inner);
        QualityReport::new(self.name.clone(), measures.rows(), measures.outcomes())
    }
}
