//! Products of several matrices: chains in the cheapest order, and powers.

use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::Tensor;
use crate::ops;
use crate::ops::linear_algebra::inverse;
use crate::ops::product::broadcast::matmul;
use crate::ops::product::matrix;

/// The product of several matrices, in the order that takes the fewest multiplications. One matrix is its own product.
pub fn chain_matmul(matrices: &[Tensor]) -> Result<Tensor> {
    if let [one] = matrices {
        return Ok(one.clone());
    }
    multi_dot(matrices)
}

/// The product of at least two matrices, in the order that takes the fewest multiplications. The first may be a vector,
/// which counts as a row, and so may the last, which counts as a column.
pub fn multi_dot(matrices: &[Tensor]) -> Result<Tensor> {
    let [first, .., last] = matrices else {
        return Err(Error::runtime(format!(
            "multi_dot(): expected at least 2 tensors but got {}",
            matrices.len()
        )));
    };
    check(matrices)?;
    let mut chain = matrices.to_vec();
    let (row, column) = (first.ndim() == 1, last.ndim() == 1);
    if row {
        chain[0] = ops::unsqueeze(first, 0)?;
    }
    if column {
        chain[matrices.len() - 1] = ops::unsqueeze(last, 1)?;
    }
    for (i, pair) in chain.windows(2).enumerate() {
        if pair[0].shape()[1] != pair[1].shape()[0] {
            return Err(Error::runtime(format!(
                "multi_dot(): tensors {i} and {} with shapes {:?} and {:?} cannot be multiplied",
                i + 1,
                &matrices[i].shape()[..],
                &matrices[i + 1].shape()[..]
            )));
        }
    }
    let splits = cheapest(&chain);
    let y = multiply(&chain, &splits, 0, chain.len() - 1)?;
    let y = if column { ops::squeeze(&y, Some(&[1]))? } else { y };
    if row { ops::squeeze(&y, Some(&[0])) } else { Ok(y) }
}

fn check(matrices: &[Tensor]) -> Result<()> {
    let n = matrices.len();
    for (i, x) in matrices.iter().enumerate() {
        let ndim = x.ndim();
        let wrong = match i {
            0 if ndim != 1 && ndim != 2 => "the first tensor must be 1D or 2D",
            _ if i == n - 1 && ndim != 1 && ndim != 2 => "the last tensor must be 1D or 2D",
            _ if i > 0 && i < n - 1 && ndim != 2 => {
                return Err(Error::runtime(format!("multi_dot(): tensor {i} must be 2D but got {ndim}D")));
            }
            _ => continue,
        };
        return Err(Error::runtime(format!("multi_dot(): {wrong} but got {ndim}D")));
    }
    Ok(())
}

/// For matrices `i..=j`, the last one of the left part where the product is cut last: by dynamic programming over
/// lengths (Cormen, Leiserson, Rivest, Stein: Introduction to Algorithms, 15.2).
fn cheapest(chain: &[Tensor]) -> Vec<Vec<usize>> {
    let n = chain.len();
    let mut extents: Vec<f64> = chain.iter().map(|x| x.shape()[0] as f64).collect();
    extents.push(chain[n - 1].shape()[1] as f64);
    let mut cost = vec![vec![0.0_f64; n]; n];
    let mut split = vec![vec![0; n]; n];
    for length in 1..n {
        for i in 0..n - length {
            let j = i + length;
            cost[i][j] = f64::INFINITY;
            for k in i..j {
                let whole = cost[i][k] + cost[k + 1][j] + extents[i] * extents[k + 1] * extents[j + 1];
                if whole < cost[i][j] {
                    cost[i][j] = whole;
                    split[i][j] = k;
                }
            }
        }
    }
    split
}

fn multiply(chain: &[Tensor], splits: &[Vec<usize>], i: usize, j: usize) -> Result<Tensor> {
    if i == j {
        return Ok(chain[i].clone());
    }
    let k = splits[i][j];
    matrix::mm(&multiply(chain, splits, i, k)?, &multiply(chain, splits, k + 1, j)?)
}

/// The product of `n` copies of each square matrix of a batch, by repeated squaring; the identity for `n = 0`.
/// Negative powers are those of the inverse, for float dtypes.
pub fn matrix_power(x: &Tensor, n: i64) -> Result<Tensor> {
    let shape = x.shape();
    let [.., rows, cols] = shape[..] else {
        return Err(Error::runtime(
            "linalg.matrix_power: The input tensor A must have at least 2 dimensions.",
        ));
    };
    if rows != cols {
        return Err(Error::runtime(format!(
            "linalg.matrix_power: A must be batches of square matrices, but they are {rows} by {cols} matrices (the shape is \
             {:?})",
            &shape[..]
        )));
    }
    if n < 0 {
        return matrix_power(&inverse(x)?, n.checked_neg().unwrap_or(i64::MAX));
    }
    if n == 0 {
        let identity: Vec<f64> = (0..rows * rows).map(|i| f64::from(u8::from(i % (rows + 1) == 0))).collect();
        let identity = ops::to_dtype(&Tensor::from_slice(&identity, &[rows, rows])?, x.dtype())?;
        let signed: Vec<isize> = shape.iter().map(|&n| n as isize).collect();
        // A copy of `x` that is written over: it has a history, and a gradient of zero.
        return ops::copy_(&ops::clone(x)?, &ops::expand(&identity, &signed)?);
    }
    if n == 1 {
        return ops::clone(x);
    }
    let (mut square, mut rest) = (x.clone(), n as u64);
    let mut y: Option<Tensor> = None;
    loop {
        if rest & 1 == 1 {
            y = Some(match y {
                Some(y) => matmul(&y, &square)?,
                None => square.clone(),
            });
        }
        rest >>= 1;
        if rest == 0 {
            return Ok(y.unwrap_or(square));
        }
        square = matmul(&square, &square)?;
    }
}

/// What is checked here.
pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "linalg.multi_dot",
        |s| Ok(vec![s.normal(&[4])?, s.normal(&[4, 2])?, s.normal(&[2, 3])?, s.normal(&[3])?]),
        |x| Ok(vec![multi_dot(x)?]),
    ),
    Check::new("matrix_power", |s| Ok(vec![s.normal(&[2, 2])?]), |x| Ok(vec![matrix_power(&x[0], 5)?])),
];
