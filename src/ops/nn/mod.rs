//! Ops of neural networks: convolutions, pooling, losses, normalization.

pub mod activation;
pub mod attention;
pub mod class_loss;
pub mod convolution;
pub mod dropout;
pub mod embedding;
pub mod loss;
pub mod normalization;
pub mod pooling;
pub mod resampling;
pub mod shuffling;

pub use activation::*;
pub use attention::attention;
pub use class_loss::{IGNORE_INDEX, cross_entropy, nll_loss};
pub use convolution::{Padding, conv_transpose, conv1d, conv2d, conv3d};
pub use dropout::*;
pub use embedding::embedding;
pub use loss::{
    Reduction, binary_cross_entropy, binary_cross_entropy_with_logits, huber_loss, l1_loss, mse_loss,
    smooth_l1_loss, soft_margin_loss,
};
pub use normalization::{Running, batch_norm, group_norm, layer_norm, rms_norm};
pub use pooling::{Pool, adaptive_avg_pool, adaptive_max_pool, avg_pool, max_pool};
pub use resampling::{Beyond, Resampling, interpolate, pad};
pub use shuffling::{channel_shuffle, col2im, im2col, pixel_shuffle, pixel_unshuffle};

use smallvec::{SmallVec, smallvec};

use crate::array::{Array, Dims};
use crate::error::Result;
use crate::graph::vector_space::{self, zeros_like};
use crate::graph::{Keep, Tensor, linear, linear_view, mode, record};

/// `x` under another shape of as many elements.
pub(crate) fn shaped(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let array = x.array();
    let (from, to): (Dims, Dims) = (array.shape().into(), shape.into());
    let adjoint = move |g: &Tensor| shaped(g, &from);
    let itself = move |t: &Tensor| shaped(t, &to);
    match array.view(shape) {
        Ok(y) => linear_view("ViewBackward0", x, y, adjoint, itself),
        Err(_) => linear("UnsafeViewBackward0", x, array.contiguous()?.view(shape)?, adjoint, itself),
    }
}

/// `y`, which does not depend on `x`, as a function of it all the same if somebody records ([`vector_space::tied`]).
pub(crate) fn tied(y: Tensor, x: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
    if !mode::is_grad_enabled() || y.requires_grad() {
        return Ok(y);
    }
    vector_space::tied(&y, &x()?)
}

/// [`linear`], with a derivative that is [`tied`] to x.
pub(crate) fn linear_tied<A, F>(
    name: &'static str,
    x: &Tensor,
    y: Array,
    adjoint: A,
    itself: F,
) -> Result<Tensor>
where
    A: Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
    F: FnOnce(&Tensor) -> Result<Tensor>,
{
    record(
        name,
        &[x],
        y,
        &[Keep::Input(0)],
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            Ok(smallvec![Some(tied(adjoint(g)?, || cx.saved(0))?)])
        },
        |cx| match cx.tangent(0) {
            Some(tangent) => itself(&tangent),
            None => zeros_like(cx.output()),
        },
    )
}

/// The last axes of a shape as three, led by ones.
pub(crate) fn three(extents: &[usize]) -> [usize; 3] {
    let mut three = [1; 3];
    three[3 - extents.len()..].copy_from_slice(extents);
    three
}

/// Numbers as in `a x b`.
pub(crate) fn times(numbers: &[usize]) -> String {
    numbers.iter().map(ToString::to_string).collect::<SmallVec<[_; 3]>>().join(" x ")
}
