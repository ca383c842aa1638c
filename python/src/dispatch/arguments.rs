//! The arguments of one call, converted on demand.

use arcgrad::graph::Operand;
use arcgrad::{DType, Scalar, Tensor};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList, PyTuple};
use smallvec::SmallVec;

use crate::convert;
use crate::dispatch::{Binding, Kind, Signature};

/// Elements below which releasing the GIL costs more than it gives.
const RELEASE_ABOVE: usize = 32 * 1024;

/// What a call gives for a parameter.
#[derive(Clone, Copy)]
pub(super) enum Given<'a, 'py> {
    Nothing,
    One(&'a Bound<'py, PyAny>),
    /// Positional arguments that one parameter gathers: the sizes of `x.reshape(2, 3)`.
    Several(&'a [Bound<'py, PyAny>]),
}

/// The arguments of a call, in the order of its signature; a missing one has the signature's default.
pub struct Args<'a, 'py> {
    pub(super) py: Python<'py>,
    pub(super) binding: &'static Binding,
    pub(super) signature: &'static Signature,
    pub(super) values: SmallVec<[Given<'a, 'py>; 8]>,
}

/// Runs `body` without the GIL if these operands are large.
#[inline]
pub fn work<R: Send>(py: Python<'_>, operands: &[Operand<'_>], body: impl FnOnce() -> R + Send) -> R {
    let elements = operands
        .iter()
        .map(|x| match x {
            Operand::Tensor(x) => x.numel(),
            Operand::Scalar(_) => 0,
        })
        .sum();
    work_of(py, elements, body)
}

/// Runs `body` without the GIL if it is work on many elements.
#[inline]
pub fn work_of<R: Send>(py: Python<'_>, elements: usize, body: impl FnOnce() -> R + Send) -> R {
    if elements > RELEASE_ABOVE { py.detach(body) } else { body() }
}

impl<'a, 'py> Args<'a, 'py> {
    /// Those of a call that gives nothing yet.
    #[inline(always)]
    pub(super) fn new(py: Python<'py>, binding: &'static Binding, signature: &'static Signature) -> Self {
        let values = SmallVec::from_elem(Given::Nothing, signature.parameters.len());
        Self { py, binding, signature, values }
    }

