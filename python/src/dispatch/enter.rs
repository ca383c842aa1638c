//! The door from Python: finds the overload, binds arguments to parameters, calls, and answers.

use std::ffi::CString;
use std::os::raw::c_int;
use std::sync::OnceLock;

use arcgrad::graph::Row;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};
use smallvec::SmallVec;

use crate::dispatch::arguments::{Given, wrong};
use crate::dispatch::{Args, Kind, Signature, catalogue};
use crate::error::guarded;
use crate::overrides::{self, Call, Taken};
use crate::profile;
use crate::tensor::PyTensor;

/// Converts the arguments, calls the core, converts the answer.
pub type Implementation = fn(&Args<'_, '_>) -> PyResult<Py<PyAny>>;

/// One way to call a binding.
pub struct Overload {
    /// Its signature, as text.
    pub signature: &'static str,
    /// Converts the arguments, calls the core, converts the answer.
    pub call: Implementation,
}

/// A function that Python sees.
pub struct Binding {
    /// Its name.
    pub name: &'static str,
    /// Its docstring.
    pub doc: &'static str,
    /// The row it runs, if that is all it does.
    pub row: Option<&'static Row>,
    overloads: &'static [Overload],
    signatures: OnceLock<Vec<Signature>>,
}

impl Binding {
    /// For the `bindings!` macro.
    pub const fn new(name: &'static str, doc: &'static str, overloads: &'static [Overload]) -> Self {
        Self { name, doc, row: None, overloads, signatures: OnceLock::new() }
    }

    /// The face of a row: its signature and its call are those of its kind.
    pub fn of_row(
        name: &'static str,
        row: &'static Row,
        overload: &'static [Overload],
        signature: Signature,
    ) -> Self {
        Self {
            name,
            doc: row.doc,
            row: Some(row),
            overloads: overload,
            signatures: OnceLock::from(vec![signature]),
        }
    }

    /// The parsed signatures, one per overload.
    pub fn signatures(&self) -> &[Signature] {
        self.signatures.get_or_init(|| self.overloads.iter().map(|o| Signature::parse(o.signature)).collect())
    }
}

/// CPython's calling convention for functions with keyword arguments.
pub type Fast = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    ffi::Py_ssize_t,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// A binding and its two faces.
pub struct Entry {
    /// The binding.
    pub binding: &'static Binding,
    /// Called as a module function.
    pub function: Fast,
    /// Called as a Tensor method.
    pub method: Fast,
    /// `function`, `method` or `both`.
    pub place: &'static str,
}

impl Entry {
    /// Whether the module has it.
    pub fn is_function(&self) -> bool {
        self.place != "method"
    }
    /// Whether Tensor has it.
    pub fn is_method(&self) -> bool {
        self.place != "function"
    }
}

