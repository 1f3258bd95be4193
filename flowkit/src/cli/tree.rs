//! All that a journal has of a flow run, its subflows within it.

use std::collections::HashMap;

use flowkit_journal::record::{AttemptRow, RunNo, Spot, Timestamp};
use flowkit_journal::{JournalStore, StoredEdge, StoredFlow, StoredTask};
use serde_json::{Value, json};

use super::history::id_of;
use super::times::{between, moment, now};
use super::trouble::Trouble;

/// A flow run.
pub(super) struct Tree {
    pub(super) flow: StoredFlow,
    /// Its task runs, in the order of submission; items behind their fan-out, if they were asked for.
    pub(super) tasks: Vec<Node>,
    pub(super) edges: Vec<StoredEdge>,
    pub(super) attempts: Vec<AttemptRow>,
}

/// A task run.
pub(super) struct Node {
    pub(super) task: StoredTask,
    /// The flow run that it stands for.
    pub(super) subflow: Option<Tree>,
}

/// A line about a task run: how deep it is in the tree, and whether another flow run begins below it.
pub(super) struct Line<'a> {
    pub(super) depth: usize,
    pub(super) task: &'a StoredTask,
}

impl Tree {
    /// Reads the tree that a flow run is in, and gives what is below that run.
    pub(super) async fn read(
        journal: &dyn JournalStore,
        flow: StoredFlow,
        items: bool,
    ) -> Result<Self, Trouble> {
        let wanted = flow.no;
        let mut lives = journal.tree(flow.root).await?;
        if !lives.iter().any(|life| life.no == wanted) {
            lives.push(flow.clone());
        }
        let mut parts = HashMap::new();
        for life in lives {
            let no = life.no;
            let tasks = journal.tasks(no, items).await?;
            let edges = journal.edges(no).await?;
            let attempts = journal.attempts(no).await?;
            parts.insert(no, (life, tasks, edges, attempts));
        }
        let below: HashMap<Spot, RunNo> = parts
            .values()
            .filter_map(|(life, ..)| Some((life.parent?, life.no)))
            .collect();
        let tree = assemble(wanted, &mut parts, &below);
        tree.ok_or_else(|| Trouble::store(format!("the journal lost the run {}", id_of(&flow))))
    }

