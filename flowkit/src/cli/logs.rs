//! `logs`: what was logged in a run.

use std::path::Path;

use clap::ArgMatches;
use flowkit_journal::StoredLog;
use serde_json::{Value, json};

use super::Exit;
use super::history::History;
use super::screen::{Screen, clean};
use super::times::moment;
use super::tree::{Tree, name_of};
use super::trouble::Trouble;

/// Shows the log of a run.
pub(super) async fn show(
    data_dir: &Path,
    matches: &ArgMatches,
    screen: &mut Screen<'_>,
) -> Result<Exit, Trouble> {
    let history = History::open(data_dir).await?;
    let read = read(&history, matches).await;
    history.close().await;
    let lines = read?;
    if screen.json {
        let lines = lines.iter().map(|(task, log)| line_json(task.as_deref(), log));
        screen.value(&lines.collect());
        return Ok(Exit::Completed);
    }
    if lines.is_empty() {
        screen.tell("nothing was logged in it");
    }
    for (task, log) in lines {
        let task = task.unwrap_or_default();
        let level = level_of(log.level);
        screen.line(&clean(&format!(
            "{} {level:5} {task}: {}",
            moment(log.at),
            log.message
        )));
    }
    Ok(Exit::Completed)
}

/// The lines of the run and its subflows, each with the name of its task, in the order of their times.
async fn read(history: &History, matches: &ArgMatches) -> Result<Vec<(Option<String>, StoredLog)>, Trouble> {
    let flow = history.find(matches).await?;
    let journal = history.journal()?;
    let tree = Tree::read(journal, flow, true).await?;
    let mut lines = Vec::new();
    let mut waiting = vec![&tree];
    while let Some(tree) = waiting.pop() {
        let logs = journal.logs(tree.flow.no, None).await?;
        lines.extend(logs.into_iter().map(|log| {
            let node = tree.tasks.iter().find(|node| Some(node.task.spot) == log.task);
            (node.map(|node| name_of(&node.task)), log)
        }));
        waiting.extend(tree.tasks.iter().filter_map(|node| node.subflow.as_ref()));
    }
    lines.sort_by_key(|(_, log)| log.at);
    Ok(lines)
}

fn line_json(task: Option<&str>, log: &StoredLog) -> Value {
    json!({
        "at": moment(log.at),
        "level": level_of(log.level),
        "task": task,
        "attempt": log.attempt,
        "target": log.target,
        "message": log.message,
    })
}

const fn level_of(level: u8) -> &'static str {
    match level {
        1 => "ERROR",
        2 => "WARN",
        3 => "INFO",
        4 => "DEBUG",
        _ => "TRACE",
    }
}
