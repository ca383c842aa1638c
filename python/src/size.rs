//! `arcgrad.Size`, a tuple that says it is a shape, from the core's shapes.

use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use crate::once::Once;

fn class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static SIZE: Once<Py<PyType>> = Once::new();
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
