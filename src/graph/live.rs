//! Which recorded operations are alive, and what they keep: for finding what holds a graph.

use std::collections::{HashMap, HashSet};

use crate::array::fork::ProcessLock;
use crate::graph::node::{NodeRef, WeakNode};

/// A moment in the order in which nodes were noted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Mark(u64);

impl Mark {
    /// As a number, for an embedding language.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The inverse of [`Mark::number`].
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }
}

#[derive(Default)]
struct Registry {
    nodes: Vec<(Mark, WeakNode)>,
    next: u64,
    /// The length at which nodes that are gone are taken out.
    full: usize,
}

static REGISTRY: ProcessLock<Registry> =
    ProcessLock::new(Registry { nodes: Vec::new(), next: 0, full: 1024 });

/// Notes a node that was just recorded.
pub(crate) fn enter(node: &NodeRef) {
    let mut registry = REGISTRY.lock();
    let mark = Mark(registry.next);
    registry.next += 1;
    registry.nodes.push((mark, node.downgrade()));
    if registry.nodes.len() >= registry.full {
        registry.nodes.retain(|(_, node)| !node.is_gone());
        registry.full = (2 * registry.nodes.len()).max(1024);
    }
}

/// This moment.
pub fn mark() -> Mark {
    Mark(REGISTRY.lock().next)
}

/// Living nodes of one name and line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lives {
    /// Their name.
    pub name: String,
    /// Where they were recorded, if that was noted.
    pub line: Option<String>,
    /// How many there are.
    pub count: usize,
    /// The bytes of what they saved. What several nodes saved counts for each.
    pub saved_bytes: usize,
}

/// The living ones of the nodes that were recorded while `Watch::lives` was on, most bytes first.
pub fn live_nodes() -> Vec<Lives> {
    lives_since(Mark(0))
}

/// [`live_nodes`] of those that were recorded after a moment.
pub fn lives_since(mark: Mark) -> Vec<Lives> {
    // The lock is not held while nodes are looked at: the last reference to one may go here.
    let nodes: Vec<WeakNode> =
        REGISTRY.lock().nodes.iter().filter(|(at, _)| *at >= mark).map(|(_, node)| node.clone()).collect();
    grouped(nodes.iter().filter_map(WeakNode::upgrade))
}

/// The nodes at and before these, accumulators left out, most bytes first.
pub fn reachable_lives(roots: impl IntoIterator<Item = NodeRef>) -> Vec<Lives> {
    grouped(reachable(roots).into_iter().filter(|node| !node.rule().is_accumulator()))
}

/// The nodes at and before these, each once.
pub(crate) fn reachable(roots: impl IntoIterator<Item = NodeRef>) -> Vec<NodeRef> {
    let mut open: Vec<NodeRef> = roots.into_iter().collect();
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    while let Some(node) = open.pop() {
        if seen.insert(node.address()) {
            open.extend(node.edges().iter().flatten().map(|edge| edge.node.clone()));
            found.push(node);
        }
    }
    found
}

fn grouped(nodes: impl Iterator<Item = NodeRef>) -> Vec<Lives> {
    let mut groups: HashMap<(String, Option<String>), (usize, usize)> = HashMap::new();
    for node in nodes {
        let line = node.origin().map(|origin| origin.line());
        let group = groups.entry((node.name().to_owned(), line)).or_default();
        group.0 += 1;
        group.1 += saved_bytes(&node);
    }
    let lives = |((name, line), (count, saved_bytes))| Lives { name, line, count, saved_bytes };
    let mut groups: Vec<Lives> = groups.into_iter().map(lives).collect();
    groups.sort_by(|a, b| {
        (b.saved_bytes, b.count, &a.name, &a.line).cmp(&(a.saved_bytes, a.count, &b.name, &b.line))
    });
    groups
}

/// The bytes of the tensors that a node saved, each storage once. What a user's hooks packed is theirs to count.
fn saved_bytes(node: &NodeRef) -> usize {
    let mut counted: Vec<usize> = Vec::new();
    let mut bytes = 0;
    for value in node.saved_values().unwrap_or_default() {
        if let Some((array, _)) = value.numbers()
            && !counted.contains(&array.storage().pointer().addr())
        {
            counted.push(array.storage().pointer().addr());
            bytes += array.numel() * array.dtype().size();
        }
    }
    bytes
}
