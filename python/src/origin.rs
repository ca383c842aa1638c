//! Where Python is: the call stack as code objects and offsets, formatted by `arcgrad.autograd._traces` when it is read.

use std::sync::Arc;

use arcgrad::graph::{Lives, NonFinite, Range};
use arcgrad::watch::{Named, Origin, Witness};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use pyo3::{ffi, intern};
use smallvec::SmallVec;

use crate::ending::{self, Inside};
use crate::node::{class_name, object};
use crate::once::Once;

/// Frames that are kept of a stack, from the innermost on.
const DEPTH: usize = 64;

/// A call stack, innermost frame first: each frame's code and the offset of the instruction that it was at.
pub struct Trace(SmallVec<[(Py<PyAny>, i32); 6]>);

impl Trace {
    fn here(py: Python<'_>) -> PyResult<Option<Self>> {
        // SAFETY: the GIL is held; the answer is borrowed, and null where no Python code runs.
        let frame = unsafe { Bound::from_borrowed_ptr_or_opt(py, ffi::PyEval_GetFrame().cast()) };
        let mut frames = SmallVec::new();
        let mut next = frame;
        while let Some(frame) = next.filter(|frame| !frame.is_none() && frames.len() < DEPTH) {
            // SAFETY: a frame has a code; the answer is owned.
            let code =
                unsafe { Bound::from_owned_ptr(py, ffi::PyFrame_GetCode(frame.as_ptr().cast()).cast()) };
            frames.push((code.unbind(), frame.getattr(intern!(py, "f_lasti"))?.extract()?));
            next = Some(frame.getattr(intern!(py, "f_back"))?);
        }
        Ok((!frames.is_empty()).then_some(Self(frames)))
    }

    fn list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.0.iter().map(|(code, at)| (code, *at)))
    }

    fn formatted(&self, function: &str) -> String {
        ending::attach(|py| {
            let text = traces(py)?.call_method1(function, (self.list(py)?,))?;
            text.extract()
        })
        .unwrap_or_else(|error: PyErr| format!("an unknown place ({error})"))
    }
}

fn traces(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static TRACES: Once<Py<PyModule>> = Once::new();
    let module = TRACES.get_or_try(py, || py.import("arcgrad.autograd._traces").map(Bound::unbind));
    module.map(|module| module.bind(py))
}

impl Origin for Trace {
    fn line(&self) -> String {
        self.formatted("line")
    }

    fn trace(&self) -> String {
        self.formatted("trace")
    }
}

/// A trace as the list of strings that `metadata["traceback_"]` is.
pub fn entries(py: Python<'_>, origin: &dyn Origin) -> PyResult<Py<PyAny>> {
    // Other origins than Python's do not occur here; their text would be one entry.
    let _inside = Inside::enter(py);
    Ok(traces(py)?.call_method1("entries", (origin.trace(),))?.unbind())
}

/// The fields of Python's `NonFinite`.
pub fn nonfinite(py: Python<'_>, found: &NonFinite) -> PyResult<Py<PyAny>> {
    let range = |range: &Option<Range>| range.map(|range| (range.least, range.greatest));
    let fields = (
        class_name(&found.node),
        found.origin.as_ref().map(|origin| origin.line()),
        found.value,
        PyTuple::new(py, &found.index)?,
        PyTuple::new(py, found.inputs.iter().map(range))?,
        PyTuple::new(py, found.suspects.iter().map(class_name))?,
        object(py, found.node.clone())?,
        found.to_string(),
    );
    Ok(fields.into_pyobject(py)?.into_any().unbind())
}

/// Counts of living nodes as a list of tuples.
pub fn lives(py: Python<'_>, lives: Vec<Lives>) -> PyResult<Py<PyAny>> {
    let rows = lives.into_iter().map(|row| (row.name, row.line, row.count, row.saved_bytes));
    Ok(PyList::new(py, rows.collect::<Vec<_>>())?.into_any().unbind())
}

/// Python as the witness of what the core records.
pub struct Interpreter;

impl Witness for Interpreter {
    fn here(&self) -> Option<Arc<dyn Origin>> {
        Python::attach(|py| Trace::here(py).ok().flatten().map(|trace| Arc::new(trace) as Arc<dyn Origin>))
    }

    fn failed(&self, nodes: &[Named]) {
        ending::attach(|py| {
            let story: Vec<(&str, Option<String>)> = nodes
                .iter()
                .map(|(name, origin)| (name.as_str(), origin.as_ref().map(|origin| origin.trace())))
                .collect();
            let told = traces(py).and_then(|module| module.call_method1("warn", (story,)));
            if let Err(error) = told {
                error.write_unraisable(py, None);
            }
        });
    }

    fn advice(&self) -> &'static str {
        "under autograd.graph.record_origins() this message names the lines"
    }
}

/// Makes Python the witness.
pub fn register() -> PyResult<()> {
    if arcgrad::watch::set_witness(Box::new(Interpreter)) {
        return Ok(());
    }
    Err(PyRuntimeError::new_err("another program is already the witness of this copy of arcgrad"))
}
