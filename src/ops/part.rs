//! Parts of a tensor, as views: select, slice, diagonal, windows; and their adjoint, which puts a part back among zeros.
//!
//! A part is data: how to find it in an array of a given shape. So one view op and one adjoint serve all of them.

use crate::array::kernels::copy;
use crate::array::layout::{self, Dims, Strides};
use crate::array::{Array, Layout};
use crate::error::{Error, Kind, Result};
use crate::gradcheck::Check;
use crate::graph::{
    Backward, Grads, Onto, Tensor, linear, linear_view, overwrite, record_many, record_views, vector_space,
};
use crate::ops::copying;
use smallvec::smallvec;

/// Where a part lies in a whole.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// One position along an axis, which goes.
    Select { axis: usize, index: usize },
    /// Positions `start, start + step, ...` along an axis, `count` of them.
    Slice { axis: usize, start: usize, count: usize, step: usize },
    /// A diagonal of two axes, which go; it becomes the last axis.
    Diagonal { offset: isize, axes: [usize; 2] },
    /// All windows of `size` along an axis, `step` apart; their elements become the last axis.
    Windows { axis: usize, size: usize, step: usize },
}

impl Part {
    fn of(&self, x: &Array) -> Result<Array> {
        match *self {
            Self::Select { axis, index } => x.select(axis, index),
            Self::Slice { axis, start, count, step } => x.slice(axis, start, count, step),
            Self::Diagonal { offset, axes: [a, b] } => diagonal_of(x, offset, a, b),
            Self::Windows { axis, size, step } => windows_of(x, axis, size, step),
        }
    }

    /// The node's name, that of the adjoint's node, and that of the op that replaces the part.
    fn names(&self) -> [&'static str; 3] {
        match self {
            Self::Select { .. } => ["SelectBackward0", "SelectBackwardBackward0", "SelectScatterBackward0"],
            Self::Slice { .. } => ["SliceBackward0", "SliceBackwardBackward0", "SliceScatterBackward0"],
            Self::Diagonal { .. } => {
                ["DiagonalBackward0", "DiagonalBackwardBackward0", "DiagonalScatterBackward0"]
            }
            Self::Windows { .. } => ["UnfoldBackward0", "UnfoldBackwardBackward0", "UnfoldScatterBackward0"],
        }
    }

    /// Whether an element of the whole may be at several places of the part.
    fn repeats(&self) -> bool {
        matches!(self, Self::Windows { size, step, .. } if size > step)
    }
}

fn diagonal_of(x: &Array, offset: isize, a: usize, b: usize) -> Result<Array> {
    let (rows, columns) = (x.shape()[a], x.shape()[b]);
    let down = offset.min(0).unsigned_abs();
    let right = offset.max(0).unsigned_abs();
    let length = rows.saturating_sub(down).min(columns.saturating_sub(right));
    let first =
        if length == 0 { 0 } else { down as isize * x.strides()[a] + right as isize * x.strides()[b] };
    let kept = || (0..x.ndim()).filter(|&i| i != a && i != b);
    let mut shape: Dims = kept().map(|i| x.shape()[i]).collect();
    let mut strides: Strides = kept().map(|i| x.strides()[i]).collect();
    shape.push(length);
    strides.push(x.strides()[a] + x.strides()[b]);
    Ok(x.view_with(Layout::strided(&shape, &strides)?, x.offset().wrapping_add_signed(first)))
}

fn windows_of(x: &Array, axis: usize, size: usize, step: usize) -> Result<Array> {
    let (mut shape, mut strides) = (Dims::from(x.shape()), Strides::from(x.strides()));
    if shape.is_empty() {
        return Ok(x.view_with(Layout::strided(&[size], &[1])?, x.offset()));
    }
    let stride = strides[axis];
    shape[axis] = (shape[axis] - size) / step + 1;
    strides[axis] = stride.saturating_mul(isize::try_from(step).unwrap_or(isize::MAX));
    shape.push(size);
    strides.push(stride);
    Ok(x.view_with(Layout::strided(&shape, &strides)?, x.offset()))
}

