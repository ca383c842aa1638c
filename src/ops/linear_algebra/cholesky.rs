//! The Cholesky decomposition.

use smallvec::smallvec;

use super::{Matrices, solve_triangular, times, transposed, transposed_times};
use crate::array::kernels::decomposition::cholesky as kernel;
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::vector_space::zeros_like;
use crate::graph::{Keep, Onto, Tensor, record};
use crate::ops::{self, Triangle};

/// The lower triangular `L` with `A = L Lᵀ`, or its transpose if `upper`, of each symmetric positive definite matrix. Only
/// the lower triangle is read, or the upper one.
///
/// Fails when a matrix is not positive definite.
pub fn cholesky(x: &Tensor, upper: bool) -> Result<Tensor> {
    if upper { transposed(&lower(x, true)?) } else { lower(x, false) }
}

/// `L`, from the lower triangle or the mirrored upper one.
fn lower(x: &Tensor, mirrored: bool) -> Result<Tensor> {
    let a = Matrices::square("cholesky", &if mirrored { transposed(&x.detach())? } else { x.detach() })?;
    let mut values = Vec::with_capacity(a.values.len());
    for (i, matrix) in a.each() {
        let mut l = matrix.to_vec();
        kernel::decompose(&mut l, a.rows).map_err(|order| {
            Error::linear_algebra(format!(
                "linalg.cholesky: {}The factorization could not be completed because the input is not positive-definite \
                 (the leading minor of order {order} is not positive-definite).",
                a.place(i)
            ))
        })?;
        values.extend(l);
    }
    record(
        "LinalgCholeskyExBackward0",
        &[x],
        a.results(&values, &[a.rows, a.rows])?,
        &[Keep::Output(0)],
        // dA = L⁻ᵀ S L⁻¹, with S the symmetric half of tril(Lᵀ g)
        |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            let l = cx.saved(0)?;
            let half = half_of_lower(&transposed_times(&l, g)?)?;
            let symmetric = ops::mul(&ops::add(&half, &transposed(&half)?)?, 0.5)?;
            let left = solve_triangular(&transposed(&l)?, &symmetric, true, true, false)?;
            Ok(smallvec![Some(solve_triangular(&l, &left, false, false, false)?)])
        },
        // dL = L half(L⁻¹ dA L⁻ᵀ)
        |cx| {
            let l = cx.output();
            let Some(t) = cx.tangent(0) else { return zeros_like(l) };
            let left = solve_triangular(l, &t, false, true, false)?;
            times(l, &half_of_lower(&solve_triangular(&transposed(l)?, &left, true, false, false)?)?)
        },
    )
}

/// The lower triangle with half of the diagonal.
fn half_of_lower(x: &Tensor) -> Result<Tensor> {
    let lower = ops::triangle(Onto::Copy, Triangle::Lower, x, 0)?;
    let below = ops::triangle(Onto::Copy, Triangle::Lower, x, -1)?;
    ops::mul(&ops::add(&lower, &below)?, 0.5)
}

pub(crate) const CHECKS: &[Check] = &[Check::new(
    "linalg.cholesky",
    |s| Ok(vec![s.normal(&[2, 3, 3])?]),
    |x| {
        let unit = ops::creation::eye(3, None, Some(x[0].dtype()))?;
        let a = ops::add(&transposed_times(&x[0], &x[0])?, &unit)?;
        Ok(vec![cholesky(&a, false)?, cholesky(&a, true)?])
    },
)];
