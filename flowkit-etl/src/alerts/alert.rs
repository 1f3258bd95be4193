//! What is told.

use std::fmt;
use std::time::SystemTime;

use flowkit::FlowRunId;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

/// Whether something is wrong, or well again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Something is wrong.
    Raised,
    /// It is well again.
    Resolved,
}

/// What is told: a rule found something about a flow, or it is well again. As JSON, the body of a [`Webhook`](super::Webhook).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Whether something is wrong, or well again.
    pub status: Status,
    /// The rule.
    pub rule: String,
    /// What it is about: a flow; for quality a flow, the report, and the check where it is about one.
    pub subject: String,
    /// The flow.
    pub flow: String,
    /// The flow run, where it is about one.
    #[serde(deserialize_with = "run")]
    pub flow_run: Option<FlowRunId>,
    /// The name of that run.
    pub flow_run_name: Option<String>,
    /// When it was found.
    #[serde(with = "rfc3339")]
    pub at: SystemTime,
    /// What was found, in a line.
    pub summary: String,
    /// What else there is to say, in several lines: the error with its causes, the checks that failed. May be empty.
    pub details: String,
    /// How often the same was found before this and not told, after it was told last.
    pub repeated: u64,
    /// How many alerts about other things this channel was spared since the one before, since there were too many.
    pub held_back: u64,
}

impl Alert {
    /// The first line: `FAILED`-like words first, so that it can be the subject of an email.
    pub fn title(&self) -> String {
        let word = match self.status {
            Status::Raised => "ALERT",
            Status::Resolved => "RESOLVED",
        };
        format!("{word} {}: {}", self.rule, self.summary)
    }

    /// All of it in words, without the title.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        if let (Some(run), Some(name)) = (self.flow_run, &self.flow_run_name) {
            lines.push(format!("flow run {name}, {run}"));
        }
        lines.push(format!("at {}", said(self.at)));
        if self.repeated > 0 {
            lines.push(format!("found {} more times before this", self.repeated));
        }
        if self.held_back > 0 {
            lines.push(format!(
                "{} other alerts were held back, since there were too many",
                self.held_back
            ));
        }
        if !self.details.is_empty() {
            lines.push(String::new());
            lines.push(self.details.clone());
        }
        lines.join("\n")
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.title())
    }
}

/// A time as text, in UTC and to the second.
fn said(at: SystemTime) -> String {
    let rounded = Timestamp::try_from(at).and_then(|at| at.round(jiff::Unit::Second));
    rounded.map_or_else(|_| "an unknown time".to_owned(), |at| at.to_string())
}

/// Times as they are written down.
pub(super) mod rfc3339 {
    use std::time::SystemTime;

    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        match Timestamp::try_from(*at) {
            Ok(at) => serializer.collect_str(&at),
            Err(error) => Err(serde::ser::Error::custom(error)),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        Timestamp::deserialize(deserializer).map(SystemTime::from)
    }
}

fn run<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<FlowRunId>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let id = text.map(|text| text.parse()).transpose();
    id.map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_told_in_words_and_as_json() {
        let alert = Alert {
            status: Status::Raised,
            rule: "run failed".into(),
            subject: "nightly".into(),
            flow: "nightly".into(),
            flow_run: Some(FlowRunId::from_u128(7)),
            flow_run_name: Some("nightly-monday".into()),
            at: SystemTime::UNIX_EPOCH,
            summary: "nightly is Failed".into(),
            details: "task `load` failed".into(),
            repeated: 3,
            held_back: 0,
        };
        assert_eq!(alert.to_string(), "ALERT run failed: nightly is Failed");
        assert_eq!(
            alert.text(),
            "flow run nightly-monday, 00000000-0000-0000-0000-000000000007\nat 1970-01-01T00:00:00Z\n\
             found 3 more times before this\n\ntask `load` failed"
        );
        let json = serde_json::to_value(&alert).unwrap();
        assert_eq!(json["status"], "raised");
        assert_eq!(json["at"], "1970-01-01T00:00:00Z");
    }
}
