//! `x[...]` and `x[...] = value`: keys of integers, slices, ellipses, new axes, masks and index tensors.
//!
//! Integers, slices, ellipses and new axes alone give a view. Masks and index tensors are then applied to that view: all
//! are brought to integers of one shape, and name places.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::array::kernels::index;
use crate::array::layout::{self, Dims};
use crate::array::{Array, DType, Scalar};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::{Onto, Operand, Tensor};
use crate::ops::creation::check_fits;
use crate::ops::part::{self, Part};
use crate::ops::places::{self, Places};
use crate::ops::selection::masked_fill_;
use crate::ops::view::{Axes, alias, expand, reshape_to, unsqueeze};
use crate::ops::{copy_, fill_};

/// One entry of a key.
#[derive(Clone, Debug)]
pub enum Index {
    /// One position; the axis goes.
    Int(isize),
    /// Some positions: every `step`-th from `start` up to before `end`, clamped to the axis.
    Slice {
        /// First, or the beginning.
        start: Option<isize>,
        /// One past the last, or the end.
        end: Option<isize>,
        /// Distance, above zero.
        step: isize,
    },
    /// As many whole axes as are missing.
    Ellipsis,
    /// A new axis of extent 1.
    NewAxis,
    /// A new axis of extent 1 (true) or 0 (false).
    Flag(bool),
    /// A mask (bool, uint8) of as many axes as it has, or positions (int32, int64) along one.
    Tensor(Tensor),
}

impl Index {
    /// How many axes of the tensor it is about.
    fn axes(&self) -> usize {
        match self {
            Self::Int(_) | Self::Slice { .. } => 1,
            Self::Ellipsis | Self::NewAxis | Self::Flag(_) => 0,
            Self::Tensor(t) if is_mask(t.dtype()) => t.ndim(),
            Self::Tensor(_) => 1,
        }
    }
}

fn is_mask(dtype: DType) -> bool {
    matches!(dtype, DType::Bool | DType::U8)
}

/// One position along the first axis: `x[i]`.
pub fn getitem_int(x: &Tensor, index: isize) -> Result<Tensor> {
    at(x, 0, index, 0, x)
}

/// Position `index` along an axis of `x`, a view of `whole` with axis `named` there.
fn at(x: &Tensor, axis: usize, index: isize, named: usize, whole: &Tensor) -> Result<Tensor> {
    part::part_where(x, |array| position(array, axis, index, named, whole))
}

fn position(x: &Array, axis: usize, index: isize, named: usize, whole: &Tensor) -> Result<Part> {
    let extent = match x.shape().get(axis) {
        Some(&n) => n as isize,
        None if x.ndim() == 0 && named == 0 => {
            return Err(Error::index(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert \
                 a 0-dim tensor to a number",
            ));
        }
        None => return Err(too_many(x.ndim())),
    };
    let i = if index < 0 { index + extent } else { index };
    if !(0..extent).contains(&i) {
        return Err(Error::index(format!(
            "index {index} is out of bounds for dimension {named} with size {extent} (the shape is {:?})",
            whole.shape()
        )));
    }
    Ok(Part::Select { axis, index: i as usize })
}

#[cold]
fn too_many(ndim: usize) -> Error {
    Error::index(format!("too many indices for tensor of dimension {ndim}"))
}

/// Masks and index tensors, each with the axis it begins at.
type Tensors = Vec<(usize, Tensor)>;

