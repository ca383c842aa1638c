//! The largest and the smallest, where they stand, and running ones. NaN counts as both.

use smallvec::smallvec;

use crate::array::kernels::reduce::{self, AxisSet};
use crate::array::kernels::scan;
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::record_many;
use crate::graph::vector_space::{to_dtype, zeros_like};
use crate::graph::{Keep, Tensor, record};
use crate::ops;

use super::spread::{pick, picked, put, spread};
use super::sum::gathered;
use super::{axes, one};

/// The end of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Largest,
    Smallest,
}

impl End {
    fn value(self, x: &Array, axes: AxisSet, keep: bool) -> Result<Array> {
        match self {
            Self::Largest => reduce::max(x, axes, keep),
            Self::Smallest => reduce::min(x, axes, keep),
        }
    }

    fn position(self, x: &Array, axes: AxisSet, keep: bool) -> Result<Array> {
        match self {
            Self::Largest => reduce::argmax(x, axes, keep),
            Self::Smallest => reduce::argmin(x, axes, keep),
        }
    }

    fn pair<T>(self, largest: T, smallest: T) -> T {
        if self == Self::Largest { largest } else { smallest }
    }
}

fn nothing_to_choose(op: &str) -> Error {
    Error::runtime(format!(
        "{op}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' \
         argument."
    ))
}

fn empty_dim(op: &str, axis: usize) -> Error {
    Error::index(format!("{op}: Expected reduction dim {axis} to have non-zero size."))
}

/// Fails if there is nothing to choose from along the axes.
fn check_choice(op: &str, x: &Array, dim: Option<&[isize]>, axes: AxisSet) -> Result<()> {
    if x.numel() > 0 {
        return Ok(());
    }
    if dim.is_none_or(<[isize]>::is_empty) {
        return Err(nothing_to_choose(op));
    }
    match (0..x.ndim()).find(|&axis| axes.contains(axis) && x.shape()[axis] == 0) {
        Some(axis) => Err(empty_dim(&format!("{op}()"), axis)),
        None => Ok(()),
    }
}

/// What share of a chosen value's gradient each element gets: equal ones share evenly, all others get nothing.
pub(super) fn shares(x: &Tensor, y: &Tensor, axes: AxisSet) -> Result<Tensor> {
    let (x, y) = (x.detach(), y.detach());
    let chosen = ops::eq(&x, &spread(&y, &x.shape(), axes)?)?;
    share_evenly(&chosen, axes, x.dtype())
}

/// One over the number of chosen elements for each of them.
pub(super) fn share_evenly(chosen: &Tensor, axes: AxisSet, dtype: DType) -> Result<Tensor> {
    let count = Tensor::new(reduce::sum_over(&chosen.array(), axes, true, dtype)?);
    ops::div(&to_dtype(chosen, dtype)?, &count)
}

/// An extreme over axes, whose gradient is shared among equals.
fn extreme(
    x: &Tensor,
    dim: Option<&[isize]>,
    keepdim: bool,
    end: End,
    names: (&'static str, &'static str),
) -> Result<Tensor> {
    let array = x.array();
    let axes = axes(dim, array.ndim())?;
    check_choice(names.0, &array, dim, axes)?;
    let y = end.value(&array, axes, keepdim)?;
    shared_among_equals(names.1, x, y, axes, keepdim, names.1 == "MaxBackward1" || names.1 == "MinBackward1")
}

/// A value chosen among those over the axes: its gradient is shared by all that equal it. If it is `whole`, the choice of
/// all elements, a NaN's gradient is shared by the NaNs; else nobody gets it.
pub(super) fn shared_among_equals(
    name: &'static str,
    x: &Tensor,
    y: Array,
    axes: AxisSet,
    keepdim: bool,
    whole: bool,
) -> Result<Tensor> {
    // dx = g share
    let share = move |x: &Tensor, y: &Tensor| {
        if whole && y.item()?.to_f64().is_nan() {
            return share_evenly(&ops::isnan(&x.detach())?, axes, x.dtype());
        }
        shares(x, y, axes)
    };
    record(
        name,
        &[x],
        y,
        &[Keep::Input(0), Keep::Output(0)],
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            let (x, y) = (cx.saved(0)?, cx.saved(1)?);
            Ok(smallvec![Some(ops::mul(&spread(g, &x.shape(), axes)?, &share(&x, &y)?)?)])
        },
        |cx| {
            let x = cx.input(0);
            let tangent = cx.tangent(0).map_or_else(|| zeros_like(x), Ok)?;
            gathered(&ops::mul(&tangent, &share(x, cx.output())?)?, axes, keepdim)
        },
    )
}

