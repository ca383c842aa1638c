//! What a tensor says about itself when asked by a call.

use arcgrad::array::layout;
use arcgrad::graph::row::{default_dtype, result_type, set_default_dtype};
use arcgrad::{DType, Tensor};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::bindings::properties::no_imaginary_part;
use crate::dispatch::Args;
use crate::error::raise;
use crate::{bindings, convert, size};

/// The axis in an argument.
fn axis(a: &Args<'_, '_>, i: usize) -> PyResult<usize> {
    let x = a.tensor(0)?;
    let (ndim, dim) = (x.ndim(), a.index(i)?);
    if ndim == 0 {
        return Err(pyo3::exceptions::PyIndexError::new_err(format!(
            "Dimension specified as {dim} but tensor has no dimensions"
        )));
    }
    layout::axis(dim, ndim).map_err(|e| raise(&e))
}

fn needs_dtype(a: &Args<'_, '_>, i: usize) -> PyResult<DType> {
    a.dtype(i)?.ok_or_else(|| PyTypeError::new_err("a dtype is needed"))
}

bindings! {
    /// The extents, or one of them.
    method size {
        "(Tensor input) -> Size" => |a| size::object(a.py(), &a.tensor(0)?.shape())?.unbind(),
        "(Tensor input, int? dim=None) -> int" => |a| match a.get(1) {
            Some(_) => (a.tensor(0)?.shape()[axis(a, 1)?]).into_pyobject(a.py())?.into_any().unbind(),
            None => size::object(a.py(), &a.tensor(0)?.shape())?.unbind(),
        }
    }
    /// The strides in elements, or one of them.
    method stride {
        "(Tensor input, int? dim=None) -> Any" => |a| {
            let array = a.tensor(0)?.array();
            match a.get(1) {
                Some(_) => array.strides()[axis(a, 1)?].into_pyobject(a.py())?.into_any().unbind(),
                None => PyTuple::new(a.py(), array.strides())?.into_any().unbind(),
            }
        }
    }
    /// The number of dimensions.
    method dim { "(Tensor input) -> int" => |a| a.tensor(0)?.ndim() }
    /// The number of dimensions.
    method ndimension { "(Tensor input) -> int" => |a| a.tensor(0)?.ndim() }
    /// The number of elements.
    both numel { "(Tensor input) -> int" => |a| a.tensor(0)?.numel() }
    /// The number of elements.
    method nelement { "(Tensor input) -> int" => |a| a.tensor(0)?.numel() }
    /// Bytes per element.
    method element_size { "(Tensor input) -> int" => |a| a.tensor(0)?.dtype().size() }
    /// The address of the first element.
    method data_ptr {
        "(Tensor input) -> int" => |a| {
            let array = a.tensor(0)?.array();
            if array.numel() == 0 { 0 } else { array.pointer().addr() }
        }
    }
    /// Whether elements lie in row-major order without gaps.
    method is_contiguous {
        "(Tensor input, Any? memory_format=None) -> bool" => |a| a.tensor(0)?.array().is_contiguous()
    }
    /// Whether elements are floating-point numbers.
    both is_floating_point { "(Tensor input) -> bool" => |a| a.tensor(0)?.dtype().is_floating() }
    /// Whether elements are complex numbers: never.
    both is_complex { "(Tensor input) -> bool" => |a| a.tensor(0).map(|_| false)? }
    /// Whether a conjugation is pending: never.
    both is_conj { "(Tensor input) -> bool" => |a| a.tensor(0).map(|_| false)? }
    /// Whether a negation is pending: never.
    both is_neg { "(Tensor input) -> bool" => |a| a.tensor(0).map(|_| false)? }
    /// The tensor itself: its elements have no imaginary part.
    function real { "(Tensor input) -> Tensor" => |a| a.tensor(0)?.clone() }
    /// Always fails: there are no complex numbers.
    function imag { "(Tensor input) -> Tensor" => |a| a.tensor(0).and_then(|_| Err::<Tensor, _>(no_imaginary_part()))? }
    /// Whether elements have a sign.
    both is_signed { "(Tensor input) -> bool" => |a| !matches!(a.tensor(0)?.dtype(), DType::U8 | DType::Bool) }
    /// Whether the tensor was made in inference mode.
    both is_inference { "(Tensor input) -> bool" => |a| a.tensor(0)?.is_inference() }
    /// Whether the memory is shared with other processes: never.
    method is_shared { "(Tensor input) -> bool" => |a| a.tensor(0).map(|_| false)? }
    /// Whether the memory is pinned: never.
    method is_pinned { "(Tensor input, Any? device=None) -> bool" => |a| a.tensor(0).map(|_| false)? }
    /// The number of the device: -1, the CPU.
    method get_device { "(Tensor input) -> int" => |a| a.tensor(0).map(|_| -1_i64)? }
    /// Whether both have the same shape.
    both is_same_size {
        "(Tensor input, Tensor other) -> bool" => |a| a.tensor(0)?.shape() == a.tensor(1)?.shape()
    }
    /// Whether an object is a tensor.
    function is_tensor { "(Any obj) -> bool" => |a| a.get(0).is_some_and(|x| convert::tensor(x).is_some()) }
    /// The dtype that operations on these two answer with.
    function result_type {
        "(Operand tensor1, Operand tensor2) -> dtype" => |a| result_type(&[a.operand(0)?, a.operand(1)?])
    }
    /// The smallest dtype that both convert to.
    function promote_types {
        "(dtype type1, dtype type2) -> dtype" => |a| needs_dtype(a, 0)?.promote(needs_dtype(a, 1)?)
    }
    /// Whether a value of one dtype may be stored as another: not if it loses its kind.
    function can_cast {
        "(dtype from_, dtype to) -> bool" => |a| needs_dtype(a, 0)?.category() <= needs_dtype(a, 1)?.category()
    }
    /// The dtype of new floats.
    function get_default_dtype { "() -> dtype" => |_a| default_dtype() }
    /// The device of new tensors.
    function get_default_device { "() -> device" => |a| crate::device::cpu(a.py())? }
    /// Sets the device of new tensors: the CPU, or the usual one, which is the CPU, if None.
    function set_default_device { "(Any device) -> None" => |a| crate::device::check(a.get(0))? }
    /// Sets the dtype of new floats.
    function set_default_dtype {
        "(Any d) -> None" => |a| match a.get(0).map(convert::dtype) {
            Some(Ok(dtype)) => set_default_dtype(dtype),
            _ => return Err(PyTypeError::new_err(
                "invalid dtype object: only floating-point types are supported as the default type",
            )),
        }
    }
    /// The threads that kernels may use.
    function get_num_threads { "() -> int" => |_a| arcgrad::array::pool::num_threads() }
    /// Sets how many threads kernels may use; 1 means that all is done on the calling thread.
    function set_num_threads {
        "(Any number) -> None" => |a| {
            // No machine has more; a pool of that size would only exhaust memory.
            const MOST: i64 = 4096;
            let number = a.int(0).map_err(|_| PyRuntimeError::new_err("set_num_threads expects an int"))?;
            if number > MOST {
                return Err(pyo3::exceptions::PyValueError::new_err(format!(
                    "set_num_threads expects at most {MOST}, not {number}"
                )));
            }
            let threads = usize::try_from(number)
                .ok()
                .filter(|&n| n > 0)
                .ok_or_else(|| PyRuntimeError::new_err("set_num_threads expects a positive integer"))?;
            arcgrad::array::pool::set_num_threads(threads)
        }
    }
    /// Makes a non-leaf keep its gradient.
    method retain_grad { "(Tensor input) -> None" => |a| a.tensor(0)?.retain_grad() }
}
