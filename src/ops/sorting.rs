//! Order: sort, topk, kthvalue, unique, and where values belong in a sorted sequence.

use std::cmp::Ordering;

use smallvec::smallvec;

use crate::array::kernels::sort::{self as kernel, Order};
use crate::array::layout::{self, Dims};
use crate::array::reserve::defaults;
use crate::array::{Array, DType, Scalar};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::row::{self, default_dtype};
use crate::graph::vector_space::to_dtype;
use crate::graph::{Keep, Tensor, record, record_many};
use crate::ops::gather::{gather, index_select, take};
use crate::ops::part::tangent_or_zeros;
use crate::ops::scatter::scatter_add;
use crate::ops::view::{ravel, reshape_to, squeeze, unsqueeze};
use crate::ops::{movedim, transpose};
use crate::with_element;

/// The first elements of each line in an order, with their positions, recorded.
fn chosen(name: &'static str, x: &Tensor, axis: usize, order: Order) -> Result<(Tensor, Tensor)> {
    let array = x.array();
    let (values, indices) = kernel::sort(&array, axis, order)?;
    // The kernel's lines come last; the axis goes back to where it was.
    let back = |y: Array| -> Result<Array> {
        if y.ndim() == 0 {
            return Ok(y);
        }
        let mut axes: smallvec::SmallVec<[usize; 6]> = (0..y.ndim() - 1).collect();
        axes.insert(axis, y.ndim() - 1);
        y.permute(&axes)?.contiguous()
    };
    let outputs = vec![back(values)?, back(indices)?];
    let whole: Dims = array.shape().into();
    let mut made = record_many(
        name,
        &[x],
        outputs,
        &[Keep::Output(1)],
        // dx = zeros with g added where each value came from.
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            let zeros = Tensor::zeros(&whole, g.dtype())?;
            Ok(smallvec![Some(scatter_add(&zeros, axis as isize, &cx.saved(0)?, g)?)])
        },
        |inputs, made| {
            let tangent = tangent_or_zeros(inputs[0].tangent(), inputs[0])?;
            Ok(vec![Some(gather(&tangent, axis as isize, &made[1])?), None])
        },
    )?;
    let indices = made.pop();
    match (made.pop(), indices) {
        (Some(values), Some(indices)) => Ok((values, indices)),
        _ => unreachable!("two outputs were recorded"),
    }
}

fn extent(x: &Tensor, axis: usize) -> usize {
    x.shape().get(axis).copied().unwrap_or(1)
}

/// The elements of each line in order, and where they were. NaN counts as the largest; equal elements keep their order.
pub fn sort(x: &Tensor, dim: isize, descending: bool, stable: bool) -> Result<(Tensor, Tensor)> {
    let axis = layout::axis(dim, x.ndim())?;
    let name = if stable { "SortBackward1" } else { "SortBackward0" };
    chosen(name, x, axis, Order::All { descending })
}

/// Where the elements of each line in order are.
pub fn argsort(x: &Tensor, dim: isize, descending: bool) -> Result<Tensor> {
    Ok(sort(&x.detach(), dim, descending, false)?.1)
}

/// [`sort`] along the first axis, the values only.
pub fn msort(x: &Tensor) -> Result<Tensor> {
    Ok(sort(x, 0, false, false)?.0)
}

/// The `k` largest (or smallest) elements of each line, and where they were.
pub fn topk(x: &Tensor, k: isize, dim: isize, largest: bool, sorted: bool) -> Result<(Tensor, Tensor)> {
    let axis = layout::axis(dim, x.ndim())?;
    if k < 0 || k as usize > extent(x, axis) {
        return Err(Error::runtime("selected index k out of range"));
    }
    chosen("TopkBackward0", x, axis, Order::First { count: k as usize, largest, sorted })
}

