//! The singular value decomposition, and the norm that is the sum of singular values.

use smallvec::smallvec;

use super::{Matrices, over_differences, times, times_transposed, transposed, transposed_times};
use crate::array::kernels::decomposition::jacobi::{self, Singular};
use crate::array::layout::axis;
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::{Backward, Grads, Keep, Tensor, record_many};
use crate::ops;

/// The numbers of one decomposition: U column by column turned into rows, S, and the rows of Vᵀ.
fn one(a: &[f64], rows: usize, cols: usize, counts: [usize; 2]) -> Option<[Vec<f64>; 3]> {
    let turned = |a: &[f64], rows: usize, cols: usize| -> Vec<f64> {
        (0..rows * cols).map(|k| a[k % rows * cols + k / rows]).collect()
    };
    if rows <= cols {
        let Singular { values, left, right } = jacobi::singular(a, rows, cols, counts[1])?;
        return Some([turned(&left, rows, rows), values, right]);
    }
    let Singular { values, left, right } = jacobi::singular(&turned(a, rows, cols), cols, rows, counts[0])?;
    Some([turned(&right, counts[0], rows), values, left])
}

/// U, S and Vᵀ of each matrix `A = U S Vᵀ`, the singular values in descending order. If `full`, U and V are square; their
/// further columns are any that complete the basis, and have no derivative.
///
/// Fails when a number is not finite.
pub fn svd(x: &Tensor, full: bool) -> Result<[Tensor; 3]> {
    let a = Matrices::of("svd", "A", x)?;
    let least = a.rows.min(a.cols);
    let counts = if full { [a.rows, a.cols] } else { [least, least] };
    let mut parts: [Vec<f64>; 3] = std::array::from_fn(|_| Vec::new());
    for (i, matrix) in a.each() {
        let Some(own) = one(matrix, a.rows, a.cols, counts) else {
            return Err(Error::linear_algebra(format!(
                "linalg.svd: {}The algorithm failed to converge because the input matrix contained non-finite values.",
                a.place(i)
            )));
        };
        for (all, own) in parts.iter_mut().zip(own) {
            all.extend(own);
        }
    }
    let [u, s, vh] = &parts;
    let outputs = record_many(
        "LinalgSvdBackward0",
        &[x],
        vec![
            a.results(u, &[a.rows, counts[0]])?,
            a.results(s, &[least])?,
            a.results(vh, &[counts[1], a.cols])?,
        ],
        &[Keep::Output(0), Keep::Output(1), Keep::Output(2)],
        move |cx| backward(cx, least),
        |inputs, outputs| {
            let Some(t) = inputs[0].tangent() else { return Ok(vec![None, None, None]) };
            tangents(&t, outputs).map(|t| t.map(Some).into())
        },
    )?;
    Ok(<[Tensor; 3]>::try_from(outputs).unwrap_or_else(|_| unreachable!("three outputs")))
}

/// `x - xᵀ`.
fn skew(x: &Tensor) -> Result<Tensor> {
    ops::sub(x, &transposed(x)?)
}

/// What of `x` lies outside the columns of `u`.
fn outside(x: &Tensor, u: &Tensor) -> Result<Tensor> {
    ops::sub(x, &times(u, &transposed_times(u, x)?)?)
}

/// Columns scaled.
fn scaled(x: &Tensor, s: &Tensor) -> Result<Tensor> {
    ops::mul(x, &ops::unsqueeze(s, -2)?)
}

/// With `E[i, j] = s[j]² - s[i]²`:
/// `dA = U (skew(Uᵀ gU) / E S + S skew(Vᵀ gV) / E + diag gS) Vᵀ + (1 - U Uᵀ) gU S⁻¹ Vᵀ + U S⁻¹ gVᵀ (1 - V Vᵀ)`.
fn backward(cx: &Backward<'_>, least: usize) -> Result<Grads> {
    let (u, s, v) = (cx.saved(0)?, cx.saved(1)?, transposed(&cx.saved(2)?)?);
    // The columns that complete a basis depend on nothing.
    let first = |x: &Tensor| ops::narrow(x, -1, 0, least as isize);
    let (u, v) = (first(&u)?, first(&v)?);
    let gu = cx.grad(0).map(first).transpose()?;
    let gv = cx.grad(2).map(|g| first(&transposed(g)?)).transpose()?;
    let squares = ops::mul(&s, &s)?;
    let mut inner = cx.grad(1).map(|g| ops::diag_embed(g, 0, -2, -1)).transpose()?;
    let mut around: Option<Tensor> = None;
    let add = |sum: Option<Tensor>, x: Tensor| match sum {
        Some(sum) => ops::add(&sum, &x).map(Some),
        None => Ok(Some(x)),
    };
    if let Some(g) = &gu {
        let turn = over_differences(&skew(&transposed_times(&u, g)?)?, &squares)?;
        inner = add(inner, scaled(&turn, &s)?)?;
        if u.shape()[u.ndim() - 2] > least {
            around = add(around, times_transposed(&scaled(&outside(g, &u)?, &ops::reciprocal(&s)?)?, &v)?)?;
        }
    }
    if let Some(g) = &gv {
        let turn = over_differences(&skew(&transposed_times(&v, g)?)?, &squares)?;
        inner = add(inner, ops::mul(&turn, &ops::unsqueeze(&s, -1)?)?)?;
        if v.shape()[v.ndim() - 2] > least {
            around = add(around, times_transposed(&u, &scaled(&outside(g, &v)?, &ops::reciprocal(&s)?)?)?)?;
        }
    }
    if let Some(inner) = inner {
        around = add(around, times_transposed(&times(&u, &inner)?, &v)?)?;
    }
    Ok(smallvec![around])
}

