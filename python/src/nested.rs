//! Tensors from Python data: numbers, nested sequences of them, NumPy arrays, other tensors.

use arcgrad::array::{Array, Category, Dims, Element};
use arcgrad::graph::row::default_dtype;
use arcgrad::ops::creation::check_fits;
use arcgrad::with_element;
use arcgrad::{DType, Scalar, Tensor};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::array_interface;
use crate::convert;
use crate::error::raise;

/// The most levels of nesting that are looked into: a list that contains itself ends here.
const MOST_LEVELS: usize = 128;

/// A copy of the data, without a history.
pub fn tensor(data: &Bound<'_, PyAny>, dtype: Option<DType>) -> PyResult<Tensor> {
    if let Some(x) = convert::tensor(data) {
        let array = x.array();
        let y = array.empty_dense_like(dtype.unwrap_or(array.dtype())).map_err(|e| raise(&e))?;
        arcgrad::array::kernels::copy::copy(&array, &y);
        return Ok(Tensor::new(y));
    }
    if array_interface::is_ndarray(data) {
        let array = lenient(data)?;
        return array.cast_copy(dtype.unwrap_or(array.dtype())).map(Tensor::new).map_err(|e| raise(&e));
    }
    if data.is_instance_of::<PyString>() || data.is_instance_of::<PyBytes>() {
        return Err(PyTypeError::new_err(format!("new(): invalid data type '{}'", data.get_type().name()?)));
    }
    let mut shape = Dims::new();
    extents(data, &mut shape)?;
    let count = arcgrad::array::layout::numel(&shape).map_err(|e| raise(&e))?;
    let mut values = Values { items: Vec::with_capacity(count), found: None, wanted: dtype };
    values.level(data, &shape, 0)?;
    values.store(&shape)
}

/// The data itself where it can be shared, else a copy. `copy`: always a copy, or never one.
pub fn share(data: &Bound<'_, PyAny>, dtype: Option<DType>, copy: Option<bool>) -> PyResult<Tensor> {
    let shared = if let Some(x) = convert::tensor(data) {
        Some(x.clone())
    } else if array_interface::is_ndarray(data) && copy != Some(true) {
        match array_interface::from_numpy(data) {
            Ok(array) => Some(Tensor::new(array)),
            Err(error) if copy == Some(false) => return Err(error),
            Err(_) => None,
        }
    } else {
        None
    };
    match shared {
        Some(x) if copy == Some(true) => {
            arcgrad::ops::to_copy(&x, dtype.unwrap_or(x.dtype())).map_err(|e| raise(&e))
        }
        Some(x) => match dtype {
            Some(dtype) if dtype != x.dtype() && copy == Some(false) => {
                Err(PyValueError::new_err("can't alias arbitrary sequence into a tensor: the dtype differs"))
            }
            Some(dtype) => arcgrad::ops::to_dtype(&x, dtype).map_err(|e| raise(&e)),
            None => Ok(x),
        },
        None if copy == Some(false) => {
            Err(PyValueError::new_err("can't alias arbitrary sequence into a tensor."))
        }
        None => tensor(data, dtype),
    }
}

/// An array's numbers, copied by NumPy first where its memory cannot be shared.
fn lenient(data: &Bound<'_, PyAny>) -> PyResult<Array> {
    match array_interface::from_numpy(data) {
        Err(error) if error.is_instance_of::<PyValueError>(data.py()) => {
            let native = data.getattr("dtype")?.call_method1("newbyteorder", ("=",))?;
            let copied = data.py().import("numpy")?.call_method1("array", (data, native))?;
            array_interface::from_numpy(&copied)
        }
        result => result,
    }
}

fn is_sequence(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: a live object, under the GIL.
    unsafe { ffi::PySequence_Check(object.as_ptr()) != 0 }
}

/// The shape, by the first element of each level.
fn extents(data: &Bound<'_, PyAny>, shape: &mut Dims) -> PyResult<()> {
    let mut here = data.clone();
    while shape.len() <= MOST_LEVELS {
        if let Some(x) = convert::tensor(&here) {
            shape.extend(x.shape());
            return Ok(());
        }
        if array_interface::is_ndarray(&here) {
            shape.extend(lenient(&here)?.shape().iter().copied());
            return Ok(());
        }
        if here.is_instance_of::<PyString>() || here.is_instance_of::<PyBytes>() {
            return Err(PyValueError::new_err(format!("too many dimensions '{}'", here.get_type().name()?)));
        }
        if is_number(&here) || !is_sequence(&here) {
            return Ok(());
        }
        let length = here.len()?;
        shape.push(length);
        if length == 0 {
            return Ok(());
        }
        here = here.get_item(0)?;
    }
    Err(PyValueError::new_err(format!("too many dimensions '{}'", data.get_type().name()?)))
}

fn is_number(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<PyFloat>() || object.is_instance_of::<PyInt>()
}

/// The numbers found so far, and the dtype that they have in common.
struct Values {
    items: Vec<Scalar>,
    found: Option<DType>,
    wanted: Option<DType>,
}

