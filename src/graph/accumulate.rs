//! The node at the end of every path: adds what arrives into its leaf's `.grad`.

use smallvec::smallvec;

use crate::error::Result;
use crate::graph::node::{Grads, Rule};
use crate::graph::record::Backward;
use crate::graph::tensor::Tensor;
use crate::graph::vector_space;

/// Holds its leaf; the leaf holds it weakly.
pub struct AccumulateGrad {
    pub(crate) leaf: Tensor,
}

impl Rule for AccumulateGrad {
    fn name(&self) -> &'static str {
        "torch::autograd::AccumulateGrad"
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<Grads> {
        if let Some(grad) = cx.take_grad(0) {
            self.leaf.accumulate_grad(grad)?;
        }
        Ok(smallvec![])
    }

    fn leaf(&self) -> Option<&Tensor> {
        Some(&self.leaf)
    }
}

/// Adds a gradient into `.grad` of a non-leaf that retains it. What `.grad` was stays as it is for whoever holds it.
pub(crate) fn retain(x: &Tensor, grad: &Tensor) -> Result<()> {
    let sum = match x.grad() {
        Some(before) => vector_space::add(&before, grad)?,
        None => vector_space::accumulate(None, grad.clone())?,
    };
    x.set_grad(Some(sum));
    Ok(())
}