/// The `k`-th smallest element of each line, counted from 1, and where it was.
pub fn kthvalue(x: &Tensor, k: isize, dim: isize, keepdim: bool) -> Result<(Tensor, Tensor)> {
    let axis = layout::axis(dim, x.ndim())?;
    if k < 1 || k as usize > extent(x, axis) {
        return Err(Error::runtime(format!(
            "kthvalue(): selected number k out of range for dimension {axis}"
        )));
    }
    let array = x.array();
    let (values, indices) = kernel::sort(&array, axis, Order::Nth(k as usize - 1))?;
    let last = |y: &Array| -> Result<Array> {
        if y.ndim() == 0 {
            return Ok(y.clone());
        }
        let line = y.ndim() - 1;
        let y = y.select(line, 0)?;
        if !keepdim {
            return y.contiguous();
        }
        let mut shape: Dims = y.shape().into();
        shape.insert(axis, 1);
        y.contiguous()?.view(&shape)
    };
    let outputs = vec![last(&values)?, last(&indices)?];
    let whole: Dims = array.shape().into();
    let squeezed = !keepdim && !whole.is_empty();
    let mut made = record_many(
        "KthvalueBackward0",
        &[x],
        outputs,
        &[Keep::Output(1)],
        // dx = zeros with g where the value came from.
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            let zeros = Tensor::zeros(&whole, g.dtype())?;
            let (mut g, mut index) = (g.clone(), cx.saved(0)?);
            if squeezed {
                (g, index) = (unsqueeze(&g, axis as isize)?, unsqueeze(&index, axis as isize)?);
            }
            Ok(smallvec![Some(scatter_add(&zeros, axis as isize, &index, &g)?)])
        },
        |inputs, made| {
            let tangent = tangent_or_zeros(inputs[0].tangent(), inputs[0])?;
            let axis = axis as isize;
            let moved = if squeezed {
                squeeze(&gather(&tangent, axis, &unsqueeze(&made[1], axis)?)?, Some(&[axis]))?
            } else {
                gather(&tangent, axis, &made[1])?
            };
            Ok(vec![Some(moved), None])
        },
    )?;
    let indices = made.pop();
    match (made.pop(), indices) {
        (Some(values), Some(indices)) => Ok((values, indices)),
        _ => unreachable!("two outputs were recorded"),
    }
}

/// What [`unique`] finds.
pub struct Unique {
    /// Each value (or slice) once.
    pub values: Tensor,
    /// For each element (or slice), which of the values it is.
    pub inverse: Tensor,
    /// How often each value occurs.
    pub counts: Tensor,
}

/// Slices of `x` along an axis as rows; all elements, one each, without an axis.
fn rows(x: &Tensor, dim: Option<isize>) -> Result<(Tensor, Option<usize>)> {
    let x = x.detach();
    let Some(dim) = dim else { return Ok((reshape_to(&x, &[x.numel(), 1])?, None)) };
    let axis = layout::axis(dim, x.ndim())?;
    let front = if x.ndim() == 0 { reshape_to(&x, &[1])? } else { movedim(&x, &[axis as isize], &[0])? };
    let count = front.shape()[0];
    let width = front.shape()[1..].iter().product();
    Ok((reshape_to(&front, &[count, width])?, Some(axis)))
}

