//! New tensors: from data, filled, counted, and like others.

use arcgrad::array::{Array, Dims, layout};
use arcgrad::graph::row::default_dtype;
use arcgrad::ops::creation;
use arcgrad::{DType, Scalar, Tensor};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;

use crate::dispatch::Args;
use crate::error::raise;
use crate::{array_interface, bindings, device, nested};

/// What all factories are told at the end of their arguments: dtype, layout, device, pin_memory, requires_grad, in this order.
pub struct Options {
    /// The dtype, if one was named.
    pub dtype: Option<DType>,
    requires_grad: bool,
}

impl Options {
    /// Reads them from position `at` on.
    pub fn read(a: &Args<'_, '_>, at: usize) -> PyResult<Self> {
        device::check(a.get(at + 2))?;
        Ok(Self { dtype: a.dtype(at)?, requires_grad: a.flag(at + 4)? })
    }

    /// The dtype, the usual one if none was named.
    pub fn dtype(&self) -> DType {
        self.dtype.unwrap_or_else(default_dtype)
    }

    /// The finished tensor, in `out` if that was given.
    pub fn finish(
        &self,
        made: arcgrad::Result<Tensor>,
        name: &'static str,
        out: Option<&Tensor>,
    ) -> PyResult<Tensor> {
        let y = made.and_then(|y| y.requires_grad_(self.requires_grad)).map_err(|e| raise(&e))?;
        let Some(out) = out else { return Ok(y) };
        if let Some(dtype) = self.dtype
            && dtype != out.dtype()
        {
            return Err(PyRuntimeError::new_err(format!(
                "dtype {} does not match dtype of out parameter ({})",
                dtype.scalar_name(),
                out.dtype().scalar_name()
            )));
        }
        creation::write_out(name, &y, out).map_err(|e| raise(&e))?;
        Ok(out.clone())
    }
}

/// The sizes in an argument.
pub fn shape(a: &Args<'_, '_>, i: usize) -> PyResult<Dims> {
    layout::sizes(&a.ints(i)?).map_err(|e| raise(&e))
}

/// One value everywhere, with the order in memory of another tensor.
fn like(x: &Tensor, dtype: DType, value: Scalar) -> arcgrad::Result<Tensor> {
    creation::check_fits(value, dtype)?;
    let y = x.array().empty_dense_like(dtype)?;
    arcgrad::array::kernels::fill::fill(&y, value);
    Ok(Tensor::new(y))
}

fn filled(a: &Args<'_, '_>, name: &'static str, value: i64) -> PyResult<Tensor> {
    let options = Options::read(a, 2)?;
    let out = a.optional_tensor(1)?;
    let dtype = out.map_or_else(|| options.dtype(), Tensor::dtype);
    let shape = shape(a, 0)?;
    let made = if value == 0 {
        Tensor::zeros(&shape, dtype)
    } else {
        Tensor::full(&shape, Scalar::Int(value), dtype)
    };
    options.finish(made, name, out)
}

fn filled_like(a: &Args<'_, '_>, value: Scalar, at: usize) -> PyResult<Tensor> {
    let (x, options) = (a.tensor(0)?, Options::read(a, at)?);
    options.finish(like(x, options.dtype.unwrap_or(x.dtype()), value), "like", None)
}

fn new_filled(a: &Args<'_, '_>, value: Scalar, at: usize) -> PyResult<Tensor> {
    let options = Options::read(a, at)?;
    let dtype = options.dtype.unwrap_or(a.tensor(0)?.dtype());
    options.finish(creation::full(&shape(a, 1)?, value, dtype), "new", None)
}

fn range(a: &Args<'_, '_>, start: Scalar, end: Scalar, step: Scalar, out: usize) -> PyResult<Tensor> {
    let options = Options::read(a, out + 1)?;
    let out = a.optional_tensor(out)?;
    let dtype = options.dtype.or(out.map(Tensor::dtype));
    options.finish(creation::arange(start, end, step, dtype), "arange", out)
}

const ONE: Scalar = Scalar::Int(1);
const ZERO: Scalar = Scalar::Int(0);

