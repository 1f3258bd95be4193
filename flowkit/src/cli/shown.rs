//! `show`: what is known of a run.

use std::path::Path;

use clap::ArgMatches;
use flowkit_journal::record::{Effect, NodeKind};

use super::Exit;
use super::history::{History, id_of};
use super::screen::{Screen, clean, one_line};
use super::standing::Standing;
use super::times::{length, moment};
use super::tree::{Line, Tree, name_of, worked};
use super::trouble::Trouble;

/// Shows a run.
pub(super) async fn show(
    data_dir: &Path,
    matches: &ArgMatches,
    screen: &mut Screen<'_>,
) -> Result<Exit, Trouble> {
    let history = History::open(data_dir).await?;
    let tree = read(&history, matches, matches.get_flag("items")).await;
    history.close().await;
    let tree = tree?;
    if screen.json {
        screen.value(&tree.to_json());
        return Ok(Exit::Completed);
    }
    head(&tree.standing, screen);
    let lines = tree.lines();
    let is_unknown = |line: &Line<'_>| line.node.task.effect == Effect::Intended;
    if tree.standing.flow.ended.is_some() && lines.iter().any(is_unknown) {
        screen.line("It is not known whether every effect happened: `effects` says which, and what to do.");
    }
    if !lines.is_empty() {
        screen.line("");
        let rows: Vec<_> = lines.iter().map(row).collect();
        screen.table(&["STATE", "TASK", "ATTEMPTS", "TOOK", ""], &rows);
    }
    for line in lines {
        let task = &line.node.task;
        // The flow's own is told above.
        if let Some(error) = task
            .error
            .as_ref()
            .filter(|error| tree.standing.flow.error.as_ref() != Some(error))
        {
            screen.line("");
            screen.line(&clean(&format!("{}: {error}", name_of(task))));
        }
    }
    Ok(Exit::Completed)
}

/// The run that was typed, without the items of its fan-outs, from a history that is opened for it.
pub(super) async fn tree(data_dir: &Path, matches: &ArgMatches) -> Result<Tree, Trouble> {
    let history = History::open(data_dir).await?;
    let tree = read(&history, matches, false).await;
    history.close().await;
    tree
}

/// The run that was typed, with all that is in it.
async fn read(history: &History, matches: &ArgMatches, items: bool) -> Result<Tree, Trouble> {
    let standing = history.find(matches).await?;
    Tree::read(history, standing, items).await
}

fn head(standing: &Standing, screen: &mut Screen<'_>) {
    let flow = &standing.flow;
    let heading = screen.heading(&one_line(&flow.name));
    let state = screen.paint(&flow.state);
    screen.line(&format!("{heading} {}  {state}", id_of(flow)));
    let took = standing.took();
    let since = match (flow.ended, standing.is_interrupted()) {
        (Some(_), _) => format!("took {took}"),
        (None, true) => format!("worked {took}"),
        (None, false) => format!("{took} ago"),
    };
    let mut fields = vec![
        (
            "flow",
            format!("{}::{}", flow.definition.module, flow.definition.name),
        ),
        ("began", format!("{}, {since}", moment(flow.created))),
    ];
    if let Some(process) = standing.process_line() {
        fields.push(("process", process));
    }
    if flow.life > 1 {
        fields.push(("life", format!("{}: it was resumed", flow.life)));
    }
    if flow.attempts > 1 {
        fields.push(("attempts", flow.attempts.to_string()));
    }
    if !flow.tags.is_empty() {
        fields.push(("tags", flow.tags.join(", ")));
    }
    if let Some(given) = flow.parameters.as_ref().and_then(|given| given.json.as_ref()) {
        fields.push(("given", given.clone()));
    }
    if let Some(value) = &flow.result_json {
        fields.push(("value", value.clone()));
    }
    if let Some(error) = &flow.error {
        fields.push(("error", error.clone()));
    }
    for (name, text) in fields {
        let mut name = name;
        for line in clean(&text).lines() {
            screen.line(format!("{name:<8}  {line}").trim_end());
            name = "";
        }
    }
}

fn row(line: &Line<'_>) -> Vec<String> {
    let task = &line.node.task;
    let mut remarks = Vec::new();
    match (task.kind, &line.node.items) {
        (NodeKind::FanOut, Some(items)) => remarks.push(items.to_string()),
        (NodeKind::Subflow, _) => remarks.push("a subflow".to_owned()),
        _ => {}
    }
    if let Some(origin) = &task.origin {
        remarks.push(format!("made by {origin}"));
    }
    if let Some(uncached) = &task.uncached {
        remarks.push(format!("uncached: {uncached}"));
    }
    let standing = &line.within.standing;
    let took = worked(task, standing.until()).map(|worked| match task.ended {
        Some(_) => length(worked),
        None => standing.at_least(worked),
    });
    vec![
        task.state.clone(),
        format!("{}{}", "  ".repeat(line.depth), name_of(task)),
        task.attempts.to_string(),
        took.unwrap_or_default(),
        remarks.join(", "),
    ]
}
