//! `arcgrad.autograd.graph.Node`: a node of the graph as Python sees it, with a class for each name.

use std::any::Any;
use std::cell::RefCell;
use std::sync::OnceLock;

use arcgrad::graph::{Backward, NodeRef, WeakNode};
use pyo3::exceptions::{PyAttributeError, PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType, PyWeakrefMethods, PyWeakrefReference};

use crate::once::Once;
use crate::{collector, convert, hooks, identity, origin, saved};

/// A recorded operation.
#[pyclass(name = "Node", module = "arcgrad.autograd.graph", frozen, subclass, weakref)]
pub struct PyNode(Held);

enum Held {
    Node(NodeRef),
    /// The context of a custom function: the node owns it, and is known once the forward pass is over.
    Context(OnceLock<WeakNode>),
}

thread_local! {
    /// The node that the next object is for: the way past Python's `__new__`, which takes no node.
    static NEXT: RefCell<Option<NodeRef>> = const { RefCell::new(None) };
}

impl PyNode {
    /// The node of the core.
    pub fn node(&self) -> PyResult<NodeRef> {
        match &self.0 {
            Held::Node(node) => Ok(node.clone()),
            Held::Context(node) => node.get().and_then(WeakNode::upgrade).ok_or_else(|| {
                PyRuntimeError::new_err(
                    "this context of a custom function is part of no graph: nothing was recorded, or the graph is gone",
                )
            }),
        }
    }

    /// Makes a custom function's context the Python object of its node.
    pub fn adopt(this: &Bound<'_, Self>, node: &NodeRef) -> PyResult<()> {
        let Held::Context(slot) = &this.get().0 else {
            return Err(PyTypeError::new_err("only the context of a custom function can become a node"));
        };
        slot.set(node.downgrade())
            .map_err(|_| PyRuntimeError::new_err("this context already belongs to a node"))?;
        remember(node, this.as_any())
    }
}

#[pymethods]
impl PyNode {
    #[new]
    #[classmethod]
    fn new(class: &Bound<'_, PyType>) -> PyResult<Self> {
        if let Some(node) = NEXT.with(|next| next.borrow_mut().take()) {
            return Ok(Self(Held::Node(node)));
        }
        if class.is(class.py().get_type::<Self>()) {
            return Err(PyTypeError::new_err("a Node is made by recording an operation"));
        }
        Ok(Self(Held::Context(OnceLock::new())))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.0 {
            Held::Node(node) => collector::traverse_node(node, &visit),
            Held::Context(_) => Ok(()),
        }
    }

    /// The operation's name, as in `MulBackward0`.
    fn name(slf: &Bound<'_, Self>) -> PyResult<String> {
        match slf.get().node() {
            Ok(node) => Ok(node.name().to_owned()),
            Err(_) => Ok(slf.get_type().name()?.to_string()),
        }
    }

