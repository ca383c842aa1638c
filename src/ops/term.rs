//! What formulas can do with terms: the operators and functions that rows use in their derivatives.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::array::{DType, Scalar};
use crate::error::Result;
use crate::graph::{Operand, Tensor, Term, TermMask, Value, vector_space};
use crate::ops;

/// What can stand beside a term: another term, or a constant.
pub enum Side<'a> {
    /// A term.
    Term(&'a Term),
    /// A term made in passing.
    Owned(Term),
    /// A constant.
    Constant(f64),
}

impl<'a> From<&'a Term> for Side<'a> {
    fn from(term: &'a Term) -> Self {
        Side::Term(term)
    }
}

impl From<Term> for Side<'_> {
    fn from(term: Term) -> Self {
        Side::Owned(term)
    }
}

impl From<f64> for Side<'_> {
    fn from(constant: f64) -> Self {
        Side::Constant(constant)
    }
}

/// What a side is, seen from outside.
#[derive(Clone, Copy)]
enum Seen<'a> {
    Tensor(&'a Tensor),
    Number(&'a Tensor),
    Constant(f64),
}

impl Side<'_> {
    fn seen(&self) -> Result<Seen<'_>> {
        match self {
            Side::Term(Term(Ok(x))) | Side::Owned(Term(Ok(x))) => Ok(match x {
                Value::Tensor(x) => Seen::Tensor(x),
                Value::Number(x) => Seen::Number(x),
            }),
            Side::Term(Term(Err(e))) | Side::Owned(Term(Err(e))) => Err(e.clone()),
            Side::Constant(c) => Ok(Seen::Constant(*c)),
        }
    }
}

impl<'a> Seen<'a> {
    /// As an operand beside a tensor.
    fn beside_tensors(self) -> Result<Operand<'a>> {
        Ok(match self {
            Self::Tensor(x) => Operand::Tensor(x),
            Self::Number(x) => Operand::Scalar(x.item()?),
            Self::Constant(c) => Operand::Scalar(Scalar::Float(c)),
        })
    }

    /// As an operand among numbers.
    fn among_numbers(self) -> Operand<'a> {
        match self {
            Self::Tensor(x) | Self::Number(x) => Operand::Tensor(x),
            Self::Constant(c) => Operand::Scalar(Scalar::Float(c)),
        }
    }
}

type Binary = fn(Operand<'_>, Operand<'_>) -> Result<Tensor>;

fn combine(op: Binary, a: &Side<'_>, b: &Side<'_>) -> Term {
    let combined = || {
        Ok(match (a.seen()?, b.seen()?) {
            (a @ Seen::Tensor(_), b) | (a, b @ Seen::Tensor(_)) => {
                Value::Tensor(op(a.beside_tensors()?, b.beside_tensors()?)?)
            }
            (a, b) => Value::Number(op(a.among_numbers(), b.among_numbers())?),
        })
    };
    Term(combined())
}

macro_rules! operators {
    ($($trait:ident $method:ident;)*) => { $(
        operators!(@pair $trait $method, Term, Term, |a| Side::Term(&a), |b| Side::Term(&b));
        operators!(@pair $trait $method, Term, &Term, |a| Side::Term(&a), |b| Side::Term(b));
        operators!(@pair $trait $method, &Term, Term, |a| Side::Term(a), |b| Side::Term(&b));
        operators!(@pair $trait $method, &Term, &Term, |a| Side::Term(a), |b| Side::Term(b));
        operators!(@pair $trait $method, f64, Term, |a| Side::Constant(a), |b| Side::Term(&b));
        operators!(@pair $trait $method, f64, &Term, |a| Side::Constant(a), |b| Side::Term(b));
        operators!(@pair $trait $method, Term, f64, |a| Side::Term(&a), |b| Side::Constant(b));
        operators!(@pair $trait $method, &Term, f64, |a| Side::Term(a), |b| Side::Constant(b));
    )* };
    (@pair $trait:ident $method:ident, $a:ty, $b:ty, |$x:ident| $left:expr, |$z:ident| $right:expr) => {
        impl $trait<$b> for $a {
            type Output = Term;
            fn $method(self, $z: $b) -> Term {
                let $x = self;
                combine(|a, b| ops::$method(a, b), &$left, &$right)
            }
        }
    };
}

operators! { Add add; Sub sub; Mul mul; Div div; }

impl Neg for &Term {
    type Output = Term;
    fn neg(self) -> Term {
        self.map(|x| ops::neg(x))
    }
}

impl Neg for Term {
    type Output = Term;
    fn neg(self) -> Term {
        -&self
    }
}

