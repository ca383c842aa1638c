//! The graph: backward passes, gradients on request, histories and gradient modes.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use arcgrad::engine::{self, Host, Options, Root};
use arcgrad::graph::{self, Batch, Edge, NodeRef, mode, vector_space};
use arcgrad::watch::{self, Watch};
use arcgrad::{Tensor, error};
use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::bindings;
use crate::convert;
use crate::dispatch::Args;
use crate::ending;
use crate::error::{carry, raise};
use crate::node::PyNode;
use crate::{collector, function, hooks, node, origin, saved};

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
enum Place {
    Tensor(Tensor),
    Edge(Edge),
}

impl Place {
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
fn roots(outputs: &[Place], given: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<Root>> {
    let grads = as_many(gradients(given, outputs.len())?, outputs)?;
    outputs.iter().zip(&grads).enumerate().map(|(i, (y, g))| y.root(i, g.as_ref())).collect()
}

/// The gradients, if there is one for each output.
fn as_many<T>(grads: Vec<T>, outputs: &[Place]) -> PyResult<Vec<T>> {
    if grads.len() == outputs.len() {
        return Ok(grads);
    }
    let message = format!("got {} tensors and {} gradients", outputs.len(), grads.len());
    Err(PyRuntimeError::new_err(message))
}

/// Where a pass of several gradients starts, and how many there are: each output's begin with an axis of that extent.
fn batched_roots(outputs: &[Place], given: Option<&Bound<'_, PyAny>>) -> PyResult<(Vec<Root>, Batch)> {
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

fn backward(a: &Args<'_, '_>) -> PyResult<()> {
    let inputs = a.get(4).map(|given| Place::all(given, "all inputs passed to backward()")).transpose();
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
    let (roots, options) = (roots(&Place::all(a.any(0)?, "tensors")?, a.get(1))?, options(a, 2)?);
    let inputs =
        inputs.map(|inputs| inputs.iter().map(|x| x.edge(true)).collect::<PyResult<Vec<_>>>()).transpose()?;
    if roots.is_empty() {
        return Ok(());
    }
    hosted(a.py(), |host| host.backward(roots, inputs.as_deref(), options))
}

fn grad(a: &Args<'_, '_>) -> PyResult<Vec<Option<Tensor>>> {
    let (outputs, inputs) = (Place::all(a.any(0)?, "outputs")?, Place::all(a.any(1)?, "inputs")?);
    let zeros = a.flag(6)?;
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
        if a.flag(7)? { batched_roots(&outputs, a.get(2))? } else { (roots(&outputs, a.get(2))?, None) };
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

/// A mode as bits: 1 recording, 2 inference, 4 forward mode.
fn bits(mode: mode::Mode) -> i64 {
    i64::from(mode.grad) | i64::from(mode.inference) << 1 | i64::from(mode.forward) << 2
}

bindings! {
    /// Adds the gradient of this tensor with respect to the leaves before it into their `.grad`.
    method backward {
        "(Tensor input, Any? gradient=None, bool? retain_graph=None, bool create_graph=False, Any? inputs=None) -> None"
            => |a| backward(a)?
    }
    /// Adds the gradients of tensors with respect to the leaves before them into their `.grad`.
    function _backward {
        "(Any tensors, Any? grad_tensors=None, bool? retain_graph=None, bool create_graph=False, Any? inputs=None) -> None"
            => |a| backward(a)?
    }
    /// The gradients of outputs with respect to inputs.
    function _grad {
        "(Any outputs, Any inputs, Any? grad_outputs=None, bool? retain_graph=None, bool create_graph=False, bool? allow_unused=None, bool materialize_grads=False, bool is_grads_batched=False) -> Tensor[]"
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
    /// From now on calls `hook` with this tensor's gradient whenever a backward pass has computed it. What the hook returns,
    /// unless it is None, replaces the gradient. Returns a handle whose `remove()` takes the hook away.
    method register_hook {
        "(Tensor input, Any hook) -> Any" => |a| {
            collector::track(a.any(0)?);
            hooks::on_tensor(a.tensor(0)?, a.any(1)?)?
        }
    }
    /// From now on calls `hook` with this leaf whenever a backward pass has added into its `.grad`. Returns a handle whose
    /// `remove()` takes the hook away.
    method register_post_accumulate_grad_hook {
        "(Tensor input, Any hook) -> Any" => |a| {
            collector::track(a.any(0)?);
            hooks::on_leaf(a.tensor(0)?, a.any(1)?)?
        }
    }
    /// Drops this tensor's own history.
    both detach_ {
        "(Tensor input) -> Tensor" => |a| {
            let x: &Tensor = a.tensor(0)?;
            x.detach_().map(|()| x.clone())
        }
    }
    /// Gives what a custom function's forward pass returned its history, and its context a node.
    function _attach_function {
        "(Any ctx, Any args, Any output, bool is_setup) -> Any" => |a| function::attach(a.any(0)?, a.any(1)?, a.any(2)?, a.flag(3)?)?
    }
    /// Tensors with these numbers and with a history that fails with this message when it is differentiated.
    function _delayed_error {
        "(str message, Tensor[] tensors) -> Tensor[]" => |a| function::delayed_error(&a.str(0)?, &a.tensors(1)?)
    }
    /// From now on packs what this thread saves with `pack_hook`, and unpacks it with `unpack_hook`.
    function _push_saved_tensors_hooks {
        "(Any pack_hook, Any unpack_hook) -> None"
            => |a| graph::push_saved_tensor_hooks(saved::Hooks::new(a.any(0)?, a.any(1)?))
    }
    /// Takes the innermost of these hooks away.
    function _pop_saved_tensors_hooks { "() -> None" => |_a| drop(graph::pop_saved_tensor_hooks()) }
    /// Forbids saved tensor hooks on this thread with this sentence, or, given None, no longer; returns the sentence of before.
    function _disable_saved_tensors_hooks {
        "(str? message) -> Any" => |a| {
            let message = a.optional_str(0)?.map(std::sync::Arc::from);
            let before = convert::core(graph::disable_packing(message))?;
            before.as_deref().into_pyobject(a.py())?.unbind()
        }
    }
    /// The number of the backward pass that this thread runs, which no other pass has; -1 outside of passes.
    function _pass_number {
        "() -> int" => |_a| engine::pass_number().map_or(-1, |number| number as i64)
    }
    /// Whether the backward pass that this thread runs fills all leaves, not some that were asked for; true outside of passes.
    function _fills_all_leaves {
        "() -> bool" => |_a| engine::pass_facts().is_none_or(|facts| facts.fills_all_leaves)
    }
    /// From now on passes can be asked with `_will_reach` and `_execution_order`.
    function _track_passes { "() -> None" => |_a| engine::track_passes() }
    /// For each node, whether the backward pass that this thread runs brings a gradient to it; None outside of passes.
    function _will_reach {
        "(Any nodes) -> Any" => |a| {
            let one = |node: PyResult<Bound<'_, PyAny>>| {
                convert::core(engine::will_reach(&node?.cast::<PyNode>()?.get().node()?))
            };
            let reached = a.any(0)?.try_iter()?.map(one).collect::<PyResult<Option<Vec<bool>>>>()?;
            reached.into_pyobject(a.py())?.unbind()
        }
    }
    /// The nodes that the backward pass that this thread runs visits, in order; None outside of passes.
    function _execution_order {
        "() -> Any" => |a| {
            let order = convert::core(engine::execution_order())?;
            let objects = |order: Vec<NodeRef>| {
                order.into_iter().map(|node| node::object(a.py(), node)).collect::<PyResult<Vec<_>>>()
            };
            order.map(objects).transpose()?.into_pyobject(a.py())?.unbind()
        }
    }
    /// Whether the backward pass that this thread runs keeps the graph, and whether it answers with gradients instead of
    /// adding them into leaves; None outside of passes.
    function _pass_facts {
        "() -> Any" => |a| {
            let facts = engine::pass_facts().map(|facts| (facts.retain_graph, facts.captures));
            facts.into_pyobject(a.py())?.into_any().unbind()
        }
    }
    /// Has `callback` called without arguments when the backward pass that this thread runs is over.
    function _at_end_of_pass {
        "(Any callback) -> None" => |a| {
            let callback = a.any(0)?.clone().unbind();
            engine::at_end_of_pass(Box::new(move || {
                ending::attach(|py| callback.call0(py).map(drop).map_err(carry))
            }))
        }
    }
    /// Whether backward passes that this thread begins may be run by several.
    function _is_multithreading_enabled { "() -> bool" => |_a| engine::is_multithreading_enabled() }
    /// Lets backward passes that this thread begins be run by several or not; returns what was before.
    function _set_multithreading_enabled {
        "(bool enabled) -> bool" => |a| engine::set_multithreading_enabled(a.flag(0)?)
    }
    /// The class of all nodes of a name.
    function _node_class { "(str name) -> Any" => |a| node::class(a.py(), &a.str(0)?)?.unbind() }
    /// Sets the version of each tensor's memory.
    function _set_version {
        "(Any tensors, int[] versions) -> None" => |a| {
            for (x, version) in a.tensors(0)?.iter().zip(a.ints(1)?) {
                let version = u32::try_from(version).map_err(|_| {
                    PyRuntimeError::new_err(format!("Cannot set a version_counter to a value below 0: {version}"))
                })?;
                x.array().storage().set_version(version);
            }
        }
    }
    /// The sentence with which saved tensor hooks are refused on this thread, if they are.
    function _saved_tensors_hooks_refusal {
        "() -> Any" => |a| graph::packing_disabled().as_deref().into_pyobject(a.py())?.unbind()
    }
    /// From now on this thread's in-place operations call `watch` with the tensor that they are about to write; None ends it.
    function _watch_writes {
        "(Any? watch) -> None" => |a| {
            let watch = a.get(0).map(|watch| watch.clone().unbind());
            graph::view::watch_writes(watch.map(|watch| -> graph::view::WriteWatch {
                Arc::new(move |x: &Tensor| {
                    ending::attach(|py| {
                        convert::object(py, x.clone()).and_then(|x| watch.call1(py, (x,))).map(drop).map_err(carry)
                    })
                })
            }));
        }
    }
    /// The address of a tensor's memory, whatever its offset.
    function _memory {
        "(Tensor input) -> int" => |a| a.tensor(0)?.array().storage().pointer().addr() as i64
    }
    /// Notes a write to the memory of these tensors that arcgrad did not see.
    function _increment_version {
        "(Any tensors) -> None" => |a| a.tensors(0)?.iter().for_each(|x| x.array().storage().raise_version("somebody who called increment_version"))
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
            let (grad, inference, forward) = (wanted & 1 != 0, wanted & 2 != 0, wanted & 4 != 0);
            bits(mode::set(mode::Mode { grad, inference, forward, ..mode::get() }))
        }
    }
    /// What is noted of recorded operations, as bits: 1 origins, 2 ranges, 4 lives, 8 anomalies, 16 NaN checks.
    function _watch { "() -> int" => |_a| i64::from(watch::get().bits()) }
    /// Sets what is noted, on all threads.
    function _set_watch {
        "(int watch) -> None" => |a| {
            let wanted: i64 = a.int(0)?;
            watch::set(Watch::from_bits(wanted as u8));
        }
    }
    /// Where the first NaN or infinity before a tensor was born: the fields of `NonFinite`, or None.
    function _first_nonfinite {
        "(Tensor input) -> Any" => |a| match graph::first_nonfinite(a.tensor(0)?) {
            Some(found) => origin::nonfinite(a.py(), &found)?,
            None => a.py().None(),
        }
    }
    /// Living nodes by name and line: of those at and before these tensors, or if there are none given, of those that were
    /// recorded after the mark while nodes were tracked. Tuples of name, line, count and saved bytes.
    function _live_nodes {
        "(Any? tensors, int mark) -> Any" => |a| {
            let lives = match a.get(0) {
                Some(_) => graph::reachable_lives(a.tensors(0)?.iter().filter_map(Tensor::grad_fn)),
                None => graph::lives_since(graph::Mark::from_number(a.int(1)? as u64)),
            };
            origin::lives(a.py(), lives)?
        }
    }
    /// A moment in the order of tracked nodes.
    function _live_mark { "() -> int" => |_a| graph::mark().number() as i64 }
}
