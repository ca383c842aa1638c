//! What the binding makes of Python once, at first use.

use pyo3::PyTypeCheck;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// A value that is made once for the process. Two threads that come first may both make it; the first one's stays.
///
/// Making it may run Python, so other threads, and a fork beside them. With `PyOnceLock` alone a child forked meanwhile
/// would wait for a thread that it does not have; here nobody waits for anybody.
pub struct Once<T>(PyOnceLock<T>);

impl<T> Once<T> {
    pub const fn new() -> Self {
        Self(PyOnceLock::new())
    }

    /// The value, made now if there is none.
    pub fn get_or_try(&self, py: Python<'_>, make: impl FnOnce() -> PyResult<T>) -> PyResult<&T> {
        if let Some(value) = self.0.get(py) {
            return Ok(value);
        }
        // Whatever another thread made meanwhile stays; what was made here in vain goes.
        drop(self.0.set(py, make()?));
        Ok(self.0.get(py).expect("it was just set"))
    }
}

impl<T: PyTypeCheck> Once<Py<T>> {
    /// An attribute of a module, imported now if it was not.
    pub fn import<'py>(&self, py: Python<'py>, module: &str, name: &str) -> PyResult<&Bound<'py, T>> {
        let value = self.get_or_try(py, || Ok(py.import(module)?.getattr(name)?.cast_into()?.unbind()))?;
        Ok(value.bind(py))
    }
}
