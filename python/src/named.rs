//! Several tensors at once, by name: `max(...)` answers with `values` and `indices`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use arcgrad::Tensor;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::convert::{self, Answer};

/// Tensors that Python sees as a named tuple.
pub struct Named {
    /// The function that answers.
    pub name: &'static str,
    /// The tensors' names.
    pub fields: &'static [&'static str],
    /// The tensors.
    pub tensors: Vec<Tensor>,
}

impl Named {
    /// A largest or smallest value of each line, and where it stands.
    pub fn chosen(name: &'static str, (values, indices): (Tensor, Tensor)) -> Self {
        Self { name, fields: &["values", "indices"], tensors: vec![values, indices] }
    }

    /// The smallest and the largest.
    pub fn ends((min, max): (Tensor, Tensor)) -> Self {
        Self { name: "aminmax", fields: &["min", "max"], tensors: vec![min, max] }
    }
}

static TYPES: Mutex<Option<HashMap<&'static str, Py<PyType>>>> = Mutex::new(None);

/// The named-tuple type of a function's answer, made once. It prints one field on each line, as PyTorch's do.
fn type_of<'py>(
    py: Python<'py>,
    name: &'static str,
    fields: &[&'static str],
) -> PyResult<Bound<'py, PyType>> {
    let known = {
        let types = TYPES.lock().unwrap_or_else(PoisonError::into_inner);
        types.as_ref().and_then(|types| Some(types.get(name)?.clone_ref(py)))
    };
    if let Some(known) = known {
        return Ok(known.into_bound(py));
    }
    let options = PyDict::new(py);
    options.set_item("module", "arcgrad.return_types")?;
    let plain =
        py.import("collections")?.call_method("namedtuple", (name, fields.to_vec()), Some(&options))?;
    let lines: Vec<String> = fields.iter().map(|field| format!("{field}={{0.{field}!r}}")).collect();
    let printed = format!("arcgrad.return_types.{name}(\n{})", lines.join(",\n"));
    plain.setattr(
        "__repr__",
        py.import("functools")?.getattr("partialmethod")?.call1((printer(py)?, printed))?,
    )?;
    let made = plain.cast_into::<PyType>()?;
    // Of two threads that both made it, the first one's stays.
    let mut types = TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(types.get_or_insert_default().entry(name).or_insert_with(|| made.unbind()).bind(py).clone())
}

/// `lambda self, text: text.format(self)`.
fn printer(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    #[pyfunction]
    fn print_fields(this: &Bound<'_, PyAny>, text: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Ok(text.call_method1("format", (this,))?.unbind())
    }
    let module = PyModule::new(py, "arcgrad.return_types")?;
    module.add_function(wrap_pyfunction!(print_fields, &module)?)?;
    module.getattr("print_fields")
}

impl Answer for Named {
    fn object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let class = type_of(py, self.name, self.fields)?;
        let items = self.tensors.into_iter().map(|t| convert::object(py, t)).collect::<PyResult<Vec<_>>>()?;
        Ok(class.call1(PyTuple::new(py, items)?)?.unbind())
    }
}