    /// For each input the node that its gradient goes to and the output of that node that it is; `(None, 0)` if it wants none.
    #[getter]
    fn next_functions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let node = self.node()?;
        let edges = node.edges().iter().map(|edge| match edge {
            Some(edge) => (object(py, edge.node.clone())?, edge.output).into_pyobject(py),
            None => (py.None(), 0_u32).into_pyobject(py),
        });
        PyTuple::new(py, edges.collect::<PyResult<Vec<_>>>()?)
    }

    /// The leaf that this node adds gradients into, None if it is gone; only accumulators have one.
    #[getter]
    fn variable(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let node = self.node()?;
        match node.leaf() {
            Some(leaf) => convert::object(py, leaf.clone()),
            None => Err(PyAttributeError::new_err(format!(
                "'{}' object has no attribute 'variable'",
                node.name()
            ))),
        }
    }

    /// A dictionary for whatever a user wants to remember with the node.
    #[getter]
    fn metadata(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let node = match (self.node(), &self.0) {
            // The graph is gone, and with it what was remembered.
            (Err(_), Held::Context(slot)) if slot.get().is_some() => {
                return Ok(PyDict::new(py).into_any().unbind());
            }
            (node, _) => node?,
        };
        // Formatting runs Python code, and so comes before the lock.
        let noted = noted(py, &node)?;
        let mut slot = node.extra_or_default().attached.lock();
        if let Some(existing) = slot.as_ref().and_then(|kept| kept.downcast_ref::<Py<PyDict>>()) {
            return Ok(existing.clone_ref(py).into_any());
        }
        let made = noted.unbind();
        *slot = Some(Box::new(made.clone_ref(py)));
        Ok(made.into_any())
    }

    /// From now on calls `fn(grad_outputs)` before this node's derivative runs; what it returns, unless None, replaces the
    /// gradients of the outputs. Returns a handle whose `remove()` takes the hook away.
    #[pyo3(signature = (r#fn))]
    fn register_prehook(&self, r#fn: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        hooks::before_node(&self.node()?, r#fn)
    }

    /// From now on calls `fn(grad_inputs, grad_outputs)` after this node's derivative ran; what it returns, unless None,
    /// replaces the gradients of the inputs. Returns a handle whose `remove()` takes the hook away.
    #[pyo3(signature = (r#fn))]
    fn register_hook(&self, r#fn: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        hooks::after_node(&self.node()?, r#fn)
    }

    /// Position in the order of recording.
    fn _sequence_nr(&self) -> PyResult<u64> {
        Ok(self.node()?.sequence())
    }

    /// What a custom function saved.
    fn _saved_tensors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        match &self.0 {
            Held::Context(slot) if slot.get().is_none() => Ok(PyTuple::empty(py)),
            _ => saved::all(py, &self.node()?),
        }
    }

    /// For each output: its shape, dtype and device.
    #[getter]
    fn _input_metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let class = py.import("types")?.getattr("SimpleNamespace")?;
        let node = self.node()?;
        let one = |meta: &arcgrad::graph::OutputMeta| {
            let fields = PyDict::new(py);
            fields.set_item("shape", crate::size::object(py, meta.layout.shape())?)?;
            fields.set_item("dtype", crate::dtype::object(py, meta.dtype)?)?;
            fields.set_item("device", crate::device::cpu(py)?)?;
            fields.set_item("is_nested_tensor", false)?;
            fields.set_item("is_cpp_nested_tensor", false)?;
            class.call((), Some(&fields))
        };
        PyTuple::new(py, node.outputs().iter().map(one).collect::<PyResult<Vec<_>>>()?)
    }

    /// Runs the derivative alone: from the gradients of the outputs to those of the inputs.
    #[pyo3(signature = (*grads))]
    fn __call__(slf: &Bound<'_, Self>, grads: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let node = slf.get().node()?;
        if grads.len() != node.outputs().len() {
            return Err(PyTypeError::new_err(format!(
                "{} expected {} arguments, got {} instead",
                slf.get_type().name()?,
                node.outputs().len(),
                grads.len()
            )));
        }
        let grads = grads.iter().map(|grad| match convert::tensor(&grad) {
            Some(grad) => Ok(Some(grad.clone())),
            None if grad.is_none() => Ok(None),
            None => Err(PyTypeError::new_err("the arguments of a node are gradients: tensors or None")),
        });
        let grads = grads.collect::<PyResult<_>>()?;
        let answers = convert::core(Backward::new(&node, grads, u64::MAX, false).run())?;
        match answers.as_slice() {
            [Some(one)] => convert::object(py, one.clone()),
            answers => Ok(hooks::tuple(py, answers)?.into_any().unbind()),
        }
    }

    fn __getattr__(slf: &Bound<'_, Self>, name: &str) -> PyResult<Py<PyAny>> {
        let missing = || {
            let class = slf.get_type().name().map_or_else(|_| "Node".to_owned(), |n| n.to_string());
            PyAttributeError::new_err(format!("'{class}' object has no attribute '{name}'"))
        };
        if !name.starts_with("_saved_") && !name.starts_with("_raw_saved_") {
            return Err(missing());
        }
        saved::attribute(slf.py(), &slf.get().node()?, name)?.ok_or_else(missing)
    }

    fn __dir__(slf: &Bound<'_, Self>) -> PyResult<Vec<String>> {
        let own = slf.py().get_type::<pyo3::PyAny>().getattr("__dir__")?.call1((slf,))?;
        let mut names: Vec<String> = own.extract()?;
        if let Ok(node) = slf.get().node() {
            names.extend(saved::names(&node));
        }
        names.sort();
        Ok(names)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        Ok(format!("<{} object at {:#x}>", slf.get_type().name()?, slf.as_ptr() as usize))
    }

    fn __eq__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> bool {
        if slf.is(other) {
            return true;
        }
        let Ok(other) = other.cast::<Self>() else { return false };
        matches!((slf.get().node(), other.get().node()), (Ok(a), Ok(b)) if a.is(&b))
    }

    fn __hash__(slf: &Bound<'_, Self>) -> usize {
        // Addresses are multiples of 16: their low bits would all be one bucket.
        match &slf.get().0 {
            Held::Node(node) => node.address() >> 4,
            Held::Context(_) => slf.as_ptr() as usize >> 4,
        }
    }
}

