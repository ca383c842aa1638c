//! Backward passes as Python's guests: what was asked for becomes roots and targets, and the pass is run among Python's threads.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::thread;

use arcgrad::engine::{self, Host, Options, Root};
use arcgrad::graph::{self, Batch, Edge, mode, vector_space};
use arcgrad::{Tensor, error};
use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::convert;
use crate::dispatch::Args;
use crate::ending;
use crate::error::raise;
use crate::node::PyNode;
use crate::saved;

/// Passes inside of each other on one thread. Each costs a few of Python's frames, of which a thread has a thousand.
const DEEPEST: usize = 60;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Runs a pass as Python's guest. One that is too deep inside of others goes on in a thread of its own, with a fresh
/// stack, while this one waits: a derivative may call backward as often as it likes.
fn hosted<R: Send>(py: Python<'_>, pass: impl FnOnce(Host<'_>) -> error::Result<R> + Send) -> PyResult<R> {
    if DEPTH.get() < DEEPEST {
        DEPTH.set(DEPTH.get() + 1);
        let answer = run_pass(py, pass);
        DEPTH.set(DEPTH.get() - 1);
        return answer;
    }
    let (mode, packing) = (mode::get(), graph::saved_tensor_hooks());
    let deeper = move || {
        Python::attach(|py| {
            mode::set(mode);
            if let Some(hooks) = packing {
                graph::push_saved_tensor_hooks(hooks).map_err(|e| raise(&e))?;
            }
            run_pass(py, pass)
        })
    };
    let panicked =
        |_| PyRuntimeError::new_err("the thread of a nested backward pass ended without an answer");
    py.detach(|| thread::scope(|scope| scope.spawn(deeper).join())).unwrap_or_else(|e| Err(panicked(e)))
}

/// A heavy pass runs without the GIL, and is stopped by a signal whose handler raises.
fn run_pass<R>(py: Python<'_>, pass: impl FnOnce(Host<'_>) -> error::Result<R>) -> PyResult<R> {
    let _inside = ending::Inside::enter(py);
    let raised: Mutex<Option<PyErr>> = Mutex::new(None);
    let detached = |run: &mut (dyn FnMut() + Send)| py.detach(run);
    let interrupted = || {
        if ending::is_under_way() {
            return true;
        }
        let signal = Python::attach(|py| py.check_signals()).err();
        let stop = signal.is_some();
        if stop {
            *raised.lock().unwrap_or_else(PoisonError::into_inner) = signal;
        }
        stop
    };
    let host = Host { detached: Some(&detached), interrupted: Some(&interrupted), ..Host::default() };
    let answer = pass(host);
    saved::drop_packages();
    ending::stop_at_the_end(py);
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

/// A tensor, or the place in the graph that a `GradientEdge` names.
enum Endpoint {
    Tensor(Tensor),
    Edge(Edge),
}

impl Endpoint {
    fn new(object: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        if let Some(x) = convert::tensor(object) {
            return Ok(Some(Self::Tensor(x.clone())));
        }
        let Ok(node) = object.getattr("node") else { return Ok(None) };
        let Ok(node) = node.cast::<PyNode>() else { return Ok(None) };
        let output: u32 = object.getattr("output_nr")?.extract()?;
        let node = node.get().node()?;
        if output as usize >= node.outputs().len() {
            return Err(PyRuntimeError::new_err(format!(
                "GradientEdge: {} has {} outputs, and none has the number {output}",
                node.name(),
                node.outputs().len()
            )));
        }
        Ok(Some(Self::Edge(Edge { node, output })))
    }

    /// One place or a sequence of places.
    fn all(given: &Bound<'_, PyAny>, what: &str) -> PyResult<Vec<Self>> {
        let wrong = |x: &Bound<'_, PyAny>| {
            let kind = x.get_type().name().map_or_else(|_| "?".to_owned(), |n| n.to_string());
            PyTypeError::new_err(format!("{what} must be Tensors or GradientEdges, but got {kind}"))
        };
        if let Some(one) = Self::new(given)? {
            return Ok(vec![one]);
        }
        let one = |x: PyResult<Bound<'_, PyAny>>| {
            let x = x?;
            Self::new(&x)?.ok_or_else(|| wrong(&x))
        };
        given.try_iter()?.map(one).collect()
    }

    /// Where its gradient is to be had; a tensor's is also kept in its `.grad` if `kept`.
    fn edge(&self, kept: bool) -> PyResult<Edge> {
        match self {
            Self::Tensor(x) => convert::core(if kept { engine::kept_edge(x) } else { engine::input_edge(x) }),
            Self::Edge(edge) => Ok(edge.clone()),
        }
    }

    fn root(&self, index: usize, grad: Option<&Tensor>) -> PyResult<Root> {
        convert::core(match self {
            Self::Tensor(y) => engine::root(y, index, grad),
            Self::Edge(edge) => engine::root_at(edge.clone(), index, grad),
        })
    }

    /// [`Self::root`] for a batch of gradients.
    fn batched_root(&self, index: usize, grads: &Tensor) -> PyResult<Root> {
        convert::core(match self {
            Self::Tensor(y) => engine::batched_root(y, index, grads),
            Self::Edge(edge) => engine::batched_root_at(edge.clone(), index, grads),
        })
    }

    fn zeros(&self) -> PyResult<Tensor> {
        match self {
            Self::Tensor(x) => convert::core(vector_space::zeros_like(x)),
            Self::Edge(_) => Err(PyRuntimeError::new_err(
                "materialize_grads cannot be used when the given input is a GradientEdge",
            )),
        }
    }
}

