//! `arcgrad.Generator`: a stream of random numbers.

use arcgrad::array::Array;
use arcgrad::ops::random::{Generator, default_generator};
use arcgrad::{DType, Tensor};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::error::raise;
use crate::once::Once;
use crate::{convert, device};

/// A stream of random numbers of its own.
#[pyclass(name = "Generator", module = "arcgrad", frozen, weakref)]
pub struct PyGenerator(pub Generator);

/// The stream that an argument names; the default one if it names none.
pub fn named<'a>(argument: Option<&'a Bound<'_, PyAny>>) -> PyResult<&'a Generator> {
    match argument {
        None => Ok(default_generator()),
        Some(object) => object.cast::<PyGenerator>().map(|g| &g.get().0).map_err(|_| {
            let given = object.get_type().name().map_or_else(|_| "?".to_owned(), |n| n.to_string());
            PyTypeError::new_err(format!("argument 'generator' must be Generator, not {given}"))
        }),
    }
}

/// The object of the default stream.
pub fn default_object(py: Python<'_>) -> PyResult<Py<PyGenerator>> {
    static DEFAULT: Once<Py<PyGenerator>> = Once::new();
    DEFAULT.get_or_try(py, || Py::new(py, PyGenerator(default_generator().clone()))).map(|g| g.clone_ref(py))
}

/// A seed from a Python number: 64 bits, a negative one by its two's complement.
pub fn seed(number: &Bound<'_, PyAny>) -> PyResult<u64> {
    let py = number.py();
    let number = py.get_type::<pyo3::types::PyInt>().call1((number,))?;
    number
        .extract::<u64>()
        .or_else(|_| number.extract::<i64>().map(|s| s as u64))
        .map_err(|_| PyValueError::new_err("Overflow when unpacking long long"))
}

/// A stream's state as bytes in a tensor.
pub fn state(generator: &Generator) -> PyResult<Tensor> {
    let bytes = generator.lock().get_state();
    Array::from_slice(&bytes, &[bytes.len()]).map(Tensor::new).map_err(|e| raise(&e))
}

/// Continues a stream from such a tensor.
pub fn set_state(generator: &Generator, state: &Bound<'_, PyAny>) -> PyResult<()> {
    let bytes = convert::tensor(state)
        .filter(|x| x.dtype() == DType::U8)
        .ok_or_else(|| PyTypeError::new_err("RNG state must be a torch.ByteTensor"))?;
    let bytes = bytes.to_vec::<u8>().map_err(|e| raise(&e))?;
    generator.lock().set_state(&bytes).map_err(|e| raise(&e.into()))
}

#[pymethods]
impl PyGenerator {
    #[new]
    #[pyo3(signature = (device=None))]
    fn new(device: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        device::check(device)?;
        Ok(Self(Generator::default()))
    }

    /// Where it draws: the CPU.
    #[getter]
    #[allow(clippy::unused_self)]
    fn device(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        device::cpu(py)
    }

    /// Starts the stream anew from a seed.
    fn manual_seed<'py>(slf: &Bound<'py, Self>, number: &Bound<'_, PyAny>) -> PyResult<Bound<'py, Self>> {
        let number = seed(number).map_err(|_| {
            pyo3::exceptions::PyRuntimeError::new_err(
                "manual_seed expected a long, but got another kind of object",
            )
        })?;
        slf.get().0.lock().manual_seed(number);
        Ok(slf.clone())
    }

    /// Starts the stream anew from a seed of the system's, and returns it.
    fn seed(&self) -> u64 {
        self.0.lock().seed()
    }

    /// The seed that the stream started from.
    fn initial_seed(&self) -> u64 {
        self.0.lock().initial_seed()
    }

    /// The state, as a tensor of bytes.
    fn get_state(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        convert::object(py, state(&self.0)?)
    }

    /// Continues from a state.
    fn set_state<'py>(slf: &Bound<'py, Self>, new_state: &Bound<'_, PyAny>) -> PyResult<Bound<'py, Self>> {
        set_state(&slf.get().0, new_state)?;
        Ok(slf.clone())
    }

    /// A stream that continues like this one, on its own.
    fn clone_state(&self) -> PyResult<Self> {
        let copy = Generator::default();
        // One lock at a time: see Note [Locks and forks].
        let state = self.0.lock().clone();
        *copy.lock() = state;
        Ok(Self(copy))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (), Py<PyAny>)> {
        let class = slf.get_type().into_any();
        Ok((class, (), slf.get().get_state(slf.py())?))
    }

    fn __setstate__(&self, state: &Bound<'_, PyAny>) -> PyResult<()> {
        set_state(&self.0, state)
    }
}