/// The largest over the axes `dim`, all of them for `None` and an empty list.
///
/// Fails if there is nothing to choose from.
pub fn amax(x: &Tensor, dim: Option<&[isize]>, keepdim: bool) -> Result<Tensor> {
    extreme(x, dim, keepdim, End::Largest, ("amax", "AmaxBackward0"))
}

/// The smallest over the axes `dim`.
pub fn amin(x: &Tensor, dim: Option<&[isize]>, keepdim: bool) -> Result<Tensor> {
    extreme(x, dim, keepdim, End::Smallest, ("amin", "AminBackward0"))
}

/// The largest of all elements.
pub fn max(x: &Tensor) -> Result<Tensor> {
    extreme(x, None, false, End::Largest, ("max", "MaxBackward1"))
}

/// The smallest of all elements.
pub fn min(x: &Tensor) -> Result<Tensor> {
    extreme(x, None, false, End::Smallest, ("min", "MinBackward1"))
}

/// Values at positions along an axis, with the positions: the gradient goes to where the values came from.
pub(super) fn chosen(
    name: &'static str,
    x: &Tensor,
    positions: Array,
    axis: usize,
) -> Result<(Tensor, Tensor)> {
    let values = picked(&x.array(), &positions, axis)?;
    let shape = x.shape();
    let both = record_many(
        name,
        &[x],
        vec![values, positions],
        &[Keep::Output(1)],
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            Ok(smallvec![Some(put(g, &cx.saved(0)?.array(), axis, &shape)?)])
        },
        |inputs, made| {
            let Some(tangent) = inputs[0].tangent() else { return Ok(vec![None, None]) };
            Ok(vec![Some(pick(&tangent, &made[1].array(), axis, &made[1].shape())?), None])
        },
    )?;
    let [values, positions] =
        <[Tensor; 2]>::try_from(both).unwrap_or_else(|_| unreachable!("two outputs were recorded"));
    Ok((values, positions))
}

fn extreme_of_axis(x: &Tensor, dim: isize, keepdim: bool, end: End) -> Result<(Tensor, Tensor)> {
    let array = x.array();
    let (axis, axes) = one(dim, array.ndim())?;
    check_choice(end.pair("max", "min"), &array, Some(&[dim]), axes)?;
    let positions = end.position(&array, axes, keepdim)?;
    chosen(end.pair("MaxBackward0", "MinBackward0"), x, positions, axis)
}

/// The largest along an axis, and the position of the first of them.
pub fn max_dim(x: &Tensor, dim: isize, keepdim: bool) -> Result<(Tensor, Tensor)> {
    extreme_of_axis(x, dim, keepdim, End::Largest)
}

/// The smallest along an axis, and the position of the first of them.
pub fn min_dim(x: &Tensor, dim: isize, keepdim: bool) -> Result<(Tensor, Tensor)> {
    extreme_of_axis(x, dim, keepdim, End::Smallest)
}

fn argument(x: &Tensor, dim: Option<isize>, keepdim: bool, end: End) -> Result<Tensor> {
    let array = x.array();
    let op = end.pair("argmax", "argmin");
    if array.dtype() == DType::Bool {
        return Err(Error::runtime(format!("{op}(): does not support bool input")));
    }
    let axes = match dim {
        Some(dim) => one(dim, array.ndim())?.1,
        None => AxisSet::all(array.ndim()),
    };
    if array.numel() == 0 && dim.is_none() {
        let why = "Expected reduction dim to be specified for input.numel() == 0.";
        return Err(Error::index(format!("{op}(): {why}")));
    }
    check_choice(op, &array, dim.map(|d| [d]).as_ref().map(<[isize; 1]>::as_slice), axes)?;
    Ok(Tensor::new(end.position(&array, axes, keepdim)?))
}

/// The position of the first largest element along an axis, or among all in row-major order, as int64.
pub fn argmax(x: &Tensor, dim: Option<isize>, keepdim: bool) -> Result<Tensor> {
    argument(x, dim, keepdim, End::Largest)
}

