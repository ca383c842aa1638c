//! The few things every gradient must be able to do: be zero, be added, be summed down to a shape, be spread out again.
//! They are ops like any other; the engine needs no more than these.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use crate::array::kernels::reduce;
use crate::array::kernels::tile::{Call, Source};
use crate::array::kernels::walk::each_run;
use crate::array::{Array, DType, Dims, Layout};
use crate::error::{Error, Kind, Result};
use crate::graph::batch::{self, Batch, Batched};
use crate::graph::node::{Edge, NodeRef, OutputMeta};
use crate::graph::record::{Backward, linear, linear_view, record};
use crate::graph::row::{Operand, apply, apply_in_place};
use crate::graph::tensor::Tensor;
use crate::graph::{forward, mode};
use crate::rows;

rows! {
    table SUM with methods;

    /// Sum of two tensors.
    number add(a, b) -> y = a + b, { da(g) = g, db(g) = g }
}

/// Zeros of the same shape and dtype.
pub fn zeros_like(x: &Tensor) -> Result<Tensor> {
    let state = x.state();
    Tensor::zeros(state.array.shape(), state.array.dtype())
}

/// `y`, which does not depend on `x`, as a function of it all the same: its derivative is zero. So asking for a derivative
/// is no error, as it is none in PyTorch, whose derivatives are functions of all that they saved.
pub(crate) fn tied(y: &Tensor, x: &Tensor) -> Result<Tensor> {
    let (shape, dtype) = (x.shape(), x.dtype());
    let backward = move |_: &Backward<'_>| Ok(smallvec![Some(Tensor::zeros(&shape, dtype)?)]);
    let tied = record("ZerosBackward0", &[x], y.array(), &[], backward, |cx| zeros_like(cx.output()))?;
    // The zeros of `x` add nothing to the tangent that `y` has.
    if y.tangent().is_some() {
        tied.set_slot(y.slot());
    }
    Ok(tied)
}

/// The sum of two gradients. Under create_graph it is recorded; else the first is written over if nobody else holds it.
pub fn add_grads(a: Tensor, b: Tensor) -> Result<Tensor> {
    if !forward::is_watched() && a.is_unshared() && same_kind(&a, &b) {
        add_into(&a.array(), &b.array())?;
        return Ok(a);
    }
    apply(&add::ROW, [Operand::Tensor(&a), Operand::Tensor(&b)])
}

fn same_kind(a: &Tensor, b: &Tensor) -> bool {
    let (a, b) = (a.state(), b.state());
    a.array.shape() == b.array.shape() && a.array.dtype() == b.array.dtype()
}

/// y += x, on arrays of one shape and dtype.
fn add_into(y: &Array, x: &Array) -> Result<()> {
    let dtype = y.dtype();
    let tile = add::ROW.tile(dtype)?;
    let inputs = &[Source::Array(y), Source::Array(x)];
    Call { tile, compute: dtype, inputs, result: dtype, output: y }.run();
    Ok(())
}

/// Adds each element of `x` to the element of `y` at the same place, one after the other: right when `y` overlaps itself.
pub(crate) fn add_each(y: &Array, x: &Array) -> Result<()> {
    let source = x.contiguous()?;
    crate::with_element!(y.dtype(), T => {
        let mut from = source.pointer().cast::<T>().cast_const();
        each_run(y, |target, step, n| {
            for i in 0..n as isize {
                // SAFETY: `each_run` visits elements of `y`; `source` has as many, in the same order.
                unsafe {
                    let place = target.cast::<T>().offset(i * step);
                    let sum = crate::array::Element::to_f64(place.read()) + crate::array::Element::to_f64(from.read());
                    place.write(crate::array::Element::from_f64(sum));
                    from = from.add(1);
                }
            }
        });
    });
    Ok(())
}

/// What `.grad` becomes when `grad` arrives: see [`Tensor::accumulate_grad`].
pub(crate) fn accumulate(existing: Option<&Tensor>, grad: Tensor) -> Result<Tensor> {
    let Some(existing) = existing else {
        if mode::is_grad_enabled() {
            return Ok(grad);
        }
        if grad.is_unshared() && grad.state().array.is_contiguous() {
            grad.set_slot(None);
            return Ok(grad);
        }
        return Ok(Tensor::new(grad.array().copied()?));
    };
    if mode::is_grad_enabled() || !same_kind(existing, &grad) {
        return apply(&add::ROW, [Operand::Tensor(existing), Operand::Tensor(&grad)]);
    }
    // In place: whoever holds `.grad` sees it grow.
    if existing.tangent().is_some() {
        return apply_in_place(&add::ROW, [Operand::Tensor(existing), Operand::Tensor(&grad)]);
    }
    add_into(&existing.array(), &grad.array())?;
    existing.array().storage().raise_version_under_lock("the accumulation of a gradient");
    Ok(existing.clone())
}

