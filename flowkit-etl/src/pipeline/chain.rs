//! Stages wired to each other.

use std::fmt;
use std::ops::Shr;

use crate::pipeline::Stage;

/// A stage, and the ones whose rows it takes, by their places.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) stage: Stage,
    pub(super) inputs: Vec<usize>,
}

/// Stages wired to each other: `extract >> clean >> [growth, summary] >> load`. What stands right takes what stands left of it: from each of several, one after the other; to each of several, the same.
///
/// [`then`](Self::then) is the same in words, and [`Stage::after`] is order without rows.
#[derive(Clone)]
pub struct Chain {
    pub(super) nodes: Vec<Node>,
    /// Those that take from what comes before.
    heads: Vec<usize>,
    /// Those that what comes next takes from.
    tails: Vec<usize>,
}

impl Chain {
    /// Nodes to which more is to be wired, at those from which nothing takes yet.
    pub(super) fn ending(nodes: Vec<Node>) -> Self {
        let taken = |index: &usize| nodes.iter().any(|node| node.inputs.contains(index));
        let tails = (0..nodes.len()).filter(|index| !taken(index)).collect();
        Self {
            heads: Vec::new(),
            tails,
            nodes,
        }
    }

    /// What comes next takes what these stages made.
    #[must_use]
    pub fn then(mut self, next: impl Into<Self>) -> Self {
        let next = next.into();
        let offset = self.nodes.len();
        let empty = offset == 0;
        for (index, mut node) in next.nodes.into_iter().enumerate() {
            node.inputs.iter_mut().for_each(|input| *input += offset);
            if next.heads.contains(&index) {
                node.inputs.extend(&self.tails);
            }
            self.nodes.push(node);
        }
        if empty {
            self.heads = next.heads;
        }
        self.tails = next.tails.into_iter().map(|tail| tail + offset).collect();
        self
    }

    /// Beside these stages, others: neither takes from the other.
    #[must_use]
    pub fn beside(mut self, other: impl Into<Self>) -> Self {
        let other = other.into();
        let offset = self.nodes.len();
        for mut node in other.nodes {
            node.inputs.iter_mut().for_each(|input| *input += offset);
            self.nodes.push(node);
        }
        self.heads
            .extend(other.heads.into_iter().map(|head| head + offset));
        self.tails
            .extend(other.tails.into_iter().map(|tail| tail + offset));
        self
    }
}

impl From<Stage> for Chain {
    fn from(stage: Stage) -> Self {
        let node = Node {
            stage,
            inputs: Vec::new(),
        };
        Self {
            nodes: vec![node],
            heads: vec![0],
            tails: vec![0],
        }
    }
}

impl<C: Into<Self>, const N: usize> From<[C; N]> for Chain {
    fn from(chains: [C; N]) -> Self {
        let none = Self {
            nodes: Vec::new(),
            heads: Vec::new(),
            tails: Vec::new(),
        };
        chains.into_iter().fold(none, Self::beside)
    }
}

impl<C: Into<Self>> Shr<C> for Chain {
    type Output = Self;

    fn shr(self, next: C) -> Self {
        self.then(next)
    }
}

impl<C: Into<Chain>> Shr<C> for Stage {
    type Output = Chain;

    fn shr(self, next: C) -> Chain {
        Chain::from(self).then(next)
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |inputs: &[usize]| -> Vec<&str> {
            inputs
                .iter()
                .filter_map(|input| self.nodes.get(*input))
                .map(|node| node.stage.name())
                .collect()
        };
        let mut map = f.debug_map();
        for node in &self.nodes {
            map.entry(&node.stage.name(), &names(&node.inputs));
        }
        map.finish()
    }
}
