//! A graph as SVG: whatever a run waits for, or is called by, is above it.

use std::collections::HashMap;
use std::fmt::Write;

use crate::render::{Drawing, colour};

const WIDTH: usize = 190;
const HEIGHT: usize = 44;
const ACROSS: usize = 220;
const DOWN: usize = 96;
const MARGIN: usize = 20;

/// Draws it.
pub(super) fn svg(drawing: &Drawing, title: &str) -> String {
    let places = places(drawing);
    let right = places.values().map(|(x, _)| x + WIDTH).max().unwrap_or(0) + MARGIN;
    let bottom = places.values().map(|(_, y)| y + HEIGHT).max().unwrap_or(0) + MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {right} {bottom}\" width=\"{right}\" height=\"{bottom}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>{}</title>\n\
         <defs><marker id=\"arrow\" markerWidth=\"8\" markerHeight=\"8\" refX=\"7\" refY=\"4\" orient=\"auto\"><path d=\"M0,0 L8,4 L0,8 z\" fill=\"#616161\"/></marker></defs>\n",
        escape(title)
    );
    for (from, to, text) in &drawing.lines {
        if let (Some(from), Some(to)) = (places.get(from.as_str()), places.get(to.as_str())) {
            line(&mut out, *from, *to, text);
        }
    }
    for shape in &drawing.shapes {
        let Some((x, y)) = places.get(shape.id.as_str()) else {
            continue;
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\" fill=\"{}\" stroke=\"#616161\"/>",
            colour(shape.state)
        );
        for (number, text) in shape.text.lines().take(2).enumerate() {
            let (middle, below) = (x + WIDTH / 2, y + 18 + 16 * number);
            let _ = writeln!(
                out,
                "<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\" fill=\"#212121\">{}</text>",
                escape(&shortened(text, 28))
            );
        }
    }
    out.push_str("</svg>\n");
    out
}

fn line(out: &mut String, from: (usize, usize), to: (usize, usize), text: &str) {
    let (x1, y1) = (from.0 + WIDTH / 2, from.1 + HEIGHT);
    let (x2, y2) = (to.0 + WIDTH / 2, to.1);
    let bend = DOWN / 3;
    let dashes = if text == "calls" {
        " stroke-dasharray=\"5 4\""
    } else {
        ""
    };
    let (below, above) = (y1 + bend, y2.saturating_sub(bend));
    let _ = writeln!(
        out,
        "<path d=\"M{x1},{y1} C{x1},{below} {x2},{above} {x2},{y2}\" fill=\"none\" stroke=\"#616161\" marker-end=\"url(#arrow)\"{dashes}><title>{}</title></path>",
        escape(text)
    );
}

/// Where the upper left corner of each node is.
fn places(drawing: &Drawing) -> HashMap<&str, (usize, usize)> {
    let layers = layers(drawing);
    let mut filled: Vec<usize> = Vec::new();
    let mut places = HashMap::new();
    for shape in &drawing.shapes {
        let layer = layers.get(shape.id.as_str()).copied().unwrap_or(0);
        if filled.len() <= layer {
            filled.resize(layer + 1, 0);
        }
        if let Some(column) = filled.get_mut(layer) {
            let place = (MARGIN + *column * ACROSS, MARGIN + layer * DOWN);
            places.insert(shape.id.as_str(), place);
            *column += 1;
        }
    }
    places
}

/// How many nodes are above each, on the longest way. Runs wait only for runs that were there before, so there is no circle; a damaged journal's is cut.
fn layers(drawing: &Drawing) -> HashMap<&str, usize> {
    let mut layers: HashMap<&str, usize> = drawing
        .shapes
        .iter()
        .map(|shape| (shape.id.as_str(), 0))
        .collect();
    for _ in 0..drawing.shapes.len() {
        let mut changed = false;
        for (from, to, _) in &drawing.lines {
            let above = layers.get(from.as_str()).copied();
            if let (Some(above), Some(layer)) = (above, layers.get_mut(to.as_str()))
                && *layer <= above
                && from != to
                && above < drawing.shapes.len()
            {
                *layer = above + 1;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    layers
}

/// A text that fits.
pub(super) fn shortened(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    let start: String = text.chars().take(letters.saturating_sub(1)).collect();
    format!("{start}…")
}

/// A text within XML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ if letter.is_control() => escaped.push(' '),
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Shape;
    use crate::state::State;

    fn drawing(shapes: &[&str], lines: &[(&str, &str)]) -> Drawing {
        let shape = |id: &&str| Shape {
            id: (*id).to_owned(),
            text: format!("<{id}>\nCompleted"),
            state: State::Completed,
        };
        let line = |(from, to): &(&str, &str)| ((*from).to_owned(), (*to).to_owned(), "x".to_owned());
        Drawing {
            shapes: shapes.iter().map(shape).collect(),
            lines: lines.iter().map(line).collect(),
        }
    }

    #[test]
    fn a_node_is_below_everything_that_it_waits_for() {
        let drawing = drawing(&["a", "b", "c"], &[("a", "b"), ("b", "c"), ("a", "c")]);
        let layers = layers(&drawing);
        assert_eq!((layers["a"], layers["b"], layers["c"]), (0, 1, 2));
        let svg = svg(&drawing, "a & b");
        assert!(svg.contains("&lt;a&gt;") && svg.contains("a &amp; b"), "{svg}");
    }

    #[test]
    fn a_circle_that_only_damage_can_make_is_drawn_all_the_same() {
        let drawing = drawing(&["a", "b"], &[("a", "b"), ("b", "a"), ("b", "b")]);
        assert!(svg(&drawing, "").contains("</svg>"));
    }
}