impl Term {
    fn map(&self, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Term {
        Term(self.0.as_ref().map_err(Clone::clone).and_then(|x| x.map(f)))
    }
}

macro_rules! functions {
    ($($name:ident = $op:ident),* $(,)?) => {
        impl Term { $(
            #[doc = concat!("`ops::", stringify!($op), "`.")]
            pub fn $name(&self) -> Term { self.map(|x| ops::$op(x)) }
        )* }
    };
}

functions! {
    tanh = tanh, exp = exp, exp2 = exp2, ln = log, signum = sign, trunc = trunc, floor = floor, cos = cos, sin = sin,
    cosh = cosh, sinh = sinh, rsqrt = rsqrt, sigmoid = sigmoid, log_sigmoid = logsigmoid, digamma = digamma, lgamma = lgamma, ndtr = ndtr, recip = reciprocal,
    normal_density = normal_density, erfcx = erfcx, i0 = i0, i1 = i1, i0e = i0e, i1e = i1e,
}

impl Term {
    /// Zeros of its shape.
    pub fn zero(&self) -> Term {
        self.map(vector_space::zeros_like)
    }

    /// `ops::pow`; of a tensor to the power of two no square, whose derivatives end one before those of a power do.
    pub fn pow<'a>(&'a self, exponent: impl Into<Side<'a>>) -> Term {
        let op: Binary = |a, b| match (a, b) {
            (Operand::Tensor(_), Operand::Scalar(_)) => ops::special_cases::pow_number(a, b),
            _ => ops::power(a, b, ops::Place::New),
        };
        combine(op, &self.into(), &exponent.into())
    }

    /// `ops::xlogy`.
    pub fn xlogy<'a>(&'a self, other: impl Into<Side<'a>>) -> Term {
        combine(|a, b| ops::xlogy(a, b), &self.into(), &other.into())
    }

    /// `ops::xlog1py`.
    pub fn xlog1py<'a>(&'a self, other: impl Into<Side<'a>>) -> Term {
        combine(|a, b| ops::xlog1py(a, b), &self.into(), &other.into())
    }

    /// `ops::zeta`.
    pub fn zeta<'a>(&'a self, other: impl Into<Side<'a>>) -> Term {
        combine(|a, b| ops::zeta(a, b), &self.into(), &other.into())
    }

    /// The derivative of order `n` of digamma, where `n` may be a term that holds one number.
    pub fn polygamma_at<'a>(&'a self, n: impl Into<Side<'a>>) -> Term {
        combine(|x, n| ops::special_cases::polygamma_row(x, n), &self.into(), &n.into())
    }

    /// `ops::softplus`.
    pub fn softplus(&self, beta: f64, threshold: f64) -> Term {
        self.map(|x| ops::softplus(x, beta, threshold))
    }

    /// As a condition: `yes` where it is not zero, else `no`.
    pub fn choose(&self, yes: impl Into<Term>, no: impl Into<Term>) -> Term {
        choose(&self.0, &Side::Term(&yes.into()), &Side::Term(&no.into()))
    }

    /// Whether neither infinite nor NaN.
    pub fn is_finite(&self) -> TermMask {
        TermMask(self.map(|x| ops::isfinite(x)).0)
    }
}

fn choose(condition: &Result<Value>, yes: &Side<'_>, no: &Side<'_>) -> Term {
    let chosen = || match condition.as_ref().map_err(Clone::clone)? {
        Value::Tensor(condition) => {
            let (yes, no) = (yes.seen()?.beside_tensors()?, no.seen()?.beside_tensors()?);
            Ok(Value::Tensor(ops::choose(condition, yes, no)?))
        }
        Value::Number(condition) => {
            let side = if condition.item()?.is_true() { yes } else { no };
            Ok(match side.seen()? {
                Seen::Tensor(x) => Value::Tensor(x.clone()),
                Seen::Number(x) => Value::Number(x.clone()),
                Seen::Constant(c) => Value::Number(Tensor::scalar(c, DType::F64)?),
            })
        }
    };
    Term(chosen())
}

macro_rules! comparisons {
    ($($name:ident),*) => {
        impl Term { $(
            #[doc = concat!("`ops::", stringify!($name), "`, as a mask.")]
            pub fn $name<'a>(&'a self, other: impl Into<Side<'a>>) -> TermMask {
                TermMask(combine(|a, b| ops::$name(a, b), &self.into(), &other.into()).0)
            }
        )* }
    };
}

comparisons!(eq, ne, lt, le, gt, ge);

impl TermMask {
    /// `yes` where the mask holds, else `no`.
    pub fn select<'a>(&'a self, yes: impl Into<Side<'a>>, no: impl Into<Side<'a>>) -> Term {
        choose(&self.0, &yes.into(), &no.into())
    }
}

macro_rules! mask_operators {
    ($($trait:ident $method:ident $op:ident),*) => { $(
        impl std::ops::$trait for TermMask {
            type Output = TermMask;
            fn $method(self, other: TermMask) -> TermMask {
                TermMask(self.0.and_then(|a| Ok(match (a, other.0?) {
                    (Value::Number(a), Value::Number(b)) => Value::Number(ops::$op(&a, &b)?),
                    (a, b) => Value::Tensor(ops::$op(&a.tensor(), &b.tensor())?),
                })))
            }
        }
    )* };
}

mask_operators!(BitAnd bitand logical_and, BitOr bitor logical_or);
