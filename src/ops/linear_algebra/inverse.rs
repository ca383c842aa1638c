//! Inverses, and what stands for one where there is none.

use smallvec::smallvec;

use super::solve::regular;
use super::{Matrices, times, times_transposed, transposed, transposed_times};
use crate::array::DType;
use crate::array::kernels::decomposition::{jacobi, lu::Lu};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::vector_space::zeros_like;
use crate::graph::{Keep, Tensor, record_with_work};
use crate::ops;

/// Elements of element-wise work that `count` products of square matrices take.
fn work(a: &Matrices, count: usize) -> u64 {
    (a.values.len() as u64).saturating_mul((a.rows.max(a.cols) * count) as u64) / 4
}

/// The inverse of each square matrix of a batch, of a float dtype.
///
/// Fails when a matrix is singular.
pub fn inverse(x: &Tensor) -> Result<Tensor> {
    let a = Matrices::square("inv", x)?;
    let n = a.rows;
    let mut unit = vec![0.0; n * n];
    unit.iter_mut().step_by(n + 1).for_each(|x| *x = 1.0);
    let mut values = Vec::with_capacity(a.values.len());
    for (i, matrix) in a.each() {
        let lu = Lu::of(matrix, n);
        if let Some(column) = lu.missing_pivot() {
            return Err(Error::linear_algebra(format!(
                "linalg.inv: {}The diagonal element {} is zero, the inversion could not be completed because the input \
                 matrix is singular.",
                a.place(i),
                column + 1
            )));
        }
        values.extend(lu.solve(&unit, n));
    }
    record_with_work(
        "LinalgInvExBackward0",
        work(&a, 2),
        &[x],
        a.results(&values, &[n, n])?,
        &[Keep::Output(0)],
        // dA = -Yᵀ g Yᵀ
        |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            let y = cx.saved(0)?;
            Ok(smallvec![Some(ops::neg(&times_transposed(&transposed_times(&y, g)?, &y)?)?)])
        },
        // dY = -Y dA Y
        |cx| match cx.tangent(0) {
            Some(t) => ops::neg(&times(&times(cx.output(), &t)?, cx.output())?),
            None => zeros_like(cx.output()),
        },
    )
}

/// Which singular values count as zero in [`pinv`]: those up to `max(absolute, relative * largest)`, with one number of
/// each for all matrices or one for each matrix.
pub struct Cutoff {
    /// The absolute bound.
    pub absolute: Option<Vec<f64>>,
    /// The relative bound; if there is none and no absolute one either, the larger extent times the dtype's epsilon.
    pub relative: Option<Vec<f64>>,
}

impl Cutoff {
    fn of(&self, a: &Matrices, i: usize, largest: f64) -> Result<f64> {
        let pick = |bounds: &Option<Vec<f64>>| match bounds.as_deref() {
            None => Ok(None),
            Some([one]) => Ok(Some(*one)),
            Some(each) => each.get(i).copied().map(Some).ok_or_else(|| {
                Error::runtime(format!(
                    "linalg.pinv: there are {} tolerances for a batch of shape {:?}",
                    each.len(),
                    &a.batch[..]
                ))
            }),
        };
        let absolute = pick(&self.absolute)?.unwrap_or(0.0);
        let epsilon = if a.dtype == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) };
        let usual = if absolute > 0.0 { 0.0 } else { epsilon * a.rows.max(a.cols) as f64 };
        Ok(absolute.max(pick(&self.relative)?.unwrap_or(usual) * largest))
    }
}