/// Runs a call from CPython.
///
/// # Safety
/// To be called by CPython only, with the arguments of its fast call, holding the GIL.
pub unsafe fn enter(
    binding: &'static Binding,
    this: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython holds the GIL for us and keeps the arguments alive during the call.
    unsafe {
        let py = Python::assume_attached();
        let answer = guarded(|| {
            let names = (!names.is_null())
                .then(|| Bound::from_borrowed_ptr(py, names).cast_into_unchecked::<PyTuple>());
            let named = names.as_ref().map_or(0, |n| n.len());
            let total = count as usize + named;
            // A `Bound` is a pointer that counts when it is cloned or dropped; behind a reference it is the pointer alone.
            let mut with_this: SmallVec<[*mut ffi::PyObject; 8]> = SmallVec::new();
            let args = if total == 0 { &[] } else { std::slice::from_raw_parts(args, total) };
            let given = if this.is_null() {
                args
            } else {
                with_this.push(this);
                with_this.extend_from_slice(args);
                &with_this[..]
            };
            let given: &[Bound<'_, PyAny>] = std::slice::from_raw_parts(given.as_ptr().cast(), given.len());
            let positional = given.len() - named;
            if overrides::possible() {
                match redirect(py, binding, !this.is_null(), given, positional, names.as_ref())? {
                    Taken::ByNobody => {}
                    Taken::With(answer) => return Ok(answer),
                    Taken::Refused(error) => return Err(error),
                }
            }
            match call(py, binding, given, positional, names.as_ref()) {
                // A class that is no tensor at all may yet take the call; looked for only where nothing else is left.
                Err(error) if error.is_instance_of::<PyTypeError>(py) => {
                    match redirect(py, binding, !this.is_null(), given, positional, names.as_ref())? {
                        Taken::ByNobody => Err(error),
                        Taken::With(answer) => Ok(answer),
                        Taken::Refused(refusal) => Err(refusal),
                    }
                }
                answer => answer,
            }
        });
        match answer {
            Ok(object) => object.into_ptr(),
            Err(error) => {
                error.restore(py);
                std::ptr::null_mut()
            }
        }
    }
}

/// What a subclass or a mode answers in the function's place, if one wants to.
#[cold]
fn redirect<'py>(
    py: Python<'py>,
    binding: &'static Binding,
    is_method: bool,
    given: &[Bound<'py, PyAny>],
    positional: usize,
    names: Option<&Bound<'py, PyTuple>>,
) -> PyResult<Taken> {
    // The package's own plumbing is nobody's business, and neither are the ways into and out of a class. Two names are
    // public in `autograd`: whoever takes them decides for the hooks of the whole pass, and is asked for what is
    // differentiated, not for the gradients that it starts from.
    let (module, name, asked) = match binding.name {
        "_backward" => ("arcgrad.autograd", "backward", 1),
        "_grad" => ("arcgrad.autograd", "grad", 2),
        name => ("arcgrad._core", name, usize::MAX),
    };
    if (name.starts_with('_') && !name.starts_with("__")) || matches!(name, "as_subclass" | "__reduce_ex__") {
        return Ok(Taken::ByNobody);
    }
    let named: Vec<_> =
        names.into_iter().flatten().zip(&given[positional..]).map(|(n, x)| (n, x.clone())).collect();
    Call { positional: &given[..positional], named: &named, asked }.redirect(py, || {
        if is_method { py.get_type::<PyTensor>().getattr(name) } else { py.import(module)?.getattr(name) }
    })
}

fn call<'py>(
    py: Python<'py>,
    binding: &'static Binding,
    given: &[Bound<'py, PyAny>],
    positional: usize,
    names: Option<&Bound<'py, PyTuple>>,
) -> PyResult<Py<PyAny>> {
    let signatures = binding.signatures();
    if let Some(names) = names
        && let Some(k) = place_of_out(names)?
    {
        check_out(binding, given, positional + k)?;
        if !signatures.iter().flat_map(|s| &s.parameters).any(|p| p.name == "out") {
            return call_into(py, binding, given, positional, names, k);
        }
    }
    let mut complaint = None;
    for (overload, signature) in binding.overloads.iter().zip(signatures) {
        // What one of several overloads has against a call is told to nobody, and costs a message.
        if given.len() > signature.most && signatures.len() > 1 {
            continue;
        }
        // Written where they stay: to move them would cost as much as to bind them.
        let mut args = Args::new(py, binding, signature);
        match bind(&mut args, given, positional, names) {
            Ok(()) => return profile::run(&args, overload.call),
            Err(error) => complaint = complaint.or(Some(error)),
        }
    }
    if signatures.len() == 1 {
        return Err(complaint.unwrap_or_else(|| PyTypeError::new_err("no such call")));
    }
    let got: Vec<String> = given
        .iter()
        .enumerate()
        .map(|(i, x)| {
            let kind = x.get_type().name().map_or_else(|_| "?".to_owned(), |n| n.to_string());
            match names.filter(|_| i >= positional).and_then(|n| n.get_item(i - positional).ok()) {
                Some(name) => format!("{name}={kind}"),
                None => kind,
            }
        })
        .collect();
    let expected: Vec<String> = binding.overloads.iter().map(|o| format!(" * {}", o.signature)).collect();
    Err(PyTypeError::new_err(format!(
        "{}() received an invalid combination of arguments - got ({}), but expected one of:\n{}",
        binding.name,
        got.join(", "),
        expected.join("\n")
    )))
}

/// Where among the named arguments `out` is.
fn place_of_out(names: &Bound<'_, PyTuple>) -> PyResult<Option<usize>> {
    for (k, name) in names.iter().enumerate() {
        if name.cast::<PyString>()?.to_str()? == "out" {
            return Ok(Some(k));
        }
    }
    Ok(None)
}

/// Refuses an `out=`, the argument at `at`, that this call must not write to.
#[cold]
fn check_out(binding: &Binding, given: &[Bound<'_, PyAny>], at: usize) -> PyResult<()> {
    let outs = tensors_in(&given[at]);
    let inputs: SmallVec<[_; 4]> =
        given.iter().enumerate().filter(|(i, _)| *i != at).flat_map(|(_, x)| tensors_in(x)).collect();
    arcgrad::ops::creation::check_out(binding.name, &inputs, &outs).map_err(|e| crate::error::raise(&e))
}

/// The tensors that an argument is or lists.
fn tensors_in(object: &Bound<'_, PyAny>) -> SmallVec<[arcgrad::Tensor; 4]> {
    let of = |x: &Bound<'_, PyAny>| crate::convert::tensor(x).cloned();
    if let Ok(list) = object.cast::<PyList>() {
        list.iter().filter_map(|x| of(&x)).collect()
    } else if let Ok(tuple) = object.cast::<PyTuple>() {
        tuple.iter_borrowed().filter_map(|x| of(&x)).collect()
    } else {
        of(object).into_iter().collect()
    }
}

/// `out=` of any function that does not declare it: computes, then stores the result there.
#[cold]
fn call_into<'py>(
    py: Python<'py>,
    binding: &'static Binding,
    given: &[Bound<'py, PyAny>],
    positional: usize,
    names: &Bound<'py, PyTuple>,
    k: usize,
) -> PyResult<Py<PyAny>> {
    let mut given: SmallVec<[Bound<'py, PyAny>; 8]> = given.iter().cloned().collect();
    let out = given.remove(positional + k);
    let others: Vec<Bound<'py, PyAny>> =
        names.iter().enumerate().filter(|(i, _)| *i != k).map(|(_, name)| name).collect();
    let others = PyTuple::new(py, others)?;
    let answer = call(py, binding, &given, positional, Some(&others))?.into_bound(py);
    if out.is_none() {
        return Ok(answer.unbind());
    }
    let store = |answer: &Bound<'py, PyAny>, out: &Bound<'py, PyAny>| {
        let (Some(answer), Some(target)) = (crate::convert::tensor(answer), crate::convert::tensor(out))
        else {
            return Err(PyTypeError::new_err(format!(
                "{}(): argument 'out' must be Tensor, not {}",
                binding.name,
                out.get_type().name()?
            )));
        };
        arcgrad::ops::creation::write_out(binding.name, answer, target).map_err(|e| crate::error::raise(&e))
    };
    match (answer.cast::<PyTuple>(), out.cast::<PyTuple>()) {
        (Ok(answers), Ok(outs)) if answers.len() == outs.len() => {
            answers.iter().zip(outs.iter()).try_for_each(|(answer, out)| store(&answer, &out))?;
        }
        _ => store(&answer, &out)?,
    }
    Ok(out.unbind())
}

/// Gives each parameter its value.
fn bind<'a, 'py>(
    args: &mut Args<'a, 'py>,
    given: &'a [Bound<'py, PyAny>],
    positional: usize,
    names: Option<&Bound<'py, PyTuple>>,
) -> PyResult<()> {
    let &mut Args { binding, signature, ref mut values, .. } = args;
    let parameters = &signature.parameters;
    let mut at = 0;
    for (i, parameter) in parameters.iter().enumerate() {
        if at >= positional || parameter.keyword_only {
            break;
        }
        let object = &given[at];
        // `x.reshape(2, 3)`: sizes spread over the positional arguments.
        // `cartesian_prod(a, b)`: tensors spread likewise.
        let spread = match parameter.kind {
            Kind::Sizes => Some(Kind::Int),
            Kind::TensorSpread => Some(Kind::Tensor),
            _ => None,
        };
        if let Some(one) = spread.filter(|one| one.accepts(object)) {
            let count = 1 + given[at + 1..positional].iter().take_while(|x| one.accepts(x)).count();
            values[i] = Given::Several(&given[at..at + count]);
            at += count;
            continue;
        }
        values[i] = Given::One(object);
        at += 1;
    }
    if at < positional {
        let most = parameters.iter().filter(|p| !p.keyword_only).count();
        return Err(PyTypeError::new_err(format!(
            "{}() takes {most} positional argument{} but {positional} were given",
            binding.name,
            if most == 1 { "" } else { "s" }
        )));
    }
    for k in 0..names.map_or(0, |n| n.len()) {
        let name = names.map(|n| n.get_item(k)).transpose()?;
        let Some(name) = name else { continue };
        let name = name.cast::<PyString>()?;
        let name = name.to_str()?;
        let i = parameters
            .iter()
            .position(|p| p.name == name || alias(&p.name, name))
            .ok_or_else(|| unexpected(binding, name))?;
        if !matches!(values[i], Given::Nothing) {
            return Err(PyTypeError::new_err(format!(
                "{}() got multiple values for argument '{name}'",
                binding.name
            )));
        }
        values[i] = Given::One(&given[positional + k]);
    }
    for (i, (parameter, value)) in parameters.iter().zip(&*values).enumerate() {
        match value {
            Given::Nothing if parameter.default.is_none() => {
                return Err(missing(binding, signature, values));
            }
            // Each of several was looked at when they were gathered.
            Given::Nothing | Given::Several(_) => {}
            Given::One(object) if object.is_none() && parameter.optional => {}
            Given::One(object) if parameter.kind.accepts(object) => {}
            Given::One(object) => {
                return Err(wrong(binding, signature, i, &object.get_type().name()?.to_string()));
            }
        }
    }
    Ok(())
}

#[cold]
fn missing(binding: &Binding, signature: &Signature, values: &[Given<'_, '_>]) -> PyErr {
    let missing: Vec<String> = signature
        .parameters
        .iter()
        .zip(values)
        .filter(|(p, v)| matches!(v, Given::Nothing) && p.default.is_none())
        .map(|(p, _)| format!("\"{}\"", p.name))
        .collect();
    PyTypeError::new_err(format!(
        "{}() missing {} required positional argument{}: {}",
        binding.name,
        missing.len(),
        if missing.len() == 1 { "" } else { "s" },
        missing.join(", ")
    ))
}

/// NumPy's names for some parameters are accepted too.
fn alias(parameter: &str, given: &str) -> bool {
    matches!(
        (parameter, given),
        ("dim", "axis") | ("keepdim", "keepdims") | ("input", "x" | "self") | ("other", "x2")
    )
}

#[cold]
fn unexpected(binding: &Binding, name: &str) -> PyErr {
    PyTypeError::new_err(format!("{}() got an unexpected keyword argument '{name}'", binding.name))
}

/// Puts the functions into a module and the methods on Tensor.
pub fn register<'a>(
    module: &Bound<'_, PyModule>,
    entries: impl IntoIterator<Item = &'a Entry>,
) -> PyResult<()> {
    let py = module.py();
    let tensor = py.get_type::<PyTensor>();
    for entry in entries {
        catalogue::note(entry.binding, entry.place);
        if entry.is_function() {
            let definition = definition(entry, entry.function)?;
            // SAFETY: the definition lives forever; no self and no module are needed.
            let function = unsafe {
                Bound::from_owned_ptr_or_err(
                    py,
                    ffi::PyCFunction_NewEx(definition, std::ptr::null_mut(), std::ptr::null_mut()),
                )?
            };
            module.add(entry.binding.name, function)?;
        }
        if entry.is_method() {
            let definition = definition(entry, entry.method)?;
            // SAFETY: the definition lives forever; the type is a live type object.
            let descriptor = unsafe {
                Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewMethod(tensor.as_type_ptr(), definition))?
            };
            tensor.setattr(entry.binding.name, descriptor)?;
        }
    }
    Ok(())
}

/// A method definition that lives as long as the process, as CPython requires.
fn definition(entry: &Entry, function: Fast) -> PyResult<*mut ffi::PyMethodDef> {
    let text =
        |s: &str| CString::new(s).map(CString::into_raw).map_err(|e| PyTypeError::new_err(e.to_string()));
    Ok(Box::into_raw(Box::new(ffi::PyMethodDef {
        ml_name: text(entry.binding.name)?,
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function },
        ml_flags: (ffi::METH_FASTCALL | ffi::METH_KEYWORDS) as c_int,
        ml_doc: text(entry.binding.doc.trim())?,
    })))
}
