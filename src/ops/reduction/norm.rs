//! Norms of vectors and what is made of them. At zero, where a norm has no gradient, it is given the subgradient zero.

// The orders that have a formula of their own are exact numbers.
#![allow(clippy::float_cmp)]

use smallvec::smallvec;

use crate::array::kernels::reduce::{self, AxisSet};
use crate::array::{Array, DType, Scalar, layout};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::vector_space::{to_dtype, zeros_like};
use crate::graph::{Keep, Tensor, record};
use crate::ops::{self, Place};

use super::axes;
use super::extrema::share_evenly;
use super::spread::spread;
use super::sum::gathered;

/// The `p`-norm over axes: the kernel, and what a norm of nothing is.
fn kernel(x: &Array, axes: AxisSet, keep: bool, p: f64, dtype: DType) -> Result<Array> {
    if reduce::count_of(x.shape(), axes) > 0 || (p.is_finite() && p >= 0.0) {
        return reduce::norm(x, axes, keep, p, dtype);
    }
    reduce::constant(x.shape(), axes, keep, Scalar::Float(f64::INFINITY), dtype)
}

/// Fails where an infinite norm has nothing to choose from.
fn check_choice(x: &Array, dim: Option<&[isize]>, axes: AxisSet, p: f64) -> Result<()> {
    if x.numel() > 0 || !(p < 0.0 || p == f64::INFINITY) {
        return Ok(());
    }
    let p = if p.is_infinite() { "inf".to_owned() } else { p.to_string() };
    if dim.is_none_or(<[isize]>::is_empty) {
        return Err(Error::runtime(format!(
            "linalg.vector_norm cannot compute the {p} norm on an empty tensor because the operation does not have an identity"
        )));
    }
    match (0..x.ndim()).find(|&axis| axes.contains(axis) && x.shape()[axis] == 0) {
        Some(axis) => Err(Error::runtime(format!(
            "linalg.vector_norm cannot compute the {p} norm on the dimension {axis} because this dimension is empty and \
             the operation does not have an identity"
        ))),
        None => Ok(()),
    }
}

/// `a / b`, zero where `b` is.
fn ratio_or_zero(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let zero = ops::eq(&b.detach(), 0.0)?;
    ops::choose(&zero, 0.0, &ops::div(a, &ops::choose(&zero, 1.0, b)?)?)
}

/// How much each element moves the norm `y`.
fn slope(x: &Tensor, y: &Tensor, axes: AxisSet, p: f64) -> Result<Tensor> {
    let power = |a: &Tensor, p: f64| ops::power(a.into(), p.into(), Place::New);
    if p == 0.0 {
        return zeros_like(x);
    }
    if p == 1.0 {
        return ops::sign(x);
    }
    let y = spread(y, &x.shape(), axes)?;
    if p.is_infinite() {
        // The sign, shared among those of the largest (smallest) magnitude.
        let (magnitude, y) = (ops::abs(&x.detach())?, y.detach());
        let both_nan = ops::logical_and(&ops::isnan(&magnitude)?, &ops::isnan(&y)?)?;
        let equal = ops::logical_or(&ops::eq(&magnitude, &y)?, &both_nan)?;
        return ops::mul(&ops::sign(x)?, &share_evenly(&equal, axes, x.dtype())?);
    }
    if p == 2.0 {
        // x / y, zero where y is; the norm has no curvature there, so that the second derivative is not a number.
        return ops::choose(&ops::eq(&y.detach(), 0.0)?, 0.0, &ops::div(x, &y)?);
    }
    if p < 1.0 {
        // sign(x) |x|^(p - 1) y^(1 - p), zero where x is
        let zero = ops::eq(&x.detach(), 0.0)?;
        let steep = ops::mul(&ops::sign(x)?, &power(&ops::abs(x)?, p - 1.0)?)?;
        return ops::mul(&ops::choose(&zero, 0.0, &steep)?, &power(&y, 1.0 - p)?);
    }
    // sign(x) |x|^(p - 1) / y^(p - 1), zero where y is
    let rise = if p < 2.0 {
        ops::mul(&ops::sign(x)?, &power(&ops::abs(x)?, p - 1.0)?)?
    } else {
        ops::mul(x, &power(&ops::abs(x)?, p - 2.0)?)?
    };
    ratio_or_zero(&rise, &power(&y, p - 1.0)?)
}

/// The `ord`-norm of the elements over the axes `dim`, all of them for `None`: `(sum |x|^ord)^(1 / ord)`; 0 counts what is
/// not zero, infinity is the largest magnitude, negative infinity the smallest. Computed in `dtype` if one is given.
///
/// Fails for integers, and where a maximum has nothing to choose from.
pub fn vector_norm(
    x: &Tensor,
    ord: f64,
    dim: Option<&[isize]>,
    keepdim: bool,
    dtype: Option<DType>,
) -> Result<Tensor> {
    let x = x.clone();
    if !x.dtype().is_floating() {
        return Err(Error::runtime(format!(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got {}",
            x.dtype().scalar_name()
        )));
    }
    let x = match dtype {
        Some(dtype) if !dtype.is_floating() => {
            return Err(Error::runtime(format!(
                "linalg.vector_norm: dtype should be floating point or complex, but got {}",
                dtype.scalar_name()
            )));
        }
        Some(dtype) => to_dtype(&x, dtype)?,
        None => x,
    };
    let array = x.array();
    let axes = axes(dim, array.ndim())?;
    check_choice(&array, dim, axes, ord)?;
    let y = kernel(&array, axes, keepdim, ord, array.dtype())?;
    // dx = g slope
    record(
        "LinalgVectorNormBackward0",
        &[&x],
        y,
        &[Keep::Input(0), Keep::Output(0)],
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            let (x, y) = (cx.saved(0)?, cx.saved(1)?);
            Ok(smallvec![Some(ops::mul(&spread(g, &x.shape(), axes)?, &slope(&x, &y, axes, ord)?)?)])
        },
        |cx| {
            let x = cx.input(0);
            let tangent = cx.tangent(0).map_or_else(|| zeros_like(x), Ok)?;
            gathered(&ops::mul(&tangent, &slope(x, cx.output(), axes, ord)?)?, axes, keepdim)
        },
    )
}

