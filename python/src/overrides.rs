//! `__torch_function__`: calls that a subclass of Tensor, or a mode, takes into its own hands.
//!
//! Note [Who may take a call]: every named function and method passes `dispatch::enter`, every operator a slot of the
//! type, every attribute `properties::get`. Each of them asks [`possible`] first, one relaxed load that stays false in a
//! process without overriding subclasses and modes, and only then [`Call::redirect`]s. A public function that is written
//! in Python cannot ask for so little; it is made to ask, by `arcgrad.overrides`, when that load first becomes true.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};

use crate::ending;
use crate::once::Once;
use crate::tensor::{PyTensor, subclass_object};

static POSSIBLE: AtomicBool = AtomicBool::new(false);

/// What this thread leaves to nobody: see `DisableTorchFunctionSubclass` and `DisableTorchFunction`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Disabled {
    Nothing,
    Subclasses,
    Everything,
}

thread_local! {
    static DISABLED: Cell<Disabled> = const { Cell::new(Disabled::Nothing) };
    static MODES: RefCell<Vec<Py<PyAny>>> = const { RefCell::new(Vec::new()) };
}

/// Whether anything in this process may want a call.
#[inline]
pub fn possible() -> bool {
    POSSIBLE.load(Ordering::Relaxed)
}

/// From now on somebody may want a call.
fn ask(py: Python<'_>) -> PyResult<()> {
    if !POSSIBLE.swap(true, Ordering::Relaxed) {
        py.import("arcgrad.overrides")?.call_method0("_ask")?;
    }
    Ok(())
}

/// Notes a new subclass of Tensor.
pub fn note_subclass(class: &Bound<'_, PyType>) -> PyResult<()> {
    if handler(class.as_any())?.is_some() { ask(class.py()) } else { Ok(()) }
}

/// What somebody answers in the place of a function written in Python; `NotImplemented` if nobody wants the call.
pub fn offer(
    function: &Bound<'_, PyAny>,
    args: &Bound<'_, PyTuple>,
    kwargs: &Bound<'_, PyDict>,
) -> PyResult<Py<PyAny>> {
    let py = function.py();
    let (positional, named): (Vec<_>, Vec<_>) = (args.iter().collect(), kwargs.iter().collect());
    let call = Call { positional: &positional, named: &named, asked: usize::MAX };
    match call.redirect(py, || Ok(function.clone()))? {
        Taken::ByNobody => Ok(py.NotImplemented()),
        Taken::With(answer) => Ok(answer),
        Taken::Refused(error) => Err(error),
    }
}

/// The class's `__torch_function__`, unless it has none or refuses.
fn handler<'py>(class: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = class.py();
    let Some(handler) = class.getattr_opt(intern!(py, "__torch_function__"))? else { return Ok(None) };
    Ok((!handler.is(refusal(py)?)).then_some(handler))
}

/// The function that says of a class: "none of my business".
fn refusal(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static REFUSAL: Once<Py<PyAny>> = Once::new();
    REFUSAL.import(py, "arcgrad._core", "_disabled_torch_function_impl")
}

/// What came of asking around.
pub enum Taken {
    /// Nobody wants the call.
    ByNobody,
    /// Somebody answered.
    With(Py<PyAny>),
    /// All who were asked refused; what to raise where nothing else is left.
    Refused(PyErr),
}

/// A call that somebody may want to take.
pub struct Call<'a, 'py> {
    /// The positional arguments, `self` among them.
    pub positional: &'a [Bound<'py, PyAny>],
    /// The names and values of the others.
    pub named: &'a [(Bound<'py, PyAny>, Bound<'py, PyAny>)],
    /// How many of them, from the first on, may have a class that is asked.
    pub asked: usize,
}

