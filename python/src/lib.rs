//! The binding: converts, enters the core, converts back. The only crate that names pyo3.
use pyo3::prelude::*;

#[pymodule]
fn _core(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
