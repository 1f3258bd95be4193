//! `logs`: what was logged in a run, in all of its lives.

use std::path::Path;

use clap::ArgMatches;
use flowkit_journal::{StoredFlow, StoredLog};
use serde_json::{Value, json};

use super::Exit;
use super::history::History;
use super::screen::{Screen, clean};
use super::times::moment;
use super::tree::{Tree, name_of};
use super::trouble::Trouble;

/// A line, and where it was logged.
struct Logged {
    /// Which life of the flow run.
    life: u32,
    /// The name of the task run, if it was logged in one.
    task: Option<String>,
    /// The name of the flow run.
    flow: String,
    log: StoredLog,
}

/// Shows the log of a run.
pub(super) async fn show(
    data_dir: &Path,
    matches: &ArgMatches,
    screen: &mut Screen<'_>,
) -> Result<Exit, Trouble> {
    let history = History::open(data_dir).await?;
    let read = read(&history, matches).await;
    history.close().await;
    let (lives, lines) = read?;
    if screen.json {
        screen.value(&lines.iter().map(json_of).collect());
        return Ok(Exit::Completed);
    }
    if lines.is_empty() {
        screen.tell("nothing was logged in it");
    }
    for line in &lines {
        screen.line(&clean(&text_of(line, lives > 1)));
    }
    Ok(Exit::Completed)
}

/// How many lives the run had, and what was logged in them and in their subflows, in the order of the times.
async fn read(history: &History, matches: &ArgMatches) -> Result<(usize, Vec<Logged>), Trouble> {
    let last = history.find(matches).await?.flow;
    let lives = history.journal()?.lives(last.id).await?;
    let number = lives.len();
    let mut lines = Vec::new();
    for life in lives {
        read_life(history, life, &mut lines).await?;
    }
    lines.sort_by_key(|line| line.log.at);
    Ok((number, lines))
}

async fn read_life(history: &History, life: StoredFlow, lines: &mut Vec<Logged>) -> Result<(), Trouble> {
    let number = life.life;
    let journal = history.journal()?;
    let tree = Tree::read(history, history.stand(life).await?, true).await?;
    let mut waiting = vec![&tree];
    while let Some(tree) = waiting.pop() {
        let logs = journal.logs(tree.standing.flow.no, None).await?;
        let names: std::collections::HashMap<_, _> = tree
            .tasks
            .iter()
            .map(|node| (node.task.spot, &node.task))
            .collect();
        lines.extend(logs.into_iter().map(|log| {
            Logged {
                life: number,
                flow: tree.standing.flow.name.clone(),
                task: log
                    .task
                    .and_then(|spot| names.get(&spot))
                    .map(|task| name_of(task)),
                log,
            }
        }));
        waiting.extend(tree.tasks.iter().filter_map(|node| node.subflow.as_ref()));
    }
    Ok(())
}

/// A line for people: which life and attempt it is of is said where there is more than one.
fn text_of(line: &Logged, lives: bool) -> String {
    let Logged {
        life,
        task,
        flow,
        log,
    } = line;
    let (at, level) = (moment(log.at), level_of(log.level));
    let mut of = task.as_ref().unwrap_or(flow).clone();
    if log.attempt > 1 {
        of.push_str(&format!(", attempt {}", log.attempt));
    }
    let life = if lives {
        format!("life {life}  ")
    } else {
        String::new()
    };
    format!("{at}  {level:5}  {life}{of}: {}", log.message)
}

fn json_of(line: &Logged) -> Value {
    let Logged {
        life,
        task,
        flow,
        log,
    } = line;
    json!({
        "at": moment(log.at),
        "level": level_of(log.level),
        "life": life,
        "flow": flow,
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