    /// The row that the binding runs.
    pub fn row(&self) -> &'static arcgrad::graph::Row {
        self.binding.row.unwrap_or_else(|| unreachable!("{} is not the face of a row", self.binding.name))
    }

    /// The GIL's token.
    pub fn py(&self) -> Python<'py> {
        self.py
    }

    /// The function that was called.
    pub fn binding(&self) -> &'static Binding {
        self.binding
    }

    /// Whether this was given, be it Python's `None`.
    pub fn is_given(&self, i: usize) -> bool {
        !matches!(self.values[i], Given::Nothing)
    }

    /// The object that was given for each parameter that PyTorch's operation has, too.
    pub fn operands(&self) -> impl Iterator<Item = Option<&'a Bound<'py, PyAny>>> {
        let parameters = self.signature.parameters.iter().zip(&self.values);
        parameters.filter(|(p, _)| !matches!(&*p.name, "generator" | "out" | "requires_grad")).map(
            |(_, value)| match *value {
                Given::One(object) => Some(object),
                Given::Nothing | Given::Several(_) => None,
            },
        )
    }

    /// The argument as it was given; `None` if it was left out or is Python's `None`.
    #[inline]
    pub fn get(&self, i: usize) -> Option<&'a Bound<'py, PyAny>> {
        self.given(i).filter(|x| !x.is_none())
    }

    #[inline]
    fn given(&self, i: usize) -> Option<&'a Bound<'py, PyAny>> {
        match self.values[i] {
            Given::Nothing => None,
            Given::One(object) => Some(object),
            Given::Several(objects) => objects.first(),
        }
    }

    #[inline]
    fn is_left_out(&self, i: usize) -> bool {
        matches!(self.values[i], Given::Nothing)
    }

    /// The argument as it was given, Python's `None` included.
    pub fn any(&self, i: usize) -> PyResult<&'a Bound<'py, PyAny>> {
        self.given(i).ok_or_else(|| self.wrong(i))
    }

    fn default(&self, i: usize) -> &'static str {
        self.signature.parameters[i].default.as_deref().unwrap_or("None")
    }

    #[cold]
    fn wrong(&self, i: usize) -> PyErr {
        let given = self
            .given(i)
            .and_then(|x| x.get_type().name().ok())
            .map_or_else(|| "nothing".to_owned(), |n| n.to_string());
        wrong(self.binding, self.signature, i, &given)
    }

    /// A tensor.
    #[inline]
    pub fn tensor(&self, i: usize) -> PyResult<&Tensor> {
        self.get(i).and_then(convert::tensor).ok_or_else(|| self.wrong(i))
    }

    /// A tensor or nothing.
    pub fn optional_tensor(&self, i: usize) -> PyResult<Option<&Tensor>> {
        self.get(i).map(|x| convert::tensor(x).ok_or_else(|| self.wrong(i))).transpose()
    }

    /// A sequence of tensors.
    pub fn tensors(&self, i: usize) -> PyResult<Vec<Tensor>> {
        let one = |x: &Bound<'py, PyAny>| convert::tensor(x).cloned().ok_or_else(|| self.wrong(i));
        if let Given::Several(objects) = self.values[i] {
            return objects.iter().map(one).collect();
        }
        let object = self.get(i).ok_or_else(|| self.wrong(i))?;
        if let Ok(list) = object.cast::<PyList>() {
            return list.iter().map(|x| one(&x)).collect();
        }
        if let Ok(tuple) = object.cast::<PyTuple>() {
            return tuple.iter_borrowed().map(|x| one(&x)).collect();
        }
        if let Some(one) = convert::tensor(object) {
            return Ok(vec![one.clone()]);
        }
        object.try_iter().map_err(|_| self.wrong(i))?.map(|x| one(&x?)).collect()
    }

    /// A tensor or a number.
    #[inline]
    pub fn operand(&self, i: usize) -> PyResult<Operand<'_>> {
        match self.get(i) {
            Some(x) => convert::operand(x)?.ok_or_else(|| self.wrong(i)),
            None if self.is_left_out(i) => Ok(Operand::Scalar(parse_scalar(self.default(i)))),
            None => Err(self.wrong(i)),
        }
    }

    /// A tensor, a number, or nothing.
    pub fn optional_operand(&self, i: usize) -> PyResult<Option<Operand<'_>>> {
        if self.get(i).is_none() { Ok(None) } else { self.operand(i).map(Some) }
    }

    /// A number.
    pub fn scalar(&self, i: usize) -> PyResult<Scalar> {
        match self.get(i) {
            Some(x) => match convert::operand(x)? {
                Some(Operand::Scalar(Scalar::Float(_))) if x.is_instance_of::<PyInt>() => {
                    Err(pyo3::exceptions::PyRuntimeError::new_err(
                        "value cannot be converted to type int64_t without overflow",
                    ))
                }
                Some(Operand::Scalar(s)) => Ok(s),
                Some(Operand::Tensor(t)) if convert::is_number(t) => {
                    t.item().map_err(|e| crate::error::raise(&e))
                }
                Some(Operand::Tensor(_)) | None => Err(self.wrong(i)),
            },
            None if self.is_left_out(i) => Ok(parse_scalar(self.default(i))),
            None => Err(self.wrong(i)),
        }
    }

    /// A number or nothing.
    pub fn optional_scalar(&self, i: usize) -> PyResult<Option<Scalar>> {
        if self.get(i).is_none() { Ok(None) } else { self.scalar(i).map(Some) }
    }

    /// A float.
    pub fn float(&self, i: usize) -> PyResult<f64> {
        self.scalar(i).map(Scalar::to_f64)
    }

    /// A float or nothing.
    pub fn optional_float(&self, i: usize) -> PyResult<Option<f64>> {
        Ok(self.optional_scalar(i)?.map(Scalar::to_f64))
    }

    /// An integer.
    pub fn int(&self, i: usize) -> PyResult<i64> {
        match self.get(i) {
            Some(x) => integer(x).map_err(|e| self.explain(e, i)),
            None if self.is_left_out(i) => Ok(parse_scalar(self.default(i)).to_i64()),
            None => Err(self.wrong(i)),
        }
    }

    /// An axis or any other signed size.
    pub fn index(&self, i: usize) -> PyResult<isize> {
        self.int(i).map(|n| n as isize)
    }

    /// An integer or nothing.
    pub fn optional_int(&self, i: usize) -> PyResult<Option<i64>> {
        if self.get(i).is_none() && !self.has_number_default(i) { Ok(None) } else { self.int(i).map(Some) }
    }

    fn has_number_default(&self, i: usize) -> bool {
        self.is_left_out(i) && self.default(i) != "None"
    }

    /// An axis or nothing.
    pub fn optional_index(&self, i: usize) -> PyResult<Option<isize>> {
        Ok(self.optional_int(i)?.map(|n| n as isize))
    }

    /// Integers: one, or a sequence.
    pub fn ints(&self, i: usize) -> PyResult<SmallVec<[isize; 6]>> {
        if let Given::Several(objects) = self.values[i] {
            let mut sizes = SmallVec::new();
            for object in objects {
                sizes.push(integer(object).map_err(|e| self.explain(e, i))? as isize);
            }
            return Ok(sizes);
        }
        match self.get(i) {
            Some(x) => integers(x).map_err(|e| self.explain(e, i)),
            None => {
                let text = self.default(i).trim_matches(['(', ')', '[', ']']);
                Ok(text.split(',').filter_map(|n| n.trim().parse().ok()).collect())
            }
        }
    }

    /// Integers or nothing.
    pub fn optional_ints(&self, i: usize) -> PyResult<Option<SmallVec<[isize; 6]>>> {
        if self.get(i).is_none() { Ok(None) } else { self.ints(i).map(Some) }
    }

    /// A truth value.
    pub fn flag(&self, i: usize) -> PyResult<bool> {
        match self.get(i) {
            Some(x) => x.is_truthy(),
            None => Ok(self.default(i) == "True"),
        }
    }

    /// A truth value or nothing.
    pub fn optional_flag(&self, i: usize) -> PyResult<Option<bool>> {
        self.get(i).map(PyAnyMethods::is_truthy).transpose()
    }

    /// A dtype or nothing.
    pub fn dtype(&self, i: usize) -> PyResult<Option<DType>> {
        self.get(i).map(convert::dtype).transpose()
    }

    /// A string.
    pub fn str(&self, i: usize) -> PyResult<String> {
        match self.get(i) {
            Some(x) => x.extract::<String>().map_err(|_| self.wrong(i)),
            None => Ok(self.default(i).trim_matches(['\'', '"']).to_owned()),
        }
    }

    /// A string or nothing.
    pub fn optional_str(&self, i: usize) -> PyResult<Option<String>> {
        if self.get(i).is_none() { Ok(None) } else { self.str(i).map(Some) }
    }

    /// Calls an op of the core, without the GIL if the call's tensors are large.
    #[inline]
    pub fn call<F, T>(&self, op: F, arguments: T) -> arcgrad::Result<F::Answer>
    where
        F: Call<T>,
    {
        if self.elements() > RELEASE_ABOVE {
            // What the arguments borrow is held by `self`, and none of it is a Python object.
            let moved = Moved((op, arguments));
            return self
                .py
                .detach(move || {
                    let Moved((op, arguments)) = moved.all();
                    Moved(op.call(arguments))
                })
                .0;
        }
        op.call(arguments)
    }

    fn elements(&self) -> usize {
        let of = |x: &Bound<'py, PyAny>| convert::tensor(x).map_or(0, Tensor::numel);
        self.values
            .iter()
            .zip(&self.signature.parameters)
            .map(|(value, parameter)| match value {
                Given::One(object) => of(object),
                Given::Several(objects) if parameter.kind == Kind::TensorSpread => {
                    objects.iter().map(of).sum()
                }
                Given::Nothing | Given::Several(_) => 0,
            })
            .sum()
    }

    fn explain(&self, error: PyErr, i: usize) -> PyErr {
        let sizes = matches!(self.signature.parameters[i].kind, Kind::Ints | Kind::Sizes);
        if sizes && error.is_instance_of::<pyo3::exceptions::PyOverflowError>(self.py) {
            return PyTypeError::new_err(format!(
                "{}(): argument '{}' (position {}) must be tuple of ints, but found a number that 64 bits cannot hold",
                self.binding.name,
                self.signature.parameters[i].name,
                i + 1
            ));
        }
        if error.is_instance_of::<PyTypeError>(self.py) { self.wrong(i) } else { error }
    }
}

