//! The adjoints of reductions: a gradient repeated over the reduced axes, or put back where a chosen element came from.

use crate::array::kernels::reduce::{self, AxisSet};
use crate::array::{Array, Dims};
use crate::error::Result;
use crate::graph::batch::{self, led};
use crate::graph::{Batched, Tensor, linear, linear_view};
use crate::with_element;

/// Repeats `x`, which lacks the axes (or has them with extent 1), over them: the adjoint of a sum, as a view.
pub(crate) fn spread(x: &Tensor, shape: &[usize], axes: AxisSet) -> Result<Tensor> {
    let array = x.array();
    let from: Dims = array.shape().into();
    let y = array.view(&reduce::shape_of(shape, axes, true))?.expand(shape)?;
    let to: Dims = shape.into();
    let ndim = shape.len();
    let adjoint = move |g: &Tensor| sum_over(g, &led(g, ndim, &from), behind(g, ndim, axes));
    linear_view(Batched("ExpandBackward0"), x, y, adjoint, move |t| spread(t, &to, axes))
}

/// [`spread`] of a gradient, or of a batch of them, of something with `ndim` axes.
pub(super) fn spread_from(g: &Tensor, ndim: usize, shape: &[usize], axes: AxisSet) -> Result<Tensor> {
    spread(g, &led(g, ndim, shape), behind(g, ndim, axes))
}

/// The axes of each member, if `g`, a gradient of something with `ndim` axes, is a batch.
fn behind(g: &Tensor, ndim: usize, axes: AxisSet) -> AxisSet {
    axes.behind(batch::of(g, ndim).is_some().into())
}

/// The sum over the axes, in a given one of the two shapes it can have.
pub(super) fn sum_over(x: &Tensor, shape: &[usize], axes: AxisSet) -> Result<Tensor> {
    let array = x.array();
    let y = reduce::sum_over(&array, axes, false, array.dtype())?.view(shape)?;
    let from: Dims = array.shape().into();
    let to: Dims = shape.into();
    let ndim = to.len();
    let adjoint = move |g: &Tensor| spread_from(g, ndim, &from, axes);
    linear(Batched("SumBackward1"), x, y, adjoint, move |t| sum_over(t, &to, axes))
}

/// The elements of `x` at positions along an axis; the result has the shape of `index`, `x` seen with the axis last or gone.
pub(crate) fn pick(x: &Tensor, index: &Array, axis: usize, shape: &[usize]) -> Result<Tensor> {
    let y = picked(&x.array(), index, axis)?.view(shape)?;
    let from = x.shape();
    let (here, there) = (index.clone(), index.clone());
    let to: Dims = shape.into();
    linear("GatherBackward0", x, y, move |g| put(g, &here, axis, &from), move |t| pick(t, &there, axis, &to))
}

/// Zeros of a shape with `x` added at positions along an axis: the adjoint of [`pick`].
pub(crate) fn put(x: &Tensor, index: &Array, axis: usize, shape: &[usize]) -> Result<Tensor> {
    let y = Array::zeros(shape, x.dtype())?;
    add_at(&x.array(), index, axis, &y)?;
    let from = x.shape();
    let (here, there) = (index.clone(), index.clone());
    let to: Dims = shape.into();
    linear(
        "ScatterAddBackward0",
        x,
        y,
        move |g| pick(g, &here, axis, &from),
        move |t| put(t, &there, axis, &to),
    )
}

/// Visits `(position in the indexed array, position in the index)` for each element of a contiguous index.
fn each_place(
    shape: &[usize],
    axis: usize,
    index: &Array,
    mut visit: impl FnMut(usize, usize),
) -> Result<()> {
    let index = index.contiguous()?;
    // SAFETY: indices are this crate's own arrays, which nobody writes to.
    let positions = unsafe { index.as_slice::<i64>() }.unwrap_or_default();
    let (outer, length, inner) = crate::array::kernels::softmax::extents(shape, axis);
    let picks = positions.len().checked_div(outer * inner).unwrap_or(0);
    let mut k = 0;
    for o in 0..outer {
        for _ in 0..picks {
            for i in 0..inner {
                visit((o * length + positions[k] as usize) * inner + i, k);
                k += 1;
            }
        }
    }
    Ok(())
}

/// The elements of `x` at positions along an axis, in the index's order.
pub(crate) fn picked(x: &Array, index: &Array, axis: usize) -> Result<Array> {
    let x = x.contiguous()?;
    let y = Array::empty(index.shape(), x.dtype())?;
    with_element!(x.dtype(), T => {
        // SAFETY: `y` is new; `x` is read only.
        let (from, to) =
            unsafe { (x.as_slice::<T>().unwrap_or_default(), y.as_mut_slice::<T>().unwrap_or_default()) };
        each_place(x.shape(), axis, index, |place, k| to[k] = from[place])?;
    });
    Ok(y)
}

fn add_at(x: &Array, index: &Array, axis: usize, y: &Array) -> Result<()> {
    let x = x.contiguous()?;
    with_element!(x.dtype(), T => {
        use crate::array::Element;
        // SAFETY: `y` is new; `x` is read only.
        let (from, to) =
            unsafe { (x.as_slice::<T>().unwrap_or_default(), y.as_mut_slice::<T>().unwrap_or_default()) };
        each_place(y.shape(), axis, index, |place, k| {
            to[place] = T::from_f64(to[place].to_f64() + from[k].to_f64());
        })
    })
}