/// The `p`-norm of the difference of two tensors, which broadcast.
pub fn dist(a: &Tensor, b: &Tensor, p: f64) -> Result<Tensor> {
    for x in [a, b] {
        if !x.dtype().is_floating() {
            return Err(Error::runtime(format!(
                "norm(): input dtype should be either floating point or complex. Got {} instead.",
                x.dtype().scalar_name()
            )));
        }
    }
    let difference = ops::sub(&a.detach(), &b.detach())?.array();
    let axes = AxisSet::all(difference.ndim());
    let y = kernel(&difference, axes, false, p, difference.dtype())?;
    // da = g slope(a - b) = -db
    record(
        "DistBackward0",
        &[a, b],
        y,
        &[Keep::Input(0), Keep::Input(1), Keep::Output(0)],
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None, None]) };
            let difference = ops::sub(&cx.saved(0)?, &cx.saved(1)?)?;
            let axes = AxisSet::all(difference.ndim());
            let slope = slope(&difference, &cx.saved(2)?, axes, p)?;
            let da = ops::mul(&spread(g, &difference.shape(), axes)?, &slope)?;
            let db = cx.needs(1).then(|| ops::neg(&da)).transpose()?;
            Ok(smallvec![Some(da), db])
        },
        |cx| {
            let difference = ops::sub(cx.input(0), cx.input(1))?;
            let axes = AxisSet::all(difference.ndim());
            let a = cx.tangent(0).map_or_else(|| zeros_like(cx.input(0)), Ok)?;
            let b = cx.tangent(1).map_or_else(|| zeros_like(cx.input(1)), Ok)?;
            let slope = slope(&difference, cx.output(), axes, p)?;
            gathered(&ops::mul(&ops::sub(&a, &b)?, &slope)?, axes, false)
        },
    )
}

/// Scales each part along `dim` whose `p`-norm exceeds `maxnorm` down to it.
pub fn renorm(x: &Tensor, p: f64, dim: isize, maxnorm: f64) -> Result<Tensor> {
    let axis = layout::axis(dim, x.ndim())?;
    if x.ndim() < 2 {
        return Err(Error::runtime(format!(
            "renorm: input needs at least 2 dimensions, got {} dimensions",
            x.ndim()
        )));
    }
    if p <= 0.0 {
        return Err(Error::runtime("renorm: non-positive-norm not supported"));
    }
    if maxnorm < 0.0 {
        return Err(Error::runtime(format!("renorm: expected maxnorm to be >= 0 but got {maxnorm}")));
    }
    let others: Vec<isize> = (0..x.ndim()).filter(|&a| a != axis).map(|a| a as isize).collect();
    let norm = vector_norm(x, p, Some(&others), true, None)?;
    let too_long = ops::gt(&norm.detach(), maxnorm)?;
    let scale = ops::mul(&ops::reciprocal(&ops::add(&norm, 1e-7)?)?, maxnorm)?;
    ops::mul(x, &ops::choose(&too_long, &scale, 1.0)?)
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "vector_norm",
        |s| Ok(vec![s.normal(&[3, 4])?]),
        |x| Ok(vec![vector_norm(&x[0], 2.0, Some(&[1]), false, None)?]),
    ),
    Check::new(
        "vector_norm of order 3",
        |s| Ok(vec![s.normal(&[3, 4])?]),
        |x| Ok(vec![vector_norm(&x[0], 3.0, None, false, None)?]),
    ),
    Check::new(
        "vector_norm of order 1.5",
        |s| Ok(vec![s.distinct(&[3, 4])?]),
        |x| Ok(vec![vector_norm(&x[0], 1.5, Some(&[0]), true, None)?]),
    ),
    Check::new(
        "vector_norm of order 1/2",
        |s| Ok(vec![s.distinct(&[3, 4])?]),
        |x| Ok(vec![vector_norm(&x[0], 0.5, Some(&[0]), true, None)?]),
    ),
    Check::new(
        "vector_norm of order infinity",
        |s| Ok(vec![s.distinct(&[3, 4])?]),
        |x| Ok(vec![vector_norm(&x[0], f64::INFINITY, Some(&[0]), true, None)?]),
    ),
    Check::new(
        "dist",
        |s| Ok(vec![s.normal(&[3, 4])?, s.normal(&[4])?]),
        |x| Ok(vec![dist(&x[0], &x[1], 2.0)?]),
    ),
    Check::new("renorm", |s| Ok(vec![s.normal(&[3, 4])?]), |x| Ok(vec![renorm(&x[0], 2.0, 0, 1.0)?])),
];