impl Values {
    fn level(&mut self, data: &Bound<'_, PyAny>, shape: &[usize], depth: usize) -> PyResult<()> {
        if depth == shape.len() {
            return self.number(data);
        }
        if let Some(x) = convert::tensor(data) {
            return self.single(x);
        }
        if array_interface::is_ndarray(data) {
            return self.array(&lenient(data)?, &shape[depth..], depth);
        }
        if !is_sequence(data) {
            return Err(PyTypeError::new_err("not a sequence"));
        }
        let length = data.len()?;
        if length != shape[depth] {
            return Err(ragged(shape[depth], depth, length));
        }
        if let Ok(list) = data.cast::<PyList>() {
            return list.iter().try_for_each(|x| self.level(&x, shape, depth + 1));
        }
        if let Ok(tuple) = data.cast::<PyTuple>() {
            return tuple.iter_borrowed().try_for_each(|x| self.level(&x, shape, depth + 1));
        }
        (0..length).try_for_each(|i| self.level(&data.get_item(i)?, shape, depth + 1))
    }

    #[inline]
    fn push(&mut self, value: Scalar, dtype: DType) {
        self.items.push(value);
        self.found = Some(self.found.map_or(dtype, |d| d.promote(dtype)));
    }

    fn number(&mut self, object: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(x) = object.cast_exact::<PyFloat>() {
            self.push(Scalar::Float(x.value()), default_dtype());
        } else if let Ok(x) = object.cast_exact::<PyInt>() {
            let value = match x.extract::<i64>() {
                Ok(i) => Scalar::Int(i),
                Err(_) if self.wanted.is_some_and(DType::is_floating) => Scalar::Float(x.extract()?),
                Err(_) => return Err(PyValueError::new_err("Overflow when unpacking long long")),
            };
            self.push(value, DType::I64);
        } else if let Ok(x) = object.cast::<PyBool>() {
            self.push(Scalar::Bool(x.is_true()), DType::Bool);
        } else if let Some(x) = convert::tensor(object) {
            self.single(x)?;
        } else if let Ok(dtype) = object.getattr("dtype")
            && let Some(value) = convert::scalar(object)?
        {
            let name: String = dtype.getattr("name")?.extract()?;
            let known = DType::ALL.into_iter().find(|d| d.name() == name);
            self.push(value, known.unwrap_or_else(|| usual(value)));
        } else if let Some(value) = convert::scalar(object)? {
            self.push(value, usual(value));
        } else if is_sequence(object) {
            return Err(PyTypeError::new_err(format!(
                "'{}' object cannot be interpreted as a number: the sequences are nested unevenly",
                object.get_type().name()?
            )));
        } else {
            return Err(PyRuntimeError::new_err(format!(
                "Could not infer dtype of {}",
                object.get_type().name()?
            )));
        }
        Ok(())
    }

    fn single(&mut self, x: &Tensor) -> PyResult<()> {
        if x.numel() != 1 {
            return Err(PyValueError::new_err(
                "only one element tensors can be converted to Python scalars (stack() joins tensors of several)",
            ));
        }
        let value = x.item().map_err(|e| raise(&e))?;
        self.push(value, x.dtype());
        Ok(())
    }

    fn array(&mut self, array: &Array, shape: &[usize], depth: usize) -> PyResult<()> {
        if array.shape() != shape {
            let axis = array.shape().iter().zip(shape).take_while(|(m, n)| m == n).count();
            let found = array.shape().get(axis).copied().unwrap_or(1);
            return Err(ragged(shape.get(axis).copied().unwrap_or(1), depth + axis, found));
        }
        let array = array.contiguous().map_err(|e| raise(&e))?;
        with_element!(array.dtype(), T => {
            // SAFETY: read at once, under the GIL.
            for x in unsafe { array.as_slice::<T>() }.unwrap_or_default() {
                self.push(x.to_scalar(), array.dtype());
            }
        });
        Ok(())
    }

    fn store(self, shape: &[usize]) -> PyResult<Tensor> {
        let dtype = self.wanted.or(self.found).unwrap_or_else(default_dtype);
        // Reading may run Python code, and other threads run beside it.
        if self.items.len() != shape.iter().product::<usize>() {
            return Err(PyRuntimeError::new_err("a sequence changed its length while it was read"));
        }
        let y = Array::empty(shape, dtype).map_err(|e| raise(&e))?;
        if dtype.category() == Category::Integer {
            self.items.iter().try_for_each(|&x| check_fits(x, dtype)).map_err(|e| raise(&e))?;
        }
        with_element!(dtype, T => {
            // SAFETY: the array was just made, and nobody else has seen it.
            let out = unsafe { y.as_mut_slice::<T>() }.unwrap_or_default();
            for (slot, value) in out.iter_mut().zip(self.items) {
                *slot = T::from_scalar(value);
            }
        });
        Ok(Tensor::new(y))
    }
}

fn usual(value: Scalar) -> DType {
    match value.category() {
        Category::Bool => DType::Bool,
        Category::Integer => DType::I64,
        Category::Float => default_dtype(),
    }
}

#[cold]
fn ragged(expected: usize, axis: usize, found: usize) -> PyErr {
    PyValueError::new_err(format!("expected sequence of length {expected} at dim {axis} (got {found})"))
}
