//! Copies: the same numbers in memory of their own.

use crate::array::DType;
use crate::array::kernels::copy;
use crate::error::Result;
use crate::gradcheck::Check;
use crate::graph::{Tensor, linear, vector_space};

/// A copy, with the order in memory of the original where that is dense.
pub fn clone(x: &Tensor) -> Result<Tensor> {
    let array = x.array();
    let y = array.empty_dense_like(array.dtype())?;
    copy::copy(&array, &y);
    // y = x, so dx = g.
    linear("CloneBackward0", x, y, |g| Ok(g.clone()), clone)
}

/// The tensor itself if its elements lie in row-major order without gaps, else a copy of which that is true.
pub fn contiguous(x: &Tensor) -> Result<Tensor> {
    let array = x.array();
    if array.is_contiguous() {
        return Ok(x.clone());
    }
    linear("CloneBackward0", x, array.copied()?, |g| Ok(g.clone()), contiguous)
}

/// The same numbers as another dtype, as a copy even if the dtype is the same.
pub fn to_copy(x: &Tensor, dtype: DType) -> Result<Tensor> {
    let from = x.dtype();
    let array = x.array();
    let y = array.empty_dense_like(dtype)?;
    copy::copy(&array, &y);
    linear(
        "ToCopyBackward0",
        x,
        y,
        move |g| vector_space::to_dtype(g, from),
        move |t| vector_space::to_dtype(t, dtype),
    )
}

/// The checks of these ops.
pub(crate) const CHECKS: &[Check] = &[
    Check::new("clone", |s| Ok(vec![s.normal(&[2, 3])?]), |x| Ok(vec![clone(&x[0])?])),
    Check::new("to_copy", |s| Ok(vec![s.normal(&[2, 3])?]), |x| Ok(vec![to_copy(&x[0], DType::F64)?])),
];
