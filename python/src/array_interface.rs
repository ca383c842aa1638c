//! Arrays that share memory with NumPy's, through the C struct of NumPy's array interface: `__array_struct__`, both ways.
//!
//! The struct is a fixed protocol, so neither NumPy's headers nor its import are needed, and NumPy itself is imported only
//! when somebody asks for one of its arrays.

use std::os::raw::{c_char, c_int, c_void};
use std::ptr::NonNull;

use arcgrad::DType;
use arcgrad::array::sharing::Shared;
use arcgrad::array::{Array, Dims, Layout, Storage, Strides};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt, PyList, PyTuple, PyType};
use smallvec::SmallVec;

use crate::error::raise;
use crate::once::Once;

/// The C struct behind the capsule in `__array_struct__`.
#[repr(C)]
struct Interface {
    /// Always 2: the version of the protocol.
    two: c_int,
    ndim: c_int,
    kind: c_char,
    itemsize: c_int,
    flags: c_int,
    shape: *mut isize,
    /// In bytes.
    strides: *mut isize,
    data: *mut c_void,
    descriptor: *mut ffi::PyObject,
}

const C_CONTIGUOUS: c_int = 0x1;
const ALIGNED: c_int = 0x100;
const NATIVE_ORDER: c_int = 0x200;
const WRITEABLE: c_int = 0x400;

/// NumPy's letter for the kind of number.
fn kind(dtype: DType) -> u8 {
    match dtype {
        DType::Bool => b'b',
        DType::U8 => b'u',
        DType::I8 | DType::I16 | DType::I32 | DType::I64 => b'i',
        DType::F32 | DType::F64 => b'f',
    }
}

fn ndarray(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static NDARRAY: Once<Py<PyType>> = Once::new();
    NDARRAY.import(py, "numpy", "ndarray")
}

/// Whether an object is a `numpy.ndarray`; does not import NumPy to find out.
pub fn is_ndarray(object: &Bound<'_, PyAny>) -> bool {
    // A list or a number is none, and is asked by its type: an attribute that is missing costs an exception.
    let is_plain = object.is_instance_of::<PyFloat>()
        || object.is_instance_of::<PyInt>()
        || object.is_instance_of::<PyList>()
        || object.is_instance_of::<PyTuple>();
    !is_plain
        && object.hasattr("__array_struct__").unwrap_or(false)
        && ndarray(object.py()).is_ok_and(|class| object.is_instance(class).unwrap_or(false))
}

/// A window on a NumPy array's memory, which keeps the array alive. A read-only array gives a read-only window.
pub fn from_numpy(object: &Bound<'_, PyAny>) -> PyResult<Array> {
    let py = object.py();
    if !object.is_instance(ndarray(py)?)? {
        return Err(PyTypeError::new_err(format!(
            "expected np.ndarray (got {})",
            object.get_type().fully_qualified_name()?.to_string().trim_start_matches("builtins.")
        )));
    }
    let capsule = object.getattr("__array_struct__")?;
    // SAFETY: NumPy's protocol: an unnamed capsule over an `Interface` that lives as long as the capsule.
    let interface = unsafe {
        let pointer = ffi::PyCapsule_GetPointer(capsule.as_ptr(), std::ptr::null()).cast::<Interface>();
        pointer.as_ref().ok_or_else(|| PyErr::fetch(py))?
    };
    let itemsize = interface.itemsize as usize;
    let dtype = DType::ALL
        .into_iter()
        .find(|&d| c_int::from(kind(d)) == c_int::from(interface.kind) && d.size() == itemsize)
        .ok_or_else(|| unsupported(object))?;
    if interface.flags & NATIVE_ORDER == 0 {
        return Err(PyValueError::new_err(
            "given numpy array has byte order different from the native byte order. Conversion between byte orders is \
             currently not supported. (array.astype(array.dtype.newbyteorder('=')) makes a native copy.)",
        ));
    }
    let ndim = interface.ndim as usize;
    // SAFETY: the struct's shape and strides have `ndim` entries each (and may be null when there are none).
    let (extents, steps): (&[isize], &[isize]) = unsafe {
        if ndim == 0 {
            (&[], &[])
        } else {
            (
                std::slice::from_raw_parts(interface.shape, ndim),
                std::slice::from_raw_parts(interface.strides, ndim),
            )
        }
    };
    let shape: Dims = extents.iter().map(|&n| n as usize).collect();
    let empty = shape.contains(&0);
    let mut strides = Strides::new();
    for &step in steps {
        if step < 0 {
            return Err(PyValueError::new_err(
                "At least one stride in the given numpy array is negative, and tensors with negative strides are not \
                 currently supported. (You can probably work around this by making a copy of your array  with array.copy().) ",
            ));
        }
        if step % itemsize as isize != 0 {
            return Err(PyValueError::new_err(
                "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the \
                 memory.",
            ));
        }
        strides.push(step / itemsize as isize);
    }
    let data = interface.data.cast::<u8>();
    if !empty && data.addr() % itemsize != 0 {
        return Err(PyValueError::new_err(
            "given numpy array is not aligned to its element size. Copy the numpy array to reallocate the memory.",
        ));
    }
    let extent = if empty {
        0
    } else {
        1 + shape.iter().zip(&strides).map(|(&n, &s)| (n - 1) * s as usize).sum::<usize>()
    };
    let read_only = interface.flags & WRITEABLE == 0;
    let owner = Box::new(object.clone().unbind());
    let data = NonNull::new(data).unwrap_or(NonNull::<u64>::dangling().cast());
    // SAFETY: the array owns `extent` elements from `data` on and lives as long as `owner`; writes are allowed unless it
    // says otherwise.
    let storage = unsafe { Storage::foreign(data, extent * itemsize, read_only, owner) };
    let layout = if empty { Layout::contiguous(&shape) } else { Layout::strided(&shape, &strides) };
    layout.and_then(|layout| Array::from_parts(storage, layout, 0, dtype)).map_err(|e| raise(&e))
}

