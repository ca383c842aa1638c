//! Linear equations.

use smallvec::smallvec;

use super::{Matrices, times, times_transposed, transposed};
use crate::array::kernels::decomposition::{lu::Lu, triangular};
use crate::array::{Array, Dims, layout};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::vector_space::{expand, zeros_like};
use crate::graph::{Backward, Forward, Grads, Keep, Onto, Tensor, record};
use crate::ops;
use crate::ops::Triangle;

/// The solution `X` of `A X = B`, or of `X A = B` if not `left`. `B` is a matrix or a vector; batches broadcast.
///
/// Fails when a matrix is singular, or when shapes or dtypes do not fit.
pub fn solve(a: &Tensor, b: &Tensor, left: bool) -> Result<Tensor> {
    let (shape, of_b) = (a.shape(), b.shape());
    Matrices::square("solve", a)?;
    // As PyTorch tells them apart: a batch of vectors has the shape of A but for its last axis.
    let vector = of_b.len() == 1 || of_b[..] == shape[..shape.len() - 1];
    if vector {
        let b = ops::unsqueeze(b, -1)?;
        check("solve", a, &b, true)?;
        return ops::squeeze(&equations(a, &b)?, Some(&[-1]));
    }
    check("solve", a, b, left)?;
    if left { equations(a, b) } else { transposed(&equations(&transposed(a)?, &transposed(b)?)?) }
}

fn check(op: &str, a: &Tensor, b: &Tensor, left: bool) -> Result<()> {
    if a.dtype() != b.dtype() {
        return Err(Error::runtime(format!(
            "linalg.{op}: Expected A and B to have the same dtype, but found A of type {} and B of type {} instead",
            a.dtype().scalar_name(),
            b.dtype().scalar_name()
        )));
    }
    let ([.., n, _], [.., rows, cols]) = (&a.shape()[..], &b.shape()[..]) else {
        return Err(Error::runtime(format!(
            "linalg.{op}: The input tensor B must have at least 2 dimensions."
        )));
    };
    if n == if left { rows } else { cols } {
        return Ok(());
    }
    let equation = if left { "AX = B" } else { "XA = B" };
    Err(Error::runtime(format!(
        "linalg.{op}: Incompatible shapes of A and B for the equation {equation} ({n}x{n} and {rows}x{cols})"
    )))
}

/// One batch for both sides.
fn broadcast(a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    let ([batch @ .., n, _], [others @ .., rows, cols]) = (&a.shape()[..], &b.shape()[..]) else {
        unreachable!("both sides were checked")
    };
    let batch = layout::broadcast("solve", batch, others)?;
    let whole = |tail: [usize; 2]| -> Dims { batch.iter().copied().chain(tail).collect() };
    Ok((expand(a, &whole([*n, *n]))?, expand(b, &whole([*rows, *cols]))?))
}

/// The numbers of a solution, from one that solves for each pair of matrices.
fn each(
    a: &Tensor,
    b: &Tensor,
    one: impl Fn(&Matrices, usize, &[f64], &[f64], usize) -> Result<Vec<f64>>,
) -> Result<Array> {
    let (a, b) = broadcast(&a.detach(), &b.detach())?;
    let (a, b) = (Matrices::of("solve", "A", &a)?, Matrices::of("solve", "B", &b)?);
    let mut values = Vec::with_capacity(b.values.len());
    for ((i, matrix), (_, right)) in a.each().zip(b.each()) {
        values.extend(one(&a, i, matrix, right, b.cols)?);
    }
    b.results(&values, &[b.rows, b.cols])
}

/// `A X = B` of batches of matrices that broadcast.
pub(super) fn equations(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let x = each(a, b, |batch, i, a, b, columns| {
        let lu = Lu::of(a, batch.rows);
        if lu.missing_pivot().is_some() {
            return Err(Error::linear_algebra(format!(
                "torch.linalg.solve: {}The solver failed because the input matrix is singular.",
                batch.place(i)
            )));
        }
        Ok(lu.solve(b, columns))
    })?;
    record(
        "LinalgSolveExBackward0",
        &[a, b],
        x,
        &[Keep::Input(0), Keep::Output(0)],
        // dB = A⁻ᵀ g, dA = -dB Xᵀ
        |cx| gradients(cx, |a, g| equations(&transposed(a)?, g), Ok),
        // dX = A⁻¹ (dB - dA X)
        |cx| equations(cx.input(0), &residual(cx, Ok)?),
    )
}

