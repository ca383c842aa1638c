//! `arcgrad.Tensor`: the Rust tensor itself as a Python object, with Python's operators.
//!
//! Methods and attributes with names are declared in `bindings`; here stands what CPython calls through a slot of the type.

// PyO3's wrappers are unsafe functions whose bodies the compiler lays to our charge when a macro writes the methods.
#![allow(unsafe_op_in_unsafe_fn)]

use arcgrad::graph::Operand;
use arcgrad::ops::{self, Place};
use arcgrad::{Scalar, Tensor};
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyString, PyTuple, PyType};

use crate::array_interface;
use crate::collector;
use crate::convert::{self, Answer};
use crate::dispatch::work;
use crate::ending::Inside;
use crate::error::{guarded, raise};
use crate::identity;
use crate::legacy;
use crate::once::Once;
use crate::overrides;
use crate::profile;

/// A multi-dimensional array that can remember how it was computed.
#[pyclass(name = "Tensor", module = "arcgrad", frozen, subclass, dict, weakref, freelist = 512)]
pub struct PyTensor(pub Tensor);

impl Drop for PyTensor {
    fn drop(&mut self) {
        identity::forget(self);
    }
}

/// A tensor on its way into an object of a subclass: what `Tensor.__new__` is given by [`subclass_object`].
#[pyclass(name = "_Pending", module = "arcgrad._core", frozen)]
pub struct Pending(Tensor);

/// A new object of a class derived from Tensor.
pub fn subclass_object(class: &Bound<'_, PyType>, tensor: Tensor) -> PyResult<Py<PyAny>> {
    let py = class.py();
    if class.is(py.get_type::<PyTensor>()) {
        return convert::object(py, tensor);
    }
    let object =
        py.get_type::<PyTensor>().getattr("__new__")?.call1((class, Bound::new(py, Pending(tensor))?))?;
    // Tells the tensor where its object is.
    convert::tensor(&object);
    Ok(object.unbind())
}

/// What a subclass or a mode answers in the place of the slot `name`, if one wants to.
#[inline]
fn taken<'py>(
    this: &Bound<'py, PyTensor>,
    name: &str,
    others: &[&Bound<'py, PyAny>],
) -> PyResult<Option<Py<PyAny>>> {
    if overrides::possible() { overrides::redirect_slot(this.as_any(), name, others) } else { Ok(None) }
}

/// Runs an operator on two operands, of which the second may be none at all.
#[inline]
fn binary<'py>(
    this: &Bound<'py, PyTensor>,
    other: &Bound<'py, PyAny>,
    name: &'static str,
    op: impl Fn(Operand<'_>, Operand<'_>) -> arcgrad::Result<Tensor> + Send + Sync,
) -> PyResult<Py<PyAny>> {
    if let Some(answer) = taken(this, name, &[other])? {
        return Ok(answer);
    }
    let _timed = profile::slot(name, this, Some(other));
    let py = this.py();
    let this = Operand::Tensor(&this.get().0);
    guarded(|| match convert::operand(other)? {
        Some(other) => work(py, &[this, other], || op(this, other)).object(py),
        None => Ok(py.NotImplemented()),
    })
}

/// Runs an operator on this tensor's own memory.
#[inline]
fn in_place(
    this: &Bound<'_, PyTensor>,
    other: &Bound<'_, PyAny>,
    name: &'static str,
    symbol: &str,
    op: impl Fn(Operand<'_>, Operand<'_>) -> arcgrad::Result<Tensor> + Send + Sync,
) -> PyResult<()> {
    if taken(this, name, &[other])?.is_some() {
        return Ok(());
    }
    let _timed = profile::slot(name, this, Some(other));
    let py = this.py();
    let target = Operand::Tensor(&this.get().0);
    guarded(|| match convert::operand(other)? {
        Some(other) => work(py, &[target, other], || op(target, other)).map(drop).map_err(|e| raise(&e)),
        None => Err(PyTypeError::new_err(format!(
            "unsupported operand type(s) for {symbol}: 'Tensor' and '{}'",
            other.get_type().name()?
        ))),
    })
}

#[inline]
fn unary(
    this: &Bound<'_, PyTensor>,
    name: &'static str,
    op: impl Fn(&Tensor) -> arcgrad::Result<Tensor> + Send + Sync,
) -> PyResult<Py<PyAny>> {
    if let Some(answer) = taken(this, name, &[])? {
        return Ok(answer);
    }
    let _timed = profile::slot(name, this, None);
    let py = this.py();
    let x = &this.get().0;
    guarded(|| work(py, &[Operand::Tensor(x)], || op(x)).object(py))
}

