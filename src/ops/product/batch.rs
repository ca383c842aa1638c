//! Products of batches of matrices.

use crate::array::layout::{self, Dims};
use crate::array::{Array, Scalar};
use crate::error::{Error, Kind, Result};
use crate::gradcheck::Check;
use crate::graph::{Batched, Tensor};
use crate::ops::product::arrays::{self, Factor};
use crate::ops::product::bilinear::Bilinear;

/// What kernels of batches are called in errors.
pub(super) const KERNEL: &str = "bmm";

/// The products of the matrices of two batches: `[b, m, k]` and `[b, k, n]` give `[b, m, n]`. Both of one dtype.
///
/// Fails when a factor is no batch, when the batches or the inner extents differ, or when the dtypes do.
pub fn bmm(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    check_batches(&a.array(), &b.array())?;
    multiply_each(a, b, [false, false])
}

/// Refuses what [`bmm`] and its like do not take.
pub(super) fn check_batches(a: &Array, b: &Array) -> Result<()> {
    for (array, name) in [(a, "batch1"), (b, "batch2")] {
        if array.ndim() != 3 {
            return Err(Error::runtime(format!(
                "{name} must be a 3D tensor (its shape is {:?})",
                array.shape()
            )));
        }
    }
    let ([n, _, k], [m, l, _]) = (extents(a), extents(b));
    if n == m && k == l {
        return Ok(());
    }
    Err(Error::runtime(format!(
        "Expected size for first two dimensions of batch2 tensor to be: [{n}, {k}] but got: [{m}, {l}]. \
         (batch1 is {:?} and batch2 is {:?})",
        a.shape(),
        b.shape()
    )))
}

fn extents(x: &Array) -> [usize; 3] {
    [x.shape()[0], x.shape()[1], x.shape()[2]]
}

/// a b for each pair of matrices of two batches that broadcast, with each factor transposed where `flip` says so.
/// There are at least two axes.
pub(in crate::ops) fn multiply_each(a: &Tensor, b: &Tensor, flip: [bool; 2]) -> Result<Tensor> {
    let (x, z) = (a.array(), b.array());
    if x.dtype() != z.dtype() {
        return Err(Error::runtime(format!(
            "expected scalar type {} but found {} (.to({}) converts)",
            x.dtype().scalar_name(),
            z.dtype().scalar_name(),
            x.dtype()
        )));
    }
    let (left, right) = (Factor::matrix(&x, flip[0]), Factor::matrix(&z, flip[1]));
    let batch = batch_of(&x, &z)?;
    if left.cols != right.rows {
        let count: usize = batch.iter().product();
        return Err(Error::runtime(format!(
            "Expected size for first two dimensions of batch2 tensor to be: [{count}, {}] but got: [{count}, {}]. \
             (The factors are {:?} and {:?}.)",
            left.cols,
            right.rows,
            x.shape(),
            z.shape()
        )));
    }
    let mut shape = batch.clone();
    shape.extend([left.rows, right.cols]);
    let y = Array::empty(&shape, x.dtype())?;
    let target = Factor::matrix(&y, false);
    arrays::multiply_each(KERNEL, &batch, Scalar::Int(1), left, right, Scalar::Int(0), target)?;
    Bilinear {
        label: Batched("BmmBackward0"),
        work: arrays::work(y.numel(), 1, left.cols),
        da: move |g: &Tensor, b: &Tensor| da(g, b, flip),
        db: move |g: &Tensor, a: &Tensor| db(g, a, flip),
        itself: move |a: &Tensor, b: &Tensor| multiply_each(a, b, flip),
    }
    .record(a, b, y)
}

/// dA = g B^T; of a transposed A, B g^T. Summed over what was broadcast by whoever asked.
pub(super) fn da(g: &Tensor, b: &Tensor, [a_flipped, b_flipped]: [bool; 2]) -> Result<Tensor> {
    if a_flipped { multiply_each(b, g, [b_flipped, true]) } else { multiply_each(g, b, [false, !b_flipped]) }
}

/// dB = A^T g; of a transposed B, g^T A.
pub(super) fn db(g: &Tensor, a: &Tensor, [a_flipped, b_flipped]: [bool; 2]) -> Result<Tensor> {
    if b_flipped { multiply_each(g, a, [true, a_flipped]) } else { multiply_each(a, g, [!a_flipped, false]) }
}

/// What the axes before the last two broadcast to.
fn batch_of(a: &Array, b: &Array) -> Result<Dims> {
    let (x, z) = (&a.shape()[..a.ndim() - 2], &b.shape()[..b.ndim() - 2]);
    layout::broadcast("matmul, of the batches", x, z).map_err(|error| match error.kind() {
        Kind::Broadcast { .. } => {
            Error::runtime(format!("{error} [the factors are {:?} and {:?}]", a.shape(), b.shape()))
        }
        _ => error,
    })
}

/// What is checked here.
pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "bmm",
        |s| Ok(vec![s.normal(&[2, 2, 3])?, s.normal(&[2, 3, 2])?]),
        |x| Ok(vec![bmm(&x[0], &x[1])?]),
    ),
    Check::new(
        "bmm of broadcast transposes",
        |s| Ok(vec![s.normal(&[2, 1, 3, 2])?, s.normal(&[2, 2, 3])?]),
        |x| Ok(vec![multiply_each(&x[0], &x[1], [true, true])?]),
    ),
    Check::new(
        "bmm with one transposed matrix",
        |s| Ok(vec![s.normal(&[2, 2, 3])?, s.normal(&[2, 3])?]),
        |x| Ok(vec![multiply_each(&x[0], &x[1], [false, true])?]),
    ),
];
