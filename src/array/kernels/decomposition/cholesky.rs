//! `A = L Lᵀ` of a positive definite matrix (Golub, Van Loan: Matrix Computations, 4.2).

use super::dot;

/// Replaces `a`, of which only the lower triangle is read, by `L`. The error is the order of the first leading minor that
/// is not positive.
pub fn decompose(a: &mut [f64], n: usize) -> Result<(), usize> {
    for i in 0..n {
        let (above, rest) = a.split_at_mut(i * n);
        let row = &mut rest[..n];
        for j in 0..i {
            let other = &above[j * n..(j + 1) * n];
            row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
        }
        let square = row[i] - dot(&row[..i], &row[..i]);
        // NaN is not positive either.
        if square.is_nan() || square <= 0.0 {
            return Err(i + 1);
        }
        row[i] = square.sqrt();
        row[i + 1..].fill(0.0);
    }
    Ok(())
}
