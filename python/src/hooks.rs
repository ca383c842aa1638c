//! Python's functions as the core's hooks. Of each kind, a tensor or node has one hook of the core, which owns a dictionary;
//! the functions stand in there by the id of the handle that removes them.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use arcgrad::Tensor;
use arcgrad::graph::{Grads, HookHandle, LeafHook, NodeHook, NodePreHook, NodeRef, TensorHook};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::convert::{self, Answer};
use crate::ending::{self, Inside};
use crate::error::{carry, raise};
use crate::once::Once;

/// Functions by the ids of their handles; none until there is one. The lock is held over no call of Python's.
#[derive(Default)]
pub struct Functions(Mutex<Option<Py<PyDict>>>);

impl Functions {
    fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The dictionary they stand in.
    fn dictionary<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyDict>> {
        let dictionary = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        dictionary.as_ref().map(|dictionary| dictionary.bind(py).clone())
    }

    /// Lets them stand in another dictionary from now on.
    fn set_dictionary(&self, dictionary: Option<Py<PyDict>>) {
        // What was there is dropped after the lock: it may own anything.
        let before =
            std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), dictionary);
        drop(before);
    }

    /// Enters a function and returns its handle.
    fn add(&self, hook: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        static HANDLE: Once<Py<PyAny>> = Once::new();
        let py = hook.py();
        let class = HANDLE.import(py, "arcgrad.utils.hooks", "RemovableHandle")?;
        let dictionary = match self.dictionary(py) {
            Some(dictionary) => dictionary,
            None => {
                // Made before the lock: the collector may run. Of two threads, both take the first.
                let made = PyDict::new(py).unbind();
                let mut dictionary = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                dictionary.get_or_insert(made).bind(py).clone()
            }
        };
        let _inside = Inside::enter(py);
        Ok(class.call_method1("add", (dictionary, hook))?.unbind())
    }

    /// Those of a hook of the core, if it is Python's.
    pub fn of(hook: &dyn Any) -> Option<&Self> {
        let of_tensor = hook.downcast_ref::<OnTensor>().map(|hook| &hook.0);
        let of_leaf = || hook.downcast_ref::<OnLeaf>().map(|hook| &hook.0);
        let before = || hook.downcast_ref::<BeforeNode>().map(|hook| &hook.0);
        let after = || hook.downcast_ref::<AfterNode>().map(|hook| &hook.0);
        let found = of_tensor.or_else(of_leaf).or_else(before).or_else(after)?;
        (Arc::strong_count(found) == 1).then_some(&**found)
    }

    /// For the garbage collector.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock() {
            Ok(dictionary) => dictionary.as_ref().map_or(Ok(()), |dictionary| visit.call(dictionary)),
            Err(_) => Ok(()),
        }
    }

    /// Calls `call` with each function that is there now.
    fn each(
        &self,
        py: Python<'_>,
        mut call: impl FnMut(&Bound<'_, PyAny>) -> PyResult<()>,
    ) -> arcgrad::Result<()> {
        let Some(functions) = self.dictionary(py) else { return Ok(()) };
        functions.values().iter().try_for_each(|function| call(&function)).map_err(carry)
    }
}

/// The dictionary among hooks that a registration of before made.
fn functions<H: ?Sized>(
    hooks: impl IntoIterator<Item = Arc<H>>,
    of: impl Fn(&H) -> Option<Arc<Functions>>,
) -> Option<Arc<Functions>> {
    hooks.into_iter().find_map(|hook| of(&hook))
}

/// Hooks on a tensor.
struct OnTensor(Arc<Functions>);

impl TensorHook for OnTensor {
    fn call(&self, grad: &Tensor) -> arcgrad::Result<Option<Tensor>> {
        ending::attach(|py| {
            let mut now: Option<Tensor> = None;
            self.0.each(py, |function| {
                let before = now.as_ref().unwrap_or(grad);
                let answer = function.call1((convert::object(py, before.clone())?,))?;
                if !answer.is_none() {
                    now = Some(checked(Some(before), &answer, function)?);
                }
                Ok(())
            })?;
            Ok(now)
        })
    }

    fn nothing(&self) -> arcgrad::Result<()> {
        ending::attach(|py| {
            self.0.each(py, |function| {
                let answer = function.call1((py.None(),))?;
                if answer.is_none() { Ok(()) } else { checked(None, &answer, function).map(drop) }
            })
        })
    }
}

