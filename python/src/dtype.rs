//! `arcgrad.dtype`: one object per element type.

use arcgrad::DType;
use pyo3::prelude::*;

use crate::once::Once;

/// The type of a tensor's elements, as in `arcgrad.float32`.
#[pyclass(name = "dtype", module = "arcgrad", frozen, eq, hash)]
#[derive(PartialEq, Eq, Hash)]
pub struct PyDType(pub DType);

static OBJECTS: [Once<Py<PyDType>>; DType::COUNT] = [const { Once::new() }; DType::COUNT];

/// The one object of a dtype.
pub fn object(py: Python<'_>, dtype: DType) -> PyResult<Py<PyAny>> {
    let object = OBJECTS[dtype as usize].get_or_try(py, || Py::new(py, PyDType(dtype)))?;
    Ok(object.clone_ref(py).into_any())
}

#[pymethods]
impl PyDType {
    /// Bytes per element.
    #[getter]
    fn itemsize(&self) -> usize {
        self.0.size()
    }

    /// Whether elements are floating-point numbers.
    #[getter]
    fn is_floating_point(&self) -> bool {
        self.0.is_floating()
    }

    /// Whether elements are complex numbers: never, so far.
    #[getter]
    #[allow(clippy::unused_self)]
    fn is_complex(&self) -> bool {
        false
    }

    /// Whether elements have a sign.
    #[getter]
    fn is_signed(&self) -> bool {
        !matches!(self.0, DType::U8 | DType::Bool)
    }

    fn __repr__(&self) -> String {
        format!("torch.{}", self.0.name())
    }

    fn __reduce__(&self) -> &'static str {
        self.0.name()
    }
}

/// Puts the dtypes, and their other names, into the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add_class::<PyDType>()?;
    for dtype in DType::ALL {
        module.add(dtype.name(), object(py, dtype)?)?;
    }
    for (name, dtype) in [
        ("float", DType::F32),
        ("double", DType::F64),
        ("char", DType::I8),
        ("short", DType::I16),
        ("int", DType::I32),
        ("long", DType::I64),
    ] {
        module.add(name, object(py, dtype)?)?;
    }
    Ok(())
}
