//! Elements written along an axis at places that an index of the same rank names.
//!
//! Every reduction is, to first order, linear: dy = c·dx + scatter(d·dsrc). The coefficients c and d are tensors, so one
//! derivative and one forward-mode rule serve all of them, and can be differentiated again.

use smallvec::smallvec;

use crate::array::kernels::combine::Combine;
use crate::array::kernels::gather as kernel;
use crate::array::layout;
use crate::array::{Array, DType, Scalar};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::vector_space::{to_dtype, zeros_like};
use crate::graph::{Keep, Onto, Operand, Tensor, assume, forward, overwrite, record};
use crate::ops::part::tangent_or_zeros;
use crate::ops::{self, gather, masked_fill, where_};

/// How values that arrive at one place are put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reduce {
    /// Their sum.
    Sum,
    /// Their product.
    Prod,
    /// Their mean.
    Mean,
    /// The largest.
    Amax,
    /// The smallest.
    Amin,
}

impl Reduce {
    /// By PyTorch's name.
    pub fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "sum" => Self::Sum,
            "prod" => Self::Prod,
            "mean" => Self::Mean,
            "amax" => Self::Amax,
            "amin" => Self::Amin,
            _ => {
                return Err(Error::runtime(format!(
                    "reduce argument must be either sum, prod, mean, amax or amin, got {name}"
                )));
            }
        })
    }

    fn combine(self) -> Combine {
        match self {
            Self::Sum | Self::Mean => Combine::Add,
            Self::Prod => Combine::Multiply,
            Self::Amax => Combine::Max,
            Self::Amin => Combine::Min,
        }
    }

    /// What a place holds before anything arrives.
    fn start(self, dtype: DType) -> Scalar {
        let float = dtype.is_floating();
        match self {
            Self::Sum | Self::Mean => Scalar::Int(0),
            Self::Prod => Scalar::Int(1),
            Self::Amax if float => Scalar::Float(f64::NEG_INFINITY),
            Self::Amin if float => Scalar::Float(f64::INFINITY),
            Self::Amax => Scalar::Int(ops::creation::range(dtype).0),
            Self::Amin => Scalar::Int(ops::creation::range(dtype).1),
        }
    }
}

/// Fails when an index lies outside the axis.
pub(crate) fn check_bounds(index: &Array, x: &Array, axis: usize) -> Result<()> {
    let extent = x.shape().get(axis).copied().unwrap_or(1);
    // SAFETY: the slice lives for this call only.
    let values = unsafe { index.as_slice::<i64>() }.unwrap_or_default();
    match values.iter().find(|&&i| i < 0 || i >= extent as i64) {
        None => Ok(()),
        Some(i) => {
            Err(Error::runtime(format!("index {i} is out of bounds for dimension {axis} with size {extent}")))
        }
    }
}

/// The index as the kernel takes it, after all checks; `None` if there is nothing to do.
fn checked(x: &Array, axis: usize, index: &Array, src: Option<&Array>) -> Result<Option<Array>> {
    if !matches!(index.dtype(), DType::I64 | DType::I32) && index.numel() > 0 {
        return Err(Error::runtime("scatter(): Expected dtype int32/int64 for index"));
    }
    if let Some(src) = src
        && src.dtype() != x.dtype()
    {
        return Err(Error::runtime("scatter(): Expected self.dtype to be equal to src.dtype"));
    }
    if index.numel() == 0 {
        return Ok(None);
    }
    let rank = |x: &Array| x.ndim().max(1);
    if rank(index) != rank(x) {
        return Err(Error::runtime("Index tensor must have the same number of dimensions as self tensor"));
    }
    if let Some(src) = src
        && rank(index) != rank(src)
    {
        return Err(Error::runtime("Index tensor must have the same number of dimensions as src tensor"));
    }
    let extent = |x: &Array, a: usize| x.shape().get(a).copied().unwrap_or(1);
    let fits = (0..rank(index)).all(|a| {
        (a == axis || extent(index, a) <= extent(x, a))
            && src.is_none_or(|s| extent(index, a) <= extent(s, a))
    });
    if !fits {
        let tail =
            src.map_or_else(String::new, |s| format!(" and to be no larger size than src {:?}", s.shape()));
        return Err(Error::runtime(format!(
            "Expected index {:?} to be no larger than self {:?} apart from dimension {axis}{tail}",
            index.shape(),
            x.shape()
        )));
    }
    // What is written must not become an index: those are checked once.
    let index = index.cast(DType::I64)?.contiguous()?.as_before(x)?;
    check_bounds(&index, x, axis)?;
    Ok(Some(index))
}

