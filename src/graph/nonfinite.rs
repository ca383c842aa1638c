//! Where the first NaN or infinity of a computation was born.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use crate::graph::live::reachable;
use crate::graph::node::NodeRef;
use crate::graph::saved::Role;
use crate::graph::seen::Range;
use crate::graph::tensor::Tensor;
use crate::watch::Origin;

/// The first value, in the order of recording, that is not finite.
#[derive(Clone)]
pub struct NonFinite {
    /// The operation that made it; a leaf's accumulator if the user did.
    pub node: NodeRef,
    /// Which of the operation's outputs holds it.
    pub output: u32,
    /// The value.
    pub value: f64,
    /// Its place in the output.
    pub index: Vec<usize>,
    /// The ranges of the operation's inputs, as far as they are known.
    pub inputs: Vec<Option<Range>>,
    /// Where the operation was recorded, if that was noted.
    pub origin: Option<Arc<dyn Origin>>,
    /// Earlier operations on its path whose outputs nobody kept: it may have been born in one of these.
    pub suspects: Vec<NodeRef>,
}

/// What is known of the values in a graph: output by output.
type Known = HashMap<(usize, u32), Range>;

/// The operation before `loss` (itself included) in which the first NaN or infinity was born; `None` if none is found.
///
/// What is looked at are the values that the graph still holds: leaves, what nodes saved and nobody overwrote or freed, and
/// `loss`. With `Watch::ranges` on while the graph is recorded every output is known, also after a backward pass.
pub fn first_nonfinite(loss: &Tensor) -> Option<NonFinite> {
    let root = loss.gradient_edge()?;
    let mut nodes = reachable([root.node.clone()]);
    nodes.sort_by_key(|node| node.sequence());
    let known = known(loss, &nodes);
    let born = |node: &NodeRef| {
        (0..node.outputs().len() as u32).find_map(|output| {
            let (place, value) = known.get(&(node.address(), output))?.nonfinite?;
            Some((output, place, value))
        })
    };
    nodes.iter().find_map(|node| born(node).map(|found| describe(node, found, &known)))
}

fn known(loss: &Tensor, nodes: &[NodeRef]) -> Known {
    let mut known = Known::new();
    let mut learn = |node: &NodeRef, output: u32, range: &dyn Fn() -> Option<Range>| {
        let key = (node.address(), output);
        if !known.contains_key(&key)
            && let Some(range) = range()
        {
            known.insert(key, range);
        }
    };
    for node in nodes {
        if let Some(seen) = node.seen() {
            for output in 0..node.outputs().len() as u32 {
                learn(node, output, &|| seen.range(output));
            }
        }
        if let Some(leaf) = node.leaf() {
            learn(node, 0, &|| Range::of(&leaf.array()));
        }
        for value in node.saved_values().unwrap_or_default() {
            let Some((array, role)) = value.numbers() else { continue };
            if value.check(node).is_err() {
                continue;
            }
            match role {
                Some(Role::Output(output)) => learn(node, output.into(), &|| Range::of(array)),
                Some(Role::Input(input)) => {
                    if let Some(edge) = node.edges().get(usize::from(input)).and_then(Option::as_ref)
                        && edge.node.outputs()[edge.output as usize].layout.shape() == array.shape()
                    {
                        learn(&edge.node, edge.output, &|| Range::of(array));
                    }
                }
                None => {}
            }
        }
    }
    if let Some(edge) = loss.gradient_edge() {
        learn(&edge.node, edge.output, &|| Range::of(&loss.array()));
    }
    known
}

fn describe(node: &NodeRef, (output, place, value): (u32, usize, f64), known: &Known) -> NonFinite {
    let mut inputs: Vec<Option<Range>> = node
        .edges()
        .iter()
        .map(|edge| edge.as_ref().and_then(|edge| known.get(&(edge.node.address(), edge.output)).copied()))
        .collect();
    // Inputs that need no gradient are known if they were saved.
    for value in node.saved_values().unwrap_or_default() {
        if let Some((array, Some(Role::Input(input)))) = value.numbers()
            && let Some(slot @ None) = inputs.get_mut(usize::from(input))
            && value.check(node).is_ok()
        {
            *slot = Range::of(array);
        }
    }
    NonFinite {
        node: node.clone(),
        output,
        value,
        index: unravel(place, node.outputs()[output as usize].layout.shape()),
        inputs,
        origin: node.origin(),
        suspects: suspects(node, known),
    }
}

/// The nodes before one whose outputs are unknown, up to those that are known, in the order of recording.
fn suspects(node: &NodeRef, known: &Known) -> Vec<NodeRef> {
    let mut open = vec![node.clone()];
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    while let Some(node) = open.pop() {
        for edge in node.edges().iter().flatten() {
            let is_known = known.contains_key(&(edge.node.address(), edge.output));
            if !is_known && !edge.node.rule().is_accumulator() && seen.insert(edge.node.address()) {
                found.push(edge.node.clone());
                open.push(edge.node.clone());
            }
        }
    }
    found.sort_by_key(|node| node.sequence());
    found
}

/// The index of a position in row-major order.
fn unravel(mut place: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (slot, &n) in index.iter_mut().zip(shape).rev() {
        *slot = place % n;
        place /= n;
    }
    index
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.value.is_nan() { "nan".to_owned() } else { self.value.to_string() };
        if self.node.rule().is_accumulator() {
            return write!(f, "a leaf of shape {:?} holds {value} at index {:?}", self.shape(), self.index);
        }
        write!(
            f,
            "{} made {value} at index {:?} of its output of shape {:?}",
            self.node.name(),
            self.index,
            self.shape()
        )?;
        if let Some(origin) = &self.origin {
            write!(f, " ({})", origin.line())?;
        }
        for (number, range) in self.inputs.iter().enumerate() {
            match range {
                Some(Range { nonfinite: Some((_, value)), .. }) => {
                    write!(f, "; input {number} holds {value}")?
                }
                Some(range) => {
                    write!(f, "; input {number} is within {:?} and {:?}", range.least, range.greatest)?
                }
                None => write!(f, "; input {number} is not known")?,
            }
        }
        if !self.suspects.is_empty() {
            let names: Vec<&str> = self.suspects.iter().map(|node| node.name()).collect();
            write!(f, "; or one of these did, whose outputs nobody kept: {}", names.join(", "))?;
        }
        Ok(())
    }
}

impl NonFinite {
    fn shape(&self) -> &[usize] {
        self.node.outputs()[self.output as usize].layout.shape()
    }
}
