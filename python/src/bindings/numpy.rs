//! NumPy's arrays over a tensor's memory.

use arcgrad::Tensor;
use arcgrad::graph::mode;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::array_interface;
use crate::bindings;
use crate::dispatch::Args;

fn shared(a: &Args<'_, '_>, force: bool) -> PyResult<Py<PyAny>> {
    let x = a.tensor(0)?;
    if x.requires_grad() && mode::is_grad_enabled() && !force {
        return Err(PyRuntimeError::new_err(
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.",
        ));
    }
    array_interface::to_numpy(a.py(), x.array())
}

bindings! {
    /// What NumPy computed of this tensor, as a tensor over the same memory: NumPy's protocol for its functions' results.
    method __array_wrap__ {
        "(Tensor input, Any array, Any? context=None, Any? return_scalar=None) -> Tensor" => |a| {
            Tensor::new(array_interface::from_numpy(a.any(1)?)?)
        }
    }
    /// A NumPy array that shares memory with this tensor.
    ///
    /// Raises RuntimeError for a tensor that requires a gradient while operations are recorded, unless `force` is true.
    method numpy { "(Tensor input, *, bool force=False) -> Any" => |a| shared(a, a.flag(1)?)? }
    /// A NumPy array that shares memory with this tensor, or a copy if another dtype is wanted: NumPy's protocol.
    method __array__ {
        "(Tensor input, Any? dtype=None, bool? copy=None) -> Any" => |a| {
            let array = shared(a, false)?;
            match (a.get(1), a.optional_flag(2)?) {
                (None, None | Some(false)) => array,
                (None, Some(true)) => array.call_method0(a.py(), "copy")?,
                (Some(dtype), copy) => {
                    let kwargs = pyo3::types::PyDict::new(a.py());
                    kwargs.set_item("copy", copy.unwrap_or(false))?;
                    array.call_method(a.py(), "astype", (dtype,), Some(&kwargs))?
                }
            }
        }
    }
}
