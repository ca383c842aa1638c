//! Layer 3b: plans and runs a backward pass. Knows no op.

mod inline;
mod plan;

use crate::error::{Error, Result};
use crate::graph::{Edge, Tensor, mode, vector_space};

/// How a backward pass is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Keep what nodes saved, so that the graph can be walked again.
    pub retain_graph: bool,
    /// Record the pass itself, so that gradients can be differentiated.
    pub create_graph: bool,
}

/// Where a pass starts: a place in the graph and the gradient there.
pub struct Root {
    /// The output.
    pub edge: Edge,
    /// Its gradient.
    pub grad: Tensor,
}

/// The gradient with which a pass starts at `y`: the given one, checked, or one for a tensor of one element.
pub fn root(y: &Tensor, index: usize, grad: Option<&Tensor>) -> Result<Root> {
    let edge = y.gradient_edge().ok_or_else(|| {
        Error::runtime(format!(
            "element {index} of tensors does not require grad and does not have a grad_fn (it was computed from nothing \
             that requires a gradient, or under no_grad)"
        ))
    })?;
    let array = y.array();
    let grad = match grad {
        Some(grad) if grad.shape().as_slice() == array.shape() => grad.clone(),
        Some(grad) => {
            return Err(Error::runtime(format!(
                "Mismatch in shape: grad_output[{index}] has a shape of {:?} and output[{index}] has a shape of {:?}.",
                grad.shape(),
                array.shape()
            )));
        }
        None if array.numel() == 1 => vector_space::ones(array.layout(), array.dtype())?,
        None => {
            return Err(Error::runtime(format!(
                "grad can be implicitly created only for scalar outputs (output {index} has shape {:?}; sum it, or pass \
                 the gradient with respect to it)",
                array.shape()
            )));
        }
    };
    Ok(Root { edge, grad })
}

/// Adds the gradients of the roots into `.grad` of every leaf before them, or only of `inputs` if some are given.
pub fn backward(roots: Vec<Root>, inputs: Option<&[Tensor]>, options: Options) -> Result<()> {
    let targets = inputs.map(targets).transpose()?;
    let _guard = mode::enter(mode::Mode { grad: options.create_graph, ..mode::get() });
    let plan = plan::Plan::new(roots, targets.as_deref(), true)?;
    inline::run(plan, options).map(drop)
}

/// The gradients of the roots with respect to `inputs`; `None` for one that they do not depend on.
pub fn grad(roots: Vec<Root>, inputs: &[Tensor], options: Options) -> Result<Vec<Option<Tensor>>> {
    let targets = targets(inputs)?;
    let _guard = mode::enter(mode::Mode { grad: options.create_graph, ..mode::get() });
    let plan = plan::Plan::new(roots, Some(&targets), false)?;
    inline::run(plan, options)
}

fn targets(inputs: &[Tensor]) -> Result<Vec<Edge>> {
    let edges = inputs.iter().map(|x| {
        x.gradient_edge()
            .ok_or_else(|| Error::runtime("One of the differentiated Tensors does not require grad"))
    });
    edges.collect()
}
