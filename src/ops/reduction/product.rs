//! Products, running products, running logarithms of sums of exponentials; and the linear recurrence of their gradients.

use smallvec::smallvec;

use crate::array::kernels::{reduce, scan};
use crate::array::{Array, DType, Dims, Scalar, layout};
use crate::error::Result;
use crate::gradcheck::Check;
use crate::graph::vector_space::{to_dtype, zeros_like};
use crate::graph::{Keep, Tensor, linear, linear_view, record};
use crate::ops;

use super::spread::spread;
use super::sum::sum;
use super::{accumulated, axes, one};

/// The same elements in the same order under another shape.
fn reshaped(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let array = x.array().contiguous()?;
    let y = array.view(shape)?;
    let (from, to): (Dims, Dims) = (x.shape(), shape.into());
    linear_view("ViewBackward0", x, y, move |g| reshaped(g, &from), move |t| reshaped(t, &to))
}

/// Product over one axis, or over all for `None`. Integers and truths are multiplied in 64 bits.
pub fn prod(x: &Tensor, dim: Option<isize>, keepdim: bool, dtype: Option<DType>) -> Result<Tensor> {
    let array = x.array();
    let dims = dim.map(|d| [d]);
    let axes = axes(dims.as_ref().map(<[isize; 1]>::as_slice), array.ndim())?;
    let compute = accumulated(array.dtype(), dtype);
    let y = reduce::product(&array, axes, keepdim, compute)?;
    let name = if dim.is_none() { "ProdBackward0" } else { "ProdBackward1" };
    // dx[i] = g * product of the others
    record(
        name,
        &[x],
        y,
        &[Keep::Input(0), Keep::Output(0)],
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            let (x, y) = (cx.saved(0)?, cx.saved(1)?);
            let from = x.dtype();
            let x = to_dtype(&x, compute)?;
            let others = product_of_others(&x, &y, dim, axes)?;
            let g = spread(g, &x.shape(), axes)?;
            Ok(smallvec![Some(to_dtype(&ops::mul(&g, &others)?, from)?)])
        },
        |cx| {
            let x = to_dtype(cx.input(0), compute)?;
            let others = product_of_others(&x, cx.output(), dim, axes)?;
            let tangent = cx.tangent(0).map_or_else(|| zeros_like(&x), Ok)?;
            let all = ops::mul(&others, &tangent)?;
            sum(&all, dim.map(|d| [d]).as_ref().map(<[isize; 1]>::as_slice), keepdim, None)
        },
    )
}

fn product_of_others(x: &Tensor, y: &Tensor, dim: Option<isize>, axes: reduce::AxisSet) -> Result<Tensor> {
    let shape = x.shape();
    let array = x.array();
    let zeros = x.numel() > 0 && !is_true(&reduce::all(&array, reduce::AxisSet::all(array.ndim()), false)?)?;
    if !zeros {
        return ops::div(&spread(y, &shape, axes)?, x);
    }
    // With a zero there is no dividing: what comes before, times what comes after.
    let Some(dim) = dim else {
        let flat = reshaped(x, &[x.numel()])?;
        return reshaped(&before_and_after(&flat, 0)?, &shape);
    };
    before_and_after(x, layout::axis(dim, array.ndim())?)
}

fn before_and_after(x: &Tensor, axis: usize) -> Result<Tensor> {
    let before = shifted(&running_product(x, axis as isize, false, None)?, axis, false, 1.0)?;
    let after = shifted(&running_product(x, axis as isize, true, None)?, axis, true, 1.0)?;
    ops::mul(&before, &after)
}

fn is_true(x: &Array) -> Result<bool> {
    Ok(x.item()?.is_true())
}

/// `y[k] = x[k - 1]` along an axis (in reverse `x[k + 1]`), and `fill` in the place that is left.
fn shifted(x: &Tensor, axis: usize, reverse: bool, fill: f64) -> Result<Tensor> {
    let array = x.array();
    let y = Array::full(array.shape(), Scalar::Float(fill), array.dtype())?;
    let length = array.shape().get(axis).copied().unwrap_or(1);
    if array.ndim() > 0 && length > 1 {
        let (from, to) = if reverse { (1, 0) } else { (0, 1) };
        let target = y.slice(axis, to, length - 1, 1)?;
        crate::array::kernels::copy::copy(&array.slice(axis, from, length - 1, 1)?, &target);
    }
    linear(
        "SliceBackward0",
        x,
        y,
        move |g| shifted(g, axis, !reverse, 0.0),
        move |t| shifted(t, axis, reverse, 0.0),
    )
}

/// Running products along an axis; integers and truths in 64 bits.
pub fn cumprod(x: &Tensor, dim: isize, dtype: Option<DType>) -> Result<Tensor> {
    running_product(x, dim, false, dtype)
}

fn running_product(x: &Tensor, dim: isize, reverse: bool, dtype: Option<DType>) -> Result<Tensor> {
    let array = x.array();
    let (axis, _) = one(dim, array.ndim())?;
    let compute = accumulated(array.dtype(), dtype);
    let y = scan::product(&array, axis, reverse, compute)?;
    // dx[i] = e[i] s[i]: e[i] is the product before i, and s[i] = g[i] + x[i + 1] s[i + 1] what comes after it.
    record(
        "CumprodBackward0",
        &[x],
        y,
        &[Keep::Input(0), Keep::Output(0)],
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            let (x, y) = (cx.saved(0)?, cx.saved(1)?);
            let from = x.dtype();
            let x = to_dtype(&x, compute)?;
            let before = shifted(&y, axis, reverse, 1.0)?;
            let after = recurrence(&shifted(&x, axis, !reverse, 0.0)?, g, axis, !reverse)?;
            Ok(smallvec![Some(to_dtype(&ops::mul(&before, &after)?, from)?)])
        },
        // t[i] = x'[i] e[i] + x[i] t[i - 1]
        |cx| {
            let x = to_dtype(cx.input(0), compute)?;
            let tangent = cx.tangent(0).map_or_else(|| zeros_like(&x), Ok)?;
            let before = shifted(cx.output(), axis, reverse, 1.0)?;
            recurrence(&x, &ops::mul(&before, &to_dtype(&tangent, compute)?)?, axis, reverse)
        },
    )
}