impl<'py> Call<'_, 'py> {
    /// Asks everybody who may want the call, in turn. `function` is what Python knows as the function.
    #[cold]
    pub fn redirect(
        &self,
        py: Python<'py>,
        function: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Taken> {
        let disabled = DISABLED.get();
        if disabled == Disabled::Everything {
            return Ok(Taken::ByNobody);
        }
        let takers = if disabled == Disabled::Nothing { self.overriding_arguments()? } else { Vec::new() };
        let mode = MODES.with_borrow_mut(Vec::pop);
        if mode.is_none() && takers.is_empty() {
            return Ok(Taken::ByNobody);
        }
        let types = PyTuple::new(py, takers.iter().map(|t| t.0.get_type()))?;
        let args = PyTuple::new(py, self.positional)?;
        let kwargs = PyDict::new(py);
        for (name, value) in self.named {
            kwargs.set_item(name, value)?;
        }
        let function = match function() {
            Ok(function) => function,
            Err(error) => {
                MODES.with_borrow_mut(|modes| modes.extend(mode));
                return Err(error);
            }
        };
        let mut asked: Vec<String> = Vec::new();
        let _under_way = ending::Inside::enter(py);
        if let Some(mode) = mode {
            asked.push(format!("  - mode object {}", mode.bind(py).repr()?));
            let _inner = Inside(Some(mode.clone_ref(py)));
            let answer =
                mode.bind(py).call_method1("__torch_function__", (&function, &types, &args, &kwargs))?;
            if !answer.is(py.NotImplemented()) {
                return Ok(Taken::With(answer.unbind()));
            }
        }
        for (_, handler) in &takers {
            let answer = handler.call1((&function, &types, &args, &kwargs))?;
            if !answer.is(py.NotImplemented()) {
                return Ok(Taken::With(answer.unbind()));
            }
        }
        asked.extend(takers.iter().map(|t| format!("  - tensor subclass {}", t.0.get_type())));
        Ok(Taken::Refused(PyTypeError::new_err(format!(
            "Multiple dispatch failed for '{}'; all __torch_function__ handlers returned NotImplemented:\n\n{}",
            name_of(&function),
            asked.join("\n")
        ))))
    }

    /// One argument of each class that overrides, the most derived first, each with the class's handler.
    fn overriding_arguments(&self) -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
        let mut found: Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)> = Vec::new();
        let mut look = |object: &Bound<'py, PyAny>| -> PyResult<()> {
            if object.is_exact_instance_of::<PyTensor>()
                || found.iter().any(|(seen, _)| seen.get_type().is(object.get_type()))
            {
                return Ok(());
            }
            if object.is_instance_of::<PyType>() {
                return Ok(());
            }
            let Some(handler) = handler(object.get_type().as_any())? else { return Ok(()) };
            let class = object.get_type();
            let mut place = found.len();
            for (i, (other, _)) in found.iter().enumerate() {
                if class.is_subclass(&other.get_type())? {
                    place = i;
                    break;
                }
            }
            found.insert(place, (object.clone(), handler));
            Ok(())
        };
        for object in self.positional.iter().chain(self.named.iter().map(|(_, value)| value)).take(self.asked)
        {
            if let Ok(items) = object.cast::<PyTuple>() {
                items.iter().try_for_each(|item| look(&item))?;
            } else if let Ok(items) = object.cast::<PyList>() {
                items.iter().try_for_each(|item| look(&item))?;
            } else {
                look(object)?;
            }
        }
        Ok(found)
    }
}

/// A method called through a slot of the type: what a taker answers, if there is one. Of an operator that all refuse,
/// Python says that there is none for such operands.
#[cold]
pub fn redirect_slot<'py>(
    this: &Bound<'py, PyAny>,
    slot: &str,
    others: &[&Bound<'py, PyAny>],
) -> PyResult<Option<Py<PyAny>>> {
    let py = this.py();
    let arguments: Vec<_> = std::iter::once(this).chain(others.iter().copied()).cloned().collect();
    let call = Call { positional: &arguments, named: &[], asked: usize::MAX };
    match call.redirect(py, || py.get_type::<PyTensor>().getattr(function_of(slot)))? {
        Taken::ByNobody => Ok(None),
        Taken::With(answer) => Ok(Some(answer)),
        Taken::Refused(_) if is_binary(slot, others.len()) => Ok(Some(py.NotImplemented())),
        Taken::Refused(error) => Err(error),
    }
}

