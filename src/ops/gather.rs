//! Elements chosen along an axis: gather, index_select, take; and written there: index_add, index_copy, index_fill, put.

use std::sync::Arc;

use smallvec::smallvec;

use crate::array::kernels::combine::Combine;
use crate::array::kernels::gather as kernel;
use crate::array::layout::{self, Dims};
use crate::array::{Array, DType, Scalar};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::vector_space::{self, zeros_like};
use crate::graph::{Keep, Onto, Operand, Tensor, record};
use crate::ops::places::{self, Places};
use crate::ops::scatter::{Reduce, check_bounds, scatter_add, scatter_reduce};
use crate::ops::view::reshape_to;

/// y[..., i, ...] = x[..., index[..., i, ...], ...] along an axis. The result has the shape of the index.
///
/// Fails when an index does not exist, or the index has another rank or is larger along another axis.
pub fn gather(x: &Tensor, dim: isize, index: &Tensor) -> Result<Tensor> {
    let (array, places) = (x.array(), index.array());
    let axis = layout::axis(dim, array.ndim())?;
    if !matches!(places.dtype(), DType::I32 | DType::I64) && places.numel() > 0 {
        return Err(Error::runtime("gather(): Expected dtype int32/int64 for index"));
    }
    let y = Array::empty(places.shape(), array.dtype())?;
    if places.numel() > 0 {
        if places.ndim().max(1) != array.ndim().max(1) {
            return Err(Error::runtime(
                "Index tensor must have the same number of dimensions as input tensor",
            ));
        }
        for (a, (&n, &m)) in places.shape().iter().zip(array.shape()).enumerate() {
            if a != axis && n > m {
                return Err(Error::runtime(format!(
                    "Size does not match at dimension {a} expected index {:?} to be no larger than self {:?} apart from \
                     dimension {axis}",
                    places.shape(),
                    array.shape()
                )));
            }
        }
        let places = places.cast(DType::I64)?.contiguous()?;
        check_bounds(&places, &array, axis)?;
        kernel::gather(&array, axis, &places, &y);
    }
    let whole: Dims = array.shape().into();
    record(
        "GatherBackward0",
        &[x, index],
        y,
        &[Keep::Input(1)],
        // dx = zeros with g added where it was read.
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None, None]) };
            let zeros = Tensor::zeros(&whole, g.dtype())?;
            Ok(smallvec![Some(scatter_add(&zeros, axis as isize, &cx.saved(0)?, g)?), None])
        },
        |cx| match cx.tangent(0) {
            Some(t) => gather(&t, dim, cx.input(1)),
            None => zeros_like(cx.output()),
        },
    )
}

/// [`gather`] whose index broadcasts against `x` apart from the axis; without an axis, both are flattened. A negative
/// index counts from the end.
pub fn take_along_dim(x: &Tensor, indices: &Tensor, dim: Option<isize>) -> Result<Tensor> {
    let Some(dim) = dim else {
        return take_along_dim(
            &reshape_to(x, &[x.numel()])?,
            &reshape_to(indices, &[indices.numel()])?,
            Some(0),
        );
    };
    if indices.dtype() != DType::I64 {
        return Err(Error::runtime("torch.take_along_dim(): dtype of indices should be Long"));
    }
    let (from, to) = (x.shape(), indices.shape());
    if from.len() != to.len() {
        return Err(Error::runtime(format!(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, but got {} dimensions for \
             input, and {} dimensions for indices",
            from.len(),
            to.len()
        )));
    }
    let axis = layout::axis(dim, from.len())?;
    let with = |shape: &[usize], n: usize| -> Dims {
        let mut shape = Dims::from(shape);
        if let Some(extent) = shape.get_mut(axis) {
            *extent = n;
        }
        shape
    };
    let extent = |shape: &[usize]| shape.get(axis).copied().unwrap_or(1);
    let whole = layout::broadcast("take_along_dim", &with(&from, 1), &with(&to, 1))?;
    let x = vector_space::expand(x, &with(&whole, extent(&from)))?;
    let n = extent(&from) as i64;
    let counted: Vec<i64> = indices
        .to_vec::<i64>()?
        .into_iter()
        .map(|i| if i < 0 && n > 0 { i.rem_euclid(n) } else { i })
        .collect();
    let indices = Tensor::from_slice(&counted, &to)?;
    let indices = vector_space::expand(&indices, &with(&whole, extent(&to)))?;
    gather(&x, dim, &indices)
}

