//! Records that were set aside: what is wrong with each, how many there may be, and where they are told.

use std::collections::VecDeque;
use std::fmt;
#[cfg(any(feature = "csv", feature = "json", feature = "validation"))]
use std::sync::OnceLock;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::in_run::InRun;
use crate::text::cut;
use crate::traffic::Traffic;

/// Values of rejected records are told up to this many characters.
const LONGEST_VALUE: usize = 200;

/// What one field of a record breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The field, with dots and indexes for what is nested; empty for the record as a whole.
    pub field: String,
    /// The value as text, cut after 200 characters.
    pub value: String,
    /// What it breaks: "not of type Float64", "lower than 0".
    pub rule: String,
}

impl Violation {
    /// A field's value, and what it breaks.
    pub fn new(field: impl Into<String>, value: &str, rule: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            value: cut(value, LONGEST_VALUE),
            rule: rule.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            write!(f, "{:?} is {}", self.value, self.rule)
        } else {
            write!(f, "{} is {:?}: {}", self.field, self.value, self.rule)
        }
    }
}

/// A record that was set aside, with all that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// Where it came from: a file, a table.
    pub origin: String,
    /// The line at which it begins, from 1 on, where it is a record of a text file.
    pub line: Option<u64>,
    /// The how-manieth record of its origin it is, from 0 on.
    pub record: u64,
    /// What is wrong with it; never empty.
    pub violations: Vec<Violation>,
    /// The record as it stood there.
    pub content: String,
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{} line {line}: ", self.origin)?,
            None => write!(f, "{} record {}: ", self.origin, self.record)?,
        }
        for (index, violation) in self.violations.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{violation}")?;
        }
        Ok(())
    }
}

/// How many of the records may be bad.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    share: f64,
}

impl Tolerance {
    /// None: the first bad record is an error.
    pub const NONE: Self = Self { share: 0.0 };
    /// All of them.
    pub const ALL: Self = Self { share: 1.0 };

    /// Up to this share of all records: 0.05 is one in twenty. Less than 0 counts as 0, more than 1 as 1, and what is no number as 0.
    pub fn share(share: f64) -> Self {
        Self {
            share: if share.is_nan() {
                0.0
            } else {
                share.clamp(0.0, 1.0)
            },
        }
    }

    /// Whether so many bad ones of so many records are too many.
    pub fn is_exceeded(&self, rejected: u64, records: u64) -> bool {
        // Below 2^53 records the quotient is the number nearest to the share of bad ones, and so equal to a tolerance that is written as that share. A product with it would be rounded twice.
        records > 0 && rejected as f64 / records as f64 > self.share
    }
}

impl Default for Tolerance {
    fn default() -> Self {
        Self::NONE
    }
}

/// How many rejected records are kept to be looked at, unless said otherwise.
pub const DEFAULT_KEPT: usize = 1000;

/// The records that were set aside, shared by what finds them and by who looks at them: clones are the same.
///
/// All are counted and the first 1,000 are kept, unless [`keeping`](Self::keeping) says otherwise, or somebody takes them as they come: see [`drain`](Self::drain).
///
/// It collects from whatever it is given to: a source and a validation of what that reads, several files, one attempt after the other. Each reading of a source and each pass of a validation is judged by
/// the records that it looked at itself, and not by what others counted here.
#[derive(Clone)]
pub struct Rejects {
    shared: Arc<Mutex<Kept>>,
    /// The run that whoever holds this clone works in, if that is known.
    run: InRun,
}

struct Kept {
    counts: Counts,
    at_most: usize,
    /// Whether somebody takes all that come, meanwhile.
    keeps_all: bool,
    kept: VecDeque<Reject>,
    /// How often somebody who took all gave up. What began to read before that goes on for a moment, and what it sets aside then is nobody's.
    given_up: u64,
}

impl Kept {
    fn keep(&mut self, reject: Reject) {
        if self.keeps_all || self.kept.len() < self.at_most {
            self.kept.push_back(reject);
        }
    }
}

/// How many records were looked at, and how many are bad.
#[derive(Debug, Default)]
struct Counts {
    records: u64,
    rejected: u64,
    /// Remains when those that are kept are taken.
    first: Option<String>,
}

impl Counts {
    fn reject(&mut self, reject: &Reject) {
        self.records += 1;
        self.rejected += 1;
        self.first.get_or_insert_with(|| reject.to_string());
    }

    fn judge(&self, tolerance: Tolerance) -> Result<()> {
        if !tolerance.is_exceeded(self.rejected, self.records) {
            return Ok(());
        }
        let first = self.first.as_ref().map(|first| format!("; the first: {first}"));
        Err(Error::new(
            ErrorKind::Rejected,
            format!(
                "{} of {} records were set aside, where a share of {} is tolerated{}",
                self.rejected,
                self.records,
                tolerance.share,
                first.unwrap_or_default()
            ),
        ))
    }
}

