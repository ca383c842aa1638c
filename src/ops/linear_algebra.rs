//! Linear equations, determinants and decompositions of batches of matrices.
//!
//! Everything is computed in double precision, whatever the dtype, one matrix after the other
//! (docs/decisions/0005-decompositions.md). In the formulas `A` is a matrix, `g` the gradient of what is made of it.

pub(super) mod cholesky;
pub(super) mod determinant;
pub(super) mod eigen;
pub(super) mod inverse;
pub(super) mod qr;
pub(super) mod singular;
pub(super) mod solve;

pub use cholesky::cholesky;
pub use determinant::{det, logdet, slogdet};
pub use eigen::eigh;
pub use inverse::{Cutoff, inverse, pinv};
pub use qr::{QrMode, qr};
pub use singular::{nuclear_norm, svd};
pub use solve::{solve, solve_triangular};

use crate::array::{Array, DType, Dims};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::ops;
use crate::ops::product::batch::multiply_each;

/// A batch of matrices of one dtype, as doubles.
struct Matrices {
    batch: Dims,
    rows: usize,
    cols: usize,
    values: Vec<f64>,
    dtype: DType,
}

impl Matrices {
    /// Reads an argument; the messages name the function and the argument.
    fn of(op: &str, name: &str, x: &Tensor) -> Result<Self> {
        let array = x.array();
        let [batch @ .., rows, cols] = array.shape() else {
            return Err(Error::runtime(format!(
                "linalg.{op}: The input tensor {name} must have at least 2 dimensions."
            )));
        };
        let dtype = array.dtype();
        if !dtype.is_floating() {
            return Err(Error::runtime(format!(
                "linalg.{op}: Expected a floating point or complex tensor as input. Got {}",
                dtype.scalar_name()
            )));
        }
        Ok(Self { batch: batch.into(), rows: *rows, cols: *cols, values: array.to_vec()?, dtype })
    }

    /// [`Self::of`] matrices that must be square.
    fn square(op: &str, x: &Tensor) -> Result<Self> {
        if let [.., rows, cols] = *x.shape()
            && rows != cols
        {
            return Err(Error::runtime(format!(
                "linalg.{op}: A must be batches of square matrices, but they are {rows} by {cols} matrices (the shape is \
                 {:?})",
                &x.shape()[..]
            )));
        }
        Self::of(op, "A", x)
    }

    /// Each matrix with its number.
    fn each(&self) -> impl Iterator<Item = (usize, &[f64])> {
        let size = self.rows * self.cols;
        (0..self.batch.iter().product()).map(move |i| (i, &self.values[i * size..(i + 1) * size]))
    }

    /// Which of several matrices a message is about.
    fn place(&self, i: usize) -> String {
        if self.batch.is_empty() { String::new() } else { format!("(Batch element {i}): ") }
    }

    /// Results of one shape for each matrix, in the matrices' dtype.
    fn results(&self, values: &[f64], shape: &[usize]) -> Result<Array> {
        let mut whole = self.batch.clone();
        whole.extend_from_slice(shape);
        Array::from_slice(values, &whole)?.cast(self.dtype)
    }
}

/// `a b`.
fn times(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    multiply_each(a, b, [false, false])
}

/// `aᵀ b`.
fn transposed_times(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    multiply_each(a, b, [true, false])
}

/// `a bᵀ`.
fn times_transposed(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    multiply_each(a, b, [false, true])
}

/// The transposes of a batch.
fn transposed(x: &Tensor) -> Result<Tensor> {
    ops::transpose(x, -2, -1)
}

/// A number for each matrix, so that it broadcasts with the matrices.
fn number(x: &Tensor) -> Result<Tensor> {
    ops::unsqueeze(&ops::unsqueeze(x, -1)?, -1)
}

/// The unit matrix as a mask.
fn unit_mask(n: usize) -> Result<Tensor> {
    ops::creation::eye(n as i64, None, Some(DType::Bool))
}

/// `x[i, j] / (v[j] - v[i])`, zero on the diagonal.
fn over_differences(x: &Tensor, v: &Tensor) -> Result<Tensor> {
    let differences = ops::sub(&ops::unsqueeze(v, -2)?, &ops::unsqueeze(v, -1)?)?;
    let n = v.shape().last().copied().unwrap_or_default();
    ops::div(x, &ops::choose(&unit_mask(n)?, f64::INFINITY, &differences)?)
}
