//! What can be checked.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow_array::{BooleanArray, RecordBatch};
use hashbrown::HashSet;
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::quality::{Baseline, KeySet, Severity, Threshold};

/// How two columns are to stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `≠`
    NotEqual,
    /// `<`
    Less,
    /// `≤`
    LessOrEqual,
    /// `>`
    Greater,
    /// `≥`
    GreaterOrEqual,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "≠",
            Self::Less => "<",
            Self::LessOrEqual => "≤",
            Self::Greater => ">",
            Self::GreaterOrEqual => "≥",
        })
    }
}

/// A rule of whole batches: true for rows that are good, missing for those that do not count.
pub(crate) type Rule = Arc<dyn Fn(&RecordBatch) -> Result<BooleanArray> + Send + Sync>;

/// What a check looks at.
#[derive(Clone)]
pub(crate) enum Subject {
    Complete(String),
    Unique(Vec<String>),
    Within(String, f64, f64),
    OneOf(String, Arc<HashSet<String>>),
    Matching(String, Regex),
    Compared(String, Comparison, String),
    Rule(Rule),
    References(Vec<String>, Arc<KeySet>),
    Rows,
    Age(String, SystemTime),
    Drift(Arc<Baseline>),
}

/// One figure and the threshold that it is held against.
///
/// Most figures are the share of good rows among those that count, 1 where none counts, and all of them must be good unless [`at_least`](Self::at_least) says otherwise.
/// A missing value only counts for [`complete`](Self::complete), and for [`unique`](Self::unique), where it is a value like others.
#[derive(Clone)]
pub struct Check {
    pub(crate) name: String,
    pub(crate) subject: Subject,
    pub(crate) threshold: Threshold,
    pub(crate) severity: Severity,
}

impl Check {
    fn new(name: String, subject: Subject, threshold: Threshold) -> Self {
        Self {
            name,
            subject,
            threshold,
            severity: Severity::Fail,
        }
    }

    fn share(name: String, subject: Subject) -> Self {
        Self::new(name, subject, Threshold::at_least(1.0))
    }

    /// Completeness: the share of rows that have a value in a column.
    pub fn complete(column: impl Into<String>) -> Self {
        let column = column.into();
        Self::share(format!("completeness of {column}"), Subject::Complete(column))
    }

    /// Uniqueness: the share of rows whose key, the values of these columns, was not there before.
    ///
    /// It is called after all of them: `uniqueness of plant, day` is that of `["plant", "day"]`. It remembers all keys: see [`KeySet`] for how, and what memory they take.
    pub fn unique<C: Into<String>>(columns: impl IntoIterator<Item = C>) -> Self {
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        Self::share(
            format!("uniqueness of {}", columns.join(", ")),
            Subject::Unique(columns),
        )
    }

    /// Validity: the share of values of a column of numbers that lie from `min` to `max`, both included. In a column of texts, those that are no numbers are bad, and so is NaN in any.
    pub fn within(column: impl Into<String>, min: f64, max: f64) -> Self {
        let column = column.into();
        Self::share(
            format!("{column} from {min} to {max}"),
            Subject::Within(column, min, max),
        )
    }

    /// Validity: the share of values of a column that are, as texts, one of these.
    pub fn one_of<V: Into<String>>(column: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        let column = column.into();
        let values: HashSet<String> = values.into_iter().map(Into::into).collect();
        let name = format!("{column} one of {} values", values.len());
        Self::share(name, Subject::OneOf(column, Arc::new(values)))
    }

    /// Validity: the share of values of a column in which, as texts, a regular expression is found. `^` and `$` make it match the whole value.
    ///
    /// # Errors
    /// When it is no regular expression.
    pub fn matching(column: impl Into<String>, pattern: &str) -> Result<Self> {
        let column = column.into();
        let regex = Regex::new(pattern).map_err(|error| {
            Error::new(
                ErrorKind::Options,
                format!("{pattern:?} is no regular expression"),
            )
            .because(error)
        })?;
        Ok(Self::share(
            format!("{column} like {pattern}"),
            Subject::Matching(column, regex),
        ))
    }

    /// Consistency: the share of rows in which two columns stand to each other like this.
    ///
    /// They are compared as values of a type that has the values of both: numbers of different types without loss, but as floats of 64 bits where one is a float, and days and times of any
    /// units, where those without a zone are UTC. Texts beside numbers or times are read as such, beside integers and decimals with all their digits, and bad where they cannot be. A NaN is not
    /// equal to anything, and neither less nor greater.
    pub fn compare(left: impl Into<String>, comparison: Comparison, right: impl Into<String>) -> Self {
        let (left, right) = (left.into(), right.into());
        Self::share(
            format!("{left} {comparison} {right}"),
            Subject::Compared(left, comparison, right),
        )
    }

