//! Choosing elements by truths: where, masks, and the positions of what is not zero.

use std::sync::Arc;

use smallvec::smallvec;

use crate::array::kernels::index;
use crate::array::kernels::tile::{Call, Source};
use crate::array::layout;
use crate::array::{Array, DType, Scalar};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::{Keep, Onto, Operand, Tensor, overwrite, vector_space};
use crate::ops::arithmetic::choose;
use crate::ops::creation::check_fits;
use crate::ops::part::tangent_or_zeros;
use crate::ops::places::{self, Places};
use crate::ops::view::reshape_to;

fn source<'a>(array: Option<&'a Array>, operand: &Operand<'_>) -> Source<'a> {
    match (array, operand) {
        (Some(x), _) => Source::Array(x),
        (None, Operand::Scalar(s)) => Source::Scalar(*s),
        (None, Operand::Tensor(_)) => unreachable!("every tensor's array was read"),
    }
}

fn array_of(operand: &Operand<'_>) -> Option<Array> {
    match operand {
        Operand::Tensor(x) => Some(x.array()),
        Operand::Scalar(_) => None,
    }
}

/// `a` where the condition holds, else `b`. All three broadcast; the dtypes of `a` and `b` promote.
///
/// Fails when the condition is neither bool nor uint8.
pub fn where_<'a>(
    condition: &Tensor,
    a: impl Into<Operand<'a>>,
    b: impl Into<Operand<'a>>,
) -> Result<Tensor> {
    let (a, b) = (a.into(), b.into());
    if !matches!(condition.dtype(), DType::Bool | DType::U8) {
        return Err(Error::runtime(format!(
            "where expected condition to be a boolean tensor, but got a tensor with dtype {}",
            condition.dtype().scalar_name()
        )));
    }
    if let (Operand::Tensor(a), Operand::Tensor(b)) = (a, b) {
        // PyTorch names a clash between these two before one with the condition.
        layout::broadcast("where", &a.shape(), &b.shape())?;
    }
    choose(&vector_space::to_dtype(condition, DType::Bool)?, a, b)
}

/// `x` with `value` (a number or a 0-d tensor) where the mask holds. The mask broadcasts with `x`.
pub fn masked_fill<'a>(x: &Tensor, mask: &Tensor, value: impl Into<Operand<'a>>) -> Result<Tensor> {
    let shape = layout::broadcast("masked_fill", &mask.shape(), &x.shape())?;
    let x = if x.shape() == shape { x.clone() } else { vector_space::expand(x, &shape)? };
    fill_masked(Onto::Copy, &x, mask, value.into())
}

/// [`masked_fill`] of `x` itself. The mask broadcasts to `x`.
pub fn masked_fill_<'a>(x: &Tensor, mask: &Tensor, value: impl Into<Operand<'a>>) -> Result<Tensor> {
    if layout::broadcast("masked_fill_", &x.shape(), &mask.shape())? != x.shape() {
        return Err(Error::runtime(format!(
            "output with shape {:?} doesn't match the broadcast shape {:?}",
            x.shape(),
            layout::broadcast("masked_fill_", &x.shape(), &mask.shape())?
        )));
    }
    fill_masked(Onto::Itself, x, mask, value.into())
}

fn fill_masked(onto: Onto, x: &Tensor, mask: &Tensor, value: Operand<'_>) -> Result<Tensor> {
    if mask.dtype() != DType::Bool {
        return Err(Error::runtime(format!(
            "masked_fill_ only supports boolean masks, but got mask with dtype {}",
            mask.dtype()
        )));
    }
    if let Operand::Scalar(value) = value {
        check_fits(value, x.dtype())?;
    }
    let held = array_of(&value);
    let (name, tensor) = match value {
        Operand::Scalar(s) => ("MaskedFillBackward0", Tensor::scalar(s, x.dtype())?),
        Operand::Tensor(v) if v.ndim() > 0 => {
            return Err(Error::runtime(format!(
                "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with {} dimension(s).",
                v.ndim()
            )));
        }
        Operand::Tensor(v) => ("MaskedFillBackward1", v.clone()),
    };
    let truths = mask.array();
    overwrite(
        onto,
        name,
        &[x, mask, &tensor],
        &[Keep::Input(1)],
        |y| {
            let dtype = if y.dtype() == DType::Bool { DType::U8 } else { y.dtype() };
            let (truths, held) = (truths.as_before(y)?, held.map(|value| value.as_before(y)).transpose()?);
            let sources = [Source::Array(&truths), source(held.as_ref(), &value), Source::Array(y)];
            let tile = choose::ROW.tile(dtype)?;
            Call { tile, compute: dtype, inputs: &sources, result: dtype, output: y }.run();
            Ok(())
        },
        // dx = g outside the mask, dvalue = the sum of g inside it, which the edge takes.
        |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None, None, None]) };
            let mask = cx.saved(0)?;
            let zero = Operand::Scalar(Scalar::Int(0));
            let dx = || masked_fill(g, &mask, zero);
            let dvalue = || where_(&mask, g, zero);
            Ok(smallvec![cx.needs(0).then(dx).transpose()?, None, cx.needs(2).then(dvalue).transpose()?])
        },
        |cx| {
            let x = tangent_or_zeros(cx.tangent(0), cx.output())?;
            let value = tangent_or_zeros(cx.tangent(2), cx.input(2))?;
            masked_fill(&x, cx.input(1), &value)
        },
    )
}

