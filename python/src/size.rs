//! `arcgrad.Size`, a tuple that says it is a shape, from the core's shapes.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};

fn class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static SIZE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    SIZE.import(py, "arcgrad._size", "Size")
}

/// A shape as a Python object.
pub fn object<'py>(py: Python<'py>, shape: &[usize]) -> PyResult<Bound<'py, PyAny>> {
    class(py)?.call1((PyTuple::new(py, shape)?,))
}

/// Whether an object is one.
pub fn is_size(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    object.is_instance(class(object.py())?)
}
