//! What a rule thinks of a report of quality.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flowkit::FlowRunId;

use super::rule::{Finds, Rule};
use super::seen::Run;
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

/// Whether the checks that rules ask for are there: for each run that no other calls, what is there instead.
#[derive(Debug, Default)]
pub(super) struct Sought {
    /// The rules of which there is nothing more to find out.
    settled: BTreeSet<usize>,
    /// The run that calls one, of those that go on.
    callers: HashMap<FlowRunId, FlowRunId>,
    /// The checks that were in the reports of a run and those that it calls, by rule.
    instead: HashMap<FlowRunId, BTreeMap<usize, BTreeSet<String>>>,
}

impl Sought {
    /// A run has begun.
    pub(super) fn begun(&mut self, run: &Run) {
        self.callers.extend(run.caller.map(|caller| (run.id, caller)));
    }

    /// Looks for the check of a rule in a report.
    pub(super) fn look(&mut self, (index, rule): (usize, &Rule), run: &Run, report: &QualityReport) {
        let Finds::Below {
            report: name, check, ..
        } = &rule.finds
        else {
            return;
        };
        if self.settled.contains(&index) || !is_of(name.as_deref(), report) {
            return;
        }
        if report.checks.iter().any(|found| found.check == *check) {
            self.settled.insert(index);
            return;
        }
        let others = report.checks.iter().map(|found| found.check.clone());
        let instead = self.instead.entry(self.above(run)).or_default();
        instead.entry(index).or_default().extend(others);
    }

    /// A run has ended. If no other calls it, nothing more comes of it: that a check was in none of its reports is warned of, once.
    pub(super) fn ended(&mut self, rules: &[Rule], run: &Run) {
        self.callers.remove(&run.id);
        if run.caller.is_some() {
            return;
        }
        for (index, instead) in self.instead.remove(&run.id).unwrap_or_default() {
            let rule = rules.get(index).filter(|_| !self.settled.contains(&index));
            let Some(Finds::Below { check, .. }) = rule.map(|rule| &rule.finds) else {
                continue;
            };
            self.settled.insert(index);
            let instead: Vec<String> = instead.into_iter().collect();
            tracing::warn!(target: "flowkit_etl", rule = rule.map(|rule| rule.name.as_str()), flow = run.flow, check, "a rule finds nothing: no report of the run has the check that it asks for, but `{}`", instead.join("`, `"));
        }
    }

    /// The run that no other calls, above this one.
    fn above(&self, run: &Run) -> FlowRunId {
        let mut above = run.caller.unwrap_or(run.id);
        while let Some(caller) = self.callers.get(&above) {
            above = *caller;
        }
        above
    }
}