/// The view that the plain entries of a key make, and the tensors among the entries with the axis each begins at.
fn plain(x: &Tensor, key: &[Index]) -> Result<(Tensor, Tensors)> {
    let ndim = x.ndim();
    let named: usize = key.iter().map(Index::axes).sum();
    if key.len() == 1 {
        match &key[0] {
            Index::Int(i) => return Ok((getitem_int(x, *i)?, vec![])),
            Index::Slice { .. } if ndim == 0 => {
                return Err(Error::index("slice() cannot be applied to a 0-dim tensor."));
            }
            Index::Slice { start, end, step } => return Ok((sliced(x, 0, *start, *end, *step)?, vec![])),
            _ => {}
        }
    }
    if named > ndim {
        return Err(too_many(ndim));
    }
    let mut view = x.clone();
    let mut tensors = Tensors::new();
    let mut axis = 0;
    let mut original = 0;
    for entry in key {
        match entry {
            Index::Int(i) => {
                view = at(&view, axis, *i, original, x)?;
                original += 1;
            }
            Index::Slice { start, end, step } => {
                if start.is_some() || end.is_some() || *step != 1 {
                    view = sliced(&view, axis, *start, *end, *step)?;
                }
                axis += 1;
                original += 1;
            }
            Index::Ellipsis => {
                axis += ndim - named;
                original += ndim - named;
            }
            Index::NewAxis => {
                view = unsqueeze(&view, axis as isize)?;
                axis += 1;
            }
            Index::Flag(flag) => {
                view = unsqueeze(&view, axis as isize)?;
                tensors.push((axis, flag_positions(*flag)?));
                axis += 1;
            }
            Index::Tensor(t) if t.ndim() == 0 && !t.dtype().is_floating() => {
                let value = t.item()?;
                if is_mask(t.dtype()) {
                    view = unsqueeze(&view, axis as isize)?;
                    tensors.push((axis, flag_positions(value.is_true())?));
                    axis += 1;
                } else {
                    view = at(&view, axis, value.to_i64() as isize, original, x)?;
                    original += 1;
                }
            }
            Index::Tensor(t) => {
                tensors.push((axis, t.clone()));
                axis += entry.axes();
                original += entry.axes();
            }
        }
    }
    Ok((view, tensors))
}

fn sliced(x: &Tensor, axis: usize, start: Option<isize>, end: Option<isize>, step: isize) -> Result<Tensor> {
    if step < 1 {
        return Err(Error::value("step must be greater than zero"));
    }
    part::slice(x, axis as isize, start, end, step)
}

/// Position 0 of a new axis, or none of it.
fn flag_positions(flag: bool) -> Result<Tensor> {
    Tensor::from_slice::<i64>(if flag { &[0] } else { &[] }, &[usize::from(flag)])
}

/// `x[key]`. A view if the key has no masks and index tensors, else a copy.
///
/// Fails when there are more entries than axes, when a position does not exist, when a mask has another shape than the
/// axes it stands for, or when index tensors do not broadcast.
pub fn getitem(x: &Tensor, key: &[Index]) -> Result<Tensor> {
    let (view, tensors) = plain(x, key)?;
    if tensors.is_empty() {
        return if view.is(x) { alias(x) } else { Ok(view) };
    }
    index_at(&view, &tensors)
}

/// What `x[key] = value` writes.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// A tensor that broadcasts to what the key names.
    Tensor(&'a Tensor),
    /// One number for all.
    Scalar(Scalar),
}

/// `x[key] = value`.
///
/// Fails as [`getitem`] does, when the value does not broadcast, or when `x` must not be written.
pub fn setitem(x: &Tensor, key: &[Index], value: Value<'_>) -> Result<()> {
    if let [Index::Flag(false)] = key {
        return Ok(());
    }
    let (view, tensors) = plain(x, key)?;
    if tensors.is_empty() {
        match value {
            Value::Scalar(value) => fill_(&view, value)?,
            Value::Tensor(value) => copy_(&view, &fitted(value, &view.shape())?)?,
        };
        return Ok(());
    }
    if let [(0, mask)] = &tensors[..]
        && mask.dtype() == DType::Bool
        && let Some(number) = single(value)
    {
        check_mask(&mask.shape(), 0, &view.shape())?;
        let rest = view.ndim() - mask.ndim();
        let mut shape: Dims = mask.shape();
        shape.extend(std::iter::repeat_n(1, rest));
        masked_fill_(&view, &reshape_to(mask, &shape)?, number)?;
        return Ok(());
    }
    let places = Arc::new(places_at(&view.shape(), &tensors)?);
    let value = match value {
        Value::Tensor(value) => value.clone(),
        Value::Scalar(value) => {
            check_fits(value, view.dtype())?;
            Tensor::scalar(value, view.dtype())?
        }
    };
    let ndim = places.shape().len();
    put(Onto::Itself, &view, &without_leading_ones(&value, ndim)?, &places, false)?;
    Ok(())
}

