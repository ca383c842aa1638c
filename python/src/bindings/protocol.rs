//! Copies and pickles.

use arcgrad::array::{Array, Layout, Storage, Strides};
use arcgrad::{DType, Tensor};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple, PyType};

use crate::dispatch::Args;
use crate::ending::Inside;
use crate::error::raise;
use crate::tensor::{PyTensor, subclass_object};
use crate::{bindings, convert, overrides};

/// The bytes of a whole storage in one of its own.
fn copy_storage(storage: &Storage) -> arcgrad::Result<Storage> {
    let copy = Storage::allocate(storage.bytes())?;
    // SAFETY: both have this many bytes, and the new one is nobody else's.
    unsafe { std::ptr::copy_nonoverlapping(storage.pointer(), copy.pointer(), storage.bytes()) };
    Ok(copy)
}

/// A storage that `deepcopy` has copied, kept in its memo so that tensors which shared memory share it again.
#[pyclass(name = "_CopiedStorage", module = "arcgrad._core", frozen)]
struct CopiedStorage(Storage);

fn deep_copy(a: &Args<'_, '_>) -> PyResult<Py<PyAny>> {
    let py = a.py();
    let (this, memo) = (this(a)?, a.get(1).ok_or_else(|| PyTypeError::new_err("a memo is needed"))?);
    let x = a.tensor(0)?;
    if !x.is_leaf() {
        return Err(PyRuntimeError::new_err(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  If you \
             were attempting to deepcopy a module, this may be because of a tensor that an operation computed and that is kept \
             as an attribute: .detach() it, or compute it anew where it is used.",
        ));
    }
    let key = this.as_ptr().addr();
    let lookup = |key: usize| memo.call_method1("get", (key,)).map(|x| (!x.is_none()).then_some(x));
    if let Some(known) = lookup(key)? {
        return Ok(known.unbind());
    }
    let array = x.array();
    let place = array.storage().pointer().addr();
    let storage = match lookup(place)?.and_then(|x| x.cast_into::<CopiedStorage>().ok()) {
        Some(copied) => copied.get().0.clone(),
        None => {
            let copied = copy_storage(array.storage()).map_err(|e| raise(&e))?;
            memo.set_item(place, Bound::new(py, CopiedStorage(copied.clone()))?)?;
            copied
        }
    };
    let copy = Array::from_parts(storage, array.layout().clone(), array.offset(), array.dtype())
        .and_then(|array| Tensor::new(array).requires_grad_(x.requires_grad()))
        .map_err(|e| raise(&e))?;
    let object = subclass_object(&this.get_type(), copy.clone())?;
    memo.set_item(key, object.bind(py))?;
    let _inside = Inside::enter(py);
    let deepcopy = py.import("copy")?.getattr("deepcopy")?;
    if let Some(grad) = x.grad() {
        let grad = deepcopy.call1((convert::object(py, grad)?, memo))?;
        copy.set_grad(convert::tensor(&grad).cloned());
    }
    let attributes = this.getattr("__dict__")?;
    if attributes.len()? > 0 {
        let attributes = deepcopy.call1((attributes, memo))?;
        object.bind(py).getattr("__dict__")?.call_method1("update", (attributes,))?;
    }
    Ok(object)
}

/// The Python object on which a method was called.
fn this<'a, 'py>(a: &'a Args<'_, 'py>) -> PyResult<&'a Bound<'py, PyTensor>> {
    let this = a.get(0).ok_or_else(|| PyTypeError::new_err("a tensor is needed"))?;
    Ok(this.cast::<PyTensor>()?)
}

/// A call that makes this tensor again: a function of this module, given bytes, names and numbers only.
fn reduce(a: &Args<'_, '_>) -> PyResult<Py<PyAny>> {
    let py = a.py();
    let (this, x) = (this(a)?, a.tensor(0)?);
    if !x.is_leaf() && x.requires_grad() {
        return Err(PyRuntimeError::new_err(
            "cannot pickle a tensor that an operation computed and that requires a gradient: .detach() it first",
        ));
    }
    let array = x.array();
    let order = arcgrad::array::layout::dense_strides(array.shape(), array.strides());
    let dense = array.empty_dense_like(array.dtype()).map_err(|e| raise(&e))?;
    arcgrad::array::kernels::copy::copy(&array, &dense);
    let bytes = dense.numel() * dense.dtype().size();
    // SAFETY: the array is dense, so its elements fill this many bytes from the start of its storage.
    let bytes = PyBytes::new(py, unsafe { std::slice::from_raw_parts(dense.storage().pointer(), bytes) });
    let arguments = (
        bytes,
        array.dtype().name(),
        PyTuple::new(py, array.shape())?,
        PyTuple::new(py, order.as_slice())?,
        x.requires_grad(),
    );
    let module = py.import("arcgrad._core")?;
    let attributes = this.getattr("__dict__")?;
    let state = if attributes.len()? > 0 { attributes } else { py.None().into_bound(py) };
    let class = this.get_type();
    let (function, arguments) = if class.is(py.get_type::<PyTensor>()) {
        (module.getattr("_rebuild_tensor")?, arguments.into_pyobject(py)?)
    } else {
        let plain = convert::object(py, x.detach())?;
        (module.getattr("_rebuild_subclass")?, (class, plain, x.requires_grad()).into_pyobject(py)?)
    };
    Ok((function, arguments, state).into_pyobject(py)?.into_any().unbind())
}

