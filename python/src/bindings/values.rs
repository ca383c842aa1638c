//! A tensor's elements as Python numbers, and its numbers without a history.

use arcgrad::array::{Array, Element};
use arcgrad::with_element;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::bindings;
use crate::convert;
use crate::error::raise;

bindings! {
    /// The value of the only element.
    method item { "(Tensor input) -> Scalar" => |a| a.tensor(0)?.item() }
    /// The elements as nested lists of Python numbers; a plain number if there are no dimensions.
    method tolist { "(Tensor input) -> Any" => |a| nested(a.py(), &a.tensor(0)?.array())? }
    /// The same memory without a history.
    both detach { "(Tensor input) -> Tensor" => |a| a.tensor(0)?.detach() }
}

fn nested(py: Python<'_>, x: &Array) -> PyResult<Py<PyAny>> {
    let x = x.contiguous().map_err(|e| raise(&e))?;
    with_element!(x.dtype(), T => {
        // SAFETY: read at once, under the GIL; a writer on another thread gets what it asked for.
        let values = unsafe { x.as_slice::<T>() }.unwrap_or_default();
        level(py, values, x.shape())
    })
}

fn level<T: Element>(py: Python<'_>, values: &[T], shape: &[usize]) -> PyResult<Py<PyAny>> {
    let Some((&n, inner)) = shape.split_first() else { return convert::number(py, values[0].to_scalar()) };
    let step = inner.iter().product::<usize>();
    let items =
        (0..n).map(|i| level(py, &values[i * step..(i + 1) * step], inner)).collect::<PyResult<Vec<_>>>()?;
    Ok(PyList::new(py, items)?.into_any().unbind())
}
