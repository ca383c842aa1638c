//! Sums, means, running sums, the trace.

use smallvec::{SmallVec, smallvec};

use crate::array::kernels::{reduce, scan};
use crate::array::{DType, Dims};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::vector_space::{to_dtype, zeros_like};
use crate::graph::{Batched, Keep, Tensor, linear, record};
use crate::ops;

use super::spread::{spread, spread_from};
use super::{accumulated, axes, one};

/// Sum over the axes `dim`, all of them for `None` and an empty list. Integers and truths are summed in 64 bits.
///
/// Fails for an axis that does not exist or is named twice.
pub fn sum(x: &Tensor, dim: Option<&[isize]>, keepdim: bool, dtype: Option<DType>) -> Result<Tensor> {
    let array = x.array();
    let axes = axes(dim, array.ndim())?;
    let y = reduce::sum_over(&array, axes, keepdim, accumulated(array.dtype(), dtype))?;
    let name = if dim.is_none() && !keepdim { "SumBackward0" } else { "SumBackward1" };
    let shape: Dims = array.shape().into();
    let dim: Option<SmallVec<[isize; 6]>> = dim.map(Into::into);
    // dx = g, repeated
    let ndim = y.ndim();
    let adjoint = move |g: &Tensor| spread_from(g, ndim, &shape, axes);
    linear(Batched(name), x, y, adjoint, move |t| sum(t, dim.as_deref(), keepdim, dtype))
}

/// [`sum`] over a set of axes.
pub(crate) fn gathered(x: &Tensor, axes: reduce::AxisSet, keepdim: bool) -> Result<Tensor> {
    let shape = reduce::shape_of(&x.shape(), axes, keepdim);
    super::spread::sum_over(x, &shape, axes)
}

/// [`sum`] of what is not NaN.
pub fn nansum(x: &Tensor, dim: Option<&[isize]>, keepdim: bool, dtype: Option<DType>) -> Result<Tensor> {
    let array = x.array();
    if !array.dtype().is_floating() {
        return sum(x, dim, keepdim, dtype);
    }
    let axes = axes(dim, array.ndim())?;
    let dtype = dtype.unwrap_or(array.dtype());
    if !dtype.is_floating() {
        return Err(Error::unsupported("nansum", dtype));
    }
    let y = reduce::nansum(&array, axes, keepdim, dtype)?;
    // dx = g where x is a number, 0 where it is NaN
    record(
        "NansumBackward0",
        &[x],
        y,
        &[Keep::Input(0)],
        move |cx| {
            let x = cx.saved(0)?.detach();
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            let spread = spread(&to_dtype(g, x.dtype())?, &x.shape(), axes)?;
            Ok(smallvec![Some(ops::choose(&ops::isnan(&x)?, 0.0, &spread)?)])
        },
        |cx| {
            let x = cx.input(0).detach();
            let tangent = cx.tangent(0).map_or_else(|| zeros_like(&x), Ok)?;
            let kept = ops::choose(&ops::isnan(&x)?, 0.0, &tangent)?;
            let y = Tensor::new(reduce::sum_over(&kept.array(), axes, keepdim, dtype)?);
            Ok(y)
        },
    )
}

fn float_of(op: &str, given: DType, wanted: Option<DType>) -> Result<DType> {
    let (which, dtype) = wanted.map_or(("Input", given), |dtype| ("Optional", dtype));
    if dtype.is_floating() {
        return Ok(dtype);
    }
    Err(Error::runtime(format!(
        "{op}(): could not infer output dtype. {which} dtype must be either a floating point or complex dtype. Got: {} ({dtype}; dtype=float32 converts first)",
        dtype.scalar_name()
    )))
}

/// Arithmetic mean over the axes `dim`, all of them for `None`; of nothing, NaN.
///
/// Fails unless the dtype (of `x`, or the one asked for) is a float.
pub fn mean(x: &Tensor, dim: Option<&[isize]>, keepdim: bool, dtype: Option<DType>) -> Result<Tensor> {
    let array = x.array();
    let compute = float_of("mean", array.dtype(), dtype)?;
    let axes = axes(dim, array.ndim())?;
    let y = reduce::mean(&array, axes, keepdim, compute)?;
    let name = if dim.is_none() && !keepdim { "MeanBackward0" } else { "MeanBackward1" };
    let shape: Dims = array.shape().into();
    let share = 1.0 / reduce::count_of(&shape, axes) as f64;
    let dim: Option<SmallVec<[isize; 6]>> = dim.map(Into::into);
    let ndim = y.ndim();
    // dx = g / n, repeated
    linear(
        Batched(name),
        x,
        y,
        move |g| spread_from(&ops::mul(g, share)?, ndim, &shape, axes),
        move |t| mean(t, dim.as_deref(), keepdim, dtype),
    )
}

/// The mean of what is not NaN.
pub fn nanmean(x: &Tensor, dim: Option<&[isize]>, keepdim: bool, dtype: Option<DType>) -> Result<Tensor> {
    if !x.dtype().is_floating() {
        return Err(Error::runtime(format!(
            "nanmean(): expected input to have floating point or complex dtype but got {}",
            x.dtype().scalar_name()
        )));
    }
    let numbers = ops::logical_not(&ops::isnan(&x.detach())?)?;
    let count = sum(&numbers, dim, keepdim, None)?;
    ops::div(&nansum(x, dim, keepdim, dtype)?, &count)
}