/// Positions along an axis from an index vector. `error` says what one out of range is called.
fn along(
    x: &Tensor,
    axis: usize,
    index: &Tensor,
    wrap: bool,
    error: impl Fn(i64) -> Error,
) -> Result<Arc<Places>> {
    let whole = x.shape();
    let extent = whole.get(axis).copied().unwrap_or(1) as i64;
    let positions = index
        .to_vec::<i64>()?
        .into_iter()
        .map(|i| {
            let at = if wrap && i < 0 { i + extent } else { i };
            if (0..extent).contains(&at) { Ok(at as usize) } else { Err(error(i)) }
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Places::along(&whole, axis, positions)))
}

fn out_of_range(_: i64) -> Error {
    Error::index("index out of range in self")
}

/// The slices of `x` along an axis that a vector of positions names.
pub fn index_select(x: &Tensor, dim: isize, index: &Tensor) -> Result<Tensor> {
    let axis = layout::axis(dim, x.ndim())?;
    if index.ndim() > 1 {
        return Err(Error::index("index_select(): Index is supposed to be a vector"));
    }
    if !matches!(index.dtype(), DType::I32 | DType::I64) {
        return Err(Error::runtime("index_select(): Expected dtype int32 or int64 for index"));
    }
    if x.ndim() == 0 && index.numel() != 1 {
        return Err(Error::index(format!(
            "index_select(): Index to scalar can have only 1 value, got {} value(s)",
            index.numel()
        )));
    }
    places::read("IndexSelectBackward0", x, &along(x, axis, index, false, out_of_range)?)
}

/// The elements of `x` that positions in row-major order name, in the shape of the positions.
pub fn take(x: &Tensor, index: &Tensor) -> Result<Tensor> {
    places::read("TakeBackward0", x, &flat("take", x, index)?)
}

fn flat(name: &str, x: &Tensor, index: &Tensor) -> Result<Arc<Places>> {
    if index.dtype() != DType::I64 {
        return Err(Error::runtime(format!(
            "{name}(): Expected a long tensor for index, but got {}",
            index.dtype().scalar_name()
        )));
    }
    let n = x.numel() as i64;
    if n == 0 && index.numel() > 0 {
        return Err(Error::index(format!("{name}(): tried to take from an empty tensor")));
    }
    let positions = index
        .to_vec::<i64>()?
        .into_iter()
        .map(|i| {
            let at = if i < 0 { i + n } else { i };
            if (0..n).contains(&at) {
                Ok(at as usize)
            } else {
                Err(Error::index(format!(
                    "out of range: tried to access index {i} on a tensor of {n} elements."
                )))
            }
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Places::flat(&x.shape(), positions, &index.shape())))
}

/// `x` with `src` written (or added) at positions in row-major order.
pub fn put(onto: Onto, x: &Tensor, index: &Tensor, src: &Tensor, accumulate: bool) -> Result<Tensor> {
    if index.numel() != src.numel() {
        return Err(Error::index(format!(
            "put_(): Expected source and index to have the same number of elements, but got source.numel() = {}, \
             index.numel() = {}",
            src.numel(),
            index.numel()
        )));
    }
    if src.dtype() != x.dtype() {
        return Err(Error::runtime(format!(
            "put_(): self and source expected to have the same dtype, but got self.dtype = {} and source.dtype = {}",
            x.dtype().scalar_name(),
            src.dtype().scalar_name()
        )));
    }
    let places = flat("put_", x, index)?;
    places::write(onto, "PutBackward0", x, &reshape_to(src, &index.shape())?, &places, accumulate)
}

fn count_fits(axis: usize, index: &Tensor, src: &Tensor) -> bool {
    index.numel() == src.shape().get(axis).copied().unwrap_or(1)
}

