//! `graph`: the graph of a run, out of the journal.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;
use flowkit_journal::record::Spot;
use serde_json::{Value, json};

use super::Exit;
use super::screen::Screen;
use super::shown;
use super::tree::{Tree, name_of};
use super::trouble::Trouble;
use crate::render::{Drawing, Shape, label};
use crate::state::State;

/// Draws the graph of a run.
pub(super) async fn graph(
    data_dir: &Path,
    matches: &ArgMatches,
    screen: &mut Screen<'_>,
) -> Result<Exit, Trouble> {
    let format = format_of(matches, screen)?;
    let tree = shown::tree(data_dir, matches).await?;
    let drawing = drawing_of(&tree);
    let drawn = match format {
        "json" => format!("{:#}\n", to_json(&drawing)),
        "dot" => drawing.dot(&tree.standing.flow.name),
        "text" => drawing.text().ok_or_else(|| {
            let nodes = drawing.shapes.len();
            Trouble::failed(format!(
                "a graph of {nodes} nodes is too large for text: `--format svg --output FILE` draws it"
            ))
        })?,
        "svg" => drawing.svg(&tree.standing.flow.name),
        _ => drawing.mermaid(),
    };
    write(&drawn, matches, screen)
}

/// In which form something is drawn. `--json` is one, and goes with no other.
pub(super) fn format_of<'a>(matches: &'a ArgMatches, screen: &Screen<'_>) -> Result<&'a str, Trouble> {
    let typed = matches.get_one::<String>("format").map_or("", String::as_str);
    let is_typed = matches.value_source("format") == Some(ValueSource::CommandLine);
    match (screen.json, is_typed) {
        (true, true) if typed != "json" => Err(Trouble::usage(format!(
            "`--json` and `--format {typed}` are two forms, and one can be printed: leave one of them out"
        ))),
        (true, _) => Ok("json"),
        (false, _) => Ok(typed),
    }
}

/// Prints what was drawn, or writes it to the file that was named.
pub(super) fn write(drawn: &str, matches: &ArgMatches, screen: &mut Screen<'_>) -> Result<Exit, Trouble> {
    let Some(file) = matches.get_one::<PathBuf>("output") else {
        screen.print(drawn);
        return Ok(Exit::Completed);
    };
    std::fs::write(file, drawn)
        .map_err(|error| Trouble::failed(format!("`{}` cannot be written: {error}", file.display())))?;
    screen.tell(&format!("written to {}", file.display()));
    Ok(Exit::Completed)
}

fn to_json(drawing: &Drawing) -> Value {
    let nodes = drawing.shapes.iter().map(|shape| {
        let name = shape.text.lines().next().unwrap_or_default();
        json!({ "id": shape.id, "name": name, "state": shape.state })
    });
    let edges = drawing
        .lines
        .iter()
        .map(|(from, to, label)| json!({ "from": from, "to": to, "label": label }));
    json!({ "nodes": nodes.collect::<Value>(), "edges": edges.collect::<Value>() })
}

/// A state by its name. One that this program does not know counts as not ended.
pub(super) fn state_of(name: &str) -> State {
    let state = State::ALL.into_iter().find(|state| state.name() == name);
    state.unwrap_or(State::Pending)
}

fn drawing_of(tree: &Tree) -> Drawing {
    let mut drawing = Drawing::default();
    let mut ids = HashMap::new();
    add_shapes(tree, "", &mut drawing, &mut ids);
    add_lines(tree, &mut drawing, &ids);
    drawing
}

fn add_shapes(tree: &Tree, prefix: &str, drawing: &mut Drawing, ids: &mut HashMap<Spot, String>) {
    for node in &tree.tasks {
        let task = &node.task;
        let id = format!("{prefix}n{}", task.spot.node);
        drawing.shapes.push(Shape {
            id: id.clone(),
            text: label(&name_of(task), &task.state, task.attempts, node.items.as_ref()),
            state: state_of(&task.state),
        });
        if let Some(subflow) = &node.subflow {
            add_shapes(subflow, &format!("{id}_"), drawing, ids);
        }
        ids.insert(task.spot, id);
    }
}

fn add_lines(tree: &Tree, drawing: &mut Drawing, ids: &HashMap<Spot, String>) {
    // The items of a fan-out share its node, and so their edges.
    let id_of = |spot: Spot| ids.get(&Spot { item: None, ..spot });
    let mut add = |from: Spot, to: Spot, text: &str| {
        if let (Some(from), Some(to)) = (id_of(from), id_of(to)) {
            let line = (from.clone(), to.clone(), text.to_owned());
            if !drawing.lines.contains(&line) {
                drawing.lines.push(line);
            }
        }
    };
    for node in &tree.tasks {
        if let Some(parent) = node.task.parent {
            add(parent, node.task.spot, "calls");
        }
        let inside = node.subflow.iter().flat_map(|subflow| &subflow.tasks);
        for inside in inside.filter(|inside| inside.task.parent.is_none()) {
            add(node.task.spot, inside.task.spot, "calls");
        }
    }
    for edge in &tree.edges {
        add(edge.from, edge.to, edge.parameter.as_deref().unwrap_or("after"));
    }
    for subflow in tree.tasks.iter().filter_map(|node| node.subflow.as_ref()) {
        add_lines(subflow, drawing, ids);
    }
}
