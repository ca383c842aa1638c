//! Softmax, its logarithm, and the logarithm of a sum of exponentials.

use smallvec::smallvec;

use crate::array::DType;
use crate::array::kernels::{reduce, softmax as kernel};
use crate::error::Result;
use crate::gradcheck::Check;
use crate::graph::vector_space::{to_dtype, zeros_like};
use crate::graph::{Keep, Tensor, forward, record};
use crate::ops;

use super::spread::spread;
use super::sum::{gathered, sum};
use super::{axes, one};

/// e^x by its sum along an axis, computed in `dtype` if one is given.
///
/// Fails for integers unless a float dtype is given.
pub fn softmax(x: &Tensor, dim: isize, dtype: Option<DType>) -> Result<Tensor> {
    let x = &dtype.map_or_else(|| Ok(x.clone()), |dtype| to_dtype(x, dtype))?;
    let array = x.array();
    let (axis, _) = one(dim, array.ndim())?;
    let y = kernel::softmax(&array, axis)?;
    // dx = y (g - sum(g y))
    let rule = move |g: &Tensor, y: &Tensor| {
        let gy = ops::mul(g, y)?;
        ops::sub(&gy, &ops::mul(y, &sum(&gy, Some(&[dim]), true, None)?)?)
    };
    record(
        "SoftmaxBackward0",
        &[x],
        y,
        &[Keep::Output(0)],
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            let y = cx.saved(0)?;
            if forward::is_watched() {
                return Ok(smallvec![Some(rule(g, &y)?)]);
            }
            Ok(smallvec![Some(Tensor::new(kernel::softmax_gradient(&g.array(), &y.array(), axis)?))])
        },
        // The Jacobian is symmetric.
        |cx| rule(&cx.tangent(0).map_or_else(|| zeros_like(cx.output()), Ok)?, cx.output()),
    )
}

/// The logarithm of [`softmax`].
pub fn log_softmax(x: &Tensor, dim: isize, dtype: Option<DType>) -> Result<Tensor> {
    let x = &dtype.map_or_else(|| Ok(x.clone()), |dtype| to_dtype(x, dtype))?;
    let array = x.array();
    let (axis, _) = one(dim, array.ndim())?;
    let y = kernel::log_softmax(&array, axis)?;
    // dx = g - e^y sum(g)
    record(
        "LogSoftmaxBackward0",
        &[x],
        y,
        &[Keep::Output(0)],
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            let y = cx.saved(0)?;
            if forward::is_watched() {
                let total = sum(g, Some(&[dim]), true, None)?;
                return Ok(smallvec![Some(ops::sub(g, &ops::mul(&ops::exp(&y)?, &total)?)?)]);
            }
            Ok(smallvec![Some(Tensor::new(kernel::log_softmax_gradient(&g.array(), &y.array(), axis)?))])
        },
        // t = x' - sum(e^y x')
        |cx| {
            let y = cx.output();
            let tangent = cx.tangent(0).map_or_else(|| zeros_like(y), Ok)?;
            let mean = sum(&ops::mul(&ops::exp(y)?, &tangent)?, Some(&[dim]), true, None)?;
            ops::sub(&tangent, &mean)
        },
    )
}

/// [`softmax`] of the negative.
pub fn softmin(x: &Tensor, dim: isize, dtype: Option<DType>) -> Result<Tensor> {
    softmax(&ops::neg(x)?, dim, dtype)
}

/// The logarithm of the sum of exponentials over the axes `dim`; integers become the default float.
pub fn logsumexp(x: &Tensor, dim: Option<&[isize]>, keepdim: bool) -> Result<Tensor> {
    let x =
        &if x.dtype().is_floating() { x.clone() } else { to_dtype(x, crate::graph::row::default_dtype())? };
    let array = x.array();
    let axes = axes(dim, array.ndim())?;
    let y = reduce::logsumexp(&array, axes, keepdim)?;
    // dx = g e^(x - y), zero where x is negative infinity
    let weights = move |x: &Tensor, y: &Tensor| {
        let y = spread(y, &x.shape(), axes)?;
        let infinite = ops::isinf(&y.detach())?;
        ops::exp(&ops::sub(x, &ops::choose(&infinite, 0.0, &y)?)?)
    };
    record(
        "LogsumexpBackward0",
        &[x],
        y,
        &[Keep::Input(0), Keep::Output(0)],
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            let (x, y) = (cx.saved(0)?, cx.saved(1)?);
            Ok(smallvec![Some(ops::mul(&spread(g, &x.shape(), axes)?, &weights(&x, &y)?)?)])
        },
        |cx| {
            let tangent = cx.tangent(0).map_or_else(|| zeros_like(cx.input(0)), Ok)?;
            gathered(&ops::mul(&tangent, &weights(cx.input(0), cx.output())?)?, axes, keepdim)
        },
    )
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new("softmax", |s| Ok(vec![s.normal(&[2, 4])?]), |x| Ok(vec![softmax(&x[0], -1, None)?])),
    Check::new(
        "softmax of columns",
        |s| Ok(vec![s.normal(&[3, 2])?]),
        |x| Ok(vec![softmax(&x[0], 0, None)?]),
    ),
    Check::new("log_softmax", |s| Ok(vec![s.normal(&[2, 4])?]), |x| Ok(vec![log_softmax(&x[0], 1, None)?])),
    Check::new(
        "log_softmax of columns",
        |s| Ok(vec![s.normal(&[3, 2])?]),
        |x| Ok(vec![log_softmax(&x[0], 0, None)?]),
    ),
    Check::new(
        "logsumexp",
        |s| Ok(vec![s.normal(&[2, 4])?]),
        |x| Ok(vec![logsumexp(&x[0], Some(&[0, 1]), true)?]),
    ),
];