    /// A line for each task run, those that a task run called below it.
    pub(super) fn lines(&self) -> Vec<Line<'_>> {
        let mut lines = Vec::new();
        self.add_lines(0, &mut lines);
        lines
    }

    fn add_lines<'a>(&'a self, depth: usize, lines: &mut Vec<Line<'a>>) {
        let mut called: HashMap<Option<Spot>, Vec<&Node>> = HashMap::new();
        let spots: std::collections::HashSet<Spot> = self.tasks.iter().map(|node| node.task.spot).collect();
        for node in &self.tasks {
            let parent = node
                .task
                .parent
                .filter(|parent| spots.contains(parent) && *parent != node.task.spot);
            called.entry(parent).or_default().push(node);
        }
        // What is still to be written, the next one last.
        let mut waiting: Vec<(usize, &Node)> = Vec::new();
        let mut add = |spot: Option<Spot>, depth: usize, waiting: &mut Vec<(usize, &'a Node)>| {
            let nodes = called.remove(&spot).unwrap_or_default();
            waiting.extend(nodes.into_iter().rev().map(|node| (depth, node)));
        };
        add(None, depth, &mut waiting);
        while let Some((depth, node)) = waiting.pop() {
            lines.push(Line {
                depth,
                task: &node.task,
            });
            if let Some(subflow) = &node.subflow {
                subflow.add_lines(depth + 1, lines);
            }
            add(Some(node.task.spot), depth + 1, &mut waiting);
        }
    }

    /// All of it, as JSON.
    pub(super) fn to_json(&self, interrupted: bool) -> Value {
        let flow = &self.flow;
        let read = |text: Option<&String>| -> Value {
            text.and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default()
        };
        let parameters = flow.parameters.as_ref().and_then(|given| given.json.as_ref());
        let mut value = flow_json(flow, interrupted);
        if let Value::Object(fields) = &mut value {
            fields.insert("parameters".to_owned(), read(parameters));
            fields.insert("value".to_owned(), read(flow.result_json.as_ref()));
            let tasks = self.tasks.iter().map(|node| self.task_json(node)).collect();
            fields.insert("tasks".to_owned(), tasks);
            let edges = self.edges.iter().map(|edge| {
                json!({ "from": self.spot_json(edge.from), "to": self.spot_json(edge.to), "parameter": edge.parameter })
            });
            fields.insert("edges".to_owned(), edges.collect());
            fields.insert("failed_attempts".to_owned(), self.attempts_json(None));
        }
        value
    }

    fn task_json(&self, node: &Node) -> Value {
        let task = &node.task;
        let key = task
            .cache_key
            .map(|key| flowkit_cache::CacheKey::from_bytes(key).to_string());
        json!({
            "run": self.spot_json(task.spot),
            "parent": task.parent.map(|parent| self.spot_json(parent)),
            "kind": format!("{:?}", task.kind),
            "name": name_of(task),
            "task": task.definition.name,
            "state": task.state,
            "attempts": task.attempts,
            "created": moment(task.created),
            "started": task.started.map(moment),
            "ended": task.ended.map(moment),
            "tags": task.tags,
            "error": task.error,
            "cache_key": key,
            "origin": task.origin,
            "uncached": task.uncached,
            "failed_attempts": self.attempts_json(Some(task.spot)),
            "subflow": node.subflow.as_ref().map(|subflow| subflow.to_json(false)),
        })
    }

    fn attempts_json(&self, of: Option<Spot>) -> Value {
        let attempts = self.attempts.iter().filter(|attempt| attempt.task == of);
        attempts
            .map(|attempt| {
                json!({
                    "attempt": attempt.attempt,
                    "started": moment(attempt.started),
                    "ended": moment(attempt.ended),
                    "error": &*attempt.error,
                })
            })
            .collect()
    }

    /// A task run of this flow run by its number there; one of another flow run by that one's number too.
    fn spot_json(&self, spot: Spot) -> Value {
        let run = (spot.run != self.flow.no).then_some(spot.run.0);
        match (run, spot.item) {
            (None, None) => json!(spot.node.to_string()),
            (None, Some(item)) => json!(format!("{}[{item}]", spot.node)),
            (Some(run), None) => json!(format!("{run}/{}", spot.node)),
            (Some(run), Some(item)) => json!(format!("{run}/{}[{item}]", spot.node)),
        }
    }
}

type Parts = HashMap<RunNo, (StoredFlow, Vec<StoredTask>, Vec<StoredEdge>, Vec<AttemptRow>)>;

/// Puts a flow run together. Each is taken once, so that a damaged journal leads into no circle.
fn assemble(no: RunNo, parts: &mut Parts, below: &HashMap<Spot, RunNo>) -> Option<Tree> {
    let (flow, tasks, edges, attempts) = parts.remove(&no)?;
    let tasks = tasks
        .into_iter()
        .map(|task| {
            let subflow = below.get(&task.spot).and_then(|no| assemble(*no, parts, below));
            Node { task, subflow }
        })
        .collect();
    Some(Tree {
        flow,
        tasks,
        edges,
        attempts,
    })
}

/// A flow run in short, as JSON.
pub(super) fn flow_json(flow: &StoredFlow, interrupted: bool) -> Value {
    json!({
        "id": id_of(flow),
        "flow": flow.definition.name,
        "name": flow.name,
        "state": flow.state,
        "interrupted": interrupted,
        "life": flow.life,
        "attempts": flow.attempts,
        "started": moment(flow.created),
        "ended": flow.ended.map(moment),
        "seconds": between(flow.created, flow.ended.unwrap_or_else(now)).as_secs_f64(),
        "tags": flow.tags,
        "error": flow.error,
    })
}

/// The name of a task run; an item's has its index.
pub(super) fn name_of(task: &StoredTask) -> String {
    let name = task.name.as_ref().unwrap_or(&task.definition.name);
    match task.spot.item {
        Some(item) => format!("{name}[{item}]"),
        None => name.clone(),
    }
}

/// How long a task run worked, if it began.
pub(super) fn worked(task: &StoredTask, until: Timestamp) -> Option<std::time::Duration> {
    Some(between(task.started?, task.ended.unwrap_or(until)))
}
