//! From the core's errors to Python's exceptions, and from panics to errors.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arcgrad::error::{Class, Foreign, Kind};
use pyo3::exceptions::{
    PyIndexError, PyKeyboardInterrupt, PyNotImplementedError, PyRuntimeError, PyTypeError, PyValueError,
};
use pyo3::prelude::*;

pyo3::create_exception!(
    arcgrad.linalg,
    LinAlgError,
    PyRuntimeError,
    "A matrix is singular, not positive definite, or not finite."
);

/// The exception for an error.
#[cold]
pub fn raise(error: &arcgrad::Error) -> PyErr {
    if let Kind::Foreign(Foreign(inner)) = error.kind()
        && let Some(exception) = inner.downcast_ref::<PyErr>()
    {
        return Python::attach(|py| exception.clone_ref(py));
    }
    let message = error.to_string();
    match error.class() {
        Class::Runtime => PyRuntimeError::new_err(message),
        Class::Index => PyIndexError::new_err(message),
        Class::Type => PyTypeError::new_err(message),
        Class::Value => PyValueError::new_err(message),
        Class::LinearAlgebra => LinAlgError::new_err(message),
        Class::NotImplemented => PyNotImplementedError::new_err(message),
        Class::Interrupted => {
            Python::attach(|py| PyErr::take(py).unwrap_or_else(|| PyKeyboardInterrupt::new_err(())))
        }
    }
}

/// A Python exception on its way through the core.
pub fn carry(exception: PyErr) -> arcgrad::Error {
    Kind::Foreign(Foreign(Arc::new(exception))).into()
}

/// Runs the body; a panic becomes a `RuntimeError`, an error of the core its exception.
#[inline]
pub fn guarded<R>(body: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(from_panic(panic.as_ref())))
}

#[cold]
fn from_panic(panic: &(dyn Any + Send)) -> PyErr {
    if let Some(error) = panic.downcast_ref::<arcgrad::Error>() {
        return raise(error);
    }
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words");
    raise(&Kind::Panic { message: message.to_owned() }.into())
}
