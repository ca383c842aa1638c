//! `Term`: a tensor or a number in a formula. A row's derivative is read once over numbers and once over terms.

use crate::array::Scalar;
use crate::error::Result;
use crate::graph::tensor::Tensor;

/// A value, or why it could not be computed: formulas need no `?`, the error comes out at the end.
#[derive(Clone)]
pub struct Term(pub Result<Value>);

/// The answer of a comparison between terms, for `select`.
#[derive(Clone)]
pub struct TermMask(pub Result<Value>);

/// What a term stands for.
#[derive(Clone)]
pub enum Value {
    /// A tensor.
    Tensor(Tensor),
    /// A number that the operation was given, or one made from such alone: 0-d, of the dtype that the formula computes in.
    /// What only numbers decide, such as whether an exponent is zero, is decided at once and leaves no node.
    Number(Tensor),
}

impl Value {
    /// As a tensor, be it of one number.
    pub fn tensor(self) -> Tensor {
        match self {
            Self::Tensor(x) | Self::Number(x) => x,
        }
    }

    /// The value of a function here.
    pub fn map(&self, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(match self {
            Self::Tensor(x) => Self::Tensor(f(x)?),
            Self::Number(x) => Self::Number(f(x)?),
        })
    }
}

impl Term {
    /// A tensor.
    pub fn of(x: Tensor) -> Self {
        Self(Ok(Value::Tensor(x)))
    }

    /// A number in a formula that computes in the dtype of `g`.
    pub fn number(x: Scalar, g: &Tensor) -> Self {
        Self(Tensor::scalar(x, g.dtype()).map(Value::Number))
    }

    /// The tensor, or the number as one.
    pub fn tensor(self) -> Result<Tensor> {
        self.0.map(Value::tensor)
    }
}

impl From<&Term> for Term {
    fn from(term: &Term) -> Self {
        term.clone()
    }
}