/// A part of `x`, as a view.
pub(crate) fn part(x: &Tensor, part: Part) -> Result<Tensor> {
    part_where(x, |_| Ok(part))
}

/// [`part`] of a tensor in whose array `find` finds the part.
#[inline]
pub(crate) fn part_where(x: &Tensor, find: impl FnOnce(&Array) -> Result<Part>) -> Result<Tensor> {
    let (part, y, whole) = {
        let state = x.state();
        let part = find(&state.array)?;
        let y = part.of(&state.array)?;
        (part, y, Dims::from(state.array.shape()))
    };
    let name = part.names()[0];
    let again = part.clone();
    linear_view(name, x, y, move |g| embed(g, &whole, &part), move |t| self::part(t, again))
}

/// Zeros of a shape with `x` at a part of it, added where places repeat: the adjoint of [`part`].
pub(crate) fn embed(x: &Tensor, whole: &[usize], part: &Part) -> Result<Tensor> {
    let array = x.array();
    let y = Array::zeros(whole, array.dtype())?;
    let place = part.of(&y)?;
    if part.repeats() {
        vector_space::add_each(&place, &array)?;
    } else {
        copy::copy(&array, &place);
    }
    let (adjoint, again) = (part.clone(), part.clone());
    let whole: Dims = whole.into();
    linear(part.names()[1], x, y, move |g| self::part(g, adjoint.clone()), move |t| embed(t, &whole, &again))
}

/// A copy of `x` with a part replaced by `src`.
fn replace(x: &Tensor, src: &Tensor, part: Part) -> Result<Tensor> {
    let source = src.array();
    let found = part.of(&x.array())?;
    if found.shape() != source.shape() {
        return Err(Error::runtime(format!(
            "expected src to have a size equal to the slice of self. src size = {:?}, slice size = {:?}",
            source.shape(),
            found.shape()
        )));
    }
    let place = part.clone();
    let again = part.clone();
    overwrite(
        Onto::Copy,
        part.names()[2],
        &[x, src],
        &[],
        |y| {
            copy::copy(&source, &place.of(y)?);
            Ok(())
        },
        // dx = g without the part, dsrc = the part of g.
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None, None]) };
            let rest = || {
                let window = self::part(g, part.clone())?;
                replace(g, &vector_space::zeros_like(&window)?, part.clone())
            };
            let inside = || copying::clone(&self::part(g, part.clone())?);
            Ok(smallvec![cx.needs(0).then(rest).transpose()?, cx.needs(1).then(inside).transpose()?])
        },
        |cx| {
            let x = tangent_or_zeros(cx.tangent(0), cx.input(0))?;
            let src = tangent_or_zeros(cx.tangent(1), cx.input(1))?;
            replace(&x, &src, again)
        },
    )
}

/// A tangent, or the zeros that a missing one stands for.
pub(crate) fn tangent_or_zeros(tangent: Option<Tensor>, x: &Tensor) -> Result<Tensor> {
    tangent.map_or_else(|| vector_space::zeros_like(x), Ok)
}

fn select_part(x: &Tensor, dim: isize, index: isize) -> Result<Part> {
    let state = x.state();
    let shape = state.array.shape();
    if shape.is_empty() {
        return Err(Error::index("select() cannot be applied to a 0-dim tensor."));
    }
    let axis = layout::axis(dim, shape.len())?;
    let extent = shape[axis] as isize;
    let at = if index < 0 { index + extent } else { index };
    if !(0..extent).contains(&at) {
        return Err(Error::index(format!(
            "select(): index {index} out of range for tensor of size {shape:?} at dimension {axis}"
        )));
    }
    Ok(Part::Select { axis, index: at as usize })
}

/// One position along an axis, which goes, as a view. A negative index counts from the end.
pub fn select(x: &Tensor, dim: isize, index: isize) -> Result<Tensor> {
    part(x, select_part(x, dim, index)?)
}

/// A copy of `x` whose [`select`] is `src`.
pub fn select_scatter(x: &Tensor, src: &Tensor, dim: isize, index: isize) -> Result<Tensor> {
    replace(x, src, select_part(x, dim, index)?)
}

