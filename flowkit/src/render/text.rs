//! A graph as text, for a terminal.

use std::fmt::Write;

use ascii_dag::{Graph, RenderOptions};

use super::Drawing;
use super::layout::{is_far, layers, lines_of};

/// With more nodes than this a drawing of letters is of no use to anybody.
const MOST: usize = 200;

impl Drawing {
    /// What whoever waits is drawn below; none if there are too many nodes.
    pub(crate) fn text(&self) -> Option<String> {
        if self.shapes.len() > MOST {
            return None;
        }
        let texts: Vec<String> = self.shapes.iter().map(|shape| one_line(&shape.text)).collect();
        let lines = lines_of(self);
        let layers = layers(self.shapes.len(), &lines);
        let mut graph = Graph::new();
        for (node, text) in texts.iter().enumerate() {
            graph.add_node(node, text.as_str());
        }
        let mut far = 0;
        for line in &lines {
            if is_far(*line, &layers) {
                far += 1;
            } else {
                graph.add_edge(line.0, line.1, None);
            }
        }
        let drawn = graph.compute_layout().render_string(&RenderOptions::plain());
        let rows = drawn.lines().map(str::trim_end);
        let mut text = rows.fold(String::new(), |text, row| text + row + "\n");
        text.truncate(text.trim_end().len());
        text.push('\n');
        if far > 0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "(not drawn: {far} lines to nodes far below)");
        }
        Some(text)
    }
}

/// A node's text in one line: `name: state, …`.
fn one_line(text: &str) -> String {
    let mut parts = text.lines();
    let name = parts.next().unwrap_or_default();
    let rest: Vec<_> = parts.collect();
    let line = format!("{name}: {}", rest.join(", "));
    line.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::render::{Drawing, Shape};
    use crate::state::State;

    fn chain(nodes: usize) -> Drawing {
        let shape = |node: usize| Shape {
            id: node.to_string(),
            text: format!("n{node}\nCompleted\n1 cached"),
            state: State::Completed,
        };
        let line = |from: usize, to: usize| (from.to_string(), to.to_string(), "calls".to_owned());
        Drawing {
            shapes: (0..nodes).map(shape).collect(),
            lines: (1..nodes)
                .flat_map(|node| [line(0, node), line(node - 1, node)])
                .collect(),
        }
    }

    #[test]
    fn a_small_graph_is_drawn_with_letters() {
        let text = chain(3).text().unwrap();
        assert!(
            text.starts_with(' ') && text.contains("[n0: Completed, 1 cached]"),
            "{text}"
        );
        let at = |node: &str| text.find(node).unwrap();
        assert!(at("n0") < at("n1") && at("n1") < at("n2"), "{text}");
    }

    #[test]
    fn what_would_take_a_mile_of_paper_is_left_out_and_said() {
        let text = chain(100).text().unwrap();
        assert!(text.lines().count() < 1_500, "{}", text.lines().count());
        assert!(
            text.ends_with("(not drawn: 93 lines to nodes far below)\n"),
            "{text}"
        );
        assert_eq!(chain(1_000).text(), None);
    }
}
