//! `x[key]` and `x[key] = value`: Python's keys as the core's.

use arcgrad::ops::{self, Index, Value};
use arcgrad::{Scalar, Tensor};
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyEllipsis, PyFloat, PyInt, PyList, PySequence, PySlice, PyString, PyTuple};
use smallvec::SmallVec;

use crate::array_interface;
use crate::bindings;
use crate::convert::{self, Answer, core};
use crate::tensor::PyTensor;

type Key = SmallVec<[Index; 4]>;

/// `x[key]`.
pub fn getitem(x: &Bound<'_, PyTensor>, key: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let (py, x) = (x.py(), &x.get().0);
    if let Ok(i) = key.cast_exact::<PyInt>() {
        return convert::object(py, core(ops::getitem_int(x, int(i.as_any())?))?);
    }
    let key = parse(key)?;
    crate::dispatch::work(py, &[x.into()], || ops::getitem(x, &key)).object(py)
}

/// `x[key] = value`.
pub fn setitem(x: &Bound<'_, PyTensor>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let (py, x) = (x.py(), &x.get().0);
    let key = parse(key)?;
    let value = if let Some(value) = convert::tensor(value) {
        Value::Tensor(value)
    } else {
        let number = if is_array(value) { None } else { convert::scalar(value)? };
        let number = number.ok_or_else(|| {
            let kind = value
                .get_type()
                .fully_qualified_name()
                .map_or_else(|_| "object".to_owned(), |n| n.to_string());
            let kind = kind.strip_prefix("builtins.").unwrap_or(&kind);
            PyTypeError::new_err(format!("can't assign a {kind} to a {}", x.dtype().tensor_name()))
        })?;
        Value::Scalar(number)
    };
    core(crate::dispatch::work(py, &[x.into()], || ops::setitem(x, &key, value)))
}

fn is_array(object: &Bound<'_, PyAny>) -> bool {
    object.hasattr("__array_interface__").unwrap_or(false) && object.hasattr("__len__").unwrap_or(false)
}

fn int(object: &Bound<'_, PyAny>) -> PyResult<isize> {
    convert::integer(object)
        .map(|i| i as isize)
        .map_err(|_| PyValueError::new_err("Overflow when unpacking long long"))
}

fn parse(key: &Bound<'_, PyAny>) -> PyResult<Key> {
    let mut entries = Key::new();
    if let Ok(tuple) = key.cast::<PyTuple>() {
        for entry in tuple.iter_borrowed() {
            entries.push(parse_entry(&entry)?);
        }
    } else if let Ok(list) = key.cast::<PyList>()
        && is_disguised_tuple(list)
    {
        for entry in list {
            entries.push(parse_entry(&entry)?);
        }
    } else {
        entries.push(parse_entry(key)?);
    }
    Ok(entries)
}

/// Whether a list stands for a tuple of entries: a short one that holds a sequence, a slice, a tensor, `...` or `None`.
fn is_disguised_tuple(list: &Bound<'_, PyList>) -> bool {
    list.len() < 32
        && list.iter().any(|x| {
            x.is_none()
                || x.is_instance_of::<PyEllipsis>()
                || x.is_instance_of::<PySlice>()
                || x.is_instance_of::<PyTensor>()
                || is_sequence(&x)
        })
}

fn is_sequence(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<PyList>()
        || object.is_instance_of::<PyTuple>()
        || (object.cast::<PySequence>().is_ok() && !object.is_instance_of::<PyString>())
        || is_array(object)
}

fn parse_entry(entry: &Bound<'_, PyAny>) -> PyResult<Index> {
    if let Ok(i) = entry.cast_exact::<PyInt>() {
        return Ok(Index::Int(int(i.as_any())?));
    }
    if let Ok(slice) = entry.cast::<PySlice>() {
        return parse_slice(slice);
    }
    if entry.is_none() {
        return Ok(Index::NewAxis);
    }
    if entry.is_instance_of::<PyEllipsis>() {
        return Ok(Index::Ellipsis);
    }
    if let Ok(flag) = entry.cast::<PyBool>() {
        return Ok(Index::Flag(flag.is_true()));
    }
    if let Some(t) = convert::tensor(entry) {
        return Ok(Index::Tensor(t.clone()));
    }
    if is_array(entry) || is_sequence(entry) {
        return nested(entry);
    }
    if entry.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("new(): invalid data type 'str'"));
    }
    if !entry.is_instance_of::<PyFloat>()
        && let Ok(i) = entry.call_method0("__index__")
    {
        return Ok(Index::Int(int(&i)?));
    }
    let kind = entry.get_type().fully_qualified_name()?.to_string();
    Err(PyIndexError::new_err(format!(
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got {})",
        kind.strip_prefix("builtins.").unwrap_or(&kind)
    )))
}