/// Undoes broadcasting and promotion: brings a gradient, or a batch of them, to the shape and dtype of the value it belongs
/// to.
#[inline]
pub fn fit(grad: Tensor, meta: &OutputMeta, batch: Batch) -> Result<Tensor> {
    let (shape_fits, dtype_fits) = {
        let state = grad.state();
        let layout = state.array.layout();
        (
            Arc::ptr_eq(layout, &meta.layout) || layout.shape() == meta.layout.shape(),
            state.array.dtype() == meta.dtype,
        )
    };
    // In a batch the gradient has an axis more than the value, so that the shapes are never the same: a derivative that
    // takes the whole batch answers with at least the axes of its output, and the answers of others were fitted before.
    let grad = if shape_fits { grad } else { fit_shape(grad, meta.layout.shape(), batch)? };
    if dtype_fits { Ok(grad) } else { to_dtype(&grad, meta.dtype) }
}

/// Sums the axes along which a value of the shape `own` was broadcast, in each member of a batch.
fn fit_shape(grad: Tensor, own: &[usize], batch: Batch) -> Result<Tensor> {
    if batch.is_none() {
        return sum_to(&grad, own);
    }
    let aligned = batch::shape(batch, own, grad.ndim());
    let grad = if grad.shape() == aligned { grad } else { sum_to(&grad, &aligned)? };
    let shape = batch::shape(batch, own, 0);
    if shape == aligned { Ok(grad) } else { drop_axes(&grad, &shape) }
}

/// The same elements without some axes of extent 1.
fn drop_axes(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let array = x.array();
    let y = array.view(shape)?;
    let (from, to): (Dims, Dims) = (array.shape().into(), shape.into());
    linear("ViewBackward0", x, y, move |g| drop_axes(g, &from), move |t| drop_axes(t, &to))
}

/// [`fit`] of what a node computed for the edge of this number. A gradient that does not fit is that node's fault.
#[inline]
pub fn fit_edge(grad: Tensor, node: &NodeRef, k: usize, edge: &Edge, batch: Batch) -> Result<Tensor> {
    let meta = &edge.node.outputs()[edge.output as usize];
    fit(grad, meta, batch).map_err(|error| invalid_gradient(node, k, error))
}

#[cold]
fn invalid_gradient(node: &NodeRef, k: usize, error: Error) -> Error {
    match error.kind() {
        Kind::NotReducible { from, to } => Error::runtime(format!(
            "Function {} returned an invalid gradient at index {k} - got {from:?} but expected shape compatible with {to:?}",
            node.name()
        )),
        _ => error,
    }
}

/// Sums the axes along which `shape` was broadcast to `x`'s shape.
pub fn sum_to(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let array = x.array();
    let skip = array.ndim().checked_sub(shape.len()).ok_or_else(|| not_expandable(array.shape(), shape))?;
    let mut axes: SmallVec<[usize; 6]> = (0..skip).collect();
    for (i, &n) in shape.iter().enumerate() {
        if n == 1 && array.shape()[skip + i] != 1 {
            axes.push(skip + i);
        } else if n != array.shape()[skip + i] {
            return Err(not_expandable(array.shape(), shape));
        }
    }
    let y = reduce::sum(&array, &axes, array.dtype())?.view(shape)?;
    let from: Dims = array.shape().into();
    let to: Dims = shape.into();
    linear("SumBackward1", x, y, move |g| expand(g, &from), move |t| sum_to(t, &to))
}

#[cold]
fn not_expandable(from: &[usize], to: &[usize]) -> Error {
    Kind::NotReducible { from: from.into(), to: to.into() }.into()
}

/// Repeats axes of extent 1, as a view.
pub fn expand(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let array = x.array();
    let y = array.expand(shape)?;
    let from: Dims = array.shape().into();
    let to: Dims = shape.into();
    let ndim = shape.len();
    let adjoint = move |g: &Tensor| fit_shape(g.clone(), &from, batch::of(g, ndim));
    linear_view(Batched("ExpandBackward0"), x, y, adjoint, move |t| expand(t, &to))
}

/// The same numbers as another dtype; the tensor itself if it has it.
pub fn to_dtype(x: &Tensor, dtype: DType) -> Result<Tensor> {
    let from = x.dtype();
    if from == dtype {
        return Ok(x.clone());
    }
    let y = x.array().cast(dtype)?;
    linear(Batched("ToCopyBackward0"), x, y, move |g| to_dtype(g, from), move |t| to_dtype(t, dtype))
}

/// A gradient of ones, for the end of a scalar loss.
pub fn ones(layout: &Layout, dtype: DType) -> Result<Tensor> {
    Tensor::ones(layout.shape(), dtype)
}
