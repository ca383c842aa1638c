//! `autograd.Function`: Python's derivatives as nodes of the graph.

use arcgrad::graph::{self, Backward, Context, Grads, Rule, forward, mode, vector_space};
use arcgrad::{DType, Tensor};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::collector;
use crate::convert::{self, Answer, core};
use crate::ending::{self, Inside};
use crate::error::carry;
use crate::node::PyNode;
use crate::tensor::{PyTensor, subclass_object};

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

    fn stays_with_caller(&self) -> bool {
        true
    }

    fn backward(&self, cx: &mut Backward<'_>) -> arcgrad::Result<Grads> {
        ending::attach(|py| self.call(py, cx).map_err(carry))
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
                    "function {} returned a gradient different than None at position {}, but the corresponding forward \
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
    let materialize = context.getattr("materialize_grads")?.is_truthy()?;
    let all = context.getattr("_materialize_non_diff_grads")?.is_truthy()?;
    let zeros = outputs.iter().filter(|_| materialize).map(|y| {
        let y = y.as_ref().filter(|y| all || !cx.non_differentiable.iter().any(|other| other.is(y)))?;
        Some((y.shape(), y.dtype()))
    });
    let zeros = zeros.collect();
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
    // From here on the node keeps what is to be kept, and frees it when a pass does.
    let told = [
        ("to_save", !cx.saved.is_empty()),
        ("dirty_tensors", !cx.dirty.is_empty()),
        ("non_differentiable", !cx.non_differentiable.is_empty()),
    ];
    for (attribute, _) in told.iter().filter(|(_, given)| *given) {
        context.delattr(*attribute)?;
    }
    if let Some(node) = &attached.node {
        PyNode::adopt(context.cast::<PyNode>()?, node)?;
    }
    let is_dual = forward::propagates() && inputs.iter().any(|x| x.tangent().is_some());
    if is_dual {
        push_forward(context, &arguments, &inputs, &cx, &attached.outputs)?;
    }
    let made = given.iter().zip(attached.outputs).map(|(given, made)| match made {
        // What forward returned comes back as the same object, subclass and attributes included, if it is the same tensor.
        Some(made) if convert::tensor(given).is_some_and(|y| y.is(&made)) => Ok(given.clone().unbind()),
        Some(made) if !given.is_exact_instance_of::<PyTensor>() => {
            let is_input = convert::tensor(given).is_some_and(|y| inputs.iter().any(|x| x.is(y)));
            alike(given, made, is_input)
        }
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

/// The object of a view `made` of what forward returned, an object of another class than Tensor's: it has the class and the
/// attributes of what was returned, or where that was an input, those that the class gives to a view of it.
fn alike(given: &Bound<'_, PyAny>, made: Tensor, is_input: bool) -> PyResult<Py<PyAny>> {
    let py = given.py();
    let model = if is_input {
        let (_guard, _inside) = (mode::no_grad(), Inside::enter(py));
        given.call_method1(intern!(py, "view_as"), (given,))?
    } else {
        given.clone()
    };
    if convert::tensor(&model).is_none() {
        return Ok(model.unbind());
    }
    let object = subclass_object(&model.get_type(), made)?;
    if let Some(attributes) = model.getattr_opt(intern!(py, "__dict__"))? {
        object.bind(py).getattr(intern!(py, "__dict__"))?.cast::<PyDict>()?.update(attributes.cast()?)?;
    }
    Ok(object)
}

/// Gives the outputs the tangents that the function's `jvp` computes.
fn push_forward(
    context: &Bound<'_, PyAny>,
    arguments: &[Option<Tensor>],
    inputs: &[&Tensor],
    cx: &Context,
    outputs: &[Option<Tensor>],
) -> PyResult<()> {
    let py = context.py();
    let materialize = context.getattr("materialize_grads")?.is_truthy()?;
    let tangents = arguments.iter().map(|x| match x {
        Some(x) if materialize && x.dtype().is_differentiable() => {
            x.tangent().map_or_else(|| vector_space::zeros_like(x), Ok).object(py)
        }
        x => x.as_ref().and_then(Tensor::tangent).object(py),
    });
    let tangents = PyTuple::new(py, tangents.collect::<PyResult<Vec<_>>>()?)?;
    let tangent_of = |y: &Option<Tensor>| y.as_ref().and_then(Tensor::tangent).map(|t| (t.version(), t));
    let before: Vec<Option<(u32, Tensor)>> = outputs.iter().map(tangent_of).collect();
    let answer = {
        let _guard = mode::enter(mode::Mode { forward: false, ..mode::get() });
        let _inside = Inside::enter(py);
        context.call_method1("apply_jvp", tangents)?
    };
    let answers: Vec<Bound<'_, PyAny>> = match answer.cast::<PyTuple>() {
        Ok(answers) => answers.iter().collect(),
        Err(_) => vec![answer],
    };
    if answers.len() != outputs.len() {
        return Err(PyRuntimeError::new_err(format!(
            "Function's jvp returned an invalid number of forward gradients (expected {} but got {})",
            outputs.len(),
            answers.len()
        )));
    }
    let is = |list: &[Tensor], y: &Tensor| list.iter().any(|x| x.is(y));
    for (i, ((y, before), answer)) in outputs.iter().zip(&before).zip(&answers).enumerate() {
        if answer.is_none() {
            continue;
        }
        let Some(tangent) = convert::tensor(answer) else {
            let kind = answer.get_type().name()?;
            return Err(PyRuntimeError::new_err(format!(
                "expected Variable or None (got {kind}) for grad output {i}."
            )));
        };
        let differentiable = |y: &&Tensor| y.dtype().is_differentiable() && !is(&cx.non_differentiable, y);
        let Some(y) = y.as_ref().filter(differentiable) else {
            return Err(PyRuntimeError::new_err(format!(
                "The jvp function returned a gradient at position {i}, but the corresponding forward output is not a \
                 differentiable Tensor. You should return None at that position instead."
            )));
        };
        if is(&cx.dirty, y) && before.is_some() {
            if before.as_ref().is_some_and(|(version, t)| t.is(tangent) && t.version() > *version) {
                continue;
            }
            return Err(PyRuntimeError::new_err(
                "An inplace custom Function is not modifying the forward mode gradients inplace. If the forward is modifying \
                 an input inplace, then the jvp function must modify the corresponding gradient inplace.",
            ));
        }
        check_view(inputs, y, tangent)?;
        core(forward::set_output(inputs, y, Some(tangent.clone())))?;
    }
    Ok(())
}

/// Refuses a tangent that is not the view of an input's tangent as the output is the view of that input.
fn check_view(inputs: &[&Tensor], y: &Tensor, tangent: &Tensor) -> PyResult<()> {
    let Some(base) = y.base() else { return Ok(()) };
    let wrong = |what: &str| {
        Err(PyRuntimeError::new_err(format!(
            "A custom Function's forward is returning a view (or an input as-is) but the jvp is not returning a view{what}"
        )))
    };
    let Some(of) = tangent.base() else { return wrong(".") };
    let is_whole = |x: &Tensor| x.tangent().is_some_and(|t| !t.is_view());
    let whole = |x: &Tensor| x.tangent().map(|t| t.base().cloned().unwrap_or(t));
    if let Some(x) = inputs.iter().find(|x| x.is(base) && x.tangent().is_some()) {
        return match whole(x) {
            Some(expected) if !expected.is(of) => wrong(" of the given tangent of the input."),
            _ => Ok(()),
        };
    }
    let sibling = inputs.iter().find(|x| x.tangent().is_some() && x.base().is_some_and(|b| b.is(base)));
    match sibling.and_then(|x| whole(x)) {
        // A dual tensor that is no view of another has a tangent that is none either.
        Some(expected) if !expected.is(of) && sibling.is_some_and(|x| is_whole(x)) => {
            wrong(" of the given tangent of the input.")
        }
        Some(expected) if !expected.is(of) => wrong(" of the same base as the tangent of the input."),
        _ => Ok(()),
    }
}

/// The rule of tensors that may not be differentiated.
struct Failing(String);

impl Rule for Failing {
    fn name(&self) -> &'static str {
        "torch::autograd::Error"
    }
    fn backward(&self, _: &mut Backward<'_>) -> arcgrad::Result<Grads> {
        Err(arcgrad::Error::runtime(&*self.0))
    }
}

/// The tensors again, with a history that fails with this message when it is differentiated.
pub fn delayed_error(message: &str, given: &[Tensor]) -> arcgrad::Result<Vec<Option<Tensor>>> {
    let inputs: Vec<&Tensor> = given.iter().collect();
    let outputs: Vec<Option<Tensor>> = given.iter().map(|x| Some(x.detach())).collect();
    Ok(graph::attach(Failing(message.to_owned()), &inputs, &outputs, &Context::default())?.outputs)
}