/// The value as a number or a 0-d tensor, if it is one.
fn single<'a>(value: Value<'a>) -> Option<Operand<'a>> {
    match value {
        Value::Scalar(value) => Some(Operand::Scalar(value)),
        Value::Tensor(value) => (value.ndim() == 0).then_some(Operand::Tensor(value)),
    }
}

/// The value without leading axes of extent 1 that the target lacks.
fn without_leading_ones(value: &Tensor, ndim: usize) -> Result<Tensor> {
    let shape = value.shape();
    let surplus = shape.len().saturating_sub(ndim);
    let ones = shape.iter().take(surplus).take_while(|&&n| n == 1).count();
    if ones == 0 { Ok(value.clone()) } else { reshape_to(value, &shape[ones..]) }
}

fn fitted(value: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let value = without_leading_ones(value, shape.len())?;
    if value.shape()[..] == *shape {
        return Ok(value);
    }
    let shape: SmallVec<[isize; 6]> = shape.iter().map(|&n| n as isize).collect();
    expand(&value, &shape)
}

fn check_mask(mask: &[usize], axis: usize, whole: &[usize]) -> Result<()> {
    for (i, &n) in mask.iter().enumerate() {
        if whole.get(axis + i) != Some(&n) {
            return Err(Error::index(format!(
                "The shape of the mask {mask:?} at index {i} does not match the shape of the indexed tensor {whole:?} at \
                 index {}",
                axis + i
            )));
        }
    }
    Ok(())
}

/// The places that masks and index tensors name.
fn places_at(whole: &[usize], tensors: &[(usize, Tensor)]) -> Result<Places> {
    // A mask by itself: its positions are places already.
    if let [(axis, mask)] = tensors
        && is_mask(mask.dtype())
    {
        let axis = *axis;
        check_mask(&mask.shape(), axis, whole)?;
        let positions = index::nonzero(&mask.array());
        let count = positions.len();
        return Ok(Places::new(whole, (axis..axis + mask.ndim()).collect(), positions, &[count]));
    }
    let mut axes = Axes::new();
    let mut columns: Vec<Array> = Vec::new();
    for (axis, t) in tensors {
        let axis = *axis;
        match t.dtype() {
            DType::Bool | DType::U8 => {
                let shape = t.shape();
                check_mask(&shape, axis, whole)?;
                let positions = index::nonzero(&t.array());
                for i in 0..shape.len() {
                    let inner: usize = shape[i + 1..].iter().product();
                    let column: Vec<i64> = positions.iter().map(|&p| (p / inner % shape[i]) as i64).collect();
                    columns.push(Array::from_slice(&column, &[column.len()])?);
                    axes.push(axis + i);
                }
            }
            DType::I64 | DType::I32 => {
                columns.push(t.array().cast(DType::I64)?);
                axes.push(axis);
            }
            _ => return Err(Error::index("tensors used as indices must be long, int, byte or bool tensors")),
        }
    }
    let mut shape = Dims::new();
    for column in &columns {
        shape = layout::broadcast("index", &shape, column.shape()).map_err(|_| unbroadcastable(&columns))?;
    }
    let mut positions: Vec<usize> = vec![0; shape.iter().product()];
    // Positions do not matter where nothing is read, and PyTorch does not look at them there.
    let nothing = (0..whole.len()).any(|a| !axes.contains(&a) && whole[a] == 0);
    for (&axis, column) in axes.iter().zip(&columns) {
        let indices: Vec<i64> = column.expand(&shape)?.to_vec()?;
        if nothing {
            continue;
        }
        for (p, i) in positions.iter_mut().zip(places::wrapped(&indices, whole[axis], axis)?) {
            *p = *p * whole[axis] + i;
        }
    }
    Ok(Places::new(whole, axes, positions, &shape))
}

