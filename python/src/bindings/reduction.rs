//! Reductions, scans and softmax.

use arcgrad::{Result, Tensor, ops};
use pyo3::PyResult;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::types::PyAnyMethods;
use smallvec::SmallVec;

use crate::bindings;
use crate::convert;
use crate::dispatch::Args;
use crate::error::raise;
use crate::named::Named;

type Axes = Option<SmallVec<[isize; 6]>>;
type OfAxes<T> = fn(&Tensor, Option<&[isize]>, bool) -> Result<T>;
type OfMoments<T> = fn(&Tensor, Option<&[isize]>, f64, bool) -> Result<T>;

/// A reduction over `(input, dim, keepdim)`.
fn over<T>(a: &Args<'_, '_>, op: OfAxes<T>) -> PyResult<Result<T>> {
    let call = |x: &Tensor, dim: Axes, keepdim: bool| op(x, dim.as_deref(), keepdim);
    Ok(a.call(call, (a.tensor(0)?, a.optional_ints(1)?, a.flag(2)?)))
}

/// A reduction over `(input, dim, keepdim, dtype)`.
fn over_as(
    a: &Args<'_, '_>,
    op: fn(&Tensor, Option<&[isize]>, bool, Option<arcgrad::DType>) -> Result<Tensor>,
) -> PyResult<Result<Tensor>> {
    let call = |x: &Tensor, dim: Axes, keepdim: bool, dtype: Option<arcgrad::DType>| {
        op(x, dim.as_deref(), keepdim, dtype)
    };
    Ok(a.call(call, (a.tensor(0)?, a.optional_ints(1)?, a.flag(2)?, a.dtype(3)?)))
}

/// A spread of `(input, unbiased)`.
fn spread_of_all<T>(a: &Args<'_, '_>, op: OfMoments<T>) -> PyResult<Result<T>> {
    warn_of_too_few(a, a.tensor(0)?.numel(), f64::from(u8::from(a.flag(1)?)))?;
    let call = |x: &Tensor, unbiased: bool| op(x, None, f64::from(u8::from(unbiased)), false);
    Ok(a.call(call, (a.tensor(0)?, a.flag(1)?)))
}

/// How many numbers each output of `(input, dim, ...)` is made of.
fn reduced(a: &Args<'_, '_>) -> PyResult<usize> {
    let shape = a.tensor(0)?.shape();
    let dims = a.optional_ints(1)?.filter(|dims| !dims.is_empty());
    let Some(dims) = dims else { return Ok(shape.iter().product()) };
    let axes = dims.iter().filter_map(|&d| arcgrad::array::layout::axis(d, shape.len()).ok());
    Ok(axes.map(|axis| shape.get(axis).copied().unwrap_or(1)).product())
}

/// A spread of no more numbers than the correction takes away is NaN or infinite.
fn warn_of_too_few(a: &Args<'_, '_>, count: usize, correction: f64) -> PyResult<()> {
    if count as f64 > correction || a.tensor(0)?.numel() == 0 {
        return Ok(());
    }
    let category = a.py().get_type::<pyo3::exceptions::PyUserWarning>();
    let message = c"degrees of freedom is <= 0. Correction should be strictly less than the reduction factor (input numel divided by output numel).";
    pyo3::PyErr::warn(a.py(), &category, message, 1)
}

/// A spread over `(input, dim, unbiased, keepdim)`.
fn spread<T>(a: &Args<'_, '_>, op: OfMoments<T>) -> PyResult<Result<T>> {
    warn_of_too_few(a, reduced(a)?, f64::from(u8::from(a.flag(2)?)))?;
    let call = |x: &Tensor, dim: Axes, unbiased: bool, keepdim: bool| {
        op(x, dim.as_deref(), f64::from(u8::from(unbiased)), keepdim)
    };
    Ok(a.call(call, (a.tensor(0)?, a.optional_ints(1)?, a.flag(2)?, a.flag(3)?)))
}

