//! The graph.

use arcgrad::{Tensor, engine};

use crate::bindings;
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
    /// Asks for a gradient, or no longer.
    method requires_grad_ {
        "(Tensor input, bool requires_grad=True) -> Tensor" => |a| {
            let x: &Tensor = a.tensor(0)?;
            x.set_requires_grad(a.flag(1)?).map(|()| x.clone())
        }
    }
}