/// The position of the first smallest element along an axis, or among all in row-major order, as int64.
pub fn argmin(x: &Tensor, dim: Option<isize>, keepdim: bool) -> Result<Tensor> {
    argument(x, dim, keepdim, End::Smallest)
}

/// The smallest and the largest, along an axis or of all.
pub fn aminmax(x: &Tensor, dim: Option<isize>, keepdim: bool) -> Result<(Tensor, Tensor)> {
    let array = x.array();
    let axes = match dim {
        Some(dim) => one(dim, array.ndim())?.1,
        None => AxisSet::all(array.ndim()),
    };
    if array.numel() == 0 && dim.is_none() {
        return Err(Error::runtime(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity.",
        ));
    }
    if let Some(dim) = dim
        && reduce::count_of(array.shape(), axes) == 0
    {
        return Err(empty_dim("aminmax", crate::array::layout::axis(dim, array.ndim())?));
    }
    let outputs =
        vec![End::Smallest.value(&array, axes, keepdim)?, End::Largest.value(&array, axes, keepdim)?];
    let both = record_many(
        "AminmaxBackward0",
        &[x],
        outputs,
        &[Keep::Input(0), Keep::Output(0), Keep::Output(1)],
        move |cx| {
            let x = cx.saved(0)?;
            let mut sum: Option<Tensor> = None;
            for output in 0..2 {
                let Some(g) = cx.grad(output) else { continue };
                let share = shares(&x, &cx.saved(1 + output)?, axes)?;
                let part = ops::mul(&spread(g, &x.shape(), axes)?, &share)?;
                sum = Some(match sum {
                    None => part,
                    Some(sum) => ops::add(&sum, &part)?,
                });
            }
            Ok(smallvec![sum])
        },
        |inputs, made| {
            let Some(tangent) = inputs[0].tangent() else { return Ok(vec![None, None]) };
            let of = |y: &Tensor| gathered(&ops::mul(&tangent, &shares(inputs[0], y, axes)?)?, axes, keepdim);
            Ok(vec![Some(of(&made[0])?), Some(of(&made[1])?)])
        },
    )?;
    let [least, most] =
        <[Tensor; 2]>::try_from(both).unwrap_or_else(|_| unreachable!("two outputs were recorded"));
    Ok((least, most))
}

fn running(x: &Tensor, dim: isize, end: End) -> Result<(Tensor, Tensor)> {
    let array = x.array();
    let (axis, _) = one(dim, array.ndim())?;
    let positions = scan::position(&array, axis, end == End::Largest)?;
    chosen(end.pair("CummaxBackward0", "CumminBackward0"), x, positions, axis)
}

/// The largest so far along an axis, and where it stands; of equals the last.
pub fn cummax(x: &Tensor, dim: isize) -> Result<(Tensor, Tensor)> {
    running(x, dim, End::Largest)
}

/// The smallest so far along an axis, and where it stands; of equals the last.
pub fn cummin(x: &Tensor, dim: isize) -> Result<(Tensor, Tensor)> {
    running(x, dim, End::Smallest)
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new("amax", |s| Ok(vec![s.distinct(&[3, 4])?]), |x| Ok(vec![amax(&x[0], Some(&[1]), true)?])),
    Check::new("amin", |s| Ok(vec![s.distinct(&[3, 4])?]), |x| Ok(vec![amin(&x[0], None, false)?])),
    Check::new("max", |s| Ok(vec![s.distinct(&[3, 4])?]), |x| Ok(vec![max(&x[0])?])),
    Check::new(
        "max of an axis",
        |s| Ok(vec![s.distinct(&[3, 4])?]),
        |x| Ok(vec![max_dim(&x[0], 0, false)?.0]),
    ),
    Check::new(
        "min of an axis",
        |s| Ok(vec![s.distinct(&[3, 4])?]),
        |x| Ok(vec![min_dim(&x[0], 1, true)?.0]),
    ),
    Check::new(
        "aminmax",
        |s| Ok(vec![s.distinct(&[3, 4])?]),
        |x| {
            let (least, most) = aminmax(&x[0], Some(1), false)?;
            Ok(vec![least, most])
        },
    ),
    Check::new("cummax", |s| Ok(vec![s.distinct(&[3, 4])?]), |x| Ok(vec![cummax(&x[0], 1)?.0])),
    Check::new("cummin", |s| Ok(vec![s.distinct(&[3, 4])?]), |x| Ok(vec![cummin(&x[0], 0)?.0])),
];
