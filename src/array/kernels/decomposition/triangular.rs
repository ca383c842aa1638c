//! Equations with a triangular matrix.

/// Solves `A X = B` in place, by substitution. Only the named triangle of `A` is read; where `unit`, its diagonal is
/// taken to be ones.
pub fn solve(a: &[f64], n: usize, x: &mut [f64], columns: usize, upper: bool, unit: bool) {
    let mut sum = vec![0.0; columns];
    for step in 0..n {
        let row = if upper { n - 1 - step } else { step };
        let known = if upper { row + 1..n } else { 0..row };
        sum.copy_from_slice(&x[row * columns..(row + 1) * columns]);
        for k in known {
            let factor = a[row * n + k];
            for (sum, x) in sum.iter_mut().zip(&x[k * columns..(k + 1) * columns]) {
                *sum -= factor * x;
            }
        }
        let pivot = if unit { 1.0 } else { a[row * n + row] };
        for (x, sum) in x[row * columns..(row + 1) * columns].iter_mut().zip(&sum) {
            *x = sum / pivot;
        }
    }
}
