//! Other shapes of the same memory: reshape, transpose, expand, squeeze, and their in-place forms.

use smallvec::{SmallVec, smallvec};

use crate::array::layout::{self, Dims};
use crate::array::{Array, DType, Layout};
use crate::error::{Error, Kind, Result};
use crate::gradcheck::Check;
use crate::graph::batch::{self, led};
use crate::graph::{Batched, Tensor, linear, linear_view, relabel, vector_space};
use crate::ops::copying::contiguous;

/// A list of axes.
pub type Axes = SmallVec<[usize; 6]>;

/// The axes that possibly negative numbers name.
pub(crate) fn axes(dims: &[isize], ndim: usize) -> Result<Axes> {
    dims.iter().map(|&d| layout::axis(d, ndim)).collect()
}

/// The full shape that a shape with at most one `-1` stands for, for `numel` elements.
fn infer(wanted: &[isize], numel: usize) -> Result<Dims> {
    let mut unknown = None;
    let mut known: usize = 1;
    for (i, &n) in wanted.iter().enumerate() {
        if n == -1 {
            if unknown.replace(i).is_some() {
                return Err(Error::runtime("only one dimension can be inferred"));
            }
        } else if n < 0 {
            return Err(Error::runtime(format!(
                "invalid shape dimension {n} at index {i} of shape {wanted:?}"
            )));
        } else {
            known = known
                .checked_mul(n as usize)
                .ok_or_else(|| Kind::ReshapeSize { numel, wanted: wanted.to_vec() })?;
        }
    }
    if unknown.is_some() && known == 0 && numel == 0 {
        return Err(Error::runtime(format!(
            "cannot reshape tensor of 0 elements into shape {wanted:?} because the unspecified dimension size -1 can be any \
             value and is ambiguous"
        )));
    }
    let fits = if unknown.is_some() { known != 0 && numel.is_multiple_of(known) } else { known == numel };
    if !fits {
        return Err(Kind::ReshapeSize { numel, wanted: wanted.to_vec() }.into());
    }
    Ok(wanted.iter().map(|&n| if n == -1 { numel / known } else { n as usize }).collect())
}

/// The same elements in the same order under another shape, sharing memory. One extent may be `-1`.
///
/// Fails when the element counts differ, or when strides cannot express the shape.
pub fn view(x: &Tensor, shape: &[isize]) -> Result<Tensor> {
    let (shape, y, from) = {
        let array = &x.state().array;
        let shape = infer(shape, array.numel())?;
        let y = array.view(&shape)?;
        (shape, y, Dims::from(array.shape()))
    };
    viewed(x, from, y, &shape)
}

fn viewed(x: &Tensor, from: Dims, y: Array, shape: &[usize]) -> Result<Tensor> {
    let ndim = shape.len();
    let adjoint = move |g: &Tensor| reshape_to(g, &led(g, ndim, &from));
    linear_view(Batched("ViewBackward0"), x, y, adjoint, |t| reshape_to(t, shape))
}

/// The same elements in the same order under another shape; shares memory where strides allow it, else copies.
///
/// One extent may be `-1`. Fails when the element counts differ.
pub fn reshape(x: &Tensor, shape: &[isize]) -> Result<Tensor> {
    let shape = infer(shape, x.numel())?;
    reshape_to(x, &shape)
}

/// [`reshape`] to a shape that is known to fit.
pub(crate) fn reshape_to(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let (y, from) = {
        let array = &x.state().array;
        (array.view(shape), Dims::from(array.shape()))
    };
    if let Ok(y) = y {
        return viewed(x, from, y, shape);
    }
    let copy = contiguous(x)?;
    let y = copy.array().view(shape)?;
    let to: Dims = shape.into();
    let ndim = to.len();
    let adjoint = move |g: &Tensor| reshape_to(g, &led(g, ndim, &from));
    linear(Batched("UnsafeViewBackward0"), &copy, y, adjoint, move |t| reshape_to(t, &to))
}

/// The same bytes as numbers of another dtype. Bits have no derivative: the result has no history, and is no view to the
/// graph; but a write to either raises the version of both.
///
/// Fails where numbers of that size do not fill the last axis.
pub fn view_dtype(x: &Tensor, dtype: DType) -> Result<Tensor> {
    let y = x.array().reinterpret(dtype)?;
    Ok(if x.is_inference() { Tensor::inference(y) } else { Tensor::new(y) })
}

