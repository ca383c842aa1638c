//! Refusals that a write, whoever makes it, and a value to be kept have in common.

use crate::array::Array;
use crate::error::{Error, Result, in_place_name};

/// Refuses to write to memory that is read-only or in which two positions are one.
pub(crate) fn check_writable(op: &'static str, x: &Array) -> Result<()> {
    if x.layout().overlaps_itself() {
        return Err(Error::runtime(format!(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. \
             Please clone() the tensor before performing the operation. ({} on shape {:?} with strides {:?})",
            in_place_name(op),
            x.shape(),
            x.strides()
        )));
    }
    if x.storage().is_read_only() {
        return Err(Error::runtime(format!(
            "{}: the tensor's memory is read-only (it belongs to a read-only array); clone() it first",
            in_place_name(op)
        )));
    }
    Ok(())
}

/// What an element-wise write to `target` reads of an operand: the operand itself, if they have no place or all places in
/// common, else a copy, so that no element is read after it was written.
///
/// Fails where some places are common to memory without gaps, as in PyTorch. Of memory with gaps PyTorch does not ask.
pub(crate) fn read_beside(x: &Array, target: &Array) -> Result<Array> {
    check_overlap(x, target)?;
    if x.has_same_places(target) { Ok(x.clone()) } else { x.as_before(target) }
}

/// Refuses operands that share some, but not the same, places with the target; of memory with gaps it is not asked.
pub(crate) fn check_overlap(x: &Array, target: &Array) -> Result<()> {
    if !x.storage().is(target.storage()) || x.numel() == 0 || target.numel() == 0 {
        return Ok(());
    }
    let dense = |a: &Array| a.layout().extent() == a.numel();
    // In bytes: the two may show one memory as different dtypes.
    let place = |a: &Array| {
        let start = a.offset() * a.dtype().size();
        start..start + a.layout().extent() * a.dtype().size()
    };
    let (a, b) = (place(x), place(target));
    let apart = a.start >= b.end || b.start >= a.end;
    let same = a == b && x.strides() == target.strides();
    if apart || same || !dense(x) || !dense(target) {
        return Ok(());
    }
    Err(Error::runtime(
        "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory \
         location. Please clone() the tensor before performing the operation.",
    ))
}

#[cold]
pub(crate) fn inference_saved() -> Error {
    Error::runtime(
        "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in \
         computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and use it in \
         autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`.",
    )
}