/// A spread over `(input, dim, correction, keepdim)`.
fn spread_corrected<T>(a: &Args<'_, '_>, op: OfMoments<T>) -> PyResult<Result<T>> {
    warn_of_too_few(a, reduced(a)?, a.optional_float(2)?.unwrap_or(1.0))?;
    let call = |x: &Tensor, dim: Axes, correction: Option<f64>, keepdim: bool| {
        op(x, dim.as_deref(), correction.unwrap_or(1.0), keepdim)
    };
    Ok(a.call(call, (a.tensor(0)?, a.optional_ints(1)?, a.optional_float(2)?, a.flag(3)?)))
}

/// The order of a norm as PyTorch takes it: a number, 'fro' or nothing for the Euclidean one.
fn order_of_norm(a: &Args<'_, '_>, i: usize) -> PyResult<f64> {
    let Some(order) = a.get(i) else { return Ok(2.0) };
    if let Ok(name) = order.extract::<String>() {
        return match name.as_str() {
            "fro" => Ok(2.0),
            "inf" => Ok(f64::INFINITY),
            "-inf" => Ok(f64::NEG_INFINITY),
            _ => Err(PyRuntimeError::new_err(format!(
                "norm: the order '{name}' is not supported; 'fro', 'nuc' and numbers are"
            ))),
        };
    }
    let number = convert::operand(order)?;
    match number {
        Some(arcgrad::graph::Operand::Scalar(p)) => Ok(p.to_f64()),
        Some(arcgrad::graph::Operand::Tensor(p)) if convert::is_number(p) => {
            Ok(p.item().map_err(|e| raise(&e))?.to_f64())
        }
        Some(arcgrad::graph::Operand::Tensor(_)) | None => {
            Err(PyTypeError::new_err("norm: the order must be a number or 'fro'"))
        }
    }
}

/// A norm of `(input, order, dim, keepdim, dtype)`.
fn norm(a: &Args<'_, '_>) -> PyResult<Result<Tensor>> {
    let call = |x: &Tensor, p: f64, dim: Axes, keepdim: bool, dtype: Option<arcgrad::DType>| {
        ops::vector_norm(x, p, dim.as_deref(), keepdim, dtype)
    };
    if a.get(1).is_some_and(|order| order.extract::<String>().is_ok_and(|name| name == "nuc")) {
        let call = |x: &Tensor, dim: Axes, keepdim: bool, dtype: Option<arcgrad::DType>| {
            let x = dtype.map_or_else(|| Ok(x.clone()), |dtype| ops::to_dtype(x, dtype))?;
            ops::nuclear_norm(&x, dim.as_deref(), keepdim)
        };
        return Ok(a.call(call, (a.tensor(0)?, a.optional_ints(2)?, a.flag(3)?, a.dtype(4)?)));
    }
    Ok(a.call(call, (a.tensor(0)?, order_of_norm(a, 1)?, a.optional_ints(2)?, a.flag(3)?, a.dtype(4)?)))
}

/// Quantiles of `(input, q, dim, keepdim, interpolation)`.
fn quantile(a: &Args<'_, '_>, skip_nan: bool) -> PyResult<Result<Tensor>> {
    let x = a.tensor(0)?;
    let q = match a.get(1).and_then(convert::tensor) {
        Some(q) => q.clone(),
        None => Tensor::scalar(a.float(1)?, x.dtype()).map_err(|e| raise(&e))?,
    };
    let interpolation = ops::Interpolation::named(&a.str(4)?).map_err(|e| raise(&e))?;
    let (dim, keepdim) = (a.optional_index(2)?, a.flag(3)?);
    let call = move |x: &Tensor| ops::quantile(x, &q, dim, keepdim, interpolation, skip_nan);
    Ok(a.call(call, (x,)))
}

/// The op's answer as a named tuple.
fn named<T>(answer: PyResult<Result<T>>, name: impl FnOnce(T) -> Named) -> PyResult<Result<Named>> {
    Ok(answer?.map(name))
}