/// Moore and Penrose's inverse of each matrix; `symmetric` ones are read in their lower triangle.
///
/// Fails when a number is not finite.
pub fn pinv(x: &Tensor, cutoff: &Cutoff, symmetric: bool) -> Result<Tensor> {
    let a = if symmetric { Matrices::square("pinv", x)? } else { Matrices::of("pinv", "A", x)? };
    let (rows, cols) = (a.rows, a.cols);
    let mut values = Vec::with_capacity(a.values.len());
    for (i, matrix) in a.each() {
        values.extend(pseudoinverse(&a, i, matrix, cutoff, symmetric)?);
    }
    record_with_work(
        "LinalgPinvBackward0",
        work(&a, 10),
        &[x],
        a.results(&values, &[cols, rows])?,
        &[Keep::Input(0), Keep::Output(0)],
        // Golub and Pereyra 1973: dA = -Pᵀ g Pᵀ + (1 - A P) gᵀ P Pᵀ + Pᵀ P gᵀ (1 - P A)
        |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            let (a, p) = (cx.saved(0)?, cx.saved(1)?);
            let first = times_transposed(&transposed_times(&p, g)?, &p)?;
            let second = times_transposed(&times(&transposed(g)?, &p)?, &p)?;
            let second = ops::sub(&second, &times(&a, &times(&p, &second)?)?)?;
            let third = times_transposed(&transposed_times(&p, &p)?, g)?;
            let third = ops::sub(&third, &times(&times(&third, &p)?, &a)?)?;
            Ok(smallvec![Some(ops::sub(&ops::add(&second, &third)?, &first)?)])
        },
        // dP = -P dA P + P Pᵀ dAᵀ (1 - A P) + (1 - P A) dAᵀ Pᵀ P
        |cx| {
            let (a, p) = (cx.input(0), cx.output());
            let Some(t) = cx.tangent(0) else { return zeros_like(p) };
            let first = times(&times(p, &t)?, p)?;
            let second = times_transposed(&times_transposed(p, p)?, &t)?;
            let second = ops::sub(&second, &times(&times(&second, a)?, p)?)?;
            let third = times(&times_transposed(&transposed(&t)?, p)?, p)?;
            let third = ops::sub(&third, &times(p, &times(a, &third)?)?)?;
            ops::sub(&ops::add(&second, &third)?, &first)
        },
    )
}

/// `V S⁺ Uᵀ`.
fn pseudoinverse(
    a: &Matrices,
    i: usize,
    matrix: &[f64],
    cutoff: &Cutoff,
    symmetric: bool,
) -> Result<Vec<f64>> {
    let (rows, cols) = (a.rows, a.cols);
    let wide = rows <= cols;
    let (short, long) = if wide { (rows, cols) } else { (cols, rows) };
    let at = |k: usize| {
        let (i, j) = if wide { (k / long, k % long) } else { (k % long, k / long) };
        let (i, j) = if symmetric { (i.max(j), i.min(j)) } else { (i, j) };
        matrix[i * cols + j]
    };
    let turned: Vec<f64> = (0..short * long).map(at).collect();
    let Some(s) = jacobi::singular(&turned, short, long, short) else {
        return Err(Error::linear_algebra(format!(
            "linalg.svd: {}The algorithm failed to converge because the input matrix contained non-finite values.",
            a.place(i)
        )));
    };
    let bound = cutoff.of(a, i, s.values.first().copied().unwrap_or_default())?;
    let mut y = vec![0.0; short * long];
    for (k, value) in s.values.iter().enumerate().filter(|(_, value)| **value > bound) {
        for p in 0..long {
            for q in 0..short {
                let place = if wide { p * short + q } else { q * long + p };
                y[place] += s.right[k * long + p] * s.left[k * short + q] / value;
            }
        }
    }
    Ok(y)
}

const NO_CUTOFF: Cutoff = Cutoff { absolute: None, relative: None };

pub(crate) const CHECKS: &[Check] = &[
    Check::new("linalg.inv", |s| Ok(vec![regular(s, &[2, 3, 3])?]), |x| Ok(vec![inverse(&x[0])?])),
    Check::new(
        "linalg.pinv",
        |s| Ok(vec![s.normal(&[2, 4, 2])?]),
        |x| Ok(vec![pinv(&x[0], &NO_CUTOFF, false)?]),
    ),
    Check::new(
        "linalg.pinv of wide matrices",
        |s| Ok(vec![s.normal(&[2, 4])?]),
        |x| Ok(vec![pinv(&x[0], &NO_CUTOFF, false)?]),
    ),
];
