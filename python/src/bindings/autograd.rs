//! The graph: backward passes, gradients on request, histories and gradient modes.

use std::sync::{Mutex, PoisonError};

use arcgrad::engine::{self, Host, Options, Root};
use arcgrad::graph::{mode, vector_space};
use arcgrad::{Tensor, error};
use pyo3::exceptions::{PyNotImplementedError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::bindings;
use crate::convert;
use crate::dispatch::Args;
use crate::error::raise;

/// Runs a pass as Python's guest: a heavy one without the GIL, and stopped by a signal whose handler raises.
fn hosted<R>(py: Python<'_>, pass: impl FnOnce(Host<'_>) -> error::Result<R>) -> PyResult<R> {
    let raised: Mutex<Option<PyErr>> = Mutex::new(None);
    let detached = |run: &mut (dyn FnMut() + Send)| py.detach(run);
    let interrupted = || {
        let signal = Python::attach(|py| py.check_signals()).err();
        let stop = signal.is_some();
        if stop {
            *raised.lock().unwrap_or_else(PoisonError::into_inner) = signal;
        }
        stop
    };
    let host = Host { detached: Some(&detached), interrupted: Some(&interrupted), ..Host::default() };
    let answer = pass(host);
    let raised = raised.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (answer, raised) {
        (_, Some(exception)) => Err(exception),
        (answer, None) => answer.map_err(|e| raise(&e)),
    }
}

/// One gradient or none for each output.
fn gradients(given: Option<&Bound<'_, PyAny>>, outputs: usize) -> PyResult<Vec<Option<Tensor>>> {
    let Some(given) = given else { return Ok(vec![None; outputs]) };
    if let Some(one) = convert::tensor(given) {
        return Ok(vec![Some(one.clone())]);
    }
    let one = |x: Bound<'_, PyAny>| match convert::tensor(&x) {
        Some(grad) => Ok(Some(grad.clone())),
        None if x.is_none() => Ok(None),
        None => {
            let kind = x.get_type().name()?;
            Err(PyTypeError::new_err(format!("gradients can be either Tensors or None, but got {kind}")))
        }
    };
    given.try_iter()?.map(|x| x.and_then(one)).collect()
}

