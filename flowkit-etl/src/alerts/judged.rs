//! What a rule thinks of a report of quality.

use super::rule::{Finds, Rule};
use crate::quality::{QualityReport, Verdict};

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
            let outcome = report.checks.iter().find(|outcome| outcome.check == *check)?;
            let measured = outcome
                .measured
                .map_or_else(|| "not measured".to_owned(), |figure| figure.to_string());
            Some(Judged {
                bad: outcome.measured.is_none_or(|measured| measured < *figure),
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