fn slice_part(x: &Tensor, dim: isize, start: Option<isize>, end: Option<isize>, step: isize) -> Result<Part> {
    let state = x.state();
    let shape = state.array.shape();
    if shape.is_empty() {
        return Err(Error::runtime("slice() cannot be applied to a 0-dim tensor."));
    }
    let axis = layout::axis(dim, shape.len())?;
    if step <= 0 {
        return Err(Error::runtime("slice step must be positive"));
    }
    let extent = shape[axis] as isize;
    let clamp = |i: isize| (if i < 0 { i.saturating_add(extent) } else { i }).clamp(0, extent);
    let start = clamp(start.unwrap_or(0));
    let end = clamp(end.unwrap_or(isize::MAX)).max(start);
    let (start, count, step) = (start as usize, (end - start) as usize, step as usize);
    Ok(Part::Slice { axis, start, count: count.div_ceil(step), step })
}

/// Positions `start..end` along an axis, every `step`-th, as a view. Negative bounds count from the end; all are clamped.
pub fn slice(
    x: &Tensor,
    dim: isize,
    start: Option<isize>,
    end: Option<isize>,
    step: isize,
) -> Result<Tensor> {
    part(x, slice_part(x, dim, start, end, step)?)
}

/// A copy of `x` whose `slice` is `src`.
pub fn slice_scatter(
    x: &Tensor,
    src: &Tensor,
    dim: isize,
    start: Option<isize>,
    end: Option<isize>,
    step: isize,
) -> Result<Tensor> {
    replace(x, src, slice_part(x, dim, start, end, step)?)
}

/// `length` positions along an axis from `start` on, as a view.
pub fn narrow(x: &Tensor, dim: isize, start: isize, length: isize) -> Result<Tensor> {
    let shape = x.shape();
    if shape.is_empty() {
        return Err(Error::runtime("narrow() cannot be applied to a 0-dim tensor."));
    }
    if length < 0 {
        return Err(Error::runtime("narrow(): length must be non-negative."));
    }
    let axis = layout::axis(dim, shape.len())?;
    let extent = shape[axis] as isize;
    if !(-extent..=extent).contains(&start) {
        return Err(Error::index(format!(
            "start out of range (expected to be in range of [{}, {extent}], but got {start})",
            -extent
        )));
    }
    let start = if start < 0 { start + extent } else { start };
    if length > extent - start {
        return Err(Error::runtime(format!(
            "start ({start}) + length ({length}) exceeds dimension size ({extent})."
        )));
    }
    part(x, Part::Slice { axis, start: start as usize, count: length as usize, step: 1 })
}

fn diagonal_part(x: &Tensor, offset: isize, dim1: isize, dim2: isize) -> Result<Part> {
    let ndim = x.ndim();
    let (a, b) = (layout::axis(dim1, ndim)?, layout::axis(dim2, ndim)?);
    if a == b {
        return Err(Error::runtime(format!("diagonal dimensions cannot be identical {dim1}, {dim2}")));
    }
    Ok(Part::Diagonal { offset, axes: [a, b] })
}

/// A diagonal of two axes, as a view; it is the last axis of the result.
pub fn diagonal(x: &Tensor, offset: isize, dim1: isize, dim2: isize) -> Result<Tensor> {
    part(x, diagonal_part(x, offset, dim1, dim2)?)
}

/// A copy of `x` whose [`diagonal`] is `src`.
pub fn diagonal_scatter(x: &Tensor, src: &Tensor, offset: isize, dim1: isize, dim2: isize) -> Result<Tensor> {
    replace(x, src, diagonal_part(x, offset, dim1, dim2)?)
}

