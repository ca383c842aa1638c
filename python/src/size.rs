//! `arcgrad.Size`, a tuple that says it is a shape, from the core's shapes.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};

/// A shape as a Python object.
pub fn object<'py>(py: Python<'py>, shape: &[usize]) -> PyResult<Bound<'py, PyAny>> {
    static SIZE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    SIZE.import(py, "arcgrad._size", "Size")?.call1((PyTuple::new(py, shape)?,))
}