/// Hooks on a leaf, for after its `.grad` grew.
struct OnLeaf(Arc<Functions>);

impl LeafHook for OnLeaf {
    fn call(&self, leaf: &Tensor) -> arcgrad::Result<()> {
        ending::attach(|py| {
            self.0.each(py, |function| {
                let answer = function.call1((convert::object(py, leaf.clone())?,))?;
                if answer.is_none() {
                    return Ok(());
                }
                Err(PyRuntimeError::new_err("Tensor post accumulate grad hooks should return None."))
            })
        })
    }
}

/// Hooks for before a node's derivative.
struct BeforeNode(Arc<Functions>);

impl NodePreHook for BeforeNode {
    fn call(&self, grad_outputs: &[Option<Tensor>]) -> arcgrad::Result<Option<Grads>> {
        ending::attach(|py| {
            let mut now: Option<Grads> = None;
            self.0.each(py, |function| {
                let before: &[Option<Tensor>] = now.as_deref().unwrap_or(grad_outputs);
                let answer = function.call1((tuple(py, before)?,))?;
                if !answer.is_none() {
                    now = Some(all_checked(before, &answer, function)?);
                }
                Ok(())
            })?;
            Ok(now)
        })
    }
}

/// Hooks for after a node's derivative.
struct AfterNode(Arc<Functions>);

impl NodeHook for AfterNode {
    fn call(
        &self,
        grad_inputs: &[Option<Tensor>],
        grad_outputs: &[Option<Tensor>],
    ) -> arcgrad::Result<Option<Grads>> {
        ending::attach(|py| {
            let mut now: Option<Grads> = None;
            let outputs = tuple(py, grad_outputs).map_err(carry)?;
            self.0.each(py, |function| {
                let before: &[Option<Tensor>] = now.as_deref().unwrap_or(grad_inputs);
                let answer = function.call1((tuple(py, before)?, &outputs))?;
                if !answer.is_none() {
                    now = Some(all_checked(before, &answer, function)?);
                }
                Ok(())
            })?;
            Ok(now)
        })
    }
}

/// A tuple of tensors and `None`s.
pub fn tuple<'py>(py: Python<'py>, tensors: &[Option<Tensor>]) -> PyResult<Bound<'py, PyTuple>> {
    let objects = tensors.iter().map(|x| x.clone().object(py));
    PyTuple::new(py, objects.collect::<PyResult<Vec<_>>>()?)
}

fn name(function: &Bound<'_, PyAny>) -> String {
    let name = function.getattr("__name__").and_then(|name| name.extract::<String>());
    name.unwrap_or_else(|_| "<unknown>".to_owned())
}

/// What a hook answered in place of a gradient, if it may stand there.
fn checked(
    before: Option<&Tensor>,
    answer: &Bound<'_, PyAny>,
    function: &Bound<'_, PyAny>,
) -> PyResult<Tensor> {
    let Some(after) = convert::tensor(answer) else {
        return Err(PyTypeError::new_err(format!(
            "expected Variable, but hook returned '{}'",
            answer.get_type().name()?
        )));
    };
    let Some(before) = before else {
        return Err(PyRuntimeError::new_err("can't replace a None gradient with a non-None value"));
    };
    if before.dtype() != after.dtype() {
        return Err(PyRuntimeError::new_err(format!(
            "hook '{}' has changed the type of value (was {} got {})",
            name(function),
            before.dtype().tensor_name(),
            after.dtype().tensor_name()
        )));
    }
    if before.shape() != after.shape() {
        return Err(PyRuntimeError::new_err(format!(
            "hook '{}' has changed the size of value (was {:?} got {:?})",
            name(function),
            before.shape(),
            after.shape()
        )));
    }
    Ok(after.clone())
}