/// [`view`] with another tensor's shape.
pub fn view_as(x: &Tensor, other: &Tensor) -> Result<Tensor> {
    view(x, &signed(&other.shape()))
}

/// [`reshape`] to another tensor's shape.
pub fn reshape_as(x: &Tensor, other: &Tensor) -> Result<Tensor> {
    reshape(x, &signed(&other.shape()))
}

fn signed(shape: &[usize]) -> SmallVec<[isize; 6]> {
    shape.iter().map(|&n| n as isize).collect()
}

/// The tensor itself, as a view: what `x[...]` is.
pub fn alias(x: &Tensor) -> Result<Tensor> {
    linear_view(Batched("AliasBackward0"), x, x.array(), |g| Ok(g.clone()), |t| Ok(t.clone()))
}

/// Axes `start..=end` as one.
pub fn flatten(x: &Tensor, start: isize, end: isize) -> Result<Tensor> {
    let shape = x.shape();
    let (start, end) = (layout::axis(start, shape.len())?, layout::axis(end, shape.len())?);
    if start > end {
        return Err(Error::runtime("flatten() has invalid args: start_dim cannot come after end_dim"));
    }
    if shape.is_empty() {
        return reshape_to(x, &[1]);
    }
    if start == end {
        return Ok(x.clone());
    }
    let mut flat: Dims = shape[..start].into();
    flat.push(shape[start..=end].iter().product());
    flat.extend_from_slice(&shape[end + 1..]);
    reshape_to(x, &flat)
}

/// One axis, row-major.
pub fn ravel(x: &Tensor) -> Result<Tensor> {
    reshape_to(&contiguous(x)?, &[x.numel()])
}

/// One axis as several. One of their extents may be `-1`.
pub fn unflatten(x: &Tensor, dim: isize, sizes: &[isize]) -> Result<Tensor> {
    let shape = x.shape();
    let axis = layout::axis(dim, shape.len())?;
    if sizes.is_empty() {
        return Err(Error::runtime("unflatten: sizes must be non-empty"));
    }
    let extent = shape.get(axis).copied().unwrap_or(1);
    let inner = infer(sizes, extent).map_err(|e| match e.kind() {
        Kind::ReshapeSize { .. } => Error::runtime(format!(
            "unflatten: Provided sizes {sizes:?} don't multiply up to the size of dim {axis} ({extent}) in the input tensor"
        )),
        _ => e,
    })?;
    let mut whole: Dims = shape[..axis.min(shape.len())].into();
    whole.extend_from_slice(&inner);
    whole.extend_from_slice(shape.get(axis + 1..).unwrap_or_default());
    let y = x.array().view(&whole)?;
    viewed(x, x.shape(), y, &whole)
}

fn swapped(x: &Array, a: usize, b: usize) -> Result<Array> {
    let mut order: Axes = (0..x.ndim()).collect();
    if a != b {
        order.swap(a, b);
    }
    x.permute(&order)
}

/// Two axes exchanged.
pub fn transpose(x: &Tensor, dim0: isize, dim1: isize) -> Result<Tensor> {
    let array = x.array();
    let (a, b) = (layout::axis(dim0, array.ndim())?, layout::axis(dim1, array.ndim())?);
    let y = swapped(&array, a, b)?;
    // Counted from the end, the axes are the same ones in a batch.
    let ndim = array.ndim() as isize;
    let back = move |g: &Tensor| transpose(g, a as isize - ndim, b as isize - ndim);
    linear_view(Batched("TransposeBackward0"), x, y, back, back)
}

/// The transpose of a matrix; a vector or a number is its own.
pub fn t(x: &Tensor) -> Result<Tensor> {
    let array = x.array();
    if array.ndim() > 2 {
        return Err(Error::runtime(format!(
            "t() expects a tensor with <= 2 dimensions, but self is {}D",
            array.ndim()
        )));
    }
    let y = swapped(&array, 0, array.ndim().saturating_sub(1))?;
    let ndim = array.ndim();
    let adjoint = move |g: &Tensor| match batch::of(g, ndim) {
        Some(_) if ndim == 2 => transpose(g, -2, -1),
        Some(_) => Ok(g.clone()),
        None => t(g),
    };
    linear_view(Batched("TBackward0"), x, y, adjoint, t)
}

/// All axes reversed: `x.T`.
pub fn numpy_t(x: &Tensor) -> Result<Tensor> {
    let order: Axes = (0..x.ndim()).rev().collect();
    permute_axes(x, order)
}

