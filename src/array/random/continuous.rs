//! Continuous distributions by inversion: uniform, exponential, Cauchy, and the log-normal of a normal sample.

use super::fused::with_fused_multiply_add;
use super::{Float, Generator, RandomError, STRIP};
use std::f64::consts::PI;

impl Generator {
    /// Fills `out` from the uniform distribution on `[from, to)`.
    ///
    /// # Errors
    ///
    /// When a bound is not finite in `T`, `from > to`, or `to - from` overflows `T`.
    pub fn uniform<T: Float>(&mut self, out: &mut [T], from: f64, to: f64) -> Result<(), RandomError> {
        let (low, high) = (T::from_f64(from), T::from_f64(to));
        for (bound, value) in [("from", low), ("to", high)] {
            if !value.to_f64().is_finite() {
                return Err(RandomError::OutOfBounds { bound, dtype: T::C_NAME });
            }
        }
        if from > to {
            return Err(RandomError::EmptyRange { from, to });
        }
        let length = high - low;
        if !length.to_f64().is_finite() {
            return Err(RandomError::WideRange { from, to, dtype: T::LIMITS_NAME });
        }
        for strip in out.chunks_mut(STRIP) {
            T::fill_uniform(self, strip);
            if (from, to) != (0.0, 1.0) {
                with_fused_multiply_add(|| scale(strip, low, high, length));
            }
        }
        Ok(())
    }

    /// Fills `out` from the exponential distribution of rate `lambda`.
    ///
    /// # Errors
    ///
    /// When `lambda` is not positive.
    pub fn exponential<T: Float>(&mut self, out: &mut [T], lambda: f64) -> Result<(), RandomError> {
        positive("exponential_", "lambda", lambda)?;
        let scale = -1.0 / lambda;
        self.invert(out, |sample| scale * (-sample).ln_1p());
        Ok(())
    }

    /// Fills `out` from the Cauchy distribution about `median`, of half width `sigma`.
    ///
    /// # Errors
    ///
    /// When `sigma` is not positive.
    pub fn cauchy<T: Float>(&mut self, out: &mut [T], median: f64, sigma: f64) -> Result<(), RandomError> {
        positive("cauchy_", "sigma", sigma)?;
        self.invert(out, |sample| (PI * (sample - 0.5)).tan().mul_add(sigma, median));
        Ok(())
    }

    /// Fills `out` with exponentials of normal samples of mean `mean` and standard deviation `std`.
    ///
    /// # Errors
    ///
    /// When `std` is not positive.
    pub fn log_normal<T: Float>(&mut self, out: &mut [T], mean: f64, std: f64) -> Result<(), RandomError> {
        positive("log_normal_", "std", std)?;
        for slot in out {
            *slot = T::from_f64(self.standard_normal().mul_add(std, mean).exp());
        }
        Ok(())
    }

    /// One sample of the standard normal distribution, in double precision: the second of the last pair, or the first of a new
    /// one (Box and Muller, 1958).
    pub(super) fn standard_normal(&mut self) -> f64 {
        if let Some(sample) = self.next_normal.take() {
            return sample;
        }
        let (turn, tail) = (f64::standard_uniform(self), f64::standard_uniform(self));
        let radius = (-2.0 * (-tail).ln_1p()).sqrt();
        let angle = 2.0 * PI * turn;
        self.next_normal = Some(radius * angle.sin());
        radius * angle.cos()
    }

    /// Fills `out` with `quantile` of uniform samples; both are in double precision whatever `T` is.
    fn invert<T: Float>(&mut self, out: &mut [T], quantile: impl Fn(f64) -> f64) {
        for slot in out {
            *slot = T::from_f64(quantile(f64::standard_uniform(self)));
        }
    }
}

/// Moves samples from `[0, 1)` to `[low, high)`.
#[inline]
fn scale<T: Float>(samples: &mut [T], low: T, high: T, length: T) {
    for sample in samples {
        let value = sample.fused(length, low);
        // Rounding may carry a sample up to the excluded bound, which then counts as the other one.
        *sample = if value == high { low } else { value };
    }
}

fn positive(fill: &'static str, parameter: &'static str, found: f64) -> Result<(), RandomError> {
    if found > 0.0 { Ok(()) } else { Err(RandomError::NotPositive { fill, parameter, found }) }
}
