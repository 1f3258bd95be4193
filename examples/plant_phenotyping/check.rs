//! One quality check: a share that was measured, held against a threshold.

use std::fmt;

use serde::{Deserialize, Serialize};

/// From which share on a check passes, and below which it fails. In between it warns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Threshold {
    pub(crate) pass_from: f64,
    pub(crate) fail_below: f64,
}

/// What a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Completeness,
    Uniqueness,
    Range,
    Consistency,
}

/// How a check ended, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Pass,
    Warn,
    Fail,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Completeness => "completeness",
            Self::Uniqueness => "uniqueness",
            Self::Range => "range",
            Self::Consistency => "consistency",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        })
    }
}

/// One check and its outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) kind: Kind,
    /// The column or the statement that was checked.
    pub(crate) subject: String,
    /// The share that is good, from 0 to 1; 1 when there was nothing to look at.
    pub(crate) measured: f64,
    pub(crate) threshold: Threshold,
    pub(crate) verdict: Verdict,
    pub(crate) message: String,
}

/// How many were looked at and how many of them are bad.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    seen: u64,
    bad: u64,
    /// The first line of the file with a bad one.
    first_bad: Option<u64>,
}

impl Tally {
    /// Count one; `line` is where in the file it stands.
    pub(crate) fn count(&mut self, line: u64, good: bool) {
        self.seen += 1;
        if !good {
            self.bad += 1;
            self.first_bad = Some(self.first_bad.map_or(line, |first| first.min(line)));
        }
    }

    /// The outcome; `wrong` is what the bad ones are.
    pub(crate) fn check(&self, kind: Kind, subject: &str, threshold: Threshold, wrong: &str) -> Check {
        let Self { seen, bad, first_bad } = *self;
        let measured = if seen == 0 {
            1.0
        } else {
            (seen - bad) as f64 / seen as f64
        };
        let verdict = if measured < threshold.fail_below {
            Verdict::Fail
        } else if measured < threshold.pass_from {
            Verdict::Warn
        } else {
            Verdict::Pass
        };
        let first = first_bad
            .map(|line| format!(", the first in line {line}"))
            .unwrap_or_default();
        let message = format!("{bad} of {seen} {wrong}{first}");
        Check {
            kind,
            subject: subject.to_owned(),
            measured,
            threshold,
            verdict,
            message,
        }
    }
}

impl Check {
    /// What is wrong, for a check that failed.
    pub(crate) fn complaint(&self) -> String {
        let Self {
            kind,
            subject,
            measured,
            threshold,
            message,
            ..
        } = self;
        let (measured, limit) = (measured * 100.0, threshold.fail_below * 100.0);
        format!("{kind} of {subject} is {measured:.2} %, below {limit} % ({message})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLD: Threshold = Threshold {
        pass_from: 0.9,
        fail_below: 0.5,
    };

    fn check(good: u64, bad: u64) -> Check {
        let mut tally = Tally::default();
        (0..bad).rev().for_each(|line| tally.count(line + 2, false));
        (0..good).for_each(|line| tally.count(line + 100, true));
        tally.check(Kind::Range, "x", THRESHOLD, "values wrong")
    }

    #[test]
    fn a_share_on_a_threshold_is_on_its_better_side() {
        assert_eq!(check(9, 1).verdict, Verdict::Pass);
        assert_eq!(check(8, 2).verdict, Verdict::Warn);
        assert_eq!(check(5, 5).verdict, Verdict::Warn);
        assert_eq!(check(4, 6).verdict, Verdict::Fail);
    }

    #[test]
    fn a_message_counts_the_bad_and_names_the_first_line_with_one() {
        assert_eq!(check(7, 3).message, "3 of 10 values wrong, the first in line 2");
        assert_eq!(check(7, 0).message, "0 of 7 values wrong");
    }

    #[test]
    fn a_check_with_nothing_to_look_at_passes() {
        assert_eq!((check(0, 0).measured, check(0, 0).verdict), (1.0, Verdict::Pass));
    }
}
