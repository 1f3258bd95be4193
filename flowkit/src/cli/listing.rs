//! `list` and `runs`.

use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;
use flowkit_journal::RunFilter;
use serde_json::{Value, json};

use super::Exit;
use super::given::{Kind, SECRET, long};
use super::history::{History, short_id};
use super::screen::{Screen, one_line};
use super::standing::Standing;
use super::times::{short_moment, typed_moment};
use super::trouble::Trouble;
use crate::registry::{FlowParameter, RegisteredFlow, registered_flows};
use crate::state::State;

/// Lists the flows of the program.
pub(super) fn flows(screen: &mut Screen<'_>) -> Result<Exit, Trouble> {
    let flows = registered_flows();
    if screen.json {
        let listed: Vec<Value> = flows.iter().map(|flow| flow_json_of(flow)).collect();
        screen.value(&Value::Array(listed));
        return Ok(Exit::Completed);
    }
    if flows.is_empty() {
        screen.tell("this program has no flows that can be called by name");
    }
    for flow in flows {
        let definition = flow.definition();
        let parameters: Vec<_> = flow.parameters().iter().map(parameter_text).collect();
        let heading = screen.heading(definition.name());
        screen.line(format!("{heading} {}", parameters.join(" ")).trim_end());
        if let Some(first) = definition
            .description()
            .lines()
            .find(|line| !line.trim().is_empty())
        {
            screen.line(&format!("    {}", one_line(first.trim())));
        }
    }
    Ok(Exit::Completed)
}

fn parameter_text(parameter: &FlowParameter) -> String {
    let kind = if parameter.is_secret() {
        SECRET.to_owned()
    } else {
        Kind::of(&parameter.schema()).name()
    };
    let text = format!("--{} {kind}", long(parameter));
    if parameter.is_required() {
        text
    } else {
        format!("[{text}]")
    }
}

fn flow_json_of(flow: &RegisteredFlow) -> Value {
    let definition = flow.definition();
    json!({
        "name": definition.name(),
        "path": flow.path(),
        "package": definition.place().package,
        "description": definition.description(),
        "tags": definition.tags(),
        "version": definition.version(),
        "parameters": flow.schema(),
    })
}

/// Lists flow runs.
pub(super) async fn runs(
    data_dir: &Path,
    matches: &ArgMatches,
    screen: &mut Screen<'_>,
) -> Result<Exit, Trouble> {
    let since = matches.get_one::<String>("since");
    let filter = RunFilter {
        flow: matches.get_one::<String>("flow").cloned(),
        state: matches
            .get_one::<String>("state")
            .map(|state| canonical(state).to_owned()),
        since: since.map(|since| typed_moment(since)).transpose()?,
        until: None,
        limit: matches.get_one::<u32>("limit").copied(),
    };
    let history = History::open(data_dir).await?;
    let found = history.flows(&filter).await;
    history.close().await;
    let runs = found?;
    if screen.json {
        screen.value(&runs.iter().map(Standing::json).collect());
        return Ok(Exit::Completed);
    }
    if history.is_empty() {
        screen.tell(&format!(
            "nothing has run in `{}` yet: `run FLOW` begins, and `--data-dir` or FLOWKIT_HOME names another directory",
            data_dir.display()
        ));
    } else if runs.is_empty() {
        screen.tell("there are no such runs");
    } else {
        let rows: Vec<_> = runs.iter().map(row).collect();
        screen.table(&["RUN", "FLOW", "STATE", "BEGAN", "TOOK", ""], &rows);
        if filter.limit.is_some_and(|limit| limit as usize == runs.len()) && !is_said(matches, "limit") {
            screen.tell("there may be more: `--limit` says how many are shown");
        }
    }
    Ok(Exit::Completed)
}

/// Whether an option was given, rather than left as it is by itself.
fn is_said(matches: &ArgMatches, option: &str) -> bool {
    matches.value_source(option) == Some(ValueSource::CommandLine)
}

fn row(run: &Standing) -> Vec<String> {
    let flow = &run.flow;
    let mut remarks = Vec::new();
    if flow.name != flow.definition.name {
        remarks.push(flow.name.clone());
    }
    if flow.life > 1 {
        remarks.push(format!("life {}", flow.life));
    }
    remarks.extend(run.remark());
    vec![
        short_id(flow),
        flow.definition.name.clone(),
        flow.state.clone(),
        short_moment(flow.created),
        run.took(),
        remarks.join(", "),
    ]
}

/// The name of a state, however it was typed.
fn canonical(typed: &str) -> &str {
    let state = State::ALL
        .into_iter()
        .find(|state| state.name().eq_ignore_ascii_case(typed));
    match state {
        Some(state) => state.name(),
        None => typed,
    }
}
