//! Memory for the Python objects of tensors.
//!
//! A small operation spends a fifth of its instructions on its result's object when the object is made as PyO3 makes
//! any: by `object.__new__`, which on CPython 3.11 and 3.12 also allocates the attribute dictionary that few tensors ever
//! need. Here the type's own allocator is called and the object's body written, nothing else.

use std::mem::{ManuallyDrop, size_of};
use std::sync::OnceLock;

use arcgrad::Tensor;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::type_object::PyTypeInfo;

use crate::collector;
use crate::tensor::PyTensor;

/// What stands in an object after CPython's header: PyO3's layout of a class with `dict` and `weakref`, which
/// [`Door::open`] checks against the class.
#[repr(C)]
struct Body {
    value: ManuallyDrop<PyTensor>,
    dict: *mut ffi::PyObject,
    weak_references: *mut ffi::PyObject,
}

/// The way to an object of class Tensor.
struct Door {
    class: *mut ffi::PyTypeObject,
    allocate: ffi::allocfunc,
}

// SAFETY: the class lives as long as the process, and its allocator may be called from any thread that holds the GIL.
unsafe impl Send for Door {}
// SAFETY: as above.
unsafe impl Sync for Door {}

impl Door {
    /// `None` if the class is not laid out as [`Body`] says: then objects are made as any other.
    fn open(py: Python<'_>, object: &Bound<'_, PyTensor>) -> Option<Self> {
        let class = PyTensor::type_object_raw(py);
        let offset = std::ptr::from_ref(object.get()).addr() - object.as_ptr().addr();
        let size: usize = object.get_type().getattr("__basicsize__").ok()?.extract().ok()?;
        if offset != size_of::<ffi::PyObject>() || size != offset + size_of::<Body>() {
            return None;
        }
        // SAFETY: the class is alive and the slot, where it is filled, holds a function of this type.
        let allocate = unsafe {
            let slot = ffi::PyType_GetSlot(class, ffi::Py_tp_alloc);
            (!slot.is_null()).then(|| std::mem::transmute::<*mut std::ffi::c_void, ffi::allocfunc>(slot))?
        };
        Some(Self { class, allocate })
    }
}

/// A new object of class Tensor, which the collector does not see.
#[inline]
pub fn new(py: Python<'_>, tensor: Tensor) -> PyResult<Bound<'_, PyTensor>> {
    static DOOR: OnceLock<Option<Door>> = OnceLock::new();
    let Some(Some(door)) = DOOR.get() else {
        let object = Bound::new(py, PyTensor(tensor))?;
        DOOR.get_or_init(|| Door::open(py, &object));
        collector::untrack(object.as_any());
        return Ok(object);
    };
    // SAFETY: the allocator answers with an object of the class, whose header is set and whose body, laid out as `Body`,
    // is ours to write; until it is written, the collector cannot run, because nothing allocates in between.
    unsafe {
        let object = (door.allocate)(door.class, 0);
        if object.is_null() {
            return Err(PyErr::fetch(py));
        }
        object.add(1).cast::<Body>().write(Body {
            value: ManuallyDrop::new(PyTensor(tensor)),
            dict: std::ptr::null_mut(),
            weak_references: std::ptr::null_mut(),
        });
        let object = Bound::from_owned_ptr(py, object);
        collector::untrack(&object);
        Ok(object.cast_into_unchecked())
    }
}
