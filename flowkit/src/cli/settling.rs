//! `effects`, and what `resume` is told of them: effects whose outcome the journal does not know, and how they went.

use std::path::Path;

use clap::ArgMatches;
use serde_json::{Value, json};

use super::Exit;
use super::history::History;
use super::screen::{Screen, clean};
use super::standing::Process;
use super::times::moment;
use super::trouble::Trouble;
use crate::ids::FlowRunId;
use crate::journaling::resume::ResumeOptions;
use crate::journaling::settled::{UnknownEffect, unknown_effects};

/// Lists the effects of a run whose outcome is not known.
pub(super) async fn list(
    data_dir: &Path,
    matches: &ArgMatches,
    screen: &mut Screen<'_>,
) -> Result<Exit, Trouble> {
    let history = History::open(data_dir).await?;
    let unknown = ask(&history, matches).await;
    history.close().await;
    let unknown = unknown?;
    if screen.json {
        screen.value(&Value::from_iter(unknown.iter().map(to_json)));
    } else if unknown.is_empty() {
        screen.line("The outcome of every effect is known.");
    } else {
        let rows: Vec<_> = unknown.iter().map(row).collect();
        screen.table(&["TASK", "TASK RUN", "LIFE", "SUBMITTED"], &rows);
        screen.tell(
            "Look what became of each, and say so: `resume RUN --happened TASK=JSON`, with what the task would have returned, or `--did-not-happen TASK`.",
        );
    }
    Ok(Exit::Completed)
}

async fn ask(history: &History, matches: &ArgMatches) -> Result<Vec<UnknownEffect>, Trouble> {
    let standing = history.find(matches).await?;
    let run = FlowRunId::from_u128(standing.flow.id);
    let goes_on = matches!(standing.process, Some(Process::Works(_)));
    Ok(unknown_effects(history.journal()?, run, goes_on).await?)
}

fn name_of(effect: &UnknownEffect) -> &str {
    effect.name.as_deref().unwrap_or(&effect.task)
}

fn row(effect: &UnknownEffect) -> Vec<String> {
    vec![
        clean(name_of(effect)),
        effect.task_run.to_string(),
        effect.life.to_string(),
        moment(effect.submitted.into()),
    ]
}

fn to_json(effect: &UnknownEffect) -> Value {
    json!({
        "task": effect.task,
        "name": name_of(effect),
        "task_run": effect.task_run.to_string(),
        "life": effect.life,
        "submitted": moment(effect.submitted.into()),
        "error": effect.error,
    })
}

/// What was typed of effects.
pub(super) struct Settling<'a> {
    happened: Vec<(&'a str, Value)>,
    did_not_happen: Vec<&'a str>,
}

impl<'a> Settling<'a> {
    /// Reads it.
    pub(super) fn of(matches: &'a ArgMatches) -> Result<Self, Trouble> {
        let typed = |id| matches.get_many::<String>(id).into_iter().flatten();
        let happened = typed("happened").map(|typed| {
            let (task, value) = typed.split_once('=').ok_or_else(|| {
                Trouble::usage(format!(
                    "`--happened {typed}` does not say what the task returned: type TASK=JSON, such as `{typed}=null` if that is nothing"
                ))
            })?;
            let value = serde_json::from_str(value).map_err(|error| {
                Trouble::usage(format!("what is given for `{task}` is no JSON ({error}): a text stands in quotes, such as '{task}=\"done\"'"))
            })?;
            Ok((task, value))
        });
        Ok(Self {
            happened: happened.collect::<Result<_, Trouble>>()?,
            did_not_happen: typed("did-not-happen").map(String::as_str).collect(),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.happened.is_empty() && self.did_not_happen.is_empty()
    }

    /// Says it of the effects that are meant.
    pub(super) fn add_to(
        self,
        mut options: ResumeOptions,
        unknown: &[UnknownEffect],
    ) -> Result<ResumeOptions, Trouble> {
        let mut settled = Vec::new();
        let mut once = |typed: &str| {
            let effect = find(unknown, typed)?;
            if settled.contains(&effect.task_run) {
                return Err(Trouble::usage(format!(
                    "two things are said of `{typed}`: say one"
                )));
            }
            settled.push(effect.task_run);
            Ok(effect)
        };
        for (task, value) in self.happened {
            options = options.happened(once(task)?, value);
        }
        for task in self.did_not_happen {
            options = options.did_not_happen(once(task)?);
        }
        Ok(options)
    }
}

/// The effect that is meant by a task's name, a run's name or its id.
fn find<'a>(unknown: &'a [UnknownEffect], typed: &str) -> Result<&'a UnknownEffect, Trouble> {
    let meant = |effect: &&UnknownEffect| {
        effect.task == typed || name_of(effect) == typed || effect.task_run.to_string() == typed
    };
    let found: Vec<_> = unknown.iter().filter(meant).collect();
    match found[..] {
        [effect] => Ok(effect),
        [] => Err(Trouble::usage(format!(
            "the run has no effect `{typed}` whose outcome is not known: `effects` lists those that it has"
        ))),
        _ => {
            let runs: Vec<_> = found.iter().map(|effect| effect.task_run.to_string()).collect();
            Err(Trouble::usage(format!(
                "the run has {} effects `{typed}` whose outcome is not known: say which one, {}",
                found.len(),
                runs.join(" or ")
            )))
        }
    }
}
