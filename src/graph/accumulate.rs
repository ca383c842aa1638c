//! The node at the end of every path: adds what arrives into its leaf's `.grad`.

use smallvec::smallvec;

use crate::error::Result;
use crate::graph::node::{Grads, Rule};
use crate::graph::record::Backward;
use crate::graph::tensor::{Tensor, WeakTensor};
use crate::graph::vector_space;

/// Note [Nobody owns a leaf but its users]: `.grad` may have a graph of its own, which leads back to the leaf (with
/// `create_graph`). If the graph owned its leaves, each such leaf would own itself. So an accumulator knows its leaf
/// weakly; when the leaf is gone, nobody can look at `.grad`, and what arrives is dropped. A leaf with hooks owns
/// its accumulator, which has them, and any leaf does that nobody else looks at.
pub struct AccumulateGrad {
    pub(crate) leaf: WeakTensor,
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
