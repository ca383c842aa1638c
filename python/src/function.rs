//! `autograd.Function`: Python's derivatives as nodes of the graph.

use arcgrad::graph::{self, Backward, Context, Grads, Rule};
use arcgrad::{DType, Tensor};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::collector;
use crate::convert::{self, Answer, core};
use crate::error::carry;
use crate::node::PyNode;

/// The rule of a function: its context knows the derivative.
pub struct PyFunction {
    name: String,
    context: Py<PyAny>,
    /// For each argument of the forward pass, whether it was a tensor.
    arguments: Vec<bool>,
    /// For each output that is a tensor, the zeros that stand for a gradient that did not come; empty if `None` does.
    zeros: Vec<Option<(arcgrad::array::Dims, DType)>>,
}

impl Rule for PyFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn runs_on_nothing(&self) -> bool {
        !self.zeros.is_empty()
    }

    fn shares_saved(&self) -> bool {
        true
    }

    fn backward(&self, cx: &mut Backward<'_>) -> arcgrad::Result<Grads> {
        Python::attach(|py| self.call(py, cx).map_err(carry))
    }
}

impl PyFunction {
    /// For the garbage collector.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.context)
    }

    fn call(&self, py: Python<'_>, cx: &mut Backward<'_>) -> PyResult<Grads> {
        let outputs = cx.node().outputs().len();
        let grads = (0..outputs).map(|i| match (cx.take_grad(i), self.zeros.get(i)) {
            (None, Some(Some((shape, dtype)))) => core(Tensor::zeros(shape, *dtype))?.object(py),
            (grad, _) => grad.object(py),
        });
        let grads = PyTuple::new(py, grads.collect::<PyResult<Vec<_>>>()?)?;
        let answer = self.context.bind(py).call_method1("apply", grads)?;
        let mut answers: Vec<Bound<'_, PyAny>> = match answer.cast::<PyTuple>() {
            Ok(answers) => answers.iter().collect(),
            Err(_) => vec![answer],
        };
        let arguments = self.arguments.len();
        // More than were asked for are let pass if they are nothing.
        while answers.len() > arguments && answers.last().is_some_and(|answer| answer.is_none()) {
            answers.pop();
        }
        if answers.len() != arguments {
            return Err(PyRuntimeError::new_err(format!(
                "function {} returned an incorrect number of gradients (expected {arguments}, got {})",
                self.name,
                answers.len()
            )));
        }
        let mut grads = Grads::new();
        for (i, (answer, is_tensor)) in answers.iter().zip(&self.arguments).enumerate() {
            if !is_tensor {
                if answer.is_none() {
                    continue;
                }
                return Err(PyRuntimeError::new_err(format!(
                    "function {} returned a gradient different from None at position {}, but the corresponding forward \
                     input was not a Variable",
                    self.name,
                    i + 1
                )));
            }
            grads.push(match convert::tensor(answer) {
                Some(grad) => Some(grad.clone()),
                None if answer.is_none() => None,
                None => {
                    return Err(PyTypeError::new_err(format!(
                        "expected Variable or None (got {})",
                        answer.get_type().name()?
                    )));
                }
            });
        }
        Ok(grads)
    }
}

/// The tensors in an attribute of a context.
fn tensors(context: &Bound<'_, PyAny>, attribute: &str, caller: &str) -> PyResult<Vec<Option<Tensor>>> {
    let given = context.getattr(attribute)?;
    if given.is_none() {
        return Ok(Vec::new());
    }
    let one = |(i, x): (usize, PyResult<Bound<'_, PyAny>>)| {
        let x = x?;
        match convert::tensor(&x) {
            Some(x) => Ok(Some(x.clone())),
            None if x.is_none() => Ok(None),
            None => Err(PyTypeError::new_err(format!(
                "{caller} can only save variables, but argument {i} is of type {}",
                x.get_type().name()?
            ))),
        }
    };
    given.try_iter()?.enumerate().map(one).collect()
}

