//! `Term`: a tensor in a formula. A row's derivative is read once over numbers and once over terms.

use crate::error::Result;
use crate::graph::tensor::Tensor;

/// A tensor, or why it could not be computed: formulas need no `?`, the error comes out at the end.
#[derive(Clone)]
pub struct Term(pub Result<Tensor>);

/// The answer of a comparison between terms, for `select`.
#[derive(Clone)]
pub struct TermMask(pub Result<Tensor>);

impl From<&Term> for Term {
    fn from(term: &Term) -> Self {
        term.clone()
    }
}
