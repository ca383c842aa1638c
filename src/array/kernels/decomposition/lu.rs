//! `P A = L U` with the largest pivot of each column (Golub, Van Loan: Matrix Computations, 3.4).

/// The factors of a square matrix: `U` on and above the diagonal, `L` without its ones below it.
pub struct Lu {
    n: usize,
    factors: Vec<f64>,
    /// Which row of the matrix each row of the factors was.
    rows: Vec<usize>,
    /// Whether rows changed places an odd number of times.
    odd: bool,
}

impl Lu {
    /// Decomposes; a column without a pivot leaves a zero on the diagonal.
    pub fn of(a: &[f64], n: usize) -> Self {
        let mut lu = Self { n, factors: a.to_vec(), rows: (0..n).collect(), odd: false };
        for k in 0..n {
            lu.pivot(k);
            let f = &mut lu.factors;
            let pivot = f[k * n + k];
            if pivot == 0.0 {
                continue;
            }
            let (above, below) = f.split_at_mut((k + 1) * n);
            let head = &above[k * n..];
            for row in below.chunks_exact_mut(n) {
                let factor = row[k] / pivot;
                row[k] = factor;
                for j in k + 1..n {
                    row[j] -= factor * head[j];
                }
            }
        }
        lu
    }

    fn pivot(&mut self, k: usize) {
        let n = self.n;
        let size = |row: usize| self.factors[row * n + k].abs();
        let best = (k..n).reduce(|best, row| if size(row) > size(best) { row } else { best }).unwrap_or(k);
        if best != k {
            for j in 0..n {
                self.factors.swap(best * n + j, k * n + j);
            }
            self.rows.swap(best, k);
            self.odd = !self.odd;
        }
    }

    /// The first column without a pivot.
    pub fn missing_pivot(&self) -> Option<usize> {
        (0..self.n).find(|&k| self.factors[k * self.n + k] == 0.0)
    }

    fn diagonal(&self) -> impl Iterator<Item = f64> {
        (0..self.n).map(|k| self.factors[k * self.n + k])
    }

    /// The determinant.
    pub fn determinant(&self) -> f64 {
        let sign = if self.odd { -1.0 } else { 1.0 };
        self.diagonal().fold(sign, |product, pivot| product * pivot)
    }

    /// The determinant's sign, and the logarithm of its magnitude.
    pub fn log_determinant(&self) -> (f64, f64) {
        let sign = if self.odd { -1.0 } else { 1.0 };
        self.diagonal().fold((sign, 0.0), |(sign, log), pivot| {
            let own = if pivot > 0.0 {
                1.0
            } else if pivot < 0.0 {
                -1.0
            } else {
                0.0
            };
            (sign * own, log + pivot.abs().ln())
        })
    }

    /// The solution of `A X = B`, for `B` with this many columns.
    pub fn solve(&self, b: &[f64], columns: usize) -> Vec<f64> {
        let mut x = Vec::with_capacity(b.len());
        for &row in &self.rows {
            x.extend_from_slice(&b[row * columns..(row + 1) * columns]);
        }
        super::triangular::solve(&self.factors, self.n, &mut x, columns, false, true);
        super::triangular::solve(&self.factors, self.n, &mut x, columns, true, false);
        x
    }
}
