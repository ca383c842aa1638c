//! What a backward pass will do: the nodes it reaches, in order, with a numbered slot for each.

use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::engine::Root;
use crate::error::Result;
use crate::graph::{Edge, NodeRef, Tensor};

/// A node's place in the pass.
pub(super) struct Step {
    pub node: NodeRef,
    /// Contributions still to come.
    pub waiting: u32,
    /// What has come so far, per output.
    pub grads: SmallVec<[Option<Tensor>; 1]>,
    /// Whether its derivative must run (a target's own need not).
    pub runs: bool,
}

/// A gradient somebody asked for.
pub(super) struct Capture {
    pub step: u32,
    pub output: u32,
    /// Its place in the answer.
    pub place: usize,
}

pub(super) struct Plan {
    pub steps: Vec<Step>,
    /// Steps in the order in which they run when nobody helps: newest node first.
    pub order: Vec<u32>,
    pub captures: Vec<Capture>,
    pub answers: usize,
    /// Whether captured gradients go into `.grad`.
    pub accumulate: Option<Vec<Edge>>,
    numbers: Numbers,
}

/// Note [Numbered slots]: a pass gives each node it reaches a number, written into the node itself together with the
/// pass's own id. A node that another pass is walking at the same time is numbered in a side table instead. Marks are
/// taken back when the pass ends, however it ends.
#[derive(Default)]
struct Numbers {
    pass: u64,
    side: HashMap<usize, u32>,
}

static PASSES: AtomicU32 = AtomicU32::new(0);

impl Numbers {
    fn new() -> Self {
        // Relaxed: only uniqueness matters. Zero means unmarked, so it is skipped.
        let mut id = PASSES.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        while id == 0 {
            id = PASSES.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        }
        Self { pass: u64::from(id) << 32, side: HashMap::new() }
    }

    #[inline]
    fn get(&self, node: &NodeRef) -> Option<u32> {
        // Relaxed: a mark with this pass's id was written by this thread.
        let mark = node.slot.load(Ordering::Relaxed);
        if mark & !0xffff_ffff == self.pass {
            return Some(mark as u32);
        }
        if self.side.is_empty() { None } else { self.side.get(&node.address()).copied() }
    }

    #[inline]
    fn set(&mut self, node: &NodeRef, number: u32) {
        let mark = self.pass | u64::from(number);
        if node.slot.compare_exchange(0, mark, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            self.side.insert(node.address(), number);
        }
    }

    fn clear(&self, node: &NodeRef) {
        if node.slot.load(Ordering::Relaxed) & !0xffff_ffff == self.pass {
            node.slot.store(0, Ordering::Relaxed);
        }
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        for step in &self.steps {
            self.numbers.clear(&step.node);
        }
    }
}

impl Plan {
    pub fn new(roots: Vec<Root>, targets: Option<&[Edge]>, accumulate: bool) -> Result<Self> {
        let mut plan = Self {
            steps: Vec::new(),
            order: Vec::new(),
            captures: Vec::new(),
            answers: targets.map_or(0, <[Edge]>::len),
            accumulate: targets.filter(|_| accumulate).map(<[Edge]>::to_vec),
            numbers: Numbers::new(),
        };
        for root in &roots {
            plan.reach(&root.edge.node);
        }
        // Every node before a root, each once; `steps` grows while it is walked.
        let mut at = 0;
        while at < plan.steps.len() {
            let node = plan.steps[at].node.clone();
            for edge in node.edges().iter().flatten() {
                let to = plan.reach(&edge.node);
                plan.steps[to as usize].waiting += 1;
            }
            at += 1;
        }
        plan.order = (0..plan.steps.len() as u32).collect();
        plan.order.sort_unstable_by_key(|&i| std::cmp::Reverse(plan.steps[i as usize].node.sequence()));
        if let Some(targets) = targets {
            plan.restrict(targets);
        }
        for root in roots {
            let step = plan.number(&root.edge.node);
            plan.add(step, root.edge.output, root.grad)?;
        }
        Ok(plan)
    }

    fn reach(&mut self, node: &NodeRef) -> u32 {
        if let Some(number) = self.numbers.get(node) {
            return number;
        }
        let number = self.steps.len() as u32;
        self.numbers.set(node, number);
        self.steps.push(Step {
            node: node.clone(),
            waiting: 0,
            grads: SmallVec::from_elem(None, node.outputs().len()),
            runs: true,
        });
        number
    }

    /// The number of a node that the plan reached.
    #[inline]
    pub fn number(&self, node: &NodeRef) -> u32 {
        self.numbers.get(node).unwrap_or_else(|| unreachable!("an edge leads to a node that was reached"))
    }

    /// Only what leads to a target runs.
    fn restrict(&mut self, targets: &[Edge]) {
        for step in &mut self.steps {
            step.runs = false;
        }
        let mut needed = vec![false; self.steps.len()];
        for (place, target) in targets.iter().enumerate() {
            if let Some(step) = self.numbers.get(&target.node) {
                needed[step as usize] = true;
                self.captures.push(Capture { step, output: target.output, place });
            }
        }
        // Oldest first: a node is needed if a node before it is.
        for &i in self.order.iter().rev() {
            let leads = self.steps[i as usize]
                .node
                .edges()
                .iter()
                .flatten()
                .any(|e| needed[self.number(&e.node) as usize]);
            self.steps[i as usize].runs = leads;
            needed[i as usize] |= leads;
        }
    }

    /// Adds a gradient to what a step has so far.
    #[inline]
    pub fn add(&mut self, step: u32, output: u32, grad: Tensor) -> Result<()> {
        let slot = &mut self.steps[step as usize].grads[output as usize];
        *slot = Some(match slot.take() {
            None => grad,
            Some(sum) => crate::graph::vector_space::add_grads(sum, grad)?,
        });
        Ok(())
    }
}
