//! Calls from Python as a profiler's events, under the names that PyTorch gives them.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use arcgrad::graph::profile::{self, Event, Range, Scope, Shape, Shapes};
use arcgrad::watch;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList, PySlice, PyTuple};

use crate::convert;
use crate::dispatch::{Args, Binding, Implementation};
use crate::origin;
use crate::tensor::PyTensor;

/// Runs a call, timed if somebody profiles.
#[inline]
pub fn run(args: &Args<'_, '_>, call: Implementation) -> PyResult<Py<PyAny>> {
    if watch::is_timed() { run_timed(args, call) } else { call(args) }
}

#[cold]
fn run_timed(args: &Args<'_, '_>, call: Implementation) -> PyResult<Py<PyAny>> {
    let _timed = match operation(args.binding()) {
        Some(name) => profile::enter(name, Scope::Function, || args.operands().map(shape).collect()),
        None => Range::default(),
    };
    call(args)
}

/// The range of one of Python's operators, if somebody profiles.
#[inline]
pub fn slot(name: &'static str, this: &Bound<'_, PyTensor>, other: Option<&Bound<'_, PyAny>>) -> Range {
    if watch::is_timed() { slot_timed(name, this, other) } else { Range::default() }
}

#[cold]
fn slot_timed(name: &'static str, this: &Bound<'_, PyTensor>, other: Option<&Bound<'_, PyAny>>) -> Range {
    let operation = operator(name, other);
    let further = match &*operation {
        "aten::add" | "aten::add_" | "aten::sub" | "aten::sub_" | "aten::rsub" | "aten::select" => 1,
        "aten::slice" => 3,
        _ => 0,
    };
    profile::enter(operation, Scope::Function, || {
        let operands = std::iter::once(this.as_any()).chain(other).map(|x| shape(Some(x)));
        // PyTorch's operation has parameters that the operator leaves at their defaults.
        operands.chain(std::iter::repeat_n(Shape::new(), further)).collect()
    })
}

/// The shape of a tensor; an empty one for anything else.
fn shape(x: Option<&Bound<'_, PyAny>>) -> Shape {
    x.and_then(convert::tensor).map_or_else(Shape::new, |x| x.shape().as_slice().into())
}

/// PyTorch's name of the operation that a function is; `None` for one that computes no tensor.
fn operation(binding: &Binding) -> Option<Cow<'static, str>> {
    let renamed = match binding.name {
        // Constructors and conversions of the language, and settings of a tensor.
        "tensor" | "as_tensor" | "asarray" | "new_tensor" | "from_numpy" | "frombuffer" | "new"
        | "as_subclass" | "requires_grad_" | "get_rng_state" => return None,
        "float" | "double" | "byte" | "char" | "short" | "int" | "long" | "bool" | "type" | "cpu" => {
            "aten::to"
        }
        "cross_entropy" => "aten::cross_entropy_loss",
        "fold" => "aten::col2im",
        "logsigmoid" => "aten::log_sigmoid",
        "nan_to_num_with" => "aten::nan_to_num",
        "_attention" => "aten::scaled_dot_product_attention",
        name if name.starts_with('_') => return None,
        "allclose" | "equal" | "is_nonzero" | "item" | "nonzero" | "unique" | "unique_consecutive" => "",
        _ if binding.signatures().iter().all(|signature| signature.returns.contains("Tensor")) => "",
        _ => return None,
    };
    Some(if renamed.is_empty() { format!("aten::{}", binding.name).into() } else { renamed.into() })
}

/// PyTorch's name of the operation that an operator is.
fn operator(slot: &'static str, other: Option<&Bound<'_, PyAny>>) -> Cow<'static, str> {
    let with_tensor = other.is_some_and(|other| convert::tensor(other).is_some());
    let name = match slot {
        "__add__" | "__radd__" => "aten::add",
        "__sub__" => "aten::sub",
        "__rsub__" => "aten::rsub",
        "__mul__" | "__rmul__" => "aten::mul",
        "__truediv__" | "__rtruediv__" => "aten::div",
        "__floordiv__" | "__rfloordiv__" => "aten::floor_divide",
        "__mod__" | "__rmod__" => "aten::remainder",
        "__pow__" | "__rpow__" => "aten::pow",
        "__matmul__" => "aten::matmul",
        "__iadd__" => "aten::add_",
        "__isub__" => "aten::sub_",
        "__imul__" => "aten::mul_",
        "__itruediv__" => "aten::div_",
        "__ifloordiv__" => "aten::floor_divide_",
        "__imod__" => "aten::remainder_",
        "__ipow__" => "aten::pow_",
        "__rand__" => "aten::bitwise_and",
        "__ror__" => "aten::bitwise_or",
        "__rxor__" => "aten::bitwise_xor",
        "__rlshift__" => "aten::bitwise_left_shift",
        "__rrshift__" => "aten::bitwise_right_shift",
        "__neg__" => "aten::neg",
        "__pos__" => "aten::positive",
        "__abs__" => "aten::abs",
        "__invert__" => "aten::bitwise_not",
        "__lt__" => "aten::lt",
        "__le__" => "aten::le",
        "__eq__" => "aten::eq",
        "__ne__" => "aten::ne",
        "__gt__" => "aten::gt",
        "__ge__" => "aten::ge",
        "__getitem__" if other.is_some_and(|key| key.is_instance_of::<PyInt>()) => "aten::select",
        "__getitem__" if other.is_some_and(|key| key.is_instance_of::<PySlice>()) => "aten::slice",
        // Several entries are one operation here, and several in PyTorch.
        "__getitem__" => "aten::index",
        "__setitem__" if with_tensor => "aten::index_put_",
        "__setitem__" => "aten::copy_",
        // PyTorch has operations of these names.
        name => return format!("aten::{name}").into(),
    };
    name.into()
}

/// A range that a user began and will end.
#[pyclass(name = "_Range", module = "arcgrad._core", frozen)]
pub struct PyRange(Mutex<Range>);

impl PyRange {
    /// Begins a range of this name.
    pub fn begin(name: String) -> Self {
        // PyTorch's user ranges have one input: a text that goes with the name.
        Self(Mutex::new(profile::enter(name, Scope::User, || Shapes::from([Shape::new()]))))
    }
}

#[pymethods]
impl PyRange {
    /// Ends the range, if it has not ended.
    fn end(&self) {
        let range = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        drop(range);
    }
}

/// An event as a tuple of its fields.
pub fn event<'py>(py: Python<'py>, event: &Event) -> PyResult<Bound<'py, PyTuple>> {
    let shapes = event.shapes.iter().map(|shape| PyList::new(py, shape)).collect::<PyResult<Vec<_>>>()?;
    let stack = event.origin.as_ref().map(|origin| origin::entries(py, &**origin)).transpose()?;
    (
        event.id,
        &*event.name,
        event.scope as u8,
        event.thread,
        event.end_thread,
        event.start,
        event.end,
        event.sequence,
        event.forward_thread,
        shapes,
        event.memory,
        stack,
    )
        .into_pyobject(py)
}
