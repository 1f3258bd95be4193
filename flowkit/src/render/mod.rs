//! Draws the record of a run: Mermaid, Graphviz, JSON. Formats nothing until it is asked.

mod items;
#[cfg(feature = "svg")]
mod layout;
#[cfg(feature = "svg")]
mod svg;
#[cfg(feature = "cli")]
mod text;
#[cfg(feature = "svg")]
pub(crate) mod words;

use std::collections::HashMap;
use std::fmt::Write;

use crate::ids::TaskRunId;
pub(crate) use crate::render::items::ItemStates;
use crate::run::{RunRecord, TaskRun};
use crate::state::State;

/// The record, as indented JSON.
pub(crate) fn json(record: &RunRecord) -> String {
    // Only a map with keys that are no strings could fail here, and a record has none.
    serde_json::to_string_pretty(record).unwrap_or_default()
}

/// A node of a drawing: an id without special characters, what it says, and its state.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) state: State,
}

/// The lines of a drawing: the nodes of a run and, indented below them, those of its subflows.
#[derive(Debug, Default)]
pub(crate) struct Drawing {
    pub(crate) shapes: Vec<Shape>,
    /// From, to, and what the line says.
    pub(crate) lines: Vec<(String, String, String)>,
}

fn draw(record: &RunRecord, prefix: &str, drawing: &mut Drawing) {
    let id_of = |id: TaskRunId| format!("{prefix}n{}", id.node());
    let mut drawn = HashMap::new();
    for task in &record.tasks {
        let id = id_of(task.id);
        drawing.shapes.push(Shape {
            id: id.clone(),
            text: text_of(task),
            state: task.state,
        });
        if let Some(subflow) = &task.subflow {
            let inner = format!("{id}_");
            draw(subflow, &inner, drawing);
            let first: Vec<_> = subflow
                .tasks
                .iter()
                .filter(|inside| inside.parent.is_none())
                .collect();
            for inside in first {
                drawing.lines.push((
                    id.clone(),
                    format!("{inner}n{}", inside.id.node()),
                    "calls".to_owned(),
                ));
            }
        }
        drawn.insert(task.id.node(), ());
    }
    for task in &record.tasks {
        if let Some(parent) = task.parent {
            drawing
                .lines
                .push((id_of(parent), id_of(task.id), "calls".to_owned()));
        }
    }
    let mut edges: Vec<(String, String, String)> = Vec::new();
    for edge in record
        .edges
        .iter()
        .filter(|edge| edge.from.flow_run() == record.id)
    {
        let line = (
            id_of(edge.from),
            id_of(edge.to),
            edge.parameter.unwrap_or("after").to_owned(),
        );
        // The items of a fan-out share its node, and so their edges.
        if !edges.contains(&line) {
            edges.push(line);
        }
    }
    drawing.lines.extend(edges);
}

fn text_of(task: &TaskRun) -> String {
    let items = task.fan_out.as_ref().map(|fan_out| {
        let states = fan_out.states.iter();
        let counted = states.map(|(state, items)| (*state, u64::try_from(*items).unwrap_or(u64::MAX)));
        counted.collect::<ItemStates>()
    });
    label(&task.name, task.state.name(), task.attempts, items.as_ref())
}

/// What a node says: its name, and below it how it stands.
pub(crate) fn label(name: &str, state: &str, attempts: u32, items: Option<&ItemStates>) -> String {
    let mut text = name.to_owned();
    // Writing to a string cannot fail.
    if let Some(items) = items {
        let _ = write!(text, " × {}", items.total());
    }
    let _ = write!(text, "\n{state}");
    if attempts > 1 {
        let _ = write!(text, ", {attempts} attempts");
    }
    if let Some(notable) = items
        .map(ItemStates::notable)
        .filter(|notable| !notable.is_empty())
    {
        let _ = write!(text, "\n{notable}");
    }
    text
}

fn drawing_of(record: &RunRecord) -> Drawing {
    let mut drawing = Drawing::default();
    draw(record, "", &mut drawing);
    drawing
}

/// A colour by state: what went well, what went wrong, what was spared.
pub(crate) fn colour(state: State) -> &'static str {
    match state {
        State::Completed => "#c8e6c9",
        State::Cached => "#bbdefb",
        State::Failed | State::TimedOut | State::Crashed => "#ffcdd2",
        State::UpstreamFailed | State::Cancelled | State::RolledBack => "#e0e0e0",
        _ => "#fff9c4",
    }
}

/// A Mermaid flowchart.
pub(crate) fn mermaid(record: &RunRecord) -> String {
    drawing_of(record).mermaid()
}

/// An SVG image.
#[cfg(feature = "svg")]
pub(crate) fn svg(record: &RunRecord) -> String {
    drawing_of(record).svg(&record.name)
}

/// A Graphviz digraph.
pub(crate) fn dot(record: &RunRecord) -> String {
    drawing_of(record).dot(&record.name)
}

impl Drawing {
    /// A Mermaid flowchart.
    pub(crate) fn mermaid(&self) -> String {
        let mut out = String::from("flowchart TD\n");
        for shape in &self.shapes {
            let text = shape.text.replace('"', "#quot;").replace('\n', "<br/>");
            let _ = writeln!(out, "    {}[\"{text}\"]:::{}", shape.id, shape.state.name());
        }
        for (from, to, text) in &self.lines {
            let arrow = if text == "calls" { "-.->" } else { "-->" };
            let _ = writeln!(out, "    {from} {arrow}|{text}| {to}");
        }
        let mut states: Vec<State> = self.shapes.iter().map(|shape| shape.state).collect();
        states.sort_unstable();
        states.dedup();
        for state in states {
            let _ = writeln!(
                out,
                "    classDef {} fill:{},stroke:#616161,color:#212121",
                state.name(),
                colour(state)
            );
        }
        out
    }

    /// A Graphviz digraph.
    pub(crate) fn dot(&self, name: &str) -> String {
        let escape = |text: &str| {
            text.replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n")
        };
        let mut out = format!(
            "digraph \"{}\" {{\n    node [shape=box, style=\"rounded,filled\"];\n",
            escape(name)
        );
        for shape in &self.shapes {
            let _ = writeln!(
                out,
                "    {} [label=\"{}\", fillcolor=\"{}\"];",
                shape.id,
                escape(&shape.text),
                colour(shape.state)
            );
        }
        for (from, to, text) in &self.lines {
            let style = if text == "calls" { ", style=dashed" } else { "" };
            let _ = writeln!(out, "    {from} -> {to} [label=\"{}\"{style}];", escape(text));
        }
        out.push_str("}\n");
        out
    }
}
