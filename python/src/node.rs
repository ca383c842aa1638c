//! `arcgrad.Node`: a node of the graph as Python sees it.

use arcgrad::graph::NodeRef;
use pyo3::prelude::*;

/// A recorded operation.
#[pyclass(name = "Node", module = "arcgrad.autograd.graph", frozen, subclass, weakref)]
pub struct PyNode(pub NodeRef);

#[pymethods]
impl PyNode {
    /// The operation's name with `Backward` and a number after it.
    fn name(&self) -> &str {
        self.0.name()
    }

    fn __repr__(&self) -> String {
        format!("<{} object at {:#x}>", self.0.name(), self.0.address())
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().0.is(&self.0))
    }

    fn __hash__(&self) -> usize {
        self.0.address()
    }
}

/// The Python object of a node.
pub fn object(py: Python<'_>, node: NodeRef) -> PyResult<Py<PyAny>> {
    Ok(Py::new(py, PyNode(node))?.into_any())
}