/// The gradients of both sides; what does not count of A is cut off.
fn gradients(
    cx: &Backward<'_>,
    adjoint: impl FnOnce(&Tensor, &Tensor) -> Result<Tensor>,
    cut: impl FnOnce(Tensor) -> Result<Tensor>,
) -> Result<Grads> {
    let Some(g) = cx.grad(0) else { return Ok(smallvec![None, None]) };
    let db = adjoint(&cx.saved(0)?, g)?;
    let da = cx.needs(0).then(|| cut(ops::neg(&times_transposed(&db, &cx.saved(1)?)?)?)).transpose()?;
    Ok(smallvec![da, Some(db)])
}

/// What the tangents leave of the equation.
fn residual(cx: &Forward<'_>, cut: impl FnOnce(Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let x = cx.output();
    let right = match cx.tangent(1) {
        Some(t) => expand(&t, &x.shape())?,
        None => zeros_like(x)?,
    };
    match cx.tangent(0) {
        Some(t) => ops::sub(&right, &times(&cut(t)?, x)?),
        None => Ok(right),
    }
}

/// [`solve`] with triangular matrices, of which the other triangle is not read; nor the diagonal if `unit`, which is then
/// ones. A zero on the diagonal gives infinities and is no error.
pub fn solve_triangular(a: &Tensor, b: &Tensor, upper: bool, left: bool, unit: bool) -> Result<Tensor> {
    Matrices::square("solve_triangular", a)?;
    check("solve_triangular", a, b, left)?;
    if left {
        triangular_equations(a, b, upper, unit)
    } else {
        transposed(&triangular_equations(&transposed(a)?, &transposed(b)?, !upper, unit)?)
    }
}

fn triangular_equations(a: &Tensor, b: &Tensor, upper: bool, unit: bool) -> Result<Tensor> {
    let x = each(a, b, |batch, _, a, b, columns| {
        let mut x = b.to_vec();
        triangular::solve(a, batch.rows, &mut x, columns, upper, unit);
        Ok(x)
    })?;
    let cut = move |x: Tensor| {
        let (which, diagonal) = if upper { (Triangle::Upper, 1) } else { (Triangle::Lower, -1) };
        ops::triangle(Onto::Copy, which, &x, if unit { diagonal } else { 0 })
    };
    record(
        "LinalgSolveTriangularBackward0",
        &[a, b],
        x,
        &[Keep::Input(0), Keep::Output(0)],
        // As of any equations, within the triangle.
        move |cx| gradients(cx, |a, g| triangular_equations(&transposed(a)?, g, !upper, unit), cut),
        |cx| triangular_equations(cx.input(0), &residual(cx, cut)?, upper, unit),
    )
}

/// Matrices far from singular: a diagonal of two and small numbers.
pub(super) fn regular(s: &mut crate::gradcheck::Sampler, shape: &[usize]) -> Result<Tensor> {
    let small = s.uniform(shape, -0.4, 0.4)?;
    let n = shape.last().copied().unwrap_or_default();
    let unit = ops::creation::eye(n as i64, None, Some(small.dtype()))?;
    Ok(Tensor::new(ops::add(&small, &ops::mul(&unit, 2.0)?)?.array()))
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "linalg.solve",
        |s| Ok(vec![regular(s, &[3, 3])?, s.normal(&[2, 3, 2])?]),
        |x| Ok(vec![solve(&x[0], &x[1], true)?]),
    ),
    Check::new(
        "linalg.solve from the right",
        |s| Ok(vec![regular(s, &[2, 3, 3])?, s.normal(&[1, 2, 3])?]),
        |x| Ok(vec![solve(&x[0], &x[1], false)?]),
    ),
    Check::new(
        "linalg.solve for vectors",
        |s| Ok(vec![regular(s, &[2, 3, 3])?, s.normal(&[2, 3])?]),
        |x| Ok(vec![solve(&x[0], &x[1], true)?]),
    ),
    Check::new(
        "linalg.solve_triangular",
        |s| Ok(vec![regular(s, &[3, 3])?, s.normal(&[2, 3, 2])?]),
        |x| {
            let lower = solve_triangular(&x[0], &x[1], false, true, false)?;
            let upper = solve_triangular(&x[0], &transposed(&x[1])?, true, false, true)?;
            Ok(vec![lower, upper])
        },
    ),
];
