//! `arcgrad.Tensor`: the Rust tensor itself as a Python object, with Python's operators.

use std::sync::atomic::Ordering;

use arcgrad::graph::Operand;
use arcgrad::{Tensor, ops};
use pyo3::prelude::*;

use crate::convert::{self, Answer};
use crate::error::guarded;

/// A multi-dimensional array that can remember how it was computed.
#[pyclass(name = "Tensor", module = "arcgrad", frozen, subclass, dict, weakref, freelist = 512)]
pub struct PyTensor(pub Tensor);

impl Drop for PyTensor {
    fn drop(&mut self) {
        self.0.foreign().store(std::ptr::null_mut(), Ordering::Relaxed);
    }
}

/// Runs an operator on this tensor and something that may not be an operand at all.
#[inline]
fn binary<'py>(
    this: &Bound<'py, PyTensor>,
    other: &Bound<'py, PyAny>,
    op: impl Fn(Operand<'_>, Operand<'_>) -> arcgrad::Result<Tensor> + Send + Sync,
) -> PyResult<Py<PyAny>> {
    let py = this.py();
    let this = Operand::Tensor(&this.get().0);
    guarded(|| match convert::operand(other)? {
        Some(other) => crate::dispatch::work(py, &[this, other], || op(this, other)).object(py),
        None => Ok(py.NotImplemented()),
    })
}

#[pymethods]
impl PyTensor {
    fn __getitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        guarded(|| crate::bindings::indexing::getitem(slf, key))
    }
    fn __setitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        guarded(|| crate::bindings::indexing::setitem(slf, key, value))
    }
    fn __add__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, |a, b| ops::add(a, b))
    }
    fn __radd__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, |a, b| ops::add(a, b))
    }
    fn __mul__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, |a, b| ops::mul(a, b))
    }
    fn __rmul__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, |a, b| ops::mul(a, b))
    }
}
