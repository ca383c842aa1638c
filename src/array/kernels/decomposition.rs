//! Decompositions of one matrix of doubles, stored row after row.

pub mod cholesky;
pub mod jacobi;
pub mod lu;
pub mod qr;
pub mod triangular;

/// The sum of products.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
