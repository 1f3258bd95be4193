//! `show`: what is known of a run.

use std::path::Path;

use clap::ArgMatches;
use flowkit_journal::record::NodeKind;

use super::Exit;
use super::history::{History, id_of};
use super::screen::{Screen, clean, one_line};
use super::times::{between, length, moment, now};
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
    let gone = history.owner_is_gone();
    history.close().await;
    let tree = tree?;
    let interrupted = gone && tree.flow.ended.is_none();
    if screen.json {
        screen.value(&tree.to_json(interrupted));
        return Ok(Exit::Completed);
    }
    head(&tree, interrupted, screen);
    let lines = tree.lines();
    if !lines.is_empty() {
        screen.line("");
        let rows: Vec<_> = lines.iter().map(row).collect();
        screen.table(&["STATE", "TASK", "ATTEMPTS", "TOOK", ""], &rows);
    }
    for line in lines {
        if let Some(error) = &line.task.error {
            screen.line("");
            screen.line(&clean(&format!("{}: {error}", name_of(line.task))));
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
    let flow = history.find(matches).await?;
    Tree::read(history.journal()?, flow, items).await
}

fn head(tree: &Tree, interrupted: bool, screen: &mut Screen<'_>) {
    let flow = &tree.flow;
    let heading = screen.heading(&one_line(&flow.name));
    let state = screen.paint(&flow.state);
    screen.line(&format!("{heading} {}  {state}", id_of(flow)));
    let took = length(between(flow.created, flow.ended.unwrap_or_else(now)));
    let since = match flow.ended {
        Some(_) => format!("took {took}"),
        None => format!("{took} ago"),
    };
    let mut fields = vec![
        (
            "flow",
            format!("{}::{}", flow.definition.module, flow.definition.name),
        ),
        ("began", format!("{}, {since}", moment(flow.created))),
    ];
    if interrupted {
        fields.push(("process", "gone: `resume` goes on with the run".to_owned()));
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
        fields.push(("error", error.replace('\n', "\n          ")));
    }
    for (name, text) in fields {
        screen.line(&clean(&format!("{name:<8}  {text}")));
    }
}

fn row(line: &Line<'_>) -> Vec<String> {
    let task = line.task;
    let mut remarks = Vec::new();
    match task.kind {
        NodeKind::FanOut => remarks.push("a fan-out: `--items` shows its runs".to_owned()),
        NodeKind::Subflow => remarks.push("a subflow".to_owned()),
        NodeKind::Task => {}
    }
    if let Some(origin) = &task.origin {
        remarks.push(format!("made by {origin}"));
    }
    if let Some(uncached) = &task.uncached {
        remarks.push(format!("uncached: {uncached}"));
    }
    vec![
        task.state.clone(),
        format!("{}{}", "  ".repeat(line.depth), name_of(task)),
        task.attempts.to_string(),
        worked(task, now()).map(length).unwrap_or_default(),
        remarks.join(", "),
    ]
}