/// Whether a slot is an operator of two operands, of which Python asks the other when one knows no answer.
fn is_binary(slot: &str, others: usize) -> bool {
    others == 1 && !slot.starts_with("__i") && !matches!(slot, "__getitem__" | "__contains__" | "__format__")
}

/// What an error calls a function.
fn name_of(function: &Bound<'_, PyAny>) -> String {
    let name = |x: &Bound<'_, PyAny>| x.getattr("__name__").map_or_else(|_| x.to_string(), |n| n.to_string());
    if let Ok(descriptor) = function.getattr("__self__")
        && matches!(name(function).as_str(), "__get__" | "__set__" | "__delete__")
    {
        return format!("torch.Tensor.{}.{}", name(&descriptor), name(function));
    }
    let is_method = function.hasattr("__objclass__").unwrap_or(false);
    format!("torch.{}{}", if is_method { "Tensor." } else { "" }, name(function))
}

/// The name under which PyTorch tells `__torch_function__` of an operator.
fn function_of(slot: &str) -> &str {
    match slot {
        "__add__" | "__radd__" => "add",
        "__iadd__" => "add_",
        "__sub__" => "sub",
        "__isub__" => "sub_",
        "__mul__" | "__rmul__" => "mul",
        "__imul__" => "mul_",
        "__truediv__" => "div",
        "__itruediv__" => "div_",
        "__ifloordiv__" => "floor_divide_",
        "__mod__" => "remainder",
        "__imod__" => "remainder_",
        "__rand__" => "bitwise_and",
        "__ror__" => "bitwise_or",
        "__rxor__" => "bitwise_xor",
        "__matmul__" => "matmul",
        "__neg__" => "neg",
        "__pos__" => "positive",
        "__abs__" => "abs",
        "__lt__" => "lt",
        "__le__" => "le",
        "__gt__" => "gt",
        "__ge__" => "ge",
        "__ne__" => "ne",
        other => other,
    }
}

/// Runs `function` with this thread's subclasses left out, and makes what it answers objects of `class`.
pub fn run_as(
    class: &Bound<'_, PyType>,
    function: &Bound<'_, PyAny>,
    types: &Bound<'_, PyAny>,
    args: Option<&Bound<'_, PyTuple>>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<Py<PyAny>> {
    let py = class.py();
    for other in types.try_iter()? {
        if !class.is_subclass(&other?)? {
            return Ok(py.NotImplemented());
        }
    }
    let empty = PyTuple::empty(py);
    let answer = {
        let _under_way = ending::Inside::enter(py);
        let _plain = Plain(DISABLED.replace(Disabled::Subclasses));
        function.call(args.unwrap_or(&empty), kwargs)?
    };
    if keeps_class(function)? { Ok(answer.unbind()) } else { Ok(convert(class, &answer)?.unbind()) }
}

/// Runs `function` as if no class had anything to say about it.
pub fn run_plain(
    function: &Bound<'_, PyAny>,
    args: Option<&Bound<'_, PyAny>>,
    kwargs: Option<&Bound<'_, PyAny>>,
) -> PyResult<Py<PyAny>> {
    let py = function.py();
    let args = match args {
        Some(args) => PyTuple::new(py, args.try_iter()?.collect::<PyResult<Vec<_>>>()?)?,
        None => PyTuple::empty(py),
    };
    let kwargs = kwargs.map(|kwargs| kwargs.cast::<PyDict>()).transpose()?;
    let _under_way = ending::Inside::enter(py);
    let _plain = Plain(DISABLED.replace(Disabled::Subclasses));
    function.call(args, kwargs).map(Bound::unbind)
}

