//! What a block keeps for its derivative.

use crate::array::Array;
use crate::error::Result;
use crate::graph::packing::pack;
use crate::graph::row::inference_saved;
use crate::graph::saved::{Data, Role, Saved, SavedValue};
use crate::graph::tensor::Tensor;

/// One thing that a block keeps.
#[derive(Clone, Copy)]
pub enum Keep<'a> {
    /// The input of this number.
    Input(u8),
    /// The output of this number.
    Output(u8),
    /// What is no tensor ([`Backward::data`](super::Backward::data)).
    Data(&'a Data),
}

/// The things themselves, packed if hooks are in force.
pub(super) fn kept(keep: &[Keep<'_>], inputs: &[&Tensor], outputs: &[Array]) -> Result<Saved> {
    if keep.is_empty() {
        return Ok(Saved::Nothing);
    }
    let of_inference = |k: &Keep<'_>| matches!(*k, Keep::Input(i) if inputs[usize::from(i)].is_inference());
    if keep.iter().any(of_inference) {
        return Err(inference_saved());
    }
    let values = keep.iter().map(|k| match *k {
        Keep::Input(i) => SavedValue::array(inputs[usize::from(i)].array(), Role::Input(i.into()), &[]),
        Keep::Output(i) => SavedValue::array(outputs[usize::from(i)].clone(), Role::Output(i.into()), &[]),
        Keep::Data(data) => SavedValue::Data(data.clone()),
    });
    pack(Saved::Live(values.collect()))
}