/// The part of `src` that an index of this shape uses.
fn used(src: &Array, index: &Array) -> Result<Array> {
    let mut part = src.clone();
    for (axis, &n) in index.shape().iter().enumerate().take(src.ndim()) {
        if part.shape()[axis] != n {
            part = part.slice(axis, 0, n, 1)?;
        }
    }
    part.view(index.shape()).or_else(|_| part.contiguous()?.view(index.shape()))
}

fn scattered(y: &Array, axis: usize, index: &Array, src: &Array, how: Combine) -> Result<()> {
    match checked(y, axis, index, Some(src))? {
        Some(index) => kernel::scatter(y, axis, &index, &used(&src.as_before(y)?, &index)?, how),
        None => Ok(()),
    }
}

/// `g` read at the places of the index, and zeros where `src`, of this shape, is larger than the index.
fn gathered(g: &Tensor, dim: isize, index: &Tensor, shape: &[usize]) -> Result<Tensor> {
    padded(gather(g, dim, index)?, shape)
}

fn padded(mut found: Tensor, shape: &[usize]) -> Result<Tensor> {
    for (axis, &n) in shape.iter().enumerate().take(found.ndim()) {
        let have = found.shape()[axis];
        if have < n {
            let mut rest = found.shape();
            rest[axis] = n - have;
            found = ops::cat(&[found.clone(), Tensor::zeros(&rest, found.dtype())?], axis as isize)?;
        }
    }
    ops::view::reshape_to(&found, shape)
}

/// `x` with `src` written at the places of the index along an axis. Of several values for one place the last one stays.
///
/// Fails when an index does not exist, when dtypes or ranks differ, or when the index is larger than `src`.
pub fn scatter(onto: Onto, x: &Tensor, dim: isize, index: &Tensor, src: &Tensor) -> Result<Tensor> {
    let axis = layout::axis(dim, x.ndim())?;
    let (places, source) = (index.array(), src.array());
    let shape = src.shape();
    overwrite(
        onto,
        "ScatterBackward0",
        &[x, index, src],
        &[Keep::Input(1)],
        |y| scattered(y, axis, &places, &source, Combine::Replace),
        // dx = g with zeros at the places, dsrc = g at the places.
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None, None, None]) };
            let index = cx.saved(0)?;
            let dx = || scatter_value(Onto::Copy, g, dim, &index, Scalar::Int(0));
            let dsrc = || gathered(g, dim, &index, &shape);
            Ok(smallvec![cx.needs(0).then(dx).transpose()?, None, cx.needs(2).then(dsrc).transpose()?])
        },
        |cx| {
            let x = tangent_or_zeros(cx.tangent(0), cx.output())?;
            scatter(Onto::Copy, &x, dim, cx.input(1), &tangent_or_zeros(cx.tangent(2), cx.input(2))?)
        },
    )
}

/// `x` with one value at the places of the index along an axis.
pub fn scatter_value(onto: Onto, x: &Tensor, dim: isize, index: &Tensor, value: Scalar) -> Result<Tensor> {
    let axis = layout::axis(dim, x.ndim())?;
    let places = index.array();
    overwrite(
        onto,
        "ScatterBackward1",
        &[x, index],
        &[Keep::Input(1)],
        |y| match checked(y, axis, &places, None)? {
            Some(index) => {
                let value = Array::scalar(value, y.dtype())?.expand(index.shape())?;
                kernel::scatter(y, axis, &index, &value, Combine::Replace)
            }
            None => Ok(()),
        },
        // dx = g with zeros at the places.
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None, None]) };
            Ok(smallvec![Some(scatter_value(Onto::Copy, g, dim, &cx.saved(0)?, Scalar::Int(0))?), None])
        },
        |cx| {
            let x = tangent_or_zeros(cx.tangent(0), cx.output())?;
            scatter_value(Onto::Copy, &x, dim, cx.input(1), Scalar::Int(0))
        },
    )
}

