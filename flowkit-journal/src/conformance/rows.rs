//! Rows to test with.

use std::sync::Arc;

use crate::record::{
    AnswerRow, AttemptRow, DefinitionRow, EdgeRow, Effect, FlowRow, LogRow, NodeKind, RunNo, Spot, TaskRow,
    Timestamp,
};

/// A task of this name.
pub fn definition(name: &str) -> Arc<DefinitionRow> {
    Arc::new(DefinitionRow {
        is_flow: false,
        package: "plants".to_owned(),
        module: "plants::steps".to_owned(),
        name: name.to_owned(),
        code: "c0de".to_owned(),
        parameters: vec!["source".to_owned(), "limit".to_owned()],
    })
}

/// A flow of this name.
pub fn flow_definition(name: &str) -> Arc<DefinitionRow> {
    let task = Arc::unwrap_or_clone(definition(name));
    Arc::new(DefinitionRow {
        is_flow: true,
        ..task
    })
}

/// A flow run that goes on, in its first life.
pub fn flow(no: u64, id: u128) -> FlowRow {
    FlowRow {
        no: RunNo(no),
        id,
        life: 1,
        root: RunNo(no),
        parent: None,
        definition: flow_definition("pipeline"),
        name: format!("pipeline-{no}").into(),
        tags: Vec::new(),
        state: "Running",
        attempts: 1,
        error: None,
        created: Timestamp(1_000_000 * i64::try_from(no).unwrap_or(0)),
        ended: None,
        parameters: None,
        result_json: None,
    }
}

/// The same, ended at this second.
pub fn ended(flow: FlowRow, second: i64) -> FlowRow {
    FlowRow {
        state: "Completed",
        ended: Some(Timestamp(second * 1_000_000)),
        ..flow
    }
}

/// A place of a task.
pub fn spot(run: u64, node: u32) -> Spot {
    Spot {
        run: RunNo(run),
        node,
        item: None,
    }
}

/// A place of an item of a fan-out.
pub fn item(run: u64, node: u32, index: u32) -> Spot {
    Spot {
        item: Some(index),
        ..spot(run, node)
    }
}

/// A task run that has completed, with nothing that is not needed.
pub fn task(spot: Spot) -> TaskRow {
    TaskRow {
        spot,
        parent: spot.item.map(|_| Spot { item: None, ..spot }),
        kind: NodeKind::Task,
        definition: definition("extract"),
        name: None,
        tags: Vec::new(),
        state: "Completed",
        attempts: 1,
        error: None,
        created: Timestamp(2_000_000),
        started: Some(Timestamp(2_000_500)),
        ended: Some(Timestamp(2_100_000)),
        place: None,
        inputs: Vec::new(),
        cache_key: None,
        origin: None,
        uncached: None,
        effect: Effect::None,
        result: None,
    }
}

/// The same with a result.
pub fn with_result(task: TaskRow, result: &[u8]) -> TaskRow {
    TaskRow {
        result: Some(result.into()),
        ..task
    }
}

/// What was given to a flow run that waited.
pub fn answer(run: u64, place: u8, value: &[u8]) -> AnswerRow {
    AnswerRow {
        run: RunNo(run),
        place: [place; 16],
        key: "approval".into(),
        at: Timestamp(3_000_000),
        value: value.into(),
    }
}

/// A line of log.
pub fn log(run: u64, task: Option<Spot>, message: &str) -> LogRow {
    LogRow {
        run: RunNo(run),
        task,
        attempt: 1,
        at: Timestamp(2_000_000),
        level: 3,
        target: "plants::steps".into(),
        message: message.to_owned(),
    }
}

/// An attempt that failed.
pub fn attempt(run: u64, task: Option<Spot>, attempt: u32) -> AttemptRow {
    AttemptRow {
        task,
        run: RunNo(run),
        attempt,
        started: Timestamp(2_000_000 + i64::from(attempt)),
        ended: Timestamp(3_000_000 + i64::from(attempt)),
        error: format!("attempt {attempt} failed: no such file").into(),
    }
}

/// An edge.
pub fn edge(from: Spot, to: Spot, parameter: Option<&'static str>) -> EdgeRow {
    EdgeRow { from, to, parameter }
}
