//! A reference to a tensor that does not keep it alive.

use arcgrad::graph::WeakTensor;
use pyo3::prelude::*;

use crate::tensor::PyTensor;

/// Tells whether a tensor still lives: as an object of Python's, in a graph, or as another tensor's tangent or gradient.
#[pyclass(name = "_WeakTensorRef", module = "arcgrad._C", frozen)]
pub struct PyWeakTensor(WeakTensor);

#[pymethods]
impl PyWeakTensor {
    #[new]
    fn new(tensor: &Bound<'_, PyTensor>) -> Self {
        Self(tensor.get().0.downgrade())
    }

    /// Whether the tensor is gone.
    fn expired(&self) -> bool {
        self.0.upgrade().is_none()
    }
}
