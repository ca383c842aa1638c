//! Linear operations that know something besides numbers: which places, which rows.

use std::any::Any;
use std::sync::Arc;

use smallvec::smallvec;

use crate::array::Array;
use crate::error::Result;
use crate::graph::vector_space::zeros_like;
use crate::graph::{Data, Keep, Tensor, record};

/// [`crate::graph::linear`] whose adjoint needs what is known, which the node keeps as it keeps tensors: a pass that frees
/// them frees it too, and a second pass is refused.
pub(crate) fn linear_with<K: Any + Send + Sync>(
    name: &'static str,
    x: &Tensor,
    y: Array,
    known: &Arc<K>,
    adjoint: impl Fn(&Tensor, &Arc<K>) -> Result<Tensor> + Send + Sync + 'static,
    itself: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let kept: Data = known.clone();
    record(
        name,
        &[x],
        y,
        &[Keep::Data(&kept)],
        move |cx| {
            let known = cx.data(0)?;
            Ok(smallvec![cx.grad(0).map(|g| adjoint(g, &known)).transpose()?])
        },
        |cx| cx.tangent(0).map_or_else(|| zeros_like(cx.output()), |t| itself(&t)),
    )
}