impl Rejects {
    /// None yet; the first [`DEFAULT_KEPT`] will be kept.
    pub fn new() -> Self {
        Self::keeping(DEFAULT_KEPT)
    }

    /// None yet; the first `at_most` will be kept.
    pub fn keeping(at_most: usize) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Kept {
                counts: Counts::default(),
                at_most,
                keeps_all: false,
                kept: VecDeque::new(),
                given_up: 0,
            })),
            run: InRun::default(),
        }
    }

    /// How many records were looked at, good and bad. One that is looked at by two, by a source and by a validation of what that reads, counts twice.
    pub fn records(&self) -> u64 {
        self.lock().counts.records
    }

    /// How many of them were set aside, also those that are not kept.
    pub fn rejected(&self) -> u64 {
        self.lock().counts.rejected
    }

    /// Those that are kept, in the order in which they were found.
    pub fn kept(&self) -> Vec<Reject> {
        self.lock().kept.iter().cloned().collect()
    }

    /// Takes those that are kept, which makes room for as many more.
    pub fn drain(&self) -> Vec<Reject> {
        self.lock().kept.drain(..).collect()
    }

    /// Keeps all that come, until they are taken, for as long as the guard is there. Nothing, if somebody has them kept already.
    pub(crate) fn keep_all(&self) -> Option<KeepingAll> {
        let mut kept = self.lock();
        let is_first = !kept.keeps_all;
        kept.keeps_all = true;
        is_first.then(|| KeepingAll(self.clone()))
    }

    /// The same, for what works in the present run, but perhaps in other tasks and threads.
    #[cfg(any(feature = "csv", feature = "json", feature = "validation"))]
    pub(crate) fn in_current_run(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            run: InRun::current(),
        }
    }

    /// Counts records that are good.
    pub fn accept(&self, records: u64) {
        self.lock().counts.records += records;
    }

    /// Sets a record aside.
    pub fn reject(&self, reject: Reject) {
        self.reject_of(None, reject);
    }

    /// The same, by what began to read after so many who took all had given up.
    fn reject_of(&self, given_up: Option<u64>, reject: Reject) {
        tracing::debug!(target: "flowkit_etl", %reject, "a record was set aside");
        let mut kept = self.lock();
        kept.counts.reject(&reject);
        if given_up.is_none_or(|given_up| given_up == kept.given_up) {
            kept.keep(reject);
        }
        drop(kept);
        let rejected = Traffic {
            records_rejected: 1,
            ..Traffic::default()
        };
        match self.run.is_observed() {
            true => self.run.tell(&rejected),
            false => rejected.report(),
        }
    }

    /// Nothing, if of all that was counted here no more were set aside than is tolerated.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`] with the counts and the first record otherwise.
    pub fn judge(&self, tolerance: Tolerance) -> Result<()> {
        self.lock().counts.judge(tolerance)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Whoever panicked while it held the lock left whole numbers behind.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Rejects {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Rejects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.lock();
        f.debug_struct("Rejects")
            .field("records", &kept.counts.records)
            .field("rejected", &kept.counts.rejected)
            .field("kept", &kept.kept.len())
            .finish_non_exhaustive()
    }
}

/// While it is there, all rejects are kept; then the first ones again.
pub(crate) struct KeepingAll(Rejects);

impl KeepingAll {
    /// Those that came, and were not taken yet.
    pub(crate) fn take(&self) -> Vec<Reject> {
        self.0.drain()
    }

    /// Drops them, and whatever comes still from what reads now.
    pub(crate) fn give_up(&self) {
        let mut kept = self.0.lock();
        kept.kept.clear();
        kept.given_up += 1;
    }
}

impl Drop for KeepingAll {
    fn drop(&mut self) {
        let mut kept = self.0.lock();
        kept.keeps_all = false;
        let at_most = kept.at_most;
        kept.kept.truncate(at_most);
    }
}

/// What separates the good records of one reading or one pass from the bad ones, and is judged by these alone. Clones are the same.
#[cfg(any(feature = "csv", feature = "json", feature = "validation"))]
#[derive(Debug, Clone)]
pub(crate) struct Sieve {
    tolerance: Tolerance,
    rejects: Rejects,
    /// How many who took all had given up when it looked at its first record.
    given_up: Arc<OnceLock<u64>>,
    counts: Arc<Mutex<Counts>>,
}

#[cfg(any(feature = "csv", feature = "json", feature = "validation"))]
impl Sieve {
    /// Nothing has passed it yet.
    pub(crate) fn new(tolerance: Tolerance, rejects: &Rejects) -> Self {
        Self {
            tolerance,
            rejects: rejects.clone(),
            given_up: Arc::default(),
            counts: Arc::default(),
        }
    }

