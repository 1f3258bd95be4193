//! What a rule thinks of a report of quality.

use std::collections::BTreeSet;

use super::rule::{Finds, Rule};
use super::seen::Run;
use crate::quality::{CheckOutcome, QualityReport, Verdict};

/// The checks of a report, line by line. Its examples are records, which are not sent around.
pub(super) fn checks_of(report: &QualityReport) -> String {
    let lines: Vec<String> = report.checks.iter().map(ToString::to_string).collect();
    format!("{} rows\n{}", report.rows, lines.join("\n"))
}

/// What a rule thinks of a report.
pub(super) struct Judged<'a> {
    pub(super) bad: bool,
    /// The check, if the rule is about one.
    pub(super) check: Option<&'a str>,
    pub(super) summary: String,
}

/// What a rule thinks of a report, if it is about such.
pub(super) fn judged<'a>(rule: &'a Rule, report: &QualityReport) -> Option<Judged<'a>> {
    match &rule.finds {
        Finds::Bad {
            report: name,
            warnings,
        } if is_of(name.as_deref(), report) => {
            let bad = |verdict: Verdict| match verdict {
                Verdict::Pass => false,
                Verdict::Warn => *warnings,
                Verdict::Fail => true,
            };
            let checks = report.checks.iter().filter(|check| bad(check.verdict));
            let said: Vec<String> = checks.map(ToString::to_string).collect();
            let summary = match said.is_empty() {
                true => format!("the quality of {} does", report.name),
                false => format!("the quality of {} does not do: {}", report.name, said.join("; ")),
            };
            Some(Judged {
                bad: !said.is_empty(),
                check: None,
                summary,
            })
        }
        Finds::Below {
            report: name,
            check,
            figure,
        } if is_of(name.as_deref(), report) => {
            let lowest = lowest(report, check)?;
            let measured = lowest.map_or_else(|| "not measured".to_owned(), |figure| figure.to_string());
            Some(Judged {
                bad: lowest.is_none_or(|lowest| lowest < *figure),
                check: Some(check),
                summary: format!(
                    "{check} of {} is {measured}, and is to be at least {figure}",
                    report.name
                ),
            })
        }
        _ => None,
    }
}

fn is_of(name: Option<&str>, report: &QualityReport) -> bool {
    name.is_none_or(|name| name == report.name)
}

/// The lowest figure of the checks of this name, if there are any. What could not be measured is lower than all.
fn lowest(report: &QualityReport, name: &str) -> Option<Option<f64>> {
    let named = report.checks.iter().filter(|check| check.check == name);
    named
        .map(|check| check.measured)
        .min_by(|one, other| match (one, other) {
            (Some(one), Some(other)) => one.total_cmp(other),
            _ => one.is_some().cmp(&other.is_some()),
        })
}

/// Whether the check that a rule asks for is there: until it was, what is there instead.
#[derive(Debug, Default)]
pub(super) struct Sought {
    /// There is nothing more to find out.
    settled: bool,
    instead: BTreeSet<String>,
}

impl Sought {
    /// Looks for it in a report.
    pub(super) fn look(&mut self, rule: &Rule, report: &QualityReport) {
        let Finds::Below {
            report: name, check, ..
        } = &rule.finds
        else {
            return;
        };
        if self.settled || !is_of(name.as_deref(), report) {
            return;
        }
        self.settled = report.checks.iter().any(|found| found.check == *check);
        let others = report
            .checks
            .iter()
            .map(|found: &CheckOutcome| found.check.clone());
        self.instead.extend(others);
    }

    /// A run has ended: if it was in none of its reports, that is warned of, once.
    pub(super) fn miss(&mut self, rule: &Rule, run: &Run) {
        let Finds::Below { check, .. } = &rule.finds else {
            return;
        };
        if self.settled || self.instead.is_empty() {
            return;
        }
        self.settled = true;
        let instead: Vec<String> = std::mem::take(&mut self.instead).into_iter().collect();
        tracing::warn!(target: "flowkit_etl", %rule, flow = run.flow, check, "a rule finds nothing: no report has the check that it asks for, but `{}`", instead.join("`, `"));
    }
}
