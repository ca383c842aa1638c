//! What nodes saved, as Python sees it, and Python's functions that pack and unpack it.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arcgrad::Tensor;
use arcgrad::graph::{NodeRef, Package, Role, SavedTensorHooks, SavedValue, Unpacked};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::convert::{self, Answer, core};
use crate::ending;
use crate::error::carry;

/// A pair of Python functions.
pub struct Hooks {
    pack: Py<PyAny>,
    unpack: Py<PyAny>,
}

/// Whether there ever were hooks.
static USED: AtomicBool = AtomicBool::new(false);

/// Lets go of what Python's hooks packed and a pass has freed: PyO3 puts off what is dropped where it knows of no GIL, until
/// somebody takes it.
pub fn drop_packages() {
    if USED.load(Ordering::Relaxed) {
        Python::attach(|_| ());
    }
}

impl Hooks {
    pub fn new(pack: &Bound<'_, PyAny>, unpack: &Bound<'_, PyAny>) -> Arc<Self> {
        USED.store(true, Ordering::Relaxed);
        Arc::new(Self { pack: pack.clone().unbind(), unpack: unpack.clone().unbind() })
    }

    /// For the garbage collector.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.pack)?;
        visit.call(&self.unpack)
    }
}

impl SavedTensorHooks for Hooks {
    fn pack(&self, x: Tensor) -> arcgrad::Result<Package> {
        ending::attach(|py| {
            let packed = convert::object(py, x).and_then(|x| self.pack.call1(py, (x,)));
            packed.map(|packed| Box::new(packed) as Package).map_err(carry)
        })
    }

    fn unpack(&self, package: &(dyn Any + Send + Sync)) -> arcgrad::Result<Tensor> {
        let Some(packed) = package.downcast_ref::<Py<PyAny>>() else {
            unreachable!("a package is opened by who packed it")
        };
        ending::attach(|py| {
            let answer = self.unpack.call1(py, (packed,))?.into_bound(py);
            convert::tensor(&answer).cloned().ok_or_else(|| {
                let kind = answer.get_type().name().map_or_else(|_| "?".to_owned(), |n| n.to_string());
                PyTypeError::new_err(format!(
                    "Output of saved tensor unpack_hook expected to be a Tensor but got result of type {kind}"
                ))
            })
        })
        .map_err(carry)
    }
}

/// One saved value of a node, for hooks of its own.
#[pyclass(name = "SavedTensor", module = "arcgrad.autograd", frozen)]
pub struct SavedTensor {
    node: NodeRef,
    index: usize,
}

#[pymethods]
impl SavedTensor {
    #[new]
    fn new() -> PyResult<Self> {
        Err(PyRuntimeError::new_err("Trying to create a SavedTensor object from Python is forbidden."))
    }

    /// Packs this value with `pack_hook` now; `unpack_hook` makes it a tensor again when it is asked for.
    #[pyo3(signature = (*hooks), text_signature = "($self, pack_hook, unpack_hook, /)")]
    fn register_hooks(&self, hooks: &Bound<'_, PyTuple>) -> PyResult<()> {
        if hooks.len() != 2 {
            return Err(PyTypeError::new_err(format!(
                "register_hooks(): incompatible function arguments: it takes a pack_hook and an unpack_hook, and {} \
                 arguments were given",
                hooks.len()
            )));
        }
        let (pack_hook, unpack_hook) = (&hooks.get_item(0)?, &hooks.get_item(1)?);
        for hook in [pack_hook, unpack_hook] {
            if !hook.is_callable() {
                return Err(PyTypeError::new_err(format!(
                    "register_hooks(): incompatible function arguments: a hook must be callable, and '{}' is not",
                    hook.get_type().name()?
                )));
            }
        }
        match core(self.node.saved_values())?.get(self.index) {
            Some(SavedValue::Packed(_)) => {
                return Err(PyRuntimeError::new_err(
                    "Calling register_hooks on a saved tensor whose hooks have already been set. Hint: only one pair of hooks \
                     is allowed at a time.",
                ));
            }
            Some(SavedValue::Tensor { .. } | SavedValue::Kept(_)) => {}
            _ => {
                return Err(PyRuntimeError::new_err(
                    "Calling register_hooks on a saved tensor with value None is forbidden.",
                ));
            }
        }
        core(self.node.pack_saved(self.index, Hooks::new(pack_hook, unpack_hook)))
    }
}

