//! A tensor's elements as Python numbers; copies, casts and comparisons of whole tensors.

use arcgrad::array::{Array, Element, layout};
use arcgrad::with_element;
use arcgrad::{DType, Scalar, Tensor, ops};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use crate::dispatch::Args;
use crate::error::raise;
use crate::{bindings, convert, device, legacy};

/// The tensor as another dtype; itself if it has it and no copy is asked for.
fn cast(x: &Tensor, dtype: Option<DType>, copy: bool) -> arcgrad::Result<Tensor> {
    let dtype = dtype.unwrap_or_else(|| x.dtype());
    if copy { ops::to_copy(x, dtype) } else { ops::to_dtype(x, dtype) }
}

fn shorthand(a: &Args<'_, '_>, dtype: DType) -> PyResult<Tensor> {
    a.call(ops::to_dtype, (a.tensor(0)?, dtype)).map_err(|e| raise(&e))
}

bindings! {
    /// The value of the only element.
    method item { "(Tensor input) -> Scalar" => |a| a.tensor(0)?.item() }
    /// The elements as nested lists of Python numbers; a plain number if there are no dimensions.
    method tolist { "(Tensor input) -> Any" => |a| nested(a.py(), &a.tensor(0)?.array())? }
    /// The same memory without a history.
    both detach { "(Tensor input) -> Tensor" => |a| a.tensor(0)?.detach() }
    /// Drops the history of this tensor itself.
    both detach_ {
        "(Tensor input) -> Tensor" => |a| {
            let x = a.tensor(0)?;
            x.detach_().map(|()| x.clone())
        }
    }
    /// A copy.
    both clone {
        "(Tensor input, *, Any? memory_format=None) -> Tensor" => |a| a.call(ops::clone, (a.tensor(0)?,))
    }
    /// The tensor itself if its elements lie in row-major order without gaps, else a copy that does.
    method contiguous {
        "(Tensor input, Any? memory_format=None) -> Tensor" => |a| a.call(ops::contiguous, (a.tensor(0)?,))
    }
    /// The tensor with another dtype; itself if nothing changes and `copy` is false.
    method to {
        "(Tensor input, dtype dtype, bool non_blocking=False, bool copy=False, *, Any? memory_format=None) -> Tensor"
            => |a| a.call(cast, (a.tensor(0)?, a.dtype(1)?, a.flag(3)?)),
        "(Tensor input, Tensor other, bool non_blocking=False, bool copy=False, *, Any? memory_format=None) -> Tensor"
            => |a| a.call(cast, (a.tensor(0)?, Some(a.tensor(1)?.dtype()), a.flag(3)?)),
        "(Tensor input, Any? device=None, dtype? dtype=None, bool non_blocking=False, bool copy=False, *, Any? memory_format=None) -> Tensor" => |a| {
            device::check(a.get(1))?;
            a.call(cast, (a.tensor(0)?, a.dtype(2)?, a.flag(4)?))
        }
    }
    /// A tensor of this one's dtype: of extents, of data, or on the memory of another tensor. An old constructor.
    method new {
        "(Tensor input, *, Any? device=None) -> Tensor" => |a| {
            device::check(a.get(1))?;
            ops::creation::empty(&[0], a.tensor(0)?.dtype())
        },
        "(Tensor input, Any data, *, Any? device=None) -> Tensor" => |a| {
            device::check(a.get(2))?;
            let dtype = a.tensor(0)?.dtype();
            let made = legacy::of(a.any(1)?, dtype)?;
            if made.dtype() != dtype {
                return Err(PyTypeError::new_err(format!("new(): expected a tensor of {dtype} (got {})", made.dtype())));
            }
            made
        },
        "(Tensor input, int[] size, *, Any? device=None) -> Tensor" => |a| {
            device::check(a.get(2))?;
            let shape = convert::core(layout::sizes(&a.ints(1)?))?;
            ops::creation::empty(&shape, a.tensor(0)?.dtype())
        }
    }
    /// The tensor with the dtype of another.
    method type_as {
        "(Tensor input, Tensor other) -> Tensor"
            => |a| a.call(cast, (a.tensor(0)?, Some(a.tensor(1)?.dtype()), false))
    }
    /// The name of this kind of tensor, or the tensor as another kind.
    method type {
        "(Tensor input, Any? dtype=None, bool non_blocking=False) -> Any" => |a| {
            let x = a.tensor(0)?;
            let Some(wanted) = a.get(1) else {
                return Ok(PyString::new(a.py(), x.dtype().tensor_name()).into_any().unbind());
            };
            let dtype = match wanted.extract::<String>() {
                Ok(name) => DType::ALL
                    .into_iter()
                    .find(|d| d.tensor_name() == name)
                    .ok_or_else(|| PyTypeError::new_err(format!("invalid type: '{name}'")))?,
                // A dtype, or an old class of tensors that has one.
                Err(_) => convert::dtype(wanted).or_else(|error| match wanted.getattr("dtype") {
                    Ok(dtype) => convert::dtype(&dtype),
                    Err(_) => Err(error),
                })?,
            };
            convert::object(a.py(), cast(x, Some(dtype), false).map_err(|e| raise(&e))?)?
        }
    }
    /// As float32.
    method float { "(Tensor input, *, Any? memory_format=None) -> Tensor" => |a| shorthand(a, DType::F32)? }
    /// As float64.
    method double { "(Tensor input, *, Any? memory_format=None) -> Tensor" => |a| shorthand(a, DType::F64)? }
    /// As uint8.
    method byte { "(Tensor input, *, Any? memory_format=None) -> Tensor" => |a| shorthand(a, DType::U8)? }
    /// As int8.
    method char { "(Tensor input, *, Any? memory_format=None) -> Tensor" => |a| shorthand(a, DType::I8)? }
    /// As int16.
    method short { "(Tensor input, *, Any? memory_format=None) -> Tensor" => |a| shorthand(a, DType::I16)? }
    /// As int32.
    method int { "(Tensor input, *, Any? memory_format=None) -> Tensor" => |a| shorthand(a, DType::I32)? }
    /// As int64.
    method long { "(Tensor input, *, Any? memory_format=None) -> Tensor" => |a| shorthand(a, DType::I64)? }
    /// As truth values: whether each element differs from zero.
    method bool { "(Tensor input, *, Any? memory_format=None) -> Tensor" => |a| shorthand(a, DType::Bool)? }
    /// The tensor itself: this is where all tensors are.
    method cpu { "(Tensor input, *, Any? memory_format=None) -> Tensor" => |a| a.tensor(0)?.clone() }
    /// Always fails: there is no such device.
    method cuda {
        "(Tensor input, Any? device=None, bool non_blocking=False, *, Any? memory_format=None) -> Tensor" => |_a| {
            no_cuda()?
        }
    }
    /// Whether both have the same shape and elements.
    both equal {
        "(Tensor input, Tensor other) -> bool" => |a| a.call(ops::equal, (a.tensor(0)?, a.tensor(1)?))
    }
    /// Whether elements are equal to within atol + rtol |other|.
    both isclose {
        "(Tensor input, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> Tensor"
            => |a| a.call(ops::isclose, (a.tensor(0)?, a.tensor(1)?, a.float(2)?, a.float(3)?, a.flag(4)?))
    }
    /// Whether all elements are close.
    both allclose {
        "(Tensor input, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> bool"
            => |a| a.call(ops::allclose, (a.tensor(0)?, a.tensor(1)?, a.float(2)?, a.float(3)?, a.flag(4)?))
    }
    /// Whether the only element differs from zero.
    both is_nonzero { "(Tensor input) -> bool" => |a| truth(a.tensor(0)?)? }
}