/// The transpose of each matrix of a batch: `x.mT`.
///
/// Fails for a tensor of fewer than two dimensions.
pub fn matrix_transpose(x: &Tensor) -> Result<Tensor> {
    if x.ndim() < 2 {
        return Err(Error::runtime(format!(
            "tensor.mT is only supported on matrices or batches of matrices. Got {}-D tensor.",
            x.ndim()
        )));
    }
    transpose(x, -2, -1)
}

/// The transpose of a matrix: `x.H` (real numbers are their own conjugates).
pub fn adjoint(x: &Tensor) -> Result<Tensor> {
    match x.ndim() {
        0 => alias(x),
        2 => transpose(x, 0, 1),
        n => Err(Error::runtime(format!(
            "tensor.H is only supported on matrices (2-D tensors). Got {n}-D tensor. For batches of matrices, consider \
             using tensor.mH"
        ))),
    }
}

/// The axes in another order.
pub fn permute(x: &Tensor, dims: &[isize]) -> Result<Tensor> {
    let ndim = x.ndim();
    if dims.len() != ndim {
        return Err(Error::runtime(format!(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering \
             of dimensions i.e. input.dim() = {ndim} is not equal to len(dims) = {}",
            dims.len()
        )));
    }
    let order = axes(dims, ndim)?;
    if repeated(&order).is_some() {
        return Err(Error::runtime("permute(): duplicate dims are not allowed."));
    }
    permute_axes(x, order)
}

/// An axis that occurs more than once.
pub(crate) fn repeated(axes: &[usize]) -> Option<usize> {
    axes.iter().enumerate().find(|(i, a)| axes[..*i].contains(a)).map(|(_, &a)| a)
}

fn permute_axes(x: &Tensor, order: Axes) -> Result<Tensor> {
    let y = x.array().permute(&order)?;
    let mut inverse: Axes = smallvec![0; order.len()];
    for (to, &from) in order.iter().enumerate() {
        inverse[from] = to;
    }
    linear_view(
        Batched("PermuteBackward0"),
        x,
        y,
        move |g| {
            let lead = g.ndim() - inverse.len();
            permute_axes(g, (0..lead).chain(inverse.iter().map(|axis| axis + lead)).collect())
        },
        move |t| permute_axes(t, order),
    )
}

/// The axes `source` moved to the places `destination`; the others keep their order.
pub fn movedim(x: &Tensor, source: &[isize], destination: &[isize]) -> Result<Tensor> {
    let ndim = x.ndim();
    if source.len() != destination.len() {
        return Err(Error::runtime(format!(
            "movedim: Invalid source or destination dims: source ({source:?} dims) should contain the same number of dims as \
             destination ({destination:?} dims)"
        )));
    }
    let (from, to) = (axes(source, ndim)?, axes(destination, ndim)?);
    for (axes, dims, what) in [(&from, source, "source"), (&to, destination, "destination")] {
        if repeated(axes).is_some() {
            return Err(Error::runtime(format!("movedim: repeated dim in `{what}` ({dims:?})")));
        }
    }
    if ndim == 0 {
        return alias(x);
    }
    let mut rest = (0..ndim).filter(|a| !from.contains(a));
    let order = (0..ndim)
        .map(|place| match to.iter().position(|&t| t == place) {
            Some(i) => from[i],
            None => rest.next().unwrap_or_default(),
        })
        .collect();
    permute_axes(x, order)
}

/// Repeats axes of extent 1, and new leading axes, without copying. An extent of `-1` keeps the axis as it is.
pub fn expand(x: &Tensor, shape: &[isize]) -> Result<Tensor> {
    let from = x.shape();
    let Some(skip) = shape.len().checked_sub(from.len()) else {
        return Err(Error::runtime(format!(
            "expand({}{{{from:?}}}, size={shape:?}): the number of sizes provided ({}) must be greater or equal to the number \
             of dimensions in the tensor ({})",
            x.dtype().tensor_name(),
            shape.len(),
            from.len()
        )));
    };
    let mut whole = Dims::new();
    for (i, &n) in shape.iter().enumerate() {
        let existing = i.checked_sub(skip).map(|i| from[i]);
        whole.push(match (existing, n) {
            (Some(extent), -1) => extent,
            (None, -1) => {
                return Err(Error::runtime(format!(
                    "The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {i}"
                )));
            }
            (_, n) if n < 0 => return Err(Kind::NegativeSize { shape: shape.to_vec() }.into()),
            (Some(extent), n) if extent != 1 && extent != n as usize => {
                return Err(Error::runtime(format!(
                    "The expanded size of the tensor ({n}) must match the existing size ({extent}) at non-singleton dimension \
                     {i}.  Target sizes: {shape:?}.  Tensor sizes: {from:?}"
                )));
            }
            (_, n) => n as usize,
        });
    }
    vector_space::expand(x, &whole)
}

