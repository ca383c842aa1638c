//! `A = Q R` by Householder's reflections, with LAPACK's signs (Golub, Van Loan: Matrix Computations, 5.2).

/// The reflections of a matrix of `rows` by `cols`, below the diagonal of what has become `R`.
pub struct Qr {
    rows: usize,
    cols: usize,
    factors: Vec<f64>,
    scales: Vec<f64>,
}

impl Qr {
    /// Decomposes.
    pub fn of(a: &[f64], rows: usize, cols: usize) -> Self {
        let mut qr = Self { rows, cols, factors: a.to_vec(), scales: Vec::new() };
        for k in 0..rows.min(cols) {
            let scale = qr.reflection(k);
            qr.scales.push(scale);
            let f = &mut qr.factors;
            for j in k + 1..cols {
                let sum =
                    f[k * cols + j] + (k + 1..rows).map(|i| f[i * cols + k] * f[i * cols + j]).sum::<f64>();
                f[k * cols + j] -= scale * sum;
                for i in k + 1..rows {
                    f[i * cols + j] -= scale * sum * f[i * cols + k];
                }
            }
        }
        qr
    }

    /// Writes the reflection `1 - scale v vᵀ` that clears a column below the diagonal, with `v = (1, ...)`.
    fn reflection(&mut self, k: usize) -> f64 {
        let (cols, f) = (self.cols, &mut self.factors);
        let head = f[k * cols + k];
        let below = (k + 1..self.rows).fold(0.0_f64, |norm, i| norm.hypot(f[i * cols + k]));
        if below == 0.0 {
            return 0.0;
        }
        let value = -head.hypot(below).copysign(head);
        for i in k + 1..self.rows {
            f[i * cols + k] /= head - value;
        }
        f[k * cols + k] = value;
        (value - head) / value
    }

    /// The first `count` columns of `Q`.
    pub fn q(&self, count: usize) -> Vec<f64> {
        let (cols, f) = (self.cols, &self.factors);
        let mut q = vec![0.0; self.rows * count];
        for i in 0..self.rows.min(count) {
            q[i * count + i] = 1.0;
        }
        for (k, scale) in self.scales.iter().enumerate().rev() {
            for j in 0..count {
                let below = (k + 1..self.rows).map(|i| f[i * cols + k] * q[i * count + j]).sum::<f64>();
                let sum = q[k * count + j] + below;
                q[k * count + j] -= scale * sum;
                for i in k + 1..self.rows {
                    q[i * count + j] -= scale * sum * f[i * cols + k];
                }
            }
        }
        q
    }

    /// The first `count` rows of `R`.
    pub fn r(&self, count: usize) -> Vec<f64> {
        let mut r = self.factors[..count * self.cols].to_vec();
        for i in 0..count {
            r[i * self.cols..i * self.cols + i.min(self.cols)].fill(0.0);
        }
        r
    }
}
