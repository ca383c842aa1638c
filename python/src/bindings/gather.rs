//! Choosing and writing along axes, and sorting.

use arcgrad::graph::{Onto, Operand};
use arcgrad::ops::{self, Reduce, Unique};
use arcgrad::{DType, Scalar, Tensor};
use pyo3::prelude::*;

use crate::bindings;
use crate::convert::{Answer, core};
use crate::dispatch::Args;
use crate::named::Named;

bindings! {
    /// The elements along an axis that an index names.
    both gather {
        "(Tensor input, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor"
            => |a| a.call(ops::gather, (a.tensor(0)?, a.index(1)?, a.tensor(2)?))
    }
    /// A copy with values written along an axis at the places an index names.
    both scatter {
        "(Tensor input, int dim, Tensor index, Tensor src) -> Tensor"
            => |a| scatter(a, Onto::Copy, a.tensor(3)?.into(), false)?,
        "(Tensor input, int dim, Tensor index, Scalar value) -> Tensor"
            => |a| scatter(a, Onto::Copy, a.scalar(3)?.into(), false)?,
        "(Tensor input, int dim, Tensor index, Tensor src, *, str reduce) -> Tensor"
            => |a| scatter(a, Onto::Copy, a.tensor(3)?.into(), true)?,
        "(Tensor input, int dim, Tensor index, Scalar value, *, str reduce) -> Tensor"
            => |a| scatter(a, Onto::Copy, a.scalar(3)?.into(), true)?
    }
    /// Values written along an axis at the places an index names.
    method scatter_ {
        "(Tensor input, int dim, Tensor index, Tensor src) -> Tensor"
            => |a| scatter(a, Onto::Itself, a.tensor(3)?.into(), false)?,
        "(Tensor input, int dim, Tensor index, Scalar value) -> Tensor"
            => |a| scatter(a, Onto::Itself, a.scalar(3)?.into(), false)?,
        "(Tensor input, int dim, Tensor index, Tensor src, *, str reduce) -> Tensor"
            => |a| scatter(a, Onto::Itself, a.tensor(3)?.into(), true)?,
        "(Tensor input, int dim, Tensor index, Scalar value, *, str reduce) -> Tensor"
            => |a| scatter(a, Onto::Itself, a.scalar(3)?.into(), true)?
    }
    /// A copy with values added along an axis at the places an index names.
    both scatter_add {
        "(Tensor input, int dim, Tensor index, Tensor src) -> Tensor"
            => |a| a.call(ops::scatter_add, (a.tensor(0)?, a.index(1)?, a.tensor(2)?, a.tensor(3)?))
    }
    /// Values added along an axis at the places an index names.
    method scatter_add_ {
        "(Tensor input, int dim, Tensor index, Tensor src) -> Tensor"
            => |a| a.call(ops::scatter_add_, (a.tensor(0)?, a.index(1)?, a.tensor(2)?, a.tensor(3)?))
    }
    /// A copy with values put together along an axis at the places an index names.
    both scatter_reduce {
        "(Tensor input, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> Tensor" => |a| {
            let reduce = core(Reduce::parse(&a.str(4)?))?;
            a.call(ops::scatter_reduce, (a.tensor(0)?, a.index(1)?, a.tensor(2)?, a.tensor(3)?, reduce, a.flag(5)?))
        }
    }
    /// Values put together along an axis at the places an index names.
    method scatter_reduce_ {
        "(Tensor input, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> Tensor" => |a| {
            let reduce = core(Reduce::parse(&a.str(4)?))?;
            a.call(ops::scatter_reduce_, (a.tensor(0)?, a.index(1)?, a.tensor(2)?, a.tensor(3)?, reduce, a.flag(5)?))
        }
    }
    /// A copy with slices put together at positions along an axis.
    both index_reduce {
        "(Tensor input, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True) -> Tensor" => |a| {
            let reduce = core(Reduce::parse(&a.str(4)?))?;
            a.call(ops::index_reduce, (a.tensor(0)?, a.index(1)?, a.tensor(2)?, a.tensor(3)?, reduce, a.flag(5)?))
        }
    }
    /// Slices put together at positions along an axis.
    method index_reduce_ {
        "(Tensor input, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True) -> Tensor" => |a| {
            let reduce = core(Reduce::parse(&a.str(4)?))?;
            a.call(ops::index_reduce_, (a.tensor(0)?, a.index(1)?, a.tensor(2)?, a.tensor(3)?, reduce, a.flag(5)?))
        }
    }
    /// The slices that a vector of positions names.
    both index_select {
        "(Tensor input, int dim, Tensor index) -> Tensor"
            => |a| a.call(ops::index_select, (a.tensor(0)?, a.index(1)?, a.tensor(2)?))
    }
    /// A copy with slices added at positions along an axis.
    both index_add {
        "(Tensor input, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor" => |a| a.call(
            ops::index_add,
            (Onto::Copy, a.tensor(0)?, a.index(1)?, a.tensor(2)?, a.tensor(3)?, a.scalar(4)?),
        )
    }
    /// Slices added at positions along an axis.
    method index_add_ {
        "(Tensor input, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor" => |a| a.call(
            ops::index_add,
            (Onto::Itself, a.tensor(0)?, a.index(1)?, a.tensor(2)?, a.tensor(3)?, a.scalar(4)?),
        )
    }
    /// A copy with slices written at positions along an axis.
    both index_copy {
        "(Tensor input, int dim, Tensor index, Tensor source) -> Tensor"
            => |a| a.call(ops::index_copy, (Onto::Copy, a.tensor(0)?, a.index(1)?, a.tensor(2)?, a.tensor(3)?))
    }
    /// Slices written at positions along an axis.
    method index_copy_ {
        "(Tensor input, int dim, Tensor index, Tensor source) -> Tensor"
            => |a| a.call(ops::index_copy, (Onto::Itself, a.tensor(0)?, a.index(1)?, a.tensor(2)?, a.tensor(3)?))
    }
    /// A copy with one value at positions along an axis.
    both index_fill {
        "(Tensor input, int dim, Tensor index, Operand value) -> Tensor"
            => |a| ops::index_fill(Onto::Copy, a.tensor(0)?, a.index(1)?, a.tensor(2)?, a.operand(3)?)
    }
    /// One value written at positions along an axis.
    method index_fill_ {
        "(Tensor input, int dim, Tensor index, Operand value) -> Tensor"
            => |a| ops::index_fill(Onto::Itself, a.tensor(0)?, a.index(1)?, a.tensor(2)?, a.operand(3)?)
    }
    /// The elements at row-major positions.
    both take { "(Tensor input, Tensor index) -> Tensor" => |a| a.call(ops::take, (a.tensor(0)?, a.tensor(1)?)) }
    /// The elements along an axis that an index names, after broadcasting.
    both take_along_dim {
        "(Tensor input, Tensor indices, int? dim=None) -> Tensor"
            => |a| a.call(ops::take_along_dim, (a.tensor(0)?, a.tensor(1)?, a.optional_index(2)?))
    }
    /// A copy with elements written at row-major positions.
    both put {
        "(Tensor input, Tensor index, Tensor source, bool accumulate=False) -> Tensor"
            => |a| a.call(ops::put, (Onto::Copy, a.tensor(0)?, a.tensor(1)?, a.tensor(2)?, a.flag(3)?))
    }
    /// Elements written at row-major positions.
    method put_ {
        "(Tensor input, Tensor index, Tensor source, bool accumulate=False) -> Tensor"
            => |a| a.call(ops::put, (Onto::Itself, a.tensor(0)?, a.tensor(1)?, a.tensor(2)?, a.flag(3)?))
    }
    /// A 1 at each element's class, zeros elsewhere.
    function one_hot {
        "(Tensor input, int num_classes=-1) -> Tensor" => |a| a.call(ops::one_hot, (a.tensor(0)?, a.int(1)?))
    }
    /// The elements of each line in order, and where they were.
    both sort {
        "(Tensor input, int dim=-1, bool descending=False, bool stable=False) -> Tensor[]" => |a| a
            .call(ops::sort, (a.tensor(0)?, a.index(1)?, a.flag(2)?, a.flag(3)?))
            .map(|pair| Named::chosen("sort", pair)),
        "(Tensor input, *, bool? stable, int dim=-1, bool descending=False) -> Tensor[]" => |a| a
            .call(ops::sort, (a.tensor(0)?, a.index(2)?, a.flag(3)?, a.optional_flag(1)?.unwrap_or(false)))
            .map(|pair| Named::chosen("sort", pair))
    }
    /// Where the elements of each line in order are.
    both argsort {
        "(Tensor input, int dim=-1, bool descending=False, bool stable=False) -> Tensor"
            => |a| a.call(ops::argsort, (a.tensor(0)?, a.index(1)?, a.flag(2)?))
    }
    /// In order along the first axis.
    both msort { "(Tensor input) -> Tensor" => |a| a.call(ops::msort, (a.tensor(0)?,)) }
    /// The largest or smallest elements of each line, and where they were.
    both topk {
        "(Tensor input, int k, int dim=-1, bool largest=True, bool sorted=True) -> Tensor[]" => |a| a
            .call(ops::topk, (a.tensor(0)?, a.index(1)?, a.index(2)?, a.flag(3)?, a.flag(4)?))
            .map(|pair| Named::chosen("topk", pair))
    }
    /// The k-th smallest element of each line, and where it was.
    both kthvalue {
        "(Tensor input, int k, int dim=-1, bool keepdim=False) -> Tensor[]" => |a| a
            .call(ops::kthvalue, (a.tensor(0)?, a.index(1)?, a.index(2)?, a.flag(3)?))
            .map(|pair| Named::chosen("kthvalue", pair))
    }
    /// Each value once.
    both unique {
        "(Tensor input, bool sorted=True, bool return_inverse=False, bool return_counts=False, int? dim=None) -> Any" => |a| {
            let found = core(a.call(ops::unique, (a.tensor(0)?, a.optional_index(4)?)))?;
            found_values(a.py(), found, a.flag(2)?, a.flag(3)?)?
        }
    }
    /// Each value once, where each element is among them, and how often each occurs.
    function _unique2 {
        "(Tensor input, bool sorted=True, bool return_inverse=False, bool return_counts=False) -> Tensor[]" => |a| {
            let found = core(a.call(ops::unique, (a.tensor(0)?, None)))?;
            all_found(found, a.flag(2)?, a.flag(3)?)?
        }
    }
    /// Each value once, and where each element is among them.
    function _unique {
        "(Tensor input, bool sorted=True, bool return_inverse=False) -> Tensor[]" => |a| {
            let mut found = all_found(core(a.call(ops::unique, (a.tensor(0)?, None)))?, a.flag(2)?, false)?;
            found.pop();
            found
        }
    }
    /// Each value once for each run of equal ones.
    both unique_consecutive {
        "(Tensor input, bool return_inverse=False, bool return_counts=False, int? dim=None) -> Any" => |a| {
            let found = core(a.call(ops::unique_consecutive, (a.tensor(0)?, a.optional_index(3)?)))?;
            found_values(a.py(), found, a.flag(1)?, a.flag(2)?)?
        }
    }
    /// Where values belong in sorted sequences.
    function searchsorted {
        "(Tensor sorted_sequence, Operand input, *, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) -> Tensor" => |a| {
            let right = a.flag(3)?;
            let after = match a.optional_str(4)?.as_deref() {
                None => right,
                Some("right") => true,
                Some("left") if right => {
                    return Err(pyo3::exceptions::PyRuntimeError::new_err(
                        "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True",
                    ));
                }
                Some("left") => false,
                Some(side) => {
                    return Err(pyo3::exceptions::PyRuntimeError::new_err(format!(
                        "torch.searchsorted(): side can only be 'left' or 'right' but got {side}"
                    )));
                }
            };
            let values = number_or_tensor(a, 1)?;
            a.call(ops::searchsorted, (a.tensor(0)?, &values, after, a.optional_tensor(5)?, a.flag(2)?))
        }
    }
    /// For each element, whether one of `test_elements` equals it, or with `invert` whether none does.
    function isin {
        "(Tensor elements, Operand test_elements, *, bool assume_unique=False, bool invert=False) -> Tensor"
            => |a| a.call(ops::isin, (a.tensor(0)?, &number_or_tensor(a, 1)?, a.flag(3)?)),
        "(Scalar element, Tensor test_elements, *, bool assume_unique=False, bool invert=False) -> Tensor"
            => |a| a.call(ops::isin, (&number_or_tensor(a, 0)?, a.tensor(1)?, a.flag(3)?))
    }
    /// Which bucket each value belongs in.
    function bucketize {
        "(Operand input, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor" => |a| {
            let values = number_or_tensor(a, 0)?;
            a.call(ops::bucketize, (&values, a.tensor(1)?, a.flag(3)?, a.flag(2)?))
        }
    }
    /// How often each number occurs.
    both bincount {
        "(Tensor input, Tensor? weights=None, int minlength=0) -> Tensor"
            => |a| a.call(ops::bincount, (a.tensor(0)?, a.optional_tensor(1)?, a.index(2)?))
    }
}