fn rebuild(a: &Args<'_, '_>) -> PyResult<Tensor> {
    let wrong = |what: &str| PyValueError::new_err(format!("this pickle is no tensor: {what}"));
    let bytes = a.get(0).and_then(|x| x.cast::<PyBytes>().ok()).ok_or_else(|| wrong("no bytes"))?.as_bytes();
    let name = a.str(1)?;
    let dtype = DType::ALL.into_iter().find(|d| d.name() == name).ok_or_else(|| wrong("an unknown dtype"))?;
    let shape = super::creation::shape(a, 2)?;
    let strides: Strides = a.ints(3)?;
    if strides.len() != shape.len() || strides.iter().any(|&s| s < 0) {
        return Err(wrong("strides that fit no shape"));
    }
    let layout = Layout::strided(&shape, &strides).map_err(|e| raise(&e))?;
    if layout.numel().checked_mul(dtype.size()) != Some(bytes.len())
        || layout.checked_extent() != Some(layout.numel())
    {
        return Err(wrong("as many bytes as the shape asks for are needed"));
    }
    let y = Array::empty_strided(layout, dtype).map_err(|e| raise(&e))?;
    // SAFETY: the layout is dense, so the storage holds this many bytes, and nobody else has seen it.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), y.storage().pointer(), bytes.len()) };
    Tensor::new(y).requires_grad_(a.flag(4)?).map_err(|e| raise(&e))
}

bindings! {
    /// A copy with memory of its own, its gradient and attributes copied too: `copy.deepcopy`'s protocol.
    method __deepcopy__ { "(Tensor input, Any memo) -> Tensor" => |a| deep_copy(a)? }
    /// Another tensor over the same memory: `copy.copy`'s protocol.
    method __copy__ {
        "(Tensor input) -> Tensor" => |a| {
            let x = a.tensor(0)?.detach().requires_grad_(a.tensor(0)?.requires_grad()).map_err(|e| raise(&e))?;
            let copy = subclass_object(&this(a)?.get_type(), x)?;
            let attributes = this(a)?.getattr("__dict__")?;
            if attributes.len()? > 0 {
                copy.bind(a.py()).getattr("__dict__")?.call_method1("update", (attributes,))?;
            }
            copy
        }
    }
    /// An object of class `cls`, derived from Tensor, with this tensor's data and history. Raises TypeError for another class.
    method as_subclass {
        "(Tensor input, Any cls) -> Any" => |a| {
            let tensor = a.py().get_type::<PyTensor>();
            let class = a
                .get(1)
                .and_then(|x| x.cast::<PyType>().ok())
                .filter(|class| class.is_subclass(&tensor).unwrap_or(false))
                .ok_or_else(|| PyTypeError::new_err("cls must be a type derived from Tensor"))?;
            overrides::as_subclass(class, a.tensor(0)?)?
        }
    }
    /// How to make this tensor again: pickle's protocol.
    method __reduce_ex__ { "(Tensor input, int protocol) -> Any" => |a| reduce(a)? }
    /// The tensor that a pickle describes.
    function _rebuild_tensor {
        "(Any data, str dtype, int[] size, int[] stride, bool requires_grad) -> Tensor" => |a| rebuild(a)?
    }
    /// The object of a subclass that a pickle describes.
    function _rebuild_subclass {
        "(Any cls, Tensor data, bool requires_grad) -> Tensor" => |a| {
            let class = a.get(0).and_then(|x| x.cast::<PyType>().ok());
            let tensor = a.py().get_type::<PyTensor>();
            let class = class
                .filter(|class| class.is_subclass(&tensor).unwrap_or(false))
                .ok_or_else(|| PyTypeError::new_err("this pickle is no tensor: its class is none of a tensor"))?;
            let x = a.tensor(1)?.detach().requires_grad_(a.flag(2)?).map_err(|e| raise(&e))?;
            subclass_object(class, x)?
        }
    }
}