/// `x` with `src` added at the places of the index along an axis.
pub fn scatter_add(x: &Tensor, dim: isize, index: &Tensor, src: &Tensor) -> Result<Tensor> {
    added(Onto::Copy, x, dim, index, src)
}

/// [`scatter_add`] into `x` itself.
pub fn scatter_add_(x: &Tensor, dim: isize, index: &Tensor, src: &Tensor) -> Result<Tensor> {
    added(Onto::Itself, x, dim, index, src)
}

fn added(onto: Onto, x: &Tensor, dim: isize, index: &Tensor, src: &Tensor) -> Result<Tensor> {
    let axis = layout::axis(dim, x.ndim())?;
    let (places, source) = (index.array(), src.array());
    let shape = src.shape();
    overwrite(
        onto,
        "ScatterAddBackward0",
        &[x, index, src],
        &[Keep::Input(1)],
        |y| scattered(y, axis, &places, &source, Combine::Add),
        // dx = g, dsrc = g at the places.
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None, None, None]) };
            let dsrc = || gathered(g, dim, &cx.saved(0)?, &shape);
            Ok(smallvec![cx.needs(0).then(|| g.clone()), None, cx.needs(2).then(dsrc).transpose()?])
        },
        |cx| {
            let x = tangent_or_zeros(cx.tangent(0), cx.output())?;
            scatter_add(&x, dim, cx.input(1), &tangent_or_zeros(cx.tangent(2), cx.input(2))?)
        },
    )
}

/// `x` with `src` added or multiplied in at the places of the index; not differentiable with respect to either, as in
/// PyTorch, which has [`scatter_reduce`] for that.
pub fn scatter_combined(
    onto: Onto,
    x: &Tensor,
    dim: isize,
    index: &Tensor,
    src: Operand<'_>,
    reduce: &str,
) -> Result<Tensor> {
    let how = match reduce {
        "add" => Combine::Add,
        "multiply" => Combine::Multiply,
        _ => return Err(Error::runtime("reduce argument must be either add or multiply.")),
    };
    let axis = layout::axis(dim, x.ndim())?;
    let places = index.array();
    let source = match src {
        Operand::Tensor(src) => src.array(),
        Operand::Scalar(value) => Array::scalar(value, x.dtype())?.expand(places.shape())?,
    };
    let inputs: &[&Tensor] = match src {
        Operand::Tensor(src) => &[x, src],
        Operand::Scalar(_) => &[x],
    };
    overwrite(
        onto,
        "NotImplemented",
        inputs,
        &[],
        |y| scattered(y, axis, &places, &source, how),
        |_| {
            Err(Error::runtime(
                "derivative for aten::scatter (with reduce=) is not implemented; use scatter_reduce",
            ))
        },
        |_| {
            Err(Error::runtime(
                "derivative for aten::scatter (with reduce=) is not implemented; use scatter_reduce",
            ))
        },
    )
}

fn reduced(
    x: &Array,
    axis: usize,
    index: &Array,
    src: &Array,
    reduce: Reduce,
    include_self: bool,
) -> Result<Array> {
    let y = x.copied()?;
    let Some(index) = checked(&y, axis, index, Some(src))? else { return Ok(y) };
    if !include_self {
        let start = Array::scalar(reduce.start(y.dtype()), y.dtype())?.expand(index.shape())?;
        kernel::scatter(&y, axis, &index, &start, Combine::Replace)?;
    }
    kernel::scatter(&y, axis, &index, &used(src, &index)?, reduce.combine())?;
    Ok(y)
}

