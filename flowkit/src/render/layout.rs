//! Where the nodes of a drawing are: in layers, each below everything that leads to it.

use std::collections::HashMap;

use ascii_dag::Graph;

use super::Drawing;

/// How many layers a line may cross for the layout to know of it: it makes room for each of them. What a node is called by is often far above it, and with
/// all of that a thousand nodes would take half a million rows.
const NEAR: usize = 6;
/// With more lines than this, nothing is to be seen by their order.
const MOST_LINES: usize = 50_000;
/// A layer of more nodes than this is broken into rows, and then all are.
const WIDEST: usize = 24;
/// As wide as each node is taken to be, in cells of text, two for its border not counted.
const LABEL: &str = "....................";
/// How far the layout has nodes apart, border and gap counted.
const CELLS: usize = 25;

/// Where a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Hundredths of a column from the left.
    pub(super) across: usize,
    /// Rows from the top.
    pub(super) row: usize,
}

/// The lines of a drawing, as numbers of its nodes, each once and none from a node to itself.
pub(super) fn lines_of(drawing: &Drawing) -> Vec<(usize, usize)> {
    let numbers: HashMap<&str, usize> = (0..)
        .zip(&drawing.shapes)
        .map(|(number, shape)| (shape.id.as_str(), number))
        .collect();
    let number = |id: &String| numbers.get(id.as_str()).copied();
    let lines = drawing.lines.iter();
    let mut lines: Vec<_> = lines
        .filter_map(|(from, to, _)| number(from).zip(number(to)))
        .filter(|(from, to)| from != to)
        .collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// Where the nodes of a drawing are, in the order of its shapes.
pub(super) fn places(nodes: usize, lines: &[(usize, usize)]) -> Vec<Place> {
    let layers = layers(nodes, lines);
    let across = across(nodes, lines, &layers);
    let mut rows: Vec<Vec<usize>> = Vec::new();
    for (node, layer) in layers.iter().enumerate() {
        if rows.len() <= *layer {
            rows.resize(layer + 1, Vec::new());
        }
        if let Some(row) = rows.get_mut(*layer) {
            row.push(node);
        }
    }
    let cell = |node: &usize| across.get(*node).copied().unwrap_or(0);
    rows.iter_mut()
        .for_each(|row| row.sort_by_key(|node| (cell(node), *node)));
    let broken = rows.iter().any(|row| row.len() > WIDEST);
    let mut places = vec![Place { across: 0, row: 0 }; nodes];
    let mut number = 0;
    for row in &rows {
        for part in row.chunks(if broken { WIDEST } else { row.len().max(1) }) {
            let mut free = 0;
            for (column, node) in part.iter().enumerate() {
                let wanted = if broken {
                    column * 100
                } else {
                    cell(node) * 100 / CELLS
                };
                let across = wanted.max(free);
                free = across + 100;
                if let Some(place) = places.get_mut(*node) {
                    *place = Place { across, row: number };
                }
            }
            number += 1;
        }
    }
    places
}

/// How far to the right each node is, in cells of text: so that few lines cross, and what belongs together is close.
fn across(nodes: usize, lines: &[(usize, usize)], layers: &[usize]) -> Vec<usize> {
    let near: Vec<_> = lines.iter().filter(|line| !is_far(**line, layers)).collect();
    if near.len() > MOST_LINES {
        return vec![0; nodes];
    }
    let mut graph = Graph::new();
    for node in 0..nodes {
        graph.add_node(node, LABEL);
    }
    for (from, to) in near {
        graph.add_edge(*from, *to, None);
    }
    let layout = graph.compute_layout();
    let left = layout.nodes().iter().map(|node| node.x).min().unwrap_or(0);
    let mut across = vec![0; nodes];
    for node in layout.nodes() {
        if let Some(place) = across.get_mut(node.id) {
            *place = node.x - left;
        }
    }
    across
}

/// Whether a line crosses so many layers that the layout is not told of it.
pub(super) fn is_far((from, to): (usize, usize), layers: &[usize]) -> bool {
    let layer = |node: usize| layers.get(node).copied().unwrap_or(0);
    !(1..=NEAR).contains(&layer(to).saturating_sub(layer(from)))
}

/// How many nodes are above each, on the longest way. Runs wait only for runs that were there before, so there is no circle; a damaged journal's is cut.
pub(super) fn layers(nodes: usize, lines: &[(usize, usize)]) -> Vec<usize> {
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    let mut above = vec![0_usize; nodes];
    for (from, to) in lines {
        if let (Some(below), Some(above)) = (below.get_mut(*from), above.get_mut(*to)) {
            below.push(*to);
            *above += 1;
        }
    }
    let mut layers = vec![0; nodes];
    let mut placed = vec![false; nodes];
    let mut ready: Vec<usize> = (0..nodes).filter(|node| above.get(*node) == Some(&0)).collect();
    let mut others = 0..nodes;
    loop {
        let next = ready
            .pop()
            .or_else(|| others.find(|node| placed.get(*node) == Some(&false)));
        let Some(node) = next else { return layers };
        match placed.get_mut(node) {
            Some(placed) if !*placed => *placed = true,
            _ => continue,
        }
        let layer = layers.get(node).copied().unwrap_or(0) + 1;
        for to in below.get(node).into_iter().flatten() {
            if let (Some(above), Some(its), Some(false)) =
                (above.get_mut(*to), layers.get_mut(*to), placed.get(*to))
            {
                *its = layer.max(*its);
                *above = above.saturating_sub(1);
                if *above == 0 {
                    ready.push(*to);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(nodes: usize, lines: &[(usize, usize)]) -> Vec<usize> {
        places(nodes, lines).iter().map(|place| place.row).collect()
    }

    #[test]
    fn a_node_is_below_everything_that_leads_to_it() {
        assert_eq!(rows(3, &[(0, 1), (0, 2), (1, 2)]), [0, 1, 2]);
        assert_eq!(rows(0, &[]), [0; 0]);
    }

    #[test]
    fn who_is_called_by_one_far_above_takes_no_room_for_that() {
        let called = (1..1_000).flat_map(|node| [(0, node), (node - 1, node)]);
        let places = places(1_000, &called.collect::<Vec<_>>());
        assert_eq!(places.iter().map(|place| place.row).max(), Some(999));
        assert!(places.iter().all(|place| place.across < 800), "it stays narrow");
    }

    #[test]
    fn many_nodes_beside_each_other_are_broken_into_rows() {
        let lines: Vec<_> = (1..999).flat_map(|node| [(0, node), (node, 999)]).collect();
        let places = places(1_000, &lines);
        let widest = places.iter().map(|place| place.across).max();
        assert_eq!(widest, Some((WIDEST - 1) * 100));
        let rows = places.last().unwrap().row;
        assert_eq!(rows, 998_usize.div_ceil(WIDEST) + 1);
    }

    fn graph() -> impl Strategy<Value = (usize, Vec<(usize, usize)>)> {
        (1_usize..40).prop_flat_map(|nodes| {
            let line = (0..nodes, 0..nodes);
            (Just(nodes), prop::collection::vec(line, 0..80))
        })
    }

    proptest! {
        #[test]
        fn no_two_nodes_share_a_place((nodes, lines) in graph()) {
            let forwards: Vec<_> = lines.iter().copied().filter(|(from, to)| from < to).collect();
            // With circles, too, which only damage can make.
            for lines in [&forwards, &lines] {
                let mut places = places(nodes, lines);
                for (from, to) in forwards.iter().filter(|_| lines.len() == forwards.len()) {
                    prop_assert!(places[*from].row < places[*to].row);
                }
                places.sort_unstable_by_key(|place| (place.row, place.across));
                for pair in places.windows(2) {
                    prop_assert!(pair[0].row < pair[1].row || pair[0].across + 100 <= pair[1].across);
                }
            }
        }
    }
}