/// What a node's metadata hold from the start: what anomaly detection noted.
fn noted<'py>(py: Python<'py>, node: &NodeRef) -> PyResult<Bound<'py, PyDict>> {
    let noted = PyDict::new(py);
    if let Some(origin) = node.origin() {
        noted.set_item("traceback_", origin::entries(py, &*origin)?)?;
    }
    if let Some(parent) = node.parent() {
        noted.set_item("parent_", object(py, parent)?)?;
    }
    Ok(noted)
}

/// The name without the modules before it.
pub fn class_name(node: &NodeRef) -> &str {
    node.name().rsplit("::").next().unwrap_or_default()
}

/// The class of all nodes of a name: made once, a subclass of `Node`.
pub fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static CLASSES: Once<Py<PyDict>> = Once::new();
    let classes = CLASSES.get_or_try(py, || Ok(PyDict::new(py).unbind()))?.bind(py);
    if let Some(class) = classes.get_item(name)? {
        return Ok(class);
    }
    // Of two threads that make one, both take the first.
    let body = PyDict::new(py);
    body.set_item("__slots__", PyTuple::empty(py))?;
    body.set_item("__module__", "arcgrad.autograd.graph")?;
    let class = py.get_type::<PyType>().call1((name, (py.get_type::<PyNode>(),), body))?;
    classes.call_method1("setdefault", (name, class))
}

/// Notes the Python object of a node, without keeping it alive.
fn remember(node: &NodeRef, object: &Bound<'_, PyAny>) -> PyResult<()> {
    let reference = PyWeakrefReference::new(object)?.unbind();
    let before = node.extra_or_default().foreign.lock().replace(Box::new(reference));
    drop(before);
    Ok(())
}

/// What is noted of a node's Python object.
fn remembered(py: Python<'_>, noted: Option<&(dyn Any + Send + Sync)>) -> Option<Py<PyWeakrefReference>> {
    noted?.downcast_ref::<Py<PyWeakrefReference>>().map(|reference| reference.clone_ref(py))
}

/// The Python object of a node: the one that is alive, or a new one.
pub fn object(py: Python<'_>, node: NodeRef) -> PyResult<Py<PyAny>> {
    // Nothing below runs Python code while the slot is locked: another thread would wait for it holding the GIL.
    let before = node.extra().and_then(|extra| remembered(py, extra.foreign.lock().as_deref()));
    if let Some(object) = before.as_ref().and_then(|reference| reference.bind(py).upgrade()) {
        return Ok(object.unbind());
    }
    if let Some(leaf) = node.leaf() {
        node.loosen();
        // From now on the node may lead back to its leaf.
        if let Some(leaf) = identity::living(py, &leaf) {
            collector::track(&leaf);
        }
    }
    let class = class(py, class_name(&node))?;
    NEXT.with(|next| *next.borrow_mut() = Some(node.clone()));
    let made = class.call0()?;
    let reference = PyWeakrefReference::new(&made)?.unbind();
    let mut slot = node.extra_or_default().foreign.lock();
    let now = remembered(py, slot.as_deref());
    if now.as_ref().map(|now| now.as_ptr()) == before.as_ref().map(|before| before.as_ptr()) {
        let gone = slot.replace(Box::new(reference));
        drop(slot);
        drop(gone);
        return Ok(made.unbind());
    }
    drop(slot);
    // Another thread was first. Should its object be gone already, there is none now.
    object(py, node)
}
