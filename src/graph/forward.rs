//! Forward mode: tensors that carry a tangent.

use crate::error::{Error, Result};
use crate::graph::tensor::Tensor;
use crate::graph::vector_space;

/// `primal` with a tangent, as a new tensor that shares the storage and the history.
pub fn dual(primal: &Tensor, tangent: Tensor) -> Result<Tensor> {
    if primal.shape() != tangent.shape() {
        return Err(Error::runtime(format!(
            "Expected tangent to have the same shape as the primal: {:?} and {:?}",
            tangent.shape(),
            primal.shape()
        )));
    }
    let shape = primal.shape();
    let dual = vector_space::expand(primal, &shape)?;
    dual.set_tangent(Some(tangent));
    Ok(dual)
}