/// The linear recurrence `y[k] = b[k] + a[k] y[k - 1]` along an axis (in reverse `y[k + 1]`), `y` starting from zero.
pub(crate) fn recurrence(a: &Tensor, b: &Tensor, axis: usize, reverse: bool) -> Result<Tensor> {
    let y = scan::recurrence(&a.array(), &b.array(), axis, reverse)?;
    // db[k] = g[k] + a[k + 1] db[k + 1], the same recurrence the other way;  da[k] = db[k] y[k - 1]
    record(
        "RecurrenceBackward0",
        &[a, b],
        y,
        &[Keep::Input(0), Keep::Output(0)],
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None, None]) };
            let (a, y) = (cx.saved(0)?, cx.saved(1)?);
            let db = recurrence(&shifted(&a, axis, !reverse, 0.0)?, g, axis, !reverse)?;
            let da = if cx.needs(0) { Some(ops::mul(&db, &shifted(&y, axis, reverse, 0.0)?)?) } else { None };
            Ok(smallvec![da, Some(db)])
        },
        // t[k] = b'[k] + a'[k] y[k - 1] + a[k] t[k - 1]
        |cx| {
            let y = cx.output();
            let mut sum = cx.tangent(1).map_or_else(|| zeros_like(y), Ok)?;
            if let Some(ta) = cx.tangent(0) {
                sum = ops::add(&sum, &ops::mul(&ta, &shifted(y, axis, reverse, 0.0)?)?)?;
            }
            recurrence(cx.input(0), &sum, axis, reverse)
        },
    )
}

/// The running logarithm of the sum of exponentials along an axis.
pub fn logcumsumexp(x: &Tensor, dim: isize) -> Result<Tensor> {
    let array = x.array();
    let (axis, _) = one(dim, array.ndim())?;
    let y = scan::logsumexp(&array, axis)?;
    // dx[i] = sum over k >= i of g[k] e^(x[i] - y[k]) = e^(x[i] - y[i]) s[i],
    // s[i] = g[i] + e^(y[i] - y[i + 1]) s[i + 1]: y never falls, so no power of e exceeds one.
    record(
        "LogcumsumexpBackward0",
        &[x],
        y,
        &[Keep::Input(0), Keep::Output(0)],
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            let (x, y) = (cx.saved(0)?, cx.saved(1)?);
            let rises = power_of_difference(&y, &shifted(&y, axis, true, f64::INFINITY)?)?;
            let s = recurrence(&rises, g, axis, true)?;
            Ok(smallvec![Some(ops::mul(&power_of_difference(&x, &y)?, &s)?)])
        },
        // t[i] = x'[i] e^(x[i] - y[i]) + e^(y[i - 1] - y[i]) t[i - 1]
        |cx| {
            let (x, y) = (cx.input(0), cx.output());
            let tangent = cx.tangent(0).map_or_else(|| zeros_like(x), Ok)?;
            let rises = power_of_difference(&shifted(y, axis, false, f64::NEG_INFINITY)?, y)?;
            recurrence(&rises, &ops::mul(&tangent, &power_of_difference(x, y)?)?, axis, false)
        },
    )
}

/// `e^(a - b)`, zero where `a` is negative infinity, whatever `b` is.
fn power_of_difference(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let nothing = ops::eq(&a.detach(), f64::NEG_INFINITY)?;
    let difference =
        ops::choose(&nothing, f64::NEG_INFINITY, &ops::sub(a, &ops::choose(&nothing, 0.0, b)?)?)?;
    ops::exp(&difference)
}

/// Normal numbers with some zeros among them.
fn with_zeros(s: &mut crate::gradcheck::Sampler) -> Result<Vec<Tensor>> {
    let x = s.normal(&[3, 4])?;
    let mut values = x.to_vec::<f64>()?;
    for i in [1, 6, 7] {
        values[i] = 0.0;
    }
    Ok(vec![Tensor::from_slice(&values, &[3, 4])?])
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "prod",
        |s| Ok(vec![s.uniform(&[2, 3], 0.5, 1.5)?]),
        |x| Ok(vec![prod(&x[0], None, false, None)?]),
    ),
    Check::new("prod of an axis with zeros", with_zeros, |x| Ok(vec![prod(&x[0], Some(1), false, None)?])),
    Check::new("prod with zeros", with_zeros, |x| Ok(vec![prod(&x[0], None, false, None)?])),
    Check::new("cumprod", |s| Ok(vec![s.normal(&[2, 4])?]), |x| Ok(vec![cumprod(&x[0], 1, None)?])),
    Check::new("cumprod with zeros", with_zeros, |x| Ok(vec![cumprod(&x[0], 1, None)?])),
    Check::new("logcumsumexp", |s| Ok(vec![s.normal(&[2, 4])?]), |x| Ok(vec![logcumsumexp(&x[0], 1)?])),
    Check::new(
        "recurrence",
        |s| Ok(vec![s.normal(&[2, 4])?, s.normal(&[2, 4])?]),
        |x| Ok(vec![recurrence(&x[0], &x[1], 1, true)?]),
    ),
];