    pub(crate) fn tolerance(&self) -> Tolerance {
        self.tolerance
    }

    pub(crate) fn accept(&self, records: u64) {
        self.begun();
        self.lock().records += records;
        self.rejects.accept(records);
    }

    pub(crate) fn reject(&self, reject: Reject) {
        self.lock().reject(&reject);
        self.rejects.reject_of(Some(self.begun()), reject);
    }

    /// How many had given up when this began to read.
    fn begun(&self) -> u64 {
        *self.given_up.get_or_init(|| self.rejects.lock().given_up)
    }

    pub(crate) fn judge(&self) -> Result<()> {
        self.lock().judge(self.tolerance)
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Whoever panicked while it held the lock left whole numbers behind.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reject(record: u64) -> Reject {
        Reject {
            origin: "plants.csv".into(),
            line: Some(record + 2),
            record,
            violations: vec![
                Violation::new("height", "tall", "not a number"),
                Violation::new("", "", "not complete"),
            ],
            content: "a,tall".into(),
        }
    }

    #[test]
    fn a_share_is_exceeded_by_one_record_more_and_not_before() {
        let tolerance = Tolerance::share(0.05);
        assert!(!tolerance.is_exceeded(5, 100));
        assert!(tolerance.is_exceeded(6, 100));
        assert!(Tolerance::NONE.is_exceeded(1, 1_000_000));
        assert!(!Tolerance::ALL.is_exceeded(3, 3));
        assert!(Tolerance::share(f64::NAN).is_exceeded(1, 2));
        assert!(!Tolerance::NONE.is_exceeded(0, 0));
        // Every share of two digits, of which some are rounded up and others down.
        for rejected in 0..100 {
            let tolerance = Tolerance::share(format!("0.{rejected:02}").parse().unwrap());
            assert!(!tolerance.is_exceeded(rejected, 100), "{tolerance:?}");
            assert!(tolerance.is_exceeded(rejected + 1, 100), "{tolerance:?}");
        }
    }

    #[test]
    fn all_are_kept_while_somebody_takes_them_and_then_the_first_ones_again() {
        let rejects = Rejects::keeping(2);
        let keeping = rejects.keep_all().unwrap();
        assert!(rejects.keep_all().is_none());
        (0..5).for_each(|record| rejects.reject(reject(record)));
        assert_eq!(rejects.drain().len(), 5);
        (0..5).for_each(|record| rejects.reject(reject(record)));
        drop(keeping);
        let kept: Vec<u64> = rejects.kept().iter().map(|reject| reject.record).collect();
        assert_eq!(kept, [0, 1]);
        rejects.reject(reject(5));
        assert_eq!((rejects.kept().len(), rejects.rejected()), (2, 11));
    }

    #[cfg(any(feature = "csv", feature = "json", feature = "validation"))]
    #[test]
    fn what_began_to_read_before_its_rejects_were_given_up_sets_nothing_aside_for_others() {
        let rejects = Rejects::new();
        let before = Sieve::new(Tolerance::ALL, &rejects);
        let keeping = rejects.keep_all().unwrap();
        before.reject(reject(0));
        keeping.give_up();
        drop(keeping);
        before.reject(reject(1));
        let keeping = rejects.keep_all().unwrap();
        let after = Sieve::new(Tolerance::ALL, &rejects);
        before.reject(reject(2));
        after.reject(reject(3));
        rejects.reject(reject(4));
        let taken: Vec<u64> = keeping.take().iter().map(|reject| reject.record).collect();
        assert_eq!((taken, rejects.rejected()), (vec![3, 4], 5));
    }

    #[test]
    fn all_are_counted_the_first_are_kept_and_the_judgement_names_the_first() {
        let rejects = Rejects::keeping(2);
        rejects.accept(7);
        for record in 0..3 {
            rejects.reject(reject(record));
        }
        assert_eq!((rejects.records(), rejects.rejected()), (10, 3));
        assert_eq!(rejects.kept().len(), 2);
        assert!(rejects.judge(Tolerance::share(0.3)).is_ok());
        let error = rejects.judge(Tolerance::share(0.2)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "3 of 10 records were set aside, where a share of 0.2 is tolerated; the first: \
             plants.csv line 2: height is \"tall\": not a number; \"\" is not complete"
        );
        assert_eq!(rejects.drain().len(), 2);
        rejects.reject(reject(9));
        assert_eq!(rejects.kept().len(), 1);
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let violation = Violation::new("name", &"ä".repeat(201), "short");
        assert_eq!(violation.value.chars().count(), 201);
        assert!(violation.value.ends_with("ä…"));
    }
}
