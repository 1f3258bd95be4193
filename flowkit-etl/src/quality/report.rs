//! What was measured, as data and as text.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::quality::Check;
use crate::quality::html;

/// What it means that a check does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It is told.
    Warn,
    /// The data must not be used.
    Fail,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The figure keeps its threshold.
    Pass,
    /// It does not, and the check's severity is [`Severity::Warn`].
    Warn,
    /// It does not, and the check's severity is [`Severity::Fail`].
    Fail,
}

/// What a figure must keep.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Not less than this.
    pub at_least: Option<f64>,
    /// Not more than this.
    pub at_most: Option<f64>,
}

impl Threshold {
    pub(crate) fn at_least(figure: f64) -> Self {
        Self {
            at_least: Some(figure),
            at_most: None,
        }
    }

    pub(crate) fn at_most(figure: f64) -> Self {
        Self {
            at_least: None,
            at_most: Some(figure),
        }
    }

    /// Whether a figure keeps it.
    pub fn is_kept_by(&self, figure: f64) -> bool {
        !figure.is_nan()
            && self.at_least.is_none_or(|least| figure >= least)
            && self.at_most.is_none_or(|most| figure <= most)
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.at_least, self.at_most) {
            (Some(least), Some(most)) => write!(f, "from {least} to {most}"),
            (Some(least), None) => write!(f, "at least {least}"),
            (None, Some(most)) => write!(f, "at most {most}"),
            (None, None) => f.write_str("anything"),
        }
    }
}

/// A record that a check found bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// The how-manieth row of the stream it is, from 0 on.
    pub row: u64,
    /// The record as JSON, without the fields that are missing.
    pub record: String,
}

/// How a check ended, with its figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckOutcome {
    /// What was checked.
    pub check: String,
    /// The figure; nothing where there was nothing to measure, which does not pass.
    pub measured: Option<f64>,
    /// What it must keep.
    pub threshold: Threshold,
    /// What it means if it does not.
    pub severity: Severity,
    /// Whether it does.
    pub verdict: Verdict,
    /// How many rows counted.
    pub counted: u64,
    /// How many of them are bad, where rows are.
    pub bad: u64,
    /// The first of the bad ones.
    pub examples: Vec<Example>,
}

impl CheckOutcome {
    pub(crate) fn new(check: &Check, rows: u64) -> Self {
        Self {
            check: check.name.clone(),
            measured: None,
            threshold: check.threshold,
            severity: check.severity,
            verdict: Verdict::Pass,
            counted: rows,
            bad: 0,
            examples: Vec::new(),
        }
    }

    pub(crate) fn judged(mut self) -> Self {
        let kept = self
            .measured
            .is_some_and(|figure| self.threshold.is_kept_by(figure));
        self.verdict = match (kept, self.severity) {
            (true, _) => Verdict::Pass,
            (false, Severity::Warn) => Verdict::Warn,
            (false, Severity::Fail) => Verdict::Fail,
        };
        self
    }
}

impl fmt::Display for CheckOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Pass => "pass",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
        };
        write!(f, "{verdict}  {}: ", self.check)?;
        match self.measured {
            Some(figure) => write!(f, "{figure}")?,
            None => f.write_str("nothing to measure")?,
        }
        write!(f, ", {}", self.threshold)?;
        if self.bad > 0 {
            write!(f, "; {} of {} rows are bad", self.bad, self.counted)?;
        }
        Ok(())
    }
}

/// What was measured of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QualityReport {
    /// What was measured.
    pub name: String,
    /// How many rows it has.
    pub rows: u64,
    /// The checks, in the order in which they were asked for.
    pub checks: Vec<CheckOutcome>,
}

impl QualityReport {
    pub(crate) fn new(name: String, rows: u64, checks: Vec<CheckOutcome>) -> Self {
        Self { name, rows, checks }
    }

    /// Whether no check failed. Warnings do not count.
    pub fn passed(&self) -> bool {
        self.of_verdict(Verdict::Fail).next().is_none()
    }

    /// The checks that ended so.
    pub fn of_verdict(&self, verdict: Verdict) -> impl Iterator<Item = &CheckOutcome> {
        self.checks.iter().filter(move |check| check.verdict == verdict)
    }

    /// The report, if it passed.
    ///
    /// # Errors
    /// [`ErrorKind::Quality`] with the checks that failed.
    pub fn into_result(self) -> Result<Self> {
        if self.passed() {
            return Ok(self);
        }
        let failed: Vec<String> = self.of_verdict(Verdict::Fail).map(ToString::to_string).collect();
        let message = format!("the quality of {} does not do: {}", self.name, failed.join("; "));
        Err(Error::new(ErrorKind::Quality, message))
    }

    /// The report as a web page that needs nothing else.
    pub fn to_html(&self) -> String {
        html::page(self)
    }
}

impl fmt::Display for QualityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "quality of {}, {} rows", self.name, self.rows)?;
        for check in &self.checks {
            writeln!(f, "  {check}")?;
            if check.verdict != Verdict::Pass {
                for example in &check.examples {
                    writeln!(f, "        row {}: {}", example.row, example.record)?;
                }
            }
        }
        Ok(())
    }
}