/// The only element of a tensor, for `float(x)` and its like.
fn single(x: &Tensor) -> PyResult<Scalar> {
    if x.numel() != 1 {
        return Err(PyValueError::new_err(format!(
            "only one element tensors can be converted to Python scalars (this one has shape {:?})",
            x.shape().as_slice()
        )));
    }
    x.item().map_err(|e| raise(&e))
}

const ONE: Scalar = Scalar::Int(1);

/// Writes out the slots: a macro, because their bodies differ in one name only.
macro_rules! slots {
    (
        binary { $( $name:ident, $reflected:ident = $op:expr; )* }
        in_place { $( $own:ident $symbol:literal = $own_op:expr; )* }
        unary { $( $unary:ident = $unary_op:expr; )* }
        { $($rest:tt)* }
    ) => {
        #[pymethods]
        impl PyTensor {
            $(
                fn $name(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
                    binary(slf, other, stringify!($name), $op)
                }
                fn $reflected(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
                    binary(slf, other, stringify!($reflected), |b, a| ($op)(a, b))
                }
            )*
            $(
                fn $own(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<()> {
                    in_place(slf, other, stringify!($own), $symbol, $own_op)
                }
            )*
            $(
                fn $unary(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
                    unary(slf, stringify!($unary), $unary_op)
                }
            )*
            $($rest)*
        }
    };
}

slots! {
    binary {
        __add__, __radd__ = |a, b| ops::add(a, b);
        __sub__, __rsub__ = |a, b| ops::difference(a, b);
        __mul__, __rmul__ = |a, b| ops::mul(a, b);
        __truediv__, __rtruediv__ = |a, b| ops::quotient(a, b);
        __floordiv__, __rfloordiv__ = |a, b| ops::integer_division(&ops::floor_divide::ROW, a, b, Place::New);
        __mod__, __rmod__ = |a, b| ops::integer_division(&ops::remainder::ROW, a, b, Place::New);
        __and__, __rand__ = |a, b| ops::bitwise_and(a, b);
        __or__, __ror__ = |a, b| ops::bitwise_or(a, b);
        __xor__, __rxor__ = |a, b| ops::bitwise_xor(a, b);
        __lshift__, __rlshift__ = |a, b| ops::bitwise_left_shift(a, b);
        __rshift__, __rrshift__ = |a, b| ops::bitwise_right_shift(a, b);
    }
    in_place {
        __iadd__ "+=" = |a, b| ops::add_alpha(a, b, ONE, Place::First);
        __isub__ "-=" = |a, b| ops::sub_alpha(a, b, ONE, Place::First);
        __imul__ "*=" = |a, b| ops::numbers::run(&ops::mul::ROW, [a, b], Place::First);
        __itruediv__ "/=" = |a, b| ops::divide(a, b, None, Place::First);
        __ifloordiv__ "//=" = |a, b| ops::integer_division(&ops::floor_divide::ROW, a, b, Place::First);
        __imod__ "%=" = |a, b| ops::integer_division(&ops::remainder::ROW, a, b, Place::First);
        __iand__ "&=" = |a, b| ops::numbers::run(&ops::bitwise_and::ROW, [a, b], Place::First);
        __ior__ "|=" = |a, b| ops::numbers::run(&ops::bitwise_or::ROW, [a, b], Place::First);
        __ixor__ "^=" = |a, b| ops::numbers::run(&ops::bitwise_xor::ROW, [a, b], Place::First);
        __ilshift__ "<<=" = |a, b| ops::numbers::run(&ops::bitwise_left_shift::ROW, [a, b], Place::First);
        __irshift__ ">>=" = |a, b| ops::numbers::run(&ops::bitwise_right_shift::ROW, [a, b], Place::First);
    }
    unary {
        __neg__ = |x| ops::negative(x, Place::New);
        __pos__ = |x| ops::positive(x);
        __abs__ = |x| ops::abs(x);
        __invert__ = |x| ops::bitwise_not(x, Place::New);
    }
    {
        fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
            // SAFETY: the field is read as the pointer that it is. Python may look for garbage while it makes the object's
            // `__dict__`, before there is a tensor in it: the memory is zero then.
            let is_made = unsafe { !std::ptr::from_ref(&self.0).cast::<*const ()>().read().is_null() };
            if is_made { collector::traverse_tensor(&self.0, &visit) } else { Ok(()) }
        }

        fn __getitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
            if let Some(answer) = taken(slf, "__getitem__", &[key])? {
                return Ok(answer);
            }
            let _timed = profile::slot("__getitem__", slf, Some(key));
            guarded(|| crate::bindings::indexing::getitem(slf, key))
        }

        fn __setitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
            if taken(slf, "__setitem__", &[key, value])?.is_some() {
                return Ok(());
            }
            let _timed = profile::slot("__setitem__", slf, Some(key));
            guarded(|| crate::bindings::indexing::setitem(slf, key, value))
        }

        #[allow(clippy::unused_self)]
        fn __delitem__(&self, _key: &Bound<'_, PyAny>) -> PyResult<()> {
            Err(PyTypeError::new_err("Tensor does not support deleting items"))
        }

        #[new]
        #[pyo3(signature = (*args, **kwargs))]
        #[classmethod]
        fn new(
            _class: &Bound<'_, PyType>,
            args: &Bound<'_, PyTuple>,
            kwargs: Option<&Bound<'_, PyDict>>,
        ) -> PyResult<Self> {
            if args.len() == 1
                && let Ok(pending) = args.get_borrowed_item(0)?.cast::<Pending>()
            {
                return Ok(Self(pending.get().0.clone()));
            }
            guarded(|| legacy::construct(args, kwargs).map(Self))
        }

        /// How a subclass runs `func`: as Tensor does, with tensors among the results as objects of the subclass.
        #[classmethod]
        #[pyo3(signature = (func, types, args=None, kwargs=None))]
        fn __torch_function__(
            cls: &Bound<'_, PyType>,
            func: &Bound<'_, PyAny>,
            types: &Bound<'_, PyAny>,
            args: Option<&Bound<'_, PyTuple>>,
            kwargs: Option<&Bound<'_, PyDict>>,
        ) -> PyResult<Py<PyAny>> {
            overrides::run_as(cls, func, types, args, kwargs)
        }

        #[classmethod]
        #[pyo3(signature = (**_facts))]
        fn __init_subclass__(cls: &Bound<'_, PyType>, _facts: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
            overrides::note_subclass(cls)
        }

        /// An object of class `cls` that shares this data, as a leaf.
        #[staticmethod]
        #[pyo3(signature = (cls, data, require_grad=false))]
        fn _make_subclass(
            cls: &Bound<'_, PyType>,
            data: &Bound<'_, Self>,
            require_grad: bool,
        ) -> PyResult<Py<PyAny>> {
            guarded(|| {
                let x = data.get().0.detach().requires_grad_(require_grad).map_err(|e| raise(&e))?;
                subclass_object(cls, x)
            })
        }

        fn __pow__(
            slf: &Bound<'_, Self>,
            other: &Bound<'_, PyAny>,
            modulus: Option<&Bound<'_, PyAny>>,
        ) -> PyResult<Py<PyAny>> {
            if modulus.is_some() {
                return Ok(slf.py().NotImplemented());
            }
            binary(slf, other, "__pow__", |a, b| ops::power(a, b, Place::New))
        }
        fn __rpow__(
            slf: &Bound<'_, Self>,
            other: &Bound<'_, PyAny>,
            modulus: Option<&Bound<'_, PyAny>>,
        ) -> PyResult<Py<PyAny>> {
            if modulus.is_some() {
                return Ok(slf.py().NotImplemented());
            }
            binary(slf, other, "__rpow__", |b, a| ops::power(a, b, Place::New))
        }
        fn __ipow__(
            slf: &Bound<'_, Self>,
            other: &Bound<'_, PyAny>,
            _modulus: Option<&Bound<'_, PyAny>>,
        ) -> PyResult<()> {
            in_place(slf, other, "__ipow__", "**=", |a, b| ops::power(a, b, Place::First))
        }

        fn __matmul__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
            if let Some(answer) = taken(slf, "__matmul__", &[other])? {
                return Ok(answer);
            }
            let py = slf.py();
            let Some(b) = convert::tensor(other) else { return Ok(py.NotImplemented()) };
            let a = &slf.get().0;
            let _timed = profile::slot("__matmul__", slf, Some(other));
            guarded(|| work(py, &[a.into(), b.into()], || ops::matmul(a, b)).object(py))
        }

        fn __richcmp__(
            slf: &Bound<'_, Self>,
            other: &Bound<'_, PyAny>,
            comparison: CompareOp,
        ) -> PyResult<Py<PyAny>> {
            let name = match comparison {
                CompareOp::Lt => "__lt__",
                CompareOp::Le => "__le__",
                CompareOp::Eq => "__eq__",
                CompareOp::Ne => "__ne__",
                CompareOp::Gt => "__gt__",
                CompareOp::Ge => "__ge__",
            };
            // NumPy leaves a comparison to the tensor, as it does nothing else.
            let is_plain = convert::tensor(other).is_some()
                || other.is_instance_of::<PyFloat>()
                || other.is_instance_of::<PyInt>();
            let array = if !is_plain && array_interface::is_ndarray(other) {
                let array = guarded(|| array_interface::from_numpy(other))?;
                Some(convert::object(slf.py(), Tensor::new(array))?.into_bound(slf.py()))
            } else {
                None
            };
            binary(slf, array.as_ref().unwrap_or(other), name, |a, b| match comparison {
                CompareOp::Lt => ops::lt(a, b),
                CompareOp::Le => ops::le(a, b),
                CompareOp::Eq => ops::eq(a, b),
                CompareOp::Ne => ops::ne(a, b),
                CompareOp::Gt => ops::gt(a, b),
                CompareOp::Ge => ops::ge(a, b),
            })
        }

        fn __hash__(slf: &Bound<'_, Self>) -> isize {
            // Rotated as CPython's own identity hash, so that aligned addresses spread over a table.
            slf.as_ptr().addr().rotate_right(4) as isize
        }

        fn __bool__(slf: &Bound<'_, Self>) -> PyResult<bool> {
            if let Some(answer) = taken(slf, "__bool__", &[])? {
                return answer.extract(slf.py());
            }
            crate::bindings::values::truth(&slf.get().0)
        }
        fn __float__(slf: &Bound<'_, Self>) -> PyResult<f64> {
            if let Some(answer) = taken(slf, "__float__", &[])? {
                return answer.extract(slf.py());
            }
            single(&slf.get().0).map(Scalar::to_f64)
        }
        fn __int__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
            if let Some(answer) = taken(slf, "__int__", &[])? {
                return Ok(answer);
            }
            let value = single(&slf.get().0)?;
            let number = convert::number(slf.py(), value);
            // Of a float Python makes the integer: it may have more than 64 bits, or be none.
            if matches!(value, Scalar::Int(_)) { Ok(number) } else { number.call_method0(slf.py(), "__int__") }
        }
        fn __complex__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
            if let Some(answer) = taken(slf, "__complex__", &[])? {
                return Ok(answer);
            }
            let value = single(&slf.get().0)?.to_f64();
            Ok(pyo3::types::PyComplex::from_doubles(slf.py(), value, 0.0).into_any().unbind())
        }
        fn __index__(slf: &Bound<'_, Self>) -> PyResult<i64> {
            if let Some(answer) = taken(slf, "__index__", &[])? {
                return answer.extract(slf.py());
            }
            let x = &slf.get().0;
            if x.dtype().is_floating() || x.numel() != 1 {
                return Err(PyTypeError::new_err(
                    "only integer tensors of a single element can be converted to an index",
                ));
            }
            x.item().map(Scalar::to_i64).map_err(|e| raise(&e))
        }

        fn __len__(slf: &Bound<'_, Self>) -> PyResult<usize> {
            if let Some(answer) = taken(slf, "__len__", &[])? {
                return answer.extract(slf.py());
            }
            slf.get().0.shape().first().copied().ok_or_else(|| PyTypeError::new_err("len() of a 0-d tensor"))
        }
        fn __iter__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
            if slf.get().0.ndim() == 0 {
                return Err(PyTypeError::new_err("iteration over a 0-d tensor"));
            }
            let parts = match taken(slf, "unbind", &[])? {
                Some(parts) => parts,
                None => ops::unbind(&slf.get().0, 0).object(slf.py())?,
            };
            Ok(parts.bind(slf.py()).try_iter()?.into_any().unbind())
        }
        fn __contains__(slf: &Bound<'_, Self>, element: &Bound<'_, PyAny>) -> PyResult<bool> {
            if let Some(answer) = taken(slf, "__contains__", &[element])? {
                return answer.extract(slf.py());
            }
            let x = Operand::Tensor(&slf.get().0);
            let Some(element) = convert::operand(element)? else {
                return Err(PyRuntimeError::new_err(format!(
                    "Tensor.__contains__ only supports Tensor or scalar, but you passed in a {}.",
                    element.get_type().repr()?
                )));
            };
            guarded(|| {
                let equal = ops::eq(x, element).and_then(|y| y.to_vec::<arcgrad::array::Bool>());
                Ok(equal.map_err(|e| raise(&e))?.iter().any(|b| b.get()))
            })
        }

        fn __repr__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
            static PRINT: Once<Py<PyAny>> = Once::new();
            if let Some(answer) = taken(slf, "__repr__", &[])? {
                return Ok(answer);
            }
            let _inside = Inside::enter(slf.py());
            PRINT.import(slf.py(), "arcgrad._tensor_str", "_str")?.call1((slf,)).map(Bound::unbind)
        }
        fn __format__(slf: &Bound<'_, Self>, specification: &str) -> PyResult<Py<PyAny>> {
            let py = slf.py();
            if let Some(answer) = taken(slf, "__format__", &[PyString::new(py, specification).as_any()])? {
                return Ok(answer);
            }
            if slf.get().0.ndim() == 0 {
                let value = convert::number(py, single(&slf.get().0)?);
                return value.call_method1(py, "__format__", (specification,));
            }
            if specification.is_empty() {
                return Ok(slf.str()?.into_any().unbind());
            }
            Err(PyTypeError::new_err("unsupported format string passed to Tensor.__format__"))
        }
    }
}
