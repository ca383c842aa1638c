//! What formulas can do with terms: the operators and functions that rows use in their derivatives.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::array::Scalar;
use crate::error::Result;
use crate::graph::{Operand, Tensor, Term};
use crate::ops;

/// What can stand beside a term: another term, or a constant.
enum Side<'a> {
    Term(&'a Term),
    Constant(f64),
}

impl Side<'_> {
    fn operand(&self) -> Result<Operand<'_>> {
        match self {
            Side::Term(Term(Ok(x))) => Ok(Operand::Tensor(x)),
            Side::Term(Term(Err(e))) => Err(e.clone()),
            Side::Constant(c) => Ok(Operand::Scalar(Scalar::Float(*c))),
        }
    }
}

type Binary = fn(Operand<'_>, Operand<'_>) -> Result<Tensor>;

fn combine(op: Binary, a: &Side<'_>, b: &Side<'_>) -> Term {
    Term(a.operand().and_then(|a| op(a, b.operand()?)))
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
        Term(self.0.as_ref().map_err(Clone::clone).and_then(f))
    }
}

macro_rules! functions {
    ($($name:ident = $op:ident),* $(,)?) => {
        impl Term { $(
            #[doc = concat!("[`ops::", stringify!($op), "`].")]
            pub fn $name(&self) -> Term { self.map(|x| ops::$op(x)) }
        )* }
    };
}

functions! { tanh = tanh, exp = exp, ln = log }
