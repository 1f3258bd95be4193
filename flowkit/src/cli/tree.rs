//! All that a journal has of a flow run, its subflows within it.

use std::collections::HashMap;

use flowkit_journal::record::{AttemptRow, NodeKind, RunNo, Spot, Timestamp};
use flowkit_journal::{JournalStore, StoredEdge, StoredTask};
use serde_json::{Value, json};

use super::drawn::state_of;
use super::history::{History, id_of};
use super::standing::Standing;
use super::times::{between, moment};
use super::trouble::Trouble;
use crate::render::ItemStates;
use crate::state::State;

/// A flow run.
pub(super) struct Tree {
    pub(super) standing: Standing,
    /// Its task runs, in the order of submission; items behind their fan-out, if they were asked for.
    pub(super) tasks: Vec<Node>,
    pub(super) edges: Vec<StoredEdge>,
    pub(super) attempts: Vec<AttemptRow>,
}

/// A task run.
pub(super) struct Node {
    pub(super) task: StoredTask,
    /// How the items of a fan-out stand.
    pub(super) items: Option<ItemStates>,
    /// The flow run that it stands for.
    pub(super) subflow: Option<Tree>,
}

/// A line about a task run: how deep it is in the tree, and the flow run that it belongs to.
pub(super) struct Line<'a> {
    pub(super) depth: usize,
    pub(super) node: &'a Node,
    pub(super) within: &'a Tree,
}

impl Tree {
    /// Reads the tree that a flow run is in, and gives what is below that run.
    pub(super) async fn read(history: &History, standing: Standing, items: bool) -> Result<Self, Trouble> {
        let journal = history.journal()?;
        let (wanted, root) = (standing.flow.no, standing.flow.root);
        let id = id_of(&standing.flow);
        let mut runs = vec![standing];
        for run in journal.tree(root).await? {
            if run.no != wanted {
                runs.push(history.stand(run).await?);
            }
        }
        let mut parts = HashMap::new();
        for run in runs {
            parts.insert(run.flow.no, Part::read(journal, run, items).await?);
        }
        let below: HashMap<Spot, RunNo> = parts
            .values()
            .filter_map(|part| Some((part.standing.flow.parent?, part.standing.flow.no)))
            .collect();
        let tree = assemble(wanted, &mut parts, &below);
        tree.ok_or_else(|| Trouble::store(format!("the journal lost the run {id}")))
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
                node,
                within: self,
            });
            if let Some(subflow) = &node.subflow {
                subflow.add_lines(depth + 1, lines);
            }
            add(Some(node.task.spot), depth + 1, &mut waiting);
        }
    }

    /// All of it, as JSON.
    pub(super) fn to_json(&self) -> Value {
        let flow = &self.standing.flow;
        let read = |text: Option<&String>| -> Value {
            text.and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default()
        };
        let parameters = flow.parameters.as_ref().and_then(|given| given.json.as_ref());
        let mut value = self.standing.json();
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
            "items": node.items.as_ref().map(items_json),
            "subflow": node.subflow.as_ref().map(Self::to_json),
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
        let run = (spot.run != self.standing.flow.no).then_some(spot.run.0);
        match (run, spot.item) {
            (None, None) => json!(spot.node.to_string()),
            (None, Some(item)) => json!(format!("{}[{item}]", spot.node)),
            (Some(run), None) => json!(format!("{run}/{}", spot.node)),
            (Some(run), Some(item)) => json!(format!("{run}/{}[{item}]", spot.node)),
        }
    }
}

/// A flow run before it is put into its place.
struct Part {
    standing: Standing,
    tasks: Vec<StoredTask>,
    items: HashMap<u32, ItemStates>,
    edges: Vec<StoredEdge>,
    attempts: Vec<AttemptRow>,
}

impl Part {
    async fn read(journal: &dyn JournalStore, mut standing: Standing, items: bool) -> Result<Self, Trouble> {
        let no = standing.flow.no;
        let mut tasks = journal.tasks(no, items).await?;
        tasks.iter_mut().for_each(|task| standing.see(task));
        let mut counted: HashMap<u32, ItemStates> = HashMap::new();
        for count in journal.item_counts(no).await? {
            let state = match state_of(&count.state) {
                state if standing.is_interrupted() && !state.is_terminal() => State::Crashed,
                state => state,
            };
            counted.entry(count.node).or_default().add(state, count.items);
        }
        Ok(Self {
            tasks,
            items: counted,
            edges: journal.edges(no).await?,
            attempts: journal.attempts(no).await?,
            standing,
        })
    }
}

/// Puts a flow run together. Each is taken once, so that a damaged journal leads into no circle.
fn assemble(no: RunNo, parts: &mut HashMap<RunNo, Part>, below: &HashMap<Spot, RunNo>) -> Option<Tree> {
    let mut part = parts.remove(&no)?;
    let tasks: Vec<_> = part
        .tasks
        .into_iter()
        .map(|task| Node {
            subflow: below.get(&task.spot).and_then(|no| assemble(*no, parts, below)),
            items: match task.kind {
                NodeKind::FanOut => Some(part.items.remove(&task.spot.node).unwrap_or_default()),
                NodeKind::Task | NodeKind::Subflow => None,
            },
            task,
        })
        .collect();
    for below in tasks.iter().filter_map(|node| node.subflow.as_ref()) {
        part.standing.last_seen = part.standing.last_seen.max(below.standing.last_seen);
    }
    Some(Tree {
        standing: part.standing,
        tasks,
        edges: part.edges,
        attempts: part.attempts,
    })
}

fn items_json(items: &ItemStates) -> Value {
    let states = items
        .states()
        .map(|(state, runs)| (state.name().to_owned(), json!(runs)));
    json!({
        "total": items.total(),
        "finished": items.finished(),
        "failed": items.failed(),
        "cached": items.cached(),
        "states": Value::Object(states.collect()),
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