fn parse_slice(slice: &Bound<'_, PySlice>) -> PyResult<Index> {
    let bound = |name: &str| -> PyResult<Option<isize>> {
        let value = slice.getattr(name)?;
        if value.is_none() {
            return Ok(None);
        }
        if let Some(t) = convert::tensor(&value) {
            return Ok(Some(core(t.item())?.to_i64() as isize));
        }
        let value = if value.is_instance_of::<PyInt>() {
            value
        } else {
            value.call_method0("__index__").map_err(|_| {
                PyTypeError::new_err("slice indices must be integers or None or have an __index__ method")
            })?
        };
        // Python clamps what does not fit a machine word, and so does a slice of a tensor.
        Ok(Some(value.extract::<isize>().or_else(|e| {
            let below = value.lt(0).map_err(|_| e)?;
            PyResult::Ok(if below { isize::MIN } else { isize::MAX })
        })?))
    };
    let step = bound("step")?.unwrap_or(1);
    if step == 0 {
        return Err(PyValueError::new_err("slice step cannot be zero"));
    }
    if step < 0 {
        return Err(PyValueError::new_err("step must be greater than zero"));
    }
    Ok(Index::Slice { start: bound("start")?, end: bound("stop")?, step })
}

/// A nested sequence of integers or truths, or an array, as an index tensor.
fn nested(object: &Bound<'_, PyAny>) -> PyResult<Index> {
    if array_interface::is_ndarray(object) {
        return Ok(Index::Tensor(Tensor::new(array_interface::from_numpy(object)?)));
    }
    let list = object.clone();
    let mut shape = Vec::new();
    let mut values = Vec::new();
    let mut truths = true;
    flatten(&list, 0, &mut shape, &mut values, &mut truths)?;
    if let [value] = values[..]
        && shape.is_empty()
    {
        return Ok(if truths { Index::Flag(value != 0) } else { Index::Int(value as isize) });
    }
    let tensor = core(Tensor::from_slice(&values, &shape))?;
    if truths && !values.is_empty() {
        return Ok(Index::Tensor(core(arcgrad::graph::vector_space::to_dtype(
            &tensor,
            arcgrad::DType::Bool,
        ))?));
    }
    Ok(Index::Tensor(tensor))
}

fn flatten(
    object: &Bound<'_, PyAny>,
    depth: usize,
    shape: &mut Vec<usize>,
    values: &mut Vec<i64>,
    truths: &mut bool,
) -> PyResult<()> {
    if is_sequence(object) {
        let length = object.len()?;
        if shape.len() == depth {
            shape.push(length);
        } else if shape[depth] != length {
            return Err(PyValueError::new_err(format!(
                "expected sequence of length {} at dim {depth} (got {length})",
                shape[depth]
            )));
        }
        for item in object.try_iter()? {
            flatten(&item?, depth + 1, shape, values, truths)?;
        }
        return Ok(());
    }
    let value = match convert::operand(object)? {
        Some(arcgrad::graph::Operand::Scalar(value)) => value,
        Some(arcgrad::graph::Operand::Tensor(t)) => core(t.item())?,
        None => {
            return Err(PyTypeError::new_err(format!(
                "new(): invalid data type '{}'",
                object.get_type().name()?
            )));
        }
    };
    *truths &= matches!(value, Scalar::Bool(_));
    values.push(value.to_i64());
    Ok(())
}

