//! Which Python object a tensor has: while one lives, it is the only one.
//!
//! Note [One object for a tensor]: the core's tensor notes where its object is, and is no holder of it. Whoever wants the
//! object reads the note and becomes a holder, unless the last one is just going; the object's end takes the note back. Under
//! the GIL nothing comes between reading and holding. Without it a lock does the same: the note is taken back under it, so an
//! object that is noted is still in memory, and CPython says whether it can be held. The lock is held over no call that
//! could run Python or wait; CPython forks while all threads that know of it stand still, so no child finds it taken.

use std::sync::atomic::Ordering;

use arcgrad::Tensor;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::allocation;
use crate::tensor::PyTensor;

/// Reads or writes a tensor's note while no other thread does.
#[cfg(not(Py_GIL_DISABLED))]
#[inline(always)]
fn alone<R>(_: Python<'_>, _: &Tensor, body: impl FnOnce() -> R) -> R {
    body()
}

/// Reads or writes a tensor's note while no other thread does.
#[cfg(Py_GIL_DISABLED)]
fn alone<R>(_: Python<'_>, tensor: &Tensor, body: impl FnOnce() -> R) -> R {
    use std::sync::{Mutex, PoisonError};

    /// Enough that threads rarely meet. Tensors are some hundred bytes apart.
    static LOCKS: [Mutex<()>; 64] = [const { Mutex::new(()) }; 64];
    let _guard = LOCKS[(tensor.id() >> 7) % LOCKS.len()].lock().unwrap_or_else(PoisonError::into_inner);
    body()
}

/// One more holder of an object, unless the last one is gone.
///
/// # Safety
///
/// The object's memory is still that of an object, which [`prepare`] was called on.
#[inline]
unsafe fn hold(py: Python<'_>, object: *mut ffi::PyObject) -> Option<Bound<'_, PyAny>> {
    // SAFETY: as for this function. Under the GIL nobody counts between the two steps.
    #[cfg(not(Py_GIL_DISABLED))]
    unsafe {
        (ffi::Py_REFCNT(object) > 0).then(|| Bound::from_borrowed_ptr(py, object))
    }
    // SAFETY: as for this function; a success counts for the reference that is answered.
    #[cfg(Py_GIL_DISABLED)]
    unsafe {
        (ffi::PyUnstable_TryIncRef(object) != 0).then(|| Bound::from_owned_ptr(py, object))
    }
}

/// Lets other threads hold an object that the caller holds.
#[inline]
fn prepare(object: &Bound<'_, PyAny>) {
    // SAFETY: a live object.
    #[cfg(Py_GIL_DISABLED)]
    unsafe {
        ffi::PyUnstable_EnableTryIncRef(object.as_ptr());
    }
    #[cfg(not(Py_GIL_DISABLED))]
    let _ = object;
}

/// The noted object, held; to be called [`alone`].
#[inline]
fn noted<'py>(py: Python<'py>, tensor: &Tensor) -> Option<Bound<'py, PyAny>> {
    // Relaxed, here and below: the GIL or the lock orders reads and writes of notes.
    let object = tensor.foreign().load(Ordering::Relaxed).cast::<ffi::PyObject>();
    // SAFETY: a noted object has not come to its end, which takes the note back first, and was prepared when it was noted.
    if object.is_null() { None } else { unsafe { hold(py, object) } }
}

/// Notes an object, or answers with the one that is already there.
#[inline]
fn note<'py>(tensor: &Tensor, object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    prepare(object);
    alone(object.py(), tensor, || {
        let other = noted(object.py(), tensor);
        if other.is_none() {
            tensor.foreign().store(object.as_ptr().cast(), Ordering::Relaxed);
        }
        other
    })
}

/// Notes an object that Python's own `__new__` made, which could not know its address then. The first one stays.
#[inline]
pub fn meet(tensor: &Tensor, object: &Bound<'_, PyAny>) {
    // Without the lock: whichever object is noted, or was a moment ago, the tensor has met one.
    if tensor.foreign().load(Ordering::Relaxed).is_null() {
        drop(note(tensor, object));
    }
}

/// The Python object of a tensor, if one is alive.
pub fn living<'py>(py: Python<'py>, tensor: &Tensor) -> Option<Bound<'py, PyAny>> {
    alone(py, tensor, || noted(py, tensor))
}

/// The Python object of a tensor: the one that is alive, or a new one.
#[inline]
pub fn object(py: Python<'_>, tensor: Tensor) -> PyResult<Py<PyAny>> {
    match alone(py, &tensor, || noted(py, &tensor)) {
        Some(object) => Ok(object.unbind()),
        None => fresh(py, tensor),
    }
}

/// A Python object for a tensor that had none a moment ago.
#[inline]
pub fn fresh(py: Python<'_>, tensor: Tensor) -> PyResult<Py<PyAny>> {
    let object = allocation::new(py, tensor)?;
    // While it was made, another thread, or garbage on its way out, may have made one too: the first counts.
    let other = note(&object.get().0, object.as_any());
    Ok(other.unwrap_or_else(|| object.into_any()).unbind())
}

/// The place of the object that a value is in: CPython's header comes before it, as [`check`] makes sure.
fn place(value: &PyTensor) -> *mut ffi::PyObject {
    std::ptr::from_ref(value).cast::<ffi::PyObject>().cast_mut().wrapping_sub(1)
}

/// Takes the note of an object back that comes to its end.
#[inline]
pub fn forget(value: &PyTensor) {
    // SAFETY: a value lives in a Python object, which ends only where Python runs.
    let py = unsafe { Python::assume_attached() };
    alone(py, &value.0, || {
        // Another object may have been noted since, when this one was already going.
        if value.0.foreign().load(Ordering::Relaxed).cast::<ffi::PyObject>() == place(value) {
            value.0.foreign().store(std::ptr::null_mut(), Ordering::Relaxed);
        }
    });
}

/// Fails where objects are laid out otherwise than this file takes for granted.
pub fn check(py: Python<'_>) -> PyResult<()> {
    let tensor = Tensor::scalar(0.0, arcgrad::DType::F32).map_err(|e| crate::error::raise(&e))?;
    let object = Bound::new(py, PyTensor(tensor))?;
    if place(object.get()) == object.as_ptr() {
        return Ok(());
    }
    Err(PyRuntimeError::new_err("this interpreter lays its objects out in an unknown way"))
}