/// Until it is dropped, subclasses have no say in this thread.
struct Plain(Disabled);

impl Drop for Plain {
    fn drop(&mut self) {
        DISABLED.set(self.0);
    }
}

/// Whether the results of a function are left as they are: reading an attribute that holds a tensor of its own class.
fn keeps_class(function: &Bound<'_, PyAny>) -> PyResult<bool> {
    if !function.getattr("__name__").is_ok_and(|name| name.eq("__get__").unwrap_or(false)) {
        return Ok(false);
    }
    let attribute = function.getattr("__self__")?.getattr("__name__")?.extract::<String>()?;
    Ok(matches!(attribute.as_str(), "grad" | "_base"))
}

/// Tensors, and tensors in tuples and lists, as objects of a subclass.
fn convert<'py>(class: &Bound<'py, PyType>, answer: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    if let Some(tensor) = crate::convert::tensor(answer) {
        if answer.is_instance(class)? {
            return Ok(answer.clone());
        }
        return as_subclass(class, tensor).map(|object| object.into_bound(py));
    }
    if answer.is_instance_of::<PyTuple>() || answer.is_instance_of::<PyList>() {
        let items = answer.try_iter()?.map(|item| convert(class, &item?)).collect::<PyResult<Vec<_>>>()?;
        let kind = answer.get_type();
        return match kind.getattr_opt(intern!(py, "_make"))? {
            Some(make) => make.call1((items,)),
            None => kind.call1((items,)),
        };
    }
    Ok(answer.clone())
}

/// An object of `class` that shares the tensor's data and history.
pub fn as_subclass(class: &Bound<'_, PyType>, tensor: &arcgrad::Tensor) -> PyResult<Py<PyAny>> {
    subclass_object(class, arcgrad::ops::alias(tensor).map_err(|e| crate::error::raise(&e))?)
}

/// While it lives, a mode handles a call and does not see its own calls.
struct Inside(Option<Py<PyAny>>);

impl Drop for Inside {
    fn drop(&mut self) {
        MODES.with_borrow_mut(|modes| modes.extend(self.0.take()));
    }
}

/// Sets what this thread leaves to nobody (0 nothing, 1 subclasses, 2 modes too); returns what it was.
pub fn disable(level: i64) -> i64 {
    let level = match level {
        0 => Disabled::Nothing,
        1 => Disabled::Subclasses,
        _ => Disabled::Everything,
    };
    DISABLED.replace(level) as i64
}

/// Makes `mode` the innermost of this thread's function modes.
pub fn push_mode(mode: &Bound<'_, PyAny>) -> PyResult<()> {
    ask(mode.py())?;
    MODES.with_borrow_mut(|modes| modes.push(mode.clone().unbind()));
    Ok(())
}

/// Takes the innermost function mode of this thread away and returns it.
pub fn pop_mode() -> PyResult<Py<PyAny>> {
    MODES
        .with_borrow_mut(Vec::pop)
        .ok_or_else(|| PyRuntimeError::new_err("there is no function mode on this thread's stack"))
}

/// How many function modes this thread is in.
pub fn depth() -> usize {
    MODES.with_borrow(Vec::len)
}

/// The arguments, among those in a sequence, whose class has a say, the most derived first.
pub fn overriding_arguments(arguments: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let py = arguments.py();
    if DISABLED.get() != Disabled::Nothing {
        return Ok(PyTuple::empty(py).into_any().unbind());
    }
    let given: Vec<_> = arguments.try_iter()?.collect::<PyResult<_>>()?;
    let found = Call { positional: &given, named: &[], asked: usize::MAX }.overriding_arguments()?;
    Ok(PyTuple::new(py, found.into_iter().map(|(object, _)| object))?.into_any().unbind())
}
