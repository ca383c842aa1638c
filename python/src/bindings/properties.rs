//! What a tensor says about itself, as attributes.

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;

use crate::convert::{self, Answer};
use crate::error::raise;
use crate::properties::Property;
use crate::tensor::PyTensor;

fn truth(py: Python<'_>, yes: bool) -> PyResult<Py<PyAny>> {
    yes.object(py)
}

/// The attributes of `Tensor`.
pub static PROPERTIES: &[Property] = &[
    Property {
        name: "shape",
        doc: "The extents, one per dimension.",
        kind: "Size",
        get: |x| Ok(crate::size::object(x.py(), &x.get().0.shape())?.unbind()),
        set: None,
    },
    Property {
        name: "dtype",
        doc: "The type of the elements.",
        kind: "dtype",
        get: |x| crate::dtype::object(x.py(), x.get().0.dtype()),
        set: None,
    },
    Property {
        name: "ndim",
        doc: "The number of dimensions.",
        kind: "int",
        get: |x| x.get().0.ndim().object(x.py()),
        set: None,
    },
    Property {
        name: "requires_grad",
        doc: "Whether operations on this tensor are recorded.",
        kind: "bool",
        get: |x| truth(x.py(), x.get().0.requires_grad()),
        set: Some(|x, value| {
            let yes = value.ok_or_else(|| PyRuntimeError::new_err("cannot delete requires_grad"))?;
            x.get().0.set_requires_grad(yes.is_truthy()?).map_err(|e| raise(&e))
        }),
    },
    Property {
        name: "is_leaf",
        doc: "Whether no recorded operation made this tensor.",
        kind: "bool",
        get: |x| truth(x.py(), x.get().0.is_leaf()),
        set: None,
    },
    Property {
        name: "grad",
        doc: "The accumulated gradient, if there is one.",
        kind: "Tensor | None",
        get: |x| x.get().0.grad().object(x.py()),
        set: Some(set_grad),
    },
    Property {
        name: "grad_fn",
        doc: "The node of the operation that made this tensor.",
        kind: "Node | None",
        get: |x| match x.get().0.grad_fn() {
            Some(node) => crate::node::object(x.py(), node),
            None => Ok(x.py().None()),
        },
        set: None,
    },
    Property {
        name: "data",
        doc: "The same memory without a history.",
        kind: "Tensor",
        get: |x| x.get().0.detach().object(x.py()),
        set: None,
    },
];

fn set_grad(x: &Bound<'_, PyTensor>, value: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let this = &x.get().0;
    let Some(value) = value.filter(|v| !v.is_none()) else {
        this.set_grad(None);
        return Ok(());
    };
    let grad = convert::tensor(value).ok_or_else(|| {
        PyTypeError::new_err(format!(
            "assigned grad expected to be a Tensor or None but got grad of type {}",
            value.get_type().name().map_or_else(|_| "?".to_owned(), |n| n.to_string())
        ))
    })?;
    if this.is(grad) {
        return Err(PyRuntimeError::new_err("can't assign Variable as its own grad"));
    }
    if grad.dtype() != this.dtype() {
        return Err(PyRuntimeError::new_err(format!(
            "attempting to assign a gradient with dtype '{}' to a tensor with grad_dtype '{}'. The gradient must match the \
             tensor's grad_dtype (defaults to the tensor's dtype).",
            grad.dtype().scalar_name().to_lowercase(),
            this.dtype().scalar_name().to_lowercase()
        )));
    }
    if grad.shape() != this.shape() {
        return Err(PyRuntimeError::new_err(format!(
            "assigned grad has data of a different size: its shape is {:?}, the tensor's is {:?}",
            grad.shape(),
            this.shape()
        )));
    }
    this.set_grad(Some(grad.clone()));
    Ok(())
}