/// Where a pass starts: each output with its gradient.
fn roots(outputs: &[Endpoint], given: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<Root>> {
    let grads = as_many(gradients(given, outputs.len())?, outputs)?;
    outputs.iter().zip(&grads).enumerate().map(|(i, (y, g))| y.root(i, g.as_ref())).collect()
}

/// The gradients, if there is one for each output.
fn as_many<T>(grads: Vec<T>, outputs: &[Endpoint]) -> PyResult<Vec<T>> {
    if grads.len() == outputs.len() {
        return Ok(grads);
    }
    let message = format!("got {} tensors and {} gradients", outputs.len(), grads.len());
    Err(PyRuntimeError::new_err(message))
}

/// Where a pass of several gradients starts, and how many there are: each output's begin with an axis of that extent.
fn batched_roots(outputs: &[Endpoint], given: Option<&Bound<'_, PyAny>>) -> PyResult<(Vec<Root>, Batch)> {
    let batches: Option<Vec<Tensor>> = gradients(given, outputs.len())?.into_iter().collect();
    let batches = batches.ok_or_else(|| {
        PyValueError::new_err(
            "grad() with is_grads_batched=True: every output needs its batch of gradients, and none is made up",
        )
    })?;
    let batches = as_many(batches, outputs)?;
    if batches.iter().any(|g| g.ndim() == 0) {
        return Err(PyIndexError::new_err(
            "invalid index of a 0-dim tensor: a batch of gradients has at least one dimension",
        ));
    }
    let roots = outputs.iter().zip(&batches).enumerate().map(|(i, (y, g))| y.batched_root(i, g));
    let roots = roots.collect::<PyResult<Vec<_>>>()?;
    let sizes: Vec<usize> = batches.iter().map(|g| g.shape()[0]).collect();
    if sizes.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(PyValueError::new_err(format!(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes:?} for the mapped \
             dimension"
        )));
    }
    let size = sizes.first().map_or(Some(NonZeroUsize::MIN), |&size| NonZeroUsize::new(size));
    let empty = "index 0 is out of bounds for dimension 0 with size 0: the batch of gradients is empty";
    size.map(|size| (roots, Some(size))).ok_or_else(|| PyIndexError::new_err(empty))
}

/// The options at two neighbouring parameters; a recorded graph is kept unless the caller says otherwise.
fn options(a: &Args<'_, '_>, retain_graph: usize) -> PyResult<Options> {
    let create_graph = a.flag(retain_graph + 1)?;
    let retain_graph = a.optional_flag(retain_graph)?.unwrap_or(create_graph);
    Ok(Options { retain_graph, create_graph, batch: None })
}

/// `backward`: adds into `.grad` of leaves, or of inputs that were named.
pub fn backward(a: &Args<'_, '_>) -> PyResult<()> {
    let inputs = a.get(4).map(|given| Endpoint::all(given, "all inputs passed to backward()")).transpose();
    // PyTorch's class for this one.
    let inputs = inputs.map_err(|error| {
        let of_many = a.get(4).is_some_and(|given| given.try_iter().is_ok());
        if of_many && error.is_instance_of::<PyTypeError>(a.py()) {
            PyRuntimeError::new_err(error.value(a.py()).to_string())
        } else {
            error
        }
    })?;
    if inputs.as_ref().is_some_and(Vec::is_empty) {
        return Err(PyRuntimeError::new_err("`inputs` argument to `backward()` cannot be empty."));
    }
    let (roots, options) = (roots(&Endpoint::all(a.any(0)?, "tensors")?, a.get(1))?, options(a, 2)?);
    let inputs =
        inputs.map(|inputs| inputs.iter().map(|x| x.edge(true)).collect::<PyResult<Vec<_>>>()).transpose()?;
    if roots.is_empty() {
        return Ok(());
    }
    hosted(a.py(), |host| host.backward(roots, inputs.as_deref(), options))
}

/// `grad`: the gradients of outputs with respect to inputs.
pub fn grad(a: &Args<'_, '_>) -> PyResult<Vec<Option<Tensor>>> {
    let (outputs, inputs) = (Endpoint::all(a.any(0)?, "outputs")?, Endpoint::all(a.any(1)?, "inputs")?);
    let zeros = a.flag(7)?;
    let allow_unused = match a.optional_flag(5)? {
        Some(false) if zeros => {
            return Err(PyValueError::new_err(
                "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False.",
            ));
        }
        given => given.unwrap_or(zeros),
    };
    if inputs.is_empty() {
        return Err(PyRuntimeError::new_err("`inputs` argument to `grad()` cannot be empty."));
    }
    let (roots, batch) =
        if a.flag(6)? { batched_roots(&outputs, a.get(2))? } else { (roots(&outputs, a.get(2))?, None) };
    let options = Options { batch, ..options(a, 3)? };
    let edges = inputs.iter().map(|x| x.edge(false)).collect::<PyResult<Vec<_>>>()?;
    let mut answers = hosted(a.py(), |host| host.grad(roots, &edges, options))?;
    for (index, (answer, input)) in answers.iter_mut().zip(&inputs).enumerate() {
        if answer.is_none() && !allow_unused {
            return Err(PyRuntimeError::new_err(format!(
                "The differentiated Tensor at index {index} appears to not have been used in the graph. Set \
                 allow_unused=True if this is the desired behavior."
            )));
        }
        if answer.is_none() && zeros {
            let zeros = input.zeros()?;
            // The zeros take part in the next differentiation as the gradient itself would.
            *answer = Some(convert::core(zeros.requires_grad_(options.create_graph))?);
        }
    }
    Ok(answers)
}