/// Index tensors and `None`s, as `index_put` takes them.
fn indices(object: &Bound<'_, PyAny>) -> PyResult<Vec<Option<Tensor>>> {
    object
        .try_iter()?
        .map(|entry| {
            let entry = entry?;
            if entry.is_none() {
                return Ok(None);
            }
            convert::tensor(&entry).cloned().map(Some).ok_or_else(|| {
                PyTypeError::new_err("index_put(): argument 'indices' (position 2) must be tuple of Tensors")
            })
        })
        .collect()
}

bindings! {
    /// A copy with values written at indices.
    both index_put {
        "(Tensor input, Any indices, Tensor values, bool accumulate=False) -> Tensor" => |a| {
            let indices = a.get(1).map(indices).transpose()?.unwrap_or_default();
            a.call(ops::index_put, (a.tensor(0)?, &indices[..], a.tensor(2)?, a.flag(3)?))
        }
    }
    /// Values written at indices.
    both index_put_ {
        "(Tensor input, Any indices, Tensor values, bool accumulate=False) -> Tensor" => |a| {
            let indices = a.get(1).map(indices).transpose()?.unwrap_or_default();
            a.call(ops::index_put_, (a.tensor(0)?, &indices[..], a.tensor(2)?, a.flag(3)?))
        }
    }
    /// A copy with a value where a mask holds.
    both masked_fill {
        "(Tensor input, Tensor mask, Operand value) -> Tensor"
            => |a| a.call(|x, m, v| ops::masked_fill(x, m, v as arcgrad::graph::Operand<'_>), (a.tensor(0)?, a.tensor(1)?, a.operand(2)?))
    }
    /// A value written where a mask holds.
    method masked_fill_ {
        "(Tensor input, Tensor mask, Operand value) -> Tensor"
            => |a| a.call(|x, m, v| ops::masked_fill_(x, m, v as arcgrad::graph::Operand<'_>), (a.tensor(0)?, a.tensor(1)?, a.operand(2)?))
    }
    /// The elements where a mask holds.
    both masked_select {
        "(Tensor input, Tensor mask) -> Tensor" => |a| a.call(ops::masked_select, (a.tensor(0)?, a.tensor(1)?))
    }
    /// A copy with a tensor's elements, in order, where a mask holds.
    both masked_scatter {
        "(Tensor input, Tensor mask, Tensor source) -> Tensor"
            => |a| a.call(ops::masked_scatter, (a.tensor(0)?, a.tensor(1)?, a.tensor(2)?))
    }
    /// A tensor's elements, in order, written where a mask holds.
    method masked_scatter_ {
        "(Tensor input, Tensor mask, Tensor source) -> Tensor"
            => |a| a.call(ops::masked_scatter_, (a.tensor(0)?, a.tensor(1)?, a.tensor(2)?))
    }
    /// The positions of the elements that are not zero.
    both nonzero {
        "(Tensor input, *, bool as_tuple=False) -> Any" => |a| {
            let x = a.tensor(0)?;
            if a.flag(1)? { ops::nonzero_tuple(x).object(a.py())? } else { ops::nonzero(x).object(a.py())? }
        }
    }
    /// The positions of the elements that are not zero.
    both argwhere { "(Tensor input) -> Tensor" => |a| ops::nonzero(a.tensor(0)?) }
    /// One of two by a condition; or the positions where it holds.
    function where {
        "(Tensor condition, Operand input, Operand other) -> Tensor" => |a| a.call(
            |c, x, y| ops::where_(c, x as arcgrad::graph::Operand<'_>, y as arcgrad::graph::Operand<'_>),
            (a.tensor(0)?, a.operand(1)?, a.operand(2)?),
        ),
        "(Tensor condition) -> Tensor[]" => |a| ops::nonzero_tuple(a.tensor(0)?)
    }
}

/// `x.where(condition, other)`.
pub mod methods {
    use arcgrad::ops;

    use crate::bindings;

    bindings! {
        /// This tensor where a condition holds, else the other.
        method where {
            "(Tensor input, Tensor condition, Operand other) -> Tensor" => |a| a.call(
                |x, c, y| ops::where_(c, x as &arcgrad::Tensor, y as arcgrad::graph::Operand<'_>),
                (a.tensor(0)?, a.tensor(1)?, a.operand(2)?),
            )
        }
    }
}
