//! Python values to the core's, and back.

use arcgrad::graph::Operand;
use arcgrad::{DType, Scalar, Tensor};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt};

use crate::dtype::PyDType;
use crate::error::raise;
use crate::identity;
pub use crate::identity::object;
use crate::tensor::PyTensor;

/// The tensor inside a Python object, if it is one.
#[inline]
pub fn tensor<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a Tensor> {
    let tensor = &object.cast::<PyTensor>().ok()?.get().0;
    identity::meet(tensor, object);
    Some(tensor)
}

/// A Python number; `None` for anything else.
#[inline]
pub fn scalar(object: &Bound<'_, PyAny>) -> PyResult<Option<Scalar>> {
    if let Ok(x) = object.cast_exact::<PyFloat>() {
        return Ok(Some(Scalar::Float(x.value())));
    }
    if let Ok(x) = object.cast_exact::<PyInt>() {
        // A number beyond 64 bits takes part as a float.
        return match x.extract::<i64>() {
            Ok(i) => Ok(Some(Scalar::Int(i))),
            Err(_) => match x.extract::<u64>() {
                Ok(n) => Ok(Some(Scalar::Float(n as f64))),
                Err(_) => Err(PyOverflowError::new_err("int too big to convert")),
            },
        };
    }
    slow_scalar(object)
}

#[cold]
fn slow_scalar(object: &Bound<'_, PyAny>) -> PyResult<Option<Scalar>> {
    if let Ok(x) = object.cast::<PyBool>() {
        return Ok(Some(Scalar::Bool(x.is_true())));
    }
    if let Ok(x) = object.cast::<PyFloat>() {
        return Ok(Some(Scalar::Float(x.value())));
    }
    if object.is_instance_of::<PyInt>() {
        return integer(object).map(|i| Some(Scalar::Int(i)));
    }
    // NumPy's scalars are not Python numbers, but carry a dtype and a way to become one.
    if object.hasattr("dtype")? && object.hasattr("item")? && !object.hasattr("__len__")? {
        return scalar(&object.call_method0("item")?);
    }
    Ok(None)
}

/// Whether a tensor may stand where a number is asked for: one that wants a gradient would not get it.
pub fn is_number(x: &Tensor) -> bool {
    x.ndim() == 0 && !x.requires_grad()
}

/// An integer that fits 64 bits.
#[inline]
pub fn integer(object: &Bound<'_, PyAny>) -> PyResult<i64> {
    if object.is_exact_instance_of::<PyInt>() {
        // SAFETY: the object is an int, and alive.
        let value = unsafe { pyo3::ffi::PyLong_AsLongLong(object.as_ptr()) };
        // -1 may stand for an error as well, which is then the one that is raised.
        return if value == -1 {
            PyErr::take(object.py()).map_or(Ok(value), |e| Err(unpacking(e, object)))
        } else {
            Ok(value)
        };
    }
    object.extract::<i64>().map_err(|e| unpacking(e, object))
}

/// PyTorch's words for a number that 64 bits cannot hold; any other error as it is.
#[cold]
fn unpacking(error: PyErr, object: &Bound<'_, PyAny>) -> PyErr {
    if error.is_instance_of::<PyOverflowError>(object.py()) {
        PyOverflowError::new_err("Overflow when unpacking long long")
    } else {
        error
    }
}

/// A tensor or a number; `None` for anything else.
#[inline]
pub fn operand<'a>(object: &'a Bound<'_, PyAny>) -> PyResult<Option<Operand<'a>>> {
    if let Some(x) = tensor(object) {
        return Ok(Some(Operand::Tensor(x)));
    }
    Ok(scalar(object)?.map(Operand::Scalar))
}

/// A dtype, or Python's `float`, `int`, `bool` for the usual ones.
pub fn dtype(object: &Bound<'_, PyAny>) -> PyResult<DType> {
    if let Ok(x) = object.cast::<PyDType>() {
        return Ok(x.get().0);
    }
    let py = object.py();
    if object.is(py.get_type::<PyFloat>()) {
        return Ok(DType::F64);
    }
    if object.is(py.get_type::<PyInt>()) {
        return Ok(DType::I64);
    }
    if object.is(py.get_type::<PyBool>()) {
        return Ok(DType::Bool);
    }
    Err(PyTypeError::new_err(format!("dtype must be arcgrad.dtype, not {}", object.get_type().name()?)))
}

/// A number as a Python object.
pub fn number(py: Python<'_>, value: Scalar) -> Py<PyAny> {
    match value {
        Scalar::Bool(b) => PyBool::new(py, b).to_owned().into_any().unbind(),
        Scalar::Int(i) => PyInt::new(py, i).into_any().unbind(),
        Scalar::Float(x) => PyFloat::new(py, x).into_any().unbind(),
    }
}

/// The core's answer, or its error as an exception.
pub fn core<R>(answer: arcgrad::Result<R>) -> PyResult<R> {
    answer.map_err(|e| raise(&e))
}

/// What a binding answers with.
pub trait Answer {
    /// As a Python object.
    fn object(self, py: Python<'_>) -> PyResult<Py<PyAny>>;
}

impl Answer for Tensor {
    #[inline]
    fn object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        object(py, self)
    }
}

impl Answer for Option<Tensor> {
    fn object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.map_or_else(|| Ok(py.None()), |t| object(py, t))
    }
}

impl Answer for () {
    fn object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(py.None())
    }
}

impl Answer for Vec<Tensor> {
    fn object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let items = self.into_iter().map(|t| object(py, t)).collect::<PyResult<Vec<_>>>()?;
        Ok(pyo3::types::PyTuple::new(py, items)?.into_any().unbind())
    }
}

impl Answer for Vec<Option<Tensor>> {
    fn object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let items = self.into_iter().map(|t| t.object(py)).collect::<PyResult<Vec<_>>>()?;
        Ok(pyo3::types::PyTuple::new(py, items)?.into_any().unbind())
    }
}

impl Answer for (Tensor, Tensor) {
    fn object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        vec![self.0, self.1].object(py)
    }
}

impl Answer for Py<PyAny> {
    fn object(self, _: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self)
    }
}

impl Answer for bool {
    fn object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(PyBool::new(py, self).to_owned().into_any().unbind())
    }
}

impl Answer for i64 {
    fn object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self.into_pyobject(py)?.into_any().unbind())
    }
}

impl Answer for usize {
    fn object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self.into_pyobject(py)?.into_any().unbind())
    }
}

impl Answer for Scalar {
    fn object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(number(py, self))
    }
}

impl Answer for DType {
    fn object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        crate::dtype::object(py, self)
    }
}

impl<A: Answer> Answer for arcgrad::Result<A> {
    #[inline]
    fn object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Ok(answer) => answer.object(py),
            Err(error) => Err(raise(&error)),
        }
    }
}
