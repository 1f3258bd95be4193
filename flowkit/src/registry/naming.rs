//! Finding a flow by what somebody typed, and running it.

use std::fmt;
use std::sync::Arc;

use super::{RegisteredFlow, registered_flows};
use crate::context::Ambient;
use crate::definition::DefinitionKind;
use crate::engine::slots::without_slots;
use crate::error::{Error, ErrorKind};
use crate::parameters::Given;
use crate::run::FlowRun;
use crate::runtime::Runtime;

/// No flow of the program has this name, or several have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlowNotFound {
    /// The name that was asked for.
    pub flow: String,
    /// Names that it may have stood for: of those like it, or of those that share it, with their modules. All there are, if none is like it.
    pub candidates: Vec<String>,
    /// Whether several flows have the name.
    pub ambiguous: bool,
}

impl fmt::Display for FlowNotFound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted: Vec<_> = self.candidates.iter().map(|name| format!("`{name}`")).collect();
        let candidates = quoted.join(", ");
        if self.ambiguous {
            return match quoted.as_slice() {
                [only] => write!(
                    formatter,
                    "several flows are {only}: give them names of their own, by `name = \"…\"` in the attribute"
                ),
                _ => write!(
                    formatter,
                    "several flows have this name, so say which one: {candidates}"
                ),
            };
        }
        match quoted.as_slice() {
            [] => formatter.write_str(
                "there is no flow of this name, nor any other, in this program: a flow is a function with `#[flow]` and without type parameters, in a \
                 crate that the program names (`use my_flows as _;`)",
            ),
            [only] => write!(formatter, "there is no flow of this name: it may be {only}"),
            _ => write!(
                formatter,
                "there is no flow of this name: it may be one of {candidates}"
            ),
        }
    }
}

impl std::error::Error for FlowNotFound {}

impl RegisteredFlow {
    /// Its module path and its name, by which it is known where another flow has the same name.
    pub fn path(&self) -> String {
        format!("{}::{}", self.definition.place().module, self.definition.name())
    }

    /// The flow of this name, or of this module path and name.
    ///
    /// # Errors
    /// When there is none, or there are several.
    pub fn find(name: &str) -> Result<&'static Self, FlowNotFound> {
        let flows = registered_flows();
        let found: Vec<_> = flows
            .iter()
            .filter(|flow| flow.definition.name() == name || flow.path() == name)
            .collect();
        if let [flow] = found.as_slice() {
            return Ok(flow);
        }
        let mut candidates: Vec<_> = found.iter().map(|flow| flow.path()).collect();
        // Functions within functions share the path of their module.
        candidates.dedup();
        if candidates.is_empty() {
            candidates = like(name, &flows);
        }
        Err(FlowNotFound {
            flow: name.to_owned(),
            ambiguous: !found.is_empty(),
            candidates,
        })
    }
}

/// The names that are like this one, the nearest first; all, if none is.
fn like(name: &str, flows: &[&RegisteredFlow]) -> Vec<String> {
    let all: Vec<&str> = flows.iter().map(|flow| flow.definition.name()).collect();
    let mut near: Vec<_> = all
        .iter()
        .map(|known| (distance(name, known), *known))
        .filter(|(distance, known)| *distance <= known.chars().count().max(3) / 3)
        .collect();
    near.sort_unstable();
    let near: Vec<&str> = near.into_iter().map(|(_, known)| known).collect();
    let names = if near.is_empty() { all } else { near };
    names.into_iter().map(str::to_owned).collect()
}

/// How many letters must be put in, taken out or changed to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut next = vec![line + 1];
        for ((column, above), theirs) in row.iter().skip(1).enumerate().zip(&other) {
            let diagonal = row.get(column).copied().unwrap_or_default();
            let left = next.last().copied().unwrap_or_default();
            let changed = diagonal + usize::from(letter != *theirs);
            next.push(changed.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

impl Runtime {
    /// Runs the flow of this name, or of this module path and name, with parameters as people write them: what a parameter takes is up to its type. One
    /// whose type can be read from nothing, like an `Option`, may be left out. The value is given as JSON, null if it has no such form.
    ///
    /// # Errors
    /// Of kind [`Input`](ErrorKind::Input), before anything runs: with a [`FlowNotFound`] as its cause, or with the
    /// [`ParameterError`](crate::ParameterError) that names a parameter. How the run ended is in the record.
    pub async fn run_named(
        &self,
        flow: &str,
        parameters: serde_json::Map<String, serde_json::Value>,
    ) -> Result<FlowRun<serde_json::Value>, Error> {
        let refused = || Error::new(ErrorKind::Input, DefinitionKind::Flow, flow);
        let found = RegisteredFlow::find(flow)
            .map_err(|error| refused().detailed(error.to_string()).because(error))?;
        let call = found
            .call(Given::json(parameters))
            .map_err(|error| refused().detailed(error.to_string()).because(error))?;
        let ambient = Ambient::Runtime(Arc::clone(&self.0), None);
        Ok(without_slots(call.run(ambient, None)).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_more_or_less_or_changed_is_a_distance_of_one() {
        for (one, other, apart) in [
            ("", "", 0),
            ("nightly", "nightly", 0),
            ("nigtly", "nightly", 1),
            ("nightlyy", "nightly", 1),
            ("mightly", "nightly", 1),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), apart, "{one} {other}");
        }
    }
}