fn number_or_tensor(a: &Args<'_, '_>, i: usize) -> PyResult<Tensor> {
    match a.operand(i)? {
        Operand::Tensor(x) => Ok(x.clone()),
        Operand::Scalar(value) => {
            let dtype =
                if matches!(value, Scalar::Float(_)) { arcgrad::DType::F64 } else { arcgrad::DType::I64 };
            core(Tensor::scalar(value, dtype))
        }
    }
}

fn scatter(a: &Args<'_, '_>, onto: Onto, value: Operand<'_>, reduces: bool) -> PyResult<Py<PyAny>> {
    let (x, dim, index) = (a.tensor(0)?, a.index(1)?, a.tensor(2)?);
    if reduces {
        let reduce = a.str(4)?;
        return ops::scatter_combined(onto, x, dim, index, value, &reduce).object(a.py());
    }
    match value {
        Operand::Tensor(src) => a.call(ops::scatter, (onto, x, dim, index, src)).object(a.py()),
        Operand::Scalar(value) => ops::scatter_value(onto, x, dim, index, value).object(a.py()),
    }
}

/// All three parts; those not asked for are empty.
fn all_found(found: Unique, inverse: bool, counts: bool) -> PyResult<Vec<Tensor>> {
    let part = |x: Tensor, asked: bool| if asked { Ok(x) } else { core(Tensor::zeros(&[0], DType::I64)) };
    Ok(vec![found.values, part(found.inverse, inverse)?, part(found.counts, counts)?])
}

fn found_values(py: Python<'_>, found: Unique, inverse: bool, counts: bool) -> PyResult<Py<PyAny>> {
    match (inverse, counts) {
        (false, false) => found.values.object(py),
        (true, false) => vec![found.values, found.inverse].object(py),
        (false, true) => vec![found.values, found.counts].object(py),
        (true, true) => vec![found.values, found.inverse, found.counts].object(py),
    }
}