#[cold]
fn unbroadcastable(columns: &[Array]) -> Error {
    let shapes: Vec<String> = columns.iter().map(|c| format!("{:?}", c.shape())).collect();
    Error::index(format!(
        "shape mismatch: indexing tensors could not be broadcast together with shapes {}",
        shapes.join(", ")
    ))
}

/// The axes at which indices of one axis or (masks) several begin; `None` stands for a whole axis.
fn located(x: &Tensor, indices: &[Option<Tensor>]) -> Result<Tensors> {
    let mut axis = 0;
    let mut tensors = Tensors::new();
    for t in indices {
        if let Some(t) = t {
            tensors.push((axis, t.clone()));
        }
        axis += t.as_ref().filter(|t| is_mask(t.dtype())).map_or(1, Tensor::ndim);
    }
    if axis > x.ndim() {
        return Err(Error::index(format!(
            "too many indices for tensor of dimension {} (got {axis})",
            x.ndim()
        )));
    }
    Ok(tensors)
}

fn index_at(x: &Tensor, tensors: &[(usize, Tensor)]) -> Result<Tensor> {
    let places = Arc::new(places_at(&x.shape(), tensors)?);
    places::read("IndexBackward0", x, &places)
}

fn put(onto: Onto, x: &Tensor, values: &Tensor, places: &Arc<Places>, accumulate: bool) -> Result<Tensor> {
    if values.dtype() != x.dtype() {
        return Err(Error::runtime(format!(
            "Index put requires the source and destination dtypes match, got {} for the destination and {} for the source.",
            x.dtype().scalar_name(),
            values.dtype().scalar_name()
        )));
    }
    let (from, to) = (values.shape(), places.shape());
    if layout::broadcast("index_put", to, &from).map_or(true, |shape| shape[..] != *to) {
        return Err(Error::runtime(format!(
            "shape mismatch: value tensor of shape {from:?} cannot be broadcast to indexing result of shape {to:?}"
        )));
    }
    places::write(onto, "IndexPutBackward0", x, values, places, accumulate)
}

/// `x` with `values` written (or added) at the places that the indices name; `None` stands for a whole axis.
pub fn index_put(
    x: &Tensor,
    indices: &[Option<Tensor>],
    values: &Tensor,
    accumulate: bool,
) -> Result<Tensor> {
    put(Onto::Copy, x, values, &Arc::new(places_at(&x.shape(), &located(x, indices)?)?), accumulate)
}

/// [`index_put`] into `x` itself.
pub fn index_put_(
    x: &Tensor,
    indices: &[Option<Tensor>],
    values: &Tensor,
    accumulate: bool,
) -> Result<Tensor> {
    put(Onto::Itself, x, values, &Arc::new(places_at(&x.shape(), &located(x, indices)?)?), accumulate)
}

fn repeated_positions() -> Result<Tensor> {
    Tensor::from_slice(&[2_i64, 0, 2, -1], &[2, 2])
}

/// The gradient checks of this file.
pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "getitem",
        |s| Ok(vec![s.normal(&[3, 4, 2])?]),
        |x| {
            let slice = Index::Slice { start: Some(1), end: None, step: 2 };
            Ok(vec![
                getitem(&x[0], &[Index::Int(-1), slice, Index::NewAxis])?,
                getitem(&x[0], &[Index::Tensor(repeated_positions()?), Index::Ellipsis, Index::Int(0)])?,
            ])
        },
    ),
    Check::new(
        "index_put",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[2, 1, 2])?]),
        |x| Ok(vec![index_put(&x[0], &[Some(repeated_positions()?)], &x[1], true)?]),
    ),
    Check::new(
        "setitem",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[2])?]),
        |x| {
            let y = super::clone(&x[0])?;
            setitem(&y, &[Index::Int(1)], Value::Tensor(&x[1]))?;
            setitem(
                &y,
                &[Index::Tensor(Tensor::from_slice(&[0_i64, 2], &[2])?), Index::Int(0)],
                Value::Tensor(&x[1]),
            )?;
            Ok(vec![y])
        },
    ),
];