#[cold]
fn unsupported(object: &Bound<'_, PyAny>) -> PyErr {
    let dtype = object
        .getattr("dtype")
        .and_then(|d| d.getattr("type"))
        .and_then(|t| t.cast_into::<PyType>().map_err(Into::into))
        .and_then(|t| t.fully_qualified_name().map(|n| n.to_string()))
        .unwrap_or_else(|_| "an unknown dtype".to_owned());
    PyTypeError::new_err(format!(
        "can't convert np.ndarray of type {dtype}. The only supported types are: float64, float32, int64, int32, int16, int8, \
         uint8, and bool."
    ))
}

/// Holds a tensor's memory for a NumPy array, and describes it.
#[pyclass(name = "_SharedMemory", module = "arcgrad._core", frozen, freelist = 32)]
pub struct SharedMemory {
    shared: Shared,
    /// Boxed: the capsule points to it.
    described: Box<Described>,
}

struct Described {
    interface: Interface,
    shape: SmallVec<[isize; 6]>,
    strides: SmallVec<[isize; 6]>,
}

// SAFETY: the pointers go into the box and into the array's storage, both of which live as long as the object; the struct
// is never written to after it was made.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    fn new(array: Array) -> Self {
        let dtype = array.dtype();
        let itemsize = dtype.size();
        let mut flags = ALIGNED | NATIVE_ORDER;
        if array.is_contiguous() {
            flags |= C_CONTIGUOUS;
        }
        if !array.storage().is_read_only() {
            flags |= WRITEABLE;
        }
        let mut described = Box::new(Described {
            interface: Interface {
                two: 2,
                ndim: array.ndim() as c_int,
                kind: kind(dtype) as c_char,
                itemsize: itemsize as c_int,
                flags,
                shape: std::ptr::null_mut(),
                strides: std::ptr::null_mut(),
                data: array.pointer().cast(),
                descriptor: std::ptr::null_mut(),
            },
            shape: array.shape().iter().map(|&n| n as isize).collect(),
            strides: array.strides().iter().map(|&s| s * itemsize as isize).collect(),
        });
        described.interface.shape = described.shape.as_mut_ptr();
        described.interface.strides = described.strides.as_mut_ptr();
        // The tensor and `array` hold the storage; whoever else does may have saved it.
        Self { shared: Shared::new(array, 2), described }
    }
}

#[pymethods]
impl SharedMemory {
    #[getter]
    fn __array_struct__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let interface = std::ptr::from_ref(&slf.get().described.interface).cast_mut().cast::<c_void>();
        // SAFETY: an unnamed capsule over a struct that lives as long as this object, which NumPy makes its array's base.
        unsafe {
            Bound::from_owned_ptr_or_err(slf.py(), ffi::PyCapsule_New(interface, std::ptr::null(), None))
        }
    }

    fn __repr__(&self) -> String {
        format!("<memory of a tensor of {} elements>", self.shared.array().numel())
    }
}

/// A NumPy array over the same memory, which keeps that memory alive.
pub fn to_numpy(py: Python<'_>, array: Array) -> PyResult<Py<PyAny>> {
    static ASARRAY: Once<Py<PyAny>> = Once::new();
    let asarray =
        ASARRAY.get_or_try(py, || Ok::<_, PyErr>(py.import("numpy")?.getattr("asarray")?.unbind()))?;
    asarray.call1(py, (Bound::new(py, SharedMemory::new(array))?,))
}
