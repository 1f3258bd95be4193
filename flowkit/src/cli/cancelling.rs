//! `cancel`: asks the process that runs a flow run to cancel it, and waits until it has.

use std::path::Path;
use std::time::Duration;

use clap::ArgMatches;
use flowkit_journal::StoredFlow;
use serde_json::json;

use super::Exit;
use super::drawn::state_of;
use super::history::{History, id_of};
use super::screen::Screen;
use super::standing::{Process, Standing};
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
    let standing = history.find(matches).await?;
    let id = id_of(&standing.flow);
    if has_ended(&standing)? {
        return Err(Trouble::usage(format!(
            "run {id} has ended already: it is {}",
            standing.flow.state
        )));
    }
    if standing.flow.parent.is_some() {
        return Err(Trouble::usage(format!(
            "run {id} is a subflow: cancel the run that it belongs to"
        )));
    }
    let no = standing.flow.id;
    let request = CancelRequest::make(data_dir, FlowRunId::from_u128(no)).map_err(|error| {
        Trouble::store(format!(
            "the request cannot be left in `{}`: {error}",
            data_dir.display()
        ))
    })?;
    let heard = tokio::time::timeout(HEARD_WITHIN, async {
        while !request.is_heard() && !has_ended(&look(history, no).await?)? {
            tokio::time::sleep(PERIOD / 4).await;
        }
        Ok(())
    });
    let heard = heard.await.unwrap_or_else(|_| Err(not_heard(&standing)));
    request.withdraw();
    heard?;
    let ended = tokio::time::timeout(ENDED_WITHIN, ended(history, no));
    match ended.await {
        Ok(flow) => flow,
        Err(_) => Err(Trouble::failed(format!(
            "run {id} was asked to end, and has not after {} s",
            ENDED_WITHIN.as_secs()
        ))),
    }
}

/// Whether a run has ended. One whose process is gone will never be cancelled.
fn has_ended(standing: &Standing) -> Result<bool, Trouble> {
    match standing.process_line() {
        Some(process) if standing.is_interrupted() => Err(Trouble::failed(format!(
            "nothing runs {}: its process {process}",
            id_of(&standing.flow)
        ))),
        _ => Ok(state_of(&standing.flow.state).is_terminal()),
    }
}

fn not_heard(standing: &Standing) -> Trouble {
    let process = match &standing.process {
        Some(Process::Works(owner)) => format!("process {}", owner.pid),
        _ => "the process".to_owned(),
    };
    Trouble::failed(format!(
        "{process} has not heard it within {} s: it is stopped or stuck, or its program is built without flowkit's feature `cli`; \
         ctrl-c or SIGTERM may reach it",
        HEARD_WITHIN.as_secs()
    ))
}

/// The run as it stands now.
async fn look(history: &History, id: u128) -> Result<Standing, Trouble> {
    let flow = history.journal()?.flow(id).await?;
    let flow = flow.ok_or_else(|| Trouble::store("the journal lost the run"))?;
    history.stand(flow).await
}

/// Waits until a run has ended.
async fn ended(history: &History, id: u128) -> Result<StoredFlow, Trouble> {
    loop {
        let standing = look(history, id).await?;
        if has_ended(&standing)? {
            return Ok(standing.flow);
        }
        tokio::time::sleep(PERIOD / 2).await;
    }
}
