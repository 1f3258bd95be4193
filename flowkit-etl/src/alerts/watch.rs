//! What rules find in what was seen. It knows no clock but is told the time, and tells nobody but gives alerts back, for the channels that are to be told.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use flowkit::FlowRunId;
use tokio::time::Instant;

use super::alert::{Alert, Status};
use super::found::{Findings, How, Told};
#[cfg(feature = "quality")]
use super::judged::{Sought, checks_of, judged};
use super::record::Listened;
use super::rule::{Finds, Rule, in_words};
use super::seen::{Run, Seen, What};

/// Rules, and what they found.
pub(super) struct Watch {
    rules: Vec<Rule>,
    running: HashMap<FlowRunId, Running>,
    /// What will be wrong by then if nothing happens.
    due: BTreeSet<(Instant, Due)>,
    /// When a flow succeeded last, for rules that ask, or the beginning and how long before it that was.
    silent: Vec<(Instant, Duration)>,
    findings: Findings,
    /// Whether the checks that rules ask for are there.
    #[cfg(feature = "quality")]
    sought: Sought,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// This run takes too long for this rule.
    Long(FlowRunId, usize),
    /// No success for too long for this rule.
    Silent(usize),
}

struct Running {
    run: Run,
    /// What is due for it.
    due: Vec<(Instant, Due)>,
    /// The rules by which it was told to take too long.
    told: Vec<usize>,
}

/// Something to tell, of a rule about a subject.
struct Finding<'a> {
    rule: usize,
    subject: String,
    flow: &'a str,
    run: Option<&'a Run>,
    at: SystemTime,
    summary: String,
    details: String,
}

impl Watch {
    /// Rules, and what of what they find was told before.
    pub(super) fn new(rules: Vec<Rule>, findings: Findings, now: Instant, at: SystemTime) -> Self {
        let mut due = BTreeSet::new();
        let mut silent = vec![(now, Duration::ZERO); rules.len()];
        for (index, (rule, silent)) in rules.iter().zip(&mut silent).enumerate() {
            if let Finds::Silent(time, last) = rule.finds {
                let before = last.map(|last| at.duration_since(last).unwrap_or_default());
                silent.1 = before.unwrap_or_default();
                let silence = now.checked_add(time.saturating_sub(silent.1));
                due.extend(silence.map(|at| (at, Due::Silent(index))));
            }
        }
        Self {
            silent,
            findings,
            #[cfg(feature = "quality")]
            sought: Sought::default(),
            rules,
            running: HashMap::new(),
            due,
        }
    }

    /// For what rules listen that this is.
    pub(super) fn listens(&self, seen: &Seen) -> Vec<Listened> {
        let succeeded = matches!(seen.what, What::Ended { state, .. } if state.is_success());
        let rules = self
            .rules
            .iter()
            .filter(|rule| succeeded && rule.concerns(&seen.run));
        rules.filter_map(Rule::listened).collect()
    }