/// Gives what `forward` of a custom function returned its history, and the context its node.
pub fn attach(
    context: &Bound<'_, PyAny>,
    arguments: &Bound<'_, PyAny>,
    output: &Bound<'_, PyAny>,
    is_setup: bool,
) -> PyResult<Py<PyAny>> {
    let py = context.py();
    let name = context.get_type().name()?.to_string();
    let arguments: Vec<Option<Tensor>> =
        arguments.try_iter()?.map(|x| Ok(convert::tensor(&x?).cloned())).collect::<PyResult<_>>()?;
    let (given, is_many): (Vec<Bound<'_, PyAny>>, bool) = match output.cast::<PyTuple>() {
        Ok(outputs) => (outputs.iter().collect(), true),
        Err(_) => (vec![output.clone()], false),
    };
    if !is_many && convert::tensor(output).is_none() {
        let kind = output.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "{}.forward: expected to get a tensor or tuple of tensors, but got {kind}",
            name.trim_end_matches("Backward")
        )));
    }
    let outputs: Vec<Option<Tensor>> = given.iter().map(|y| convert::tensor(y).cloned()).collect();
    let inputs: Vec<&Tensor> = arguments.iter().flatten().collect();
    let marked = |attribute| {
        tensors(context, attribute, attribute).map(|list| list.into_iter().flatten().collect::<Vec<_>>())
    };
    let cx = Context {
        saved: tensors(context, "to_save", "save_for_backward")?,
        dirty: marked("dirty_tensors")?,
        non_differentiable: marked("non_differentiable")?,
        saved_after_forward: is_setup,
    };
    let zeros = context.getattr("materialize_grads")?.is_truthy()?;
    let zeros =
        outputs.iter().filter(|_| zeros).map(|y| y.as_ref().map(|y| (y.shape(), y.dtype()))).collect();
    let rule = PyFunction {
        name,
        context: context.clone().unbind(),
        arguments: arguments.iter().map(Option::is_some).collect(),
        zeros,
    };
    let attached = core(graph::attach(rule, &inputs, &outputs, &cx))?;
    if attached.stray_dirty {
        PyErr::warn(
            py,
            &py.get_type::<pyo3::exceptions::PyUserWarning>(),
            c"Only input Tensors should be given to ctx.mark_dirty(). If a Tensor is not an input, there is no need to pass it \
              to mark_dirty().",
            1,
        )?;
    }
    if let Some(node) = &attached.node {
        PyNode::adopt(context.cast::<PyNode>()?, node)?;
    }
    let made = given.iter().zip(attached.outputs).map(|(given, made)| match made {
        // What forward returned comes back as the same object, subclass and attributes included, if it is the same tensor.
        Some(made) if convert::tensor(given).is_some_and(|y| y.is(&made)) => Ok(given.clone().unbind()),
        Some(made) => made.object(py),
        None => Ok(given.clone().unbind()),
    });
    let made = made.collect::<PyResult<Vec<_>>>()?;
    for one in made.iter().filter(|one| convert::tensor(one.bind(py)).is_some()) {
        collector::track(one.bind(py));
    }
    match <[Py<PyAny>; 1]>::try_from(made) {
        Ok([one]) if !is_many => Ok(one),
        Ok(one) => Ok(PyTuple::new(py, one)?.into_any().unbind()),
        Err(made) => Ok(PyTuple::new(py, made)?.into_any().unbind()),
    }
}

/// The rule of tensors that may not be differentiated.
struct Failing(String);

impl Rule for Failing {
    fn name(&self) -> &'static str {
        "DelayedError"
    }
    fn backward(&self, _: &mut Backward<'_>) -> arcgrad::Result<Grads> {
        Err(arcgrad::Error::runtime(&*self.0))
    }
}

/// The tensors again, with a history that fails with this message when it is differentiated.
pub fn undifferentiable(message: &str, given: &Bound<'_, PyAny>) -> PyResult<Vec<Option<Tensor>>> {
    let given: Vec<Option<Tensor>> = given
        .cast::<PyList>()?
        .iter()
        .map(|x| convert::tensor(&x).map(|x| x.detach().requires_grad_(true)).transpose())
        .collect::<arcgrad::Result<_>>()
        .map_err(|e| crate::error::raise(&e))?;
    let inputs: Vec<&Tensor> = given.iter().flatten().collect();
    let outputs = given.iter().map(|x| x.as_ref().map(Tensor::detach)).collect::<Vec<_>>();
    Ok(core(graph::attach(Failing(message.to_owned()), &inputs, &outputs, &Context::default()))?.outputs)
}
