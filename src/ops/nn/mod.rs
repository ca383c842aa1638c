//! Ops of neural networks: convolutions, pooling, losses, normalization.

pub mod activation;
pub mod class_loss;
pub mod convolution;
pub mod dropout;
pub mod embedding;
pub mod loss;
pub mod normalization;
pub mod pooling;
pub mod resampling;

pub use activation::*;
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
pub use resampling::{Beyond, Interpolation, interpolate, pad};

use smallvec::SmallVec;

use crate::array::Dims;
use crate::error::Result;
use crate::graph::{Tensor, linear, linear_view};

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