/// Where a pass starts: each output with its gradient.
fn roots(outputs: &[Tensor], given: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<Root>> {
    let grads = gradients(given, outputs.len())?;
    if grads.len() != outputs.len() {
        return Err(PyRuntimeError::new_err(format!(
            "got {} tensors and {} gradients",
            outputs.len(),
            grads.len()
        )));
    }
    let roots = outputs.iter().zip(&grads).enumerate();
    roots.map(|(i, (y, g))| engine::root(y, i, g.as_ref()).map_err(|e| raise(&e))).collect()
}

/// The options at two neighbouring parameters; a recorded graph is kept unless the caller says otherwise.
fn options(a: &Args<'_, '_>, retain_graph: usize) -> PyResult<Options> {
    let create_graph = a.flag(retain_graph + 1)?;
    Ok(Options { create_graph, retain_graph: a.optional_flag(retain_graph)?.unwrap_or(create_graph) })
}

fn backward(a: &Args<'_, '_>, outputs: &[Tensor]) -> PyResult<()> {
    let inputs = match a.get(4) {
        None => None,
        Some(given) if given.try_iter().is_err() => {
            let kind = given.get_type().name()?;
            return Err(pyo3::exceptions::PyTypeError::new_err(format!("'{kind}' object is not iterable")));
        }
        Some(_) => Some(a.tensors(4).map_err(|_| {
            PyRuntimeError::new_err("all `inputs` passed to backward() must be Tensors (or one Tensor)")
        })?),
    };
    if inputs.as_ref().is_some_and(Vec::is_empty) {
        return Err(PyRuntimeError::new_err("`inputs` argument to `backward()` cannot be empty."));
    }
    let (roots, options) = (roots(outputs, a.get(1))?, options(a, 2)?);
    if roots.is_empty() {
        return Ok(());
    }
    hosted(a.py(), |host| host.backward(roots, inputs.as_deref(), options))
}

fn grad(a: &Args<'_, '_>) -> PyResult<Vec<Option<Tensor>>> {
    let (outputs, inputs) = (a.tensors(0)?, a.tensors(1)?);
    let zeros = a.flag(7)?;
    let allow_unused = match a.optional_flag(5)? {
        Some(false) if zeros => {
            return Err(PyValueError::new_err(
                "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False.",
            ));
        }
        given => given.unwrap_or(zeros),
    };
    if a.flag(6)? {
        return Err(PyNotImplementedError::new_err(
            "is_grads_batched=True is not implemented: call grad() once for each row of grad_outputs",
        ));
    }
    if inputs.is_empty() {
        return Err(PyRuntimeError::new_err("`inputs` argument to `grad()` cannot be empty."));
    }
    let (roots, options) = (roots(&outputs, a.get(2))?, options(a, 3)?);
    let mut answers = hosted(a.py(), |host| host.grad(roots, &inputs, options))?;
    for (index, (answer, input)) in answers.iter_mut().zip(&inputs).enumerate() {
        if answer.is_none() && !allow_unused {
            return Err(PyRuntimeError::new_err(format!(
                "The differentiated Tensor at index {index} appears to not have been used in the graph. Set \
                 allow_unused=True if this is the desired behavior."
            )));
        }
        if answer.is_none() && zeros {
            *answer = Some(vector_space::zeros_like(input).map_err(|e| raise(&e))?);
        }
    }
    Ok(answers)
}

/// A mode as bits: 1 recording, 2 inference, 4 forward mode.
fn bits(mode: mode::Mode) -> i64 {
    i64::from(mode.grad) | i64::from(mode.inference) << 1 | i64::from(mode.forward) << 2
}

bindings! {
    /// Adds the gradient of this tensor with respect to the leaves before it into their `.grad`.
    method backward {
        "(Tensor input, Any? gradient=None, bool? retain_graph=None, bool create_graph=False, Any? inputs=None) -> None"
            => |a| backward(a, std::slice::from_ref(a.tensor(0)?))?
    }
    /// Adds the gradients of tensors with respect to the leaves before them into their `.grad`.
    function _backward {
        "(Any tensors, Any? grad_tensors=None, bool? retain_graph=None, bool create_graph=False, Any? inputs=None) -> None"
            => |a| backward(a, &a.tensors(0)?)?
    }
    /// The gradients of outputs with respect to inputs.
    function _grad {
        "(Any outputs, Any inputs, Any? grad_outputs=None, bool? retain_graph=None, bool create_graph=False, bool? allow_unused=None, bool is_grads_batched=False, bool materialize_grads=False) -> Tensor[]"
            => |a| grad(a)?
    }
    /// Asks for a gradient, or no longer.
    method requires_grad_ {
        "(Tensor input, bool requires_grad=True) -> Tensor" => |a| {
            let x: &Tensor = a.tensor(0)?;
            let yes = a.flag(1)?;
            if yes && !x.dtype().is_differentiable() {
                return Err(PyRuntimeError::new_err(format!(
                    "only Tensors of floating point dtype can require gradients (this one is {}; .to(float32) makes a copy \
                     that can)",
                    x.dtype()
                )));
            }
            x.set_requires_grad(yes).map(|()| x.clone())
        }
    }
    /// Keeps the gradient of this tensor, which has a history, in `.grad`.
    method retain_grad { "(Tensor input) -> None" => |a| a.tensor(0)?.retain_grad() }
    /// Drops this tensor's own history.
    both detach_ {
        "(Tensor input) -> Tensor" => |a| {
            let x: &Tensor = a.tensor(0)?;
            x.detach_().map(|()| x.clone())
        }
    }
    /// Whether it was made in inference mode.
    both is_inference { "(Tensor input) -> bool" => |a| a.tensor(0)?.is_inference() }
    /// Whether it shares the memory of another tensor as its view.
    method _is_view { "(Tensor input) -> bool" => |a| a.tensor(0)?.is_view() }
    /// Whether this thread records what it computes.
    function is_grad_enabled { "() -> bool" => |_a| mode::is_grad_enabled() }
    /// Whether this thread makes inference tensors.
    function is_inference_mode_enabled { "() -> bool" => |_a| mode::is_inference_mode_enabled() }
    /// This thread's mode.
    function _mode { "() -> int" => |_a| bits(mode::get()) }
    /// Sets this thread's mode and returns the one before.
    function _set_mode {
        "(int mode) -> int" => |a| {
            let wanted: i64 = a.int(0)?;
            bits(mode::set(mode::Mode { grad: wanted & 1 != 0, inference: wanted & 2 != 0, forward: wanted & 4 != 0 }))
        }
    }
}