/// `x` with the values of `src` that an index sends to one place put together there, and with what `x` holds there if
/// `include_self`.
pub fn scatter_reduce(
    x: &Tensor,
    dim: isize,
    index: &Tensor,
    src: &Tensor,
    reduce: Reduce,
    include_self: bool,
) -> Result<Tensor> {
    let axis = layout::axis(dim, x.ndim())?;
    let mut y = reduced(&x.array(), axis, &index.array(), &src.array(), reduce, include_self)?;
    if reduce == Reduce::Mean {
        let count = count(&Tensor::new(y.clone()), dim, &index.detach(), &src.detach(), include_self)?;
        let total = Tensor::new(y);
        let mean = if total.dtype().is_floating() {
            ops::div(&total, &count)?
        } else {
            ops::floor_divide(&total, &count)?
        };
        y = mean.array();
    }
    let shape = src.shape();
    record(
        "ScatterReduceBackward0",
        &[x, index, src],
        y,
        &[Keep::Input(0), Keep::Input(1), Keep::Input(2)],
        // dx = c g, dsrc = d (g at the places).
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None, None, None]) };
            let (x, index, src) = (cx.saved(0)?, cx.saved(1)?, cx.saved(2)?);
            let (c, d) = coefficients(&x, dim, &index, &src, reduce, include_self)?;
            let dsrc = || padded(ops::mul(&d, &gather(g, dim, &index)?)?, &shape);
            Ok(smallvec![
                cx.needs(0).then(|| ops::mul(g, &c)).transpose()?,
                None,
                cx.needs(2).then(dsrc).transpose()?
            ])
        },
        |cx| {
            let (x, index, src) = (cx.input(0), cx.input(1), cx.input(2));
            let (c, d) = coefficients(x, dim, index, src, reduce, include_self)?;
            let dx = ops::mul(&c, &tangent_or_zeros(cx.tangent(0), x)?)?;
            let dsrc = ops::mul(&d, &part_of(&tangent_or_zeros(cx.tangent(2), src)?, index)?)?;
            scatter_add(&dx, dim, index, &dsrc)
        },
    )
}

/// The part of `src` that the index uses.
fn part_of(src: &Tensor, index: &Tensor) -> Result<Tensor> {
    let mut part = src.clone();
    for (axis, &n) in index.shape().iter().enumerate().take(src.ndim()) {
        if part.shape()[axis] != n {
            part = ops::narrow(&part, axis as isize, 0, n as isize)?;
        }
    }
    ops::view::reshape_to(&part, &index.shape())
}

/// How many values met at each place; at least 1.
fn count(x: &Tensor, dim: isize, index: &Tensor, src: &Tensor, include_self: bool) -> Result<Tensor> {
    let start = Tensor::full(&x.shape(), f64::from(u8::from(include_self)), x.dtype())?;
    let count = scatter_add(&start, dim, index, &Tensor::ones(&src.shape(), x.dtype())?)?;
    masked_fill(&count, &ops::eq(&count, 0.0)?, 1.0)
}

/// The same numbers, which cannot be differentiated.
fn once_only(d: &Tensor) -> Result<Tensor> {
    let why = "Double backward is unsupported for src when >1 zeros in src are scattered to the same position in self";
    let refuse = move || Error::runtime(why);
    record("torch::autograd::Error", &[d], d.array(), &[], move |_| Err(refuse()), |_| Err(refuse()))
}

