//! Variance and standard deviation, with and without the mean.

use smallvec::smallvec;

use crate::array::kernels::reduce::{self, AxisSet, Moment};
use crate::array::{Array, Scalar};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::vector_space::zeros_like;
use crate::graph::{Backward, Keep, Tensor, record, record_many};
use crate::ops;

use super::axes;
use super::spread::spread;
use super::sum::{gathered, mean};

/// The sum of squared deviations from the mean by `n - correction`, over the axes `dim`, all of them for `None`.
///
/// NaN where `n <= correction` leaves nothing to divide. Fails for integers.
pub fn var(x: &Tensor, dim: Option<&[isize]>, correction: f64, keepdim: bool) -> Result<Tensor> {
    spread_of(x, dim, correction, keepdim, Moment::Variance, "VarBackward0")
}

/// The square root of [`var`]. Its gradient at zero is zero.
pub fn std(x: &Tensor, dim: Option<&[isize]>, correction: f64, keepdim: bool) -> Result<Tensor> {
    spread_of(x, dim, correction, keepdim, Moment::Deviation, "StdBackward0")
}

fn check_float(x: &Tensor, op: &str) -> Result<()> {
    if x.dtype().is_floating() {
        return Ok(());
    }
    Err(Error::runtime(format!("{op} only support floating point and complex dtypes")))
}

fn kernel(x: &Array, axes: AxisSet, keep: bool, moment: Moment, correction: f64) -> Result<Array> {
    if reduce::count_of(x.shape(), axes) == 0 {
        return reduce::constant(x.shape(), axes, keep, Scalar::Float(f64::NAN), x.dtype());
    }
    reduce::spread(x, axes, keep, moment, correction)
}

/// How much each element moves the result: 2 (x - mean) / (n - correction), or by the result (x - mean) / (n - correction).
fn slope(x: &Tensor, y: &Tensor, axes: AxisSet, moment: Moment, correction: f64) -> Result<Tensor> {
    let n = reduce::count_of(&x.shape(), axes) as f64;
    let dim: Vec<isize> = (0..x.ndim()).filter(|&a| axes.contains(a)).map(|a| a as isize).collect();
    let centred = ops::sub(x, &mean(x, Some(&dim), true, None)?)?;
    let rest = (n - correction).max(0.0);
    match moment {
        Moment::Variance => ops::mul(&centred, 2.0 / rest),
        Moment::Deviation => {
            let y = spread(y, &x.shape(), axes)?;
            let zero = ops::eq(&y.detach(), 0.0)?;
            let ratio = ops::div(&ops::mul(&centred, 1.0 / rest)?, &ops::choose(&zero, 1.0, &y)?)?;
            ops::choose(&zero, 0.0, &ratio)
        }
    }
}

/// The variance's derivative does not look at the variance, which may therefore be overwritten.
const fn kept(moment: Moment) -> &'static [Keep<'static>] {
    match moment {
        Moment::Variance => &[Keep::Input(0)],
        Moment::Deviation => &[Keep::Input(0), Keep::Output(0)],
    }
}

/// The input, and what [`slope`] is given for the output.
fn saved(moment: Moment, cx: &Backward<'_>) -> Result<(Tensor, Tensor)> {
    let x = cx.saved(0)?;
    let y = match moment {
        Moment::Variance => x.clone(),
        Moment::Deviation => cx.saved(1)?,
    };
    Ok((x, y))
}

fn spread_of(
    x: &Tensor,
    dim: Option<&[isize]>,
    correction: f64,
    keepdim: bool,
    moment: Moment,
    name: &'static str,
) -> Result<Tensor> {
    check_float(x, "std and var")?;
    let array = x.array();
    let axes = axes(dim, array.ndim())?;
    let y = kernel(&array, axes, keepdim, moment, correction)?;
    // dx = g slope
    record(
        name,
        &[x],
        y,
        kept(moment),
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            let (x, y) = saved(moment, cx)?;
            let slope = slope(&x, &y, axes, moment, correction)?;
            Ok(smallvec![Some(ops::mul(&spread(g, &x.shape(), axes)?, &slope)?)])
        },
        |cx| {
            let x = cx.input(0);
            let tangent = cx.tangent(0).map_or_else(|| zeros_like(x), Ok)?;
            gathered(&ops::mul(&tangent, &slope(x, cx.output(), axes, moment, correction)?)?, axes, keepdim)
        },
    )
}

