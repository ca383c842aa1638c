//! The memory that tensors look into, and which part of it a tensor shows.

use arcgrad::array::{Array, Layout};
use arcgrad::graph::forward;
use arcgrad::{Tensor, ops};
use pyo3::exceptions::{PyNotImplementedError, PyRuntimeError};
use pyo3::prelude::*;

use crate::bindings;
use crate::convert;
use crate::dispatch::Args;
use crate::error::raise;

/// The storage of a tensor as an object of a class of `arcgrad.storage`.
fn object(a: &Args<'_, '_>, class: &str) -> PyResult<Py<PyAny>> {
    let x = convert::object(a.py(), a.tensor(0)?.detach())?;
    Ok(a.py().import("arcgrad.storage")?.call_method1(class, (x,))?.unbind())
}

/// What `set_` is to show, before a place in it is named: a tensor, or all of a storage as elements of `x`'s dtype.
fn source(a: &Args<'_, '_>, x: &Tensor) -> PyResult<Tensor> {
    let given = a.any(1)?;
    let dtype = x.dtype();
    if let Some(source) = convert::tensor(given) {
        if source.dtype() != dtype {
            return Err(PyRuntimeError::new_err(format!(
                "Could not set tensor of type {} to a tensor of type {dtype}",
                source.dtype()
            )));
        }
        return Ok(source.clone());
    }
    let storages = a.py().import("arcgrad.storage")?;
    let typed = given.is_instance(&storages.getattr("TypedStorage")?)?;
    if !typed && !given.is_instance(&storages.getattr("UntypedStorage")?)? {
        return Err(pyo3::exceptions::PyTypeError::new_err(format!(
            "set_(): argument 'source' (position 1) must be Tensor or Storage, not {}",
            given.get_type().name()?
        )));
    }
    let owner = given.getattr("_tensor")?;
    let owner = convert::tensor(&owner).expect("a storage is made of a tensor").array();
    if typed && owner.dtype() != dtype {
        return Err(PyRuntimeError::new_err(format!(
            "Expected a Storage of type {dtype} or an UntypedStorage, but got type {} for argument 1 'storage'",
            owner.dtype()
        )));
    }
    let storage = owner.storage().clone();
    let whole = Layout::contiguous(&[storage.bytes() / dtype.size()]);
    whole
        .and_then(|whole| Array::from_parts(storage, whole, 0, dtype))
        .map(Tensor::new)
        .map_err(|e| raise(&e))
}

/// Refuses `set_` where a tangent would be left that belongs to other numbers.
fn check_tangents(x: &Tensor, source: Option<&Tensor>) -> PyResult<()> {
    if forward::propagates()
        && (x.tangent().is_some() || source.is_some_and(|source| source.tangent().is_some()))
    {
        return Err(PyNotImplementedError::new_err(
            "Trying to use forward AD with set_ that does not support it because it has not been implemented yet.",
        ));
    }
    Ok(())
}

bindings! {
    /// Elements between the start of the storage and the first element.
    method storage_offset { "(Tensor input) -> int" => |a| a.tensor(0)?.array().offset() }
    /// Whether both share the very same view of memory.
    method is_set_to {
        "(Tensor input, Tensor tensor) -> bool" => |a| {
            let (x, y) = (a.tensor(0)?.array(), a.tensor(1)?.array());
            x.storage().is(y.storage())
                && x.offset() == y.offset()
                && x.shape() == y.shape()
                && x.strides() == y.strides()
        }
    }
    /// The memory that this tensor looks into, as bytes.
    method untyped_storage { "(Tensor input) -> Any" => |a| object(a, "UntypedStorage")? }
    /// The memory that this tensor looks into, as elements of its dtype.
    method storage { "(Tensor input) -> Any" => |a| object(a, "TypedStorage")? }
    /// The memory that this tensor looks into, as elements of its dtype.
    method _typed_storage { "(Tensor input) -> Any" => |a| object(a, "TypedStorage")? }
    /// The number of bytes in the storage.
    method _storage_bytes { "(Tensor input) -> int" => |a| a.tensor(0)?.array().storage().bytes() }
    /// The address of the storage.
    method _storage_address { "(Tensor input) -> int" => |a| a.tensor(0)?.array().storage().pointer().addr() }
    /// Makes this tensor show other memory: that of a tensor or a storage, all of it or the elements at an offset with
    /// these extents and strides; without a source, none. A storage is never grown.
    method set_ {
        "(Tensor input) -> Tensor" => |a| {
            let x: &Tensor = a.tensor(0)?;
            check_tangents(x, None)?;
            Array::zeros(&[0], x.dtype()).and_then(|nothing| x.set_(&Tensor::new(nothing))).map(|()| x.clone())
        },
        "(Tensor input, Any source) -> Tensor" => |a| {
            let x: &Tensor = a.tensor(0)?;
            let source = source(a, x)?;
            check_tangents(x, Some(&source))?;
            x.set_(&source).map(|()| x.clone())
        },
        "(Tensor input, Any source, int storage_offset, int[] size, int[]? stride=None) -> Tensor" => |a| {
            let x: &Tensor = a.tensor(0)?;
            let (source, offset, size, stride) = (source(a, x)?, a.index(2)?, a.ints(3)?, a.optional_ints(4)?);
            check_tangents(x, Some(&source))?;
            ops::set_(x, &source, offset, &size, stride.as_deref()).map(|()| x.clone())
        }
    }
}