/// Zeros with the last axis of `x` along a diagonal of two new axes.
pub fn diag_embed(x: &Tensor, offset: isize, dim1: isize, dim2: isize) -> Result<Tensor> {
    let shape = x.shape();
    let ndim = shape.len() + 1;
    let (a, b) = (layout::axis(dim1, ndim)?, layout::axis(dim2, ndim)?);
    if a == b {
        return Err(Error::runtime(format!("diagonal dimensions cannot be identical {dim1}, {dim2}")));
    }
    let Some((&last, batch)) = shape.split_last() else {
        return Err(Kind::Axis { axis: -1, ndim: 0 }.into());
    };
    let size = last + offset.unsigned_abs();
    let mut whole: Dims = batch.into();
    whole.insert(a.min(b), size);
    whole.insert(a.max(b), size);
    let array = x.array();
    let place = Part::Diagonal { offset, axes: [a, b] };
    let y = Array::zeros(&whole, array.dtype())?;
    copy::copy(&array, &place.of(&y)?);
    linear(
        "DiagEmbedBackward0",
        x,
        y,
        move |g| part(g, place.clone()),
        move |t| diag_embed(t, offset, dim1, dim2),
    )
}

/// The diagonal of a matrix, as a copy; or the matrix with a vector on its diagonal.
pub fn diag(x: &Tensor, offset: isize) -> Result<Tensor> {
    match x.ndim() {
        1 => diag_embed(x, offset, 0, 1),
        2 => {
            let array = x.array();
            let place = Part::Diagonal { offset, axes: [0, 1] };
            let y = place.of(&array)?.copied()?;
            let whole: Dims = array.shape().into();
            linear(
                "DiagonalBackward0_copy",
                x,
                y,
                move |g| embed(g, &whole, &place),
                move |t| diag(t, offset),
            )
        }
        n => Err(Error::runtime(format!("diag(): Supports 1D or 2D tensors. Got {n}D"))),
    }
}

/// All windows of `size` along an axis, `step` apart, as a view; the elements of a window are the last axis.
pub fn unfold(x: &Tensor, dim: isize, size: isize, step: isize) -> Result<Tensor> {
    let shape = x.shape();
    let axis = layout::axis(dim, shape.len())?;
    let extent = shape.get(axis).copied().unwrap_or(1);
    if size < 0 {
        return Err(Error::runtime(format!("size is {size} but must be >= 0")));
    }
    if size as usize > extent {
        return Err(Error::runtime(format!(
            "maximum size for tensor at dimension {axis} is {extent} but size is {size}"
        )));
    }
    if step <= 0 {
        return Err(Error::runtime(format!("step is {step} but must be > 0")));
    }
    part(x, Part::Windows { axis, size: size as usize, step: step as usize })
}

/// How several parts belong to their whole.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bond {
    /// As views: a write to one is a write to the whole, and because of their common node an error where recorded.
    Views,
    /// As copies, each of which may be written to.
    Loose,
}

/// The parts that an axis is cut into, one after the other, of one node.
pub(crate) fn cut(
    name: &'static str,
    x: &Tensor,
    axis: usize,
    sizes: &[usize],
    bond: Bond,
) -> Result<Vec<Tensor>> {
    let array = x.array();
    let mut parts = Vec::with_capacity(sizes.len());
    let mut start = 0;
    for &count in sizes {
        parts.push(Part::Slice { axis, start, count, step: 1 });
        start += count;
    }
    several(name, x, &array, parts, bond)
}

/// Every position along an axis as a view of its own: the axis goes.
pub fn unbind(x: &Tensor, dim: isize) -> Result<Vec<Tensor>> {
    let array = x.array();
    if array.ndim() == 0 {
        return Err(Error::index("Dimension specified as 0 but tensor has no dimensions"));
    }
    let axis = layout::axis(dim, array.ndim())?;
    let parts = (0..array.shape()[axis]).map(|index| Part::Select { axis, index }).collect();
    several("UnbindBackward0", x, &array, parts, Bond::Views)
}

