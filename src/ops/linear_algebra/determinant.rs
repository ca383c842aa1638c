//! Determinants.

use smallvec::smallvec;

use super::solve::regular;
use super::{Matrices, number, svd, times, transposed, transposed_times, unit_mask};
use crate::array::kernels::decomposition::lu::Lu;
use crate::error::Result;
use crate::gradcheck::Check;
use crate::graph::vector_space::zeros_like;
use crate::graph::{Keep, Tensor, mode, record, record_many};
use crate::ops;

/// The determinant of each square matrix.
pub fn det(x: &Tensor) -> Result<Tensor> {
    let a = Matrices::square("det", x)?;
    let values: Vec<f64> = a.each().map(|(_, a_i)| Lu::of(a_i, a.rows).determinant()).collect();
    record(
        "LinalgDetBackward0",
        &[x],
        a.results(&values, &[])?,
        &[Keep::Input(0), Keep::Output(0)],
        // dA = g C, with C the cofactors
        |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            let cofactors = cofactors(&cx.saved(0)?, &cx.saved(1)?)?;
            Ok(smallvec![Some(ops::mul(&number(g)?, &cofactors)?)])
        },
        // d = sum(C dA)
        |cx| match cx.tangent(0) {
            Some(t) => {
                ops::sum(&ops::mul(&cofactors(cx.input(0), cx.output())?, &t)?, Some(&[-2, -1]), false, None)
            }
            None => zeros_like(cx.output()),
        },
    )
}

/// The cofactors of matrices with these determinants: `det A⁻ᵀ`, or, where one is singular, of its decomposition
/// `U S Vᵀ`: `det U det V U C(S) Vᵀ`.
fn cofactors(a: &Tensor, det: &Tensor) -> Result<Tensor> {
    if det.to_vec::<f64>()?.iter().all(|d| *d != 0.0) {
        return ops::mul(&number(det)?, &transposed(&ops::inverse(a)?)?);
    }
    let [u, s, vh] = svd(a, false)?;
    let n = a.shape().last().copied().unwrap_or_default();
    let others = ops::choose(&unit_mask(n)?, 1.0, &ops::unsqueeze(&s, -2)?)?;
    let of_s = ops::prod(&others, Some(-1), false, None)?;
    // They are 1 or -1, whose derivative is zero.
    let sign = {
        let _guard = mode::no_grad();
        ops::mul(&self::det(&u)?, &self::det(&vh)?)?
    };
    ops::mul(&number(&sign)?, &times(&ops::mul(&u, &ops::unsqueeze(&of_s, -2)?)?, &vh)?)
}

/// The determinant's sign (-1, 0 or 1), and the logarithm of its magnitude.
pub fn slogdet(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let a = Matrices::square("slogdet", x)?;
    let (signs, logs): (Vec<f64>, Vec<f64>) =
        a.each().map(|(_, a_i)| Lu::of(a_i, a.rows).log_determinant()).unzip();
    let outputs = record_many(
        "LinalgSlogdetBackward0",
        &[x],
        vec![a.results(&signs, &[])?, a.results(&logs, &[])?],
        &[Keep::Input(0)],
        // dA = g A⁻ᵀ
        |cx| {
            let Some(g) = cx.grad(1) else { return Ok(smallvec![None]) };
            Ok(smallvec![Some(ops::mul(&number(g)?, &transposed(&ops::inverse(&cx.saved(0)?)?)?)?)])
        },
        // d = trace(A⁻¹ dA)
        |inputs, outputs| {
            let Some(t) = inputs[0].tangent() else { return Ok(vec![None, None]) };
            let product = times(&ops::inverse(inputs[0])?, &t)?;
            let trace = ops::sum(&ops::diagonal(&product, 0, -2, -1)?, Some(&[-1]), false, None)?;
            Ok(vec![Some(zeros_like(&outputs[0])?), Some(trace)])
        },
    )?;
    let [sign, log] = <[Tensor; 2]>::try_from(outputs).unwrap_or_else(|_| unreachable!("two outputs"));
    Ok((sign, log))
}

/// The logarithm of the determinant, NaN where that is negative.
pub fn logdet(x: &Tensor) -> Result<Tensor> {
    let (sign, log) = slogdet(x)?;
    ops::where_(&ops::eq(&sign, -1.0)?, f64::NAN, &log)
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new("linalg.det", |s| Ok(vec![s.normal(&[2, 3, 3])?]), |x| Ok(vec![det(&x[0])?])),
    Check::new(
        "linalg.det of a singular matrix",
        // The columns a, b, and two of each added: zero to the last bit.
        |s| {
            let a: Vec<f64> = s.uniform(&[3, 2], 0.5, 1.5)?.to_vec()?;
            let rows: Vec<f64> = a.chunks(2).flat_map(|r| [r[0], r[1], 2.0 * r[1]]).collect();
            Ok(vec![Tensor::from_slice(&rows, &[3, 3])?])
        },
        |x| Ok(vec![det(&x[0])?]),
    ),
    Check::new("linalg.slogdet", |s| Ok(vec![regular(s, &[2, 3, 3])?]), |x| Ok(vec![slogdet(&x[0])?.1])),
    Check::new(
        "logdet",
        // Xᵀ X + 1 has a positive determinant.
        |s| Ok(vec![s.normal(&[3, 3])?]),
        |x| {
            let unit = ops::creation::eye(3, None, Some(x[0].dtype()))?;
            Ok(vec![logdet(&ops::add(&transposed_times(&x[0], &x[0])?, &unit)?)?])
        },
    ),
];
