//! What is worth an alert.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::record::{Listened, Records};
use crate::error::{Error, ErrorKind, Result};

/// How long the same is not told again, unless said otherwise.
pub const DEFAULT_WINDOW: Duration = Duration::from_secs(3600);

/// What is worth an alert, of which flows, and where it goes.
///
/// Without [`flow`](Self::flow), a rule is about all flow runs that no other flow calls: what goes wrong in a subflow goes wrong in its caller, or was dealt with there. Pipelines are called as they are named.
#[derive(Debug, Clone)]
#[must_use = "a rule does nothing until it is added"]
pub struct Rule {
    pub(super) name: String,
    pub(super) finds: Finds,
    pub(super) flow: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) channels: Vec<String>,
    pub(super) window: Duration,
    pub(super) resolved: bool,
    /// What was said that is for other rules, and for which.
    misplaced: Option<(&'static str, &'static str)>,
}

/// What a rule looks for.
#[derive(Debug, Clone)]
pub(super) enum Finds {
    Failed,
    Long(Duration),
    /// No success for so long, since the last one that is known, or since the beginning.
    Silent(Duration, Option<SystemTime>),
    /// Checks that failed, or warned too; of one report, or of any.
    #[cfg(feature = "quality")]
    Bad {
        report: Option<String>,
        warnings: bool,
    },
    /// The figure of a check below this.
    #[cfg(feature = "quality")]
    Below {
        report: Option<String>,
        check: String,
        figure: f64,
    },
}

impl Rule {
    fn new(name: String, finds: Finds) -> Self {
        Self {
            name,
            finds,
            flow: None,
            tags: Vec::new(),
            channels: Vec::new(),
            window: DEFAULT_WINDOW,
            resolved: false,
            misplaced: None,
        }
    }

    /// A flow run failed, timed out or panicked, after all its attempts. Being cancelled is none of these. It is resolved by a run of that flow which succeeds.
    pub fn run_failed() -> Self {
        Self::new("run failed".to_owned(), Finds::Failed)
    }

    /// A flow run takes longer than this. It is told while the run goes on, once for a flow in each [window](Self::once_per). It is resolved by a run of that flow which succeeds and takes no longer.
    pub fn took_over(threshold: Duration) -> Self {
        Self::new(
            format!("took over {}", in_words(threshold)),
            Finds::Long(threshold),
        )
    }

    /// No run of a flow succeeded for this long: since the last one, or since alerts were started, unless [`last_success`](Self::last_success) or [a file](super::AlertsBuilder::keep_in) knows of an earlier time. It is told again after each [window](Self::once_per) in which that goes on, and resolved by a run that succeeds.
    pub fn no_success_within(flow: impl Into<String>, time: Duration) -> Self {
        let rule = Self::new(
            format!("no success within {}", in_words(time)),
            Finds::Silent(time, None),
        );
        rule.flow(flow)
    }

    /// Of [`no_success_within`](Self::no_success_within): when the flow last succeeded in an earlier process. A program that is started again and again would else begin to count each time.
    pub fn last_success(mut self, at: SystemTime) -> Self {
        match &mut self.finds {
            Finds::Silent(_, last) => *last = Some(at),
            _ => self.misplaced = Some(("last_success", "no_success_within")),
        }
        self
    }

    /// Whether all that was said is for such a rule.
    pub(super) fn check(&self) -> Result<()> {
        let Some((word, of)) = self.misplaced else {
            return Ok(());
        };
        let message = format!("the rule `{self}` says `{word}`, which is for rules by `{of}`: leave it out");
        Err(Error::new(ErrorKind::Options, message))
    }

    /// What it listens for, if it does.
    pub(super) fn listened(&self) -> Option<Listened> {
        let flow = self
            .flow
            .clone()
            .filter(|_| matches!(self.finds, Finds::Silent(..)))?;
        Some((flow, self.tags.clone()))
    }

    /// Counts from what earlier processes knew, if that is later than what it was told.
    pub(super) fn remember(&mut self, records: &Records, now: SystemTime) {
        if let Some(flow) = self.listened()
            && let Finds::Silent(_, last) = &mut self.finds
        {
            let begin = last.unwrap_or(now);
            *last = (*last).max(Some(records.quiet_since(flow, begin)));
        }
    }

    /// A check of [quality](crate::quality) did not pass, of severity [`Severity::Fail`](crate::quality::Severity::Fail). It is resolved by a report of that name and flow which passes.
    #[cfg(feature = "quality")]
    pub fn quality_failed() -> Self {
        let finds = Finds::Bad {
            report: None,
            warnings: false,
        };
        Self::new("quality failed".to_owned(), finds)
    }

    /// The figure of a check of [quality](crate::quality) is below this, whatever its own threshold is, or there was nothing to measure. The check is named as in reports: `uniqueness of name`,
    /// `uniqueness of name, day`; of several of one name the lowest figure counts. It is resolved by a report in which it is not. That a run has reports and none of them has the check is warned of once.
    #[cfg(feature = "quality")]
    pub fn quality_below(check: impl Into<String>, figure: f64) -> Self {
        let check = check.into();
        let name = format!("{check} below {figure}");
        let finds = Finds::Below {
            report: None,
            check,
            figure,
        };
        Self::new(name, finds)
    }

    /// Of rules about quality: only reports of this name.
    #[cfg(feature = "quality")]
    pub fn report(mut self, name: impl Into<String>) -> Self {
        match &mut self.finds {
            Finds::Bad { report, .. } | Finds::Below { report, .. } => *report = Some(name.into()),
            _ => self.misplaced = Some(("report", "quality_failed` and `quality_below")),
        }
        self
    }

    /// Of [`quality_failed`](Self::quality_failed): checks that only warn count, too.
    #[cfg(feature = "quality")]
    pub fn warnings_too(mut self) -> Self {
        match &mut self.finds {
            Finds::Bad { warnings, .. } => *warnings = true,
            _ => self.misplaced = Some(("warnings_too", "quality_failed")),
        }
        self
    }

    /// What alerts call the rule.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Only runs of this flow, also where other flows call it.
    pub fn flow(mut self, name: impl Into<String>) -> Self {
        self.flow = Some(name.into());
        self
    }

    /// Only flow runs with this tag; said more than once, with all of them.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// To this channel; said more than once, to all of them. To all channels there are, unless this is said.
    pub fn to(mut self, channel: impl Into<String>) -> Self {
        self.channels.push(channel.into());
        self
    }

    /// How long the same about the same flow is not told again where it was told; [`DEFAULT_WINDOW`] unless said otherwise. Where it was not taken, it is told again sooner, after the longest delay of the channel's [backoff](super::Delivery::backoff).
    pub fn once_per(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Tells, too, when it is well again. What goes wrong after that is told at once.
    pub fn tell_resolved(mut self) -> Self {
        self.resolved = true;
        self
    }
}

/// A duration in words: whole units, the two largest.
pub(super) fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let mut rest = seconds;
    let mut words = Vec::new();
    for (unit, size) in units {
        if rest >= size {
            words.push(format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    words.truncate(2);
    match words.is_empty() {
        true => format!("{}ms", duration.as_millis()),
        false => words.join(" "),
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_told_in_its_two_largest_units() {
        let words = [
            (0, "0ms"),
            (5, "5s"),
            (90, "1m 30s"),
            (7200, "2h"),
            (93_784, "1d 2h"),
        ];
        for (seconds, expected) in words {
            assert_eq!(in_words(Duration::from_secs(seconds)), expected);
        }
    }
}