/// The coefficients of the differential: dy = c dx + scatter(d dsrc), where d has the shape of the index.
fn coefficients(
    x: &Tensor,
    dim: isize,
    index: &Tensor,
    src: &Tensor,
    reduce: Reduce,
    include_self: bool,
) -> Result<(Tensor, Tensor)> {
    let src = &part_of(src, index)?;
    let number = |truth: Tensor| to_dtype(&truth, x.dtype());
    let (c, d) = match reduce {
        Reduce::Sum => (Tensor::ones(&x.shape(), x.dtype())?, Tensor::ones(&src.shape(), x.dtype())?),
        Reduce::Mean => {
            let share = ops::div(1.0, &count(x, dim, index, src, include_self)?)?;
            let d = gather(&share, dim, index)?;
            (share, d)
        }
        Reduce::Amax | Reduce::Amin => {
            // Values that tie for the extreme share its gradient.
            let (x, src) = (x.detach(), src.detach());
            let y = scatter_reduce(&x, dim, index, &src, reduce, include_self)?;
            let of_x = number(ops::eq(&x, &y)?)?;
            let of_src = number(ops::eq(&src, &gather(&y, dim, index)?)?)?;
            let of_x = if include_self {
                of_x
            } else {
                scatter_value(Onto::Copy, &of_x, dim, index, Scalar::Int(0))?
            };
            let tied = scatter_add(&of_x, dim, index, &of_src)?;
            let tied = masked_fill(&tied, &ops::eq(&tied, 0.0)?, 1.0)?;
            (ops::div(&of_x, &tied)?, ops::div(&of_src, &gather(&tied, dim, index)?)?)
        }
        Reduce::Prod => {
            // The product of the others: the whole by one's own, unless that is zero.
            let zero = ops::eq(x, 0.0)?;
            let safe = masked_fill(x, &zero, 1.0)?;
            let c = ops::div(&scatter_reduce(&safe, dim, index, src, reduce, include_self)?, &safe)?;
            let zero = ops::eq(src, 0.0)?;
            let zeros = scatter_add(&zeros_like(&x.detach())?, dim, index, &number(zero.clone())?)?;
            let alone = ops::eq(&ops::mul(&gather(&zeros, dim, index)?, &number(zero.clone())?)?, 1.0)?;
            let others =
                scatter_reduce(x, dim, index, &masked_fill(src, &alone, 1.0)?, reduce, include_self)?;
            let whole = scatter_reduce(x, dim, index, src, reduce, include_self)?;
            let share = ops::div(&gather(&whole, dim, index)?, &masked_fill(src, &zero, 1.0)?)?;
            let d = where_(&alone, &gather(&others, dim, index)?, &share)?;
            // Where zeros of `src` meet, `share` is the right number with a wrong derivative.
            let met = ops::any(&ops::gt(&zeros, 1.0)?, None, false)?;
            let is_lost = forward::is_watched() && src.requires_grad() && met.item()?.to_f64() != 0.0;
            (c, if is_lost { once_only(&d)? } else { d })
        }
    };
    let c = if include_self { c } else { scatter_value(Onto::Copy, &c, dim, index, Scalar::Int(0))? };
    Ok((c, d))
}

/// [`scatter_reduce`] into `x` itself.
pub fn scatter_reduce_(
    x: &Tensor,
    dim: isize,
    index: &Tensor,
    src: &Tensor,
    reduce: Reduce,
    include_self: bool,
) -> Result<Tensor> {
    // What a derivative needs of the overwritten tensor is kept from a copy.
    let original = if x.requires_grad() || src.requires_grad() { ops::clone(x)? } else { x.clone() };
    assume(x, &scatter_reduce(&original, dim, index, src, reduce, include_self)?)
}

/// [`gather::index_reduce`](crate::ops::index_reduce) into `x` itself.
pub fn index_reduce_(
    x: &Tensor,
    dim: isize,
    index: &Tensor,
    src: &Tensor,
    reduce: Reduce,
    include_self: bool,
) -> Result<Tensor> {
    let original = if x.requires_grad() || src.requires_grad() { ops::clone(x)? } else { x.clone() };
    assume(x, &ops::index_reduce(&original, dim, index, src, reduce, include_self)?)
}

fn index() -> Result<Tensor> {
    Tensor::from_slice(&[2_i64, 0, 2, 1], &[2, 2])
}

macro_rules! reductions {
    ($($name:literal $reduce:ident $include:literal;)*) => { [ $(
        Check::new(
            concat!("scatter_reduce_", $name),
            |s| Ok(vec![s.distinct(&[3, 2])?, ops::add(&s.distinct(&[3, 2])?, 0.2)?]),
            |x| Ok(vec![scatter_reduce(&x[0], 0, &index()?, &x[1], Reduce::$reduce, $include)?]),
        )
    ),* ] };
}

/// The gradient checks of the reductions.
pub const REDUCTIONS: &[Check] = &reductions! {
    "sum" Sum true; "mean" Mean true; "mean_of_src" Mean false; "prod" Prod true; "prod_of_src" Prod false;
    "amax" Amax true; "amin_of_src" Amin false;
};

/// The gradient checks of this file.
pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "scatter",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[3, 2])?]),
        |x| Ok(vec![scatter(Onto::Copy, &x[0], 0, &Tensor::from_slice(&[2_i64, 0, 0, 1], &[2, 2])?, &x[1])?]),
    ),
    Check::new(
        "scatter_value",
        |s| Ok(vec![s.normal(&[3, 2])?]),
        |x| Ok(vec![scatter_value(Onto::Copy, &x[0], 0, &index()?, Scalar::Float(1.5))?]),
    ),
    Check::new(
        "scatter_add",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[2, 3])?]),
        |x| Ok(vec![scatter_add(&x[0], 0, &index()?, &x[1])?]),
    ),
];