/// The elements of `x` where the mask holds, as a vector. Both broadcast.
pub fn masked_select(x: &Tensor, mask: &Tensor) -> Result<Tensor> {
    if mask.dtype() != DType::Bool {
        return Err(Error::runtime("masked_select: expected BoolTensor for mask"));
    }
    let shape = layout::broadcast("masked_select", &mask.shape(), &x.shape())?;
    let positions = index::nonzero(&mask.array().expand(&shape)?);
    let count = positions.len();
    let x = if x.shape() == shape { x.clone() } else { vector_space::expand(x, &shape)? };
    places::read("MaskedSelectBackward0", &x, &Arc::new(Places::flat(&shape, positions, &[count])))
}

/// `x` with the elements of `src`, in order, where the mask holds. The mask broadcasts with `x`.
pub fn masked_scatter(x: &Tensor, mask: &Tensor, src: &Tensor) -> Result<Tensor> {
    let shape = layout::broadcast("masked_scatter", &mask.shape(), &x.shape())?;
    let x = if x.shape() == shape { x.clone() } else { vector_space::expand(x, &shape)? };
    scatter_masked(Onto::Copy, &x, mask, src)
}

/// [`masked_scatter`] into `x` itself.
pub fn masked_scatter_(x: &Tensor, mask: &Tensor, src: &Tensor) -> Result<Tensor> {
    scatter_masked(Onto::Itself, x, mask, src)
}

fn scatter_masked(onto: Onto, x: &Tensor, mask: &Tensor, src: &Tensor) -> Result<Tensor> {
    if mask.dtype() != DType::Bool {
        return Err(Error::runtime(format!(
            "masked_scatter_ only supports boolean masks, but got mask with dtype {}",
            mask.dtype().scalar_name()
        )));
    }
    if src.dtype() != x.dtype() {
        return Err(Error::runtime(format!(
            "masked_scatter: expected self and source to have same dtypes but got{} and {}",
            x.dtype().scalar_name(),
            src.dtype().scalar_name()
        )));
    }
    let shape = x.shape();
    let positions = index::nonzero(&mask.array().expand(&shape)?);
    let count = positions.len();
    if src.numel() < count {
        return Err(Error::runtime("Number of elements of source < number of ones in mask"));
    }
    let taken = places::read(
        "SliceBackward0",
        src,
        &Arc::new(Places::flat(&src.shape(), (0..count).collect(), &[count])),
    )?;
    places::write(
        onto,
        "MaskedScatterBackward0",
        x,
        &taken,
        &Arc::new(Places::flat(&shape, positions, &[count])),
        false,
    )
}

/// The positions of the elements that are not zero, one row each.
pub fn nonzero(x: &Tensor) -> Result<Tensor> {
    let columns = coordinates(x);
    let ndim = columns.len();
    let count = if ndim == 0 { usize::from(x.item()?.is_true()) } else { columns[0].len() };
    let mut rows = vec![0_i64; count * ndim];
    for (axis, column) in columns.iter().enumerate() {
        for (row, &i) in column.iter().enumerate() {
            rows[row * ndim + axis] = i;
        }
    }
    Tensor::from_slice(&rows, &[count, ndim])
}

/// [`nonzero`] as one vector for each axis, as indexing takes them.
pub fn nonzero_tuple(x: &Tensor) -> Result<Vec<Tensor>> {
    let x = if x.ndim() == 0 { reshape_to(x, &[1])? } else { x.clone() };
    coordinates(&x).iter().map(|column| Tensor::from_slice(column, &[column.len()])).collect()
}

fn coordinates(x: &Tensor) -> Vec<Vec<i64>> {
    let array = x.array();
    let positions = index::nonzero(&array);
    let shape = array.shape();
    (0..shape.len())
        .map(|axis| {
            let inner: usize = shape[axis + 1..].iter().product();
            positions.iter().map(|&p| (p / inner % shape[axis]) as i64).collect()
        })
        .collect()
}

fn alternating(n: usize) -> Result<Tensor> {
    let mask = Array::from_slice(&(0..n).map(|i| i64::from(i % 2 == 0)).collect::<Vec<_>>(), &[n])?;
    Ok(Tensor::new(mask.cast(DType::Bool)?))
}

/// The gradient checks of this file.
pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "where",
        |s| Ok(vec![s.normal(&[2, 3])?, s.normal(&[2, 1])?]),
        |x| Ok(vec![where_(&alternating(3)?, &x[0], &x[1])?]),
    ),
    Check::new(
        "masked_fill",
        |s| Ok(vec![s.normal(&[2, 3])?, s.normal(&[])?]),
        |x| Ok(vec![masked_fill(&x[0], &alternating(3)?, &x[1])?]),
    ),
    Check::new(
        "masked_select",
        |s| Ok(vec![s.normal(&[2, 3])?]),
        |x| Ok(vec![masked_select(&x[0], &alternating(3)?)?]),
    ),
    Check::new(
        "masked_scatter",
        |s| Ok(vec![s.normal(&[2, 3])?, s.normal(&[5])?]),
        |x| Ok(vec![masked_scatter(&x[0], &alternating(3)?, &x[1])?]),
    ),
];
