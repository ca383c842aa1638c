//! What Python's garbage collector is told about tensors and nodes. See Note [What the collector sees].
//!
//! Few tensors own anything of Python's, so their objects are not tracked by the collector until they do: an object is
//! tracked when a hook is registered on it, when somebody asks for its node, when it comes out of a custom function or saved
//! something in a package.

use std::any::Any;

use arcgrad::Tensor;
use arcgrad::graph::{NodeRef, ownership};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::{Py, PyAny, ffi};

use crate::function::PyFunction;
use crate::hooks::Functions;
use crate::saved::Hooks;

/// From now on the collector looks at this object.
pub fn track(object: &Bound<'_, PyAny>) {
    // SAFETY: the object is alive and of a type that the collector knows; it is not tracked twice.
    unsafe {
        if ffi::PyObject_GC_IsTracked(object.as_ptr()) == 0 {
            ffi::PyObject_GC_Track(object.as_ptr().cast());
        }
    }
}

/// From now on the collector passes this object by.
pub fn untrack(object: &Bound<'_, PyAny>) {
    // SAFETY: the object is alive and of a type that the collector knows; untracking an untracked object does nothing.
    unsafe { ffi::PyObject_GC_UnTrack(object.as_ptr().cast()) }
}

/// Visits what is Python's among the things that the core shows.
fn visit_shown(shown: &dyn Any, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
    if let Some(object) = shown.downcast_ref::<Py<PyAny>>() {
        return visit.call(object);
    }
    if let Some(object) = shown.downcast_ref::<Py<pyo3::types::PyDict>>() {
        return visit.call(object);
    }
    if let Some(function) = shown.downcast_ref::<PyFunction>() {
        return function.traverse(visit);
    }
    if let Some(hooks) = shown.downcast_ref::<Hooks>() {
        return hooks.traverse(visit);
    }
    Functions::of(shown).map_or(Ok(()), |functions| functions.traverse(visit))
}

fn each(visit: &PyVisit<'_>, walk: impl FnOnce(&mut dyn FnMut(&dyn Any))) -> Result<(), PyTraverseError> {
    let mut answer = Ok(());
    walk(&mut |shown| {
        if answer.is_ok() {
            answer = visit_shown(shown, visit);
        }
    });
    answer
}

/// Visits what a tensor's object owns.
pub fn traverse_tensor(x: &Tensor, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
    each(visit, |show| ownership::each_owned_by_tensor(x, show))
}

/// Visits what a node's object owns.
pub fn traverse_node(node: &NodeRef, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
    each(visit, |show| ownership::each_owned_by_node(node, show))
}
