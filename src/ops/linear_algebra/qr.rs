//! The QR decomposition.

use smallvec::smallvec;

use super::{Matrices, solve_triangular, times, times_transposed, transposed, transposed_times};
use crate::array::Array;
use crate::array::kernels::decomposition::qr::Qr;
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::vector_space::zeros_like;
use crate::graph::{Backward, Grads, Keep, Onto, Tensor, record_many};
use crate::ops::{self, Triangle};

/// How much of the decomposition is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QrMode {
    /// As many columns of Q as the smaller extent.
    Reduced,
    /// A square Q.
    Complete,
    /// R alone; Q is empty.
    R,
}

impl QrMode {
    /// By PyTorch's name.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "reduced" => Ok(Self::Reduced),
            "complete" => Ok(Self::Complete),
            "r" => Ok(Self::R),
            other => Err(Error::runtime(format!(
                "qr received unrecognized mode '{other}' but expected one of 'reduced' (default), 'r', or 'complete'"
            ))),
        }
    }
}

/// Orthonormal columns Q and an upper triangular R with `A = Q R`, by Householder's reflections.
pub fn qr(x: &Tensor, how: QrMode) -> Result<[Tensor; 2]> {
    let a = Matrices::of("qr", "A", x)?;
    let least = a.rows.min(a.cols);
    if how != QrMode::R && a.rows < a.cols {
        // A = (B, C): Q and the first part of R come from B, the rest is Qᵀ C.
        let part = |from: usize, n: usize| ops::narrow(x, -1, from as isize, n as isize);
        let [q, r] = qr(&part(0, least)?, QrMode::Reduced)?;
        let rest = transposed_times(&q, &part(least, a.cols - least)?)?;
        let r = ops::cat(&[r, rest], -1)?;
        return Ok([q, r]);
    }
    let count = if how == QrMode::Complete { a.rows } else { least };
    let (mut q, mut r) = (Vec::new(), Vec::new());
    for (_, matrix) in a.each() {
        let one = Qr::of(matrix, a.rows, a.cols);
        r.extend(one.r(count));
        if how != QrMode::R {
            q.extend(one.q(count));
        }
    }
    let q = if how == QrMode::R { Array::empty(&[0], a.dtype)? } else { a.results(&q, &[a.rows, count])? };
    let r = a.results(&r, &[count, a.cols])?;
    let differentiable = match how {
        QrMode::R => Err(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use linalg.qr(A, \
             mode='reduced') if you are going to differentiate through linalg.qr.",
        ),
        QrMode::Complete if a.rows > a.cols => {
            Err("The QR decomposition is not differentiable when mode='complete' and nrows > ncols.")
        }
        _ => Ok(()),
    };
    let outputs = record_many(
        "LinalgQrBackward0",
        &[x],
        vec![q, r],
        &[Keep::Output(0), Keep::Output(1)],
        move |cx| {
            differentiable.map_err(Error::runtime)?;
            backward(cx)
        },
        |inputs, outputs| {
            differentiable.map_err(Error::runtime)?;
            let (q, r) = (&outputs[0], &outputs[1]);
            let Some(t) = inputs[0].tangent() else { return Ok(vec![None, None]) };
            // With X = dA R⁻¹ and T upper triangular, T + Tᵀ = Qᵀ X + Xᵀ Q: dR = T R, dQ = X - Q T.
            let x = solve_triangular(r, &t, true, false, false)?;
            let sides = transposed_times(q, &x)?;
            let sides = ops::add(&sides, &transposed(&sides)?)?;
            let halves = [0, 1].map(|diagonal| ops::triangle(Onto::Copy, Triangle::Upper, &sides, diagonal));
            let [upper, above] = halves;
            let turn = ops::mul(&ops::add(&upper?, &above?)?, 0.5)?;
            Ok(vec![Some(ops::sub(&x, &times(q, &turn)?)?), Some(times(&turn, r)?)])
        },
    )?;
    Ok(<[Tensor; 2]>::try_from(outputs).unwrap_or_else(|_| unreachable!("two outputs")))
}

/// `dA = (gQ + Q (M + Mᵀ - diag M)) R⁻ᵀ`, with `M` the upper triangle of `gR Rᵀ - Qᵀ gQ`.
fn backward(cx: &Backward<'_>) -> Result<Grads> {
    let (q, r) = (cx.saved(0)?, cx.saved(1)?);
    let (gq, gr) = (cx.grad(0), cx.grad(1));
    if gq.is_none() && gr.is_none() {
        return Ok(smallvec![None]);
    }
    let gq = gq.map_or_else(|| zeros_like(&q), |g| Ok(g.clone()))?;
    let gr = gr.map_or_else(|| zeros_like(&r), |g| Ok(g.clone()))?;
    let m = ops::sub(&times_transposed(&gr, &r)?, &transposed_times(&q, &gq)?)?;
    let upper = ops::triangle(Onto::Copy, Triangle::Upper, &m, 0)?;
    let above = ops::triangle(Onto::Copy, Triangle::Upper, &m, 1)?;
    let whole = ops::add(&upper, &transposed(&above)?)?;
    let sum = ops::add(&gq, &times(&q, &whole)?)?;
    Ok(smallvec![Some(solve_triangular(&transposed(&r)?, &sum, false, false, false)?)])
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new("linalg.qr", |s| Ok(vec![s.normal(&[2, 4, 3])?]), |x| Ok(qr(&x[0], QrMode::Reduced)?.into())),
    Check::new(
        "linalg.qr of wide matrices",
        |s| Ok(vec![s.normal(&[2, 3])?]),
        |x| Ok(qr(&x[0], QrMode::Complete)?.into()),
    ),
];
