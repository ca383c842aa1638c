//! What a tensor says about itself, as attributes.

use std::ffi::CStr;

use arcgrad::ops;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;

use crate::convert::{self, Answer};
use crate::error::raise;
use crate::once::Once;
use crate::properties::Property;
use crate::tensor::PyTensor;

/// Why there is no `imag`.
pub fn no_imaginary_part() -> PyErr {
    PyRuntimeError::new_err("imag is not implemented for tensors with non-complex dtypes.")
}

fn truth(py: Python<'_>, yes: bool) -> PyResult<Py<PyAny>> {
    yes.object(py)
}

fn warn(py: Python<'_>, message: &CStr) -> PyResult<()> {
    PyErr::warn(py, &py.get_type::<pyo3::exceptions::PyUserWarning>(), message, 1)
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
        get: |x| {
            let this = &x.get().0;
            if !this.is_leaf() && !this.retains_grad() {
                warn(
                    x.py(),
                    c"The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be \
                      populated during autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf \
                      Tensor, use .retain_grad() on the non-leaf Tensor.",
                )?;
            }
            this.grad().object(x.py())
        },
        set: Some(set_grad),
    },
    Property {
        name: "volatile",
        doc: "Always False: what once said that nothing is recorded. Deprecated in PyTorch too.",
        kind: "bool",
        get: |x| {
            warn(x.py(), c"volatile was removed (Variable.volatile is always False)")?;
            truth(x.py(), false)
        },
        set: Some(|x, _| {
            warn(x.py(), c"volatile was removed and now has no effect. Use `with torch.no_grad():` instead.")
        }),
    },
    Property {
        name: "grad_fn",
        doc: "The node of the operation that made this tensor.",
        kind: "Node | None",
        get: history,
        set: None,
    },
    Property {
        name: "_grad_fn",
        doc: "The node of the operation that made this tensor; None may be assigned, which detaches it.",
        kind: "Node | None",
        get: history,
        set: Some(|x, value| {
            let value = value.ok_or_else(|| {
                PyRuntimeError::new_err("Deletion of _grad_fn not allowed. Detach tensor instead!")
            })?;
            if !value.is_none() {
                return Err(PyRuntimeError::new_err("_grad_fn can be only set to None"));
            }
            x.get().0.detach_().map_err(|e| raise(&e))
        }),
    },
    Property {
        name: "_backward_hooks",
        doc: "The functions registered by `register_hook`, by the ids of their handles; None if there are none.",
        kind: "Any",
        get: |x| Ok(crate::hooks::dictionary(x.py(), &x.get().0).unwrap_or_else(|| x.py().None())),
        set: Some(|x, value| {
            let value =
                value.ok_or_else(|| PyRuntimeError::new_err("Deletion of _backwards_hooks not allowed!"))?;
            crate::collector::track(x.as_any());
            crate::hooks::set_dictionary(&x.get().0, value)
        }),
    },
    Property {
        name: "data",
        doc: "The same memory without a history.",
        kind: "Tensor",
        get: |x| x.get().0.detach().object(x.py()),
        set: Some(|x, value| {
            let value = value.ok_or_else(|| PyRuntimeError::new_err("cannot delete data"))?;
            let data = Some(value)
                .and_then(convert::tensor)
                .ok_or_else(|| PyTypeError::new_err("Variable data has to be a tensor"))?;
            x.get().0.set_data(data).map_err(|e| raise(&e))
        }),
    },
    Property {
        name: "device",
        doc: "Where the tensor lies: the CPU.",
        kind: "device",
        get: |x| crate::device::cpu(x.py()),
        set: None,
    },
    Property {
        name: "layout",
        doc: "How elements lie in memory: by strides.",
        kind: "layout",
        get: |x| {
            static STRIDED: Once<Py<PyAny>> = Once::new();
            Ok(STRIDED.import(x.py(), "arcgrad._layout", "strided")?.clone().unbind())
        },
        set: None,
    },
    Property {
        name: "T",
        doc: "The axes in reverse order, as a view.",
        kind: "Tensor",
        get: |x| ops::numpy_t(&x.get().0).object(x.py()),
        set: None,
    },
    Property {
        name: "mT",
        doc: "The last two axes exchanged, as a view.",
        kind: "Tensor",
        get: |x| ops::matrix_transpose(&x.get().0).object(x.py()),
        set: None,
    },
    Property {
        name: "H",
        doc: "A matrix transposed, as a view.",
        kind: "Tensor",
        get: |x| ops::adjoint(&x.get().0).object(x.py()),
        set: None,
    },
    Property {
        name: "mH",
        doc: "The last two axes exchanged, as a view.",
        kind: "Tensor",
        get: |x| ops::matrix_transpose(&x.get().0).object(x.py()),
        set: None,
    },
    Property {
        name: "itemsize",
        doc: "Bytes per element.",
        kind: "int",
        get: |x| x.get().0.dtype().size().object(x.py()),
        set: None,
    },
    Property {
        name: "nbytes",
        doc: "Bytes of all elements.",
        kind: "int",
        get: |x| (x.get().0.numel() * x.get().0.dtype().size()).object(x.py()),
        set: None,
    },
    Property {
        name: "retains_grad",
        doc: "Whether this non-leaf keeps its gradient.",
        kind: "bool",
        get: |x| truth(x.py(), x.get().0.retains_grad()),
        set: None,
    },
    Property {
        name: "output_nr",
        doc: "Which output of its node this tensor is.",
        kind: "int",
        get: |x| x.get().0.history().map_or(0, |edge| i64::from(edge.output)).object(x.py()),
        set: None,
    },
    Property {
        name: "_version",
        doc: "How often the memory was written to.",
        kind: "int",
        get: |x| i64::from(x.get().0.version()).object(x.py()),
        set: None,
    },
    Property {
        name: "_base",
        doc: "The tensor that this one is a view of.",
        kind: "Tensor | None",
        get: |x| x.get().0.base().cloned().object(x.py()),
        set: None,
    },
    Property {
        name: "real",
        doc: "The tensor itself: its elements have no imaginary part.",
        kind: "Tensor",
        get: |x| x.get().0.clone().object(x.py()),
        set: None,
    },
    Property {
        name: "imag",
        doc: "Always fails: there are no complex numbers.",
        kind: "Tensor",
        get: |_| Err(no_imaginary_part()),
        set: None,
    },
    Property { name: "is_cpu", doc: "Always true.", kind: "bool", get: |x| truth(x.py(), true), set: None },
    never("is_cuda"),
    never("is_meta"),
    never("is_mkldnn"),
    never("is_mps"),
    never("is_nested"),
    never("is_quantized"),
    never("is_sparse"),
    never("is_sparse_csr"),
    never("is_xpu"),
    Property {
        name: "__array_priority__",
        doc: "Tells NumPy to leave operators between its arrays and tensors to the tensors.",
        kind: "int",
        get: |x| 1000_i64.object(x.py()),
        set: None,
    },
];

/// What no tensor is.
const fn never(name: &'static str) -> Property {
    Property { name, doc: "Always false.", kind: "bool", get: |x| truth(x.py(), false), set: None }
}

/// The node of a tensor.
fn history(x: &Bound<'_, PyTensor>) -> PyResult<Py<PyAny>> {
    let this = &x.get().0;
    convert::core(arcgrad::graph::view::check_history(this))?;
    // Whoever asks for the node may give it hooks that lead back here.
    crate::collector::track(x.as_any());
    match this.grad_fn() {
        Some(node) => crate::node::object(x.py(), node),
        None => Ok(x.py().None()),
    }
}

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
            "attempting to assign a gradient of size '{:?}' to a tensor of size '{:?}'. Please ensure that the gradient and the \
             tensor are the same size",
            grad.shape(),
            this.shape()
        )));
    }
    this.set_grad(Some(grad.clone()));
    Ok(())
}
