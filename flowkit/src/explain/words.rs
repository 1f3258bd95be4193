//! An explanation as a few plain lines.

use std::fmt;

use super::{Change, Comparison, EarlierRun, Explanation, Reason};
use crate::state::State;

impl fmt::Display for Explanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` ({}", self.task, self.run)?;
        if self.life > 1 {
            write!(formatter, ", in life {}", self.life)?;
        }
        write!(formatter, ") is {}: ", self.state)?;
        fmt::Display::fmt(&self.reason, formatter)?;
        match &self.compared {
            Some(compared) => write!(formatter, "\n{compared}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let caused = |formatter: &mut fmt::Formatter<'_>, text: &str, error: &Option<String>| {
            formatter.write_str(text)?;
            match error {
                Some(error) => write!(formatter, ": {error}"),
                None => Ok(()),
            }
        };
        match self {
            Self::NotCached => formatter.write_str("it ran, since its results are not cached"),
            Self::First => formatter.write_str("it ran, since the journal has no earlier run of it"),
            Self::Changed => formatter.write_str("it ran, since no earlier run had the same key"),
            Self::Expired => formatter.write_str("it ran, since its cached result had expired"),
            Self::Refreshed => formatter.write_str("it ran, since the call asked for a fresh result"),
            Self::Damaged => {
                formatter.write_str("it ran, since its cached result was damaged, and has been removed")
            }
            Self::Gone => formatter.write_str(
                "it ran, since the cache no longer had the result of an earlier run with the same key: evicted, cleared, or kept in another cache",
            ),
            Self::OnlyFailures => {
                formatter.write_str("it ran, since earlier runs with the same key failed, and only successes are kept")
            }
            Self::RolledBack => formatter.write_str(
                "it ran, since the earlier run with the same key was rolled back with its transaction",
            ),
            Self::Again { by } => {
                let why = if [State::Completed, State::Cached].iter().any(|state| state.name() == by.state) {
                    "its result in an earlier life of its flow run was not kept"
                } else {
                    "an earlier life of its flow run did not complete it"
                };
                write!(formatter, "it ran again, since {why}: {by}")
            }
            Self::Uncached { why } => write!(formatter, "it ran without its cache: {why}"),
            Self::Served { origin, by, from_memory } => {
                let source = if *from_memory { "an earlier attempt of its flow run" } else { "the cache" };
                match (by, origin) {
                    (Some(by), Some(_)) => write!(formatter, "it was served from {source}, the value of {by}"),
                    (None, Some(origin)) => write!(formatter, "it was served from {source}, the value of {origin}"),
                    (Some(by), None) => write!(formatter, "it was given the value of an equal run at the same time, {by}"),
                    (None, None) => formatter.write_str("it was given the value of an equal run at the same time"),
                }
            }
            Self::Restored { by } => write!(formatter, "it did not run again, since an earlier life of its flow run completed it: {by}"),
            Self::UpstreamFailed { error } => caused(formatter, "it did not run, since a run that it needs did not complete", error),
            Self::UnknownEffect => formatter.write_str(
                "it did not run, since an earlier life of its flow run died while it ran, and whether it had its effect is not known",
            ),
            Self::NotBegun { error } => caused(formatter, "it did not begin", error),
            Self::FanOut { items } => write!(formatter, "a fan-out of {items} items, each of which has an explanation of its own"),
            Self::Subflow => formatter.write_str("a flow, each of whose tasks has an explanation of its own"),
        }
    }
}

impl fmt::Display for EarlierRun {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = self.ended.max(std::time::SystemTime::UNIX_EPOCH);
        write!(formatter, "{} of `{}`", self.run, self.flow_run)?;
        if self.lives > 1 {
            write!(formatter, ", life {} of {}", self.life, self.lives)?;
        }
        let ended = humantime::format_rfc3339_millis(ended);
        write!(formatter, ", {} at {ended}", self.state)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "against the nearest earlier run, {}:", self.with)?;
        for change in &self.changes {
            write!(formatter, "\n  - {change}")?;
        }
        if self.changes.is_empty() {
            formatter.write_str("\n  - nothing differs")?;
        }
        if !self.equal.is_empty() {
            write!(formatter, "\n  - equal: {}", self.equal.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code => formatter.write_str("the code changed"),
            Self::Version { from, to } => write!(formatter, "the version changed from {from} to {to}"),
            Self::Input { parameter } => write!(formatter, "the input `{parameter}` changed"),
            Self::ParameterAdded { parameter } => write!(formatter, "the parameter `{parameter}` is new"),
            Self::ParameterRemoved { parameter } => {
                write!(formatter, "the parameter `{parameter}` is gone")
            }
            Self::SomeInput => formatter.write_str(
                "an input changed; which one is not known, since one of them cannot be part of a key",
            ),
            Self::OtherPartOfKey => formatter.write_str(
                "something else that the key holds changed: code or constants of `cache_includes`, type arguments, the flow run, or the task's own `cache_key`",
            ),
        }
    }
}
