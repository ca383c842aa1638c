//! `arcgrad.autograd.graph.Node`: a node of the graph as Python sees it, with a class for each name.

use std::cell::RefCell;

use arcgrad::graph::NodeRef;
use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType, PyWeakrefMethods, PyWeakrefReference};

use crate::convert;

/// A recorded operation.
#[pyclass(name = "Node", module = "arcgrad.autograd.graph", frozen, subclass, weakref)]
pub struct PyNode(pub NodeRef);

thread_local! {
    /// The node that the next object is for: the way past Python's `__new__`, which takes no node.
    static NEXT: RefCell<Option<NodeRef>> = const { RefCell::new(None) };
}

#[pymethods]
impl PyNode {
    #[new]
    fn new() -> PyResult<Self> {
        let node = NEXT.with(|next| next.borrow_mut().take());
        node.map(Self).ok_or_else(|| PyTypeError::new_err("a Node is made by recording an operation"))
    }

    /// The operation's name, as in `MulBackward0`.
    fn name(&self) -> &str {
        self.0.name()
    }

    /// For each input the node that its gradient goes to and the output of that node that it is; `(None, 0)` if it wants none.
    #[getter]
    fn next_functions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let edges = self.0.edges().iter().map(|edge| match edge {
            Some(edge) => (object(py, edge.node.clone())?, edge.output).into_pyobject(py),
            None => (py.None(), 0_u32).into_pyobject(py),
        });
        PyTuple::new(py, edges.collect::<PyResult<Vec<_>>>()?)
    }

    /// The leaf that this node adds gradients into; only accumulators have one.
    #[getter]
    fn variable(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.0.leaf() {
            Some(leaf) => convert::object(py, leaf.clone()),
            None => Err(PyAttributeError::new_err(format!(
                "'{}' object has no attribute 'variable'",
                self.0.name()
            ))),
        }
    }

    /// Position in the order of recording.
    fn _sequence_nr(&self) -> u64 {
        self.0.sequence()
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        format!("<{} object at {:#x}>", class_name(&slf.get().0), slf.as_ptr() as usize)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().0.is(&self.0))
    }

    fn __hash__(&self) -> usize {
        // Addresses are multiples of 16: their low bits would all be one bucket.
        self.0.address() >> 4
    }
}

/// The name without the modules before it.
fn class_name(node: &NodeRef) -> &str {
    node.name().rsplit("::").next().unwrap_or_default()
}

/// The class of all nodes of a name: made once, a subclass of `Node`.
fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static CLASSES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let classes = CLASSES.get_or_init(py, || PyDict::new(py).unbind()).bind(py);
    if let Some(class) = classes.get_item(name)? {
        return Ok(class);
    }
    let body = PyDict::new(py);
    body.set_item("__slots__", PyTuple::empty(py))?;
    body.set_item("__module__", "arcgrad.autograd.graph")?;
    let class = py.get_type::<PyType>().call1((name, (py.get_type::<PyNode>(),), body))?;
    classes.set_item(name, &class)?;
    Ok(class)
}

/// The Python object of a node: the one that is alive, or a new one.
pub fn object(py: Python<'_>, node: NodeRef) -> PyResult<Py<PyAny>> {
    // Nothing below runs Python code while the slot is locked: another thread would wait for it holding the GIL.
    let alive = node.extra().and_then(|extra| {
        let slot = extra.foreign.lock();
        let reference = slot.as_ref()?.downcast_ref::<Py<PyWeakrefReference>>()?;
        Some(reference.clone_ref(py))
    });
    if let Some(object) = alive.and_then(|reference| reference.bind(py).upgrade()) {
        return Ok(object.unbind());
    }
    let class = class(py, class_name(&node))?;
    NEXT.with(|next| *next.borrow_mut() = Some(node.clone()));
    let object = class.call0()?;
    let reference = PyWeakrefReference::new(&object)?.unbind();
    let before = node.extra_or_default().foreign.lock().replace(Box::new(reference));
    drop(before);
    Ok(object.unbind())
}