/// Groups rows that are equal: all of them in ascending order, or only neighbours in the order they have.
fn grouped(x: &Tensor, dim: Option<isize>, neighbours: bool) -> Result<Unique> {
    let (rows, axis) = rows(x, dim)?;
    let array = rows.array().contiguous()?;
    let (count, width) = (array.shape()[0], array.shape()[1]);
    let mut order: Vec<usize> = (0..count).collect();
    let mut firsts: Vec<i64> = Vec::new();
    let mut counts: Vec<i64> = Vec::new();
    let mut inverse = vec![0_i64; count];
    with_element!(array.dtype(), T => {
        // SAFETY: nobody writes to this array while the slice lives: it is a copy, or the caller's to read.
        let values = unsafe { array.as_slice::<T>() }.unwrap_or_default();
        let row = |i: usize| &values[i * width..(i + 1) * width];
        if !neighbours {
            order.sort_by(|&a, &b| {
                let pairs = row(a).iter().zip(row(b));
                pairs.map(|(a, b)| kernel::ascending(*a, *b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
            });
        }
        for (k, &i) in order.iter().enumerate() {
            // NaN differs from itself, so each one is a value of its own.
            if k == 0 || row(order[k - 1]) != row(i) {
                firsts.push(i as i64);
                counts.push(0);
            }
            inverse[i] = counts.len() as i64 - 1;
            if let Some(count) = counts.last_mut() {
                *count += 1;
            }
        }
    });
    let positions = Tensor::from_slice(&firsts, &[firsts.len()])?;
    let (values, inverse) = match axis {
        Some(axis) => {
            (index_select(&x.detach(), axis as isize, &positions)?, Tensor::from_slice(&inverse, &[count])?)
        }
        None => (
            reshape_to(&index_select(&rows, 0, &positions)?, &[firsts.len()])?,
            Tensor::from_slice(&inverse, &x.shape())?,
        ),
    };
    let values = underived(x, values.array(), neighbours, axis.is_some())?;
    Ok(Unique { values, inverse, counts: Tensor::from_slice(&counts, &[counts.len()])? })
}

/// The values found in `x`, which depend on it by a derivative that PyTorch too refuses to give.
fn underived(x: &Tensor, values: Array, neighbours: bool, along: bool) -> Result<Tensor> {
    let (node, op) = match (neighbours, along) {
        (true, _) => ("UniqueConsecutiveBackward0", "unique_consecutive"),
        (false, true) => ("UniqueDimBackward0", "unique_dim"),
        (false, false) => ("Unique2Backward0", "_unique2"),
    };
    record(node, &[x], values, &[], move |_| Err(row::no_derivative(op)), |_| Err(row::no_forward_mode(op)))
}

/// Each value once, in ascending order; or each slice along an axis.
pub fn unique(x: &Tensor, dim: Option<isize>) -> Result<Unique> {
    grouped(x, dim, false)
}

/// Each value (or slice along an axis) once for each run of equal ones.
pub fn unique_consecutive(x: &Tensor, dim: Option<isize>) -> Result<Unique> {
    grouped(x, dim, true)
}

/// Where each value belongs in its sorted sequence: before equal ones, or after them if `right`.
///
/// `sequences` holds one sequence, or one for each line of `values`; `sorter` says in which order to read it.
pub fn searchsorted(
    sequences: &Tensor,
    values: &Tensor,
    right: bool,
    sorter: Option<&Tensor>,
    narrow: bool,
) -> Result<Tensor> {
    let (from, to) = (sequences.shape(), values.shape());
    let fits = from.len() == 1
        || from.len() == to.len() && !from.is_empty() && from[..from.len() - 1] == to[..to.len() - 1];
    if !fits {
        return Err(Error::runtime(format!(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor \
             and input value tensor must match, but we got boundaries tensor {from:?} and input value tensor {to:?}"
        )));
    }
    let sequences = match sorter {
        Some(sorter) => gather(&sequences.detach(), -1, sorter)?,
        None => sequences.detach(),
    };
    let dtype = sequences.dtype().promote(values.dtype());
    let sequences = sequences.array().cast(dtype)?.contiguous()?;
    let mut positions = vec![0_i64; values.numel()];
    kernel::search(&sequences, &values.array().cast(dtype)?, right, &mut positions);
    let positions = Array::from_slice(&positions, &to)?;
    Ok(Tensor::new(positions.cast(if narrow { DType::I32 } else { DType::I64 })?))
}

/// For each element of `x`, whether one of `candidates` equals it; with `invert`, whether none does.
pub fn isin(x: &Tensor, candidates: &Tensor, invert: bool) -> Result<Tensor> {
    if x.dtype() == DType::Bool || candidates.dtype() == DType::Bool {
        return Err(Error::runtime("Unsupported input type encountered for isin(): Bool"));
    }
    let dtype = x.dtype().promote(candidates.dtype());
    let (x, candidates) = (to_dtype(&x.detach(), dtype)?, to_dtype(&candidates.detach(), dtype)?);
    if candidates.numel() == 0 {
        return Tensor::full(&x.shape(), Scalar::Bool(invert), DType::Bool);
    }
    let (sorted, _) = sort(&ravel(&candidates)?, 0, false, false)?;
    // The first candidate that is not below the element, or the last of all: no other can be equal.
    let places = searchsorted(&sorted, &x, false, None, false)?.clamp_max(candidates.numel() as i64 - 1)?;
    let nearest = take(&sorted, &places)?;
    if invert { nearest.ne(&x) } else { nearest.eq(&x) }
}

/// [`searchsorted`] in one sequence of boundaries.
pub fn bucketize(values: &Tensor, boundaries: &Tensor, right: bool, narrow: bool) -> Result<Tensor> {
    if boundaries.ndim() != 1 {
        return Err(Error::runtime(format!(
            "boundaries tensor must be 1 dimension, but got dim({})",
            boundaries.ndim()
        )));
    }
    searchsorted(boundaries, values, right, None, narrow)
}

/// How often each number from 0 on occurs, or the sum of the weights where it does; at least `least` numbers.
pub fn bincount(x: &Tensor, weights: Option<&Tensor>, least: isize) -> Result<Tensor> {
    if least < 0 {
        return Err(Error::runtime("minlength should be >= 0"));
    }
    if x.dtype().is_floating() || x.dtype() == DType::Bool {
        return Err(Error::unsupported("bincount_cpu", x.dtype()));
    }
    let values = x.to_vec::<i64>()?;
    if x.ndim() != 1 && !values.is_empty() || values.iter().any(|&v| v < 0) {
        return Err(Error::runtime("bincount only supports 1-d non-negative integral inputs."));
    }
    let length = values.iter().max().map_or(0, |&v| v as usize + 1).max(least as usize);
    let Some(weights) = weights else {
        let mut counts: Vec<i64> = defaults(length)?;
        for &v in &values {
            counts[v as usize] += 1;
        }
        return Tensor::from_slice(&counts, &[length]);
    };
    if weights.shape() != x.shape() {
        return Err(Error::runtime("weights should be 1-d and have the same length as input"));
    }
    let dtype = if weights.dtype() == default_dtype() { weights.dtype() } else { DType::F64 };
    if dtype == DType::F32 {
        let mut narrow: Vec<f32> = defaults(length)?;
        values.iter().zip(weights.to_vec::<f32>()?).for_each(|(&v, w)| narrow[v as usize] += w);
        return Tensor::from_slice(&narrow, &[length]);
    }
    let mut sums: Vec<f64> = defaults(length)?;
    values.iter().zip(weights.to_vec::<f64>()?).for_each(|(&v, w)| sums[v as usize] += w);
    Tensor::from_slice(&sums, &[length])
}

/// The gradient checks of this file.
pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "sort",
        |s| Ok(vec![s.distinct(&[2, 4])?]),
        |x| Ok(vec![sort(&transpose(&x[0], 0, 1)?, 0, true, true)?.0]),
    ),
    Check::new("topk", |s| Ok(vec![s.distinct(&[4, 2])?]), |x| Ok(vec![topk(&x[0], 2, 0, true, true)?.0])),
    Check::new(
        "kthvalue",
        |s| Ok(vec![s.distinct(&[4, 2])?]),
        |x| Ok(vec![kthvalue(&x[0], 2, 0, false)?.0, kthvalue(&x[0], 1, 1, true)?.0]),
    ),
];
