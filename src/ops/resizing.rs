//! Other extents for a tensor itself, whose memory grows if it must.

use crate::array::kernels::copy;
use crate::array::layout::{self, Dims};
use crate::array::{Array, Layout};
use crate::error::{Error, Result};
use crate::graph::{Tensor, mode};

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