/// What is said of an argument of another type than its parameter's.
#[cold]
pub(super) fn wrong(binding: &Binding, signature: &Signature, i: usize, given: &str) -> PyErr {
    let parameter = &signature.parameters[i];
    let place = if parameter.keyword_only { String::new() } else { format!(" (position {})", i + 1) };
    PyTypeError::new_err(format!(
        "{}(): argument '{}'{place} must be {}, not {given}",
        binding.name,
        parameter.name,
        parameter.kind.spoken()
    ))
}

/// Moves a core call over the boundary of `detach`, which runs it on this same thread.
struct Moved<T>(T);
// SAFETY: `detach` calls its closure on the calling thread; nothing in a core call's arguments is a Python object.
unsafe impl<T> Send for Moved<T> {}

impl<T> Moved<T> {
    /// All of it: a closure that named the field would capture the field and not its wrapper.
    fn all(self) -> Self {
        self
    }
}

fn integer(object: &Bound<'_, PyAny>) -> PyResult<i64> {
    if !object.is_exact_instance_of::<PyInt>()
        && let Some(t) = convert::tensor(object)
    {
        return t.item().map(Scalar::to_i64).map_err(|e| crate::error::raise(&e));
    }
    convert::integer(object)
}

fn integers(object: &Bound<'_, PyAny>) -> PyResult<SmallVec<[isize; 6]>> {
    let one = |x: &Bound<'_, PyAny>| integer(x).map(|n| n as isize);
    if let Ok(tuple) = object.cast::<PyTuple>() {
        return tuple.iter_borrowed().map(|x| one(&x)).collect();
    }
    if let Ok(list) = object.cast::<PyList>() {
        return list.iter().map(|x| one(&x)).collect();
    }
    Ok(smallvec::smallvec![one(object)?])
}

