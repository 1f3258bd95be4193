//! `explain`: why a task ran, or was served.

use std::path::Path;

use clap::ArgMatches;

use super::Exit;
use super::history::History;
use super::screen::{Screen, clean};
use super::trouble::Trouble;
use crate::explain::Explanation;
use crate::ids::FlowRunId;

/// Explains a task run.
pub(super) async fn explain(
    data_dir: &Path,
    matches: &ArgMatches,
    screen: &mut Screen<'_>,
) -> Result<Exit, Trouble> {
    let history = History::open(data_dir).await?;
    let explanation = ask(&history, matches).await;
    history.close().await;
    let explanation = explanation?;
    if screen.json {
        // It has no maps whose keys are no strings, which alone could fail.
        screen.value(&serde_json::to_value(&explanation).unwrap_or_default());
    } else {
        screen.line(clean(&explanation.to_string()).trim_end());
    }
    Ok(Exit::Completed)
}

async fn ask(history: &History, matches: &ArgMatches) -> Result<Explanation, Trouble> {
    let standing = history.find(matches).await?;
    let task = matches.get_one::<String>("task").map_or("", String::as_str);
    let run = FlowRunId::from_u128(standing.flow.id);
    crate::explain::explain(history.journal()?, run, task)
        .await
        .map_err(|error| Trouble::of_runtime(&error))
}
