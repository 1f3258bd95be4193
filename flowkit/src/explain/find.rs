//! Which task run is meant: by its id, its number in the flow run, or its name.

use flowkit_journal::record::Spot;
use flowkit_journal::{JournalStore, StoredFlow, StoredTask};

use super::run_id;
use crate::error::{Error, ErrorKind};
use crate::ids::{FlowRunId, NodeRef, TaskRunId};
use crate::journaling::journal_error;

/// How many ids an error lists of runs that have the same name.
const LISTED: usize = 8;

/// Which task run of a flow run is meant.
///
/// Text may be the name of the task or of its run, its number in the flow run (`7`), either of them with the index of an item of a fan-out
/// (`extract[12]`, `7[12]`), or a whole [`TaskRunId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhichTask<'a> {
    /// As people write it.
    Text(&'a str),
    /// This one.
    Run(TaskRunId),
}

impl<'a> From<&'a str> for WhichTask<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for WhichTask<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl From<TaskRunId> for WhichTask<'_> {
    fn from(run: TaskRunId) -> Self {
        Self::Run(run)
    }
}

fn refused(detail: String) -> Error {
    Error::about_runtime(ErrorKind::Input, detail)
}

async fn flow_of(store: &dyn JournalStore, run: FlowRunId) -> Result<StoredFlow, Error> {
    let flow = store
        .flow(run.as_u128())
        .await
        .map_err(|trouble| journal_error(&trouble))?;
    flow.ok_or_else(|| refused(format!("the journal has no flow run {run}")))
}

/// The task run, and the life of the flow run that it belongs to.
pub(super) async fn find(
    store: &dyn JournalStore,
    run: FlowRunId,
    which: WhichTask<'_>,
) -> Result<(StoredFlow, StoredTask), Error> {
    let text = match which {
        WhichTask::Run(id) => {
            let flow = flow_of(store, id.flow_run()).await?;
            return at(store, flow, id).await;
        }
        WhichTask::Text(text) => text,
    };
    let flow = flow_of(store, run).await?;
    let mut named = named(store, &flow, text).await?;
    match (named.pop(), named.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            named.push(last);
            Err(refused(several(text, &named)))
        }
        (None, _) => {
            // Text that says where the run stands: in this flow run, or in which.
            let place = format!("{run}/{text}").parse().or_else(|_| text.parse());
            let Ok(id) = place else {
                return Err(refused(format!("flow run {run} has no task run named `{text}`")));
            };
            find_at(store, flow, id).await
        }
    }
}

async fn find_at(
    store: &dyn JournalStore,
    flow: StoredFlow,
    id: TaskRunId,
) -> Result<(StoredFlow, StoredTask), Error> {
    if id.flow_run().as_u128() == flow.id {
        return at(store, flow, id).await;
    }
    let flow = flow_of(store, id.flow_run()).await?;
    at(store, flow, id).await
}

async fn at(
    store: &dyn JournalStore,
    flow: StoredFlow,
    id: TaskRunId,
) -> Result<(StoredFlow, StoredTask), Error> {
    let spot = Spot {
        run: flow.no,
        node: id.node(),
        item: id.item(),
    };
    let task = store
        .task(spot)
        .await
        .map_err(|trouble| journal_error(&trouble))?;
    match task {
        Some(task) => Ok((flow, task)),
        None => Err(refused(format!("the journal has no task run {id}"))),
    }
}

/// The runs of this name, in the flow run or else in the subflows below it.
async fn named(
    store: &dyn JournalStore,
    flow: &StoredFlow,
    text: &str,
) -> Result<Vec<(StoredFlow, StoredTask)>, Error> {
    let own = named_in(store, flow, text).await?;
    if !own.is_empty() {
        return Ok(own);
    }
    let tree = store.tree(flow.root).await;
    let tree = tree.map_err(|trouble| journal_error(&trouble))?;
    let mut below = vec![flow.no];
    let mut found = Vec::new();
    // Whatever is called has a larger number than its caller.
    for subflow in &tree {
        if subflow.parent.is_some_and(|parent| below.contains(&parent.run)) {
            below.push(subflow.no);
            found.extend(named_in(store, subflow, text).await?);
        }
    }
    Ok(found)
}

async fn named_in(
    store: &dyn JournalStore,
    flow: &StoredFlow,
    text: &str,
) -> Result<Vec<(StoredFlow, StoredTask)>, Error> {
    let unreadable = |trouble: flowkit_journal::JournalError| journal_error(&trouble);
    let tasks = store.tasks(flow.no, false).await.map_err(unreadable)?;
    let with = |name: &str| {
        let is_named =
            |task: &&StoredTask| task.name.as_deref() == Some(name) || task.definition.name == name;
        tasks.iter().filter(is_named).cloned().collect::<Vec<_>>()
    };
    let whole = with(text);
    if !whole.is_empty() {
        return Ok(whole.into_iter().map(|task| (flow.clone(), task)).collect());
    }
    let Some((name, index)) = text.strip_suffix(']').and_then(|text| text.rsplit_once('[')) else {
        return Ok(Vec::new());
    };
    let Ok(index) = index.parse::<u32>() else {
        return Ok(Vec::new());
    };
    let mut items = Vec::new();
    for fan_out in with(name) {
        let place = NodeRef::item(fan_out.spot.node, index);
        let spot = Spot {
            item: place.index(),
            ..fan_out.spot
        };
        items.extend(store.task(spot).await.map_err(unreadable)?);
    }
    Ok(items.into_iter().map(|task| (flow.clone(), task)).collect())
}

/// Asks which of several is meant.
fn several(text: &str, found: &[(StoredFlow, StoredTask)]) -> String {
    let ids = found
        .iter()
        .take(LISTED)
        .map(|(flow, task)| run_id(flow, task.spot).to_string());
    let listed = ids.collect::<Vec<_>>().join(", ");
    let more = if found.len() > LISTED { ", …" } else { "" };
    format!(
        "{} task runs are named `{text}`: name one of them by its id, of {listed}{more}",
        found.len()
    )
}
