//! The node at the end of every path: adds what arrives into its leaf's `.grad`.

use smallvec::smallvec;

use crate::error::Result;
use crate::graph::node::{Grads, Rule};
use crate::graph::record::Backward;
use crate::graph::tensor::Tensor;

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