/// `x` with the slices of `src`, times `alpha`, added at positions along an axis.
pub fn index_add(
    onto: Onto,
    x: &Tensor,
    dim: isize,
    index: &Tensor,
    src: &Tensor,
    alpha: Scalar,
) -> Result<Tensor> {
    let axis = layout::axis(dim, x.ndim())?;
    if index.ndim() > 1 {
        return Err(Error::index(format!(
            "index_add_(): Index is supposed to be a vector, but got dim: {} with type: {} and size: {:?}",
            index.ndim(),
            index.dtype().scalar_name(),
            index.shape()
        )));
    }
    if !matches!(index.dtype(), DType::I32 | DType::I64) {
        return Err(Error::runtime(format!(
            "index_add_(): Expected dtype int32/int64 for index but got: {}",
            index.dtype().scalar_name()
        )));
    }
    if src.dtype() != x.dtype() {
        return Err(Error::runtime(format!(
            "index_add_(): self ({}) and source ({}) must have the same scalar type",
            x.dtype().scalar_name(),
            src.dtype().scalar_name()
        )));
    }
    if !count_fits(axis, index, src) {
        return Err(Error::runtime(format!(
            "index_add_(): Number of indices ({}) should be equal to source.size(dim): ({}), for dim: {axis}",
            index.numel(),
            src.shape().get(axis).copied().unwrap_or(1)
        )));
    }
    let places = along(x, axis, index, false, |i| {
        // PyTorch checks the two ends in two places.
        if i < 0 { out_of_range(i) } else { Error::runtime("index out of range in self") }
    })?;
    same_slices("index_add_", &places, src)?;
    let scaled = if alpha.to_f64() == 1.0 {
        src.clone()
    } else {
        let product = crate::ops::mul(src, Operand::Scalar(alpha))?;
        vector_space::to_dtype(&product, x.dtype())?
    };
    places::write(onto, "IndexAddBackward0", x, &scaled, &places, true)
}

/// `x` with the slices of `src` that an index vector sends to one place put together there, and with what `x` holds
/// there if `include_self`.
pub fn index_reduce(
    x: &Tensor,
    dim: isize,
    index: &Tensor,
    src: &Tensor,
    reduce: Reduce,
    include_self: bool,
) -> Result<Tensor> {
    let axis = layout::axis(dim, x.ndim())?;
    if index.ndim() > 1 {
        return Err(Error::index("index_reduce_(): Index is supposed to be a vector"));
    }
    if !count_fits(axis, index, src) {
        return Err(Error::runtime(format!(
            "index_reduce_(): Number of indices ({}) should be equal to self.size(dim): ({}), for dim: {axis}",
            index.numel(),
            src.shape().get(axis).copied().unwrap_or(1)
        )));
    }
    let mut line: Dims = src.shape().iter().map(|_| 1).collect();
    if let Some(extent) = line.get_mut(axis) {
        *extent = index.numel();
    }
    let index = vector_space::expand(&reshape_to(index, &line)?, &src.shape())?;
    scatter_reduce(x, dim, &index, src, reduce, include_self)
}

fn same_slices(name: &str, places: &Places, src: &Tensor) -> Result<()> {
    if src.shape()[..] == *places.shape() || src.numel() == 1 && places.shape().is_empty() {
        return Ok(());
    }
    Err(Error::runtime(format!(
        "{name}: source of shape {:?} does not match the slices that are written, of shape {:?} (they must match except \
         along the axis)",
        src.shape(),
        places.shape()
    )))
}

/// `x` with the slices of `src` written at positions along an axis.
pub fn index_copy(onto: Onto, x: &Tensor, dim: isize, index: &Tensor, src: &Tensor) -> Result<Tensor> {
    let axis = layout::axis(dim, x.ndim())?;
    if index.dtype() != DType::I64 {
        return Err(Error::runtime(format!(
            "index_copy_(): Expected a long tensor for index, but got {}",
            index.dtype().scalar_name()
        )));
    }
    if src.dtype() != x.dtype() {
        return Err(Error::runtime(format!(
            "index_copy_(): self and source expected to have the same dtype, but got (self) {} and (source) {}",
            x.dtype().scalar_name(),
            src.dtype().scalar_name()
        )));
    }
    if index.ndim() > 1 {
        return Err(Error::index(format!(
            "index_copy_(): Index should have dimension 1 or 0 (got {})",
            index.ndim()
        )));
    }
    if !count_fits(axis, index, src) {
        return Err(Error::index(format!(
            "index_copy_(): Number of indices ({}) should be equal to source.size(dim) ({})",
            index.numel(),
            src.shape().get(axis).copied().unwrap_or(1)
        )));
    }
    let extent = x.shape().get(axis).copied().unwrap_or(1);
    let places = along(x, axis, index, false, |i| {
        Error::index(format!(
            "index_copy_(): index {i} is out of bounds for dimension {axis} with size {extent}"
        ))
    })?;
    same_slices("index_copy_()", &places, src)?;
    places::write(onto, "IndexCopyBackward0", x, src, &places, false)
}

