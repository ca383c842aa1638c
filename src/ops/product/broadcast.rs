//! Products of tensors of any number of axes: the choice between the blocks.

use crate::array::layout::Dims;
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::Tensor;
use crate::ops;
use crate::ops::product::batch::multiply_each;
use crate::ops::product::{matrix, vector};
use crate::ops::view::reshape_to;

/// The product of vectors, matrices and batches of matrices: the last axis of the first factor against the axis before
/// the last of the second, the axes before these broadcast. A vector counts as a row on the left and as a column on the
/// right, and that axis is gone from the result. Both of one dtype, not truths.
pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match (a.ndim(), b.ndim()) {
        (2, 2) => matrix::mm(a, b),
        (0, _) | (_, 0) => Err(Error::runtime(format!(
            "both arguments to matmul need to be at least 1D, but they are {}D and {}D (use * for a number)",
            a.ndim(),
            b.ndim()
        ))),
        (1, 1) => vector::dot(a, b),
        (2, 1) => vector::mv(a, b),
        (1, 2) => ops::squeeze(&matrix::mm(&ops::unsqueeze(a, 0)?, b)?, Some(&[0])),
        (1, _) => ops::squeeze(&matmul(&ops::unsqueeze(a, 0)?, b)?, Some(&[-2])),
        (_, 1) => of_rows(a, 1, |rows| vector::mv(rows, b)),
        (_, 2) => of_rows(a, 1, |rows| matrix::mm(rows, b)),
        _ => multiply_each(a, b, [false, false]),
    }
}

/// Applies a product to all rows of a batch as one tall matrix; `kept` axes of `x` from the right are the row.
pub(super) fn of_rows(
    x: &Tensor,
    kept: usize,
    product: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let shape = x.shape();
    let (front, row) = shape.split_at(shape.len() - kept);
    let mut tall = Dims::from_elem(front.iter().product(), 1);
    tall.extend_from_slice(row);
    let y = product(&reshape_to(x, &tall)?)?;
    let mut wide: Dims = front.into();
    wide.extend_from_slice(&y.shape()[1..]);
    reshape_to(&y, &wide)
}

/// The sums of products over the last axes, which are equally long: `[.., k]` and `[.., k]` give `[.., ..]`.
/// A number scales.
pub fn inner(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (x, z) = (a.shape(), b.shape());
    let (Some(k), Some(l)) = (x.last(), z.last()) else { return ops::mul(a, b) };
    if k != l {
        return Err(Error::runtime(format!(
            "inner() the last dimension must match on both input tensors but got shapes {:?} and {:?}",
            &x[..],
            &z[..]
        )));
    }
    if x.len() == 1 && z.len() == 1 {
        return vector::dot(a, b);
    }
    let rows = |shape: &[usize]| [shape[..shape.len() - 1].iter().product(), shape[shape.len() - 1]];
    let y = matrix::multiply(&reshape_to(a, &rows(&x))?, &reshape_to(b, &rows(&z))?, [false, true])?;
    let mut shape: Dims = x[..x.len() - 1].into();
    shape.extend_from_slice(&z[..z.len() - 1]);
    reshape_to(&y, &shape)
}

/// All products of two vectors' elements: `[m]` and `[n]` give `[m, n]`. Dtypes are promoted.
pub fn outer(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    for (x, name) in [(a, "self"), (b, "vec2")] {
        if x.ndim() != 1 {
            return Err(Error::runtime(format!(
                "outer: Expected 1-D argument {name}, but got {}-D (its shape is {:?})",
                x.ndim(),
                &x.shape()[..]
            )));
        }
    }
    ops::mul(&reshape_to(a, &[a.numel(), 1])?, b)
}

/// What is checked here.
pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "matmul of a vector and a matrix",
        |s| Ok(vec![s.normal(&[3])?, s.normal(&[3, 2])?]),
        |x| Ok(vec![matmul(&x[0], &x[1])?]),
    ),
    Check::new(
        "matmul of a batch and a vector",
        |s| Ok(vec![s.normal(&[2, 2, 3])?, s.normal(&[3])?]),
        |x| Ok(vec![matmul(&x[0], &x[1])?]),
    ),
    Check::new(
        "matmul of a batch and a matrix",
        |s| Ok(vec![s.normal(&[2, 2, 3])?, s.normal(&[3, 2])?]),
        |x| Ok(vec![matmul(&x[0], &x[1])?]),
    ),
    Check::new(
        "matmul of a vector and a batch",
        |s| Ok(vec![s.normal(&[3])?, s.normal(&[2, 3, 2])?]),
        |x| Ok(vec![matmul(&x[0], &x[1])?]),
    ),
    Check::new(
        "matmul of a matrix and a batch",
        |s| Ok(vec![s.normal(&[2, 3])?, s.normal(&[2, 3, 2])?]),
        |x| Ok(vec![matmul(&x[0], &x[1])?]),
    ),
    Check::new(
        "matmul of batches that broadcast",
        |s| Ok(vec![s.normal(&[2, 1, 2, 3])?, s.normal(&[2, 3, 2])?]),
        |x| Ok(vec![matmul(&x[0], &x[1])?]),
    ),
    Check::new(
        "inner",
        |s| Ok(vec![s.normal(&[2, 3])?, s.normal(&[2, 2, 3])?]),
        |x| Ok(vec![inner(&x[0], &x[1])?]),
    ),
    Check::new("outer", |s| Ok(vec![s.normal(&[2])?, s.normal(&[3])?]), |x| Ok(vec![outer(&x[0], &x[1])?])),
];
