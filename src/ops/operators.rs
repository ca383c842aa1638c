//! `&a + &b` and its kin, for Rust users.
//!
//! # Panics
//! An operator cannot return an error: where the function of the same name would, it panics with the error's sentence.

use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

use crate::array::Scalar;
use crate::error::Result;
use crate::graph::{Operand, Tensor};
use crate::ops::{self, Place};

fn expect(result: Result<Tensor>) -> Tensor {
    result.unwrap_or_else(|error| panic!("{error}"))
}

macro_rules! operators {
    ($($trait:ident $method:ident = $op:expr;)*) => { $(
        operators!(@pair $trait $method $op, &Tensor, &Tensor, |a| Operand::Tensor(a), |b| Operand::Tensor(b));
        operators!(@pair $trait $method $op, Tensor, &Tensor, |a| Operand::Tensor(&a), |b| Operand::Tensor(b));
        operators!(@pair $trait $method $op, &Tensor, Tensor, |a| Operand::Tensor(a), |b| Operand::Tensor(&b));
        operators!(@pair $trait $method $op, Tensor, Tensor, |a| Operand::Tensor(&a), |b| Operand::Tensor(&b));
        operators!(@pair $trait $method $op, &Tensor, f64, |a| Operand::Tensor(a), |b| Operand::Scalar(Scalar::Float(b)));
        operators!(@pair $trait $method $op, Tensor, f64, |a| Operand::Tensor(&a), |b| Operand::Scalar(Scalar::Float(b)));
        operators!(@pair $trait $method $op, f64, &Tensor, |a| Operand::Scalar(Scalar::Float(a)), |b| Operand::Tensor(b));
        operators!(@pair $trait $method $op, f64, Tensor, |a| Operand::Scalar(Scalar::Float(a)), |b| Operand::Tensor(&b));
    )* };
    (@pair $trait:ident $method:ident $op:expr, $a:ty, $b:ty, |$x:ident| $left:expr, |$y:ident| $right:expr) => {
        impl $trait<$b> for $a {
            type Output = Tensor;
            fn $method(self, $y: $b) -> Tensor {
                let $x = self;
                expect($op($left, $right))
            }
        }
    };
}

operators! {
    Add add = |a, b| ops::add_alpha(a, b, Scalar::Int(1), Place::New);
    Sub sub = |a, b| ops::sub_alpha(a, b, Scalar::Int(1), Place::New);
    Mul mul = ops::mul;
    Div div = ops::div;
    Rem rem = |a, b| ops::integer_division(&ops::remainder::ROW, a, b, Place::New);
}

impl Neg for &Tensor {
    type Output = Tensor;
    fn neg(self) -> Tensor {
        expect(ops::negative(self, Place::New))
    }
}

impl Neg for Tensor {
    type Output = Tensor;
    fn neg(self) -> Tensor {
        -&self
    }
}