fn parse_scalar(text: &str) -> Scalar {
    match text {
        "True" => Scalar::Bool(true),
        "False" => Scalar::Bool(false),
        _ => {
            text.parse::<i64>().map_or_else(|_| Scalar::Float(text.parse().unwrap_or(f64::NAN)), Scalar::Int)
        }
    }
}

/// A function of the core that takes its arguments as a tuple.
pub trait Call<T> {
    /// What it answers with.
    type Answer;
    /// Calls it.
    fn call(self, arguments: T) -> arcgrad::Result<Self::Answer>;
}

macro_rules! call {
    ($($T:ident),*) => {
        impl<Func, R, $($T),*> Call<($($T,)*)> for Func
        where
            Func: FnOnce($($T),*) -> arcgrad::Result<R>,
        {
            type Answer = R;
            #[inline]
            #[allow(non_snake_case)]
            fn call(self, ($($T,)*): ($($T,)*)) -> arcgrad::Result<R> {
                self($($T),*)
            }
        }
    };
}

call!();
call!(A);
call!(A, B);
call!(A, B, C);
call!(A, B, C, D);
call!(A, B, C, D, E);
call!(A, B, C, D, E, F);
call!(A, B, C, D, E, F, G);
call!(A, B, C, D, E, F, G, H);
call!(A, B, C, D, E, F, G, H, I);
