//! Which memory a tensor shows, and which elements of it: any strided view, other memory, other extents.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::array::kernels::copy;
use crate::array::layout::{self, Dims};
use crate::array::{Array, Layout};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::{Tensor, mode, view};
use crate::ops::copying;

/// Any view of the memory of `x`: extents, strides in elements, and where it starts (`None`: where `x` does).
///
/// Fails when a place would lie outside the memory.
pub fn as_strided(x: &Tensor, size: &[isize], stride: &[isize], offset: Option<isize>) -> Result<Tensor> {
    let (layout, offset) = window(x, size, stride, offset)?;
    view::strided(x, layout, offset)
}

/// [`as_strided`] of the tensor itself: it changes its shape and keeps its memory.
pub fn as_strided_(x: &Tensor, size: &[isize], stride: &[isize], offset: Option<isize>) -> Result<Tensor> {
    let (layout, offset) = window(x, size, stride, offset)?;
    view::restride(x, layout, offset)
}

/// The layout and offset that these numbers mean.
fn window(
    x: &Tensor,
    size: &[isize],
    stride: &[isize],
    offset: Option<isize>,
) -> Result<(Arc<Layout>, usize)> {
    if size.len() != stride.len() {
        return Err(Error::runtime("mismatch in length of strides and shape"));
    }
    if stride.iter().any(|&s| s < 0) {
        return Err(Error::runtime(format!(
            "as_strided: Negative strides are not supported at the moment, got strides: {stride:?}"
        )));
    }
    if size.iter().any(|&n| n < 0) {
        return Err(Error::runtime(format!(
            "Storage size calculation overflowed with sizes={size:?} and strides={stride:?}"
        )));
    }
    let array = x.array();
    let offset = match offset {
        None => array.offset(),
        Some(offset) => usize::try_from(offset)
            .map_err(|_| Error::runtime(format!("Tensor: invalid storage offset {offset}")))?,
    };
    let shape: Dims = size.iter().map(|&n| n as usize).collect();
    Ok((Layout::strided(&shape, stride)?, offset))
}

/// A copy of `x` whose [`as_strided`] is `src`.
pub fn as_strided_scatter(
    x: &Tensor,
    src: &Tensor,
    size: &[isize],
    stride: &[isize],
    offset: Option<isize>,
) -> Result<Tensor> {
    let y = copying::contiguous(&copying::clone(x)?)?;
    let window = as_strided(&y, size, stride, offset)?;
    if window.shape() != src.shape() {
        return Err(Error::runtime(format!(
            "expected src to have a size equal to the slice of self. src size = {:?}, slice size = {:?}",
            src.shape(),
            window.shape()
        )));
    }
    crate::ops::copy_(&window, src)?;
    Ok(y)
}

/// Makes `x` show the memory of `source`: extents, strides in elements (`None`: row-major), and where it starts.
///
/// Fails when a place would lie outside the memory, and as [`Tensor::set_`] does.
pub fn set_(
    x: &Tensor,
    source: &Tensor,
    offset: isize,
    size: &[isize],
    stride: Option<&[isize]>,
) -> Result<()> {
    if let Some(stride) = stride.filter(|stride| stride.len() != size.len()) {
        return Err(Error::runtime(format!(
            "unequal size length ({}) and stride length ({})",
            size.len(),
            stride.len()
        )));
    }
    let stride: SmallVec<[isize; 6]> = match stride {
        Some(stride) => stride.into(),
        None => layout::contiguous_strides(&layout::sizes(size)?).to_vec().into(),
    };
    x.set_(&as_strided(&source.detach(), size, &stride, Some(offset))?)
}

/// Gives the tensor itself other extents: row-major, beginning where it began. Elements that are new have any value.
///
/// Fails for a tensor that requires a gradient unless inference mode is on, and where memory would have to grow that another tensor shares.
pub fn resize_(x: &Tensor, size: &[isize]) -> Result<Tensor> {
    if x.requires_grad() && !mode::is_inference_mode_enabled() {
        return Err(Error::runtime("cannot resize variables that require grad"));
    }
    let shape: Dims = layout::sizes(size)?;
    if shape == x.shape() {
        return Ok(x.clone());
    }
    let (before, dtype) = (x.array(), x.dtype());
    let room = before.storage().bytes() / dtype.size() - before.offset();
    let layout = Layout::contiguous(&shape)?;
    let numel = layout.numel();
    let after = if numel <= room {
        Array::from_parts(before.storage().clone(), layout, before.offset(), dtype)?
    } else {
        if x.is_view() {
            return Err(Error::runtime(
                "resize_: the memory of a view cannot grow, because its base would not see it (resize_ the base, or a clone)",
            ));
        }
        let line = |array: &Array, offset| {
            Array::from_parts(array.storage().clone(), Layout::contiguous(&[room])?, offset, dtype)
        };
        let grown = Array::empty(&shape, dtype)?;
        copy::copy(&line(&before, before.offset())?, &line(&grown, 0)?);
        grown.storage().set_version(before.storage().version());
        grown
    };
    x.set_data(&Tensor::new(after))?;
    x.array().storage().raise_version("resize");
    Ok(x.clone())
}

/// The gradient checks of this file.
pub(crate) const CHECKS: &[Check] = &[Check::new(
    "as_strided",
    |s| Ok(vec![s.normal(&[6])?]),
    |x| Ok(vec![as_strided(&x[0], &[3, 2], &[1, 2], Some(1))?]),
)];