/// With `P = Uᵀ dA V`: `dS = diag P`, `dU = U (P S + S Pᵀ) / E + (1 - U Uᵀ) dA V S⁻¹`, and V the same of `Aᵀ`.
fn tangents(t: &Tensor, outputs: &[Tensor]) -> Result<[Tensor; 3]> {
    let (u, s, v) = (&outputs[0], &outputs[1], &transposed(&outputs[2])?);
    let k = s.shape().last().copied().unwrap_or_default();
    if u.shape()[u.ndim() - 1] != k || v.shape()[v.ndim() - 1] != k {
        return Err(Error::runtime(
            "linalg.svd: a full decomposition of matrices that are not square has no derivative in forward mode \
             (full_matrices=False has)",
        ));
    }
    let p = times(&transposed_times(u, t)?, v)?;
    let squares = ops::mul(s, s)?;
    let side = |p: &Tensor, basis: &Tensor, t: &Tensor, other: &Tensor| {
        let ps = scaled(p, s)?;
        let turn = over_differences(&ops::add(&ps, &transposed(&ps)?)?, &squares)?;
        let within = times(basis, &turn)?;
        if basis.shape()[basis.ndim() - 2] == k {
            return Ok(within);
        }
        ops::add(&within, &scaled(&outside(&times(t, other)?, basis)?, &ops::reciprocal(s)?)?)
    };
    let du = side(&p, u, t, v)?;
    let dv = side(&transposed(&p)?, v, &transposed(t)?, u)?;
    Ok([du, ops::clone(&ops::diagonal(&p, 0, -2, -1)?)?, transposed(&dv)?])
}

/// The sum of the singular values of the matrices in two axes, or of a matrix.
pub fn nuclear_norm(x: &Tensor, dim: Option<&[isize]>, keepdim: bool) -> Result<Tensor> {
    let ndim = x.ndim();
    if ndim < 2 {
        return Err(Error::runtime(
            "linalg.matrix_norm: The input tensor A must have at least 2 dimensions.",
        ));
    }
    let all: Vec<isize> = (0..ndim as isize).collect();
    let [a, b] = *dim.unwrap_or(&all) else {
        let named: Vec<String> = dim.unwrap_or(&all).iter().map(ToString::to_string).collect();
        return Err(Error::runtime(format!(
            "linalg.matrix_norm: dim must be a 2-tuple. Got {}",
            named.join(" ")
        )));
    };
    let (a, b) = (axis(a, ndim)?, axis(b, ndim)?);
    if a == b {
        return Err(Error::runtime(format!("linalg.matrix_norm: dims must be different. Got ({a}, {b})")));
    }
    let [_, s, _] = svd(&ops::movedim(x, &[a as isize, b as isize], &[-2, -1])?, false)?;
    let y = ops::sum(&s, Some(&[-1]), false, None)?;
    if !keepdim {
        return Ok(y);
    }
    let (first, second) = (a.min(b) as isize, a.max(b) as isize);
    ops::unsqueeze(&ops::unsqueeze(&y, first)?, second)
}

pub(crate) const CHECKS: &[Check] = &[
    // The signs of vectors are free; their squares and the product of both sides are not.
    Check::new("linalg.svd", |s| Ok(vec![s.normal(&[2, 4, 3])?]), |x| invariants(&x[0])),
    Check::new("linalg.svd of wide matrices", |s| Ok(vec![s.normal(&[2, 3])?]), |x| invariants(&x[0])),
    Check::new(
        "nuclear_norm",
        |s| Ok(vec![s.normal(&[3, 2, 4])?]),
        |x| Ok(vec![nuclear_norm(&x[0], Some(&[2, 0]), true)?]),
    ),
];

fn invariants(x: &Tensor) -> Result<Vec<Tensor>> {
    let [u, s, vh] = svd(x, false)?;
    Ok(vec![ops::mul(&u, &u)?, s, ops::mul(&vh, &vh)?, times(&u, &vh)?])
}