/// [`expand`] to another tensor's shape.
pub fn expand_as(x: &Tensor, other: &Tensor) -> Result<Tensor> {
    expand(x, &signed(&other.shape()))
}

/// All tensors expanded to the shape they broadcast to.
pub fn broadcast_tensors(tensors: &[Tensor]) -> Result<Vec<Tensor>> {
    let mut shape = Dims::new();
    for x in tensors {
        shape = layout::broadcast("broadcast_tensors", &shape, &x.shape())?;
    }
    tensors.iter().map(|x| vector_space::expand(x, &shape)).collect()
}

/// The layout without some axes of extent 1.
fn without(x: &Array, drop: impl Fn(usize) -> bool) -> Result<Array> {
    let kept = || (0..x.ndim()).filter(|&a| !(drop(a) && x.shape()[a] == 1));
    let shape: Dims = kept().map(|a| x.shape()[a]).collect();
    let strides: layout::Strides = kept().map(|a| x.strides()[a]).collect();
    Ok(x.view_with(Layout::strided(&shape, &strides)?, x.offset()))
}

fn with_axis(x: &Array, axis: usize) -> Result<Array> {
    let (mut shape, mut strides) = (Dims::from(x.shape()), layout::Strides::from(x.strides()));
    let stride = if axis < shape.len() { shape[axis] as isize * strides[axis] } else { 1 };
    shape.insert(axis, 1);
    strides.insert(axis, stride);
    Ok(x.view_with(Layout::strided(&shape, &strides)?, x.offset()))
}

/// Without the axes of extent 1, or with `dims` without those among them.
pub fn squeeze(x: &Tensor, dims: Option<&[isize]>) -> Result<Tensor> {
    let name = match dims {
        None => "SqueezeBackward0",
        Some([_]) => "SqueezeBackward1",
        Some(_) => "SqueezeBackward2",
    };
    let (array, y) = squeezed(x, dims)?;
    let (from, to): (Dims, Dims) = (array.shape().into(), y.shape().into());
    let ndim = to.len();
    let adjoint = move |g: &Tensor| reshape_to(g, &led(g, ndim, &from));
    linear_view(Batched(name), x, y, adjoint, move |t| reshape_to(t, &to))
}

fn squeezed(x: &Tensor, dims: Option<&[isize]>) -> Result<(Array, Array)> {
    let array = x.array();
    let y = match dims {
        None => without(&array, |_| true)?,
        Some(dims) => {
            let axes = axes(dims, array.ndim())?;
            if let Some(axis) = repeated(&axes) {
                return Err(Error::runtime(format!("dim {axis} appears multiple times in the list of dims")));
            }
            without(&array, |a| axes.contains(&a))?
        }
    };
    Ok((array, y))
}

/// With a new axis of extent 1 at `dim`.
pub fn unsqueeze(x: &Tensor, dim: isize) -> Result<Tensor> {
    let array = x.array();
    let axis = layout::axis(dim, array.ndim() + 1)?;
    let y = with_axis(&array, axis)?;
    let ndim = array.ndim() as isize;
    let back = move |g: &Tensor| squeeze(g, Some(&[axis as isize - ndim - 1]));
    linear_view(Batched("UnsqueezeBackward0"), x, y, back, move |t| unsqueeze(t, axis as isize))
}

/// [`squeeze`] of the tensor itself: it changes its shape and keeps its memory.
pub fn squeeze_(x: &Tensor, dims: Option<&[isize]>) -> Result<Tensor> {
    let name = match dims {
        None => "SqueezeBackward3",
        Some([_]) => "SqueezeBackward4",
        Some(_) => "SqueezeBackward5",
    };
    let (array, y) = squeezed(x, dims)?;
    let (from, to): (Dims, Dims) = (array.shape().into(), y.shape().into());
    relabel(name, x, y, move |g| reshape_to(g, &from), move |t| reshape_to(t, &to))
}

