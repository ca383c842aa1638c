//! Products with vectors: dot products, a matrix on a vector, and the matrix of two vectors.

use crate::array::{Array, Scalar};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::Tensor;
use crate::ops;
use crate::ops::product::arrays::{self, Factor};
use crate::ops::product::bilinear::Bilinear;

/// The sum of the products of two vectors' elements, as a number. Both of one length and dtype, not truths.
pub fn dot(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    named_dot("DotBackward0", a, b)
}

/// [`dot`] with the first vector's conjugate; real numbers are their own.
pub fn vdot(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    named_dot("VdotBackward0", a, b)
}

fn named_dot(name: &'static str, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (x, z) = (a.array(), b.array());
    check_dot(&x, &z)?;
    let y = Array::empty(&[], x.dtype())?;
    arrays::multiply(
        "dot",
        Scalar::Int(1),
        Factor::row(&x),
        Factor::column(&z),
        Scalar::Int(0),
        Factor::number(&y),
    )?;
    Bilinear {
        label: name,
        work: arrays::work(x.numel(), 4, 1),
        // da = g b
        da: |g: &Tensor, b: &Tensor| ops::mul(g, b),
        // db = g a
        db: |g: &Tensor, a: &Tensor| ops::mul(g, a),
        itself: dot,
    }
    .record(a, b, y)
}

fn check_dot(x: &Array, z: &Array) -> Result<()> {
    if x.ndim() != 1 || z.ndim() != 1 {
        return Err(Error::runtime(format!(
            "1D tensors expected, but got {}D and {}D tensors (their shapes are {:?} and {:?})",
            x.ndim(),
            z.ndim(),
            x.shape(),
            z.shape()
        )));
    }
    if x.dtype() != z.dtype() {
        return Err(Error::runtime(format!(
            "dot : expected both vectors to have same dtype, but found {} and {} (.to({}) converts)",
            x.dtype().scalar_name(),
            z.dtype().scalar_name(),
            x.dtype()
        )));
    }
    if x.numel() != z.numel() {
        return Err(Error::runtime(format!(
            "inconsistent tensor size, expected tensor {:?} and src {:?} to have the same number of elements, but got {} \
             and {} elements respectively",
            x.shape(),
            z.shape(),
            x.numel(),
            z.numel()
        )));
    }
    Ok(())
}

/// A matrix on a vector: `[m, k]` and `[k]` give `[m]`. Both of one dtype, not truths.
pub fn mv(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    apply(a, b, false)
}

/// a b, for a matrix that is transposed if `flipped`, and a vector.
pub(super) fn apply(a: &Tensor, b: &Tensor, flipped: bool) -> Result<Tensor> {
    let (x, z) = (a.array(), b.array());
    check_mv(&x, &z, flipped)?;
    let (left, right) = (Factor::matrix(&x, flipped), Factor::column(&z));
    let y = Array::empty(&[left.rows], x.dtype())?;
    arrays::multiply("addmv_impl_cpu", Scalar::Int(1), left, right, Scalar::Int(0), Factor::column(&y))?;
    Bilinear {
        label: "MvBackward0",
        work: arrays::work(left.rows, left.cols, 1),
        da: move |g: &Tensor, b: &Tensor| da(g, b, flipped),
        db: move |g: &Tensor, a: &Tensor| apply(a, g, !flipped),
        itself: move |a: &Tensor, b: &Tensor| apply(a, b, flipped),
    }
    .record(a, b, y)
}

/// dA = g b^T; of a transposed A, b g^T.
pub(super) fn da(g: &Tensor, b: &Tensor, flipped: bool) -> Result<Tensor> {
    if flipped { rank_one(b, g) } else { rank_one(g, b) }
}

/// Refuses what [`mv`] and its like do not take.
pub(super) fn check_mv(x: &Array, z: &Array, flipped: bool) -> Result<()> {
    if x.ndim() != 2 || z.ndim() != 1 {
        return Err(Error::runtime(format!(
            "vector + matrix @ vector expected, got 1, {}, {} (the shapes are {:?} and {:?})",
            x.ndim(),
            z.ndim(),
            x.shape(),
            z.shape()
        )));
    }
    let a = Factor::matrix(x, flipped);
    if a.cols != z.numel() {
        return Err(Error::runtime(format!(
            "size mismatch, got input ({}), mat ({}x{}), vec ({})",
            a.rows,
            a.rows,
            a.cols,
            z.numel()
        )));
    }
    if x.dtype() != z.dtype() {
        return Err(Error::runtime(format!(
            "addmv input tensors must have the same dtype, but got {}, {}, and {} (.to({}) converts)",
            z.dtype().scalar_name(),
            x.dtype().scalar_name(),
            z.dtype().scalar_name(),
            x.dtype()
        )));
    }
    Ok(())
}

/// The matrix of all products of two vectors' elements. Both of one dtype.
pub(super) fn rank_one(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (x, z) = (a.array(), b.array());
    let y = Array::empty(&[x.numel(), z.numel()], x.dtype())?;
    let target = Factor::matrix(&y, false);
    arrays::multiply("addr", Scalar::Int(1), Factor::column(&x), Factor::row(&z), Scalar::Int(0), target)?;
    Bilinear {
        label: "GerBackward0",
        work: 0,
        // da = g b
        da: |g: &Tensor, b: &Tensor| apply(g, b, false),
        // db = g^T a
        db: |g: &Tensor, a: &Tensor| apply(g, a, true),
        itself: rank_one,
    }
    .record(a, b, y)
}

/// What is checked here.
pub(crate) const CHECKS: &[Check] = &[
    Check::new("dot", |s| Ok(vec![s.normal(&[4])?, s.normal(&[4])?]), |x| Ok(vec![dot(&x[0], &x[1])?])),
    Check::new("vdot", |s| Ok(vec![s.normal(&[4])?, s.normal(&[4])?]), |x| Ok(vec![vdot(&x[0], &x[1])?])),
    Check::new("mv", |s| Ok(vec![s.normal(&[2, 3])?, s.normal(&[3])?]), |x| Ok(vec![mv(&x[0], &x[1])?])),
    Check::new(
        "mv of a transpose",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[3])?]),
        |x| Ok(vec![apply(&x[0], &x[1], true)?]),
    ),
    Check::new(
        "the matrix of two vectors",
        |s| Ok(vec![s.normal(&[2])?, s.normal(&[3])?]),
        |x| Ok(vec![rank_one(&x[0], &x[1])?]),
    ),
];
