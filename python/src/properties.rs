//! How attributes that are read without a call reach Python; which there are is in `bindings/properties.rs`.

use std::ffi::CString;
use std::os::raw::{c_int, c_void};

use pyo3::exceptions::{PyAttributeError, PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::error::guarded;
use crate::overrides::{self, Call, Taken};
use crate::tensor::PyTensor;

/// An attribute of `Tensor`.
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// Its docstring.
    pub doc: &'static str,
    /// The Python type of its value, for the stub.
    pub kind: &'static str,
    /// Reads it.
    pub get: Get,
    /// Writes it, or deletes it (`None`).
    pub set: Option<Set>,
}

type Get = for<'a, 'py> fn(&'a Bound<'py, PyTensor>) -> PyResult<Py<PyAny>>;
type Set = for<'a, 'py> fn(&'a Bound<'py, PyTensor>, Option<&'a Bound<'py, PyAny>>) -> PyResult<()>;

unsafe extern "C" fn get(object: *mut ffi::PyObject, property: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: CPython holds the GIL, has checked that `object` is a Tensor, and hands back the row given in `register`.
    unsafe {
        let py = Python::assume_attached();
        let this = Bound::from_borrowed_ptr(py, object).cast_into_unchecked::<PyTensor>();
        let property: &'static Property = &*property.cast::<Property>();
        match guarded(|| read(&this, property)) {
            Ok(value) => value.into_ptr(),
            Err(error) => {
                error.restore(py);
                std::ptr::null_mut()
            }
        }
    }
}

#[inline]
fn read(this: &Bound<'_, PyTensor>, property: &'static Property) -> PyResult<Py<PyAny>> {
    if overrides::possible()
        && let Some(answer) = taken(&[this.as_any().clone()], property, "__get__")?
    {
        return Ok(answer);
    }
    (property.get)(this)
}

/// What a subclass or a mode answers in the place of an attribute's descriptor.
#[cold]
fn taken<'py>(
    arguments: &[Bound<'py, PyAny>],
    property: &'static Property,
    method: &str,
) -> PyResult<Option<Py<PyAny>>> {
    let py = arguments[0].py();
    let descriptor = || py.get_type::<PyTensor>().getattr(property.name)?.getattr(method);
    match (Call { positional: arguments, named: &[], asked: usize::MAX }).redirect(py, descriptor)? {
        Taken::ByNobody => Ok(None),
        Taken::With(answer) => Ok(Some(answer)),
        Taken::Refused(error) => Err(error),
    }
}

#[inline]
fn write(
    this: &Bound<'_, PyTensor>,
    property: &'static Property,
    value: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    if overrides::possible() {
        let arguments: Vec<_> = std::iter::once(this.as_any()).chain(value).cloned().collect();
        let method = if value.is_some() { "__set__" } else { "__delete__" };
        if taken(&arguments, property, method)?.is_some() {
            return Ok(());
        }
    }
    match property.set {
        Some(set) => set(this, value),
        None if value.is_none() => Err(PyRuntimeError::new_err(format!("cannot delete {}", property.name))),
        None => Err(PyAttributeError::new_err(format!(
            "attribute '{}' of 'arcgrad.Tensor' objects is not writable",
            property.name
        ))),
    }
}

unsafe extern "C" fn set(
    object: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    property: *mut c_void,
) -> c_int {
    // SAFETY: as in `get`; `value` is null when the attribute is deleted.
    unsafe {
        let py = Python::assume_attached();
        let this = Bound::from_borrowed_ptr(py, object).cast_into_unchecked::<PyTensor>();
        let property: &'static Property = &*property.cast::<Property>();
        let value = Bound::from_borrowed_ptr_or_opt(py, value);
        let done = guarded(|| write(&this, property, value.as_ref()));
        match done {
            Ok(()) => 0,
            Err(error) => {
                error.restore(py);
                -1
            }
        }
    }
}

/// Puts the attributes on Tensor.
pub fn register(py: Python<'_>, properties: &'static [Property]) -> PyResult<()> {
    let tensor = py.get_type::<PyTensor>();
    let text =
        |s: &str| CString::new(s).map(CString::into_raw).map_err(|e| PyTypeError::new_err(e.to_string()));
    for property in properties {
        let definition = Box::into_raw(Box::new(ffi::PyGetSetDef {
            name: text(property.name)?,
            get: Some(get),
            set: Some(set),
            doc: text(property.doc)?,
            closure: std::ptr::from_ref(property).cast_mut().cast(),
        }));
        // SAFETY: the definition lives forever, as CPython requires; the type is a live type object.
        let descriptor = unsafe {
            Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewGetSet(tensor.as_type_ptr(), definition))?
        };
        tensor.setattr(property.name, descriptor)?;
    }
    Ok(())
}