    /// When [`due`](Self::due) is worth a call.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// What is wrong since nothing happened.
    pub(super) fn due(&mut self, now: Instant, at: SystemTime) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some((when, due)) = self.due.first().copied().filter(|(when, _)| *when <= now) {
            self.due.remove(&(when, due));
            match due {
                Due::Long(run, rule) => self.is_long(run, rule, (now, at), &mut told),
                Due::Silent(rule) => self.is_silent(rule, (now, at), &mut told),
            }
        }
        told
    }

    /// What rules find in something that was seen.
    pub(super) fn seen(&mut self, seen: Seen, now: Instant) -> Vec<Told> {
        let mut told = Vec::new();
        match &seen.what {
            What::Began => self.begun(seen.run, now),
            What::Ended { .. } => self.ended(&seen, now, &mut told),
            #[cfg(feature = "quality")]
            What::Measured(report) => self.measured(&seen, report, now, &mut told),
        }
        told
    }

    fn begun(&mut self, run: Run, now: Instant) {
        #[cfg(feature = "quality")]
        self.sought.begun(&run);
        let mut due = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            if let Finds::Long(threshold) = rule.finds
                && rule.concerns(&run)
            {
                // One that is too far away is never due.
                let long = now.checked_add(threshold);
                due.extend(long.map(|at| (at, Due::Long(run.id, index))));
            }
        }
        if !due.is_empty() {
            self.due.extend(due.iter().copied());
            let told = Vec::new();
            self.running.insert(run.id, Running { run, due, told });
        }
    }

    fn ended(&mut self, seen: &Seen, now: Instant, told: &mut Vec<Told>) {
        let What::Ended { state, took, error } = &seen.what else {
            return;
        };
        let run = &seen.run;
        let running = self.running.remove(&run.id);
        for due in running.iter().flat_map(|running| &running.due) {
            self.due.remove(due);
        }
        #[cfg(feature = "quality")]
        self.sought.ended(&self.rules, run);
        let told_of = running.map(|running| running.told).unwrap_or_default();
        for index in self.concerned(run) {
            let Some(finds) = self.rules.get(index).map(|rule| rule.finds.clone()) else {
                continue;
            };
            let finding = |summary, details| Finding {
                rule: index,
                subject: run.flow.clone(),
                flow: &run.flow,
                run: Some(run),
                at: seen.at,
                summary,
                details,
            };
            let well = match finds {
                Finds::Failed if state.is_failure() => {
                    let (line, report) = error.clone().unwrap_or_default();
                    let summary = format!("{} is {state}: {line}", run.flow);
                    told.extend(self.raise(finding(summary, report), How::Anew, now));
                    continue;
                }
                Finds::Long(threshold) if *took > threshold => {
                    let summary = format!("{} took {}", run.flow, in_words(*took));
                    let finding = finding(summary, String::new());
                    let how = match told_of.contains(&index) {
                        true => How::Again,
                        false => How::Anew,
                    };
                    told.extend(self.raise(finding, how, now));
                    continue;
                }
                Finds::Failed => state.is_success(),
                Finds::Long(_) => state.is_success(),
                Finds::Silent(time, _) if state.is_success() => {
                    self.heard(index, time, now);
                    true
                }
                _ => false,
            };
            if well {
                let summary = format!("{} is {state}, in {}", run.flow, in_words(*took));
                told.extend(self.resolve(finding(summary, String::new())));
            }
        }
    }

    /// A flow succeeded.
    fn heard(&mut self, rule: usize, time: Duration, now: Instant) {
        self.due.retain(|(_, due)| *due != Due::Silent(rule));
        let silence = now.checked_add(time);
        self.due.extend(silence.map(|at| (at, Due::Silent(rule))));
        if let Some(since) = self.silent.get_mut(rule) {
            *since = (now, Duration::ZERO);
        }
    }

    fn is_long(
        &mut self,
        id: FlowRunId,
        rule: usize,
        (now, at): (Instant, SystemTime),
        told: &mut Vec<Told>,
    ) {
        let Some(running) = self.running.get_mut(&id) else {
            return;
        };
        running.told.push(rule);
        let run = running.run.clone();
        let Some(Finds::Long(threshold)) = self.rules.get(rule).map(|rule| rule.finds.clone()) else {
            return;
        };
        let finding = Finding {
            rule,
            subject: run.flow.clone(),
            flow: &run.flow,
            run: Some(&run),
            at,
            summary: format!("{} goes on after {}", run.flow, in_words(threshold)),
            details: String::new(),
        };
        told.extend(self.raise(finding, How::Anew, now));
    }

    fn is_silent(&mut self, rule: usize, (now, at): (Instant, SystemTime), told: &mut Vec<Told>) {
        let Some(of) = self.rules.get(rule) else { return };
        let (flow, window) = (of.flow.clone().unwrap_or_default(), of.window);
        let silent = self
            .silent
            .get(rule)
            .map(|(since, before)| (now - *since) + *before)
            .unwrap_or_default();
        let finding = Finding {
            rule,
            subject: flow.clone(),
            flow: &flow,
            run: None,
            at,
            summary: format!("{flow} has not succeeded for {}", in_words(silent)),
            details: String::new(),
        };
        told.extend(self.raise(finding, How::Still, now));
        // It is looked at again as soon as it may be told.
        let again = self.findings.again_at(rule, &flow, window, now);
        let soonest = now.checked_add(Duration::from_secs(1));
        self.due
            .extend(again.max(soonest).map(|at| (at, Due::Silent(rule))));
    }

    #[cfg(feature = "quality")]
    fn measured(
        &mut self,
        seen: &Seen,
        report: &crate::quality::QualityReport,
        now: Instant,
        told: &mut Vec<Told>,
    ) {
        let run = &seen.run;
        for index in self.concerned(run) {
            let Some(rule) = self.rules.get(index) else {
                continue;
            };
            self.sought.look((index, rule), run, report);
            let Some(judged) = judged(rule, report) else {
                continue;
            };
            let about = judged
                .check
                .map_or_else(String::new, |check| format!(" / {check}"));
            let finding = Finding {
                rule: index,
                subject: format!("{} / {}{about}", run.flow, report.name),
                flow: &run.flow,
                run: Some(run),
                at: seen.at,
                summary: judged.summary,
                details: checks_of(report),
            };
            match judged.bad {
                true => told.extend(self.raise(finding, How::Anew, now)),
                false => told.extend(self.resolve(finding)),
            }
        }
    }

    fn concerned(&self, run: &Run) -> Vec<usize> {
        let rules = self.rules.iter().enumerate();
        rules
            .filter(|(_, rule)| rule.concerns(run))
            .map(|(index, _)| index)
            .collect()
    }

    /// Something is wrong.
    fn raise(&mut self, finding: Finding<'_>, how: How, now: Instant) -> Vec<Told> {
        let index = finding.rule;
        let Some(rule) = self.rules.get(index) else {
            return Vec::new();
        };
        let alert = finding.told(rule, Status::Raised);
        self.findings.raise(index, &alert, how, rule.window, now)
    }

    /// It is well.
    fn resolve(&mut self, finding: Finding<'_>) -> Vec<Told> {
        let index = finding.rule;
        let Some(rule) = self.rules.get(index) else {
            return Vec::new();
        };
        let alert = finding.told(rule, Status::Resolved);
        self.findings.resolve(index, &alert, rule.resolved)
    }
}

impl Finding<'_> {
    fn told(self, rule: &Rule, status: Status) -> Alert {
        Alert {
            status,
            rule: rule.name.clone(),
            subject: self.subject,
            flow: self.flow.to_owned(),
            flow_run: self.run.map(|run| run.id),
            flow_run_name: self.run.map(|run| run.name.clone()),
            at: self.at,
            summary: self.summary,
            details: self.details,
            repeated: 0,
            held_back: 0,
        }
    }
}

impl Rule {
    /// Whether it is about a run.
    fn concerns(&self, run: &Run) -> bool {
        let of_flow = match &self.flow {
            Some(flow) => *flow == run.flow,
            // What is measured in a subflow is measured nowhere else.
            None => run.caller.is_none() || self.is_about_data(),
        };
        of_flow && self.tags.iter().all(|tag| run.tags.contains(tag))
    }

    fn is_about_data(&self) -> bool {
        !matches!(self.finds, Finds::Failed | Finds::Long(_) | Finds::Silent(..))
    }
}