fn value(py: Python<'_>, node: &NodeRef, value: &SavedValue) -> PyResult<Py<PyAny>> {
    let value = core(value.opened())?;
    match core(value.check(node))? {
        Unpacked::Nothing => Ok(py.None()),
        Unpacked::Scalar(number) => Ok(convert::number(py, number)),
        kept => {
            let x = core(kept.tensor(node))?;
            value.original(&x).unwrap_or(x).object(py)
        }
    }
}

/// The saved values that are anything to Python, with their numbers.
fn shown(values: &[SavedValue]) -> impl Iterator<Item = (usize, &SavedValue)> {
    values.iter().enumerate().filter(|(_, kept)| !matches!(kept, SavedValue::Data(_)))
}

/// Everything that a node saved.
pub fn all<'py>(py: Python<'py>, node: &NodeRef) -> PyResult<Bound<'py, PyTuple>> {
    let values = core(node.saved_values())?;
    PyTuple::new(py, shown(&values).map(|(_, kept)| value(py, node, kept)).collect::<PyResult<Vec<_>>>()?)
}

fn raw(py: Python<'_>, node: &NodeRef, index: usize) -> PyResult<Py<PyAny>> {
    Ok(Py::new(py, SavedTensor { node: node.clone(), index })?.into_any())
}

/// Where an input has another name than `other`.
const SECOND: &[(&str, &str)] = &[
    ("MmBackward0", "mat2"),
    ("BmmBackward0", "mat2"),
    ("PowBackward1", "exponent"),
    ("DotBackward0", "tensor"),
    ("MvBackward0", "vec"),
    ("LerpBackward0", "end"),
];

/// The name of a saved value, as PyTorch's nodes name theirs.
fn name(node: &NodeRef, index: usize, value: &SavedValue) -> String {
    if let Some(name) = node.rule().saved_names().get(index) {
        return (*name).to_owned();
    }
    match (value.role(), value) {
        (Some(Role::Output(0)), _) => "result".to_owned(),
        (Some(Role::Output(n)), _) => format!("result{n}"),
        (Some(Role::Input(0)), _) | (None, SavedValue::Packed(_)) => "self".to_owned(),
        (Some(Role::Input(n @ 2..)), _) => format!("input{n}"),
        (Some(Role::Input(1)) | None, _) => second(node),
    }
}

fn second(node: &NodeRef) -> String {
    let found = SECOND.iter().find(|(of, _)| *of == node.name());
    found.map_or("other", |(_, name)| name).to_owned()
}

/// The attributes under which what a node saved is to be had.
pub fn names(node: &NodeRef) -> Vec<String> {
    let values = node.saved_values().unwrap_or_default();
    let names = shown(&values).map(|(index, kept)| name(node, index, kept));
    names.flat_map(|name| [format!("_saved_{name}"), format!("_raw_saved_{name}")]).collect()
}

/// `_saved_NAME` or `_raw_saved_NAME` of a node.
pub fn attribute(py: Python<'_>, node: &NodeRef, attribute: &str) -> PyResult<Option<Py<PyAny>>> {
    let (is_raw, wanted) = match attribute.strip_prefix("_raw_saved_") {
        Some(name) => (true, name),
        None => (false, attribute.trim_start_matches("_saved_")),
    };
    let values = core(node.saved_values())?;
    if is_raw && wanted == "tensors" {
        let all = shown(&values).map(|(index, _)| raw(py, node, index)).collect::<PyResult<Vec<_>>>()?;
        return Ok(Some(PyTuple::new(py, all)?.into_any().unbind()));
    }
    let found = shown(&values).find(|(index, kept)| name(node, *index, kept) == wanted);
    found.map(|(index, kept)| if is_raw { raw(py, node, index) } else { value(py, node, kept) }).transpose()
}
