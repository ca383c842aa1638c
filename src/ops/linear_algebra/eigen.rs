//! Eigenvalues of symmetric matrices.

use smallvec::smallvec;

use super::{Matrices, over_differences, times, times_transposed, transposed, transposed_times};
use crate::array::kernels::decomposition::jacobi;
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::{Backward, Grads, Keep, Tensor, record_many};
use crate::ops;

/// The eigenvalues of each symmetric matrix in ascending order, and its eigenvectors, one a column. Only one triangle is
/// read, the upper one if `upper`.
///
/// Fails when a number is not finite.
pub fn eigh(x: &Tensor, upper: bool) -> Result<[Tensor; 2]> {
    let a = Matrices::square("eigh", &if upper { transposed(&x.detach())? } else { x.detach() })?;
    let n = a.rows;
    let (mut values, mut vectors) = (Vec::new(), Vec::new());
    for (i, matrix) in a.each() {
        let Some((own_values, rows)) = jacobi::eigen(matrix, n) else {
            return Err(Error::linear_algebra(format!(
                "linalg.eigh: {}The algorithm failed to converge because the input matrix contained non-finite values.",
                a.place(i)
            )));
        };
        values.extend(own_values);
        vectors.extend((0..n * n).map(|k| rows[k % n * n + k / n]));
    }
    let outputs = record_many(
        "LinalgEighBackward0",
        &[x],
        vec![a.results(&values, &[n])?, a.results(&vectors, &[n, n])?],
        &[Keep::Output(0), Keep::Output(1)],
        backward,
        // With P = Vᵀ dA V: dw = diag P, dV = V (P / E), E[i, j] = w[j] - w[i]
        |inputs, outputs| {
            let Some(t) = inputs[0].tangent() else { return Ok(vec![None, None]) };
            let (w, v) = (&outputs[0], &outputs[1]);
            let t = ops::mul(&ops::add(&t, &transposed(&t)?)?, 0.5)?;
            let p = times(&transposed_times(v, &t)?, v)?;
            let dw = ops::clone(&ops::diagonal(&p, 0, -2, -1)?)?;
            Ok(vec![Some(dw), Some(times(v, &over_differences(&p, w)?)?)])
        },
    )?;
    Ok(<[Tensor; 2]>::try_from(outputs).unwrap_or_else(|_| unreachable!("two outputs")))
}

/// `dA = V (diag gw + S) Vᵀ`, with `S` the symmetric half of `(Vᵀ gV) / E`.
fn backward(cx: &Backward<'_>) -> Result<Grads> {
    let (w, v) = (cx.saved(0)?, cx.saved(1)?);
    let values = cx.grad(0).map(|g| ops::diag_embed(g, 0, -2, -1)).transpose()?;
    let half = |x: Tensor| ops::mul(&ops::add(&x, &transposed(&x)?)?, 0.5);
    let turn = |g: &Tensor| over_differences(&transposed_times(&v, g)?, &w).and_then(half);
    let vectors = cx.grad(1).map(turn).transpose()?;
    let inner = match (values, vectors) {
        (Some(a), Some(b)) => ops::add(&a, &b)?,
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => return Ok(smallvec![None]),
    };
    Ok(smallvec![Some(times_transposed(&times(&v, &inner)?, &v)?)])
}

pub(crate) const CHECKS: &[Check] = &[Check::new(
    "linalg.eigh",
    // Eigenvalues near 1, 3 and 5, so that none cross; vectors are checked by what their sign does not change.
    |s| Ok(vec![ops::add(&s.uniform(&[2, 3, 3], -0.3, 0.3)?, &spread()?)?.detach()]),
    |x| {
        let symmetric = ops::add(&x[0], &transposed(&x[0])?)?;
        let [w, v] = eigh(&symmetric, false)?;
        Ok(vec![w, ops::mul(&v, &v)?, eigh(&symmetric, true)?[0].clone()])
    },
)];

fn spread() -> Result<Tensor> {
    ops::diag_embed(&Tensor::from_slice(&[1.0, 3.0, 5.0], &[3])?, 0, 0, 1)
}
