//! A row that was written, as a journal gives it back.

use std::sync::Arc;

use crate::record::{FlowRow, LogRow, TaskRow};
use crate::store::{StoredFlow, StoredLog, StoredTask};

fn owned(text: Option<&Arc<str>>) -> Option<String> {
    text.map(|text| text.as_ref().to_owned())
}

impl From<&FlowRow> for StoredFlow {
    fn from(row: &FlowRow) -> Self {
        Self {
            no: row.no,
            id: row.id,
            life: row.life,
            root: row.root,
            parent: row.parent,
            definition: Arc::clone(&row.definition),
            name: row.name.as_ref().to_owned(),
            tags: row.tags.clone(),
            state: row.state.to_owned(),
            attempts: row.attempts,
            error: owned(row.error.as_ref()),
            created: row.created,
            ended: row.ended,
            parameters: row.parameters.as_deref().cloned(),
            result_json: owned(row.result_json.as_ref()),
        }
    }
}

impl From<&TaskRow> for StoredTask {
    fn from(row: &TaskRow) -> Self {
        Self {
            spot: row.spot,
            parent: row.parent,
            kind: row.kind,
            definition: Arc::clone(&row.definition),
            name: owned(row.name.as_ref()),
            tags: row.tags.clone(),
            state: row.state.to_owned(),
            attempts: row.attempts,
            error: owned(row.error.as_ref()),
            created: row.created,
            started: row.started,
            ended: row.ended,
            place: row.place,
            inputs: row.inputs.clone(),
            cache_key: row.cache_key,
            origin: owned(row.origin.as_ref()),
            uncached: owned(row.uncached.as_ref()),
            effect: row.effect,
            has_result: row.result.is_some(),
        }
    }
}

impl From<&LogRow> for StoredLog {
    fn from(row: &LogRow) -> Self {
        Self {
            task: row.task,
            attempt: row.attempt,
            at: row.at,
            level: row.level,
            target: row.target.as_ref().to_owned(),
            message: row.message.clone(),
        }
    }
}