/// Several parts, disjoint and together the whole, of one node.
fn several(
    name: &'static str,
    x: &Tensor,
    array: &Array,
    parts: Vec<Part>,
    bond: Bond,
) -> Result<Vec<Tensor>> {
    let outputs = parts.iter().map(|p| match bond {
        Bond::Views => p.of(array),
        Bond::Loose => p.of(array)?.copied(),
    });
    let outputs = outputs.collect::<Result<_>>()?;
    let whole: Dims = array.shape().into();
    let again = parts.clone();
    // dx = each part's gradient at its place, zeros where none arrived.
    let backward = move |cx: &Backward<'_>| -> Result<Grads> {
        let given: Vec<(usize, Tensor)> =
            (0..parts.len()).filter_map(|i| Some((i, cx.grad(i)?.clone()))).collect();
        if given.is_empty() {
            return Ok(smallvec![None]);
        }
        let (places, grads): (Vec<_>, Vec<_>) = given.into_iter().map(|(i, g)| (parts[i].clone(), g)).unzip();
        Ok(smallvec![Some(assemble(&grads, &whole, &places)?)])
    };
    let forward =
        move |t: &Tensor| -> Result<Vec<Tensor>> { again.into_iter().map(|p| part(t, p)).collect() };
    match bond {
        Bond::Views => record_views(name, x, outputs, backward, forward),
        Bond::Loose => record_many(name, &[x], outputs, &[], backward, move |inputs, _| {
            let parts = inputs[0].tangent().map(|t| forward(&t)).transpose()?;
            Ok(parts.into_iter().flatten().map(Some).collect())
        }),
    }
}

/// Zeros of a shape with each of some tensors at its part; the parts are disjoint. The adjoint of taking several parts.
fn assemble(tensors: &[Tensor], whole: &[usize], places: &[Part]) -> Result<Tensor> {
    let dtype = tensors[0].dtype();
    let y = Array::zeros(whole, dtype)?;
    for (x, place) in tensors.iter().zip(places) {
        copy::copy(&x.array(), &place.of(&y)?);
    }
    let inputs: Vec<&Tensor> = tensors.iter().collect();
    let (adjoint, again): (Vec<Part>, Vec<Part>) = (places.into(), places.into());
    let whole: Dims = whole.into();
    crate::graph::record(
        "CatBackward0",
        &inputs,
        y,
        &[],
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(adjoint.iter().map(|_| None).collect()) };
            adjoint.iter().map(|p| part(g, p.clone()).map(Some)).collect()
        },
        |cx| {
            let tangents = (0..tensors.len())
                .map(|i| tangent_or_zeros(cx.tangent(i), cx.input(i)))
                .collect::<Result<Vec<_>>>()?;
            assemble(&tangents, &whole, &again)
        },
    )
}

/// The gradient checks of this file.
pub(crate) const CHECKS: &[Check] = &[
    Check::new("select", |s| Ok(vec![s.normal(&[2, 3, 2])?]), |x| Ok(vec![select(&x[0], 1, -1)?])),
    Check::new("slice", |s| Ok(vec![s.normal(&[5, 3])?]), |x| Ok(vec![slice(&x[0], 0, Some(1), None, 2)?])),
    Check::new("narrow", |s| Ok(vec![s.normal(&[5, 3])?]), |x| Ok(vec![narrow(&x[0], 0, -4, 2)?])),
    Check::new("diagonal", |s| Ok(vec![s.normal(&[3, 2, 4])?]), |x| Ok(vec![diagonal(&x[0], 1, 0, 2)?])),
    Check::new("diag_embed", |s| Ok(vec![s.normal(&[2, 3])?]), |x| Ok(vec![diag_embed(&x[0], -1, 0, 2)?])),
    Check::new("diag", |s| Ok(vec![s.normal(&[3, 4])?]), |x| Ok(vec![diag(&x[0], 1)?])),
    Check::new("unfold", |s| Ok(vec![s.normal(&[6, 2])?]), |x| Ok(vec![unfold(&x[0], 0, 3, 2)?])),
    Check::new("unbind", |s| Ok(vec![s.normal(&[3, 2])?]), |x| unbind(&x[0], 1)),
    Check::new(
        "select_scatter",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[3])?]),
        |x| Ok(vec![select_scatter(&x[0], &x[1], 1, 0)?]),
    ),
    Check::new(
        "slice_scatter",
        |s| Ok(vec![s.normal(&[5, 2])?, s.normal(&[2, 2])?]),
        |x| Ok(vec![slice_scatter(&x[0], &x[1], 0, Some(1), Some(4), 2)?]),
    ),
    Check::new(
        "diagonal_scatter",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[2])?]),
        |x| Ok(vec![diagonal_scatter(&x[0], &x[1], 0, 0, 1)?]),
    ),
];