bindings! {
    /// A new tensor with a copy of the data: a number, nested sequences of numbers, or a NumPy array.
    function tensor {
        "(Any data, *, dtype? dtype=None, Any? device=None, bool? requires_grad=False, bool? pin_memory=False) -> Tensor" => |a| {
            device::check(a.get(2))?;
            let data = data(a)?;
            if crate::convert::tensor(data).is_some() {
                PyErr::warn(
                    a.py(),
                    &a.py().get_type::<pyo3::exceptions::PyUserWarning>(),
                    c"To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or \
                      sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
                    1,
                )?;
            }
            nested::tensor(data, a.dtype(1)?)?.requires_grad_(a.flag(3)?)
        }
    }
    /// The data as a tensor: itself if it is one, sharing memory with a NumPy array, else a copy.
    function as_tensor {
        "(Any data, dtype? dtype=None, Any? device=None) -> Tensor" => |a| {
            device::check(a.get(2))?;
            nested::share(data(a)?, a.dtype(1)?, None)?
        }
    }
    /// The data as a tensor, shared where possible unless `copy` says otherwise.
    function asarray {
        "(Any obj, *, dtype? dtype=None, Any? device=None, bool? copy=None, bool? requires_grad=False) -> Tensor" => |a| {
            device::check(a.get(2))?;
            let x = nested::share(data(a)?, a.dtype(1)?, a.optional_flag(3)?)?;
            let x = if x.requires_grad() && !a.flag(4)? { x.detach() } else { x };
            if a.flag(4)? { x.requires_grad_(true) } else { Ok(x) }
        }
    }
    /// A tensor of the default dtype with one value and no dimensions.
    function scalar_tensor {
        "(Scalar s, *, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor" => |a| {
            let options = Options::read(a, 1)?;
            options.finish(creation::full(&[], a.scalar(0)?, options.dtype()), "scalar_tensor", None)?
        }
    }
    /// Zeros.
    function zeros {
        "(int... size, *, Tensor? out=None, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor"
            => |a| filled(a, "zeros", 0)?
    }
    /// Ones.
    function ones {
        "(int... size, *, Tensor? out=None, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor"
            => |a| filled(a, "ones", 1)?
    }
    /// A tensor of any content.
    function empty {
        "(int... size, *, Tensor? out=None, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False, Any? memory_format=None) -> Tensor" => |a| {
            let options = Options::read(a, 2)?;
            options.finish(creation::empty(&shape(a, 0)?, options.dtype()), "empty", a.optional_tensor(1)?)?
        }
    }
    /// A tensor of any content with these strides.
    function empty_strided {
        "(int[] size, int[] stride, *, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor" => |a| {
            let options = Options::read(a, 2)?;
            options.finish(
                creation::empty_strided(&shape(a, 0)?, &a.ints(1)?, options.dtype()),
                "empty_strided",
                None,
            )?
        }
    }
    /// One value everywhere. Without a dtype: int64 for an integer, bool for a truth value, else the default.
    function full {
        "(int[] size, Scalar fill_value, *, Tensor? out=None, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor" => |a| {
            let options = Options::read(a, 3)?;
            if a.get(0).is_some_and(|n| n.is_instance_of::<pyo3::types::PyInt>()) {
                return Err(PyTypeError::new_err(
                    "full(): argument 'size' (position 1) must be tuple of ints, not int",
                ));
            }
            let value = a.scalar(1)?;
            let out = a.optional_tensor(2)?;
            let dtype = options.dtype.or(out.map(Tensor::dtype)).unwrap_or(match value {
                Scalar::Bool(_) => DType::Bool,
                Scalar::Int(_) => DType::I64,
                Scalar::Float(_) => default_dtype(),
            });
            options.finish(creation::full(&shape(a, 0)?, value, dtype), "full", out)?
        }
    }
    /// Ones on the diagonal, zeros elsewhere.
    function eye {
        "(int n, int? m=None, *, Tensor? out=None, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor" => |a| {
            let options = Options::read(a, 3)?;
            let out = a.optional_tensor(2)?;
            let dtype = options.dtype.or(out.map(Tensor::dtype));
            options.finish(creation::eye(a.int(0)?, a.optional_int(1)?, dtype), "eye", out)?
        }
    }
    /// start, start + step, and so on, stopping before end.
    function arange {
        "(Scalar end, *, Tensor? out=None, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor"
            => |a| range(a, ZERO, a.scalar(0)?, ONE, 1)?,
        "(Scalar start, Scalar end, Scalar step=1, *, Tensor? out=None, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor"
            => |a| range(a, a.scalar(0)?, a.scalar(1)?, a.scalar(2)?, 3)?
    }
    /// Numbers at equal distances, both ends included.
    function linspace {
        "(float start, float end, int steps, *, Tensor? out=None, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor" => |a| {
            let options = Options::read(a, 4)?;
            let out = a.optional_tensor(3)?;
            let dtype = options.dtype.or(out.map(Tensor::dtype));
            options.finish(
                creation::linspace(a.float(0)?, a.float(1)?, a.int(2)?, dtype), "linspace", out,
            )?
        }
    }
    /// A base to the power of numbers at equal distances.
    function logspace {
        "(float start, float end, int steps, float base=10.0, *, Tensor? out=None, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor" => |a| {
            let options = Options::read(a, 5)?;
            let out = a.optional_tensor(4)?;
            let dtype = options.dtype.or(out.map(Tensor::dtype));
            options.finish(
                creation::logspace(a.float(0)?, a.float(1)?, a.int(2)?, a.float(3)?, dtype), "logspace", out,
            )?
        }
    }
    /// Zeros of the same shape.
    function zeros_like {
        "(Tensor input, *, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False, Any? memory_format=None) -> Tensor"
            => |a| filled_like(a, ZERO, 1)?
    }
    /// Ones of the same shape.
    function ones_like {
        "(Tensor input, *, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False, Any? memory_format=None) -> Tensor"
            => |a| filled_like(a, ONE, 1)?
    }
    /// One value everywhere, in the same shape.
    function full_like {
        "(Tensor input, Scalar fill_value, *, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False, Any? memory_format=None) -> Tensor"
            => |a| filled_like(a, a.scalar(1)?, 2)?
    }
    /// A tensor of any content and the same shape.
    function empty_like {
        "(Tensor input, *, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False, Any? memory_format=None) -> Tensor" => |a| {
            let (x, options) = (a.tensor(0)?, Options::read(a, 1)?);
            let made = x.array().empty_dense_like(options.dtype.unwrap_or(x.dtype())).map(Tensor::new);
            options.finish(made, "empty_like", None)?
        }
    }
    /// Zeros of this tensor's dtype.
    method new_zeros {
        "(Tensor input, int... size, *, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor"
            => |a| new_filled(a, ZERO, 2)?
    }
    /// Ones of this tensor's dtype.
    method new_ones {
        "(Tensor input, int... size, *, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor"
            => |a| new_filled(a, ONE, 2)?
    }
    /// One value everywhere, of this tensor's dtype.
    method new_full {
        "(Tensor input, int[] size, Scalar fill_value, *, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor"
            => |a| new_filled(a, a.scalar(2)?, 3)?
    }
    /// A tensor of any content, of this tensor's dtype.
    method new_empty {
        "(Tensor input, int... size, *, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor" => |a| {
            let options = Options::read(a, 2)?;
            let dtype = options.dtype.unwrap_or(a.tensor(0)?.dtype());
            options.finish(creation::empty(&shape(a, 1)?, dtype), "new_empty", None)?
        }
    }
    /// A tensor of any content with these strides, of this tensor's dtype.
    method new_empty_strided {
        "(Tensor input, int[] size, int[] stride, *, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor" => |a| {
            let options = Options::read(a, 3)?;
            let dtype = options.dtype.unwrap_or(a.tensor(0)?.dtype());
            options.finish(creation::empty_strided(&shape(a, 1)?, &a.ints(2)?, dtype), "new_empty_strided", None)?
        }
    }
    /// A copy of data, of this tensor's dtype.
    method new_tensor {
        "(Tensor input, Any data, *, dtype? dtype=None, Any? layout=None, Any? device=None, bool? pin_memory=False, bool? requires_grad=False) -> Tensor" => |a| {
            let options = Options::read(a, 2)?;
            let data = a.get(1).ok_or_else(|| PyRuntimeError::new_err("Could not infer dtype of NoneType"))?;
            let dtype = match crate::convert::tensor(data) {
                Some(x) => options.dtype.unwrap_or(x.dtype()),
                None => options.dtype.unwrap_or(a.tensor(0)?.dtype()),
            };
            options.finish(Ok(nested::tensor(data, Some(dtype))?), "new_tensor", None)?
        }
    }
    /// A tensor that shares memory with a NumPy array; read-only if the array is.
    function from_numpy {
        "(Any ndarray) -> Tensor" => |a| {
            let Some(array) = a.get(0) else {
                return Err(PyTypeError::new_err("expected np.ndarray (got NoneType)"));
            };
            let array = array_interface::from_numpy(array)?;
            if array.storage().is_read_only() {
                let category = a.py().get_type::<pyo3::exceptions::PyUserWarning>();
                let message = c"The given NumPy array is not writable; writing to the tensor that shares its memory is an error. Copy the array to have memory of its own.";
                pyo3::PyErr::warn(a.py(), &category, message, 1)?;
            }
            Tensor::new(array)
        }
    }
    /// A tensor that shares memory with any object that has a buffer.
    function frombuffer {
        "(Any buffer, *, dtype dtype, int count=-1, int offset=0, bool? requires_grad=False) -> Tensor" => |a| {
            let Some(dtype) = a.dtype(1)? else {
                return Err(PyTypeError::new_err("frombuffer() missing dtype"));
            };
            let array = a.py().import("numpy")?.call_method1(
                "frombuffer",
                (a.get(0), dtype.name(), a.int(2)?, a.int(3)?),
            )?;
            let x: Array = array_interface::from_numpy(&array)?;
            Tensor::new(x).requires_grad_(a.flag(4)?)
        }
    }
}

fn data<'a, 'py>(a: &'a Args<'_, 'py>) -> PyResult<&'a Bound<'py, PyAny>> {
    a.get(0).ok_or_else(|| PyRuntimeError::new_err("Could not infer dtype of NoneType"))
}