/// [`unsqueeze`] of the tensor itself.
pub fn unsqueeze_(x: &Tensor, dim: isize) -> Result<Tensor> {
    let array = x.array();
    let axis = layout::axis(dim, array.ndim() + 1)?;
    let y = with_axis(&array, axis)?;
    let back = move |g: &Tensor| squeeze(g, Some(&[axis as isize]));
    relabel("UnsqueezeBackward1", x, y, back, move |t| unsqueeze(t, axis as isize))
}

/// [`transpose`] of the tensor itself.
pub fn transpose_(x: &Tensor, dim0: isize, dim1: isize) -> Result<Tensor> {
    let array = x.array();
    let (a, b) = (layout::axis(dim0, array.ndim())?, layout::axis(dim1, array.ndim())?);
    let y = swapped(&array, a, b)?;
    let back = move |g: &Tensor| transpose(g, a as isize, b as isize);
    relabel("TransposeBackward1", x, y, back, back)
}

/// [`t`] of the tensor itself.
pub fn t_(x: &Tensor) -> Result<Tensor> {
    let array = x.array();
    if array.ndim() > 2 {
        return Err(Error::runtime(format!(
            "t_() expects a tensor with <= 2 dimensions, but self is {}D",
            array.ndim()
        )));
    }
    let y = swapped(&array, 0, array.ndim().saturating_sub(1))?;
    relabel("TBackward1", x, y, t, t)
}

/// At least one dimension.
pub fn atleast_1d(x: &Tensor) -> Result<Tensor> {
    if x.ndim() == 0 { reshape_to(x, &[1]) } else { Ok(x.clone()) }
}

/// At least two dimensions: a vector becomes a row.
pub fn atleast_2d(x: &Tensor) -> Result<Tensor> {
    match x.ndim() {
        0 => reshape_to(x, &[1, 1]),
        1 => unsqueeze(x, 0),
        _ => Ok(x.clone()),
    }
}

/// At least three dimensions: a vector becomes `[1, n, 1]`, a matrix `[m, n, 1]`.
pub fn atleast_3d(x: &Tensor) -> Result<Tensor> {
    match x.ndim() {
        0 => reshape_to(x, &[1, 1, 1]),
        1 => unsqueeze(&unsqueeze(x, 0)?, -1),
        2 => unsqueeze(x, -1),
        _ => Ok(x.clone()),
    }
}

/// The gradient checks of this file.
pub(crate) const CHECKS: &[Check] = &[
    Check::new("view", |s| Ok(vec![s.normal(&[2, 6])?]), |x| Ok(vec![view(&x[0], &[3, -1])?])),
    Check::new("reshape", |s| Ok(vec![s.normal(&[2, 6])?]), |x| Ok(vec![reshape(&t(&x[0])?, &[3, 4])?])),
    Check::new("flatten", |s| Ok(vec![s.normal(&[2, 3, 2])?]), |x| Ok(vec![flatten(&x[0], 1, -1)?])),
    Check::new("unflatten", |s| Ok(vec![s.normal(&[2, 6])?]), |x| Ok(vec![unflatten(&x[0], 1, &[2, -1])?])),
    Check::new("transpose", |s| Ok(vec![s.normal(&[2, 3, 4])?]), |x| Ok(vec![transpose(&x[0], 0, -1)?])),
    Check::new("t", |s| Ok(vec![s.normal(&[2, 3])?]), |x| Ok(vec![t(&x[0])?])),
    Check::new("permute", |s| Ok(vec![s.normal(&[2, 3, 4])?]), |x| Ok(vec![permute(&x[0], &[2, 0, 1])?])),
    Check::new("movedim", |s| Ok(vec![s.normal(&[2, 3, 4])?]), |x| Ok(vec![movedim(&x[0], &[0], &[-1])?])),
    Check::new("expand", |s| Ok(vec![s.normal(&[3, 1])?]), |x| Ok(vec![expand(&x[0], &[2, -1, 4])?])),
    Check::new(
        "squeeze",
        |s| Ok(vec![s.normal(&[1, 3, 1])?]),
        |x| Ok(vec![squeeze(&x[0], None)?, squeeze(&x[0], Some(&[0]))?]),
    ),
    Check::new("unsqueeze", |s| Ok(vec![s.normal(&[2, 3])?]), |x| Ok(vec![unsqueeze(&x[0], 1)?])),
];