/// Sum of the diagonal of a matrix.
pub fn trace(x: &Tensor) -> Result<Tensor> {
    let array = x.array();
    let &[rows, columns] = array.shape() else {
        return Err(Error::runtime(format!(
            "trace: expected a matrix, but got tensor with dim {}",
            array.ndim()
        )));
    };
    let diagonal = diagonal_of(&array, rows, columns)?;
    let y = reduce::sum(&diagonal, &[0], accumulated(array.dtype(), None))?;
    // dx = g on the diagonal
    linear("TraceBackward0", x, y, move |g| diagonal_matrix(g, rows, columns), trace)
}

fn diagonal_of(x: &crate::array::Array, rows: usize, columns: usize) -> Result<crate::array::Array> {
    let step = x.strides()[0] + x.strides()[1];
    let layout = crate::array::Layout::strided(&[rows.min(columns)], &[step])?;
    Ok(x.view_with(layout, x.offset()))
}

/// A matrix with one value on its diagonal.
fn diagonal_matrix(x: &Tensor, rows: usize, columns: usize) -> Result<Tensor> {
    let y = crate::array::Array::zeros(&[rows, columns], x.dtype())?;
    crate::array::kernels::copy::copy(&x.array(), &diagonal_of(&y, rows, columns)?);
    linear("TraceBackwardBackward0", x, y, trace, move |t| diagonal_matrix(t, rows, columns))
}

/// Running sums along an axis; integers and truths in 64 bits.
pub fn cumsum(x: &Tensor, dim: isize, dtype: Option<DType>) -> Result<Tensor> {
    running_sum(x, dim, false, dtype)
}

/// Running sums from the front, or in reverse from the back: each is the other's adjoint.
pub(crate) fn running_sum(x: &Tensor, dim: isize, reverse: bool, dtype: Option<DType>) -> Result<Tensor> {
    let array = x.array();
    let (axis, _) = one(dim, array.ndim())?;
    let y = scan::sum(&array, axis, reverse, accumulated(array.dtype(), dtype))?;
    // dx[i] = sum of g[k] over k >= i
    linear(
        "CumsumBackward0",
        x,
        y,
        move |g| running_sum(g, dim, !reverse, None),
        move |t| running_sum(t, dim, reverse, dtype),
    )
}

/// Differences of neighbours along an axis, taken `n` times, of `x` between what is put before and after it.
pub fn diff(
    x: &Tensor,
    n: i64,
    dim: isize,
    prepend: Option<&Tensor>,
    append: Option<&Tensor>,
) -> Result<Tensor> {
    if x.ndim() == 0 {
        return Err(Error::runtime("diff expects input to be at least one-dimensional"));
    }
    if n < 0 {
        return Err(Error::runtime(format!("order must be non-negative but got {n}")));
    }
    let (axis, _) = one(dim, x.ndim())?;
    if n == 0 {
        return ops::clone(x);
    }
    let parts: Vec<Tensor> = prepend.into_iter().chain([x]).chain(append).cloned().collect();
    let mut y = if parts.len() > 1 { ops::cat(&parts, dim)? } else { x.clone() };
    // Nothing is left after as many as the axis is long, and nothing more changes.
    for _ in 0..n.min(y.shape()[axis].max(1) as i64) {
        let length = y.shape()[axis];
        let rest = length.saturating_sub(1) as isize;
        let first = ops::narrow(&y, dim, 0, rest)?;
        let second = ops::narrow(&y, dim, isize::from(length > 0), rest)?;
        y = if y.dtype() == DType::Bool {
            ops::logical_xor(&second, &first)?
        } else {
            ops::sub(&second, &first)?
        };
    }
    Ok(y)
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new("sum", |s| Ok(vec![s.normal(&[2, 3])?]), |x| Ok(vec![sum(&x[0], None, false, None)?])),
    Check::new(
        "sum of an axis",
        |s| Ok(vec![s.normal(&[2, 3, 2])?]),
        |x| Ok(vec![sum(&x[0], Some(&[0, -1]), true, None)?]),
    ),
    Check::new(
        "nansum",
        |s| Ok(vec![s.normal(&[2, 3])?]),
        |x| Ok(vec![nansum(&x[0], Some(&[1]), false, None)?]),
    ),
    Check::new("mean", |s| Ok(vec![s.normal(&[2, 3])?]), |x| Ok(vec![mean(&x[0], Some(&[0]), false, None)?])),
    Check::new("nanmean", |s| Ok(vec![s.normal(&[2, 3])?]), |x| Ok(vec![nanmean(&x[0], None, false, None)?])),
    Check::new("trace", |s| Ok(vec![s.normal(&[3, 2])?]), |x| Ok(vec![trace(&x[0])?])),
    Check::new(
        "diff",
        |s| Ok(vec![s.normal(&[2, 4])?, s.normal(&[2, 1])?]),
        |x| Ok(vec![diff(&x[0], 2, -1, Some(&x[1]), None)?]),
    ),
    Check::new("cumsum", |s| Ok(vec![s.normal(&[2, 4])?]), |x| Ok(vec![cumsum(&x[0], 1, None)?])),
];