fn no_cuda() -> PyResult<()> {
    Err(PyRuntimeError::new_err("device 'cuda' is not available: arcgrad computes on the CPU only"))
}

/// The truth of a tensor of one element.
pub fn truth(x: &Tensor) -> PyResult<bool> {
    match x.numel() {
        1 => x.item().map(Scalar::is_true).map_err(|e| raise(&e)),
        0 => Err(PyRuntimeError::new_err("Boolean value of Tensor with no values is ambiguous")),
        n => Err(PyRuntimeError::new_err(format!(
            "Boolean value of Tensor with more than one value is ambiguous (it has {n}; use .any() or .all())"
        ))),
    }
}

fn nested(py: Python<'_>, x: &Array) -> PyResult<Py<PyAny>> {
    let x = x.contiguous().map_err(|e| raise(&e))?;
    with_element!(x.dtype(), T => {
        // SAFETY: read at once, under the GIL; a writer on another thread gets what it asked for.
        let values = unsafe { x.as_slice::<T>() }.unwrap_or_default();
        level(py, values, x.shape())
    })
}

fn level<T: Element>(py: Python<'_>, values: &[T], shape: &[usize]) -> PyResult<Py<PyAny>> {
    let number = |x: &T| convert::number(py, x.to_scalar());
    let Some((&n, inner)) = shape.split_first() else { return Ok(number(&values[0])) };
    if inner.is_empty() {
        return Ok(PyList::new(py, values.iter().map(number))?.into_any().unbind());
    }
    let step = inner.iter().product::<usize>();
    let items =
        (0..n).map(|i| level(py, &values[i * step..(i + 1) * step], inner)).collect::<PyResult<Vec<_>>>()?;
    Ok(PyList::new(py, items)?.into_any().unbind())
}