/// `x` with one value at positions along an axis.
pub fn index_fill(onto: Onto, x: &Tensor, dim: isize, index: &Tensor, value: Operand<'_>) -> Result<Tensor> {
    let axis = layout::axis(dim, x.ndim())?;
    if index.dtype() != DType::I64 {
        return Err(Error::index("index_fill_(): Expected dtype int64 for index."));
    }
    if index.ndim() > 1 {
        return Err(Error::runtime("Index has to be a vector/scalar"));
    }
    let (name, value) = match value {
        Operand::Scalar(value) => ("IndexFillBackward0", Tensor::scalar(value, x.dtype())?),
        Operand::Tensor(value) if value.ndim() > 0 => {
            return Err(Error::runtime(format!(
                "index_fill_ only supports a 0-dimensional value tensor, but got tensor with {} dimension(s).",
                value.ndim()
            )));
        }
        Operand::Tensor(value) => ("IndexFillBackward1", value.clone()),
    };
    let extent = x.shape().get(axis).copied().unwrap_or(1);
    let places = along(x, axis, index, true, |i| {
        Error::index(format!("index {i} is out of bounds for dimension {axis} with size {extent}"))
    })?;
    places::write(onto, name, x, &value, &places, false)
}

/// One-hot rows: a new last axis of `classes` (or, if negative, as many as are needed) with a 1 at each element's class.
pub fn one_hot(x: &Tensor, classes: i64) -> Result<Tensor> {
    if x.dtype() != DType::I64 {
        return Err(Error::runtime("one_hot is only applicable to index tensor of type LongTensor."));
    }
    let values = x.to_vec::<i64>()?;
    if values.is_empty() && classes <= 0 {
        return Err(Error::runtime("Can not infer total number of classes from empty tensor."));
    }
    if values.iter().any(|&c| c < 0) {
        return Err(Error::runtime("Class values must be non-negative."));
    }
    let needed = values.iter().max().map_or(0, |&c| c + 1);
    let classes = if classes == -1 { needed } else { classes };
    if classes < 1 {
        return Err(Error::runtime("num_classes should be positive"));
    }
    if needed > classes {
        return Err(Error::runtime("Class values must be smaller than num_classes."));
    }
    let mut shape = x.shape();
    shape.push(classes as usize);
    let y = Array::zeros(&shape, DType::I64)?;
    let ones = Array::full(&x.shape(), Scalar::Int(1), DType::I64)?;
    let mut rows = shape.clone();
    rows[shape.len() - 1] = 1;
    let axis = shape.len() - 1;
    kernel::scatter(&y, axis, &x.array().contiguous()?.view(&rows)?, &ones.view(&rows)?, Combine::Replace)?;
    Ok(Tensor::new(y))
}

fn positions(values: &[i64], shape: &[usize]) -> Result<Tensor> {
    Tensor::from_slice(values, shape)
}

/// The gradient checks of this file.
pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "gather",
        |s| Ok(vec![s.normal(&[3, 2])?]),
        |x| Ok(vec![gather(&x[0], 0, &positions(&[2, 0, 2, 1], &[2, 2])?)?]),
    ),
    Check::new(
        "take_along_dim",
        |s| Ok(vec![s.normal(&[3, 2])?]),
        |x| Ok(vec![take_along_dim(&x[0], &positions(&[2, 0], &[2, 1])?, Some(0))?]),
    ),
    Check::new(
        "index_select",
        |s| Ok(vec![s.normal(&[3, 2])?]),
        |x| Ok(vec![index_select(&x[0], 0, &positions(&[2, 0, 2], &[3])?)?]),
    ),
    Check::new(
        "take",
        |s| Ok(vec![s.normal(&[3, 2])?]),
        |x| Ok(vec![take(&x[0], &positions(&[5, -6, 5, 1], &[2, 2])?)?]),
    ),
    Check::new(
        "put",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[2])?]),
        |x| Ok(vec![put(Onto::Copy, &x[0], &positions(&[5, 0], &[2])?, &x[1], true)?]),
    ),
    Check::new(
        "index_add",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[3, 3])?]),
        |x| {
            Ok(vec![index_add(
                Onto::Copy,
                &x[0],
                1,
                &positions(&[1, 0, 1], &[3])?,
                &x[1],
                Scalar::Float(0.5),
            )?])
        },
    ),
    Check::new(
        "index_copy",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[2, 2])?]),
        |x| Ok(vec![index_copy(Onto::Copy, &x[0], 0, &positions(&[2, 0], &[2])?, &x[1])?]),
    ),
    Check::new(
        "index_fill",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[])?]),
        |x| Ok(vec![index_fill(Onto::Copy, &x[0], 0, &positions(&[2, 0], &[2])?, Operand::Tensor(&x[1]))?]),
    ),
];
