//! The product of two matrices.

use crate::array::{Array, DType, Scalar};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::{Batched, Tensor};
use crate::ops::product::arrays::{self, Factor};
use crate::ops::product::batch;
use crate::ops::product::bilinear::Bilinear;

/// What kernels of matrix products are called in errors.
pub(super) const KERNEL: &str = "addmm_impl_cpu_";

/// The product of two matrices: `[m, k]` and `[k, n]` give `[m, n]`. Both of one dtype, not truths.
///
/// Fails when a factor is no matrix, when the inner extents differ, or when the dtypes do.
pub fn mm(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    multiply(a, b, [false, false])
}

/// a b, with each factor transposed where `flip` says so.
pub(super) fn multiply(a: &Tensor, b: &Tensor, flip: [bool; 2]) -> Result<Tensor> {
    let (x, z) = (a.array(), b.array());
    for (array, name) in [(&x, "self"), (&z, "mat2")] {
        if array.ndim() != 2 {
            return Err(Error::runtime(format!(
                "{name} must be a matrix (its shape is {:?})",
                array.shape()
            )));
        }
    }
    if x.dtype() != z.dtype() {
        return Err(unequal(x.dtype(), z.dtype()));
    }
    let (left, right) = (Factor::matrix(&x, flip[0]), Factor::matrix(&z, flip[1]));
    check_inner(left, right)?;
    let y = Array::empty(&[left.rows, right.cols], x.dtype())?;
    arrays::multiply(KERNEL, Scalar::Int(1), left, right, Scalar::Int(0), Factor::matrix(&y, false))?;
    Bilinear {
        label: Batched("MmBackward0"),
        work: arrays::work(left.rows, right.cols, left.cols),
        da: move |g: &Tensor, b: &Tensor| da(g, b, flip),
        db: move |g: &Tensor, a: &Tensor| db(g, a, flip),
        itself: move |a: &Tensor, b: &Tensor| multiply(a, b, flip),
    }
    .record(a, b, y)
}

/// dA = g B^T; of a transposed A, B g^T.
///
/// For a batch of g as for one, by broadcasting.
pub(super) fn da(g: &Tensor, b: &Tensor, [a_flipped, b_flipped]: [bool; 2]) -> Result<Tensor> {
    let multiply = if g.ndim() > 2 { batch::multiply_each } else { multiply };
    if a_flipped { multiply(b, g, [b_flipped, true]) } else { multiply(g, b, [false, !b_flipped]) }
}

/// dB = A^T g; of a transposed B, g^T A.
pub(super) fn db(g: &Tensor, a: &Tensor, [a_flipped, b_flipped]: [bool; 2]) -> Result<Tensor> {
    let multiply = if g.ndim() > 2 { batch::multiply_each } else { multiply };
    if b_flipped { multiply(g, a, [true, a_flipped]) } else { multiply(a, g, [!a_flipped, false]) }
}

/// The columns of the one must be the rows of the other.
pub(super) fn check_inner(a: Factor<'_>, b: Factor<'_>) -> Result<()> {
    if a.cols == b.rows {
        return Ok(());
    }
    Err(Error::runtime(format!(
        "mat1 and mat2 shapes cannot be multiplied ({0}x{1} and {2}x{3}): the columns of [{0}, {1}] must be as many as the \
         rows of [{2}, {3}]",
        a.rows, a.cols, b.rows, b.cols
    )))
}

#[cold]
fn unequal(a: DType, b: DType) -> Error {
    Error::runtime(format!(
        "expected m1 and m2 to have the same dtype, but got: {} != {} ({a} and {b}; .to({a}) converts)",
        spoken(a),
        spoken(b)
    ))
}

/// The name of a dtype in C.
pub(super) fn spoken(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "bool",
        DType::U8 => "unsigned char",
        DType::I8 => "signed char",
        DType::I16 => "short int",
        DType::I32 => "int",
        DType::I64 => "long int",
        DType::F32 => "float",
        DType::F64 => "double",
    }
}

/// What is checked here.
pub(crate) const CHECKS: &[Check] = &[
    Check::new("mm", |s| Ok(vec![s.normal(&[2, 3])?, s.normal(&[3, 4])?]), |x| Ok(vec![mm(&x[0], &x[1])?])),
    Check::new(
        "mm of a transpose",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[3, 4])?]),
        |x| Ok(vec![multiply(&x[0], &x[1], [true, false])?]),
    ),
    Check::new(
        "mm with a transpose",
        |s| Ok(vec![s.normal(&[2, 3])?, s.normal(&[4, 3])?]),
        |x| Ok(vec![multiply(&x[0], &x[1], [false, true])?]),
    ),
    Check::new(
        "mm of transposes",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[4, 3])?]),
        |x| Ok(vec![multiply(&x[0], &x[1], [true, true])?]),
    ),
    Check::new("mm with itself", |s| Ok(vec![s.normal(&[3, 3])?]), |x| Ok(vec![mm(&x[0], &x[0])?])),
];
