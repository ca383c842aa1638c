//! Eigenvalues and singular values by Jacobi's rotations (Golub, Van Loan: Matrix Computations, 8.5 and 8.6): the most
//! accurate way, and fast enough for the matrices of small tensors.

use super::dot;

/// Sweeps after which what has not converged never will; ten are many.
const SWEEPS: usize = 60;

/// The cosine and sine of the rotation that makes the symmetric `[[a, c], [c, b]]` diagonal.
fn rotation(a: f64, b: f64, c: f64) -> (f64, f64) {
    let zeta = (b - a) / (2.0 * c);
    let tangent = 1.0_f64.copysign(zeta) / (zeta.abs() + 1.0_f64.hypot(zeta));
    let cosine = 1.0 / 1.0_f64.hypot(tangent);
    (cosine, cosine * tangent)
}

/// Rotates two of the rows of length `n`.
fn rotate(rows: &mut [f64], n: usize, (p, q): (usize, usize), (cosine, sine): (f64, f64)) {
    let (before, after) = rows.split_at_mut(q * n);
    for (x, y) in before[p * n..(p + 1) * n].iter_mut().zip(&mut after[..n]) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
}

fn identity(n: usize) -> Vec<f64> {
    let mut rows = vec![0.0; n * n];
    rows.iter_mut().step_by(n + 1).for_each(|x| *x = 1.0);
    rows
}

/// The positions of numbers, in ascending order of the numbers.
fn ascending(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    order
}

/// The power of two that brings the largest magnitude near one, so that no square overflows. `None` if a number is not
/// finite.
fn scale_of(a: &[f64]) -> Option<f64> {
    let largest = a.iter().fold(0.0_f64, |most, x| if x.abs() > most || x.is_nan() { x.abs() } else { most });
    if !largest.is_finite() {
        return None;
    }
    let (_, exponent) = libm::frexp(largest);
    Some(libm::ldexp(1.0, exponent.clamp(-1000, 1000)))
}

/// The eigenvalues of a symmetric matrix in ascending order, and its eigenvectors, one a row. Only the lower triangle is
/// read. `None` if a number is not finite.
pub fn eigen(a: &[f64], n: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    let mut a: Vec<f64> = (0..n * n).map(|k| a[(k / n).max(k % n) * n + (k / n).min(k % n)]).collect();
    let scale = scale_of(&a)?;
    for x in &mut a {
        *x /= scale;
    }
    let mut vectors = identity(n);
    for _ in 0..SWEEPS {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                let (x, y, z) = (a[p * n + p], a[q * n + q], a[p * n + q]);
                if z.abs() <= f64::EPSILON * 0.25 * (x * y).abs().sqrt() || z.abs() < f64::MIN_POSITIVE {
                    continue;
                }
                // Beside much larger numbers it changes nothing any more.
                if x.abs() + z.abs() == x.abs() && y.abs() + z.abs() == y.abs() {
                    a[p * n + q] = 0.0;
                    a[q * n + p] = 0.0;
                    continue;
                }
                rotated = true;
                let turn = rotation(x, y, z);
                rotate(&mut a, n, (p, q), turn);
                for row in a.chunks_exact_mut(n) {
                    (row[p], row[q]) = (turn.0 * row[p] - turn.1 * row[q], turn.1 * row[p] + turn.0 * row[q]);
                }
                rotate(&mut vectors, n, (p, q), turn);
            }
        }
        if !rotated {
            break;
        }
    }
    let values: Vec<f64> = (0..n).map(|k| a[k * n + k] * scale).collect();
    let order = ascending(&values);
    let sorted = order.iter().flat_map(|&k| vectors[k * n..(k + 1) * n].iter().copied()).collect();
    Some((order.iter().map(|&k| values[k]).collect(), sorted))
}

/// Singular values in descending order, and the vectors of both sides, one a row.
pub struct Singular {
    /// As many as the matrix has rows.
    pub values: Vec<f64>,
    /// `rows` vectors of `rows` numbers.
    pub left: Vec<f64>,
    /// As many vectors of `cols` numbers as were asked for.
    pub right: Vec<f64>,
}

/// The singular values and vectors of a matrix with `rows <= cols`, with `count` right vectors (`rows..=cols`). `None` if a
/// number is not finite.
///
/// Rows are turned in pairs until all are orthogonal: `W = Lᵀ A`, whose lengths are the singular values.
pub fn singular(a: &[f64], rows: usize, cols: usize, count: usize) -> Option<Singular> {
    let scale = scale_of(a)?;
    let mut w: Vec<f64> = a.iter().map(|x| x / scale).collect();
    let mut left = identity(rows);
    for _ in 0..SWEEPS {
        let mut rotated = false;
        for p in 0..rows {
            for q in p + 1..rows {
                let (x, y) = (&w[p * cols..(p + 1) * cols], &w[q * cols..(q + 1) * cols]);
                let (a, b, c) = (dot(x, x), dot(y, y), dot(x, y));
                if c.abs() <= f64::EPSILON * (a * b).sqrt() || c.abs() < f64::MIN_POSITIVE {
                    continue;
                }
                rotated = true;
                let turn = rotation(a, b, c);
                rotate(&mut w, cols, (p, q), turn);
                rotate(&mut left, rows, (p, q), turn);
            }
        }
        if !rotated {
            break;
        }
    }
    let lengths: Vec<f64> =
        (0..rows).map(|k| dot(&w[k * cols..(k + 1) * cols], &w[k * cols..(k + 1) * cols]).sqrt()).collect();
    let order: Vec<usize> = ascending(&lengths).into_iter().rev().collect();
    let mut result = Singular { values: Vec::new(), left: Vec::new(), right: vec![0.0; count * cols] };
    // What is rounding noise beside the largest has no direction of its own.
    let noise = order.first().map_or(0.0, |&k| lengths[k]) * f64::EPSILON * 0.5;
    let mut missing = Vec::new();
    for (place, &k) in order.iter().enumerate() {
        result.values.push(lengths[k] * scale);
        result.left.extend_from_slice(&left[k * rows..(k + 1) * rows]);
        if lengths[k] > noise {
            let target = &mut result.right[place * cols..(place + 1) * cols];
            for (v, x) in target.iter_mut().zip(&w[k * cols..(k + 1) * cols]) {
                *v = x / lengths[k];
            }
        } else {
            missing.push(place);
        }
    }
    missing.extend(rows..count);
    complete(&mut result.right, cols, &missing);
    Some(result)
}

/// Fills the missing rows of an orthonormal set, by Gram and Schmidt's process from the axis farthest from the others.
fn complete(rows: &mut [f64], n: usize, missing: &[usize]) {
    // How much of each axis the rows already span; a missing row is zero and spans nothing.
    let mut spanned: Vec<f64> =
        (0..n).map(|j| rows.chunks_exact(n).map(|row| row[j] * row[j]).sum()).collect();
    for &place in missing {
        let axis = (0..n).reduce(|best, j| if spanned[j] < spanned[best] { j } else { best }).unwrap_or(0);
        let mut fresh = vec![0.0; n];
        fresh[axis] = 1.0;
        // Twice is enough.
        for _ in 0..2 {
            for row in rows.chunks_exact(n) {
                let along = dot(row, &fresh);
                for (x, y) in fresh.iter_mut().zip(row) {
                    *x -= along * y;
                }
            }
        }
        let length = dot(&fresh, &fresh).sqrt();
        for ((x, target), spanned) in
            fresh.iter().zip(&mut rows[place * n..(place + 1) * n]).zip(&mut spanned)
        {
            *target = x / length;
            *spanned += *target * *target;
        }
    }
}