/// [`checked`] for all gradients of a node; a single tensor stands for a tuple of one.
fn all_checked(
    before: &[Option<Tensor>],
    answer: &Bound<'_, PyAny>,
    function: &Bound<'_, PyAny>,
) -> PyResult<Grads> {
    let answers = match answer.cast::<PyTuple>() {
        Ok(answers) => answers.clone(),
        Err(_) if convert::tensor(answer).is_some() => PyTuple::new(answer.py(), [answer])?,
        Err(_) => {
            return Err(PyTypeError::new_err(format!(
                "expected tuple, but hook returned '{}'",
                answer.get_type().name()?
            )));
        }
    };
    if answers.len() != before.len() {
        return Err(PyRuntimeError::new_err(format!(
            "hook '{}' has returned an incorrect number of values (expected {}, but got {})",
            name(function),
            before.len(),
            answers.len()
        )));
    }
    let one = |(before, answer): (&Option<Tensor>, Bound<'_, PyAny>)| match before {
        _ if answer.is_none() => Ok(None),
        before => checked(before.as_ref(), &answer, function).map(Some),
    };
    before.iter().zip(answers.iter()).map(one).collect()
}

fn downcast<T: Any>(hook: &dyn Any, functions: impl Fn(&T) -> &Arc<Functions>) -> Option<Arc<Functions>> {
    hook.downcast_ref::<T>().map(|hook| functions(hook).clone())
}

/// The functions that `look` finds; if there are none, those of the hook that `add` adds.
///
/// Two threads may both find none and both add a hook. The earlier one stays; the other, which has no functions yet, goes.
fn found_or_added(
    look: impl Fn() -> Option<Arc<Functions>>,
    add: impl FnOnce(Arc<Functions>) -> arcgrad::Result<HookHandle>,
) -> PyResult<Arc<Functions>> {
    if let Some(functions) = look() {
        return Ok(functions);
    }
    let made = Functions::new();
    let handle = add(made.clone()).map_err(|e| raise(&e))?;
    match look() {
        Some(first) if !Arc::ptr_eq(&first, &made) => {
            handle.remove();
            Ok(first)
        }
        _ => Ok(made),
    }
}

fn of_tensor(x: &Tensor) -> Option<Arc<Functions>> {
    functions(x.gradient_hooks(), |hook| downcast::<OnTensor>(hook, |hook| &hook.0))
}

/// Registers a hook on a tensor.
pub fn on_tensor(x: &Tensor, hook: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    found_or_added(|| of_tensor(x), |made| x.add_hook(Arc::new(OnTensor(made))))?.add(hook)
}

/// Registers a hook on a leaf.
pub fn on_leaf(x: &Tensor, hook: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let look = || functions(x.post_accumulate_grad_hooks(), |hook| downcast::<OnLeaf>(hook, |hook| &hook.0));
    found_or_added(look, |made| x.add_post_accumulate_grad_hook(Arc::new(OnLeaf(made))))?.add(hook)
}

/// Registers a hook for before a node's derivative.
pub fn before_node(node: &NodeRef, hook: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let look = || functions(node.prehooks(), |hook| downcast::<BeforeNode>(hook, |hook| &hook.0));
    found_or_added(look, |made| Ok(node.add_prehook(Arc::new(BeforeNode(made)))))?.add(hook)
}

/// Registers a hook for after a node's derivative.
pub fn after_node(node: &NodeRef, hook: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let look = || functions(node.hooks(), |hook| downcast::<AfterNode>(hook, |hook| &hook.0));
    found_or_added(look, |made| Ok(node.add_hook(Arc::new(AfterNode(made)))))?.add(hook)
}

/// The functions registered on a tensor, as its attribute `_backward_hooks`.
pub fn dictionary(py: Python<'_>, x: &Tensor) -> Option<Py<PyAny>> {
    of_tensor(x)?.dictionary(py).map(|dictionary| dictionary.into_any().unbind())
}

/// Replaces all functions registered on a tensor by those of a dictionary, or by none. The tensor need not require a gradient.
pub fn set_dictionary(x: &Tensor, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let dictionary = if value.is_none() {
        None
    } else {
        let dictionary = value.cast::<PyDict>().map_err(|_| {
            let kind = value.get_type().name().map_or_else(|_| "?".to_owned(), |n| n.to_string());
            PyTypeError::new_err(format!("_backward_hooks must be a dict or None, but got {kind}"))
        })?;
        Some(dictionary.clone().unbind())
    };
    let functions = found_or_added(|| of_tensor(x), |made| Ok(x.place_hook(Arc::new(OnTensor(made)))))?;
    functions.set_dictionary(dictionary);
    Ok(())
}
