//! Reductions and scans, by subject; and how their `dim` and `keepdim` are read.

pub(crate) mod extrema;
pub(crate) mod moments;
pub(crate) mod norm;
pub(crate) mod order;
pub(crate) mod product;
pub(crate) mod softmax;
mod spread;
pub(crate) mod sum;
mod truth;

pub use extrema::*;
pub use moments::*;
pub use norm::*;
pub use order::*;
pub use product::*;
pub use softmax::*;
pub use sum::*;
pub use truth::*;

use crate::array::kernels::reduce::AxisSet;
use crate::array::{DType, layout};
use crate::error::{Error, Result};

/// The axes that `dim` names; all of them for `None` and for an empty list.
pub(crate) fn axes(dim: Option<&[isize]>, ndim: usize) -> Result<AxisSet> {
    let Some(dim) = dim.filter(|dim| !dim.is_empty()) else { return Ok(AxisSet::all(ndim)) };
    let mut seen = AxisSet(0);
    for &d in dim {
        let axis = layout::axis(d, ndim)?;
        if seen.contains(axis) {
            return Err(Error::runtime(format!("dim {axis} appears multiple times in the list of dims")));
        }
        seen = seen.with(axis);
    }
    // The axis that a 0-d tensor lets itself be named does not exist.
    Ok(if ndim == 0 { AxisSet(0) } else { seen })
}

/// The axes of one `dim`.
pub(crate) fn one(dim: isize, ndim: usize) -> Result<(usize, AxisSet)> {
    let axis = layout::axis(dim, ndim)?;
    Ok((axis, AxisSet::one(axis, ndim)))
}

/// The dtype in which integers are summed and multiplied.
fn accumulated(dtype: DType, wanted: Option<DType>) -> DType {
    wanted.unwrap_or(if dtype.is_floating() { dtype } else { DType::I64 })
}
