//! A graph as SVG: whatever a run waits for, or is called by, is above it.

use std::fmt::Write;

use super::layout::{Place, lines_of, places};
use super::words::{escape, shortened};
use super::{Drawing, Shape, colour};

const WIDTH: usize = 190;
/// Of a node whose text has two lines; a third makes it higher.
const HEIGHT: usize = 44;
const LINE: usize = 15;
const ACROSS: usize = 220;
/// Between two rows.
const BETWEEN: usize = 52;
const MARGIN: usize = 20;
/// How many letters fit into a node.
const LETTERS: usize = 28;

/// Where a node is on the page.
struct Frame {
    height: usize,
}

impl Frame {
    fn corner(&self, place: Place) -> (usize, usize) {
        let left = MARGIN + place.across * ACROSS / 100;
        (left, MARGIN + place.row * (self.height + BETWEEN))
    }
}

impl Drawing {
    /// An SVG image.
    pub(crate) fn svg(&self, title: &str) -> String {
        let lines = lines_of(self);
        let places = places(self.shapes.len(), &lines);
        let more = self.shapes.iter().any(|shape| shape.text.lines().count() > 2);
        let frame = Frame {
            height: if more { HEIGHT + LINE } else { HEIGHT },
        };
        let corners: Vec<_> = places.iter().map(|place| frame.corner(*place)).collect();
        let right = corners.iter().map(|(x, _)| x + WIDTH).max().unwrap_or(0) + MARGIN;
        let bottom = corners.iter().map(|(_, y)| y + frame.height).max().unwrap_or(0) + MARGIN;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {right} {bottom}\" width=\"{right}\" height=\"{bottom}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <title>{}</title>\n\
             <defs><marker id=\"arrow\" markerWidth=\"8\" markerHeight=\"8\" refX=\"7\" refY=\"4\" orient=\"auto\"><path d=\"M0,0 L8,4 L0,8 z\" fill=\"#616161\"/></marker></defs>\n",
            escape(title)
        );
        let corner = std::collections::HashMap::<&str, _>::from_iter(
            self.shapes.iter().map(|shape| shape.id.as_str()).zip(&corners),
        );
        for (from, to, text) in &self.lines {
            if let (Some(from), Some(to)) = (corner.get(from.as_str()), corner.get(to.as_str())) {
                line(&mut out, &frame, **from, **to, text);
            }
        }
        for (shape, corner) in self.shapes.iter().zip(&corners) {
            node(&mut out, &frame, *corner, shape);
        }
        out.push_str("</svg>\n");
        out
    }
}

fn node(out: &mut String, frame: &Frame, (x, y): (usize, usize), shape: &Shape) {
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<g><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{}\" rx=\"6\" fill=\"{}\" stroke=\"#616161\"/>",
        escape(&shape.text.replace('\n', ": ")),
        frame.height,
        colour(shape.state)
    );
    let middle = x + WIDTH / 2;
    for (number, text) in shape.text.lines().take(3).enumerate() {
        let below = y + 18 + LINE * number;
        let _ = write!(
            out,
            "<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\" fill=\"#212121\">{}</text>",
            escape(&shortened(text, LETTERS))
        );
    }
    out.push_str("</g>\n");
}

fn line(out: &mut String, frame: &Frame, from: (usize, usize), to: (usize, usize), text: &str) {
    let (x1, y1) = (from.0 + WIDTH / 2, from.1 + frame.height);
    let (x2, y2) = (to.0 + WIDTH / 2, to.1);
    let bend = BETWEEN * 2 / 3;
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

#[cfg(test)]
mod tests {
    use super::*;
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
    fn every_node_and_line_is_drawn_and_nothing_is_taken_for_markup() {
        let svg = drawing(&["a", "b", "c"], &[("a", "b"), ("b", "c"), ("a", "c")]).svg("a & b");
        assert!(svg.contains("&lt;a&gt;") && svg.contains("a &amp; b"), "{svg}");
        assert_eq!(
            (svg.matches("<rect").count(), svg.matches("marker-end").count()),
            (3, 3)
        );
        assert!(
            svg.contains("height=\"276\""),
            "three rows of 44, 52 between them: {svg}"
        );
    }

    #[test]
    fn a_circle_that_only_damage_can_make_is_drawn_all_the_same() {
        let drawing = drawing(&["a", "b"], &[("a", "b"), ("b", "a"), ("b", "b")]);
        assert!(drawing.svg("").contains("</svg>"));
    }
}