/// Variance and mean.
pub fn var_mean(
    x: &Tensor,
    dim: Option<&[isize]>,
    correction: f64,
    keepdim: bool,
) -> Result<(Tensor, Tensor)> {
    with_mean(x, dim, correction, keepdim, Moment::Variance, ("var_mean", "VarMeanBackward0"))
}

/// Standard deviation and mean.
pub fn std_mean(
    x: &Tensor,
    dim: Option<&[isize]>,
    correction: f64,
    keepdim: bool,
) -> Result<(Tensor, Tensor)> {
    with_mean(x, dim, correction, keepdim, Moment::Deviation, ("std_mean", "StdMeanBackward0"))
}

fn with_mean(
    x: &Tensor,
    dim: Option<&[isize]>,
    correction: f64,
    keepdim: bool,
    moment: Moment,
    (op, name): (&'static str, &'static str),
) -> Result<(Tensor, Tensor)> {
    check_float(x, op)?;
    let array = x.array();
    let axes = axes(dim, array.ndim())?;
    let outputs = vec![
        kernel(&array, axes, keepdim, moment, correction)?,
        reduce::mean(&array, axes, keepdim, array.dtype())?,
    ];
    let share = 1.0 / reduce::count_of(array.shape(), axes) as f64;
    // dx = g slope + g_mean / n
    let both = record_many(
        name,
        &[x],
        outputs,
        kept(moment),
        move |cx| {
            let (x, y) = saved(moment, cx)?;
            let first = cx.grad(0).map(|g| {
                let slope = slope(&x, &y, axes, moment, correction)?;
                ops::mul(&spread(g, &x.shape(), axes)?, &slope)
            });
            let second = cx.grad(1).map(|g| spread(&ops::mul(g, share)?, &x.shape(), axes));
            Ok(smallvec![match (first.transpose()?, second.transpose()?) {
                (Some(a), Some(b)) => Some(ops::add(&a, &b)?),
                (a, b) => a.or(b),
            }])
        },
        |inputs, made| {
            let Some(tangent) = inputs[0].tangent() else { return Ok(vec![None, None]) };
            let slope = slope(inputs[0], &made[0], axes, moment, correction)?;
            Ok(vec![
                Some(gathered(&ops::mul(&tangent, &slope)?, axes, keepdim)?),
                Some(gathered(&ops::mul(&tangent, share)?, axes, keepdim)?),
            ])
        },
    )?;
    let [y, mean] =
        <[Tensor; 2]>::try_from(both).unwrap_or_else(|_| unreachable!("two outputs were recorded"));
    Ok((y, mean))
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new("var", |s| Ok(vec![s.normal(&[3, 4])?]), |x| Ok(vec![var(&x[0], Some(&[1]), 1.0, false)?])),
    Check::new("std", |s| Ok(vec![s.normal(&[3, 4])?]), |x| Ok(vec![std(&x[0], Some(&[0]), 0.0, true)?])),
    Check::new(
        "var_mean",
        |s| Ok(vec![s.normal(&[3, 4])?]),
        |x| {
            let (y, mean) = var_mean(&x[0], None, 1.0, false)?;
            Ok(vec![y, mean])
        },
    ),
    Check::new(
        "std_mean",
        |s| Ok(vec![s.normal(&[3, 4])?]),
        |x| {
            let (y, mean) = std_mean(&x[0], Some(&[0, 1]), 1.0, true)?;
            Ok(vec![y, mean])
        },
    ),
];
