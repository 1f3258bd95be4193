//! `cancel`: asks the process that runs a flow run to cancel it, and waits until it has.

use std::path::Path;
use std::time::Duration;

use clap::ArgMatches;
use flowkit_journal::{JournalStore, StoredFlow};
use serde_json::json;

use super::Exit;
use super::drawn::state_of;
use super::history::{History, id_of};
use super::screen::Screen;
use super::trouble::Trouble;
use crate::ids::FlowRunId;
use crate::runtime::requests::{CancelRequest, PERIOD};

/// How long a process that lives takes at most to hear a request.
const HEARD_WITHIN: Duration = Duration::from_secs(5);
/// How long a run may take to end after that: what it submitted ends too, and hooks run.
const ENDED_WITHIN: Duration = Duration::from_secs(60);

/// Cancels a run.
pub(super) async fn cancel(
    data_dir: &Path,
    matches: &ArgMatches,
    screen: &mut Screen<'_>,
) -> Result<Exit, Trouble> {
    let history = History::open(data_dir).await?;
    let cancelled = ask(data_dir, &history, matches).await;
    history.close().await;
    let flow = cancelled?;
    if screen.json {
        screen.value(&json!({ "id": id_of(&flow), "state": flow.state }));
    } else {
        let state = screen.paint(&flow.state);
        screen.line(&format!("{} {state}", id_of(&flow)));
    }
    Ok(Exit::Completed)
}

/// Asks, and gives the run as it ended.
async fn ask(data_dir: &Path, history: &History, matches: &ArgMatches) -> Result<StoredFlow, Trouble> {
    let flow = history.find(matches).await?;
    let id = id_of(&flow);
    if state_of(&flow.state).is_terminal() {
        return Err(Trouble::usage(format!(
            "run {id} has ended already: it is {}",
            flow.state
        )));
    }
    if flow.parent.is_some() {
        return Err(Trouble::usage(format!(
            "run {id} is a subflow: cancel the run that it belongs to"
        )));
    }
    let request = CancelRequest::make(data_dir, FlowRunId::from_u128(flow.id)).map_err(|error| {
        Trouble::store(format!(
            "the request cannot be left in `{}`: {error}",
            data_dir.display()
        ))
    })?;
    let heard = tokio::time::timeout(HEARD_WITHIN, async {
        while !request.is_heard() {
            tokio::time::sleep(PERIOD / 4).await;
        }
    });
    if heard.await.is_err() {
        request.withdraw();
        return Err(Trouble::failed(format!(
            "no process runs {id}: the one that did is gone, and `resume` goes on with the run"
        )));
    }
    let journal = history.journal()?;
    let ended = tokio::time::timeout(ENDED_WITHIN, ended(journal, flow.id));
    match ended.await {
        Ok(flow) => flow,
        Err(_) => Err(Trouble::failed(format!(
            "run {id} was asked to end, and has not after {} s",
            ENDED_WITHIN.as_secs()
        ))),
    }
}

/// Waits until a run has ended.
async fn ended(journal: &dyn JournalStore, id: u128) -> Result<StoredFlow, Trouble> {
    loop {
        match journal.flow(id).await? {
            Some(flow) if state_of(&flow.state).is_terminal() => return Ok(flow),
            Some(_) => tokio::time::sleep(PERIOD / 2).await,
            None => return Err(Trouble::store("the journal lost the run")),
        }
    }
}