bindings! {
    /// Sum over the given axes, or of all elements. Integers are summed in 64 bits.
    both sum {
        "(Tensor input, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor" => |a| {
            let sum = |x: &Tensor, dim: Axes, keepdim: bool, dtype| ops::sum(x, dim.as_deref(), keepdim, dtype);
            // PyTorch's `sum(dim=None)` is a sum over axes, all of them, and its node has the name of one.
            let dim = a.optional_ints(1)?.or_else(|| a.is_given(1).then(SmallVec::new));
            a.call(sum, (a.tensor(0)?, dim, a.flag(2)?, a.dtype(3)?))
        }
    }
    /// Sum of what is not NaN.
    both nansum {
        "(Tensor input, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor" => |a| over_as(a, ops::nansum)?
    }
    /// Arithmetic mean over the given axes, or of all elements.
    both mean {
        "(Tensor input, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor" => |a| over_as(a, ops::mean)?
    }
    /// Mean of what is not NaN.
    both nanmean {
        "(Tensor input, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor" => |a| over_as(a, ops::nanmean)?
    }
    /// Product over an axis, or of all elements. Integers are multiplied in 64 bits.
    both prod {
        "(Tensor input, *, dtype? dtype=None) -> Tensor" => |a| a.call(
            |x: &Tensor, dtype| ops::prod(x, None, false, dtype), (a.tensor(0)?, a.dtype(1)?)),
        "(Tensor input, int dim, bool keepdim=False, *, dtype? dtype=None) -> Tensor" => |a| a.call(
            |x: &Tensor, dim, keepdim, dtype| ops::prod(x, Some(dim), keepdim, dtype),
            (a.tensor(0)?, a.index(1)?, a.flag(2)?, a.dtype(3)?))
    }
    /// The largest of all elements; or along an axis, with its position; or of two tensors, element by element.
    both max {
        "(Tensor input) -> Tensor" => |a| a.call(ops::max, (a.tensor(0)?,)),
        "(Tensor input, Tensor other) -> Tensor" => |a| a.call(
            |x: &Tensor, y: &Tensor| ops::maximum(x, y), (a.tensor(0)?, a.tensor(1)?)),
        "(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)" => |a| named(
            Ok(a.call(ops::max_dim, (a.tensor(0)?, a.index(1)?, a.flag(2)?))), |pair| Named::chosen("max", pair))?
    }
    /// The smallest of all elements; or along an axis, with its position; or of two tensors, element by element.
    both min {
        "(Tensor input) -> Tensor" => |a| a.call(ops::min, (a.tensor(0)?,)),
        "(Tensor input, Tensor other) -> Tensor" => |a| a.call(
            |x: &Tensor, y: &Tensor| ops::minimum(x, y), (a.tensor(0)?, a.tensor(1)?)),
        "(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)" => |a| named(
            Ok(a.call(ops::min_dim, (a.tensor(0)?, a.index(1)?, a.flag(2)?))), |pair| Named::chosen("min", pair))?
    }
    /// The largest over the given axes; equal ones share its gradient.
    both amax {
        "(Tensor input, int[] dim=(), bool keepdim=False) -> Tensor" => |a| over(a, ops::amax)?
    }
    /// The smallest over the given axes; equal ones share its gradient.
    both amin {
        "(Tensor input, int[] dim=(), bool keepdim=False) -> Tensor" => |a| over(a, ops::amin)?
    }
    /// The smallest and the largest, along an axis or of all elements.
    both aminmax {
        "(Tensor input, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)" => |a| named(
            Ok(a.call(ops::aminmax, (a.tensor(0)?, a.optional_index(1)?, a.flag(2)?))), Named::ends)?
    }
    /// The position of the first largest element, along an axis or of all elements.
    both argmax {
        "(Tensor input, int? dim=None, bool keepdim=False) -> Tensor" => |a| a.call(
            ops::argmax, (a.tensor(0)?, a.optional_index(1)?, a.flag(2)?))
    }
    /// The position of the first smallest element, along an axis or of all elements.
    both argmin {
        "(Tensor input, int? dim=None, bool keepdim=False) -> Tensor" => |a| a.call(
            ops::argmin, (a.tensor(0)?, a.optional_index(1)?, a.flag(2)?))
    }
    /// Variance, by `n - 1` unless told otherwise.
    both var {
        "(Tensor input, bool unbiased=True) -> Tensor" => |a| spread_of_all(a, ops::var)?,
        "(Tensor input, int[]? dim, bool unbiased=True, bool keepdim=False) -> Tensor" => |a| spread(a, ops::var)?,
        "(Tensor input, int[]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor" => |a| spread_corrected(a, ops::var)?
    }
    /// Standard deviation, by `n - 1` unless told otherwise.
    both std {
        "(Tensor input, bool unbiased=True) -> Tensor" => |a| spread_of_all(a, ops::std)?,
        "(Tensor input, int[]? dim, bool unbiased=True, bool keepdim=False) -> Tensor" => |a| spread(a, ops::std)?,
        "(Tensor input, int[]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor" => |a| spread_corrected(a, ops::std)?
    }
    /// Variance and mean.
    function var_mean {
        "(Tensor input, bool unbiased=True) -> (Tensor, Tensor)" => |a| spread_of_all(a, ops::var_mean)?,
        "(Tensor input, int[]? dim, bool unbiased=True, bool keepdim=False) -> (Tensor, Tensor)" => |a| spread(a, ops::var_mean)?,
        "(Tensor input, int[]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> (Tensor, Tensor)" => |a| spread_corrected(a, ops::var_mean)?
    }
    /// Standard deviation and mean.
    function std_mean {
        "(Tensor input, bool unbiased=True) -> (Tensor, Tensor)" => |a| spread_of_all(a, ops::std_mean)?,
        "(Tensor input, int[]? dim, bool unbiased=True, bool keepdim=False) -> (Tensor, Tensor)" => |a| spread(a, ops::std_mean)?,
        "(Tensor input, int[]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> (Tensor, Tensor)" => |a| spread_corrected(a, ops::std_mean)?
    }
    /// Whether any element differs from zero.
    both any {
        "(Tensor input, int[]? dim=None, bool keepdim=False) -> Tensor" => |a| over(a, ops::any)?
    }
    /// Whether all elements differ from zero.
    both all {
        "(Tensor input, int[]? dim=None, bool keepdim=False) -> Tensor" => |a| over(a, ops::all)?
    }
    /// How many elements differ from zero.
    both count_nonzero {
        "(Tensor input, int[]? dim=None) -> Tensor" => |a| a.call(
            |x: &Tensor, dim: Axes| ops::count_nonzero(x, dim.as_deref()), (a.tensor(0)?, a.optional_ints(1)?))
    }
    /// Sum of the diagonal of a matrix.
    both trace { "(Tensor input) -> Tensor" => |a| a.call(ops::trace, (a.tensor(0)?,)) }
    /// Running sums along an axis.
    both cumsum {
        "(Tensor input, int dim, *, dtype? dtype=None) -> Tensor" => |a| a.call(
            ops::cumsum, (a.tensor(0)?, a.index(1)?, a.dtype(2)?))
    }
    /// Running products along an axis.
    both cumprod {
        "(Tensor input, int dim, *, dtype? dtype=None) -> Tensor" => |a| a.call(
            ops::cumprod, (a.tensor(0)?, a.index(1)?, a.dtype(2)?))
    }
    /// The largest so far along an axis, and where it stands.
    both cummax {
        "(Tensor input, int dim) -> (Tensor values, Tensor indices)" => |a| named(
            Ok(a.call(ops::cummax, (a.tensor(0)?, a.index(1)?))), |pair| Named::chosen("cummax", pair))?
    }
    /// The smallest so far along an axis, and where it stands.
    both cummin {
        "(Tensor input, int dim) -> (Tensor values, Tensor indices)" => |a| named(
            Ok(a.call(ops::cummin, (a.tensor(0)?, a.index(1)?))), |pair| Named::chosen("cummin", pair))?
    }
    /// The running logarithm of the sum of exponentials along an axis.
    both logcumsumexp {
        "(Tensor input, int dim) -> Tensor" => |a| a.call(ops::logcumsumexp, (a.tensor(0)?, a.index(1)?))
    }
    /// The logarithm of the sum of exponentials over the given axes.
    both logsumexp {
        "(Tensor input, int[] dim, bool keepdim=False) -> Tensor" => |a| over(a, ops::logsumexp)?
    }
    /// e^x by its sum along an axis.
    both softmax {
        "(Tensor input, int dim, dtype? dtype=None) -> Tensor" => |a| a.call(
            ops::softmax, (a.tensor(0)?, a.index(1)?, a.dtype(2)?))
    }
    /// The logarithm of softmax.
    both log_softmax {
        "(Tensor input, int dim, dtype? dtype=None) -> Tensor" => |a| a.call(
            ops::log_softmax, (a.tensor(0)?, a.index(1)?, a.dtype(2)?))
    }
    /// Softmax of the negative.
    function softmin {
        "(Tensor input, int dim, int _stacklevel=3, dtype? dtype=None) -> Tensor" => |a| a.call(
            ops::softmin, (a.tensor(0)?, a.index(1)?, a.dtype(3)?))
    }
    /// The p-norm over the given axes, or of all elements.
    both norm {
        "(Tensor input, Any p='fro', int[]? dim=None, bool keepdim=False, dtype? dtype=None) -> Tensor" => |a| norm(a)?
    }
    /// The p-norm over the given axes, or of all elements.
    function linalg_vector_norm {
        "(Tensor x, Scalar ord=2, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor" => |a| norm(a)?
    }
    /// The p-norm of the difference.
    both dist {
        "(Tensor input, Tensor other, Scalar p=2) -> Tensor" => |a| a.call(
            ops::dist, (a.tensor(0)?, a.tensor(1)?, a.float(2)?))
    }
    /// Scales parts whose norm is too large down to the largest allowed.
    both renorm {
        "(Tensor input, Scalar p, int dim, Scalar maxnorm) -> Tensor" => |a| a.call(
            ops::renorm, (a.tensor(0)?, a.float(1)?, a.index(2)?, a.float(3)?))
    }
    /// Differences of neighbours along an axis.
    both diff {
        "(Tensor input, int n=1, int dim=-1, Tensor? prepend=None, Tensor? append=None) -> Tensor" => |a| a.call(
            ops::diff, (a.tensor(0)?, a.int(1)?, a.index(2)?, a.optional_tensor(3)?, a.optional_tensor(4)?))
    }
    /// The median of all elements; or along an axis, with its position.
    both median {
        "(Tensor input) -> Tensor" => |a| a.call(ops::median, (a.tensor(0)?,)),
        "(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)" => |a| named(
            Ok(a.call(ops::median_dim, (a.tensor(0)?, a.index(1)?, a.flag(2)?))), |pair| Named::chosen("median", pair))?
    }
    /// The median of what is not NaN.
    both nanmedian {
        "(Tensor input) -> Tensor" => |a| a.call(ops::nanmedian, (a.tensor(0)?,)),
        "(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)" => |a| named(
            Ok(a.call(ops::nanmedian_dim, (a.tensor(0)?, a.index(1)?, a.flag(2)?))),
            |pair| Named::chosen("nanmedian", pair))?
    }
    /// The most frequent value along an axis, and its last position.
    both mode {
        "(Tensor input, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)" => |a| named(
            Ok(a.call(ops::mode, (a.tensor(0)?, a.index(1)?, a.flag(2)?))), |pair| Named::chosen("mode", pair))?
    }
    /// Quantiles along an axis, or of all elements.
    both quantile {
        "(Tensor input, Operand q, int? dim=None, bool keepdim=False, *, str interpolation='linear') -> Tensor" => |a| quantile(a, false)?
    }
    /// Quantiles of what is not NaN.
    both nanquantile {
        "(Tensor input, Operand q, int? dim=None, bool keepdim=False, *, str interpolation='linear') -> Tensor" => |a| quantile(a, true)?
    }
}
