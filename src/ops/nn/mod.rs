//! Ops of neural networks: convolutions, pooling, losses, normalization.

pub mod convolution;

pub use convolution::*;

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

/// One number for each of `N` axes: as many were given, or one for all.
pub(crate) fn spread<const N: usize>(given: &[isize]) -> Option<[isize; N]> {
    match given {
        [one] => Some([*one; N]),
        _ => given.try_into().ok(),
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
