//! `arcgrad.device`: where a tensor lies. There is one place that works, and names for others so that they can be refused.

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;

use crate::once::Once;

/// A device.
#[pyclass(name = "device", module = "arcgrad", frozen, eq, hash)]
#[derive(PartialEq, Eq, Hash, Clone)]
pub struct PyDevice {
    kind: &'static str,
    index: Option<u32>,
}

/// Those that PyTorch knows.
const KINDS: [&str; 20] = [
    "cpu",
    "cuda",
    "ipu",
    "xpu",
    "mkldnn",
    "opengl",
    "opencl",
    "ideep",
    "hip",
    "ve",
    "fpga",
    "maia",
    "xla",
    "lazy",
    "vulkan",
    "mps",
    "meta",
    "hpu",
    "mtia",
    "privateuseone",
];

fn parse(text: &str) -> PyResult<PyDevice> {
    let (kind, index) = text.split_once(':').map_or((text, None), |(kind, index)| (kind, Some(index)));
    let kind = KINDS.into_iter().find(|&k| k == kind).ok_or_else(|| {
        PyRuntimeError::new_err(format!(
            "Expected one of {} device type at start of device string: {text}",
            KINDS.join(", ")
        ))
    })?;
    let index = index
        .map(|i| i.parse())
        .transpose()
        .map_err(|_| PyRuntimeError::new_err(format!("Invalid device string: '{text}'")))?;
    Ok(PyDevice { kind, index })
}

fn from_object(object: &Bound<'_, PyAny>) -> PyResult<PyDevice> {
    if let Ok(device) = object.cast::<PyDevice>() {
        return Ok(device.get().clone());
    }
    if let Ok(text) = object.extract::<String>() {
        return parse(&text);
    }
    if let Ok(index) = object.extract::<u32>() {
        return Ok(PyDevice { kind: "cuda", index: Some(index) });
    }
    Err(PyTypeError::new_err(format!(
        "device(): argument 'type' (position 1) must be str, not {}",
        object.get_type().name()?
    )))
}

/// Refuses every device but the CPU.
pub fn check(object: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let Some(object) = object else { return Ok(()) };
    let device = from_object(object)?;
    if device.kind == "cpu" {
        return Ok(());
    }
    Err(PyRuntimeError::new_err(format!(
        "device '{}' is not available: arcgrad computes on the CPU only",
        device.__str__()
    )))
}

/// The device of all tensors.
pub fn cpu(py: Python<'_>) -> PyResult<Py<PyAny>> {
    static CPU: Once<Py<PyDevice>> = Once::new();
    let cpu = CPU.get_or_try(py, || Py::new(py, PyDevice { kind: "cpu", index: None }))?;
    Ok(cpu.clone_ref(py).into_any())
}

#[pymethods]
impl PyDevice {
    #[new]
    #[pyo3(signature = (r#type, index=None))]
    fn new(r#type: &Bound<'_, PyAny>, index: Option<u32>) -> PyResult<Self> {
        let device = from_object(r#type)?;
        if index.is_some() && device.index.is_some() {
            return Err(PyRuntimeError::new_err(format!(
                "type (string) must not include an index because index was passed explicitly: {}",
                device.__str__()
            )));
        }
        Ok(Self { index: index.or(device.index), ..device })
    }

    /// The kind of device, as in `cpu`.
    #[getter]
    fn r#type(&self) -> &'static str {
        self.kind
    }

    /// Which one of several; `None` if it was not said.
    #[getter]
    fn index(&self) -> Option<u32> {
        self.index
    }

    fn __repr__(&self) -> String {
        match self.index {
            Some(index) => format!("device(type='{}', index={index})", self.kind),
            None => format!("device(type='{}')", self.kind),
        }
    }

    fn __str__(&self) -> String {
        self.index.map_or_else(|| self.kind.to_owned(), |index| format!("{}:{index}", self.kind))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, (String,)) {
        (slf.get_type().into_any(), (slf.get().__str__(),))
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        check(Some(slf.as_any()))?;
        Ok(slf.clone())
    }

    #[pyo3(signature = (*_exception))]
    #[allow(clippy::unused_self)]
    fn __exit__(&self, _exception: &Bound<'_, pyo3::types::PyTuple>) -> bool {
        false
    }
}
