//! Whether any or all elements differ from zero, and how many do. No derivatives.

use crate::array::kernels::reduce;
use crate::array::{Array, DType};
use crate::error::Result;
use crate::graph::Tensor;

use super::axes;

/// PyTorch answers questions about bytes in bytes.
fn answer(y: Array, of: DType) -> Result<Tensor> {
    Ok(Tensor::new(if of == DType::U8 { y.cast(DType::U8)? } else { y }))
}

/// Whether any element over the axes `dim` (all of them for `None`) differs from zero.
pub fn any(x: &Tensor, dim: Option<&[isize]>, keepdim: bool) -> Result<Tensor> {
    let array = x.array();
    answer(reduce::any(&array, axes(dim, array.ndim())?, keepdim)?, array.dtype())
}

/// Whether all elements over the axes `dim` (all of them for `None`) differ from zero.
pub fn all(x: &Tensor, dim: Option<&[isize]>, keepdim: bool) -> Result<Tensor> {
    let array = x.array();
    answer(reduce::all(&array, axes(dim, array.ndim())?, keepdim)?, array.dtype())
}

/// How many elements over the axes `dim` differ from zero, as int64.
pub fn count_nonzero(x: &Tensor, dim: Option<&[isize]>) -> Result<Tensor> {
    let array = x.array();
    Ok(Tensor::new(reduce::count_nonzero(&array, axes(dim, array.ndim())?)?))
}
