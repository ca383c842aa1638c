//! The node at the end of every path: adds what arrives into its leaf's `.grad`.

use smallvec::smallvec;

use crate::error::Result;
use crate::graph::node::{Grads, NodeRef, OutputMeta, Rule, WeakNode};
use crate::graph::record::Backward;
use crate::graph::saved::Saved;
use crate::graph::tensor::{Tensor, WeakTensor};
use crate::graph::vector_space;

/// Note [Nobody owns a leaf but its users]: `.grad` may have a graph of its own, which leads back to the leaf (with
/// `create_graph`). If the graph owned its leaves, each such leaf would own itself. So an accumulator knows its leaf
/// weakly; when the leaf is gone, nobody can look at `.grad`, and what arrives is dropped. A leaf with hooks owns
/// its accumulator, which has them, and any leaf does that nobody else looks at.
pub struct AccumulateGrad {
    leaf: WeakTensor,
}

impl Rule for AccumulateGrad {
    fn name(&self) -> &'static str {
        "torch::autograd::AccumulateGrad"
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<Grads> {
        if let (Some(leaf), Some(grad)) = (self.leaf(), cx.take_grad(0)) {
            leaf.accumulate_grad(grad)?;
        }
        Ok(smallvec![])
    }

    fn is_accumulator(&self) -> bool {
        true
    }

    fn leaf(&self) -> Option<Tensor> {
        self.leaf.upgrade()
    }
}

/// How a leaf has its accumulator.
#[derive(Default)]
pub(super) struct Slot {
    /// Most leaves are used again, so they keep it from one graph to the next, unless somebody else looks at it and it has
    /// no hooks of the leaf's: what is attached to a node goes with the graphs.
    kept: Option<NodeRef>,
    /// The one that is not kept.
    loose: WeakNode,
    /// Whether it has hooks of the leaf's.
    is_hooked: bool,
}

impl Slot {
    fn node(&self) -> Option<NodeRef> {
        self.kept.clone().or_else(|| self.loose.upgrade())
    }

    /// The accumulator that has hooks of the leaf's.
    pub fn hooked(&self) -> Option<NodeRef> {
        self.kept.clone().filter(|_| self.is_hooked)
    }

    /// The accumulator, made if there is none.
    fn node_of(&mut self, leaf: &Tensor) -> NodeRef {
        if let Some(node) = self.node() {
            return node;
        }
        let meta = {
            let state = leaf.state();
            OutputMeta { layout: state.array.layout().clone(), dtype: state.array.dtype() }
        };
        let rule = AccumulateGrad { leaf: leaf.downgrade() };
        let node = NodeRef::new(rule, smallvec![], smallvec![meta], Saved::Nothing);
        self.kept = Some(node.clone());
        node
    }
}

impl Tensor {
    /// The node that adds into `.grad`: the same one for all graphs that are alive at a time.
    pub(super) fn accumulator(&self) -> NodeRef {
        self.accumulator_slot().lock().node_of(self)
    }

    /// The accumulator, for a hook of the leaf's: from now on it lives as long as the leaf.
    pub(super) fn hooked_accumulator(&self) -> NodeRef {
        let mut slot = self.accumulator_slot().lock();
        let node = slot.node_of(self);
        (slot.kept, slot.is_hooked) = (Some(node.clone()), true);
        node
    }

    /// The accumulator, if a graph or a hook asked for one.
    pub fn existing_accumulator(&self) -> Option<NodeRef> {
        self.existing_accumulator_slot()?.lock().node()
    }

    /// Keeps the accumulator no longer than graphs do, unless it has hooks of the leaf's.
    pub(super) fn loosen_accumulator(&self) {
        let Some(slot) = self.existing_accumulator_slot() else { return };
        let mut slot = slot.lock();
        if !slot.is_hooked
            && let Some(node) = slot.kept.take()
        {
            slot.loose = node.downgrade();
            drop(slot); // before the node
        }
    }

    /// Makes what is recorded from now on end in another accumulator than what was recorded so far; answers with that if it
    /// has hooks of the leaf's.
    pub(super) fn part_with_accumulator(&self) -> Option<NodeRef> {
        let before = std::mem::take(&mut *self.existing_accumulator_slot()?.lock());
        before.hooked()
    }
}

/// Adds a gradient into `.grad` of a non-leaf that retains it. What `.grad` was stays as it is for whoever holds it.
pub(crate) fn retain(x: &Tensor, grad: &Tensor) -> Result<()> {
    let sum = match x.grad() {
        Some(before) => vector_space::add(&before, grad)?,
        None if grad.tangent().is_some() => grad.clone(),
        None => vector_space::accumulate(None, grad.clone())?,
    };
    x.set_grad(Some(sum));
    Ok(())
}
