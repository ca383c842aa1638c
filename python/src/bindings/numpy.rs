//! NumPy's arrays: shared memory, both ways.

use arcgrad::Tensor;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};

use crate::array_interface;
use crate::bindings;

bindings! {
    /// A tensor that shares memory with a NumPy array; read-only if the array is.
    function from_numpy {
        "(Any ndarray) -> Tensor" => |a| {
            let Some(array) = a.get(0) else {
                return Err(PyTypeError::new_err("expected np.ndarray (got NoneType)"));
            };
            array_interface::from_numpy(array).map(|x| Ok(Tensor::new(x)))?
        }
    }
    /// A NumPy array that shares memory with this tensor.
    ///
    /// Raises RuntimeError for a tensor that requires a gradient, unless `force` is true.
    method numpy {
        "(Tensor input, *, bool force=False) -> Any" => |a| {
            let x = a.tensor(0)?;
            if x.requires_grad() && !a.flag(1)? {
                return Err(PyRuntimeError::new_err(
                    "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.",
                ));
            }
            array_interface::to_numpy(a.py(), x.array())?
        }
    }
}
