//! The graph.

use arcgrad::graph::vector_space;
use arcgrad::{Tensor, engine};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::bindings;
use crate::convert;
use crate::error::raise;

bindings! {
    /// Adds the gradient of this tensor with respect to the leaves before it into their `.grad`.
    method backward {
        "(Tensor input, Tensor? gradient=None, bool? retain_graph=None, bool create_graph=False, Tensor[]? inputs=None) -> None" => |a| {
            let root = engine::root(a.tensor(0)?, 0, a.optional_tensor(1)?).map_err(|e| raise(&e))?;
            let create_graph = a.flag(3)?;
            let options = engine::Options { create_graph, retain_graph: a.optional_flag(2)?.unwrap_or(create_graph) };
            let inputs = if a.get(4).is_some() { Some(a.tensors(4)?) } else { None };
            engine::backward(vec![root], inputs.as_deref(), options)
        }
    }
    /// The gradients of outputs with respect to inputs.
    function _grad {
        "(Any outputs, Any inputs, Any? grad_outputs=None, bool? retain_graph=None, bool create_graph=False, bool? allow_unused=None, bool materialize_grads=False) -> Tensor[]" => |a| {
            let (outputs, inputs) = (a.tensors(0)?, a.tensors(1)?);
            let grads: Vec<Option<Tensor>> = match a.get(2) {
                None => vec![None; outputs.len()],
                Some(one) if convert::tensor(one).is_some() => vec![convert::tensor(one).cloned()],
                Some(many) => many
                    .try_iter()?
                    .map(|x| x.map(|x| convert::tensor(&x).cloned()))
                    .collect::<Result<_, _>>()?,
            };
            if grads.len() != outputs.len() {
                return Err(PyRuntimeError::new_err(format!(
                    "got {} tensors and {} gradients", outputs.len(), grads.len()
                )));
            }
            let roots = outputs
                .iter()
                .zip(&grads)
                .enumerate()
                .map(|(i, (y, g))| engine::root(y, i, g.as_ref()))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|e| raise(&e))?;
            let create_graph = a.flag(4)?;
            let options = engine::Options { create_graph, retain_graph: a.optional_flag(3)?.unwrap_or(create_graph) };
            let zeros = a.flag(6)?;
            let allow_unused = a.optional_flag(5)?.unwrap_or(zeros);
            let mut answers = a.py().detach(|| engine::grad(roots, &inputs, options)).map_err(|e| raise(&e))?;
            for (answer, input) in answers.iter_mut().zip(&inputs) {
                if answer.is_none() && !allow_unused {
                    return Err(PyRuntimeError::new_err(
                        "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True if \
                         this is the desired behavior.",
                    ));
                }
                if answer.is_none() && zeros {
                    *answer = Some(vector_space::zeros_like(input).map_err(|e| raise(&e))?);
                }
            }
            answers
        }
    }
    /// Asks for a gradient, or no longer.
    method requires_grad_ {
        "(Tensor input, bool requires_grad=True) -> Tensor" => |a| {
            let x: &Tensor = a.tensor(0)?;
            x.set_requires_grad(a.flag(1)?).map(|()| x.clone())
        }
    }
}