    /// Any share of rows: `rule` is given batch after batch, and says true for a row that is good, false for one that is bad, and nothing for one that does not count.
    pub fn rule<R>(name: impl Into<String>, rule: R) -> Self
    where
        R: Fn(&RecordBatch) -> Result<BooleanArray> + Send + Sync + 'static,
    {
        Self::share(name.into(), Subject::Rule(Arc::new(rule)))
    }

    /// Referential integrity: the share of rows whose values in these columns are among `keys`, which were collected from the rows that are referred to. A row in which one of them is missing
    /// refers to nothing and does not count.
    pub fn references<C: Into<String>>(columns: impl IntoIterator<Item = C>, keys: Arc<KeySet>) -> Self {
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        Self::share(
            format!("references of {}", columns.join(", ")),
            Subject::References(columns, keys),
        )
    }

    /// The number of rows: at least `min`, and at most `max` where that is given.
    pub fn rows(min: u64, max: Option<u64>) -> Self {
        let threshold = Threshold {
            at_least: Some(min as f64),
            at_most: max.map(|max| max as f64),
        };
        Self::new("number of rows".to_owned(), Subject::Rows, threshold)
    }

    /// Freshness: the age in seconds, as of `now`, of the latest day or time in a column. At most `max_age`. Times without a zone are UTC, and a day begins at midnight there.
    /// A column without any value is not fresh, and neither is one with a time in the future, which would else hide how old the others are: `.at_least(-60.0)` allows for clocks that differ by a minute,
    /// `.at_least(-86_400.0)` for days that have begun elsewhere.
    pub fn fresh(column: impl Into<String>, now: SystemTime, max_age: Duration) -> Self {
        let column = column.into();
        let threshold = Threshold {
            at_least: Some(0.0),
            at_most: Some(max_age.as_secs_f64()),
        };
        Self::new(
            format!("age of {column} in seconds"),
            Subject::Age(column, now),
            threshold,
        )
    }

    /// Distribution: how far the values of the baseline's column are distributed otherwise than when it was recorded, as the population stability index. By custom, less than 0.1 is
    /// the same, and from 0.25 on another one; at most 0.1 unless [`at_most`](Self::at_most) says otherwise.
    pub fn distribution(baseline: Arc<Baseline>) -> Self {
        let name = format!("drift of {}", baseline.column());
        Self::new(name, Subject::Drift(baseline), Threshold::at_most(0.1))
    }

    /// The figure must be this or more. A threshold that no figure keeps, such as 95 for a share, is an error when the check begins.
    #[must_use]
    pub fn at_least(mut self, figure: f64) -> Self {
        self.threshold.at_least = Some(figure);
        self
    }

    /// The figure must be this or less. A share must be 1 as well, unless [`at_least`](Self::at_least) says otherwise.
    #[must_use]
    pub fn at_most(mut self, figure: f64) -> Self {
        self.threshold.at_most = Some(figure);
        self
    }

    /// Nothing, if there is a figure that passes: what passes nothing was not meant.
    pub(crate) fn is_possible(&self) -> Result<()> {
        let (least, most, what) = match &self.subject {
            Subject::Rows => (0.0, f64::INFINITY, "a number of rows"),
            Subject::Age(..) => (f64::NEG_INFINITY, f64::INFINITY, "an age in seconds"),
            Subject::Drift(_) => (
                0.0,
                f64::INFINITY,
                "a population stability index, which is not below 0",
            ),
            _ => (0.0, 1.0, "a share, from 0 to 1"),
        };
        let (at_least, at_most) = (self.threshold.at_least, self.threshold.at_most);
        let is_number = |figure: Option<f64>| !figure.is_some_and(f64::is_nan);
        let (lowest, highest) = (
            at_least.unwrap_or(least).max(least),
            at_most.unwrap_or(most).min(most),
        );
        let is_some = lowest <= highest && lowest < f64::INFINITY && highest > f64::NEG_INFINITY;
        if is_some && is_number(at_least) && is_number(at_most) {
            return Ok(());
        }
        let message = format!(
            "the check `{}` passes nothing: its figure is {what}, and it must be {}",
            self.name, self.threshold
        );
        Err(Error::new(ErrorKind::Options, message))
    }

    /// Only warns when it does not pass.
    #[must_use]
    pub fn warn(mut self) -> Self {
        self.severity = Severity::Warn;
        self
    }

    /// Another name in reports.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("name", &self.name)
            .field("threshold", &self.threshold)
            .field("severity", &self.severity)
            .finish_non_exhaustive()
    }
}
